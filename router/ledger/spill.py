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
        self.count = 0

    def append(self, records: list[Record]) -> None:
        """Write the records and sync them to disk. Raises OSError."""
        lines = b"".join(msgspec.json.encode([_NAMES[type(record)], record]) + b"\n" for record in records)
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(fd, lines)
            os.fsync(fd)
        finally:
            os.close(fd)
        self.count += len(records)

    def read(self) -> list[Record]:
        """All whole lines; a torn last line (the process died while writing it) is left out."""
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        records: list[Record] = []
        for line in lines:
            try:
                name, fields = msgspec.json.decode(line)
                records.append(msgspec.convert(fields, _KINDS[name]))
            except (msgspec.MsgspecError, KeyError, ValueError):
                continue
        return records

    def clear(self) -> None:
        """Everything in it is in the database now."""
        self.path.unlink(missing_ok=True)
        self.count = 0
