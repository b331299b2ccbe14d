"""Gemini CLI (``gemini``), the Gemini format, and the markers it shares with its descendant Qwen Code.

Observed with version 0.61. It sends no session id.
"""

from __future__ import annotations

import json
from typing import Final

from router.agents.agent import Agent, AgentRequest, dig, latest_human_text
from router.agents.pointing import NOTHING, Address, AgentFile, Change, Found, Pointing, Settings, merged
from router.wire.request import RequestView

_PLAN_MODE: Final = "# Active Approval Mode: Plan"
_SUBAGENT_TOOL: Final = "complete_task"
_SESSION_SUMMARY: Final = "Summarize the user's primary intent or goal in this conversation"
_SNAPSHOT: Final = "<state_snapshot>"
_SUMMARIZER: Final = "You are the component that summarizes internal chat history"

_HOME: Final = "{GEMINI_CLI_HOME|~}/.gemini"
_SETTINGS: Final = AgentFile(f"{_HOME}/settings.json")
_VARIABLES: Final = AgentFile(f"{_HOME}/.env", "dotenv")
_PROJECT: Final = AgentFile(".env", "dotenv")
_SYSTEM: Final = AgentFile("{GEMINI_CLI_SYSTEM_SETTINGS_PATH|/etc/gemini-cli/settings.json}")
_SYSTEM_FILE: Final = "gemini-cli.json"
_LOG_IN: Final = "gemini-api-key"


class GeminiCli(Agent):
    """Google's agent."""

    name = "gemini-cli"
    command = "gemini"
    install = "npm install -g @google/gemini-cli"
    files = (_SYSTEM, _SETTINGS, _PROJECT, _VARIABLES)
    user_agents = ("geminicli",)

    def side_job(self, request: AgentRequest) -> bool:
        """Questions to a small model with a JSON answer (its model router, who speaks next, …), session summaries."""
        view = request.view
        if view.tool_count:
            return False
        config = view.body.get("generationConfig")
        if dig(config, "responseJsonSchema") or dig(config, "responseSchema"):
            return True
        return _SESSION_SUMMARY in latest_human_text(view)

    def plan_mode(self, request: AgentRequest) -> bool:
        """The system prompt has the planning workflow."""
        return _PLAN_MODE in request.view.system_text

    def subagent(self, request: AgentRequest) -> bool:
        """Only its sub-agents are given the tool that hands in their result."""
        return any(tool.name == _SUBAGENT_TOOL for tool in request.view.tools)

    def compaction(self, request: AgentRequest) -> bool:
        """The history is asked for as a ``<state_snapshot>``."""
        return asks_snapshot(request.view)

    def pointing(self, to: Address, found: Found = NOTHING) -> Pointing:
        """Variables, and the log-in type in a system settings file, which goes over the person's own: with a base URL
        and no type, or with a Google log-in, it doesn't start."""
        wanted = {"security": {"auth": {"selectedType": _LOG_IN}}}
        settings = merged(found.contents.get(_SYSTEM, {}), wanted)
        environment = self._environment(to, found)
        environment["GEMINI_CLI_SYSTEM_SETTINGS_PATH"] = f"{to.folder}/{_SYSTEM_FILE}"
        return Pointing(environment, files={_SYSTEM_FILE: json.dumps(settings, indent=2) + "\n"})

    def settings(self, to: Address, found: Found = NOTHING) -> Settings:
        """The log-in type in its settings, the variables in its own ``.env``."""
        variables: dict[tuple[str, ...], object] = {
            (name,): value for name, value in self._environment(to, found).items()
        }
        changes = (
            Change(_SETTINGS, {("security", "auth", "selectedType"): _LOG_IN}),
            Change(_VARIABLES, variables),
        )
        note = "a .env in a project, or in a folder above it, hides these variables: `router run` doesn't mind it"
        return Settings(changes, notes=(note,))

    def address(self, found: Found) -> str | None:
        """A variable, else the first ``.env``: the project's hides its own."""
        if address := found.environment.get("GOOGLE_GEMINI_BASE_URL"):
            return address
        hidden = _PROJECT in found.contents
        address = found.read(_PROJECT if hidden else _VARIABLES, "GOOGLE_GEMINI_BASE_URL")
        return address if isinstance(address, str) else None

    def _environment(self, to: Address, found: Found) -> dict[str, str]:
        key = found.own_key(to, "gemini", "GEMINI_API_KEY")
        return {"GOOGLE_GEMINI_BASE_URL": to.base_url, "GEMINI_API_KEY": key}


def asks_snapshot(view: RequestView) -> bool:
    """Whether the last words ask for the history as a ``<state_snapshot>``, with no tools to use."""
    if view.tool_count:
        return False
    return _SNAPSHOT in latest_human_text(view)[-1000:] or view.system_text.lstrip().startswith(_SUMMARIZER)
