"""The table of known agents, and who sent a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from router.agents.agent import Agent
from router.agents.aider import Aider
from router.agents.claude_code import ClaudeCode
from router.agents.codex import Codex
from router.agents.gemini_cli import GeminiCli
from router.agents.hermes import Hermes
from router.agents.openclaw import OpenClaw
from router.agents.opencode import OpenCode
from router.agents.qwen_code import QwenCode
from router.agents.sdk import Other, Sdk
from router.wire.request import RequestView

SDK: Final = Sdk()
OTHER: Final = Other()

AGENTS: Final[tuple[Agent, ...]] = (
    ClaudeCode(),
    Codex(),
    OpenCode(),
    QwenCode(),
    GeminiCli(),
    Hermes(),
    OpenClaw(),
    Aider(),
    SDK,
)
"""In the order they are asked: an agent before the SDK it is built on."""

BY_NAME: Final[Mapping[str, Agent]] = {agent.name: agent for agent in (*AGENTS, OTHER)}

_BEHIND_AN_SDK: Final = tuple(agent for agent in AGENTS if agent.openings)
_OPENING: Final = 200  # characters of a prompt that may hold an agent's first words


def identify(headers: Mapping[str, str], view: RequestView | None = None) -> Agent:
    """Who sent a request; ``OTHER`` if nobody knows. ``headers`` has lower-case names.

    Headers decide, in about two microseconds. Only for a client that calls itself an SDK the first words of its
    prompt are looked at, if there is a ``view``.
    """
    for agent in AGENTS:
        if agent.recognises(headers):
            return agent if agent is not SDK or view is None else _behind_sdk(view)
    return OTHER


def _behind_sdk(view: RequestView) -> Agent:
    opening = _opening(view)
    for agent in _BEHIND_AN_SDK:
        if opening.startswith(agent.openings):
            return agent
    return SDK


def _opening(view: RequestView) -> str:
    """The first words of the system prompt, or of the only message of a request without one."""
    if view.has_system_prompt:
        return view.system_text[:_OPENING].lstrip()
    pieces = view.pieces()
    if len(pieces) == 1 and pieces[0].kind == "message":
        return view.read(pieces[0]).human_text[:_OPENING].lstrip()
    return ""
