"""A request body as its top-level members: read one, swap one, keep every other byte.

The body is never decoded as a whole. ``Body.parse`` finds where each top-level member stands (about 35 µs for 100 KB);
a member is decoded only when somebody asks for it. What goes on to the provider is the client's own bytes with single
values spliced in, so number spelling, key order, spacing and escapes survive. The request formats' files
(``anthropic_messages``, ``openai_chat``, …) read bodies through this one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from router.errors import BadRequest, DuplicateKey

T = TypeVar("T")

MAX_CONTAINERS: Final = 500_000
"""Objects and arrays in one body: real ones have a few thousand; decoding millions would stall everyone else."""
MAX_VALUES: Final = 2_000_000
"""Values in one body, likewise; commas in text count, too, of which a million tokens have a few hundred thousand."""
MAX_MEMBERS: Final = 1000
"""Top-level members: real bodies have a dozen."""

READ_FIELDS: Final = frozenset(
    "model models stream stream_options max_tokens max_completion_tokens max_output_tokens n temperature top_p "
    "top_k stop messages input contents instructions system systemInstruction system_instruction prompt prefix "
    "tools functions tool_choice function_call toolConfig tool_config generationConfig generation_config "
    "thinking output_config reasoning reasoning_effort enable_thinking text response_format "
    "metadata user safety_identifier prompt_cache_key previous_response_id conversation background store "
    "provider route plugins web_search_options".split()
)
"""Fields that rules, limits or accounting look at. One that occurs twice would mean something else to us than to the
provider, so that is refused; any other duplicate is the provider's business and passes as it is."""

_NOT_JSON: Final = "the request body is not valid JSON"
_TOO_DEEP: Final = "the request body is nested too deeply"

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_KEY: Final = re.compile(rb'[ \t\n\r]*("[^"\\]*+(?:\\.[^"\\]*+)*+")[ \t\n\r]*:[ \t\n\r]*', re.DOTALL)
_AFTER: Final = re.compile(rb"[ \t\n\r]*([,}])")
_END: Final = re.compile(rb"[ \t\n\r]*\Z")
# Numbers stay text: only the extent of a value is wanted, and int() of thousands of digits is slow or refused.
_skip_value: Final = json.JSONDecoder(strict=False, parse_int=str, parse_float=str).raw_decode


def decode(raw: bytes | msgspec.Raw, type: type[T], message: str = _NOT_JSON) -> T:  # noqa: A002 - msgspec's own word
    """Decode JSON as ``type``; ``BadRequest`` with a fixed message when it isn't that. Never quotes the input."""
    try:
        return msgspec.json.decode(raw, type=type)
    except RecursionError:
        raise BadRequest(_TOO_DEEP) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRequest(message) from None


class _Member(NamedTuple):
    """Where one member stands: its key's opening quote, its value's first byte, and just behind the value."""

    name: str
    start: int
    value: int
    end: int


class Body:
    """One JSON object as the client sent it. Build it with ``Body.parse``."""

    __slots__ = ("_by_name", "_decoded", "_members", "raw")

    def __init__(self, raw: bytes, members: list[_Member]) -> None:
        self.raw = raw
        self._members = members
        self._by_name = {member.name: member for member in members}  # of duplicates the last, as in most JSON readers
        self._decoded: dict[str, Any] = {}

    @classmethod
    def parse(cls, raw: bytes) -> Body:
        """Take a whole body. Raises ``BadRequest`` unless it is one JSON object in UTF-8, ``DuplicateKey`` when one
        of ``READ_FIELDS`` occurs twice."""
        if not raw.isascii():
            _check_utf8(raw)
        if len(raw) > MAX_CONTAINERS:
            if raw.count(b"{") + raw.count(b"[") > MAX_CONTAINERS:
                raise BadRequest("the request body holds too many objects and arrays")
            if raw.count(b",") > MAX_VALUES:
                raise BadRequest("the request body holds too many values")
        try:
            values = _members.decode(raw)
        except RecursionError:
            raise BadRequest(_TOO_DEEP) from None
        except msgspec.ValidationError:
            raise BadRequest("the request body must be a JSON object") from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise BadRequest(_NOT_JSON) from None
        if len(values) > MAX_MEMBERS:
            raise BadRequest("the request body has too many members")
        members = _locate(raw, values)
        if members is None:
            members = _scan(raw)
            _refuse_ambiguous(members)
        return cls(raw, members)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[str]:
        """The names of the members, in order of appearance."""
        return iter(self._by_name)

    def raw_field(self, name: str) -> bytes | None:
        """The JSON text of a member's value, as sent; ``None`` if it is absent."""
        member = self._by_name.get(name)
        return None if member is None else self.raw[member.value : member.end]

    def get(self, name: str, default: Any = None) -> Any:
        """A member's value, decoded once; ``default`` if it is absent. ``BadRequest`` if it can't be decoded."""
        if name in self._decoded:
            return self._decoded[name]
        text = self.raw_field(name)
        if text is None:
            return default
        value = self._decoded[name] = decode(
            text, object, f"the field '{name}' can't be read" if name in READ_FIELDS else _NOT_JSON
        )
        return value

    def with_fields(self, values: Mapping[str, bytes], drop: Collection[str] = ()) -> bytes:
        """The body with some top-level values replaced or added (raw JSON) and others left out.

        Every other byte stays. Of a duplicated member every occurrence is replaced or dropped. New members are
        appended behind the last one.
        """
        if not drop and len(values) == 1 and len(self._members) == len(self._by_name):
            (name, text), *_ = values.items()
            if (member := self._by_name.get(name)) is not None:
                return b"".join((self.raw[: member.value], text, self.raw[member.end :]))
        return b"".join(self._splice(values, drop))

    def _splice(self, values: Mapping[str, bytes], drop: Collection[str]) -> Iterator[bytes]:
        raw = self.raw
        head = self._members[0].start if self._members else raw.index(b"{") + 1
        yield raw[:head]
        cursor = head
        written = False
        for member in self._members:
            if member.name not in drop:
                yield raw[cursor if written else member.start : member.value]
                yield values[member.name] if member.name in values else raw[member.value : member.end]
                written = True
            cursor = member.end
        for name, text in values.items():
            if name not in self._by_name and name not in drop:
                yield b"".join((b"," if written else b"", msgspec.json.encode(name), b":", text))
                written = True
        yield raw[cursor:]


def _check_utf8(raw: bytes) -> None:
    if raw.startswith(b"\xef\xbb\xbf"):
        raise BadRequest("the request body must not begin with a byte order mark")
    try:
        raw.decode()
    except UnicodeDecodeError:
        raise BadRequest("the request body is not valid UTF-8") from None


def _locate(raw: bytes, values: Mapping[str, msgspec.Raw]) -> list[_Member] | None:
    """Walk the members from the start, demanding exactly the decoder's keys and values in its order.

    ``None`` where the text says something else, which only a duplicated key can cause: the decoder keeps a key's
    first place and its last value. Comparing is a ``memcmp``, far cheaper than looking for a value's end.
    """
    members: list[_Member] = []
    cursor = raw.index(b"{") + 1
    for name, value in values.items():
        key = _KEY.match(raw, cursor)
        if key is None or _key_name(key[1]) != name:
            return None
        start = key.end()
        if not raw.startswith(memoryview(value), start):
            return None
        end = start + len(memoryview(value))
        after = _AFTER.match(raw, end)
        if after is None:
            return None
        members.append(_Member(name, key.start(1), start, end))
        cursor = after.end()
    if members:
        return members if raw[cursor - 1] == 0x7D and _END.match(raw, cursor) else None
    return members


def _scan(raw: bytes) -> list[_Member]:
    """Every member, duplicates included: the slow and exact way, for bodies that hold some."""
    text = raw.decode("latin-1")  # one character a byte, so that offsets are those of the bytes
    members: list[_Member] = []
    cursor = raw.index(b"{") + 1
    while (key := _KEY.match(raw, cursor)) is not None:
        try:
            _, end = _skip_value(text, key.end())
        except RecursionError:
            raise BadRequest(_TOO_DEEP) from None
        except ValueError:
            raise BadRequest(_NOT_JSON) from None
        members.append(_Member(_key_name(key[1]), key.start(1), key.end(), end))
        after = _AFTER.match(raw, end)
        if after is None:
            raise BadRequest(_NOT_JSON)
        if len(members) > MAX_MEMBERS:
            raise BadRequest("the request body has too many members")
        cursor = after.end()
    return members


def _key_name(quoted: bytes) -> str:
    if b"\\" in quoted:
        return decode(quoted, str)
    return quoted[1:-1].decode()


def _refuse_ambiguous(members: list[_Member]) -> None:
    seen: set[str] = set()
    for member in members:
        if member.name in seen and member.name in READ_FIELDS:
            raise DuplicateKey(f"the field '{member.name}' occurs twice in the request body")
        seen.add(member.name)
