"""What is enough to say something: how many requests, how much money, how few failures.

Every number that decides whether advice is given stands here, with its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import fmean as mean
from statistics import stdev
from typing import Final

from router.ledger.periods import DAY_MS

ENOUGH: Final = 300
"""Requests, before anything is said. Of what none of 300 requests did, at most one in a hundred does it, with 95 %
confidence (the rule of three: 3 / 300)."""

LONG_ENOUGH_MS: Final = 7 * DAY_MS
"""How long a rule is given to fire: a week has every weekday and the weekend."""

LEAST_SHARE: Final = 0.05
"""Of what the requests in question cost. How long another model's answer would have been, and how much of a prompt it
would have found in its cache, is known to some percent at best; a smaller saving may be none."""

LEAST_A_MONTH: Final = 1_000_000_000
"""Nano-dollars in 30 days: a dollar. Less isn't worth a person's time."""

MOST_FAILING: Final = 0.05
"""The share of requests that a cheaper target may fail, at the upper end of what its record allows for. With 73
requests and no failure the record allows for 5 %, so fewer are never enough."""

A_FEW: Final = 20
"""Of one kind among several that a target is to be given together: enough to see that it can do them at all. One that
fails every third answers 20 in a row once in 3,000 times."""

NEARLY_ALL: Final = 0.9
"""Of some requests: a few odd ones among them are no reason to leave all as they are."""

STRIDE: Final = 2
"""How much larger requests a bound may give a target than it is known to do well with: few failures among small ones
say something of those twice as large, and little of those ten times. What comes of it shows before the next stride."""

DAYS_FAILING: Final = 3
"""On so many days a target must fail before that is more than an outage."""

LOWEST_THRESHOLD: Final = 0.6
"""Of a cascade: below it nobody has measured how many bad drafts are let through (``docs/cascade.md``)."""

Z: Final = 1.96
"""Standard deviations either way that leave 95 % between them."""

MONTH_MS: Final = 30 * DAY_MS


def worth_saying(saving_nano_usd: int, of_nano_usd: int, period_ms: int) -> bool:
    """Whether a saving is above the noise: a twentieth of what was paid, and a dollar a month."""
    a_month = saving_nano_usd * MONTH_MS // max(period_ms, DAY_MS)
    return saving_nano_usd >= LEAST_SHARE * of_nano_usd and a_month >= LEAST_A_MONTH


def surely_negative(amounts: Sequence[int]) -> bool:
    """Whether their mean is below 0 with 95 % confidence, and not by chance."""
    if len(amounts) < 2:
        return False
    return mean(amounts) + Z * stdev(amounts) / sqrt(len(amounts)) < 0


def at_most(failed: int, of: int) -> float:
    """The largest share of failures that the record still allows for: the upper end of Wilson's interval, which also
    holds where next to nothing failed (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927). 1 without a record."""
    return _wilson(failed, of, Z) if of else 1.0


def at_least(failed: int, of: int) -> float:
    """The smallest share of failures that the record allows for."""
    return _wilson(failed, of, -Z) if of else 0.0


def _wilson(count: int, of: int, z: float) -> float:
    share = count / of
    middle = share + z * z / (2 * of)
    spread = z * sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return (middle + spread) / (1 + z * z / of)
