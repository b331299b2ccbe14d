"""Rates: what a token of one model costs at one provider, in integer pico-dollars.

A pico-dollar per token is a micro-dollar per million tokens, so every published price is a whole number here and sums
are exact. ``prices.py`` has the table they come from, ``cost.py`` adds them up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_UP, Decimal

PICO_PER_USD = 10**12
_PICO_PER_TOKEN = 10**6  # of one USD per million tokens


def pico_per_token(usd_per_million: Decimal) -> int:
    """USD per million tokens as pico-dollars per token, rounded half up: finer digits are noise at the source."""
    if not usd_per_million.is_finite() or usd_per_million < 0:
        raise ValueError(f"a price must be a number of at least 0, got {usd_per_million}")
    return int((usd_per_million * _PICO_PER_TOKEN).to_integral_value(ROUND_HALF_UP))


@dataclass(frozen=True, slots=True)
class Period:
    """When a price is in force: from a day on, or between two times of every day, both in UTC; neither is "always"."""

    since: date | None = None
    hours: tuple[time, time] | None = None  # from, until (not included); may run over midnight

    def holds(self, moment: date) -> bool:
        """Whether it holds at ``moment``: a datetime (UTC if it has no zone), or a day, meaning its first instant."""
        at = _utc(moment)
        if self.since is not None and at.date() < self.since:
            return False
        if self.hours is None:
            return True
        start, end = self.hours
        clock = at.time()
        return start <= clock < end if start <= end else clock >= start or clock < end


@dataclass(frozen=True, slots=True)
class Tier:
    """Rates of a whole request (not only of the tokens beyond) whose total input is more than ``above`` tokens."""

    above: int
    rates: Rates


@dataclass(frozen=True, slots=True)
class Change:
    """Rates that replace the plain ones during a period."""

    period: Period
    rates: Rates


@dataclass(frozen=True, slots=True)
class Variant:
    """Rates that replace some of those in force when the request was served in a special way.

    ``when`` is in the provider's words: ``service_tier`` flex or priority, ``speed`` fast, ``processing`` batch.
    """

    when: tuple[tuple[str, str], ...]
    period: Period
    rates: Rates


TOKEN_KINDS = ("input", "output", "cache_read", "cache_write", "cache_write_1h", "reasoning")
KINDS = (*TOKEN_KINDS, "web_search", "request")


@dataclass(frozen=True, slots=True)
class Rates:
    """Prices of one model: pico-dollars per token, per web search and per request; None is "no price of its own".

    A kind without its own price is paid as the kind it is a part of: cache reads and short writes as input, long writes
    as short ones, reasoning as output. No input or output price at all means unknown, never free.

    The fields are the plain rates. What differs by input length, by date and by service class hangs below them:
    ``on()`` picks the rates in force for a moment and a service class, ``for_input()`` then those of an input length.
    The plain rates of a model whose price has changed are the oldest ones, so show ``on(today)``.
    """

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None
    web_search: int | None = None
    request: int | None = None
    tiers: tuple[Tier, ...] = ()  # rising
    changes: tuple[Change, ...] = ()  # the last that holds wins
    variants: tuple[Variant, ...] = ()  # the first that holds wins, for each kind apart
    source: str = ""

    @classmethod
    def flat(
        cls,
        *,
        input: Decimal,  # noqa: A002 - named like the field and the key in routing.toml
        output: Decimal,
        cache_read: Decimal | None = None,
        cache_write: Decimal | None = None,
        cache_write_1h: Decimal | None = None,
        source: str = "override",
    ) -> Rates:
        """One price a kind, in USD per million tokens: what a user's override says.

        Missing cache prices follow the rule above: ``cache_read`` and ``cache_write`` cost as ``input``,
        ``cache_write_1h`` as ``cache_write``.
        """
        read = input if cache_read is None else cache_read
        write = input if cache_write is None else cache_write
        write_1h = write if cache_write_1h is None else cache_write_1h
        return cls(
            input=pico_per_token(input),
            output=pico_per_token(output),
            cache_read=pico_per_token(read),
            cache_write=pico_per_token(write),
            cache_write_1h=pico_per_token(write_1h),
            source=source,
        )

    def on(self, moment: date, context: Mapping[str, str] | None = None) -> Rates:
        """The rates in force at ``moment`` for a service class, without dates and variants, tiers kept.

        ``context`` is compared with each variant's ``when``; one that no variant knows gets the standard rates.
        """
        chosen = self
        for change in self.changes:
            if change.period.holds(moment):
                chosen = change.rates
        for variant in reversed(self.variants if context else ()):
            if variant.period.holds(moment) and all((context or {}).get(key) == value for key, value in variant.when):
                chosen = _overlay(chosen, variant.rates)
        if chosen is self and not (self.changes or self.variants):
            return self
        return replace(chosen, changes=(), variants=(), source=self.source)

    def dearest(self, moment: date, tokens: int) -> Rates:
        """The highest rate of each kind that a request with at most so many input tokens can be charged at ``moment``,
        whatever its service class, its length and what is cached of it; without tiers and variants.

        ``input`` is the dearest way in which a token can be read, ``output`` in which it can be written."""
        contexts = [dict(variant.when) for variant in self.variants]
        due = [self.on(moment, context) for context in (None, *contexts)]
        due += [tier.rates for rates in due for tier in rates.tiers if tier.above < tokens]

        def most(*kinds: str) -> int | None:
            prices = (getattr(rates, kind) for rates in due for kind in kinds)
            return max((price for price in prices if price is not None), default=None)

        read = most("input", "cache_read", "cache_write", "cache_write_1h")
        written = most("output", "reasoning")
        return Rates(
            input=read, output=written, web_search=most("web_search"), request=most("request"), source=self.source
        )

    def for_input(self, tokens: int) -> Rates:
        """The rates of a request with this many input tokens in all (fresh, read and written)."""
        chosen = self
        for tier in self.tiers:
            if tokens > tier.above:
                chosen = tier.rates
        return chosen


def _overlay(below: Rates, above: Rates) -> Rates:
    """``below`` with every kind that ``above`` prices taken from there, at each input length."""
    starts = sorted({tier.above for tier in (*below.tiers, *above.tiers)})
    tiers = tuple(Tier(start, _merge(below.for_input(start + 1), above.for_input(start + 1))) for start in starts)
    return replace(_merge(below, above), tiers=tiers)


def _merge(below: Rates, above: Rates) -> Rates:
    own = {kind: price for kind in KINDS if (price := getattr(above, kind)) is not None}
    return replace(below, tiers=(), **own)


def _utc(moment: date) -> datetime:
    if not isinstance(moment, datetime):
        return datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
