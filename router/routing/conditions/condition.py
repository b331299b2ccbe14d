"""What every condition can do, and how conditions compose.

A condition answers twice: ``test`` cheaply, on the way of every request, and ``evaluate`` with the value it saw, for
`router explain`. Both ask the same ``Facts``. The conditions themselves are in ``kinds`` and ``words``.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import ClassVar

from router.routing.facts import CountNeeded, Facts, FactUnknown, HeaderTest, PhraseTest
from router.routing.rules import Verdict


class Need(IntEnum):
    """What a condition must read, cheapest first. Within one rule the cheap ones are asked first."""

    FIELDS = 0  # headers, top-level values, the clock
    TOOLS = 1  # names of tools, the system prompt, how many messages
    LAST_TURN = 2  # the newest messages, an agent's markers
    MESSAGES = 3  # every message
    TOKENS = 4  # a token count


class Condition(ABC):
    """One question about a request."""

    __slots__ = ()

    needs: Need
    needs_tokens: bool = False

    @abstractmethod
    def test(self, facts: Facts) -> bool:
        """Whether it holds. Raises ``CountNeeded`` and ``FactUnknown`` as ``Facts`` does."""

    @abstractmethod
    def seen(self, facts: Facts) -> str:
        """The value it looks at, for a person; ASCII."""

    @abstractmethod
    def text(self) -> str:
        """The shortest way to write it, ASCII; ``parse_shorthand`` reads it back."""

    @abstractmethod
    def canonical(self) -> object:
        """Its meaning as a JSON value: equal for equal meanings, whatever the order it was written in."""

    @abstractmethod
    def first_key(self) -> str:
        """The key of its first condition as written, for labels."""

    def negated_text(self) -> str:
        """The shortest way to write its opposite."""
        return f"not {_grouped(self)}"

    @property
    def parts(self) -> tuple[Condition, ...]:
        """The conditions that must all hold, cheapest first."""
        return (self,)

    def leaves(self) -> Iterator[Condition]:
        """Every condition inside that isn't a composition."""
        yield self

    def holds(self, facts: Facts) -> bool | None:
        """Whether it holds; ``None`` where that depends on a fact nobody knows. Raises ``CountNeeded``."""
        try:
            return self.test(facts)
        except FactUnknown:
            return None

    def undecided(self, facts: Facts) -> Iterator[Condition]:
        """The conditions inside for want of whose facts it can't be told; none where it can."""
        if self.holds(facts) is None:
            yield self

    def asks(self) -> tuple[HeaderTest | PhraseTest, ...]:
        """The questions about text and headers whose answers the ledger must keep, since it keeps neither."""
        return ()

    def evaluate(self, facts: Facts) -> Verdict:
        """Answer with the value seen. A fact nobody knows gives ``holds=None``."""
        return Verdict(self.text(), self.describe(facts), self.holds(facts))

    def describe(self, facts: Facts) -> str:
        """``seen``, or why there is nothing to show."""
        try:
            return self.seen(facts)
        except FactUnknown:
            return "unknown"
        except CountNeeded:
            return "not counted"


class Always(Condition):
    """Every request."""

    __slots__ = ()
    key: ClassVar[str] = "always"
    needs = Need.FIELDS

    def test(self, facts: Facts) -> bool:
        return True

    def seen(self, facts: Facts) -> str:
        return "true"

    def text(self) -> str:
        return "always"

    def canonical(self) -> object:
        return {"always": True}

    def first_key(self) -> str:
        return "always"


class _Several(Condition):
    """Conditions in the order written (for labels) and in the order of their cost (for asking)."""

    __slots__ = ("_by_cost", "conditions", "needs", "needs_tokens")
    word: ClassVar[str]

    def __init__(self, conditions: tuple[Condition, ...]) -> None:
        if not conditions:
            raise ValueError("a composition needs at least one condition")
        self.conditions = conditions
        self._by_cost = tuple(sorted(conditions, key=lambda condition: condition.needs))
        self.needs = self._by_cost[-1].needs
        self.needs_tokens = any(condition.needs_tokens for condition in conditions)

    def seen(self, facts: Facts) -> str:
        answers = (condition.evaluate(facts) for condition in self.conditions)
        words = {True: "yes", False: "no", None: "unknown"}
        return "; ".join(f"{answer.condition}: {words[answer.holds]} ({answer.seen})" for answer in answers)

    def text(self) -> str:
        return f" {self.word} ".join(_grouped(condition) for condition in self.conditions)

    def first_key(self) -> str:
        return self.conditions[0].first_key()

    def leaves(self) -> Iterator[Condition]:
        for condition in self.conditions:
            yield from condition.leaves()

    def undecided(self, facts: Facts) -> Iterator[Condition]:
        if self.holds(facts) is None:
            for condition in self.conditions:
                yield from condition.undecided(facts)

    def _canonical_parts(self) -> list[object]:
        parts = {json.dumps(part.canonical(), sort_keys=True): part.canonical() for part in self.conditions}
        return [parts[text] for text in sorted(parts)]


class All(_Several):
    """All of them hold: several keys in one table, or ``all = [ … ]``."""

    __slots__ = ()
    word = "and"

    @property
    def parts(self) -> tuple[Condition, ...]:
        return self._by_cost

    def test(self, facts: Facts) -> bool:
        try:
            for condition in self._by_cost:  # noqa: SIM110 - a generator costs more than the conditions
                if not condition.test(facts):
                    return False
            return True
        except FactUnknown:
            # What isn't known doesn't matter if something else says no.
            return _settled(self._by_cost, facts, by=False)

    def canonical(self) -> object:
        return {"all": self._canonical_parts()}


class Any(_Several):
    """At least one of them holds: ``any = [ … ]``."""

    __slots__ = ()
    word = "or"

    def test(self, facts: Facts) -> bool:
        try:
            for condition in self._by_cost:  # noqa: SIM110 - as above
                if condition.test(facts):
                    return True
            return False
        except FactUnknown:
            return _settled(self._by_cost, facts, by=True)

    def canonical(self) -> object:
        return {"any": self._canonical_parts()}


class Not(Condition):
    """It doesn't hold: ``not = { … }``, or ``X = false``."""

    __slots__ = ("_first_key", "condition", "needs", "needs_tokens")

    def __init__(self, condition: Condition, first_key: str | None = None) -> None:
        self.condition = condition
        self.needs = condition.needs
        self.needs_tokens = condition.needs_tokens
        self._first_key = first_key or f"not-{condition.first_key()}"

    def test(self, facts: Facts) -> bool:
        return not self.condition.test(facts)

    def seen(self, facts: Facts) -> str:
        return self.condition.seen(facts)

    def text(self) -> str:
        return self.condition.negated_text()

    def canonical(self) -> object:
        return {"not": self.condition.canonical()}

    def first_key(self) -> str:
        return self._first_key

    def leaves(self) -> Iterator[Condition]:
        yield from self.condition.leaves()

    def undecided(self, facts: Facts) -> Iterator[Condition]:
        return self.condition.undecided(facts)


def all_of(conditions: list[Condition]) -> Condition:
    """``All``, without a shell around a single condition; none at all is ``Always``."""
    flat = [
        part
        for condition in conditions
        for part in (condition.conditions if isinstance(condition, All) else [condition])
    ]
    return _composed(All, flat, Always)


def any_of(conditions: list[Condition]) -> Condition:
    """``Any``, without a shell around a single condition; none at all never holds."""
    flat = [
        part
        for condition in conditions
        for part in (condition.conditions if isinstance(condition, Any) else [condition])
    ]
    return _composed(Any, flat, lambda: Not(Always()))


def _composed(
    kind: Callable[[tuple[Condition, ...]], Condition], conditions: list[Condition], empty: Callable[[], Condition]
) -> Condition:
    match conditions:
        case []:
            return empty()
        case [only]:
            return only
        case _:
            return kind(tuple(conditions))


def _settled(conditions: tuple[Condition, ...], facts: Facts, *, by: bool) -> bool:
    """The answer if some known condition says ``by``; else the first unknown fact is raised again."""
    unknown: FactUnknown | None = None
    for condition in conditions:
        try:
            if condition.test(facts) is by:
                return by
        except FactUnknown as error:
            unknown = unknown or error
    assert unknown is not None
    raise unknown


def _grouped(condition: Condition) -> str:
    text = condition.text()
    return f"({text})" if isinstance(condition, _Several) else text
