"""What a real provider would refuse in a request, or what would lose it its place: by format, structure only.

The built-in provider answers nearly anything. A trial wants to know more: that results follow their calls, that sealed
reasoning comes back unchanged to the provider that gave it, that no field stands there which its format doesn't know.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from router.wire.request import Api

Fields = Mapping[str, Any]

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_GEMINI_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}")
BYPASS: Final = "skip_thought_signature_validator"  # Google's documented value for a signature that was lost

_TOP: Final[Mapping[Api, frozenset[str]]] = {
    "anthropic-messages": frozenset(
        "model max_tokens messages system tools tool_choice thinking output_config stop_sequences stream metadata "
        "service_tier temperature top_p top_k cache_control".split()
    ),
    "openai-chat": frozenset(
        "model messages tools tool_choice parallel_tool_calls max_tokens max_completion_tokens stream stream_options "
        "stop temperature top_p frequency_penalty presence_penalty response_format reasoning_effort thinking seed user "
        "verbosity service_tier prompt_cache_key safety_identifier".split()
    ),
    "openai-responses": frozenset(
        "model input instructions tools tool_choice parallel_tool_calls reasoning text include store max_output_tokens "
        "temperature top_p stream metadata user prompt_cache_key safety_identifier service_tier truncation".split()
    ),
    "gemini": frozenset("contents systemInstruction tools toolConfig generationConfig safetySettings labels".split()),
}


def refusals(api: Api, body: Fields, seal: str) -> list[str]:
    """Why a provider of this format would refuse ``body``. ``seal`` is the only reasoning that it has ever sealed."""
    unknown = [f"{name}: not a field of this format" for name in body if name not in _TOP[api]]
    return unknown + list(_CHECKS[api](body, seal))


# --- Anthropic Messages -----------------------------------------------------------------------------------------------


def _messages(body: Fields, seal: str) -> Iterator[str]:
    if not isinstance(body.get("max_tokens"), int):
        yield "max_tokens: required"
    thinking = body.get("thinking") or {}
    if thinking.get("type") == "enabled" and not 1024 <= thinking.get("budget_tokens", 0) < body.get("max_tokens", 0):
        yield "thinking.budget_tokens: must be 1024 or more and less than max_tokens"
    yield from _tool_names(((tool.get("name"), tool.get("input_schema")) for tool in body.get("tools") or ()), _NAME)
    marked = json.dumps(body).count('"cache_control"')
    if marked > 4:
        yield f"{marked} blocks with cache_control: 4 at most"
    open_calls: list[str] = []
    last = ""
    begins = ""  # with what the assistant's latest turn begins
    going_on = False  # a turn, through calls and their results
    for number, message in enumerate(body.get("messages") or ()):
        place = f"messages.{number}"
        blocks = _blocks(message.get("content"))
        if message.get("role") == last:
            yield f"{place}: two {last} messages in a row"
        last = message.get("role", "")
        if number == 0 and last != "user":
            yield f"{place}: the first message must be the user's"
        results = [block.get("tool_use_id") for block in blocks if block.get("type") == "tool_result"]
        if sorted(map(str, results)) != sorted(open_calls):
            yield f"{place}: results of {results}, but called were {open_calls}"
        if any(block.get("type") != "tool_result" for block in blocks[: len(results)]):
            yield f"{place}: tool results must come first"
        if not blocks:
            yield f"{place}: empty"
        open_calls = [str(block.get("id")) for block in blocks if block.get("type") == "tool_use"]
        for index, block in enumerate(blocks):
            yield from _block(block, f"{place}.content.{index}", seal)
        if last == "assistant" and not going_on:
            begins = str(blocks[0].get("type")) if blocks else ""
        going_on = bool(results)
    if going_on and thinking.get("type") == "enabled" and begins != "thinking":
        yield "with thinking on, the turn whose calls are answered must begin with thinking"


def _block(block: Fields, place: str, seal: str) -> Iterator[str]:
    match block.get("type"):
        case "text":
            if not str(block.get("text", "")).strip():
                yield f"{place}: text must not be empty"
        case "thinking":
            if block.get("signature") != seal:
                yield f"{place}: invalid signature {block.get('signature')!r:.60}"
        case "tool_use":
            if not isinstance(block.get("input"), dict):
                yield f"{place}: input must be an object"
            if not _NAME.fullmatch(str(block.get("id"))):
                yield f"{place}: invalid id {block.get('id')!r}"
        case "tool_result" | "image" | "document":
            pass
        case other:
            yield f"{place}: unknown type {other}"


# --- OpenAI Chat, as Moonshot has it ----------------------------------------------------------------------------------


def _chat(body: Fields, seal: str) -> Iterator[str]:
    if "max_tokens" in body and "max_completion_tokens" in body:
        yield "max_tokens and max_completion_tokens together"
    functions = [tool.get("function") or {} for tool in body.get("tools") or ()]
    yield from _tool_names(((tool.get("name"), tool.get("parameters")) for tool in functions), _NAME)
    if not functions and ("tool_choice" in body or "parallel_tool_calls" in body):
        yield "tool_choice: only allowed with tools"
    open_calls: list[str] = []
    for number, message in enumerate(body.get("messages") or ()):
        place, role, content = f"messages.{number}", message.get("role"), message.get("content")
        if role == "tool":
            if message.get("tool_call_id") not in open_calls:
                yield f"{place}: a result of {message.get('tool_call_id')!r}, which was not called before it"
            else:
                open_calls.remove(message["tool_call_id"])
            continue
        if open_calls:
            yield f"{place}: {open_calls} were called and have no result"
        calls = message.get("tool_calls") or []
        open_calls = [call["id"] for call in calls]
        if role not in ("system", "user", "assistant"):
            yield f"{place}: unknown role {role}"
        if not content and not calls:
            yield f"{place}: no content"
        if calls and "reasoning_content" not in message:
            yield f"{place}: the reasoning_content of a turn with tool calls must be passed back"
        for call in calls:
            yield from _arguments(call.get("function") or {}, place)


# --- OpenAI Responses -------------------------------------------------------------------------------------------------


def _responses(body: Fields, seal: str) -> Iterator[str]:
    tools = [tool for tool in body.get("tools") or () if tool.get("type") == "function"]
    yield from _tool_names(((tool.get("name"), tool.get("parameters")) for tool in tools), _NAME)
    called: list[str] = []
    for number, item in enumerate(body.get("input") or () if isinstance(body.get("input"), list) else ()):
        place = f"input.{number}"
        match item.get("type", "message"):
            case "message":
                if item.get("role") not in ("system", "developer", "user", "assistant") or not item.get("content"):
                    yield f"{place}: a message without role or content"
            case "function_call":
                called.append(item.get("call_id", ""))
                yield from _arguments(item, place)
            case "function_call_output":
                if item.get("call_id") not in called:
                    yield f"{place}: no tool call found for call_id {item.get('call_id')!r}"
                else:
                    called.remove(item["call_id"])
            case "reasoning":
                if item.get("encrypted_content") != seal:
                    yield f"{place}: invalid encrypted_content {item.get('encrypted_content')!r:.60}"
            case "custom_tool_call" | "custom_tool_call_output":
                pass
            case other:
                yield f"{place}: unknown type {other}"
    if called:
        yield f"no tool output found for {called}"


# --- Gemini 3 ---------------------------------------------------------------------------------------------------------


def _gemini(body: Fields, seal: str) -> Iterator[str]:
    declared = [one for tool in body.get("tools") or () for one in tool.get("functionDeclarations") or ()]
    schemas = ((one.get("name"), one.get("parametersJsonSchema") or one.get("parameters") or {}) for one in declared)
    yield from _tool_names(schemas, _GEMINI_NAME)
    open_calls: list[str] = []
    last = ""
    for number, content in enumerate(body.get("contents") or ()):
        place, role, parts = f"contents.{number}", content.get("role"), content.get("parts") or []
        if role not in ("user", "model") or role == last or not parts:
            yield f"{place}: role {role} after {last or 'nothing'}, {len(parts)} parts"
        last = role
        results = [part["functionResponse"].get("name") for part in parts if "functionResponse" in part]
        if results != open_calls:
            yield f"{place}: responses of {results}, but called were {open_calls}"
        calls = [part for part in parts if "functionCall" in part]
        open_calls = [part["functionCall"].get("name") for part in calls]
        for part in parts:
            signature = part.get("thoughtSignature")
            if signature not in (None, seal, BYPASS):
                yield f"{place}: invalid thought signature {signature!r:.60}"
            if "text" in part and not part["text"] and signature is None:
                yield f"{place}: empty text"
            response = (part.get("functionResponse") or {"response": {}}).get("response")
            if not isinstance(response, dict):
                yield f"{place}: a functionResponse must be an object"
        if calls and "thoughtSignature" not in calls[0]:
            yield f"{place}: the function call is missing a thought_signature"


# --- all of them ------------------------------------------------------------------------------------------------------


def _blocks(content: object) -> list[Fields]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return content if isinstance(content, list) else []


def _tool_names(tools: Iterator[tuple[Any, Any]], allowed: re.Pattern[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name, schema in tools:
        if not isinstance(name, str) or not allowed.fullmatch(name) or name in seen:
            yield f"tool {name!r}: invalid or repeated name"
        if not isinstance(schema, dict):
            yield f"tool {name!r}: no schema"
        seen.add(str(name))


def _arguments(call: Fields, place: str) -> Iterator[str]:
    try:
        whole = isinstance(json.loads(call.get("arguments", "")), dict)
    except (TypeError, ValueError):
        whole = False
    if not whole:
        yield f"{place}: arguments are no JSON object: {call.get('arguments')!r:.60}"


_CHECKS: Final[Mapping[Api, Callable[[Fields, str], Iterator[str]]]] = {
    "anthropic-messages": _messages,
    "openai-chat": _chat,
    "openai-responses": _responses,
    "gemini": _gemini,
}
