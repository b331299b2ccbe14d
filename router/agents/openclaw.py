"""OpenClaw (``openclaw``), by its public source and documentation; not observed here.

It calls providers through their SDKs under those names, so it is told by the first words of its system prompt, or by
the user-agent that ``instructions`` lets it send. With a subscription log-in it imitates Claude Code, and is
taken for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar, Final

from router.agents.agent import Agent, AgentRequest, latest_human_text
from router.agents.hermes import chosen_model
from router.agents.pointing import NOTHING, Address, Found, Settings

_SUBAGENT: Final = "# Subagent Context"
_SLUG: Final = "generate a short 1-2 word filename slug"
_COMPACTION: Final = "You are a context summarization assistant"


class OpenClaw(Agent):
    """The personal assistant and its gateway."""

    name = "openclaw"
    command = "openclaw"
    install = "npm install -g openclaw"
    only_settings = "its gateway goes on running and reads only its own configuration"
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

    def settings(self, to: Address, found: Found = NOTHING) -> Settings:
        """A provider of our own with the profile's models, and the first of them chosen, by its own command."""
        models = to.models or (chosen_model(to),)
        provider = {
            "baseUrl": to.base_url,
            "apiKey": to.secret,
            "api": "anthropic-messages",
            "headers": {"user-agent": "openclaw"},
            "models": [{"id": name, "name": name} for name in models],
        }
        return Settings(
            commands=(
                ("openclaw", "config", "set", "models.providers.router", json.dumps(provider), "--strict-json"),
                ("openclaw", "models", "set", f"router/{models[0]}"),
            ),
            undo=(("openclaw", "config", "unset", "models.providers.router"),),
            notes=(
                "this follows OpenClaw's documentation and hasn't been tried; undo leaves its chosen model as it is",
            ),
        )
