"""Neutral events as a Chat reply, whole or as chunks.

Nearly every event becomes one chunk that differs from its neighbours in a ``delta`` alone, so the bytes around it are
made once. A whole reply is collected from the same deltas.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, assert_never

import msgspec

from router.wire.conversation import OpaqueState
from router.wire.encoding import Asked, ReplyEncoder
from router.wire.error_words import openai_error
from router.wire.events import (
    Citation,
    InnerEvent,
    KeepAlive,
    MessageEnd,
    MessageStart,
    Opaque,
    PartEnd,
    RefusalDelta,
    SignatureDelta,
    Stop,
    StreamEvent,
    StreamFailed,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)
from router.wire.opaque import wrap
from router.wire.openai_chat.reasoning import JOINT, Place, entries
from router.wire.openai_chat.usage import chat_tier, chat_usage
from router.wire.sse import encode_event
from router.wire.usage import Usage

LEGACY: Final = "functions"
"""A field of the request: who offers functions of the old kind reads calls of the old kind."""
OPENROUTER: Final = "reasoning"
"""A field of the request: who writes it reads ``reasoning``, too."""

KEEP_ALIVE: Final = b": keep-alive\n\n"
DONE: Final = b"data: [DONE]\n\n"

_FINISH: Final[dict[Stop, bytes]] = {
    "end": b"stop",
    "stop-sequence": b"stop",
    "tool-use": b"tool_calls",
    "max-tokens": b"length",
    "context-window": b"length",
    "refusal": b"content_filter",
    "pause": b"stop",
}

_json: Final = msgspec.json.Encoder().encode

Delta = dict[str, Any]


class ChatEncoder(ReplyEncoder):
    """Writes one reply."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self._id = f"chatcmpl-{asked.reply_id}"
        self._model = asked.model
        self._legacy = LEGACY in asked.echo
        self._both_names = OPENROUTER in asked.echo
        self._head = self._tail = self._close = b""
        self._usage: Usage | None = None
        self._annotations: list[Delta] = []
        # where we are: in the text, among the calls, in the open part
        self._characters = 0
        self._part_begin = 0
        self._calls = 0
        self._call: ToolCallStart | None = None
        self._given = False  # the open call has arguments
        self._thought = 0  # characters of the open thought
        self._thoughts = False  # some thought has text
        self._sealed = 0
        self._refused = False

    # --- streamed ---------------------------------------------------------------------------------------------------

    def encode(self, event: StreamEvent) -> bytes:
        if isinstance(event, MessageStart):
            self._begin(event)
            return self._chunk({"role": "assistant", "content": ""})
        if isinstance(event, KeepAlive):
            return KEEP_ALIVE
        if isinstance(event, StreamFailed):
            return encode_event(openai_error(None, event.code, event.message))
        if isinstance(event, MessageEnd):
            return self._end(event)
        delta = self._delta(event)
        return b"" if delta is None else self._chunk(delta)

    def _begin(self, start: MessageStart) -> None:
        self._model = self._model or start.model
        opening = {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self.asked.created,
            "model": self._model,
        }
        self._head = b"data: " + _json(opening)[:-1] + b',"choices":[{"index":0,"delta":'
        self._close = b',"usage":null}\n\n' if self.asked.include_usage else b"}\n\n"
        self._tail = b',"logprobs":null,"finish_reason":null}]' + self._close

    def _chunk(self, delta: Delta) -> bytes:
        return self._head + _json(delta) + self._tail

    def _end(self, end: MessageEnd) -> bytes:
        chunks = [self._chunk(delta) for delta in self._last_deltas(end)]
        chunks.append(b'%b{},"logprobs":null,"finish_reason":"%b"}]%b' % (self._head, self._finish(end), self._close))
        if self.asked.include_usage and self._usage is not None:
            opening = self._head[: self._head.index(b',"choices":')]
            tier = chat_tier(self._usage)
            service = b"" if tier is None else b',"service_tier":' + _json(tier)
            usage = _json(chat_usage(self._usage))
            chunks.append(opening + b',"choices":[]' + service + b',"usage":' + usage + b"}\n\n")
        return b"".join([*chunks, DONE])

    # --- whole ------------------------------------------------------------------------------------------------------

    def whole(self, events: Iterable[StreamEvent]) -> bytes:
        message: Delta = {"role": ["assistant"], "content": None, "refusal": None}
        finish = b"stop"
        for event in events:
            if isinstance(event, MessageStart):
                self._model = self._model or event.model
            elif isinstance(event, MessageEnd):
                for last in self._last_deltas(event):
                    _collect(message, last)
                finish = self._finish(event)
            elif not isinstance(event, KeepAlive | StreamFailed) and (delta := self._delta(event)) is not None:
                _collect(message, delta)
        reply: Delta = {
            "id": self._id,
            "object": "chat.completion",
            "created": self.asked.created,
            "model": self._model,
            "choices": [{"index": 0, "message": _joined(message), "logprobs": None, "finish_reason": finish.decode()}],
        }
        if self._usage is not None:
            reply["usage"] = chat_usage(self._usage)
        if (tier := chat_tier(self._usage)) is not None:
            reply["service_tier"] = tier
        return _json(reply)

    # --- deltas -----------------------------------------------------------------------------------------------------

    def _delta(self, event: InnerEvent) -> Delta | None:
        """What an event adds to the message; ``None`` where that is nothing by itself."""
        match event:
            case TextDelta(text=text):
                self._characters += len(text)
                return {"content": text}
            case ToolCallDelta(text=text):
                self._given = True
                return self._arguments(text)
            case ThinkingDelta(text=text):
                return self._thinking(text)
            case ToolCallStart():
                return self._call_start(event)
            case PartEnd():
                return self._part_end()
            case SignatureDelta(state=state):
                return self._signature(state)
            case RefusalDelta(text=text):
                self._refused = True
                return {"refusal": text}
            case Citation():
                self._cite(event)
            case UsageReport(usage=usage):
                self._usage = usage
            case Opaque():
                pass
            case _:
                assert_never(event)
        return None

    def _thinking(self, text: str) -> Delta:
        shown = JOINT + text if self._thoughts and not self._thought else text
        self._thoughts = True
        self._thought += len(text)
        return {"reasoning_content": shown, "reasoning": shown} if self._both_names else {"reasoning_content": shown}

    def _signature(self, state: OpaqueState) -> Delta | None:
        if not self.asked.include_state:
            return None
        if self._call is not None:
            return self._signed_call(wrap(state))
        if state.kind == "google-thought" and state.owner is None:
            return {"extra_content": {"google": {"thought_signature": state.value}}}
        place = Place(self._calls, self._characters, self._thought)
        shown = entries(state, place, self._sealed)
        self._sealed += len(shown)
        return {"reasoning_details": shown}

    def _signed_call(self, signature: str) -> Delta | None:
        """The signature beside empty arguments: clients look for some in every delta of a call."""
        delta = self._arguments("")
        if delta is None or self._legacy:
            return None
        delta["tool_calls"][0]["extra_content"] = {"google": {"thought_signature": signature}}
        return delta

    def _call_start(self, call: ToolCallStart) -> Delta | None:
        self._call = call
        self._given = False
        self._calls += 1
        if self._legacy:  # there is room for one call only
            return {"function_call": {"name": call.name, "arguments": ""}} if self._calls == 1 else None
        kind, field = ("custom", "input") if call.custom else ("function", "arguments")
        shown = {"index": self._calls - 1, "id": call.id, "type": kind, kind: {"name": call.name, field: ""}}
        return {"tool_calls": [shown]}

    def _arguments(self, text: str) -> Delta | None:
        if self._legacy:
            return {"function_call": {"arguments": text}} if self._calls == 1 else None
        custom = self._call is not None and self._call.custom
        inner = {"custom": {"input": text}} if custom else {"function": {"arguments": text}}
        return {"tool_calls": [{"index": self._calls - 1, **inner}]}

    def _part_end(self) -> Delta | None:
        """Arguments are JSON for every client, also those of a call without any."""
        call, self._call, self._thought, self._part_begin = self._call, None, 0, self._characters
        return self._arguments("{}") if call is not None and not call.custom and not self._given else None

    def _cite(self, source: Citation) -> None:
        """Web pages only. Where the source doesn't say which words it stands for, all of the part so far."""
        if not source.url:
            return
        start, end = source.raw.get("start_index"), source.raw.get("end_index")
        known = isinstance(start, int) and isinstance(end, int)
        cited = {
            "url": source.url,
            "title": source.title,
            "start_index": self._part_begin + start if known and start is not None else self._part_begin,
            "end_index": self._part_begin + end if known and end is not None else self._characters,
        }
        self._annotations.append({"type": "url_citation", "url_citation": cited})

    def _last_deltas(self, end: MessageEnd) -> Iterable[Delta]:
        if self._annotations:
            yield {"annotations": self._annotations}
        if end.explanation and not self._refused:
            yield {"refusal": end.explanation}

    def _finish(self, end: MessageEnd) -> bytes:
        if end.stop == "tool-use" and self._legacy:
            return b"function_call"
        # A model's own words of refusal end like any others; a filter's cut doesn't.
        return b"stop" if end.stop == "refusal" and self._refused else _FINISH[end.stop]


def _collect(message: Delta, delta: Delta) -> None:
    """Add a delta to a message as clients do. Texts are kept in their pieces (see ``_joined``)."""
    for name, value in delta.items():
        known = message.get(name)
        if isinstance(value, dict):
            known = message[name] = known or {}
            _collect(known, value)
        elif name == "tool_calls":
            known = message[name] = known or []
            for call in value:
                if call["index"] == len(known):
                    known.append({})
                _collect(known[call["index"]], {key: inner for key, inner in call.items() if key != "index"})
        else:
            known = message[name] = known or []
            known += value if isinstance(value, list) else [value]


def _joined(message: Delta) -> Delta:
    """A message whose texts are in one piece again."""
    whole: Delta = {}
    for name, value in message.items():
        if isinstance(value, dict):
            whole[name] = _joined(value)
        elif name == "tool_calls":
            whole[name] = [_joined(call) for call in value]
        elif isinstance(value, list) and all(isinstance(piece, str) for piece in value):
            whole[name] = "".join(value)
        else:
            whole[name] = value
    return whole
