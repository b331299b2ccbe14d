"""The turns of a conversation for a Gemini target."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from router.wire.conversation import (
    Conversation,
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
from router.wire.gemini.signature import BYPASS
from router.wire.loss import Losses
from tests.wire.gemini.saying import OWN, claude, conversation, native, owned, rendered

HI = (Text("Hi"),)
PNG = Image(Inline("image/png", "AA=="))


def contents(*turns: tuple[Part, ...], losses: Losses | None = None, **traits: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rendered(conversation(*turns), losses, **traits)["contents"]
    return found


def model(*parts: Part, losses: Losses | None = None, **traits: Any) -> list[dict[str, Any]]:
    """The parts that the assistant's become."""
    turn = contents(HI, parts, losses=losses, **traits)[1]
    assert turn["role"] == "model"
    found: list[dict[str, Any]] = turn["parts"]
    return found


def user(*parts: Part, losses: Losses | None = None, **traits: Any) -> list[dict[str, Any]]:
    """The parts that the user's become."""
    (turn,) = contents(parts, losses=losses, **traits)
    assert turn["role"] == "user"
    found: list[dict[str, Any]] = turn["parts"]
    return found


CALL = {"functionCall": {"id": "1", "name": "f", "args": {}}}
SECOND = {"functionCall": {"id": "2", "name": "f", "args": {}}}


class TestOrder:
    def test_turns_alternate(self) -> None:
        assert [turn["role"] for turn in contents(HI, HI, HI)] == ["user", "model", "user"]

    def test_the_user_speaks_first(self) -> None:
        asked = Conversation("m", (Turn("assistant", HI, "m[0]"), Turn("user", HI, "m[1]")))
        assert [turn["role"] for turn in rendered(asked)["contents"]] == ["user", "model", "user"]

    def test_a_turn_of_which_nothing_is_left_leaves_its_neighbours_one(self) -> None:
        losses = Losses()
        turns = contents(HI, (Thought("x", claude("s")),), (Text("there"),), losses=losses)
        assert turns == [{"role": "user", "parts": [{"text": "Hi"}, {"text": "there"}]}]
        assert [loss.field for loss in losses.found] == ["reasoning"]


class TestCalls:
    def test_a_call_and_what_it_gave(self) -> None:
        turns = contents(HI, (ToolCall("1", "f", '{"a": 1.0}'),), (ToolResult("1", (Text("x"), Text("y"))),))
        assert turns[1:] == [
            {"role": "model", "parts": [{"functionCall": {"id": "1", "name": "f", "args": {"a": 1.0}}}]},
            {
                "role": "user",
                "parts": [{"functionResponse": {"id": "1", "name": "f", "response": {"result": "x\ny"}}}],
            },
        ]

    @pytest.mark.parametrize(
        ("arguments", "args"),
        [
            pytest.param("", {}, id="none"),
            pytest.param("{}", {}, id="empty"),
            pytest.param('{"a":', {"_raw_arguments": '{"a":'}, id="broken"),
            pytest.param("[1]", {"_raw_arguments": "[1]"}, id="a list"),
        ],
    )
    def test_arguments_are_an_object(self, arguments: str, args: dict[str, Any]) -> None:
        assert model(ToolCall("1", "f", arguments))[0]["functionCall"]["args"] == args

    def test_a_response_has_the_name_that_the_function_has_here(self) -> None:
        turns = contents(HI, (ToolCall("1", "a.b", "{}", namespace="n"),), (ToolResult("1"),))
        name = turns[1]["parts"][0]["functionCall"]["name"]
        assert name.startswith("n__a_b_")
        assert turns[2]["parts"][0]["functionResponse"]["name"] == name

    def test_an_error(self) -> None:
        turns = contents(HI, (ToolCall("1", "f", "{}"),), (ToolResult("1", (Text("no"),), is_error=True),))
        assert turns[2]["parts"][0]["functionResponse"]["response"] == {"error": "no"}

    def test_a_missing_result_is_an_error(self) -> None:
        turns = contents(HI, (ToolCall("1", "f", "{}"),), HI)
        assert "error" in turns[2]["parts"][0]["functionResponse"]["response"]
        assert turns[2]["parts"][1] == {"text": "Hi"}

    def test_an_image_in_a_result(self) -> None:
        said = HI, (ToolCall("1", "f", "{}"), ToolCall("2", "f", "{}"))
        results = (ToolResult("1", (Text("Look:"), PNG)), ToolResult("2", (Text("x"),)), Text("And?"))
        data = {"inlineData": {"mimeType": "image/png", "data": "AA=="}}
        inside = contents(*said, results)[2]["parts"]
        assert inside[0]["functionResponse"] == {
            "id": "1",
            "name": "f",
            "response": {"result": "Look:"},
            "parts": [data],
        }
        assert inside[2] == {"text": "And?"}
        beside = contents(*said, results, result_media=False)[2]["parts"]
        assert beside[0]["functionResponse"]["response"] == {"result": "Look:\n[image: see below]"}
        assert "parts" not in beside[0]["functionResponse"]
        assert "functionResponse" in beside[1]
        assert beside[2:] == [data, {"text": "And?"}]

    def test_a_link_never_stands_in_a_result(self) -> None:
        link = Image(Link("https://example.com/a.png"))
        turns = contents(HI, (ToolCall("1", "f", "{}"),), (ToolResult("1", (link,)),))
        assert turns[2]["parts"][1] == {"fileData": {"mimeType": "image/png", "fileUri": "https://example.com/a.png"}}

    def test_a_text_document_in_a_result_is_text(self) -> None:
        document = Document(Written("content"), "a.txt")
        turns = contents(HI, (ToolCall("1", "f", "{}"),), (ToolResult("1", (document,)),))
        assert turns[2]["parts"][0]["functionResponse"]["response"] == {"result": "a.txt\n\ncontent"}


class TestMedia:
    @pytest.mark.parametrize(
        ("part", "shown"),
        [
            pytest.param(PNG, [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}], id="an image"),
            pytest.param(
                Image(Link("https://example.com/a.webp?x")),
                [{"fileData": {"mimeType": "image/webp", "fileUri": "https://example.com/a.webp?x"}}],
                id="a link by its ending",
            ),
            pytest.param(
                Image(Link("https://example.com/a")),
                [{"fileData": {"mimeType": "image/jpeg", "fileUri": "https://example.com/a"}}],
                id="a link that says nothing",
            ),
            pytest.param(
                Image(Link("https://example.com/a.png", "image/gif")),
                [{"fileData": {"mimeType": "image/gif", "fileUri": "https://example.com/a.png"}}],
                id="a link with a type",
            ),
            pytest.param(
                Document(Inline("application/pdf", "AA==")),
                [{"inlineData": {"mimeType": "application/pdf", "data": "AA=="}}],
                id="a PDF",
            ),
            pytest.param(
                Document(Inline("application/pdf", "AA=="), "a.pdf", "Last year's."),
                [{"text": "a.pdf\nLast year's."}, {"inlineData": {"mimeType": "application/pdf", "data": "AA=="}}],
                id="a PDF about which something is said",
            ),
            pytest.param(
                Document(Link("https://example.com/a")),
                [{"fileData": {"mimeType": "application/pdf", "fileUri": "https://example.com/a"}}],
                id="a linked document",
            ),
            pytest.param(Document(Written("content")), [{"text": "content"}], id="a text document"),
            pytest.param(
                Document(Inline("text/plain", base64.b64encode(b"content").decode()), "a.txt"),
                [{"text": "a.txt\n\ncontent"}],
                id="a text document in base64",
            ),
        ],
    )
    def test_images_and_documents(self, part: Part, shown: list[dict[str, Any]]) -> None:
        assert user(Text("Look:"), part) == [{"text": "Look:"}, *shown]

    @pytest.mark.parametrize(
        ("part", "traits", "shown", "why"),
        [
            pytest.param(PNG, {"images": False}, "[image omitted]", "this model takes no images", id="an image"),
            pytest.param(
                Document(Inline("application/pdf", "AA==")),
                {"documents": False},
                "[document omitted]",
                "this model takes no documents",
                id="a document",
            ),
        ],
    )
    def test_what_a_model_can_not_see(self, part: Part, traits: dict[str, Any], shown: str, why: str) -> None:
        losses = Losses()
        assert user(Text("Look:"), part, losses=losses, **traits)[1] == {"text": shown}
        assert [(loss.field, loss.why) for loss in losses.refused] == [("messages[0]", why)]

    def test_a_text_document_is_for_all_models(self) -> None:
        assert user(Document(Written("content")), documents=False) == [{"text": "content"}]

    def test_an_empty_document_is_none(self) -> None:
        assert user(Text("Hi"), Document(Written(" "), "a.txt")) == [{"text": "Hi"}]

    def test_how_closely_to_look(self) -> None:
        losses = Losses()
        user(Image(Inline("image/png", "AA=="), detail="high"), losses=losses)
        assert [loss.field for loss in losses.found] == ["detail"]


class TestSignatures:
    @pytest.mark.parametrize(
        ("said", "shown"),
        [
            pytest.param(
                [ToolCall("1", "f", "{}", state=owned("s"))], [{**CALL, "thoughtSignature": "s"}], id="on a call"
            ),
            pytest.param(
                [ToolCall("1", "f", "{}", state=native("s"))], [{**CALL, "thoughtSignature": "s"}], id="a client's own"
            ),
            pytest.param([Text("a", state=owned("s"))], [{"text": "a", "thoughtSignature": "s"}], id="on a text"),
            pytest.param(
                [Thought("", owned("s")), Text("a")], [{"text": "a", "thoughtSignature": "s"}], id="before a text"
            ),
            pytest.param(
                [Text("a"), Thought("", owned("s"))],
                [{"text": "a"}, {"text": "", "thoughtSignature": "s"}],
                id="behind a text",
            ),
            pytest.param(
                [Thought("Hm.", owned("s")), Text("a")], [{"text": "a", "thoughtSignature": "s"}], id="with a thought"
            ),
            pytest.param(
                [Text("a"), Thought("Hm.", owned("s"))],
                [{"text": "a"}, {"text": "Hm.", "thought": True, "thoughtSignature": "s"}],
                id="on a thought with nothing behind it",
            ),
            pytest.param(
                [Thought("", owned("s")), ToolCall("1", "f", "{}")],
                [{**CALL, "thoughtSignature": "s"}],
                id="before a call",
            ),
            pytest.param(
                [ToolCall("1", "f", "{}"), Thought("", owned("s"))],
                [{**CALL, "thoughtSignature": "s"}],
                id="behind a call",
            ),
            pytest.param(
                [ToolCall("1", "f", "{}"), Thought("", owned("s")), ToolCall("2", "f", "{}"), Thought("", owned("t"))],
                [{**CALL, "thoughtSignature": "s"}, {**SECOND, "thoughtSignature": "t"}],
                id="behind two calls",
            ),
            pytest.param(
                [Thought("", owned("s")), ToolCall("1", "f", "{}"), Thought("", owned("t")), ToolCall("2", "f", "{}")],
                [{**CALL, "thoughtSignature": "s"}, {**SECOND, "thoughtSignature": "t"}],
                id="before two calls",
            ),
            pytest.param(
                [Thought("", owned("s")), Thought("", owned("t")), Text("a", state=owned("u"))],
                [
                    {"text": "", "thoughtSignature": "s"},
                    {"text": "", "thoughtSignature": "t"},
                    {"text": "a", "thoughtSignature": "u"},
                ],
                id="more than there are places for",
            ),
            pytest.param(
                [Thought("Hm.", OpaqueState("visible", "", OWN.owner)), Text("a")],
                [{"text": "a"}],
                id="an unsigned thought",
            ),
        ],
    )
    def test_the_target_gets_its_own_back(self, said: list[Part], shown: list[dict[str, Any]]) -> None:
        assert model(*said) == shown

    @pytest.mark.parametrize(
        "state",
        [
            pytest.param(claude("s"), id="another maker's"),
            pytest.param(owned("s", "google/other"), id="another model's"),
            pytest.param(OpaqueState("visible", "", "deepseek/chat"), id="nothing sealed"),
            pytest.param(None, id="nothing at all"),
        ],
    )
    def test_nobody_else_s(self, state: OpaqueState | None) -> None:
        losses = Losses()
        assert model(Thought("Hm.", state), Text("a"), losses=losses) == [{"text": "a"}]
        assert [(loss.field, loss.refused) for loss in losses.found] == [("reasoning", False)]

    def test_a_foreign_state_on_a_part_is_left_out(self) -> None:
        assert model(Text("a", state=claude("s")), ToolCall("1", "f", "{}", state=claude("s"))) == [
            {"text": "a"},
            CALL,
        ]

    def test_the_first_call_of_each_step_needs_one(self) -> None:
        two = (ToolCall("1", "f", "{}"), ToolCall("2", "f", "{}"))
        answers = (ToolResult("1"), ToolResult("2"))
        again = (ToolCall("3", "f", "{}", state=owned("s")),)
        turns = contents(HI, two, answers, again, call_signatures=True)
        assert turns[1]["parts"] == [{**CALL, "thoughtSignature": BYPASS}, SECOND]
        assert turns[3]["parts"][0]["thoughtSignature"] == "s"
        assert "thoughtSignature" not in str(contents(HI, two, answers))

    def test_a_refusal_is_text(self) -> None:
        assert model(Refusal("No.")) == [{"text": "No."}]

    def test_an_image_of_the_model_s(self) -> None:
        assert model(Text("a"), PNG)[1] == {"inlineData": {"mimeType": "image/png", "data": "AA=="}}
