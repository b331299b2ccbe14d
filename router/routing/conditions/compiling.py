"""From a ``match`` table, or a short string, to one condition. All problems are reported, none is raised."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from router.routing.concepts import PhraseRegistry
from router.routing.conditions import request, surroundings, words
from router.routing.conditions.condition import Always, Condition, Not, all_of, any_of
from router.routing.conditions.kinds import Keyed, Number
from router.routing.conditions.parsing import Path, Place, Report, read_flag, suggestion
from router.routing.shorthand import ShorthandError, parse_shorthand


class Row(NamedTuple):
    """One key of a ``match`` table: how its value is read, and what it asks, for the person writing rules."""

    read: Callable[[Place, object], Condition | None]
    about: str


NUMBERS: Final[tuple[type[Number], ...]] = (
    request.Tools,
    request.InputTokens,
    request.MaxTokens,
    request.Messages,
    request.Turns,
    request.ThinkingBudget,
    surroundings.BudgetUsed,
)
OTHERS: Final[tuple[type[Keyed], ...]] = (
    request.ToolUse,
    request.HasTool,
    request.ToolResult,
    request.HasSystemPrompt,
    request.ModelEquals,
    request.ModelMatches,
    request.Thinking,
    request.Image,
    request.Document,
    request.WebSearch,
    request.Stream,
    request.Background,
    request.PlanMode,
    request.Subagent,
    request.Compaction,
    surroundings.Client,
    surroundings.Api,
    surroundings.Header,
    surroundings.Key,
    surroundings.Tag,
    surroundings.ProviderUsed,
    surroundings.Time,
    surroundings.Weekday,
    words.Keywords,
    words.Concept,
)

_DEEPEST: Final = 30


def _read_always(place: Place, value: object) -> Condition | None:
    wanted = read_flag(place, value)
    return None if wanted is None else Always() if wanted else Not(Always(), Always.key)


def _about(kind: type[Condition]) -> str:
    return inspect.cleandoc(kind.__doc__ or "")


CONDITIONS: Final[Mapping[str, Row]] = {
    Always.key: Row(_read_always, _about(Always)),
    **{kind.key: Row(kind.parse, _about(kind)) for kind in OTHERS},
    **{key: Row(read, _about(kind)) for kind in NUMBERS for key, read in kind.forms().items()},
}
"""Every key of a ``match`` table that is a condition."""

COMPOSITIONS: Final = ("any", "all", "not")
SCOPE_KEY: Final = "keywords-in"
KNOWN_KEYS: Final = (*CONDITIONS, *COMPOSITIONS, SCOPE_KEY)


def compile_match(
    value: object, *, path: Path, report: Report, concepts: Collection[str], phrases: PhraseRegistry
) -> Condition | None:
    """Compile ``match``: a table, or a short string such as ``"tokens > 100000 and not thinking"``.

    ``path`` is the key's own, for ``report(path, message)``, which is called for every problem; then the result is
    ``None``. ``concepts`` are the profile's, already known to ``phrases``, where keywords are registered.
    """
    problems = 0

    def count(path: Path, message: str) -> None:
        nonlocal problems
        problems += 1
        report(path, message)

    place = Place(path, count, concepts, phrases)
    if isinstance(value, str):
        try:
            value = parse_shorthand(value)
        except ShorthandError as error:
            place.problem(str(error))
            return None
    condition = _table(place, value)
    return None if problems else condition


def _table(place: Place, value: object, depth: int = 0) -> Condition | None:
    if not isinstance(value, Mapping):
        place.expected("a table of conditions" if depth else "a table of conditions or a short string", value)
        return None
    if depth > _DEEPEST:
        place.problem("conditions are nested too deeply")
        return None
    inner = _with_scope(place, value)
    # Every key is read even after a problem, so that all problems are reported at once.
    found = [_entry(inner.at(key), key, entry, depth) for key, entry in value.items() if key != SCOPE_KEY]
    conditions = [condition for condition in found if condition is not None]
    return all_of(conditions) if len(conditions) == len(found) else None


def _with_scope(place: Place, table: Mapping[str, object]) -> Place:
    if SCOPE_KEY not in table:
        return replace(place, scope="latest")
    at_key = place.at(SCOPE_KEY)
    if "keywords" not in table and "concept" not in table:
        at_key.problem("says where keywords or concept are looked for, but neither stands beside it")
    scope = words.read_scope(at_key, table[SCOPE_KEY])
    return replace(place, scope=scope or "latest")


def _entry(place: Place, key: str, value: object, depth: int) -> Condition | None:
    match key:
        case "not":
            condition = _table(place, value, depth + 1)
            return None if condition is None else Not(condition)
        case "all" | "any":
            conditions = _tables(place, value, depth + 1)
            return None if conditions is None else all_of(conditions) if key == "all" else any_of(conditions)
        case _ if (row := CONDITIONS.get(key)) is not None:
            return row.read(place, value)
        case _:
            place.problem(f"unknown condition{_hint(key)}")
            return None


def _tables(place: Place, value: object, depth: int) -> list[Condition] | None:
    if not isinstance(value, list | tuple) or not value:
        place.expected("a list of tables of conditions", value)
        return None
    found = [_table(place.at(index), item, depth) for index, item in enumerate(value)]
    conditions = [condition for condition in found if condition is not None]
    return conditions if len(conditions) == len(found) else None


def _hint(key: str) -> str:
    numeric = {kind.key for kind in NUMBERS}
    if key in numeric:
        return f"; did you mean {key}-gt or another of its forms (-lt -lte -gt -gte -eq)?"
    stem = key.removeprefix("tokens-")
    if stem != key and f"input-tokens-{stem}" in CONDITIONS:
        return f'; did you mean "input-tokens-{stem}"?'
    return suggestion(key, KNOWN_KEYS)
