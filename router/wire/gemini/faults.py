"""Errors inside a Gemini stream: its grammar has none, but Google's SDKs look for one."""

from __future__ import annotations

from typing import Final

import msgspec

from router.wire.error_words import words_for

_HTTP: Final = {
    "INVALID_ARGUMENT": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""The HTTP status that goes with a status in words, where there is no HTTP status any more."""


def error_event(code: str, message: str) -> bytes:
    """The event by whose beginning the SDKs know an error, so the order of its fields matters."""
    status = words_for(None, code).gemini
    error = {"code": _HTTP.get(status, 500), "message": message, "status": status}
    return b"data: %b\r\n\r\n" % msgspec.json.encode({"error": error})
