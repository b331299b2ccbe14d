"""What Anthropic's Messages API refuses, with its words, and how a request to it is read."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from anthropic.types.beta.message_create_params import MessageCreateParamsBase as BetaBody
from anthropic.types.message_create_params import MessageCreateParamsBase as PlainBody

from tests.support.strict.scenario import Listener, Offered, Result
from tests.support.strict.seals import is_sealed, plain
from tests.support.strict.shapes import Misshapen, check_shape, dotted

MAKER = "anthropic"

_ID = re.compile(r"[a-zA-Z0-9_-]+")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_SAMPLING = frozenset({"temperature", "top_p", "top_k"})
_UNSUPPORTED = frozenset(
    {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "maxItems"}
)

Block = dict[str, Any]


@dataclass(frozen=True)
class Rules:
    """What differs from model to model."""

    sampling: Literal["refused", "one"] = "refused"
    forced_tools: bool = False
    prefill: bool = False
    thinking: frozenset[str] = frozenset({"adaptive"})
    efforts: bool = True
    bound: bool = True
    """Whether a signature holds only behind the very prefix it was made for."""
    mid_system: bool = True
    shows_thinking: bool = False
    """Whether thinking is readable where nothing is said about it."""
    max_output: int = 128_000


NEW = Rules()
OLD = Rules("one", True, True, frozenset({"enabled", "disabled"}), False, False, False, True, 64_000)


def rules_of(model: str) -> Rules:
    """Opus 5.5 and its like are new; models up to 4.5 are old."""
    return OLD if re.search(r"-4-[0-5]\b|claude-3", model) else NEW


def check_anthropic(body: dict[str, Any], headers: Mapping[str, str] | None = None) -> None:
    """Raise AssertionError with the API's words where it would answer 400."""
    if headers is not None:
        assert headers.get("anthropic-version"), "anthropic-version: header is required"
        assert headers.get("x-api-key") or headers.get("authorization"), "x-api-key header is required"
    rules = rules_of(str(body.get("model")))
    beta = bool(headers and headers.get("anthropic-beta"))
    sampling = _SAMPLING if rules.sampling != "refused" else frozenset()
    try:
        check_shape(body, BetaBody if beta else PlainBody, more={"": sampling | {"stream"}}, without=("betas",))
    except Misshapen as fault:
        raise AssertionError(f"{dotted(fault.path)}: {fault.told}") from None
    assert isinstance(body.get("stream", False), bool), "stream: Input should be a valid boolean"
    _check_settings(body, rules)
    _check_thinking_settings(body, rules)
    _check_tools(body, rules)
    _check_cache(body)
    _check_messages(body["messages"], rules)
    _check_calls(body["messages"])
    _check_signatures(body, rules)


def _check_settings(body: dict[str, Any], rules: Rules) -> None:
    model, limit = body["model"], body["max_tokens"]
    assert limit >= 1, "max_tokens: Input should be greater than or equal to 1"
    assert limit <= rules.max_output, (
        f"max_tokens: {limit} > {rules.max_output}, which is the maximum allowed number of output tokens for {model}"
    )
    assert not {"temperature", "top_p"} <= body.keys(), (
        "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
    )
    assert 0 <= body.get("temperature", 0) <= 1, "temperature: range: 0..1"
    for index, stop in enumerate(body.get("stop_sequences", ())):
        assert stop.strip(), f"stop_sequences.{index}: each stop sequence must contain non-whitespace"
    assert len(str((body.get("metadata") or {}).get("user_id") or "")) <= 256, (
        "metadata.user_id: String should have at most 256 characters"
    )
    system = body.get("system", "x")
    assert system != [], "system: list should have at least 1 item"
    for block in system if isinstance(system, list) else ():
        assert block["text"].strip(), "system: text content blocks must be non-empty"
    config = body.get("output_config") or {}
    assert rules.efforts or "effort" not in config, "This model does not support the effort parameter."
    if config.get("format"):
        _check_schema(config["format"]["schema"])


def _check_schema(schema: object) -> None:
    if isinstance(schema, list):
        for inner in schema:
            _check_schema(inner)
    elif isinstance(schema, dict):
        kind = schema.get("type")
        if kind == "object":
            assert schema.get("additionalProperties") is False, (
                "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false"
            )
        if isinstance(kind, str):
            for name in sorted(_UNSUPPORTED & schema.keys()):
                raise AssertionError(
                    f"output_config.format.schema: For '{kind}' type, property '{name}' is not supported"
                )
        for inner in schema.values():
            _check_schema(inner)


def _check_thinking_settings(body: dict[str, Any], rules: Rules) -> None:
    thinking = body.get("thinking")
    if thinking is None:
        return
    kind = thinking["type"]
    assert kind in rules.thinking, f'"thinking.type.{kind}" is not supported for this model'
    if kind == "enabled":
        budget = thinking["budget_tokens"]
        assert budget >= 1024, "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
        assert budget < body["max_tokens"], "`max_tokens` must be greater than `thinking.budget_tokens`"
        assert body.get("temperature", 1) == 1, "`temperature` may only be set to 1 when thinking is enabled"
        assert "top_k" not in body, "`top_k` must be unset when thinking is enabled"
        _check_thinking_first(body["messages"])
    if kind != "disabled":
        forced = (body.get("tool_choice") or {}).get("type") in ("any", "tool")
        assert not forced, "Thinking may not be enabled when tool_choice forces tool use."


def _check_thinking_first(messages: list[Block]) -> None:
    """Within a running round of calls the assistant's turn must begin with its thinking."""
    if len(messages) > 1 and any(block["type"] == "tool_result" for block in blocks_of(messages[-1])):
        first = blocks_of(messages[-2])[0]["type"]
        assert first in ("thinking", "redacted_thinking"), (
            f"messages.{len(messages) - 2}.content.0.type: Expected `thinking` or `redacted_thinking`, but found "
            f"`{first}`. When `thinking` is enabled, a final `assistant` message must start with a thinking block"
        )


def _check_tools(body: dict[str, Any], rules: Rules) -> None:
    tools, choice = body.get("tools") or [], body.get("tool_choice")
    names = [tool["name"] for tool in tools if "name" in tool]
    for index, tool in enumerate(tools):
        if tool.get("type", "custom") == "custom":
            assert _NAME.fullmatch(tool["name"]), (
                f"tools.{index}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
            )
            assert tool["input_schema"].get("type") == "object", f"tools.{index}.custom.input_schema.type: required"
    assert len(names) == len(set(names)), "tools: Tool names must be unique."
    if choice is None:
        return
    assert tools, "tool_choice: may only be specified while providing tools"
    if choice["type"] in ("any", "tool"):
        assert rules.forced_tools, f"tool_choice: '{choice['type']}' is not supported for this model"
    if choice["type"] == "tool":
        assert choice["name"] in names, f"Tool '{choice['name']}' not found in provided tools"


def _check_cache(body: dict[str, Any]) -> None:
    marks = list(_marks([*(body.get("tools") or []), *_listed(body.get("system")), *body["messages"]]))
    automatic = [body["cache_control"]] if body.get("cache_control") else []
    count = len(marks) + len(automatic)
    assert count <= 4, f"A maximum of 4 blocks with cache_control may be provided. Found {count}."
    ttls = [mark.get("ttl", "5m") for mark in (*marks, *automatic)]
    assert ttls == sorted(ttls), (
        "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. Note that blocks are "
        "processed in the following order: `tools`, `system`, `messages`."
    )


def _marks(value: object) -> Iterator[Block]:
    if isinstance(value, list):
        for inner in value:
            yield from _marks(inner)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name not in ("input", "input_schema", "cache_control"):
                yield from _marks(inner)
        if value.get("cache_control"):
            yield value["cache_control"]


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _check_messages(messages: list[Block], rules: Rules) -> None:
    assert messages, "messages: at least one message is required"
    assert messages[0]["role"] == "user", 'messages: first message must use the "user" role'
    before = None
    for index, message in enumerate(messages):
        role, place = message["role"], f"messages.{index}"
        assert role != before, f"{place}: roles must alternate, but found multiple `{role}` roles in a row"
        if role == "system":
            assert rules.mid_system, f"{place}.role: Input should be 'user' or 'assistant'"
            follower = messages[index + 1]["role"] if index + 1 < len(messages) else "assistant"
            assert follower == "assistant", f"{place}: a system message must be followed by an assistant message"
            assert before == "user", f"{place}: a system message must follow a user message"
        before = role
        content = blocks_of(message)
        assert content, f"{place}: all messages must have non-empty content"
        for place_of_block, block in _within(place, content):
            _check_block(block, role, place_of_block)
    if messages[-1]["role"] == "assistant":
        assert rules.prefill, "This model does not support assistant message prefill."
        last = blocks_of(messages[-1])[-1]
        assert last["type"] != "text" or last["text"] == last["text"].rstrip(), (
            "messages: final assistant content cannot end with trailing whitespace"
        )


def _within(place: str, content: list[Block]) -> Iterator[tuple[str, Block]]:
    for index, block in enumerate(content):
        yield f"{place}.content.{index}", block
        if block["type"] == "tool_result" and isinstance(block.get("content"), list):
            yield from _within(f"{place}.content.{index}", block["content"])


def _check_block(block: Block, role: str, place: str) -> None:
    kind = block["type"]
    if kind == "text":
        assert block["text"], "messages: text content blocks must be non-empty"
        assert block["text"].strip(), "messages: text content blocks must contain non-whitespace text"
    elif kind == "image" and block["source"]["type"] == "base64":
        source = block["source"]
        assert source["media_type"] in _IMAGES, f"{place}.source.base64.media_type: Input should be one of {_IMAGES}"
        assert _is_base64(source["data"]), f"{place}.source.base64.data: invalid base64 data"
    elif kind == "document" and block["source"]["type"] == "base64":
        assert block["source"]["media_type"] == "application/pdf", f"{place}.source.base64.media_type: must be PDF"
        assert _is_base64(block["source"]["data"]), f"{place}.source.base64.data: invalid base64 data"
    speaker = {"tool_use": "assistant", "thinking": "assistant", "redacted_thinking": "assistant", "image": "user",
               "document": "user", "tool_result": "user"}.get(kind, role)  # fmt: skip
    assert speaker == role, f"{place}: `{kind}` blocks can only be in `{speaker}` messages"


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except binascii.Error:
        return False


def _check_calls(messages: list[Block]) -> None:
    used: set[str] = set()
    open_ids: list[str] = []
    for index, message in enumerate(messages):
        content = blocks_of(message)
        results = [block["tool_use_id"] for block in content if block["type"] == "tool_result"]
        missing = [call for call in open_ids if call not in results]
        assert not missing, (
            f"messages.{index - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the next "
            "message."
        )
        assert len(set(results)) == len(results), f"messages.{index}: each tool_use must have a single result"
        for result in results:
            assert result in open_ids, (
                f"messages.{index}: unexpected `tool_use_id` found in `tool_result` blocks: {result}. Each "
                "`tool_result` block must have a corresponding `tool_use` block in the previous message."
            )
        assert all(block["type"] == "tool_result" for block in content[: len(results)]), (
            f"messages.{index}: `tool_result` blocks must come first in the message"
        )
        open_ids = [block["id"] for block in content if block["type"] == "tool_use"]
        for block in content:
            if block["type"] == "tool_use":
                assert _ID.fullmatch(block["id"]), (
                    f"messages.{index}.content: tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
                )
                assert block["id"] not in used, f"messages.{index}: `tool_use` ids must be unique"
                assert _NAME.fullmatch(block["name"]), f"messages.{index}: tool_use.name: {block['name']!r}"
                used.add(block["id"])
    assert not open_ids, f"`tool_use` ids were found without `tool_result` blocks immediately after: {open_ids}"


def _check_signatures(body: dict[str, Any], rules: Rules) -> None:
    for index, message in enumerate(body["messages"]):
        for at, block in enumerate(blocks_of(message)):
            if block["type"] == "redacted_thinking":
                raise AssertionError(f"messages.{index}.content.{at}: Invalid `data` in `redacted_thinking` block")
            if block["type"] != "thinking":
                continue
            where = f"messages.{index}.content.{at}"
            own, _, bound = block["signature"].partition(".")
            assert is_sealed(own, MAKER, body["model"], block["thinking"]), (
                f"{where}: Invalid `signature` in `thinking` block"
            )
            assert not rules.bound or is_sealed(bound, MAKER, body["model"], prefix_of(body, index, at)), (
                f"{where}: this `thinking` block is bound to a different conversation"
            )


def prefix_of(body: dict[str, Any], message: int, block: int) -> object:
    """Everything before a block of a message, whether that message is there already or not."""
    messages = body["messages"]
    content = blocks_of(messages[message])[:block] if message < len(messages) else []
    system = body.get("system") or []
    system = [{"type": "text", "text": system}] if isinstance(system, str) else system
    return plain([system, body.get("tools") or [], messages[:message], content])


def blocks_of(message: Block) -> list[Block]:
    """A message's content as blocks."""
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def listen_anthropic(body: dict[str, Any], listener: Listener) -> None:
    """Read an accepted request."""
    listener.system += [block["text"] for block in blocks_of({"content": body.get("system") or []})]
    listener.tools += [
        Offered(tool["name"], schema=tool["input_schema"]) for tool in body.get("tools") or () if "input_schema" in tool
    ]
    listener.stops = tuple(body.get("stop_sequences") or ())
    for message in body["messages"]:
        if message["role"] == "system":
            listener.system += [block["text"] for block in blocks_of(message)]
        elif message["role"] == "assistant":
            listener.assistant(sum(block["type"] == "tool_use" for block in blocks_of(message)))
        else:
            _listen_user(blocks_of(message), listener)


def _listen_user(content: Iterable[Block], listener: Listener) -> None:
    for block in content:
        if block["type"] == "text":
            listener.user_text(block["text"])
        elif block["type"] == "tool_result":
            inner = blocks_of({"content": block.get("content") or []})
            text = "\n".join(part["text"] for part in inner if part["type"] == "text")
            media = tuple(media_type(part) for part in inner if part["type"] in ("image", "document"))
            listener.result(Result(text, bool(block.get("is_error")), media))
        elif block["type"] in ("image", "document"):
            listener.user_media(media_type(block))


def media_type(block: Block) -> str:
    """Of an image or a document; the address of a linked one."""
    source = block["source"]
    return str(source.get("media_type") or source.get("url") or source["type"])
