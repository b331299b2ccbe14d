"""aider, in the Chat or Messages format. Observed with version 0.86; its prompts by its public source.

It calls providers through litellm, which sends its own name or the OpenAI SDK's; only towards OpenRouter it names
itself. So it is told by the first words of its system prompts. It offers no tools and sends no session id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from router.agents.agent import Agent, AgentRequest
from router.agents.pointing import NOTHING, Address, AgentFile, Change, Found, Pointing, Settings
from router.agents.sdk import library_variables

_COMMIT: Final = "You are an expert software engineer.\nReview the provided context and diffs"
_OLD_COMMIT: Final = "You are an expert software engineer that generates concise, one-line Git commit messages"
_SUMMARY: Final = "*Briefly* summarize this partial conversation about programming."

_CONFIG: Final = AgentFile("~/.aider.conf.yml", "yaml")
_PROJECT: Final = AgentFile(".aider.conf.yml", "yaml")
_BASE_KEYS: Final = ("openai-api-base", "set-env")


class Aider(Agent):
    """The pair programmer in a terminal."""

    name = "aider"
    command = "aider"
    install = "pip install aider-chat"
    files = (_PROJECT, _CONFIG)
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

    def pointing(self, to: Address, found: Found = NOTHING) -> Pointing:
        """Variables for both formats (``--model openai/NAME`` and ``--model anthropic/NAME``); arguments only where its
        configuration would go over them."""
        arguments: tuple[str, ...] = ()
        if any(found.read(file, key) is not None for file in self.files for key in _BASE_KEYS):
            arguments = ("--openai-api-base", f"{to.base_url}/v1", "--set-env", f"ANTHROPIC_API_BASE={to.base_url}")
        return Pointing(library_variables(to, found), arguments=arguments)

    def settings(self, to: Address, found: Found = NOTHING) -> Settings:
        """Address and key for models ``openai/NAME``; the other format's address has no key of its own there."""
        values: dict[tuple[str, ...], object] = {
            ("openai-api-base",): f"{to.base_url}/v1",
            ("openai-api-key",): found.own_key(to, "openai-chat", "OPENAI_API_KEY"),
        }
        note = "it holds for models openai/NAME; for anthropic/NAME set ANTHROPIC_API_BASE, or use `router run`"
        return Settings((Change(_CONFIG, values),), notes=(note,))

    def address(self, found: Found) -> str | None:
        """Its configuration, the project's first, else a variable."""
        places = [found.read(file, "openai-api-base") for file in self.files]
        places += [found.environment.get(name) for name in ("OPENAI_API_BASE", "ANTHROPIC_API_BASE")]
        return next((place for place in places if isinstance(place, str) and place), None)
