"""Making a request fit to be passed on to a Chat provider that didn't answer all of the conversation itself.

A client that was once answered by another provider sends back what we put into its opaque slots: entries of
``reasoning_details``, signatures in a call's ``extra_content``. The owner gets its own back; anybody else would judge
it an error, or pay for it. Readable reasoning is left out under names that the provider refuses, and where it insists
on some beside calls, a blank stands for what another model never told. Every other byte stays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from router.errors import BadRequest
from router.wire.body import Body
from router.wire.conversation import OpaqueState
from router.wire.opaque import TAG, is_wrapped, unwrap
from router.wire.openai_chat.reasoning import google_signature, native
from router.wire.openai_chat.render_thoughts import LOST, place_for
from router.wire.pieces import fields_of
from router.wire.taps import decoded
from router.wire.traits import Traits

_lists = msgspec.json.Decoder(list[msgspec.Raw])
_values = msgspec.json.Decoder()

_TAG = TAG.encode()


def without_foreign(body: Body, traits: Traits) -> dict[str, bytes]:
    """``messages`` without what isn't for this provider, if there is any of it."""
    raw = body.raw_field("messages")
    if raw is None:
        return {}
    marks = [_TAG, *(b'"%s"' % name.encode() for name in traits.refused_reasoning)]
    demanded = _demanded(traits)
    if demanded is not None:
        marks.append(b'"tool_calls"')
    if not any(mark in raw for mark in marks):
        return {}

    def cleaned(message: bytes) -> bytes:
        if not any(mark in message for mark in marks):
            return message
        try:
            return _cleaned(Body.parse(message), traits, demanded)
        except BadRequest:  # the provider is to judge it
            return message

    changed = _each(raw, cleaned)
    return {} if changed == raw else {"messages": changed}


def _each(raw: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """A list with its elements changed, and what is between them as it is."""
    pieces: list[bytes] = []
    cursor = 0
    for element in map(bytes, decoded(raw, _lists) or ()):
        start = raw.index(element, cursor)
        pieces += raw[cursor:start], change(element)
        cursor = start + len(element)
    return b"".join([*pieces, raw[cursor:]])


def _demanded(traits: Traits) -> str | None:
    """The field of reasoning without which an assistant's calls are refused."""
    place = place_for(traits) if traits.reasoning_replay == "required" else None
    return place if place in ("reasoning_content", "reasoning") else None


def _cleaned(fields: Body, traits: Traits, demanded: str | None) -> bytes:
    changes: dict[str, bytes] = {}
    dropped = {name for name in traits.refused_reasoning if name in fields}
    if demanded is not None and fields.get("tool_calls") and not fields.get(demanded):
        changes[demanded] = msgspec.json.encode(LOST)
    details = fields.raw_field("reasoning_details")
    if details is not None and _TAG in details:
        kept = [shown for entry in decoded(details, _lists) or () for shown in _entry(bytes(entry), traits)]
        changes["reasoning_details"] = b"[" + b",".join(kept) + b"]"
        if not kept:
            dropped.add("reasoning_details")
    calls = fields.raw_field("tool_calls")
    if calls is not None and _TAG in calls:
        changes["tool_calls"] = _each(calls, lambda call: _signed(call, traits) if _TAG in call else call)
    return fields.with_fields(changes, dropped)


def _entry(entry: bytes, traits: Traits) -> list[bytes]:
    """What stays of one entry of ``reasoning_details``."""
    data = fields_of(decoded(entry, _values)).get("data")
    if not is_wrapped(data):
        return [entry]
    state = _own(str(data), traits)
    if state is None or state.kind != "openrouter":
        return []
    return [msgspec.json.encode(inner) for inner in native(state.value)]


def _signed(call: bytes, traits: Traits) -> bytes:
    """A call with its own provider's signature, or with none."""
    try:
        fields = Body.parse(call)
    except BadRequest:
        return call
    signature = google_signature(fields.get("extra_content"))
    if not is_wrapped(signature):
        return call
    state = _own(str(signature), traits)
    if state is None or state.kind != "google-thought":
        return fields.with_fields({}, {"extra_content"})
    extra: dict[str, Any] = {"google": {"thought_signature": state.value}}
    return fields.with_fields({"extra_content": msgspec.json.encode(extra)})


def _own(sealed: str, traits: Traits) -> OpaqueState | None:
    state = unwrap(sealed)
    return state if state is not None and state.owner == traits.owner and traits.replays_sealed else None
