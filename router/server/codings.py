"""Compressed request bodies: decoded piece by piece, since a few bytes can stand for gigabytes.

A body is one stream of one coding. It is bounded three ways: by the size that a plain body may have, by how far it may
swell, and by the memory that its decoder needs. Pieces are small enough that decoding one takes about a millisecond.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

from multidict import CIMultiDictProxy

from router.errors import BadRequest, PayloadTooLarge, UnsupportedMediaType

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SLICE: Final = 2**14  # encoded bytes at a time: nothing in them need become bytes, but it all takes time
PIECE: Final = 2**18  # decoded bytes at a time
MOST_SWELLING: Final = 100  # decoded bytes per encoded one; text of a conversation has 3 to 20
SWELLING_FREE: Final = 4 * 2**20  # decoded bytes below which swelling is not looked at
WINDOW_LOG: Final = 23  # 8 MiB is what RFC 9659 lets zstd ask of an HTTP receiver
TAKEN: Final = "zstd, gzip, deflate"  # for people; also x-gzip and identity


class _Stream(Protocol):
    """One compressed stream. Raises its library's error for bytes that aren't of its coding."""

    hungry: bool  # whether all that can be decoded of the bytes given so far was returned
    ended: bool
    rest: bytes  # what came after the end

    def decode(self, data: bytes) -> bytes:
        """At most ``PIECE`` bytes. Until it is hungry again it is to be called with nothing."""


class _Zlib:
    """gzip (its checksum included), or deflate: in zlib's wrapping, as the RFC has it, or bare, as it is often sent."""

    def __init__(self, wrapping: int | None) -> None:
        self._stream = zlib.decompressobj(wrapping) if wrapping is not None else None
        self._waiting = b""
        self.hungry = True
        self.ended = False
        self.rest = b""

    def decode(self, data: bytes) -> bytes:
        data = data or self._waiting  # nothing is given while something waits
        if self._stream is None:
            # A bare stream doesn't begin like zlib's header: its first block would be stored with set padding bits.
            self._stream = zlib.decompressobj(zlib.MAX_WBITS if data[0] & 0x0F == 8 else -zlib.MAX_WBITS)
        piece = self._stream.decompress(data, PIECE)
        self._waiting = self._stream.unconsumed_tail
        self.hungry = not self._waiting and len(piece) < PIECE
        self.ended, self.rest = self._stream.eof, self._stream.unused_data
        return piece


class _Zstd:
    """One frame, without a dictionary."""

    def __init__(self) -> None:
        self._stream = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: WINDOW_LOG})
        self.hungry = True
        self.ended = False
        self.rest = b""

    def decode(self, data: bytes) -> bytes:
        piece = self._stream.decompress(data, PIECE)
        self.hungry = self._stream.needs_input
        self.ended, self.rest = self._stream.eof, self._stream.unused_data
        return piece


_STREAMS: Final[Mapping[str, Callable[[], _Stream]]] = {
    "zstd": _Zstd,
    "gzip": lambda: _Zlib(zlib.MAX_WBITS + 16),
    "x-gzip": lambda: _Zlib(zlib.MAX_WBITS + 16),
    "deflate": lambda: _Zlib(None),
}


def coding_of(headers: CIMultiDictProxy[str]) -> str:
    """The coding a body comes in; "" for none. Raises UnsupportedMediaType for one that isn't known, and for several on
    top of each other."""
    coding = ",".join(headers.getall("Content-Encoding", ())).strip().lower()
    if coding in ("", "identity"):
        return ""
    if coding not in _STREAMS:
        raise UnsupportedMediaType(f"of a body's encodings only one of {TAKEN} is taken")
    return coding


_NO: Final[Mapping[str, str]] = {
    **{coding: f"not {coding}" for coding in _STREAMS},
    "zstd": f"not zstd, or wants a window of more than {2**WINDOW_LOG >> 20} MiB",
}


class Decoder:
    """The decoder of one body: ``decode`` for each part that arrives, ``finish`` after the last; ``size`` decoded bytes
    so far."""

    def __init__(self, coding: str, cap: int) -> None:
        """``coding`` as ``coding_of`` says; ``cap`` in decoded bytes."""
        self._coding = coding
        self._stream = _STREAMS[coding]()
        self._cap = cap
        self._taken = 0
        self.size = 0

    def decode(self, data: bytes) -> Iterator[bytes]:
        """The next decoded pieces, empty ones among them. Raises BadRequest for what isn't of the coding or goes on
        after its end, PayloadTooLarge at the first piece that is too much."""
        self._taken += len(data)
        for start in range(0, len(data), SLICE):
            yield from self._decode(data[start : start + SLICE])

    def _decode(self, data: bytes) -> Iterator[bytes]:
        stream = self._stream
        while not stream.ended and (data or not stream.hungry):
            try:
                piece = stream.decode(data)
            except (zlib.error, zstd.ZstdError) as error:
                raise BadRequest(f"the body can't be decoded: it is broken, or {_NO[self._coding]}") from error
            data = b""
            self.size += len(piece)
            self._check_size()
            yield piece
        if data or stream.rest:
            raise BadRequest(f"the body goes on after its {self._coding} stream has ended; only one is taken")

    def finish(self) -> None:
        """The body has come whole. Raises BadRequest if its compressed stream hasn't."""
        if not self._stream.ended:
            raise BadRequest(f"the body breaks off before its {self._coding} stream ends")

    def _check_size(self) -> None:
        if self.size > self._cap:
            raise PayloadTooLarge(f"the decoded body is larger than {self._cap} bytes ([server] max-body)")
        if self.size > max(SWELLING_FREE, MOST_SWELLING * self._taken):
            raise PayloadTooLarge(f"the body swells to more than {MOST_SWELLING} times its size; send it as it is")
