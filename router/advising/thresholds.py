"""Where a rule's bound (``input-tokens-lt`` and the like) would have saved more.

Every bound that would have decided any past request otherwise is tried: the requests are sent over the line one by one,
the smallest first, while the cost of the whole is kept up to date, caches included. A cheaper bound counts only if
whoever gets more requests by it did well with such requests, at least half as large.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Final, NamedTuple

from router.advising.advice import Advice
from router.advising.costs import Costs, Line
from router.advising.evidence import STRIDE, worth_saying
from router.advising.inquiry import Inquiry
from router.advising.matches import with_bound
from router.advising.records import Records, Wanted
from router.advising.shapes import Shape
from router.advising.words import counted, roundest
from router.errors import NoRoute
from router.routing.conditions import All, Always, Condition, Not
from router.routing.conditions.kinds import Number, Share
from router.routing.facts import FactUnknown
from router.routing.rules import RouteTable, Rule, Target, decide

KIND: Final = "threshold"

_AS_GOOD: Final = 0.99  # of the best saving: a rounder bound is worth the rest, which is chance anyway
_BELOW: Final = ("lt", "lte")  # forms whose rule takes what is below
_AFTER: Final = ("lt", "gte")  # forms whose bound is the first number above the line


def thresholds(inquiry: Inquiry) -> Iterator[Advice]:
    """Better bounds, one for each bound that a rule has."""
    for rule in inquiry.profile.routes.rules:
        for part in rule.match.parts if rule.match is not None else ():
            if isinstance(part, Number) and not isinstance(part, Share) and part.form != "eq":
                found = _better(inquiry, rule, part)
                if found is not None:
                    yield found


class _Side(NamedTuple):
    """A request whose way the bound decides: its number, its value, where it goes below the line and above."""

    number: int
    value: int
    below: Target
    above: Target


class _Cut(NamedTuple):
    """A line above the first ``below`` requests, and what all cost by it."""

    below: int
    nano_usd: int


def _better(inquiry: Inquiry, rule: Rule, part: Number) -> Advice | None:
    sides = _sides(inquiry, rule, part)
    paid = sum(inquiry.past.requests[side.number].row.cost_nano_usd or 0 for side in sides)
    if not sides or not worth_saying(paid, paid, inquiry.past.period_ms):
        return None  # nor is there so much to save
    now = sum(_is_below(part, side.value) for side in sides)
    cuts = _cuts(inquiry.costs, sides)
    cost_now = next(cut.nano_usd for cut in cuts if cut.below == now)
    moves = _Moves(inquiry, sides, now, Records(inquiry.past, part.value))
    inner = sorted((cut for cut in cuts if 0 < cut.below < len(sides)), key=lambda cut: cut.nano_usd)
    worth = (cut for cut in inner if worth_saying(cost_now - cut.nano_usd, paid, inquiry.past.period_ms))
    best = next((cut for cut in worth if moves.do_well(cut.below)), None)
    if best is None:
        return None
    enough = cost_now - _AS_GOOD * (cost_now - best.nano_usd)
    limits = {_limit(part, sides, cut.below): cut.below for cut in inner if cut.nano_usd <= enough}
    limit = max((limit for limit, below in limits.items() if moves.do_well(below)), key=_roundness)
    return _advice(inquiry, rule, part, moves, limits[limit], limit, paid)


# --- the search -------------------------------------------------------------------------------------------------------


def _sides(inquiry: Inquiry, rule: Rule, part: Number) -> list[_Side]:
    """The requests whose way the bound decides, the smallest value first."""
    assert rule.match is not None
    others = tuple(each for each in rule.match.parts if each is not part)
    within = _with(inquiry.profile.routes, rule, All(others) if others else Always())
    without = _with(inquiry.profile.routes, rule, Not(Always()))
    found = []
    for request in inquiry.past.requests:
        if request.facts is None or not request.priced:
            continue
        try:
            value = part.value(request.facts)
            taken = decide(within, request.facts) if value is not None else None
            if value is None or taken is None or (taken.rule.kind, taken.rule.index) != ("rule", rule.index):
                continue
            left = decide(without, request.facts)
        except (FactUnknown, NoRoute):
            continue
        inside, outside = (Target(each.provider, each.model) for each in (taken.candidates[0], left.candidates[0]))
        if inside != outside and inquiry.costs.knows(inside) and inquiry.costs.knows(outside):
            below, above = (inside, outside) if part.form in _BELOW else (outside, inside)
            found.append(_Side(request.number, int(value), below, above))
    return sorted(found, key=lambda side: side.value)


def _with(routes: RouteTable, rule: Rule, match: Condition) -> RouteTable:
    return replace(routes, rules=tuple(replace(each, match=match) if each is rule else each for each in routes.rules))


def _is_below(part: Number, value: int) -> bool:
    """Whether a value is below the line that the bound draws."""
    return value < part.threshold if part.form in _AFTER else value <= part.threshold


def _cuts(costs: Costs, sides: Sequence[_Side]) -> list[_Cut]:
    """Every line that can be drawn, with the cost of all requests and their conversations by it."""
    above = {side.number: side.above for side in sides}
    lines: dict[int, Line] = {}
    for side in sides:
        if side.number not in lines:
            numbers = costs.line_of(side.number)
            line = Line(costs, {each: above.get(each) or costs.target(each) for each in numbers})
            lines |= dict.fromkeys(numbers, line)
    total = sum(line.total for line in set(lines.values()))
    cuts = [_Cut(0, total)]
    for place, side in enumerate(sides, 1):
        total += lines[side.number].move(side.number, side.below)
        if place == len(sides) or sides[place].value != side.value:
            cuts.append(_Cut(place, total))
    return cuts


# --- who may take more ------------------------------------------------------------------------------------------------


class _Move(NamedTuple):
    """From one target to another, for requests of a kind."""

    gets: Target
    loses: Target
    shape: Shape | None


class _Moves:
    """What goes elsewhere where the line is drawn anew; ``now`` are below it today."""

    def __init__(self, inquiry: Inquiry, sides: Sequence[_Side], now: int, records: Records) -> None:
        self.sides = sides
        self.now = now
        self.records = records
        shapes = [inquiry.past.requests[side.number].shape for side in sides]
        both = list(zip(sides, shapes, strict=True))
        self._up = _counts([_Move(side.below, side.above, shape) for side, shape in both])
        self._down = _counts([_Move(side.above, side.below, shape) for side, shape in both])

    def do_well(self, below: int) -> bool:
        """Whether those that get the requests did well with such, at least half as large."""
        first, last = sorted((self.now, below))
        largest = self.sides[last - 1].value / STRIDE
        wanted: defaultdict[tuple[Target, Target], dict[Shape, Wanted]] = defaultdict(dict)
        for move, counts in (self._up if below > self.now else self._down).items():
            moved = counts[last] - counts[first]
            if moved and move.shape is not None:
                wanted[move.gets, move.loses][move.shape] = Wanted(moved, largest)
        return all(self.records.may_take_all(*targets, kinds) for targets, kinds in wanted.items())

    def details(self, part: Number, below: int) -> Iterator[str]:
        """How many requests would have gone from where to where, and how well those targets did."""
        first, last = sorted((self.now, below))
        moved, up = self.sides[first:last], below > self.now
        pairs = Counter((side.above, side.below) if up else (side.below, side.above) for side in moved)
        for (loses, gets), number in pairs.most_common(2):
            yield f"{counted(number)} ({part.key} {moved[0].value:,} to {moved[-1].value:,}) go to {gets}, not {loses}"
        for gets in dict.fromkeys(gets for _, gets in pairs):
            yield f"{gets} {self.records.in_all(gets)}"
            largest = self.records.largest_seen(gets)
            if largest < moved[-1].value:
                yield f"{gets} was given none of more than {largest:,.0f} so far: watch what comes of it"


def _counts(moves: Sequence[_Move]) -> Mapping[_Move, list[int]]:
    """How many of each there are among the first n."""
    places: dict[_Move, int] = {}
    told = [places.setdefault(move, len(places)) for move in moves]
    return {move: list(accumulate((each == place for each in told), initial=0)) for move, place in places.items()}


# --- the advice -------------------------------------------------------------------------------------------------------


def _advice(
    inquiry: Inquiry, rule: Rule, part: Number, moves: _Moves, below: int, limit: int, paid: int
) -> Advice | None:
    """What there is to say of a bound that has so many requests below it, if a replay agrees."""
    key = part.first_key()
    edited = inquiry.edited(
        f"write {key} = {limit} into {rule.label}, instead of {part.threshold:.0f}",
        lambda text: with_bound(text, rule, part, limit),
    )
    if edited is None:
        return None
    change = inquiry.replay(edited.profile, {side.number for side in moves.sides})
    if not change.pays(paid, inquiry.past.period_ms):
        return None
    return Advice(
        KIND,
        f"{rule.label}: {key} {limit:,} would have been cheaper than {part.threshold:,.0f}",
        rule.label,
        len(change.moved),
        edited.edit,
        inquiry.trusted(change),
        before_nano_usd=paid,
        after_nano_usd=paid - change.saving_nano_usd,
        details=tuple(moves.details(part, below)),
    )


def _limit(part: Number, sides: Sequence[_Side], below: int) -> int:
    """The roundest bound that has so many requests below it."""
    last, first = sides[below - 1].value, sides[below].value
    return roundest(last + 1, first) if part.form in _AFTER else roundest(last, first - 1)


def _roundness(limit: int) -> tuple[int, int]:
    """How well a person can remember it: few digits that aren't 0, and the larger of equals."""
    return -len(str(limit).rstrip("0")), limit
