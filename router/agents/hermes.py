"""Hermes Agent (``hermes``) of Nous Research, Chat or Messages format. Observed with version 0.19.

Its markers follow its public source.

It calls most providers through the OpenAI SDK under that SDK's name, so it is told by the first words of its prompts
(unless a person replaced them with a ``SOUL.md`` of their own: then it is an SDK). It sends no session id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from router.agents.agent import Agent, AgentRequest, latest_human_text
from router.agents.pointing import ANY_KEY, NOTHING, Address, AgentFile, Found, Pointing, Settings

_SUBAGENT: Final = "You are a focused subagent working on a specific delegated task"
_COMPACTION: Final = "You are a summarization agent creating a context checkpoint"
_TITLES: Final = ("You name chat sessions.", "Generate a short, descriptive title (3-7 words)")

CONFIG: Final = AgentFile("{HERMES_HOME|~/.hermes}/config.yaml", "yaml")
_OTHER_KEYS: Final = ("ANTHROPIC_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")  # which it would rather send
_MODEL: Final = "claude-sonnet-4-6"  # it must be told one; the profile's rules decide what becomes of it


class Hermes(Agent):
    """Nous Research's agent."""

    name = "hermes"
    command = "hermes"
    install = "pip install hermes-agent"
    files = (CONFIG,)
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

    def pointing(self, to: Address, found: Found = NOTHING) -> Pointing:
        """The Messages format: of its providers only this one takes address and key from variables alone, over what
        its configuration says."""
        key = found.own_key(to, "anthropic-messages", "ANTHROPIC_API_KEY")
        return Pointing(
            {"ANTHROPIC_BASE_URL": to.base_url, "ANTHROPIC_API_KEY": key},
            unset=tuple(name for name in _OTHER_KEYS if name in found.environment),
            arguments=("--provider", "anthropic", "-m", chosen_model(to)),
        )

    def settings(self, to: Address, found: Found = NOTHING) -> Settings:
        """Its configuration, by its own command."""
        values = {"provider": "custom", "base_url": f"{to.base_url}/v1", "default": chosen_model(to)}
        if not to.key:
            values["api_key"] = ANY_KEY
        return Settings(
            commands=tuple(("hermes", "config", "set", f"model.{name}", value) for name, value in values.items()),
            undo=tuple(("hermes", "config", "unset", f"model.{name}") for name in values),
            notes=key_by_hand(to, "hermes config set model.api_key KEY"),
        )

    def address(self, found: Found) -> str | None:
        """That of its configuration; the variable counts for the provider it belongs to."""
        provider = found.read(CONFIG, "model", "provider")
        if provider == "custom":
            address = found.read(CONFIG, "model", "base_url")
        else:
            address = found.environment.get("ANTHROPIC_BASE_URL") if provider == "anthropic" else None
        return address if isinstance(address, str) else None


def chosen_model(to: Address) -> str:
    """An alias of the profile, or a name that everybody knows."""
    return to.models[0] if to.models else _MODEL


def key_by_hand(to: Address, how: str) -> tuple[str, ...]:
    """A key isn't given to another command, since it would stand on its command line."""
    return (f"the profile asks for a key; put it in yourself, for instance by `{how}`",) if to.key else ()
