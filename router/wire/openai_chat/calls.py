"""Tool calls as they arrive from a provider, each fragment under the call it belongs to.

OpenAI numbers its calls and names each once. Elsewhere numbers begin at one, repeat, or are missing; ids are empty,
late, or repeated; names come in pieces or with every fragment; arguments come whole. A new call is a number not seen
before, or one seen with another id.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from router.wire.assembly import Assembler
from router.wire.openai_chat.reasoning import google_signature
from router.wire.taps import decoded, text_or_none

_NOTHING: Final = msgspec.Raw(b"")
_text: Final = msgspec.json.Decoder(str)


class FunctionCall(msgspec.Struct):
    """``arguments`` is a string nearly everywhere; a few servers write the object itself."""

    name: Any = None
    arguments: msgspec.Raw = _NOTHING
    input: Any = None


class Call(msgspec.Struct):
    """A call, or some more of one."""

    index: Any = None
    id: Any = None
    type: Any = None
    function: FunctionCall | None = None
    custom: FunctionCall | None = None
    extra_content: Any = None


class _Slot:
    """One call so far."""

    __slots__ = ("arguments", "custom", "id", "key")

    def __init__(self, key: int, call_id: str) -> None:
        self.key = key
        self.id = call_id
        self.custom = False
        self.arguments: list[str] = []

    @property
    def whole(self) -> bool:
        """Whether the arguments are a whole object: nothing can follow in the same call."""
        try:
            return isinstance(msgspec.json.decode("".join(self.arguments)), dict)
        except (msgspec.DecodeError, RecursionError):
            return False


class CallSlots:
    """Tells an ``Assembler`` of the calls of one reply."""

    def __init__(self, parts: Assembler) -> None:
        self._parts = parts
        self._slots: dict[object, _Slot] = {}  # the newest one of each number
        self._last: _Slot | None = None
        self._count = 0

    def take_all(self, calls: list[Call], *, whole: bool) -> None:
        """The calls of a ``whole`` message, or fragments of a stream's. Where they aren't numbered, their places in one
        list tell them apart."""
        for place, call in enumerate(calls):
            number = call.index if isinstance(call.index, int) and not whole else None
            if number is None and (whole or len(calls) > 1):
                number = place
            self._take(call, number)

    def _take(self, call: Call, number: int | None) -> None:
        inner = call.custom or call.function or FunctionCall()
        name = text_or_none(inner.name) or ""
        fragment = text_or_none(inner.input) or "" if call.custom is not None else _arguments(inner.arguments)
        slot = self._slot(number, text_or_none(call.id) or "", name, fragment)
        slot.custom = slot.custom or call.custom is not None
        self._tell(slot, name, fragment)
        if (signature := google_signature(call.extra_content)) is not None:
            self._parts.seal(slot.key, "google-thought", signature, of="call")

    def take_legacy(self, call: FunctionCall) -> None:
        """A call of the kind that there was only one of."""
        self._tell(self._slot("function_call", "", "", ""), text_or_none(call.name) or "", _arguments(call.arguments))

    def _tell(self, slot: _Slot, name: str, fragment: str) -> None:
        self._parts.call(slot.key, slot.id, name, custom=slot.custom, whole_name=False)
        if fragment:
            slot.arguments.append(fragment)
            self._parts.arguments(slot.key, fragment)

    def _slot(self, number: int | str | None, call_id: str, name: str, fragment: str) -> _Slot:
        if number is None and not call_id and self._last is not None:
            slot: _Slot | None = self._last
        else:
            slot = self._slots.get(call_id if number is None else number)
        if slot is None or self._is_another(slot, call_id, name, fragment):
            if self._last is not None and self._last.custom:
                self._parts.close("call", self._last.key)  # nothing else tells where raw input ends
            slot = _Slot(self._count, call_id)
            self._count += 1
        slot.id = slot.id or call_id
        self._slots[slot.id if number is None else number] = slot
        self._last = slot
        return slot

    def _is_another(self, slot: _Slot, call_id: str, name: str, fragment: str) -> bool:
        if call_id and slot.id:
            return call_id != slot.id
        # Without ids: a named call with arguments behind a call that is whole.
        return bool(name and fragment and not call_id and slot.arguments and slot.whole)


def _arguments(raw: msgspec.Raw) -> str:
    text = bytes(raw)
    if text in (b"", b"null"):
        return ""
    if text.startswith(b'"'):
        return decoded(raw, _text) or ""
    return msgspec.json.format(text, indent=-1).decode(errors="replace")
