from __future__ import annotations

from typing import Any

import pytest

from router.errors import BadRequest
from router.wire.conversation import Cache, Depth, OutputFormat
from tests.wire.openai_chat.saying import parsed

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def setting(name: str, **body: Any) -> Any:
    asked, losses = parsed(body)
    assert losses.found == []
    return getattr(asked.settings, name)


@pytest.mark.parametrize(
    ("body", "name", "expected"),
    [
        pytest.param({"max_tokens": 10}, "max_tokens", 10, id="the old limit"),
        pytest.param({"max_tokens": 10, "max_completion_tokens": 20}, "max_tokens", 20, id="the new limit wins"),
        pytest.param({"max_completion_tokens": 64.0}, "max_tokens", 64, id="a limit with a fraction of zero"),
        pytest.param({"temperature": 0}, "temperature", 0, id="a temperature of zero"),
        pytest.param({"temperature": None}, "temperature", None, id="null is nothing"),
        pytest.param({"top_p": 0.5}, "top_p", 0.5, id="top_p"),
        pytest.param({"top_k": 40}, "top_k", 40, id="top_k, which many servers take"),
        pytest.param({"seed": 7}, "seed", 7, id="seed"),
        pytest.param({"presence_penalty": 0.1}, "presence_penalty", 0.1, id="presence penalty"),
        pytest.param({"frequency_penalty": 0}, "frequency_penalty", None, id="a penalty of zero is none"),
        pytest.param({"stop": "END"}, "stop", ("END",), id="one stop sequence"),
        pytest.param({"stop": ["A", "B"]}, "stop", ("A", "B"), id="several stop sequences"),
        pytest.param({"stop": []}, "stop", (), id="no stop sequence"),
        pytest.param({"parallel_tool_calls": False}, "parallel_tools", False, id="one call at a time"),
        pytest.param({"functions": [{"name": "f"}]}, "parallel_tools", False, id="functions are called one at a time"),
        pytest.param({"user": "ann"}, "user", "ann", id="user"),
        pytest.param({"user": "ann", "safety_identifier": "a1"}, "user", "a1", id="the safety identifier replaces it"),
        pytest.param({"service_tier": "default"}, "service_tier", "standard", id="the default tier"),
        pytest.param({"service_tier": "flex"}, "service_tier", "flex", id="another tier"),
        pytest.param({"verbosity": "low"}, "verbosity", "low", id="verbosity"),
        pytest.param({"prompt_cache_key": "k"}, "cache_key", "k", id="cache key"),
        pytest.param(
            {"cache_control": {"type": "ephemeral"}}, "cache_all", Cache("5m"), id="OpenRouter's automatic mark"
        ),
        pytest.param({"response_format": {"type": "text"}}, "output", None, id="plain text"),
        pytest.param({"response_format": {"type": "json_object"}}, "output", OutputFormat(), id="any JSON"),
        pytest.param(
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": SCHEMA, "strict": True},
                }
            },
            "output",
            OutputFormat(SCHEMA, "n", None, True),
            id="JSON by a schema",
        ),
        pytest.param(
            {"response_format": {"type": "json_object", "schema": SCHEMA}},
            "output",
            OutputFormat(SCHEMA),
            id="Together's",
        ),
    ],
)
def test_a_setting_is_read(body: dict[str, Any], name: str, expected: object) -> None:
    assert setting(name, **body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param({}, Depth(), id="nothing said"),
        pytest.param({"reasoning_effort": "high"}, Depth(True, "high"), id="effort"),
        pytest.param({"reasoning_effort": "none"}, Depth(False), id="effort none"),
        pytest.param({"reasoning_effort": "minimal"}, Depth(True, "minimal"), id="effort minimal"),
        pytest.param({"reasoning_effort": "default"}, Depth(), id="Groq's default"),
        pytest.param({"reasoning": {"effort": "low"}}, Depth(True, "low"), id="OpenRouter's effort"),
        pytest.param({"reasoning": {"max_tokens": 2000}}, Depth(True, budget=2000), id="OpenRouter's budget"),
        pytest.param({"reasoning": {"enabled": True}}, Depth(True), id="OpenRouter's switch on"),
        pytest.param({"reasoning": {"enabled": False}}, Depth(False), id="OpenRouter's switch off"),
        pytest.param(
            {"reasoning": {"effort": "low", "exclude": True}},
            Depth(True, "low", visible=False),
            id="OpenRouter's exclude",
        ),
        pytest.param({"thinking": {"type": "enabled"}}, Depth(True), id="a toggle on"),
        pytest.param({"thinking": {"type": "disabled"}}, Depth(False), id="a toggle off"),
        pytest.param(
            {"thinking": {"type": "enabled", "budget_tokens": 5}}, Depth(True, budget=5), id="a toggle with budget"
        ),
        pytest.param({"enable_thinking": False}, Depth(False), id="Qwen's toggle"),
        pytest.param({"enable_thinking": True, "thinking_budget": 99}, Depth(True, budget=99), id="Qwen's budget"),
        pytest.param({"chat_template_kwargs": {"enable_thinking": True}}, Depth(True), id="vLLM's toggle"),
        pytest.param({"reasoning_format": "parsed"}, Depth(visible=True), id="Groq's format"),
        pytest.param({"reasoning_format": "hidden"}, Depth(visible=False), id="Groq's hidden"),
        pytest.param({"include_reasoning": False}, Depth(visible=False), id="OpenRouter's older exclude"),
    ],
)
def test_depth_is_read_in_every_dialect(body: dict[str, Any], expected: Depth) -> None:
    assert setting("depth", **body) == expected


@pytest.mark.parametrize(
    ("body", "field", "refused"),
    [
        pytest.param({"n": 2}, "n", True, id="several answers"),
        pytest.param({"logprobs": True}, "logprobs", True, id="log probabilities"),
        pytest.param({"top_logprobs": 3}, "top_logprobs", True, id="more of them"),
        pytest.param({"logit_bias": {"5": 1}}, "logit_bias", False, id="a bias"),
        pytest.param({"metadata": {"a": "b"}}, "metadata", False, id="metadata"),
        pytest.param({"store": True}, "store", False, id="storing"),
        pytest.param({"prediction": {"type": "content"}}, "prediction", False, id="a prediction"),
        pytest.param({"moderation": {"model": "m"}}, "moderation", False, id="moderation"),
        pytest.param({"modalities": ["text", "audio"]}, "modalities", True, id="audio wanted"),
        pytest.param({"audio": {"voice": "v"}}, "audio", True, id="a voice"),
        pytest.param({"web_search_options": {}}, "web_search_options", True, id="web search"),
        pytest.param({"plugins": [{"id": "web"}]}, "plugins", True, id="plugins"),
        pytest.param({"service_tier": "on_demand"}, "service_tier", False, id="a tier of one provider"),
        pytest.param({"reasoning_effort": "colossal"}, "reasoning_effort", False, id="an effort of one provider"),
        pytest.param({"response_format": {"type": "grammar"}}, "response_format", True, id="another form of answer"),
        pytest.param({"repetition_penalty": 1.1}, "repetition_penalty", False, id="a field of some servers"),
        pytest.param({"provider": {"order": ["x"]}}, "provider", False, id="OpenRouter's routing"),
    ],
)
def test_what_has_no_counterpart_is_dropped_or_refused(body: dict[str, Any], field: str, refused: bool) -> None:
    _, losses = parsed(body)
    assert [(loss.field, loss.refused) for loss in losses.found] == [(field, refused)]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"n": 1, "logprobs": False, "top_logprobs": 0, "logit_bias": {}}, id="asking for nothing"),
        pytest.param({"store": False, "metadata": {}, "modalities": ["text"], "plugins": []}, id="more of it"),
        pytest.param({"usage": {"include": True}}, id="usage, which comes anyway"),
        pytest.param(dict.fromkeys(("n", "stop", "tools", "seed", "whatever", "stream_options")), id="null"),
    ],
)
def test_what_asks_for_nothing_is_no_loss(body: dict[str, Any]) -> None:
    _, losses = parsed(body)
    assert losses.found == []


@pytest.mark.parametrize(
    ("body", "stream", "include_usage"),
    [
        pytest.param({}, False, True, id="a whole reply has usage"),
        pytest.param({"stream": True}, True, False, id="a stream that asks for no usage"),
        pytest.param({"stream": True, "stream_options": {"include_usage": True}}, True, True, id="a stream that does"),
    ],
)
def test_streaming_and_its_usage(body: dict[str, Any], stream: bool, include_usage: bool) -> None:
    asked, _ = parsed(body)
    assert (asked.stream, asked.include_usage) == (stream, include_usage)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param({"messages": "hi"}, "messages", id="messages"),
        pytest.param({"temperature": "hot"}, "temperature", id="temperature"),
        pytest.param({"temperature": True}, "temperature", id="a temperature that is a flag"),
        pytest.param({"max_tokens": 1.5}, "max_tokens", id="half a token"),
        pytest.param({"stop": [1]}, "stop", id="stop"),
        pytest.param({"stop": {}}, "stop", id="a stop that is an object"),
        pytest.param({"n": "two"}, "n", id="n"),
        pytest.param({"reasoning": "high"}, "reasoning", id="reasoning"),
        pytest.param({"reasoning": {"enabled": "yes"}}, "reasoning.enabled", id="reasoning.enabled"),
        pytest.param({"thinking": {"type": "deep"}}, "thinking.type", id="thinking"),
        pytest.param({"response_format": "json"}, "response_format", id="response_format"),
        pytest.param(
            {"response_format": {"type": "json_schema", "json_schema": {"schema": []}}},
            "response_format.json_schema.schema",
            id="a schema that is a list",
        ),
        pytest.param({"stream_options": []}, "stream_options", id="stream_options"),
        pytest.param({"user": 5}, "user", id="user"),
        pytest.param({"parallel_tool_calls": "no"}, "parallel_tool_calls", id="parallel_tool_calls"),
    ],
)
def test_a_wrong_type_is_named(body: dict[str, Any], field: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parsed(body)
    assert f"'{field}'" in str(caught.value)
