"""A provider's reply becomes neutral events, whole and streamed, whatever its server leaves out or mixes up."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire.conversation import OpaqueState, Tool
from router.wire.events import (
    Citation,
    KeepAlive,
    MessageEnd,
    MessageStart,
    Opaque,
    PartEnd,
    SignatureDelta,
    StreamFailed,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)
from router.wire.sse import SseDecoder
from router.wire.tool_table import ToolTable
from router.wire.usage import Usage
from tests.support.event_grammar import check_events, parts_of
from tests.support.recorded import Case, cases
from tests.wire.openai_responses.saying import (
    NEW,
    RESPONSES,
    decode,
    decode_cut,
    decode_whole,
    offering,
    some_cuts,
    stream,
)

CREATED = {"type": "response.created", "response": {"id": "resp_1", "model": "gpt-x", "status": "in_progress"}}
USAGE = {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 3, "total_tokens": 13}
COMPLETED = {"type": "response.completed", "response": {"status": "completed", "output": [], "usage": USAGE}}
START = MessageStart("resp_1", "gpt-x")
REPORT = UsageReport(Usage(input=6, cache_read=4, output=3))
SEALED = OpaqueState("openai-encrypted", "sealed", "openai/gpt-new", "rs_1")
VISIBLE = OpaqueState("visible", "", "openai/gpt-new")

Event = dict[str, Any]


def added(item: Event, index: int = 0) -> Event:
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def done(item: Event, index: int = 0) -> Event:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def delta(kind: str, text: str, index: int = 0, **fields: Any) -> Event:
    return {"type": f"response.{kind}.delta", "output_index": index, "item_id": "x", "delta": text, **fields}


def message(*texts: str, **fields: Any) -> Event:
    content = [{"type": "output_text", "text": text, "annotations": []} for text in texts]
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": content, **fields}


def reasoning(*summary: str, **fields: Any) -> Event:
    texts = [{"type": "summary_text", "text": text} for text in summary]
    return {"type": "reasoning", "id": "rs_1", "summary": texts, **fields}


def call(arguments: str = "", **fields: Any) -> Event:
    return {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": arguments, **fields}


def custom(text: str = "", **fields: Any) -> Event:
    return {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c1", "name": "p", "input": text, **fields}


SEALED_ITEM = reasoning("r", encrypted_content="sealed")


def incomplete(reason: str) -> Event:
    return {"status": "incomplete", "incomplete_details": {"reason": reason}}


def failed(**fields: Any) -> Event:
    return {"type": "response.failed", "response": fields}


def said(*events: Event, tools: ToolTable | None = None) -> list[tuple[Any, ...]]:
    """The parts of a stream of these events between its beginning and its end."""
    sent = stream(CREATED, *events, COMPLETED)
    found = decode(sent, NEW, tools)
    check_events(found, ended=True)
    assert decode(stream(CREATED, *events, COMPLETED, named=False), NEW, tools) == found
    return parts_of(found)


def test_a_stream_of_text() -> None:
    assert decode(
        stream(
            CREATED,
            {"type": "response.in_progress", "response": CREATED["response"]},
            added(message()),
            {"type": "response.content_part.added", "output_index": 0, "part": {"type": "output_text", "text": ""}},
            delta("output_text", "Hel"),
            delta("output_text", ""),
            delta("output_text", "lo"),
            {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "Hello"},
            done(message("Hello")),
            COMPLETED,
        )
    ) == [START, TextDelta("Hel"), TextDelta("lo"), PartEnd(), REPORT, MessageEnd("end")]


@pytest.mark.parametrize(
    ("events", "parts"),
    [
        pytest.param([added(message()), done(message("Hello"))], [("text", "Hello")], id="text without deltas"),
        pytest.param([done(message("Hello"))], [("text", "Hello")], id="text of an item that never began"),
        pytest.param([delta("output_text", "Hello")], [("text", "Hello")], id="deltas without an item"),
        pytest.param(
            [added(message()), delta("output_text", "Hel"), done(message("Hello"))],
            [("text", "Hello")],
            id="text of which deltas are missing",
        ),
        pytest.param(
            [added(message()), delta("output_text", "Hullo"), done(message("Hello"))],
            [("text", "Hullo")],
            id="text that is another one in the end",
        ),
        pytest.param(
            [added(message()), done(message("a", "b"))], [("text", "a"), ("text", "b")], id="two parts of a message"
        ),
        pytest.param([added(message()), done(message(""))], [], id="an empty text"),
        pytest.param(
            [added(reasoning()), done(reasoning(encrypted_content="sealed"))],
            [("thinking", "", SEALED)],
            id="hidden reasoning",
        ),
        pytest.param([added(reasoning()), done(reasoning())], [], id="reasoning of which nothing shows"),
        pytest.param(
            [
                added(reasoning(encrypted_content="unfinished")),
                delta("reasoning_summary_text", "a", summary_index=0),
                {"type": "response.reasoning_summary_part.added", "output_index": 0, "summary_index": 1},
                delta("reasoning_summary_text", "b", summary_index=1),
                done(reasoning("a", "b", encrypted_content="sealed")),
            ],
            [("thinking", "a\n\nb", SEALED)],
            id="a summary of two parts",
        ),
        pytest.param(
            [done(reasoning("a", "b"))], [("thinking", "a\n\nb", VISIBLE)], id="a summary of two parts without deltas"
        ),
        pytest.param(
            [
                added(reasoning()),
                delta("reasoning_text", "a", content_index=0),
                done(reasoning(content=[{"type": "reasoning_text", "text": "ab"}])),
            ],
            [("thinking", "ab", VISIBLE)],
            id="reasoning in full",
        ),
        pytest.param(
            [added(reasoning()), delta("reasoning_text", "a"), done(reasoning("short", content=[{"text": "a"}]))],
            [("thinking", "a", VISIBLE)],
            id="reasoning in full and in short",
        ),
        pytest.param(
            [added(call()), delta("function_call_arguments", '{"a"'), delta("function_call_arguments", ":1}")],
            [("call", "c1", "f", '{"a":1}')],
            id="a call that never ends",
        ),
        pytest.param(
            [
                added(call()),
                {"type": "response.function_call_arguments.done", "output_index": 0, "arguments": '{"a":1}'},
                done(call('{"a":1}')),
            ],
            [("call", "c1", "f", '{"a":1}')],
            id="a call without deltas",
        ),
        pytest.param(
            [added(call('{"a":1}')), done(call('{"a":1}'))], [("call", "c1", "f", '{"a":1}')], id="a call at once"
        ),
        pytest.param(
            [added(call(call_id="", name="")), delta("function_call_arguments", "{}"), done(call("{}"))],
            [("call", "c1", "f", "{}")],
            id="a call that says late what it is",
        ),
        pytest.param(
            [added(custom()), delta("custom_tool_call_input", "raw"), delta("custom_tool_call_input", "\n")],
            [("call", "c1", "p", "raw\n", "custom")],
            id="a freeform call",
        ),
        pytest.param([done(custom("raw"))], [("call", "c1", "p", "raw", "custom")], id="a freeform call at once"),
        pytest.param(
            [
                added(call(), 0),
                added(call(call_id="c2"), 1),
                delta("function_call_arguments", '{"b":', 1),
                delta("function_call_arguments", '{"a":1}', 0),
                delta("function_call_arguments", "2}", 1),
                done(call('{"a":1}'), 0),
                done(call('{"b":2}', call_id="c2"), 1),
            ],
            [("call", "c1", "f", '{"a":1}'), ("call", "c2", "f", '{"b":2}')],
            id="calls through each other",
        ),
        pytest.param(
            [
                added(message(id="msg_a")),
                delta("output_text", "a", item_id="msg_b"),
                delta("output_text", "b", item_id="msg_c"),
                done(message("ab", id="msg_d")),
            ],
            [("text", "ab")],
            id="ids that change from event to event",
        ),
        pytest.param(
            [
                {"type": "response.output_item.added", "item": message(id="m1")},
                {"type": "response.output_text.delta", "item_id": "m1", "delta": "a"},
                {"type": "response.output_item.done", "item": message("a", id="m1")},
                {"type": "response.output_item.added", "item": call(id="f1")},
                {"type": "response.function_call_arguments.delta", "item_id": "f1", "delta": "{}"},
            ],
            [("text", "a"), ("call", "c1", "f", "{}")],
            id="no indexes",
        ),
        pytest.param(
            [added(message()), delta("output_text", "a"), done(message("a")), added(call()), done(call("{}"))],
            [("text", "a"), ("call", "c1", "f", "{}")],
            id="one index for all",
        ),
        pytest.param(
            [added(reasoning(), 0), delta("reasoning_text", "a", 0), added(message(), 1), delta("output_text", "b", 1),
             done(message("b"), 1), done(reasoning(content=[{"text": "a"}]), 0)],
            [("thinking", "a", VISIBLE), ("text", "b")],
            id="reasoning that ends behind the text",
        ),
        pytest.param(
            [added(message()), delta("refusal", "No"), delta("refusal", "."),
             done({**message(), "content": [{"type": "refusal", "refusal": "No."}]})],
            [("refusal", "No.")],
            id="a refusal",
        ),
        pytest.param(
            [done(call('{"tool_uses":[{"recipient_name":"functions.a","parameters":{"x":1}}]}', name="parallel"))],
            [("call", "c1_0", "a", '{"x":1}')],
            id="a wrapper around calls",
        ),
    ],
)  # fmt: skip
def test_what_a_stream_says(events: list[Event], parts: list[Any]) -> None:
    assert said(*events) == parts


def test_text_keeps_its_phase() -> None:
    events = decode(stream(CREATED, added(message(phase="commentary")), delta("output_text", "a"), COMPLETED))
    assert TextDelta("a", "commentary") in events
    events = decode_whole({"status": "completed", "output": [message("a", phase="final_answer")]})
    assert TextDelta("a", "final_answer") in events


def test_sources_are_told_once_while_the_text_is_open() -> None:
    web = {"type": "url_citation", "url": "https://x.example", "title": "X", "start_index": 0, "end_index": 1}
    file = {"type": "file_citation", "file_id": "f", "filename": "a.txt", "index": 1}
    whole = message("ab")
    whole["content"][0]["annotations"] = [web, file]
    told = [Citation("url_citation", "https://x.example", "X", web), Citation("file_citation", "", "a.txt", file)]
    annotation = {"type": "response.output_text.annotation.added", "output_index": 0, "annotation": web}
    events = decode(stream(CREATED, added(message()), delta("output_text", "ab"), annotation, done(whole), COMPLETED))
    assert events == [START, TextDelta("ab"), *told, PartEnd(), REPORT, MessageEnd("end")]
    events = decode_whole({"id": "resp_1", "model": "gpt-x", "status": "completed", "output": [whole], "usage": USAGE})
    assert events == [START, TextDelta("ab"), *told, PartEnd(), REPORT, MessageEnd("end")]


def test_a_hosted_tools_work_is_reported_and_keeps_the_client_waiting() -> None:
    item = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    searching = {"type": "response.web_search_call.searching", "output_index": 0, "item_id": "ws_1"}
    assert decode(stream(CREATED, added(item), searching, done(item), COMPLETED)) == [
        START,
        Opaque("web_search_call"),
        KeepAlive(),
        REPORT,
        MessageEnd("end"),
    ]


def test_tools_are_called_by_the_names_that_the_client_knows() -> None:
    conversation = offering(Tool("close", namespace="agents"), Tool("apply_patch", custom=True))
    tools = ToolTable(conversation)
    assert said(added(call(name="apply_patch")), done(call('{"input":"raw"}', name="apply_patch")), tools=tools) == [
        ("call", "c1", "apply_patch", "raw", "custom")
    ]
    events = decode(stream(CREATED, done(call("{}", name="agents__close", namespace="other")), COMPLETED), NEW, tools)
    assert events[1] == ToolCallStart("c1", "close", namespace="agents")


def test_the_group_of_a_tool_that_nobody_offered_is_kept() -> None:
    assert ToolCallStart("c1", "f", namespace="g") in decode(
        stream(CREATED, done(call("{}", namespace="g")), COMPLETED)
    )


# --- how a reply ends -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "stop"),
    [
        pytest.param({"status": "completed"}, "end", id="completed"),
        pytest.param({"status": None}, "end", id="without a status"),
        pytest.param(incomplete("max_output_tokens"), "max-tokens", id="cut"),
        pytest.param(incomplete("content_filter"), "refusal", id="filtered"),
        pytest.param(incomplete("max_messages"), "pause", id="as many messages as were asked for"),
        pytest.param(incomplete("steered"), "pause", id="steered"),
        pytest.param(incomplete("new"), "max-tokens", id="a new reason"),
        pytest.param({"status": "incomplete"}, "max-tokens", id="incomplete without a reason"),
        pytest.param({"status": "completed", "output": [call("{}")]}, "tool-use", id="with a call"),
        pytest.param({**incomplete("max_output_tokens"), "output": [call('{"a')]}, "max-tokens", id="cut in a call"),
        pytest.param(
            {"status": "completed", "output": [{**message(), "content": [{"type": "refusal", "refusal": "no"}]}]},
            "refusal",
            id="a refusal",
        ),
    ],
)  # fmt: skip
def test_why_a_reply_ends(response: dict[str, Any], stop: str) -> None:
    whole = {"output": [message("a")], **response}
    items = [done(item, index) for index, item in enumerate(whole["output"])]
    ends = [{"type": "response.completed", "response": whole}]
    if whole["status"]:  # it says more than the event's name
        ends.append({"type": "response.incomplete", "response": whole})
    for events in (decode_whole(whole), *(decode(stream(CREATED, *items, end)) for end in ends)):
        check_events(events, ended=True)
        assert isinstance(events[-1], MessageEnd)
        assert events[-1].stop == stop


def test_the_end_counts_for_items_only_where_none_was_seen() -> None:
    end = {"type": "response.completed", "response": {"status": "completed", "output": [message("all of it")]}}
    assert parts_of(decode(stream(CREATED, end))) == [("text", "all of it")]
    assert parts_of(decode(stream(CREATED, delta("output_text", "some"), end))) == [("text", "some")]


@pytest.mark.parametrize(
    ("events", "failure"),
    [
        pytest.param(
            [{"type": "error", "code": "server_is_overloaded", "message": "busy", "param": None}],
            StreamFailed("overloaded", "busy"),
            id="an error event",
        ),
        pytest.param(
            [{"type": "error", "error": {"code": "insufficient_quota", "message": "pay"}}],
            StreamFailed("quota", "pay"),
            id="an error event with an object in it",
        ),
        pytest.param([{"type": "error"}], StreamFailed("server", "the stream broke off with an error"), id="no words"),
        pytest.param(
            [failed(status="failed", error={"code": "rate_limit_exceeded", "message": "slow"})],
            StreamFailed("rate", "slow"),
            id="a failed response",
        ),
        pytest.param(
            [failed(status="failed")],
            StreamFailed("server", "the response was failed without a message"),
            id="a failed response without words",
        ),
        pytest.param(
            [{"type": "response.completed", "response": {"status": "cancelled", "output": []}}],
            StreamFailed("server", "the response was cancelled without a message"),
            id="a cancelled response",
        ),
        pytest.param(
            [failed(error={"code": "brand_new", "message": "x"})],
            StreamFailed("brand_new", "x"),
            id="a new code",
        ),
        pytest.param(
            [{"type": "error", "error": {"code": 502, "message": "bad gateway"}}],
            StreamFailed("server", "bad gateway"),
            id="a status for a code",
        ),
    ],
)  # fmt: skip
def test_a_stream_that_fails_says_so(events: list[Event], failure: StreamFailed) -> None:
    told = decode(stream(CREATED, delta("output_text", "a"), *events, COMPLETED))
    assert told == [START, TextDelta("a"), failure]


def test_an_error_without_a_type_is_one() -> None:
    assert decode(b'data: {"error":{"message":"no","code":429}}\n\n') == [StreamFailed("rate", "no")]
    assert decode(b'event: error\ndata: {"message":"no"}\n\n') == [StreamFailed("server", "no")]


def test_a_stream_without_an_end_never_ends() -> None:
    sent = stream(CREATED, added(message()), delta("output_text", "a"), done(message("a")))
    for cut in (sent, sent + b"data: [DONE]\n\n", sent + stream(COMPLETED)[:-30]):
        assert decode(cut) == [START, TextDelta("a"), PartEnd()]


def test_nothing_follows_the_end() -> None:
    assert decode(stream(CREATED, COMPLETED, delta("output_text", "a"), COMPLETED)) == [
        START,
        REPORT,
        MessageEnd("end"),
    ]


@pytest.mark.parametrize(
    ("reply", "events"),
    [
        pytest.param({"status": "queued", "output": []}, [], id="not begun"),
        pytest.param({"status": "in_progress", "output": [message("a")]}, [], id="not finished"),
        pytest.param({}, [], id="nothing"),
        pytest.param({"choices": []}, [], id="a reply of another format"),
        pytest.param([], [], id="a list"),
        pytest.param("words", [], id="a text"),
        pytest.param({"error": {"message": "no", "code": None}}, [StreamFailed("server", "no")], id="an error"),
        pytest.param(
            [{"error": {"message": "no", "code": "model_not_found"}}], [StreamFailed("not-found", "no")], id="in a list"
        ),
        pytest.param({"detail": "no"}, [StreamFailed("server", "no")], id="an error that is a detail"),
        pytest.param({"message": "no"}, [StreamFailed("server", "no")], id="an error that is a message"),
        pytest.param(
            {"status": "failed", "output": [], "error": {"code": "invalid_prompt", "message": "no"}},
            [MessageStart(), StreamFailed("bad-request", "no")],
            id="a failed response",
        ),
        pytest.param(
            {"status": "completed", "output": [message("a")], "error": {}},
            [MessageStart(), TextDelta("a"), PartEnd(), MessageEnd("end")],
            id="an error that is none",
        ),
        pytest.param(
            {"status": "completed", "output": [SEALED_ITEM, call("{}"), {"type": "mcp_call"}]},
            [
                MessageStart(),
                ThinkingDelta("r"),
                SignatureDelta(OpaqueState("openai-encrypted", "sealed", id="rs_1")),
                PartEnd(),
                ToolCallStart("c1", "f"),
                ToolCallDelta("{}"),
                PartEnd(),
                Opaque("mcp_call"),
                MessageEnd("tool-use"),
            ],
            id="all sorts of items",
        ),
    ],
)  # fmt: skip
def test_whole_replies(reply: Any, events: list[Any]) -> None:
    assert decode_whole(reply) == events


# --- recorded replies and hostile ones --------------------------------------------------------------------------------


STREAMS = [pytest.param(case, id=case.id) for case in cases() if case.api == "openai-responses" and case.streamed]


@pytest.mark.parametrize("case", STREAMS)
def test_every_recorded_stream_is_the_same_events_however_it_is_cut(case: Case) -> None:
    sent = case.reply
    events = decode(sent, NEW)
    failed = "mid-stream-error" in case.raw["kinds"]
    check_events(events, ended=True)
    assert isinstance(events[-1], StreamFailed if failed else MessageEnd)
    assert decode_cut(sent, range(1, len(sent)), NEW) == events
    for seed in range(20):
        assert decode_cut(sent, some_cuts(sent, seed), NEW) == events


@pytest.mark.parametrize("case", STREAMS)
def test_every_recorded_stream_says_what_its_end_repeats(case: Case) -> None:
    events = [json.loads(event.data) for event in SseDecoder().feed(case.reply) if event.data.startswith(b"{")]
    ends = [event["response"] for event in events if event["type"] in ("response.completed", "response.incomplete")]
    assert len(ends) == (0 if "mid-stream-error" in case.raw["kinds"] else 1)
    for response in ends:
        if response["output"]:
            whole, streamed = decode_whole(response, NEW), decode(case.reply, NEW)
            assert parts_of(whole) == parts_of(streamed)
            assert whole[-1] == streamed[-1]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KINDS = """created in_progress output_item.added output_item.done output_text.delta output_text.done refusal.delta
    refusal.done output_text.annotation.added reasoning_summary_text.delta reasoning_summary_text.done
    reasoning_text.delta reasoning_text.done function_call_arguments.delta function_call_arguments.done
    custom_tool_call_input.delta custom_tool_call_input.done completed incomplete failed""".split()
NAMES = """item output_index item_id content_index summary_index delta text arguments input refusal annotation response
    error message code part""".split()
item_names = "type id call_id name arguments input summary content encrypted_content phase status role".split()
items = st.fixed_dictionaries(
    {"type": st.sampled_from(["message", "reasoning", "function_call", "custom_tool_call", "web_search_call"])},
    optional={name: json_values | st.just([{"text": "x"}]) for name in item_names if name != "type"},
)
values = json_values | items | st.fixed_dictionaries({"output": st.lists(items, max_size=2)}) | st.integers(0, 2)
any_events = st.builds(
    lambda kind, fields: {**fields, "type": kind},
    st.sampled_from(["error", *(f"response.{kind}" for kind in KINDS)]),
    st.dictionaries(st.sampled_from(NAMES), values, max_size=6),
)


@given(st.lists(any_events, max_size=8))
def test_whatever_a_provider_streams_is_a_reply_or_the_beginning_of_one(events: list[Event]) -> None:
    decoder = RESPONSES.decoder(NEW)
    found = decoder.feed(stream(*events)) + decoder.finish()
    check_events(found, ended=bool(found) and isinstance(found[-1], MessageEnd | StreamFailed))


@given(st.dictionaries(st.sampled_from(["output", "status", "error", "usage", "id", "incomplete_details"]), values))
def test_whatever_a_provider_answers_is_a_reply_or_none(reply: Any) -> None:
    found = decode_whole(reply, NEW)
    check_events(found, ended=bool(found) and isinstance(found[-1], MessageEnd | StreamFailed))
