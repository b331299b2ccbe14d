"""Qwen Code (``qwen``), in the Chat, Messages or Gemini format. Observed with version 0.15.

It descends from Gemini CLI, whose compaction it shares, and sends no session id.
"""

from __future__ import annotations

import json
import re
from typing import Final

from router.agents.agent import Agent, AgentRequest, latest_human_text, newest_marker
from router.agents.gemini_cli import asks_snapshot
from router.agents.pointing import NOTHING, PROXIES, Address, AgentFile, Change, Found, Pointing, Settings, merged

_PLAN_MODE: Final = re.compile(
    r"(?P<on><system-reminder>\s*Plan mode is active)|(?P<off>\AUser has approved your plan|\AUser approved the plan)"
)
_ANSWER_TOOL: Final = "respond_in_schema"
_TITLE: Final = re.compile(r"\b(?:[Gg]enerate|[Ww]rite) a (?:short |concise )?(?:session )?title\b")

_SETTINGS: Final = AgentFile("{QWEN_HOME|~/.qwen}/settings.json")
_SYSTEM: Final = AgentFile("{QWEN_CODE_SYSTEM_SETTINGS_PATH|/etc/qwen-code/settings.json}")
_SYSTEM_FILE: Final = "qwen-code.json"


class QwenCode(Agent):
    """Alibaba's agent."""

    name = "qwen-code"
    command = "qwen"
    install = "npm install -g @qwen-code/qwen-code"
    files = (_SYSTEM, _SETTINGS)
    user_agents = ("qwencode/",)

    def side_job(self, request: AgentRequest) -> bool:
        """A question whose only tool is the form for the answer (who speaks next, …), or a session title."""
        view = request.view
        if view.tool_count == 1:
            return view.tools[0].name == _ANSWER_TOOL
        if view.tool_count:
            return False
        return _TITLE.search(view.system_text[:1000] + "\n" + latest_human_text(view)[:1000]) is not None

    def plan_mode(self, request: AgentRequest) -> bool:
        """The reminder goes with every message of a person while planning; the approved plan ends it."""
        return newest_marker(request.view, _PLAN_MODE, turns=1) == "on"

    def compaction(self, request: AgentRequest) -> bool:
        """The history is asked for as a ``<state_snapshot>``."""
        return asks_snapshot(request.view)

    def pointing(self, to: Address, found: Found = NOTHING) -> Pointing:
        """The Chat format. Without the argument a log-in that is stored in its settings wins over the variables."""
        environment = self._environment(to, found)
        files = {}
        if found.read(_SETTINGS, "modelProviders", "openai") or found.read(_SYSTEM, "modelProviders", "openai"):
            # A model of its settings goes over variables and arguments; only system settings go over those.
            settings = merged(found.contents.get(_SYSTEM, {}), {"modelProviders": {"openai": []}})
            files[_SYSTEM_FILE] = json.dumps(settings, indent=2) + "\n"
            environment["QWEN_CODE_SYSTEM_SETTINGS_PATH"] = f"{to.folder}/{_SYSTEM_FILE}"
        proxies = tuple(name for name in PROXIES if name in found.environment)
        notes = ("it would send even local traffic through a proxy, so it gets none",) if proxies else ()
        return Pointing(environment, unset=proxies, arguments=("--auth-type", "openai"), files=files, notes=notes)

    def settings(self, to: Address, found: Found = NOTHING) -> Settings:
        """The log-in type, and the variables in the ``env`` of its settings."""
        values: dict[tuple[str, ...], object] = {("security", "auth", "selectedType"): "openai"}
        values |= {("env", name): value for name, value in self._environment(to, found).items()}
        notes = ["variables of the shell go over these"]
        if found.read(_SETTINGS, "modelProviders", "openai"):
            notes.append(
                "the models listed under modelProviders keep their own addresses; choose another, or change them"
            )
        return Settings((Change(_SETTINGS, values),), notes=tuple(notes))

    def address(self, found: Found) -> str | None:
        """A variable, else its settings."""
        places = (found.environment.get("OPENAI_BASE_URL"), found.read(_SETTINGS, "env", "OPENAI_BASE_URL"))
        return next((place for place in places if isinstance(place, str) and place), None)

    def _environment(self, to: Address, found: Found) -> dict[str, str]:
        key = found.own_key(to, "openai-chat", "OPENAI_API_KEY")
        return {"OPENAI_BASE_URL": f"{to.base_url}/v1", "OPENAI_API_KEY": key}
