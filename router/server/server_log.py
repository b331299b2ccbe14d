"""What a server in the background prints: its standard output and error are a file, which is rotated as it grows."""

from __future__ import annotations

import os
from pathlib import Path

from router.server.console import Console
from router.server.request_log import MAX_BYTES, rotate


class ServerLog(Console):
    """The console of a process whose descriptors 1 and 2 are the file ``path``, opened for appending."""

    def __init__(self, path: Path) -> None:
        super().__init__(2)
        self._path = path

    def written(self) -> None:
        """Begin a new file where this one is full. Whatever else is printed, a traceback say, goes there, too."""
        if os.fstat(2).st_size <= MAX_BYTES:
            return
        rotate(self._path)
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        for standard in (1, 2):
            os.dup2(fd, standard)
        os.close(fd)
