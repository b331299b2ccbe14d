"""One server a home: an exclusive lock on ``router.lock``, held for the life of the process.

The kernel drops the lock with the process, however it ends, so a crash leaves nothing to clean up.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

from router.errors import AlreadyRunning

_TRIES, _PAUSE_S = 5, 0.02  # whoever asks for the holder has the lock for an instant


class HomeLock:
    """Holds the lock between ``acquire`` and ``release``. The file has the holder's pid, for messages only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def acquire(self) -> HomeLock:
        """Take the lock or raise AlreadyRunning naming the holder."""
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        for left in reversed(range(_TRIES)):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if left:
                    time.sleep(_PAUSE_S)
                    continue
                other = os.read(fd, 32).decode("ascii", "replace").strip()
                os.close(fd)
                raise AlreadyRunning(
                    f"another router{f' (process {other})' if other else ''} is using {self.path.parent}; "
                    "`router stop` ends it, or give this one another --home"
                ) from error
        self._fd = fd
        self.sign()
        return self

    @classmethod
    def adopt(cls, path: Path, fd: int) -> HomeLock:
        """Hold the lock together with the process that gave this descriptor of it: it ends when both have let go.
        Whoever has signed last is taken for the holder."""
        lock = cls(path)
        lock._fd = fd
        return lock

    @property
    def fd(self) -> int:
        """The open file that the lock belongs to."""
        assert self._fd is not None
        return self._fd

    def sign(self) -> None:
        """Write this process into the file as the holder."""
        name = f"{os.getpid()}\n".encode()
        os.pwrite(self.fd, name, 0)
        os.ftruncate(self.fd, len(name))

    def release(self) -> None:
        """Let go; doing it twice is harmless."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> HomeLock:
        return self.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.release()


def holder(path: Path) -> int | None:
    """The process that holds a home's lock, as the file names it; None if nobody does."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        written = os.read(fd, 32).strip()
        return int(written) if written.isdigit() else None
    finally:
        os.close(fd)
    return None
