"""A provider's Chat reply, whole or streamed, as neutral events, in all the dialects of compatible servers.

A whole message and a stream's deltas have the same fields, so one reader takes both. A chunk's parts are told in the
order in which models make them: reasoning, text, calls. The answer is over with ``[DONE]``, or where the stream closes
behind a finish reason; usage and errors may come between the two.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from router.wire.decoding import ReplyDecoder
from router.wire.events import Citation, Stop
from router.wire.openai_chat.calls import Call, CallSlots, FunctionCall
from router.wire.openai_chat.faults import fault_in, fault_of
from router.wire.openai_chat.reasoning import Details, details_text, google_signature
from router.wire.openai_chat.think_tags import ThinkTags
from router.wire.pieces import blocks_of, fields_of
from router.wire.sse import SseEvent
from router.wire.taps import decoded, text_or_none, usage_report
from router.wire.tool_table import ToolTable
from router.wire.traits import Traits
from router.wire.usage import from_openai

_NULL: Final = msgspec.Raw(b"null")

STOPS: Final[dict[str, Stop]] = {
    "stop": "end",
    "end_turn": "end",
    "eos": "end",
    "eos_token": "end",
    "stop_sequence": "stop-sequence",
    "tool_calls": "tool-use",
    "tool_use": "tool-use",
    "function_call": "tool-use",
    "length": "max-tokens",
    "max_tokens": "max-tokens",
    "model_length": "context-window",
    "model_context_window_exceeded": "context-window",
    "content_filter": "refusal",
    "refusal": "refusal",
    "safety": "refusal",
    "sensitive": "refusal",
    "pause_turn": "pause",
}
"""What providers say at the end. Anything else that isn't a failure is an end like any other."""

_FAILURES: Final = {
    "abort": "server",
    "error": "server",
    "insufficient_system_resource": "overloaded",
    "network_error": "server",
}
"""Finish reasons of answers that aren't whole."""


class _Message(msgspec.Struct):
    """A delta, or a whole message."""

    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    refusal: Any = None
    tool_calls: list[Call] | None = None
    function_call: FunctionCall | None = None
    annotations: Any = None
    extra_content: Any = None
    audio: Any = None
    images: Any = None


class _Choice(msgspec.Struct):
    index: Any = None
    delta: _Message | None = None
    message: _Message | None = None
    finish_reason: Any = None
    stop_reason: Any = None
    error: Any = None
    usage: msgspec.Raw = _NULL


class _Groq(msgspec.Struct):
    usage: msgspec.Raw = _NULL


class _Chunk(msgspec.Struct):
    """An event of a stream, or a whole reply."""

    id: Any = None
    model: Any = None
    service_tier: Any = None
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = _NULL
    x_groq: _Groq | None = None
    error: Any = None
    citations: Any = None
    search_results: Any = None


_chunks: Final = msgspec.json.Decoder(_Chunk)
_anything: Final = msgspec.json.Decoder()


class ChatDecoder(ReplyDecoder):
    """Decodes one reply."""

    def __init__(self, traits: Traits | None = None, tools: ToolTable | None = None) -> None:
        super().__init__(traits, tools)
        self._calls = CallSlots(self.parts)
        self._details = Details()
        self._tags = ThinkTags() if traits is not None and "think-tags" in traits.reasoning_out else None
        self._reasoning_field = False  # readable reasoning stands in a field of its own, so not in the details
        self._refused = False
        self._choice: object = None  # the number of the choice that is read
        self._finish: str | None = None
        self._sequence: str | None = None
        self._tier: object = None
        self._usage = b"null"
        self._sources: _Chunk | None = None

    # --- the reply --------------------------------------------------------------------------------------------------

    def _read(self, event: SseEvent) -> None:
        data = event.data
        if data.strip() == b"[DONE]":
            self._end()
            return
        chunk = decoded(data, _chunks)
        if chunk is None or event.event == "error" or chunk.error is not None or chunk.choices is None:
            fault = fault_in(decoded(data, _anything))
            if fault is None and event.event == "error":
                self.parts.fail("server", "the provider broke off with an error")
            if fault is not None:
                self.parts.fail(*fault)
                return
        if chunk is not None:
            self._take_chunk(chunk)

    def _read_whole(self, payload: bytes) -> None:
        reply = decoded(payload, _chunks)
        if reply is not None and reply.choices and reply.error is None:
            self._take_chunk(reply)
            self._end()
        elif (fault := fault_in(decoded(payload, _anything))) is not None:
            self.parts.fail(*fault)

    def _closed(self) -> None:
        if self._finish is not None:
            self._end()

    def _take_chunk(self, chunk: _Chunk) -> None:
        choices = chunk.choices or ()
        if not self.parts.started and (choices or chunk.usage != _NULL):
            self.parts.start(text_or_none(chunk.id) or "", text_or_none(chunk.model) or "")
        self._tier = chunk.service_tier or self._tier
        if chunk.citations or chunk.search_results:
            self._sources = chunk
        for choice in choices:
            if self._choice is None:
                self._choice = choice.index
            if choice.index == self._choice or choice.index is None:
                self._take_choice(choice)
        if chunk.usage != _NULL:
            self._take_usage(chunk.usage)
        elif chunk.x_groq is not None and chunk.x_groq.usage != _NULL:
            self._take_usage(chunk.x_groq.usage)

    def _take_choice(self, choice: _Choice) -> None:
        message = choice.delta or choice.message
        if message is not None:
            self._take_message(message, whole=message is choice.message)
        if choice.usage != _NULL:  # Moonshot
            self._take_usage(choice.usage)
        if choice.finish_reason is not None:
            self._finish = text_or_none(choice.finish_reason) or self._finish
        if choice.stop_reason is not None:  # vLLM: the sequence that was met, or a token's number
            self._sequence = text_or_none(choice.stop_reason)
        if (fault := fault_of(choice.error)) is not None:
            self.parts.fail(*fault)

    def _take_usage(self, raw: msgspec.Raw) -> None:
        text = bytes(raw)
        if text == self._usage:
            return
        self._usage = text
        if (report := usage_report(raw)) is not None:
            self.parts.usage(from_openai(report, service_tier=self._tier))

    def _end(self) -> None:
        if self._finish in _FAILURES:
            self.parts.fail(_FAILURES[self._finish], f"the provider broke off: {self._finish}")
            return
        if self._tags is not None:
            self._said(*self._tags.finish())
        self._cite_sources()
        self._seal()
        stop = STOPS.get(self._finish or "stop", "end")
        if self._sequence is not None and stop == "end":
            stop = "stop-sequence"
        if self._refused and stop == "end":
            stop = "refusal"
        self.parts.end(stop, self._sequence if stop == "stop-sequence" else None)

    # --- a message, or some more of it ------------------------------------------------------------------------------

    def _take_message(self, message: _Message, *, whole: bool) -> None:
        if message.reasoning_content or message.reasoning or message.reasoning_details:
            self._take_reasoning(message)
        if message.extra_content is not None and (signature := google_signature(message.extra_content)) is not None:
            self.parts.seal("thinking", "google-thought", signature)
        content = message.content
        if content:
            if not isinstance(content, str):
                self._take_parts(content)
            elif self._tags is None:
                self._said("", content)
            else:
                self._said(*self._tags.feed(content))
        if message.refusal and isinstance(message.refusal, str):
            self._seal()
            self._refused = True
            self.parts.refusal("refusal", message.refusal)
        if message.annotations:
            self._cite(message.annotations)
        if message.tool_calls:
            self._seal()
            self._calls.take_all(message.tool_calls, whole=whole)
        if message.function_call is not None:
            self._seal()
            self._calls.take_legacy(message.function_call)
        if message.audio is not None:
            self.parts.opaque("audio")
        if message.images:
            self.parts.opaque("images")

    def _take_reasoning(self, message: _Message) -> None:
        """The same reasoning may stand in several fields of one message; only one of them is told."""
        text = next((text for text in (message.reasoning_content, message.reasoning) if text), None)
        if isinstance(text, str):
            self._reasoning_field = True
            self.parts.thinking("thinking", text)
        if message.reasoning_details:
            if not self._reasoning_field:
                self.parts.thinking("thinking", details_text(message.reasoning_details))
            self._details.add(message.reasoning_details)

    def _seal(self) -> None:
        """The reasoning so far is whole: something else begins."""
        if (value := self._details.take()) is not None:
            self.parts.seal("thinking", "openrouter", value)

    def _said(self, thinking: str, text: str) -> None:
        self.parts.thinking("thinking", thinking)
        if text:
            self._seal()
            self.parts.text("text", text)

    def _take_parts(self, parts: object) -> None:
        """Content as a list (Mistral)."""
        for part in map(fields_of, blocks_of(parts)):
            match part.get("type"):
                case "text":
                    self._said("", text_or_none(part.get("text")) or "")
                case "thinking":
                    inner = part.get("thinking")
                    texts = [inner] if isinstance(inner, str) else [fields_of(i).get("text") for i in blocks_of(inner)]
                    self._said("".join(text for text in texts if isinstance(text, str)), "")
                case kind:
                    self.parts.opaque(text_or_none(kind) or "content")

    # --- sources ----------------------------------------------------------------------------------------------------

    def _cite(self, annotations: object) -> None:
        for annotation in map(fields_of, blocks_of(annotations)):
            kind = text_or_none(annotation.get("type")) or "annotation"
            if kind == "url_citation":
                self._sources = None
                self._cite_one(fields_of(annotation.get("url_citation")) or annotation)
            else:
                self.parts.opaque(kind)

    def _cite_one(self, source: dict[str, Any]) -> None:
        url, title = text_or_none(source.get("url")) or "", text_or_none(source.get("title")) or ""
        self.parts.cite("text", Citation("url_citation", url, title, {"type": "url_citation", **source}))

    def _cite_sources(self) -> None:
        """Perplexity lists its sources beside the choices, the same ones in every chunk."""
        if self._sources is None:
            return
        for source in map(fields_of, blocks_of(self._sources.search_results)):
            self._cite_one({"url": source.get("url"), "title": source.get("title")})
        if not self._sources.search_results:
            for url in blocks_of(self._sources.citations):
                self._cite_one({"url": url})
