from __future__ import annotations

import json
from typing import Any

import pytest

from router.wire.conversation import OpaqueState, Tool
from router.wire.events import (
    Citation,
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
from router.wire.tool_table import ToolTable
from router.wire.usage import Usage
from tests.wire.openai_chat.saying import content, conversation, decoder, delta, sse, streamed, whole

END, STOP = PartEnd(), MessageEnd("end")
TAGS = {"reasoning_out": frozenset({"think-tags"})}
OWNER = "here/served"
VISIBLE = SignatureDelta(OpaqueState("visible", "", OWNER))


def last(events: list[StreamEvent]) -> StreamEvent:
    return events[-1]


def usage_of(events: list[StreamEvent]) -> Usage | None:
    return next((event.usage for event in reversed(events) if isinstance(event, UsageReport)), None)


# --- beginnings and texts ---------------------------------------------------------------------------------------------


def test_the_first_chunk_with_a_choice_begins_the_reply() -> None:
    filtered = {"id": "", "model": "", "choices": [], "prompt_filter_results": []}  # Azure
    assert streamed(filtered, delta(role="assistant"), delta("stop", content="a")) == [
        MessageStart("c1", "m1"),
        TextDelta("a"),
        END,
        STOP,
    ]


@pytest.mark.parametrize(
    "nothing",
    [
        pytest.param({"role": "assistant"}, id="a role alone"),
        pytest.param({"content": ""}, id="empty text"),
        pytest.param({"content": None, "reasoning_content": "", "tool_calls": None, "refusal": ""}, id="empty fields"),
        pytest.param({"content": []}, id="an empty list"),
    ],
)
def test_empty_deltas_open_nothing(nothing: dict[str, Any]) -> None:
    assert content(streamed(delta(**nothing), delta("stop"))) == [STOP]


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        pytest.param([{"content": "a"}, {"content": "b"}], [TextDelta("a"), TextDelta("b"), END], id="text"),
        pytest.param(
            [{"reasoning_content": "hm"}, {"content": "a"}],
            [ThinkingDelta("hm"), END, TextDelta("a"), END],
            id="reasoning_content, then text",
        ),
        pytest.param(
            [{"reasoning": "hm"}, {"content": "a"}],
            [ThinkingDelta("hm"), END, TextDelta("a"), END],
            id="reasoning, then text",
        ),
        pytest.param(
            [{"reasoning_content": "hm", "content": "a"}],
            [ThinkingDelta("hm"), END, TextDelta("a"), END],
            id="both in one chunk",
        ),
        pytest.param(
            [{"reasoning": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm", "index": 0}]}],
            [ThinkingDelta("hm"), END],
            id="the same reasoning under two names",
        ),
        pytest.param(
            [{"reasoning": "hm", "reasoning_content": "hm"}], [ThinkingDelta("hm"), END], id="and under two others"
        ),
        pytest.param(
            [
                {"reasoning": "hm"},
                {"reasoning": None, "reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "s"}]},
                {"content": "a"},
            ],
            [
                ThinkingDelta("hm"),
                SignatureDelta(OpaqueState("openrouter", '[{"type":"reasoning.text","text":"hm","signature":"s"}]')),
                END,
                TextDelta("a"),
                END,
            ],
            id="repeated where it is signed",
        ),
        pytest.param(
            [{"reasoning_details": [{"type": "reasoning.summary", "summary": "hm"}]}, {"content": "a"}],
            [ThinkingDelta("hm"), END, TextDelta("a"), END],
            id="reasoning that stands in the details alone",
        ),
        pytest.param(
            [
                {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]},
                {"content": [{"type": "text", "text": "a"}, {"type": "reference", "reference_ids": [1]}]},
                {"content": "b"},
            ],
            [ThinkingDelta("hm"), END, TextDelta("a"), Opaque("reference"), TextDelta("b"), END],
            id="Mistral's parts",
        ),
        pytest.param(
            [{"content": "a"}, {"reasoning_content": "hm"}, {"content": "b"}],
            [TextDelta("a"), END, ThinkingDelta("hm"), END, TextDelta("b"), END],
            id="thinking between texts",
        ),
        pytest.param(
            [{"audio": {"id": "a"}, "images": [{}]}], [Opaque("audio"), Opaque("images")], id="what isn't text"
        ),
    ],
)
def test_what_a_delta_says(deltas: list[dict[str, Any]], expected: list[StreamEvent]) -> None:
    assert content(streamed(*(delta(**fields) for fields in deltas), delta("stop"))) == [*expected, STOP]
    assert content(streamed(*(delta(**fields) for fields in deltas), delta(None, content=""))) == [*expected, STOP]


def test_only_one_choice_is_read() -> None:
    second = {"choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": None}]}
    assert content(streamed(delta(content="a"), second, delta("stop"))) == [TextDelta("a"), END, STOP]


def test_a_chunk_with_a_message_instead_of_a_delta_is_read() -> None:
    chunk = {"choices": [{"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}]}
    assert content(streamed(chunk)) == [TextDelta("a"), END, STOP]


def test_what_isnt_understood_is_left_out() -> None:
    odd = ["data: not json\n\n", "data: [1]\n\n", 'data: {"choices": {"a": 1}}\n\n', ": comment\n\n", "data: 5\n\n"]
    assert content(streamed(delta(content="a"), *odd, delta("stop"))) == [TextDelta("a"), END, STOP]


# --- reasoning between tags -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pieces", "thinking", "text"),
    [
        pytest.param(["<think>hm</think>a"], "hm", "a", id="at once"),
        pytest.param(["<th", "ink>h", "m</th", "ink>\n", "\na"], "hm", "a", id="cut inside the tags"),
        pytest.param(list("<think>hm</think>\n\na"), "hm", "a", id="character by character"),
        pytest.param(["\n<think>hm</think>a"], "hm", "a", id="behind a line"),
        pytest.param(["a <think>hm</think>"], "", "a <think>hm</think>", id="not at the beginning"),
        pytest.param(["<thin", " air>"], "", "<thin air>", id="a tag that isn't one"),
        pytest.param(["<thi"], "", "<thi", id="a tag that is never whole"),
        pytest.param(["<think>h</", "m"], "h</m", "", id="an end that isn't one"),
        pytest.param(["<think>hm</thi"], "hm</thi", "", id="no end"),
        pytest.param(["<think></think>a"], "", "a", id="no thought"),
        pytest.param(["a"], "", "a", id="no tag"),
    ],
)
def test_tags_mark_thinking_where_the_provider_writes_them(pieces: list[str], thinking: str, text: str) -> None:
    chunks = [delta(content=piece) for piece in pieces]
    events = streamed(*chunks, delta("stop"), **TAGS)
    assert "".join(event.text for event in events if isinstance(event, ThinkingDelta)) == thinking
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == text
    untouched = streamed(*chunks, delta("stop"))
    assert "".join(event.text for event in untouched if isinstance(event, TextDelta)) == "".join(pieces)


# --- seals ------------------------------------------------------------------------------------------------------------


def test_reasoning_without_a_seal_is_marked_with_its_owner() -> None:
    events = streamed(delta(reasoning_content="hm"), delta("stop", content="a"), sampling="yes")
    assert content(events) == [ThinkingDelta("hm"), VISIBLE, END, TextDelta("a"), END, STOP]


def test_sealed_details_come_with_the_thought_they_belong_to() -> None:
    def entry(**fields: Any) -> dict[str, Any]:
        return {"type": "reasoning.text", "index": 0, "format": "f", **fields}

    events = streamed(
        delta(reasoning="h", reasoning_details=[entry(text="h")]),
        delta(reasoning="m", reasoning_details=[entry(text="m")]),
        delta(reasoning_details=[entry(signature="s")]),
        delta("stop", content="a"),
        sampling="yes",
    )
    value = '[{"type":"reasoning.text","index":0,"format":"f","text":"hm","signature":"s"}]'
    assert content(events) == [
        ThinkingDelta("h"),
        ThinkingDelta("m"),
        SignatureDelta(OpaqueState("openrouter", value, OWNER)),
        END,
        TextDelta("a"),
        END,
        STOP,
    ]


def test_details_behind_the_text_are_a_thought_of_their_own() -> None:
    sealed = [{"type": "reasoning.encrypted", "data": "x"}]
    events = streamed(delta(content="a"), delta(reasoning_details=sealed), delta("stop"))
    seal = SignatureDelta(OpaqueState("openrouter", '[{"type":"reasoning.encrypted","data":"x"}]'))
    assert content(events) == [TextDelta("a"), END, seal, END, STOP]


@pytest.mark.parametrize("vendor", ["google", "vertex"])
def test_geminis_signature_seals_its_call(vendor: str) -> None:
    call = {
        "index": 0,
        "id": "c1",
        "function": {"name": "f", "arguments": "{}"},
        "extra_content": {vendor: {"thought_signature": "s"}},
    }
    events = streamed(delta("tool_calls", tool_calls=[call]), sampling="yes")
    assert content(events) == [
        ToolCallStart("c1", "f"),
        ToolCallDelta("{}"),
        SignatureDelta(OpaqueState("google-thought", "s", OWNER)),
        END,
        MessageEnd("tool-use"),
    ]


# --- names ------------------------------------------------------------------------------------------------------------


def test_calls_bear_the_clients_names_again() -> None:
    long = "n" * 80
    table = ToolTable(conversation(tools=(Tool(long), Tool("run", namespace="shell"), Tool("patch", custom=True))))
    calls = [
        {"index": 0, "id": "c1", "function": {"name": table.name(long), "arguments": "{}"}},
        {"index": 1, "id": "c2", "function": {"name": "shell__run", "arguments": "{}"}},
        {"index": 2, "id": "c3", "function": {"name": "patch", "arguments": '{"input":"*** Begin\\n"}'}},
    ]
    events = streamed(delta("tool_calls", tool_calls=calls), tools=table)
    assert [event for event in events if isinstance(event, ToolCallStart)] == [
        ToolCallStart("c1", long),
        ToolCallStart("c2", "run", namespace="shell"),
        ToolCallStart("c3", "patch", custom=True),
    ]
    assert [event.text for event in events if isinstance(event, ToolCallDelta)] == ["{}", "{}", "*** Begin\n"]


# --- ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        pytest.param("stop", "end", id="stop"),
        pytest.param("eos", "end", id="eos"),
        pytest.param("length", "max-tokens", id="length"),
        pytest.param("model_length", "context-window", id="Mistral's length of the window"),
        pytest.param("content_filter", "refusal", id="content_filter"),
        pytest.param("tool_calls", "end", id="tool_calls without any"),
        pytest.param("COMPLETE", "end", id="an unknown word"),
    ],
)
def test_a_finish_reason_without_calls(reason: str, expected: str) -> None:
    assert last(streamed(delta(content="a"), delta(reason))) == MessageEnd(expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        pytest.param("tool_calls", "tool-use", id="tool_calls"),
        pytest.param("function_call", "tool-use", id="function_call"),
        pytest.param("stop", "tool-use", id="stop"),
        pytest.param("", "tool-use", id="empty"),
        pytest.param(None, "tool-use", id="null"),
        pytest.param("eos", "tool-use", id="eos"),
        pytest.param("length", "max-tokens", id="length wins"),
        pytest.param("content_filter", "refusal", id="content_filter wins"),
    ],
)
def test_a_finish_reason_with_calls(reason: str | None, expected: str) -> None:
    call = {"index": 0, "id": "c1", "function": {"name": "f", "arguments": "{}"}}
    assert last(streamed(delta(reason, tool_calls=[call]))) == MessageEnd(expected)  # type: ignore[arg-type]
    assert last(whole({"tool_calls": [call]}, reason)) == MessageEnd(expected)  # type: ignore[arg-type]


def test_a_sequence_that_was_met_is_told() -> None:
    chunk = delta("stop", content="a")
    chunk["choices"][0]["stop_reason"] = "END"  # vLLM
    assert last(streamed(chunk)) == MessageEnd("stop-sequence", "END")
    chunk["choices"][0]["stop_reason"] = 154827
    assert last(streamed(chunk)) == STOP


@pytest.mark.parametrize(
    ("chunks", "done", "ended"),
    [
        pytest.param([delta(content="a"), delta("stop")], True, True, id="a reason and the end mark"),
        pytest.param([delta(content="a"), delta("stop")], False, True, id="a reason without the end mark"),
        pytest.param([delta(content="a")], True, True, id="the end mark without a reason"),
        pytest.param([delta(content="a")], False, False, id="neither is a cut"),
        pytest.param([delta("", content="a")], False, False, id="an empty reason is none"),
        pytest.param([], False, False, id="nothing at all"),
    ],
)
def test_when_a_stream_is_over(chunks: list[Any], done: bool, ended: bool) -> None:
    assert any(isinstance(event, MessageEnd) for event in streamed(*chunks, done=done)) is ended


def test_nothing_follows_the_end() -> None:
    reading = decoder()
    reading.feed(sse(delta("stop", content="a")))
    assert reading.feed(sse(delta(content="b"), {"error": {"message": "late"}})) == []
    assert reading.finish() == []


def test_a_refusal_ends_as_one() -> None:
    events = streamed(delta(refusal="I "), delta(refusal="can't."), delta("stop"))
    assert content(events) == [RefusalDelta("I "), RefusalDelta("can't."), END, MessageEnd("refusal")]


# --- usage ------------------------------------------------------------------------------------------------------------

REPORT = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "total_tokens": 15,
    "prompt_tokens_details": {"cached_tokens": 4},
}
USAGE = Usage(input=6, cache_read=4, output=5)


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([delta("stop", content="a") | {"usage": REPORT}], id="on the chunk with the reason"),
        pytest.param([delta("stop", content="a"), {"choices": [], "usage": REPORT}], id="on a chunk of its own"),
        pytest.param([delta(content="a") | {"usage": REPORT}, delta("stop") | {"usage": REPORT}], id="on every chunk"),
        pytest.param(
            [
                delta(content="a") | {"usage": {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}},
                delta("stop") | {"usage": REPORT},
            ],
            id="growing",
        ),
        pytest.param([delta("stop", content="a") | {"x_groq": {"usage": REPORT}}], id="in Groq's field"),
        pytest.param(
            [delta("stop", content="a") | {"x_groq": {"usage": REPORT}, "usage": REPORT}], id="in both of Groq's fields"
        ),
        pytest.param(
            [{"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop", "usage": REPORT}]}],
            id="in the choice",
        ),
        pytest.param(
            [delta("stop", content="a") | {"usage": None}, {"choices": [], "usage": REPORT}], id="behind a null"
        ),
    ],
)
def test_usage_is_found_wherever_it_stands(chunks: list[Any]) -> None:
    events = streamed(*chunks)
    assert usage_of(events) == USAGE
    assert isinstance(last(events), MessageEnd)


def test_the_service_tier_is_a_part_of_usage() -> None:
    usage = usage_of(streamed(delta("stop", content="a") | {"service_tier": "flex", "usage": REPORT}))
    assert usage is not None
    assert usage.service_tier == "flex"


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chunk", "expected"),
    [
        pytest.param(
            {"error": {"message": "slow down", "type": "tokens", "code": "rate_limit_exceeded"}},
            StreamFailed("rate", "slow down"),
            id="OpenAI's object",
        ),
        pytest.param(
            {"error": {"message": "boom", "code": 502}, "choices": []},
            StreamFailed("server", "boom"),
            id="a numeric code",
        ),
        pytest.param(
            {"error": {"message": "Provider returned error", "code": 429, "metadata": {"raw": "too fast"}}},
            StreamFailed("rate", "Provider returned error: too fast"),
            id="OpenRouter's, with the cause",
        ),
        pytest.param(
            'event: error\ndata: {"error":{"message":"bad call","code":"tool_use_failed"}}\n\n',
            StreamFailed("tool_use_failed", "bad call"),
            id="Groq's event",
        ),
        pytest.param(
            "event: error\ndata: oops\n\n", StreamFailed("server", "the provider broke off with an error"), id="text"
        ),
        pytest.param({"error": "boom"}, StreamFailed("server", "boom"), id="a string"),
        pytest.param(
            {"object": "error", "message": "boom", "code": 503}, StreamFailed("unavailable", "boom"), id="vLLM's"
        ),
        pytest.param({"detail": "Not here"}, StreamFailed("server", "Not here"), id="a detail"),
        pytest.param(
            {
                "choices": [
                    {"index": 0, "delta": {}, "finish_reason": "error", "error": {"message": "boom", "code": 500}}
                ]
            },
            StreamFailed("server", "boom"),
            id="inside the choice",
        ),
        pytest.param(
            delta("network_error"), StreamFailed("server", "the provider broke off: network_error"), id="a reason"
        ),
        pytest.param(
            delta("insufficient_system_resource"),
            StreamFailed("overloaded", "the provider broke off: insufficient_system_resource"),
            id="DeepSeek's reason",
        ),
    ],
)
def test_an_error_in_the_stream_fails_it(chunk: Any, expected: StreamFailed) -> None:
    assert last(streamed(delta(content="a"), chunk)) == expected
    assert last(streamed(delta("stop", content="a"), chunk)) == expected  # also behind the reason


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        pytest.param(
            {"error": {"message": "filtered", "code": "content_filter"}},
            StreamFailed("content-filter", "filtered"),
            id="an error dressed as a success",
        ),
        pytest.param(
            [{"error": {"message": "no", "code": 400, "status": "INVALID_ARGUMENT"}}],
            StreamFailed("bad-request", "no"),
            id="in a list",
        ),
        pytest.param({"detail": "Not here"}, StreamFailed("server", "Not here"), id="a detail"),
        pytest.param({"message": "no", "code": "404"}, StreamFailed("not-found", "no"), id="a message"),
        pytest.param(
            {"choices": None, "error": {"message": "no", "code": "context_length_exceeded"}},
            StreamFailed("context-length", "no"),
            id="beside no choices",
        ),
    ],
)
def test_a_whole_error_fails(payload: Any, expected: StreamFailed) -> None:
    assert decoder().whole(json.dumps(payload).encode()) == [expected]


@pytest.mark.parametrize(
    "payload",
    [
        b"<html>502</html>",
        b"",
        b"[]",
        b"[1]",
        b"5",
        b'{"choices":[]}',
        b'{"choices":{}}',
        b"\xff\xfe",
        b'{"object":"list"}',
    ],
    ids=[
        "HTML",
        "nothing",
        "an empty list",
        "a list",
        "a number",
        "no choices",
        "odd choices",
        "bytes",
        "another object",
    ],
)
def test_what_is_no_reply_has_no_end(payload: bytes) -> None:
    assert not any(isinstance(event, MessageEnd) for event in decoder().whole(payload))


# --- whole replies ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param({"content": "a"}, [TextDelta("a"), END], id="text"),
        pytest.param({"content": None, "refusal": "No."}, [RefusalDelta("No."), END], id="a refusal"),
        pytest.param(
            {"content": "a", "reasoning_content": "hm"}, [ThinkingDelta("hm"), END, TextDelta("a"), END], id="reasoning"
        ),
        pytest.param(
            {"content": "", "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": '{"a":1}'}}]},
            [ToolCallStart("c1", "f"), ToolCallDelta('{"a":1}'), END],
            id="a call",
        ),
        pytest.param(
            {"function_call": {"name": "f", "arguments": "{}"}},
            [ToolCallStart("call_rtr1", "f"), ToolCallDelta("{}"), END],
            id="a call of the old kind gets an id",
        ),
    ],
)
def test_a_whole_message(message: dict[str, Any], expected: list[StreamEvent]) -> None:
    *said, end = content(whole(message))
    assert isinstance(end, MessageEnd)
    assert [_with_short_id(event) for event in said] == expected


def _with_short_id(event: StreamEvent) -> StreamEvent:
    if isinstance(event, ToolCallStart) and event.id.startswith("call_rtr1"):
        return ToolCallStart("call_rtr1", event.name)
    return event


def test_a_reply_in_another_choice_than_the_first_is_read() -> None:
    payload = {"choices": [{"index": 3, "message": {"content": "a"}, "finish_reason": "stop"}]}
    assert content(decoder().whole(json.dumps(payload).encode())) == [TextDelta("a"), END, STOP]


# --- sources ----------------------------------------------------------------------------------------------------------


def test_annotations_are_sources() -> None:
    source = {"url": "https://example.com", "title": "T", "start_index": 0, "end_index": 1}
    annotations = [{"type": "url_citation", "url_citation": source}, {"type": "file", "file": {}}]
    cited = Citation("url_citation", "https://example.com", "T", {"type": "url_citation", **source})
    expected = [TextDelta("a"), cited, Opaque("file"), END, STOP]
    assert content(whole({"content": "a", "annotations": annotations})) == expected
    assert content(streamed(delta(content="a"), delta(annotations=annotations), delta("stop"))) == expected


@pytest.mark.parametrize(
    "beside",
    [
        pytest.param({"citations": ["https://example.com"]}, id="addresses"),
        pytest.param(
            {"search_results": [{"url": "https://example.com"}], "citations": ["https://example.com"]}, id="both"
        ),
    ],
)
def test_perplexitys_sources_stand_beside_the_choices(beside: dict[str, Any]) -> None:
    events = streamed(delta(content="a") | beside, delta("stop") | beside)
    assert [event.url for event in events if isinstance(event, Citation)] == ["https://example.com"]
