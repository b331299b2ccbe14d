"""How targets did with requests of a kind: whether a cheaper one may be given more of them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from router.advising.evidence import A_FEW, MOST_FAILING, NEARLY_ALL, at_least, at_most
from router.advising.past import Past
from router.advising.shapes import Shape
from router.advising.words import counted, percent
from router.routing.facts import Facts, FactUnknown
from router.routing.rules import Target

Measure = Callable[[Facts], float | None]
"""How large a request is, in some number: tokens, messages, …"""


class Record(NamedTuple):
    """What a target was given, and how much of it it failed."""

    requests: int = 0
    failed: int = 0

    @property
    def at_most(self) -> float:
        """The largest share that it may fail, by this."""
        return at_most(self.failed, self.requests)

    @property
    def at_least(self) -> float:
        """The share that it fails surely."""
        return at_least(self.failed, self.requests)

    @property
    def share(self) -> float:
        """The share that it failed."""
        return self.failed / self.requests if self.requests else 0.0

    def plus(self, other: Record) -> Record:
        return Record(self.requests + other.requests, self.failed + other.failed)

    def __str__(self) -> str:
        return f"failed {self.failed:,} of {counted(self.requests)} (at most {percent(self.at_most)})"


class Wanted(NamedTuple):
    """So many requests of a kind, and the size of the largest: to be given to another target."""

    requests: int
    largest: float


class Records:
    """The records of one profile's past. They are asked for requests of at least some size: what a model can do with
    larger ones it can do with smaller ones, but not the other way round."""

    def __init__(self, past: Past, measure: Measure) -> None:
        self._sizes: dict[tuple[Target, Shape], list[float]] = {}
        self._failed: dict[tuple[Target, Shape], list[int]] = {}  # of those up to each of the sizes
        for key, trials in past.trials.items():
            known = sorted(
                (size, failed)
                for request, failed in trials
                if request.facts is not None and (size := size_of(measure, request.facts)) is not None
            )
            self._sizes[key] = [size for size, _ in known]
            total = 0
            self._failed[key] = [total := total + failed for _, failed in known]

    def targets(self) -> Iterable[Target]:
        """All that were called."""
        return dict.fromkeys(target for target, _ in self._sizes)

    def of(self, target: Target, shape: Shape, at_least: float = 0.0) -> Record:
        """A target's record with requests of a kind that are at least so large."""
        sizes = self._sizes.get((target, shape), [])
        start = bisect_left(sizes, at_least)
        failed = self._failed.get((target, shape), [])
        below = failed[start - 1] if start else 0
        return Record(len(sizes) - start, (failed[-1] if failed else 0) - below)

    def in_all(self, target: Target, shapes: Collection[Shape] | None = None) -> Record:
        """A target's record with requests of some kinds (None: of all), whatever their size."""
        together = Record()
        for each, shape in self._sizes:
            if each == target and (shapes is None or shape in shapes):
                together = together.plus(self.of(target, shape))
        return together

    def largest_seen(self, target: Target) -> float:
        """The size of the largest request that a target was given."""
        return max((sizes[-1] for (each, _), sizes in self._sizes.items() if each == target and sizes), default=0.0)

    def may_take(self, target: Target, instead_of: Target, shape: Shape, largest: float) -> bool:
        """Whether a target did well enough with requests of a kind, up to the largest, to be given them: it fails few,
        or no more than the one that has them."""
        return self.of(target, shape, largest).at_most <= max(MOST_FAILING, self.of(instead_of, shape).share)

    def may_take_all(self, target: Target, instead_of: Target, wanted: Mapping[Shape, Wanted]) -> bool:
        """Whether a target did well enough with nearly all of these kinds, taken together: of one kind a few requests
        are enough, where they don't speak against it."""
        together, covered = Record(), 0
        for shape, each in wanted.items():
            record = self.of(target, shape, each.largest)
            if record.requests >= A_FEW and record.at_least <= MOST_FAILING:
                together = together.plus(record)
                covered += each.requests
        if covered < NEARLY_ALL * sum(each.requests for each in wanted.values()):
            return False
        return together.at_most <= max(MOST_FAILING, self.in_all(instead_of, wanted).share)

    def largest(self, target: Target, instead_of: Target, shape: Shape) -> float | None:
        """The size up to which a target may be given requests of a kind in another's place; None for none."""
        sizes = self._sizes.get((target, shape), [])
        fitting = (size for size in reversed(sizes) if self.may_take(target, instead_of, shape, size))
        return next(fitting, None)


def size_of(measure: Measure, facts: Facts) -> float | None:
    """How large a request is; None where that isn't known."""
    try:
        return measure(facts)
    except FactUnknown:
        return None


def tokens(facts: Facts) -> float:
    """Estimated input tokens."""
    return facts.tokens()
