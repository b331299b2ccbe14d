"""What Chat Completions refuses at OpenAI, at DeepSeek and at Mistral, and how a request to it is read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from openai.types.chat.completion_create_params import CompletionCreateParamsBase as Body

from tests.support.strict.scenario import Listener, Offered, Result
from tests.support.strict.shapes import Misshapen, More, bracketed, check_shape

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_DATA_URL = re.compile(r"data:[\w.+-]+/[\w.+-]+;base64,[A-Za-z0-9+/]+=*")

Message = dict[str, Any]


@dataclass(frozen=True)
class Dialect:
    """One provider of the format. ``more`` are fields it knows beyond OpenAI's, ``without`` those it doesn't know."""

    maker: str
    more: More = field(default_factory=dict)
    without: frozenset[str] = frozenset()
    id_pattern: str = r".{1,40}"
    roles: frozenset[str] = frozenset({"developer", "system", "user", "assistant", "tool"})
    media: bool = True
    schemas: bool = True
    """Whether structured output may follow a schema."""
    replays_reasoning: bool = False
    """Whether turns with calls must hold their ``reasoning_content``."""
    thinks_in: str | None = None
    """The field in which thinking can be read."""
    strict_order: bool = False
    """Whether only the assistant may speak behind tools' results."""


OPENAI = Dialect("openai")
DEEPSEEK = Dialect(
    "deepseek",
    more={
        "": frozenset({"thinking"}),
        "ChatCompletionAssistantMessageParam": frozenset({"reasoning_content", "prefix"}),
    },
    without=frozenset({"max_completion_tokens", "safety_identifier", "verbosity", "prompt_cache_key", "service_tier"}),
    roles=frozenset({"system", "user", "assistant", "tool"}),
    media=False,
    schemas=False,
    replays_reasoning=True,
    thinks_in="reasoning_content",
)
MISTRAL = Dialect(
    "mistral",
    more={"": frozenset({"safe_prompt", "prompt_mode"})},
    without=frozenset(
        {"max_completion_tokens", "stream_options", "user", "safety_identifier", "verbosity", "prompt_cache_key",
         "service_tier", "store", "seed", "reasoning_effort"}
    ),
    id_pattern=r"[a-zA-Z0-9]{9}",
    roles=frozenset({"system", "user", "assistant", "tool"}),
    strict_order=True,
)  # fmt: skip

GROQ = Dialect(
    "groq",
    more={"ChatCompletionAssistantMessageParam": frozenset({"reasoning"})},
    roles=frozenset({"system", "user", "assistant", "tool"}),
    media=False,
    thinks_in="reasoning",
)


def is_reasoning(model: str) -> bool:
    """Whether OpenAI's model thinks, and so refuses what steers sampling."""
    return bool(re.match(r"o\d|gpt-[5-9]", model))


def _refuses_tools_with_effort(model: str) -> bool:
    version = re.match(r"gpt-(\d+)(?:\.(\d+))?", model)
    return version is not None and (int(version[1]), int(version[2] or 0)) >= (5, 4)


def check_chat(body: dict[str, Any], dialect: Dialect = OPENAI) -> None:
    """Raise AssertionError with the API's words where it would answer 400."""
    more = {**dialect.more, "": frozenset(dialect.more.get("", ())) | {"stream"}}
    choice = body.get("tool_choice")
    shaped = {**body, "tool_choice": "required"} if dialect is MISTRAL and choice == "any" else body
    try:
        check_shape(shaped, Body, more=more, without=dialect.without)
    except Misshapen as fault:
        raise AssertionError(_told(fault)) from None
    assert isinstance(body.get("stream", False), bool), "Invalid type for 'stream': expected a boolean."
    _check_settings(body, dialect)
    _check_tools(body)
    _check_output(body, dialect)
    _check_messages(body["messages"], dialect)


def _told(fault: Misshapen) -> str:
    path = bracketed(fault.path)
    words = {"missing": f"Missing required parameter: '{path}'.", "extra": f"Unknown parameter: '{path}'."}
    return words.get(fault.fault, f"Invalid type for '{path}': {fault.told}.")


def _check_settings(body: dict[str, Any], dialect: Dialect) -> None:
    model = body["model"]
    if dialect is OPENAI and is_reasoning(model):
        assert "max_tokens" not in body, (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
        for name in ("stop", "presence_penalty", "frequency_penalty", "logprobs", "top_p", "logit_bias"):
            assert name not in body, f"Unsupported parameter: '{name}' is not supported with this model."
        assert body.get("temperature", 1) == 1, (
            "Unsupported value: 'temperature' does not support this value with this model. Only the default (1) value "
            "is supported."
        )
        if body.get("tools") and _refuses_tools_with_effort(model):
            assert body.get("reasoning_effort") == "none", (
                f"Function tools with reasoning_effort are not supported for {model} in /v1/chat/completions. Please "
                "use /v1/responses instead."
            )
    elif dialect is OPENAI:
        assert "reasoning_effort" not in body, "Unrecognized request argument supplied: reasoning_effort"
    for name in ("max_tokens", "max_completion_tokens"):
        assert body.get(name, 1) >= 1, f"Invalid '{name}': integer below minimum value."
    assert "stream_options" not in body or body.get("stream"), (
        "The 'stream_options' parameter is only allowed when 'stream' is enabled."
    )
    for name in ("user", "safety_identifier", "prompt_cache_key"):
        assert len(body.get(name) or "") <= 64, f"Invalid '{name}': string too long. Expected a maximum length of 64."
    stop = body.get("stop")
    assert not isinstance(stop, list) or 1 <= len(stop) <= 4, "Invalid 'stop': array too long or empty."
    assert 0 <= (body.get("temperature") or 0) <= 2, "Invalid 'temperature': decimal out of range."


def _check_tools(body: dict[str, Any]) -> None:
    tools = body.get("tools")
    assert tools != [], "Invalid 'tools': empty array. Expected an array with minimum length 1."
    names = [(tool.get("function") or tool.get("custom") or {}).get("name", "") for tool in tools or ()]
    for index, name in enumerate(names):
        assert NAME.fullmatch(name), (
            f"Invalid 'tools[{index}].function.name': string does not match pattern '^[a-zA-Z0-9_-]{{1,64}}$'."
        )
        assert names.count(name) == 1, f"Tool names must be unique: {name}"
        check_parameters(f"tools[{index}].function", (tools or [])[index].get("function") or {})
    if not tools:
        assert "tool_choice" not in body, "'tool_choice' is only allowed when 'tools' are specified."
        assert "parallel_tool_calls" not in body, "'parallel_tool_calls' is only allowed when 'tools' are specified."
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice["type"] == "function":
        assert choice["function"]["name"] in names, f"Tool choice {choice['function']['name']!r} not found in 'tools'."


def check_parameters(place: str, function: Mapping[str, Any]) -> None:
    """A function's schema; a strict one must close its objects and require all of their properties."""
    schema = function.get("parameters")
    if schema is None:
        return
    name = function.get("name")
    assert schema.get("type") == "object", (
        f"Invalid schema for function '{name}': schema must be a JSON Schema of 'type: \"object\"', got {schema!r}."
    )
    assert "properties" in schema, f"Invalid schema for function '{name}': object schema missing properties."
    if function.get("strict"):
        check_strict_schema(f"Invalid schema for function '{name}' at {place}", schema)


def check_strict_schema(told: str, schema: object) -> None:
    """What OpenAI asks of schemas that it enforces."""
    if isinstance(schema, list):
        for inner in schema:
            check_strict_schema(told, inner)
    elif isinstance(schema, dict):
        if schema.get("type") == "object" and "properties" in schema:
            assert schema.get("additionalProperties") is False, (
                f"{told}: 'additionalProperties' is required to be supplied and to be false."
            )
            assert set(schema.get("required", ())) == set(schema["properties"]), (
                f"{told}: 'required' is required to be supplied and to be an array including every key in properties."
            )
        for inner in schema.values():
            check_strict_schema(told, inner)


def _check_output(body: dict[str, Any], dialect: Dialect) -> None:
    output = body.get("response_format") or {}
    if output.get("type") == "json_schema":
        assert dialect.schemas, "This response_format type is unavailable now"
        given = output["json_schema"]
        assert NAME.fullmatch(given["name"]), "Invalid 'response_format.json_schema.name'."
        if given.get("strict"):
            check_strict_schema(f"Invalid schema for response_format '{given['name']}'", given["schema"])
    elif output.get("type") == "json_object":
        assert "json" in json.dumps(body["messages"]).lower(), (
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        )


def _check_messages(messages: list[Message], dialect: Dialect) -> None:
    assert messages, "Invalid 'messages': empty array. Expected an array with minimum length 1."
    waiting: list[str] = []
    before = ""
    for index, message in enumerate(messages):
        place, role = f"messages[{index}]", message["role"]
        assert role in dialect.roles, f"{place}.role: unknown variant `{role}`"
        if role == "tool":
            assert message["tool_call_id"] in waiting, (
                "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
                f"'tool_calls'. ({place}: {message['tool_call_id']})"
            )
            waiting.remove(message["tool_call_id"])
        else:
            assert not waiting, (
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
                f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(waiting)}"
            )
            assert not (dialect.strict_order and before == "tool" and role != "assistant"), (
                f"Unexpected role '{role}' after role 'tool'"
            )
        _check_content(message, place, dialect)
        if role == "assistant":
            waiting = _check_assistant(message, place, dialect)
        before = role
    assert not waiting, (
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        f"The following tool_call_ids did not have response messages: {', '.join(waiting)}"
    )
    assert not (dialect.strict_order and before == "assistant"), (
        "Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant"
    )


def _check_assistant(message: Message, place: str, dialect: Dialect) -> list[str]:
    calls = message.get("tool_calls")
    assert calls != [], f"Invalid '{place}.tool_calls': empty array. Expected an array with minimum length 1."
    if not calls:
        assert message.get("content") is not None or message.get("refusal"), (
            f"Invalid value for 'content': expected a string, got null. ('{place}.content')"
        )
        return []
    if dialect.replays_reasoning:
        assert isinstance(message.get("reasoning_content"), str), (
            "The `reasoning_content` in the thinking mode must be passed back to the API."
        )
    for call in calls:
        assert re.fullmatch(dialect.id_pattern, call["id"]), (
            f"Invalid '{place}.tool_calls.id': {call['id']!r} does not match '{dialect.id_pattern}'."
        )
        called = call.get("function")
        if called is not None:
            assert NAME.fullmatch(called["name"]), f"Invalid '{place}.tool_calls.function.name'."
            check_arguments(f"{place}.tool_calls.function.arguments", called["arguments"])
    ids = [call["id"] for call in calls]
    assert len(ids) == len(set(ids)), f"Duplicate value for 'tool_call_id' in {place}."
    return ids


def check_arguments(place: str, text: str) -> None:
    """Arguments are a JSON object in a string."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    assert isinstance(value, dict), f"Invalid '{place}': expected a JSON object, got {text!r}."


def _check_content(message: Message, place: str, dialect: Dialect) -> None:
    content = message.get("content")
    if message["role"] in ("system", "developer", "user"):
        assert content, f"Invalid '{place}.content': must not be empty."
    for index, part in enumerate(content if isinstance(content, list) else ()):
        kind = part["type"]
        assert kind in ("text", "refusal") or dialect.media, (
            f"{place}.content[{index}]: unknown variant `{kind}`, expected `text`"
        )
        if kind == "text":
            assert part["text"], f"Invalid '{place}.content[{index}].text': must not be empty."
        elif kind == "image_url":
            check_image(f"{place}.content[{index}].image_url.url", part["image_url"]["url"])
        elif kind == "file" and "file_id" not in part["file"]:
            assert part["file"].get("filename"), (
                f"Missing required parameter: '{place}.content[{index}].file.filename'."
            )
            assert _DATA_URL.fullmatch(part["file"].get("file_data", "")), (
                f"Invalid '{place}.content[{index}].file.file_data': expected a base64-encoded data URL."
            )


def check_image(place: str, url: str) -> None:
    """A picture is an address on the web or a data URL."""
    assert _DATA_URL.fullmatch(url) or url.startswith(("https://", "http://")), (
        f"Invalid '{place}': expected a base64-encoded data URL with an image MIME type, or an HTTP(S) URL."
    )


def listen_chat(body: dict[str, Any], listener: Listener) -> None:
    """Read an accepted request."""
    for tool in body.get("tools") or ():
        function = tool.get("function") or {}
        name = function.get("name") or tool["custom"]["name"]
        listener.tools.append(Offered(name, not function, function.get("parameters") or {}))
    stop = body.get("stop") or ()
    listener.stops = (stop,) if isinstance(stop, str) else tuple(stop)
    for message in body["messages"]:
        match message["role"]:
            case "assistant":
                listener.assistant(len(message.get("tool_calls") or ()))
            case "tool":
                listener.result(Result(text_of(message["content"])))
            case "user":
                _listen_user(message["content"], listener)
            case _:
                listener.system.append(text_of(message["content"]))


def _listen_user(content: str | list[Message], listener: Listener) -> None:
    for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
        if part["type"] == "text":
            listener.user_text(part["text"])
        elif part["type"] == "image_url":
            listener.user_media(media_type(part["image_url"]["url"]))
        else:
            listener.user_media(media_type((part.get("file") or {}).get("file_data") or part["type"]))


def text_of(content: str | list[Message]) -> str:
    """Content that holds only text."""
    return content if isinstance(content, str) else "\n".join(part["text"] for part in content)


def media_type(url: str) -> str:
    """Of a data URL; another address is what it is."""
    return url.partition(";")[0].removeprefix("data:") if url.startswith("data:") else url
