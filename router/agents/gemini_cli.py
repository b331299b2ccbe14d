"""Gemini CLI (``gemini``), the Gemini format, and the markers it shares with its descendant Qwen Code.

Observed with version 0.61. It sends no session id.
"""

from __future__ import annotations

from typing import Final

from router.agents.agent import ANY_KEY, Agent, AgentRequest, dig, latest_human_text
from router.wire.request import RequestView

_PLAN_MODE: Final = "# Active Approval Mode: Plan"
_SUBAGENT_TOOL: Final = "complete_task"
_SESSION_SUMMARY: Final = "Summarize the user's primary intent or goal in this conversation"
_SNAPSHOT: Final = "<state_snapshot>"
_SUMMARIZER: Final = "You are the component that summarizes internal chat history"


class GeminiCli(Agent):
    """Google's agent."""

    name = "gemini-cli"
    command = "gemini"
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

    def environment(self, base_url: str, key: str) -> dict[str, str]:
        """Its settings must have the API key as log-in type: the router can't stand in for a Google log-in."""
        return {"GOOGLE_GEMINI_BASE_URL": base_url, "GEMINI_API_KEY": key or ANY_KEY}


def asks_snapshot(view: RequestView) -> bool:
    """Whether the last words ask for the history as a ``<state_snapshot>``, with no tools to use."""
    if view.tool_count:
        return False
    return _SNAPSHOT in latest_human_text(view)[-1000:] or view.system_text.lstrip().startswith(_SUMMARIZER)
