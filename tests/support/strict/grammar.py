"""What each format's own clients count on in a stream, read from the raw bytes."""

from __future__ import annotations

import json
from typing import Any

ENDS = {
    "anthropic-messages": b"message_stop",
    "openai-chat": b"[DONE]",
    "openai-responses": b"response.completed",
    "gemini": b'"finishReason"',
}
"""What a stream that is whole holds, and one that isn't must not."""


def check_grammar(client: str, payload: bytes) -> None:
    """The rules of one format's streams, read from the raw bytes."""
    events = [
        json.loads(line.removeprefix("data:"))
        for line in payload.decode().split("\n")
        if line.startswith("data:") and line != "data: [DONE]"
    ]
    checks = {
        "anthropic-messages": _check_messages,
        "openai-chat": _check_chat,
        "openai-responses": _check_responses,
        "gemini": _check_gemini,
    }
    checks[client](events)


def _check_messages(events: list[dict[str, Any]]) -> None:
    kinds = [event["type"] for event in events if event["type"] != "ping"]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("message_start") == kinds.count("message_stop") == 1
    open_at, following = None, 0
    for event in events:
        match event["type"]:
            case "content_block_start":
                assert open_at is None
                assert event["index"] == following
                open_at = event["index"]
            case "content_block_delta":
                assert event["index"] == open_at
            case "content_block_stop":
                assert event["index"] == open_at
                open_at, following = None, following + 1
    assert open_at is None


def _check_chat(events: list[dict[str, Any]]) -> None:
    assert len({(event["id"], event["created"], event["model"]) for event in events}) == 1
    choices = [event["choices"][0] for event in events if event["choices"]]
    assert choices[0]["delta"]["role"] == "assistant"
    finishes = [choice["finish_reason"] for choice in choices]
    assert [finish for finish in finishes if finish] == [finishes[-1]]
    begun: list[int] = []
    for choice in choices:
        for call in choice["delta"].get("tool_calls") or ():
            if call["index"] not in begun:
                assert call["id"]
                assert call["function"]["name"]
                begun.append(call["index"])
            else:
                assert "id" not in call
                assert "name" not in call.get("function", {})
    assert begun == list(range(len(begun)))


def _check_responses(events: list[dict[str, Any]]) -> None:
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    kinds = [event["type"] for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] in ("response.completed", "response.incomplete")
    done: list[dict[str, Any]] = []
    open_id = None
    for event in events:
        match event["type"]:
            case "response.output_item.added":
                assert open_id is None
                assert event["output_index"] == len(done)
                open_id = event["item"]["id"]
            case "response.output_item.done":
                assert event["item"]["id"] == open_id
                done.append(event["item"])
                open_id = None
            case kind if "output_index" in event:
                assert event["output_index"] == len(done), kind
                assert event["item_id"] == open_id
    assert events[-1]["response"]["output"] == done


def _check_gemini(events: list[dict[str, Any]]) -> None:
    finishes = [event["candidates"][0].get("finishReason") for event in events]
    assert [finish for finish in finishes if finish] == [finishes[-1]]
    assert "totalTokenCount" in events[-1]["usageMetadata"]
    for event in events:
        assert event["candidates"][0]["content"]["parts"]
