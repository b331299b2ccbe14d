"""What Gemini's generateContent refuses, with its words, and how a request to it is read."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any, NoReturn

from tests.support.strict.scenario import Listener, Offered, Result
from tests.support.strict.seals import is_sealed

MAKER = "google"
BYPASS = "skip_thought_signature_validator"
NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}")

_TOP = frozenset(
    "contents systemInstruction tools toolConfig generationConfig safetySettings cachedContent serviceTier store "
    "model".split()
)
_GENERATION = frozenset(
    "stopSequences responseMimeType responseSchema responseJsonSchema responseModalities candidateCount "
    "maxOutputTokens temperature topP topK seed presencePenalty frequencyPenalty responseLogprobs logprobs "
    "enableEnhancedCivicAnswers speechConfig thinkingConfig mediaResolution imageConfig".split()
)
_DATA = frozenset("text inlineData fileData functionCall functionResponse executableCode codeExecutionResult".split())
_PART = _DATA | {"thought", "thoughtSignature", "videoMetadata", "partMetadata", "mediaResolution"}
_TOOL = frozenset("functionDeclarations googleSearch codeExecution urlContext googleSearchRetrieval".split())
_DECLARATION = frozenset(
    "name description behavior parameters parametersJsonSchema response responseJsonSchema".split()
)
_SCHEMA = frozenset(
    "type format title description nullable enum maxItems minItems properties required minProperties maxProperties "
    "minLength maxLength pattern example anyOf propertyOrdering default items minimum maximum".split()
)
_FREE = frozenset("args response parameters parametersJsonSchema responseSchema responseJsonSchema".split())

Part = dict[str, Any]


def check_gemini(body: dict[str, Any], model: str, *, tidy: bool = True) -> None:
    """Raise AssertionError with the API's words where it would answer 400. ``tidy``: a turn of the model's must be one
    content without empty texts; the API itself takes what Google's SDK sends after a stream, which is none of it."""
    assert isinstance(body, dict), "Invalid JSON payload received."
    _known(body, _TOP, "")
    _check_generation(body.get("generationConfig") or {}, model)
    names = _check_tools(body)
    _check_choice(body, names)
    if "systemInstruction" in body:
        parts = body["systemInstruction"].get("parts") or []
        assert all(part.keys() == {"text"} and part["text"] for part in parts or [{}]), (
            "Please use text only content for system instructions."
        )
    contents = body.get("contents")
    _check_contents(contents if tidy else _joined(contents), model)


def camel(value: object) -> Any:
    """The same with the names of fields in camel case: the API takes either. What is the user's own stays."""
    if isinstance(value, list):
        return [camel(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    return {
        (name := re.sub(r"_([a-z])", lambda match: match[1].upper(), key)): inner if name in _FREE else camel(inner)
        for key, inner in value.items()
    }


def _joined(contents: list[Part] | None) -> list[Part]:
    joined: list[Part] = []
    for content in contents or ():
        parts = [part for part in content.get("parts") or () if part != {"text": ""}]
        if joined and joined[-1].get("role") == content.get("role"):
            joined[-1] = {**content, "parts": [*joined[-1]["parts"], *parts]}
        else:
            joined.append({**content, "parts": parts})
    return joined


def _known(value: Part, names: frozenset[str], place: str) -> None:
    for name in value:
        if name not in names:
            raise AssertionError(
                f"Invalid JSON payload received. Unknown name \"{name}\" at '{place}': Cannot find field."
            )


def _check_generation(config: Part, model: str) -> None:
    _known(config, _GENERATION, "generation_config")
    assert len(config.get("stopSequences") or ()) <= 5, "stop_sequences: at most 5 are possible"
    assert config.get("candidateCount", 1) == 1, "Only one candidate can be specified in the current model"
    assert config.get("maxOutputTokens", 1) >= 1, "max_output_tokens must be positive."
    assert 0 <= config.get("temperature", 0) <= 2, "temperature must be in the range [0.0, 2.0]."
    for name in ("responseSchema", "responseJsonSchema"):
        assert name not in config or config.get("responseMimeType") == "application/json", (
            f"{name} is only supported with responseMimeType application/json."
        )
    if "responseSchema" in config:
        _check_schema(config["responseSchema"], "generation_config.response_schema")
    thinking = config.get("thinkingConfig") or {}
    _known(thinking, frozenset({"includeThoughts", "thinkingBudget", "thinkingLevel"}), "thinking_config")
    assert not {"thinkingBudget", "thinkingLevel"} <= thinking.keys(), (
        "You can only set only one of thinking budget and thinking level."
    )
    if "thinkingLevel" in thinking:
        assert has_signatures(model), "Thinking level is not supported for this model."
        assert thinking["thinkingLevel"].lower() in ("minimal", "low", "medium", "high"), "Invalid thinking level."


def _check_tools(body: Part) -> list[str]:
    names: list[str] = []
    for at, tool in enumerate(body.get("tools") or ()):
        _known(tool, _TOOL, f"tools[{at}]")
        for number, declared in enumerate(tool.get("functionDeclarations") or ()):
            place = f"tools[{at}].function_declarations[{number}]"
            _known(declared, _DECLARATION, place)
            assert NAME.fullmatch(declared.get("name", "")), (
                f"GenerateContentRequest.{place}.name: Invalid function name. Must start with a letter."
            )
            assert not {"parameters", "parametersJsonSchema"} <= declared.keys(), (
                f"{place}: parameters and parameters_json_schema can't both be set."
            )
            if declared.get("parameters") is not None:
                _check_schema(declared["parameters"], f"{place}.parameters")
                kind = str(declared["parameters"].get("type", "")).upper()
                assert kind == "OBJECT", f"{place}.parameters: should be of type OBJECT."
            if declared.get("parametersJsonSchema") is not None:
                assert declared["parametersJsonSchema"].get("type") == "object", f"{place}: schema must be an object."
            names.append(declared["name"])
    assert len(names) == len(set(names)), f"Duplicate function declaration found: {names}"
    return names


def _check_schema(schema: Part, place: str) -> None:
    _known(schema, _SCHEMA, place)
    for name, inner in (schema.get("properties") or {}).items():
        _check_schema(inner, f"{place}.properties[{name}]")
    for inner in schema.get("anyOf") or ():
        _check_schema(inner, f"{place}.any_of")
    if "items" in schema:
        _check_schema(schema["items"], f"{place}.items")
    kind = str(schema.get("type", "")).upper()
    assert kind != "ARRAY" or "items" in schema, f"{place}.items: missing field."
    assert kind in ("", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"), (
        f"Invalid value at '{place}.type': {schema.get('type')!r}"
    )


def _check_choice(body: Part, names: list[str]) -> None:
    config = (body.get("toolConfig") or {}).get("functionCallingConfig")
    _known(body.get("toolConfig") or {}, frozenset({"functionCallingConfig", "retrievalConfig"}), "tool_config")
    if config is None:
        return
    _known(config, frozenset({"mode", "allowedFunctionNames"}), "tool_config.function_calling_config")
    assert names, "Function calling config is set without function_declarations."
    assert config.get("mode") in (None, "AUTO", "ANY", "NONE", "VALIDATED"), f"Invalid mode: {config['mode']}"
    allowed = config.get("allowedFunctionNames")
    assert allowed is None or config.get("mode") in ("ANY", "VALIDATED"), (
        "Allowed function names can only be set when the mode is ANY or VALIDATED."
    )
    assert set(allowed or ()) <= set(names), f"allowed_function_names: {allowed} are not all declared."


def _check_contents(contents: list[Part] | None, model: str) -> None:
    assert contents, "* GenerateContentRequest.contents: contents is not specified"
    calls: list[Part] = []
    before = "model"
    for index, content in enumerate(contents):
        place = f"contents[{index}]"
        _known(content, frozenset({"role", "parts"}), place)
        role = content.get("role", "user")
        assert role in ("user", "model"), "Please use a valid role: user, model."
        assert role != before, "Please ensure that multiturn requests alternate between user and model."
        before = role
        parts = content.get("parts")
        assert parts, f"* GenerateContentRequest.{place}.parts: contents.parts must not be empty."
        for at, part in enumerate(parts):
            _check_part(part, f"{place}.parts[{at}]", role, model)
        calls = _check_turn(parts, calls, place) if role == "user" else _check_steps(parts, model, place)
    assert before == "user", "Please ensure that the last turn is a user's."


def _check_part(part: Part, place: str, role: str, model: str) -> None:
    _known(part, _PART, place)
    data = _DATA & part.keys()
    assert len(data) == 1, f"{place}.data: required oneof field 'data' must have one initialized field"
    kind = next(iter(data))
    value = part[kind]
    assert kind != "functionCall" or role == "model", f"{place}: function calls are the model's."
    assert kind != "functionResponse" or role == "user", f"{place}: function responses are the user's."
    if kind == "text":
        assert isinstance(value, str), f"Invalid value at '{place}.text'"
        assert value, f"{place}: Unable to submit request because it must have a text parameter."
    elif kind == "inlineData":
        _check_data(value, place)
    elif kind == "functionCall":
        _known(value, frozenset({"id", "name", "args"}), f"{place}.function_call")
        assert NAME.fullmatch(value.get("name", "")), f"{place}.function_call.name: Invalid function name."
        assert isinstance(value.get("args", {}), dict), f"Invalid value at '{place}.function_call.args'"
    elif kind == "functionResponse":
        _known(value, frozenset({"id", "name", "response", "parts", "willContinue", "scheduling"}), place)
        assert value.get("name"), f"{place}.function_response.name: Name cannot be empty."
        assert isinstance(value.get("response"), dict), f"Invalid value at '{place}.function_response.response'"
        for inner in value.get("parts") or ():
            assert has_signatures(model), "Multimodal function responses are not supported for this model."
            _known(inner, frozenset({"inlineData", "fileData"}), f"{place}.function_response.parts")
            _check_data(inner["inlineData"], place)


def _check_data(data: Part, place: str) -> None:
    _known(data, frozenset({"mimeType", "data", "displayName"}), f"{place}.inline_data")
    assert "/" in data.get("mimeType", ""), f"{place}.inline_data.mime_type: Unsupported MIME type."
    try:
        base64.b64decode(data["data"], validate=True)
    except (binascii.Error, KeyError, ValueError):
        _wrong(f"Invalid value at '{place}.inline_data.data' (TYPE_BYTES), Base64 decoding failed")


def _wrong(told: str) -> NoReturn:
    raise AssertionError(told)


def _check_turn(parts: list[Part], calls: list[Part], place: str) -> list[Part]:
    """A user's turn answers the calls before it, all of them, by name or id, and nothing else."""
    answers = [part["functionResponse"] for part in parts if "functionResponse" in part]
    assert len(answers) == len(calls), (
        "Please ensure that the number of function response parts is equal to the number of function call parts of the "
        f"function call turn. ({place})"
    )
    for call, given in zip(calls, answers, strict=True):
        assert call["name"] == given["name"], f"{place}: function response {given['name']} for a call of {call['name']}"
        assert call.get("id") == given.get("id"), f"{place}: the ids of call and response differ"
    assert all("functionResponse" in part for part in parts[: len(answers)]), f"{place}: function responses come first"
    return []


def _check_steps(parts: list[Part], model: str, place: str) -> list[Part]:
    """The model's turn: signatures are this provider's and stand where they were; the first call has one."""
    calls = [part for part in parts if "functionCall" in part]
    for part in parts:
        signature = part.get("thoughtSignature")
        if signature is None or (signature == BYPASS and "functionCall" in part):
            continue
        assert is_sealed(signature, MAKER, model, *sealed_with(part)), f"{place}: Thought signature is not valid."
    if calls and has_signatures(model):
        assert calls[0].get("thoughtSignature"), (
            f"Function call `{calls[0]['functionCall']['name']}` in the {place} content block is missing a "
            "thought_signature. This is required for tools to work correctly."
        )
    return [part["functionCall"] for part in calls]


def sealed_with(part: Part) -> list[object]:
    """What a part's signature is bound to: the very call, or the text's beginning as far as it can be told apart."""
    call = part.get("functionCall")
    return ["text"] if call is None else [call["name"], json.dumps(call.get("args") or {}, sort_keys=True)]


def has_signatures(model: str) -> bool:
    """Gemini 3 and later."""
    return re.match(r"gemini-[3-9]", model) is not None


def listen_gemini(body: dict[str, Any], listener: Listener) -> None:
    """Read an accepted request."""
    listener.system += [part["text"] for part in (body.get("systemInstruction") or {}).get("parts") or ()]
    for tool in body.get("tools") or ():
        listener.tools += [
            Offered(declared["name"], schema=declared.get("parametersJsonSchema") or declared.get("parameters") or {})
            for declared in tool.get("functionDeclarations") or ()
        ]
    listener.stops = tuple((body.get("generationConfig") or {}).get("stopSequences") or ())
    for content in body["contents"]:
        if content.get("role") == "model":
            listener.assistant(sum("functionCall" in part for part in content["parts"]))
            continue
        for part in content["parts"]:
            if "text" in part:
                listener.user_text(part["text"])
            elif "functionResponse" in part:
                listener.result(_result(part["functionResponse"]))
            else:
                data = part.get("inlineData") or part.get("fileData") or {}
                listener.user_media(data.get("mimeType") or data.get("fileUri"))


def _result(given: Part) -> Result:
    response = given["response"]
    error = response.get("error")
    told = error if error is not None else response.get("result", response.get("output", response))
    text = told if isinstance(told, str) else json.dumps(told, ensure_ascii=False)
    media = tuple(inner["inlineData"]["mimeType"] for inner in given.get("parts") or ())
    return Result(text, error is not None, media)
