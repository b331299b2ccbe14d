"""What an error is called in each wire format: one table by HTTP status, one by our own codes.

A status says enough for a reply that hasn't started. Inside a stream there is no status any more, so there the error's
code has to find its words. The formats' files put the words into their shapes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec


class ErrorWords(NamedTuple):
    """One kind of error: Anthropic's ``type``, OpenAI's ``type`` and ``code``, Gemini's ``status``."""

    anthropic: str
    openai_type: str
    openai_code: str | None
    gemini: str


_INVALID: Final = ErrorWords("invalid_request_error", "invalid_request_error", None, "INVALID_ARGUMENT")
_NOT_FOUND: Final = ErrorWords("not_found_error", "invalid_request_error", None, "NOT_FOUND")
_SERVER: Final = ErrorWords("api_error", "server_error", None, "INTERNAL")
_RATE: Final = ErrorWords("rate_limit_error", "rate_limit_error", "rate_limit_exceeded", "RESOURCE_EXHAUSTED")
_TIMEOUT: Final = ErrorWords("timeout_error", "timeout", "timeout", "DEADLINE_EXCEEDED")
_QUOTA: Final = ErrorWords("billing_error", "insufficient_quota", "insufficient_quota", "RESOURCE_EXHAUSTED")
_OVERLOADED: Final = ErrorWords("overloaded_error", "server_error", "server_is_overloaded", "UNAVAILABLE")

BY_STATUS: Final[Mapping[int, ErrorWords]] = {
    400: _INVALID,
    401: ErrorWords("authentication_error", "invalid_request_error", "invalid_api_key", "UNAUTHENTICATED"),
    402: _QUOTA,
    403: ErrorWords("permission_error", "permission_error", None, "PERMISSION_DENIED"),
    404: _NOT_FOUND,
    405: ErrorWords("invalid_request_error", "invalid_request_error", None, "UNIMPLEMENTED"),
    408: _TIMEOUT,
    409: ErrorWords("invalid_request_error", "invalid_request_error", None, "ABORTED"),
    413: ErrorWords("request_too_large", "invalid_request_error", None, "INVALID_ARGUMENT"),
    429: _RATE,
    501: ErrorWords("api_error", "server_error", None, "UNIMPLEMENTED"),
    503: ErrorWords("api_error", "server_error", None, "UNAVAILABLE"),
    504: _TIMEOUT,
    529: _OVERLOADED,
}

BY_CODE: Final[Mapping[str, ErrorWords]] = {
    "auth": BY_STATUS[401],
    "auth-client": BY_STATUS[401],
    "bad-request": _INVALID,
    "budget": _QUOTA,
    "budget_exceeded": _QUOTA,
    "context-length": ErrorWords(
        "invalid_request_error", "invalid_request_error", "context_length_exceeded", "INVALID_ARGUMENT"
    ),
    "content-filter": ErrorWords(
        "invalid_request_error", "invalid_request_error", "content_filter", "INVALID_ARGUMENT"
    ),
    "not-found": _NOT_FOUND._replace(openai_code="model_not_found"),
    "overloaded": _OVERLOADED,
    "payload_too_large": BY_STATUS[413],
    "quota": _QUOTA,
    "ramp-up": _RATE,
    "rate": _RATE,
    "request_timeout": _TIMEOUT,
    "timeout": _TIMEOUT,
    "too_many_requests": _RATE,
    "unauthorized": BY_STATUS[401],
    "unavailable": BY_STATUS[503],
}
"""Names of the error classes and codes of refusals that say more than a status, or stand where there is none."""


def words_for(status: int | None, code: str) -> ErrorWords:
    """The words for an error. A status decides the type; the code may know a better OpenAI code.

    A spent quota or budget is answered with 429 like a rate limit, but must not be retried like one, so its type tells
    them apart too. Where no OpenAI code fits, ours stands there.
    """
    by_code = BY_CODE.get(code)
    if status is None:
        words = by_code or _SERVER
    else:
        words = BY_STATUS.get(status) or (_INVALID if status < 500 else _SERVER)
        if by_code is _QUOTA:
            words = words._replace(openai_type=_QUOTA.openai_type, openai_code=_QUOTA.openai_code)
        elif by_code is not None and by_code.openai_code is not None:
            words = words._replace(openai_code=by_code.openai_code)
    return words if words.openai_code or not code else words._replace(openai_code=code)


_COUNTS: Final = re.compile(r"(?<!\d)\d[\d,]{3,14}(?!\d)", re.ASCII)


def too_long(message: str) -> str:
    """A provider's "too many tokens" in Anthropic's words, by which agents of every format know to compact.

    The counts are the message's own; without two of them it stays as it is behind those words.
    """
    if "prompt is too long" in message.lower():
        return message
    counts = sorted({int(count.replace(",", "")) for count in _COUNTS.findall(message)}, reverse=True)
    if len(counts) < 2:
        return f"prompt is too long: {message}"
    return f"prompt is too long: {counts[0]} tokens > {counts[1]} maximum"


def openai_error(status: int | None, code: str, message: str) -> bytes:
    """OpenAI's error object, as both of its formats write it."""
    words = words_for(status, code)
    error = {"message": message, "type": words.openai_type, "param": None, "code": words.openai_code}
    return msgspec.json.encode({"error": error})
