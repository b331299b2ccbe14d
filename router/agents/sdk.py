"""Programs on the vendors' SDKs and the common libraries, and everything else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from router.agents.agent import Agent
from router.agents.pointing import NOTHING, Address, Found, Pointing


class Sdk(Agent):
    """A program built on an SDK; which one stands in its user-agent.

    The official ones of Anthropic and OpenAI (also their asynchronous and cloud variants) set ``x-stainless-lang``
    even where a library on top renames the user-agent; Google's sets ``x-goog-api-client``.
    """

    name = "sdk"
    user_agents: ClassVar[tuple[str, ...]] = (
        "anthropic/",
        "openai/",
        "asyncanthropic/",
        "asyncopenai/",
        "google-genai-sdk/",
        "ai-sdk/",
        "ai/",
        "pydantic-ai/",
        "litellm/",
        "llm/",
        "langchain",
    )
    marks: ClassVar[Mapping[str, str]] = {"x-stainless-lang": "", "x-goog-api-client": ""}

    def pointing(self, to: Address, found: Found = NOTHING) -> Pointing:
        """The variables that the official SDKs and the common libraries read."""
        return Pointing(
            library_variables(to, found)
            | {
                "GOOGLE_GEMINI_BASE_URL": to.base_url,
                "GEMINI_API_KEY": found.own_key(to, "gemini", "GEMINI_API_KEY"),
            }
        )

    def address(self, found: Found) -> str | None:
        """The first of the variables."""
        names = ("ANTHROPIC_BASE_URL", "OPENAI_BASE_URL", "GOOGLE_GEMINI_BASE_URL")
        return next((found.environment[name] for name in names if found.environment.get(name)), None)


class Other(Sdk):
    """Any client that nobody recognises."""

    name = "other"
    user_agents = ()
    marks: ClassVar[Mapping[str, str]] = {}


def library_variables(to: Address, found: Found) -> dict[str, str]:
    """Addresses under the names that the SDKs read, and under those that litellm reads."""
    return {
        "ANTHROPIC_BASE_URL": to.base_url,
        "ANTHROPIC_API_BASE": to.base_url,
        "ANTHROPIC_API_KEY": found.own_key(to, "anthropic-messages", "ANTHROPIC_API_KEY"),
        "OPENAI_BASE_URL": f"{to.base_url}/v1",
        "OPENAI_API_BASE": f"{to.base_url}/v1",
        "OPENAI_API_KEY": found.own_key(to, "openai-chat", "OPENAI_API_KEY"),
    }
