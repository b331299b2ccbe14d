"""A neutral request in Responses' words, for targets of different flags."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from router.wire.conversation import Cache, Conversation, Depth, OutputFormat, Text, Tool, ToolChoice
from router.wire.traits import Traits
from tests.wire.openai_responses.saying import (
    HELLO,
    NEW,
    OTHER,
    changed,
    offering,
    render,
    rendered,
    talk,
    with_settings,
)

CLOSED = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}
OPEN = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
F = Tool("f", "does f", CLOSED)
PATCH = Tool("apply_patch", "patches", custom=True, grammar={"type": "grammar", "syntax": "lark", "definition": "s: X"})
DIGEST = hashlib.sha256(b"user").hexdigest()


def test_a_short_request_keeps_nothing_and_asks_for_sealed_reasoning() -> None:
    assert rendered(talk(HELLO)) == {
        "model": "gpt-new",
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}],
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }


@pytest.mark.parametrize(
    ("conversation", "traits", "fields"),
    [
        pytest.param(talk(HELLO, stream=True), NEW, {"stream": True}, id="a stream"),
        pytest.param(
            talk(HELLO, include_state=False), NEW, {"include": None}, id="a client that can't take sealed reasoning"
        ),
        pytest.param(
            talk(HELLO), changed(NEW, encrypted_reasoning=False), {"include": None}, id="a target that seals nothing"
        ),
        pytest.param(
            talk(HELLO), changed(NEW, refused_fields=frozenset({"store"})), {"store": None}, id="no word for keeping"
        ),
        pytest.param(with_settings(max_tokens=100), NEW, {"max_output_tokens": 100}, id="a limit"),
        pytest.param(
            with_settings(max_tokens=10**6), NEW, {"max_output_tokens": 128_000}, id="a limit above the model's"
        ),
        pytest.param(with_settings(max_tokens=1), OTHER, {"max_output_tokens": 1}, id="a tiny limit"),
        pytest.param(with_settings(temperature=1, top_p=0.5), OTHER, {"temperature": 1, "top_p": 0.5}, id="sampling"),
        pytest.param(with_settings(depth=Depth(True, "high")), NEW, {"reasoning": {"effort": "high"}}, id="effort"),
        pytest.param(with_settings(depth=Depth(False)), NEW, {"reasoning": {"effort": "none"}}, id="no thinking"),
        pytest.param(
            with_settings(depth=Depth(True, budget=4000)), NEW, {"reasoning": {"effort": "medium"}}, id="budget"
        ),
        pytest.param(with_settings(depth=Depth(True)), NEW, {"reasoning": None}, id="as much as the model likes"),
        pytest.param(
            with_settings(depth=Depth(True, visible=True)), NEW, {"reasoning": {"summary": "auto"}}, id="to be read"
        ),
        pytest.param(
            with_settings(depth=Depth(True, "low", visible=False)), NEW, {"reasoning": {"effort": "low"}}, id="unread"
        ),
        pytest.param(
            with_settings(depth=Depth(False, visible=True)),
            NEW,
            {"reasoning": {"effort": "none"}},
            id="nothing to read",
        ),
        pytest.param(
            with_settings(output=OutputFormat()), OTHER, {"text": {"format": {"type": "json_object"}}}, id="JSON"
        ),
        pytest.param(
            with_settings(output=OutputFormat(CLOSED, "n", "d", True)),
            NEW,
            {
                "text": {
                    "format": {
                        "type": "json_schema",
                        "name": "n",
                        "description": "d",
                        "schema": CLOSED,
                        "strict": True,
                    }
                }
            },
            id="JSON of a schema",
        ),
        pytest.param(
            with_settings(output=OutputFormat({"$schema": "x", **OPEN})),
            NEW,
            {"text": {"format": {"type": "json_schema", "name": "output", "schema": OPEN, "strict": False}}},
            id="JSON of a schema that nobody named",
        ),
        pytest.param(with_settings(verbosity="low"), NEW, {"text": {"verbosity": "low"}}, id="few words"),
        pytest.param(with_settings(service_tier="standard"), NEW, {"service_tier": "default"}, id="service"),
        pytest.param(with_settings(user="user"), NEW, {"safety_identifier": DIGEST}, id="a user"),
        pytest.param(with_settings(cache_key="s"), NEW, {"prompt_cache_key": "s"}, id="a key for the cache"),
        pytest.param(
            with_settings(cache_key="s" * 65),
            NEW,
            {"prompt_cache_key": hashlib.sha256(b"s" * 65).hexdigest()},
            id="a long key for the cache",
        ),
        pytest.param(
            talk(HELLO, system=(Text("s", Cache()),), settings=with_settings(user="user").settings),
            NEW,
            {"prompt_cache_key": DIGEST[:32]},
            id="marks without a key",
        ),
        pytest.param(talk(HELLO, system=(Text("s"),)), NEW, {"instructions": "s"}, id="one instruction"),
        pytest.param(talk(HELLO, system=(Text(" "),)), NEW, {"instructions": None}, id="an empty instruction"),
    ],
)
def test_settings_are_rendered(conversation: Conversation, traits: Traits, fields: dict[str, Any]) -> None:
    body = rendered(conversation, traits)
    assert {name: body.get(name) for name in fields} == fields


@pytest.mark.parametrize(
    ("conversation", "traits", "setting", "fields"),
    [
        pytest.param(with_settings(temperature=0.5), NEW, "temperature", {}, id="a temperature that is refused"),
        pytest.param(with_settings(top_p=0.5), NEW, "top_p", {}, id="top_p that is refused"),
        pytest.param(
            with_settings(temperature=1, top_p=0.5),
            changed(OTHER, sampling="one"),
            "top_p",
            {"temperature": 1},
            id="two parameters of sampling where one is taken",
        ),
        pytest.param(with_settings(top_k=3), OTHER, "top_k", {}, id="top_k"),
        pytest.param(with_settings(stop=("x",)), OTHER, "stop", {}, id="stop sequences"),
        pytest.param(with_settings(seed=3), OTHER, "seed", {}, id="a seed"),
        pytest.param(with_settings(presence_penalty=0.0), OTHER, "presence_penalty", {}, id="a penalty"),
        pytest.param(with_settings(frequency_penalty=1), OTHER, "frequency_penalty", {}, id="another penalty"),
        pytest.param(with_settings(max_tokens=1), NEW, "max_tokens", {"max_output_tokens": 16}, id="a tiny limit"),
        pytest.param(
            with_settings(depth=Depth(True, "max")), NEW, "depth", {"reasoning": {"effort": "xhigh"}}, id="more effort"
        ),
        pytest.param(
            with_settings(depth=Depth(True, "low")), changed(OTHER, reasoning_in=frozenset()), "depth", {}, id="effort"
        ),
        pytest.param(
            with_settings(depth=Depth(visible=True)), changed(NEW, summaries=False), "depth", {}, id="summaries"
        ),
        pytest.param(with_settings(verbosity="low"), OTHER, "verbosity", {}, id="verbosity elsewhere"),
        pytest.param(with_settings(service_tier="flex"), OTHER, "service_tier", {}, id="service elsewhere"),
        pytest.param(with_settings(user="u"), OTHER, "user", {}, id="a user elsewhere"),
        pytest.param(with_settings(cache_key="s"), OTHER, "cache_key", {}, id="a key for the cache elsewhere"),
        pytest.param(with_settings(cache_all=Cache()), OTHER, "cache", {}, id="caching elsewhere"),
        pytest.param(talk(("user", [Text("x", Cache())])), OTHER, "cache", {}, id="marks elsewhere"),
        pytest.param(
            with_settings(output=OutputFormat(OPEN, "n", strict=True)),
            NEW,
            "output",
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": OPEN, "strict": False}}},
            id="a schema that leaves something open, to be held to",
        ),
        pytest.param(
            with_settings(temperature=1),
            changed(OTHER, refused_fields=frozenset({"temperature"})),
            "temperature",
            {},
            id="a field that is an error there",
        ),
        pytest.param(
            offering(F, settings=with_settings(parallel_tools=False).settings),
            changed(NEW, parallel_tools=False),
            "parallel_tools",
            {},
            id="one call at a time",
        ),
    ],
)
def test_hints_that_cannot_be_said_are_dropped_and_told(
    conversation: Conversation, traits: Traits, setting: str, fields: dict[str, Any]
) -> None:
    body, losses = render(conversation, traits)
    assert [(loss.field, loss.refused) for loss in losses.found] == [(setting, False)]
    said = {name: value for name, value in body.items() if name not in ("model", "input", "store", "include", "tools")}
    assert said == fields


def test_several_instructions_stay_apart_in_a_leading_message() -> None:
    body = rendered(talk(HELLO, system=(Text("a", Cache("12h")), Text("b", Cache("1h")), Text("c"))))
    assert "instructions" not in body
    assert body["input"][0] == {
        "type": "message",
        "role": "developer",
        "content": [
            {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
            {"type": "input_text", "text": "b", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}},
            {"type": "input_text", "text": "c"},
        ],
    }


@pytest.mark.parametrize(
    ("system", "said", "leading"),
    [
        pytest.param((), "hello", ["Answer with JSON."], id="said nowhere"),
        pytest.param(
            (Text("Be brief."),), "hello", ["Be brief.", "Answer with JSON."], id="said nowhere, instructions"
        ),
        pytest.param((Text("Use JSON."),), "hello", ["Use JSON."], id="said in the instructions"),
        pytest.param((), "json please", None, id="said by the user"),
    ],
)
def test_json_is_spoken_of_in_a_message(system: tuple[Text, ...], said: str, leading: list[str] | None) -> None:
    """Which OpenAI wants, and servers that pass it on to OpenAI."""
    settings = with_settings(output=OutputFormat()).settings
    for traits in (NEW, OTHER):
        body = rendered(talk(("user", [Text(said)]), system=system, settings=settings), traits)
        first = body["input"][0]
        assert "instructions" not in body
        assert ([part["text"] for part in first["content"]] if first["role"] == traits.system_role else None) == leading


def test_the_same_conversation_is_the_same_bytes_and_the_next_turn_only_adds() -> None:
    first = talk(HELLO, tools=(F, PATCH), system=(Text("s"),))
    assert rendered(first) == rendered(first)
    longer = talk(HELLO, ("assistant", [Text("hi")]), ("user", [Text("go on")]), tools=(F, PATCH), system=(Text("s"),))
    one, two = rendered(first), rendered(longer)
    assert two["input"][: len(one["input"])] == one["input"]
    assert {**two, "input": None} == {**one, "input": None}


# --- tools ------------------------------------------------------------------------------------------------------------


def test_tools_are_never_strict_unasked() -> None:
    assert rendered(offering(F, changed(F, name="g", strict=True), PATCH))["tools"] == [
        {"type": "function", "name": "f", "description": "does f", "parameters": CLOSED, "strict": False},
        {"type": "function", "name": "g", "description": "does f", "parameters": CLOSED, "strict": True},
        {"type": "custom", "name": "apply_patch", "description": "patches", "format": PATCH.grammar},
    ]


@pytest.mark.parametrize(
    ("tool", "shown"),
    [
        pytest.param(
            Tool("f"),
            {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": False},
            id="nothing but a name",
        ),
        pytest.param(
            Tool("f", schema={"$schema": "x", "properties": {"a": {}}}),
            {
                "type": "function",
                "name": "f",
                "parameters": {"type": "object", "properties": {"a": {}}},
                "strict": False,
            },
            id="a schema without a type",
        ),
        pytest.param(
            Tool("f", schema=CLOSED, namespace="g"),
            {"type": "function", "name": "g__f", "parameters": CLOSED, "strict": False},
            id="one of a group",
        ),
        pytest.param(Tool("f", custom=True), {"type": "custom", "name": "f"}, id="a freeform tool without a grammar"),
    ],
)
def test_a_tool_is_rendered(tool: Tool, shown: dict[str, Any]) -> None:
    assert rendered(offering(tool))["tools"] == [shown]


def test_a_freeform_tool_is_a_function_where_there_are_no_others() -> None:
    [tool] = rendered(offering(PATCH), OTHER)["tools"]
    assert (tool["type"], tool["parameters"]["required"]) == ("function", ["input"])
    assert "s: X" in tool["description"]


@pytest.mark.parametrize(
    ("traits", "strict", "told"),
    [
        pytest.param(changed(NEW, strict_schemas="no"), [False, False], ["tools[].strict"], id="nowhere"),
        pytest.param(
            changed(NEW, strict_schemas="all-tools-equal"), [False, False], ["tools[].strict"], id="all or none"
        ),
        pytest.param(NEW, [True, False], [], id="each for itself"),
    ],
)
def test_strictness_where_it_is_known(traits: Traits, strict: list[bool], told: list[str]) -> None:
    body, losses = render(offering(changed(F, strict=True), changed(F, name="g")), traits)
    assert [tool["strict"] for tool in body["tools"]] == strict
    assert [loss.field for loss in losses.found] == told


@pytest.mark.parametrize(
    ("choice", "traits", "said"),
    [
        pytest.param(ToolChoice("auto"), NEW, "auto", id="the model's choice"),
        pytest.param(ToolChoice("any"), NEW, "required", id="some tool"),
        pytest.param(ToolChoice("none"), NEW, "none", id="no tool"),
        pytest.param(ToolChoice("named", "f"), NEW, {"type": "function", "name": "f"}, id="a function"),
        pytest.param(ToolChoice("named", "apply_patch"), NEW, {"type": "custom", "name": "apply_patch"}, id="freeform"),
        pytest.param(
            ToolChoice("named", "apply_patch"),
            OTHER,
            {"type": "function", "name": "apply_patch"},
            id="freeform, wrapped",
        ),
        pytest.param(
            ToolChoice("any", allowed=("f",)),
            NEW,
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
            id="one of some",
        ),
        pytest.param(
            ToolChoice("auto"), changed(OTHER, tool_choices=frozenset()), None, id="the model's choice, unsaid"
        ),
        pytest.param(None, NEW, None, id="nothing said"),
    ],
)
def test_choices_of_tools_are_rendered(choice: ToolChoice | None, traits: Traits, said: Any) -> None:
    assert rendered(offering(F, PATCH, tool_choice=choice), traits).get("tool_choice") == said


def test_tools_that_are_not_allowed_are_not_offered_where_that_cannot_be_said() -> None:
    body = rendered(offering(F, PATCH, tool_choice=ToolChoice("any", allowed=("f",))), OTHER)
    assert [tool["name"] for tool in body["tools"]] == ["f"]
    assert body["tool_choice"] == "required"


def test_no_tool_is_offered_where_none_shall_be_called_and_that_cannot_be_said() -> None:
    traits = changed(OTHER, tool_choices=frozenset({"auto"}))
    assert "tools" not in rendered(offering(F, tool_choice=ToolChoice("none")), traits)


def test_a_choice_without_tools_is_left_out() -> None:
    settings = with_settings(parallel_tools=True).settings
    body = rendered(talk(HELLO, tool_choice=ToolChoice("auto"), settings=settings))
    assert "tool_choice" not in body
    assert "parallel_tool_calls" not in body


@pytest.mark.parametrize(
    ("conversation", "traits", "field"),
    [
        pytest.param(offering(F), changed(NEW, tools=False), "tools", id="tools for a model without"),
        pytest.param(
            offering(F, tool_choice=ToolChoice("any")),
            changed(NEW, tool_choices=frozenset({"auto"})),
            "tool_choice",
            id="a forced call of a model that refuses it",
        ),
        pytest.param(offering(F, tool_choice=ToolChoice("named", "x")), NEW, "tool_choice", id="a tool nobody offers"),
        pytest.param(
            talk(HELLO, tool_choice=ToolChoice("any")), NEW, "tool_choice", id="some tool where there is none"
        ),
    ],
)
def test_what_changes_the_meaning_is_refused(conversation: Conversation, traits: Traits, field: str) -> None:
    body, losses = render(conversation, traits)
    assert [(loss.field, loss.refused) for loss in losses.found] == [(field, True)]
    assert "tool_choice" not in body
