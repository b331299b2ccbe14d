"""The traffic that advice is about: a profile's past requests, what was found out about each, and every call."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from router.advising.shapes import Shape
from router.health import classes
from router.ledger.past_calls import PastCall
from router.ledger.reports import Reader
from router.ledger.traffic import PastExchange
from router.money.prices import PriceTable
from router.profile.profile import Profile
from router.replaying.facts import record_of
from router.replaying.learned import Learned, learn
from router.replaying.pricing import Pricing
from router.routing.recorded import RecordedFacts
from router.routing.rules import Rule, Target

MOST: Final = 100_000
"""Requests that are looked at, the latest: more would tell nothing else, and take minutes and gigabytes."""

_NOBODYS: Final = frozenset({classes.AUTH, classes.AUTH_CLIENT, "interrupted"})
"""How calls ended of which the target had no part."""


@dataclass(slots=True)
class PastRequest:
    """One request. ``number`` is its place among all; ``facts`` and ``shape`` are None where none were kept.

    ``target`` answered it: None where nobody did.
    """

    number: int
    row: PastExchange
    facts: RecordedFacts | None
    shape: Shape | None
    target: Target | None
    calls: Sequence[PastCall] = ()

    @property
    def priced(self) -> bool:
        """Whether it is known what it cost, and for how many tokens."""
        row = self.row
        return self.target is not None and None not in (row.cost_nano_usd, row.tokens_in, row.output)


@dataclass
class Past:
    """All of it, oldest first. ``since_ms`` is when the first request came, if not later than what was asked for.

    ``rules_since_ms`` is when the first request came that the rules as they are now decided: None if none did yet.
    """

    profile: Profile
    prices: PriceTable
    requests: list[PastRequest]
    since_ms: int
    until_ms: int
    rules_since_ms: int | None = None
    left_out: bool = False  # there are more than ``MOST``

    @property
    def period_ms(self) -> int:
        """How long it is."""
        return self.until_ms - self.since_ms

    @cached_property
    def learned(self) -> Learned:
        """What its answers teach of the models."""
        return learn((request.row for request in self.requests), self.profile.providers)

    @cached_property
    def pricing(self) -> Pricing:
        """What its requests would have cost elsewhere."""
        return Pricing(self.profile, self.prices, self.learned)

    @cached_property
    def rules(self) -> dict[str, Rule]:
        """The rules, aliases, concepts and the default as they are now, by hash."""
        return {rule.hash: rule for rule in self.profile.routes.all_rules()}

    @cached_property
    def trials(self) -> dict[tuple[Target, Shape], list[tuple[PastRequest, bool]]]:
        """Every call that tells something of a target, by target and kind of request: whether the target failed it.

        A draft that was thrown away is a failure: the request had to be escalated.
        """
        found: defaultdict[tuple[Target, Shape], list[tuple[PastRequest, bool]]] = defaultdict(list)
        for request in self.requests:
            if request.shape is not None:
                for call in request.calls:
                    failed = failure(request, call)
                    if failed is not None:
                        found[Target(call.provider, call.model), request.shape].append((request, failed))
        return found

    def taken(self, rule: Rule) -> Iterator[PastRequest]:
        """The requests that a rule took."""
        return (request for request in self.requests if request.row.rule_hash == rule.hash)


def failure(request: PastRequest, call: PastCall) -> bool | None:
    """Whether a target failed a call; None where that isn't its own doing."""
    if call.role == "draft":
        return call.verdict != "accepted"
    if call.error_class is not None:
        return None if call.error_class in _NOBODYS else True
    return False if request.row.outcome == "ok" else None


def read_past(
    reader: Reader, profile: Profile, prices: PriceTable, *, since_ms: int, until_ms: int, most: int = MOST
) -> Past:
    """A profile's settled requests to generate of a period, the latest ``most`` of them. Raises LedgerError."""
    rows = [row for row in reader.traffic(profile.name, since_ms, until_ms) if row.kind == "generate"]
    kept = rows[-most:]
    since_ms = max(since_ms, kept[0].time_ms) if kept else since_ms
    calls = _by_request(reader.calls(profile.name, since_ms, until_ms))
    tools: dict[Any, Any] = {}
    requests = [_request(number, row, calls.get(row.id, ()), profile, tools) for number, row in enumerate(kept)]
    rules_since_ms = reader.first_under(profile.name, profile.file_hash, since_ms)
    return Past(profile, prices, requests, since_ms, until_ms, rules_since_ms, left_out=len(rows) > most)


def _by_request(calls: Iterable[PastCall]) -> dict[str, list[PastCall]]:
    found: defaultdict[str, list[PastCall]] = defaultdict(list)
    for call in calls:
        found[call.request_id].append(call)
    return found


def _request(
    number: int, row: PastExchange, calls: Sequence[PastCall], profile: Profile, tools: dict[Any, Any]
) -> PastRequest:
    record, facts, shape = record_of(row), None, None
    if record is not None:
        facts = RecordedFacts(record, profile.routes.phrases)
        shape = Shape.of(facts)
        if "tools" in record:
            facts.tools = tools.setdefault(facts.tools, facts.tools)  # a client offers the same again and again
    answered = row.outcome in ("ok", "client-gone", "partial") and row.provider is not None and row.model is not None
    target = Target(row.provider, row.model) if answered and row.provider is not None else None
    return PastRequest(number, row, facts, shape, target, calls)


def by_rule(requests: Iterable[PastRequest]) -> Counter[str]:
    """How many requests each rule took, by its label."""
    return Counter(request.row.rule for request in requests)
