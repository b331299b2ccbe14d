"""What Chat Completions answers, whole and streamed, in the dialects of its providers."""

from __future__ import annotations

from typing import Any

from tests.support.provider import Received
from tests.support.strict.chat import DEEPSEEK, MISTRAL, OPENAI, Dialect, check_chat, listen_chat
from tests.support.strict.provider import Asked, StrictApi, sse
from tests.support.strict.scenario import Call, Listener, Refuse, Think, Write, cut
from tests.support.strict.seals import new_id

_FINISH = {"end": "stop", "calls": "tool_calls", "limit": "length", "refusal": "stop", "sequence": "stop"}
_CREATED = 1_763_000_000


class Chat(StrictApi):
    """``POST /chat/completions``."""

    def __init__(self, dialect: Dialect = OPENAI) -> None:
        self.dialect = dialect
        self.maker = dialect.maker
        self.writes_cache = dialect is OPENAI

    def check(self, request: Received, body: dict[str, Any]) -> None:
        assert request.headers.get("authorization", "").startswith("Bearer "), "You didn't provide an API key."
        check_chat(body, self.dialect)

    def listen(self, body: dict[str, Any], listener: Listener) -> None:
        listen_chat(body, listener)

    def failure(self, status: int, message: str) -> dict[str, Any]:
        if self.dialect is MISTRAL:
            return {"object": "error", "message": {"detail": [{"msg": message}]}, "type": "invalid", "code": None}
        return openai_failure(status, message)

    def late_failure(self, asked: Asked) -> list[bytes]:
        return [sse({"error": {"message": "The server is overloaded", "type": "server_error", "code": "overloaded"}})]

    def whole(self, asked: Asked) -> dict[str, Any]:
        said = asked.say.parts
        text = "".join(part.text for part in said if isinstance(part, Write))
        refusal = "".join(part.text for part in said if isinstance(part, Refuse))
        message: dict[str, Any] = {"role": "assistant", "content": text or None, "refusal": refusal or None}
        if self.dialect.thinks_in and (thought := self._thought(asked)):
            message[self.dialect.thinks_in] = thought
        if asked.say.calls:
            message["tool_calls"] = [self._call(call) for call in asked.say.calls]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _FINISH[asked.say.stop]}
        return {**self._head(asked, "chat.completion"), "choices": [choice], "usage": self._usage(asked)}

    def events(self, asked: Asked) -> list[bytes]:
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        for part in asked.say.parts:
            deltas += self._deltas(part, asked)
            if asked.noisy:
                deltas.append({})
        usage_asked = bool((asked.body.get("stream_options") or {}).get("include_usage", not asked.body.get("stream")))
        events = [self._chunk(asked, delta, None, usage_asked) for delta in deltas]
        if asked.noisy:
            events[1:1] = [b": PROCESSING\n\n", b":\n\n"]
        if self.dialect is OPENAI:
            events.append(self._chunk(asked, {}, _FINISH[asked.say.stop], usage_asked))
            if usage_asked:
                chunk = {**self._head(asked, "chat.completion.chunk"), "choices": [], "usage": self._usage(asked)}
                events.append(sse(chunk))
        else:  # usage without being asked for it, on the last chunk
            finish = {"index": 0, "delta": {"content": ""}, "finish_reason": _FINISH[asked.say.stop]}
            head = self._head(asked, "chat.completion.chunk")
            events.append(sse({**head, "choices": [finish], "usage": self._usage(asked)}))
        return [*events, b"data: [DONE]\n\n"]

    def _deltas(self, part: object, asked: Asked) -> list[dict[str, Any]]:
        match part:
            case Think():
                field = self.dialect.thinks_in
                return [{"content": None, field: text} for text in cut(self._thought(asked))] if field else []
            case Refuse(text):
                return [{"refusal": piece} for piece in cut(text)]
            case Write(text):
                return [{"content": piece} for piece in cut(text)]
            case Call():
                index = asked.say.calls.index(part)
                call = self._call(part)
                if self.dialect is MISTRAL:
                    return [{"tool_calls": [{"index": index, **call}]}]
                arguments = call["function"].pop("arguments")
                call["function"]["arguments"] = ""
                return [
                    {"tool_calls": [{"index": index, **call}]},
                    *({"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in cut(arguments)),
                ]
        raise AssertionError(part)

    def _thought(self, asked: Asked) -> str:
        return "".join(part.text for part in asked.say.parts if isinstance(part, Think))

    def _call(self, call: Call) -> dict[str, Any]:
        made = new_id("call_", self.maker, call.number)
        name = made[-9:] if self.dialect is MISTRAL else made
        if call.custom:
            return {"id": name, "type": "custom", "custom": {"name": call.name, "input": call.raw}}
        return {"id": name, "type": "function", "function": {"name": call.name, "arguments": call.json}}

    def _chunk(self, asked: Asked, delta: dict[str, Any], finish: str | None, usage: bool) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunk = {**self._head(asked, "chat.completion.chunk"), "choices": [choice]}
        if usage and self.dialect is OPENAI:
            chunk["usage"] = None
        if asked.noisy and self.dialect is OPENAI:
            chunk["obfuscation"] = "x" * (7 - len(str(delta)) % 7)
        return sse(chunk)

    def _head(self, asked: Asked, kind: str) -> dict[str, Any]:
        made = new_id("chatcmpl-", self.maker, asked.truth.total_input)
        return {"id": made, "object": kind, "created": _CREATED, "model": asked.model, "service_tier": "default"}

    def _usage(self, asked: Asked) -> dict[str, Any]:
        truth = asked.truth
        usage: dict[str, Any] = {
            "prompt_tokens": truth.total_input,
            "completion_tokens": truth.output,
            "total_tokens": truth.total_input + truth.output,
            "completion_tokens_details": {"reasoning_tokens": truth.reasoning},
        }
        if self.dialect is DEEPSEEK:
            miss = truth.total_input - truth.cache_read
            return {**usage, "prompt_cache_hit_tokens": truth.cache_read, "prompt_cache_miss_tokens": miss}
        details = {"cached_tokens": truth.cache_read, "audio_tokens": 0}
        if self.dialect is OPENAI:
            details["cache_write_tokens"] = truth.cache_write
        return {**usage, "prompt_tokens_details": details}


def openai_failure(status: int, message: str) -> dict[str, Any]:
    """OpenAI's error object, for both of its formats."""
    kind = "server_error" if status >= 500 else "rate_limit_error" if status == 429 else "invalid_request_error"
    code = {429: "rate_limit_exceeded", 401: "invalid_api_key"}.get(status)
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
