"""Calls, results, media and reasoning of earlier turns, as Messages wants them."""

from __future__ import annotations

from typing import Any

import pytest

from router.wire.conversation import (
    Cache,
    Conversation,
    Document,
    Image,
    Inline,
    Link,
    OpaqueState,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    Written,
)
from router.wire.traits import Traits
from tests.support.messages import (
    NEW,
    OLD,
    OTHER,
    assistant,
    conversation,
    fields_of,
    parse,
    render,
    rendering,
    system,
    traits,
    user,
)

PNG = Inline("image/png", "iVBORw0=")
PDF = Inline("application/pdf", "JVBERi0=")
PNG_BLOCK = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0="}}
PDF_SOURCE = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}


def content_of(*parts: Any, of: Traits = OLD) -> tuple[list[dict[str, Any]], list[str]]:
    """The user's message with these parts, and what was refused."""
    body, losses = render(conversation(user(*parts)), of)
    return body["messages"][0]["content"], fields_of(losses, refused=True)


# --- calls and results ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        pytest.param(
            '{"a": 1.0, "b":12345678901234567890}', b'"input":{"a":1.0,"b":12345678901234567890}', id="numbers"
        ),
        pytest.param("", b'"input":{}', id="empty"),
        pytest.param(" \n", b'"input":{}', id="space"),
        pytest.param('{"a":', b'"input":{"_raw_arguments":"{\\"a\\":"}', id="broken"),
        pytest.param("[1]", b'"input":{"_raw_arguments":"[1]"}', id="no object"),
        pytest.param("null", b'"input":{"_raw_arguments":"null"}', id="null"),
        pytest.param('{"a":NaN}', b'"input":{"_raw_arguments":"{\\"a\\":NaN}"}', id="no JSON"),
        pytest.param('{"ü":"\u2028"}', '"input":{"ü":"\u2028"}'.encode(), id="other letters"),
        pytest.param("\ud800", b'"input":{"_raw_arguments":"?"}', id="half a character"),
    ],
)
def test_arguments_are_an_object_and_their_numbers_unchanged(arguments: str, sent: bytes) -> None:
    asked = conversation(user(Text("a")), assistant(ToolCall("t1", "f", arguments)), user(ToolResult("t1")))
    assert sent in rendering(asked)[0].body


@pytest.mark.parametrize("call_id", ["functions.read:0", "a b", "ü", "call|1", "x" * 300 + "."])
def test_an_id_that_messages_does_not_take_is_written_in_letters_and_comes_back(call_id: str) -> None:
    asked = conversation(user(Text("a")), assistant(ToolCall(call_id, "f", "{}")), user(ToolResult(call_id)))
    body, _ = render(asked)
    shown = body["messages"][1]["content"][0]["id"]
    assert shown.replace("-", "").replace("_", "").isalnum()
    assert body["messages"][2]["content"][0]["tool_use_id"] == shown
    back, _ = parse(body)
    assert back.turns[1].parts == (ToolCall(call_id, "f", "{}"),)
    assert back.turns[2].parts == (ToolResult(call_id),)


def test_a_legal_id_stays() -> None:
    body, _ = render(conversation(user(Text("a")), assistant(ToolCall("call_1-X", "f", "{}")), user()))
    assert body["messages"][1]["content"][0]["id"] == "call_1-X"


@pytest.mark.parametrize("made_up", ["toolu_rtr1_7aCA", "toolu_rtr1_8", "toolu_rtr1_ü"])
def test_an_id_that_only_looks_like_one_of_ours_stays(made_up: str) -> None:
    """The first one would be half a character, which no JSON can hold."""
    asked = [
        {"role": "assistant", "content": [{"type": "tool_use", "id": made_up, "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": made_up}]},
    ]
    first, second = parse({"model": "m", "max_tokens": 1, "messages": asked})[0].turns
    assert (first.parts, second.parts) == ((ToolCall(made_up, "f", "{}"),), (ToolResult(made_up),))


def test_calls_that_share_an_id_get_ids_of_their_own() -> None:
    turn = assistant(ToolCall("t", "f", "{}")), user(ToolResult("t", (Text("r"),)))
    body, _ = render(conversation(user(Text("a")), *turn, *turn))
    calls = [block["id"] for message in body["messages"] for block in message["content"] if block["type"] == "tool_use"]
    assert len(set(calls)) == 2


def test_results_come_first_and_in_the_order_of_their_calls() -> None:
    asked = conversation(
        user(Text("a")),
        assistant(ToolCall("t1", "f", "{}"), ToolCall("t2", "f", "{}")),
        user(Text("and"), ToolResult("t2", (Text("two"),)), ToolResult("t1", (Text("one"),))),
    )
    content = render(asked)[0]["messages"][2]["content"]
    assert [block.get("tool_use_id") or block["text"] for block in content] == ["t1", "t2", "and"]


@pytest.mark.parametrize(
    ("result", "of", "sent"),
    [
        pytest.param(ToolResult("t1"), OLD, [{"type": "tool_result", "tool_use_id": "t1"}], id="nothing"),
        pytest.param(
            ToolResult("t1", (Text(" "), Text("x"))),
            OLD,
            [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "x"}]}],
            id="empty texts left out",
        ),
        pytest.param(
            ToolResult("t1", (Image(PNG),)),
            OLD,
            [{"type": "tool_result", "tool_use_id": "t1", "content": [PNG_BLOCK]}],
            id="image inside",
        ),
        pytest.param(
            ToolResult("t1", (Image(PNG),)),
            traits(OTHER, result_media=False),
            [
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "content": [{"type": "text", "text": "[image: see below]"}],
                },
                PNG_BLOCK,
            ],
            id="image behind, where none may stand inside",
        ),
        pytest.param(
            ToolResult("t1", (Text("x"), Image(PNG)), is_error=True),
            OLD,
            [
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "content": [{"type": "text", "text": "x"}, {"type": "text", "text": "[image: see below]"}],
                    "is_error": True,
                },
                PNG_BLOCK,
            ],
            id="an error holds nothing but text",
        ),
        pytest.param(
            ToolResult("t1", (Text("x", Cache("1h")),)),
            OLD,
            [
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "content": [{"type": "text", "text": "x"}],
                    "cache_control": {"type": "ephemeral", "ttl": "1h"},
                }
            ],
            id="a mark inside is the result's",
        ),
    ],
)
def test_results(result: ToolResult, of: Traits, sent: list[dict[str, Any]]) -> None:
    asked = conversation(user(Text("a")), assistant(ToolCall("t1", "f", "{}")), user(result))
    body, losses = render(asked, of)
    assert body["messages"][2]["content"] == sent
    assert losses.found == []


# --- media ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "block"),
    [
        pytest.param(Image(PNG), PNG_BLOCK, id="image"),
        pytest.param(
            Image(Link("https://e.org/a.png"), cache=Cache()),
            {
                "type": "image",
                "source": {"type": "url", "url": "https://e.org/a.png"},
                "cache_control": {"type": "ephemeral"},
            },
            id="linked image with a mark",
        ),
        pytest.param(
            Document(PDF, "a.pdf", "about"),
            {"type": "document", "source": PDF_SOURCE, "title": "a.pdf", "context": "about"},
            id="PDF",
        ),
        pytest.param(
            Document(Link("https://e.org/a.pdf")),
            {"type": "document", "source": {"type": "url", "url": "https://e.org/a.pdf"}},
            id="linked PDF",
        ),
        pytest.param(
            Document(Written("words")),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
            id="text",
        ),
        pytest.param(
            Document(Inline("text/csv", "YSxi"), "t.csv"),
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "a,b"},
                "title": "t.csv",
            },
            id="a text file",
        ),
    ],
)
def test_media(part: Any, block: dict[str, Any]) -> None:
    assert content_of(part) == ([block], [])


@pytest.mark.parametrize(
    ("part", "of", "instead"),
    [
        pytest.param(Image(PNG), traits(images=False), "[image omitted]", id="a model without eyes"),
        pytest.param(Image(Inline("image/svg+xml", "x")), OLD, "[image omitted]", id="another kind of image"),
        pytest.param(Image(Link("gs://bucket/x")), OLD, "[image omitted]", id="a place that can't be fetched"),
        pytest.param(Document(PDF), traits(documents=False), "[document omitted]", id="a model that reads no PDF"),
        pytest.param(
            Document(Inline("application/zip", "x")), OLD, "[document omitted]", id="another kind of document"
        ),
        pytest.param(Document(Link("file:///x")), OLD, "[document omitted]", id="a document that can't be fetched"),
    ],
)
def test_media_that_cant_be_given_is_refused_and_leaves_a_trace(part: Any, of: Traits, instead: str) -> None:
    assert content_of(part, of=of) == ([{"type": "text", "text": instead}], ["messages[0]"])


def test_a_document_of_text_can_be_read_by_every_model() -> None:
    content, refused = content_of(Document(Written("words")), of=traits(documents=False))
    assert content[0]["type"] == "document"
    assert refused == []


def test_how_closely_an_image_is_looked_at_is_dropped() -> None:
    _, losses = render(conversation(user(Image(PNG, detail="low"))))
    assert fields_of(losses, refused=False) == ["detail"]


def test_images_of_the_assistant_are_refused() -> None:
    _, losses = render(conversation(user(Text("a")), assistant(Text("b"), Image(PNG)), user(Text("c"))))
    assert fields_of(losses, refused=True) == ["messages[1]"]


# --- reasoning --------------------------------------------------------------------------------------------------------

OWN = OpaqueState("anthropic-signature", "sig", NEW.owner)
NATIVE = OpaqueState("anthropic-signature", "sig")
FOREIGN = OpaqueState("openai-encrypted", "enc", "openai/m", "rs_1")
UNSEALED = OpaqueState("visible", "", OTHER.owner)


def replayed(thought: Thought, of: Traits) -> tuple[list[dict[str, Any]], list[str]]:
    body, losses = render(conversation(user(Text("a")), assistant(thought, Text("b")), user(Text("c"))), of)
    return [block for block in body["messages"][1]["content"] if block["type"] != "text"], fields_of(losses)


@pytest.mark.parametrize(
    ("thought", "of", "sent"),
    [
        pytest.param(
            Thought("hm", OWN), NEW, [{"type": "thinking", "thinking": "hm", "signature": "sig"}], id="the model's own"
        ),
        pytest.param(
            Thought("", OWN), NEW, [{"type": "thinking", "thinking": "", "signature": "sig"}], id="its own, not shown"
        ),
        pytest.param(
            Thought("hm", NATIVE), NEW, [{"type": "thinking", "thinking": "hm", "signature": "sig"}], id="native"
        ),
        pytest.param(
            Thought("", OpaqueState("anthropic-redacted", "abc", NEW.owner)),
            NEW,
            [{"type": "redacted_thinking", "data": "abc"}],
            id="redacted",
        ),
        pytest.param(
            Thought("hm", UNSEALED),
            OTHER,
            [{"type": "thinking", "thinking": "hm", "signature": ""}],
            id="a server that seals nothing gets back its own",
        ),
        pytest.param(
            Thought("hm", FOREIGN),
            traits(OTHER, reasoning_replay="required"),
            [{"type": "thinking", "thinking": "hm", "signature": ""}],
            id="a server that demands reasoning gets anybody's",
        ),
    ],
)
def test_reasoning_goes_back_to_where_it_belongs(thought: Thought, of: Traits, sent: list[dict[str, Any]]) -> None:
    assert replayed(thought, of) == (sent, [])


@pytest.mark.parametrize(
    ("thought", "of"),
    [
        pytest.param(
            Thought("hm", OpaqueState("anthropic-signature", "sig", "anthropic/other")), NEW, id="other model's"
        ),
        pytest.param(Thought("hm", FOREIGN), NEW, id="another maker's"),
        pytest.param(Thought("hm"), NEW, id="unsealed"),
        pytest.param(Thought("hm", OpaqueState("visible", "", NEW.owner)), NEW, id="unsealed, for Anthropic"),
        pytest.param(Thought("hm", UNSEALED), traits(OTHER, model="another"), id="another model's of one server"),
        pytest.param(Thought("", FOREIGN), traits(OTHER, reasoning_replay="required"), id="nothing to read"),
    ],
)
def test_other_reasoning_is_left_out_whole(thought: Thought, of: Traits) -> None:
    assert replayed(thought, of) == ([], ["reasoning"])


def test_a_turn_of_nothing_but_foreign_reasoning_is_left_out_and_its_neighbours_joined() -> None:
    turns = (user(Text("a")), system(Text("s")), assistant(Thought("hm", FOREIGN)), user(Text("b")))
    body, _ = render(conversation(*turns))
    assert [message["role"] for message in body["messages"]] == ["user", "system"]
    assert [block["text"] for block in body["messages"][0]["content"]] == ["a", "b"]


def test_a_call_stays_when_its_reasoning_goes() -> None:
    turns = (user(Text("a")), assistant(Thought("hm", FOREIGN), ToolCall("t", "f", "{}")), user(ToolResult("t")))
    body, _ = render(conversation(*turns))
    assert [block["type"] for block in body["messages"][1]["content"]] == ["tool_use"]


@pytest.mark.parametrize(
    "behind",
    [pytest.param((), id="at the very end"), pytest.param((Text(" "),), id="before nothing but space")],
)
def test_no_turn_ends_with_reasoning(behind: tuple[Text, ...]) -> None:
    turns = (user(Text("a")), assistant(Text("b"), Thought("hm", OWN), *behind), user(Text("c")))
    body, _ = render(conversation(*turns))
    assert body["messages"][1]["content"] == [{"type": "text", "text": "b"}]


def test_reasoning_stays_before_what_the_next_turn_of_the_assistant_says() -> None:
    asked = conversation(user(Text("a")), assistant(Thought("hm", OWN)), assistant(Text("b")), user(Text("c")))
    assert [block["type"] for block in render(asked)[0]["messages"][1]["content"]] == ["thinking", "text"]


def test_an_empty_conversation_still_asks_something() -> None:
    body, _ = render(Conversation("m", (), system=(Text("be brief"),)))
    assert body["messages"][0]["role"] == "user"
