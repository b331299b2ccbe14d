"""Schemas of structured output: closed objects, and bounds as words where they can't be enforced."""

from __future__ import annotations

from typing import Any

import pytest

from router.wire.anthropic_messages.output_schema import closed, sayable

OPEN: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}}
CLOSED: dict[str, Any] = {**OPEN, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "sent"),
    [
        pytest.param(OPEN, CLOSED, id="an object is closed"),
        pytest.param({**OPEN, "required": ["a"]}, {**CLOSED, "required": ["a"]}, id="what is required stays"),
        pytest.param({"properties": {"a": {}}}, {"properties": {"a": {}}, "additionalProperties": False}, id="no type"),
        pytest.param({"type": "array", "items": OPEN}, {"type": "array", "items": CLOSED}, id="in a list"),
        pytest.param(
            {"$defs": {"x": OPEN}, "$ref": "#/$defs/x", "$schema": "…"},
            {"$defs": {"x": CLOSED}, "$ref": "#/$defs/x"},
            id="in definitions",
        ),
        pytest.param({"anyOf": [OPEN, {"type": "null"}]}, {"anyOf": [CLOSED, {"type": "null"}]}, id="in alternatives"),
        pytest.param({"oneOf": [OPEN]}, {"anyOf": [CLOSED]}, id="oneOf is anyOf"),
        pytest.param({"allOf": [OPEN]}, {"allOf": [CLOSED]}, id="in allOf"),
        pytest.param(
            {"type": ["object", "null"], "properties": {}, "additionalProperties": False},
            {"type": ["object", "null"], "properties": {}, "additionalProperties": False},
            id="an object or nothing",
        ),
        pytest.param(
            {"type": "integer", "minimum": 1, "exclusiveMaximum": 9, "multipleOf": 2},
            {"type": "integer", "description": "(minimum: 1, exclusiveMaximum: 9, multipleOf: 2)"},
            id="bounds of numbers",
        ),
        pytest.param(
            {"type": "string", "minLength": 2, "maxLength": 5, "description": "a name"},
            {"type": "string", "description": "a name\n\n(minLength: 2, maxLength: 5)"},
            id="bounds of texts, behind the description",
        ),
        pytest.param(
            {"type": "array", "items": {}, "maxItems": 3, "minItems": 2, "uniqueItems": True},
            {"type": "array", "items": {}, "description": "(maxItems: 3, minItems: 2, uniqueItems: true)"},
            id="bounds of lists",
        ),
        pytest.param(
            {"type": "array", "minItems": 1}, {"type": "array", "minItems": 1}, id="not empty can be enforced"
        ),
        pytest.param({"type": "string", "format": "date"}, {"type": "string", "format": "date"}, id="a known format"),
        pytest.param(
            {"type": "string", "format": "phone"},
            {"type": "string", "description": '(format: "phone")'},
            id="an unknown format",
        ),
        pytest.param({"enum": ["a", 1, None]}, {"enum": ["a", 1, None]}, id="values"),
        pytest.param(
            {"type": "object", "properties": {"minimum": {"type": "integer"}}},
            {"type": "object", "properties": {"minimum": {"type": "integer"}}, "additionalProperties": False},
            id="a member that is called like a bound",
        ),
        pytest.param({"items": True, "type": "array"}, {"items": True, "type": "array"}, id="true as a schema"),
    ],
)
def test_schemas(schema: dict[str, Any], sent: dict[str, Any]) -> None:
    assert closed(schema) == sent


def test_the_clients_schema_is_not_changed() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}}
    before = repr(schema)
    closed(schema)
    assert repr(schema) == before


@pytest.mark.parametrize(
    ("schema", "can_be_said"),
    [
        pytest.param(OPEN, True, id="named members"),
        pytest.param({"type": "object", "additionalProperties": False}, True, id="no members at all"),
        pytest.param({"type": "object"}, False, id="any members"),
        pytest.param({"type": "object", "additionalProperties": {"type": "string"}}, False, id="a map"),
        pytest.param({**OPEN, "additionalProperties": {"type": "string"}}, False, id="named members and a map"),
        pytest.param({**OPEN, "patternProperties": {"x": {}}}, False, id="members by pattern"),
        pytest.param({"type": "array", "items": {"type": "object"}}, False, id="any members, in a list"),
        pytest.param({"anyOf": [{"type": "null"}, {"type": "object"}]}, False, id="any members, as an alternative"),
        pytest.param({"$defs": {"x": {"type": "object"}}, "$ref": "#/$defs/x"}, False, id="any members, defined apart"),
        pytest.param({"type": "object", "properties": {"object": {"type": "string"}}}, True, id="odd names"),
    ],
)
def test_a_schema_that_lives_by_unnamed_members_cant_be_enforced(schema: dict[str, Any], can_be_said: bool) -> None:
    assert sayable(schema) is can_be_said
