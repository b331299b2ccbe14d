"""OpenClaw (``openclaw``), by its public source and documentation; not observed here.

It calls providers through their SDKs under those names, so it is told by the first words of its system prompt, or by
the user-agent that ``instructions`` lets it send. With a subscription log-in it imitates Claude Code, and is
taken for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

import msgspec

from router.agents.agent import ANY_KEY, Agent, AgentRequest, latest_human_text

_SUBAGENT: Final = "# Subagent Context"
_SLUG: Final = "generate a short 1-2 word filename slug"
_COMPACTION: Final = "You are a context summarization assistant"


class OpenClaw(Agent):
    """The personal assistant and its gateway."""

    name = "openclaw"
    command = "openclaw"
    user_agents = ("openclaw",)
    marks: ClassVar[Mapping[str, str]] = {
        "x-openrouter-title": "openclaw",
        "x-title": "openclaw",
        "http-referer": "openclaw.ai",
    }
    openings = ("You are a personal assistant running inside OpenClaw",)

    def side_job(self, request: AgentRequest) -> bool:
        """The name of a memory file for a finished session."""
        return _SLUG in latest_human_text(request.view)[:500]

    def subagent(self, request: AgentRequest) -> bool:
        """A spawned session's system prompt has a section about it."""
        return f"{_SUBAGENT}\n" in request.view.system_text

    def compaction(self, request: AgentRequest) -> bool:
        """Its summarizer's system prompt."""
        return request.view.system_text.startswith(_COMPACTION)

    def environment(self, base_url: str, key: str) -> dict[str, str]:
        """Nothing but its configuration counts."""
        return {}

    def instructions(self, base_url: str, key: str) -> str:
        """A provider of our own and, as an example, one model of the profile."""
        provider = {
            "baseUrl": base_url,
            "apiKey": key or ANY_KEY,
            "api": "anthropic-messages",
            "headers": {"user-agent": "openclaw"},
            "models": [{"id": "claude-sonnet-4-5", "name": "claude-sonnet-4-5"}],
        }
        return (
            f"openclaw config set models.providers.router '{msgspec.json.encode(provider).decode()}' --strict-json\n"
            "openclaw models set router/claude-sonnet-4-5"
        )
