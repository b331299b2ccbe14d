"""Anthropic Messages as tests of its codec speak it: bodies and replies as plain Python values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from router.wire.body import Body
from router.wire.codec import Rendered
from router.wire.conversation import Conversation, Part, Settings, Text, Turn
from router.wire.encoding import Asked
from router.wire.events import StreamEvent
from router.wire.formats import CODECS
from router.wire.loss import Losses
from router.wire.sse import SseDecoder
from router.wire.traits import Traits

MESSAGES = CODECS["anthropic-messages"]

NEW = Traits(
    provider="anthropic",
    model="claude-new",
    official=True,
    max_output=128_000,
    sampling="refused",
    prefill=False,
    tool_name_limit=128,
    tool_choices=frozenset({"auto", "none"}),
    reasoning_in=frozenset({"adaptive", "effort"}),
    efforts=("low", "medium", "high", "xhigh", "max"),
    thinking_off=False,
    cache_hints="anthropic",
)
"""A model of Anthropic's newest line."""

OLD = Traits(
    provider="anthropic",
    model="claude-old",
    official=True,
    max_output=64_000,
    sampling="one",
    mid_system=False,
    reasoning_in=frozenset({"budget"}),
    efforts=(),
    cache_hints="anthropic",
)
"""A model of Anthropic's that takes budgets, prefill and forced choices."""

OTHER = Traits(provider="other", model="some-model", reasoning_in=frozenset({"toggle"}))
"""A model of another maker behind a compatible server."""


def traits(of: Traits = NEW, **changes: Any) -> Traits:
    return msgspec.structs.replace(of, **changes)


def parse(body: dict[str, Any] | bytes) -> tuple[Conversation, Losses]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    losses = Losses()
    return MESSAGES.parse(MESSAGES.view(Body.parse(raw)), losses), losses


def request(*content: Any, **fields: Any) -> dict[str, Any]:
    """A request with these blocks as the user's one message."""
    return {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": list(content)}], **fields}


def conversation(*turns: Turn, **fields: Any) -> Conversation:
    return Conversation("m", turns or (user(Text("hello")),), **fields)


def settings(**values: Any) -> Conversation:
    return conversation(settings=Settings(**values))


def user(*parts: Part) -> Turn:
    return Turn("user", parts, "messages[0]")


def assistant(*parts: Part) -> Turn:
    return Turn("assistant", parts, "messages[1]")


def system(*parts: Part) -> Turn:
    return Turn("system", parts, "messages[2]")


def render(asked: Conversation, of: Traits = NEW) -> tuple[dict[str, Any], Losses]:
    rendered, losses = rendering(asked, of)
    return json.loads(rendered.body), losses


def rendering(asked: Conversation, of: Traits = NEW) -> tuple[Rendered, Losses]:
    losses = Losses()
    return MESSAGES.render(asked, of, losses), losses


def fields_of(losses: Losses, *, refused: bool | None = None) -> list[str]:
    return [loss.field for loss in losses.found if refused is None or loss.refused is refused]


def stream(events: Iterable[dict[str, Any]], *, named: bool = True) -> bytes:
    """Events as a provider streams them."""
    heads = (f"event: {event['type']}\n" if named else "" for event in events)
    return "".join(f"{head}data: {json.dumps(event)}\n\n" for head, event in zip(heads, events, strict=True)).encode()


def decode(payload: bytes, of: Traits | None = None) -> list[StreamEvent]:
    decoder = MESSAGES.decoder(of)
    return decoder.feed(payload) + decoder.finish()


def decode_whole(reply: Any, of: Traits | None = None) -> list[StreamEvent]:
    payload = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
    return MESSAGES.decoder(of).whole(payload)


def encode(events: Sequence[StreamEvent], **asked: Any) -> bytes:
    encoder = MESSAGES.encoder(Asked(**{"reply_id": "r1", "created": 0, **asked}))
    return b"".join(encoder.encode(event) for event in events)


def encode_whole(events: Sequence[StreamEvent], **asked: Any) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(
        MESSAGES.encoder(Asked(**{"reply_id": "r1", "created": 0, **asked})).whole(events)
    )
    return whole


def events_in(payload: bytes) -> list[dict[str, Any]]:
    """The events of a stream; each must bear its own name."""
    decoder = SseDecoder()
    found = []
    for event in [*decoder.feed(payload), *decoder.finish()]:
        data = json.loads(event.data)
        assert event.event == data["type"]
        found.append(data)
    return found
