"""opencode, which speaks all four formats through the AI SDK. Observed with version 1.18.

Its session id is ``x-session-id`` in every format; a sub-agent has a session of its own and names its parent's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import ClassVar, Final

from router.agents.agent import Agent, AgentRequest, last_turn, latest_human_text, newest_marker
from router.agents.pointing import NOTHING, Address, AgentFile, Change, Found, Pointing, Settings, merged, parsed

_PLAN_MODE: Final = re.compile(
    r"<system-reminder>\s*(?:(?P<on>#+ Plan Mode - System Reminder|Plan mode is active|CRITICAL: Plan mode ACTIVE)"
    r"|(?P<off>Your operational mode has changed from plan))"
)
_TITLE: Final = "Generate a title for this conversation"
_SUMMARY: Final = ("Summarize what was done in this conversation", "Summarize the above conversation")
_COMPACTION_SYSTEM: Final = ("tasked with summarizing conversations", "context summarization assistant")
_COMPACTION_TASK: Final = "Provide a detailed prompt for continuing our conversation"

_FOLDER: Final = "{XDG_CONFIG_HOME|~/.config}/opencode"
_CONFIG: Final = AgentFile(f"{_FOLDER}/opencode.json")
_CONFIG_WITH_COMMENTS: Final = AgentFile(f"{_FOLDER}/opencode.jsonc")
_PROJECT: Final = (AgentFile("opencode.jsonc"), AgentFile("opencode.json"))
_VARIABLE: Final = "OPENCODE_CONFIG_CONTENT"
# opencode appends no version to these addresses itself.
_PROVIDERS: Final = (
    ("anthropic", "v1", "anthropic-messages", "ANTHROPIC_API_KEY"),
    ("openai", "v1", "openai-responses", "OPENAI_API_KEY"),
    ("google", "v1beta", "gemini", "GEMINI_API_KEY"),
)


class OpenCode(Agent):
    """The opencode terminal program and its server."""

    name = "opencode"
    command = "opencode"
    install = "npm install -g opencode-ai"
    files = (*_PROJECT, _CONFIG_WITH_COMMENTS, _CONFIG)
    user_agents = ("opencode/",)
    marks: ClassVar[Mapping[str, str]] = {"originator": "opencode"}
    session_headers = ("x-session-affinity", "session-id")

    def side_job(self, request: AgentRequest) -> bool:
        """A title or a summary for its session list, which have no tools."""
        view = request.view
        if view.tool_count:
            return False
        if any(content.human_text.startswith(_TITLE) for content in last_turn(view)):
            return True
        return view.system_text.startswith(_SUMMARY[0]) or latest_human_text(view).startswith(_SUMMARY[1])

    def plan_mode(self, request: AgentRequest) -> bool:
        """The reminder goes with every message of a person while the plan agent is chosen."""
        return newest_marker(request.view, _PLAN_MODE, turns=1) == "on"

    def subagent(self, request: AgentRequest) -> bool:
        """The parent's session is named."""
        return "x-parent-session-id" in request.headers

    def compaction(self, request: AgentRequest) -> bool:
        """No tools, and the conversation is quoted with a template to fill, or its summarizer's prompts."""
        view = request.view
        if view.tool_count:
            return False
        text = latest_human_text(view)
        if "<conversation>" in text and "<template>" in text:
            return True
        return _COMPACTION_TASK in text or any(words in view.system_text[:500] for words in _COMPACTION_SYSTEM)

    def pointing(self, to: Address, found: Found = NOTHING) -> Pointing:
        """Its configuration as one variable, which goes over all files; what a person has in it stays."""
        providers = {name: {"options": options} for name, options in self._options(to, found).items()}
        configuration = merged(parsed(found.environment.get(_VARIABLE)), {"provider": providers})
        return Pointing({_VARIABLE: json.dumps(configuration, separators=(",", ":"))})

    def settings(self, to: Address, found: Found = NOTHING) -> Settings:
        """Address and key of the providers of its own catalog."""
        file = _CONFIG_WITH_COMMENTS if _CONFIG_WITH_COMMENTS in found.contents else _CONFIG
        values: dict[tuple[str, ...], object] = {
            ("provider", provider, "options", name): value
            for provider, options in self._options(to, found).items()
            for name, value in options.items()
        }
        return Settings((Change(file, values),))

    def address(self, found: Found) -> str | None:
        """That of the provider of its model, or of the first that has one."""
        variable = Found({}, {_CONFIG: parsed(found.environment.get(_VARIABLE))})
        places = [(variable, _CONFIG), *((found, file) for file in self.files)]
        models = [where.read(file, "model") for where, file in places]
        model = next((each for each in models if isinstance(each, str)), "")
        names = [model.partition("/")[0]] if model else [name for name, *_ in _PROVIDERS]
        for name in names:
            for where, file in places:
                if isinstance(address := where.read(file, "provider", name, "options", "baseURL"), str):
                    return address
        return None

    def _options(self, to: Address, found: Found) -> dict[str, dict[str, str]]:
        return {
            name: {"baseURL": f"{to.base_url}/{version}", "apiKey": found.own_key(to, api, variable)}
            for name, version, api, variable in _PROVIDERS
        }
