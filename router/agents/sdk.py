"""Programs on the vendors' SDKs and the common libraries, and everything else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from router.agents.agent import ANY_KEY, Agent


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

    def environment(self, base_url: str, key: str) -> dict[str, str]:
        """The variables that the official SDKs read."""
        secret = key or ANY_KEY
        return {
            "ANTHROPIC_BASE_URL": base_url,
            "ANTHROPIC_API_KEY": secret,
            "OPENAI_BASE_URL": f"{base_url}/v1",
            "OPENAI_API_KEY": secret,
            "GOOGLE_GEMINI_BASE_URL": base_url,
            "GEMINI_API_KEY": secret,
        }


class Other(Sdk):
    """Any client that nobody recognises."""

    name = "other"
    user_agents = ()
    marks: ClassVar[Mapping[str, str]] = {}
