"""Neutral events as a Responses reply, streamed or whole.

Each part becomes one output item. An item is written by a small class of its own, which says how it begins, goes on and
ends; the encoder keeps the finished items, since the last event repeats all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from router.wire.conversation import OpaqueState
from router.wire.encoding import Asked, ReplyEncoder
from router.wire.events import (
    Citation,
    KeepAlive,
    MessageEnd,
    MessageStart,
    PartEnd,
    RefusalDelta,
    SignatureDelta,
    StreamEvent,
    StreamFailed,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)
from router.wire.openai_responses.client_tools import offered_in
from router.wire.openai_responses.faults import error_fields
from router.wire.openai_responses.items import (
    ClientCallItem,
    CustomCallItem,
    FunctionCallItem,
    OutputItem,
    ReasoningItem,
    RefusalItem,
    TextItem,
    Writer,
)
from router.wire.openai_responses.response import ResponseObject
from router.wire.usage import Usage

KEEP_ALIVE: Final = b": keep-alive\n\n"

_INCOMPLETE: Final[Mapping[str, str]] = {
    "max-tokens": "max_output_tokens",
    "context-window": "max_output_tokens",
    "refusal": "content_filter",
}


class ResponsesEncoder(ReplyEncoder):
    """Writes one reply."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self._response = ResponseObject(asked)
        self._writer = Writer(asked.reply_id)
        self._client_tools = offered_in(asked.echo.get("tools"))
        self._open: OutputItem | None = None
        self._call: ToolCallStart | None = None
        self._call_state: OpaqueState | None = None
        self._usage: Usage | None = None
        self._started = False
        self._refused = False
        self._called = False

    def encode(self, event: StreamEvent) -> bytes:
        write = _WRITERS.get(type(event))
        return b"" if write is None else write(self, event)

    def whole(self, events: Iterable[StreamEvent]) -> bytes:
        end = MessageEnd("end")
        for event in events:
            if isinstance(event, MessageEnd):
                end = event
            else:
                self.encode(event)
        self._tell_refusal(end)
        return self._ended(end)[1]

    # --- the response -----------------------------------------------------------------------------------------------

    def _start(self, event: MessageStart) -> bytes:
        if self._started:
            return b""
        self._started = True
        self._response.model = self._response.model or event.model
        response = b'"response":%b' % self._response.written("in_progress")
        begun = self._writer.event(b"response.created", response)
        return begun + self._writer.event(b"response.in_progress", response)

    def _end(self, event: MessageEnd) -> bytes:
        told = self._tell_refusal(event)
        status, response = self._ended(event)
        return told + self._writer.event(b"response." + status.encode(), b'"response":%b' % response)

    def _ended(self, event: MessageEnd) -> tuple[str, bytes]:
        """The final status, and the response as it is then. Words of refusal say themselves why it ended, but not
        beside calls: whoever finds calls in a complete answer carries them out."""
        said = event.stop == "refusal" and self._refused and not self._called
        reason = None if said else _INCOMPLETE.get(event.stop)
        status = "completed" if reason is None else "incomplete"
        written = self._response.written(status, self._writer.finished, usage=self._usage, incomplete=reason)
        return status, written

    def _tell_refusal(self, event: MessageEnd) -> bytes:
        """A refusal's reason is its words, where it has no others."""
        if event.stop != "refusal" or self._refused or not event.explanation:
            return b""
        return self._refusal(RefusalDelta(event.explanation)) + self._part_end(PartEnd())

    def _failed(self, event: StreamFailed) -> bytes:
        """Both events that OpenAI sends: some clients look for the one, some for the other."""
        told = self._start(MessageStart())
        fields = error_fields(event.code, event.message)
        told += self._writer.event(b"error", msgspec.json.encode(fields)[1:-1])
        error = {"code": fields["code"], "message": event.message}
        response = self._response.written("failed", self._writer.finished, usage=self._usage, error=error)
        return told + self._writer.event(b"response.failed", b'"response":%b' % response)

    def _report(self, event: UsageReport) -> bytes:
        self._usage = event.usage
        return b""

    def _alive(self, event: KeepAlive) -> bytes:
        return KEEP_ALIVE

    # --- parts ------------------------------------------------------------------------------------------------------

    def _begin(self, item: OutputItem) -> bytes:
        self._open = item
        return item.begin()

    def _text(self, event: TextDelta) -> bytes:
        item = self._open
        if item is not None:
            return item.more(event.text)
        begun = self._begin(item := TextItem(self._writer, event.phase))
        return begun + item.more(event.text)

    def _refusal(self, event: RefusalDelta) -> bytes:
        item = self._open
        if item is not None:
            return item.more(event.text)
        self._refused = True
        begun = self._begin(item := RefusalItem(self._writer))
        return begun + item.more(event.text)

    def _citation(self, event: Citation) -> bytes:
        return self._open.cite(event) if isinstance(self._open, TextItem) else b""

    def _thinking(self, event: ThinkingDelta) -> bytes:
        item = self._open
        if item is not None:
            return item.more(event.text)
        begun = self._begin(item := ReasoningItem(self._writer))
        return begun + item.more(event.text)

    def _signature(self, event: SignatureDelta) -> bytes:
        if not self.asked.include_state:
            return b""
        if self._call is not None:
            self._call_state = replace(event.state, id=self._call.id)
            return b""
        item, begun = self._open, b""
        if not isinstance(item, ReasoningItem):
            begun = self._begin(item := ReasoningItem(self._writer))
        item.state = event.state
        return begun

    def _call_start(self, event: ToolCallStart) -> bytes:
        self._call = event
        self._called = True
        if event.custom:
            return self._begin(CustomCallItem(self._writer, event))
        if event.namespace is None and event.name in self._client_tools:
            return self._begin(ClientCallItem(self._writer, event))
        return self._begin(FunctionCallItem(self._writer, event))

    def _call_delta(self, event: ToolCallDelta) -> bytes:
        return b"" if self._open is None else self._open.more(event.text)

    def _part_end(self, event: PartEnd) -> bytes:
        """The item's end. The sealed form of a call has no place in it, so it follows in a reasoning item of its own,
        bound to the call by its id."""
        item, self._open, self._call = self._open, None, None
        told = b"" if item is None else item.end()
        state, self._call_state = self._call_state, None
        if state is not None:
            sealed = ReasoningItem(self._writer, state)
            told += sealed.begin() + sealed.end()
        return told


_WRITERS: Final[Mapping[type[Any], Callable[[ResponsesEncoder, Any], bytes]]] = {
    MessageStart: ResponsesEncoder._start,
    TextDelta: ResponsesEncoder._text,
    RefusalDelta: ResponsesEncoder._refusal,
    Citation: ResponsesEncoder._citation,
    ThinkingDelta: ResponsesEncoder._thinking,
    SignatureDelta: ResponsesEncoder._signature,
    ToolCallStart: ResponsesEncoder._call_start,
    ToolCallDelta: ResponsesEncoder._call_delta,
    PartEnd: ResponsesEncoder._part_end,
    UsageReport: ResponsesEncoder._report,
    MessageEnd: ResponsesEncoder._end,
    StreamFailed: ResponsesEncoder._failed,
    KeepAlive: ResponsesEncoder._alive,
}
