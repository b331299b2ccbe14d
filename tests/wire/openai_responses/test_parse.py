"""Settings of a client's request are understood; what has no neutral form is told by its field."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import BadRequest
from router.wire.body import Body
from router.wire.conversation import Cache, Conversation, Depth, OutputFormat, Text, ToolChoice, Turn
from router.wire.loss import Losses
from tests.wire.openai_responses.saying import RESPONSES, parse, parsed

SCHEMA = {"type": "object", "properties": {"word": {"type": "string"}}}
HI = {"role": "user", "content": "hi"}


def test_a_request_without_settings_says_nothing_but_its_conversation() -> None:
    asked, losses = parse({"input": "hello"})
    turns = (Turn("user", (Text("hello"),), "input"),)
    assert asked == Conversation("m", turns, include_state=False)
    assert losses.found == []


@pytest.mark.parametrize(
    ("fields", "settings"),
    [
        pytest.param({"max_output_tokens": 64}, {"max_tokens": 64}, id="a limit"),
        pytest.param({"max_output_tokens": 64.0}, {"max_tokens": 64}, id="a limit with a fraction of nothing"),
        pytest.param({"temperature": 1, "top_p": 0.5}, {"temperature": 1, "top_p": 0.5}, id="sampling"),
        pytest.param({"parallel_tool_calls": False}, {"parallel_tools": False}, id="one call at a time"),
        pytest.param({"prompt_cache_key": "session"}, {"cache_key": "session"}, id="a key for the cache"),
        pytest.param({"user": "u"}, {"user": "u"}, id="a user"),
        pytest.param({"user": "u", "safety_identifier": "s"}, {"user": "s"}, id="a user under both names"),
        pytest.param({"service_tier": "default"}, {"service_tier": "standard"}, id="the usual service"),
        pytest.param({"service_tier": "flex"}, {"service_tier": "flex"}, id="the cheap service"),
        pytest.param({"text": {"verbosity": "low"}}, {"verbosity": "low"}, id="few words"),
        pytest.param({"reasoning": {"effort": "high"}}, {"depth": Depth(True, "high")}, id="effort"),
        pytest.param({"reasoning": {"effort": "none"}}, {"depth": Depth(False)}, id="no reasoning"),
        pytest.param({"reasoning": {"summary": "auto"}}, {"depth": Depth(visible=True)}, id="a summary"),
        pytest.param(
            {"reasoning": {"effort": "low", "generate_summary": "concise"}},
            {"depth": Depth(True, "low", visible=True)},
            id="a summary by its old name",
        ),
        pytest.param({"reasoning": None, "text": None, "tools": None}, {}, id="nulls"),
        pytest.param({"text": {"format": {"type": "text"}}}, {}, id="just text"),
        pytest.param({"text": {"format": {"type": "json_object"}}}, {"output": OutputFormat()}, id="just any JSON"),
        pytest.param(
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}}},
            {"output": OutputFormat(SCHEMA, "n", strict=True)},
            id="JSON of a schema",
        ),
        pytest.param({"prompt_cache_options": {"ttl": "12h"}}, {"cache_all": Cache("12h")}, id="a longer cache"),
        pytest.param({"prompt_cache_options": {"mode": "explicit", "ttl": "12h"}}, {}, id="caching by marks alone"),
        pytest.param(
            {"store": False, "truncation": "disabled", "background": False, "top_logprobs": 0, "metadata": {}},
            {},
            id="what happens anyway",
        ),
        pytest.param({"client_metadata": {"a": "b"}, "stream_options": {"x": True}}, {}, id="what no model is told"),
    ],
)
def test_settings_are_understood(fields: dict[str, Any], settings: dict[str, Any]) -> None:
    asked = parsed(HI, **fields).settings
    assert {name: getattr(asked, name) for name in settings} == settings
    unsaid = parsed(HI).settings
    others = set(asked.__struct_fields__) - set(settings)
    assert [getattr(asked, name) for name in others] == [getattr(unsaid, name) for name in others]


def test_whether_to_stream_and_to_send_sealed_reasoning_is_asked_for() -> None:
    asked = parsed(HI, stream=True, include=["reasoning.encrypted_content"])
    assert (asked.stream, asked.include_state) == (True, True)


@pytest.mark.parametrize(
    ("field", "fields", "refused"),
    [
        pytest.param("max_tool_calls", {"max_tool_calls": 3}, False, id="a limit of calls"),
        pytest.param("truncation", {"truncation": "auto"}, False, id="truncation"),
        pytest.param("store", {"store": True}, False, id="keeping the reply"),
        pytest.param("metadata", {"metadata": {"a": "b"}}, False, id="metadata"),
        pytest.param("moderation", {"moderation": {"model": "m"}}, False, id="moderation"),
        pytest.param("new_field", {"new_field": 1}, False, id="a field that is new"),
        pytest.param("prompt_cache_retention", {"prompt_cache_retention": "24h"}, False, id="retention"),
        pytest.param("service_tier", {"service_tier": "scale"}, False, id="a service of OpenAI's own"),
        pytest.param("reasoning.effort", {"reasoning": {"effort": "huge"}}, False, id="an unknown effort"),
        pytest.param("reasoning.mode", {"reasoning": {"mode": "pro"}}, False, id="another way to think"),
        pytest.param("reasoning.context", {"reasoning": {"context": "all_turns"}}, False, id="what is thought again"),
        pytest.param("include[0]", {"include": ["file_search_call.results"]}, False, id="results of hosted tools"),
        pytest.param("include[0]", {"include": ["message.output_text.logprobs"]}, True, id="probabilities"),
        pytest.param("top_logprobs", {"top_logprobs": 2}, True, id="probabilities of others"),
        pytest.param("previous_response_id", {"previous_response_id": "resp_1"}, True, id="an earlier response"),
        pytest.param("conversation", {"conversation": "conv_1"}, True, id="a conversation that is kept"),
        pytest.param("prompt", {"prompt": {"id": "p"}}, True, id="a prompt that is kept"),
        pytest.param("background", {"background": True}, True, id="work in the background"),
        pytest.param("text.format", {"text": {"format": {"type": "grammar"}}}, True, id="an unknown format"),
    ],
)
def test_what_cannot_be_carried_over_is_told_by_its_field(field: str, fields: dict[str, Any], refused: bool) -> None:
    _, losses = parse({"input": [HI], **fields})
    assert [(loss.field, loss.refused) for loss in losses.found] == [(field, refused)]


def test_a_configuration_update_holds_from_then_on() -> None:
    update = {"type": "configuration_update", "reasoning": {"effort": "low"}}
    asked = parsed(HI, update, reasoning={"effort": "high", "summary": "auto"}, text={"verbosity": "high"})
    assert asked.settings.depth == Depth(True, "low", visible=True)
    assert [turn.role for turn in asked.turns] == ["user"]
    later = {"type": "configuration_update", "text": {"format": {"type": "json_object"}}}
    asked = parsed(HI, update, later)
    assert (asked.settings.depth, asked.settings.output) == (Depth(True, "low"), OutputFormat())


@pytest.mark.parametrize(
    ("choice", "understood"),
    [
        pytest.param("auto", ToolChoice("auto"), id="the model's choice"),
        pytest.param("required", ToolChoice("any"), id="some tool"),
        pytest.param("none", ToolChoice("none"), id="no tool"),
        pytest.param({"type": "function", "name": "f"}, ToolChoice("named", "f"), id="a function"),
        pytest.param({"type": "custom", "name": "f"}, ToolChoice("named", "f"), id="a freeform tool"),
        pytest.param(
            {"type": "function", "name": "f", "namespace": "g"}, ToolChoice("named", "f", "g"), id="one of a group"
        ),
        pytest.param({"type": "apply_patch"}, ToolChoice("named", "apply_patch"), id="a tool with a type of its own"),
        pytest.param(
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
            ToolChoice("any", allowed=("f",)),
            id="one of some",
        ),
        pytest.param(None, None, id="nothing"),
    ],
)
def test_choices_of_tools_are_understood(choice: Any, understood: ToolChoice | None) -> None:
    assert parsed(HI, tool_choice=choice).tool_choice == understood


@pytest.mark.parametrize(
    ("choice", "field"),
    [
        pytest.param({"type": "web_search"}, "tool_choice", id="a hosted tool"),
        pytest.param({"type": "mcp", "server_label": "x"}, "tool_choice", id="a server's tool"),
        pytest.param(
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}]},
            "tool_choice.tools",
            id="a hosted tool among those allowed",
        ),
    ],
)
def test_hosted_tools_cannot_be_chosen(choice: Any, field: str) -> None:
    _, losses = parse({"input": [HI], "tool_choice": choice})
    assert [loss.field for loss in losses.refused] == [field]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        pytest.param({"input": 3}, "'input'", id="an input of another type"),
        pytest.param({}, "'input' is missing", id="no input"),
        pytest.param({"input": [3]}, "'input[0]'", id="an item of another type"),
        pytest.param({"input": [{"role": "robot", "content": "x"}]}, "'input[0].role'", id="an unknown role"),
        pytest.param({"input": [{"role": "user"}]}, "'input[0].content' is missing", id="a message without content"),
        pytest.param(
            {"input": [{"role": "user", "content": [{"type": "input_text"}]}]},
            "'input[0].content[0].text' is missing",
            id="a text without text",
        ),
        pytest.param(
            {"input": [{"role": "user", "content": [{"type": "input_text", "text": 3}]}]},
            "'input[0].content[0].text'",
            id="a text that is a number",
        ),
        pytest.param(
            {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
            "'input[0].content[0].image_url' is missing",
            id="an image without an image",
        ),
        pytest.param(
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:x"}]}]},
            "'input[0].content[0].image_url'",
            id="a broken data URL",
        ),
        pytest.param(
            {"input": [{"type": "function_call", "call_id": "c", "arguments": "{}"}]},
            "'input[0].name' is missing",
            id="a call without a name",
        ),
        pytest.param(
            {"input": [{"type": "function_call_output", "call_id": "c", "output": [3]}]},
            "'input[0].output[0]'",
            id="an output of numbers",
        ),
        pytest.param({"input": "x", "tools": {}}, "'tools'", id="tools that are no list"),
        pytest.param({"input": "x", "tools": [{"type": "function"}]}, "'tools[0].name'", id="a tool without a name"),
        pytest.param(
            {"input": "x", "tools": [{"type": "function", "name": "f", "parameters": []}]},
            "'tools[0].parameters'",
            id="parameters that are no schema",
        ),
        pytest.param({"input": "x", "tool_choice": "maybe"}, "'tool_choice'", id="an unknown choice"),
        pytest.param({"input": "x", "temperature": "hot"}, "'temperature'", id="a temperature in words"),
        pytest.param({"input": "x", "reasoning": "high"}, "'reasoning'", id="reasoning in one word"),
        pytest.param(
            {"input": "x", "text": {"format": {"type": "json_schema", "name": "n"}}},
            "'text.format.schema' is missing",
            id="a schema that isn't there",
        ),
    ],
)
def test_what_is_not_the_format_is_an_error_that_names_the_field(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        parse(fields)
    assert told in str(refusal.value)


def test_an_error_quotes_nothing_of_the_request() -> None:
    with pytest.raises(BadRequest) as refusal:
        parse({"input": [{"role": "user", "content": {"secret": "hunter2"}}]})
    assert "hunter2" not in str(refusal.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = """type role content id call_id name namespace arguments input action operation output status summary
    encrypted_content execution tools reasoning text phase format parameters strict description allowed_callers mode
    effort image_url file_data file_url file_id filename prompt_cache_breakpoint ttl schema verbosity""".split()
KINDS = """message reasoning function_call function_call_output custom_tool_call custom_tool_call_output
    local_shell_call local_shell_call_output shell_call shell_call_output apply_patch_call apply_patch_call_output
    tool_search_call tool_search_output additional_tools configuration_update item_reference compaction function custom
    namespace tool_search local_shell input_text output_text input_image input_file refusal allowed_tools""".split()
words = st.sampled_from([*KINDS, "user", "assistant", "system", "auto", "client", "rtr1.x", "{}", "data:,x"])
objects = st.recursive(
    words | json_values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=12,
)
FIELDS = """input instructions tools tool_choice reasoning text include prompt_cache_options temperature metadata
    service_tier previous_response_id max_output_tokens stream background""".split()


@given(st.dictionaries(st.sampled_from(FIELDS), objects | st.lists(objects, max_size=4), max_size=5))
def test_any_request_is_understood_or_a_bad_request(fields: dict[str, Any]) -> None:
    raw = json.dumps({"model": "m", **fields}).encode()
    with suppress(BadRequest):
        RESPONSES.parse(RESPONSES.view(Body.parse(raw)), Losses())
