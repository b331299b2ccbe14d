"""Gemini's OpenAPI subset as JSON schema, and back."""

from __future__ import annotations

from typing import Any

import pytest

from router.wire.gemini.schema import json_schema, parameters


@pytest.mark.parametrize(
    ("written", "read"),
    [
        pytest.param({"type": "STRING"}, {"type": "string"}, id="a type in capitals"),
        pytest.param({"type": "string"}, {"type": "string"}, id="a type of JSON schema"),
        pytest.param({"type": ["STRING", "NULL"]}, {"type": ["string", "null"]}, id="several types"),
        pytest.param({"type": "TYPE_UNSPECIFIED", "description": "x"}, {"description": "x"}, id="no type"),
        pytest.param({"type": "SPECIAL"}, {"type": "SPECIAL"}, id="an unknown type"),
        pytest.param(
            {"type": "OBJECT", "properties": {"type": {"type": "STRING"}, "nullable": {"type": "BOOLEAN"}}},
            {"type": "object", "properties": {"type": {"type": "string"}, "nullable": {"type": "boolean"}}},
            id="properties that are called like keywords",
        ),
        pytest.param(
            {"type": "ARRAY", "items": {"type": "INTEGER"}, "minItems": "1", "max_items": "3"},
            {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3},
            id="counts as text",
        ),
        pytest.param({"minLength": "many"}, {"minLength": "many"}, id="a count that is none"),
        pytest.param({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}, id="nullable"),
        pytest.param({"type": "STRING", "nullable": False}, {"type": "string"}, id="not nullable"),
        pytest.param(
            {"type": "STRING", "format": "enum", "enum": ["a"], "nullable": True},
            {"type": ["string", "null"], "enum": ["a", None]},
            id="a nullable enumeration",
        ),
        pytest.param(
            {"any_of": [{"type": "STRING"}, {"type": "NUMBER"}], "nullable": True},
            {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]},
            id="nullable alternatives",
        ),
        pytest.param({"description": "x", "nullable": True}, {"description": "x"}, id="anything, which may be null"),
        pytest.param(
            {"defs": {"a": {"type": "STRING"}}, "properties": {"x": {"ref": "#/$defs/a"}}},
            {"$defs": {"a": {"type": "string"}}, "properties": {"x": {"$ref": "#/$defs/a"}}},
            id="references",
        ),
        pytest.param({"propertyOrdering": ["a"], "example": 1}, {"examples": [1]}, id="an order and an example"),
        pytest.param(
            {"enum": ["STRING"], "const": {"type": "STRING"}, "default": {"type": "STRING"}},
            {"enum": ["STRING"], "const": {"type": "STRING"}, "default": {"type": "STRING"}},
            id="values, which are no schemas",
        ),
        pytest.param(
            {"additional_properties": {"type": "STRING"}, "prefixItems": [{"type": "STRING"}], "not": {"type": "NULL"}},
            {"additionalProperties": {"type": "string"}, "prefixItems": [{"type": "string"}], "not": {"type": "null"}},
            id="schemas in other places",
        ),
        pytest.param(
            {"additionalProperties": False, "items": True},
            {"additionalProperties": False, "items": True},
            id="true and false",
        ),
        pytest.param(
            {"properties": ["x"], "anyOf": {"type": "STRING"}},
            {"properties": ["x"], "anyOf": {"type": "STRING"}},
            id="nonsense stays",
        ),
        pytest.param(
            {"type": "STRING", "format": "date-time", "x-own": 1},
            {"type": "string", "format": "date-time", "x-own": 1},
            id="the rest stays",
        ),
    ],
)
def test_a_clients_schema(written: dict[str, Any], read: dict[str, Any]) -> None:
    assert json_schema(written) == read
    assert json_schema(read) == read


@pytest.mark.parametrize(
    ("schema", "shown"),
    [
        pytest.param(None, {"type": "object", "properties": {}}, id="none"),
        pytest.param({}, {"type": "object", "properties": {}}, id="an empty one"),
        pytest.param(
            {"$schema": "https://json-schema.org", "type": "object", "properties": {"a": {}}, "$defs": {"b": {}}},
            {"type": "object", "properties": {"a": {}}, "$defs": {"b": {}}},
            id="its version is left out, the rest stays",
        ),
    ],
)
def test_the_schema_of_arguments(schema: dict[str, Any] | None, shown: dict[str, Any]) -> None:
    assert parameters(schema) == shown
