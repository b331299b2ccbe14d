"""Neutral events become Messages replies that Anthropic's own SDK reads, streamed and whole."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

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
    Stop,
    StreamEvent,
    StreamFailed,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)
from router.wire.opaque import unwrap, wrap
from router.wire.usage import Usage
from tests.support.messages import decode, encode, encode_whole, events_in, parse

BEGIN = MessageStart("up-1", "their-model")
END = MessageEnd("end")
FOREIGN = OpaqueState("openai-encrypted", "enc", "openai/m", "rs_1")
CALL_SEAL = OpaqueState("google-thought", "seal", "google/m")
SOURCE = {
    "type": "web_search_result_location",
    "url": "https://e.org",
    "title": "T",
    "cited_text": "x",
    "encrypted_index": "e",
}

_RAW_EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def content(*events: StreamEvent) -> list[dict[str, Any]]:
    """The blocks that these events become; the same, streamed and whole."""
    all_of_them = [BEGIN, *events, END]
    streamed = accumulated(encode(all_of_them))["content"]
    whole: list[dict[str, Any]] = encode_whole(all_of_them)["content"]
    assert streamed == whole
    return whole


def accumulated(payload: bytes) -> dict[str, Any]:
    """The message as Anthropic's SDK puts it together; ping and error events are none of its business."""
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for event in events_in(payload):
        if event["type"] != "ping":
            typed = _RAW_EVENTS.validate_python(event)
            snapshot = accumulate_event(event=typed, current_snapshot=snapshot, json_bufs=buffers)
    message: dict[str, Any] = json.loads(snapshot.to_json())
    return message


# --- parts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "blocks"),
    [
        pytest.param([TextDelta("a"), TextDelta("b"), PartEnd()], [{"type": "text", "text": "ab"}], id="text"),
        pytest.param(
            [TextDelta(" \n"), TextDelta("a"), TextDelta(" "), PartEnd()],
            [{"type": "text", "text": " \na "}],
            id="text that begins with space",
        ),
        pytest.param([TextDelta(" "), TextDelta("\n"), PartEnd()], [], id="nothing but space"),
        pytest.param(
            [TextDelta(" "), PartEnd(), TextDelta("a"), PartEnd()],
            [{"type": "text", "text": "a"}],
            id="space before another text",
        ),
        pytest.param(
            [ThinkingDelta("h"), ThinkingDelta("m"), SignatureDelta(FOREIGN), PartEnd()],
            [{"type": "thinking", "thinking": "hm", "signature": wrap(FOREIGN)}],
            id="reasoning of another model, tagged",
        ),
        pytest.param(
            [ThinkingDelta("hm"), SignatureDelta(OpaqueState("anthropic-signature", "sig")), PartEnd()],
            [{"type": "thinking", "thinking": "hm", "signature": "sig"}],
            id="reasoning without an owner, as it is",
        ),
        pytest.param(
            [ThinkingDelta("hm"), PartEnd()],
            [{"type": "thinking", "thinking": "hm", "signature": ""}],
            id="reasoning without a seal",
        ),
        pytest.param(
            [SignatureDelta(FOREIGN), PartEnd()],
            [{"type": "thinking", "thinking": "", "signature": wrap(FOREIGN)}],
            id="a seal alone",
        ),
        pytest.param(
            [SignatureDelta(OpaqueState("anthropic-redacted", "abc", "a/m")), PartEnd()],
            [{"type": "redacted_thinking", "data": wrap(OpaqueState("anthropic-redacted", "abc", "a/m"))}],
            id="redacted reasoning",
        ),
        pytest.param(
            [ToolCallStart("t1", "f"), ToolCallDelta('{"a"'), ToolCallDelta(":[1,2]}"), PartEnd()],
            [{"type": "tool_use", "id": "t1", "name": "f", "input": {"a": [1, 2]}}],
            id="call",
        ),
        pytest.param(
            [ToolCallStart("t1", "f"), PartEnd()],
            [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}],
            id="call without arguments",
        ),
        pytest.param(
            [ToolCallStart("t1", "f", custom=True), ToolCallDelta('say "'), ToolCallDelta('hi"\n'), PartEnd()],
            [{"type": "tool_use", "id": "t1", "name": "f", "input": {"input": 'say "hi"\n'}}],
            id="freeform call",
        ),
        pytest.param(
            [ToolCallStart("t1", "f", custom=True), PartEnd()],
            [{"type": "tool_use", "id": "t1", "name": "f", "input": {"input": ""}}],
            id="freeform call without input",
        ),
        pytest.param(
            [ToolCallStart("t1", "f"), PartEnd(), ToolCallStart("t2", "g"), ToolCallDelta("{}"), PartEnd()],
            [
                {"type": "tool_use", "id": "t1", "name": "f", "input": {}},
                {"type": "tool_use", "id": "t2", "name": "g", "input": {}},
            ],
            id="two calls",
        ),
        pytest.param(
            [RefusalDelta("I "), RefusalDelta("won't"), PartEnd()], [{"type": "text", "text": "I won't"}], id="no"
        ),
        pytest.param(
            [TextDelta("a"), Citation("web_search_result_location", "https://e.org", "T", SOURCE), PartEnd()],
            [{"type": "text", "text": "a", "citations": [SOURCE]}],
            id="a source",
        ),
        pytest.param(
            [TextDelta("a"), Citation("url_citation", "https://e.org", "T", {"type": "url_citation"}), PartEnd()],
            [{"type": "text", "text": "a"}],
            id="a source in another format's words",
        ),
        pytest.param(
            [Opaque("web_search_call"), TextDelta("a"), PartEnd()], [{"type": "text", "text": "a"}], id="opaque"
        ),
    ],
)
def test_parts(events: list[StreamEvent], blocks: list[dict[str, Any]]) -> None:
    assert content(*events) == blocks


def test_the_seal_of_a_call_travels_in_an_empty_block_and_comes_back_to_it() -> None:
    blocks = content(ToolCallStart("x.1", "f"), ToolCallDelta("{}"), SignatureDelta(CALL_SEAL), PartEnd())
    assert [block["type"] for block in blocks] == ["tool_use", "thinking"]
    assert unwrap(blocks[1]["signature"]) == OpaqueState("google-thought", "seal", "google/m", "x.1")
    asked, _ = parse({"model": "m", "messages": [{"role": "assistant", "content": blocks}]})
    (call,) = asked.turns[0].parts
    assert (call.id, call.state) == ("x.1", CALL_SEAL)  # type: ignore[union-attr]


def test_arguments_that_were_cut_are_text_in_a_whole_reply_and_stay_what_they_are_in_a_stream() -> None:
    events = [BEGIN, ToolCallStart("t1", "f"), ToolCallDelta('{"a":"b'), PartEnd(), MessageEnd("max-tokens")]
    assert encode_whole(events)["content"][0]["input"] == {"_raw_arguments": '{"a":"b'}
    deltas = [event["delta"]["partial_json"] for event in events_in(encode(events)) if "partial_json" in str(event)]
    assert deltas == ['{"a":"b']


def test_an_id_that_messages_does_not_take_is_written_in_letters() -> None:
    (call,) = content(ToolCallStart("functions.f:0", "f"), PartEnd())
    assert call["id"].replace("_", "").replace("-", "").isalnum()


# --- the grammar of a stream ------------------------------------------------------------------------------------------


def test_a_stream_event_by_event() -> None:
    events = [
        BEGIN,
        UsageReport(Usage(input=9)),
        TextDelta("a"),
        KeepAlive(),
        PartEnd(),
        UsageReport(Usage(input=9, output=3)),
        END,
    ]
    assert events_in(encode(events)) == [
        {
            "type": "message_start",
            "message": {
                "id": "msg_rtr1_up-1",
                "type": "message",
                "role": "assistant",
                "model": "their-model",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {
                    "input_tokens": 9,
                    "cache_creation_input_tokens": 0,
                    "cache_read_input_tokens": 0,
                    "output_tokens": 0,
                },
            },
        },
        {"type": "ping"},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}},
        {"type": "ping"},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {
                "input_tokens": 9,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "output_tokens": 3,
            },
        },
        {"type": "message_stop"},
    ]


@pytest.mark.parametrize(
    ("first", "written"),
    [
        pytest.param([], [], id="a start waits for what is known of the usage"),
        pytest.param([UsageReport(Usage(input=1))], [], id="usage is written with it"),
        pytest.param(
            [TextDelta("a")], ["message_start", "ping", "content_block_start", "content_block_delta"], id="text"
        ),
        pytest.param([TextDelta(" ")], ["message_start", "ping"], id="space: its block waits for more"),
        pytest.param([KeepAlive()], ["message_start", "ping"], id="a sign of life"),
        pytest.param([KeepAlive(), KeepAlive()], ["message_start", "ping", "ping"], id="two signs of life"),
        pytest.param([Opaque("x")], [], id="something opaque"),
        pytest.param([StreamFailed("server", "x")], ["error"], id="an error"),
        pytest.param([END], ["message_start", "ping", "message_delta", "message_stop"], id="the end"),
    ],
)
def test_when_the_start_is_written(first: list[StreamEvent], written: list[str]) -> None:
    assert [event["type"] for event in events_in(encode([BEGIN, *first]))] == written


@pytest.mark.parametrize(
    ("usage", "estimate", "input_tokens"),
    [
        pytest.param(None, 700, 700, id="the estimate"),
        pytest.param(Usage(input=9), 700, 9, id="what the provider says"),
        pytest.param(Usage(output=1), 700, 700, id="the estimate beside other counts"),
        pytest.param(None, None, 0, id="nothing is known"),
    ],
)
def test_the_snapshot_of_usage(usage: Usage | None, estimate: int | None, input_tokens: int) -> None:
    reports = [] if usage is None else [UsageReport(usage)]
    events = events_in(encode([BEGIN, *reports, TextDelta("a")], input_estimate=estimate))
    assert events[0]["message"]["usage"]["input_tokens"] == input_tokens


def test_an_error_in_a_stream_closes_nothing() -> None:
    events = events_in(encode([BEGIN, TextDelta("a"), StreamFailed("overloaded", "too busy")]))
    assert events[-1] == {"type": "error", "error": {"type": "overloaded_error", "message": "too busy"}}
    assert "content_block_stop" not in [event["type"] for event in events]


# --- the message ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begin", "asked", "reply_id", "model"),
    [
        pytest.param(BEGIN, {}, "msg_rtr1_up-1", "their-model", id="the provider's"),
        pytest.param(MessageStart(), {}, "msg_rtr1_r1", "", id="the provider says nothing"),
        pytest.param(BEGIN, {"model": "mine"}, "msg_rtr1_up-1", "mine", id="the client's model"),
        pytest.param(MessageStart("a/b:c", "m"), {}, "msg_rtr1_a_b_c", "m", id="an odd id"),
    ],
)
def test_id_and_model(begin: MessageStart, asked: dict[str, Any], reply_id: str, model: str) -> None:
    whole = encode_whole([begin, END], **asked)
    started = events_in(encode([begin, END], **asked))[0]["message"]
    assert (whole["id"], whole["model"]) == (started["id"], started["model"]) == (reply_id, model)


@pytest.mark.parametrize(
    ("events", "end", "fields"),
    [
        pytest.param([], MessageEnd("end"), {"stop_reason": "end_turn"}, id="end"),
        pytest.param([], MessageEnd("tool-use"), {"stop_reason": "tool_use"}, id="calls"),
        pytest.param([], MessageEnd("max-tokens"), {"stop_reason": "max_tokens"}, id="limit"),
        pytest.param([], MessageEnd("pause"), {"stop_reason": "pause_turn"}, id="pause"),
        pytest.param(
            [], MessageEnd("context-window"), {"stop_reason": "model_context_window_exceeded"}, id="context window"
        ),
        pytest.param(
            [],
            MessageEnd("stop-sequence", "X"),
            {"stop_reason": "stop_sequence", "stop_sequence": "X"},
            id="stop sequence",
        ),
        pytest.param(
            [],
            MessageEnd("refusal", explanation="why"),
            {
                "stop_reason": "refusal",
                "stop_details": {"type": "refusal", "category": None, "explanation": "why"},
            },
            id="refusal",
        ),
        pytest.param(
            [RefusalDelta("I won't"), PartEnd()],
            MessageEnd("end"),
            {
                "stop_reason": "refusal",
                "stop_details": {"type": "refusal", "category": None, "explanation": "I won't"},
            },
            id="words of refusal in an answer that ends like any",
        ),
        pytest.param(
            [RefusalDelta("I w"), PartEnd()], MessageEnd("max-tokens"), {"stop_reason": "max_tokens"}, id="cut refusal"
        ),
    ],
)
def test_stops(events: list[StreamEvent], end: MessageEnd, fields: dict[str, Any]) -> None:
    fields = {"stop_sequence": None, **fields}
    names = ("stop_reason", "stop_sequence", "stop_details")
    whole = encode_whole([BEGIN, *events, end])
    assert {name: whole[name] for name in names if name in whole} == fields
    (delta,) = [
        event["delta"] for event in events_in(encode([BEGIN, *events, end])) if event["type"] == "message_delta"
    ]
    assert delta == fields


@pytest.mark.parametrize(
    ("usage", "written"),
    [
        pytest.param(
            Usage(input=1, cache_read=2, cache_write=3, output=4),
            {
                "input_tokens": 1,
                "cache_creation_input_tokens": 3,
                "cache_read_input_tokens": 2,
                "output_tokens": 4,
            },
            id="cached tokens stand beside the fresh ones",
        ),
        pytest.param(
            Usage(input=1, cache_write=3, cache_write_1h=5, output=4, reasoning=2, web_searches=6),
            {
                "input_tokens": 1,
                "cache_creation_input_tokens": 8,
                "cache_read_input_tokens": 0,
                "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 5},
                "output_tokens": 4,
                "output_tokens_details": {"thinking_tokens": 2},
                "server_tool_use": {"web_search_requests": 6, "web_fetch_requests": 0},
            },
            id="writes by lifetime, reasoning, searches",
        ),
        pytest.param(
            Usage(service_tier="priority", speed="fast"),
            {
                "input_tokens": 0,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "output_tokens": 0,
                "service_tier": "priority",
                "speed": "fast",
            },
            id="service class",
        ),
        pytest.param(
            Usage(service_tier="flex", speed="warp"),
            {
                "input_tokens": 0,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "output_tokens": 0,
            },
            id="another maker's words are left out",
        ),
    ],
)
def test_usage(usage: Usage, written: dict[str, Any]) -> None:
    events = [BEGIN, UsageReport(usage), END]
    assert encode_whole(events)["usage"] == written
    assert events_in(encode(events))[-2]["usage"] == written
    Message.model_validate(encode_whole(events))


def test_usage_is_there_even_if_nobody_said_a_word_about_it() -> None:
    assert encode_whole([BEGIN, END], input_estimate=50)["usage"]["input_tokens"] == 50
    assert events_in(encode([BEGIN, END]))[-2]["usage"]["output_tokens"] == 0


# --- any events -------------------------------------------------------------------------------------------------------

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
_SEALS = st.builds(
    OpaqueState,
    st.sampled_from(["anthropic-signature", "anthropic-redacted", "openai-encrypted", "google-thought", "visible"]),
    _TEXT,
    st.none() | st.just("p/m"),
)
_TEXTS = st.lists(st.builds(TextDelta, _TEXT), min_size=1, max_size=3)
_REFUSALS = st.lists(st.builds(RefusalDelta, _TEXT), min_size=1, max_size=2)
_THOUGHTS = st.tuples(
    st.lists(st.builds(ThinkingDelta, _TEXT), max_size=3), st.lists(st.builds(SignatureDelta, _SEALS), max_size=1)
).map(lambda part: [*part[0], *part[1]])
_OBJECTS = st.dictionaries(_TEXT, _TEXT | st.integers(-9, 9) | st.none(), max_size=3).map(json.dumps)


@st.composite
def _calls(draw: Any) -> list[StreamEvent]:
    custom = draw(st.booleans())
    text = draw(_TEXT if custom else _OBJECTS)
    cut = draw(st.integers(0, len(text)))
    deltas: list[StreamEvent] = [ToolCallDelta(piece) for piece in (text[:cut], text[cut:]) if piece]
    seal: list[StreamEvent] = draw(st.lists(st.builds(SignatureDelta, _SEALS), max_size=1))
    return [ToolCallStart(draw(_TEXT), draw(_TEXT), custom), *deltas, *seal]


_USAGES = st.builds(
    Usage,
    **{name: st.none() | st.integers(0, 99) for name in ("input", "cache_read", "cache_write", "cache_write_1h")},
    output=st.none() | st.integers(0, 99),
)
_BETWEEN = st.lists(st.just(KeepAlive()) | st.builds(UsageReport, _USAGES) | st.builds(Opaque, _TEXT), max_size=2)


@st.composite
def _replies(draw: Any) -> list[StreamEvent]:
    events: list[StreamEvent] = [MessageStart(draw(st.text(max_size=4)), draw(st.text(max_size=4))), *draw(_BETWEEN)]
    for part in draw(st.lists(_TEXTS | _REFUSALS | _THOUGHTS | _calls(), max_size=5)):
        if part:
            events += [*part, PartEnd(), *draw(_BETWEEN)]
    stops: Sequence[Stop] = ("end", "stop-sequence", "tool-use", "max-tokens", "context-window", "refusal", "pause")
    return [*events, MessageEnd(draw(st.sampled_from(stops)), draw(st.none() | _TEXT), draw(st.none() | _TEXT))]


@given(_replies())
def test_anthropics_sdk_reads_every_reply_and_the_same_one_streamed_and_whole(events: list[StreamEvent]) -> None:
    whole = encode_whole(events)
    Message.model_validate(whole)
    payload = encode(events)
    streamed = accumulated(payload)
    usages = streamed.pop("usage"), whole.pop("usage")
    assert streamed == {"stop_details": None, **whole}
    assert [usage["output_tokens"] for usage in usages] == [usages[1]["output_tokens"]] * 2
    indices = [event["index"] for event in events_in(payload) if event["type"] == "content_block_start"]
    assert indices == list(range(len(whole["content"])))
    assert all(block["text"].strip() for block in whole["content"] if block["type"] == "text")


@given(_replies())
def test_what_is_written_can_be_read_again(events: list[StreamEvent]) -> None:
    """But for space: texts of nothing else aren't written."""
    again = decode(encode(events))
    text = "".join(event.text for event in events if isinstance(event, TextDelta | RefusalDelta))
    read = "".join(event.text for event in again if isinstance(event, TextDelta))
    assert "".join(read.split()) == "".join(text.split())
    calls = [(event.name) for event in events if isinstance(event, ToolCallStart)]
    assert [event.name for event in again if isinstance(event, ToolCallStart)] == calls
    thoughts = "".join(event.text for event in events if isinstance(event, ThinkingDelta))
    assert "".join(event.text for event in again if isinstance(event, ThinkingDelta)) == thoughts
