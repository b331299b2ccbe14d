"""The built-in provider's Anthropic Messages."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import msgspec

from router.server.demo.answer import SAMPLING, Answer, Function, Options, Question, pieces_of, slices_of
from router.wire.body import Body
from router.wire.pieces import blocks_of, fields_of
from router.wire.sse import encode_event

REQUIRED = ("max_tokens", "messages")
_STOPS = {"end": "end_turn", "tool": "tool_use", "length": "max_tokens", "sequence": "stop_sequence"}


def options(body: Body) -> Options:
    """See ``Options``. Tools with a schema of their own are functions; Anthropic's typed ones are not."""
    tools = [fields_of(tool) for tool in blocks_of(body.get("tools"))]
    choice = fields_of(body.get("tool_choice")).get("type")
    wanted = fields_of(fields_of(body.get("output_config")).get("format")) or fields_of(body.get("output_format"))
    return Options(
        functions=tuple(
            Function(str(tool.get("name")), tool["input_schema"]) for tool in tools if "input_schema" in tool
        ),
        choice="any" if choice in ("any", "tool") else "none" if choice == "none" else "auto",
        schema=wanted.get("schema"),
        stop=tuple(text for text in blocks_of(body.get("stop_sequences")) if isinstance(text, str)),
        sampling={name: body.get(name) for name in SAMPLING if name in body},
    )


def whole(question: Question, answer: Answer) -> dict[str, Any]:
    """The reply of a request that isn't streamed."""
    message = _message(question, answer)
    message["content"] = _blocks(question, answer)
    message["stop_reason"], message["stop_sequence"] = _STOPS[answer.stop], answer.stop_sequence
    return message


def stream(question: Question, answer: Answer) -> Iterator[bytes]:
    """The events of a stream, one by one. Usage is told twice: in the first event and, complete, near the end."""
    start = _message(question, answer)
    start["usage"]["output_tokens"] = 1
    start["usage"].pop("output_tokens_details", None)
    yield _event("message_start", message=start)
    for index, block in enumerate(_blocks(question, answer)):
        yield _event("content_block_start", index=index, content_block=_emptied(block))
        if index == 0:
            yield _event("ping")
        for delta in _deltas(block):
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    yield _event(
        "message_delta",
        delta={"stop_reason": _STOPS[answer.stop], "stop_sequence": answer.stop_sequence},
        usage=_usage(question, answer, whole=False),
    )
    yield _event("message_stop")


def _event(kind: str, **fields: Any) -> bytes:
    return encode_event(msgspec.json.encode({"type": kind, **fields}), kind)


def _message(question: Question, answer: Answer) -> dict[str, Any]:
    return {
        "id": f"msg_{question.id}",
        "type": "message",
        "role": "assistant",
        "model": question.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(question, answer, whole=True),
    }


def _usage(question: Question, answer: Answer, *, whole: bool) -> dict[str, Any]:
    """Input is what was read fresh; ``message_delta`` leaves the parts of the cache write and the tier out."""
    read = question.input
    usage: dict[str, Any] = {
        "input_tokens": read.fresh,
        "cache_creation_input_tokens": read.written + read.written_1h,
        "cache_read_input_tokens": read.cached,
        "output_tokens": answer.output_tokens,
    }
    if answer.thinking:
        usage["output_tokens_details"] = {"thinking_tokens": answer.thinking_tokens}
    if whole:
        usage["cache_creation"] = {
            "ephemeral_5m_input_tokens": read.written,
            "ephemeral_1h_input_tokens": read.written_1h,
        }
        usage["service_tier"] = "standard"
    return usage


def _blocks(question: Question, answer: Answer) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if answer.thinking:
        signature = b64encode(hashlib.sha256(answer.thinking.encode()).digest()).decode()
        blocks.append({"type": "thinking", "thinking": answer.thinking, "signature": signature})
    if answer.text:
        blocks.append({"type": "text", "text": answer.text})
    if answer.call:
        call_id = f"toolu_{question.id}"
        blocks.append({"type": "tool_use", "id": call_id, "name": answer.call.name, "input": answer.call.arguments})
    return blocks


def _emptied(block: dict[str, Any]) -> dict[str, Any]:
    """The block as it begins, before its deltas."""
    match block["type"]:
        case "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}
        case "text":
            return {"type": "text", "text": ""}
        case _:
            return {**block, "input": {}}


def _deltas(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    match block["type"]:
        case "thinking":
            for piece in pieces_of(block["thinking"]):
                yield {"type": "thinking_delta", "thinking": piece}
            yield {"type": "signature_delta", "signature": block["signature"]}
        case "text":
            for piece in pieces_of(block["text"]):
                yield {"type": "text_delta", "text": piece}
        case _:
            yield {"type": "input_json_delta", "partial_json": ""}
            for piece in slices_of(msgspec.json.encode(block["input"]).decode()):
                yield {"type": "input_json_delta", "partial_json": piece}
