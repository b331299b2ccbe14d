"""JSON schemas of structured output as Anthropic takes them.

Its structured output knows no bounds of numbers and lengths, no open objects and only some string formats; what it
doesn't know becomes a part of the description, where the model may still heed it. (Structured outputs guide; the same
limits are in the official SDK.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

_FORMATS: Final = frozenset("date-time time date duration email hostname uri ipv4 ipv6 uuid".split())
_KEPT: Final = frozenset(
    "type enum const description title required default items properties additionalProperties anyOf oneOf allOf "
    "$ref $defs definitions format minItems pattern".split()
)
_SILENT: Final = frozenset({"$schema", "$id", "$comment", "examples"})
"""Words that bound nothing."""


def sayable(schema: Mapping[str, Any]) -> bool:
    """Whether the schema means the same once its objects are closed: none of them lives by its unnamed members."""
    for inner in _walk(schema):
        if inner.get("patternProperties"):
            return False
        if _is_object(inner) and not inner.get("properties") and inner.get("additionalProperties") is not False:
            return False
        if isinstance(inner.get("additionalProperties"), dict):
            return False
    return True


def closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with closed objects, and with unknown bounds as words."""
    out: dict[str, Any] = {}
    bounds: dict[str, Any] = {}
    for name, value in schema.items():
        match name:
            case "properties" | "$defs" | "definitions" if isinstance(value, dict):
                out[name] = {key: _closed(inner) for key, inner in value.items()}
            case "items":
                out[name] = _closed(value)
            case "anyOf" | "oneOf" | "allOf" if isinstance(value, list):
                out["anyOf" if name == "oneOf" else name] = [_closed(inner) for inner in value]
            case "additionalProperties":
                pass
            case "format" if not (isinstance(value, str) and value in _FORMATS):
                bounds[name] = value
            case "minItems" if value not in (0, 1):
                bounds[name] = value
            case _ if name in _KEPT:
                out[name] = value
            case _ if name not in _SILENT:
                bounds[name] = value
    if _is_object(schema):
        out.setdefault("properties", {})
        out["additionalProperties"] = False
    if bounds:
        words = ", ".join(f"{name}: {msgspec.json.encode(value).decode()}" for name, value in bounds.items())
        described = out.get("description")
        out["description"] = f"{described}\n\n({words})" if isinstance(described, str) and described else f"({words})"
    return out


def _closed(schema: Any) -> Any:
    return closed(schema) if isinstance(schema, dict) else schema


def _is_object(schema: Mapping[str, Any]) -> bool:
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind) or "properties" in schema


def _walk(schema: Any) -> Any:
    if isinstance(schema, dict):
        yield schema
        for name, value in schema.items():
            if name in ("properties", "$defs", "definitions") and isinstance(value, dict):
                for inner in value.values():
                    yield from _walk(inner)
            elif name in ("items", "anyOf", "oneOf", "allOf"):
                yield from _walk(value)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _walk(inner)
