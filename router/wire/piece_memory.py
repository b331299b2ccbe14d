"""Pieces of earlier requests, used again: a conversation comes back with every turn, a little longer.

An agent sends its whole conversation each time, so nearly all of a request was there in the one before. Comparing bytes
costs a fraction of cutting and hashing them anew, and a piece that is the same object as before brings along all that
is remembered under it.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from typing import NamedTuple

import msgspec

from router.wire.request import Api, Piece, PieceKind, bounded

BYTES = 12 * 2**20  # of conversations kept, without the pieces' own bytes, which are as many again
OPENING = 256  # a list is known again by its first bytes
_KEPT_SINGLES = 256
_PER_PIECE = 150  # bytes of the objects around a piece's own

_BETWEEN = re.compile(rb"[ \t\r\n]*([,\]])[ \t\r\n]*")
_BEFORE = re.compile(rb"\[[ \t\r\n]*")


class _List(NamedTuple):
    """A list of messages as it was last time: its bytes, its pieces, and where each ends."""

    raw: bytes
    ends: list[int]
    pieces: list[Piece]

    @property
    def size(self) -> int:
        return len(self.raw) + _PER_PIECE * len(self.pieces)


class PieceMemory:
    """Shared by all requests of a server; may be used from several threads."""

    def __init__(self, limit: int = BYTES) -> None:
        self._limit = limit
        self._size = 0
        self._lists: OrderedDict[tuple[Api, bytes], _List] = OrderedDict()
        self._singles: OrderedDict[tuple[PieceKind, int, bytes], Piece] = OrderedDict()
        self._lock = threading.Lock()

    def single(self, kind: PieceKind, raw: bytes) -> Piece:
        """The piece with these bytes, the earlier object if there was one: a system prompt, a list of tools."""
        key = (kind, len(raw), raw[-64:])
        known = self._singles.get(key)
        if known is not None and known.raw == raw:
            return known
        piece = Piece(kind, raw)
        with self._lock:
            self._singles[key] = piece
            if len(self._singles) > _KEPT_SINGLES:
                self._singles.popitem(last=False)
        return piece

    def messages(self, api: Api, raw: bytes) -> list[Piece]:
        """Cut a JSON list into message pieces; what a list seen before began with is taken from there.

        Raises msgspec.MsgspecError where ``raw`` is no list of JSON values, BadRequest where it has too many.
        """
        key = (api, raw[:OPENING])
        with self._lock:
            known = self._lists.get(key)
            if known is not None:
                self._lists.move_to_end(key)
        found = _extend(known, raw) if known is not None else None
        if found is None:
            found = _extend(_List(raw, [], []), raw)
        if found is None:  # spacing we don't expect: cut without remembering
            return [Piece("message", bytes(item)) for item in bounded(msgspec.json.decode(raw, type=list[msgspec.Raw]))]
        self._keep(key, found)
        return found.pieces

    def _keep(self, key: tuple[Api, bytes], found: _List) -> None:
        with self._lock:
            before = self._lists.pop(key, None)
            self._size += found.size - (before.size if before is not None else 0)
            self._lists[key] = found
            while self._size > self._limit and self._lists:
                _, dropped = self._lists.popitem(last=False)
                self._size -= dropped.size


def _extend(known: _List, raw: bytes) -> _List | None:
    """The pieces of ``raw``, those it has in common with ``known`` being the same objects."""
    count = _common(known, raw)
    ends, pieces = known.ends[:count], known.pieces[:count]
    if count:
        between = _BETWEEN.match(raw, ends[-1])
        if between is None:
            return None
        if between.group(1) == b"]":
            return _List(raw, ends, pieces) if between.end() == len(raw) else None
        position = between.end()
    else:
        before = _BEFORE.match(raw)
        if before is None:
            return None
        position = before.end()
    for item in bounded(msgspec.json.decode(b"[" + raw[position:], type=list[msgspec.Raw])):
        piece = bytes(item)
        if not raw.startswith(piece, position):
            return None
        position += len(piece)
        ends.append(position)
        pieces.append(Piece("message", piece))
        between = _BETWEEN.match(raw, position)
        if between is None:
            return None
        position = between.end()
    return _List(raw, ends, pieces) if position == len(raw) else None


def _common(known: _List, raw: bytes) -> int:
    """How many items of ``known`` stand at the beginning of ``raw``. Mostly all of them, or all but the last few."""
    ends = known.ends

    def begins_with(count: int) -> bool:
        return count == 0 or (ends[count - 1] < len(raw) and raw.startswith(known.raw[: ends[count - 1]]))

    total = len(ends)
    for count in range(total, max(total - 4, -1), -1):
        if begins_with(count):
            return count
    low, high = 0, max(0, total - 4)  # begins_with(low) holds; not known for high
    while low < high:
        middle = (low + high + 1) // 2
        if begins_with(middle):
            low = middle
        else:
            high = middle - 1
    return low
