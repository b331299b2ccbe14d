"""From usage and rates to money, in integers.

Every kind of token is multiplied by its rate in pico-dollars, the products are summed, and the sum is rounded half up
to nano-dollars once. What isn't known stays None: a request whose price or usage is unknown must never look free.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Literal, NamedTuple

from router.money.rates import Rates
from router.wire.usage import Usage

_NANO_PER_USD = 10**9
_PICO_PER_NANO = 1000
_LARGEST_REPORTED_USD = Decimal(1_000_000)  # of one request; beyond it the report is nonsense

# Words for "nothing special" in service_tier and speed: OpenAI, Anthropic, Gemini, Groq.
_STANDARD = frozenset({"", "auto", "default", "standard", "normal", "on_demand"})


@dataclass(frozen=True, slots=True)
class Cost:
    """An amount in nano-dollars, None when unknown, and where the price came from.

    ``source`` is "provider" (it told us what it charged), or the rates' own source ("genai-prices 0.2.3", "override"),
    with a remark in brackets when something in the usage has no price of its own there, or None with an unknown price.
    """

    nano_usd: int | None
    source: str | None


UNKNOWN = Cost(None, None)


def cost_nano_usd(usage: Usage, rates: Rates | None, *, day: date) -> Cost:
    """The cost of one upstream call made on ``day``: better a datetime (UTC if naive), as some prices go by the hour.

    The provider's own figure comes first. Otherwise input and output must both have been reported (output may be
    missing where it has no price: embeddings), and every kind of token that occurred must have a price.
    """
    reported = _reported_nano(usage.provider_cost_usd)
    if reported is not None:
        return Cost(reported, "provider")
    if rates is None or usage.input is None:
        return UNKNOWN
    due = _in_force(usage, rates, day)
    if usage.output is None and due.output is not None:
        return UNKNOWN
    pico = _sum(_parts(usage, due))
    if pico is None:
        return UNKNOWN
    remarks = _unpriced(rates, _context(usage))
    if usage.web_searches and due.web_search is None:
        remarks.append("web search")
    source = f"{rates.source} (no price for {', '.join(remarks)})" if remarks else rates.source
    return Cost((pico + _PICO_PER_NANO // 2) // _PICO_PER_NANO, source)


class Part(NamedTuple):
    """So many of a kind, each at so many pico-dollars; ``None`` without a price."""

    kind: str  # fresh | cache read | cache write | cache write 1h | output | reasoning | request | web search
    number: int
    rate: int | None


def parts(usage: Usage, rates: Rates, *, day: date) -> tuple[Part, ...]:
    """What ``cost_nano_usd`` adds up, where the provider doesn't say itself what it charged; only what occurred."""
    if usage.input is None:
        return ()
    return tuple(part for part in _parts(usage, _in_force(usage, rates, day)) if part.number and part.rate != 0)


def _in_force(usage: Usage, rates: Rates, day: date) -> Rates:
    """The rates of a call with this usage."""
    return rates.on(day, _context(usage)).for_input(usage.total_input or 0)


def _parts(usage: Usage, due: Rates) -> tuple[Part, ...]:
    output = usage.output or 0
    reasoning = 0 if due.reasoning is None else min(usage.reasoning or 0, output)
    write_rate = _first(due.cache_write, due.input)
    return (
        Part("fresh", usage.input or 0, due.input),
        Part("cache read", usage.cache_read or 0, _first(due.cache_read, due.input)),
        Part("cache write", usage.cache_write or 0, write_rate),
        Part("cache write 1h", usage.cache_write_1h or 0, _first(due.cache_write_1h, write_rate)),
        Part("output", output - reasoning, due.output),
        Part("reasoning", reasoning, due.reasoning),
        Part("request", 1, due.request or 0),
        Part("web search", usage.web_searches or 0, due.web_search or 0),
    )


def charge(cost: Cost, billing: Literal["metered", "subscription", "free"]) -> tuple[int | None, int | None]:
    """What a call adds to spend and budgets, and its list value, both in nano-dollars.

    A subscription is paid elsewhere: its calls cost 0 and are worth their list price (None if unknown). On a free
    provider both are 0, whatever the table says of the model elsewhere.
    """
    match billing:
        case "metered":
            return cost.nano_usd, cost.nano_usd
        case "subscription":
            return 0, cost.nano_usd
        case "free":
            return 0, 0


def _sum(parts: Iterable[Part]) -> int | None:
    total = 0
    for _, number, rate in parts:
        if number and rate is None:
            return None
        total += number * (rate or 0)
    return total


def _first(own: int | None, general: int | None) -> int | None:
    return general if own is None else own


def _context(usage: Usage) -> dict[str, str]:
    """Usage's service words as the price table's conditions know them."""
    context: dict[str, str] = {}
    tier, speed = (usage.service_tier or "").lower(), (usage.speed or "").lower()
    if tier not in _STANDARD:
        # Anthropic reports batches as a service tier; the table knows them as a way of processing.
        context["processing" if tier == "batch" else "service_tier"] = tier
    if speed not in _STANDARD:
        context["speed"] = speed
    return context


def _unpriced(rates: Rates, context: dict[str, str]) -> list[str]:
    known = {condition for variant in rates.variants for condition in variant.when}
    return [word for key, word in context.items() if (key, word) not in known]


def _reported_nano(text: str | None) -> int | None:
    """The provider's own figure, USD as decimal text; None if there is none or if it can't be one."""
    if text is None:
        return None
    try:
        usd = Decimal(text)
    except InvalidOperation:
        return None
    if not usd.is_finite() or not 0 <= usd <= _LARGEST_REPORTED_USD:
        return None
    return int((usd * _NANO_PER_USD).to_integral_value(ROUND_HALF_UP))
