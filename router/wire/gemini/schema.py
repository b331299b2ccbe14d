"""Schemas: Gemini's subset of OpenAPI as JSON schema, and JSON schema as Gemini reads it.

Google's own SDKs write types in capitals, counts as text (its JSON of 64-bit numbers) and ``nullable``; all of that
stands also in schemas that are called JSON schemas, so both are read alike. Only places that hold a schema are looked
at: a property may be called ``type``.
"""

from __future__ import annotations

from typing import Any, Final

from router.wire.gemini.checked import camel

_TYPES: Final = frozenset({"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"})
_SPELLED: Final = frozenset(
    "any_of min_items max_items min_length max_length min_properties max_properties additional_properties "
    "property_ordering".split()
)
_RENAMED: Final = {"defs": "$defs", "ref": "$ref", "example": "examples"}
_COUNTS: Final = frozenset("minItems maxItems minLength maxLength minProperties maxProperties".split())
_ONE: Final = frozenset(
    "items additionalProperties not if then else contains propertyNames additionalItems unevaluatedItems "
    "unevaluatedProperties".split()
)
_SEVERAL: Final = frozenset("anyOf oneOf allOf prefixItems items".split())
_NAMED: Final = frozenset("properties patternProperties $defs definitions dependentSchemas".split())


def json_schema(schema: Any) -> Any:
    """A client's schema as JSON schema; what is no object stays as it is."""
    if not isinstance(schema, dict):
        return schema
    found: dict[str, Any] = {}
    nullable = False
    for written, value in schema.items():
        name = camel(written) if written in _SPELLED else written
        match name:
            case "type":
                if (types := _types(value)) is not None:
                    found[name] = types
            case "nullable":
                nullable = value is True
            case "propertyOrdering":  # of the properties' own order
                pass
            case "defs" | "ref":
                found[_RENAMED[name]] = _inner(_RENAMED[name], value)
            case "example":
                found[_RENAMED[name]] = [value]
            case "format" if value == "enum":
                pass
            case _:
                found[name] = _inner(name, value)
    return _nullable(found) if nullable else found


def parameters(schema: dict[str, Any] | None) -> dict[str, Any]:
    """The schema of a tool's arguments as ``parametersJsonSchema`` takes it: always an object with properties."""
    found = {name: value for name, value in (schema or {}).items() if name != "$schema"}
    found.setdefault("type", "object")
    found.setdefault("properties", {})
    return found


def _inner(name: str, value: Any) -> Any:
    if name in _COUNTS and isinstance(value, str) and value.isdecimal() and len(value) < 20:
        return int(value)
    if name in _NAMED and isinstance(value, dict):
        return {key: json_schema(inner) for key, inner in value.items()}
    if name in _SEVERAL and isinstance(value, list):
        return [json_schema(inner) for inner in value]
    return json_schema(value) if name in _ONE else value


def _types(value: Any) -> Any:
    """A type, or several, in small letters; ``None`` for Google's word for no type."""
    if isinstance(value, list):
        return [_types(one) for one in value]
    if value == "TYPE_UNSPECIFIED":
        return None
    return value.lower() if isinstance(value, str) and value in _TYPES else value


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with null allowed."""
    if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
        schema["enum"] = [*schema["enum"], None]
    if isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
    elif isinstance(schema.get("anyOf"), list) and {"type": "null"} not in schema["anyOf"]:
        schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]
    return schema
