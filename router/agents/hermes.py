"""Hermes Agent (``hermes``) of Nous Research, by its public source; not observed here.

It calls most providers through the OpenAI SDK under that SDK's name, so it is told by the first words of its prompts
(unless a person replaced them with a ``SOUL.md`` of their own: then it is an SDK). It sends no session id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from router.agents.agent import ANY_KEY, Agent, AgentRequest, latest_human_text

_SUBAGENT: Final = "You are a focused subagent working on a specific delegated task"
_COMPACTION: Final = "You are a summarization agent creating a context checkpoint"
_TITLES: Final = ("You name chat sessions.", "Generate a short, descriptive title (3-7 words)")


class Hermes(Agent):
    """Nous Research's agent."""

    name = "hermes"
    command = "hermes"
    user_agents = ("hermesagent/", "hermes-agent/")
    marks: ClassVar[Mapping[str, str]] = {
        "x-openrouter-title": "hermes agent",
        "x-title": "hermes agent",
        "http-referer": "hermes-agent",
    }
    openings = ("You are Hermes Agent", _SUBAGENT, _COMPACTION, *_TITLES)

    def side_job(self, request: AgentRequest) -> bool:
        """A session title."""
        return not request.view.tool_count and request.view.system_text.startswith(_TITLES)

    def subagent(self, request: AgentRequest) -> bool:
        """A delegated task's prompt."""
        return request.view.system_text.lstrip().startswith(_SUBAGENT)

    def compaction(self, request: AgentRequest) -> bool:
        """Its summarizer's prompt, which is a user message."""
        return not request.view.tool_count and latest_human_text(request.view).startswith(_COMPACTION)

    def environment(self, base_url: str, key: str) -> dict[str, str]:
        """The key of a custom endpoint; the address is read from its configuration."""
        return {"OPENAI_BASE_URL": f"{base_url}/v1", "OPENAI_API_KEY": key or ANY_KEY}

    def instructions(self, base_url: str, key: str) -> str:
        """Its configuration, once."""
        return (
            f"hermes config set model.provider custom; hermes config set model.base_url {base_url}/v1\n"
            f"hermes config set model.api_key {key or ANY_KEY}; hermes"
        )
