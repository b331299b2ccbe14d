"""The strict providers themselves: official SDKs get along with them, and what the real APIs refuse is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest
from google.genai import errors

from tests.support.strict.anthropic import check_anthropic, prefix_of
from tests.support.strict.anthropic_replies import Anthropic
from tests.support.strict.chat import DEEPSEEK, MISTRAL, OPENAI, Dialect, check_chat
from tests.support.strict.chat_replies import Chat
from tests.support.strict.clients import TALKS
from tests.support.strict.gemini import BYPASS, check_gemini
from tests.support.strict.gemini_replies import Gemini
from tests.support.strict.provider import StrictApi, StrictProvider
from tests.support.strict.responses import check_responses
from tests.support.strict.responses_replies import Responses
from tests.support.strict.scenario import ANSWER, ARGUMENTS, ASIDE, PIECES, REFUSAL, TEXT, THOUGHT
from tests.support.strict.seals import new_id, seal
from tests.support.strict.talk import PNG, Given, ToolSpec

pytestmark = pytest.mark.sampled(3)

MODELS = {
    "anthropic-messages": "claude-opus-5-5",
    "openai-chat": "gpt-4.1",
    "openai-responses": "gpt-5.6",
    "gemini": "gemini-3-pro",
}
FAKES: dict[str, Callable[[], StrictApi]] = {
    "anthropic-messages": Anthropic,
    "openai-chat": Chat,
    "openai-responses": Responses,
    "gemini": lambda: Gemini(tidy=False),
}
TOOLS = (ToolSpec("look_up"), ToolSpec("draw"))
each_api = pytest.mark.parametrize("api", FAKES)
each_way = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@each_way
@each_api
async def test_an_sdk_holds_a_conversation_with_thinking_and_tools(api: str, stream: bool) -> None:
    thinks = api != "openai-chat"
    async with (
        StrictProvider(FAKES[api]()) as provider,
        TALKS[api](provider.url, MODELS[api], stream=stream, system="Be brief.", tools=TOOLS, thinking=thinks) as talk,
    ):
        first = await talk.say("Go on. #think #tools")
        second = await talk.give(Given("sunny"), Given("boom", is_error=True, image=True))
        third = await talk.say("Thanks. #hello", image=True)
    assert provider.violations == []
    assert first.text == ASIDE
    assert [(call.name, call.arguments) for call in first.calls] == [
        ("look_up", ARGUMENTS[0]),
        ("draw", ARGUMENTS[1]),
    ]
    assert (first.thinking, second.thinking) == ((THOUGHT, THOUGHT) if thinks else ("", ""))
    assert second.text.startswith(TEXT)
    assert "sunny | failed: boom" in second.text
    assert "image/png" in second.text
    assert "image/png" in third.text
    for told, exchange in zip((first, second, third), provider.exchanges, strict=True):
        truth = exchange.truth
        assert told.usage["total_input"] == truth.total_input
        assert told.usage["cache_read"] == truth.cache_read
        assert told.usage["cache_write"] in (truth.cache_write, None)
        assert told.usage["output"] == truth.output
    assert provider.last.heard.system == "Be brief."


@pytest.mark.parametrize(
    ("word", "text", "stops"),
    [
        ("limit", PIECES[0], ["max_tokens", "length", "incomplete/max_output_tokens", "MAX_TOKENS"]),
        ("refuse", "", ["refusal", "stop", "completed", "SAFETY"]),
        ("json", json.dumps(ANSWER, ensure_ascii=False), ["end_turn", "stop", "completed", "STOP"]),
    ],
)
@each_way
@each_api
async def test_an_answer_ends_in_its_formats_way(
    word: str, text: str, stops: list[str], api: str, stream: bool
) -> None:
    async with (
        StrictProvider(FAKES[api]()) as provider,
        TALKS[api](provider.url, MODELS[api], stream=stream, structured=word == "json") as talk,
    ):
        told = await talk.say(f"Please. #{word}")
    assert told.stop == stops[list(FAKES).index(api)]
    assert told.text == text or (word == "refuse" and told.text + told.refusal == REFUSAL)


@each_way
@each_api
async def test_an_error_has_the_sdks_own_class(api: str, stream: bool) -> None:
    async with (
        StrictProvider(FAKES[api]()) as provider,
        TALKS[api](provider.url, MODELS[api], stream=stream) as talk,
    ):
        with pytest.raises((anthropic.RateLimitError, openai.RateLimitError, errors.ClientError), match="told to fail"):
            await talk.say("#fail-429")
        if stream:
            with pytest.raises((anthropic.APIStatusError, openai.APIError, errors.APIError, AssertionError)):
                await talk.say("#late-fail")


async def test_a_refusal_of_the_fake_is_recorded_and_told() -> None:
    async with (
        StrictProvider(Anthropic()) as provider,
        TALKS["anthropic-messages"](provider.url, "claude-opus-5-5", more={"tool_choice": {"type": "any"}}) as talk,
    ):
        with pytest.raises(anthropic.BadRequestError, match="may only be specified while providing tools"):
            await talk.say("#hello")
    assert provider.violations == ["tool_choice: may only be specified while providing tools"]


# --- what is refused --------------------------------------------------------------------------------------------------

_OPEN = {"type": "object"}

Mend = Callable[[dict[str, Any]], object]


def broken(told: str, change: Mend, name: str) -> Any:
    """A case: what is done to a good body, and what is said about it."""
    return pytest.param(change, told, id=name)


def anthropic_body() -> dict[str, Any]:
    """A whole conversation with everything in it."""
    tool = {"name": "look", "input_schema": {"type": "object", "properties": {}}}
    body: dict[str, Any] = {
        "model": "claude-opus-5-5",
        "max_tokens": 100,
        "system": [{"type": "text", "text": "Be brief."}],
        "tools": [tool],
        "tool_choice": {"type": "auto"},
        "thinking": {"type": "adaptive"},
        "messages": [{"role": "user", "content": "Go on."}],
    }
    signature = ".".join(seal("anthropic", body["model"], of) for of in ("I think.", prefix_of(body, 1, 0)))
    call = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    body["messages"] += [
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "I think.", "signature": signature}, call],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "x"}, image]},
                {"type": "text", "text": "And now?"},
            ],
        },
    ]
    return body


def _set(**fields: Any) -> Mend:
    return lambda body: body.update(fields)


def _first(body: dict[str, Any], block: dict[str, Any]) -> None:
    body["messages"][0]["content"] = [block]


def _rename(body: dict[str, Any], name: str) -> None:
    body["messages"][1]["content"][1]["id"] = body["messages"][2]["content"][0]["tool_use_id"] = name


def _format(schema: dict[str, Any]) -> dict[str, Any]:
    return {"format": {"type": "json_schema", "schema": schema}}


def _cached(*ttls: str) -> Mend:
    def change(body: dict[str, Any]) -> None:
        marks = [{"cache_control": {"type": "ephemeral", "ttl": ttl}} for ttl in ttls]
        body["system"] = [{"type": "text", "text": "x", **mark} for mark in marks]

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        broken("max_tokens: Field required", lambda b: b.pop("max_tokens"), "no limit"),
        broken("which is the maximum allowed", _set(max_tokens=10**6), "a limit too high"),
        broken("temperature: Extra inputs", _set(temperature=0.5), "sampling on a new model"),
        broken("foo: Extra inputs", _set(foo=1), "an unknown field"),
        broken("content.0.text: Field required", lambda b: _first(b, {"type": "text"}), "no text"),
        broken("unknown kind", lambda b: _first(b, {"type": "news", "x": 1}), "an unknown block"),
        broken("non-empty", lambda b: b["messages"][2]["content"][1].update(text=""), "an empty text"),
        broken("non-whitespace", lambda b: b["messages"][2]["content"][1].update(text=" \n"), "a blank text"),
        broken("must use the \"user\" role", lambda b: b["messages"].pop(0), "the assistant first"),
        broken("roles must alternate", lambda b: b["messages"].append(b["messages"][0]), "the user twice"),
        broken(
            "without `tool_result`",
            lambda b: b["messages"][2].update(content="And now?"),
            "a text instead of a result",
        ),
        broken("without `tool_result`", lambda b: b["messages"][2]["content"].pop(0), "a call without a result"),
        broken(
            "unexpected `tool_use_id`",
            lambda b: b["messages"][0].update(content=b["messages"][2]["content"][:1]),
            "a result without a call",
        ),
        broken("must come first", lambda b: b["messages"][2]["content"].reverse(), "a text before a result"),
        broken(
            "single result",
            lambda b: b["messages"][2]["content"].insert(0, b["messages"][2]["content"][0]),
            "two results of one call",
        ),
        broken("pattern", lambda b: [_rename(b, "toolu.1")], "an id with a dot"),
        broken(
            "must be unique",
            lambda b: b["messages"].extend([*b["messages"][1:3], *b["messages"][1:3]]),
            "an id used twice",
        ),
        broken("Invalid `signature`", lambda b: b["messages"][1]["content"][0].update(thinking="I thought."), "edited"),
        broken("Invalid `signature`", lambda b: b["messages"][1]["content"][0].update(signature="x"), "a foreign seal"),
        broken("Invalid `signature`", _set(model="claude-fable-5-5"), "the seal of another model"),
        broken("different conversation", _set(system="Be long."), "a seal behind another prefix"),
        broken("different conversation", lambda b: b["messages"][0].update(content="Go."), "an edited first message"),
        broken("Found 5", _cached(*["5m"] * 5), "five cache marks"),
        broken(
            "Found 5",
            lambda b: (_cached(*["5m"] * 4)(b), b.update(cache_control={"type": "ephemeral"})),
            "four cache marks and the automatic one",
        ),
        broken("must not come after", _cached("5m", "1h"), "a longer cache mark behind a shorter one"),
        broken("tool_choice forces", _set(tool_choice={"type": "any"}), "a forced tool with thinking"),
        broken("'any' is not supported for this model", lambda b: (b.pop("thinking"),
               b.update(tool_choice={"type": "any"})), "a forced tool"),
        broken("may only be specified", lambda b: b.pop("tools"), "a choice without tools"),
        broken("not supported for this model", _set(thinking={"type": "disabled"}), "thinking switched off"),
        broken("not supported", _set(thinking={"type": "enabled", "budget_tokens": 2000}), "a budget"),
        broken("prefill", lambda b: b["messages"].append({"role": "assistant", "content": "So"}), "a prefill"),
        broken("must be unique", lambda b: b["tools"].append(b["tools"][0]), "a tool twice"),
        broken("should match pattern", lambda b: b["tools"][0].update(name="a.b"), "a tool's name with a dot"),
        broken("non-whitespace", _set(stop_sequences=[" "]), "a blank stop sequence"),
        broken("256 characters", _set(metadata={"user_id": "x" * 300}), "a long user id"),
        broken("additionalProperties", _set(output_config=_format({"type": "object"})), "an open output schema"),
        broken(
            "property 'minimum'", _set(output_config=_format({"type": "integer", "minimum": 1})), "a bound in a schema"
        ),
        broken(
            "media_type",
            lambda b: b["messages"][2]["content"][0]["content"][1]["source"].update(media_type="image/bmp"),
            "a picture of an unknown kind",
        ),
        broken(
            "must be followed by an assistant",
            lambda b: b["messages"].insert(2, {"role": "system", "content": "x"}),
            "a system message between call and result",
        ),
        broken("followed by an assistant", lambda b: b["messages"].insert(1, {"role": "system", "content": "x"})
               or b["messages"].insert(2, {"role": "user", "content": "x"}), "a system message before a user's"),
    ],
)  # fmt: skip
def test_messages_refuses(change: Mend, told: str) -> None:
    body = anthropic_body()
    check_anthropic(body)
    change(body)
    with pytest.raises(AssertionError) as refused:
        check_anthropic(body)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        broken("Expected `thinking`", lambda b: b["messages"][1]["content"].pop(0), "a round that begins with a call"),
        broken("greater than `thinking", _set(max_tokens=1024), "a budget as large as the limit"),
        broken("set to 1", _set(temperature=0.5), "a temperature with thinking"),
        broken("tool_choice forces", _set(tool_choice={"type": "any"}), "a forced tool with thinking"),
        broken("not supported", _set(thinking={"type": "adaptive"}), "adaptive thinking"),
        broken("effort", _set(output_config={"effort": "low"}), "an effort"),
        broken("cannot both be", _set(temperature=1, top_p=0.5), "both ways of sampling"),
    ],
)
def test_messages_refuses_of_an_older_model(change: Mend, told: str) -> None:
    body = anthropic_body() | {
        "model": "claude-haiku-4-5",
        "max_tokens": 4000,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    }
    body["messages"][1]["content"][0]["signature"] = f"{seal('anthropic', 'claude-haiku-4-5', 'I think.')}."
    check_anthropic(body)
    check_anthropic(body | {"system": "Be long."})  # nothing is bound to a prefix here
    change(body)
    with pytest.raises(AssertionError) as refused:
        check_anthropic(body)
    assert told in str(refused.value)


def chat_body(dialect: Dialect = OPENAI) -> dict[str, Any]:
    call = {"id": "callcall9", "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}}
    schema = {"type": "object", "properties": {}}
    body: dict[str, Any] = {
        "model": "gpt-4.1",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Go on."},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "callcall9", "content": "x"},
        ],
        "tools": [{"type": "function", "function": {"name": "look", "parameters": schema}}],
        "tool_choice": "auto",
    }
    if dialect is DEEPSEEK:
        body["messages"][2]["reasoning_content"] = "I think."
    return body


CHAT_CASES = [
    broken("Missing required parameter: 'messages'", lambda b: b.pop("messages"), "no messages"),
    broken("Unknown parameter: 'foo'", _set(foo=1), "an unknown field"),
    broken("Unknown parameter: 'messages[1].hint", lambda b: b["messages"][1].update(hint=1), "a message's hint"),
    broken("unknown kind", lambda b: b["messages"][1].update(role="human"), "an unknown role"),
    broken("must be a response", lambda b: b["messages"].pop(2), "a result without a call"),
    broken("did not have response", lambda b: b["messages"].pop(), "a call without a result"),
    broken("did not have response", lambda b: b["messages"].insert(3, b["messages"][1]), "a message in between"),
    broken("must be a response", lambda b: b["messages"].append(b["messages"][3]), "two results of one call"),
    broken("must be a response", lambda b: b["messages"][3].update(tool_call_id="other"), "an unknown id"),
    broken("JSON object", lambda b: _function(b).update(arguments='{"a":'), "broken arguments"),
    broken("JSON object", lambda b: _function(b).update(arguments=""), "empty arguments"),
    broken("should be str", lambda b: _function(b).update(arguments={"a": 1}), "arguments that are no string"),
    broken("empty array", lambda b: b["messages"][2].update(tool_calls=[], content="x"), "no calls in a list"),
    broken("got null", lambda b: b["messages"].append({"role": "assistant", "content": None}), "nothing said"),
    broken("must not be empty", lambda b: b["messages"][1].update(content=""), "an empty text"),
    broken(
        "one of ('text',)",
        lambda b: b["messages"][3].update(content=[{"type": "image_url", "image_url": {"url": "https://x"}}]),
        "a picture in a result",
    ),
    broken("does not match pattern", lambda b: b["tools"][0]["function"].update(name="x" * 65), "a long name"),
    broken("missing properties", lambda b: b["tools"][0]["function"].update(parameters=_OPEN), "no properties"),
    broken("additionalProperties", lambda b: b["tools"][0]["function"].update(strict=True), "an open strict schema"),
    broken("'tool_choice' is only", lambda b: b.pop("tools"), "a choice without tools"),
    broken("'parallel_tool_calls' is only", lambda b: (b.pop("tools"), b.pop("tool_choice"),
           b.update(parallel_tool_calls=False)), "parallel calls without tools"),
    broken("not found in 'tools'", _set(tool_choice={"type": "function", "function": {"name": "y"}}), "unknown tool"),
    broken("'stream_options' parameter is only", _set(stream_options={"include_usage": True}), "options of no stream"),
    broken("'user': string too long", _set(user="x" * 65), "a long user id"),
    broken("'stop': array too long", _set(stop=list("abcde")), "five stop sequences"),
    broken("reasoning_effort", _set(reasoning_effort="low"), "an effort for a model that doesn't think"),
    broken("'max_tokens' is not supported", _set(model="gpt-5", max_tokens=9), "the old limit on a thinking model"),
    broken("'temperature' does not support", _set(model="gpt-5", temperature=0.5), "sampling on a thinking model"),
    broken("'stop' is not supported", _set(model="gpt-5", stop="x"), "a stop sequence on a thinking model"),
    broken("Please use /v1/responses", _set(model="gpt-5.6"), "tools with thinking"),
    broken("word 'json'", _set(response_format={"type": "json_object"}), "JSON nobody spoke of"),
    broken("base64-encoded data URL", lambda b: b["messages"][1].update(
        content=[{"type": "image_url", "image_url": {"url": "file:///x"}}]), "a picture of no address"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "told"), CHAT_CASES)
def test_chat_refuses(change: Mend, told: str) -> None:
    body = chat_body()
    check_chat(body)
    change(body)
    with pytest.raises(AssertionError) as refused:
        check_chat(body)
    assert told in str(refused.value)


def _function(body: dict[str, Any]) -> dict[str, Any]:
    return body["messages"][2]["tool_calls"][0]["function"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("dialect", "change", "told"),
    [
        pytest.param(dialect, change, told, id=f"{dialect.maker}: {name}")
        for dialect, told, change, name in [
            (DEEPSEEK, "must be passed back", lambda b: b["messages"][2].pop("reasoning_content"), "no thinking"),
            (DEEPSEEK, "max_completion_tokens", _set(max_completion_tokens=9), "a limit it doesn't know"),
            (DEEPSEEK, "unknown variant `developer`", lambda b: b["messages"][0].update(role="developer"), "developer"),
            (DEEPSEEK, "unknown variant `image_url`", lambda b: b["messages"][1].update(
                content=[{"type": "image_url", "image_url": {"url": "https://x"}}]), "a picture"),
            (DEEPSEEK, "unavailable now", _set(response_format={"type": "json_schema", "json_schema": {
                "name": "x", "schema": {}}}), "an output schema"),
            (MISTRAL, "does not match", lambda b: (b["messages"][2]["tool_calls"][0].update(id="call_1"),
                b["messages"][3].update(tool_call_id="call_1")), "an id of another length"),
            (MISTRAL, "Unexpected role 'user' after role 'tool'", lambda b: b["messages"].append(b["messages"][1]),
                "the user behind a tool"),
            (MISTRAL, "Expected last role", lambda b: b["messages"].append({"role": "assistant", "content": "x"}),
                "the assistant last"),
            (MISTRAL, "stream_options", _set(stream=True, stream_options={"include_usage": True}), "stream options"),
        ]
    ],
)  # fmt: skip
def test_dialects_of_chat_refuse(dialect: Dialect, change: Mend, told: str) -> None:
    body = chat_body(dialect)
    check_chat(body, dialect)
    change(body)
    with pytest.raises(AssertionError) as refused:
        check_chat(body, dialect)
    assert told in str(refused.value)


def responses_body() -> dict[str, Any]:
    name = new_id("rs_", "openai", 1)
    thought = {"type": "reasoning", "id": name, "summary": [], "encrypted_content": seal("openai", "gpt-5.6", name)}
    call = {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"}
    text = {"type": "input_text", "text": "x"}
    schema = {"type": "object", "properties": {}}
    return {
        "model": "gpt-5.6",
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "input": [
            {"role": "user", "content": "Go on."},
            thought,
            {**call, "id": new_id("fc_", "openai", 2)},
            {"type": "function_call_output", "call_id": "call_1", "output": [text]},
        ],
        "tools": [{"type": "function", "name": "look", "parameters": schema, "strict": None}],
    }


@pytest.mark.parametrize(
    ("change", "told"),
    [
        broken("'store' must be false", lambda b: b.pop("store"), "something to store"),
        broken("Unknown parameter: 'foo'", _set(foo=1), "an unknown field"),
        broken("Invalid value: None", lambda b: b["input"].insert(0, {"content": "x"}), "an item without a role"),
        broken("unknown kind", lambda b: b["input"].insert(0, {"type": "news"}), "an unknown item"),
        broken("'tools[0].strict'", lambda b: b["tools"][0].pop("strict"), "a tool without the strict key"),
        broken("missing properties", lambda b: b["tools"][0].update(parameters=_OPEN), "no properties"),
        broken(
            "Tool choice must", lambda b: (b.pop("tools"), b.update(tool_choice="required")), "a choice without tools"
        ),
        broken("No tool output found", lambda b: b["input"].pop(), "a call without an output"),
        broken("No tool output found", lambda b: b["input"].insert(3, b["input"][0]), "a message in between"),
        broken("No tool call found", lambda b: b["input"].pop(2) and b["input"].pop(1), "an output without a call"),
        broken("Duplicate call_id", lambda b: b["input"].extend(b["input"][2:4]), "a call twice"),
        broken("required following item", lambda b: b["input"].append(b["input"][1]), "reasoning at the end"),
        broken("not persisted", lambda b: b["input"][1].pop("encrypted_content"), "reasoning that nobody keeps"),
        broken("could not be verified", lambda b: b["input"][1].update(encrypted_content="rtr1.x"), "a foreign seal"),
        broken(
            "could not be verified", lambda b: b["input"][1].update(id=new_id("rs_", "openai", 9)), "another item's"
        ),
        broken("could not be verified", _set(model="gpt-5.5"), "the seal of another model"),
        broken("begins with 'fc'", lambda b: b["input"][2].update(id="call_1"), "an id of another kind"),
        broken("not found", lambda b: b["input"][2].update(id="fc_rtr1abc"), "an id that was never given out"),
        broken("JSON object", lambda b: b["input"][2].update(arguments="{"), "broken arguments"),
        broken("wrong length", lambda b: [i.update(call_id="x" * 65) for i in b["input"][2:4]], "a long call id"),
        broken(
            "'output_text'", lambda b: b["input"][3]["output"][0].update(type="output_text"), "an output of the model's"
        ),
        broken("minimum value", _set(max_output_tokens=5), "a limit too low"),
        broken("'temperature' is not supported", _set(temperature=0.5), "sampling on a thinking model"),
        broken("'previous_response_id' is not possible", _set(previous_response_id="resp_1"), "an earlier response"),
        broken("string too long", _set(safety_identifier="x" * 65), "a long user id"),
    ],
)
def test_responses_refuses(change: Mend, told: str) -> None:
    body = responses_body()
    check_responses(body)
    change(body)
    with pytest.raises(AssertionError) as refused:
        check_responses(body)
    assert told in str(refused.value)


def gemini_body() -> dict[str, Any]:
    signature = seal("google", "gemini-3-pro", "look", "{}")
    return {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Go on."}]},
            {
                "role": "model",
                "parts": [
                    {"functionCall": {"name": "look", "args": {}}, "thoughtSignature": signature},
                    {"functionCall": {"name": "draw"}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"name": "look", "response": {"result": "x"}}},
                    {"functionResponse": {"name": "draw", "response": {"result": "y"}}},
                ],
            },
        ],
        "tools": [{"functionDeclarations": [{"name": "look"}, {"name": "draw"}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
        "generationConfig": {"thinkingConfig": {"includeThoughts": True}},
    }


@pytest.mark.parametrize(
    ("change", "told"),
    [
        broken("contents is not specified", lambda b: b.pop("contents"), "no contents"),
        broken('Unknown name "foo"', _set(foo=1), "an unknown field"),
        broken('Unknown name "system_instruction"', _set(system_instruction={}), "the other spelling from the router"),
        broken("alternate", lambda b: b["contents"].append(b["contents"][0]), "the user twice"),
        broken("last turn", lambda b: b["contents"].append({"role": "model", "parts": [{"text": "x"}]}), "a prefill"),
        broken("alternate", lambda b: b["contents"].pop(0), "the model first"),
        broken("valid role", lambda b: b["contents"][0].update(role="assistant"), "an unknown role"),
        broken("must not be empty", lambda b: b["contents"][0].update(parts=[]), "no parts"),
        broken("text parameter", lambda b: b["contents"][0]["parts"][0].update(text=""), "an empty text"),
        broken("oneof field", lambda b: b["contents"][0]["parts"].append({"thought": True}), "a part without data"),
        broken("number of function response", lambda b: b["contents"][2]["parts"].pop(), "a call without a response"),
        broken("function response draw for", lambda b: b["contents"][2]["parts"].reverse(), "another order"),
        broken("Name cannot be empty", lambda b: _response(b).pop("name"), "a response without a name"),
        broken("function_response.response'", lambda b: _response(b).update(response="x"), "a response that is text"),
        broken("ids of call and response", lambda b: _response(b).update(id="x"), "an id that the call hasn't"),
        broken("missing a thought_signature", lambda b: _part(b).pop("thoughtSignature"), "no signature"),
        broken("not valid", lambda b: _part(b).update(thoughtSignature="x"), "a foreign signature"),
        broken("not valid", lambda b: _part(b)["functionCall"].update(args={"a": 1}), "an edited call"),
        broken("Invalid function name", lambda b: _declared(b).update(name="1x"), "a name that begins with a digit"),
        broken("Duplicate function", lambda b: _declared(b).update(name="draw"), "a function twice"),
        broken('Unknown name "$schema"', lambda b: _declared(b).update(parameters={"type": "object", "$schema": ""}),
               "a field that its schemas don't have"),
        broken("without function_declarations", lambda b: b.pop("tools"), "a choice without tools"),
        broken("ANY or VALIDATED", lambda b: _choice(b).update(allowedFunctionNames=["look"]), "names with mode AUTO"),
        broken("only one of", lambda b: b["generationConfig"]["thinkingConfig"].update(
            thinkingBudget=1, thinkingLevel="low"), "level and budget"),
        broken("application/json", lambda b: b["generationConfig"].update(responseJsonSchema={}), "a schema only"),
        broken("at most 5", lambda b: b["generationConfig"].update(stopSequences=list("abcdef")), "six stop sequences"),
        broken("Base64", lambda b: b["contents"][0]["parts"].append(
            {"inlineData": {"mimeType": "image/png", "data": "data:x"}}), "a data URL"),
    ],
)  # fmt: skip
def test_gemini_refuses(change: Mend, told: str) -> None:
    body = gemini_body()
    check_gemini(body, "gemini-3-pro")
    change(body)
    with pytest.raises(AssertionError) as refused:
        check_gemini(body, "gemini-3-pro")
    assert told in str(refused.value)


def test_gemini_takes_the_documented_bypass_and_asks_older_models_for_nothing() -> None:
    body = gemini_body()
    _part(body)["thoughtSignature"] = BYPASS
    check_gemini(body, "gemini-3-pro")
    del _part(body)["thoughtSignature"]
    check_gemini(body, "gemini-2.5-pro")


def _part(body: dict[str, Any]) -> dict[str, Any]:
    return body["contents"][1]["parts"][0]  # type: ignore[no-any-return]


def _response(body: dict[str, Any]) -> dict[str, Any]:
    return body["contents"][2]["parts"][0]["functionResponse"]  # type: ignore[no-any-return]


def _declared(body: dict[str, Any]) -> dict[str, Any]:
    return body["tools"][0]["functionDeclarations"][0]  # type: ignore[no-any-return]


def _choice(body: dict[str, Any]) -> dict[str, Any]:
    return body["toolConfig"]["functionCallingConfig"]  # type: ignore[no-any-return]
