"""Short ways for these tests to ask, to render, and to read and write replies in Chat's format."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec

from router.wire.body import Body
from router.wire.conversation import Conversation, Part, Settings, Text, Tool, Turn
from router.wire.decoding import ReplyDecoder
from router.wire.encoding import Asked
from router.wire.events import StreamEvent
from router.wire.formats import CODECS
from router.wire.loss import Losses
from router.wire.tool_table import ToolTable
from router.wire.traits import Traits

CHAT = CODECS["openai-chat"]

TOOL = Tool("get_weather", "Tells the weather.", {"type": "object", "properties": {"city": {"type": "string"}}})


def parsed(body: dict[str, Any]) -> tuple[Conversation, Losses]:
    """A client's body as a conversation, and what is lost of it. A model and a message are added where none is."""
    whole = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **body}
    losses = Losses()
    return CHAT.parse(CHAT.view(Body.parse(json.dumps(whole).encode())), losses), losses


def turns(*messages: dict[str, Any], losses: Losses | None = None) -> tuple[Turn, ...]:
    """The turns of these messages; nothing may be lost, unless the losses are asked for."""
    conversation, found = parsed({"messages": list(messages)})
    if losses is None:
        assert found.found == []
    else:
        losses.found.extend(found.found)
    return conversation.turns


def parts(*messages: dict[str, Any], losses: Losses | None = None) -> tuple[Part, ...]:
    """The parts of the only turn of these messages."""
    [turn] = turns(*messages, losses=losses)
    return turn.parts


def conversation(*said: Turn | Part, **fields: Any) -> Conversation:
    """A conversation; parts that stand alone are one turn of the user's."""
    loose = tuple(part for part in said if not isinstance(part, Turn))
    told = [turn for turn in said if isinstance(turn, Turn)]
    if loose or not told:
        told.append(Turn("user", loose or (Text("Hi"),), "messages[0]"))
    settings = {name: fields.pop(name) for name in Settings.__struct_fields__ if name in fields}
    return Conversation(model="asked", turns=tuple(told), settings=Settings(**settings), **fields)


def target(**flags: Any) -> Traits:
    """A target whose flags are these."""
    return Traits(**{"provider": "here", "model": "served", **flags})


def rendered(asked: Conversation, *, losses: Losses | None = None, **flags: Any) -> dict[str, Any]:
    """The body for a target with these flags; nothing may be lost, unless the losses are asked for."""
    found = Losses()
    body: dict[str, Any] = json.loads(CHAT.render(asked, target(**flags), found).body)
    if losses is None:
        assert found.found == []
    else:
        losses.found.extend(found.found)
    return body


def messages(*said: Turn | Part, losses: Losses | None = None, **flags: Any) -> list[dict[str, Any]]:
    """The messages of a conversation."""
    shown: list[dict[str, Any]] = rendered(conversation(*said), losses=losses, **flags)["messages"]
    return shown


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    """A chunk with one delta."""
    return {"id": "c1", "model": "m1", "choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def sse(*chunks: Any, done: bool = True) -> bytes:
    """Chunks as an event stream; text stands as it is."""
    written = [chunk if isinstance(chunk, str) else f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    return "".join([*written, "data: [DONE]\n\n" if done else ""]).encode()


def decoder(tools: ToolTable | None = None, **flags: Any) -> ReplyDecoder:
    """A decoder of a target with these flags; without any, one that tags nothing."""
    return CHAT.decoder(target(**flags) if flags else None, tools)


def streamed(*chunks: Any, done: bool = True, tools: ToolTable | None = None, **flags: Any) -> list[StreamEvent]:
    """The events of a stream."""
    reading = decoder(tools, **flags)
    return reading.feed(sse(*chunks, done=done)) + reading.finish()


def whole(message: dict[str, Any], finish: str | None = "stop", **fields: Any) -> list[StreamEvent]:
    """The events of a whole reply with this message."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return decoder().whole(json.dumps({"id": "c1", "model": "m1", "choices": [choice], **fields}).encode())


def content(events: Iterable[StreamEvent]) -> list[StreamEvent]:
    """Events without the beginning."""
    return list(events)[1:]


def asked(**fields: Any) -> Asked:
    """What an encoder must know."""
    return Asked(**{"reply_id": "abc", "created": 1_790_000_000, "model": "named", **fields})


def written(events: Iterable[StreamEvent], **fields: Any) -> list[Any]:
    """The chunks of a stream, decoded; other lines as text."""
    encoder = CHAT.encoder(asked(**fields))
    raw = b"".join(encoder.encode(event) for event in events).decode()
    lines = [line for line in raw.split("\n\n") if line]
    return [
        json.loads(line.removeprefix("data: ")) if line.startswith("data: {") else line.removeprefix("data: ")
        for line in lines
    ]


def deltas(events: Iterable[StreamEvent], **fields: Any) -> list[Any]:
    """The deltas of a stream that say something, behind the first one."""
    chunks = [chunk for chunk in written(events, **fields) if isinstance(chunk, dict) and chunk.get("choices")]
    said = [chunk["choices"][0]["delta"] for chunk in chunks]
    return [delta for delta in said[1:] if delta]


def message_of(events: Iterable[StreamEvent], **fields: Any) -> dict[str, Any]:
    """The message of a whole reply."""
    reply = json.loads(CHAT.encoder(asked(**fields)).whole(events))
    message: dict[str, Any] = reply["choices"][0]["message"]
    return message


def compact(value: object) -> str:
    """JSON without spaces."""
    return msgspec.json.encode(value).decode()
