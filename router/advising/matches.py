"""Changing a number in a rule's ``match``, as it is written: a table, or a short string."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from router.profile.editing import set_key
from router.profile.problems import KeyPath
from router.routing.conditions.kinds import Number
from router.routing.rules import Rule
from router.routing.shorthand import parse_shorthand


def with_bound(text: str, rule: Rule, part: Number, limit: int) -> str:
    """The file with another number in one of the conditions of a rule that must all hold.

    Raises ConfigError where the file is written so that only a person can change it.
    """
    match: Any = rule.raw["match"]
    path: KeyPath = ("rule", rule.index or 0, "match")
    if isinstance(match, str):
        return set_key(text, path, _in_shorthand(match, part, limit))
    return set_key(text, (*path, *_place(match, part)), limit)


def _place(match: Mapping[str, Any], part: Number) -> KeyPath:
    """Where a condition stands in a table."""
    key = part.first_key()
    if match.get(key) == part.threshold:
        return (key,)
    for number, table in enumerate(match.get("all", ())):
        inner = _place(table, part)
        if inner:
            return ("all", number, *inner)
    return ()


def _in_shorthand(text: str, part: Number, limit: int) -> str:
    """A short string with another number: the one by which its table differs in that condition alone."""
    table = parse_shorthand(text)
    expected: Any = deepcopy(table)
    *path, key = _place(table, part)
    holder = expected
    for step in path:
        holder = holder[step]
    holder[key] = limit
    places = (found.span() for found in re.finditer(r"\d[\d_]*", text))
    changed = (f"{text[:start]}{limit}{text[end:]}" for start, end in places)
    return next(each for each in changed if parse_shorthand(each) == expected)
