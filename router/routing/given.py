"""A request that somebody describes: the options of `router explain`, the ``facts`` of a ``[[test]]``.

What isn't said isn't there: no tools, no images, no tokens, one message of a person. Keys are spelt as the conditions
are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from router.agents.agent import is_small_model
from router.agents.agents import identify
from router.routing.concepts import NOTHING, Found, PhraseRegistry, Phrases
from router.routing.conditions.parsing import (
    Path,
    Place,
    Report,
    read_choice,
    read_flag,
    read_share,
    read_whole,
    read_words,
    suggestion,
)
from router.routing.conditions.surroundings import APIS, WEEKDAYS
from router.routing.facts import Facts, HeaderTest, is_credential_header, is_search_name
from router.wire.request import TextScope, Tool

_CLOCK: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


def read_given(
    given: Mapping[str, object], *, path: Path, report: Report, phrases: Phrases | None, now: datetime
) -> GivenFacts:
    """Facts from a table; ``report(path, message)`` is called for every key that is unknown or has a wrong value.

    ``now`` is the time if the table tells none, in the profile's timezone.
    """
    values: dict[str, Any] = {}
    for key, value in given.items():
        place = Place((*path, key), report, (), PhraseRegistry())
        reader = GIVEN.get(key)
        if reader is None:
            place.problem(f"unknown fact{suggestion(key, GIVEN)}")
        elif (read := reader(place, value)) is not None:
            values[key] = read
    return GivenFacts(values, phrases=phrases, now=now)


class GivenFacts(Facts):
    """The facts of a described request. ``given`` has keys of ``GIVEN`` with values as ``read_given`` makes them."""

    def __init__(self, given: Mapping[str, Any], *, phrases: Phrases | None = None, now: datetime) -> None:
        say = given.get
        names: tuple[str, ...] = say("tools", ()) if isinstance(say("tools", ()), tuple) else ()
        self.headers: Mapping[str, str] = say("headers", {})
        self.api = say("api", "anthropic-messages")
        self.client = say("client") or (identify(self.headers).name if self.headers else "other")
        self.model = say("model", "")
        self.stream = say("stream", False)
        self.max_tokens = say("max-tokens")
        self.messages = say("messages", 1)
        self.turns = say("turns", 1)
        self.tools = tuple(Tool(name) for name in names)
        self.tool_count = len(names) or say("tools", 0) or int(say("tool-use", False))
        self.forced_tool = None
        self.has_system_prompt = say("has-system-prompt", bool(say("system")))
        self.tool_result = say("tool-result", False)
        self.thinking_budget = say("thinking-budget")
        self.thinking = say("thinking", self.thinking_budget is not None)
        self.image = bool(say("image", False))
        self.image_in_last_turn = say("image") == "last-turn"
        self.document = say("document", False)
        self.web_search = say("web-search", len(names) == 1 and is_search_name(names[0]))
        self.background = say("background", is_small_model(self.model))
        self.plan_mode = say("plan-mode", False)
        self.subagent = say("subagent", False)
        self.compaction = say("compaction", False)
        self.key = say("key")
        self.tags = frozenset(say("tag", ()))
        self.provider_used = say("provider-used")
        self.budget_used = say("budget-used")
        self.now = _at(now, say("time"), say("weekday"))
        self._tokens: int = say("input-tokens", say("tokens", 0))
        self._phrases = phrases
        self._texts: Mapping[TextScope, str] = {
            "latest": say("text", ""),
            "system": say("system", ""),
            "any": f"{say('system', '')}\n{say('text', '')}",
        }

    def tokens(self) -> int:
        return self._tokens

    def tokens_reach(self, threshold: int) -> bool:
        return self._tokens >= threshold

    def text_holds(self, phrase_id: str, scope: TextScope) -> bool:
        return phrase_id in self._found(scope).ids

    def concepts_found(self, asked: Collection[str]) -> tuple[str, ...]:
        return tuple(phrase_id for phrase_id in self._found("latest").concepts if phrase_id in asked)

    def header_holds(self, test: HeaderTest) -> bool:
        value = self.headers.get(test.name)
        return value is not None and test.pattern.fullmatch(value) is not None

    def _found(self, scope: TextScope) -> Found:
        return self._phrases.search(self._texts[scope]) if self._phrases is not None else NOTHING


def _at(now: datetime, clock: tuple[int, int] | None, weekday: str | None) -> datetime:
    """``now`` with another time of day, and on the next such day of the week."""
    if clock is not None:
        now = now.replace(hour=clock[0], minute=clock[1])
    if weekday is not None:
        now += timedelta(days=(WEEKDAYS.index(weekday) - now.weekday()) % 7)
    return now


def _read_text(place: Place, value: object) -> str | None:
    if isinstance(value, str):
        return value
    place.expected("a string", value)
    return None


def _read_one_of(choices: Collection[str]) -> Callable[[Place, object], str | None]:
    def read(place: Place, value: object) -> str | None:
        words = read_choice(place, value, choices) if isinstance(value, str) else None
        if words is None and not isinstance(value, str):
            place.expected("a string", value)
        return None if words is None else words[0]

    return read


def _read_tools(place: Place, value: object) -> int | tuple[str, ...] | None:
    """A number of tools, or their names."""
    return read_whole(place, value) if isinstance(value, int) else read_words(place, value)


def _read_image(place: Place, value: object) -> bool | str | None:
    return "last-turn" if value == "last-turn" else read_flag(place, value)


def _read_headers(place: Place, value: object) -> dict[str, str] | None:
    if isinstance(value, Mapping) and all(isinstance(text, str) for text in value.values()):
        return {str(name).lower(): text for name, text in value.items() if not is_credential_header(str(name))}
    place.expected("a table of header names and values", value)
    return None


def _read_clock(place: Place, value: object) -> tuple[int, int] | None:
    found = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        place.expected('a time such as "23:30"', value)
        return None
    return int(found[1]), int(found[2])


GIVEN: Final[Mapping[str, Callable[[Place, object], object]]] = {
    **dict.fromkeys(("client", "model", "text", "system", "key", "provider-used"), _read_text),
    **dict.fromkeys(("tokens", "input-tokens", "max-tokens", "messages", "turns", "thinking-budget"), read_whole),
    **dict.fromkeys(("stream", "tool-use", "tool-result", "has-system-prompt", "thinking", "document"), read_flag),
    **dict.fromkeys(("web-search", "background", "plan-mode", "subagent", "compaction"), read_flag),
    "api": _read_one_of(APIS),
    "budget-used": read_share,
    "headers": _read_headers,
    "image": _read_image,
    "tag": read_words,
    "time": _read_clock,
    "tools": _read_tools,
    "weekday": _read_one_of(WEEKDAYS),
}
"""Every fact that can be told, with the reader of its value."""
