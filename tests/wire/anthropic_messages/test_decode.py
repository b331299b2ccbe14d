"""Replies of Messages servers become neutral events, whole and streamed, in all the ways in which servers differ."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire.conversation import OpaqueState
from router.wire.events import (
    Citation,
    KeepAlive,
    MessageEnd,
    MessageStart,
    Opaque,
    PartEnd,
    SignatureDelta,
    StreamEvent,
    StreamFailed,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)
from router.wire.usage import Usage
from tests.support.messages import MESSAGES, OTHER, decode, decode_whole, stream

BEGIN = {"type": "message_start", "message": {"id": "msg_1", "model": "c", "content": []}}
END = {"type": "message_stop"}
STARTED = MessageStart("msg_1", "c")


def starts(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def stops(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def ends(reason: Any = "end_turn", **fields: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason, **fields}}


def text(index: int, words: str) -> dict[str, Any]:
    return delta(index, "text_delta", text=words)


def arguments(index: int, words: str) -> dict[str, Any]:
    return delta(index, "input_json_delta", partial_json=words)


CALL = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}


@pytest.mark.parametrize(
    ("events", "parts"),
    [
        pytest.param(
            [starts(0, type="text", text=""), text(0, "a"), text(0, ""), text(0, "b"), stops(0)],
            [TextDelta("a"), TextDelta("b"), PartEnd()],
            id="text",
        ),
        pytest.param([starts(0, type="text", text=""), stops(0)], [], id="empty text"),
        pytest.param(
            [starts(0, type="text", text="a"), text(0, "b"), stops(0)],
            [TextDelta("a"), TextDelta("b"), PartEnd()],
            id="text in the start",
        ),
        pytest.param([text(0, "a"), stops(0)], [TextDelta("a"), PartEnd()], id="text without a start"),
        pytest.param([starts(0, type="text", text=""), text(0, "a")], [TextDelta("a"), PartEnd()], id="without a stop"),
        pytest.param(
            [
                *(starts(0, type="text", text=""), text(0, "a"), stops(0)),
                *(starts(1, type="text", text=""), text(1, "b"), stops(1)),
            ],
            [TextDelta("a"), PartEnd(), TextDelta("b"), PartEnd()],
            id="two texts",
        ),
        pytest.param(
            [
                starts(0, type="thinking", thinking="", signature=""),
                delta(0, "thinking_delta", thinking="h"),
                delta(0, "thinking_delta", thinking="m"),
                delta(0, "signature_delta", signature="sig"),
                stops(0),
            ],
            [
                ThinkingDelta("h"),
                ThinkingDelta("m"),
                SignatureDelta(OpaqueState("anthropic-signature", "sig")),
                PartEnd(),
            ],
            id="thinking",
        ),
        pytest.param(
            [
                starts(0, type="thinking", thinking="", signature=""),
                delta(0, "signature_delta", signature="sig"),
                stops(0),
            ],
            [SignatureDelta(OpaqueState("anthropic-signature", "sig")), PartEnd()],
            id="thinking that isn't shown",
        ),
        pytest.param(
            [starts(0, type="redacted_thinking", data="abc"), stops(0)],
            [SignatureDelta(OpaqueState("anthropic-redacted", "abc")), PartEnd()],
            id="redacted thinking",
        ),
        pytest.param(
            [starts(0, **CALL), arguments(0, ""), arguments(0, '{"a"'), arguments(0, ":1}"), stops(0)],
            [ToolCallStart("t1", "f"), ToolCallDelta('{"a"'), ToolCallDelta(":1}"), PartEnd()],
            id="call",
        ),
        pytest.param([starts(0, **CALL), stops(0)], [ToolCallStart("t1", "f"), PartEnd()], id="call without arguments"),
        pytest.param(
            [starts(0, **{**CALL, "input": {"a": 1.0}}), stops(0)],
            [ToolCallStart("t1", "f"), ToolCallDelta('{"a":1.0}'), PartEnd()],
            id="arguments in the start",
        ),
        pytest.param(
            [starts(0, **{**CALL, "input": {"a": 1}}), arguments(0, '{"a":1}'), stops(0)],
            [ToolCallStart("t1", "f"), ToolCallDelta('{"a":1}'), PartEnd()],
            id="arguments in the start and in deltas",
        ),
        pytest.param(
            [starts(0, **{**CALL, "input": {"a": 1}})],
            [ToolCallStart("t1", "f"), ToolCallDelta('{"a":1}'), PartEnd()],
            id="arguments in the start, without a stop",
        ),
        pytest.param(
            [starts(0, **{**CALL, "input": ""}), stops(0)],
            [ToolCallStart("t1", "f"), PartEnd()],
            id="an empty string as arguments",
        ),
        pytest.param(
            [
                starts(0, type="server_tool_use", id="s", name="web_search", input={}),
                arguments(0, '{"query":"x"}'),
                stops(0),
                starts(1, type="web_search_tool_result", tool_use_id="s", content=[]),
                stops(1),
                *(starts(2, type="text", text=""), text(2, "a"), stops(2)),
            ],
            [Opaque("server_tool_use"), Opaque("web_search_tool_result"), TextDelta("a"), PartEnd()],
            id="tools that run at the provider",
        ),
        pytest.param(
            [starts(0, type="compaction"), delta(0, "compaction_delta", content="x"), text(0, "x"), stops(0)],
            [Opaque("compaction")],
            id="a block nobody else knows, with all its deltas",
        ),
        pytest.param([{"type": "ping"}], [KeepAlive()], id="ping"),
        pytest.param(
            [{"type": "from_the_future", "x": 1}, BEGIN, starts(0, type="text", text=""), text(0, "a"), stops(0)],
            [TextDelta("a"), PartEnd()],
            id="unknown events, and a start that comes twice",
        ),
        pytest.param(
            [{"type": "content_block_delta", "index": "x"}, {"type": "content_block_start"}, {"type": "message_delta"}],
            [],
            id="events that aren't what their format says",
        ),
    ],
)
@pytest.mark.parametrize("named", [True, False], ids=["events with names", "events without"])
def test_streamed_parts(events: list[dict[str, Any]], parts: list[StreamEvent], named: bool) -> None:
    payload = stream([BEGIN, *events, END], named=named)
    found = decode(payload)
    calls = any(isinstance(part, ToolCallStart) for part in parts)
    assert found == [STARTED, *parts, MessageEnd("tool-use" if calls else "end")]


def test_an_event_may_say_what_it_is_in_its_name_alone() -> None:
    payload = stream([BEGIN]) + b'event: content_block_delta\ndata: {"delta":{"type":"text_delta","text":"a"}}\n\n'
    assert decode(payload + stream([END])) == [STARTED, TextDelta("a"), PartEnd(), MessageEnd("end")]


SOURCE = {"type": "web_search_result_location", "url": "https://e.org", "title": "T", "cited_text": "x"}
PAGE = {"type": "page_location", "document_title": "D", "cited_text": "x"}
CITED = Citation("web_search_result_location", "https://e.org", "T", SOURCE)


def test_sources_stand_behind_the_text_that_they_are_for() -> None:
    events = [
        starts(0, type="text", text="", citations=[]),
        delta(0, "citations_delta", citation=SOURCE),
        text(0, "a"),
        text(0, "b"),
        delta(0, "citations_delta", citation=PAGE),
        stops(0),
        starts(1, type="text", text=""),
        delta(1, "citations_delta", citation=SOURCE),
        delta(1, "citations_delta", citation={"url": "no type"}),
        stops(1),
    ]
    paged = Citation("page_location", "", "D", PAGE)
    parts = [TextDelta("a"), CITED, TextDelta("b"), paged, PartEnd()]
    assert decode(stream([BEGIN, *events, END])) == [STARTED, *parts, MessageEnd("end")]


# --- ends -------------------------------------------------------------------------------------------------------------

STOPS = [
    pytest.param(ends("end_turn"), MessageEnd("end"), id="end"),
    pytest.param(ends("stop_sequence", stop_sequence="X"), MessageEnd("stop-sequence", "X"), id="stop sequence"),
    pytest.param(ends("tool_use"), MessageEnd("end"), id="a stop for calls that the client never sees"),
    pytest.param(ends("max_tokens"), MessageEnd("max-tokens"), id="limit"),
    pytest.param(ends("model_context_window_exceeded"), MessageEnd("context-window"), id="context window"),
    pytest.param(ends("pause_turn"), MessageEnd("pause"), id="pause"),
    pytest.param(ends("compaction"), MessageEnd("pause"), id="compaction"),
    pytest.param(ends("refusal"), MessageEnd("refusal"), id="refusal"),
    pytest.param(
        ends("refusal", stop_details={"type": "refusal", "category": "bio", "explanation": "no"}),
        MessageEnd("refusal", explanation="no"),
        id="refusal with its reason",
    ),
    pytest.param(ends("from_the_future"), MessageEnd("end"), id="unknown"),
    pytest.param(ends(None), MessageEnd("end"), id="null"),
    pytest.param(ends(5, stop_sequence=5, stop_details=5), MessageEnd("end"), id="numbers"),
]


@pytest.mark.parametrize(("event", "end"), STOPS)
def test_ends_of_streams(event: dict[str, Any], end: MessageEnd) -> None:
    assert decode(stream([BEGIN, event, END])) == [STARTED, end]


@pytest.mark.parametrize(("event", "end"), STOPS)
def test_ends_of_whole_replies(event: dict[str, Any], end: MessageEnd) -> None:
    assert decode_whole({**BEGIN["message"], **event["delta"]}) == [STARTED, end]  # type: ignore[dict-item]


def test_a_call_that_was_cut_by_the_limit_stays_one() -> None:
    events = decode(stream([BEGIN, starts(0, **CALL), arguments(0, '{"a'), stops(0), ends("max_tokens"), END]))
    assert events == [STARTED, ToolCallStart("t1", "f"), ToolCallDelta('{"a'), PartEnd(), MessageEnd("max-tokens")]


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([], id="nothing"),
        pytest.param([BEGIN], id="a start"),
        pytest.param([BEGIN, starts(0, type="text", text=""), text(0, "a")], id="in the middle"),
        pytest.param([BEGIN, text(0, "a"), stops(0), ends()], id="before its last event"),
    ],
)
def test_a_stream_that_is_cut_never_ends(events: list[dict[str, Any]]) -> None:
    assert not any(isinstance(event, MessageEnd | StreamFailed) for event in decode(stream(events)))


def test_nothing_follows_the_end() -> None:
    assert decode(stream([BEGIN, END, text(0, "a"), END])) == [STARTED, MessageEnd("end")]


@pytest.mark.parametrize(
    ("error", "failed"),
    [
        pytest.param(
            {"type": "overloaded_error", "message": "Overloaded"}, StreamFailed("overloaded", "Overloaded"), id="load"
        ),
        pytest.param({"type": "api_error", "message": "x"}, StreamFailed("server", "x"), id="server"),
        pytest.param({"type": "rate_limit_error", "message": "x"}, StreamFailed("rate", "x"), id="rate"),
        pytest.param({"type": "timeout_error", "message": "x"}, StreamFailed("timeout", "x"), id="timeout"),
        pytest.param(
            {"type": "invalid_request_error", "message": "prompt is too long: 5 tokens > 4 maximum"},
            StreamFailed("context-length", "prompt is too long: 5 tokens > 4 maximum"),
            id="context",
        ),
        pytest.param({"type": "moon_error", "message": "x"}, StreamFailed("moon_error", "x"), id="unknown"),
        pytest.param({"message": "x"}, StreamFailed("server", "x"), id="no type"),
        pytest.param("broken", StreamFailed("server", "broken"), id="a string"),
        pytest.param(
            None, StreamFailed("server", "the provider reported an error without a message"), id="nothing at all"
        ),
    ],
)
def test_errors_in_streams_and_in_place_of_replies(error: Any, failed: StreamFailed) -> None:
    assert decode(stream([BEGIN, {"type": "error", "error": error}, END])) == [STARTED, failed]
    assert decode_whole({"type": "error", "error": error}) == [failed]


# --- usage ------------------------------------------------------------------------------------------------------------


def test_usage_is_cumulative_and_what_is_missing_later_keeps_its_value() -> None:
    first = {"input_tokens": 5, "cache_read_input_tokens": 7, "cache_creation_input_tokens": 9, "output_tokens": 1}
    begin = {"type": "message_start", "message": {**BEGIN["message"], "usage": first}}  # type: ignore[dict-item]
    later = {"output_tokens": 30, "output_tokens_details": {"thinking_tokens": 10}}
    events = decode(stream([begin, {**ends(), "usage": later}, END]))
    assert events == [
        STARTED,
        UsageReport(Usage(input=5, cache_read=7, cache_write=9, output=1)),
        UsageReport(Usage(input=5, cache_read=7, cache_write=9, output=30, reasoning=10)),
        MessageEnd("end"),
    ]


def test_the_usage_of_a_whole_reply() -> None:
    creation = {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 6}
    usage = {"input_tokens": 5, "output_tokens": 2, "cache_creation_input_tokens": 9, "cache_creation": creation}
    events = decode_whole({"id": "msg_1", "model": "c", "content": [], "stop_reason": "end_turn", "usage": usage})
    report = UsageReport(Usage(input=5, cache_write=3, cache_write_1h=6, output=2))
    assert events == [STARTED, report, MessageEnd("end")]


# --- whole replies ----------------------------------------------------------------------------------------------------


def test_a_whole_reply() -> None:
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "abc"},
        {"type": "text", "text": "a", "citations": [SOURCE]},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_fetch_tool_result", "content": {}, "name": 5},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"z": 1.0, "a": {}}},
        {"type": "tool_use", "id": "t2", "name": "f", "input": {}},
        {"type": "text", "text": ""},
    ]
    assert decode_whole({"id": "msg_1", "model": "c", "content": content, "stop_reason": "tool_use"}) == [
        STARTED,
        ThinkingDelta("hm"),
        SignatureDelta(OpaqueState("anthropic-signature", "sig")),
        PartEnd(),
        SignatureDelta(OpaqueState("anthropic-redacted", "abc")),
        PartEnd(),
        TextDelta("a"),
        CITED,
        PartEnd(),
        Opaque("server_tool_use"),
        ToolCallStart("t1", "f"),
        ToolCallDelta('{"z":1.0,"a":{}}'),
        PartEnd(),
        ToolCallStart("t2", "f"),
        PartEnd(),
        MessageEnd("tool-use"),
    ]


@pytest.mark.parametrize(
    ("payload", "events"),
    [
        pytest.param(b"", [], id="nothing"),
        pytest.param(b"<html>", [], id="HTML"),
        pytest.param(b"[]", [], id="a list"),
        pytest.param(b'{"content":5}', [], id="content a number"),
        pytest.param(b"{}", [], id="an empty object"),
        pytest.param(b'{"detail":"no such model"}', [StreamFailed("server", "no such model")], id="detail"),
        pytest.param(b'{"message":"no"}', [StreamFailed("server", "no")], id="message"),
        pytest.param(b'{"error":"no"}', [StreamFailed("server", "no")], id="error"),
    ],
)
def test_payloads_that_are_no_reply(payload: bytes, events: list[StreamEvent]) -> None:
    assert decode_whole(payload) == events


# --- owners -----------------------------------------------------------------------------------------------------------


def test_sealed_reasoning_bears_its_owner() -> None:
    content = [{"type": "thinking", "thinking": "hm", "signature": "sig"}]
    events = decode_whole({"content": content}, OTHER)
    assert SignatureDelta(OpaqueState("anthropic-signature", "sig", "other/some-model")) in events


def test_reasoning_of_a_server_that_seals_nothing_is_marked_as_its_own() -> None:
    content = [{"type": "thinking", "thinking": "hm", "signature": ""}]
    events = decode_whole({"content": content}, OTHER)
    assert SignatureDelta(OpaqueState("visible", "", "other/some-model")) in events


# --- anything ---------------------------------------------------------------------------------------------------------

_VALUES = st.none() | st.integers(-1, 3) | st.sampled_from(["", "x", "text", "tool_use", "end_turn"])
_EVENTS = st.fixed_dictionaries(
    {"type": st.sampled_from("message_start content_block_start content_block_delta content_block_stop".split())},
    optional={
        "index": _VALUES,
        "message": st.dictionaries(st.sampled_from(["id", "model", "usage"]), _VALUES),
        "content_block": st.dictionaries(st.sampled_from(["type", "id", "name", "text", "input", "data"]), _VALUES),
        "delta": st.fixed_dictionaries(
            {"type": st.sampled_from("text_delta input_json_delta thinking_delta signature_delta".split())},
            optional=dict.fromkeys(("text", "partial_json", "thinking", "signature"), _VALUES),
        ),
    },
)


@given(st.lists(_EVENTS | st.dictionaries(st.text(max_size=3), _VALUES, max_size=3), max_size=12), st.randoms())
def test_whatever_a_server_sends_is_read_in_order_and_the_same_however_it_is_cut(
    events: list[dict[str, Any]], random: Any
) -> None:
    payload = b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in [BEGIN, *events, END])
    whole = decode(payload)
    decoder = MESSAGES.decoder()
    cut: list[StreamEvent] = []
    while payload:
        size = random.randint(1, 20)
        cut += decoder.feed(payload[:size])
        payload = payload[size:]
    assert cut + decoder.finish() == whole
    assert isinstance(whole[0], MessageStart)
    assert isinstance(whole[-1], MessageEnd)
    assert sum(isinstance(event, MessageStart | MessageEnd) for event in whole) == 2
