"""Amounts that are compared, on either side: tokens of each kind, requests, money."""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

NANO_PER_USD = 10**9


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens by what they are paid as, as in the ledger: ``input`` was read fresh, ``cache_write`` is for minutes."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    output: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(*(getattr(self, kind) + getattr(other, kind) for kind in KINDS))

    def __sub__(self, other: Tokens) -> Tokens:
        return Tokens(*(getattr(self, kind) - getattr(other, kind) for kind in KINDS))

    @property
    def total_input(self) -> int:
        """All input: fresh, read from a cache and written to one."""
        return self.input + self.cache_read + self.written

    @property
    def written(self) -> int:
        """What was written to a cache."""
        return self.cache_write + self.cache_write_1h

    @property
    def unwritten(self) -> Tokens:
        """The same, for who doesn't tell fresh input from what was written to a cache."""
        return Tokens(self.input + self.written, self.cache_read, output=self.output)

    @property
    def total(self) -> int:
        """Input and output."""
        return self.total_input + self.output

    def __bool__(self) -> bool:
        return any(getattr(self, kind) for kind in KINDS)


KINDS = tuple(field.name for field in fields(Tokens))


@dataclass(frozen=True, slots=True)
class Billed:
    """What a provider tells of something; ``None`` is "not told".

    ``list_usd`` is the price before discounts. ``rounding_usd`` is how far ``usd`` may be off, where its parts are
    rounded.
    """

    tokens: Tokens | None = None
    requests: int | None = None
    usd: Decimal | None = None
    list_usd: Decimal | None = None
    rounding_usd: Decimal = Decimal(0)

    def __add__(self, other: Billed) -> Billed:
        """The sum; what neither tells isn't told."""
        return Billed(
            _plus(self.tokens, other.tokens),
            _plus(self.requests, other.requests),
            _plus(self.usd, other.usd),
            _plus(self.list_usd, other.list_usd),
            self.rounding_usd + other.rounding_usd,
        )

    @property
    def nano_usd(self) -> int | None:
        """``usd`` in nano-dollars."""
        return None if self.usd is None else nano(self.usd)


@dataclass(frozen=True, slots=True)
class Counted:
    """What the ledger has of something.

    Of the ``calls``, ``perhaps_billed`` ended before their usage was known, ``no_usage`` came without a count (and so
    without a cost), and of ``unpriced`` the count is known but not the price: the amounts leave out what isn't known.
    ``sources`` has the calls by where their price came from.
    """

    calls: int = 0
    tokens: Tokens = Tokens()
    nano_usd: int = 0
    perhaps_billed: int = 0
    no_usage: int = 0
    unpriced: int = 0
    sources: tuple[tuple[str, int], ...] = ()

    def __add__(self, other: Counted) -> Counted:
        sources = dict(self.sources)
        for source, calls in other.sources:
            sources[source] = sources.get(source, 0) + calls
        return Counted(
            self.calls + other.calls,
            self.tokens + other.tokens,
            self.nano_usd + other.nano_usd,
            self.perhaps_billed + other.perhaps_billed,
            self.no_usage + other.no_usage,
            self.unpriced + other.unpriced,
            tuple(sorted(sources.items())),
        )


def nano(usd: Decimal) -> int:
    """Dollars in nano-dollars, rounded half up."""
    return int((usd * NANO_PER_USD).to_integral_value(ROUND_HALF_UP))


def _plus(one: Any, other: Any) -> Any:
    return other if one is None else one if other is None else one + other
