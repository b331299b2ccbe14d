"""The traffic that advice is about: a profile's past requests, what was found out about each, and every call."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeVar

from router.advising.shapes import Shape
from router.health import classes
from router.ledger.past_calls import PastCall
from router.ledger.reports import Reader
from router.ledger.traffic import PastExchange
from router.money.prices import PriceTable
from router.profile.profile import Profile
from router.replaying.facts import record_of
from router.replaying.learned import Learned
from router.replaying.pricing import Pricing
from router.routing.recorded import RecordedFacts
from router.routing.rules import Rule, Target

MOST: Final = 100_000
"""Requests that are looked at, the latest: more would tell nothing else, and take minutes and gigabytes."""

_NOBODYS: Final = frozenset({classes.AUTH, classes.AUTH_CLIENT, "interrupted"})
"""How calls ended of which the target had no part."""

T = TypeVar("T")


@dataclass(slots=True)
class PastRequest:
    """One request. ``number`` is its place among all, ``row`` is without the facts, which ``record`` has; ``facts`` and
    ``shape`` are None where none were kept. ``target`` answered it: None for nobody."""

    number: int
    row: PastExchange
    record: Mapping[str, Any]
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
    """All of it, oldest first. ``since_ms`` is when the first request came, ``rules_since_ms`` when the first one did
    that the rules as they are now decided: None if none did yet. ``left_out``: there are more than were looked at."""

    reader: Reader
    profile: Profile
    prices: PriceTable
    requests: list[PastRequest]
    learned: Learned
    since_ms: int
    until_ms: int
    rules_since_ms: int | None = None
    left_out: bool = False

    @property
    def period_ms(self) -> int:
        """How long it is."""
        return self.until_ms - self.since_ms

    @cached_property
    def pricing(self) -> Pricing:
        """What its requests would have cost elsewhere."""
        return Pricing(self.profile, self.prices, self.learned)

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

    def rows(self, requests: Iterable[PastRequest]) -> Iterator[PastExchange]:
        """Some requests with all that was kept of them, read anew, oldest first."""
        ids = {request.row.id for request in requests}
        every = self.reader.traffic(self.profile.name, self.since_ms, self.until_ms)
        return (row for row in every if row.id in ids)


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
    later_ms = reader.since_of_latest(profile.name, since_ms, until_ms, most)
    since_ms = max(since_ms, later_ms or 0)
    reading = _Reading(profile, reader.calls(profile.name, since_ms, until_ms))
    for row in reader.traffic(profile.name, since_ms, until_ms):
        if row.kind == "generate":
            reading.add(row)
    since_ms = reading.requests[0].row.time_ms if reading.requests else since_ms
    rules_since_ms = reader.first_under(profile.name, profile.file_hash, since_ms)
    return Past(
        reader, profile, prices, reading.requests, reading.learned, since_ms, until_ms, rules_since_ms,
        left_out=later_ms is not None,
    )  # fmt: skip


class _Reading:
    """Requests as they are read. Values that are the same again and again are kept once."""

    def __init__(self, profile: Profile, calls: Iterable[PastCall]) -> None:
        self.requests: list[PastRequest] = []
        self.learned = Learned(profile.providers)
        self._profile = profile
        self._known: dict[Any, Any] = {}
        self._calls: defaultdict[str, list[PastCall]] = defaultdict(list)
        for call in calls:
            self._calls[call.request_id].append(PastCall._make(map(self._once, call)))

    def add(self, row: PastExchange) -> None:
        """The next request."""
        record, facts = record_of(row), None
        if record is not None:
            self.learned.observe(row, record)
            record = {name: self._once(value) for name, value in record.items()}
            facts = RecordedFacts(record, self._profile.routes.phrases)
        row = PastExchange._make(map(self._once, row._replace(facts=None)))
        target = None
        if row.outcome in ("ok", "client-gone", "partial") and row.provider is not None and row.model is not None:
            target = Target(row.provider, row.model)
        shape = None if facts is None else Shape.of(facts)
        calls = tuple(self._calls.pop(row.id, ()))
        self.requests.append(PastRequest(len(self.requests), row, record or {}, facts, shape, target, calls))

    def _once(self, value: T) -> T:
        """The same value as before, if it is a text or a list of texts (the names of a client's tools)."""
        if isinstance(value, str | list):
            key = value if isinstance(value, str) else tuple(value)
            found: T = self._known.setdefault(key, value)
            return found
        return value
