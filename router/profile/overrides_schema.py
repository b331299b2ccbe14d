"""What a rule changes in a request on its way out: ``set``, ``drop`` and ``headers``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from router.profile.problems import KeyPath, shown
from router.profile.table import Table
from router.providers.overrides import header_problem

# Fields that belong to the router or the client: the model is a rule's own key, the rest is what a request is.
_KEPT_FIELDS: Final[Mapping[str, str]] = {
    "model": "the model is named by the rule's target",
    "stream": "whether a reply is streamed is the client's choice",
    "messages": "the conversation isn't changed",
    "input": "the conversation isn't changed",
    "contents": "the conversation isn't changed",
}
_DEEPEST = 20


@dataclass(frozen=True, slots=True)
class Overrides:
    """``set`` holds JSON values by neutral or verbatim name; ``drop`` names top-level fields of the body."""

    set: Mapping[str, object] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def over(self, below: Overrides) -> Overrides:
        """These on top of those of an alias that is the target."""
        return Overrides(
            {**below.set, **self.set},
            tuple(dict.fromkeys((*below.drop, *self.drop))),
            {**below.headers, **self.headers},
        )

    def as_table(self) -> dict[str, object]:
        """The keys of a rule's table that say the same."""
        table = {"set": self.set, "drop": list(self.drop), "headers": self.headers}
        return {key: value for key, value in table.items() if value}


def read_overrides(table: Table) -> Overrides:
    return Overrides(_set(table), _drop(table), _headers(table))


def _set(table: Table) -> dict[str, object]:
    fields = table.table("set")
    if fields is None:
        return {}
    found: dict[str, object] = {}
    for name, value in fields.entries():
        if name in _KEPT_FIELDS:
            fields.error(name, f"can't be set: {_KEPT_FIELDS[name]}")
        elif name in NEUTRAL:
            found[name] = NEUTRAL[name](fields, name)
        else:
            found[name] = json_value(fields, value, (*fields.path, name))
    return found


def _number(least: int, most: int) -> Callable[[Table, str], object]:
    def read(fields: Table, name: str) -> object:
        number = fields.number(name, None, least=least, most=most)
        return None if number is None else _plain_number(number)

    return read


def _whole(least: int) -> Callable[[Table, str], object]:
    return lambda fields, name: fields.whole(name, None, least=least)


def _stop(fields: Table, name: str) -> object:
    return list(fields.texts(name))


NEUTRAL: Final[Mapping[str, Callable[[Table, str], object]]] = {
    "temperature": _number(0, 2),
    "top-p": _number(0, 1),
    "top-k": _whole(1),
    "max-tokens": _whole(1),
    "stop": _stop,
    "effort": Table.text,
}
"""Names that every wire format has a word for, each with the reader of its value."""


def json_value(table: Table, value: object, path: KeyPath, depth: int = 0) -> object:
    """A TOML value as JSON has it; dates have no place there."""
    match value:
        case bool() | str():
            return value
        case int() if abs(value) < 2**64:
            return value
        case Decimal():
            return _plain_number(value)
        case list() if depth < _DEEPEST:
            return [json_value(table, inner, (*path, at), depth + 1) for at, inner in enumerate(value)]
        case dict() if depth < _DEEPEST:
            return {key: json_value(table, inner, (*path, key), depth + 1) for key, inner in value.items()}
        case _:
            table.document.error(path, f"can't be written as JSON: {shown(value)}")
            return None


def _plain_number(number: Decimal) -> int | float:
    """JSON's number: 8000 stays whole, 0.2 is the nearest double, as every JSON reader makes of it."""
    whole = abs(number) < 2**53 and number == number.to_integral_value()
    return int(number) if whole else float(number)


def _drop(table: Table) -> tuple[str, ...]:
    names = table.texts("drop")
    for name in names:
        if name in _KEPT_FIELDS:
            table.error("drop", f"{shown(name)} can't be dropped: {_KEPT_FIELDS[name]}")
    return names


def _headers(table: Table) -> dict[str, str]:
    headers = table.table("headers")
    if headers is None:
        return {}
    found: dict[str, str] = {}
    for name, value in headers.entries():
        problem = header_problem(name, value)
        if problem is not None:
            headers.error(name, problem)
        elif isinstance(value, str):
            found[name] = value
    return found
