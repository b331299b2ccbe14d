"""One line per request, into ``logs/NAME.log`` of its profile and to the console. Never a prompt, never a key.

Lines gather for a moment and are written together, so that logging costs a request next to nothing. Files are rotated by
size. A log that can't be written (a full disk, a closed pipe) loses lines, counted, and nothing else.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

FLUSH_S = 0.1
MAX_BYTES = 10 * 2**20
KEPT_FILES = 5


class RequestLog:
    """Collects lines by profile and writes them a little later. ``close`` writes what is left."""

    def __init__(self, folder: Path, *, console: Callable[[str], object] | None = None) -> None:
        self._folder = folder
        self._console = console
        self._lines: dict[str, list[str]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.dropped = 0

    def write(self, profile: str, line: str) -> None:
        """Take one line (without a line end). Control characters are made visible."""
        if not line.isprintable():
            line = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in line)
        self._lines.setdefault(profile, []).append(line)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)

    def flush(self) -> None:
        """Write what has gathered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines = self._lines, {}
        for profile, of_profile in lines.items():
            text = "\n".join(of_profile) + "\n"
            try:
                self._append(self._folder / f"{profile}.log", text.encode())
            except OSError:
                self.dropped += len(of_profile)
            if self._console is not None:
                self._console(text)

    close = flush

    def _append(self, path: Path, data: bytes) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(fd, data)
            size = os.fstat(fd).st_size
        finally:
            os.close(fd)
        if size > MAX_BYTES:
            _rotate(path)


def _rotate(path: Path) -> None:
    for number in range(KEPT_FILES - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    path.replace(path.with_name(f"{path.name}.1"))


def to_stderr(text: str) -> None:
    """Write to the console; a closed or full one is ignored."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):
        pass
