"""A provider that answers every endpoint of every wire format, short and well-formed, with usage.

``answer`` is an ``Answer`` for ``FakeProvider``. The numbers in ``USAGE`` are what the ledger has to show afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tests.support.provider import Received, Step, stream, whole

TEXT = ("Hello", ", world", " – ünïcode ✓")
INPUT, CACHED, OUTPUT = 11, 5, 7
USAGE = {"input": INPUT, "cache_read": CACHED, "output": OUTPUT}
"""The ledger's columns after any generated answer: fresh input, cached input, output."""

_ANTHROPIC_USAGE = {"input_tokens": INPUT, "cache_read_input_tokens": CACHED, "output_tokens": OUTPUT}
_CHAT_USAGE = {
    "prompt_tokens": INPUT + CACHED,
    "completion_tokens": OUTPUT,
    "total_tokens": INPUT + CACHED + OUTPUT,
    "prompt_tokens_details": {"cached_tokens": CACHED},
}
_RESPONSES_USAGE = {
    "input_tokens": INPUT + CACHED,
    "input_tokens_details": {"cached_tokens": CACHED},
    "output_tokens": OUTPUT,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": INPUT + CACHED + OUTPUT,
}
_GEMINI_USAGE = {
    "promptTokenCount": INPUT + CACHED,
    "cachedContentTokenCount": CACHED,
    "candidatesTokenCount": OUTPUT,
    "totalTokenCount": INPUT + CACHED + OUTPUT,
}


def answer(request: Received) -> Iterable[Step]:
    """What a provider of that path would say."""
    path = request.path.partition("?")[0]
    body: dict[str, Any] = request.json if request.body else {}
    model = body.get("model", path.rpartition("/")[2].partition(":")[0])
    if path.endswith(("/messages/count_tokens", "/responses/input_tokens")):
        return whole({"object": "response.input_tokens", "input_tokens": 42})
    if path.endswith(":countTokens"):
        return whole({"totalTokens": 42})
    if path.endswith("/messages"):
        return stream(*messages_events(model)) if body.get("stream") else whole(message(model))
    if path.endswith("/chat/completions"):
        asked = (body.get("stream_options") or {}).get("include_usage")
        return stream(*chat_chunks(model, usage=bool(asked))) if body.get("stream") else whole(completion(model))
    if path.endswith("/responses"):
        return stream(*response_events(model)) if body.get("stream") else whole(response(model))
    if "/responses/resp_" in path:
        if request.method == "DELETE":
            return whole({"id": "resp_1", "object": "response", "deleted": True})
        return whole(response("gpt-5-mini"))
    if path.endswith(":generateContent"):
        return whole(gemini_part("".join(TEXT), finish=True))
    if path.endswith(":streamGenerateContent"):
        parts = [gemini_part(text, finish=text == TEXT[-1]) for text in TEXT]
        return stream(*(b"data: %s\r\n\r\n" % encoded(part) for part in parts))
    if path.endswith("/embeddings"):
        return whole(
            {
                "object": "list",
                "model": model,
                "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}],
                "usage": {"prompt_tokens": 3, "total_tokens": 3},
            }
        )
    return whole({"error": {"message": f"no such path: {path}"}}, status=404)


def encoded(value: object) -> bytes:
    """JSON as providers send it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


# --- Anthropic Messages -----------------------------------------------------------------------------------------------


def message(model: str) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [
            {"type": "text", "text": "".join(TEXT)},
            {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"place": "here"}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": _ANTHROPIC_USAGE,
    }


def messages_events(model: str, texts: Iterable[str] = TEXT) -> list[bytes]:
    """One event a part; the last is ``message_stop``."""
    start = {**message(model), "content": [], "stop_reason": None, "usage": {**_ANTHROPIC_USAGE, "output_tokens": 1}}
    events = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}} for text in texts),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}},
        },
        {
            "type": "content_block_delta",
            "index": 1,
            "delta": {"type": "input_json_delta", "partial_json": '{"place": "here"}'},
        },
        {"type": "content_block_stop", "index": 1},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None},
            "usage": {"output_tokens": OUTPUT},
        },
        {"type": "message_stop"},
    ]
    return [b"event: %s\ndata: %s\n\n" % (str(event["type"]).encode(), encoded(event)) for event in events]


# --- Chat Completions -------------------------------------------------------------------------------------------------

_CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"place":"here"}'}}


def completion(model: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1763000000,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "".join(TEXT), "refusal": None, "tool_calls": [_CALL]},
                "logprobs": None,
                "finish_reason": "tool_calls",
            }
        ],
        "usage": _CHAT_USAGE,
    }


def chat_chunks(model: str, *, usage: bool, texts: Iterable[str] = TEXT) -> list[bytes]:
    """One chunk a part, the usage chunk where asked for, ``[DONE]``."""
    deltas: list[tuple[dict[str, Any], str | None]] = [
        ({"role": "assistant", "content": ""}, None),
        *(({"content": text}, None) for text in texts),
        ({"tool_calls": [{"index": 0, **_CALL}]}, None),
        ({}, "tool_calls"),
    ]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1763000000, "model": model}
    chunks: list[dict[str, Any]] = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} for delta, finish in deltas
    ]
    if usage:
        chunks = [{**chunk, "usage": None} for chunk in chunks]
        chunks.append({**head, "choices": [], "usage": _CHAT_USAGE})
    return [*(b"data: %s\n\n" % encoded(chunk) for chunk in chunks), b"data: [DONE]\n\n"]


# --- Responses --------------------------------------------------------------------------------------------------------


def response(model: str, *, status: str = "completed", done: bool = True) -> dict[str, Any]:
    text = {"type": "output_text", "text": "".join(TEXT), "annotations": []}
    item = {"type": "message", "id": "item_1", "status": "completed", "role": "assistant", "content": [text]}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1763000000,
        "status": status,
        "model": model,
        "output": [item] if done else [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": _RESPONSES_USAGE if done else None,
    }


def response_events(model: str, texts: Iterable[str] = TEXT) -> list[bytes]:
    """One event a part; the last is ``response.completed``."""
    place = {"item_id": "item_1", "output_index": 0, "content_index": 0}
    running = response(model, status="in_progress", done=False)
    item = {"type": "message", "id": "item_1", "status": "in_progress", "role": "assistant", "content": []}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": running},
        {"type": "response.in_progress", "response": running},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {
            "type": "response.content_part.added",
            **place,
            "part": {"type": "output_text", "text": "", "annotations": []},
        },
        *({"type": "response.output_text.delta", **place, "delta": text, "logprobs": []} for text in texts),
        {"type": "response.output_text.done", **place, "text": "".join(TEXT), "logprobs": []},
        {"type": "response.output_item.done", "output_index": 0, "item": response(model)["output"][0]},
        {"type": "response.completed", "response": response(model)},
    ]
    return [
        b"event: %s\ndata: %s\n\n" % (event["type"].encode(), encoded({**event, "sequence_number": number}))
        for number, event in enumerate(events)
    ]


# --- Gemini -----------------------------------------------------------------------------------------------------------


def gemini_part(text: str, *, finish: bool) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    if finish:
        candidate["finishReason"] = "STOP"
    return {"candidates": [candidate], "usageMetadata": _GEMINI_USAGE, "modelVersion": "gemini-x", "responseId": "g1"}
