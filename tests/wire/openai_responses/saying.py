"""Responses as tests of its codec speak it: bodies, streams and replies as plain Python values."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from router.wire.body import Body
from router.wire.conversation import Conversation, Part, Settings, Text, Tool, Turn
from router.wire.encoding import Asked
from router.wire.events import StreamEvent
from router.wire.formats import CODECS
from router.wire.loss import Losses
from router.wire.sse import SseDecoder, encode_event
from router.wire.tool_table import ToolTable
from router.wire.traits import Traits

RESPONSES = CODECS["openai-responses"]

NEW = Traits(
    provider="openai",
    model="gpt-new",
    official=True,
    max_output=128_000,
    sampling="refused",
    system_role="developer",
    custom_tools=True,
    efforts=("none", "low", "medium", "high", "xhigh"),
    cache_hints="openai",
)
"""A reasoning model of OpenAI's."""

OTHER = Traits(provider="other", model="some-model")
"""A model behind a compatible server."""

ASKED = Asked("abc123", 1_763_000_000, model="route")


def parse(body: dict[str, Any]) -> tuple[Conversation, Losses]:
    """A request as a conversation, and what was lost of it."""
    losses = Losses()
    raw = json.dumps({"model": "m", **body}, ensure_ascii=False).encode()
    return RESPONSES.parse(RESPONSES.view(Body.parse(raw)), losses), losses


def parsed(*items: Any, **fields: Any) -> Conversation:
    """A request of these items, of which nothing is lost."""
    conversation, losses = parse({"input": list(items), **fields})
    assert losses.found == []
    return conversation


def parts_of(*items: Any) -> list[tuple[str, list[Part]]]:
    """The turns of a request: who, and what."""
    return [(turn.role, list(turn.parts)) for turn in parsed(*items).turns]


def talk(*turns: tuple[Any, Sequence[Part]], **fields: Any) -> Conversation:
    """A conversation of these turns."""
    made = tuple(Turn(role, tuple(parts), f"turns[{index}]") for index, (role, parts) in enumerate(turns))
    return Conversation("m", made, **fields)


HELLO = ("user", [Text("hello")])


def render(conversation: Conversation, traits: Traits = NEW) -> tuple[dict[str, Any], Losses]:
    """The body for a target, and what was lost."""
    losses = Losses()
    return json.loads(RESPONSES.render(conversation, traits, losses).body), losses


def rendered(conversation: Conversation, traits: Traits = NEW) -> dict[str, Any]:
    """The body for a target, of which nothing is lost."""
    body, losses = render(conversation, traits)
    assert losses.found == []
    return body


def items_of(*turns: tuple[Any, Sequence[Part]], traits: Traits = NEW, **fields: Any) -> list[dict[str, Any]]:
    """The input items that these turns become; nothing is lost."""
    items: list[dict[str, Any]] = rendered(talk(*turns, **fields), traits)["input"]
    return items


def with_settings(**settings: Any) -> Conversation:
    """A short conversation with these settings."""
    return talk(HELLO, settings=Settings(**settings))


def offering(*tools: Tool, **fields: Any) -> Conversation:
    """A short conversation with these tools."""
    return talk(HELLO, tools=tools, **fields)


def stream(*events: dict[str, Any], named: bool = True) -> bytes:
    """A stream of events."""
    return b"".join(encode_event(json.dumps(event).encode(), event["type"] if named else None) for event in events)


def decode(stream: bytes, traits: Traits | None = None, tools: ToolTable | None = None) -> list[StreamEvent]:
    """The events of a whole stream, fed at once."""
    decoder = RESPONSES.decoder(traits, tools)
    return decoder.feed(stream) + decoder.finish()


def decode_whole(reply: Any, traits: Traits | None = None, tools: ToolTable | None = None) -> list[StreamEvent]:
    """The events of a reply that isn't streamed."""
    return RESPONSES.decoder(traits, tools).whole(json.dumps(reply).encode())


def decode_cut(stream: bytes, cuts: Iterable[int], traits: Traits | None = None) -> list[StreamEvent]:
    """The events of a stream that comes in pieces."""
    decoder = RESPONSES.decoder(traits)
    events: list[StreamEvent] = []
    start = 0
    for cut in [*sorted(cuts), len(stream)]:
        events += decoder.feed(stream[start:cut])
        start = cut
    return events + decoder.finish()


def some_cuts(stream: bytes, seed: int) -> list[int]:
    """Places to cut a stream at."""
    generator = random.Random(seed)
    return sorted(generator.randrange(len(stream) + 1) for _ in range(generator.randrange(1, 40)))


def encode(events: Iterable[StreamEvent], asked: Asked = ASKED) -> list[dict[str, Any]]:
    """The events of the stream that a client gets; comments are left out."""
    encoder = RESPONSES.encoder(asked)
    sent = SseDecoder().feed(b"".join(encoder.encode(event) for event in events))
    for event in sent:
        assert json.loads(event.data)["type"] == event.event
    return [json.loads(event.data) for event in sent]


def encode_whole(events: Iterable[StreamEvent], asked: Asked = ASKED) -> dict[str, Any]:
    """The reply that a client gets which doesn't stream."""
    reply: dict[str, Any] = json.loads(RESPONSES.encoder(asked).whole(events))
    return reply


def changed(value: Any, **changes: Any) -> Any:
    """A frozen struct with other fields."""
    return msgspec.structs.replace(value, **changes)
