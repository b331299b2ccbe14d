"""What the server prints, written by a thread of its own.

A console that nobody reads (a pager, a full pipe) blocks whoever writes to it; here that is this thread and nobody
else. Lines that wait are bounded, more are dropped. The thread writes to the descriptor itself: if it were stuck inside
``sys.stderr``, the lock it holds there would keep the process from ending.
"""

from __future__ import annotations

import logging
import os
import queue
import threading

WAITING = 1000  # pieces of text
PATIENCE_S = 1.0  # at the end, for what still waits


class Console(logging.Handler):
    """A log handler, and ``write`` for text as it is. ``fd`` None: there is no console."""

    def __init__(self, fd: int | None) -> None:
        super().__init__()
        self.dropped = 0
        self._fd = fd
        self._texts: queue.Queue[bytes | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._run, name="console", daemon=True)
        self._thread.start()

    def write(self, text: str) -> None:
        """Take a text (with its line end), or drop it when too much waits."""
        try:
            self._texts.put_nowait(text.encode("utf-8", "replace"))
        except queue.Full:
            self.dropped += 1

    def emit(self, record: logging.LogRecord) -> None:
        """See ``logging.Handler``."""
        try:
            self.write(f"{self.format(record)}\n")
        except Exception:  # noqa: BLE001 - a message that can't be put together must not fail a request
            self.handleError(record)

    def close(self) -> None:
        """Write what waits, as far as somebody reads it."""
        try:
            self._texts.put_nowait(None)
            self._thread.join(PATIENCE_S)
        except queue.Full:
            pass
        super().close()

    def _run(self) -> None:
        while (text := self._texts.get()) is not None:
            try:
                while text and self._fd is not None:
                    text = text[os.write(self._fd, text) :]
                self.written()
            except OSError:  # closed, or a full disk
                self.dropped += 1

    def written(self) -> None:
        """Called in the thread after each text."""


def standard_error() -> Console:
    """The console of this process."""
    try:
        os.fstat(2)
    except OSError:
        return Console(None)
    return Console(2)
