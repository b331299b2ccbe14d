"""The depth of thinking is said in the words that the target knows."""

from __future__ import annotations

from typing import Any

import pytest

from router.wire.conversation import Depth, OpaqueState, Settings, Text, Thought, Tool, ToolCall, ToolChoice, ToolResult
from router.wire.traits import Traits
from tests.support.messages import NEW, OLD, OTHER, assistant, conversation, fields_of, render, settings, traits, user

SOFT = traits(thinking_off=True)  # adaptive, and can be without
BETWEEN = traits(reasoning_in=frozenset({"adaptive", "effort", "between-tools"}))
EFFORT_ONLY = traits(OTHER, reasoning_in=frozenset({"effort"}))
SILENT = traits(OTHER, reasoning_in=frozenset())
ADAPTIVE = {"type": "adaptive"}


def budget(tokens: int) -> dict[str, Any]:
    return {"type": "enabled", "budget_tokens": tokens}


@pytest.mark.parametrize(
    ("depth", "of", "thinking", "effort", "lost"),
    [
        pytest.param(Depth(), NEW, None, None, False, id="nothing is said"),
        pytest.param(Depth(on=True), NEW, ADAPTIVE, None, False, id="adaptive, depth left to the model"),
        pytest.param(Depth(on=True, effort="high"), NEW, ADAPTIVE, "high", False, id="adaptive with an effort"),
        pytest.param(Depth(effort="max"), NEW, ADAPTIVE, "max", False, id="an effort alone"),
        pytest.param(Depth(on=True, budget=4000), NEW, ADAPTIVE, "medium", False, id="a budget as an effort"),
        pytest.param(Depth(on=True, effort="minimal"), NEW, ADAPTIVE, "low", True, id="less than the model knows"),
        pytest.param(
            Depth(on=True, effort="xhigh"), traits(efforts=("low", "high")), ADAPTIVE, "high", True, id="stepping down"
        ),
        pytest.param(
            Depth(on=True, visible=True), NEW, {**ADAPTIVE, "display": "summarized"}, None, False, id="to be shown"
        ),
        pytest.param(
            Depth(on=True, visible=False), NEW, {**ADAPTIVE, "display": "omitted"}, None, False, id="not to be shown"
        ),
        pytest.param(Depth(on=True, effort="minimal"), BETWEEN, {"type": "between_tools"}, None, False, id="the least"),
        pytest.param(Depth(on=False), SOFT, {"type": "disabled"}, None, False, id="off"),
        pytest.param(
            Depth(on=False, effort="high"), SOFT, {"type": "disabled"}, "high", False, id="off, with an effort"
        ),
        pytest.param(Depth(effort="none"), SOFT, {"type": "disabled"}, None, False, id="off by an effort"),
        pytest.param(Depth(on=False), NEW, ADAPTIVE, "low", True, id="off, where the model always thinks"),
        pytest.param(Depth(on=False), BETWEEN, {"type": "between_tools"}, None, True, id="off, between tools at least"),
        pytest.param(Depth(on=True, effort="low"), OLD, budget(1024), None, False, id="low as a budget"),
        pytest.param(Depth(on=True, effort="medium"), OLD, budget(4096), None, False, id="medium as a budget"),
        pytest.param(Depth(on=True, effort="high"), OLD, budget(16_384), None, False, id="high as a budget"),
        pytest.param(Depth(on=True, effort="max"), OLD, budget(32_768), None, False, id="max as a budget"),
        pytest.param(Depth(on=True, budget=5000), OLD, budget(5000), None, False, id="a budget as it is"),
        pytest.param(Depth(on=True), OLD, budget(4096), None, False, id="on, at the usual budget"),
        pytest.param(Depth(on=False), OLD, None, None, False, id="off is silence with budgets"),
        pytest.param(Depth(on=True), OTHER, budget(4096), None, False, id="a toggle"),
        pytest.param(Depth(on=False), OTHER, {"type": "disabled"}, None, False, id="a toggle, off"),
        pytest.param(
            Depth(on=True, effort="high"), EFFORT_ONLY, None, "high", False, id="an effort is all that's known"
        ),
        pytest.param(Depth(on=True, effort="high"), SILENT, None, None, True, id="a model that can't be told"),
    ],
)
def test_depth(depth: Depth, of: Traits, thinking: Any, effort: str | None, lost: bool) -> None:
    body, losses = render(settings(depth=depth), of)
    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == effort
    assert fields_of(losses) == (["depth"] if lost else [])


@pytest.mark.parametrize(
    ("depth", "max_tokens", "thinking"),
    [
        pytest.param(Depth(on=True, budget=4000), 4001, budget(4000), id="a budget that just fits"),
        pytest.param(
            Depth(on=True, budget=32_000), 8000, budget(6000), id="a budget that leaves no room for an answer"
        ),
        pytest.param(Depth(on=True, effort="high"), 8000, budget(6000), id="an effort that leaves no room"),
        pytest.param(Depth(on=True), 1100, budget(1024), id="just enough"),
        pytest.param(Depth(on=True, budget=5000), 1100, budget(1024), id="a large budget where there is just enough"),
        pytest.param(Depth(on=True, budget=10), 8000, budget(1024), id="a budget that is too small"),
        pytest.param(Depth(on=True, effort="low"), 1024, None, id="no room for any"),
    ],
)
def test_a_budget_is_less_than_the_limit(depth: Depth, max_tokens: int, thinking: Any) -> None:
    body, losses = render(settings(depth=depth, max_tokens=max_tokens), OLD)
    assert body.get("thinking") == thinking
    assert body["max_tokens"] == max_tokens
    assert fields_of(losses) == ([] if thinking else ["depth"])


SEALED = Thought("hm", OpaqueState("anthropic-signature", "sig", OLD.owner))
CALL = ToolCall("t1", "f", "{}")
RESULT = ToolResult("t1", (Text("r"),))


@pytest.mark.parametrize(
    ("turns", "on"),
    [
        pytest.param((user(Text("a")),), True, id="a first question"),
        pytest.param((user(Text("a")), assistant(CALL), user(RESULT)), False, id="a call made without thinking"),
        pytest.param((user(Text("a")), assistant(SEALED, CALL), user(RESULT)), True, id="a call made with thinking"),
        pytest.param(
            (user(Text("a")), assistant(SEALED, CALL), user(RESULT), assistant(CALL), user(RESULT)),
            True,
            id="thinking stands at the turn's beginning only",
        ),
        pytest.param(
            (user(Text("a")), assistant(CALL), user(RESULT), assistant(Text("b")), user(Text("c"))),
            True,
            id="the call was answered, the user spoke again",
        ),
        pytest.param(
            (user(Text("a")), assistant(CALL), user(RESULT, Text("reminder"))), False, id="a reminder beside the result"
        ),
        pytest.param((user(Text("a")), assistant(Text("The answer is"))), False, id="a prefill"),
    ],
)
def test_a_model_with_budgets_thinks_only_where_its_turn_began_with_thinking(turns: Any, on: bool) -> None:
    asked = conversation(*turns, tools=(Tool("f"),), settings=Settings(depth=Depth(on=True, budget=2048)))
    body, losses = render(asked, OLD)
    assert body.get("thinking") == (budget(2048) if on else None)
    assert fields_of(losses) == ([] if on else ["depth"])


def test_a_toggle_is_switched_off_in_words() -> None:
    asked = conversation(user(Text("a")), assistant(CALL), user(RESULT), settings=Settings(depth=Depth(on=True)))
    assert render(asked, OTHER)[0]["thinking"] == {"type": "disabled"}


def test_an_adaptive_model_may_begin_to_think_anywhere() -> None:
    asked = conversation(user(Text("a")), assistant(CALL), user(RESULT), settings=Settings(depth=Depth(on=True)))
    assert render(asked, NEW)[0]["thinking"] == ADAPTIVE


@pytest.mark.parametrize("choice", [ToolChoice("any"), ToolChoice("named", "f")], ids=["any", "named"])
def test_a_call_cant_be_forced_while_the_model_thinks(choice: ToolChoice) -> None:
    asked = conversation(tools=(Tool("f"),), tool_choice=choice, settings=Settings(depth=Depth(on=True)))
    body, losses = render(asked, OLD)
    assert body["tool_choice"] == {"type": "auto"}
    assert fields_of(losses, refused=True) == ["tool_choice"]


@pytest.mark.parametrize(
    ("sampling", "kept", "lost"),
    [
        pytest.param({"temperature": 0.5}, {}, ["temperature"], id="temperature"),
        pytest.param({"temperature": 1}, {"temperature": 1}, [], id="the one temperature that goes"),
        pytest.param({"top_k": 5}, {}, ["top_k"], id="top_k"),
        pytest.param({"top_p": 0.5}, {}, ["top_p"], id="a low top_p"),
        pytest.param({"top_p": 0.97}, {"top_p": 0.97}, [], id="a high top_p"),
    ],
)
def test_sampling_settings_that_thinking_does_not_allow(
    sampling: dict[str, float], kept: dict[str, float], lost: list[str]
) -> None:
    body, losses = render(settings(depth=Depth(on=True), **sampling), OLD)
    assert {name: body[name] for name in ("temperature", "top_p", "top_k") if name in body} == kept
    assert fields_of(losses) == lost
