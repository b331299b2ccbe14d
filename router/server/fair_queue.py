"""Those who wait: a line for each name, and the lines take turns."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Whoever has many waiting doesn't keep the others from their turn; within a line who came first goes first."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, OrderedDict[T, None]] = (
            OrderedDict()
        )  # none empty; whose turn is next stands first
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def join(self, name: str, one: T) -> None:
        """Wait in the line of that name, as the last."""
        self._lines.setdefault(name, OrderedDict())[one] = None
        self._count += 1

    def leave(self, name: str, one: T) -> None:
        """Wait no longer; nothing happens to who doesn't wait."""
        if one in self._lines.get(name, ()):
            self._remove(name, one)

    def next(self, may_go: Callable[[str], bool] = lambda name: True) -> T | None:
        """Take out the first one of the line whose turn it is, among lines that may go; ``None``: nobody may."""
        name = next(filter(may_go, self._lines), None)
        if name is None:
            return None
        one = next(iter(self._lines[name]))
        self._lines.move_to_end(name)
        self._remove(name, one)
        return one

    def gives_way(self, name: str) -> T | None:
        """Take out the last one of the longest line, if that stays longer than the line of ``name`` with one more."""
        longest = max(self._lines, key=lambda other: len(self._lines[other]), default=name)
        if len(self._lines.get(longest, ())) <= len(self._lines.get(name, ())) + 1:
            return None
        one = next(reversed(self._lines[longest]))
        self._remove(longest, one)
        return one

    def _remove(self, name: str, one: T) -> None:
        line = self._lines[name]
        del line[one]
        self._count -= 1
        if not line:
            del self._lines[name]
