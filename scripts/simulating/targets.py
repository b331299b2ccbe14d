"""The targets of the simulated day: what they cost, how they perform, and when they are in trouble.

Invented, but each after a kind that exists: two large vendors, one of whom charges for filling its prompt cache; an
open model that is cheaper; one on fast hardware, without a cache and with a tight rate limit; and one that costs next
to nothing and is slow and talkative.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, NamedTuple

from router.money.rates import Rates
from router.wire.usage import Usage

HOUR_S = 3600.0


class Trouble(NamedTuple):
    """Between two hours of the day a target fails so often, or is so many times slower."""

    since: float
    until: float
    fails: float = 0.0
    slower: float = 1.0


@dataclass(frozen=True, slots=True)
class Target:
    """One model at one provider. ``first_token_s`` is the median of an empty prompt, to which reading the input comes.

    ``cache``: "paid" is dearer to fill than plain input, "free" isn't, "none" remembers nothing.
    """

    provider: str
    model: str
    rates: Rates
    first_token_s: float
    reads_per_s: float  # fresh input tokens
    writes_per_s: float  # output tokens
    fails: float
    cache: Literal["paid", "free", "none"]
    cache_s: float = 300.0
    wordy: float = 1.0  # its answers' length, against the others'
    per_minute: int | None = None
    weight: float = 1.0
    troubles: tuple[Trouble, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        return self.provider, self.model

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.model}"

    def usage(self, fresh: int, cached: int, output: int) -> Usage:
        """As this provider reports it."""
        if self.cache == "paid":
            return Usage(input=0, cache_read=cached, cache_write=fresh, output=output)
        return Usage(input=fresh, cache_read=cached, output=output)


def _rates(price: str, output: str, *, cached: str | None = None, filling: str | None = None) -> Rates:
    def decimal(text: str | None) -> Decimal | None:
        return None if text is None else Decimal(text)

    return Rates.flat(
        input=Decimal(price),
        output=Decimal(output),
        cache_read=decimal(cached),
        cache_write=decimal(filling),
        source="invented",
    )


TARGETS: tuple[Target, ...] = (
    Target(
        "alder",
        "large",
        _rates("3", "15", cached="0.30", filling="3.75"),
        first_token_s=1.1,
        reads_per_s=20_000,
        writes_per_s=65,
        fails=0.005,
        cache="paid",
        weight=3,
        troubles=(Trouble(10, 10.75, fails=1.0),),
    ),
    Target(
        "birch",
        "large",
        _rates("2.50", "10", cached="0.25"),
        first_token_s=0.8,
        reads_per_s=20_000,
        writes_per_s=90,
        fails=0.005,
        cache="free",
        weight=3,
        troubles=(Trouble(13, 14, slower=8),),
    ),
    Target(
        "cedar",
        "coder",
        _rates("0.60", "2.40", cached="0.12"),
        first_token_s=1.6,
        reads_per_s=12_000,
        writes_per_s=50,
        fails=0.015,
        cache="free",
        weight=2,
        troubles=(Trouble(15.5, 16, fails=0.9),),
    ),
    Target(
        "dogwood",
        "coder",
        _rates("0.90", "1.20"),
        first_token_s=0.3,
        reads_per_s=60_000,
        writes_per_s=350,
        fails=0.01,
        cache="none",
        per_minute=10,
    ),
    Target(
        "elm",
        "coder",
        _rates("0.28", "0.42", cached="0.028"),
        first_token_s=3.5,
        reads_per_s=8_000,
        writes_per_s=30,
        fails=0.04,
        cache="free",
        wordy=1.5,
    ),
)


class Luck(NamedTuple):
    """The chances of one call, drawn beforehand so that every strategy meets the same: 0 <= x < 1."""

    failing: float
    beginning: float
    writing: float


class Answer(NamedTuple):
    """What became of a call. Times are seconds from its beginning."""

    failure: Literal["", "server", "rate"]
    took_s: float
    first_token_s: float = 0.0
    cached: int = 0
    fresh: int = 0
    output: int = 0
    retry_after_s: float = 0.0


@dataclass(slots=True)
class Served:
    """A target at work: the calls of the last minute and what its prompt cache holds."""

    target: Target
    _lately: deque[float] = field(default_factory=deque)
    _caches: dict[tuple[str, int], tuple[int, float]] = field(default_factory=dict)

    def call(self, now: float, prefix: tuple[str, int] | None, tokens: int, output: int, luck: Luck) -> Answer:
        """``prefix`` names what the request's beginning is common with: a conversation and its last compaction."""
        target = self.target
        lately = self._lately
        while lately and lately[0] <= now - 60.0:
            lately.popleft()
        if target.per_minute is not None and len(lately) >= target.per_minute:
            return Answer("rate", 0.1, retry_after_s=lately[0] + 60.0 - now)
        lately.append(now)
        hour = now / HOUR_S
        troubles = [trouble for trouble in target.troubles if trouble.since <= hour < trouble.until]
        if luck.failing < max([target.fails, *(trouble.fails for trouble in troubles)]):
            return Answer("server", 1.0)
        slower = math.prod(trouble.slower for trouble in troubles)
        cached = self._cached(now, prefix, tokens)
        first_s = slower * (
            target.first_token_s * _spread(luck.beginning, 0.5) + (tokens - cached) / target.reads_per_s
        )
        written = round(output * target.wordy)
        took_s = first_s + written / target.writes_per_s * _spread(luck.writing, 0.2)
        if prefix is not None and target.cache != "none":
            self._caches[prefix] = tokens, now + first_s + target.cache_s
        return Answer("", took_s, first_s, cached, tokens - cached, written)

    def _cached(self, now: float, prefix: tuple[str, int] | None, tokens: int) -> int:
        held, until = self._caches.get(prefix, (0, 0.0)) if prefix is not None else (0, 0.0)
        return min(held, tokens) if now < until else 0


def _spread(chance: float, sigma: float) -> float:
    """A factor around 1: log-logistic, which is close to log-normal and needs one logarithm."""
    chance = min(max(chance, 1e-6), 1 - 1e-6)
    return math.exp(sigma * 0.55 * math.log(chance / (1 - chance)))
