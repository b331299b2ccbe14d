from __future__ import annotations

from typing import Any

import pytest

from router.errors import BadRequest
from router.wire.conversation import (
    Cache,
    Document,
    Image,
    Inline,
    Link,
    OpaqueState,
    Part,
    Refusal,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    Turn,
    Written,
)
from router.wire.loss import Losses
from router.wire.opaque import wrap
from tests.wire.openai_chat.saying import parsed, parts, turns

MARK = {"type": "ephemeral"}
USER = {"role": "user", "content": "Hi"}


def user(*content: Any, **fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content), **fields}


def assistant(content: Any = None, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **fields}


def call(call_id: str = "c1", name: str = "f", arguments: Any = "{}", **fields: Any) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}, **fields}


# --- roles ------------------------------------------------------------------------------------------------------------


def test_leading_instructions_are_the_system_prompt_whatever_their_role() -> None:
    asked, _ = parsed(
        {
            "messages": [
                {"role": "system", "content": "One."},
                {"role": "developer", "content": [{"type": "text", "text": "Two.", "cache_control": MARK}]},
                {"role": "system", "content": "  "},
                USER,
            ]
        }
    )
    assert asked.system == (Text("One."), Text("Two.", Cache("5m")))
    assert asked.turns == (Turn("user", (Text("Hi"),), "messages[3]"),)


def test_later_instructions_stay_where_they_stand() -> None:
    said = turns(USER, {"role": "developer", "content": "Now be brief."}, USER)
    assert [turn.role for turn in said] == ["user", "system", "user"]
    assert said[1] == Turn("system", (Text("Now be brief."),), "messages[1]")


def test_a_tool_message_is_a_result_on_the_users_side() -> None:
    [turn] = turns({"role": "tool", "tool_call_id": "c1", "content": "sunny"})
    assert turn == Turn("user", (ToolResult("c1", (Text("sunny"),)),), "messages[0]")


def test_a_tool_message_may_hold_parts_and_a_cache_mark() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    text = {"type": "text", "text": "seen", "cache_control": MARK}
    [result] = parts({"role": "tool", "tool_call_id": "c1", "content": [image, text]})
    assert result == ToolResult("c1", (Image(Link("https://example.com/a.png")), Text("seen")), cache=Cache("5m"))


def test_an_empty_tool_message_is_an_empty_result() -> None:
    assert parts({"role": "tool", "tool_call_id": "c1", "content": ""}) == (ToolResult("c1"),)


def test_calls_and_results_of_the_old_kind_are_paired_by_name_later() -> None:
    said = turns(
        assistant(function_call={"name": "f", "arguments": '{"a":1}'}),
        {"role": "function", "name": "f", "content": "2"},
    )
    assert said[0].parts == (ToolCall("", "f", '{"a":1}'),)
    assert said[1].parts == (ToolResult("", (Text("2"),), name="f"),)


def test_a_speakers_name_is_lost_and_said_to_be() -> None:
    losses = Losses()
    turns({"role": "user", "content": "Hi", "name": "Ann"}, losses=losses)
    assert [loss.field for loss in losses.found] == ["messages[0].name"]
    assert losses.refused == []


# --- content ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        pytest.param({"type": "text", "text": "a", "image_url": None}, Text("a"), id="text beside empty fields"),
        pytest.param(
            {"type": "text", "text": "a", "cache_control": MARK}, Text("a", Cache("5m")), id="Anthropic's mark"
        ),
        pytest.param(
            {"type": "text", "text": "a", "cache_control": {**MARK, "ttl": "1h"}},
            Text("a", Cache("1h")),
            id="for an hour",
        ),
        pytest.param(
            {"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}},
            Text("a", Cache("30m")),
            id="OpenAI's mark",
        ),
        pytest.param(
            {"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
            Text("a", Cache("12h")),
            id="OpenAI's mark for long",
        ),
        pytest.param(
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
            Image(Inline("image/png", "AAAA"), "low"),
            id="a picture's bytes",
        ),
        pytest.param(
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            Image(Link("https://example.com/a.png")),
            id="a picture's address",
        ),
        pytest.param(
            {"type": "image_url", "image_url": "https://example.com/a.png"},
            Image(Link("https://example.com/a.png")),
            id="a picture's address without an object",
        ),
        pytest.param(
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
            Document(Inline("application/pdf", "JVBE"), "a.pdf"),
            id="a document's bytes",
        ),
        pytest.param(
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "JVBE"}},
            Document(Inline("application/pdf", "JVBE"), "a.pdf"),
            id="a document's bytes without a data URL",
        ),
        pytest.param(
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "https://example.com/a.pdf"}},
            Document(Link("https://example.com/a.pdf"), "a.pdf"),
            id="a document's address",
        ),
        pytest.param(
            {"type": "file", "file": {"filename": "a.txt", "file_data": "data:text/plain;base64,aGk="}},
            Document(Written("hi"), "a.txt"),
            id="a document that is text",
        ),
        pytest.param(
            {"type": "file", "file": {"filename": "a.txt", "file_data": "data:text/plain,h%C3%A4"}},
            Document(Written("hä"), "a.txt"),
            id="a document that is text, percent-encoded",
        ),
        pytest.param(
            {"type": "file", "file": {"file_data": "data:image/png;base64,AAAA"}},
            Image(Inline("image/png", "AAAA")),
            id="a picture as a file",
        ),
        pytest.param(
            {"type": "document_url", "document_url": "https://example.com/a.pdf", "document_name": "A"},
            Document(Link("https://example.com/a.pdf"), "A"),
            id="Mistral's document",
        ),
    ],
)
def test_a_part_is_read(part: dict[str, Any], expected: Part) -> None:
    assert parts(user(part)) == (expected,)


def test_a_mark_on_a_message_is_one_on_its_last_part() -> None:
    texts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert parts(user(*texts, cache_control=MARK)) == (Text("a"), Text("b", Cache("5m")))


def test_openais_marks_have_the_requests_lifetime() -> None:
    marked = user({"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}})
    asked, _ = parsed({"messages": [marked], "prompt_cache_options": {"ttl": "12h"}})
    assert asked.turns[0].parts == (Text("a", Cache("12h")),)


@pytest.mark.parametrize("empty", [None, "", []], ids=["null", "empty text", "empty list"])
def test_empty_content_is_nothing(empty: Any) -> None:
    assert parts({"role": "user", "content": empty}) == ()


@pytest.mark.parametrize(
    ("message", "field"),
    [
        pytest.param(
            user({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}),
            "messages[0].content[0]",
            id="audio",
        ),
        pytest.param(user({"type": "video_url", "video_url": {}}), "messages[0].content[0]", id="an unknown type"),
        pytest.param(
            user({"type": "file", "file": {"file_id": "file-1"}}),
            "messages[0].content[0].file",
            id="a file kept elsewhere",
        ),
        pytest.param(assistant(audio={"id": "a"}), "messages[0].audio", id="an answer that was audio"),
        pytest.param(
            assistant("a", images=[{"type": "image_url"}]), "messages[0].images", id="an answer with pictures"
        ),
        pytest.param(
            assistant([{"type": "image_url", "image_url": {"url": "https://example.com/a"}}]),
            "messages[0].content[0]",
            id="a picture of the assistant's",
        ),
        pytest.param(
            assistant(tool_calls=[{"id": "c", "type": "mcp"}]), "messages[0].tool_calls[0]", id="an unknown call"
        ),
        pytest.param(
            {"role": "tool", "tool_call_id": "c", "content": [{"type": "refusal", "refusal": "no"}]},
            "messages[0].content",
            id="a tool that refuses",
        ),
    ],
)
def test_what_changes_the_meaning_is_refused(message: dict[str, Any], field: str) -> None:
    losses = Losses()
    turns(message, losses=losses)
    assert [loss.field for loss in losses.refused] == [field]


def test_references_to_sources_are_dropped() -> None:
    losses = Losses()
    content = [{"type": "text", "text": "a"}, {"type": "reference", "reference_ids": [1]}]
    assert parts(assistant(content), losses=losses) == (Text("a"),)
    assert losses.refused == []
    assert [loss.field for loss in losses.found] == ["messages[0].content[1]"]


# --- assistant --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(assistant("a"), (Text("a"),), id="text"),
        pytest.param(assistant([{"type": "text", "text": "a"}]), (Text("a"),), id="a list of text"),
        pytest.param(assistant(refusal="No."), (Refusal("No."),), id="a refusal beside"),
        pytest.param(assistant([{"type": "refusal", "refusal": "No."}]), (Refusal("No."),), id="a refusal inside"),
        pytest.param(assistant("", tool_calls=[call()]), (ToolCall("c1", "f", "{}"),), id="a call beside empty text"),
        pytest.param(
            assistant("a", tool_calls=[call(), call("c2", arguments='{"x": 1.0}')]),
            (Text("a"), ToolCall("c1", "f", "{}"), ToolCall("c2", "f", '{"x": 1.0}')),
            id="calls behind text, arguments as they were written",
        ),
        pytest.param(
            assistant(tool_calls=[call(arguments={"x": 1})]),
            (ToolCall("c1", "f", '{"x":1}'),),
            id="arguments as an object",
        ),
        pytest.param(assistant(tool_calls=[call(arguments=None)]), (ToolCall("c1", "f", ""),), id="no arguments"),
        pytest.param(
            assistant(tool_calls=[call(arguments="{bro")]), (ToolCall("c1", "f", "{bro"),), id="broken arguments"
        ),
        pytest.param(
            assistant(tool_calls=[{"id": "c1", "function": {"name": "f", "arguments": "{}"}}]),
            (ToolCall("c1", "f", "{}"),),
            id="a call without a type",
        ),
        pytest.param(
            assistant(tool_calls=[{"id": "c1", "type": "custom", "custom": {"name": "p", "input": "raw"}}]),
            (ToolCall("c1", "p", "raw", custom=True),),
            id="a freeform call",
        ),
        pytest.param(
            assistant(tool_calls=[call(extra_content={"google": {"thought_signature": "s"}})]),
            (ToolCall("c1", "f", "{}", state=OpaqueState("google-thought", "s")),),
            id="Gemini's signature of a call",
        ),
        pytest.param(
            assistant(tool_calls=[call(extra_content={"vertex": {"thought_signature": "s"}})]),
            (ToolCall("c1", "f", "{}", state=OpaqueState("google-thought", "s")),),
            id="the same behind a gateway",
        ),
        pytest.param(assistant("a", reasoning_content="hm"), (Thought("hm"), Text("a")), id="reasoning_content"),
        pytest.param(assistant("a", reasoning="hm"), (Thought("hm"), Text("a")), id="reasoning"),
        pytest.param(
            assistant("a", reasoning="hm", reasoning_content="hm"), (Thought("hm"), Text("a")), id="both are one"
        ),
        pytest.param(
            assistant(
                [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "a"}]
            ),
            (Thought("hm"), Text("a")),
            id="Mistral's thinking",
        ),
        pytest.param(
            assistant(
                "a", reasoning="hm", reasoning_details=[{"type": "reasoning.text", "text": "hm", "signature": "s"}]
            ),
            (
                Thought("hm", OpaqueState("openrouter", '[{"type":"reasoning.text","text":"hm","signature":"s"}]')),
                Text("a"),
            ),
            id="OpenRouter's details",
        ),
        pytest.param(
            assistant("a", reasoning_details=[{"type": "reasoning.encrypted", "data": "rtr1.broken"}]),
            (Text("a"),),
            id="a seal of ours that was changed",
        ),
    ],
)
def test_an_assistants_message_is_read(message: dict[str, Any], expected: tuple[Part, ...]) -> None:
    assert parts(message) == expected


def test_our_signature_in_googles_place_is_unwrapped() -> None:
    state = OpaqueState("google-thought", "s", "gemini/gemini-3")
    sealed = {"google": {"thought_signature": wrap(state)}}
    assert parts(assistant(tool_calls=[call(extra_content=sealed)])) == (ToolCall("c1", "f", "{}", state=state),)


def test_sources_of_an_earlier_answer_are_dropped() -> None:
    losses = Losses()
    turns(assistant("a", annotations=[{"type": "url_citation"}]), losses=losses)
    assert [str(loss) for loss in losses.found] == [
        "messages[0].annotations: sources of an earlier answer aren't carried over"
    ]


# --- malformed --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "field"),
    [
        pytest.param("hi", "messages[0]", id="a message that is text"),
        pytest.param({"content": "hi"}, "messages[0].role", id="no role"),
        pytest.param({"role": "alien", "content": "hi"}, "messages[0].role", id="an unknown role"),
        pytest.param({"role": "user", "content": 5}, "messages[0].content", id="content that is a number"),
        pytest.param(user({"text": "hi"}), "messages[0].content[0].type", id="a part without a type"),
        pytest.param(user({"type": "text"}), "messages[0].content[0].text", id="a text without text"),
        pytest.param(
            user({"type": "image_url", "image_url": {}}), "messages[0].content[0].image_url.url", id="no picture"
        ),
        pytest.param(user({"type": "file", "file": {}}), "messages[0].content[0].file.file_data", id="no file"),
        pytest.param(
            user({"type": "file", "file": {"file_data": "data:x"}}), "messages[0].content[0].file", id="half a data URL"
        ),
        pytest.param(assistant(tool_calls={}), "messages[0].tool_calls", id="calls that are no list"),
        pytest.param(assistant(tool_calls=[{"id": "c"}]), "messages[0].tool_calls[0].function.name", id="no name"),
        pytest.param(
            assistant(tool_calls=[call(name="")]), "messages[0].tool_calls[0].function.name", id="an empty name"
        ),
        pytest.param(
            assistant(tool_calls=[call(arguments=[])]), "messages[0].tool_calls[0].function.arguments", id="a list"
        ),
        pytest.param(assistant(function_call="f"), "messages[0].function_call", id="an old call that is text"),
        pytest.param(
            {"role": "tool", "tool_call_id": 5, "content": ""}, "messages[0].tool_call_id", id="a numbered call"
        ),
    ],
)
def test_a_wrong_type_is_named(message: Any, field: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parsed({"messages": [message]})
    assert f"'{field}'" in str(caught.value)
