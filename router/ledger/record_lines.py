"""Records as JSON: the lines of the spill file, and what one process tells the other at a restart."""

from __future__ import annotations

import msgspec

from router.ledger.writing import Annotate, Begin, Record, Settle

_KINDS: dict[str, type[Begin] | type[Settle] | type[Annotate]] = {
    "begin": Begin,
    "settle": Settle,
    "annotate": Annotate,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def encode(record: Record) -> bytes:
    """``["settle", {…}]``, on one line."""
    return msgspec.json.encode([_NAMES[type(record)], record])


def decode(line: bytes | msgspec.Raw) -> Record | None:
    """The record, or None for what is none."""
    try:
        name, fields = msgspec.json.decode(line)
        return msgspec.convert(fields, _KINDS[name])
    except (msgspec.MsgspecError, LookupError, TypeError, ValueError, RecursionError):
        return None
