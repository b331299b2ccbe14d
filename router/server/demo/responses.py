"""The built-in provider's OpenAI Responses."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterator
from itertools import count
from typing import Any

import msgspec

from router.server.demo.answer import SAMPLING, Answer, Function, Options, Question, pieces_of, slices_of
from router.server.demo.chat import json_schema
from router.wire.body import Body
from router.wire.pieces import blocks_of, fields_of
from router.wire.sse import encode_event

REQUIRED: tuple[str, ...] = ()

# Settings that a response repeats, with the values of a request that doesn't set them.
_ECHOED: dict[str, Any] = {
    "background": False,
    "frequency_penalty": 0.0,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "moderation": None,
    "parallel_tool_calls": True,
    "presence_penalty": 0.0,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "prompt_cache_retention": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


def options(body: Body) -> Options:
    """See ``Options``. Custom and hosted tools and namespaces are not called."""
    tools = [fields_of(tool) for tool in blocks_of(body.get("tools"))]
    functions = [tool for tool in tools if tool.get("type") == "function" and "name" in tool]
    choice = body.get("tool_choice")
    return Options(
        functions=tuple(Function(str(tool["name"]), tool.get("parameters")) for tool in functions),
        choice="none" if choice == "none" else "any" if choice == "required" or isinstance(choice, dict) else "auto",
        schema=json_schema(fields_of(fields_of(body.get("text")).get("format")), None),
        sampling={name: body.get(name) for name in SAMPLING if name in body},
    )


def whole(question: Question, answer: Answer) -> dict[str, Any]:
    """The reply of a request that isn't streamed, and of one that is, in its last event."""
    cut = answer.stop == "length"
    return {
        **_response(question),
        "status": "incomplete" if cut else "completed",
        "completed_at": None if cut else question.created,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "output": _items(question, answer),
        "usage": usage(question, answer),
    }


def stream(question: Question, answer: Answer) -> Iterator[bytes]:
    """The events of a stream; each has the next sequence number, and the last one the whole response."""
    numbers = count()

    def event(kind: str, **fields: Any) -> bytes:
        body = {"type": kind, "sequence_number": next(numbers), **fields}
        return encode_event(msgspec.json.encode(body), kind)

    yield event("response.created", response=_response(question))
    yield event("response.in_progress", response=_response(question))
    for index, item in enumerate(_items(question, answer)):
        yield event("response.output_item.added", output_index=index, item=_begun(item))
        for kind, fields in _deltas(item):
            yield event(f"response.{kind}", item_id=item["id"], output_index=index, **fields)
        yield event("response.output_item.done", output_index=index, item=item)
    done = whole(question, answer)
    yield event(f"response.{done['status']}", response=done)


def usage(question: Question, answer: Answer) -> dict[str, Any]:
    """Input tokens include those read from the cache."""
    read, output = question.input, answer.output_tokens
    return {
        "input_tokens": read.total,
        "input_tokens_details": {"cached_tokens": read.cached},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": answer.thinking_tokens},
        "total_tokens": read.total + output,
    }


def _response(question: Question) -> dict[str, Any]:
    """The response as it begins."""
    body = question.view.body
    return {
        "id": f"resp_{question.id}",
        "object": "response",
        "created_at": question.created,
        "completed_at": None,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "model": question.model,
        "output": [],
        "usage": None,
        **{name: default if (value := body.get(name)) is None else value for name, default in _ECHOED.items()},
    }


def _items(question: Question, answer: Answer) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    status = "incomplete" if answer.stop == "length" else "completed"
    if answer.thinking:
        reasoning: dict[str, Any] = {
            "id": f"rs_{question.id}",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": answer.thinking}],
        }
        if "reasoning.encrypted_content" in blocks_of(question.view.body.get("include")):
            sealed = hashlib.sha256(answer.thinking.encode()).digest()
            reasoning["encrypted_content"] = b64encode(sealed).decode()
        items.append(reasoning)
    if answer.text or not (answer.call or answer.thinking):
        items.append(
            {
                "id": f"msg_{question.id}",
                "type": "message",
                "status": status,
                "role": "assistant",
                "content": [_text_part(answer.text)],
            }
        )
    if answer.call:
        items.append(
            {
                "id": f"fc_{question.id}",
                "type": "function_call",
                "status": "completed",
                "call_id": f"call_{question.id}",
                "name": answer.call.name,
                "arguments": answer.call.json,
            }
        )
    return items


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _begun(item: dict[str, Any]) -> dict[str, Any]:
    """The item as it is before its deltas."""
    match item["type"]:
        case "reasoning":
            return {**item, "summary": []}
        case "message":
            return {**item, "status": "in_progress", "content": []}
        case _:
            return {**item, "status": "in_progress", "arguments": ""}


def _deltas(item: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The events between an item's beginning and its end, without the places that all of them carry."""
    match item["type"]:
        case "reasoning":
            part = item["summary"][0]
            yield "reasoning_summary_part.added", {"summary_index": 0, "part": {**part, "text": ""}}
            for piece in pieces_of(part["text"]):
                yield "reasoning_summary_text.delta", {"summary_index": 0, "delta": piece}
            yield "reasoning_summary_text.done", {"summary_index": 0, "text": part["text"]}
            yield "reasoning_summary_part.done", {"summary_index": 0, "part": part}
        case "message":
            part = item["content"][0]
            yield "content_part.added", {"content_index": 0, "part": _text_part("")}
            for piece in pieces_of(part["text"]):
                yield "output_text.delta", {"content_index": 0, "delta": piece, "logprobs": []}
            yield "output_text.done", {"content_index": 0, "text": part["text"], "logprobs": []}
            yield "content_part.done", {"content_index": 0, "part": part}
        case _:
            for piece in slices_of(item["arguments"]):
                yield "function_call_arguments.delta", {"delta": piece}
            yield "function_call_arguments.done", {"name": item["name"], "arguments": item["arguments"]}
