"""Taking out of a client's own Gemini request what the router once put into a reply of another provider's.

Only parts with a slot of ours (``signature.py``) are written anew; every other byte of the request stays.
"""

from __future__ import annotations

from typing import Final

import msgspec

from router.wire.body import Body
from router.wire.gemini import signature
from router.wire.gemini.checked import begins, camel
from router.wire.traits import Traits

_MARK: Final = signature.MARK.encode()

Fields = dict[str, msgspec.Raw]

_object = msgspec.json.Decoder(Fields)
_list = msgspec.json.Decoder(list[msgspec.Raw])


def contents_without_foreign(body: Body, traits: Traits) -> bytes | None:
    """The request's ``contents`` for a target; ``None`` where they can stay as they are, whatever they are."""
    contents = body.raw_field("contents")
    if contents is None or _MARK not in contents:
        return None
    try:
        if contents.startswith(b"{"):
            turn = _turn(msgspec.Raw(contents), traits)
            return None if turn is None else bytes(turn)
        turns = [_turn(turn, traits) for turn in _list.decode(contents)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return msgspec.json.encode([turn for turn in turns if turn is not None])


def _turn(raw: msgspec.Raw, traits: Traits) -> msgspec.Raw | None:
    """A turn; ``None`` where nothing is left of it."""
    if _MARK not in bytes(raw):
        return raw
    turn = _object.decode(raw)
    if not begins(turn.get("parts", b""), b"["):
        return raw
    parts = [_part(part, traits) for part in _list.decode(turn["parts"])]
    kept = [part for part in parts if part is not None]
    return msgspec.Raw(msgspec.json.encode({**turn, "parts": kept})) if kept else None


def _part(raw: msgspec.Raw, traits: Traits) -> msgspec.Raw | None:
    """A part with the target's own signature or none; ``None`` where nothing else was in it."""
    if _MARK not in bytes(raw):
        return raw
    fields = _object.decode(raw)
    name = next((name for name in fields if camel(name) == "thoughtSignature"), None)
    if name is None:
        return raw
    slot = msgspec.json.decode(fields[name])
    if not isinstance(slot, str) or not signature.is_ours(slot):
        return raw
    own = _own(slot, traits)
    is_call = any(camel(field) == "functionCall" for field in fields)
    if own is None and is_call and traits.call_signatures:
        own = signature.BYPASS
    if own is not None:
        fields[name] = msgspec.Raw(msgspec.json.encode(own))
        return msgspec.Raw(msgspec.json.encode(fields))
    del fields[name]
    if all(camel(field) == "text" and bytes(value) == b'""' for field, value in fields.items()):
        return None
    return msgspec.Raw(msgspec.json.encode(fields))


def _own(slot: str, traits: Traits) -> str | None:
    if not traits.replays_sealed:
        return None
    thoughts, own = signature.read(slot)
    states = [own, *(thought.state for thought in reversed(thoughts))]
    return next((sealed for state in states if (sealed := signature.returned(state, traits)) is not None), None)
