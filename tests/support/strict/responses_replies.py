"""What OpenAI's Responses API answers, whole and streamed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.support.provider import Received
from tests.support.strict.chat_replies import openai_failure
from tests.support.strict.provider import Asked, StrictApi, sse
from tests.support.strict.responses import MAKER, check_responses, listen_responses
from tests.support.strict.scenario import Call, Listener, Refuse, Think, Write, cut
from tests.support.strict.seals import new_id, seal

_CREATED = 1_763_000_000
_NO_STOPS = "Responses has no stop sequences"

Event = dict[str, Any]


class Responses(StrictApi):
    """``POST /responses``."""

    maker = MAKER
    writes_cache = True

    def check(self, request: Received, body: dict[str, Any]) -> None:
        assert request.headers.get("authorization", "").startswith("Bearer "), "You didn't provide an API key."
        check_responses(body)

    def listen(self, body: dict[str, Any], listener: Listener) -> None:
        listen_responses(body, listener)

    def failure(self, status: int, message: str) -> dict[str, Any]:
        return openai_failure(status, message)

    def late_failure(self, asked: Asked) -> list[bytes]:
        error = {"code": "server_is_overloaded", "message": "The server is overloaded"}
        failed = {**self._response(asked, "failed", []), "error": error, "usage": None}
        events = [{"type": "error", **error, "param": None}, {"type": "response.failed", "response": failed}]
        return [_event(event, 900 + number) for number, event in enumerate(events)]

    def whole(self, asked: Asked) -> dict[str, Any]:
        return self._response(asked, self._status(asked), [item for item, _ in self._items(asked)])

    def events(self, asked: Asked) -> list[bytes]:
        running = {**self._response(asked, "in_progress", []), "usage": None}
        told: list[Event] = [
            {"type": "response.created", "response": running},
            {"type": "response.in_progress", "response": running},
        ]
        for index, (item, part) in enumerate(self._items(asked)):
            told += _item_events(index, item, part)
        status = self._status(asked)
        told.append({"type": f"response.{status}", "response": self.whole(asked)})
        events = []
        for number, event in enumerate(told):
            if asked.noisy and "delta" in event:
                event["obfuscation"] = "x" * (1 + number % 7)
            events.append(_event(event, number))
        if asked.noisy:
            events[2:2] = [b": keep-alive\n\n", sse({"type": "keepalive", "sequence_number": 2}, "keepalive")]
        return events

    def _status(self, asked: Asked) -> str:
        return "incomplete" if asked.say.stop == "limit" else "completed"

    def _items(self, asked: Asked) -> Iterator[tuple[dict[str, Any], object]]:
        """The output's items, finished, each with the part it says. Texts in a row are one message."""
        number = asked.heard.calls
        for at, part in enumerate(asked.say.parts):
            made = (asked.truth.total_input, at)
            match part:
                case Think():
                    item_id = new_id("rs_", MAKER, *made)
                    wants_summary = (asked.body.get("reasoning") or {}).get("summary")
                    shown = part.text.split("\n\n") if wants_summary and part.text else []
                    item = {"type": "reasoning", "id": item_id, "summary": [
                        {"type": "summary_text", "text": text} for text in shown
                    ]}  # fmt: skip
                    if "reasoning.encrypted_content" in (asked.body.get("include") or ()):
                        item["encrypted_content"] = seal(MAKER, asked.model, item_id)
                    yield item, part
                case Call():
                    call = {"call_id": new_id("call_", MAKER, number), "name": part.name}
                    number += 1
                    status = "incomplete" if part.broken else "completed"
                    if part.custom:
                        item_id = new_id("ctc_", MAKER, *made)
                        item = {"type": "custom_tool_call", "id": item_id, **call, "input": part.raw, "status": status}
                    else:
                        item_id = new_id("fc_", MAKER, *made)
                        item = {
                            "type": "function_call",
                            "id": item_id,
                            **call,
                            "arguments": part.json,
                            "status": status,
                        }
                    yield item, part
                case Write() | Refuse():
                    content = {"type": "refusal", "refusal": part.text}
                    if isinstance(part, Write):
                        content = {"type": "output_text", "text": part.text, "annotations": [], "logprobs": []}
                    yield (
                        {
                            "type": "message",
                            "id": new_id("msg_", MAKER, *made),
                            "status": "completed",
                            "role": "assistant",
                            "phase": "commentary" if asked.say.calls else "final_answer",
                            "content": [content],
                        },
                        part,
                    )

    def _response(self, asked: Asked, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
        assert asked.say.stop != "sequence", _NO_STOPS
        body, truth = asked.body, asked.truth
        return {
            "id": new_id("resp_", MAKER, truth.total_input),
            "object": "response",
            "created_at": _CREATED,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": body.get("instructions"),
            "max_output_tokens": body.get("max_output_tokens"),
            "metadata": body.get("metadata") or {},
            "model": asked.model,
            "output": output,
            "parallel_tool_calls": body.get("parallel_tool_calls", True),
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None, **(body.get("reasoning") or {})},
            "service_tier": "default",
            "store": False,
            "temperature": 1.0,
            "text": {"format": {"type": "text"}, **(body.get("text") or {})},
            "tool_choice": body.get("tool_choice", "auto"),
            "tools": body.get("tools") or [],
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": {
                "input_tokens": truth.total_input,
                "input_tokens_details": {"cached_tokens": truth.cache_read, "cache_write_tokens": truth.cache_write},
                "output_tokens": truth.output,
                "output_tokens_details": {"reasoning_tokens": truth.reasoning},
                "total_tokens": truth.total_input + truth.output,
            },
            "user": None,
        }


def _item_events(index: int, item: dict[str, Any], part: object) -> list[Event]:
    place = {"item_id": item["id"], "output_index": index}
    empty: dict[str, Any] = {**item, "status": "in_progress"}
    inner: list[Event] = []
    match part:
        case Think():
            empty = {**item, "summary": []}
            if "encrypted_content" in item:
                empty["encrypted_content"] = "unfinished"  # what counts is the finished item's
            for at, summary in enumerate(item["summary"]):
                inner += _summary_events({**place, "summary_index": at}, summary)
        case Call(custom=True):
            empty["input"] = ""
            inner += [
                *({"type": "response.custom_tool_call_input.delta", **place, "delta": text} for text in cut(part.raw)),
                {"type": "response.custom_tool_call_input.done", **place, "input": part.raw},
            ]
        case Call():
            empty["arguments"] = ""
            inner += [
                *(
                    {"type": "response.function_call_arguments.delta", **place, "delta": text}
                    for text in cut(part.json)
                ),
                {"type": "response.function_call_arguments.done", **place, "name": part.name, "arguments": part.json},
            ]
        case _:
            empty["content"] = []
            inner += _content_events({**place, "content_index": 0}, item["content"][0])
    return [
        {"type": "response.output_item.added", "output_index": index, "item": empty},
        *inner,
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]


def _summary_events(place: dict[str, Any], summary: dict[str, Any]) -> list[Event]:
    empty = {"type": "summary_text", "text": ""}
    return [
        {"type": "response.reasoning_summary_part.added", **place, "part": empty},
        *(
            {"type": "response.reasoning_summary_text.delta", **place, "delta": text}
            for text in cut(summary["text"])
        ),
        {"type": "response.reasoning_summary_text.done", **place, "text": summary["text"]},
        {"type": "response.reasoning_summary_part.done", **place, "part": summary},
    ]  # fmt: skip


def _content_events(place: dict[str, Any], content: dict[str, Any]) -> list[Event]:
    kind = "refusal" if content["type"] == "refusal" else "output_text"
    name = "refusal" if kind == "refusal" else "text"
    more = {} if kind == "refusal" else {"logprobs": []}
    return [
        {"type": "response.content_part.added", **place, "part": {**content, name: ""}},
        *({"type": f"response.{kind}.delta", **place, "delta": text, **more} for text in cut(content[name])),
        {"type": f"response.{kind}.done", **place, name: content[name], **more},
        {"type": "response.content_part.done", **place, "part": content},
    ]


def _event(event: Event, number: int) -> bytes:
    return sse({**event, "sequence_number": number}, event["type"])
