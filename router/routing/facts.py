"""All that a rule may look at.

``Facts`` names the questions; ``RequestFacts`` answers them from a live request, each computed once and only if asked.
In ``recorded`` they are answered from what the ledger kept, or from what a person typed for `router explain`.
A fact that the client's format can't express or the client didn't send is ``None`` or false, never an error.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from router.wire.request import TextScope, Tool

_CREDENTIAL_NAMES = frozenset(
    "authorization proxy-authorization x-api-key api-key x-goog-api-key x-router-key cookie set-cookie".split()
)
_CREDENTIAL_ENDINGS = ("-authorization", "-api-key", "-auth-token", "-access-token", "-security-token", "-secret")


def is_credential_header(name: str) -> bool:
    """Whether a header carries a secret. Rules can't look at those, and they are never recorded."""
    lower = name.lower()
    return lower in _CREDENTIAL_NAMES or lower.endswith(_CREDENTIAL_ENDINGS)


class FactUnknown(LookupError):
    """A recorded request doesn't tell this fact (for example words that no rule asked about at that time)."""


class CountNeeded(Exception):
    """Deciding needs a token count too large for the event loop; decide again in a worker thread.

    Raised only while ``RequestFacts.may_count`` is false.
    """


@dataclass(frozen=True, slots=True)
class HeaderTest:
    """A glob on one request header. ``id`` is its name in the ledger, equal for equal tests."""

    id: str
    name: str  # lower-case
    pattern: re.Pattern[str]


class Facts(ABC):
    """The questions. Attribute names are the ledger's names of the facts."""

    api: str
    client: str  # "claude-code", "codex", …, "sdk", "other"
    model: str
    stream: bool
    max_tokens: int | None
    messages: int
    turns: int
    tool_count: int
    tools: tuple[Tool, ...]
    forced_tool: str | None
    has_system_prompt: bool
    tool_result: bool
    thinking: bool
    thinking_budget: int | None
    image: bool
    image_in_last_turn: bool
    document: bool
    web_search: bool
    background: bool
    plan_mode: bool
    subagent: bool
    compaction: bool
    headers: Mapping[str, str]  # lower-case names; credentials left out
    key: str | None  # the client key's name
    tags: frozenset[str]
    provider_used: str | None
    now: datetime  # aware, in the profile's timezone
    budget_used: float | None  # spent share of the tightest budget in force

    @abstractmethod
    def tokens(self) -> int:
        """Estimated input tokens, exactly counted."""

    @abstractmethod
    def tokens_reach(self, threshold: int) -> bool:
        """Whether the estimate is at least ``threshold``; counts no further than needed to know."""

    @abstractmethod
    def text_holds(self, phrase_id: str, scope: TextScope) -> bool:
        """Whether the phrases registered as ``phrase_id`` (a keyword list or a concept) occur in the text."""

    @abstractmethod
    def concepts_found(self, asked: Collection[str]) -> tuple[str, ...]:
        """Of the concepts with these phrase ids, those in the latest human text: longest match first, then priority,
        then position."""

    @abstractmethod
    def header_holds(self, test: HeaderTest) -> bool:
        """Whether the header was sent and its value matches."""
