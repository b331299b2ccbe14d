"""How far long work is: one line on stderr that changes, in a terminal only."""

from __future__ import annotations

import sys
import time
from types import TracebackType

_EVERY_S = 0.2
_CLEAR = "\r\x1b[K"


class Progress:
    """A context: the line is gone at its end, however it ends."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._shown: str | None = None
        self._next = 0.0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._shown is not None:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()

    def __call__(self, what: str, share: float | None = None) -> None:
        """Say what is being done and, where it is known, how much of it is done (0 to 1)."""
        now = time.monotonic()
        if not self._terminal or (what == self._shown and now < self._next):
            return
        self._shown, self._next = what, now + _EVERY_S
        sys.stderr.write(f"{_CLEAR}{what}" + ("" if share is None else f": {share:.0%}"))
        sys.stderr.flush()
