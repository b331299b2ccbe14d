"""Whether a condition can hold at all, and whether others hold whenever it does: by reasoning, without a request.

Sound, not complete: a yes is true of every request; a no may only mean that it would take too long to find out. A
condition is taken apart into cases. A case says which values are left for each fact; one that leaves a fact none is
impossible. So a condition implies another if all cases in which it holds and the other doesn't are impossible.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from router.routing.conditions import All, Always, Any, Condition, Not
from router.routing.conditions.kinds import Flag, Number, OneOf, Share
from router.routing.conditions.parsing import glob
from router.routing.conditions.request import HasTool, Image, ImageInLastTurn, ModelEquals, ModelMatches, ToolUse
from router.routing.conditions.surroundings import APIS, WEEKDAYS, Header, Tag, Time, Weekday
from router.routing.conditions.words import Concept, Keywords

_MOST_CASES: Final = 64
_MOST_LEFT: Final = 16  # cases that several conditions together have left to cover
_MOST_TOGETHER: Final = 8  # conditions that cover another together: with more of them nobody would see it


def never(condition: Condition) -> bool:
    """Whether no request can meet the condition."""
    return _impossible([(condition, True)])


def implies(one: Condition, other: Condition) -> bool:
    """Whether every request that meets ``one`` meets ``other``."""
    return _impossible([(one, True), (other, False)])


def covered(condition: Condition, earlier: Sequence[Condition]) -> tuple[int, ...] | None:
    """The fewest we find of some other conditions, by number, of which every request that meets ``condition`` meets
    one. None where that can't be said."""
    cases = _cases([_ANY_REQUEST], condition, holds=True)
    if cases is None:
        return None
    needed: list[int] = []
    left = cases
    for number, other in enumerate(earlier):
        if _cases(cases, other, holds=False) == []:
            return (number,)
        if len(needed) == _MOST_TOGETHER or _cases(left, other, holds=True) == []:
            continue
        rest = _cases(left, other, holds=False)
        if rest is not None and len(rest) <= _MOST_LEFT:  # else it is left out, and less is covered
            needed.append(number)
            left = rest
        if not left:
            return _fewest(cases, earlier, needed)
    return None


def _fewest(cases: Sequence[_Case], earlier: Sequence[Condition], needed: Sequence[int]) -> tuple[int, ...]:
    """The numbers of those conditions without which not all the cases would be covered."""
    for number in tuple(needed):
        fewer = [other for other in needed if other != number]
        left: Sequence[_Case] | None = cases
        for other in fewer:
            left = _cases(left, earlier[other], holds=False) if left is not None else None
        if left == []:
            needed = fewer
    return tuple(needed)


def _impossible(all_of: Iterable[tuple[Condition, bool]]) -> bool:
    cases: list[_Case] | None = [_ANY_REQUEST]
    for condition, holds in all_of:
        cases = _cases(cases, condition, holds=holds) if cases is not None else None
    return cases == []


def _cases(given: Sequence[_Case], condition: Condition, *, holds: bool) -> list[_Case] | None:
    """Those parts of the given cases in which the condition holds, or doesn't; None if they become too many."""
    match condition:
        case Not():
            return _cases(given, condition.condition, holds=not holds)
        case All() | Any() if isinstance(condition, All) is holds:
            left = list(given)
            for part in condition.conditions:
                narrowed = _cases(left, part, holds=holds)
                if narrowed is None:
                    return None
                left = narrowed
            return left
        case All() | Any():
            found: list[_Case] = []
            for part in condition.conditions:
                some = _cases(given, part, holds=holds)
                if some is None or len(found) + len(some) > _MOST_CASES:
                    return None
                found += some
            return found
        case Always():
            return list(given) if holds else []
        case _:
            return [case for old in given if (case := old.narrowed(condition, holds)) is not None]


# --- the values a fact can have ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Words:
    """These values, or (``others``) all but these, where a request may also have none."""

    words: frozenset[str | int]
    others: bool = False

    def meet(self, more: _Words) -> _Words:
        match self.others, more.others:
            case False, False:
                return _Words(self.words & more.words)
            case False, True:
                return _Words(self.words - more.words)
            case True, False:
                return _Words(more.words - self.words)
            case _:
                return _Words(self.words | more.words, others=True)

    def opposite(self) -> _Words:
        return _Words(self.words, not self.others)

    def __bool__(self) -> bool:
        return self.others or bool(self.words)


_Cut = tuple[float, bool]
"""A place between two numbers: before the number, or (``True``) behind it."""
_BOTTOM: Final[_Cut] = (-math.inf, False)
_TOP: Final[_Cut] = (math.inf, False)


@dataclass(frozen=True, slots=True)
class _Numbers:
    """The numbers in some ranges, from cut to cut, in order; ``absent``: also no number at all."""

    ranges: tuple[tuple[_Cut, _Cut], ...]
    absent: bool = False

    def meet(self, more: _Numbers) -> _Numbers:
        both = ((max(a, c), min(b, d)) for a, b in self.ranges for c, d in more.ranges)
        return _Numbers(tuple((low, high) for low, high in both if low < high), self.absent and more.absent)

    def opposite(self) -> _Numbers:
        ends = [_BOTTOM, *(cut for two in self.ranges for cut in two), _TOP]
        gaps = zip(ends[::2], ends[1::2], strict=True)
        return _Numbers(tuple((low, high) for low, high in gaps if low < high), not self.absent)

    def __bool__(self) -> bool:
        return bool(self.ranges) or self.absent


def _numbers(form: str, threshold: float, *, whole: bool) -> _Numbers:
    before = (threshold, False)
    behind = (threshold + 1, False) if whole else (threshold, True)
    match form:
        case "lt":
            return _Numbers(((_BOTTOM, before),))
        case "lte":
            return _Numbers(((_BOTTOM, behind),))
        case "gt":
            return _Numbers(((behind, _TOP),))
        case "gte":
            return _Numbers(((before, _TOP),))
        case _:
            return _Numbers(((before, behind),))


_Values = _Words | _Numbers

_COUNT: Final = _numbers("gte", 0, whole=True)  # every request has one
_AT_LEAST_ONE: Final = _numbers("gte", 1, whole=True)
_YES: Final = _Words(frozenset(["yes"]))
_YES_OR_NO: Final = _Words(frozenset(["yes", "no"]))
_IMAGE: Final = frozenset(["earlier", "last-turn"])

_POSSIBLE: Final[Mapping[str, _Values]] = {
    **dict.fromkeys(("tools", "input-tokens", "messages", "turns"), _COUNT),
    "image": _Words(_IMAGE | {"none"}),
    "api": _Words(frozenset(APIS)),
    "weekday": _Words(frozenset(range(len(WEEKDAYS)))),
    "time": _Words(frozenset(range(24 * 60))),
}
"""What a fact can be, where that is less than anything, and nothing."""


def _claim(condition: Condition) -> tuple[str, _Values] | None:
    """The fact that a condition asks for and the values it wants; None if it isn't about one value."""
    match condition:
        case ToolUse():
            return "tools", _AT_LEAST_ONE
        case Image():
            return "image", _Words(_IMAGE)
        case ImageInLastTurn():
            return "image", _Words(frozenset(["last-turn"]))
        case ModelEquals():
            return "model", _Words(frozenset(condition.words))
        case Tag():
            return None  # a request may have several
        case OneOf():
            return condition.key, _Words(frozenset(condition.words))
        case Number():
            whole = not isinstance(condition, Share)
            return condition.key, _numbers(condition.form, condition.threshold, whole=whole)
        case Flag():
            return condition.key, _YES
        case Time():
            return "time", _Words(condition.minutes)
        case Weekday():
            return "weekday", _Words(condition.days)
        case _:
            return None


def _possible(fact: str, wanted: _Values) -> _Values:
    if fact in _POSSIBLE:
        return _POSSIBLE[fact]
    if wanted == _YES:
        return _YES_OR_NO
    if isinstance(wanted, _Numbers):
        return _Numbers(((_BOTTOM, _TOP),), absent=True)
    return _Words(frozenset(), others=True)


# --- what several values may answer -----------------------------------------------------------------------------------


_HEADER: Final = "header "


@dataclass(frozen=True, slots=True)
class _AnyOf:
    """One of some words, or something that one of some globs matches, is found in ``where``."""

    where: str
    words: tuple[str, ...]
    globs: bool = False

    def implies(self, other: _AnyOf) -> bool:
        if self.where != other.where:
            return False
        if not self.globs:
            return set(self.words) <= set(other.words)
        return all(any(_narrower(word, wider) for wider in other.words) for word in self.words)

    def excludes(self, other: _AnyOf) -> bool:
        """Whether both can't be of one request: a request has several tools and tags, and one model."""
        one_value = self.where == ModelMatches.key or self.where.startswith(_HEADER)
        return (
            one_value
            and self.where == other.where
            and all(_apart(word, another) for word in self.words for another in other.words)
        )


def _any_of(condition: Condition) -> _AnyOf:
    match condition:
        case HasTool() | ModelMatches():
            return _AnyOf(condition.key, condition.patterns, globs=True)
        case Header():
            return _AnyOf(f"{_HEADER}{condition.name}", condition.patterns, globs=True)
        case Tag():
            return _AnyOf("tag", condition.words)
        case Keywords() | Concept():
            return _AnyOf(f"{condition.key} {condition.scope}", condition.words)
        case _:
            return _AnyOf(condition.text(), ())


@lru_cache(maxsize=4096)
def _narrower(pattern: str, wider: str) -> bool:
    """Whether all that one glob matches is matched by another."""
    if pattern == wider:
        return True
    if "[" in pattern or "[" in wider:
        return not set("*?[") & set(pattern) and _matches((wider,), pattern)
    # The states of ``wider`` that can be reached by what ``pattern`` has matched so far, as a * in it takes a * there.
    states = _over_stars(wider, {0})
    for letter in pattern:
        states = _over_stars(
            wider,
            {
                state if wider[state] == "*" else state + 1
                for state in states
                if state < len(wider) and (wider[state] == "*" or (letter != "*" and wider[state] in ("?", letter)))
            },
        )
    return len(wider) in states


def _over_stars(pattern: str, states: set[int]) -> set[int]:
    """The places in a glob, and those behind the stars there."""
    found = set(states)
    for state in states:
        while state < len(pattern) and pattern[state] == "*":
            state += 1
            found.add(state)
    return found


@lru_cache(maxsize=4096)
def _apart(pattern: str, other: str) -> bool:
    """Whether two globs begin so differently that nothing matches both."""
    begins = [re.split(r"[*?\[]", each, maxsplit=1)[0] for each in (pattern, other)]
    return not (begins[0].startswith(begins[1]) or begins[1].startswith(begins[0]))


def _matches(patterns: tuple[str, ...], word: str) -> bool:
    return glob(patterns).fullmatch(word) is not None


@dataclass(frozen=True, slots=True)
class _Case:
    """What is known of a request: the values left for its facts, what is found in it, what isn't."""

    facts: Mapping[str, _Values]
    found: frozenset[_AnyOf] = frozenset()
    missing: frozenset[_AnyOf] = frozenset()

    def narrowed(self, condition: Condition, holds: bool) -> _Case | None:
        """The same where one more condition holds, or doesn't; None if that can't be."""
        claim = _claim(condition)
        if claim is None:
            return self._asked(_any_of(condition), holds)
        fact, wanted = claim
        known = self.facts.get(fact) or _possible(fact, wanted)
        left = _meet(known, wanted if holds else wanted.opposite())
        return _Case({**self.facts, fact: left}, self.found, self.missing)._settled() if left else None

    def _asked(self, asked: _AnyOf, holds: bool) -> _Case | None:
        if not holds:
            if any(one.implies(asked) for one in self.found) or (
                asked.where == ModelMatches.key and "*" in asked.words
            ):
                return None
            return _Case(self.facts, self.found, self.missing | {asked})._settled()
        if any(asked.implies(one) for one in self.missing) or any(asked.excludes(one) for one in self.found):
            return None
        facts = dict(self.facts)
        if asked.where == HasTool.key:
            tools = _meet(facts.get("tools", _COUNT), _AT_LEAST_ONE)
            if not tools:
                return None
            facts["tools"] = tools
        return _Case(facts, self.found | {asked}, self.missing)._settled()

    def _settled(self) -> _Case | None:
        """Without the models that a glob rules out."""
        model = self.facts.get("model")
        if not isinstance(model, _Words) or model.others:
            return self
        left = frozenset(word for word in model.words if self._may_be(str(word)))
        if not left:
            return None
        return _Case({**self.facts, "model": _Words(left)}, self.found, self.missing)

    def _may_be(self, model: str) -> bool:
        return all(
            _matches(asked.words, model) is wanted
            for some, wanted in ((self.found, True), (self.missing, False))
            for asked in some
            if asked.where == ModelMatches.key
        )


_ANY_REQUEST: Final = _Case({})
_ANY_MODEL: Final = _AnyOf(ModelMatches.key, ("*",), globs=True)


def _meet(one: _Values, other: _Values) -> _Values:
    if isinstance(one, _Words) and isinstance(other, _Words):
        return one.meet(other)
    if isinstance(one, _Numbers) and isinstance(other, _Numbers):
        return one.meet(other)
    raise TypeError("a fact's values are of one kind")
