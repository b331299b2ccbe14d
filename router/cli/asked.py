"""A request without a client: from a file, a record or a description to the facts that rules look at.

For `router explain` and the ``[[test]]`` entries that `router check` runs. What can be done as the server does it is
done by the server's own code.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from multidict import CIMultiDict, CIMultiDictProxy

from router.cli.places import Places
from router.errors import ConfigError
from router.profile.files import Unreadable, read_text
from router.profile.problems import key_text
from router.profile.profile import Profile
from router.providers.credentials import Credentials
from router.routing.facts import Facts, RequestFacts
from router.routing.given import read_given
from router.routing.tokens import PieceSummaries
from router.server.budget_terms import terms_of
from router.server.client_keys import limits_of
from router.server.endpoints import resolve
from router.server.tenant import Tenant
from router.wire.body import Body
from router.wire.formats import CODECS
from router.wire.request import Api


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it would arrive. ``model`` and ``stream`` are those of a Gemini URL."""

    api: Api
    body: bytes
    headers: Mapping[str, str]
    model: str | None = None
    stream: bool = False


def read_file(path: Path, *, api: Api | None, headers: Mapping[str, str], model: str | None = None) -> Asked:
    """A file with a request's body, or with a captured request: an object with ``path``, ``headers`` and ``body``.

    Raises ConfigError.
    """
    try:
        content = _parsed(read_text(path), str(path))
    except Unreadable as error:
        raise ConfigError(f"{path} {error}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds no JSON object: expected a request's body")
    return read_object(content, str(path), api=api, headers=headers, model=model)


def read_object(
    content: Mapping[str, Any],
    what: str,
    *,
    api: Api | None = None,
    headers: Mapping[str, str] | None = None,
    model: str | None = None,
) -> Asked:
    """The same from a parsed object; ``what`` names it in errors."""
    body, path, sent = content, "", CIMultiDict[str]()
    url_model, stream = model, False
    if "body" in content and ("headers" in content or "path" in content):
        body, path = content["body"], str(content.get("path") or "")
        given = content.get("headers") or {}
        sent.extend(given.items() if isinstance(given, Mapping) else given)
        if isinstance(body, str):
            body = _parsed(body, f"the body in {what}")
        if not isinstance(body, Mapping):
            raise ConfigError(f"{what} is a captured request without a body")
        endpoint = resolve(path.partition("?")[0], prefixed=True)
        if endpoint.kind in ("generate", "count"):
            api, url_model, stream = api or endpoint.api, model or endpoint.model, endpoint.stream
    for name, value in (headers or {}).items():
        sent[name] = value
    raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return Asked(api or guess_api(body, what), raw, sent, url_model, stream)


def _parsed(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{what} isn't JSON: {error}") from None


def guess_api(body: Mapping[str, Any], what: str) -> Api:
    """The wire format of a body that came without its URL, by the fields that only one has. Raises ConfigError."""
    if "contents" in body:
        return "gemini"
    if "messages" not in body:
        if "input" in body:
            return "openai-responses"
        raise ConfigError(
            f"{what} looks like no request: expected messages, input or contents; give the format with --api"
        )
    tools = body.get("tools")
    first = tools[0] if isinstance(tools, list) and tools and isinstance(tools[0], dict) else {}
    chat_only = {"max_completion_tokens", "reasoning_effort", "response_format", "stream_options"}
    if "function" in first or chat_only & body.keys() or any(_role(m) in ("system", "tool") for m in body["messages"]):
        return "openai-chat"
    if "system" in body or "thinking" in body or "input_schema" in first or "max_tokens" in body:
        return "anthropic-messages"
    return "openai-chat"


def _role(message: object) -> object:
    return message.get("role") if isinstance(message, dict) else None


class Asker:
    """One profile as the server would run it, to ask it about requests."""

    def __init__(self, places: Places, profile: Profile) -> None:
        self.places = places
        self.profile = profile
        self.tenant = Tenant(profile, Credentials(os.environ), places.prices)
        self._summaries = PieceSummaries()
        keys = {
            key.name: limits_of(key.daily_usd, key.monthly_usd)
            for key in places.reader.client_keys(profile.name)
            if key.revoked_ms is None
        }
        if terms := terms_of(profile, keys):
            found = places.reader.budget_past(profile.name, profile.timezone, 0)
            self.tenant.spending.load(found, terms, profile.timezone)

    def facts(self, asked: Asked) -> RequestFacts:
        """The facts of a whole request. Raises BadRequest for a body the router would refuse."""
        view = CODECS[asked.api].view(Body.parse(asked.body), url_model=asked.model, url_stream=asked.stream)
        facts = self.tenant.facts(
            view, headers=CIMultiDictProxy(CIMultiDict(asked.headers)), key=None, summaries=self._summaries
        )
        facts.may_count = True
        return facts

    def described(self, given: Mapping[str, object]) -> Facts:
        """The facts of a described request. Raises ConfigError naming every wrong one."""
        problems: list[str] = []
        facts = read_given(
            given,
            path=(),
            report=lambda path, message: problems.append(f"{key_text(path)}: {message}"),
            phrases=self.profile.routes.phrases,
            now=datetime.now(self.profile.timezone),
        )
        if problems:
            raise ConfigError("\n".join(f"{problem}; see `router explain --help`" for problem in problems))
        return facts

    async def script_answer(self, facts: RequestFacts) -> str | None:
        """What the profile's script says of a request; its process is ended again."""
        script = self.tenant.script
        if script is None:
            return None
        try:
            return await self.tenant.ask_script(facts)
        finally:
            await script.end()
