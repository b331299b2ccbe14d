"""Token usage in one meaning, whoever reports it.

``input`` is what was read fresh: neither from a prompt cache nor written to one (Anthropic's sense). OpenAI's and
Gemini's totals, which include the cached part, are converted here, once. ``output`` includes reasoning. ``None`` means
"not reported", which is never the same as 0.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one upstream call; all counts are ``None`` where not reported, never negative.

    ``cache_write`` counts writes with the short lifetime (5 minutes), ``cache_write_1h`` those with a long one; the two
    don't overlap. ``reasoning`` is a part of ``output``. ``service_tier`` and ``speed`` are the provider's words where
    they change the price; ``web_searches`` counts the provider's own searches, which are priced apart.
    ``provider_cost_usd`` is what the provider itself says it charged (OpenRouter's ``usage.cost``), as the decimal text
    it sent.
    """

    input: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    output: int | None = None
    reasoning: int | None = None
    service_tier: str | None = None
    speed: str | None = None
    provider_cost_usd: str | None = None
    web_searches: int | None = None
