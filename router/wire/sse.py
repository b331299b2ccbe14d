"""Server-sent events: bytes in, events out, with the place where each event stands.

Written to the event-stream grammar of the WHATWG HTML standard: lines end in CR, LF or CRLF, a blank line ends an
event, several ``data`` lines join with a newline, comments and a leading byte order mark are skipped. Bytes may be cut
anywhere, also inside a UTF-8 character, since lines are only ever split at CR and LF. ``id`` and ``retry`` mean nothing
to the formats spoken here and are skipped. The taps (``taps.py``) read passing streams with it.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

MAX_EVENT: Final = 1 << 20
"""Bytes of one event that are kept for reading."""
KEPT_TAIL: Final = 1 << 14
"""Bytes kept from the end of a larger event: what closes a reply (usage, finish reason) stands there."""

_BLANK_LINE: Final = re.compile(rb"(?:\r\n?+|\n)(?:\r\n?+|\n)")
_OTHER_BLANK_LINES: Final = (b"\n\n", b"\n\r", b"\r\r")  # what all but CRLF CRLF hold
_BOM: Final = b"\xef\xbb\xbf"


class SseEvent(NamedTuple):
    """One event. ``start`` and ``end`` count the bytes of the stream before it and up to its blank line's end.

    ``event`` is the name, ``None`` where none was given. Of an ``oversized`` event the name is unknown and ``data``
    holds its last bytes as they came, whatever line they stood in.
    """

    event: str | None
    data: bytes
    start: int
    end: int
    oversized: bool = False


class SseDecoder:
    """Decodes one stream. Keeps at most ``max_event`` bytes of an unfinished event."""

    __slots__ = ("_buffer", "_max_event", "_oversized", "_position", "_start")

    def __init__(self, max_event: int = MAX_EVENT) -> None:
        self._max_event = max_event
        self._buffer = bytearray()  # the unfinished event, or the tail of an oversized one
        self._position = 0  # bytes of the stream before the buffer
        self._start = 0  # bytes of the stream before the unfinished event
        self._oversized = False

    @property
    def pending(self) -> bytearray:
        """The unfinished event so far (of an oversized one the tail); not to be changed by the caller."""
        return self._buffer

    @property
    def oversized(self) -> bool:
        """Whether the unfinished event is too large to be kept."""
        return self._oversized

    def skip(self, count: int) -> None:
        """Count whole events that the caller doesn't need decoded. Only while nothing is pending."""
        self._position += count
        self._start = self._position

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """The events that these bytes complete, in order."""
        buffer = self._buffer
        search_from = max(0, len(buffer) - 3)  # the blank line may have begun in the bytes already here
        buffer += chunk
        events: list[SseEvent] = []
        begin = 0
        undecided = False
        returns = buffer.find(b"\r", search_from) >= 0
        while (end := _blank_line_end(buffer, search_from, returns)) > 0:
            if end == len(buffer) and buffer[-1] == 0x0D:  # a line feed may follow and belongs to this line's end
                undecided = True
                break
            self._complete(bytes(buffer[begin:end]), self._position + end, events)
            begin = search_from = end
        if begin:
            del buffer[:begin]
            self._position += begin
        if len(buffer) >= self._max_event + undecided:
            self._oversized = True
            excess = len(buffer) - KEPT_TAIL
            if excess > 0:
                del buffer[:excess]
                self._position += excess
        return events

    def finish(self) -> list[SseEvent]:
        """The stream ended: the last event, if its blank line is missing. It may be cut short, so check its data."""
        events: list[SseEvent] = []
        if self._buffer:
            block, end = bytes(self._buffer), self._position + len(self._buffer)
            self._buffer.clear()
            self._complete(block, end, events)
            self._position = end
        return events

    def _complete(self, block: bytes, end: int, events: list[SseEvent]) -> None:
        start, self._start = self._start, end
        if self._oversized or len(block) > self._max_event:
            self._oversized = False
            events.append(SseEvent(None, block[-KEPT_TAIL:], start, end, True))
            return
        if start == 0 and block.startswith(_BOM):
            block = block[3:]
        name: str | None = None
        data: list[bytes] = []
        for line in block.splitlines():
            if line.startswith(b"data:"):
                data.append(line[6:] if line[5:6] == b" " else line[5:])
            elif line.startswith(b"event:"):
                name = line[6:].decode(errors="replace").removeprefix(" ")
            elif line == b"data":
                data.append(b"")
        if data:
            events.append(SseEvent(name, data[0] if len(data) == 1 else b"\n".join(data), start, end))


def _blank_line_end(buffer: bytearray, start: int, returns: bool) -> int:
    """Just behind the first blank line, 0 if there is none. No pattern is needed for streams without carriage
    ``returns``, nor for those (Google's) in which every line ends in CRLF."""
    if not returns:
        found = buffer.find(b"\n\n", start)
        return found + 2 if found >= 0 else 0
    found = buffer.find(b"\r\n\r\n", start)
    if found >= 0 and all(buffer.find(other, start, found + 1) < 0 for other in _OTHER_BLANK_LINES):
        return found + 4
    blank = _BLANK_LINE.search(buffer, start)
    return 0 if blank is None else blank.end()


def encode_event(data: bytes, event: str | None = None) -> bytes:
    """One event as bytes. Line ends in ``data`` become several ``data`` lines."""
    head = b"" if event is None else b"event: %b\n" % event.encode()
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(data.splitlines() or [b""])
    return b"%bdata: %b\n\n" % (head, data)
