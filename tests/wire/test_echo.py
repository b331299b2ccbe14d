# ruff: noqa: E501  (tables read better with a case a line)

"""The requested model's name in a reply: its own bytes change, all others stay."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire.echo import EchoTap, renamed
from router.wire.formats import CODECS
from router.wire.request import Api
from router.wire.sse import MAX_EVENT
from tests.support import answers

NAME = 'the "asked"'
WRITTEN = json.dumps(NAME).encode()

STREAMS: dict[Api, list[bytes]] = {
    "anthropic-messages": answers.messages_events("served"),
    "openai-chat": answers.chat_chunks("served", usage=True),
    "openai-responses": answers.response_events("served"),
    "gemini": [
        b"data: %s\r\n\r\n"
        % answers.encoded({**answers.gemini_part(text, finish=text == "b"), "modelVersion": "served"})
        for text in ("a", "b")
    ],
}


def echoed(api: Api, chunks: list[bytes], *, hide_usage: bool = False) -> tuple[bytes, EchoTap]:
    tap = EchoTap(CODECS[api].tap(hide_usage=hide_usage), NAME, CODECS[api].model_paths)
    out = b"".join(part for chunk in chunks for part in tap.feed(chunk))
    return out + tap.finish(), tap


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        pytest.param(b'{"id":1, "model" : "x" ,"n":1.50}', b'{"id":1, "model" : %b ,"n":1.50}' % WRITTEN, id="at the top"),
        pytest.param(
            b'{"message":{"a":"model","model":"x"}}', b'{"message":{"a":"model","model":%b}}' % WRITTEN, id="one level down"
        ),
        pytest.param(b'{"content":{"model":"x"}}', b'{"content":{"model":"x"}}', id="elsewhere it is the model's own words"),
        pytest.param(b'{"model":null}', b'{"model":null}', id="no text"),
        pytest.param(b'{"message":"model"}', b'{"message":"model"}', id="not the object expected"),
        pytest.param(b'[{"model":"x"}]', b'[{"model":"x"}]', id="no object"),
        pytest.param(b'{"model":"x"', b'{"model":"x"', id="cut"),
        pytest.param(b"\x1f\x8b\x08", b"\x1f\x8b\x08", id="compressed"),
    ],
)  # fmt: skip
def test_only_the_name_changes_in_a_whole_reply(payload: bytes, expected: bytes) -> None:
    assert renamed(payload, NAME, CODECS["anthropic-messages"].model_paths) == expected


@pytest.mark.parametrize("api", list(STREAMS))
@given(edges=st.lists(st.integers(0, 4000), max_size=8))
def test_a_stream_is_renamed_wherever_it_is_cut(api: Api, edges: list[int]) -> None:
    stream = b"".join(STREAMS[api])
    places = sorted({0, len(stream), *(edge for edge in edges if edge < len(stream))})
    out, tap = echoed(api, [stream[a:b] for a, b in pairwise(places)])
    assert out == stream.replace(b'"served"', WRITTEN)
    assert out != stream
    assert (tap.committed, tap.ended, tap.failed) == (True, True, False)
    assert tap.facts.model == "served"
    assert tap.facts.usage is not None


@pytest.mark.parametrize("api", list(STREAMS))
def test_the_end_still_waits_for_the_settlement(api: Api) -> None:
    plain = CODECS[api].tap()
    tap = EchoTap(CODECS[api].tap(), NAME, CODECS[api].model_paths)
    for chunk in STREAMS[api]:
        now, final = tap.feed(chunk)
        expected = plain.feed(chunk)
        assert [part.replace(WRITTEN, b'"served"') for part in (now, final)] == list(expected)


def test_text_that_looks_like_the_name_stays() -> None:
    said: dict[str, Any] = {"choices": [{"delta": {"content": '"model":"served"'}}], "model": "served"}
    event = b": hello\n\ndata: %b\n\n" % json.dumps(said).encode()
    out, _ = echoed("openai-chat", [event])
    assert json.loads(re.findall(rb"data: (.*)\n", out)[0]) == {**said, "model": NAME}
    assert out.startswith(b": hello\n\n")


def test_an_event_too_large_to_hold_passes_as_it_is() -> None:
    event = b'data: {"choices":[{"delta":{"content":"%b"}}],"model":"served"}\n\n' % (b"x" * MAX_EVENT)
    pieces = [event[at : at + 65536] for at in range(0, len(event), 65536)]
    out, _ = echoed("openai-chat", [*pieces, *STREAMS["openai-chat"]])
    assert out.startswith(event)
    assert out[len(event) :] == b"".join(STREAMS["openai-chat"]).replace(b'"served"', WRITTEN)


def test_a_hidden_event_stays_hidden() -> None:
    out, tap = echoed("openai-chat", STREAMS["openai-chat"], hide_usage=True)
    assert b"prompt_tokens" not in out
    assert tap.facts.usage is not None
