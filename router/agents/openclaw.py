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
from router.agents.hermes import chosen_model, key_by_hand
from router.agents.pointing import ANY_KEY, NOTHING, Address, AgentFile, Found, Settings

_SUBAGENT: Final = "# Subagent Context"
_SLUG: Final = "generate a short 1-2 word filename slug"
_COMPACTION: Final = "You are a context summarization assistant"

CONFIG: Final = AgentFile("{OPENCLAW_CONFIG_PATH|~/.openclaw/openclaw.json}")


class OpenClaw(Agent):
    """The personal assistant and its gateway."""

    name = "openclaw"
    command = "openclaw"
    install = "npm install -g openclaw"
    files = (CONFIG,)
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
        """A provider of our own with the profile's aliases as models, the first of them chosen, by its own command."""
        models = to.models or (chosen_model(to),)
        provider = {
            "baseUrl": to.base_url,
            "apiKey": "KEY" if to.key else ANY_KEY,
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
                "this follows OpenClaw's documentation and hasn't been tried",
                *key_by_hand(to, "openclaw config set models.providers.router.apiKey KEY"),
            ),
        )

    def address(self, found: Found) -> str | None:
        """That of the provider of its model."""
        model = found.read(CONFIG, "agents", "defaults", "model", "primary")
        provider = model.partition("/")[0] if isinstance(model, str) else ""
        address = found.read(CONFIG, "models", "providers", provider, "baseUrl")
        return address if isinstance(address, str) else None
