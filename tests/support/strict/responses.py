"""What OpenAI's Responses API refuses, with its words, and how a request to it is read. Nothing is stored here."""

from __future__ import annotations

from typing import Any

from openai.types.responses.response_create_params import ResponseCreateParamsBase as Body

from tests.support.strict.chat import (
    NAME,
    check_arguments,
    check_image,
    check_parameters,
    check_strict_schema,
    is_reasoning,
    media_type,
)
from tests.support.strict.scenario import Listener, Offered, Result
from tests.support.strict.seals import is_own_id, is_sealed
from tests.support.strict.shapes import Misshapen, bracketed, check_shape

MAKER = "openai"
PREFIXES = {"reasoning": "rs_", "function_call": "fc_", "custom_tool_call": "ctc_", "message": "msg_"}
_CALLS = {"function_call": "function_call_output", "custom_tool_call": "custom_tool_call_output"}
_MORE = {
    "": frozenset({"stream", "client_metadata"}),  # the second one is Codex's, and taken
    "Message": frozenset({"id"}),
    "EasyInputMessageParam": frozenset({"id", "status"}),
}
_SPARE = {
    "ResponseOutputTextParam": frozenset({"annotations"}),
    "ResponseOutputMessageParam": frozenset({"id", "status"}),
}

Item = dict[str, Any]


def check_responses(body: dict[str, Any], *, own_ids: bool = True) -> None:
    """Raise AssertionError with the API's words where it would answer 400. ``own_ids``: whether ids of items must be
    ones that this provider gave out."""
    _check_items_known(body.get("input"))
    try:
        check_shape(body, Body, more=_MORE, spare=_SPARE)
    except Misshapen as fault:
        path = bracketed(fault.path)
        words = {"missing": f"Missing required parameter: '{path}'.", "extra": f"Unknown parameter: '{path}'."}
        raise AssertionError(words.get(fault.fault, f"Invalid value for '{path}': {fault.told}.")) from None
    assert isinstance(body.get("stream", False), bool), "Invalid type for 'stream': expected a boolean."
    assert body.get("model"), "Missing required parameter: 'model'."
    _check_settings(body)
    _check_tools(body)
    items = items_of(body)
    assert items, "Invalid 'input': empty. Expected at least one item."
    for index, item in enumerate(items):
        _check_item(item, f"input[{index}]", own_ids=own_ids)
    _check_pairs(items)
    _check_reasoning(items, body["model"])


def items_of(body: dict[str, Any]) -> list[Item]:
    """The input as items."""
    given = body.get("input")
    return [{"role": "user", "content": given}] if isinstance(given, str) else list(given or ())


def kind_of(item: Item) -> str:
    """An item's type; messages need not say theirs."""
    return str(item.get("type") or "message")


def text_of(content: object) -> str:
    """The texts of a message or an output."""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if "text" in part) if isinstance(content, list) else ""


def _check_items_known(given: object) -> None:
    for index, item in enumerate(given if isinstance(given, list) else ()):
        assert isinstance(item, dict), f"Invalid type for 'input[{index}]': expected an object."
        role = item.get("role")
        assert kind_of(item) != "message" or role in ("user", "assistant", "system", "developer"), (
            f"Invalid value: {role!r}. Supported values are: 'assistant', 'system', 'developer', and 'user'."
        )


def _check_settings(body: dict[str, Any]) -> None:
    assert body.get("store") is False, "this organisation keeps nothing: 'store' must be false"
    for name in ("previous_response_id", "conversation"):
        assert not body.get(name), f"'{name}' is not possible where nothing is stored."
    assert body.get("max_output_tokens", 16) >= 16, (
        "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16."
    )
    for name in ("safety_identifier", "prompt_cache_key", "user"):
        assert len(body.get(name) or "") <= 64, f"Invalid '{name}': string too long. Expected a maximum length of 64."
    model = body["model"]
    for name in ("temperature", "top_p"):
        assert not (is_reasoning(model) and name in body), (
            f"Unsupported parameter: '{name}' is not supported with this model."
        )
    assert is_reasoning(model) or not body.get("reasoning"), (
        "Unsupported parameter: 'reasoning.effort' is not supported with this model."
    )
    assert is_reasoning(model) or "reasoning.encrypted_content" not in (body.get("include") or ()), (
        "Encrypted content is not supported with this model."
    )
    output = (body.get("text") or {}).get("format") or {}
    if output.get("type") == "json_schema":
        assert NAME.fullmatch(output["name"]), "Invalid 'text.format.name'."
        if output.get("strict"):
            check_strict_schema(f"Invalid schema for response_format '{output['name']}'", output["schema"])
    elif output.get("type") == "json_object":
        told = [text_of(item.get("content")) for item in items_of(body)]
        assert "json" in " ".join([*told, body.get("instructions") or ""]).lower(), (
            "Response input messages must contain the word 'json' in some form to use 'text.format' of type "
            "'json_object'."
        )


def _check_tools(body: dict[str, Any]) -> None:
    names = []
    for index, tool in enumerate(body.get("tools") or ()):
        if tool["type"] in ("function", "custom"):
            assert NAME.fullmatch(tool["name"]), (
                f"Invalid 'tools[{index}].name': string does not match pattern '^[a-zA-Z0-9_-]+$' or is too long."
            )
            names.append(tool["name"])
        if tool["type"] == "function":
            check_parameters(f"tools[{index}]", tool)
    assert len(names) == len(set(names)), f"Tool names must be unique: {names}"
    choice = body.get("tool_choice")
    if choice not in (None, "auto", "none"):
        assert body.get("tools"), "Tool choice must be specified with 'tools' parameter."
    if isinstance(choice, dict) and choice["type"] in ("function", "custom"):
        assert choice["name"] in names, f"Tool choice '{choice['name']}' not found in 'tools' parameter."


def _check_item(item: Item, place: str, *, own_ids: bool) -> None:
    kind = kind_of(item)
    if (item_id := item.get("id")) is not None and kind in PREFIXES:
        prefix = PREFIXES[kind]
        assert item_id.startswith(prefix), (
            f"Invalid '{place}.id': '{item_id}'. Expected an ID that begins with '{prefix.rstrip('_')}'."
        )
        assert not own_ids or is_own_id(item_id, prefix, MAKER), f"Item with id '{item_id}' not found."
    if kind == "message":
        _check_message(item, place)
    elif kind in (*_CALLS, *_CALLS.values()):
        assert 1 <= len(item["call_id"]) <= 64, f"Invalid '{place}.call_id': string of a wrong length."
    if kind in _CALLS:
        assert NAME.fullmatch(item["name"]), f"Invalid '{place}.name': string does not match pattern."
    if kind == "function_call":
        check_arguments(f"{place}.arguments", item["arguments"])
    if kind in _CALLS.values():
        for index, part in enumerate(item["output"] if isinstance(item["output"], list) else ()):
            _check_part(part, f"{place}.output[{index}]", "user")
    assert kind != "item_reference", f"Item with id '{item.get('id')}' not found. Items are not persisted."


def _check_message(item: Item, place: str) -> None:
    content = item["content"]
    assert content, f"Invalid '{place}.content': must not be empty."
    for index, part in enumerate(content if isinstance(content, list) else ()):
        _check_part(part, f"{place}.content[{index}]", item["role"])


def _check_part(part: Item, place: str, role: str) -> None:
    kind = part["type"]
    allowed = ("output_text", "refusal") if role == "assistant" else ("input_text", "input_image", "input_file")
    assert kind in allowed, f"Invalid value: '{kind}'. Supported values are: {allowed}. ('{place}')"
    if kind == "input_image" and part.get("image_url"):
        check_image(f"{place}.image_url", part["image_url"])
    elif kind == "input_file" and part.get("file_data"):
        assert part.get("filename"), f"Missing required parameter: '{place}.filename'."
        check_image(f"{place}.file_data", part["file_data"])


def _check_pairs(items: list[Item]) -> None:
    """Every call is answered, once, by an output of its kind, before anybody speaks again."""
    waiting: dict[str, str] = {}
    used: set[str] = set()
    for item in items:
        kind = kind_of(item)
        if kind in _CALLS:
            assert item["call_id"] not in used, f"Duplicate call_id '{item['call_id']}' found in input."
            used.add(item["call_id"])
            waiting[item["call_id"]] = _CALLS[kind]
        elif kind in _CALLS.values():
            call_id = item["call_id"]
            assert waiting.pop(call_id, None) == kind, (
                f"No tool call found for {kind.replace('_', ' ')} with call_id {call_id}."
            )
        elif kind == "message" and item["role"] != "assistant":
            assert not waiting, f"No tool output found for function call {', '.join(waiting)}."
    assert not waiting, f"No tool output found for function call {', '.join(waiting)}."


def _check_reasoning(items: list[Item], model: str) -> None:
    for index, item in enumerate(items):
        if kind_of(item) != "reasoning":
            continue
        name = item.get("id", "")
        assert item.get("encrypted_content"), (
            f"Item with id '{name}' not found. Items are not persisted when `store` is set to false."
        )
        assert is_sealed(item["encrypted_content"], MAKER, model, name), (
            f"The encrypted content for item {name} could not be verified. Reason: Encrypted content item_id did not "
            "match the target item id, or it was not made here."
        )
        follower = items[index + 1] if index + 1 < len(items) else {}
        assert follower.get("role") == "assistant" or follower.get("type") in (*_CALLS, "reasoning"), (
            f"Item '{name}' of type 'reasoning' was provided without its required following item."
        )


def listen_responses(body: dict[str, Any], listener: Listener) -> None:
    """Read an accepted request."""
    if body.get("instructions"):
        listener.system.append(body["instructions"])
    listener.tools += [
        Offered(tool["name"], tool["type"] == "custom", tool.get("parameters") or {})
        for tool in body.get("tools") or ()
        if tool["type"] in ("function", "custom")
    ]
    for item in items_of(body):
        kind = kind_of(item)
        if kind in _CALLS:
            listener.assistant(1)
        elif kind in _CALLS.values():
            listener.result(Result(text_of(item["output"]), media=tuple(_media(item["output"]))))
        elif kind == "message" and item["role"] == "user":
            listener.user_text(text_of(item["content"]))
            for found in _media(item["content"]):
                listener.user_media(found)
        elif kind == "message" and item["role"] == "assistant":
            listener.assistant()
        elif kind == "message":
            listener.system.append(text_of(item["content"]))


def _media(content: object) -> list[str]:
    return [
        media_type(str(part.get("image_url") or part.get("file_data") or part.get("file_url") or part["type"]))
        for part in (content if isinstance(content, list) else ())
        if part["type"] in ("input_image", "input_file")
    ]
