from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from router.wire.conversation import Cache, Depth, OutputFormat, Text
from router.wire.loss import Losses
from tests.wire.openai_chat.saying import TOOL, conversation, rendered

OPEN = {"type": "object", "properties": {"a": {"type": "integer"}}}
CLOSED = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
HALF = {**CLOSED, "properties": {"a": OPEN}}


def fields(*, losses: Losses | None = None, flags: dict[str, Any] | None = None, **asked: Any) -> dict[str, Any]:
    """The body without model, messages and tools."""
    body = rendered(conversation(**asked), losses=losses, **(flags or {}))
    return {name: value for name, value in body.items() if name not in ("model", "messages", "tools")}


@pytest.mark.parametrize(
    ("asked", "flags", "expected"),
    [
        pytest.param({"max_tokens": 9}, {}, {"max_completion_tokens": 9}, id="the limit"),
        pytest.param({"max_tokens": 9}, {"max_tokens_field": "max_tokens"}, {"max_tokens": 9}, id="by its old name"),
        pytest.param({"max_tokens": 9}, {"max_output": 5}, {"max_completion_tokens": 5}, id="lowered to the model's"),
        pytest.param({"max_tokens": 9}, {"max_output": 50}, {"max_completion_tokens": 9}, id="never raised"),
        pytest.param({"temperature": 0, "top_p": 0.5}, {}, {"temperature": 0, "top_p": 0.5}, id="sampling"),
        pytest.param(
            {"seed": 1, "presence_penalty": 0.1, "frequency_penalty": 0.2},
            {},
            {"seed": 1, "presence_penalty": 0.1, "frequency_penalty": 0.2},
            id="seed and penalties",
        ),
        pytest.param({"stop": ("A", "B")}, {}, {"stop": ["A", "B"]}, id="stop sequences"),
        pytest.param({"verbosity": "low"}, {"official": True}, {"verbosity": "low"}, id="verbosity at OpenAI"),
        pytest.param(
            {"service_tier": "standard"}, {"official": True}, {"service_tier": "default"}, id="the standard tier"
        ),
        pytest.param({"service_tier": "flex"}, {"official": True}, {"service_tier": "flex"}, id="another tier"),
        pytest.param({"service_tier": "auto"}, {}, {}, id="the tier that goes without saying"),
        pytest.param({"user": "ann"}, {"official": True}, {"safety_identifier": "ann"}, id="the user at OpenAI"),
        pytest.param({"cache_key": "k"}, {"cache_hints": "openai"}, {"prompt_cache_key": "k"}, id="the cache key"),
        pytest.param(
            {"cache_key": "k" * 64}, {"cache_hints": "openai"}, {"prompt_cache_key": "k" * 64}, id="the longest one"
        ),
        pytest.param(
            {"cache_key": "k" * 65},
            {"cache_hints": "openai"},
            {"prompt_cache_key": sha256(b"k" * 65).hexdigest()},
            id="a longer one as its digest",
        ),
        pytest.param(
            {"cache_all": Cache("1h")},
            {"cache_hints": "anthropic"},
            {"cache_control": {"type": "ephemeral", "ttl": "1h"}},
            id="Anthropic's automatic mark",
        ),
        pytest.param({"stream": True}, {}, {"stream": True, "stream_options": {"include_usage": True}}, id="a stream"),
        pytest.param({"stream": True}, {"stream_usage": "always"}, {"stream": True}, id="one that has usage anyway"),
    ],
)
def test_a_setting_is_said(asked: dict[str, Any], flags: dict[str, Any], expected: dict[str, Any]) -> None:
    assert fields(flags=flags, **asked) == expected


@pytest.mark.parametrize(
    ("asked", "flags", "expected", "lost"),
    [
        pytest.param(
            {"temperature": 1, "top_p": 1}, {"sampling": "refused"}, {}, ["temperature", "top_p"], id="sampling"
        ),
        pytest.param(
            {"temperature": 1, "top_p": 1}, {"sampling": "one"}, {"temperature": 1}, ["top_p"], id="two of it"
        ),
        pytest.param({"top_p": 1}, {"sampling": "one"}, {"top_p": 1}, [], id="one of it"),
        pytest.param(
            {"seed": 1, "presence_penalty": 0.1, "frequency_penalty": 0.2},
            {"sampling": "refused"},
            {"seed": 1},
            ["presence_penalty", "frequency_penalty"],
            id="penalties",
        ),
        pytest.param({"top_k": 5}, {}, {}, ["top_k"], id="top_k"),
        pytest.param({"stop": tuple("ABCDE")}, {}, {"stop": list("ABCD")}, ["stop"], id="the fifth stop sequence"),
        pytest.param({"stop": ("A",)}, {"stops": False}, {}, ["stop"], id="stop sequences"),
        pytest.param({"verbosity": "low"}, {}, {}, ["verbosity"], id="verbosity"),
        pytest.param({"service_tier": "fast"}, {}, {}, ["service_tier"], id="the tier"),
        pytest.param({"user": "ann"}, {}, {}, ["user"], id="the user"),
        pytest.param({"cache_key": "k"}, {}, {}, ["cache_key"], id="the cache key"),
        pytest.param({"cache_all": Cache()}, {}, {}, ["cache_all"], id="the automatic mark"),
        pytest.param({"seed": 1}, {"refused_fields": frozenset({"seed"})}, {}, ["seed"], id="a refused field"),
        pytest.param(
            {"stream": True},
            {"refused_fields": frozenset({"stream_options"})},
            {"stream": True},
            ["stream_options"],
            id="refused stream options",
        ),
    ],
)
def test_a_hint_that_cant_be_said_is_dropped(
    asked: dict[str, Any], flags: dict[str, Any], expected: dict[str, Any], lost: list[str]
) -> None:
    losses = Losses()
    assert fields(losses=losses, flags=flags, **asked) == expected
    assert [loss.field for loss in losses.found] == lost
    assert losses.refused == []


@pytest.mark.parametrize("user", ['{"account_uuid":"x"}', "u" * 65], ids=["account data", "a long id"])
def test_a_users_id_is_hashed_where_it_must_be(user: str) -> None:
    shown = fields(flags={"official": True}, user=user)["safety_identifier"]
    assert len(shown) == 64
    assert "uuid" not in shown
    assert fields(flags={"official": True}, user=user)["safety_identifier"] == shown


def test_marked_prompts_have_a_key_of_the_session_at_openai() -> None:
    marked = conversation(Text("a", Cache()), user="session-1")
    body = rendered(marked, official=True, cache_hints="openai")
    assert len(body["prompt_cache_key"]) == 32
    assert rendered(marked, official=True, cache_hints="openai") == body
    assert "prompt_cache_key" not in rendered(conversation(user="session-1"), official=True, cache_hints="openai")


# --- structured output ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "flags", "expected"),
    [
        pytest.param(OutputFormat(OPEN), {}, {"name": "output", "schema": OPEN}, id="a name is made up"),
        pytest.param(
            OutputFormat(OPEN, "my answer", "D."),
            {},
            {"name": "my_answer_", "description": "D.", "schema": OPEN},
            id="or made legal",
        ),
        pytest.param(
            OutputFormat(CLOSED), {}, {"name": "output", "schema": CLOSED, "strict": True}, id="strict if it can be"
        ),
        pytest.param(OutputFormat(HALF), {}, {"name": "output", "schema": HALF}, id="in all its objects"),
        pytest.param(
            OutputFormat(CLOSED, strict=False), {}, {"name": "output", "schema": CLOSED}, id="not against a no"
        ),
        pytest.param(
            OutputFormat(CLOSED), {"strict_schemas": "no"}, {"name": "output", "schema": CLOSED}, id="where known"
        ),
        pytest.param(
            OutputFormat({**OPEN, "$schema": "x"}), {}, {"name": "output", "schema": OPEN}, id="without its dialect"
        ),
    ],
)
def test_a_schema_for_the_answer(output: OutputFormat, flags: dict[str, Any], expected: dict[str, Any]) -> None:
    shown = fields(flags=flags, output=output)["response_format"]["json_schema"]
    assert shown["name"].startswith(expected["name"])
    assert shown | {"name": expected["name"]} == expected


@pytest.mark.parametrize(
    ("schema", "flags"), [(HALF, {}), (OPEN, {}), (CLOSED, {"strict_schemas": "no"})], ids=["half", "open", "unknown"]
)
def test_strictness_that_the_target_would_refuse_is_dropped(schema: dict[str, Any], flags: dict[str, Any]) -> None:
    """Anthropic's clients always ask for it, and leave fields out of ``required``."""
    losses = Losses()
    shown = fields(losses=losses, flags=flags, output=OutputFormat(schema, strict=True))["response_format"]
    assert "strict" not in shown["json_schema"]
    assert [loss.field for loss in losses.found] == ["output"]
    assert losses.refused == []


def test_any_json_is_also_asked_for_in_words_unless_the_client_did() -> None:
    body = rendered(conversation(output=OutputFormat()))
    assert body["response_format"] == {"type": "json_object"}
    assert body["messages"][0] == {"role": "system", "content": "Answer with one JSON object and nothing else."}
    body = rendered(conversation(Text("Give me json."), output=OutputFormat()))
    assert [message["role"] for message in body["messages"]] == ["user"]


@pytest.mark.parametrize(
    ("refused", "expected"),
    [
        pytest.param("response_format.json_schema", {"type": "json_object"}, id="any JSON is known"),
        pytest.param("response_format", None, id="nothing is known"),
    ],
)
def test_a_schema_is_told_in_words_where_it_cant_be_given(refused: str, expected: Any) -> None:
    losses = Losses()
    asked = conversation(output=OutputFormat(OPEN), system=(Text("S"),))
    body = rendered(asked, losses=losses, refused_fields=frozenset({refused}), text_arrays=False)
    assert body.get("response_format") == expected
    assert '"properties":{"a":{"type":"integer"}}' in body["messages"][0]["content"]
    assert [loss.field for loss in losses.found] == ["output"]


# --- thinking ---------------------------------------------------------------------------------------------------------

ON, OFF = Depth(True), Depth(False)
HIGH, LOW, MAX, BUDGET = Depth(True, "high"), Depth(True, "low"), Depth(True, "max"), Depth(True, budget=5000)
TOGGLE = frozenset({"toggle"})
ALL = frozenset({"effort", "budget", "toggle"})


@pytest.mark.parametrize(
    ("depth", "flags", "expected"),
    [
        pytest.param(Depth(), {}, {}, id="nothing said"),
        pytest.param(HIGH, {}, {"reasoning_effort": "high"}, id="effort"),
        pytest.param(ON, {}, {}, id="adaptive depth leaves the default alone"),
        pytest.param(BUDGET, {}, {"reasoning_effort": "medium"}, id="a budget as effort"),
        pytest.param(OFF, {"efforts": ("none", "low")}, {"reasoning_effort": "none"}, id="off as effort"),
        pytest.param(
            HIGH,
            {"reasoning_in": ALL, "reasoning_fields": ("reasoning",)},
            {"reasoning": {"effort": "high"}},
            id="OpenRouter",
        ),
        pytest.param(
            BUDGET,
            {"reasoning_in": ALL, "reasoning_fields": ("reasoning",)},
            {"reasoning": {"max_tokens": 5000}},
            id="OpenRouter's budget",
        ),
        pytest.param(
            OFF,
            {"reasoning_in": ALL, "reasoning_fields": ("reasoning",)},
            {"reasoning": {"enabled": False}},
            id="and off",
        ),
        pytest.param(
            ON, {"reasoning_in": ALL, "reasoning_fields": ("reasoning",)}, {"reasoning": {"enabled": True}}, id="and on"
        ),
        pytest.param(
            Depth(True, "low", visible=False),
            {"reasoning_in": ALL, "reasoning_fields": ("reasoning",)},
            {"reasoning": {"effort": "low", "exclude": True}},
            id="and not shown",
        ),
        pytest.param(
            ON, {"reasoning_in": TOGGLE, "reasoning_fields": ("thinking",)}, {"thinking": {"type": "enabled"}}, id="on"
        ),
        pytest.param(
            OFF,
            {"reasoning_in": TOGGLE, "reasoning_fields": ("thinking",)},
            {"thinking": {"type": "disabled"}},
            id="off",
        ),
        pytest.param(
            HIGH,
            {"reasoning_in": ALL, "reasoning_fields": ("thinking", "reasoning_effort")},
            {"thinking": {"type": "enabled"}, "reasoning_effort": "high"},
            id="a toggle with effort",
        ),
        pytest.param(
            OFF,
            {"reasoning_in": ALL, "reasoning_fields": ("thinking", "reasoning_effort")},
            {"thinking": {"type": "disabled"}},
            id="a toggle off needs no effort",
        ),
        pytest.param(
            HIGH,
            {"reasoning_in": ALL, "reasoning_fields": ("enable_thinking", "thinking_budget")},
            {"enable_thinking": True, "thinking_budget": 16384},
            id="Qwen",
        ),
        pytest.param(
            Depth(True, "minimal"),
            {"reasoning_in": ALL, "reasoning_fields": ("enable_thinking", "thinking_budget")},
            {"enable_thinking": False},
            id="minimal is as good as off",
        ),
        pytest.param(
            ON,
            {"reasoning_in": TOGGLE, "reasoning_fields": ("chat_template_kwargs", "separate_reasoning")},
            {"chat_template_kwargs": {"enable_thinking": True}, "separate_reasoning": True},
            id="SGLang",
        ),
        pytest.param(
            LOW,
            {"reasoning_fields": ("reasoning_effort", "reasoning_format", "clear_thinking")},
            {"reasoning_effort": "low", "reasoning_format": "parsed", "clear_thinking": False},
            id="Cerebras",
        ),
        pytest.param(
            Depth(True, "low", visible=False),
            {"reasoning_fields": ("reasoning_effort", "reasoning_format")},
            {"reasoning_effort": "low", "reasoning_format": "hidden"},
            id="Groq, not shown",
        ),
        pytest.param(
            LOW,
            {"reasoning_fields": ("reasoning_split",), "reasoning_in": TOGGLE},
            {"reasoning_split": True},
            id="MiniMax",
        ),
        pytest.param(OFF, {"reasoning_in": frozenset()}, {}, id="off where it can't be on"),
    ],
)
def test_depth_is_said_in_the_providers_fields(depth: Depth, flags: dict[str, Any], expected: dict[str, Any]) -> None:
    assert fields(flags=flags, depth=depth) == expected


@pytest.mark.parametrize(
    ("depth", "flags", "expected"),
    [
        pytest.param(MAX, {}, {"reasoning_effort": "high"}, id="an effort above the model's"),
        pytest.param(HIGH, {"reasoning_in": frozenset()}, {}, id="depth where none can be said"),
        pytest.param(
            HIGH,
            {"reasoning_in": TOGGLE, "reasoning_fields": ("thinking",)},
            {"thinking": {"type": "enabled"}},
            id="a toggle",
        ),
        pytest.param(
            OFF,
            {"reasoning_in": TOGGLE, "reasoning_fields": ("thinking",), "thinking_off": False},
            {"thinking": {"type": "enabled"}},
            id="off where it always thinks",
        ),
    ],
)
def test_depth_steps_down_and_says_so(depth: Depth, flags: dict[str, Any], expected: dict[str, Any]) -> None:
    losses = Losses()
    assert fields(losses=losses, flags=flags, depth=depth) == expected
    assert {loss.field for loss in losses.found} == {"depth"}
    assert losses.refused == []


@pytest.mark.parametrize(
    ("depth", "lost"),
    [
        pytest.param(Depth(), [], id="unasked"),
        pytest.param(OFF, [], id="off"),
        pytest.param(HIGH, ["depth"], id="high"),
    ],
)
def test_tools_need_effort_none_at_some_models(depth: Depth, lost: list[str]) -> None:
    losses = Losses()
    flags = {"tools_need_no_effort": True, "efforts": ("none", "low", "high")}
    assert fields(losses=losses, flags=flags, depth=depth, tools=(TOOL,)) == {"reasoning_effort": "none"}
    assert [loss.field for loss in losses.found] == lost
    assert fields(flags=flags, depth=HIGH) == {"reasoning_effort": "high"}


def test_a_budget_stays_below_the_answers_limit() -> None:
    flags = {"reasoning_in": ALL, "reasoning_fields": ("thinking_budget",)}
    assert fields(flags=flags, depth=BUDGET, max_tokens=3000)["thinking_budget"] == 2999
