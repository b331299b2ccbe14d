"""Neutral turns as input items: no ids of ours, reasoning only to its owner, results in the form a target takes."""

from __future__ import annotations

from typing import Any

import pytest

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
    Written,
)
from router.wire.traits import Traits
from tests.wire.openai_responses.saying import HELLO, NEW, OTHER, changed, items_of, render, talk

PNG = Image(Inline("image/png", "iVBO"))
PNG_PART = {"type": "input_image", "image_url": "data:image/png;base64,iVBO", "detail": "auto"}
PDF = Document(Inline("application/pdf", "JVBE"), "a.pdf")
PDF_PART = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}
OWN = OpaqueState("openai-encrypted", "sealed", "openai/gpt-new", "rs_1")
CALL = ToolCall("c1", "f", '{"n": 1.50}')
DONE = ("user", [ToolResult("c1", (Text("done"),))])
CALL_ITEM = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"n": 1.50}'}
DONE_ITEM = {"type": "function_call_output", "call_id": "c1", "output": "done"}


def text(*texts: str) -> list[dict[str, Any]]:
    return [{"type": "input_text", "text": said} for said in texts]


def said(text: str, **fields: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "role": "assistant", "content": content, **fields}


def message(role: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content}


@pytest.mark.parametrize(
    ("part", "content"),
    [
        pytest.param(Text("x"), text("x"), id="text"),
        pytest.param(PNG, [PNG_PART], id="an image"),
        pytest.param(
            Image(Link("https://x.example/y.png"), "low"),
            [{"type": "input_image", "image_url": "https://x.example/y.png", "detail": "low"}],
            id="an image somewhere else",
        ),
        pytest.param(PDF, [PDF_PART], id="a document"),
        pytest.param(
            Document(Inline("application/pdf", "JVBE")), [{**PDF_PART, "filename": "document.pdf"}], id="without a name"
        ),
        pytest.param(
            Document(Inline("application/pdf", "JVBE"), "Report"),
            [{**PDF_PART, "filename": "Report.pdf"}],
            id="a document with a title",
        ),
        pytest.param(
            Document(Inline("application/pdf", "JVBE"), "a.pdf", "from last year"),
            [*text("from last year"), PDF_PART],
            id="a document with a context",
        ),
        pytest.param(
            Document(Link("https://x.example/y.pdf"), "a.pdf"),
            [{"type": "input_file", "file_url": "https://x.example/y.pdf"}],
            id="a document somewhere else",
        ),
        pytest.param(Document(Written("words"), "Title"), text("Title\n\nwords"), id="a text with a title"),
        pytest.param(Document(Written("words")), text("words"), id="a text"),
    ],
)
def test_content_is_rendered_in_messages_and_in_results(part: Any, content: list[dict[str, Any]]) -> None:
    assert items_of(("user", [part])) == [message("user", content)]
    [_, _, output] = items_of(HELLO, ("assistant", [CALL]), ("user", [ToolResult("c1", (part, PNG))]))
    assert output == {"type": "function_call_output", "call_id": "c1", "output": [*content, PNG_PART]}


@pytest.mark.parametrize(
    ("part", "traits"),
    [
        pytest.param(PNG, changed(NEW, images=False), id="an image"),
        pytest.param(PDF, changed(NEW, documents=False), id="a document"),
    ],
)
def test_what_a_model_cannot_see_is_refused(part: Part, traits: Traits) -> None:
    body, losses = render(talk(("user", [Text("look"), part])), traits)
    assert [(loss.field, loss.refused) for loss in losses.found] == [("turns[0]", True)]
    assert body["input"] == [message("user", text("look"))]


def test_a_turn_of_the_assistants_is_its_items_in_order() -> None:
    turn = [Thought("why", OWN), Text("a", phase="commentary"), Thought("", OWN), CALL, Refusal("no")]
    assert items_of(HELLO, ("assistant", turn), DONE)[1:] == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "why"}],
            "encrypted_content": "sealed",
        },
        said("a", phase="commentary"),
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"},
        CALL_ITEM,
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        DONE_ITEM,
    ]


def test_compatible_servers_get_the_calls_of_a_turn_together() -> None:
    second = changed(CALL, id="c2")
    turn = [CALL, Text("between"), second]
    results = ("user", [ToolResult("c1", (Text("done"),)), ToolResult("c2", (Text("done"),))])
    kinds = [item["type"] for item in items_of(HELLO, ("assistant", turn), results, traits=OTHER)]
    assert kinds == ["message", "message", "function_call", "function_call", *["function_call_output"] * 2]
    kinds = [item["type"] for item in items_of(HELLO, ("assistant", turn), results)]
    assert kinds == ["message", "function_call", "message", "function_call", *["function_call_output"] * 2]


@pytest.mark.parametrize(
    "thought",
    [
        pytest.param(Thought("words"), id="that nobody sealed"),
        pytest.param(Thought("words", OpaqueState("anthropic-signature", "sig")), id="of another maker"),
        pytest.param(Thought("", changed(OWN, owner="openai/gpt-old")), id="of another model"),
        pytest.param(Thought("words", OpaqueState("visible", "", "openai/gpt-new")), id="that isn't sealed"),
    ],
)
def test_reasoning_of_others_is_left_out(thought: Thought) -> None:
    body, losses = render(talk(HELLO, ("assistant", [thought, Text("a")]), HELLO))
    assert body["input"][1] == said("a")
    assert [(loss.field, loss.refused) for loss in losses.found] == [("reasoning", False)]


def test_reasoning_that_led_to_nothing_is_left_out() -> None:
    assert items_of(HELLO, ("assistant", [Text("a"), Thought("", OWN)]), HELLO)[1] == said("a")


def test_sealed_reasoning_as_its_client_had_it_goes_back_as_it_was() -> None:
    state = OpaqueState("openai-encrypted", "sealed")
    assert items_of(HELLO, ("assistant", [Thought("", state), Text("a")]), HELLO)[1] == {
        "type": "reasoning",
        "summary": [],
        "encrypted_content": "sealed",
    }


@pytest.mark.parametrize(
    ("call", "traits", "item"),
    [
        pytest.param(CALL, NEW, CALL_ITEM, id="a call"),
        pytest.param(changed(CALL, arguments=" "), NEW, {**CALL_ITEM, "arguments": "{}"}, id="without arguments"),
        pytest.param(
            changed(CALL, arguments="{cut"),
            NEW,
            {**CALL_ITEM, "arguments": '{"_raw_arguments":"{cut"}'},
            id="broken arguments",
        ),
        pytest.param(changed(CALL, namespace="g"), NEW, {**CALL_ITEM, "name": "g__f"}, id="of one of a group"),
        pytest.param(
            changed(CALL, custom=True, arguments="raw\n"),
            NEW,
            {"type": "custom_tool_call", "call_id": "c1", "name": "f", "input": "raw\n"},
            id="of a freeform tool",
        ),
        pytest.param(
            changed(CALL, custom=True, arguments="raw\n"),
            OTHER,
            {**CALL_ITEM, "arguments": '{"input":"raw\\n"}'},
            id="of a freeform tool that is a function there",
        ),
    ],
)
def test_a_call_and_its_result_are_rendered(call: ToolCall, traits: Traits, item: dict[str, Any]) -> None:
    [_, called, given] = items_of(HELLO, ("assistant", [call]), DONE, traits=traits)
    assert called == item
    assert given == {**DONE_ITEM, "type": f"{called['type']}_output"}


@pytest.mark.parametrize(
    ("result", "output"),
    [
        pytest.param(ToolResult("c1", (Text("a"), Text("b"))), "a\nb", id="texts"),
        pytest.param(ToolResult("c1"), "", id="nothing"),
        pytest.param(ToolResult("c1", (Text("x"),), is_error=True), "Error: x", id="an error"),
        pytest.param(ToolResult("c1", (Text("Error: x"),), is_error=True), "Error: x", id="an error that says so"),
        pytest.param(
            ToolResult("c1", (Text("x"), PNG), is_error=True),
            [*text("Error: x"), PNG_PART],
            id="an error with an image",
        ),
    ],
)
def test_what_a_call_gave_is_rendered(result: ToolResult, output: Any) -> None:
    assert items_of(HELLO, ("assistant", [CALL]), ("user", [result]))[2]["output"] == output


def test_images_of_results_follow_them_where_they_can_hold_none() -> None:
    second = changed(CALL, id="c2")
    results: list[Part] = [ToolResult("c1", (Text("x"), PNG)), ToolResult("c2", (PDF,)), Text("well?")]
    items = items_of(HELLO, ("assistant", [CALL, second]), ("user", results), traits=changed(NEW, result_media=False))
    assert [item.get("output") for item in items[3:5]] == ["x\n[see the next message]", "[see the next message]"]
    assert items[5:] == [message("user", [PNG_PART, PDF_PART, *text("well?")])]


def test_a_call_has_an_id_of_no_more_than_64_characters_and_its_result_the_same() -> None:
    long = "c" * 65
    turns = [HELLO, ("assistant", [changed(CALL, id=long)]), ("user", [ToolResult(long, (Text("done"),))])]
    [_, call, result] = items_of(*turns)
    assert call["call_id"] == result["call_id"] == items_of(*turns)[1]["call_id"]
    assert len(call["call_id"]) <= 64
    assert items_of(HELLO, ("assistant", [changed(CALL, id="c" * 64)]), DONE)[1]["call_id"] == "c" * 64


def test_instructions_in_mid_conversation_stay_where_they_are() -> None:
    turns: list[Any] = [HELLO, ("system", [Text("now this")]), ("assistant", [Text("a")])]
    assert items_of(*turns)[1] == message("developer", text("now this"))
    assert items_of(*turns, traits=OTHER)[1] == message("system", text("now this"))
    [first, _] = items_of(*turns, traits=changed(OTHER, mid_system=False))
    assert first == message("user", text("hello", "<system>\nnow this\n</system>"))


def test_an_image_of_the_assistants_is_refused() -> None:
    body, losses = render(talk(HELLO, ("assistant", [Text("a"), PNG]), HELLO))
    assert [(loss.field, loss.refused) for loss in losses.found] == [("turns[1]", True)]
    assert body["input"][1] == said("a")


def test_marks_stand_on_what_the_user_gives() -> None:
    mark = {"prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}}
    image = changed(PNG, cache=Cache("1h"))
    assert items_of(("user", [Text("x", Cache()), image])) == [
        message("user", [{"type": "input_text", "text": "x", **mark}, {**PNG_PART, **mark}])
    ]
