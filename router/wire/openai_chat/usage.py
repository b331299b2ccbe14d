"""Usage as Chat reports it: totals that include what came from the cache, zeros written out."""

from __future__ import annotations

from typing import Any, Final

from router.wire.usage import Usage

_TIERS: Final = {"standard": "default"}
_KNOWN_TIERS: Final = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})


def chat_usage(usage: Usage) -> dict[str, Any]:
    """The ``usage`` object. What wasn't reported counts as nothing here: clients add these numbers up."""
    read, write = usage.cache_read or 0, (usage.cache_write or 0) + (usage.cache_write_1h or 0)
    prompt = (usage.input or 0) + read + write
    output = usage.output or 0
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": write, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning or 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def chat_tier(usage: Usage | None) -> str | None:
    """``service_tier``, where the provider's word is one of Chat's."""
    if usage is None or usage.service_tier is None:
        return None
    word = _TIERS.get(usage.service_tier, usage.service_tier)
    return word if word in _KNOWN_TIERS else None
