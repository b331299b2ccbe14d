"""What is seen in tool calls, and which calls pass."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from router.routing.judging import Draft, Question, judge
from router.wire.conversation import Tool, ToolCall, ToolChoice
from tests.support.judging import TOOLS, call, calling, reading, saying, seen


@pytest.mark.parametrize(
    ("draft", "question", "expected"),
    [
        pytest.param(calling(reading()), Question(), "", id="a known tool with fitting arguments"),
        pytest.param(
            calling(call("read", {"path": "a"})), Question(), "calls read, which wasn't offered", id="unknown"
        ),
        pytest.param(
            calling(call("x\x1b[31m", {})), Question(), "calls a tool with an odd name, which wasn't offered", id="odd"
        ),
        pytest.param(
            calling(call("Read", {"path": 1})),
            Question(),
            "Read: the arguments don't fit its schema, path is a whole number instead of a string",
            id="wrong",
        ),
        pytest.param(calling(call("Read", "[]")), Question(), "Read: the arguments are no JSON object", id="a list"),
        pytest.param(calling(call("Read", '{"path"')), Question(), "Read: the arguments are no JSON object", id="half"),
        pytest.param(
            calling(call("Read", "\ud800")), Question(), "Read: the arguments are no JSON object", id="half a sign"
        ),
        pytest.param(calling(call("Write", " ")), Question(), "", id="no arguments are an empty object"),
        pytest.param(calling(call("patch", "*** Begin", custom=True)), Question(), "", id="raw text"),
        pytest.param(
            calling(call("patch", " ", custom=True)), Question(), "patch: the input is empty", id="no raw text"
        ),
        pytest.param(
            calling(call("patch", ' {"text": 1}', custom=True)),
            Question(),
            "patch: the input is a JSON object instead of raw text",
            id="an object instead of raw text",
        ),
        pytest.param(calling(call("patch", "{ a: 1 }", custom=True)), Question(), "", id="raw text with braces"),
        pytest.param(calling(call("list", {}, namespace="files")), Question(), "", id="a tool of a group"),
        pytest.param(
            calling(call("list", {}, namespace="web")),
            Question(),
            "calls list, which wasn't offered",
            id="a tool of another group",
        ),
        pytest.param(
            calling(reading(), call("Bash", {})), Question(), "calls Bash, which wasn't offered", id="the second one"
        ),
        pytest.param(saying("Hello"), Question(), "", id="no call where none is demanded"),
        pytest.param(
            saying("Hello"),
            Question(tool_choice=ToolChoice("any")),
            "a tool call was demanded, and there is none",
            id="no call where one is demanded",
        ),
        pytest.param(
            calling(reading()),
            Question(tool_choice=ToolChoice("none")),
            "calls a tool although none may be called",
            id="a call where none may be",
        ),
        pytest.param(
            calling(reading()),
            Question(tool_choice=ToolChoice("named", "Write")),
            "calls Read where another tool was demanded",
            id="another one than was demanded",
        ),
        pytest.param(
            calling(reading()),
            Question(tool_choice=ToolChoice("auto", allowed=("Write",))),
            "calls Read, which isn't among the tools allowed",
            id="one that isn't allowed",
        ),
    ],
)
def test_tool_calls(draft: Draft, question: Question, expected: str) -> None:
    judgement = judge(replace(question, tools=TOOLS), draft)
    assert seen(judgement, "tools") == expected
    assert judgement.accepted(0.8) == (not expected)


@pytest.mark.parametrize(
    ("globs", "risky"),
    [
        pytest.param((), False, id="none"),
        pytest.param(("Write",), False, id="another tool"),
        pytest.param(("Read",), True, id="by name"),
        pytest.param(("Re*",), True, id="by glob"),
        pytest.param(("read",), False, id="upper and lower case differ"),
        pytest.param(("Wr*", "*ead"), True, id="any of several"),
    ],
)
def test_risky_tools(globs: tuple[str, ...], risky: bool) -> None:
    draft = calling(call("list", {}, namespace="files"), reading())
    judgement = judge(Question(tools=TOOLS), draft, risky_tools=globs)
    assert seen(judgement, "risk") == ("Read is among the risky tools" if risky else "")
    assert judgement.accepted(0.1) != risky


@pytest.mark.parametrize(
    ("calls", "earlier", "expected"),
    [
        pytest.param([reading("a"), reading("b")], [], "", id="different calls"),
        pytest.param([reading(), reading()], [], "makes one call of Read 2 times", id="twice"),
        pytest.param([reading()], [reading(), reading("b")], "", id="again, after something else"),
        pytest.param([reading()], [reading()], "makes the call that was made just before", id="again"),
        pytest.param([reading()], [reading()] * 3, "makes a call that was made 3 times just before", id="and again"),
        pytest.param([call("poll_output")], [call("poll_output")] * 4, "", id="waiting is done that way"),
    ],
)
def test_the_same_call_again(calls: list[ToolCall], earlier: list[ToolCall], expected: str) -> None:
    tools = (*TOOLS, Tool("poll_output"))
    assert seen(judge(Question(tools=tools, earlier_calls=tuple(earlier)), calling(*calls)), "repetition") == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param({"file_path": "/a.txt", "content": "one\ntwo"}, "", id="a whole file"),
        pytest.param(
            {"file_path": "/a.ts", "content": "// ... existing code ...\n"},
            "Write leaves out a part of the text it writes",
            id="with a gap",
        ),
        pytest.param(
            {"content": "f()\n# … rest of the file\n"},
            "Write leaves out a part of the text it writes",
            id="with another",
        ),
        pytest.param({"content": "x = {...existing, a: 1}\nargs = [...remaining]"}, "", id="a spread isn't a gap"),
        pytest.param({"content": "# Loading...\nunchanged = True"}, "", id="dots and a word on different lines"),
        pytest.param({"old_string": "a", "new_string": "a"}, "Write replaces a text by itself", id="no change"),
        pytest.param({"old_string": "a", "new_string": "b"}, "", id="a change"),
        pytest.param({"content": "build/\ndist/\nvenv/\n" * 200}, "Write writes the same 78 times", id="without end"),
        pytest.param({"content": "0 0 0 0\n" * 200}, "", id="a table of numbers"),
        pytest.param({"file_path": "/path/to/file.py"}, "an argument of Write is a placeholder", id="a placeholder"),
        pytest.param({"file_path": "<file>"}, "an argument of Write is a placeholder", id="in angle brackets"),
    ],
)
def test_what_calls_write(arguments: dict[str, Any], expected: str) -> None:
    assert seen(judge(Question(tools=TOOLS), calling(call("Write", arguments))), "writing") == expected


def test_a_call_on_something_else_is_looked_at_with_patience() -> None:
    question = Question("Fix parse_date in src/dates.py for ISO weeks", tools=TOOLS)
    assert (
        seen(judge(question, calling(reading("README.md"))), "topic") == "acts on none of the question's salient words"
    )
    assert judge(question, calling(reading("README.md"))).accepted(0.8)
    assert not seen(judge(question, calling(reading("/repo/src/dates.py"))), "topic")
    assert not seen(judge(replace(question, results_last=True), calling(reading("README.md"))), "topic")
