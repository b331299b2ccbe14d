"""opencode, which speaks all four formats through the AI SDK. Observed with version 1.18.

Its session id is ``x-session-id`` in every format; a sub-agent has a session of its own and names its parent's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Final

import msgspec

from router.agents.agent import ANY_KEY, Agent, AgentRequest, last_turn, latest_human_text, newest_marker

_PLAN_MODE: Final = re.compile(
    r"<system-reminder>\s*(?:(?P<on>#+ Plan Mode - System Reminder|Plan mode is active|CRITICAL: Plan mode ACTIVE)"
    r"|(?P<off>Your operational mode has changed from plan))"
)
_TITLE: Final = "Generate a title for this conversation"
_SUMMARY: Final = ("Summarize what was done in this conversation", "Summarize the above conversation")
_COMPACTION_SYSTEM: Final = ("tasked with summarizing conversations", "context summarization assistant")
_COMPACTION_TASK: Final = "Provide a detailed prompt for continuing our conversation"


class OpenCode(Agent):
    """The opencode terminal program and its server."""

    name = "opencode"
    command = "opencode"
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

    def environment(self, base_url: str, key: str) -> dict[str, str]:
        """Its configuration as one variable; opencode appends no version to these addresses itself."""
        secret = key or ANY_KEY
        providers = {
            name: {"options": {"baseURL": f"{base_url}/{version}", "apiKey": secret}}
            for name, version in (("anthropic", "v1"), ("openai", "v1"), ("google", "v1beta"))
        }
        return {"OPENCODE_CONFIG_CONTENT": msgspec.json.encode({"provider": providers}).decode()}

    def instructions(self, base_url: str, key: str) -> str:
        """The same, quoted for a shell."""
        (name, value), *_ = self.environment(base_url, key).items()
        return f"{name}='{value}' opencode"
