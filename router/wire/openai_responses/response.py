"""The response object as clients get it: whole, and in the first and the last event of a stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from router.wire.body import Body
from router.wire.encoding import Asked
from router.wire.opaque import INVENTED
from router.wire.usage import Usage

ECHOED: Final = (
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_p",
    "truncation",
    "user",
)
"""Fields of a request that its response repeats."""


_IN_ONE_LINE: Final = bytes.maketrans(b"\r\n", b"  ")


def echoed(body: Body) -> dict[str, bytes]:
    """Those of a request that it has, in one line each, since they stand in a stream's events, too: in JSON line ends
    are nothing but space between values."""
    fields = ((name, body.raw_field(name)) for name in ECHOED)
    return {name: raw.translate(_IN_ONE_LINE) for name, raw in fields if raw is not None and raw != b"null"}


class ResponseObject:
    """Writes one response as it stands at a moment."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._echo = {name: msgspec.Raw(raw) for name, raw in asked.echo.items()}
        self.model = asked.model

    def written(
        self,
        status: str,
        output: Sequence[bytes] = (),
        *,
        usage: Usage | None = None,
        incomplete: str | None = None,
        error: dict[str, str] | None = None,
    ) -> bytes:
        """JSON with all fields of the format. ``output`` holds the finished items, ``incomplete`` the reason for it."""
        fields: dict[str, Any] = {
            "id": f"resp_{INVENTED}{self._asked.reply_id}",
            "object": "response",
            "created_at": self._asked.created,
            "status": status,
            "background": False,
            "completed_at": None,
            "error": error,
            "incomplete_details": None if incomplete is None else {"reason": incomplete},
            "instructions": None,
            "max_output_tokens": None,
            "max_tool_calls": None,
            "metadata": {},
            "model": self.model,
            "output": [msgspec.Raw(item) for item in output],
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "prompt_cache_key": None,
            "reasoning": {"effort": None, "summary": None},
            "safety_identifier": None,
            "service_tier": "default",
            "store": False,
            "temperature": None,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_logprobs": 0,
            "top_p": None,
            "truncation": "disabled",
            "usage": None if usage is None else usage_fields(usage),
            "user": None,
        }
        return msgspec.json.encode(fields | self._echo)


def usage_fields(usage: Usage) -> dict[str, Any]:
    """Usage in this format's meaning: the input includes what was read from and written to a cache."""
    read = usage.cache_read or 0
    written = (usage.cache_write or 0) + (usage.cache_write_1h or 0)
    total_input = (usage.input or 0) + read + written
    output = usage.output or 0
    return {
        "input_tokens": total_input,
        "input_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
        "total_tokens": total_input + output,
    }
