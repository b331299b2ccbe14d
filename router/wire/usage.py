"""Token usage in one meaning, whoever reports it.

``input`` is what was read fresh: neither from a prompt cache nor written to one (Anthropic's sense). OpenAI's and
Gemini's totals, which include the cached part, are converted here, once. ``output`` includes reasoning. ``None`` means
"not reported", which is never the same as 0.

The readers take a provider's usage object as decoded JSON and trust nothing in it: whatever isn't a plausible count is
"not reported". They never raise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any, Final

MAX_COUNT: Final = 10**12
"""A larger number is a broken counter, not a count; summing it would poison every report."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one upstream call; all counts are ``None`` where not reported, never negative.

    ``cache_write`` counts writes with the short lifetime (5 minutes), ``cache_write_1h`` those with a long one; the two
    don't overlap. ``reasoning`` is a part of ``output``. ``web_searches`` are those the provider ran itself, priced
    apart from tokens. ``service_tier`` and ``speed`` are the provider's words where they change the price.
    ``provider_cost_usd`` is what the provider itself says it charged (OpenRouter's ``usage.cost``), as the decimal text
    it sent.
    """

    input: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    output: int | None = None
    reasoning: int | None = None
    web_searches: int | None = None
    service_tier: str | None = None
    speed: str | None = None
    provider_cost_usd: str | None = None

    @property
    def total_input(self) -> int | None:
        """All input: fresh, read from a cache and written to one."""
        if self.input is None:
            return None
        return self.input + (self.cache_read or 0) + (self.cache_write or 0) + (self.cache_write_1h or 0)


def merge(old: Usage | None, new: Usage) -> Usage:
    """Two reports of one call: the later value of each field wins, a field that is missing keeps its earlier value.

    Reports are cumulative, so nothing is ever added. A later report may repeat only the total of what was written to
    the cache; what an earlier one said about long-lived writes is then a part of that total.
    """
    if old is None:
        return new
    write = old.cache_write if new.cache_write is None else new.cache_write
    if new.cache_write is not None and new.cache_write_1h is None and old.cache_write_1h:
        write = max(0, new.cache_write - old.cache_write_1h)
    return Usage(
        input=_later(old.input, new.input),
        cache_read=_later(old.cache_read, new.cache_read),
        cache_write=write,
        cache_write_1h=_later(old.cache_write_1h, new.cache_write_1h),
        output=_later(old.output, new.output),
        reasoning=_later(old.reasoning, new.reasoning),
        web_searches=_later(old.web_searches, new.web_searches),
        service_tier=new.service_tier or old.service_tier,
        speed=new.speed or old.speed,
        provider_cost_usd=new.provider_cost_usd or old.provider_cost_usd,
    )


def from_anthropic(report: Mapping[str, Any]) -> Usage:
    """``usage`` of Messages, whole or from ``message_start`` / ``message_delta``.

    Tokens of a compaction are listed in ``iterations`` and left out of the sums beside it, so they are added here; the
    other kinds of iteration are inside the sums already.
    """
    write_total = _count(report, "cache_creation_input_tokens")
    write_by_ttl = _object(report, "cache_creation")
    write_1h = _count(write_by_ttl, "ephemeral_1h_input_tokens")
    write = _first(_count(write_by_ttl, "ephemeral_5m_input_tokens"), None if write_1h is None else 0, write_total)
    if write is not None and write_total is not None and write_total > write + (write_1h or 0):
        write = write_total - (write_1h or 0)
    usage = Usage(
        input=_count(report, "input_tokens"),
        cache_read=_count(report, "cache_read_input_tokens"),
        cache_write=write,
        cache_write_1h=write_1h,
        output=_count(report, "output_tokens"),
        reasoning=_count(_object(report, "output_tokens_details"), "thinking_tokens"),
        web_searches=_count(_object(report, "server_tool_use"), "web_search_requests"),
        service_tier=_word(report, "service_tier"),
        speed=_word(report, "speed"),
    )
    iterations = report.get("iterations")
    for iteration in iterations if isinstance(iterations, list) else ():
        if isinstance(iteration, Mapping) and iteration.get("type") == "compaction":
            usage = _with_compaction(usage, from_anthropic({k: v for k, v in iteration.items() if k != "iterations"}))
    return _reasoning_inside(usage)


def from_openai(report: Mapping[str, Any], *, service_tier: object = None) -> Usage:
    """``usage`` of Chat Completions or Responses, in the dialects of compatible servers.

    ``service_tier`` stands beside ``usage`` in the reply, so it is given separately. Known dialects: DeepSeek
    (``prompt_cache_hit_tokens``), Moonshot and others (``cached_tokens`` at the top), Mistral (``num_cached_tokens``),
    gateways that keep Anthropic's names, servers that count the cached part outside the prompt, and servers that leave
    reasoning outside the completion (xAI, Gemini's compatible endpoint), which shows in the total.
    """
    prompt = _first(_count(report, "prompt_tokens"), _count(report, "input_tokens"))
    details = _object(report, "prompt_tokens_details") or _object(report, "input_tokens_details")
    cached = _first(
        _count(details, "cached_tokens"),
        _count(report, "prompt_cache_hit_tokens"),
        _count(report, "cached_tokens"),
        _count(report, "num_cached_tokens"),
        _count(report, "cache_read_input_tokens"),
    )
    write, write_long = _openai_writes(report, details)
    outside = 0
    fresh = prompt
    if prompt is not None:
        held, written = cached or 0, (write or 0) + (write_long or 0)
        if held > prompt or written > prompt:
            outside = held + written
        else:
            fresh = max(0, prompt - held - written)
    output = _first(_count(report, "completion_tokens"), _count(report, "output_tokens"))
    total = _count(report, "total_tokens")
    if output is not None and total is not None and prompt is not None:
        output = max(output, total - prompt - outside)
    out_details = _object(report, "completion_tokens_details") or _object(report, "output_tokens_details")
    return _reasoning_inside(
        Usage(
            input=fresh,
            cache_read=cached,
            cache_write=write,
            cache_write_1h=write_long,
            output=output,
            reasoning=_first(_count(out_details, "reasoning_tokens"), _count(report, "reasoning_tokens")),
            service_tier=service_tier if isinstance(service_tier, str) and service_tier else None,
            provider_cost_usd=_decimal_text(report.get("cost")),
        )
    )


def from_gemini(report: Mapping[str, Any]) -> Usage:
    """``usageMetadata`` of Gemini: thoughts stand outside the candidates, tool prompts outside the prompt.

    Its JSON leaves zeros out: a missing candidates count is what the total leaves for it, if there is a total.
    """
    prompt = _count(report, "promptTokenCount")
    cached = _count(report, "cachedContentTokenCount")
    tool_prompt = _count(report, "toolUsePromptTokenCount")
    candidates = _count(report, "candidatesTokenCount")
    thoughts = _count(report, "thoughtsTokenCount")
    total = _count(report, "totalTokenCount")
    fresh = prompt
    if prompt is not None:
        fresh = (prompt if (cached or 0) > prompt else prompt - (cached or 0)) + (tool_prompt or 0)
    if candidates is None and prompt is not None and total is not None:
        candidates = max(0, total - prompt - (tool_prompt or 0) - (thoughts or 0))
    return Usage(
        input=fresh,
        cache_read=cached,
        cache_write=None if prompt is None else 0,  # nothing is billed for filling its implicit cache
        output=None if candidates is None and thoughts is None else (candidates or 0) + (thoughts or 0),
        reasoning=thoughts,
        service_tier=_word(report, "serviceTier"),
    )


def _openai_writes(report: Mapping[str, Any], details: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Tokens written to the cache with the short (30 minutes) and the long (12 hours) lifetime."""
    total = _first(
        _count(details, "cache_write_tokens"),
        _count(report, "cache_write_tokens"),
        _count(details, "cache_creation_tokens"),
        _count(report, "cache_creation_input_tokens"),
    )
    by_ttl = _object(details, "cache_write_tokens_details") or _object(report, "cache_write_tokens_details")
    long = _first(_count(by_ttl, "ttl_12h_tokens"), _count(by_ttl, "ttl_12h"))
    short = _first(_count(by_ttl, "ttl_30m_tokens"), _count(by_ttl, "ttl_30m"), None if long is None else 0, total)
    if short is not None and total is not None and total > short + (long or 0):
        short = total - (long or 0)
    return short, long


def _with_compaction(usage: Usage, extra: Usage) -> Usage:
    def plus(count: int | None, more: int | None) -> int | None:
        return None if count is None else count + (more or 0)

    return replace(
        usage,
        input=plus(usage.input, extra.input),
        cache_read=plus(usage.cache_read, extra.cache_read),
        cache_write=plus(usage.cache_write, extra.cache_write),
        cache_write_1h=plus(usage.cache_write_1h, extra.cache_write_1h),
        output=plus(usage.output, extra.output),
        reasoning=plus(usage.reasoning, extra.reasoning),
    )


def _reasoning_inside(usage: Usage) -> Usage:
    """Reasoning is a part of the output, so it can't be larger; some servers say so all the same."""
    if usage.reasoning is None or usage.output is None or usage.reasoning <= usage.output:
        return usage
    return replace(usage, reasoning=usage.output)


def _count(report: Mapping[str, Any], name: str) -> int | None:
    """A plausible count, else ``None``. Some servers write whole numbers with a fraction (``12.0``)."""
    value = report.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    if isinstance(value, Decimal) and not value.is_finite():  # ordering a Decimal NaN raises
        return None
    if not 0 <= value <= MAX_COUNT or value != int(value):  # a float NaN fails the first test
        return None
    return int(value)


def _object(report: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = report.get(name)
    return value if isinstance(value, Mapping) else {}


def _word(report: Mapping[str, Any], name: str) -> str | None:
    value = report.get(name)
    return value if isinstance(value, str) and value else None


def _decimal_text(value: object) -> str | None:
    """An amount as plain decimal text; the readers' callers decode fractions as ``Decimal``, so no digit is lost."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    if not amount.is_finite() or not 0 <= amount <= MAX_COUNT or amount.adjusted() < -30:
        return None
    return format(amount, "f")


def _first(*counts: int | None) -> int | None:
    return next((count for count in counts if count is not None), None)


def _later(old: int | None, new: int | None) -> int | None:
    return old if new is None else new
