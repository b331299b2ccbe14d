"""Prices as people read them: USD per million tokens, from the pico-dollars per token of the table."""

from __future__ import annotations

from decimal import Decimal

from router.cli.output import UNKNOWN
from router.money.rates import Rates

_PICO_PER_TOKEN = 1_000_000  # pico-dollars per token of one dollar per million tokens
_PICO_PER_USD = 1_000_000_000_000


def per_million(rates: Rates | None, kind: str) -> str:
    """``3``, ``0.25``; ``?`` where no price is known, ``-`` where a kind has no price of its own."""
    if rates is None or (rates.input is None and rates.output is None):
        return UNKNOWN
    price = getattr(rates, kind)
    return "-" if price is None else plain(Decimal(price) / _PICO_PER_TOKEN)


def per_million_number(rates: Rates | None, kind: str) -> float | None:
    """The same for JSON."""
    price = None if rates is None else getattr(rates, kind)
    return None if price is None else float(Decimal(price) / _PICO_PER_TOKEN)


def each(pico: int | None) -> str:
    """A price per request or per search, in USD."""
    return UNKNOWN if pico is None else plain(Decimal(pico) / _PICO_PER_USD)


def plain(value: Decimal) -> str:
    """Without an exponent and without zeros at the end."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
