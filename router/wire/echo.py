"""Replies that name the model the client asked for, where another one answered.

Only the name's own bytes change: in a whole reply, or in each event of a stream that carries the name. Whatever isn't
the JSON that the format promises passes as it is; so does an event of more than 1 MiB. ``Codec.model_paths`` says where
a format has the name. A stream is renamed behind its tap, which so sees the name that was served.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from router.errors import BadRequest
from router.wire.body import Body
from router.wire.codec import ReplyFacts, StreamTap
from router.wire.sse import SseDecoder

ModelPath = tuple[str, ...]

_DATA_LINE: Final = re.compile(rb"^data:[ ]?(\{[^\r\n]*)", re.MULTILINE)


def renamed(payload: bytes, name: str, paths: Sequence[ModelPath]) -> bytes:
    """A JSON object with ``name`` in place of the text at each of ``paths``; a path that isn't there stays so."""
    try:
        body = Body.parse(payload)
    except BadRequest:
        return payload
    fields: dict[str, bytes] = {}
    for first, *rest in paths:
        raw = body.raw_field(first)
        if raw is None:
            continue
        if rest:
            inner = renamed(raw, name, [tuple(rest)]) if raw.startswith(b"{") else raw
            if inner is not raw:
                fields[first] = inner
        elif raw.startswith(b'"'):
            fields[first] = msgspec.json.encode(name)
    return body.with_fields(fields) if fields else payload


class EchoTap:
    """A ``StreamTap`` around another one, for event streams: the same facts, the same order, another name."""

    def __init__(self, tap: StreamTap, name: str, paths: Sequence[ModelPath]) -> None:
        self.committed = tap.committed
        self.ended = tap.ended
        self.failed = tap.failed
        self._tap = tap
        self._name = name
        self._paths = paths
        self._keys = tuple(b'"%b"' % path[-1].encode() for path in paths)
        self._decoder = SseDecoder()
        self._unsent = bytearray()
        self._sent = 0  # bytes of the stream already given out

    @property
    def facts(self) -> ReplyFacts:
        """See ``StreamTap.facts``; the model is the one that was served."""
        return self._tap.facts

    def feed(self, chunk: bytes) -> tuple[bytes, bytes]:
        """See ``StreamTap.feed``."""
        now, final = self._tap.feed(chunk)
        self._look()
        return self._rename(now), self._rename(final)

    def finish(self) -> bytes:
        """See ``StreamTap.finish``."""
        now = self._rename(self._tap.finish())
        self._look()
        rest = bytes(self._unsent)
        self._unsent.clear()
        return now + self._event(rest)

    def _look(self) -> None:
        tap = self._tap
        self.committed, self.ended, self.failed = tap.committed, tap.ended, tap.failed

    def _rename(self, chunk: bytes) -> bytes:
        """Whole events of what came so far; the rest waits."""
        if not chunk:
            return b""
        self._unsent += chunk
        now = bytearray()
        for event in self._decoder.feed(chunk):
            now += self._take(event.start)
            now += self._take(event.end) if event.oversized else self._event(self._take(event.end))
        waiting = 0 if self._decoder.oversized else len(self._decoder.pending)
        now += self._take(self._sent + len(self._unsent) - waiting)
        return bytes(now)

    def _take(self, position: int) -> bytes:
        count = max(0, position - self._sent)
        taken = bytes(self._unsent[:count])
        del self._unsent[:count]
        self._sent += len(taken)
        return taken

    def _event(self, event: bytes) -> bytes:
        if not any(key in event for key in self._keys):
            return event
        return _DATA_LINE.sub(self._data_line, event)

    def _data_line(self, line: re.Match[bytes]) -> bytes:
        start = line.start(1) - line.start()
        return line[0][:start] + renamed(line[1], self._name, self._paths)
