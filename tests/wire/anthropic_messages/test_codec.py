"""What the codec of Messages does beside translating: counts, keep-alives, words for settings, statuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router.wire.conversation import Depth, OutputFormat, Settings, Text, Tool
from router.wire.sse import SseDecoder
from tests.support.messages import MESSAGES, NEW, conversation, rendering, user


@pytest.mark.parametrize(
    ("payload", "count"),
    [
        pytest.param(b'{"input_tokens": 12}', 12, id="a count"),
        pytest.param(b'{"input_tokens": 0, "more": 1}', 0, id="none, and more"),
        pytest.param(b'{"input_tokens": -1}', None, id="less than none"),
        pytest.param(b'{"input_tokens": "12"}', None, id="text"),
        pytest.param(b'{"input_tokens": null}', None, id="null"),
        pytest.param(b"{}", None, id="nothing"),
        pytest.param(b"[]", None, id="a list"),
        pytest.param(b"<html>", None, id="no JSON"),
        pytest.param(b'{"type":"error","error":{}}', None, id="an error"),
    ],
)
def test_counts_are_read(payload: bytes, count: int | None) -> None:
    assert MESSAGES.read_count(payload) == count


def test_a_request_to_count_holds_only_what_is_counted() -> None:
    settings = Settings(
        max_tokens=5,
        stop=("x",),
        user="u",
        service_tier="auto",
        depth=Depth(on=True),
        output=OutputFormat({"enum": [1]}),
    )
    asked = conversation(user(Text("a")), system=(Text("s"),), tools=(Tool("f"),), settings=settings, stream=True)
    body: dict[str, Any] = json.loads(rendering(asked, NEW)[0].body)
    count = json.loads(MESSAGES.count_request(json.dumps(body).encode()))
    names = {"model", "messages", "system", "tools", "thinking", "output_config", "cache_control"}
    assert count == {name: value for name, value in body.items() if name in names}
    assert body.keys() - count.keys() == {"max_tokens", "stop_sequences", "metadata", "service_tier", "stream"}


def test_a_silent_stream_says_ping() -> None:
    (event,) = SseDecoder().feed(MESSAGES.keep_alive)
    assert (event.event, json.loads(event.data)) == ("ping", {"type": "ping"})


def test_an_overloaded_provider_keeps_its_status() -> None:
    assert MESSAGES.status_for(529) == 529
