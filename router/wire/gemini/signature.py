"""``thoughtSignature``: the one opaque slot that Gemini clients carry, with what other models need in it.

A native signature goes through as it is. What another model sealed has to travel there, too, and with it the thoughts
it belongs to: clients keep signatures on calls and texts, but many drop the thoughts before them, which some providers
want back. The slot must be base64, since Google's SDKs decode it to bytes and encode it again, with whichever alphabet.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from router.wire.conversation import OpaqueState, Thought
from router.wire.opaque import TAG, belongs, is_wrapped, unwrap, wrap
from router.wire.traits import Traits

BYPASS: Final = "skip_thought_signature_validator"
"""The documented value for a call whose signature is lost, which Gemini 3 would refuse without one."""

MARK: Final = base64.b64encode(TAG.encode())[:6].decode()
"""The beginning of every slot that we wrote, as it stands in a body."""

_TO_STANDARD: Final = str.maketrans("-_", "+/")


class _Slot(msgspec.Struct, array_like=True):
    thoughts: list[tuple[str, str]]  # text, and the state wrapped
    own: str


_slots = msgspec.json.Decoder(_Slot)


class Sealed(NamedTuple):
    """What a slot holds: thoughts that came before the part it stands on, and the part's own state."""

    thoughts: tuple[Thought, ...] = ()
    own: OpaqueState | None = None


def is_ours(signature: str) -> bool:
    """Whether a signature is a slot that we wrote."""
    return signature.startswith(MARK)


def written(thoughts: Sequence[Thought], own: OpaqueState | None) -> str:
    """The slot of a part. What is native already stays as it is."""
    states = [*(thought.state for thought in thoughts), own]
    native = [state.value for state in states if state is not None and state.owner is None]
    if native:
        return native[-1]
    sealed = [(thought.text, wrap(thought.state) if thought.state is not None else "") for thought in thoughts]
    slot = msgspec.json.encode(_Slot(sealed, wrap(own) if own is not None else ""))
    return base64.b64encode(TAG.encode() + slot).decode()


def read(signature: str) -> Sealed:
    """What stands in a slot; nothing where ours was damaged on the way."""
    if not is_ours(signature):
        return Sealed(own=OpaqueState("google-thought", signature))
    padded = signature.rstrip("=").translate(_TO_STANDARD)
    try:
        content = base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True)
        slot = _slots.decode(content[len(TAG) :])
    except (msgspec.MsgspecError, ValueError):
        return Sealed()
    thoughts = (Thought(text, _state(state)) for text, state in slot.thoughts)
    return Sealed(tuple(thought for thought in thoughts if thought.text or thought.state), _state(slot.own))


def returned(state: OpaqueState | None, traits: Traits) -> str | None:
    """The signature to give back to a target; ``None`` where it isn't its own."""
    if state is None or state.kind != "google-thought" or not belongs(state, traits.owner):
        return None
    return state.value or None


def _state(wrapped: str) -> OpaqueState | None:
    return unwrap(wrapped) if is_wrapped(wrapped) else None
