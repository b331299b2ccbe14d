"""Values of a client's JSON with the one type they may have; ``BadRequest`` names the field that has another.

An optional field that is null is one that is absent: many clients write out all their fields, set or not.
"""

from __future__ import annotations

from typing import Any

from router.errors import BadRequest
from router.wire.request import bounded


def an_object(value: Any, where: str) -> dict[str, Any]:
    """An object; null is one without fields."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise wrong(where, "an object")
    return value


def a_list(value: Any, where: str) -> list[Any]:
    """A list; null is an empty one."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise wrong(where, "a list")
    return bounded(value)


def a_text(value: Any, where: str) -> str:
    """A string, which must be there."""
    if not isinstance(value, str):
        raise wrong(where, "a string")
    return value


def perhaps_text(value: Any, where: str) -> str | None:
    """A string or nothing."""
    return None if value is None else a_text(value, where)


def perhaps_flag(value: Any, where: str) -> bool | None:
    """True, false or nothing."""
    if value is not None and not isinstance(value, bool):
        raise wrong(where, "true or false")
    return value


def perhaps_number(value: Any, where: str) -> float | None:
    """A number or nothing; whole numbers stay whole."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise wrong(where, "a number")
    return value


def perhaps_whole(value: Any, where: str) -> int | None:
    """A whole number or nothing; some clients write it with a fraction (``64.0``)."""
    number = perhaps_number(value, where)
    if isinstance(number, float) and not number.is_integer():
        raise wrong(where, "a whole number")
    return None if number is None else int(number)


def wrong(where: str, what: str) -> BadRequest:
    """The error for a field of another type."""
    return BadRequest(f"the field '{where}' must be {what}")
