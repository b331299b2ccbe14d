"""Codex (``codex``), the Responses format. Observed with version 0.169.

It describes each request in a JSON header, ``x-codex-turn-metadata``. Older versions and the desktop program send
the session headers without it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

from router.agents.agent import ANY_KEY, Agent, AgentRequest, latest_human_text, newest_marker

KEY_VARIABLE: Final = "ROUTER_CLIENT_KEY"
_MODE: Final = re.compile(
    r"<collaboration_mode>\s*#+ (?:(?P<on>Plan Mode|Collaboration Mode: Plan)|(?P<off>Collaboration Mode))"
)
_COMPACTION_WORDS: Final = "CONTEXT CHECKPOINT COMPACTION"


class Codex(Agent):
    """OpenAI's agent: terminal, ``exec``, editor extension, SDK."""

    name = "codex"
    command = "codex"
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

    def environment(self, base_url: str, key: str) -> dict[str, str]:
        """The key; the address goes into ``arguments``, Codex reads it from its configuration only."""
        return {KEY_VARIABLE: key or ANY_KEY}

    def arguments(self, base_url: str, key: str) -> tuple[str, ...]:
        """A provider of our own: the built-in one insists on a WebSocket and on its vendor's compaction."""
        provider = f'{{name="Router", base_url="{base_url}/v1", env_key="{KEY_VARIABLE}", wire_api="responses"}}'
        return ("-c", 'model_provider="router"', "-c", f"model_providers.router={provider}")

    def instructions(self, base_url: str, key: str) -> str:
        """The same as one command."""
        provider, address = self.arguments(base_url, key)[1::2]
        return f"{KEY_VARIABLE}={key or ANY_KEY} codex -c '{provider}' -c '{address}'"


def _turn(headers: Mapping[str, str]) -> dict[str, Any]:
    text = headers.get("x-codex-turn-metadata")
    if not text:
        return {}
    try:
        turn = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {}
    return turn if isinstance(turn, dict) else {}
