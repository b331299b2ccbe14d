"""Errors inside replies: OpenAI's object, and what its compatible servers make of it.

``code`` is a word at OpenAI and the HTTP status at OpenRouter, vLLM and Google; some servers put the object into a
list, some have only a text in ``detail`` or ``message``.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from router.wire.pieces import fields_of
from router.wire.taps import error_message, text_or_none


class Fault(NamedTuple):
    """``code`` is a name of ``error_words.BY_CODE`` where one fits, else the provider's own."""

    code: str
    message: str


_BY_WORD: Final = {
    "billing_error": "quota",
    "content_filter": "content-filter",
    "context_length_exceeded": "context-length",
    "insufficient_quota": "quota",
    "invalid_api_key": "auth",
    "invalid_request_error": "bad-request",
    "model_not_found": "not-found",
    "overloaded_error": "overloaded",
    "rate_limit_error": "rate",
    "rate_limit_exceeded": "rate",
    "server_error": "server",
    "server_is_overloaded": "overloaded",
    "string_above_max_length": "bad-request",
    "timeout": "timeout",
}
_BY_STATUS: Final = {
    400: "bad-request",
    401: "auth",
    402: "quota",
    403: "auth",
    404: "not-found",
    408: "timeout",
    413: "payload_too_large",
    429: "rate",
    503: "unavailable",
    504: "timeout",
    529: "overloaded",
}


def fault_in(reply: object) -> Fault | None:
    """The error that a whole reply or an event is; ``None`` if it is none."""
    if isinstance(reply, list):
        return fault_in(reply[0]) if reply else None
    fields = fields_of(reply)
    if (fault := fault_of(fields.get("error"))) is not None:
        return fault
    if "choices" not in fields and (text := text_or_none(fields.get("detail")) or text_or_none(fields.get("message"))):
        return Fault(_code_of(fields), text)
    return None


def fault_of(error: object) -> Fault | None:
    """An ``error`` value: an object, a text, or nothing."""
    message = error_message(error)
    return None if message is None else Fault(_code_of(fields_of(error)), message)


def _code_of(error: dict[str, Any]) -> str:
    for name in ("code", "status_code", "status", "type"):
        value = error.get(name)
        if isinstance(value, str) and value.isdecimal() and len(value) == 3:
            value = int(value)
        if isinstance(value, str) and value:
            return _BY_WORD.get(value, value)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 400:
            return _BY_STATUS.get(value, "server" if value >= 500 else "bad-request")
    return "server"
