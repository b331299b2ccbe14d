"""The spill file: records that could not be committed in time, kept as JSON lines beside the ledger.

It is the second way to durability, used when the database is slow, locked or full. Lines are synced to disk before the
call returns and read back at the next start; writing them again is harmless, since settling is idempotent.

After a restart the old process may still append while the new one reads: to be read, the file is moved aside, and
whoever appends makes sure that it isn't the moved one.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from router.ledger.record_lines import decode, encode
from router.ledger.writing import Record


class Spill:
    """Appends records, and reads back those of all processes. One process reads at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0  # records appended since the last `clear`
        self._read: list[Path] = []  # files that `read` has seen
        self._read_count = 0

    def append(self, records: list[Record]) -> None:
        """Write the records and sync them to disk. Raises OSError; then nothing of them is in the file."""
        lines = b"".join(encode(record) + b"\n" for record in records)
        fd = self._open_for_append()
        try:
            size = os.fstat(fd).st_size
            torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"  # its writer died: don't continue that line
            try:
                _write_all(fd, b"\n" + lines if torn else lines)
                os.fsync(fd)
            except OSError:
                os.ftruncate(fd, size)
                raise
        finally:
            os.close(fd)
        self.count += len(records)

    def read(self) -> list[Record]:
        """All whole lines; what is no record (its process died while writing it) is left out."""
        self._move_aside()
        self._read = sorted(self.path.parent.glob(f"{self.path.name}.*"))
        self._read_count = self.count
        lines = b"\n".join(file.read_bytes() for file in self._read).split(b"\n")
        return [record for line in lines if (record := decode(line)) is not None]

    def clear(self) -> None:
        """Everything that was read is in the database now; what was appended since then stays."""
        for file in self._read:
            file.unlink()
        self.count -= self._read_count
        self._read, self._read_count = [], 0

    def _open_for_append(self) -> int:
        """The file, locked, and still under its name."""
        while True:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                if os.path.samestat(os.fstat(fd), os.stat(self.path)):
                    return fd
            except FileNotFoundError:
                pass  # moved aside meanwhile
            except OSError:
                os.close(fd)
                raise
            os.close(fd)

    def _move_aside(self) -> None:
        """Give the file another name, once nobody is about to append to it."""
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            self.path.rename(self.path.with_name(f"{self.path.name}.{time.time_ns()}"))
        finally:
            os.close(fd)


def _write_all(fd: int, data: bytes) -> None:
    """A nearly full disk takes a part and says so only when it is asked to take the rest."""
    while data:
        data = data[os.write(fd, data) :]
