"""How advice writes its numbers."""

from __future__ import annotations

from router.ledger.periods import DAY_MS


def dollars(nano_usd: int) -> str:
    """``$14.20``; four places where two say too little."""
    amount = abs(nano_usd) / 1e9
    return f"{'-' if nano_usd < 0 else ''}${amount:,.{2 if amount >= 0.995 or not amount else 4}f}"


def percent(share: float) -> str:
    """``27%``, ``0.4%``."""
    return f"{100 * share:.{0 if share >= 0.0995 or not share else 1}f}%"


def counted(number: int, word: str = "request") -> str:
    """``1 request``, ``1,204 requests``."""
    return f"{number:,} {word if number == 1 else f'{word}s'}"


def days(period_ms: int) -> str:
    """``1 day``, ``30 days``."""
    return counted(max(1, round(period_ms / DAY_MS)), "day")


def two_digits(number: int) -> int:
    """The largest number up to this one with no more than two digits that aren't 0."""
    step: int = 10 ** max(0, len(str(number)) - 2)
    return number // step * step


def roundest(low: int, high: int) -> int:
    """The number with the most zeros at its end between two, both included; the smallest of those."""
    step = 1
    while -(-low // (step * 10)) * step * 10 <= high:
        step *= 10
    return -(-low // step) * step
