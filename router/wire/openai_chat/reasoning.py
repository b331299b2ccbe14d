"""Reasoning on Chat: fields that nobody standardised, and where sealed reasoning travels in them.

Readable reasoning is ``reasoning_content`` (DeepSeek and most others) or ``reasoning`` (OpenRouter, Groq, newer vLLM),
one string for the whole message. ``reasoning_details`` is OpenRouter's list of sealed pieces: ``reasoning.text`` with a
``signature``, ``reasoning.summary``, ``reasoning.encrypted`` with ``data``; it goes back as it came.

The same list is our opaque slot. An entry of ours is a ``reasoning.encrypted`` whose ``data`` is tagged; its ``id``
says where the thought stood and how long its text is, since one string and one list can't say what was thought between
two calls, and signatures hold only for the text and the order they were made for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from router.wire.conversation import OpaqueState, Part, Text, Thought, ToolCall
from router.wire.opaque import INVENTED, is_wrapped, unwrap, wrap
from router.wire.pieces import blocks_of, fields_of
from router.wire.taps import text_or_none

JOINT: Final = "\n\n"
"""What stands between the texts of two thoughts in the one string."""

_PLACE: Final = re.compile(INVENTED + r"-(\d{1,9})-(\d{1,9})-(\d{1,9})")
_READABLE: Final = ("text", "summary")


class Place(NamedTuple):
    """Where a thought stood in its message: behind so many calls and characters of text. ``length`` is its text's."""

    calls: int
    characters: int
    length: int


class Sealed(NamedTuple):
    """One state out of ``reasoning_details``; without a place where the client left it out."""

    state: OpaqueState
    place: Place | None


# --- reading ----------------------------------------------------------------------------------------------------------


def readable(message: Mapping[str, Any]) -> str:
    """The readable reasoning of a message, which may be there twice or three times under different names."""
    for name in ("reasoning_content", "reasoning"):
        if text := one_text(message.get(name)):
            return text
    return details_text(message.get("reasoning_details"))


def one_text(value: object) -> str:
    """A field of readable reasoning; other shapes than text say nothing."""
    return value if isinstance(value, str) else ""


def details_text(details: object) -> str:
    """What can be read of ``reasoning_details``."""
    texts = (one_text(fields_of(entry).get(name)) for entry in blocks_of(details) for name in _READABLE)
    return JOINT.join(text for text in texts if text)


def states(details: object) -> list[Sealed]:
    """The sealed states in a client's ``reasoning_details``: ours each for itself, a provider's own as one list."""
    found: list[Sealed] = []
    native: list[dict[str, Any]] = []
    for entry in map(fields_of, blocks_of(details)):
        data = entry.get("data")
        if is_wrapped(data):
            state = unwrap(str(data))
            if state is not None:
                found.append(Sealed(state, _place_of(entry.get("id"))))
        elif entry:
            native.append(entry)
    if native:
        found.append(Sealed(OpaqueState("openrouter", written(native)), None))
    return found


def google_signature(extra: object) -> str | None:
    """``extra_content.google.thought_signature``; behind some gateways ``vertex`` stands for ``google``."""
    fields = fields_of(extra)
    for vendor in ("google", "vertex"):
        if signature := text_or_none(fields_of(fields.get(vendor)).get("thought_signature")):
            return signature
    return None


def google_state(signature: str | None) -> OpaqueState | None:
    """The state that a signature field holds; nothing, where it is ours but was changed on the way."""
    if signature is None or is_wrapped(signature):
        return None if signature is None else unwrap(signature)
    return OpaqueState("google-thought", signature)


def _place_of(entry_id: object) -> Place | None:
    match = _PLACE.fullmatch(entry_id) if isinstance(entry_id, str) else None
    return None if match is None else Place(*map(int, match.groups()))


def in_order(text: str, sealed: list[Sealed], said: str, rest: list[Part], calls: list[ToolCall]) -> list[Part]:
    """The parts of an assistant's message as they were: thoughts between ``said`` text and ``calls``.

    ``rest`` (other content) stands behind the text. Without places all thinking comes first, and where the readable
    reasoning isn't what the states were made for any more, those that cover text are left out: a signature over
    another text is an error at its owner's.
    """
    places = [one.place for one in sealed if one.place is not None]
    thoughts = _texts_of(text, places) if places and len(places) == len(sealed) else None
    if thoughts is None:
        return [*_unplaced(text, sealed), *_texts(said), *rest, *calls]
    parts: list[Part] = []
    characters = done = 0
    for (state, _), place, thought in zip(sealed, places, thoughts, strict=True):
        parts += [*_texts(said[characters : place.characters]), *calls[done : place.calls]]
        characters, done = max(characters, place.characters), max(done, place.calls)
        parts.append(Thought(thought, state))
    return [*parts, *_texts(said[characters:]), *rest, *calls[done:]]


def _unplaced(text: str, sealed: list[Sealed]) -> list[Part]:
    """All thinking, where nothing says which text is whose."""
    if len(sealed) == 1 and sealed[0].place is None:
        return [Thought(text, sealed[0].state)]
    plain: list[Part] = [Thought(text)] if text else []
    return plain + [Thought("", one.state) for one in sealed if _needs_no_text(one)]


def _needs_no_text(one: Sealed) -> bool:
    """Whether a state is whole without readable text. A signature is, where it was made for none."""
    if one.state.kind == "anthropic-signature":
        return one.place is not None and one.place.length == 0
    return one.state.kind != "visible"


def _texts_of(text: str, places: list[Place]) -> list[str] | None:
    """The text cut into the thoughts' own; ``None`` if it isn't theirs."""
    cut: list[str] = []
    cursor = 0
    for place in places:
        if place.length and cursor:
            if not text.startswith(JOINT, cursor):
                return None
            cursor += len(JOINT)
        cut.append(text[cursor : cursor + place.length])
        cursor += place.length
    return cut if cursor == len(text) else None


def _texts(text: str) -> list[Part]:
    return [Text(text)] if text else []


# --- writing ----------------------------------------------------------------------------------------------------------


def entries(state: OpaqueState, place: Place, index: int) -> list[dict[str, Any]]:
    """A state for the client's ``reasoning_details``. ``index`` is how clients tell entries of a stream apart."""
    if state.owner is None and state.kind == "openrouter":
        return native(state.value)
    return [
        {
            "type": "reasoning.encrypted",
            "data": wrap(state),
            "id": f"{INVENTED}-{place.calls}-{place.characters}-{place.length}",
            "format": "unknown",
            "index": index,
        }
    ]


def written(details: Iterable[Mapping[str, Any]]) -> str:
    """A provider's own entries as the value of a state."""
    return msgspec.json.encode(list(details)).decode()


def native(value: str) -> list[dict[str, Any]]:
    """A provider's own entries out of a state's value."""
    try:
        return [entry for entry in map(fields_of, blocks_of(msgspec.json.decode(value))) if entry]
    except (msgspec.DecodeError, RecursionError):
        return []


# --- a provider's reply -----------------------------------------------------------------------------------------------


class Details:
    """A provider's ``reasoning_details`` as they arrive: fragments of one entry share its index and type."""

    def __init__(self) -> None:
        self._entries: list[dict[str, Any]] = []

    def add(self, details: object) -> None:
        """Some more entries, or more of the last one."""
        for place, entry in enumerate(map(fields_of, blocks_of(details))):
            last = self._entries[-1] if self._entries else {}
            if entry and last and ("index" in entry or place == 0) and _same(last, entry):
                for name, value in entry.items():
                    if name in _READABLE and isinstance(value, str) and isinstance(last.get(name), str):
                        last[name] += value
                    elif value is not None:
                        last[name] = value
            elif entry:
                self._entries.append(dict(entry))

    def take(self) -> str | None:
        """The value of a state, if something of them is sealed; readable text alone needs none."""
        taken, self._entries = self._entries, []
        return written(taken) if any(entry.get("signature") or entry.get("data") for entry in taken) else None


def _same(last: dict[str, Any], entry: dict[str, Any]) -> bool:
    if entry.get("type") == "reasoning.encrypted" or last.get("signature"):
        return False
    return (last.get("index"), last.get("type")) == (entry.get("index"), entry.get("type"))
