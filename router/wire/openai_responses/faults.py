"""Errors inside replies: the error object of OpenAI, and what compatible servers make of it."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from router.wire.error_words import words_for
from router.wire.pieces import fields_of
from router.wire.taps import error_message


class Fault(NamedTuple):
    """``code`` is a name of ``error_words.BY_CODE`` where one fits, else the provider's own."""

    code: str
    message: str


_BY_WORD: Final = {
    "content_filter": "content-filter",
    "context_length_exceeded": "context-length",
    "insufficient_quota": "quota",
    "invalid_api_key": "auth",
    "invalid_prompt": "bad-request",
    "invalid_request_error": "bad-request",
    "model_not_found": "not-found",
    "rate_limit_error": "rate",
    "rate_limit_exceeded": "rate",
    "server_error": "server",
    "server_is_overloaded": "overloaded",
    "slow_down": "overloaded",
    "usage_limit_reached": "quota",
}
_BY_STATUS: Final = {
    400: "bad-request",
    401: "auth",
    402: "quota",
    404: "not-found",
    408: "timeout",
    429: "rate",
    503: "unavailable",
    504: "timeout",
    529: "overloaded",
}


def error_fields(code: str, message: str) -> dict[str, Any]:
    """The fields of an ``error`` event: at its top as OpenAI documents them, and under ``error`` as OpenAI sends them,
    by which its SDKs see that something is to be raised."""
    words = words_for(None, code)
    said = "server_error" if code == "server" else words.openai_code or words.openai_type
    fields = {"code": said, "message": message, "param": None}
    return {**fields, "error": {"type": words.openai_type, **fields}}


def fault_of(error: Any) -> Fault | None:
    """An ``error`` value, or an event that is one: an object, a text, or nothing."""
    message = error_message(error)
    return None if message is None else Fault(_code_of(fields_of(error)), message)


def _code_of(error: dict[str, Any]) -> str:
    """Gateways write the HTTP status where OpenAI has a word."""
    for name in ("code", "type"):
        value = error.get(name)
        if isinstance(value, str) and value not in ("", "error"):
            return _BY_WORD.get(value, value)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 400:
            return _BY_STATUS.get(value, "server" if value >= 500 else "bad-request")
    return "server"
