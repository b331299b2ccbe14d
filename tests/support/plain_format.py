"""A wire format that no provider has: what it takes to add one.

A request is ``{"model", "stream", "limit", "lines", "tools"}``; its lines are ``["user", text]``, ``["assistant",
text]``, ``["thought", text, sealed]``, ``["call", id, name, arguments]`` and ``["result", id, text]``. A reply is a
list of entries, streamed as one event each: ``["text", …]``, ``["thought", …]``, ``["sealed", …]``, ``["call", id,
name]``, ``["arguments", …]``, ``["usage", input, output]``, ``["error", …]``, ``["end", why]``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from types import MappingProxyType
from typing import Any

import msgspec

from router.wire.body import Body
from router.wire.codec import Codec, Rendered, ReplyFacts, StreamTap
from router.wire.conversation import (
    Conversation,
    OpaqueState,
    Part,
    Settings,
    Text,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)
from router.wire.decoding import ReplyDecoder
from router.wire.encoding import Asked, ReplyEncoder
from router.wire.events import (
    MessageEnd,
    SignatureDelta,
    StreamEvent,
    StreamFailed,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)
from router.wire.history import result_text, settled
from router.wire.loss import Losses
from router.wire.opaque import belongs, is_wrapped, unwrap, wrap
from router.wire.request import Api, Piece, PieceContent, RequestView, Thinking
from router.wire.request import Tool as SeenTool
from router.wire.sse import SseEvent, encode_event
from router.wire.taps import EventTap, Pass
from router.wire.tool_table import ToolTable
from router.wire.traits import Traits
from router.wire.usage import Usage

PLAIN: Api = "plain"  # type: ignore[assignment]  # the formats' names are the one thing that is listed elsewhere


class PlainFormat(Codec):
    """The whole codec."""

    api = PLAIN
    places = MappingProxyType({"max-tokens": ("limit",)})
    model_paths = ()
    field_names = MappingProxyType({"max_tokens": "limit"})
    keep_alive = b": alive\n\n"

    def view(self, body: Body, *, url_model: str | None = None, url_stream: bool = False) -> RequestView:
        return PlainView(body)

    def tap(self, *, hide_usage: bool = False, media_type: str = "text/event-stream") -> StreamTap:
        return PlainTap()

    def read_reply(self, payload: bytes) -> ReplyFacts:
        tap = PlainTap()
        for entry in _entries(payload):
            tap.note(entry)
        return tap.facts

    def count_reply(self, tokens: int) -> bytes:
        return b"%d" % tokens

    def error_body(self, status: int, code: str, message: str, request_id: str | None) -> bytes:
        return msgspec.json.encode([["error", message]])

    def error_event(self, code: str, message: str) -> bytes:
        return encode_event(msgspec.json.encode(["error", message]))

    def parse(self, view: RequestView, losses: Losses) -> Conversation:
        turns = []
        for place, line in enumerate(view.body.get("lines", [])):
            match line:
                case ["user" | "assistant" as role, str(text)]:
                    turns.append(Turn(role, (Text(text),), f"lines[{place}]"))
                case ["thought", str(text), sealed]:
                    state = unwrap(sealed) if is_wrapped(sealed) else None
                    turns.append(Turn("assistant", (Thought(text, state),), f"lines[{place}]"))
                case ["call", str(call_id), str(name), str(arguments)]:
                    turns.append(Turn("assistant", (ToolCall(call_id, name, arguments),), f"lines[{place}]"))
                case ["result", str(call_id), str(text)]:
                    turns.append(Turn("user", (ToolResult(call_id, (Text(text),)),), f"lines[{place}]"))
                case _:
                    losses.refuse(f"lines[{place}]", "a line of an unknown kind")
        tools = tuple(Tool(name, schema=schema) for name, schema in view.body.get("tools", {}).items())
        settings = Settings(max_tokens=view.max_tokens)
        return Conversation(view.model, tuple(turns), tools=tools, settings=settings, stream=view.stream)

    def render(self, conversation: Conversation, traits: Traits, losses: Losses) -> Rendered:
        tools = ToolTable(conversation)
        lines: list[list[str]] = [["user", text.text] for text in conversation.system]
        for turn in settled(conversation, traits, losses):
            for part in turn.parts:
                line = _line(turn, part, traits, tools)
                if line is None:
                    losses.refuse(turn.place, "there is no word for it")
                else:
                    lines.append(line)
        if conversation.settings.temperature is not None:
            losses.drop("temperature", "not known here")
        body = {
            "model": traits.model,
            "stream": conversation.stream,
            "limit": conversation.settings.max_tokens,
            "lines": lines,
            "tools": {tools.tool(tool).name: tools.tool(tool).schema for tool in conversation.tools},
        }
        return Rendered(msgspec.json.encode(body), tools)

    def decoder(self, traits: Traits | None = None, tools: ToolTable | None = None) -> ReplyDecoder:
        return PlainDecoder(traits, tools)

    def encoder(self, asked: Asked) -> ReplyEncoder:
        return PlainEncoder(asked)


def _line(turn: Turn, part: Part, traits: Traits, tools: ToolTable) -> list[str] | None:
    match part:
        case Text():
            return [turn.role, part.text]
        case Thought():
            own = part.state is not None and belongs(part.state, traits.owner)
            return ["thought", part.text, part.state.value if own and part.state is not None else ""]
        case ToolCall():
            return ["call", part.id, tools.name(part.name, part.namespace), part.arguments]
        case ToolResult():
            return ["result", part.id, result_text(part)]
        case _:
            return None


class PlainDecoder(ReplyDecoder):
    """Entries become events; every call has the number of those before it as its key."""

    calls = 0

    def _read(self, event: SseEvent) -> None:
        for entry in _entries(b"[%b]" % event.data):
            self._entry(entry)

    def _read_whole(self, payload: bytes) -> None:
        for entry in _entries(payload):
            self._entry(entry)

    def _entry(self, entry: list[Any]) -> None:
        parts = self.parts
        match entry:
            case ["text", text]:
                parts.text(0, text)
            case ["thought", text]:
                parts.thinking(0, text)
            case ["sealed", value]:
                parts.seal(0, "anthropic-signature", value)
            case ["call", call_id, name]:
                self.calls += 1
                parts.call(self.calls, call_id, name)
            case ["arguments", text]:
                parts.arguments(self.calls, text)
            case ["usage", asked, said]:
                parts.usage(Usage(input=asked, output=said))
            case ["alive"]:
                parts.alive()
            case ["error", message]:
                parts.fail("server", message)
            case ["end", why]:
                parts.end(why)


class PlainEncoder(ReplyEncoder):
    """Events become entries."""

    def encode(self, event: StreamEvent) -> bytes:
        return b"".join(encode_event(msgspec.json.encode(entry)) for entry in self._entries(event))

    def whole(self, events: Iterable[StreamEvent]) -> bytes:
        return msgspec.json.encode([entry for event in events for entry in self._entries(event)])

    def _entries(self, event: StreamEvent) -> list[list[Any]]:
        match event:
            case TextDelta():
                return [["text", event.text]]
            case ThinkingDelta():
                return [["thought", event.text]]
            case SignatureDelta(state=OpaqueState()):
                return [["sealed", wrap(event.state)]]
            case ToolCallStart():
                return [["call", event.id, event.name]]
            case ToolCallDelta():
                return [["arguments", event.text]]
            case UsageReport():
                return [["usage", event.usage.input, event.usage.output]]
            case MessageEnd():
                return [["end", event.stop]]
            case StreamFailed():
                return [["error", event.message]]
            case _:
                return []


class PlainTap(EventTap):
    """Facts for the ledger."""

    def note(self, entry: list[Any]) -> None:
        match entry:
            case ["usage", *_]:
                self._note(usage=Usage(input=entry[1], output=entry[2]), usage_raw=json.dumps(entry))
            case ["end", why]:
                self.ended = True
                self._note(stop_reason=why)
            case ["error", message]:
                self.failed = True
                self._note(error=message)
            case _:
                self.committed = True

    def _passes(self, chunk: bytes) -> bool:
        return False

    def _read(self, event: SseEvent) -> Pass:
        for entry in _entries(b"[%b]" % event.data):
            self.note(entry)
        return Pass.LAST if self.ended else Pass.ON


class PlainView(RequestView):
    """What rules ask of a request."""

    api = PLAIN

    @property
    def model(self) -> str:
        return self._text("model")

    @property
    def stream(self) -> bool:
        return self._flag("stream")

    @property
    def max_tokens(self) -> int | None:
        return self._whole("limit")

    @property
    def thinking(self) -> Thinking:
        return Thinking()

    @property
    def tool_count(self) -> int:
        return len(self.tools)

    @property
    def tools(self) -> tuple[SeenTool, ...]:
        return tuple(SeenTool(name) for name in self.body.get("tools", {}))

    @property
    def forced_tool(self) -> str | None:
        return None

    @property
    def has_system_prompt(self) -> bool:
        return False

    @property
    def system_text(self) -> str:
        return ""

    def _cut(self) -> list[Piece]:
        return self._messages("lines")

    def read(self, piece: Piece) -> PieceContent:
        return PieceContent("user", texts=(piece.raw.decode(),))


def _entries(payload: bytes) -> list[list[Any]]:
    try:
        entries = json.loads(payload)
    except ValueError:
        return []
    return [entry for entry in entries if isinstance(entry, list)] if isinstance(entries, list) else []


def plain_view(**fields: Any) -> RequestView:
    """A request in this format."""
    return PlainFormat().view(Body.parse(json.dumps({"model": "m", **fields}).encode()))
