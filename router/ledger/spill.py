"""The spill file: records that could not be committed in time, kept as JSON lines beside the ledger.

It is the second way to durability, used when the database is slow, locked or full. Lines are synced to disk before the
call returns and read back at the next start; writing them again is harmless, since settling is idempotent.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from router.ledger.writing import Annotate, Begin, Record, Settle

_KINDS: dict[str, type[Begin] | type[Settle] | type[Annotate]] = {
    "begin": Begin,
    "settle": Settle,
    "annotate": Annotate,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


class Spill:
    """Appends and reads back records. Not for concurrent use."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0  # records appended since the last `clear`
        self._read_bytes = 0  # how much of the file `read` has seen
        self._read_count = 0

    def append(self, records: list[Record]) -> None:
        """Write the records and sync them to disk. Raises OSError; then nothing of them is in the file."""
        lines = b"".join(msgspec.json.encode([_NAMES[type(record)], record]) + b"\n" for record in records)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
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
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            content = b""
        self._read_bytes, self._read_count = len(content), self.count
        return [record for line in content.split(b"\n") if (record := _record(line)) is not None]

    def clear(self) -> None:
        """Everything that was read is in the database now; what was appended since then stays."""
        try:
            rest = self.path.read_bytes()[self._read_bytes :]
        except FileNotFoundError:
            rest = b""
        if rest:
            kept = self.path.with_name(f"{self.path.name}.new")
            fd = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                _write_all(fd, rest)
                os.fsync(fd)
            finally:
                os.close(fd)
            kept.replace(self.path)
        else:
            self.path.unlink(missing_ok=True)
        self.count -= self._read_count
        self._read_bytes = self._read_count = 0


def _write_all(fd: int, data: bytes) -> None:
    """A nearly full disk takes a part and says so only when it is asked to take the rest."""
    while data:
        data = data[os.write(fd, data) :]


def _record(line: bytes) -> Record | None:
    try:
        name, fields = msgspec.json.decode(line)
        return msgspec.convert(fields, _KINDS[name])
    except (msgspec.MsgspecError, LookupError, TypeError, ValueError, RecursionError):
        return None
