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
    Turn,
    Written,
)
from router.wire.loss import Losses
from tests.wire.openai_chat.saying import conversation, messages, rendered

PNG = Image(Inline("image/png", "AAAA"))
PNG_PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
PDF = Document(Inline("application/pdf", "JVBE"))
FIVE, HOUR, LONG = Cache("5m"), Cache("1h"), Cache("12h")

HERE = "here/served"


def asked(*parts: Part) -> Turn:
    return Turn("user", parts, "messages[0]")


def answered(*parts: Part) -> Turn:
    return Turn("assistant", parts, "messages[1]")


def called(*calls: ToolCall, thoughts: tuple[Part, ...] = ()) -> tuple[Turn, ...]:
    """A conversation in which these calls were made and answered."""
    results = tuple(ToolResult(call.id, (Text("ok"),)) for call in calls)
    return asked(Text("Go")), answered(*thoughts, *calls), Turn("user", results, "messages[2]")


def text(words: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **fields}


# --- instructions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        pytest.param({}, {"role": "system", "content": [text("A"), text("B")]}, id="as parts"),
        pytest.param({"text_arrays": False}, {"role": "system", "content": "A\n\nB"}, id="as one text"),
        pytest.param(
            {"system_role": "developer"},
            {"role": "developer", "content": [text("A"), text("B")]},
            id="of the developer",
        ),
    ],
)
def test_instructions_lead(flags: dict[str, Any], expected: dict[str, Any]) -> None:
    body = rendered(conversation(system=(Text("A"), Text("B"))), **flags)
    assert body["messages"] == [expected, {"role": "user", "content": "Hi"}]


def test_empty_instructions_are_none() -> None:
    body = rendered(conversation(system=(Text(""), Text(" \n"))))
    assert body["messages"] == [{"role": "user", "content": "Hi"}]


def test_later_instructions_stand_before_the_assistant_speaks_again() -> None:
    turns = [asked(Text("a")), Turn("system", (Text("now"),), "messages[1]"), answered(Text("b")), asked(Text("c"))]
    assert [message["role"] for message in messages(*turns)] == ["user", "system", "assistant", "user"]
    folded = messages(*turns, mid_system=False)
    assert [message["role"] for message in folded] == ["user", "assistant", "user"]
    assert "<system>\nnow\n</system>" in folded[0]["content"][1]["text"]


# --- users ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "flags", "expected"),
    [
        pytest.param((Text("a"),), {}, "a", id="one text is a string"),
        pytest.param((Text("a"), Text("b")), {}, [text("a"), text("b")], id="several are parts"),
        pytest.param((Text("a"), Text("b")), {"text_arrays": False}, "a\n\nb", id="or are joined"),
        pytest.param((Text("a"), PNG, Text("b")), {}, [text("a"), PNG_PART, text("b")], id="a picture between texts"),
        pytest.param(
            (Text("a"), PNG), {"text_arrays": False}, [text("a"), PNG_PART], id="a picture beside text is a part anyway"
        ),
        pytest.param(
            (Image(Link("https://example.com/a"), "low"),),
            {},
            [{"type": "image_url", "image_url": {"url": "https://example.com/a", "detail": "low"}}],
            id="a picture's address and detail",
        ),
        pytest.param(
            (PDF,),
            {},
            [{"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBE"}}],
            id="a document gets a name",
        ),
        pytest.param(
            (Document(PDF.source, "Report", "From May."),),
            {},
            [
                text("From May."),
                {"type": "file", "file": {"filename": "Report.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
            ],
            id="a name gets an ending, what is said of it stands before",
        ),
        pytest.param(
            (Document(PDF.source, "a.pdf"),),
            {"documents_as": "document_url"},
            [{"type": "document_url", "document_url": "data:application/pdf;base64,JVBE", "document_name": "a.pdf"}],
            id="Mistral's document",
        ),
        pytest.param(
            (Document(Link("https://example.com/a.pdf")),),
            {"documents_as": "document_url"},
            [{"type": "document_url", "document_url": "https://example.com/a.pdf"}],
            id="Mistral's document by its address",
        ),
        pytest.param((Document(Written("body"), "T", "C"),), {}, "# T\n\nC\n\nbody", id="a text below its title"),
        pytest.param((Document(Inline("text/csv", "YTti"), None),), {}, "a;b", id="a text in bytes"),
    ],
)
def test_a_users_content(parts: tuple[Part, ...], flags: dict[str, Any], expected: Any) -> None:
    assert messages(*parts, **flags) == [{"role": "user", "content": expected}]


@pytest.mark.parametrize(
    ("part", "flags"),
    [
        pytest.param(PNG, {"images": False}, id="a picture for a model that sees none"),
        pytest.param(PDF, {"documents": False}, id="a document for a model that reads none"),
        pytest.param(Document(Link("https://example.com/a.pdf")), {}, id="a document's address"),
    ],
)
def test_what_a_model_cant_read_is_refused(part: Part, flags: dict[str, Any]) -> None:
    losses = Losses()
    assert messages(asked(Text("See"), part), losses=losses, **flags) == [{"role": "user", "content": "See"}]
    assert [loss.field for loss in losses.refused] == ["messages[0]"]


# --- results ----------------------------------------------------------------------------------------------------------


def results(*parts: Part, **flags: Any) -> list[dict[str, Any]]:
    """The messages behind two calls, when this follows."""
    turns = [asked(Text("Go")), answered(ToolCall("c1", "f", "{}"), ToolCall("c2", "g", "{}"))]
    return messages(*turns, Turn("user", parts, "messages[2]"), **flags)[2:]


def test_results_stand_first_and_in_the_order_of_the_calls() -> None:
    shown = results(Text("And now?"), ToolResult("c2", (Text("two"),)), ToolResult("c1", (Text("one"),)))
    assert shown == [
        {"role": "tool", "tool_call_id": "c1", "content": "one"},
        {"role": "tool", "tool_call_id": "c2", "content": "two"},
        {"role": "user", "content": "And now?"},
    ]


def test_pictures_in_results_follow_behind_all_results() -> None:
    shown = results(ToolResult("c1", (Text("seen"), PNG)), ToolResult("c2", (PDF,)), Text("And now?"))
    assert [message["role"] for message in shown] == ["tool", "tool", "user"]
    assert shown[0]["content"] == "seen\n[image: see next message]"
    assert shown[1]["content"] == "[document: see next message]"
    assert [part["type"] for part in shown[2]["content"]] == ["image_url", "file", "text"]


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        pytest.param(ToolResult("c1"), "", id="nothing"),
        pytest.param(ToolResult("c1", (Text("a"), Text("b"))), "a\nb", id="several texts on lines of their own"),
        pytest.param(ToolResult("c1", (Text("no such file"),), is_error=True), "Error: no such file", id="an error"),
        pytest.param(ToolResult("c1", (Text("error: x"),), is_error=True), "error: x", id="an error that says so"),
        pytest.param(ToolResult("c1", (Document(Written("w"), "T"),)), "# T\n\nw", id="a document that is text"),
    ],
)
def test_a_results_text(result: ToolResult, expected: str) -> None:
    assert results(result, ToolResult("c2"))[0]["content"] == expected


def test_where_no_user_may_speak_behind_results_the_words_stand_with_the_last() -> None:
    both = (ToolResult("c1", (Text("one"),)), ToolResult("c2", (Text("two"),)))
    shown = results(*both, Text("And now?"), user_after_results=False)
    assert [message["content"] for message in shown] == ["one", "two\n\nAnd now?"]
    shown = results(both[0], ToolResult("c2", (PNG,)), user_after_results=False)
    assert [message["content"] for message in shown] == ["one", [text("[image: see next message]"), PNG_PART]]
    shown = results(both[0], ToolResult("c2"), PNG, user_after_results=False)
    assert [message["content"] for message in shown] == ["one", [PNG_PART]]


def test_nor_behind_an_assistant_of_whom_nothing_can_be_told() -> None:
    turns = (*called(ToolCall("c1", "f", "{}")), answered(Thought("Hm.")), asked(Text("And now?")))
    shown = messages(*turns, user_after_results=False, losses=Losses())
    assert [(message["role"], message["content"]) for message in shown[2:]] == [("tool", "ok\n\nAnd now?")]


def test_a_result_that_is_empty_bears_no_mark() -> None:
    shown = results(ToolResult("c1", cache=FIVE), ToolResult("c2"), cache_hints="anthropic")
    assert [message["content"] for message in shown] == ["", ""]


# --- the assistant ----------------------------------------------------------------------------------------------------


def test_texts_of_one_turn_are_one_string() -> None:
    assert messages(asked(Text("a")), answered(Text("b"), Text("c")), asked(Text("d")))[1]["content"] == "bc"


def test_content_is_null_only_beside_calls() -> None:
    shown = messages(*called(ToolCall("c1", "f", "{}")))[1]
    assert shown == {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }


@pytest.mark.parametrize(
    ("arguments", "flags", "expected"),
    [
        pytest.param('{"a": 1.0, "ä": 1e5}', {}, '{"a": 1.0, "ä": 1e5}', id="as they were written"),
        pytest.param("", {}, "{}", id="none"),
        pytest.param('{"a":', {}, '{"_raw_arguments":"{\\"a\\":"}', id="broken ones are wrapped"),
        pytest.param("[1]", {}, '{"_raw_arguments":"[1]"}', id="so are others than objects"),
        pytest.param('{"a":', {"official": True}, '{"_raw_arguments":"{\\"a\\":"}', id="for OpenAI, too"),
    ],
)
def test_arguments(arguments: str, flags: dict[str, Any], expected: str) -> None:
    [call] = messages(*called(ToolCall("c1", "f", arguments)), **flags)[1]["tool_calls"]
    assert call["function"]["arguments"] == expected


@pytest.mark.parametrize(
    ("call_id", "flags", "kept"),
    [
        pytest.param("toolu_01ABC", {}, True, id="any id at most providers"),
        pytest.param("functions.f:0", {}, True, id="also an odd one"),
        pytest.param("rHU0eZiMa", {"tool_id_rule": "alphanumeric-9"}, True, id="nine characters where they are wanted"),
        pytest.param("toolu_01ABC", {"tool_id_rule": "alphanumeric-9"}, False, id="others are made nine"),
        pytest.param("x" * 41, {"official": True}, False, id="one too long for OpenAI"),
    ],
)
def test_ids_of_calls_and_results_stay_the_same(call_id: str, flags: dict[str, Any], kept: bool) -> None:
    turns = called(ToolCall(call_id, "f", "{}"))
    shown = messages(*turns, **flags)
    [call] = shown[1]["tool_calls"]
    assert call["id"] == shown[2]["tool_call_id"]
    assert (call["id"] == call_id) is kept
    assert kept or (call["id"].isalnum() and len(call["id"]) == 9) or len(call["id"]) <= 40
    assert messages(*turns, **flags) == shown


def test_freeform_calls_are_functions_where_nothing_else_is_known() -> None:
    turns = called(ToolCall("c1", "patch", "*** Begin", custom=True))
    assert messages(*turns)[1]["tool_calls"] == [
        {"id": "c1", "type": "function", "function": {"name": "patch", "arguments": '{"input":"*** Begin"}'}}
    ]
    assert messages(*turns, custom_tools=True)[1]["tool_calls"] == [
        {"id": "c1", "type": "custom", "custom": {"name": "patch", "input": "*** Begin"}}
    ]


def test_names_are_the_targets() -> None:
    long = "n" * 80
    [call] = messages(*called(ToolCall("c1", long, "{}")))[1]["tool_calls"]
    assert len(call["function"]["name"]) == 64
    [call] = messages(*called(ToolCall("c1", "run", "{}", namespace="shell")))[1]["tool_calls"]
    assert call["function"]["name"] == "shell__run"


def test_a_refusal_has_a_field_of_its_own_at_openai() -> None:
    turns = [asked(Text("a")), answered(Refusal("No.")), asked(Text("b"))]
    assert messages(*turns, official=True)[1] == {"role": "assistant", "content": None, "refusal": "No."}
    assert messages(*turns)[1] == {"role": "assistant", "content": "No."}


# --- reasoning --------------------------------------------------------------------------------------------------------

OWN = OpaqueState("visible", "", HERE)
FOREIGN = OpaqueState("anthropic-signature", "sig", "anthropic/claude")
OPENROUTER = OpaqueState("openrouter", '[{"type":"reasoning.encrypted","data":"x","index":0}]', HERE)


@pytest.mark.parametrize(
    ("thought", "flags", "expected"),
    [
        pytest.param(
            Thought("hm", FOREIGN),
            {"reasoning_replay": "required"},
            {"reasoning_content": "hm"},
            id="a provider that insists is told anybody's",
        ),
        pytest.param(
            None, {"reasoning_replay": "required"}, {"reasoning_content": " "}, id="and something where it is lost"
        ),
        pytest.param(
            Thought("hm", FOREIGN),
            {"reasoning_replay": "required", "reasoning_out": frozenset({"reasoning"})},
            {"reasoning": "hm"},
            id="in the field in which it writes its own",
        ),
        pytest.param(
            Thought("hm", OWN),
            {"reasoning_out": frozenset({"reasoning_content"})},
            {"reasoning_content": "hm"},
            id="a model may have its own",
        ),
        pytest.param(
            Thought("hm", OWN),
            {"reasoning_out": frozenset({"reasoning", "reasoning_details"})},
            {"reasoning": "hm"},
            id="its own as reasoning",
        ),
        pytest.param(
            Thought("hm", OPENROUTER),
            {},
            {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x", "index": 0}]},
            id="sealed details go to their owner",
        ),
        pytest.param(
            Thought("", OpaqueState("openrouter", OPENROUTER.value, "other/served")), {}, {}, id="and to nobody else"
        ),
        pytest.param(Thought("", FOREIGN), {}, {}, id="a foreign seal goes nowhere"),
        pytest.param(
            Thought("", OpaqueState("google-thought", "s", HERE)),
            {},
            {"extra_content": {"google": {"thought_signature": "s"}}},
            id="Google's signature goes to its owner",
        ),
    ],
)
def test_reasoning_beside_a_call(thought: Part | None, flags: dict[str, Any], expected: dict[str, Any]) -> None:
    thoughts = () if thought is None else (thought,)
    shown = messages(*called(ToolCall("c1", "f", "{}"), thoughts=thoughts), **flags)[1]
    assert {name: shown[name] for name in shown if name not in ("role", "content", "tool_calls")} == expected
    assert shown["content"] is None


@pytest.mark.parametrize(
    ("thought", "flags"),
    [
        pytest.param(Thought("hm", FOREIGN), {}, id="another model's"),
        pytest.param(Thought("hm"), {"reasoning_out": frozenset({"reasoning"})}, id="nobody's"),
        pytest.param(Thought("hm", OWN), {}, id="its own where nothing is known of the field"),
        pytest.param(Thought("hm", OWN), {"reasoning_replay": "refused"}, id="its own where that is refused"),
    ],
)
def test_reasoning_that_cant_be_told_is_said_to_be_lost(thought: Part, flags: dict[str, Any]) -> None:
    losses = Losses()
    shown = messages(*called(ToolCall("c1", "f", "{}"), thoughts=(thought,)), losses=losses, **flags)[1]
    assert shown.keys() == {"role", "content", "tool_calls"}
    assert [loss.field for loss in losses.found] == ["reasoning"]
    assert losses.refused == []


def test_a_provider_that_insists_does_so_only_beside_calls() -> None:
    losses = Losses()
    turns = [asked(Text("a")), answered(Thought("hm", FOREIGN), Text("b")), asked(Text("c"))]
    assert messages(*turns, losses=losses, reasoning_replay="required")[1] == {"role": "assistant", "content": "b"}
    assert [loss.field for loss in losses.found] == ["reasoning"]


def test_mistrals_own_reasoning_goes_back_as_a_part() -> None:
    turns = [asked(Text("a")), answered(Thought("hm", OWN), Text("b")), asked(Text("c"))]
    shown = messages(*turns, reasoning_out=frozenset({"content-parts"}))[1]
    assert shown["content"] == [{"type": "thinking", "thinking": [text("hm")]}, text("b")]


def test_reasoning_between_tags_goes_back_so_where_it_has_to() -> None:
    turns = [asked(Text("a")), answered(Thought("hm", OWN), Text("b")), asked(Text("c"))]
    tags = frozenset({"think-tags", "reasoning_content"})
    shown = messages(*turns, reasoning_out=tags, reasoning_replay="required")[1]
    assert shown == {"role": "assistant", "content": "<think>\nhm\n</think>\n\nb"}


def test_a_turn_of_foreign_thoughts_alone_is_left_out() -> None:
    turns = [asked(Text("a")), answered(Thought("", FOREIGN)), asked(Text("b"))]
    assert [message["role"] for message in messages(*turns)] == ["user", "user"]


def test_gemini_gets_its_signatures_and_a_bypass_for_lost_ones() -> None:
    state = OpaqueState("google-thought", "s", HERE)
    turns = called(ToolCall("c1", "f", "{}", state=state), ToolCall("c2", "f", "{}"))
    first, second = messages(*turns, call_signatures=True)[1]["tool_calls"]
    assert first["extra_content"] == {"google": {"thought_signature": "s"}}
    assert "extra_content" not in second
    [lost] = messages(*called(ToolCall("c1", "f", "{}")), call_signatures=True)[1]["tool_calls"]
    assert lost["extra_content"] == {"google": {"thought_signature": "skip_thought_signature_validator"}}
    others, _ = messages(*turns, provider="there")[1]["tool_calls"]
    assert "extra_content" not in others


def test_a_signature_of_nobodys_goes_only_where_calls_need_one() -> None:
    turns = called(ToolCall("c1", "f", "{}", state=OpaqueState("google-thought", "s")))
    assert "extra_content" not in messages(*turns)[1]["tool_calls"][0]
    assert messages(*turns, call_signatures=True)[1]["tool_calls"][0]["extra_content"] == {
        "google": {"thought_signature": "s"}
    }


# --- cache marks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cache", "flags", "expected"),
    [
        pytest.param(FIVE, {"cache_hints": "anthropic"}, {"cache_control": {"type": "ephemeral"}}, id="Anthropic's"),
        pytest.param(
            HOUR, {"cache_hints": "anthropic"}, {"cache_control": {"type": "ephemeral", "ttl": "1h"}}, id="for an hour"
        ),
        pytest.param(
            HOUR,
            {"cache_hints": "openai"},
            {"prompt_cache_breakpoint": {"mode": "explicit"}},
            id="OpenAI's, never for long",
        ),
        pytest.param(
            LONG,
            {"cache_hints": "openai"},
            {"prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
            id="unless that was asked for",
        ),
    ],
)
def test_cache_marks_are_said_in_the_targets_words(cache: Cache, flags: dict[str, Any], expected: Any) -> None:
    body = rendered(conversation(Text("a", cache), system=(Text("S", cache),)), **flags)
    assert [message["content"] for message in body["messages"]] == [[text("S", **expected)], [text("a", **expected)]]
    turns = called(ToolCall("c1", "f", "{}"))
    marked = Turn("user", (ToolResult("c1", (Text("ok"),), cache=cache),), "messages[2]")
    assert messages(*turns[:2], marked, **flags)[2]["content"] == [text("ok", **expected)]
    said = messages(asked(Text("a")), answered(Text("b", cache)), asked(Text("c")), **flags)[1]
    assert said["content"] == [text("b", **expected)]


def test_marks_a_target_doesnt_know_are_dropped() -> None:
    losses = Losses()
    assert messages(Text("a", FIVE), losses=losses) == [{"role": "user", "content": "a"}]
    assert [loss.field for loss in losses.found] == ["cache"]
    assert losses.refused == []
