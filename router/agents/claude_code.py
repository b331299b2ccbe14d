"""Claude Code (``claude``), the Messages format. Observed with version 2.1.

The session id is a header and the same for main turns, titles, web searches and sub-agents; a sub-agent adds a header
of its own. Plan mode and compaction are announced in text only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import ClassVar, Final

from router.agents.agent import Agent, AgentRequest, dig, latest_human_text, newest_marker
from router.agents.pointing import NOTHING, Address, AgentFile, Change, Found, Pointing, Settings

# In a system message, or at the head of a system reminder (which may be glued to the end of a tool result). Text that
# only mentions plan mode, in a file that was read for instance, has other words before it.
_PLAN_MODE: Final = re.compile(
    r"(?:\A|\n|<system-reminder>)\s*(?:#+[ ]*)?"
    r"(?:(?P<on>Plan mode (?:is|still) active)|(?P<off>(?:You have )?[Ee]xited [Pp]lan [Mm]ode))"
)
_SUMMARY_TAIL: Final = 600  # characters; the closing reminder of a compaction names both tags in its last lines
_SUMMARY_SYSTEM: Final = "tasked with summarizing conversations"
_SUMMARY_TASK: Final = "create a detailed summary of the conversation so far"
_SIDE_JOBS: Final = (  # of versions before titles were asked for with a schema
    "Analyze if this message indicates a new conversation topic",
    "Summarize this coding conversation in under 50 characters",
    "Please write a 5-10 word title",
)

USER: Final = AgentFile("{CLAUDE_CONFIG_DIR|~/.claude}/settings.json")
_PROJECT: Final = (AgentFile(".claude/settings.local.json"), AgentFile(".claude/settings.json"))
_SETTINGS_FILE: Final = "claude-code.json"
_OTHER_SERVICES: Final = ("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY")


class ClaudeCode(Agent):
    """Anthropic's agent, in a terminal or through its agent SDK."""

    name = "claude-code"
    command = "claude"
    install = "npm install -g @anthropic-ai/claude-code"
    files = (*_PROJECT, USER)
    user_agents = ("claude-cli/", "claude-code/")
    marks: ClassVar[Mapping[str, str]] = {"x-claude-code-session-id": ""}

    def side_job(self, request: AgentRequest) -> bool:
        """A title (no tools, one ``title`` field as the answer's schema), an older version's topic check, the probe."""
        view = request.view
        if view.tool_count:
            return False
        schema = dig(view.body.get("output_config"), "format", "schema", "properties")
        if isinstance(schema, dict) and "title" in schema:
            return True
        if view.max_tokens == 1 and latest_human_text(view).strip() == "quota":
            return True
        opening = view.system_text + "\n" + latest_human_text(view)[:1000]
        return any(words in opening for words in _SIDE_JOBS)

    def plan_mode(self, request: AgentRequest) -> bool:
        """The newest notice says that plan mode is active; it is not repeated on every turn."""
        return newest_marker(request.view, _PLAN_MODE, hints=(b"lan mode", b"lan Mode")) == "on"

    def subagent(self, request: AgentRequest) -> bool:
        """The agent id header, or the mark in the attribution block of the system prompt."""
        return "x-claude-code-agent-id" in request.headers or "cc_is_subagent=true" in request.view.system_text[:500]

    def compaction(self, request: AgentRequest) -> bool:
        """The last words ask for an ``<analysis>`` and a ``<summary>``, with the main turn's tools and session."""
        text = latest_human_text(request.view)
        tail = text[-_SUMMARY_TAIL:]
        if 0 <= tail.find("<analysis>") < tail.find("<summary>"):
            return True
        return _SUMMARY_TASK in text[:2000] or _SUMMARY_SYSTEM in request.view.system_text[:2000]

    def session(self, request: AgentRequest) -> str | None:
        """The session; a sub-agent's is ``SESSION/AGENT``."""
        session = request.headers.get("x-claude-code-session-id")
        agent = request.headers.get("x-claude-code-agent-id")
        return f"{session}/{agent}" if session and agent else session

    def pointing(self, to: Address, found: Found = NOTHING) -> Pointing:
        """Variables, and the same in a settings file: the ``env`` of a person's own settings goes over variables."""
        environment = self._environment(to, found)
        block = dict(environment)
        unset = []
        for name in self._misleading(to):
            if name in found.environment:
                unset.append(name)
            if any(found.read(file, "env", name) for file in self.files):
                block[name] = ""
        settings = json.dumps({"env": block}, indent=2) + "\n"
        return Pointing(
            environment,
            unset=tuple(unset),
            arguments=("--settings", f"{to.folder}/{_SETTINGS_FILE}"),
            files={_SETTINGS_FILE: settings},
            merged="--settings",
        )

    def settings(self, to: Address, found: Found = NOTHING) -> Settings:
        """The ``env`` of its settings."""
        values: dict[tuple[str, ...], object] = {
            ("env", name): value for name, value in self._environment(to, found).items()
        }
        notes = [
            f"{name} of your settings or shell would lead elsewhere; take it away"
            for name in self._misleading(to)
            if name in found.environment or found.read(USER, "env", name)
        ]
        return Settings((Change(USER, values),), notes=tuple(notes))

    def address(self, found: Found) -> str | None:
        """A project's settings go before the person's, and both before variables."""
        places = [*(found.read(file, "env", "ANTHROPIC_BASE_URL") for file in self.files)]
        places.append(found.environment.get("ANTHROPIC_BASE_URL"))
        return next((place for place in places if isinstance(place, str) and place), None)

    def _environment(self, to: Address, found: Found) -> dict[str, str]:
        """A bearer token needs no confirmation, unlike an API key. Somebody's own log-in is used only without one; the
        router's key then goes beside it."""
        if "anthropic-messages" not in to.own_login:
            return {"ANTHROPIC_BASE_URL": to.base_url, "ANTHROPIC_AUTH_TOKEN": to.secret}
        environment = {"ANTHROPIC_BASE_URL": to.base_url}
        if to.key:
            others = found.environment.get("ANTHROPIC_CUSTOM_HEADERS", "").splitlines()
            headers = [line for line in others if not line.lower().startswith("x-router-key:")]
            environment["ANTHROPIC_CUSTOM_HEADERS"] = "\n".join([*headers, f"x-router-key: {to.key}"])
        return environment

    def _misleading(self, to: Address) -> tuple[str, ...]:
        """Variables that make it send another key as well, or to another service altogether."""
        return _OTHER_SERVICES if "anthropic-messages" in to.own_login else ("ANTHROPIC_API_KEY", *_OTHER_SERVICES)
