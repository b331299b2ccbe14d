"""Claude Code (``claude``), the Messages format. Observed with version 2.1.

The session id is a header and the same for main turns, titles, web searches and sub-agents; a sub-agent adds a header
of its own. Plan mode and compaction are announced in text only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Final

from router.agents.agent import ANY_KEY, Agent, AgentRequest, dig, latest_human_text, newest_marker

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


class ClaudeCode(Agent):
    """Anthropic's agent, in a terminal or through its agent SDK."""

    name = "claude-code"
    command = "claude"
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

    def environment(self, base_url: str, key: str) -> dict[str, str]:
        """``ANTHROPIC_AUTH_TOKEN`` is sent as a bearer token and needs no confirmation, unlike an API key."""
        return {"ANTHROPIC_BASE_URL": base_url, "ANTHROPIC_AUTH_TOKEN": key or ANY_KEY}
