"""Runs a program with an event loop that notes how long it is held.

``python -m benchmarks.watched FILE MODULE:FUNCTION ARGS…``, the program named as its entry point.

Between two waits for sockets a loop runs everything that is ready; nobody else gets a turn in that time. The longest of
these spans is the stall a client can meet. On SIGUSR2 the longest span since the last signal is appended to FILE, in
milliseconds, one line. It costs two clock readings a turn, the same for every program it watches.
"""

from __future__ import annotations

import importlib
import selectors
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any


class Spans:
    """The longest time between two waits so far."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._longest_s = 0.0

    def watching(self, selector: type[selectors.BaseSelector]) -> type[selectors.BaseSelector]:
        """The same kind of selector, noting when its waits end and begin."""
        spans = self

        class Watched(selector):  # type: ignore[misc,valid-type]
            left = float("inf")

            def select(self, timeout: float | None = None) -> list[Any]:
                spans._longest_s = max(spans._longest_s, time.perf_counter() - self.left)
                ready: list[Any] = super().select(timeout)
                self.left = time.perf_counter()
                return ready

        return Watched

    def report(self, number: int, frame: FrameType | None) -> None:
        longest_s, self._longest_s = self._longest_s, 0.0
        with self._file.open("a") as out:
            out.write(f"{longest_s * 1000:.3f}\n")


if __name__ == "__main__":
    file, entry, *arguments = sys.argv[1:]
    spans = Spans(Path(file))
    selectors.DefaultSelector = spans.watching(selectors.DefaultSelector)  # type: ignore[misc,assignment]
    signal.signal(signal.SIGUSR2, spans.report)
    sys.argv = [entry, *arguments]
    module, _, function = entry.partition(":")
    sys.exit(getattr(importlib.import_module(module), function)())
