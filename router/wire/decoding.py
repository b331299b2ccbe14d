"""What all decoders of replies have in common: bytes in, neutral events out, whole or streamed by the same code.

A format's decoder reads single events (``_read``) and whole replies (``_read_whole``) and tells its ``Assembler`` what
it meets. Like a tap it never raises on what a provider sends: what isn't understood is left out, and a reply without
an end is reported by never ending.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

from router.wire.assembly import Assembler
from router.wire.events import StreamEvent
from router.wire.sse import SseDecoder, SseEvent
from router.wire.tool_table import ToolTable
from router.wire.traits import Traits

MAX_EVENT: Final = 32 << 20
"""Bytes of one event: an end event repeats the whole answer, pictures included."""


class ReplyDecoder(ABC):
    """Decodes one reply of a target. Without ``traits`` as its own format has it: nothing renamed, nothing tagged."""

    def __init__(self, traits: Traits | None = None, tools: ToolTable | None = None) -> None:
        self.traits = traits
        self.parts = Assembler(tools, owner=traits.owner if traits is not None else None)
        self._sse = SseDecoder(MAX_EVENT)

    def feed(self, chunk: bytes) -> list[StreamEvent]:
        """The events that these bytes of a stream complete."""
        for event in self._sse.feed(chunk):
            self._take(event)
        return self.parts.take()

    def finish(self) -> list[StreamEvent]:
        """The stream ended."""
        for event in self._sse.finish():
            self._take(event)
        if not (self.parts.ended or self.parts.failed):
            self._closed()
        return self.parts.take()

    def whole(self, payload: bytes) -> list[StreamEvent]:
        """The events of a reply that isn't streamed; without an end where the payload is no reply."""
        self._read_whole(payload)
        return self.parts.take()

    def _take(self, event: SseEvent) -> None:
        if self.parts.ended or self.parts.failed:
            return
        if event.oversized:
            self.parts.fail("server", "the provider sent an event that is too large")
            return
        self._read(event)

    @abstractmethod
    def _read(self, event: SseEvent) -> None:
        """Read one event of a stream."""

    @abstractmethod
    def _read_whole(self, payload: bytes) -> None:
        """Read a whole reply."""

    def _closed(self) -> None:  # noqa: B027 - most formats have nothing to do
        """The stream closed without an end marker; end it where the format allows that."""
