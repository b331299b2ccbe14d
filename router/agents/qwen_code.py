"""Qwen Code (``qwen``), in the Chat, Messages or Gemini format. Observed with version 0.15.

It descends from Gemini CLI, whose compaction it shares, and sends no session id.
"""

from __future__ import annotations

import re
from typing import Final

from router.agents.agent import ANY_KEY, Agent, AgentRequest, latest_human_text, newest_marker
from router.agents.gemini_cli import asks_snapshot

_PLAN_MODE: Final = re.compile(
    r"(?P<on><system-reminder>\s*Plan mode is active)|(?P<off>\AUser has approved your plan|\AUser approved the plan)"
)
_ANSWER_TOOL: Final = "respond_in_schema"
_TITLE: Final = re.compile(r"\b(?:[Gg]enerate|[Ww]rite) a (?:short |concise )?(?:session )?title\b")


class QwenCode(Agent):
    """Alibaba's agent."""

    name = "qwen-code"
    command = "qwen"
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

    def environment(self, base_url: str, key: str) -> dict[str, str]:
        """The Chat format; start it with ``--auth-type openai`` and a model of the profile in ``OPENAI_MODEL``."""
        return {"OPENAI_BASE_URL": f"{base_url}/v1", "OPENAI_API_KEY": key or ANY_KEY}

    def arguments(self, base_url: str, key: str) -> tuple[str, ...]:
        """Without it a log-in that is stored in its settings wins over the variables."""
        return ("--auth-type", "openai")

    def instructions(self, base_url: str, key: str) -> str:
        """The same as one command."""
        variables = " ".join(f"{name}={value}" for name, value in self.environment(base_url, key).items())
        return f"{variables} qwen --auth-type openai"
