"""Arguments of a function call that arrive in pieces, as Vertex streams them where a client asked for that.

Each piece names its place (``$.edits[0].text``) and holds a value or some of a text. Only the whole is given out: the
pieces are no JSON text that could be passed on.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, Final

import msgspec

from router.wire.pieces import blocks_of, fields_of

_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d{1,6})\]|\['([^']*)'\]|\[\"([^\"]*)\"\]")
_VALUES: Final = ("stringValue", "numberValue", "boolValue")
_DEEPEST: Final = 100
"""Levels of one place: what is nested much deeper than that nobody can write or read."""

Step = str | int


class PartialArgs:
    """The arguments so far."""

    def __init__(self) -> None:
        self._root: dict[str, Any] = {}
        self._unfinished: str | None = None  # the place of a text that goes on

    def feed(self, pieces: Any) -> None:
        """Take some pieces; one that makes no sense is left out."""
        for piece in map(fields_of, blocks_of(pieces)):
            path = piece.get("jsonPath")
            steps = _steps(path) if isinstance(path, str) else None
            if not steps or isinstance(steps[0], int):
                continue
            value = next((piece[name] for name in _VALUES if name in piece), None)
            goes_on = path == self._unfinished
            self._put(steps, value, joined=goes_on)
            self._unfinished = path if piece.get("willContinue") is True else None

    def text(self) -> str:
        """All of it, as JSON."""
        return msgspec.json.encode(self._root).decode()

    def _put(self, steps: list[Step], value: Any, *, joined: bool) -> None:
        place: Any = self._root
        for step, following in pairwise(steps):
            fresh: Any = [] if isinstance(following, int) else {}
            if not _has(place, step) and not _set(place, step, fresh):
                return
            place = place[step]
        last = steps[-1]
        if joined and isinstance(value, str) and _has(place, last) and isinstance(place[last], str):
            value = place[last] + value
        _set(place, last, value)


def _steps(path: str) -> list[Step] | None:
    """``$.a[0]['b c']`` as its keys and indices; ``None`` for anything else, and for what is too deep."""
    if not path.startswith("$"):
        return None
    steps: list[Step] = []
    cursor = 1
    while cursor < len(path):
        step = _STEP.match(path, cursor)
        if step is None or len(steps) == _DEEPEST:
            return None
        key = next(group for group in step.groups() if group is not None)
        steps.append(int(key) if step[2] is not None else key)
        cursor = step.end()
    return steps


def _has(place: Any, step: Step) -> bool:
    if isinstance(place, dict):
        return isinstance(step, str) and step in place
    return isinstance(place, list) and isinstance(step, int) and step < len(place)


def _set(place: Any, step: Step, value: Any) -> bool:
    """Put a value where it belongs, if it fits there; a list only grows by one."""
    if isinstance(place, list) and step == len(place):
        place.append(value)
        return True
    fits = _has(place, step) or (isinstance(place, dict) and isinstance(step, str))
    if fits:
        place[step] = value
    return fits
