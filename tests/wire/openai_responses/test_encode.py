"""Neutral events become a Responses reply that the official SDK and Codex understand, streamed and whole alike."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire.body import Body
from router.wire.conversation import OpaqueState
from router.wire.encoding import Asked
from router.wire.error_words import words_for
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
from router.wire.opaque import unwrap, wrap
from router.wire.usage import Usage
from tests.support.event_grammar import check_events, parts_of
from tests.wire.openai_responses.saying import (
    ASKED,
    RESPONSES,
    decode,
    decode_whole,
    encode,
    encode_whole,
)
from tests.wire.openai_responses.saying import parts_of as turns_of
from tests.wire.openai_responses.sdk import accumulated, check_response

START = MessageStart("upstream", "model")
STATE = OpaqueState("anthropic-signature", "sig", "anthropic/claude")
SHELL = {"tools": b'[{"type":"local_shell"},{"type":"apply_patch"},{"type":"tool_search","execution":"client"}]'}


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def output_of(*parts: StreamEvent, asked: Asked = ASKED, stop: Any = "end") -> list[dict[str, Any]]:
    """The output items that these events become, of a reply which the SDK takes streamed and whole."""
    events = [START, *parts, MessageEnd(stop)]
    whole = encode_whole(events, asked)
    check_response(whole)
    streamed = encode(events, asked)
    accumulated(streamed)
    assert streamed[-1]["response"] == whole
    assert [event["item"] for event in streamed if event["type"] == "response.output_item.done"] == whole["output"]
    output: list[dict[str, Any]] = whole["output"]
    return [{name: value for name, value in item.items() if name != "id"} for item in output]


# --- grammar ----------------------------------------------------------------------------------------------------------


def test_a_stream_of_text_has_the_formats_order() -> None:
    events = encode(
        [START, TextDelta("Hel", "final_answer"), TextDelta("lo", "final_answer"), PartEnd(), MessageEnd("end")]
    )
    assert kinds(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event["sequence_number"] for event in events] == list(range(10))
    item_id = events[2]["item"]["id"]
    assert item_id.startswith("msg_rtr1")
    assert {event.get("item_id", item_id) for event in events} == {item_id}
    assert events[2]["item"] == {
        "id": item_id,
        "type": "message",
        "status": "in_progress",
        "role": "assistant",
        "content": [],
        "phase": "final_answer",
    }
    assert (events[6]["text"], events[4]["delta"], events[4]["logprobs"]) == ("Hello", "Hel", [])
    assert events[0]["response"]["status"] == "in_progress"
    assert events[0]["response"]["output"] == []


def test_a_stream_of_thinking_and_calls_has_the_formats_order() -> None:
    events = encode(
        [
            START,
            ThinkingDelta("hm"),
            SignatureDelta(STATE),
            PartEnd(),
            ToolCallStart("c1", "f"),
            ToolCallDelta("{}"),
            PartEnd(),
            ToolCallStart("c2", "p", custom=True),
            ToolCallDelta("raw"),
            PartEnd(),
            RefusalDelta("no"),
            PartEnd(),
            MessageEnd("tool-use"),
        ]
    )
    assert kinds(events)[2:] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    ids = [event["item"]["id"] for event in events if event["type"] == "response.output_item.done"]
    assert [item_id.partition("rtr1")[0] for item_id in ids] == ["rs_", "fc_", "ctc_", "msg_"]
    assert len(set(ids)) == 4
    assert [event["output_index"] for event in events if "item" in event] == [0, 0, 1, 1, 2, 2, 3, 3]


# --- items ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("events", "item"),
    [
        pytest.param(
            [RefusalDelta("no"), PartEnd()],
            {
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "refusal", "refusal": "no"}],
            },
            id="a refusal",
        ),
        pytest.param(
            [ThinkingDelta("a"), ThinkingDelta("\n\nb"), SignatureDelta(STATE), PartEnd()],
            {
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": "a\n\nb"}],
                "encrypted_content": wrap(STATE),
            },
            id="sealed thinking",
        ),
        pytest.param(
            [SignatureDelta(STATE), PartEnd()],
            {"type": "reasoning", "summary": [], "encrypted_content": wrap(STATE)},
            id="hidden thinking",
        ),
        pytest.param(
            [ThinkingDelta("a"), PartEnd()],
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "a"}]},
            id="thinking that nobody sealed",
        ),
        pytest.param(
            [ToolCallStart("c1", "f", namespace="agents"), ToolCallDelta('{"a":'), ToolCallDelta("1.50}"), PartEnd()],
            {
                "type": "function_call",
                "call_id": "c1",
                "name": "f",
                "namespace": "agents",
                "arguments": '{"a":1.50}',
                "status": "completed",
            },
            id="a call of a group's tool",
        ),
        pytest.param(
            [ToolCallStart("c1", "f"), PartEnd()],
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}", "status": "completed"},
            id="a call without arguments",
        ),
        pytest.param(
            [ToolCallStart("c1", "f"), ToolCallDelta('{"a'), PartEnd()],
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a', "status": "incomplete"},
            id="a call that was cut off",
        ),
        pytest.param(
            [ToolCallStart("c1", "apply_patch", custom=True, namespace="g"), ToolCallDelta("*** Begin\n"), PartEnd()],
            {
                "type": "custom_tool_call",
                "call_id": "c1",
                "name": "apply_patch",
                "namespace": "g",
                "input": "*** Begin\n",
                "status": "completed",
            },
            id="a freeform call",
        ),
        pytest.param(
            [ToolCallStart("c1", "p", custom=True), PartEnd()],
            {"type": "custom_tool_call", "call_id": "c1", "name": "p", "input": "", "status": "completed"},
            id="a freeform call of nothing",
        ),
    ],
)
def test_each_part_is_an_item(events: list[StreamEvent], item: dict[str, Any]) -> None:
    assert output_of(*events) == [item]


@pytest.mark.parametrize(
    ("name", "arguments", "item"),
    [
        pytest.param(
            "local_shell",
            '{"command": ["ls", "-l"], "timeout_ms": 5}',
            {
                "type": "local_shell_call",
                "action": {"type": "exec", "env": {}, "command": ["ls", "-l"], "timeout_ms": 5},
            },
            id="a command",
        ),
        pytest.param(
            "apply_patch",
            '{"type":"update_file","path":"a","diff":"@@"}',
            {"type": "apply_patch_call", "operation": {"type": "update_file", "path": "a", "diff": "@@"}},
            id="a patch",
        ),
        pytest.param(
            "tool_search",
            '{"query":"x"}',
            {"type": "tool_search_call", "execution": "client", "arguments": {"query": "x"}},
            id="a search for tools",
        ),
        pytest.param(
            "local_shell",
            '{"command": "ls"}',
            {"type": "function_call", "name": "local_shell", "arguments": '{"command": "ls"}'},
            id="arguments that aren't the tool's",
        ),
        pytest.param(
            "shell",
            '{"commands":["ls"]}',
            {"type": "function_call", "name": "shell", "arguments": '{"commands":["ls"]}'},
            id="a tool that wasn't offered",
        ),
    ],
)
def test_a_call_of_a_client_tool_is_the_item_that_the_client_waits_for(
    name: str, arguments: str, item: dict[str, Any]
) -> None:
    asked = Asked("abc123", 1, echo=SHELL)
    parts = [ToolCallStart("c1", name), ToolCallDelta(arguments[:5]), ToolCallDelta(arguments[5:]), PartEnd()]
    assert output_of(*parts, asked=asked) == [{**item, "call_id": "c1", "status": "completed"}]


def test_sealed_reasoning_is_left_out_where_the_client_did_not_ask_for_it() -> None:
    asked = Asked("abc123", 1, include_state=False)
    events: list[StreamEvent] = [ThinkingDelta("a"), SignatureDelta(STATE), PartEnd(), SignatureDelta(STATE), PartEnd()]
    call: list[StreamEvent] = [ToolCallStart("c1", "f"), ToolCallDelta("{}"), SignatureDelta(STATE), PartEnd()]
    assert output_of(*events, *call, asked=asked) == [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "a"}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}", "status": "completed"},
    ]


def test_the_sealed_form_of_a_call_comes_back_with_the_call() -> None:
    state = OpaqueState("google-thought", "sig", "google/gemini")
    output = output_of(ToolCallStart("c1", "f"), ToolCallDelta("{}"), SignatureDelta(state), PartEnd())
    assert [item["type"] for item in output] == ["function_call", "reasoning"]
    [(role, [call])] = turns_of(*output)
    assert (role, call.state) == ("assistant", state)
    sealed = unwrap(output[1]["encrypted_content"])
    assert sealed is not None
    assert sealed.id == "c1"


WEB = {"type": "url_citation", "url": "https://x.example", "title": "X", "start_index": 0, "end_index": 5}
SHORT = {**WEB, "end_index": 3}


@pytest.mark.parametrize(
    ("citation", "annotations"),
    [
        pytest.param(Citation("url_citation", WEB["url"], "X", SHORT), [SHORT], id="the format's own"),
        pytest.param(Citation("web_search_result_location", WEB["url"], "X", {}), [WEB], id="of the web"),
        pytest.param(Citation("url_citation", WEB["url"], "X", {"url_citation": {}}), [WEB], id="in Chat's words"),
        pytest.param(
            Citation("file_citation", "", "a", {"type": "file_citation", "file_id": "f", "filename": "a", "index": 1}),
            [{"type": "file_citation", "file_id": "f", "filename": "a", "index": 1}],
            id="of a file",
        ),
        pytest.param(Citation("char_location", "", "doc", {"document_index": 0}), [], id="of a document"),
    ],
)  # fmt: skip
def test_sources_become_annotations(citation: Citation, annotations: list[Any]) -> None:
    [message] = output_of(TextDelta("Hello"), citation, PartEnd())
    assert message["content"] == [{"type": "output_text", "text": "Hello", "annotations": annotations, "logprobs": []}]
    told = [
        event["annotation"]
        for event in encode([START, TextDelta("Hello"), citation, PartEnd(), MessageEnd("end")])
        if event["type"] == "response.output_text.annotation.added"
    ]
    assert told == annotations


# --- the response -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "status", "reason"),
    [
        pytest.param(MessageEnd("end"), "completed", None, id="the end"),
        pytest.param(MessageEnd("stop-sequence", "x"), "completed", None, id="a stop sequence"),
        pytest.param(MessageEnd("pause"), "completed", None, id="a pause"),
        pytest.param(MessageEnd("max-tokens"), "incomplete", "max_output_tokens", id="the limit"),
        pytest.param(MessageEnd("context-window"), "incomplete", "max_output_tokens", id="the context"),
        pytest.param(MessageEnd("refusal"), "incomplete", "content_filter", id="a refusal without words"),
    ],
)
def test_why_a_reply_ends(end: MessageEnd, status: str, reason: str | None) -> None:
    events = [START, TextDelta("a"), PartEnd(), end]
    reply = encode_whole(events)
    check_response(reply)
    assert reply["status"] == status
    assert (reply["incomplete_details"] or {}).get("reason") == reason
    last = encode(events)[-1]
    assert last == {"type": f"response.{status}", "sequence_number": 9 - 1, "response": reply}


def test_a_refusals_words_are_its_answer() -> None:
    for events in (
        [START, RefusalDelta("no"), PartEnd(), MessageEnd("refusal")],
        [START, MessageEnd("refusal", explanation="no")],
    ):
        reply = encode_whole(events)
        assert (reply["status"], reply["incomplete_details"]) == ("completed", None)
        assert reply["output"][0]["content"] == [{"type": "refusal", "refusal": "no"}]
        assert encode(events)[-1]["response"] == reply


def test_nobody_shall_carry_out_the_calls_of_a_refused_answer() -> None:
    call: list[StreamEvent] = [ToolCallStart("c1", "f"), ToolCallDelta("{}"), PartEnd()]
    reply = encode_whole([START, RefusalDelta("no"), PartEnd(), *call, MessageEnd("refusal")])
    assert (reply["status"], reply["incomplete_details"]) == ("incomplete", {"reason": "content_filter"})


def test_the_response_repeats_what_was_asked() -> None:
    asked = {
        "model": "m",
        "input": "secret",
        "instructions": "be brief",
        "tools": [{"type": "namespace", "name": "g", "description": "d", "tools": []}],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"verbosity": "low"},
        "metadata": {"a": "b"},
        "temperature": 0.5,
        "top_p": None,
        "max_output_tokens": 100,
        "store": True,
        "previous_response_id": "resp_1",
    }
    echo = RESPONSES.echoed(Body.parse(json.dumps(asked).encode()))
    reply = encode_whole([START, MessageEnd("end")], Asked("abc123", 5, echo=echo))
    check_response(reply)
    repeated = {name: reply[name] for name in asked if name not in ("input", "store", "previous_response_id", "model")}
    assert repeated == {name: asked[name] for name in repeated}
    assert (reply["store"], reply["previous_response_id"], "input" in reply) == (False, None, False)


@pytest.mark.parametrize("space", ["\n", "\r\n", "\r"])
def test_a_request_in_many_lines_is_repeated_in_one_as_events_need_it(space: str) -> None:
    asked = json.dumps({"model": "m", "metadata": {"a": "b\n"}, "tools": [{"type": "local_shell"}]}, indent=2)
    echo = RESPONSES.echoed(Body.parse(asked.replace("\n", space).encode()))
    encoder = RESPONSES.encoder(Asked("abc123", 5, echo=echo))
    event = encoder.encode(START)
    assert event.count(b"\n") == 6  # name, data and a blank line, twice
    assert b"\r" not in event
    told = json.loads(event.split(b"\ndata: ")[1].partition(b"\n\n")[0])["response"]
    assert (told["metadata"], told["tools"]) == ({"a": "b\n"}, [{"type": "local_shell"}])


def test_the_response_has_every_field_and_names_what_it_was_asked_to() -> None:
    reply = encode_whole([START, MessageEnd("end")], Asked("abc123", 5))
    check_response(reply)
    assert (reply["id"], reply["created_at"], reply["model"]) == ("resp_rtr1abc123", 5, "model")
    assert (reply["tools"], reply["tool_choice"], reply["parallel_tool_calls"]) == ([], "auto", True)
    assert (reply["usage"], reply["output"], reply["error"]) == (None, [], None)
    assert encode_whole([START, MessageEnd("end")], Asked("abc123", 5, model="route"))["model"] == "route"


@pytest.mark.parametrize(
    ("usage", "written"),
    [
        pytest.param(Usage(6, 4, 2, 3, output=7, reasoning=5), (15, 4, 5, 7, 5), id="all of it"),
        pytest.param(Usage(input=6, output=7), (6, 0, 0, 7, 0), id="zeros for what isn't told"),
        pytest.param(Usage(output=7), (0, 0, 0, 7, 0), id="output alone"),
    ],
)  # fmt: skip
def test_usage_is_written_in_the_formats_meaning(usage: Usage, written: tuple[int, ...]) -> None:
    total, read, write, output, thought = written
    events = [START, UsageReport(Usage(input=1)), TextDelta("a"), PartEnd(), UsageReport(usage), MessageEnd("end")]
    assert encode_whole(events)["usage"] == {
        "input_tokens": total,
        "input_tokens_details": {"cached_tokens": read, "cache_write_tokens": write},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": total + output,
    }


# --- failures and silence ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "said"),
    [
        pytest.param("overloaded", "server_is_overloaded", id="overloaded"),
        pytest.param("rate", "rate_limit_exceeded", id="too many requests"),
        pytest.param("quota", "insufficient_quota", id="no money"),
        pytest.param("context-length", "context_length_exceeded", id="too long"),
        pytest.param("server", "server_error", id="a fault"),
        pytest.param("brand_new", "brand_new", id="a provider's own"),
    ],
)
def test_a_failure_is_told_in_both_ways_that_clients_look_for(code: str, said: str) -> None:
    events = encode([START, TextDelta("a"), PartEnd(), TextDelta("b"), StreamFailed(code, "sorry")])
    error, failed = events[-2:]
    fields = {"code": said, "message": "sorry", "param": None}
    nested = {"type": words_for(None, code).openai_type, **fields}
    assert error == {"type": "error", "sequence_number": 11, **fields, "error": nested}
    assert failed["type"] == "response.failed"
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"] == {"code": said, "message": "sorry"}
    assert [item["content"][0]["text"] for item in failed["response"]["output"]] == ["a"]


def test_a_failure_before_the_beginning_still_begins() -> None:
    assert kinds(encode([StreamFailed("server", "sorry")])) == ["created", "in_progress", "error", "failed"]


def test_a_silent_provider_is_a_comment() -> None:
    assert RESPONSES.encoder(ASKED).encode(KeepAlive()) == RESPONSES.keep_alive
    assert RESPONSES.keep_alive.startswith(b":")
    assert RESPONSES.keep_alive.endswith(b"\n\n")


def test_what_no_word_fits_is_left_out() -> None:
    assert encode([START, Opaque("x"), MessageEnd("end")])[2]["type"] == "response.completed"
    assert RESPONSES.encoder(ASKED).encode(Opaque("x")) == b""


# --- any reply --------------------------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
states = st.builds(
    OpaqueState, st.sampled_from(["anthropic-signature", "openai-encrypted", "openrouter"]), texts, texts
)
seals = st.just([]) | states.map(lambda state: [SignatureDelta(state)])
names = st.sampled_from(["f", "local_shell", "apply_patch", "tool_search"])
arguments = st.lists(st.sampled_from(["{", "}", '{"command":["ls"]}', '"a":1', "é"]) | texts, max_size=3)
parts = st.one_of(
    st.builds(
        lambda said, phase: [TextDelta(text, phase) for text in said],
        st.lists(texts, min_size=1, max_size=3),
        st.sampled_from([None, "commentary"]),
    ),
    st.lists(st.builds(RefusalDelta, texts), min_size=1, max_size=3),
    st.builds(lambda said, seal: [*map(ThinkingDelta, said), *seal], st.lists(texts, min_size=1, max_size=3), seals),
    states.map(lambda state: [SignatureDelta(state)]),
    st.builds(
        lambda start, said, seal: [start, *map(ToolCallDelta, said), *seal],
        st.builds(ToolCallStart, texts, names, st.booleans(), st.none() | texts),
        arguments,
        seals,
    ),
)
stops = st.sampled_from(["end", "max-tokens", "refusal", "pause"])
usages = st.builds(Usage, *[st.none() | st.integers(0, 99)] * 6)


@st.composite
def replies(draw: st.DrawFn) -> list[StreamEvent]:
    said = draw(st.lists(parts, max_size=5))
    seen: set[str] = set()
    events: list[StreamEvent] = [START]
    for part in said:
        if isinstance(start := part[0], ToolCallStart):
            part = [ToolCallStart(f"{start.id}{len(seen)}", start.name, start.custom, start.namespace), *part[1:]]
            seen.add(str(len(seen)))
        events += [*part, PartEnd()]
        if draw(st.booleans()):
            events.append(draw(st.sampled_from([KeepAlive(), Opaque("x")]) | usages.map(UsageReport)))
    stop = draw(stops)
    events.append(MessageEnd("tool-use" if seen and stop == "end" else stop))
    return events


@given(replies(), st.booleans(), st.booleans())
def test_any_reply_is_one_that_the_official_sdk_takes(
    events: list[StreamEvent], include_state: bool, typed: bool
) -> None:
    check_events(events, ended=True)
    asked = Asked("abc123", 1, include_state=include_state, echo=SHELL if typed else {})
    streamed, whole = encode(events, asked), encode_whole(events, asked)
    check_response(whole)
    final = accumulated(streamed)
    assert streamed[-1]["response"] == whole
    assert (final is None) == (whole["status"] != "completed")
    assert [event["sequence_number"] for event in streamed] == list(range(len(streamed)))
    places = [event["output_index"] for event in streamed if "output_index" in event]
    assert all(later in (earlier, earlier + 1) for earlier, later in pairwise(places))
    assert len(whole["output"]) == len(set(places)) == len({item["id"] for item in whole["output"]})


@given(replies())
def test_any_reply_says_the_same_when_it_is_read_again(events: list[StreamEvent]) -> None:
    encoder = RESPONSES.encoder(ASKED)
    again = decode(b"".join(map(encoder.encode, events)))
    assert _readable(decode_whole(encode_whole(events))) == _readable(again) == _readable(events)
    assert [_is_cut(reply) for reply in (again, decode_whole(encode_whole(events)))] == [_is_cut(events)] * 2


def _is_cut(events: list[StreamEvent]) -> bool:
    end = events[-1]
    assert isinstance(end, MessageEnd)
    return end.stop == "max-tokens"


def _readable(events: list[StreamEvent]) -> list[tuple[Any, ...]]:
    """What was said and called; sealed forms come back under our tag, and arguments of nothing as an empty object."""
    found: list[tuple[Any, ...]] = []
    for part in parts_of(events):
        match part:
            case ("thinking", text, _):
                found += [("thinking", text)] if text else []
            case ("call", call_id, name, said):
                found.append(("call", call_id, name, said if said.strip() else "{}"))
            case _:
                found.append(part)
    return found
