"""Example values fit their schemas; tokens of the built-in provider are counted and cut as it says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.server.demo.answer import pieces_of, slices_of
from router.server.demo.counting import PromptCache, count_tokens, cut_tokens, parts_of
from router.server.demo.schema import example
from router.wire.body import Body
from router.wire.formats import CODECS

TREE = {
    "$defs": {"node": {"type": "object", "properties": {"name": {"type": "string"}, "up": {"$ref": "#/$defs/node"}}}},
    "type": "object",
    "properties": {"root": {"allOf": [{"$ref": "#/$defs/node"}, {"required": ["name"]}]}},
}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        pytest.param({"type": "string"}, "demo text", id="a text"),
        pytest.param({"type": "string", "minLength": 12, "maxLength": 12}, "demo text...", id="a text of a length"),
        pytest.param({"type": "string", "maxLength": 4}, "demo", id="a short text"),
        pytest.param({"type": "string", "format": "date"}, "2026-01-01", id="a date"),
        pytest.param({"enum": ["red", "green"]}, "red", id="one of a list"),
        pytest.param({"const": 7}, 7, id="a constant"),
        pytest.param({"type": "integer", "default": 5}, 5, id="a default"),
        pytest.param({"type": "integer"}, 1, id="a whole number"),
        pytest.param({"type": "integer", "minimum": 10}, 10, id="a least number"),
        pytest.param({"type": "integer", "exclusiveMinimum": 10}, 11, id="above a number"),
        pytest.param({"type": "integer", "maximum": -3}, -3, id="a greatest number"),
        pytest.param({"type": "integer", "exclusiveMaximum": 0}, -1, id="below a number"),
        pytest.param({"type": "integer", "minimum": 7, "multipleOf": 5}, 10, id="a multiple"),
        pytest.param({"type": "number", "maximum": 0.5}, 0.5, id="a fraction"),
        pytest.param({"type": "boolean"}, True, id="yes or no"),
        pytest.param({"type": "null"}, None, id="nothing"),
        pytest.param({"type": ["null", "integer"]}, 1, id="a number or nothing"),
        pytest.param({"anyOf": [{"type": "null"}, {"type": "boolean"}]}, True, id="the first that isn't nothing"),
        pytest.param({"type": "array", "items": {"type": "integer"}}, [1], id="a list"),
        pytest.param({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [1, 1], id="a list of two"),
        pytest.param({"type": "array", "maxItems": 0}, [], id="an empty list"),
        pytest.param({"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}}, {"n": 1}, id="Gemini's capitals"),
        pytest.param(
            {"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["b"]},
            {"b": 1},
            id="only what is required",
        ),
        pytest.param({"type": "object", "properties": {"a_b": {"type": "string"}}}, {"a_b": "demo a b"}, id="named"),
        pytest.param(TREE, {"root": {"name": "demo name"}}, id="references and parts put together"),
        pytest.param({}, {}, id="no schema"),
        pytest.param(None, {}, id="nothing that is a schema"),
        pytest.param({"properties": {"x": 3}, "type": "object"}, {"x": {}}, id="a property without a schema"),
    ],
)
def test_an_example_fits_its_schema(schema: Any, value: Any) -> None:
    assert example(schema) == value


def test_a_schema_that_contains_itself_ends() -> None:
    schema = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
    assert isinstance(example(schema), dict)
    assert example({"$ref": "#"}) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYWORDS = (
    "type properties required items enum anyOf allOf $ref minimum exclusiveMinimum maximum multipleOf minItems "
    "minLength"
).split()


@given(st.dictionaries(st.sampled_from(KEYWORDS), json_values, max_size=5))
def test_no_schema_is_so_odd_that_there_is_no_example(schema: dict[str, Any]) -> None:
    example(schema)


@given(st.text(max_size=200), st.integers(0, 40))
def test_a_text_is_cut_at_a_number_of_tokens(text: str, most: int) -> None:
    cut = cut_tokens(text, most)
    assert text.startswith(cut)
    assert count_tokens(cut) == min(most, count_tokens(text))


@given(st.text(max_size=200))
def test_pieces_put_together_are_the_text(text: str) -> None:
    assert "".join(slices_of(text)) == text
    if text.strip():
        assert "".join(pieces_of(text)) == text


def test_tokens_are_words_and_marks() -> None:
    assert count_tokens("Hello, wörld! it's 3.14") == 10
    assert count_tokens("") == 0


def test_a_growing_conversation_is_read_from_the_cache_up_to_what_is_new() -> None:
    cache = PromptCache()
    turns = [{"role": "user", "content": "word " * 50}]
    seen = []
    for more in ("one two", "three", "four five six"):
        raw = b'{"model":"m","messages":%b}' % str(turns).replace("'", '"').encode()
        taken = cache.take("openai-chat", "m", parts_of(CODECS["openai-chat"].view(Body.parse(raw))))
        seen.append((taken.fresh, taken.cached))
        turns.append({"role": "assistant", "content": more})
    assert seen == [(50, 0), (2, 50), (1, 52)]
