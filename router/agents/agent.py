"""What it takes to know a coding agent: how its requests are recognised and how it is pointed at the router.

One file beside this one per agent, all listed in ``agents.AGENTS``. An agent is told by its headers alone where it
sends telling ones; what a request of it is *for* (a title, a sub-agent's work, a compaction) is told by the markers
that agent is known to send. Everything here looks at as little of the request as it can: a header, the system prompt,
the last message. Markers that are prose can change with any release of an agent; a marker that is gone makes a
condition false, never an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import msgspec

from router.agents.pointing import NOTHING, Address, AgentFile, Found, Pointing, Settings
from router.wire.request import PieceContent, RequestView

_SMALL_MODEL: Final = re.compile(r"(?<![a-z0-9])haiku(?![a-z])")
_OLD_USER_ID: Final = re.compile(r"user_.*_session_([0-9A-Za-z-]+)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """A request as an agent's file sees it. ``headers`` has lower-case names."""

    headers: Mapping[str, str]
    view: RequestView


class Agent:
    """A client whose requests are known. The methods answer for one request; none of them changes anything."""

    name: ClassVar[str]
    """The word rules use: ``client = "codex"``."""
    command: ClassVar[str | None] = None
    """The program that starts the agent."""
    install: ClassVar[str] = ""
    """How it comes onto a machine."""
    files: ClassVar[tuple[AgentFile, ...]] = ()
    """Those of its files that say where it goes, each read if it is there."""
    only_settings: ClassVar[str] = ""
    """Why it can't be pointed anywhere for one process alone."""
    user_agents: ClassVar[tuple[str, ...]] = ()
    """Beginnings of its user-agent header, lower case."""
    marks: ClassVar[Mapping[str, str]] = {}
    """Headers that only this agent sends, and what their value contains, lower case (empty: anything)."""
    openings: ClassVar[tuple[str, ...]] = ()
    """First words of its prompts, for an agent that arrives under the name of the SDK it is built on."""
    session_headers: ClassVar[tuple[str, ...]] = ()
    """Headers that hold the id of the conversation, best first."""

    def recognises(self, headers: Mapping[str, str]) -> bool:
        """Whether these headers are this agent's."""
        if headers.get("user-agent", "").lower().startswith(self.user_agents):
            return True
        for mark, part in self.marks.items():  # noqa: SIM110 - half the time of any(), and this runs for every request
            if mark in headers and part in headers[mark].lower():
                return True
        return False

    def background(self, request: AgentRequest) -> bool:
        """Whether it is the client's small-model traffic.

        That is a model of the haiku family, whoever asks for it and for whatever, or a request that the agent makes
        for itself: a title, a summary for its session list, a probe of the quota. Agents send such work to Haiku
        unless told otherwise, and a person who picks Haiku as main model has picked the small one; a small
        ``max_tokens`` says nothing.
        """
        return is_small_model(request.view.model) or self.side_job(request)

    def side_job(self, request: AgentRequest) -> bool:
        """Whether the agent asks for itself (title, summary, quota probe), by this agent's markers."""
        return False

    def plan_mode(self, request: AgentRequest) -> bool:
        """Whether the agent may only plan at the moment."""
        return False

    def subagent(self, request: AgentRequest) -> bool:
        """Whether a sub-agent sends it."""
        return False

    def compaction(self, request: AgentRequest) -> bool:
        """Whether the agent has its context summarised, to go on with the summary alone."""
        return False

    def conversation(self, request: AgentRequest) -> str | None:
        """The id that the client itself gives the conversation, ``None`` if it gives none.

        In this order: an ``x-session-id`` header, the agent's own headers, the session in ``metadata.user_id``,
        ``prompt_cache_key``. A sub-agent has an id of its own, since its prompt cache is its own.
        """
        return (
            request.headers.get("x-session-id")
            or self.session(request)
            or _metadata_session(request.view)
            or _text_field(request.view, "prompt_cache_key")
        )

    def session(self, request: AgentRequest) -> str | None:
        """The conversation's id as this agent's headers have it."""
        for header in self.session_headers:
            if value := request.headers.get(header):
                return value
        return None

    def pointing(self, to: Address, found: Found = NOTHING) -> Pointing:
        """What one process of it is given so that it goes to a profile."""
        return Pointing({})

    def settings(self, to: Address, found: Found = NOTHING) -> Settings:
        """What its own settings need so that it goes to a profile from now on."""
        return Settings()

    def address(self, found: Found) -> str | None:
        """The base URL that it uses with the variables and settings that are there; ``None``: its vendor's."""
        return None


def is_small_model(model: str) -> bool:
    """Whether a requested model's name is of the haiku family, under whatever prefix or date."""
    return _SMALL_MODEL.search(model.lower()) is not None


def last_turn(view: RequestView) -> Iterator[PieceContent]:
    """What came after the last assistant message, newest first, system messages included."""
    for piece in reversed(view.pieces()):
        if piece.kind != "message":
            continue
        content = view.read(piece)
        if content.role == "assistant":
            return
        yield content


def latest_human_text(view: RequestView) -> str:
    """What a person, or the agent in a person's place, said in the last turn; empty if it was only tool results."""
    for content in last_turn(view):
        if content.role == "user" and content.human_text:
            return content.human_text
    return ""


def newest_marker(
    view: RequestView, marker: re.Pattern[str], *, hints: tuple[bytes, ...] = (), turns: int | None = None
) -> str | None:
    """The name of the group that matched last in the conversation's messages, or ``None``.

    For states that an agent announces when they begin and when they end (``marker`` has a named group for each). A
    message is only decoded if its bytes hold one of ``hints``, where there are any. ``turns`` bounds how many messages
    with human text are looked at, for agents that repeat the announcement with each of them.
    """
    for piece in reversed(view.pieces()):
        if piece.kind != "message":
            continue
        if hints and not any(hint in piece.raw for hint in hints):
            continue
        content = view.read(piece)
        if content.role != "assistant":
            found = [match.lastgroup for text in content.texts for match in marker.finditer(text)]
            if found:
                return found[-1]
        if turns is not None and content.role == "user" and content.human_text:
            turns -= 1
            if turns <= 0:
                return None
    return None


def dig(value: Any, *path: str) -> Any:
    """The value under ``path`` in decoded JSON; ``None`` where something on the way is missing or no object."""
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def _text_field(view: RequestView, name: str) -> str | None:
    value = view.body.get(name)
    return value if isinstance(value, str) and value else None


def _metadata_session(view: RequestView) -> str | None:
    """The session in ``metadata.user_id``: a JSON text with ``session_id``, or ``user_…_account_…_session_ID``.

    A ``user_id`` of any other shape is somebody's user, not a conversation.
    """
    user_id = dig(view.body.get("metadata"), "user_id")
    if not isinstance(user_id, str):
        return None
    if user_id.startswith("{"):
        try:
            session = dig(msgspec.json.decode(user_id), "session_id")
        except msgspec.DecodeError:
            return None
        return session if isinstance(session, str) and session else None
    match = _OLD_USER_ID.match(user_id)
    return match[1] if match else None
