"""Counting the tokens of a translated request."""

from __future__ import annotations

import json

import pytest

from router.wire.conversation import Settings, Text
from router.wire.loss import Losses
from tests.wire.gemini.saying import GEMINI, OWN, TOOL, conversation


def test_instructions_and_tools_are_counted_as_contents() -> None:
    asked = conversation((Text("Hi"),), system=(Text("Be brief."),), tools=(TOOL,), settings=Settings(max_tokens=5))
    rendered = GEMINI.render(asked, OWN, Losses()).body
    counted = json.loads(GEMINI.count_request(rendered))
    assert counted.keys() == {"contents"}
    before, turn = counted["contents"]
    assert turn == {"role": "user", "parts": [{"text": "Hi"}]}
    assert before["role"] == "user"
    assert before["parts"][0] == {"text": "Be brief."}
    assert json.loads(before["parts"][1]["text"]) == json.loads(rendered)["tools"]


def test_a_request_of_contents_alone_stays_so() -> None:
    rendered = GEMINI.render(conversation(), OWN, Losses()).body
    assert json.loads(GEMINI.count_request(rendered)) == json.loads(rendered)


@pytest.mark.parametrize(
    ("payload", "count"),
    [
        pytest.param(b'{"totalTokens": 31, "promptTokensDetails": []}', 31, id="a count"),
        pytest.param(b'{"totalTokens": "31"}', None, id="a text"),
        pytest.param(b'{"totalTokens": -1}', None, id="less than nothing"),
        pytest.param(b"{}", None, id="none"),
        pytest.param(b'{"error":{"message":"no"}}', None, id="an error"),
        pytest.param(b"<html>", None, id="no JSON"),
    ],
)
def test_the_count_in_an_answer(payload: bytes, count: int | None) -> None:
    assert GEMINI.read_count(payload) == count
