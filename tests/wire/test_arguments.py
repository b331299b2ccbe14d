"""Arguments are an object to whoever must have one, and otherwise what the model wrote."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire.arguments import BROKEN, as_object, as_text_of_object, is_object


@pytest.mark.parametrize(
    ("arguments", "compact", "text"),
    [
        pytest.param('{"a": 1.0}', '{"a":1.0}', '{"a": 1.0}', id="an object, its numbers spelled as they were"),
        pytest.param(" \n", "{}", "{}", id="nothing"),
        pytest.param('{"a":', '{"_raw_arguments":"{\\"a\\":"}', '{"_raw_arguments":"{\\"a\\":"}', id="half an object"),
        pytest.param("[1]", '{"_raw_arguments":"[1]"}', '{"_raw_arguments":"[1]"}', id="a list"),
        pytest.param("\ud800", '{"_raw_arguments":"?"}', '{"_raw_arguments":"?"}', id="half a character"),
    ],
)
def test_arguments_as_an_object(arguments: str, compact: str, text: str) -> None:
    assert bytes(as_object(arguments)).decode() == compact
    assert as_text_of_object(arguments) == text


@pytest.mark.parametrize("levels", [900, 5000])
def test_objects_may_be_nested_as_deeply_as_json_can_be_read(levels: int) -> None:
    deep = '{"a":' * levels + "1" + "}" * levels
    shown = bytes(as_object(deep))
    assert shown == deep.encode() if is_object(deep) else shown.startswith(BROKEN)


@given(st.text() | st.text('{}[]:,"\\ a1.').map(lambda text: "{" + text + "}"))
def test_whatever_was_written_is_told(arguments: str) -> None:
    told = json.loads(as_text_of_object(arguments))
    assert isinstance(told, dict)
    assert told == json.loads(bytes(as_object(arguments)))
    if arguments.strip() and not is_object(arguments):
        assert told == {"_raw_arguments": arguments}
