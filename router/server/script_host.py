"""The other side of ``script.py``: a process that holds one ``route.py`` and answers one question a line.

Started as ``python -I script_host.py PATH``; it imports nothing of the router, so that a script sees a plain Python.
A question is a JSON line ``{"request": …, "config": …}``, the answer one of ``{"target": …}`` or ``{"error": …}``.
"""

import json
import runpy
import sys
from types import SimpleNamespace


def _missing(request: object, config: object) -> None:
    """Stands in for a function that isn't there."""


def main() -> None:
    answers = sys.stdout
    sys.stdout = sys.stderr  # a print in the script must not look like an answer
    path = sys.argv[1]
    try:
        route = runpy.run_path(path).get("route", _missing)
        problem = None if callable(route) and route is not _missing else "there is no function route(request, config)"
    except BaseException as error:  # noqa: BLE001 - whatever it raises, also SystemExit, is the script's problem
        route, problem = _missing, f"{type(error).__name__}: {error}"
    answers.write(json.dumps({"ready": problem is None, "error": problem}) + "\n")
    answers.flush()
    for line in sys.stdin:
        try:
            question = json.loads(line)
            target = route(SimpleNamespace(**question["request"]), question["config"])
            if target is not None and not isinstance(target, str):
                raise TypeError(f"route() gave {type(target).__name__}, expected a string or None")
            answer = {"target": target}
        except Exception as error:  # noqa: BLE001 - told to the router, which shows it
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
