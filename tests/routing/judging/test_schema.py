"""What a value must be to fit a schema; what isn't known fits; and no schema is dear."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.routing.judging.schema import Steps, problem
from tests.support.slow import within

POINT = {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("value", "schema", "expected"),
    [
        pytest.param({"x": 1}, POINT, None, id="an object with what it needs fits"),
        pytest.param({}, POINT, "x is missing", id="a required property"),
        pytest.param([], POINT, "it is a list instead of an object", id="another type"),
        pytest.param({"x": "1"}, POINT, "x is a string instead of a number", id="a type inside"),
        pytest.param({"x": 1, "y": 2, "z": 3}, POINT, "it has 2 properties that the schema doesn't know", id="more"),
        pytest.param({"x": True}, POINT, "x is a boolean instead of a number", id="true is no number"),
        pytest.param(1.0, {"type": "integer"}, None, id="a float without a fraction is whole"),
        pytest.param(1.5, {"type": "integer"}, "it is a number instead of a whole number", id="with one it isn't"),
        pytest.param(10**400, {"type": "integer", "minimum": 3}, None, id="a number of any size"),
        pytest.param(None, {"type": ["string", "null"]}, None, id="one of several types"),
        pytest.param(
            3,
            {"type": ["string", "null"]},
            "it is a whole number instead of null or a string",
            id="none of several types",
        ),
        pytest.param(None, {"type": "string", "nullable": True}, None, id="OpenAPI's null"),
        pytest.param("a", {"type": "STRING"}, None, id="Google's spelling of types"),
        pytest.param("a", {"type": "date"}, None, id="a type that doesn't exist is not looked at"),
        pytest.param("c", {"enum": ["a", "b"]}, "it isn't one of the 2 allowed values", id="an enum"),
        pytest.param(1, {"enum": [True]}, "it isn't the 1 allowed value", id="1 isn't true"),
        pytest.param(1, {"const": 1.0}, None, id="1 is 1.0"),
        pytest.param("b", {"const": "a"}, "it isn't the one allowed value", id="a constant"),
        pytest.param("ab", {"minLength": 3}, "it has fewer characters than 3", id="too short"),
        pytest.param("abcd", {"maxLength": 3}, "it has more characters than 3", id="too long"),
        pytest.param(0, {"exclusiveMinimum": 0}, "it isn't more than 0", id="an exclusive bound"),
        pytest.param(0, {"exclusiveMinimum": True, "minimum": 0}, None, id="an old spelling is not looked at"),
        pytest.param(7, {"maximum": 1.5}, "it is more than 1.5", id="too much"),
        pytest.param([], {"minItems": 1}, "it has fewer items than 1", id="too few items"),
        pytest.param([1, 1.5, 1], {"uniqueItems": True}, "it holds the same item twice", id="an item twice"),
        pytest.param({"a": 1}, {"minProperties": 2}, "it has fewer properties than 2", id="too few properties"),
        pytest.param(
            [1, "a"], {"items": {"type": "integer"}}, "[1] is a string instead of a whole number", id="an item"
        ),
        pytest.param(
            [1, "a"], {"prefixItems": [{}, {"type": "null"}]}, "[1] is a string instead of null", id="by place"
        ),
        pytest.param(
            [1, 2], {"items": [{}], "additionalItems": False}, "[1] mustn't be there", id="as it was before 2020"
        ),
        pytest.param(
            {"a": 1},
            {"additionalProperties": {"type": "string"}},
            "* is a whole number instead of a string",
            id="a property without a name in the schema",
        ),
        pytest.param(
            {"x-a": 1},
            {"patternProperties": {"^x-": {"type": "string"}}},
            "* is a whole number instead of a string",
            id="a property by pattern",
        ),
        pytest.param(
            {"ab": 1},
            {"patternProperties": {"^(a|b)+$": {}}, "additionalProperties": False},
            None,
            id="a pattern that isn't tried may allow anything",
        ),
        pytest.param(
            3, {"anyOf": [{"type": "string"}, {"type": "null"}]}, "it fits none of 2 schemas", id="no alternative"
        ),
        pytest.param(3, {"anyOf": [{"type": "string"}]}, "it is a whole number instead of a string", id="the only one"),
        pytest.param(3, {"oneOf": [{"type": "integer"}, {"type": "number"}]}, None, id="oneOf is read as anyOf"),
        pytest.param(3, {"allOf": [{}, {"maximum": 2}]}, "it is more than 2", id="one of all"),
        pytest.param(
            {"p": {}},
            {"$defs": {"p": POINT}, "properties": {"p": {"$ref": "#/$defs/p"}}},
            "p.x is missing",
            id="behind a reference",
        ),
        pytest.param(
            {"a": {"a": 1}},
            {"type": "object", "properties": {"a": {"$ref": "#"}}},
            "a.a is a whole number instead of an object",
            id="a schema that refers to itself",
        ),
        pytest.param(1, {"$ref": "#/a~1b/%25", "a/b": {"%": False}}, "it mustn't be there", id="escapes of references"),
        pytest.param(1, {"$ref": "#/anyOf/0", "anyOf": [True]}, None, id="into a list"),
        pytest.param(1, {"$ref": "https://example.org/s"}, None, id="other schemas are not fetched"),
        pytest.param(1, {"$ref": "#/nowhere"}, None, id="a reference to nothing"),
        pytest.param(1, False, "it mustn't be there", id="nothing fits false"),
        pytest.param(1, {"not": {}, "format": "date", "if": {}, "then": False}, None, id="what isn't known fits"),
        pytest.param(
            1,
            {"type": 3, "enum": 4, "required": "x", "properties": [], "anyOf": {}, "pattern": 1},
            None,
            id="a schema that is none",
        ),
        pytest.param("BER", {"pattern": "^[A-Z]{3}$"}, None, id="a pattern met"),
        pytest.param(
            "BER\n",
            {"pattern": "^[A-Z]{3}$"},
            "it doesn't have the form that its pattern wants",
            id="the end is the end",
        ),
        pytest.param("ber", {"pattern": "^[A-Z]{3}$"}, "it doesn't have the form that its pattern wants", id="not met"),
        pytest.param("x", {"pattern": "^(a+)+$"}, None, id="a pattern that could run away isn't tried"),
        pytest.param(msgspec.Raw(b"[1]"), {"type": "object"}, "it is a list instead of an object", id="a list unread"),
        pytest.param(msgspec.Raw(b"{}"), {"type": "object", "required": ["a"]}, None, id="an object unread"),
    ],
)
def test_a_value_against_a_schema(value: Any, schema: Any, expected: str | None) -> None:
    assert problem(value, schema) == expected


def nested(levels: int, word: str) -> dict[str, Any]:
    """Two ways at each level: 2 to the power of the levels without a bound."""
    definitions = {f"d{at}": {word: [{"$ref": f"#/$defs/d{at + 1}"}] * 2} for at in range(levels)}
    return {"$defs": {**definitions, f"d{levels}": {"type": "null"}}, "$ref": "#/$defs/d0"}


MANY = [str(number) for number in range(20_000)]


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        pytest.param(1, {"$ref": "#"}, id="a circle"),
        pytest.param(1, {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}, id="a circle that doubles"),
        pytest.param("x", nested(40, "anyOf"), id="alternatives of alternatives"),
        pytest.param(
            "a" * 299 + "!", {"anyOf": [{"pattern": f"^a*a*b{at}$"} for at in range(5_000)]}, id="many patterns"
        ),
        pytest.param(["x"] * 20_000, {"items": {"enum": MANY}}, id="a long enum for many items"),
        pytest.param(MANY, {"anyOf": [{"const": [*MANY, 1]}] * 5_000}, id="a large constant again and again"),
        pytest.param(MANY, {"anyOf": [{"uniqueItems": True, "minItems": 10**9}] * 5_000}, id="unique again and again"),
        pytest.param({}, {"anyOf": [{"required": MANY}] * 5_000}, id="many required names"),
        pytest.param(
            dict.fromkeys(MANY), {"patternProperties": {f"^{at}": {} for at in range(5_000)}}, id="by pattern"
        ),
        pytest.param(json.loads("[" * 900 + "]" * 900), {"items": {"$ref": "#"}}, id="a deep value"),
    ],
)
def test_no_schema_costs_more_than_its_steps(value: Any, schema: Any) -> None:
    with within(0.25, clock=time.process_time):  # some milliseconds where nothing else runs
        problem(value, schema)


def test_looks_share_their_steps() -> None:
    steps = Steps(10)
    wrong, schema = ["a"] * 20, {"items": {"type": "string"}}
    assert problem(1, {"type": "string"}, steps) is not None
    assert problem(wrong, schema, steps) is None
    assert problem(1, {"type": "string"}, steps) is None, "there are none left to find this with"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
WORDS = st.sampled_from(
    "type enum const required properties additionalProperties patternProperties items prefixItems anyOf oneOf allOf "
    "$ref pattern minimum maxLength minItems uniqueItems maxProperties nullable".split()
)
KINDS = st.sampled_from("object array string number integer boolean null".split())
SCHEMAS = st.recursive(
    st.booleans() | st.dictionaries(WORDS, JSON | KINDS | st.just("#"), max_size=4),
    lambda inner: st.dictionaries(
        WORDS, inner | st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner)
    ),
    max_leaves=8,
)


@given(JSON, SCHEMAS | JSON)
def test_any_schema_can_be_looked_at(value: Any, schema: Any) -> None:
    found = problem(value, schema)
    assert found is None or (found and "\n" not in found)


@given(JSON)
def test_a_value_fits_the_schema_made_of_it(value: Any) -> None:
    def schema_of(value: Any) -> dict[str, Any]:
        match value:
            case dict():
                inner = {name: schema_of(each) for name, each in value.items()}
                return {"type": "object", "properties": inner, "required": [*value], "additionalProperties": False}
            case list():
                return {"type": "array", "prefixItems": [schema_of(each) for each in value], "items": False}
            case _:
                return {"enum": [value]}

    assert problem(value, schema_of(value)) is None
