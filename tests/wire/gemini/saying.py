"""Short ways for these tests to ask, to render, and to read and write replies in Gemini's format."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec

from router.wire.body import Body
from router.wire.conversation import Conversation, OpaqueState, Part, Settings, Text, Tool, Turn
from router.wire.encoding import Asked
from router.wire.events import StreamEvent
from router.wire.formats import CODECS
from router.wire.loss import Losses
from router.wire.sse import SseDecoder
from router.wire.tool_table import ToolTable
from router.wire.traits import Traits

GEMINI = CODECS["gemini"]
OWN = Traits(provider="google", model="gemini-3")

TOOL = Tool("get_weather", "Tells the weather.", {"type": "object", "properties": {"city": {"type": "string"}}})


def native(value: str) -> OpaqueState:
    """A signature of Google's as a client of its own sends it."""
    return OpaqueState("google-thought", value)


def owned(value: str, owner: str = OWN.owner) -> OpaqueState:
    """A signature of a Gemini model that reached the client in another format."""
    return OpaqueState("google-thought", value, owner)


def claude(value: str) -> OpaqueState:
    """A signature of another maker's model."""
    return OpaqueState("anthropic-signature", value, "anthropic/claude")


def parsed(body: dict[str, Any]) -> tuple[Conversation, Losses]:
    """A client's body as a conversation, and what is lost of it. A turn is added where none is."""
    return parsed_bytes(json.dumps({"contents": [{"parts": [{"text": "Hi"}]}], **body}).encode())


def parsed_bytes(body: bytes) -> tuple[Conversation, Losses]:
    """The same of bytes, nothing added."""
    losses = Losses()
    return GEMINI.parse(GEMINI.view(Body.parse(body), url_model="gemini-3", url_stream=True), losses), losses


def parts(*said: dict[str, Any], role: str = "user", losses: Losses | None = None) -> tuple[Part, ...]:
    """What the parts of one turn become; nothing may be lost, unless the losses are asked for."""
    conversation, found = parsed({"contents": [{"role": role, "parts": list(said)}]})
    if losses is None:
        assert found.found == []
    else:
        losses.found.extend(found.found)
    (turn,) = conversation.turns
    return turn.parts


def conversation(*turns: tuple[Part, ...], settings: Settings | None = None, **fields: Any) -> Conversation:
    """Turns of the user and the assistant, one after the other."""
    spoken = tuple(Turn("assistant" if at % 2 else "user", said, f"messages[{at}]") for at, said in enumerate(turns))
    return Conversation(
        "m", spoken or (Turn("user", (Text("Hi"),), "m[0]"),), settings=settings or Settings(), **fields
    )


def rendered(asked: Conversation, losses: Losses | None = None, **traits: Any) -> dict[str, Any]:
    """The body for a Gemini target; nothing may be lost, unless the losses are asked for."""
    found = Losses()
    target = msgspec.structs.replace(OWN, **traits)
    body: dict[str, Any] = json.loads(GEMINI.render(asked, target, found).body)
    if losses is None:
        assert found.found == []
    else:
        losses.found.extend(found.found)
    return body


def candidate(*said: dict[str, Any], finish: str | None = None, **fields: Any) -> dict[str, Any]:
    """A response with these parts."""
    ending = {"finishReason": finish} if finish is not None else {}
    return {
        "candidates": [{"content": {"role": "model", "parts": list(said)}, **ending, **fields}],
        "modelVersion": "gemini-3",
        "responseId": "r",
    }


def decoded(
    *responses: dict[str, Any], traits: Traits | None = None, tools: ToolTable | None = None
) -> list[StreamEvent]:
    """The events of a stream of these responses; whole, they must say the same."""
    decoder = GEMINI.decoder(traits, tools)
    stream = b"".join(b"data: %b\r\n\r\n" % json.dumps(response).encode() for response in responses)
    streamed = decoder.feed(stream) + decoder.finish()
    assert GEMINI.decoder(traits, tools).whole(json.dumps(list(responses)).encode()) == streamed
    return streamed


def asked(*, array: bool = False, model: str = "") -> Asked:
    """What an encoder has to know."""
    return Asked("abc", 1, model, array=array)


def written(events: Iterable[StreamEvent], **options: Any) -> bytes:
    """The bytes of a stream."""
    encoder = GEMINI.encoder(asked(**options))
    return b"".join(map(encoder.encode, events))


def responses(stream: bytes) -> list[dict[str, Any]]:
    """The responses in a stream of events."""
    reader = SseDecoder()
    return [json.loads(event.data) for event in (*reader.feed(stream), *reader.finish())]


def said(stream: bytes) -> list[dict[str, Any]]:
    """The parts in a stream of events but the empty one that its end stands on where nothing else does."""
    return [
        part
        for response in responses(stream)
        for each in response["candidates"]
        for part in each["content"]["parts"]
        if part != {"text": ""}
    ]
