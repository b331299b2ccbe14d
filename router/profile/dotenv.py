"""A profile's ``.env``: plain ``NAME=value`` lines. Nothing is expanded, and no message repeats a value."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_LINE = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*(.*)")
_QUOTED = re.compile(r"""(?:'([^']*)'|"((?:[^"\\]|\\.)*)")[ \t]*(?:#.*)?""")
_COMMENT = re.compile(r"(?:^|[ \t])#.*")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def parse_dotenv(text: str, report: Callable[[int, str], None]) -> Mapping[str, str]:
    """The variables; a later line goes over an earlier one. ``report(line, message)`` for lines that are neither
    an assignment nor a comment.

    Values may stand in ``'…'`` (as it is) or ``"…"`` (with ``\\n``, ``\\"``, …); otherwise they end at `` #`` or with
    the line.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        value = None if match is None else _value(match[2])
        if match is None or value is None:
            report(number, "expected NAME=value" if match is None else f"the quotes of {match[1]} aren't closed")
        elif "\0" in value:
            report(number, f"{match[1]} holds a NUL character")
        else:
            found[match[1]] = value
    return found


def _value(text: str) -> str | None:
    if not text.startswith(("'", '"')):
        return _COMMENT.sub("", text).rstrip()
    quoted = _QUOTED.fullmatch(text)
    if quoted is None:
        return None
    if quoted[1] is not None:
        return quoted[1]
    return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), quoted[2])
