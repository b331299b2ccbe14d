"""aider, in the Chat or Messages format. Observed with version 0.86; its prompts by its public source.

It calls providers through litellm, which sends its own name or the OpenAI SDK's; only towards OpenRouter it names
itself. So it is told by the first words of its system prompts. It offers no tools and sends no session id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from router.agents.agent import ANY_KEY, Agent, AgentRequest

_COMMIT: Final = "You are an expert software engineer.\nReview the provided context and diffs"
_OLD_COMMIT: Final = "You are an expert software engineer that generates concise, one-line Git commit messages"
_SUMMARY: Final = "*Briefly* summarize this partial conversation about programming."


class Aider(Agent):
    """The pair programmer in a terminal."""

    name = "aider"
    command = "aider"
    user_agents = ("aider/",)
    marks: ClassVar[Mapping[str, str]] = {"x-title": "aider", "http-referer": "aider.chat", "editor-version": "aider/"}
    openings = (
        "Act as an expert software developer",
        "Act as an expert code analyst",
        "Act as an expert architect engineer",
        "Act as an expert software engineer",
        _COMMIT,
        _OLD_COMMIT,
        _SUMMARY,
    )

    def side_job(self, request: AgentRequest) -> bool:
        """A commit message."""
        return request.view.system_text.startswith((_COMMIT, _OLD_COMMIT))

    def compaction(self, request: AgentRequest) -> bool:
        """The older part of the chat is summarised."""
        return request.view.system_text.startswith(_SUMMARY)

    def environment(self, base_url: str, key: str) -> dict[str, str]:
        """Both formats, for ``--model openai/NAME`` and ``--model anthropic/NAME``."""
        secret = key or ANY_KEY
        return {
            "OPENAI_API_BASE": f"{base_url}/v1",
            "OPENAI_API_KEY": secret,
            "ANTHROPIC_API_BASE": base_url,
            "ANTHROPIC_API_KEY": secret,
        }
