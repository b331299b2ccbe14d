"""What else the codec knows: counting, what its clients call a setting."""

from __future__ import annotations

import json

import pytest

from router.wire.conversation import SETTING_NAMES, OutputFormat, Text, Tool
from router.wire.loss import Losses
from tests.wire.openai_responses.saying import HELLO, NEW, RESPONSES, changed, talk, with_settings


def test_a_request_to_count_has_only_the_fields_that_are_counted() -> None:
    settings = with_settings(
        max_tokens=100, output=OutputFormat({"type": "object"}), user="u", cache_key="k", parallel_tools=True
    ).settings
    conversation = talk(HELLO, settings=settings, tools=(Tool("f"),), system=(Text("s"),), stream=True)
    rendered = RESPONSES.render(conversation, changed(NEW, official=False), Losses()).body
    counted = json.loads(RESPONSES.count_request(rendered))
    assert set(counted) == {"model", "instructions", "input", "tools", "parallel_tool_calls", "text"}
    assert counted == {name: value for name, value in json.loads(rendered).items() if name in counted}


@pytest.mark.parametrize(
    ("reply", "count"),
    [
        pytest.param(b'{"object":"response.input_tokens","input_tokens":51}', 51, id="a count"),
        pytest.param(b'{"input_tokens":"51"}', None, id="a count in words"),
        pytest.param(b'{"input_tokens":-1}', None, id="less than nothing"),
        pytest.param(b'{"error":{}}', None, id="an error"),
        pytest.param(b"<html>", None, id="no JSON"),
    ],
)
def test_a_count_is_read(reply: bytes, count: int | None) -> None:
    assert RESPONSES.read_count(reply) == count


def test_what_is_counted_is_read_again() -> None:
    assert RESPONSES.read_count(RESPONSES.count_reply(7)) == 7


def test_only_settings_have_other_names() -> None:
    assert set(RESPONSES.field_names) <= set(SETTING_NAMES)
