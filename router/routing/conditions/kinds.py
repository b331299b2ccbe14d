"""The shapes conditions come in: a flag, a number in five forms, one of some words, a glob.

A condition in ``request`` or ``surroundings`` says only what it looks at; how it is written, read, compared and
explained is here.
"""

from __future__ import annotations

import operator
import re
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, Final, Self

from router.routing.conditions.condition import Condition, Need, Not
from router.routing.conditions.parsing import (
    Place,
    ascii_text,
    glob,
    quoted,
    read_flag,
    read_share,
    read_whole,
    read_words,
)
from router.routing.facts import Facts

COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
    "eq": operator.eq,
}


class Keyed(Condition):
    """A condition with a key of its own in the ``match`` table."""

    __slots__ = ()
    key: ClassVar[str]
    needs: Need = Need.FIELDS
    needs_tokens: bool = False

    @classmethod
    @abstractmethod
    def parse(cls, place: Place, value: object) -> Condition | None:
        """Read the key's value; ``None`` after reporting what is wrong with it."""

    def first_key(self) -> str:
        return self.key


class Flag(Keyed):
    """Something that is so or not; written ``KEY = true`` (or ``false`` for its opposite)."""

    __slots__ = ()

    @classmethod
    def parse(cls, place: Place, value: object) -> Condition | None:
        wanted = read_flag(place, value)
        if wanted is None:
            return None
        return cls() if wanted else Not(cls(), cls.key)

    def seen(self, facts: Facts) -> str:
        return "true" if self.test(facts) else "false"

    def text(self) -> str:
        return f"{self.key}=true"

    def negated_text(self) -> str:
        return f"{self.key}=false"

    def canonical(self) -> object:
        return {self.key: True}


class Number(Keyed):
    """A number compared with a threshold; a number that isn't there compares with nothing.

    ``key`` is the name without the form; each form (``-lt -lte -gt -gte -eq``) is a row of the table.
    """

    __slots__ = ("_compare", "form", "threshold")
    unit: ClassVar[Callable[[Place, object], float | None]] = read_whole

    def __init__(self, form: str, threshold: float) -> None:
        self.form = form
        self.threshold = threshold
        self._compare = COMPARISONS[form]

    @classmethod
    def parse(cls, place: Place, value: object) -> Condition | None:
        raise TypeError("a number is read by one of its forms")

    @classmethod
    def forms(cls) -> dict[str, Callable[[Place, object], Condition | None]]:
        """The readers of all its keys."""
        return {f"{cls.key}-{form}": cls._reader(form) for form in COMPARISONS}

    @classmethod
    def _reader(cls, form: str) -> Callable[[Place, object], Condition | None]:
        def read(place: Place, value: object) -> Condition | None:
            threshold = cls.unit(place, value)
            return None if threshold is None else cls(form, threshold)

        return read

    @abstractmethod
    def value(self, facts: Facts) -> float | None:
        """The number, or ``None`` where the request has none."""

    def test(self, facts: Facts) -> bool:
        value = self.value(facts)
        return value is not None and self._compare(value, self.threshold)

    def seen(self, facts: Facts) -> str:
        value = self.value(facts)
        return "none" if value is None else str(value)

    def text(self) -> str:
        return f"{self.first_key()} {self.threshold}"

    def canonical(self) -> object:
        return {self.first_key(): self.threshold}

    def first_key(self) -> str:
        return f"{self.key}-{self.form}"


class Share(Number):
    """A number such as 0.8."""

    __slots__ = ()
    unit = read_share


class OneOf(Keyed):
    """A word that must be one of those written."""

    __slots__ = ("_set", "words")

    def __init__(self, words: tuple[str, ...]) -> None:
        self.words = words
        self._set = frozenset(words)

    @classmethod
    def parse(cls, place: Place, value: object) -> Self | None:
        words = read_words(place, value)
        return None if words is None else cls(words)

    @abstractmethod
    def value(self, facts: Facts) -> str | None:
        """The request's word, or ``None`` where it has none."""

    def test(self, facts: Facts) -> bool:
        return self.value(facts) in self._set

    def seen(self, facts: Facts) -> str:
        value = self.value(facts)
        return "none" if value is None else ascii_text(value)

    def text(self) -> str:
        return f"{self.key}={quoted(self.words)}"

    def canonical(self) -> object:
        return {self.key: sorted(self._set)}


class Glob(Keyed):
    """Names compared with globs, case-sensitive."""

    __slots__ = ("_match", "patterns")

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self.patterns = patterns
        self._match: Callable[[str], re.Match[str] | None] = glob(patterns).fullmatch

    @classmethod
    def parse(cls, place: Place, value: object) -> Self | None:
        patterns = read_words(place, value)
        return None if patterns is None else cls(patterns)

    @abstractmethod
    def names(self, facts: Facts) -> tuple[str, ...]:
        """The request's names; one that matches is enough."""

    def test(self, facts: Facts) -> bool:
        match = self._match
        return any(match(name) for name in self.names(facts))

    def seen(self, facts: Facts) -> str:
        names = self.names(facts)
        shown = ", ".join(ascii_text(name) for name in names[:8])
        return f"{shown}, ... ({len(names)})" if len(names) > 8 else shown or "none"

    def text(self) -> str:
        return f"{self.key}={quoted(self.patterns)}"

    def canonical(self) -> object:
        return {self.key: sorted(self.patterns)}
