"""What Anthropic's Messages API answers, whole and streamed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.support.provider import Received
from tests.support.strict.anthropic import MAKER, check_anthropic, listen_anthropic, prefix_of, rules_of
from tests.support.strict.provider import Asked, StrictApi, sse
from tests.support.strict.scenario import Call, Listener, Think, cut
from tests.support.strict.seals import new_id, seal

_STOPS = {"end": "end_turn", "calls": "tool_use", "limit": "max_tokens", "refusal": "refusal",
          "sequence": "stop_sequence"}  # fmt: skip
_ERRORS: Mapping[int, str] = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error", 504: "timeout_error",
    529: "overloaded_error",
}  # fmt: skip


class Anthropic(StrictApi):
    """``POST /v1/messages``."""

    maker = MAKER
    writes_cache = True

    def check(self, request: Received, body: dict[str, Any]) -> None:
        check_anthropic(body, request.headers)

    def listen(self, body: dict[str, Any], listener: Listener) -> None:
        listen_anthropic(body, listener)

    def failure(self, status: int, message: str) -> dict[str, Any]:
        kind = _ERRORS.get(status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_strict"}

    def late_failure(self, asked: Asked) -> list[bytes]:
        return [sse({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "error")]

    def whole(self, asked: Asked) -> dict[str, Any]:
        truth = asked.truth
        return {
            "id": new_id("msg_", MAKER, asked.truth.total_input),
            "type": "message",
            "role": "assistant",
            "model": asked.model,
            "content": self._blocks(asked),
            "stop_reason": _STOPS[asked.say.stop],
            "stop_sequence": asked.say.sequence,
            "usage": {**_usage(asked), "output_tokens": truth.output},
        }

    def events(self, asked: Asked) -> list[bytes]:
        start = {**self.whole(asked), "content": [], "stop_reason": None, "stop_sequence": None}
        start["usage"] = {**_usage(asked), "output_tokens": 1}
        events = [_event({"type": "message_start", "message": start})]
        if asked.noisy:
            events += [_event({"type": "ping"}), b": keep-alive\n\n", sse({"type": "news"}, "news")]
        for index, block in enumerate(self._blocks(asked)):
            events += _block_events(index, block, broken=_is_broken(asked, index))
            if asked.noisy:
                events.append(_event({"type": "ping"}))
        delta = {"stop_reason": _STOPS[asked.say.stop], "stop_sequence": asked.say.sequence}
        usage = {"output_tokens": asked.truth.output}
        events.append(_event({"type": "message_delta", "delta": delta, "usage": usage}))
        events.append(_event({"type": "message_stop"}))
        return events

    def _blocks(self, asked: Asked) -> list[dict[str, Any]]:
        """Content blocks; thinking is readable if the request or the model says so, and sealed in any case."""
        body, said = asked.body, len(asked.body["messages"])
        display = (body.get("thinking") or {}).get("display")
        readable = display == "summarized" or (display is None and rules_of(asked.model).shows_thinking)
        blocks: list[dict[str, Any]] = []
        for part in asked.say.parts:
            if isinstance(part, Think):
                shown = part.text if readable else ""
                before = prefix_of({**body, "messages": [*body["messages"], {"content": blocks}]}, said, len(blocks))
                own = seal(MAKER, asked.model, shown)
                bound = seal(MAKER, asked.model, before)
                blocks.append({"type": "thinking", "thinking": shown, "signature": f"{own}.{bound}"})
            elif isinstance(part, Call):
                call = {"id": new_id("toolu_", MAKER, part.number), "name": part.name, "input": part.arguments}
                blocks.append({"type": "tool_use", **call})
            else:
                blocks.append({"type": "text", "text": part.text})
        return blocks


def _usage(asked: Asked) -> dict[str, Any]:
    truth = asked.truth
    return {
        "input_tokens": truth.input,
        "cache_read_input_tokens": truth.cache_read,
        "cache_creation_input_tokens": truth.cache_write,
        "cache_creation": {"ephemeral_5m_input_tokens": truth.cache_write, "ephemeral_1h_input_tokens": 0},
        "service_tier": "standard",
    }


def _is_broken(asked: Asked, index: int) -> bool:
    part = asked.say.parts[index]
    return isinstance(part, Call) and part.broken


def _block_events(index: int, block: dict[str, Any], *, broken: bool) -> list[bytes]:
    match block["type"]:
        case "thinking":
            start = {"type": "thinking", "thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": text} for text in cut(block["thinking"])]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        case "tool_use":
            start = {**block, "input": {}}
            text = json.dumps(block["input"], ensure_ascii=False)
            pieces = cut(text[: len(text) // 2] if broken else text)
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *pieces)]
        case _:
            start = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": text} for text in cut(block["text"])]
    return [
        _event({"type": "content_block_start", "index": index, "content_block": start}),
        *(_event({"type": "content_block_delta", "index": index, "delta": delta}) for delta in deltas),
        _event({"type": "content_block_stop", "index": index}),
    ]


def _event(data: dict[str, Any]) -> bytes:
    return sse(data, data["type"])
