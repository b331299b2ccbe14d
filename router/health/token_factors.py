"""How many tokens a family of models makes of each that we count, as its providers report them.

A request is counted in one tokenizer before it is sent; its target counts in another, and says how much only
afterwards. Whether a long request fits a window is asked before, so the two are compared: of a family's latest requests
the ratio that 95 of 100 stay below is taken. The other five may be refused as too long when they nearly fill the
window, and go elsewhere; a higher ratio would have agents compact long before they must.

Code and JSON differ more between tokenizers than prose does, so only requests count that are as long as an agent's.
Tokenizers don't change by the hour: old ratios are forgotten by count, not by time.
"""

from __future__ import annotations

from typing import Final

ENOUGH: Final = 20
"""Requests of a family before their ratio is taken."""
LEAST_TOKENS: Final = 10_000
"""A shorter request consists of other things than one that fills a window."""
LOWEST: Final = 1.0
"""A window is never taken for larger than it is, also where a family makes fewer tokens than we count."""
HIGHEST: Final = 2.0
MAX_FAMILIES: Final = 256

_PARTS: Final = 100  # of 1: a bucket is so wide
_COMPARABLE: Final = range(_PARTS // 2, int(HIGHEST * _PARTS) + 1)
# Another ratio says nothing of the tokenizer: the request referred to an earlier reply, or the provider searched the
# web for it and read what it found.
_REMEMBERED: Final = 500  # requests, after which the older ones count half


class TokenFactors:
    """By the family's name; of more than ``limit`` those that were told of longest ago are forgotten."""

    def __init__(self, limit: int = MAX_FAMILIES) -> None:
        self._limit = limit
        self._ratios: dict[str, _Ratios] = {}

    def observe(self, family: str, estimated: int, reported: int) -> None:
        """A request that we took to have ``estimated`` tokens had ``reported`` ones."""
        if estimated < LEAST_TOKENS:
            return
        bucket = -(-reported * _PARTS // estimated)
        if bucket not in _COMPARABLE:
            return
        ratios = self._ratios.pop(family, None)
        if ratios is None:
            ratios = _Ratios()
            while len(self._ratios) >= self._limit:
                del self._ratios[next(iter(self._ratios))]
        self._ratios[family] = ratios
        ratios.add(bucket)

    def of(self, family: str) -> float | None:
        """What to multiply an estimate with, from ``LOWEST`` to ``HIGHEST``; ``None`` while too little is known."""
        ratios = self._ratios.get(family)
        return max(LOWEST, ratios.high()) if ratios is not None and ratios.requests >= ENOUGH else None


class _Ratios:
    """A histogram in buckets of a hundredth; a bucket is named by its upper edge."""

    __slots__ = ("buckets", "requests", "weight")

    def __init__(self) -> None:
        self.requests = 0
        self.weight = 0.0
        self.buckets: dict[int, float] = {}

    def add(self, bucket: int) -> None:
        if self.weight >= _REMEMBERED:
            self.weight /= 2
            self.buckets = {bucket: weight / 2 for bucket, weight in self.buckets.items()}
        self.requests += 1
        self.weight += 1.0
        self.buckets[bucket] = self.buckets.get(bucket, 0.0) + 1.0

    def high(self) -> float:
        """By nearest rank: the upper edge of the bucket in which 95 of 100 are reached."""
        left = self.weight * 19 / 20
        top = 0
        for top in sorted(self.buckets):
            left -= self.buckets[top]
            if left <= 0.0:
                break
        return top / _PARTS
