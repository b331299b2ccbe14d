"""All that a rule may look at.

``Facts`` names the questions. ``RequestFacts`` answers them from a live request, each computed once and only if asked;
``recorded`` answers them from what the ledger kept, ``given`` from what a person typed for `router explain`.
A fact that the client's format can't express or the client didn't send is ``None`` or false, never an error.
"""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from router.agents.agent import Agent, AgentRequest
from router.agents.agents import identify
from router.routing.concepts import NOTHING, Found, Phrases
from router.wire.request import Lifetime, Piece, RequestView, TextScope, Tool, kept_for

if TYPE_CHECKING:
    from router.routing.rules import RouteTable
    from router.routing.tokens import PieceSummaries, PieceSummary

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


class PhraseTest(NamedTuple):
    """A phrase list looked for in one part of the conversation. ``id`` is its name in the ledger."""

    phrase_id: str
    scope: TextScope

    @property
    def id(self) -> str:
        return f"{self.scope}:{self.phrase_id}"


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


RECORDED: Final = (
    "api client key model stream max_tokens messages turns tool_count has_system_prompt tool_result thinking "
    "thinking_budget image image_in_last_turn document web_search background plan_mode subagent compaction "
    "provider_used budget_used"
).split()
"""Facts that the ledger keeps under their own names; the others need another form there."""

LOOP_TEXT_BYTES: Final = 256_000
"""A body whose whole text may be searched where others wait for it; larger ones go to a worker thread."""

_ATTRIBUTION: Final = "x-anthropic-billing-header:"  # opens Claude Code's system prompt, different in each session
_SEARCH_NAMES: Final = ("websearch", "googlesearch", "searchweb", "searchtheweb")


class RequestFacts(Facts):
    """The facts of one request as the client sent it, whatever its format.

    A fact is computed by the method ``_find_NAME`` when it is asked for first, and kept. ``headers`` may have any case
    and may hold credentials; rules don't see those. ``may_count`` allows what takes too long for the event loop; while
    it is false ``CountNeeded`` is raised instead. ``provider_used``, of a conversation, and ``budget_used`` are asked
    at most once.
    """

    # Inner facts, found like the others.
    agent: Agent
    conversation: str | None
    _pieces: list[Piece]
    _summaries: list[PieceSummary]
    _of_messages: list[PieceSummary]
    _last_turn: list[PieceSummary]
    _request: AgentRequest
    _latest_text: str
    _found_in_latest: Found
    _found_in_system: Found
    _found_in_any: Found

    def __init__(
        self,
        view: RequestView,
        *,
        headers: Mapping[str, str],
        summaries: PieceSummaries,
        phrases: Phrases | None,
        now: datetime,
        key: str | None = None,
        tags: frozenset[str] = frozenset(),
        provider_used: Callable[[str | None], str | None] | None = None,
        budget_used: Callable[[], float | None] | None = None,
        may_count: bool = False,
    ) -> None:
        self.view = view
        self.may_count = may_count
        self.now = now
        self.key = key
        self.tags = tags
        self.api = view.api
        self._sent_headers = headers
        self._cache = summaries
        self._phrases = phrases
        self._ask_provider_used = provider_used
        self._ask_budget_used = budget_used
        self._tokens: int | None = None
        self._at_least = 0  # what is known of the tokens from thresholds asked before
        self._below: int | None = None

    if not TYPE_CHECKING:  # the names and types are declared above and in Facts

        def __getattr__(self, name: str) -> object:
            find = _FINDERS.get(name)
            if find is None:
                raise AttributeError(name)
            value = find(self)
            setattr(self, name, value)
            return value

    def tokens(self) -> int:
        """Counted once; ``CountNeeded`` where so much must be counted that it isn't allowed here."""
        if self._tokens is None:
            self._tokens = self._cache.tokens(self.view, self.may_count, self._summaries)
        return self._tokens

    def tokens_reach(self, threshold: int) -> bool:
        if self._tokens is not None:
            return self._tokens >= threshold
        if threshold <= self._at_least:
            return True
        if self._below is not None and threshold >= self._below:
            return False
        reached = self._cache.reaches(self.view, threshold, self.may_count)
        if reached:
            self._at_least = threshold
        else:
            self._below = threshold
        return reached

    def text_holds(self, phrase_id: str, scope: TextScope) -> bool:
        match scope:
            case "latest":
                return phrase_id in self._found_in_latest.ids
            case "system":
                return phrase_id in self._found_in_system.ids
            case "any":
                return phrase_id in self._found_in_any.ids

    def concepts_found(self, asked: Collection[str]) -> tuple[str, ...]:
        return tuple(phrase_id for phrase_id in self._found_in_latest.concepts if phrase_id in asked)

    def header_holds(self, test: HeaderTest) -> bool:
        value = self.headers.get(test.name)
        return value is not None and test.pattern.fullmatch(value) is not None

    @property
    def continued_reply(self) -> str | None:
        """The id of the Responses reply that the request continues."""
        earlier = self.view.body.get("previous_response_id") if self.api == "openai-responses" else None
        return earlier if isinstance(earlier, str) else None

    @property
    def conversation_start(self) -> str:
        """The id that the conversation will have from its second request on, where the client gives none: a hash of the
        system prompt and the first human message. To remember a first request by, once it has its reply."""
        first = self._first_human_piece()
        opening = tuple(
            (piece.kind, len(piece.raw), hash(piece.raw))
            for piece, summary in zip(self._pieces, self._summaries, strict=True)
            if piece is first or (summary.role == "system" and piece.kind != "tools")
        )

        def work_out() -> str:
            blocks = self.view.system_text.split("\n\n")
            system = "\n\n".join(block for block in blocks if not block.startswith(_ATTRIBUTION))
            human = self.view.read(first).human_text if first is not None else ""
            digest = hashlib.sha256(f"{system}\0{human}".encode("utf-8", "surrogatepass"))
            return f"start-{digest.hexdigest()[:24]}"

        return self._cache.conversations.get((self.api, opening), work_out)

    @property
    def kept(self) -> Lifetime:
        """How long the client asks to have its prompt kept; empty where it doesn't ask."""
        asked = {summary.kept for summary in self._summaries}
        top = self.view.body.raw_field("cache_control")
        if top is not None and top != b"null":
            asked.add(kept_for(b'"cache_control":%b' % top))
        return "1h" if "1h" in asked else "5m" if "5m" in asked else ""

    def record(self, routes: RouteTable, *, count_tokens: bool = False) -> dict[str, object]:
        """The facts for the ledger, as JSON values: counts, flags, names of tools, and the result of every keyword,
        concept and header condition of the profile. Never text.

        ``tokens`` is there if they are known already, or with ``count_tokens``. ``opening``: it belongs to no
        conversation yet, though the next one may; ``start`` tells apart prompts of one conversation that begin
        otherwise; ``cache_marks``: how long it asks to have its prompt kept.
        """
        record: dict[str, object] = {name: getattr(self, name) for name in RECORDED}
        record["tools"] = [tool.name for tool in self.tools]
        record["tags"] = sorted(self.tags)
        record["now"] = self.now.isoformat(timespec="minutes")
        record["opening"] = self.conversation is None
        record["start"] = self.conversation_start
        record["cache_marks"] = self.kept
        if self.continued_reply is not None:
            record["continues"] = self.continued_reply
        tests: dict[str, bool] = {}
        for rule in routes.rules:
            for leaf in rule.match.leaves() if rule.match is not None else ():
                for test in leaf.asks():
                    holds = (
                        self.header_holds(test)
                        if isinstance(test, HeaderTest)
                        else self.text_holds(test.phrase_id, test.scope)
                    )
                    tests[test.id] = holds
        routed = routes.routed_concepts()
        for phrase_id in routed:
            tests[PhraseTest(phrase_id, "latest").id] = self.text_holds(phrase_id, "latest")
        record["tests"] = tests
        record["concepts"] = self._ranks(tests)
        if count_tokens or self._tokens is not None:
            record["tokens"] = self.tokens()
        return record

    def _ranks(self, tests: Mapping[str, bool]) -> dict[str, tuple[int, int]]:
        """How long and where the concepts occur that were looked for and found: which of them comes first is up to
        their priorities."""
        if not any(tests.values()):
            return {}
        ranks = self._found_in_latest.concepts
        return {
            phrase_id: (-rank.minus_length, rank.position)
            for phrase_id, rank in ranks.items()
            if tests.get(PhraseTest(phrase_id, "latest").id)
        }

    def for_script(self) -> dict[str, object]:
        """What a profile's script is told: the plain facts, headers without credentials, the latest human text.

        ``tokens_at_most`` is the body's length, which bounds the tokens of its text; counting is left to the rules.
        """
        plain: dict[str, object] = {name: getattr(self, name) for name in RECORDED}
        return {
            **plain,
            "tools": [tool.name for tool in self.tools],
            "tags": sorted(self.tags),
            "headers": dict(self.headers),
            "conversation": self.conversation,
            "now": self.now.isoformat(timespec="seconds"),
            "tokens": self._tokens,
            "tokens_at_most": len(self.view.body.raw),
            "text": self._latest_text,
        }

    # Who asks

    def _find_headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        for name, value in self._sent_headers.items():
            lower = name.lower()
            if not is_credential_header(lower):
                headers[lower] = f"{headers[lower]}, {value}" if lower in headers else value
        return headers

    def _find_agent(self) -> Agent:
        return identify(self.headers, self.view)

    def _find_client(self) -> str:
        return self.agent.name

    def _find_request(self) -> AgentRequest:
        return AgentRequest(self.headers, self.view)

    def _find_background(self) -> bool:
        return self.agent.background(self._request)

    def _find_plan_mode(self) -> bool:
        return self.agent.plan_mode(self._request)

    def _find_subagent(self) -> bool:
        return self.agent.subagent(self._request)

    def _find_compaction(self) -> bool:
        return self.agent.compaction(self._request)

    def _find_conversation(self) -> str | None:
        """The client's own id for it, else a hash of how it began; a first request can't be told from another's."""
        given = self.agent.conversation(self._request)
        if given:
            return given
        answered = any(summary.role == "assistant" for summary in self._of_messages)
        return self.conversation_start if answered else None

    def _find_provider_used(self) -> str | None:
        return self._ask_provider_used(self.conversation) if self._ask_provider_used else None

    def _find_budget_used(self) -> float | None:
        return self._ask_budget_used() if self._ask_budget_used else None

    # What the top level says

    def _find_model(self) -> str:
        return self.view.model

    def _find_stream(self) -> bool:
        return self.view.stream

    def _find_max_tokens(self) -> int | None:
        return self.view.max_tokens

    def _find_thinking(self) -> bool:
        return self.view.thinking.on

    def _find_thinking_budget(self) -> int | None:
        return self.view.thinking.budget

    def _find_tool_count(self) -> int:
        return self.view.tool_count

    def _find_tools(self) -> tuple[Tool, ...]:
        return self._cache.tools(self.view)

    def _find_forced_tool(self) -> str | None:
        return self.view.forced_tool

    def _find_web_search(self) -> bool:
        """A search the provider runs itself, or a search function that is the only tool or must be called."""
        if any(tool.kind == "web-search" for tool in self.tools):
            return True
        searches = [tool.name for tool in self.tools if is_search_name(tool.name)]
        return bool(searches) and (len(self.tools) == 1 or self.forced_tool in searches)

    def _find_has_system_prompt(self) -> bool:
        return self.view.has_system_prompt

    # What the messages hold

    def _find_pieces(self) -> list[Piece]:
        return self.view.pieces()

    def _find_summaries(self) -> list[PieceSummary]:
        return [self._cache.summary(self.view, piece) for piece in self._pieces]

    def _find_last_turn(self) -> list[PieceSummary]:
        """What is neither assistant nor system behind the last assistant message, newest first."""
        turn: list[PieceSummary] = []
        for piece in reversed(self._pieces):
            summary = self._cache.summary(self.view, piece)
            if summary.role == "assistant":
                break
            if piece.kind == "message" and summary.role != "system":
                turn.append(summary)
        return turn

    def _find_messages(self) -> int:
        return len(self._of_messages)

    def _find_turns(self) -> int:
        return len([None for summary in self._of_messages if summary.human and summary.role == "user"])

    def _find_tool_result(self) -> bool:
        return any(summary.tool_result for summary in self._last_turn)

    def _find_image(self) -> bool:
        return any(summary.images for summary in self._summaries)

    def _find_image_in_last_turn(self) -> bool:
        return any(summary.images for summary in self._last_turn)

    def _find_document(self) -> bool:
        return any(summary.documents for summary in self._summaries)

    def _find_of_messages(self) -> list[PieceSummary]:
        pairs = zip(self._pieces, self._summaries, strict=True)
        return [summary for piece, summary in pairs if piece.kind == "message"]

    # What is said

    def _find_latest_text(self) -> str:
        """The last message with a person's words; its words."""
        for piece in reversed(self._pieces):
            if piece.kind == "message":
                summary = self._cache.summary(self.view, piece)
                if summary.human and summary.role == "user":
                    return self.view.read(piece).human_text
        return ""

    def _first_human_piece(self) -> Piece | None:
        for piece, summary in zip(self._pieces, self._summaries, strict=True):
            if piece.kind == "message" and summary.human and summary.role == "user":
                return piece
        return None

    def _find_found_in_latest(self) -> Found:
        return self._search(self._latest_text)

    def _find_found_in_system(self) -> Found:
        return self._search(self.view.system_text)

    def _find_found_in_any(self) -> Found:
        """The system prompt and all that the messages say, tool results too; not the tools' descriptions."""
        if not self.may_count and len(self.view.body.raw) > LOOP_TEXT_BYTES:
            raise CountNeeded
        texts = (text for piece in self._pieces if piece.kind != "tools" for text in self.view.read(piece).texts)
        return self._search("\n\n".join(texts))

    def _search(self, text: str) -> Found:
        return self._phrases.search(text) if self._phrases is not None else NOTHING


# The method behind each lazy fact, under its own name and the private one.
_FINDERS: dict[str, Callable[[RequestFacts], object]] = {
    f"{prefix}{name.removeprefix('_find_')}": find
    for name, find in vars(RequestFacts).items()
    if name.startswith("_find_")
    for prefix in ("", "_")
}


@lru_cache(maxsize=4096)
def is_search_name(name: str) -> bool:
    """Whether a function by this name searches the web: ``web_search``, ``WebSearch``, ``google_web_search``, …"""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return any(search in plain for search in _SEARCH_NAMES)
