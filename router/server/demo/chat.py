"""The built-in provider's OpenAI Chat Completions.

Thinking comes as ``reasoning_content``, as many compatible providers send it; OpenAI itself only counts it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from router.server.demo.answer import SAMPLING, Answer, Function, Options, Question, pieces_of, slices_of
from router.wire.body import Body
from router.wire.pieces import blocks_of, fields_of
from router.wire.sse import encode_event

REQUIRED = ("messages",)
_STOPS = {"end": "stop", "tool": "tool_calls", "length": "length", "sequence": "stop"}
_FINGERPRINT = "fp_demo"


def options(body: Body) -> Options:
    """See ``Options``. Custom tools, whose input is no JSON, are not called."""
    tools = [fields_of(fields_of(tool).get("function")) for tool in blocks_of(body.get("tools"))]
    choice, stop = body.get("tool_choice"), body.get("stop")
    return Options(
        functions=tuple(Function(str(tool["name"]), tool.get("parameters")) for tool in tools if "name" in tool),
        choice="none" if choice == "none" else "any" if choice == "required" or isinstance(choice, dict) else "auto",
        schema=json_schema(fields_of(body.get("response_format")), "json_schema"),
        stop=tuple(text for text in (stop if isinstance(stop, list) else [stop]) if isinstance(text, str)),
        sampling={name: body.get(name) for name in SAMPLING if name in body},
    )


def json_schema(wanted: dict[str, Any], inner: str | None) -> Any:
    """The schema of ``response_format`` or ``text.format``; any JSON object where just JSON is wanted."""
    match wanted.get("type"):
        case "json_schema":
            return fields_of(wanted.get(inner) if inner else wanted).get("schema")
        case "json_object":
            return {"type": "object", "properties": {"answer": {"type": "string"}}}
        case _:
            return None


def whole(question: Question, answer: Answer) -> dict[str, Any]:
    """The reply of a request that isn't streamed."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None, "refusal": None, "annotations": []}
    if answer.thinking:
        message["reasoning_content"] = answer.thinking
    if answer.call:
        function = {"name": answer.call.name, "arguments": answer.call.json}
        message["tool_calls"] = [{"id": f"call_{question.id}", "type": "function", "function": function}]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _STOPS[answer.stop]}
    return {
        **_head(question, "chat.completion"),
        "choices": [choice],
        "usage": usage(question, answer),
    }


def stream(question: Question, answer: Answer) -> Iterator[bytes]:
    """The chunks and ``[DONE]``. Usage has a chunk of its own, for those who ask for it."""
    asked = fields_of(question.view.body.get("stream_options")).get("include_usage") is True
    head = _head(question, "chat.completion.chunk")
    if asked:
        head["usage"] = None

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return encode_event(msgspec.json.encode({**head, "choices": [choice]}))

    yield chunk({"role": "assistant", "content": "", "refusal": None})
    for piece in pieces_of(answer.thinking):
        yield chunk({"reasoning_content": piece})
    for piece in pieces_of(answer.text):
        yield chunk({"content": piece})
    if answer.call:
        function = {"name": answer.call.name, "arguments": ""}
        begun = {"index": 0, "id": f"call_{question.id}", "type": "function", "function": function}
        yield chunk({"tool_calls": [begun]})
        for piece in slices_of(answer.call.json):
            yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
    yield chunk({}, _STOPS[answer.stop])
    if asked:
        yield encode_event(msgspec.json.encode({**head, "choices": [], "usage": usage(question, answer)}))
    yield encode_event(b"[DONE]")


def usage(question: Question, answer: Answer) -> dict[str, Any]:
    """Prompt tokens include those read from the cache."""
    read, output = question.input, answer.output_tokens
    return {
        "prompt_tokens": read.total,
        "completion_tokens": output,
        "total_tokens": read.total + output,
        "prompt_tokens_details": {"cached_tokens": read.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": answer.thinking_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _head(question: Question, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{question.id}",
        "object": kind,
        "created": question.created,
        "model": question.model,
        "service_tier": "default",
        "system_fingerprint": _FINGERPRINT,
    }
