"""Arguments that arrive in pieces."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire.gemini.partial_args import PartialArgs


def text(path: str, value: str, *, on: bool = False) -> dict[str, Any]:
    return {"jsonPath": path, "stringValue": value, "willContinue": on}


@pytest.mark.parametrize(
    ("pieces", "arguments"),
    [
        pytest.param([], {}, id="none"),
        pytest.param([text("$.a", "x")], {"a": "x"}, id="a text"),
        pytest.param(
            [text("$.a", "x", on=True), text("$.a", "y", on=True), text("$.a", "")], {"a": "xy"}, id="in pieces"
        ),
        pytest.param([text("$.a", "x", on=True), text("$.b", "y"), text("$.a", "z")], {"a": "z", "b": "y"}, id="anew"),
        pytest.param(
            [{"jsonPath": "$.a", "numberValue": 1.5}, {"jsonPath": "$.b", "numberValue": 2}],
            {"a": 1.5, "b": 2},
            id="numbers",
        ),
        pytest.param(
            [{"jsonPath": "$.a", "boolValue": False}, {"jsonPath": "$.b", "nullValue": "NULL_VALUE"}],
            {"a": False, "b": None},
            id="false and null",
        ),
        pytest.param(
            [text("$.a[0].b", "x"), text("$.a[1].b", "y")], {"a": [{"b": "x"}, {"b": "y"}]}, id="lists of objects"
        ),
        pytest.param(
            [text("$['a b']", "x"), text('$["c.d"].e', "y")], {"a b": "x", "c.d": {"e": "y"}}, id="quoted names"
        ),
        pytest.param([text("$.a[999999]", "x")], {"a": []}, id="a list never jumps"),
        pytest.param(
            [text("$[0]", "x"), text("a", "x"), text("$..a", "x"), text("$", "x"), {"stringValue": "x"}, 3],
            {},
            id="nonsense",
        ),
        pytest.param([text("$.a", "x"), text("$.a.b", "y"), text("$.a[0]", "y")], {"a": "x"}, id="inside a text"),
    ],
)
def test_pieces(pieces: list[Any], arguments: dict[str, Any]) -> None:
    reader = PartialArgs()
    for piece in pieces:
        reader.feed([piece])
    assert json.loads(reader.text()) == arguments


def test_pieces_that_are_no_list() -> None:
    reader = PartialArgs()
    reader.feed("x")
    reader.feed(None)
    assert reader.text() == "{}"


@given(st.lists(st.tuples(st.text(alphabet="$.[]'0a\"", max_size=10), st.text(max_size=3), st.booleans()), max_size=8))
def test_no_path_breaks_it(pieces: list[tuple[str, str, bool]]) -> None:
    reader = PartialArgs()
    reader.feed([text(path, value, on=on) for path, value, on in pieces])
    assert isinstance(json.loads(reader.text()), dict)


def test_a_place_that_is_too_deep_makes_no_sense() -> None:
    reader = PartialArgs()
    reader.feed([text("$" + ".a" * 3000, "x"), text("$" + "[0]" * 3000, "x"), text("$.b" + "[0]" * 99, "y")])
    assert json.loads(reader.text()).keys() == {"b"}
