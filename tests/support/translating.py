"""Requests, targets and replies for tests that look across wire formats."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from router.providers.catalog import shipped
from router.providers.traits import traits_for
from router.server.endpoints import resolve
from router.wire.body import Body
from router.wire.formats import CODECS
from router.wire.request import Api, RequestView
from router.wire.traits import Traits
from router.wire.translate import Translation
from tests.support.recorded import cases
from tests.support.strict.anthropic import check_anthropic
from tests.support.strict.chat import DEEPSEEK, MISTRAL, Dialect, check_chat
from tests.support.strict.gemini import check_gemini
from tests.support.strict.responses import check_responses

PAYLOADS = Path(__file__).parents[1] / "data" / "payloads"

A: Api = "anthropic-messages"
C: Api = "openai-chat"
R: Api = "openai-responses"
G: Api = "gemini"
APIS: tuple[Api, ...] = (A, C, R, G)


@dataclass(frozen=True)
class Asking:
    """One request as a client sent it: its body, and what stood in the URL."""

    id: str
    api: Api
    body: dict[str, Any]
    url_model: str | None = None
    url_stream: bool = False

    @cached_property
    def _raw(self) -> bytes:
        return json.dumps(self.body, ensure_ascii=False).encode()

    def view(self) -> RequestView:
        """As the server sees it."""
        return CODECS[self.api].view(Body.parse(self._raw), url_model=self.url_model, url_stream=self.url_stream)


@dataclass(frozen=True)
class Target:
    """One model at one provider, as the router knows it, and a check of what is sent there."""

    name: str
    api: Api
    provider: str
    model: str
    check: Callable[[dict[str, Any]], None]

    @property
    def traits(self) -> Traits:
        """Its flags, from the catalog."""
        return traits_for(shipped()[self.provider], self.model, self.api)


_ANYONE = Dialect("anyone", id_pattern=".+")
_DEEPSEEK = replace(DEEPSEEK, id_pattern=".+")


def _like_claude(body: dict[str, Any]) -> None:
    """Only Anthropic itself minds two sampling parameters at once, and nobody knows how much such a model writes."""
    shown = {name: value for name, value in body.items() if name not in ("temperature", "top_p")}
    check_anthropic(shown | {"max_tokens": min(body["max_tokens"], 64_000)})


def _like_gpt(body: dict[str, Any]) -> None:
    """Only OpenAI itself knows which models think, and minds very short answers."""
    check_responses({name: value for name, value in body.items() if name not in ("reasoning", "max_output_tokens")})


def _mistral(body: dict[str, Any]) -> None:
    """Mistral has a part of its own for documents, and its tools' results may have any part that a user's text has."""
    shown = json.loads(json.dumps(body), object_hook=_with_files)
    check_chat({**shown, "messages": [*map(_with_text_results, shown["messages"])]}, MISTRAL)


def _with_files(part: dict[str, Any]) -> dict[str, Any]:
    """The part as the one that stands where Mistral's documents stand elsewhere. They may be at an address."""
    if part.get("type") != "document_url":
        return part
    assert part.keys() <= {"type", "document_url", "document_name"}
    data = re.sub("^https?://.+", "data:application/pdf;base64,AAAA", part["document_url"])
    return {"type": "file", "file": {"filename": part.get("document_name", "document.pdf"), "file_data": data}}


def _with_text_results(message: dict[str, Any]) -> dict[str, Any]:
    if message["role"] != "tool" or isinstance(message["content"], str):
        return message
    check_chat({"model": "m", "messages": [{"role": "user", "content": message["content"]}]})
    return {**message, "content": [part for part in message["content"] if part["type"] == "text"]}


def _gemini(model: str) -> Callable[[dict[str, Any]], None]:
    return lambda body: check_gemini(body, model)


TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target("claude", A, "anthropic", "claude-opus-5-5", check_anthropic),
        Target("older claude", A, "anthropic", "claude-haiku-4-5", check_anthropic),
        Target("like claude", A, "litellm", "some-model-4-0", _like_claude),
        Target("gpt on chat", C, "openai", "gpt-5.6", check_chat),
        Target("older gpt", C, "openai", "gpt-4.1", check_chat),
        Target("deepseek", C, "deepseek", "deepseek-reasoner", lambda body: check_chat(body, _DEEPSEEK)),
        Target("mistral", C, "mistral", "mistral-large-latest", _mistral),
        Target("like gpt on chat", C, "litellm", "some-model", lambda body: check_chat(body, _ANYONE)),
        Target("gpt", R, "openai", "gpt-5.6", check_responses),
        Target("like gpt", R, "litellm", "some-model", _like_gpt),
        Target("gemini", G, "gemini", "gemini-3-pro", _gemini("gemini-3-pro")),
        Target("older gemini", G, "gemini", "gemini-2.5-pro", _gemini("gemini-2.5-pro")),
    )
}

MAIN: Mapping[Api, Target] = {TARGETS[name].api: TARGETS[name] for name in ("claude", "gpt on chat", "gpt", "gemini")}
"""The most particular target of each format."""


def request(api: Api, **fields: Any) -> Asking:
    """A request made up for a test."""
    if api == G:
        return Asking("", api, fields, "gemini-x", False)
    return Asking("", api, {"model": "m", **fields})


def recorded_requests() -> list[Asking]:
    """Every request among the recorded cases."""
    found = []
    for case in cases():
        if case.request is not None:
            streams = case.endpoint == "streamGenerateContent"
            model = str(case.raw["model"]) if case.api == G else None
            found.append(Asking(case.id, case.api, case.request, model, streams))  # type: ignore[arg-type]
    return found


def agents_requests() -> list[Asking]:
    """Every request to generate or to count that real agents sent."""
    found = []
    for path in sorted(PAYLOADS.glob("*.json")):
        sent = json.loads(path.read_text(encoding="utf-8"))
        endpoint = resolve(sent["path"], prefixed=False)
        if endpoint.kind in ("generate", "count") and isinstance(sent.get("body"), dict):
            assert endpoint.api is not None
            found.append(Asking(path.stem, endpoint.api, sent["body"], endpoint.model, endpoint.stream))
    return found


def translation(asking: Asking, target: Target | Traits, api: Api | None = None, *, lossy: bool = False) -> Translation:
    """The request on its way to a target. ``lossy``: losses that would be refused are allowed."""
    traits = target if isinstance(target, Traits) else target.traits
    to = target.api if isinstance(target, Target) else api
    assert to is not None
    return Translation(asking.view(), CODECS[asking.api], CODECS[to], traits, allow_losses=lossy)


def rendered(asking: Asking, target: Target | Traits, api: Api | None = None, *, lossy: bool = False) -> dict[str, Any]:
    """The body that the target gets."""
    body = json.loads(translation(asking, target, api, lossy=lossy).body)
    assert isinstance(body, dict)
    return body


def with_fields(asking: Asking, **fields: Any) -> Asking:
    """The same request with some top-level fields changed."""
    return replace(asking, body={**asking.body, **fields})


def next_turn(first: Asking, told: dict[str, Any]) -> Asking:
    """The client's next request: all it was told, and the result of the one call in it."""
    match first.api:
        case "anthropic-messages":
            (call,) = [block for block in told["content"] if block["type"] == "tool_use"]
            result = {"type": "tool_result", "tool_use_id": call["id"], "content": "noon"}
            added = [{"role": "assistant", "content": told["content"]}, {"role": "user", "content": [result]}]
            return with_fields(first, messages=[*first.body["messages"], *added])
        case "openai-chat":
            message = told["choices"][0]["message"]
            result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "noon"}
            return with_fields(first, messages=[*first.body["messages"], message, result])
        case "openai-responses":
            (call,) = [item for item in told["output"] if item["type"] == "function_call"]
            result = {"type": "function_call_output", "call_id": call["call_id"], "output": "noon"}
            return with_fields(first, input=[*first.body["input"], *told["output"], result])
        case _:
            content = told["candidates"][0]["content"]
            (call,) = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
            answer = {"name": call["name"], "response": {"result": "noon"}}
            part = {"functionResponse": answer | ({"id": call["id"]} if "id" in call else {})}
            return with_fields(first, contents=[*first.body["contents"], content, {"role": "user", "parts": [part]}])
