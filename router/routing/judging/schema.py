"""Whether a JSON value fits a JSON schema: the part of JSON Schema that agents' tools and structured answers use.

Schemas come with clients' requests, so looking at them must cost little whatever they are. Libraries for JSON Schema
don't bound their work: a few nested ``anyOf`` double it with each level. Here all work is counted, references stay
inside the schema, patterns are tried only where they can't run away, and nothing is compiled.

What isn't known here (``format``, ``not``, ``if``, …) or can't be afforded counts as fitting; ``oneOf`` is read as
``anyOf``. So a problem that is told is one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from router.routing.judging.check import counted

MAX_STEPS: Final = 5_000
"""Work for one draft: a step is about a schema applied to a value; in all some milliseconds."""

_MAX_DEPTH: Final = 60
_MAX_MATCHED: Final = 300  # characters of a text that is compared with a pattern
_KINDS: Final[Mapping[type, str]] = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}
_WORDS: Final = {"object": "an object", "array": "a list", "integer": "a whole number", "null": "null"}


class Enough(Exception):
    """All steps are used up."""


class Steps:
    """The work that may still be done; looks at several values can share it."""

    def __init__(self, left: int = MAX_STEPS) -> None:
        self.left = left

    def spend(self, steps: int) -> None:
        """Use up some. Raises Enough when there are no more."""
        self.left -= steps
        if self.left < 0:
            raise Enough


def problem(value: Any, schema: Any, steps: Steps | None = None) -> str | None:
    """The first thing that doesn't fit, for people: where it stands and what is wrong with it, none of the value.

    ``value`` is decoded JSON, in which a ``msgspec.Raw`` stands for a list or object too large to look into.
    """
    try:
        return _Look(schema, steps or Steps()).at(value, schema, "", 0)
    except (Enough, RecursionError):
        return None


class _Look:
    """One look at one value."""

    def __init__(self, root: Any, steps: Steps) -> None:
        self._root = root
        self._spend = steps.spend
        self._rows: dict[str, re.Pattern[str] | None] = {}

    def at(self, value: Any, schema: Any, place: str, depth: int) -> str | None:
        """The first problem of the value that stands at this place."""
        self._spend(1)
        if schema is False:
            return f"{place or 'it'} mustn't be there"
        if not isinstance(schema, dict) or depth > _MAX_DEPTH:
            return None
        found = _wrong_kind(value, schema)
        if found is None and not isinstance(value, msgspec.Raw):
            found = self._plain(value, schema)
        if found is not None:
            return f"{place or 'it'} {found}"
        if isinstance(value, dict):
            found = self._object(value, schema, place, depth + 1)
        elif isinstance(value, list):
            found = self._array(value, schema, place, depth + 1)
        return found if found is not None else self._composed(value, schema, place, depth + 1)

    # --- the value itself -----------------------------------------------------------------------------------------

    def _plain(self, value: Any, schema: dict[str, Any]) -> str | None:
        allowed = schema.get("enum")
        if isinstance(allowed, list):
            self._spend(len(allowed) // 20 + _size(value))
            if not any(_same(value, each) for each in allowed):
                return f"isn't {'the' if len(allowed) == 1 else 'one of the'} {counted(len(allowed), 'allowed value')}"
        if "const" in schema:
            self._spend(_size(value))
            if not _same(value, schema["const"]):
                return "isn't the one allowed value"
        for word, (kind, fits, said) in _LIMITS.items():
            limit = schema.get(word)
            if limit is not None and isinstance(value, kind) and _is_number(limit):
                measured = value if isinstance(value, int | float) else len(value)
                if not isinstance(value, bool) and not fits(measured, limit):
                    return f"{said} {limit:g}" if abs(limit) < 10**15 else f"{said} is allowed"
        if isinstance(value, str) and "pattern" in schema and not self._matches(value, schema["pattern"]):
            return "doesn't have the form that its pattern wants"
        if isinstance(value, list) and schema.get("uniqueItems") is True:
            self._spend(_size(value))
            if len({msgspec.json.encode(each) for each in value}) < len(value):
                return "holds the same item twice"
        return None

    def _matches(self, text: str, pattern: Any) -> bool:
        """Whether the text has the form, as far as that is found out."""
        row = self._row(pattern)
        if row is None or len(text) > _MAX_MATCHED:
            return True
        self._spend(len(text) ** 2 // 400)
        return row.search(text) is not None

    def _row(self, pattern: Any) -> re.Pattern[str] | None:
        if not isinstance(pattern, str):
            return None
        if pattern not in self._rows:
            self._spend(50)  # to compile it
            self._rows[pattern] = _row(pattern)
        return self._rows[pattern]

    # --- what is inside -------------------------------------------------------------------------------------------

    def _object(self, value: dict[str, Any], schema: dict[str, Any], place: str, depth: int) -> str | None:
        required = _list(schema.get("required"))
        self._spend(len(required) // 20)
        for name in required:
            if isinstance(name, str) and name not in value:
                return f"{_member(place, name)} is missing"
        properties, patterns = _table(schema.get("properties")), _table(schema.get("patternProperties"))
        others = schema.get("additionalProperties", True)
        unknown = 0
        for name, inner in value.items():
            known = name in properties
            if known and (found := self.at(inner, properties[name], _member(place, name), depth)) is not None:
                return found
            for pattern, wanted in patterns.items():
                self._spend(1)
                if self._matches(name, pattern):
                    known = True
                    if (
                        self._row(pattern) is not None
                        and (found := self.at(inner, wanted, _member(place, "*"), depth)) is not None
                    ):
                        return found
            if known:
                continue
            if others is False:
                unknown += 1
            elif others is not True and (found := self.at(inner, others, _member(place, "*"), depth)) is not None:
                return found
        if unknown:
            return f"{place or 'it'} has {counted(unknown, 'property', 'properties')} that the schema doesn't know"
        return None

    def _array(self, value: list[Any], schema: dict[str, Any], place: str, depth: int) -> str | None:
        first, others = schema.get("prefixItems"), schema.get("items", True)
        if isinstance(others, list):  # as it was before 2020
            first, others = others, schema.get("additionalItems", True)
        first = _list(first)
        for at, inner in enumerate(value):
            wanted = first[at] if at < len(first) else others
            if wanted is True:
                continue
            if (found := self.at(inner, wanted, f"{place}[{at}]", depth)) is not None:
                return found
        return None

    # --- schemas made of schemas ----------------------------------------------------------------------------------

    def _composed(self, value: Any, schema: dict[str, Any], place: str, depth: int) -> str | None:
        reference = schema.get("$ref")
        if isinstance(reference, str) and (found := self.at(value, self._behind(reference), place, depth)) is not None:
            return found
        for wanted in _list(schema.get("allOf")):
            if (found := self.at(value, wanted, place, depth)) is not None:
                return found
        for alternatives in (_list(schema.get("anyOf")), _list(schema.get("oneOf"))):
            found = None
            for wanted in alternatives:
                found = self.at(value, wanted, place, depth)
                if found is None:
                    break
            if found is not None:
                return found if len(alternatives) == 1 else f"{place or 'it'} fits none of {len(alternatives)} schemas"
        return None

    def _behind(self, reference: str) -> Any:
        """The schema that a reference points at; anything goes where that isn't inside this one."""
        self._spend(len(reference) // 20)
        if not reference.startswith("#"):
            return True
        found = self._root
        for step in reference[1:].split("/")[1:]:
            name = unquote(step).replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and name in found:
                found = found[name]
            elif isinstance(found, list) and re.fullmatch("[0-9]{1,6}", name) and int(name) < len(found):
                found = found[int(name)]
            else:
                return True
        return found


def _wrong_kind(value: Any, schema: dict[str, Any]) -> str | None:
    wanted = schema.get("type")
    if wanted is None:
        return None
    names = {name.lower() for name in (wanted if isinstance(wanted, list) else [wanted]) if isinstance(name, str)}
    if not names or not names <= set(_KINDS.values()):
        return None
    if isinstance(value, msgspec.Raw):
        kind = "object" if bytes(value).startswith(b"{") else "array"
    else:
        kind = _KINDS.get(type(value), "")
    if kind in names or (kind == "null" and schema.get("nullable") is True):  # OpenAPI's way to say it
        return None
    if (kind == "integer" and "number" in names) or (kind == "number" and "integer" in names and value.is_integer()):
        return None
    return f"is {_said(kind)} instead of {' or '.join(map(_said, sorted(names)))}"


_LIMITS: Final[Mapping[str, tuple[Any, Callable[[float, float], bool], str]]] = {
    "minLength": (str, lambda size, limit: size >= limit, "has fewer characters than"),
    "maxLength": (str, lambda size, limit: size <= limit, "has more characters than"),
    "minimum": (int | float, lambda value, limit: value >= limit, "is less than"),
    "maximum": (int | float, lambda value, limit: value <= limit, "is more than"),
    "exclusiveMinimum": (int | float, lambda value, limit: value > limit, "isn't more than"),
    "exclusiveMaximum": (int | float, lambda value, limit: value < limit, "isn't less than"),
    "minItems": (list, lambda size, limit: size >= limit, "has fewer items than"),
    "maxItems": (list, lambda size, limit: size <= limit, "has more items than"),
    "minProperties": (dict, lambda size, limit: size >= limit, "has fewer properties than"),
    "maxProperties": (dict, lambda size, limit: size <= limit, "has more properties than"),
}

# A row of characters and classes, each perhaps repeated: no group, no alternatives, nothing that looks around.
_ITEM: Final = r"(?:\[(?:\\.|[^\]\[\\])+\]|\\[^A-CE-RT-VX-Za-ce-rt-vx-z0-9]|[\w \-/@:,;=#~%!&<>'\"]|\.)"
_ROW: Final = re.compile(rf"\^?(?:{_ITEM}(?:[*+?]|\{{[0-9]{{1,3}}(?:,[0-9]{{0,3}})?\}})?)*\$?")
_REPEATED: Final = re.compile(r"\\.|[*+]|\{[0-9]{1,3},[0-9]{0,3}\}")


def _row(pattern: str) -> re.Pattern[str] | None:
    """A pattern whose work grows with no more than the square of the text; ``None`` for others: they aren't tried.

    With two items that can each take up all the text and ``^`` before them, or one without, it can't grow faster.
    """
    if len(pattern) > 200 or not _ROW.fullmatch(pattern):
        return None
    repeated = sum(not found.startswith("\\") for found in _REPEATED.findall(pattern))
    if repeated > (2 if pattern.startswith("^") else 1):
        return None
    if pattern.endswith("$") and not pattern.endswith("\\$"):
        pattern = pattern[:-1] + r"\Z"
    try:
        return re.compile(pattern, re.ASCII)
    except re.error:
        return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(value: Any, other: Any) -> bool:
    """Equal as JSON: 1 is 1.0, but true isn't 1."""
    return isinstance(value, bool) == isinstance(other, bool) and bool(value == other)


def _size(value: Any) -> int:
    """The steps that comparing this value costs."""
    return len(msgspec.json.encode(value)) // 200 + 1 if isinstance(value, dict | list) else 0


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _member(place: str, name: str) -> str:
    name = "".join(sign if sign.isprintable() else "?" for sign in name[:40])
    return f"{place}.{name}" if place else name


def _said(kind: str) -> str:
    return _WORDS.get(kind, f"a {kind}")
