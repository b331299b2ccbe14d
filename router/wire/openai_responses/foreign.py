"""What earlier translated replies left in a request that is now passed on to a provider of this format.

Only items that bear our tag or our mark are touched: sealed reasoning of another model goes, what the target itself
once sealed is unwrapped under its own id, and ids of our making are taken out, since the API looks ids up. Words of
another provider's model to an agent are text again. Everything else stays as it is, byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from router.wire.body import Body, decode
from router.wire.opaque import INVENTED, belongs, is_wrapped, unwrap
from router.wire.openai_responses.agent_messages import KIND as AGENT_MESSAGE
from router.wire.openai_responses.agent_messages import SEALED_PART, is_sealed
from router.wire.pieces import blocks_of, fields_of
from router.wire.taps import decoded
from router.wire.traits import Traits

_marked: Final = re.compile(INVENTED.encode()).search  # half the time of ``in``, for a word as short as this
_AGENTS: Final = f'"{AGENT_MESSAGE}"'.encode()
_BETWEEN: Final = b", \t\n\r"


class _Item(msgspec.Struct):
    type: Any = None
    id: Any = None
    encrypted_content: Any = None
    content: Any = None


_items = msgspec.json.Decoder(_Item)


def without_foreign(body: Body, traits: Traits) -> dict[str, bytes]:
    """The ``input`` to send instead, if there is anything of ours in it."""
    raw = body.raw_field("input")
    if raw is None or not raw.startswith(b"[") or not _concerns_us(raw):
        return {}
    cleaned = b"".join(_cleaned(raw, traits))
    return {} if cleaned == raw else {"input": cleaned}


def _concerns_us(raw: bytes) -> bool:
    return _marked(raw) is not None or _AGENTS in raw


def _cleaned(raw: bytes, traits: Traits) -> Iterator[bytes]:
    """The list's bytes. What stands before an item goes with it, but a comma stays between any two that are left."""
    items = decode(raw, list[msgspec.Raw], "the field 'input' must be a list")
    cursor, first = 1, True
    yield raw[:cursor]
    for item in map(bytes, items):
        start = cursor
        while raw[start] in _BETWEEN:
            start += 1
        between, cursor = raw[cursor:start], start + len(item)
        kept = _kept(item, traits) if _concerns_us(item) else item
        if kept is not None:
            yield between.replace(b",", b"", 1) if first else between
            yield kept
            first = False
    yield raw[cursor:]


def _kept(raw: bytes, traits: Traits) -> bytes | None:
    """An item without what is ours; ``None`` if nothing is left of it."""
    item = decoded(raw, _items)
    if item is None:
        return raw
    invented = isinstance(item.id, str) and item.id.partition("_")[2].startswith(INVENTED)
    if item.type == "reasoning":
        return _reasoning(raw, item, traits, invented=invented)
    if item.type == AGENT_MESSAGE:
        return _agent_message(raw, item)
    if not invented or item.type == "item_reference":  # a reference is nothing without its id: the API shall say so
        return raw
    return Body.parse(raw).with_fields({}, drop=("id",))


def _reasoning(raw: bytes, item: _Item, traits: Traits, *, invented: bool) -> bytes | None:
    if not is_wrapped(item.encrypted_content):
        return None if invented else raw
    state = unwrap(item.encrypted_content)
    if state is None or state.kind != "openai-encrypted" or not belongs(state, traits.owner):
        return None
    fields = {"encrypted_content": msgspec.json.encode(state.value)}
    if state.id is None:
        return Body.parse(raw).with_fields(fields, drop=("id",))
    return Body.parse(raw).with_fields({**fields, "id": msgspec.json.encode(state.id)})


def _agent_message(raw: bytes, item: _Item) -> bytes:
    """What another provider's model told an agent is no sealed text, though the client has put it where such stands."""
    content = [_readable(part) for part in blocks_of(item.content)]
    return raw if content == item.content else Body.parse(raw).with_fields({"content": msgspec.json.encode(content)})


def _readable(part: Any) -> Any:
    text = fields_of(part).get(SEALED_PART)
    if fields_of(part).get("type") != SEALED_PART or not isinstance(text, str) or is_sealed(text):
        return part
    return {"type": "input_text", "text": text}
