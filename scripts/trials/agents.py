"""The agents that are tried: where they come from, which formats they speak, how each is started without a person.

All are started by ``router run``, so a trial tries that, too: what points an agent at its profile isn't said here.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Final, Literal

from router.wire.request import Api

KEY: Final = "trial"


class TrialAgent(ABC):
    """An agent as a package, started for one task."""

    name: ClassVar[str]
    """As ``router.agents`` calls it."""
    variant: ClassVar[str] = ""
    """What is particular, where the same agent is tried in several ways."""
    registry: ClassVar[Literal["npm", "PyPI"]] = "npm"
    package: ClassVar[str]
    command: ClassVar[str]
    after_install: ClassVar[tuple[str, ...]] = ()
    """Arguments of ``node``, run in the folder of the installation."""
    apis: ClassVar[tuple[Api, ...]]
    providers: ClassVar[tuple[Api, ...]] = ("anthropic-messages", "openai-chat", "openai-responses", "gemini")
    """Formats of the providers that can play their part with it."""
    drafting: ClassVar[tuple[Api, ...]] = ()
    """Formats, other than its own, of providers that are tried with drafts for it."""
    settings: ClassVar[Mapping[str, object]] = {}
    """JSON files of its home, by path, for what can't be said otherwise."""
    variables: ClassVar[Mapping[str, str]] = {}
    """What it finds in the shell in any case."""

    @property
    def label(self) -> str:
        """What its trials are called."""
        return f"{self.name}, {self.variant}" if self.variant else self.name

    @property
    def set_up_api(self) -> Api | None:
        """What it speaks with the settings that `router setup` writes; None where that is tried already."""
        return None if self.variant else self.apis[0]

    def run_as(self, api: Api) -> str:
        """What `router run` takes it for."""
        return self.name

    def environment(self, api: Api, base_url: str) -> dict[str, str]:
        """Variables of the shell beside HOME and PATH."""
        return dict(self.variables)

    @abstractmethod
    def arguments(self, api: Api, prompt: str) -> tuple[str, ...]:
        """What follows the command."""


class ClaudeCode(TrialAgent):
    name = "claude-code"
    package = "@anthropic-ai/claude-code"
    command = "claude"
    after_install = ("node_modules/@anthropic-ai/claude-code/install.cjs",)  # fetches nothing: links the native program
    apis = ("anthropic-messages",)
    drafting = ("openai-chat",)
    variables: ClassVar[Mapping[str, str]] = dict.fromkeys(
        (
            "DISABLE_AUTOUPDATER",
            "DISABLE_TELEMETRY",
            "DISABLE_ERROR_REPORTING",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
        ),
        "1",
    )

    def arguments(self, api: Api, prompt: str) -> tuple[str, ...]:
        return ("-p", prompt, "--model", "claude-sonnet-4-5")


class Codex(TrialAgent):
    """With a model that it doesn't know. It then offers ordinary functions and a web search that OpenAI alone has."""

    name = "codex"
    package = "@openai/codex"
    command = "codex"
    apis = ("openai-responses",)
    drafting: ClassVar[tuple[Api, ...]] = ("anthropic-messages",)
    chosen: ClassVar[tuple[str, ...]] = ("-m", "gpt-5-codex", "-c", 'web_search="disabled"')

    def arguments(self, api: Api, prompt: str) -> tuple[str, ...]:
        alone = ("exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox")
        return ("-c", "analytics.enabled=false", *self.chosen, *alone, prompt)


class CodexOwnModel(Codex):
    """With the model that it takes by itself. All tools then come among the items of the input, and nearly all of them
    behind a single one, which runs JavaScript; the built-in provider calls no such tools in its own Responses."""

    variant = "own model"
    drafting = ()
    providers = ("anthropic-messages", "openai-chat", "gemini")
    chosen = ()


class OpenCode(TrialAgent):
    """Through the providers of its own catalog for each format but Chat, which is a provider that a user adds."""

    name = "opencode"
    package = "opencode-ai"
    command = "opencode"
    apis = ("anthropic-messages", "openai-chat", "openai-responses", "gemini")
    _models: ClassVar[dict[Api, str]] = {
        "anthropic-messages": "anthropic/claude-sonnet-4-5",
        "openai-chat": "router/any-model",
        "openai-responses": "openai/gpt-5",
        "gemini": "google/gemini-2.5-pro",
    }

    def environment(self, api: Api, base_url: str) -> dict[str, str]:
        own = {
            "npm": "@ai-sdk/openai-compatible",
            "options": {"baseURL": f"{base_url}/v1", "apiKey": KEY},
            "models": {"any-model": {}},
        }
        config = {"provider": {"router": own}, "model": self._models[api], "autoupdate": False, "share": "disabled"}
        quiet = dict.fromkeys(("OPENCODE_DISABLE_AUTOUPDATE", "OPENCODE_DISABLE_MODELS_FETCH"), "1")
        return {**quiet, "OPENCODE_CONFIG_CONTENT": json.dumps(config)}

    def arguments(self, api: Api, prompt: str) -> tuple[str, ...]:
        return ("run", prompt)


class QwenCode(TrialAgent):
    name = "qwen-code"
    package = "@qwen-code/qwen-code"
    command = "qwen"
    apis = ("openai-chat", "anthropic-messages", "gemini")

    variables: ClassVar[Mapping[str, str]] = {
        "ANTHROPIC_MODEL": "claude-sonnet-4-5",
        "GEMINI_MODEL": "gemini-2.5-pro",
        "OPENAI_MODEL": "qwen3-coder-plus",
    }
    _logins: ClassVar[dict[Api, str]] = {"anthropic-messages": "anthropic", "gemini": "gemini"}

    def run_as(self, api: Api) -> str:
        """As itself it speaks Chat; every format's variables are those of the SDKs."""
        return "sdk" if api in self._logins else self.name

    def arguments(self, api: Api, prompt: str) -> tuple[str, ...]:
        login = ("--auth-type", self._logins[api]) if api in self._logins else ()
        return (*login, "-y", "-p", prompt)


class GeminiCli(TrialAgent):
    name = "gemini-cli"
    package = "@google/gemini-cli"
    command = "gemini"
    apis = ("gemini",)
    settings: ClassVar[Mapping[str, object]] = {
        ".gemini/settings.json": {
            "security": {"auth": {"selectedType": "gemini-api-key"}},
            "privacy": {"usageStatisticsEnabled": False},
        }
    }

    variables: ClassVar[Mapping[str, str]] = {"GEMINI_CLI_TRUST_WORKSPACE": "true"}

    def arguments(self, api: Api, prompt: str) -> tuple[str, ...]:
        return ("-y", "-m", "gemini-2.5-pro", "-p", prompt)


class Hermes(TrialAgent):
    name = "hermes"
    registry = "PyPI"
    package = "hermes-agent"
    command = "hermes"
    apis = ("anthropic-messages",)
    set_up_api = "openai-chat"

    def arguments(self, api: Api, prompt: str) -> tuple[str, ...]:
        return ("chat", "-q", prompt)


AGENTS: Final[tuple[TrialAgent, ...]] = (
    ClaudeCode(),
    Codex(),
    CodexOwnModel(),
    OpenCode(),
    QwenCode(),
    GeminiCli(),
    Hermes(),
)
