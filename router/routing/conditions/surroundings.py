"""Conditions on who sends the request, when, and how things stand."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Final, Self, get_args

from router.routing.conditions.condition import Condition, Need, all_of
from router.routing.conditions.kinds import Keyed, OneOf, Share
from router.routing.conditions.parsing import (
    Place,
    ascii_text,
    glob,
    quoted,
    read_choice,
    read_words,
    shown,
    suggestion,
)
from router.routing.facts import Facts, HeaderTest, is_credential_header
from router.wire.request import Api as ApiName

CLIENTS: Final = (
    "claude-code",
    "codex",
    "opencode",
    "qwen-code",
    "gemini-cli",
    "hermes",
    "openclaw",
    "aider",
    "sdk",
    "other",
)
APIS: Final[tuple[str, ...]] = get_args(ApiName)
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_MINUTES_A_DAY: Final = 24 * 60
_RANGE: Final = re.compile(r"\s*(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})\s*")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


class Client(OneOf):
    """The agent that sends the request, told by its user-agent and headers; ``sdk`` or ``other`` where it is none."""

    __slots__ = ()
    key = "client"

    @classmethod
    def parse(cls, place: Place, value: object) -> Self | None:
        words = read_words(place, value)
        if words is None:
            return None
        # Agents come and go, so an unheard-of name is allowed; one that is nearly a known name is a slip.
        slips = [(word, hint) for word in words if word not in CLIENTS and (hint := suggestion(word, CLIENTS))]
        for word, hint in slips:
            place.problem(f"unknown client {shown(word)}{hint}")
        return None if slips else cls(words)

    def value(self, facts: Facts) -> str:
        return facts.client


class Api(OneOf):
    """The wire format the client speaks."""

    __slots__ = ()
    key = "api"

    @classmethod
    def parse(cls, place: Place, value: object) -> Self | None:
        words = read_choice(place, value, APIS)
        return None if words is None else cls(words)

    def value(self, facts: Facts) -> str:
        return facts.api


class Key(OneOf):
    """The name of the client's router key."""

    __slots__ = ()
    key = "key"

    def value(self, facts: Facts) -> str | None:
        return facts.key


class Tag(OneOf):
    """A tag the client sent in ``x-router-tag``."""

    __slots__ = ()
    key = "tag"

    def value(self, facts: Facts) -> str | None:
        return " ".join(sorted(facts.tags)) or None

    def test(self, facts: Facts) -> bool:
        return not self._set.isdisjoint(facts.tags)


class ProviderUsed(OneOf):
    """The conversation's previous request went to this provider."""

    __slots__ = ()
    key = "provider-used"
    needs = Need.LAST_TURN

    def value(self, facts: Facts) -> str | None:
        return facts.provider_used


class BudgetUsed(Share):
    """The spent share of the tightest budget in force: 0.8 is four fifths."""

    __slots__ = ()
    key = "budget-used"

    def value(self, facts: Facts) -> float | None:
        return facts.budget_used


class Header(Keyed):
    """A request header matches a glob; of several headers all must. Credentials can't be tested."""

    __slots__ = ("header", "name", "patterns")
    key = "header"

    def __init__(self, name: str, patterns: tuple[str, ...]) -> None:
        self.name = name.lower()
        self.patterns = patterns
        self.header = HeaderTest(
            json.dumps([self.name, *sorted(patterns)], separators=(",", ":")), self.name, glob(patterns)
        )

    @classmethod
    def parse(cls, place: Place, value: object) -> Condition | None:
        if not isinstance(value, Mapping) or not value:
            place.expected('a table such as { x-team = "blue*" }', value)
            return None
        found = [cls._parse_one(place.at(name), str(name), patterns) for name, patterns in value.items()]
        conditions = [condition for condition in found if condition is not None]
        return all_of([*conditions]) if len(conditions) == len(found) else None

    @classmethod
    def _parse_one(cls, place: Place, name: str, value: object) -> Self | None:
        if not _HEADER_NAME.fullmatch(name):
            place.problem("this is no header name")
            return None
        if is_credential_header(name):
            place.problem("a header that carries a credential can't be tested; use key for the client's router key")
            return None
        patterns = read_words(place, value)
        return None if patterns is None else cls(name, patterns)

    def test(self, facts: Facts) -> bool:
        return facts.header_holds(self.header)

    def asks(self) -> tuple[HeaderTest, ...]:
        return (self.header,)

    def seen(self, facts: Facts) -> str:
        value = facts.headers.get(self.name)
        return "none" if value is None else ascii_text(value)

    def text(self) -> str:
        return f"header.{self.name}={quoted(self.patterns)}"

    def canonical(self) -> object:
        return {"header": {self.name: sorted(self.patterns)}}


class Time(Keyed):
    """The time of day, in the profile's timezone; a range may go over midnight. Its end is not part of it."""

    __slots__ = ("minutes", "ranges")
    key = "time"

    def __init__(self, ranges: tuple[tuple[int, int], ...]) -> None:
        self.ranges = ranges  # minutes since midnight: from, until
        self.minutes = frozenset(
            minute % _MINUTES_A_DAY
            for start, end in ranges
            for minute in range(start, end if end > start else end + _MINUTES_A_DAY)
        )

    @classmethod
    def parse(cls, place: Place, value: object) -> Self | None:
        words = read_words(place, value)
        if words is None:
            return None
        ranges = [_minutes_of(word) for word in words]
        for word, found in zip(words, ranges, strict=True):
            if found is None:
                place.expected('a range such as "22:00-06:00"', word)
        good = tuple(found for found in ranges if found is not None)
        return cls(good) if len(good) == len(words) else None

    def test(self, facts: Facts) -> bool:
        return facts.now.hour * 60 + facts.now.minute in self.minutes

    def seen(self, facts: Facts) -> str:
        return facts.now.strftime("%H:%M")

    def text(self) -> str:
        return f"{self.key}={quoted(self._written())}"

    def canonical(self) -> object:
        return {self.key: sorted(self._written())}

    def _written(self) -> list[str]:
        return [f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}" for start, end in self.ranges]


class Weekday(Keyed):
    """The day of the week, in the profile's timezone: mon, tue, wed, thu, fri, sat, sun, or a span such as mon-fri."""

    __slots__ = ("days",)
    key = "weekday"

    def __init__(self, days: Collection[int]) -> None:
        self.days = frozenset(days)

    @classmethod
    def parse(cls, place: Place, value: object) -> Self | None:
        words = read_words(place, value)
        if words is None:
            return None
        spans = [_days_of(word) for word in words]
        for word, span in zip(words, spans, strict=True):
            if span is None:
                place.expected(f"one of {', '.join(WEEKDAYS)}, or a span such as mon-fri", word)
        return None if None in spans else cls([day for span in spans if span for day in span])

    def test(self, facts: Facts) -> bool:
        return facts.now.weekday() in self.days

    def seen(self, facts: Facts) -> str:
        return WEEKDAYS[facts.now.weekday()]

    def text(self) -> str:
        return f"{self.key}={quoted(self._names())}"

    def canonical(self) -> object:
        return {self.key: self._names()}

    def _names(self) -> list[str]:
        return [WEEKDAYS[day] for day in sorted(self.days)]


def _minutes_of(text: str) -> tuple[int, int] | None:
    """``22:00-06:00`` as minutes since midnight; an empty range is none."""
    found = _RANGE.fullmatch(text)
    if found is None:
        return None
    start_hour, start_minute, end_hour, end_minute = map(int, found.groups())
    start, end = start_hour * 60 + start_minute, end_hour * 60 + end_minute
    good = start_minute < 60 and end_minute < 60 and start < _MINUTES_A_DAY and end <= _MINUTES_A_DAY and start != end
    return (start, end) if good else None


def _days_of(text: str) -> list[int] | None:
    """``sat``, ``Saturday`` or ``mon-fri`` as numbers from Monday = 0; a span may go over the week's end."""
    days = [_day_of(part) for part in text.lower().split("-")]
    match days:
        case [int(day)]:
            return [day]
        case [int(first), int(last)]:
            return [day % 7 for day in range(first, last + 1 if last >= first else last + 8)]
        case _:
            return None


def _day_of(text: str) -> int | None:
    text = text.strip()
    names = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    return next((day for day, name in enumerate(names) if text in (name, name[:3])), None)
