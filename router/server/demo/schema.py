"""An example value for a JSON schema: what the built-in provider calls a tool with.

Understood: ``type`` (a list too, and Gemini's capitals), ``properties`` and ``required``, ``items``, ``enum``,
``const``, ``default``, bounds of numbers, texts and lists, ``anyOf`` / ``oneOf`` / ``allOf``, and ``$ref`` within the
schema. Not: ``pattern``, ``format`` beyond a few, ``not`` and conditions.
"""

from __future__ import annotations

import math
from typing import Any, Final

from router.wire.pieces import blocks_of, fields_of

_DEEPEST: Final = 12
_FORMATS: Final = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T12:00:00Z",
    "time": "12:00:00Z",
    "email": "demo@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def example(schema: Any) -> Any:
    """A value that fits, the same one every time."""
    return _value(schema, fields_of(schema), "text", 0)


def _value(schema: Any, root: dict[str, Any], name: str, depth: int) -> Any:
    fields = _resolved(fields_of(schema), root, depth)
    for fixed in ("const", "default"):
        if fixed in fields:
            return fields[fixed]
    if choices := blocks_of(fields.get("enum")):
        return choices[0]
    for alternatives in ("anyOf", "oneOf"):
        if options := blocks_of(fields.get(alternatives)):
            return _value(
                next((one for one in options if _type_of(fields_of(one)) != "null"), None), root, name, depth + 1
            )
    match _type_of(fields):
        case "object":
            return _object(fields, root, depth)
        case "array":
            return _array(fields, root, name, depth)
        case "string":
            return _string(fields, name)
        case "integer" | "number" as kind:
            return _number(fields, whole=kind == "integer")
        case "boolean":
            return True
        case _:
            return None


def _type_of(fields: dict[str, Any]) -> str:
    """The first type that isn't null; without one what the other keys mean."""
    kinds = fields.get("type")
    names = [kind.lower() for kind in (kinds if isinstance(kinds, list) else [kinds]) if isinstance(kind, str)]
    if names:
        return next((name for name in names if name != "null"), "null")
    if "properties" in fields:
        return "object"
    return "array" if "items" in fields else "string" if fields else "object"


def _resolved(fields: dict[str, Any], root: dict[str, Any], depth: int) -> dict[str, Any]:
    """The schema with ``$ref`` followed and the parts of ``allOf`` put together."""
    if depth > _DEEPEST:
        return {"type": "null"}
    reference = fields.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        found: Any = root
        for step in reference[1:].split("/")[1:]:
            found = fields_of(found).get(step.replace("~1", "/").replace("~0", "~"))
        rest = {key: value for key, value in fields.items() if key != "$ref"}
        return _resolved({**fields_of(found), **rest}, root, depth + 1)
    if parts := blocks_of(fields.get("allOf")):
        merged = {key: value for key, value in fields.items() if key != "allOf"}
        for part in parts:
            inner = _resolved(fields_of(part), root, depth + 1)
            properties = {**fields_of(merged.get("properties")), **fields_of(inner.get("properties"))}
            required = [*blocks_of(merged.get("required")), *blocks_of(inner.get("required"))]
            merged = {**merged, **inner}
            merged |= {"properties": properties, "required": required} if properties else {}
        return merged
    return fields


def _object(fields: dict[str, Any], root: dict[str, Any], depth: int) -> dict[str, Any]:
    """The required properties; all of them where none is required."""
    properties = fields_of(fields.get("properties"))
    required = [name for name in blocks_of(fields.get("required")) if isinstance(name, str)]
    if depth >= _DEEPEST:
        return {}
    return {
        name: _value(properties.get(name, {"type": "string"}), root, name, depth + 1) for name in required or properties
    }


def _array(fields: dict[str, Any], root: dict[str, Any], name: str, depth: int) -> list[Any]:
    least, most = fields.get("minItems"), fields.get("maxItems")
    count = max(least if isinstance(least, int) else 1, 0)
    if isinstance(most, int):
        count = min(count, most)
    if depth >= _DEEPEST:
        return []
    return [_value(fields.get("items", {"type": "string"}), root, name, depth + 1) for _ in range(min(count, 20))]


def _string(fields: dict[str, Any], name: str) -> str:
    kind, least, most = fields.get("format"), fields.get("minLength"), fields.get("maxLength")
    if isinstance(kind, str) and kind in _FORMATS:
        return _FORMATS[kind]
    text = f"demo {name.replace('_', ' ')}"
    if isinstance(least, int):
        text = text.ljust(min(least, 10_000), ".")
    return text[:most] if isinstance(most, int) else text


def _number(fields: dict[str, Any], *, whole: bool) -> int | float:
    """1, moved into the bounds and onto ``multipleOf``."""
    step = _bound(fields, "multipleOf") or (1 if whole else 0)
    least, above = _bound(fields, "minimum"), _bound(fields, "exclusiveMinimum")
    most, below = _bound(fields, "maximum"), _bound(fields, "exclusiveMaximum")
    nudge = step or 0.5
    value: float = 1
    if least is not None:
        value = max(value, least)
    if above is not None and value <= above:
        value = above + nudge
    if most is not None:
        value = min(value, most)
    if below is not None and value >= below:
        value = below - nudge
    if step:
        upper = most is not None or below is not None
        steps = math.floor(value / step) if upper else math.ceil(value / step)
        value = steps * step
    return int(value) if value == int(value) else value


def _bound(fields: dict[str, Any], name: str) -> int | float | None:
    value = fields.get(name)
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return value if good and isinstance(value, int | float) else None
