"""Codex (``codex``), the Responses format. Observed with version 0.169.

It describes each request in a JSON header, ``x-codex-turn-metadata``. Older versions and the desktop program send
the session headers without it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

from router.agents.agent import Agent, AgentRequest, latest_human_text, newest_marker
from router.agents.pointing import NOTHING, Address, AgentFile, Change, Found, Pointing, Settings

CONFIG: Final = AgentFile("{CODEX_HOME|~/.codex}/config.toml", "toml")
PROVIDER: Final = "router"
KEY_VARIABLE: Final = "ROUTER_CLIENT_KEY"
# The router tries other providers itself, and may wait for one as long as its own timeout says (300 s by default).
_PATIENCE: Final = {"request_max_retries": 2, "stream_idle_timeout_ms": 300_000}
_MODE: Final = re.compile(
    r"<collaboration_mode>\s*#+ (?:(?P<on>Plan Mode|Collaboration Mode: Plan)|(?P<off>Collaboration Mode))"
)
_COMPACTION_WORDS: Final = "CONTEXT CHECKPOINT COMPACTION"


class Codex(Agent):
    """OpenAI's agent: terminal, ``exec``, editor extension, SDK."""

    name = "codex"
    command = "codex"
    install = "npm install -g @openai/codex"
    files = (CONFIG,)
    user_agents = ("codex_", "codex-", "codex/", "codex ")
    marks: ClassVar[Mapping[str, str]] = {"originator": "codex", "x-codex-turn-metadata": ""}

    def plan_mode(self, request: AgentRequest) -> bool:
        """The newest developer message that sets the collaboration mode sets it to planning."""
        return newest_marker(request.view, _MODE, hints=(b"collaboration_mode",)) == "on"

    def subagent(self, request: AgentRequest) -> bool:
        """The sub-agent header (a compaction may carry it too, and is none), or the turn's thread source."""
        kind = request.headers.get("x-openai-subagent")
        if kind is not None:
            return kind != "compact"
        return _turn(request.headers).get("thread_source") == "subagent"

    def compaction(self, request: AgentRequest) -> bool:
        """The turn's kind; a trailing ``compaction_trigger`` item; in older versions the prompt's own words."""
        if _turn(request.headers).get("request_kind") == "compaction":
            return True
        if request.headers.get("x-openai-subagent") == "compact":
            return True
        pieces = request.view.pieces()
        if pieces and pieces[-1].kind == "message" and b'"compaction_trigger"' in pieces[-1].raw[:200]:
            return True
        return not request.view.tool_count and _COMPACTION_WORDS in latest_human_text(request.view)[:500]

    def session(self, request: AgentRequest) -> str | None:
        """The root session; a sub-agent, which has a thread of its own in it, is ``SESSION/THREAD``."""
        session = request.headers.get("session-id") or request.headers.get("session_id")
        thread = request.headers.get("thread-id")
        if session and thread and thread != session:
            return f"{session}/{thread}"
        return session or thread

    def pointing(self, to: Address, found: Found = NOTHING) -> Pointing:
        """A provider of our own, by arguments: the built-in one reads no variable for its address, insists on a
        WebSocket and on its vendor's compaction."""
        provider = (
            f'{{name="Router", base_url="{to.base_url}/v1", env_key="{KEY_VARIABLE}", wire_api="responses", '
            f"{', '.join(f'{name}={value}' for name, value in _PATIENCE.items())}}}"
        )
        return Pointing(
            {KEY_VARIABLE: to.secret},
            arguments=("-c", f'model_provider="{PROVIDER}"', "-c", f"model_providers.{PROVIDER}={provider}"),
        )

    def settings(self, to: Address, found: Found = NOTHING) -> Settings:
        """The same provider in its configuration, with the key in it where one is asked for."""
        key = {"experimental_bearer_token": to.key} if to.key else {}
        provider = {"name": "Router", "base_url": f"{to.base_url}/v1", "wire_api": "responses", **key, **_PATIENCE}
        values: dict[tuple[str, ...], object] = {("model_provider",): PROVIDER}
        values |= {("model_providers", PROVIDER, name): value for name, value in provider.items()}
        return Settings((Change(CONFIG, values),))

    def address(self, found: Found) -> str | None:
        """That of the chosen provider."""
        provider = found.read(CONFIG, "model_provider")
        if isinstance(provider, str):
            address = found.read(CONFIG, "model_providers", provider, "base_url")
        else:
            address = found.read(CONFIG, "openai_base_url")
        return address if isinstance(address, str) else None


def _turn(headers: Mapping[str, str]) -> dict[str, Any]:
    text = headers.get("x-codex-turn-metadata")
    if not text:
        return {}
    try:
        turn = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {}
    return turn if isinstance(turn, dict) else {}
