"""Values of a client's JSON with the one type they may have; ``BadRequest`` names the field that has another.

Field names may be in camel or in snake case; null is the same as absent; a list of one may be just the one.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from router.wire.body import decode
from router.wire.request import bounded

_AFTER_UNDERSCORE: Final = re.compile(r"(?<=[a-z0-9])_([a-z0-9])")


def camel(name: str) -> str:
    """A field's name in camel case."""
    return _AFTER_UNDERSCORE.sub(lambda match: match[1].upper(), name) if "_" in name else name


def is_null(raw: msgspec.Raw) -> bool:
    """Whether a value is null."""
    return len(memoryview(raw)) == 4 and bytes(raw) == b"null"


def begins(raw: msgspec.Raw | bytes, char: bytes) -> bool:
    """Whether a value begins so, which says what kind of value it is."""
    return bytes(memoryview(raw)[:1]) == char


def members(raw: msgspec.Raw | bytes, where: str) -> dict[str, msgspec.Raw]:
    """An object's members, those that are null left out."""
    found = decode(raw, dict[str, msgspec.Raw], f"the field '{where}' must be an object")
    return {camel(name): value for name, value in found.items() if not is_null(value)}


def entries(raw: msgspec.Raw | bytes, where: str) -> list[msgspec.Raw]:
    """A list's elements."""
    if begins(raw, b"{"):
        return [msgspec.Raw(raw)]
    return bounded(decode(raw, list[msgspec.Raw], f"the field '{where}' must be a list"))


def text(raw: msgspec.Raw | bytes, where: str) -> str:
    """A string."""
    return decode(raw, str, f"the field '{where}' must be a string")


def value(raw: msgspec.Raw | bytes, where: str) -> Any:
    """Whatever it is."""
    return decode(raw, object, f"the field '{where}' can't be read")
