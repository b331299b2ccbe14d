"""A neutral conversation becomes a Messages request that the target takes, by its traits alone."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from router.wire.conversation import (
    Cache,
    Conversation,
    OutputFormat,
    Refusal,
    Settings,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    Turn,
)
from router.wire.traits import Traits
from tests.support.messages import (
    NEW,
    OLD,
    OTHER,
    assistant,
    conversation,
    fields_of,
    render,
    rendering,
    settings,
    system,
    traits,
    user,
)

F = Tool("f", "does", {"type": "object", "properties": {"a": {"type": "integer"}}})
G = Tool("g")


def test_a_bare_conversation() -> None:
    body, losses = render(conversation(user(Text("hello"))), traits(OTHER, max_output=8000))
    assert body == {
        "model": "some-model",
        "max_tokens": 8000,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
    }
    assert losses.found == []


@pytest.mark.parametrize(
    ("asked", "limit", "sent", "lost"),
    [
        pytest.param(500, 8000, 500, [], id="the client's"),
        pytest.param(500, None, 500, [], id="the client's, of a model whose limit nobody knows"),
        pytest.param(9000, 8000, 8000, ["max_tokens"], id="lowered to what the model can write"),
        pytest.param(None, 8000, 8000, [], id="the model's where the client says nothing"),
        pytest.param(None, None, 32_000, [], id="the usual one where nobody says anything"),
    ],
)
def test_the_limit_is_always_said(asked: int | None, limit: int | None, sent: int, lost: list[str]) -> None:
    body, losses = render(settings(max_tokens=asked), traits(OTHER, max_output=limit))
    assert body["max_tokens"] == sent
    assert fields_of(losses, refused=False) == lost


def test_the_system_prompt_is_a_list_of_texts_without_empty_ones() -> None:
    body, _ = render(conversation(system=(Text("a", Cache("1h")), Text(" \n"), Text("b"))))
    assert body["system"] == [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "text", "text": "b"},
    ]


@pytest.mark.parametrize(
    ("asked", "of", "sent", "lost"),
    [
        pytest.param({"temperature": 0.5, "top_k": 3}, OTHER, {"temperature": 0.5, "top_k": 3}, [], id="as they are"),
        pytest.param({"temperature": 0, "top_p": 0}, OTHER, {"temperature": 0, "top_p": 0}, [], id="zeros"),
        pytest.param({"temperature": 1.7}, OTHER, {"temperature": 1}, ["temperature"], id="too hot"),
        pytest.param({"temperature": 0.2, "top_p": 0.9}, OLD, {"temperature": 0.2}, ["top_p"], id="only one"),
        pytest.param({"top_p": 0.9}, OLD, {"top_p": 0.9}, [], id="only top_p"),
        pytest.param(
            {"temperature": 0.2, "top_p": 0.9, "top_k": 4}, NEW, {}, ["temperature", "top_p", "top_k"], id="none at all"
        ),
        pytest.param({"stop": ("a", " \n", "")}, OTHER, {"stop_sequences": ["a"]}, ["stop"], id="stops of space"),
        pytest.param({"stop": ("a",)}, traits(OTHER, stops=False), {}, ["stop"], id="no stops"),
        pytest.param({"user": "u"}, NEW, {"metadata": {"user_id": "u"}}, [], id="user"),
        pytest.param({"service_tier": "auto"}, NEW, {"service_tier": "auto"}, [], id="tier"),
        pytest.param({"service_tier": "standard"}, NEW, {"service_tier": "standard_only"}, [], id="standard tier"),
        pytest.param({"service_tier": "flex"}, NEW, {}, ["service_tier"], id="tier of another maker"),
        pytest.param({"service_tier": "auto"}, OTHER, {}, ["service_tier"], id="tier at another maker's"),
        pytest.param(
            {"seed": 1, "presence_penalty": 0.1, "frequency_penalty": 0.1, "verbosity": "low", "cache_key": "k"},
            NEW,
            {},
            ["seed", "presence_penalty", "frequency_penalty", "verbosity", "cache_key"],
            id="what the format can't say",
        ),
        pytest.param(
            {"temperature": 0.5, "user": "u"},
            traits(OTHER, refused_fields=frozenset({"metadata", "temperature", "never_sent"})),
            {},
            ["metadata", "temperature"],
            id="fields that the provider refuses",
        ),
    ],
)
def test_settings(asked: dict[str, Any], of: Traits, sent: dict[str, Any], lost: list[str]) -> None:
    body, losses = render(settings(**asked), of)
    names = {"temperature", "top_p", "top_k", "stop_sequences", "metadata", "service_tier", "seed", "verbosity"}
    assert {name: body[name] for name in names & body.keys()} == sent
    assert fields_of(losses, refused=False) == lost
    assert losses.refused == []


def test_a_user_id_that_is_too_long_is_hashed() -> None:
    body, _ = render(settings(user="u" * 257))
    assert len(body["metadata"]["user_id"]) == 64
    assert body == render(settings(user="u" * 257))[0]


def test_streaming_is_asked_for_as_the_client_does() -> None:
    assert render(conversation(stream=True))[0]["stream"] is True
    assert "stream" not in render(conversation())[0]


# --- turns ------------------------------------------------------------------------------------------------------------


def roles(body: dict[str, Any]) -> list[str]:
    return [message["role"] for message in body["messages"]]


def test_a_system_message_stays_in_mid_conversation_and_says_so_in_a_header() -> None:
    rendered, losses = rendering(
        conversation(user(Text("a")), system(Text("b")), assistant(Text("c")), user(Text("d")))
    )
    assert roles(msgspec.json.decode(rendered.body)) == ["user", "system", "assistant", "user"]
    assert rendered.headers == {"anthropic-beta": "mid-conversation-system-2026-04-07"}
    assert losses.found == []


def test_no_header_is_needed_otherwise() -> None:
    assert rendering(conversation())[0].headers == {}


def test_a_model_that_knows_no_system_messages_gets_tagged_text() -> None:
    body, _ = render(conversation(user(Text("a")), system(Text("b"))), OLD)
    assert [block["text"] for block in body["messages"][0]["content"]] == ["a", "<system>\nb\n</system>"]


def test_a_system_message_before_all_others_belongs_to_the_system_prompt() -> None:
    body, _ = render(conversation(system(Text("b")), assistant(Text("c")), system=(Text("a"),)), traits(prefill=True))
    assert [block["text"] for block in body["system"]] == ["a", "b"]
    assert roles(body) == ["user", "assistant"]


@pytest.mark.parametrize(
    "turns",
    [
        pytest.param((assistant(Text("a")), user(Text("b"))), id="the assistant speaks first"),
        pytest.param((user(Text(" ")),), id="nobody says anything"),
    ],
)
def test_the_user_always_speaks_first(turns: tuple[Turn, ...]) -> None:
    body, _ = render(Conversation("m", turns))
    assert body["messages"][0]["role"] == "user"
    assert body["messages"][0]["content"][0]["text"].strip()


def test_a_refusal_is_text() -> None:
    body, _ = render(conversation(user(Text("a")), assistant(Refusal("no")), user(Text("b"))))
    assert body["messages"][1] == {"role": "assistant", "content": [{"type": "text", "text": "no"}]}


def test_a_prefill_is_continued_without_space_at_its_end() -> None:
    body, losses = render(conversation(user(Text("a")), assistant(Text("The answer: \n"))), OLD)
    assert body["messages"][1]["content"] == [{"type": "text", "text": "The answer:"}]
    assert losses.found == []


def test_a_prefill_is_refused_where_the_model_takes_none() -> None:
    body, losses = render(conversation(user(Text("a")), assistant(Text("b"))), NEW)
    assert roles(body) == ["user"]
    assert fields_of(losses, refused=True) == ["messages[1]"]


# --- tools ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "of", "sent", "lost"),
    [
        pytest.param(
            F,
            NEW,
            {
                "name": "f",
                "description": "does",
                "input_schema": {"type": "object", "properties": {"a": {"type": "integer"}}},
            },
            [],
            id="as it is",
        ),
        pytest.param(
            Tool("f"), NEW, {"name": "f", "input_schema": {"type": "object", "properties": {}}}, [], id="no schema"
        ),
        pytest.param(
            Tool("f", schema={"type": "object", "$defs": {"x": {}}}),
            NEW,
            {"name": "f", "input_schema": {"type": "object", "$defs": {"x": {}}, "properties": {}}},
            [],
            id="definitions are kept",
        ),
        pytest.param(
            Tool("f", schema={}, strict=True),
            NEW,
            {"name": "f", "input_schema": {"type": "object", "properties": {}}, "strict": True},
            [],
            id="strict when asked for",
        ),
        pytest.param(
            Tool("f", schema={}, strict=False),
            NEW,
            {"name": "f", "input_schema": {"type": "object", "properties": {}}},
            [],
            id="not strict unasked",
        ),
        pytest.param(
            Tool("f", schema={}, strict=True),
            traits(strict_schemas="no"),
            {"name": "f", "input_schema": {"type": "object", "properties": {}}},
            ["tools[].strict"],
            id="strict where that isn't known",
        ),
    ],
)
def test_tools(tool: Tool, of: Traits, sent: dict[str, Any], lost: list[str]) -> None:
    body, losses = render(conversation(tools=(tool,)), of)
    assert body["tools"] == [sent]
    assert fields_of(losses) == lost


def test_a_freeform_tool_becomes_a_function_in_offers_choice_and_history() -> None:
    patch = Tool("apply_patch", "patches", custom=True, namespace="fs")
    asked = conversation(
        user(Text("a")),
        assistant(ToolCall("t1", "apply_patch", "*** Begin", custom=True, namespace="fs")),
        tools=(patch,),
        tool_choice=ToolChoice("named", "apply_patch", "fs"),
    )
    rendered, _ = rendering(asked, OLD)
    body = msgspec.json.decode(rendered.body)
    assert body["tools"][0]["name"] == "fs__apply_patch"
    assert list(body["tools"][0]["input_schema"]["properties"]) == ["input"]
    assert body["tool_choice"] == {"type": "tool", "name": "fs__apply_patch"}
    assert body["messages"][1]["content"][0]["input"] == {"input": "*** Begin"}
    known = rendered.tools.known("fs__apply_patch")
    assert (known.name, known.namespace, known.custom) == ("apply_patch", "fs", True)


def test_tools_are_refused_by_a_model_that_calls_none() -> None:
    body, losses = render(conversation(tools=(F,)), traits(tools=False))
    assert "tools" not in body
    assert fields_of(losses, refused=True) == ["tools"]


@pytest.mark.parametrize(
    ("choice", "parallel", "of", "sent", "refused", "dropped"),
    [
        pytest.param(None, None, NEW, None, [], [], id="nothing said"),
        pytest.param(ToolChoice("auto"), None, NEW, {"type": "auto"}, [], [], id="auto"),
        pytest.param(ToolChoice("none"), None, NEW, {"type": "none"}, [], [], id="none"),
        pytest.param(ToolChoice("any"), None, OLD, {"type": "any"}, [], [], id="any"),
        pytest.param(ToolChoice("named", "f"), None, OLD, {"type": "tool", "name": "f"}, [], [], id="named"),
        pytest.param(ToolChoice("any"), None, NEW, {"type": "auto"}, ["tool_choice"], [], id="any, where refused"),
        pytest.param(ToolChoice("named", "f"), None, NEW, {"type": "auto"}, ["tool_choice"], [], id="named, refused"),
        pytest.param(ToolChoice("named", "x"), None, OLD, {"type": "auto"}, ["tool_choice"], [], id="named, unknown"),
        pytest.param(
            None, False, NEW, {"type": "auto", "disable_parallel_tool_use": True}, [], [], id="one call at a time"
        ),
        pytest.param(
            ToolChoice("any"), False, OLD, {"type": "any", "disable_parallel_tool_use": True}, [], [], id="exactly one"
        ),
        pytest.param(ToolChoice("none"), False, NEW, {"type": "none"}, [], [], id="none at a time"),
        pytest.param(None, True, NEW, None, [], [], id="parallel calls are usual"),
        pytest.param(
            None, False, traits(parallel_tools=False), None, [], ["parallel_tools"], id="a provider that can't be told"
        ),
    ],
)
def test_choices(
    choice: ToolChoice | None, parallel: bool | None, of: Traits, sent: Any, refused: list[str], dropped: list[str]
) -> None:
    asked = conversation(tools=(F, G), tool_choice=choice, settings=Settings(parallel_tools=parallel))
    body, losses = render(asked, of)
    assert body.get("tool_choice") == sent
    assert fields_of(losses, refused=True) == refused
    assert fields_of(losses, refused=False) == dropped


def test_a_choice_among_some_tools_offers_no_others() -> None:
    body, losses = render(conversation(tools=(F, G), tool_choice=ToolChoice("any", allowed=("g",))), OLD)
    assert [tool["name"] for tool in body["tools"]] == ["g"]
    assert body["tool_choice"] == {"type": "any"}
    assert losses.found == []


def test_a_choice_without_tools_is_left_out() -> None:
    body, losses = render(conversation(tool_choice=ToolChoice("auto"), settings=Settings(parallel_tools=False)))
    assert "tool_choice" not in body
    assert losses.found == []


def test_a_forced_choice_without_tools_is_refused() -> None:
    body, losses = render(conversation(tool_choice=ToolChoice("any")), OLD)
    assert "tool_choice" not in body
    assert fields_of(losses, refused=True) == ["tool_choice"]


def test_a_long_tool_name_is_shortened_everywhere() -> None:
    name = "n" * 100
    asked = conversation(
        user(Text("a")),
        assistant(ToolCall("t1", name, "{}")),
        tools=(Tool(name),),
        tool_choice=ToolChoice("named", name),
    )
    body, _ = render(asked, OLD)
    shown = body["tools"][0]["name"]
    assert len(shown) <= 64
    assert body["tool_choice"]["name"] == body["messages"][1]["content"][0]["name"] == shown


# --- structured output ------------------------------------------------------------------------------------------------

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}


def test_a_schema_is_enforced_where_the_target_can() -> None:
    body, losses = render(settings(output=OutputFormat(SCHEMA, name="x", description="a number")))
    assert body["output_config"]["format"] == {
        "type": "json_schema",
        "schema": {
            "type": "object",
            "properties": {"n": {"type": "integer", "description": "(minimum: 1)"}},
            "additionalProperties": False,
            "description": "a number",
        },
    }
    assert "system" not in body
    assert losses.found == []


@pytest.mark.parametrize(
    ("output", "of", "told"),
    [
        pytest.param(OutputFormat(SCHEMA), OTHER, '"minimum":1', id="a compatible server"),
        pytest.param(
            OutputFormat(SCHEMA),
            traits(refused_fields=frozenset({"output_config"})),
            '"minimum":1',
            id="an older model",
        ),
        pytest.param(
            OutputFormat({"type": "object", "additionalProperties": {"type": "string"}}),
            NEW,
            '"additionalProperties"',
            id="an open schema",
        ),
        pytest.param(OutputFormat(), NEW, "JSON", id="just any JSON"),
    ],
)
def test_what_cant_be_enforced_is_asked_for_in_words_behind_the_system_prompt(
    output: OutputFormat, of: Traits, told: str
) -> None:
    body, losses = render(conversation(system=(Text("be brief"),), settings=Settings(output=output)), of)
    assert "format" not in body.get("output_config", {})
    assert body["system"][0]["text"] == "be brief"
    assert told in body["system"][1]["text"]
    assert fields_of(losses, refused=False) == ["output"]


def test_the_same_conversation_gives_the_same_bytes() -> None:
    asked = conversation(
        user(Text("a")),
        assistant(ToolCall("functions.x:0", "x" * 80, '{"b":1, "a":2}')),
        tools=(F, G),
        settings=Settings(cache_all=Cache()),
    )
    assert rendering(asked)[0].body == rendering(asked)[0].body
