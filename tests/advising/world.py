"""A made-up team at work: what its agents and programs send, what providers make of it, what the ledger then holds.

``Ask`` is a request as somebody sends it, whatever the rules are. ``serve`` sends asks through a profile: the router's
own ``decide`` says where, the providers here keep prompt caches, fail where they are told to and say how many tokens
they read; the records are written by the ledger's own writer. So the same asks can be served under other rules, and
what an edit saves is known without asking whoever advised it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from router.ledger.entry import AttemptRecord, Intent, Settlement
from router.ledger.writing import Annotate, Begin, Record, Settle, write_records
from router.money.prices import PriceTable
from router.profile.load import load_profile
from router.profile.profile import Profile
from router.providers.catalog import load_catalog
from router.routing.families import family_of
from router.routing.recorded import RecordedFacts
from router.routing.rules import Candidate, RouteDecision, Target, decide
from router.server.pricing import cache_discount, cost_at
from router.wire.usage import Usage
from tests.support import ledgers

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
NOW_MS = int(datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp() * 1000)
CACHE_MS = 5 * MINUTE_MS
USUAL_OUTPUT = 600  # tokens that an answer is expected to have
SMALLEST_CACHED = 1024  # tokens: shorter prompts are cached nowhere

PRICES = PriceTable.load()
ENVIRON = {f"{name}_API_KEY": "set" for name in ("ANTHROPIC", "OPENAI", "GROQ", "GEMINI", "DEEPSEEK")}

# Who writes a prompt cache where the client asks for it, and who reads one by itself.
_WRITES = {"anthropic"}
_READS = {"openai", "gemini", "deepseek"}


@dataclass(frozen=True)
class Ask:
    """One request. ``tokens`` is its input as the router estimates it, ``output`` what any model answers it with."""

    time_ms: int
    conversation: str
    tokens: int
    output: int
    facts: dict[str, object] = field(default_factory=dict)


Fails = Callable[[Ask, Target], str | None]
"""The error class with which a target fails a request: ``soft``, ``server``, …; None where it answers."""
Judges = Callable[[Ask], float]
"""The score of a draft."""


def never(ask: Ask, target: Target) -> str | None:
    return None


# --- what is sent -----------------------------------------------------------------------------------------------------

AGENT = {
    "client": "claude-code", "model": "claude-sonnet-4-5", "has_system_prompt": True, "stream": True,
    "cache_marks": True,
}  # fmt: skip


def session(
    rng: random.Random,
    start_ms: int,
    name: str,
    *,
    requests: int,
    first: int = 16_000,
    grows: tuple[int, int] = (400, 2_500),
    output: tuple[int, int] = (80, 700),
    turn_of: int = 8,
    pause_ms: tuple[int, int] = (1 * MINUTE_MS, 12 * MINUTE_MS),
    **facts: object,
) -> Iterator[Ask]:
    """A conversation of a coding agent: a person says something, the agent goes on with tools' results, and so on."""
    at, tokens, messages, turns = start_ms, first + rng.randrange(2_000), 1, 1
    for number in range(requests):
        asks = number % turn_of == 0
        if number:
            at += rng.randrange(*pause_ms) if asks else rng.randrange(4_000, 40_000)
            tokens += rng.randrange(*grows)
            messages, turns = messages + 2, turns + asks
        told = {"tools": 25, "tool_result": not asks, "messages": messages, "turns": turns, "max_tokens": 32_000}
        yield Ask(at, name, tokens, rng.randrange(*output), AGENT | told | facts)


def background(rng: random.Random, at: int, name: str, **facts: object) -> Ask:
    """A title or a summary, which an agent asks its small model for."""
    told = {"background": True, "model": "claude-haiku-4-5", "max_tokens": 512, "stream": False}
    return Ask(at, name, rng.randrange(300, 1_600), rng.randrange(10, 60), AGENT | told | facts)


def question(rng: random.Random, at: int, name: str, *, tokens: tuple[int, int] = (150, 1_900), **facts: object) -> Ask:
    """A program's single question."""
    told = {"client": "sdk", "model": "claude-sonnet-4-5", "max_tokens": 1_024}
    return Ask(at, name, rng.randrange(*tokens), rng.randrange(100, 500), told | facts)


def days(count: int, *, until_ms: int = NOW_MS) -> list[int]:
    """When the working days began, the latest one yesterday."""
    return [until_ms - number * DAY_MS for number in range(count, 0, -1)]


# --- what becomes of it -----------------------------------------------------------------------------------------------


def load(folder: Path, text: str, name: str = "work") -> Profile:
    """The profile of these rules. Raises AssertionError with what is wrong with them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "routing.toml").write_text(text, "utf-8")
    loaded = load_profile(
        folder, name=name, catalog=load_catalog(), environ=ENVIRON, known_model=lambda provider, model: None
    )
    assert loaded.profile is not None, loaded.errors
    return loaded.profile


def record_of(ask: Ask, profile: Profile) -> dict[str, object]:
    """The facts as the ledger keeps them."""
    facts = dict(ask.facts)
    count = facts.pop("tools", 0)
    assert isinstance(count, int)
    plain: dict[str, object] = {
        "api": "anthropic-messages", "client": "sdk", "key": None, "model": "claude-sonnet-4-5", "stream": True,
        "max_tokens": None, "messages": 1, "turns": 1, "tool_count": count, "has_system_prompt": False,
        "tool_result": False, "thinking": False, "thinking_budget": None, "image": False, "image_in_last_turn": False,
        "document": False, "web_search": False, "background": False, "plan_mode": False, "subagent": False,
        "compaction": False, "provider_used": None, "budget_used": None,
        "tools": [f"tool_{number}" for number in range(count)], "tags": [],
        "now": datetime.fromtimestamp(ask.time_ms / 1000, profile.timezone).isoformat(timespec="minutes"),
        "tests": _answers(profile), "concepts": {}, "tokens": ask.tokens, "opening": False, "cache_marks": False,
    }  # fmt: skip
    return plain | facts


def _answers(profile: Profile) -> dict[str, bool]:
    """What the rules ask of words and headers: none of them is there."""
    leaves = (leaf for rule in profile.routes.rules if rule.match is not None for leaf in rule.match.leaves())
    return {test.id: False for leaf in leaves for test in leaf.asks()}


class Providers:
    """What is in their prompt caches."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._held: dict[tuple[str, Target], tuple[int, int]] = {}  # tokens, until when
        self._at: dict[str, Target] = {}  # where a conversation was answered last

    def answer(self, ask: Ask, target: Target) -> Usage:
        """The usage of an answer, the cache read and written."""
        if self._keeps(ask, target):
            usage = self._usage(ask, target, output=ask.output)
            self._held[ask.conversation, target] = self.tokens(ask, target), ask.time_ms + CACHE_MS
            return usage
        return Usage(self.tokens(ask, target), output=ask.output)

    def _usage(self, ask: Ask, target: Target, *, output: int) -> Usage:
        tokens = self.tokens(ask, target)
        held, until = self._held.get((ask.conversation, target), (0, 0))
        read = min(held, tokens) if ask.time_ms < until else 0
        if self._keeps(ask, target) and target.provider in _WRITES:
            return Usage(0, cache_read=read, cache_write=tokens - read, output=output)
        return Usage(tokens - read, cache_read=read, output=output)

    def _keeps(self, ask: Ask, target: Target) -> bool:
        """Whether a provider puts a request into its cache."""
        marked = bool(ask.facts.get("cache_marks")) or target.provider in _READS
        return marked and target.provider in _WRITES | _READS and self.tokens(ask, target) >= SMALLEST_CACHED

    def tokens(self, ask: Ask, target: Target) -> int:
        family = family_of(self.profile.providers[target.provider].family, target.model or "")
        return int(ask.tokens * family.factor)

    def cost(self, ask: Ask, target: Target, usage: Usage) -> int | None:
        provider = self.profile.providers[target.provider]
        moment = datetime.fromtimestamp(ask.time_ms / 1000, UTC)
        return cost_at(self.profile, provider, PRICES, target.model or "", usage, moment=moment)

    def stays(self, ask: Ask, decision: RouteDecision) -> RouteDecision:
        """With ``sticky = "cache"``: where the conversation was, as long as that is the cheaper place."""
        first, last = decision.candidates[0], self._at.get(ask.conversation)
        home = next((each for each in decision.all_candidates() if each.target == last), None)
        if self.profile.sticky != "cache" or home is None or last is None or last == first:
            return decision
        stays, goes = (self.cost(ask, each, self._usage(ask, each, output=USUAL_OUTPUT)) for each in (last, first))
        leaves = stays is None or goes is None or goes < stays
        return decision if leaves else decision.led_by(home, "")

    def moves(self, ask: Ask, target: Target) -> tuple[int | None, int | None]:
        """The conversation is answered here now: what it leaves behind elsewhere, as the router records it."""
        left = self._at.get(ask.conversation)
        self._at[ask.conversation] = target
        if left is None or left == target:
            return None, None
        tokens, until = self._held.get((ask.conversation, left), (0, 0))
        held = min(tokens, ask.tokens) if ask.time_ms < until else 0
        if not held:
            return None, None
        return held, cache_discount(self.profile, self.profile.providers[left.provider], PRICES, left.model or "", held)


def serve(
    asks: Sequence[Ask], profile: Profile, *, fails: Fails = never, judges: Judges | None = None, file_hash: str = ""
) -> list[Record]:
    """The records of the asks under a profile's rules, in the order of time."""
    providers = Providers(profile)
    records: list[Record] = []
    for number, ask in enumerate(sorted(asks, key=lambda ask: ask.time_ms)):
        request_id = f"{ask.time_ms:012x}{number:020x}"
        records += _served(request_id, ask, profile, providers, fails, judges, file_hash or profile.file_hash)
    return records


def _served(
    request_id: str, ask: Ask, profile: Profile, providers: Providers, fails: Fails, judges: Judges | None, file: str
) -> list[Record]:
    record = record_of(ask, profile)
    decision = providers.stays(ask, decide(profile.routes, RecordedFacts(record)))
    rule = decision.rule
    calls: list[AttemptRecord] = []
    served: Candidate | None = None
    cascade = profile.cascades.get(rule.label) if judges is not None else None
    if cascade is not None and judges is not None:
        (draft,), verifier = cascade.draft, decision.candidates[0]
        call = _called(request_id, len(calls) + 1, "draft", ask, draft, providers)
        call.score = judges(ask)
        call.verdict = "accepted" if call.score >= cascade.threshold else "rejected"
        assert call.usage is not None
        instead = providers.cost(ask, verifier, call.usage) if call.verdict == "accepted" else 0
        if call.cost_nano_usd is not None and instead is not None:
            call.saving_nano_usd = instead - call.cost_nano_usd
        calls.append(call)
        served = Candidate(draft, rule) if call.verdict == "accepted" else None
    for candidate in () if served is not None else decision.all_candidates():
        role = "verifier" if calls and calls[0].role == "draft" else "fallback" if calls else "primary"
        error = fails(ask, candidate.target)
        call = _called(request_id, len(calls) + 1, role, ask, candidate.target, providers, error)
        calls.append(call)
        if error is None:
            served = candidate
            break
    last = calls[-1]
    lost = providers.moves(ask, Target(last.provider, last.model)) if last.role != "draft" and served else (None, None)
    model = str(record["model"])
    intent = Intent(
        request_id, "generate", ask.time_ms, profile.name, rule.label, rule.hash, file, str(record["client"]), None,
        None, None, str(record["api"]), model, calls[0].provider, calls[0].model, True, decision.reason,
    )  # fmt: skip
    costs = [call.cost_nano_usd for call in calls]
    cost = None if None in costs else sum(each or 0 for each in costs)
    ended = Settlement(
        request_id, "ok" if served else "upstream-error", 200 if served else 502, None if served else last.error_class,
        usage=last.usage, cost_nano_usd=cost, list_nano_usd=cost, price_source="table", first_byte_ms=400.0,
        duration_ms=2_000.0, attempts=len(calls), provider=last.provider, model=last.model,
        cache_lost=lost[0], cache_lost_nano_usd=lost[1],
    )  # fmt: skip
    known = Annotate(request_id, json.dumps(record), ask.tokens, ask.conversation)
    return [Begin(intent), Settle(ended, tuple(calls), known)]


def _called(
    request_id: str, number: int, role: str, ask: Ask, target: Target, providers: Providers, error: str | None = None
) -> AttemptRecord:
    call = AttemptRecord(
        request_id, number, role, target.provider, target.model or "", "env:KEY", ask.time_ms, "anthropic-messages",
        200 if error in (None, "soft") else 500, error, duration_ms=1_900.0, price_source="table",
    )  # type: ignore[arg-type]  # fmt: skip
    if error is None:
        call.usage = providers.answer(ask, target)
    elif error == "soft":
        call.usage = Usage(providers.tokens(ask, target), output=1)
    if call.usage is None:
        call.cost_nano_usd = call.list_nano_usd = 0
    else:
        call.cost_nano_usd = call.list_nano_usd = providers.cost(ask, target, call.usage)
    return call


def write(path: Path, records: Sequence[Record]) -> None:
    """The ledger of these records."""
    connection = ledgers.create(path)
    write_records(connection, records)
    connection.close()


def total(records: Sequence[Record]) -> int:
    """What the requests cost, all calls together."""
    return sum(call.cost_nano_usd or 0 for record in records if isinstance(record, Settle) for call in record.attempts)


def without(ask: Ask, **facts: object) -> Ask:
    """The same request with other facts."""
    return replace(ask, facts=ask.facts | facts)
