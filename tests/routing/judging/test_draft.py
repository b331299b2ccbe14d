"""Questions and drafts as they are read from the neutral request and reply."""

from __future__ import annotations

import pytest

from router.routing.judging import Draft, Question
from router.wire.conversation import (
    Conversation,
    OutputFormat,
    Settings,
    Text,
    Thought,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from router.wire.events import (
    KeepAlive,
    MessageEnd,
    MessageStart,
    PartEnd,
    RefusalDelta,
    StreamEvent,
    StreamFailed,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)
from router.wire.usage import Usage

CALL = ToolCall("c1", "Read", "{}")
OTHER = ToolCall("c2", "Bash", '{"command": "ls"}')


def person(text: str) -> Turn:
    return Turn("user", (Text(text),), "")


def assistant(*calls: ToolCall) -> Turn:
    return Turn("assistant", (Thought("hm"), *calls), "")


RESULT = Turn("user", (ToolResult("c1"), Text("<system-reminder>be brief</system-reminder>")), "")


def test_a_question_of_a_conversation() -> None:
    tool, choice, output = Tool("Read"), ToolChoice("any"), OutputFormat()
    conversation = Conversation(
        "m",
        turns=(
            person("Hello"),
            assistant(OTHER),
            RESULT,
            person("Fix it"),
            assistant(CALL),
            RESULT,
            assistant(OTHER),
            RESULT,
        ),
        tools=(tool,),
        tool_choice=choice,
        settings=Settings(max_tokens=9, output=output),
    )
    assert Question.of(conversation) == Question(
        text="Fix it",
        tools=(tool,),
        tool_choice=choice,
        output=output,
        messages=8,
        results_last=True,
        earlier_calls=(CALL, OTHER),
        max_tokens=9,
    )


@pytest.mark.parametrize(
    ("turns", "text", "results_last", "earlier"),
    [
        pytest.param((), "", False, (), id="nothing at all"),
        pytest.param(
            (person("A"), assistant(CALL), RESULT, person("B")), "B", True, (), id="a person beside the results"
        ),
        pytest.param(
            (person("A"), assistant(CALL)), "A", False, (CALL,), id="a turn of the assistant's to be continued"
        ),
        pytest.param((person("A"), Turn("system", (Text("x"),), "")), "A", False, (), id="a system turn last"),
        pytest.param((person("A"), *[assistant(CALL), RESULT] * 9), "A", True, (CALL,) * 8, id="only the latest calls"),
    ],
)
def test_what_was_said_last(
    turns: tuple[Turn, ...], text: str, results_last: bool, earlier: tuple[ToolCall, ...]
) -> None:
    question = Question.of(Conversation("m", turns))
    assert (question.text, question.results_last, question.earlier_calls) == (text, results_last, earlier)


def test_a_draft_of_events() -> None:
    events: list[StreamEvent] = [
        MessageStart("r", "m"),
        ThinkingDelta("hm"),
        PartEnd(),
        TextDelta("Hel"),
        TextDelta("lo"),
        PartEnd(),
        ToolCallStart("c1", "Read"),
        ToolCallDelta('{"a":'),
        KeepAlive(),
        ToolCallDelta("1}"),
        PartEnd(),
        ToolCallStart("c2", "apply_patch", custom=True, namespace="n"),
        PartEnd(),
        TextDelta("Done"),
        PartEnd(),
        RefusalDelta("No"),
        PartEnd(),
        UsageReport(Usage(output=1)),
        UsageReport(Usage(output=7)),
        MessageEnd("tool-use"),
    ]
    assert Draft.of(events) == Draft(
        texts=("Hello", "Done"),
        calls=(ToolCall("c1", "Read", '{"a":1}'), ToolCall("c2", "apply_patch", "", custom=True, namespace="n")),
        stop="tool-use",
        refusal="No",
        thinking=True,
        usage=Usage(output=7),
    )


def test_a_draft_that_failed_has_no_end() -> None:
    assert Draft.of([MessageStart(), TextDelta("Hel"), StreamFailed("server", "gone")]).stop is None


def test_a_long_question_is_asked_at_its_beginning_and_its_end() -> None:
    asked = Question("Why? " + "log line\n" * 10_000 + "Explain IT.").asked
    assert asked.startswith("why? log line")
    assert asked.endswith("explain it.")
    assert len(asked) < 1_300
