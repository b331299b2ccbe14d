"""What Gemini's generateContent answers, whole and streamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.provider import Received
from tests.support.strict.gemini import MAKER, camel, check_gemini, has_signatures, listen_gemini, sealed_with
from tests.support.strict.provider import Asked, StrictApi, sse
from tests.support.strict.scenario import Call, Listener, Refuse, Think, Write, cut
from tests.support.strict.seals import new_id, seal

_FINISH = {"end": "STOP", "calls": "STOP", "limit": "MAX_TOKENS", "refusal": "SAFETY", "sequence": "STOP"}
_STATUS: Mapping[int, str] = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip


class Gemini(StrictApi):
    """``POST /models/M:generateContent`` and ``:streamGenerateContent``. ``ids``: whether calls have ids of their own;
    ``tidy``: see ``check_gemini``."""

    maker = MAKER

    def __init__(self, *, ids: bool = False, tidy: bool = True) -> None:
        self.ids = ids
        self.tidy = tidy

    def normal(self, body: dict[str, Any]) -> dict[str, Any]:
        return body if self.tidy else camel(body)  # type: ignore[no-any-return]

    def model(self, request: Received, body: dict[str, Any]) -> str:
        return request.path.partition("?")[0].rpartition("/")[2].partition(":")[0]

    def streams(self, request: Received, body: dict[str, Any]) -> bool:
        return ":streamGenerateContent" in request.path

    def check(self, request: Received, body: dict[str, Any]) -> None:
        assert request.headers.get("x-goog-api-key"), "Method doesn't allow unregistered callers."
        assert not self.streams(request, body) or "alt=sse" in request.path, "only event streams are spoken here"
        check_gemini(body, self.model(request, body), tidy=self.tidy)

    def listen(self, body: dict[str, Any], listener: Listener) -> None:
        listen_gemini(body, listener)

    def failure(self, status: int, message: str) -> dict[str, Any]:
        name = _STATUS.get(status, "INVALID_ARGUMENT" if status < 500 else "INTERNAL")
        return {"error": {"code": status, "message": message, "status": name}}

    def late_failure(self, asked: Asked) -> list[bytes]:
        return [sse(self.failure(503, "The model is overloaded."))]

    def whole(self, asked: Asked) -> dict[str, Any]:
        return self._reply(asked, self._parts(asked), last=True)

    def events(self, asked: Asked) -> list[bytes]:
        pieces: list[list[dict[str, Any]]] = []
        for part in self._parts(asked):
            texts = cut(part["text"], 12) if "text" in part else []
            marks = {name: value for name, value in part.items() if name not in ("text", "thoughtSignature")}
            if texts:
                pieces += [[{"text": text, **marks}] for text in texts]
                if "thoughtSignature" in part:
                    pieces[-1][0]["thoughtSignature"] = part["thoughtSignature"]
            else:
                pieces.append([part])
        if asked.noisy:
            pieces.append([{"text": ""}])
        events = [sse(self._reply(asked, piece, last=False)) for piece in pieces[:-1]]
        return [*events, sse(self._reply(asked, pieces[-1] if pieces else [], last=True))]

    def _parts(self, asked: Asked) -> list[dict[str, Any]]:
        """Parts of the answer. Thoughts are shown where asked for; Gemini 3 signs the first call, or the last text."""
        config = (asked.body.get("generationConfig") or {}).get("thinkingConfig") or {}
        parts: list[dict[str, Any]] = []
        for part in asked.say.parts:
            if isinstance(part, Think):
                if config.get("includeThoughts") and part.text:
                    parts.append({"text": part.text, "thought": True})
            elif isinstance(part, Call):
                made = {"id": new_id("", MAKER, part.number)[:8]} if self.ids else {}
                parts.append({"functionCall": {**made, "name": part.name, "args": part.arguments}})
            elif isinstance(part, Write):
                parts.append({"text": part.text})
        thinks = any(isinstance(part, Think) for part in asked.say.parts)
        if has_signatures(asked.model):
            calls = [part for part in parts if "functionCall" in part]
            texts = [part for part in parts if "text" in part and not part.get("thought")]
            signed = calls[:1] or (texts[-1:] if thinks else [])
            for part in signed:
                part["thoughtSignature"] = seal(MAKER, asked.model, *sealed_with(part))
        return parts

    def _reply(self, asked: Asked, parts: list[dict[str, Any]], *, last: bool) -> dict[str, Any]:
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
        if last:
            candidate["finishReason"] = _FINISH[asked.say.stop]
            if any(isinstance(part, Refuse) for part in asked.say.parts):
                candidate = {"finishReason": "SAFETY", "index": 0}
        return {
            "candidates": [candidate],
            "usageMetadata": self._usage(asked, last=last),
            "modelVersion": asked.model,
            "responseId": new_id("", MAKER, asked.truth.total_input),
        }

    def _usage(self, asked: Asked, *, last: bool) -> dict[str, Any]:
        truth = asked.truth
        spoken = truth.output - truth.reasoning if last else 1
        usage = {
            "promptTokenCount": truth.total_input,
            "cachedContentTokenCount": truth.cache_read,
            "candidatesTokenCount": spoken,
            "totalTokenCount": truth.total_input + spoken + truth.reasoning,
        }
        return {**usage, "thoughtsTokenCount": truth.reasoning} if truth.reasoning else usage
