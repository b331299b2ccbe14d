"""Recorded traffic (``tests/data/wire``) as cases for end-to-end tests: paths, bodies, replies and what they cost."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

CASES = Path(__file__).parents[1] / "data" / "wire" / "cases"

_PATHS = {
    "anthropic-messages": "/v1/messages",
    "openai-chat": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
    "gemini": "/v1beta/models/{model}:generateContent",
}
_ENDPOINT_PATHS = {
    "count_tokens": "/v1/messages/count_tokens",
    "input_tokens": "/v1/responses/input_tokens",
    "compact": "/v1/responses/compact",
    "countTokens": "/v1beta/models/{model}:countTokens",
    "streamGenerateContent": "/v1beta/models/{model}:streamGenerateContent?alt=sse",
}


@dataclass(frozen=True)
class Case:
    """One recorded exchange."""

    raw: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.raw["id"])

    @property
    def api(self) -> str:
        return str(self.raw["api"])

    @property
    def endpoint(self) -> str | None:
        return self.raw["endpoint"]  # type: ignore[no-any-return]

    @property
    def request(self) -> dict[str, Any] | None:
        return self.raw["request"]  # type: ignore[no-any-return]

    @property
    def status(self) -> int:
        return int(self.raw["response"]["status"])

    @property
    def content_type(self) -> str:
        return str(self.raw["response"]["content_type"])

    @property
    def streamed(self) -> bool:
        return "event-stream" in self.content_type

    @property
    def counts(self) -> bool:
        """Whether it counts tokens instead of generating."""
        return self.endpoint in ("count_tokens", "input_tokens", "countTokens")

    @property
    def error_inside(self) -> bool:
        """Whether the reply is an error dressed as a success."""
        body = self.raw["response"]["body"]
        return self.status == 200 and isinstance(body, dict) and bool(body.get("error"))

    @cached_property
    def reply(self) -> bytes:
        """The reply's body. Recorded JSON is written with odd spacing, so that nothing can be made anew in secret."""
        body = self.raw["response"]["body"]
        return body.encode() if isinstance(body, str) else json.dumps(body, indent=1, ensure_ascii=False).encode()

    @property
    def reply_headers(self) -> list[tuple[str, str]]:
        kept = self.raw["response"].get("headers") or {}
        return [("content-type", self.content_type), *kept.items()]

    def path(self, model: str) -> str:
        """Below the profile's base. A case that has only its reply gets the path it must have come from."""
        template = _ENDPOINT_PATHS.get(self.endpoint or "", _PATHS[self.api])
        if self.api == "gemini" and self.streamed:
            template = _ENDPOINT_PATHS["streamGenerateContent"]
        return template.format(model=model)

    def asking(self, model: str) -> dict[str, Any]:
        """The recorded request for another model, or the smallest one that gets such a reply."""
        if self.request is not None:
            body = dict(self.request)
        else:
            body = {"messages": []} if self.api in ("anthropic-messages", "openai-chat") else {"input": "hi"}
            body = {"contents": []} if self.api == "gemini" else body
            if self.streamed and self.api != "gemini":
                body["stream"] = True
        if self.api != "gemini":
            body["model"] = model
        return body


def cases() -> list[Case]:
    """All of them."""
    return [Case(json.loads(path.read_text(encoding="utf-8"))) for path in sorted(CASES.glob("*.json"))]


def neutral_usage(case: Case) -> dict[str, int] | None:
    """What the ledger should say: fresh input, cache reads, cache writes, output. ``None`` if nothing was reported.

    A plain reading of the whole reply, beside the router's own: later reports of a stream lie over earlier ones.
    """
    report: dict[str, Any] = {}
    for event in _events(case):
        inner = [event, event.get("message"), event.get("response"), event.get("x_groq")]
        for holder in inner:
            if isinstance(holder, dict):
                found = holder.get("usage") or holder.get("usageMetadata") or {}
                report.update({name: value for name, value in found.items() if value is not None})
    if not report:
        return None
    if case.api == "anthropic-messages":
        return {
            "input": report.get("input_tokens", 0),
            "read": report.get("cache_read_input_tokens", 0),
            "write": report.get("cache_creation_input_tokens", 0),
            "output": report.get("output_tokens", 0),
        }
    if case.api == "gemini":
        read = report.get("cachedContentTokenCount", 0)
        asked = report.get("promptTokenCount", 0) + report.get("toolUsePromptTokenCount", 0)
        said = report.get("candidatesTokenCount", 0) + report.get("thoughtsTokenCount", 0)
        return {"input": asked - read, "read": read, "write": 0, "output": said}
    details = report.get("prompt_tokens_details") or report.get("input_tokens_details") or {}
    read = details.get("cached_tokens") or report.get("prompt_cache_hit_tokens") or report.get("num_cached_tokens") or 0
    write = details.get("cache_write_tokens") or 0
    asked = report.get("prompt_tokens", report.get("input_tokens", 0))
    said = report.get("completion_tokens", report.get("output_tokens", 0))
    said = max(said, report.get("total_tokens", 0) - asked)  # some leave reasoning out of the completion
    return {"input": asked - read - write, "read": read, "write": write, "output": said}


def _events(case: Case) -> list[dict[str, Any]]:
    if not case.streamed:
        body = case.raw["response"]["body"]
        return [body] if isinstance(body, dict) else []
    found = []
    for line in case.reply.decode().splitlines():
        data = line.removeprefix("data:").strip()
        if line.startswith("data:") and data != "[DONE]":
            found.append(json.loads(data))
    return [event for event in found if isinstance(event, dict)]
