"""Reasoning of other models in a request that is passed on as it is.

Clients send back what they were given: thinking blocks whose signature is another model's, under the router's tag.
Anthropic judges every signature its own and would refuse the request. So these blocks go, whole; those that the target
itself once sealed get their own signature back. Of the body nothing else changes, to the byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from router.errors import BadRequest
from router.wire.anthropic_messages.render_turns import unthinking_loop
from router.wire.body import Body
from router.wire.opaque import TAG, belongs, is_wrapped, unwrap
from router.wire.pieces import blocks_of, fields_of
from router.wire.taps import decoded
from router.wire.traits import Traits

_TAG: Final = TAG.encode()
_SLOTS: Final[Mapping[str, tuple[str, str]]] = {
    "thinking": ("signature", "anthropic-signature"),
    "redacted_thinking": ("data", "anthropic-redacted"),
}
"""Where a block has its seal, and the kind of seals that belong there."""


class _Block(msgspec.Struct):
    type: Any = None
    signature: Any = None
    data: Any = None


class _Message(msgspec.Struct):
    role: Any = None
    content: Any = None


_lists = msgspec.json.Decoder(list[msgspec.Raw])
_blocks = msgspec.json.Decoder(_Block)
_messages = msgspec.json.Decoder(_Message)


def without_foreign(body: Body, traits: Traits) -> dict[str, bytes]:
    """Top-level fields to set, as raw JSON; none where there is nothing of the router's in the body."""
    if _TAG not in body.raw:
        return {}
    messages = decoded(body.raw_field("messages") or b"", _lists)
    if messages is None:
        return {}
    before = [bytes(message) for message in messages]
    after = [message for message in (_cleaned(message, traits) for message in before) if message is not None]
    if after == before:
        return {}
    fields = {"messages": _joined(after)}
    if _enabled(body) and unthinking_loop(_newest_first(after)):
        fields.update(_unthinking(body))
    return fields


def _cleaned(raw: bytes, traits: Traits) -> bytes | None:
    """The message without foreign reasoning; ``None`` if there was nothing else in it."""
    if _TAG not in raw:
        return raw
    try:
        message = Body.parse(raw)
        content = decoded(message.raw_field("content") or b"", _lists)
        if content is None:
            return raw
        before = [bytes(block) for block in content]
        after = [block for block in (_own(block, traits) for block in before) if block is not None]
    except BadRequest:  # a key that occurs twice: the provider is the judge of that
        return raw
    if after == before:
        return raw
    return message.with_fields({"content": _joined(after)}) if after else None


def _own(raw: bytes, traits: Traits) -> bytes | None:
    """The block as the target may be given it; ``None``: not at all."""
    if _TAG not in raw:
        return raw
    block = decoded(raw, _blocks)
    slot = None if block is None or not isinstance(block.type, str) else _SLOTS.get(block.type)
    if slot is None:
        return raw
    name, kind = slot
    sealed = getattr(block, name)
    if not is_wrapped(sealed):
        return raw
    state = unwrap(sealed)
    if state is None or state.kind != kind or not belongs(state, traits.owner):
        return None
    return Body.parse(raw).with_fields({name: msgspec.json.encode(state.value)})


def _joined(items: Sequence[bytes]) -> bytes:
    return b"[" + b",".join(items) + b"]"


def _enabled(body: Body) -> bool:
    return fields_of(body.get("thinking")).get("type") == "enabled"


def _newest_first(messages: Sequence[bytes]) -> Iterator[dict[str, Any]]:
    for raw in reversed(messages):
        message = decoded(raw, _messages)
        if message is not None:
            yield {"role": message.role, "content": [fields_of(block) for block in blocks_of(message.content)]}


def _unthinking(body: Body) -> dict[str, bytes]:
    """Thinking off for this request, which goes on with calls that were made without it; what edits thinking goes,
    too, since it is an error then."""
    fields = {"thinking": b'{"type":"disabled"}'}
    management = fields_of(body.get("context_management"))
    edits = blocks_of(management.get("edits"))
    kept = [edit for edit in edits if not str(fields_of(edit).get("type")).startswith("clear_thinking")]
    if len(kept) < len(edits):
        fields["context_management"] = msgspec.json.encode({**management, "edits": kept}) if kept else b"null"
    return fields
