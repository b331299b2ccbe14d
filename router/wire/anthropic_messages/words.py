"""The words of Messages replies, both ways: stop reasons, errors, ids and usage."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from router.wire.events import Stop
from router.wire.opaque import INVENTED
from router.wire.usage import Usage

STOPS: Final[Mapping[str, Stop]] = {
    "end_turn": "end",
    "stop_sequence": "stop-sequence",
    "tool_use": "tool-use",
    "max_tokens": "max-tokens",
    "model_context_window_exceeded": "context-window",
    "refusal": "refusal",
    "pause_turn": "pause",
    "compaction": "pause",
}
STOP_REASONS: Final[Mapping[Stop, str]] = {stop: reason for reason, stop in STOPS.items() if reason != "compaction"}

ERROR_CODES: Final[Mapping[str, str]] = {
    "api_error": "server",
    "authentication_error": "auth",
    "billing_error": "quota",
    "invalid_request_error": "bad-request",
    "not_found_error": "not-found",
    "overloaded_error": "overloaded",
    "rate_limit_error": "rate",
    "request_too_large": "payload_too_large",
    "timeout_error": "timeout",
}
"""Anthropic's error types as names of ``error_words.BY_CODE``; others stay what they are."""

CITATIONS: Final = frozenset(
    {
        "char_location",
        "page_location",
        "content_block_location",
        "web_search_result_location",
        "search_result_location",
    }
)
"""Kinds of citations that are Anthropic's; others can't be told, since their sealed places can't be made up."""

_NOT_IN_IDS: Final = re.compile(r"[^a-zA-Z0-9_-]+")
_TIERS: Final = ("standard", "priority", "batch")
_SPEEDS: Final = ("standard", "fast")


def message_id(upstream_id: str, reply_id: str) -> str:
    """The id of a reply: marked as made by the router, with the provider's own id in it where there is one."""
    return f"msg_{INVENTED}_{_NOT_IN_IDS.sub('_', upstream_id or reply_id)[:200]}"


def usage_object(usage: Usage | None, input_estimate: int | None) -> dict[str, Any]:
    """``usage`` as replies and ``message_delta`` carry it: always there, cumulative, with every count that is known.

    Cached tokens stand beside ``input_tokens``, not in them. Clients add the counts up, so unknown ones are 0.
    """
    known = usage or Usage()
    fresh = known.input
    if fresh is None:
        fresh = input_estimate or 0
    out: dict[str, Any] = {
        "input_tokens": fresh,
        "cache_creation_input_tokens": (known.cache_write or 0) + (known.cache_write_1h or 0),
        "cache_read_input_tokens": known.cache_read or 0,
    }
    if known.cache_write_1h is not None:
        out["cache_creation"] = {
            "ephemeral_5m_input_tokens": known.cache_write or 0,
            "ephemeral_1h_input_tokens": known.cache_write_1h,
        }
    out["output_tokens"] = known.output or 0
    if known.reasoning is not None:
        out["output_tokens_details"] = {"thinking_tokens": known.reasoning}
    if known.web_searches is not None:
        out["server_tool_use"] = {"web_search_requests": known.web_searches, "web_fetch_requests": 0}
    if known.service_tier in _TIERS:
        out["service_tier"] = known.service_tier
    if known.speed in _SPEEDS:
        out["speed"] = known.speed
    return out


def refused(stop: Stop, explanation: str | None, words: str) -> tuple[Stop, str | None]:
    """The stop of an answer with words of refusal in it, which formats with a part for them don't show in the stop."""
    if not words:
        return stop, explanation
    return ("refusal" if stop == "end" else stop), explanation or words


def stop_fields(stop: Stop, sequence: str | None, explanation: str | None) -> dict[str, Any]:
    """``stop_reason``, ``stop_sequence`` and, where something can be told, ``stop_details``."""
    out: dict[str, Any] = {"stop_reason": STOP_REASONS[stop], "stop_sequence": sequence}
    if stop == "refusal":
        out["stop_details"] = {"type": "refusal", "category": None, "explanation": explanation}
    return out
