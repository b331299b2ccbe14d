"""Reasoning through a Chat client and back: order, texts and seals survive as far as the client keeps the fields."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire.conversation import OpaqueState, Part, Text, Thought, ToolCall
from router.wire.events import (
    MessageEnd,
    MessageStart,
    PartEnd,
    SignatureDelta,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
)
from router.wire.openai_chat.reasoning import Details
from tests.wire.openai_chat.saying import message_of, parts

SIGNED = OpaqueState("anthropic-signature", "sig-1", "anthropic/claude")
SIGNED_TOO = OpaqueState("anthropic-signature", "sig-2", "anthropic/claude")
REDACTED = OpaqueState("anthropic-redacted", "data", "anthropic/claude")
VISIBLE = OpaqueState("visible", "", "deepseek/deepseek-chat")


def events_of(said: list[Part]) -> list[StreamEvent]:
    """What a decoder would tell of a reply with these parts."""
    events: list[StreamEvent] = [MessageStart("x", "m")]
    for part in said:
        if isinstance(part, Text):
            events.append(TextDelta(part.text))
        elif isinstance(part, Thought):
            if part.text:
                events.append(ThinkingDelta(part.text))
            if part.state is not None:
                events.append(SignatureDelta(part.state))
        elif isinstance(part, ToolCall):
            events.append(ToolCallStart(part.id, part.name))
            if part.arguments:
                events.append(ToolCallDelta(part.arguments))
        events.append(PartEnd())
    return [*events, MessageEnd("end")]


def replied(*said: Part) -> dict[str, Any]:
    """The message a client got, and so sends back."""
    return message_of(events_of(list(said)))


def call(number: int) -> ToolCall:
    return ToolCall(f"c{number}", "f", "{}")


@pytest.mark.parametrize(
    "said",
    [
        pytest.param([Thought("hm", SIGNED), Text("a")], id="a thought before text"),
        pytest.param([Thought("hm", SIGNED), Text("a"), call(1)], id="and a call"),
        pytest.param([Thought("hm", SIGNED), call(1), Thought("so", SIGNED_TOO), call(2)], id="between calls"),
        pytest.param([Thought("a", SIGNED), Text("b"), Thought("c", SIGNED_TOO), Text("d")], id="between texts"),
        pytest.param([Thought("", REDACTED), Thought("hm", SIGNED), Text("a")], id="behind one without text"),
        pytest.param([Text("a"), Thought("hm", SIGNED)], id="at the end"),
        pytest.param([Thought("\n\nhm\n\n", SIGNED), Thought("\n\n", SIGNED_TOO), Text("ä🌍")], id="with blank lines"),
        pytest.param([Thought("hm", VISIBLE), call(1)], id="of a model that seals nothing"),
        pytest.param([Thought("", SIGNED), call(1)], id="whose text isn't shown"),
    ],
)
def test_thoughts_come_back_where_they_stood(said: list[Part]) -> None:
    assert list(parts(replied(*said))) == said


_TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


@given(st.lists(st.sampled_from(["thought", "hidden", "text", "call"]), max_size=8), st.data())
def test_any_order_of_thoughts_survives(kinds: list[str], data: st.DataObject) -> None:
    said: list[Part] = []
    for number, kind in enumerate(kinds):
        if kind == "text" and (not said or not isinstance(said[-1], Text | ToolCall)):
            said.append(Text(data.draw(_TEXTS)))
        elif kind == "thought":
            said.append(Thought(data.draw(_TEXTS), OpaqueState("anthropic-signature", f"s{number}", "a/b")))
        elif kind == "hidden":
            said.append(Thought("", OpaqueState("openai-encrypted", f"s{number}", "a/b", f"rs_{number}")))
        elif kind == "call":
            said.append(call(number))
    if any(isinstance(part, Thought) for part in said):
        assert list(parts(replied(*said))) == said


def test_a_changed_text_loses_its_signature_and_nothing_else() -> None:
    message = replied(Thought("hm", SIGNED), Thought("", REDACTED), Text("a"))
    message["reasoning_content"] = "hmm"
    assert parts(message) == (Thought("hmm"), Thought("", REDACTED), Text("a"))


def test_a_client_that_drops_the_text_keeps_what_needs_none() -> None:
    message = replied(Thought("hm", SIGNED), Thought("", REDACTED), Text("a"))
    del message["reasoning_content"]
    assert parts(message) == (Thought("", REDACTED), Text("a"))


def test_a_client_that_drops_ids_keeps_a_single_thought() -> None:
    message = replied(Thought("hm", SIGNED), Text("a"))
    del message["reasoning_details"][0]["id"]
    assert parts(message) == (Thought("hm", SIGNED), Text("a"))


def test_a_client_that_drops_ids_loses_signatures_of_several_thoughts() -> None:
    message = replied(Thought("hm", SIGNED), call(1), Thought("so", SIGNED_TOO), call(2))
    for entry in message["reasoning_details"]:
        del entry["id"]
    assert parts(message) == (Thought("hm\n\nso"), call(1), call(2))


def test_a_client_that_drops_the_details_keeps_the_text() -> None:
    message = replied(Thought("hm", SIGNED), Text("a"))
    del message["reasoning_details"]
    assert parts(message) == (Thought("hm"), Text("a"))


def test_a_client_that_shortens_the_answer_keeps_the_thoughts() -> None:
    message = replied(Text("long answer"), Thought("hm", SIGNED))
    message["content"] = "long"
    assert parts(message) == (Text("long"), Thought("hm", SIGNED))


# --- a provider's own details -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        pytest.param(
            [
                [{"type": "reasoning.text", "text": "a", "index": 0}],
                [{"type": "reasoning.text", "text": "b", "index": 0}],
            ],
            None,
            id="readable text needs no seal",
        ),
        pytest.param(
            [
                [{"type": "reasoning.text", "text": "a", "index": 0, "format": "f"}],
                [{"type": "reasoning.text", "text": "b", "index": 0}],
                [{"type": "reasoning.text", "signature": "s", "index": 0}],
            ],
            '[{"type":"reasoning.text","text":"ab","index":0,"format":"f","signature":"s"}]',
            id="fragments of one entry are one",
        ),
        pytest.param(
            [
                [{"type": "reasoning.text", "text": "a", "index": 0, "signature": "s"}],
                [{"type": "reasoning.text", "text": "b", "index": 0, "signature": "t"}],
            ],
            '[{"type":"reasoning.text","text":"a","index":0,"signature":"s"},'
            '{"type":"reasoning.text","text":"b","index":0,"signature":"t"}]',
            id="what follows a signature is another one",
        ),
        pytest.param(
            [
                [{"type": "reasoning.summary", "summary": "a"}, {"type": "reasoning.summary", "summary": "b"}],
                [{"type": "reasoning.encrypted", "data": "x"}, {"type": "reasoning.encrypted", "data": "y"}],
            ],
            '[{"type":"reasoning.summary","summary":"a"},{"type":"reasoning.summary","summary":"b"},'
            '{"type":"reasoning.encrypted","data":"x"},{"type":"reasoning.encrypted","data":"y"}]',
            id="entries of one list stay apart",
        ),
        pytest.param(["nothing", None, [5]], None, id="other shapes say nothing"),
    ],
)
def test_details_are_kept_as_they_have_to_go_back(chunks: list[object], expected: str | None) -> None:
    details = Details()
    for chunk in chunks:
        details.add(chunk)
    assert details.take() == expected
    assert details.take() is None
