"""Sealed reasoning of one provider, carried through a client that speaks another's format.

The client's format has a slot for opaque text (Messages' ``signature``, Responses' ``encrypted_content``, Gemini's
``thoughtSignature``); what we put there bears a tag and the owner, so that it is given back to its owner alone, and so
that it can be taken out again where the client's next request goes to a provider that would judge it its own.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

import msgspec

from router.wire.conversation import OpaqueState
from router.wire.digest import digest

TAG: Final = "rtr1."
"""The beginning of everything opaque that the router wrote. The digit changes when the text behind it does."""

INVENTED: Final = "rtr1"
"""What ids of our own making hold behind their prefix (``msg_rtr1…``), so that they can be told from a provider's."""


class _Sealed(msgspec.Struct, array_like=True):
    kind: str
    owner: str
    id: str | None
    digest: str
    value: str


_sealed = msgspec.json.Decoder(_Sealed)


def wrap(state: OpaqueState) -> str:
    """The text for a client's opaque slot. A state without an owner is native and stays as it is."""
    if state.owner is None:
        return state.value
    sealed = _Sealed(state.kind, state.owner, state.id, _digest_of(state), state.value)
    return TAG + base64.urlsafe_b64encode(msgspec.json.encode(sealed)).decode().rstrip("=")


def unwrap(text: str) -> OpaqueState | None:
    """The state behind a tag; ``None`` if the tag is ours but what follows was changed on the way.

    Call it only for text that ``is_wrapped``.
    """
    coded = text[len(TAG) :]
    try:
        sealed = _sealed.decode(base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)))
        state = msgspec.convert(
            {"kind": sealed.kind, "value": sealed.value, "owner": sealed.owner, "id": sealed.id}, OpaqueState
        )
        return state if sealed.digest == _digest_of(state) else None
    except (msgspec.MsgspecError, binascii.Error, UnicodeError, ValueError):
        return None


def is_wrapped(text: object) -> bool:
    """Whether an opaque text was written by the router."""
    return isinstance(text, str) and text.startswith(TAG)


def belongs(state: OpaqueState, owner: str) -> bool:
    """Whether a target may be given this state; its kind is the renderer's to check."""
    return state.owner is None or state.owner == owner


def invented_id(prefix: str, *of: object) -> str:
    """An id of our own making: the same for the same things, so that translated requests stay the same bytes."""
    text = "\x1f".join(str(thing) for thing in of)
    return f"{prefix}{INVENTED}{digest(text)[:20]}"


def _digest_of(state: OpaqueState) -> str:
    return digest(msgspec.json.encode([state.kind, state.owner, state.id, state.value]).decode())[:12]
