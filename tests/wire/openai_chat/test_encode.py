from __future__ import annotations

import json
from typing import Any

import pytest

from router.wire.body import Body
from router.wire.conversation import OpaqueState
from router.wire.events import (
    Citation,
    KeepAlive,
    MessageEnd,
    MessageStart,
    Opaque,
    PartEnd,
    RefusalDelta,
    SignatureDelta,
    StreamEvent,
    StreamFailed,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)
from router.wire.opaque import wrap
from router.wire.usage import Usage
from tests.wire.openai_chat.saying import CHAT, asked, deltas, message_of, written

START: StreamEvent = MessageStart("up-1", "served")
END: StreamEvent = PartEnd()
STOP: StreamEvent = MessageEnd("end")
SIGNED = OpaqueState("anthropic-signature", "sig", "anthropic/claude")
SIGNATURE = OpaqueState("google-thought", "sig", "gemini/gemini-3")


def call(call_id: str = "c1", name: str = "f", *pieces: str, custom: bool = False) -> list[StreamEvent]:
    return [ToolCallStart(call_id, name, custom), *map(ToolCallDelta, pieces), END]


def cited(url: str = "https://example.com", **raw: Any) -> Citation:
    return Citation("web", url, "T", raw)


# --- streams ----------------------------------------------------------------------------------------------------------


def test_every_chunk_bears_the_same_names_and_the_last_ones_end_it() -> None:
    first, text, finish, done = written([START, TextDelta("a"), END, STOP], include_usage=False)
    assert done == "[DONE]"
    for chunk in (first, text, finish):
        assert chunk["id"] == "chatcmpl-abc"
        assert chunk["object"] == "chat.completion.chunk"
        assert chunk["created"] == 1_790_000_000
        assert chunk["model"] == "named"
    assert first["choices"] == [
        {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
    ]
    assert text["choices"][0]["delta"] == {"content": "a"}
    assert finish["choices"] == [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}]


def test_the_providers_model_is_named_where_no_other_is() -> None:
    assert written([START, STOP], model="")[0]["model"] == "served"


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([TextDelta("ä"), TextDelta("b"), END], [{"content": "ä"}, {"content": "b"}], id="text"),
        pytest.param([ThinkingDelta("hm"), END], [{"reasoning_content": "hm"}], id="thinking"),
        pytest.param(
            [ThinkingDelta("a"), ThinkingDelta("b"), END, TextDelta("c"), END, ThinkingDelta("d"), END],
            [
                {"reasoning_content": "a"},
                {"reasoning_content": "b"},
                {"content": "c"},
                {"reasoning_content": "\n\nd"},
            ],
            id="two thoughts stand apart",
        ),
        pytest.param(
            [TextDelta("abc"), END, ThinkingDelta("hm"), SignatureDelta(SIGNED), END],
            [
                {"content": "abc"},
                {"reasoning_content": "hm"},
                {
                    "reasoning_details": [
                        {
                            "type": "reasoning.encrypted",
                            "data": wrap(SIGNED),
                            "id": "rtr1-0-3-2",
                            "format": "unknown",
                            "index": 0,
                        }
                    ]
                },
            ],
            id="a seal says where its thought stood",
        ),
        pytest.param([RefusalDelta("No."), END], [{"refusal": "No."}], id="a refusal"),
        pytest.param(
            [TextDelta("a"), END, *call("c1", "f", '{"x"', ":1}"), *call("c2", "g", "{}")],
            [
                {"content": "a"},
                {
                    "tool_calls": [
                        {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
                    ]
                },
                {"tool_calls": [{"index": 0, "function": {"arguments": '{"x"'}}]},
                {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]},
                {
                    "tool_calls": [
                        {"index": 1, "id": "c2", "type": "function", "function": {"name": "g", "arguments": ""}}
                    ]
                },
                {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
            ],
            id="calls are numbered by themselves",
        ),
        pytest.param(
            call("c1", "f"),
            [
                {
                    "tool_calls": [
                        {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
                    ]
                },
                {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
            ],
            id="a call without arguments has JSON all the same",
        ),
        pytest.param(
            call("c1", "p", "*** Be", "gin", custom=True),
            [
                {"tool_calls": [{"index": 0, "id": "c1", "type": "custom", "custom": {"name": "p", "input": ""}}]},
                {"tool_calls": [{"index": 0, "custom": {"input": "*** Be"}}]},
                {"tool_calls": [{"index": 0, "custom": {"input": "gin"}}]},
            ],
            id="a freeform call",
        ),
        pytest.param(
            [ToolCallStart("c1", "f"), ToolCallDelta("{}"), SignatureDelta(SIGNATURE), END],
            [
                {
                    "tool_calls": [
                        {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
                    ]
                },
                {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
                {
                    "tool_calls": [
                        {
                            "index": 0,
                            "function": {"arguments": ""},
                            "extra_content": {"google": {"thought_signature": wrap(SIGNATURE)}},
                        }
                    ]
                },
            ],
            id="a sealed call",
        ),
        pytest.param(
            [TextDelta("abc"), cited(), END],
            [
                {"content": "abc"},
                {
                    "annotations": [
                        {
                            "type": "url_citation",
                            "url_citation": {
                                "url": "https://example.com",
                                "title": "T",
                                "start_index": 0,
                                "end_index": 3,
                            },
                        }
                    ]
                },
            ],
            id="sources stand at the end",
        ),
        pytest.param(
            [TextDelta("a"), cited(""), END], [{"content": "a"}], id="sources that are no web pages are left out"
        ),
        pytest.param([Opaque("server_tool_use")], [], id="what Chat has no word for"),
    ],
)
def test_events_become_deltas(events: list[StreamEvent], expected: list[dict[str, Any]]) -> None:
    assert deltas([START, *events, STOP]) == expected


def test_a_source_stands_for_its_words_in_the_whole_text() -> None:
    events = [TextDelta("abc"), END, TextDelta("defgh"), cited(start_index=1, end_index=3), cited(), END]
    [annotations] = [delta for delta in deltas([START, *events, STOP]) if "annotations" in delta]
    places = [entry["url_citation"] for entry in annotations["annotations"]]
    assert [(place["start_index"], place["end_index"]) for place in places] == [(4, 6), (3, 8)]


def test_a_client_of_openrouters_fields_reads_reasoning() -> None:
    events = [START, ThinkingDelta("hm"), END, STOP]
    assert deltas(events, echo={"reasoning": b"true"}) == [{"reasoning_content": "hm", "reasoning": "hm"}]


def test_a_client_of_functions_reads_a_call_of_the_old_kind() -> None:
    events = [START, *call("c1", "f", '{"x":1}'), MessageEnd("tool-use")]
    said = [chunk["choices"][0] for chunk in written(events, echo={"functions": b"true"})[1:-1]]
    assert [choice["delta"] for choice in said] == [
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": '{"x":1}'}},
        {},
    ]
    assert said[-1]["finish_reason"] == "function_call"


def test_a_client_that_takes_no_seals_gets_none() -> None:
    events = [START, ThinkingDelta("hm"), SignatureDelta(SIGNED), END, STOP]
    assert deltas(events, include_state=False) == [{"reasoning_content": "hm"}]


def test_silence_is_a_comment() -> None:
    assert CHAT.encoder(asked()).encode(KeepAlive()) == CHAT.keep_alive == b": keep-alive\n\n"


def test_a_failure_ends_the_stream_without_its_mark() -> None:
    *_, failure = written([START, TextDelta("a"), StreamFailed("rate", "slow down")])
    assert failure == {
        "error": {"message": "slow down", "type": "rate_limit_error", "param": None, "code": "rate_limit_exceeded"}
    }


# --- ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        pytest.param(MessageEnd("end"), "stop", id="end"),
        pytest.param(MessageEnd("stop-sequence", "END"), "stop", id="a stop sequence"),
        pytest.param(MessageEnd("tool-use"), "tool_calls", id="calls"),
        pytest.param(MessageEnd("max-tokens"), "length", id="the limit"),
        pytest.param(MessageEnd("context-window"), "length", id="the window"),
        pytest.param(MessageEnd("refusal"), "content_filter", id="a filter"),
        pytest.param(MessageEnd("pause"), "stop", id="a pause"),
    ],
)
def test_how_it_ended(end: MessageEnd, expected: str) -> None:
    events = [START, TextDelta("a"), END, end]
    assert written(events)[-2]["choices"][0]["finish_reason"] == expected
    whole = json.loads(CHAT.encoder(asked()).whole(events))
    assert whole["choices"][0]["finish_reason"] == expected


def test_a_models_own_refusal_ends_like_an_answer() -> None:
    events = [START, RefusalDelta("No."), END, MessageEnd("refusal")]
    assert written(events)[-2]["choices"][0]["finish_reason"] == "stop"


def test_why_a_filter_struck_is_told_as_a_refusal() -> None:
    events = [START, MessageEnd("refusal", explanation="Not that.")]
    assert deltas(events) == [{"refusal": "Not that."}]
    assert message_of(events)["refusal"] == "Not that."


# --- usage ------------------------------------------------------------------------------------------------------------

DETAILS = {"audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        pytest.param(
            Usage(input=6, cache_read=4, cache_write=3, cache_write_1h=2, output=5, reasoning=1),
            {
                "prompt_tokens": 15,
                "completion_tokens": 5,
                "total_tokens": 20,
                "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 5, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 1, **DETAILS},
            },
            id="totals include what came from the cache or went there",
        ),
        pytest.param(
            Usage(input=6, output=5),
            {
                "prompt_tokens": 6,
                "completion_tokens": 5,
                "total_tokens": 11,
                "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0, **DETAILS},
            },
            id="zeros are written out",
        ),
    ],
)
def test_usage_is_reported_in_chats_sums(usage: Usage, expected: dict[str, Any]) -> None:
    events = [START, TextDelta("a"), UsageReport(Usage(output=1)), UsageReport(usage), END, STOP]
    *_, report, done = written(events)
    assert (report["choices"], report["usage"], done) == ([], expected, "[DONE]")
    assert all(chunk["usage"] is None for chunk in written(events)[:-2])
    assert json.loads(CHAT.encoder(asked()).whole(events))["usage"] == expected


def test_usage_is_kept_from_those_who_didnt_ask() -> None:
    chunks = written([START, UsageReport(Usage(input=1, output=1)), STOP], include_usage=False)
    assert all("usage" not in chunk for chunk in chunks if isinstance(chunk, dict))
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None, "stop"]


def test_unknown_usage_isnt_made_up() -> None:
    assert all(chunk.get("usage") is None for chunk in written([START, STOP])[:-1])
    assert "usage" not in json.loads(CHAT.encoder(asked()).whole([START, STOP]))


@pytest.mark.parametrize(
    ("said", "expected"),
    [("standard", "default"), ("priority", "priority"), ("on_demand", None), (None, None)],
    ids=["Anthropic's word", "a common one", "a provider's own", "none"],
)
def test_the_tier_is_told_in_chats_words(said: str | None, expected: str | None) -> None:
    events = [START, UsageReport(Usage(input=1, output=1, service_tier=said)), STOP]
    assert written(events)[-2].get("service_tier") == expected
    assert json.loads(CHAT.encoder(asked()).whole(events)).get("service_tier") == expected


# --- whole replies ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([TextDelta("a"), TextDelta("b"), END], {"content": "ab"}, id="text in one piece"),
        pytest.param([], {}, id="nothing"),
        pytest.param(
            [ThinkingDelta("h"), ThinkingDelta("m"), END, TextDelta("a"), END],
            {"reasoning_content": "hm", "content": "a"},
            id="thinking beside text",
        ),
        pytest.param(
            [*call("c1", "f", '{"x"', ":1}"), *call("c2", "g")],
            {
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
                    {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
                ]
            },
            id="calls, and content that is null",
        ),
        pytest.param(
            call("c1", "p", "*** Be", "gin", custom=True),
            {"tool_calls": [{"id": "c1", "type": "custom", "custom": {"name": "p", "input": "*** Begin"}}]},
            id="a freeform call",
        ),
        pytest.param([RefusalDelta("N"), RefusalDelta("o."), END], {"refusal": "No."}, id="a refusal"),
    ],
)
def test_a_whole_message(events: list[StreamEvent], expected: dict[str, Any]) -> None:
    message = message_of([START, *events, STOP])
    assert message == {"role": "assistant", "content": None, "refusal": None} | expected


def test_a_whole_reply() -> None:
    reply = json.loads(CHAT.encoder(asked()).whole([START, TextDelta("a"), END, STOP]))
    assert reply == {
        "id": "chatcmpl-abc",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "named",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "a", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
    }


def test_a_client_shows_its_dialect_in_its_request() -> None:
    body = Body.parse(b'{"reasoning":{"effort":"low"},"functions":[{"name":"f"}],"tools":[]}')
    assert CHAT.echoed(body).keys() == {"reasoning", "functions"}
    assert CHAT.echoed(Body.parse(b'{"functions":[],"reasoning":null}')) == {}
