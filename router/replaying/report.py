"""What a replay comes to: which requests would have gone elsewhere, and about what that would have cost.

Requests that can't be told are counted, with what they did cost, and what they would have cost is unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from router.ledger.traffic import PastExchange
from router.money.budget import Limits, Scope
from router.money.prices import PriceTable
from router.profile.profile import Profile
from router.providers.credentials import Credentials
from router.replaying.deciding import Cause
from router.replaying.learned import Learned, learn
from router.replaying.spending import Spent
from router.replaying.walk import Replayed, replayed
from router.routing.candidates import Why
from router.routing.labels import NO_ROUTE

REFUSED = "(refused)"
"""Where requests go that nobody serves."""
UNKNOWN = "(can't be told)"
"""Where requests go of which nobody knows where."""


@dataclass(slots=True)
class Sums:
    """Requests and their amounts, in tokens and nano-dollars.

    Of ``unpriced`` requests the cost isn't known and left out. ``known``: of so many requests both costs are known, and
    they add up to ``known_before`` and ``known_after``. ``value`` is the list price of what was, or would be, paid by
    subscription.
    """

    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    before: int = 0
    unpriced_before: int = 0
    value_before: int = 0
    after: int = 0
    unpriced_after: int = 0
    value_after: int = 0
    known: int = 0
    known_before: int = 0
    known_after: int = 0

    def add(self, one: Replayed) -> None:
        """Count a request."""
        row = one.row
        was = row.cost_nano_usd if row.attempts else 0
        self.requests += 1
        self.tokens_in += row.tokens_in or 0
        self.tokens_out += row.output or 0
        self.before += was or 0
        self.unpriced_before += was is None
        self.value_before += _value(was, row.list_nano_usd)
        self.after += one.nano_usd or 0
        self.unpriced_after += one.nano_usd is None
        self.value_after += _value(one.nano_usd, one.list_nano_usd)
        if was is not None and one.nano_usd is not None:
            self.known += 1
            self.known_before += was
            self.known_after += one.nano_usd

    @property
    def share(self) -> float | None:
        """By how much the known costs change: -0.41 is 41 % less; ``None`` where nothing was paid."""
        return self.known_after / self.known_before - 1 if self.known_before else None


def _value(cost: int | None, listed: int | None) -> int:
    return 0 if cost is None or listed is None else max(0, listed - cost)


@dataclass(slots=True)
class TargetSums:
    """What a target served, and would have served."""

    requests_before: int = 0
    tokens_before: int = 0
    before: int = 0
    unpriced_before: int = 0
    requests_after: int = 0
    tokens_after: int = 0
    after: int = 0
    unpriced_after: int = 0


@dataclass(slots=True)
class CacheSums:
    """Prompt caches that conversations left behind: by how many requests, how many tokens, what that cost. Of
    ``unpriced`` ones the cost isn't known and left out."""

    requests: int = 0
    tokens: int = 0
    nano_usd: int = 0
    unpriced: int = 0

    def add(self, tokens: int | None, nano_usd: int | None) -> None:
        """Count a request; no tokens are none."""
        if tokens is not None:
            self.requests += 1
            self.tokens += tokens
            self.nano_usd += nano_usd or 0
            self.unpriced += nano_usd is None


@dataclass(slots=True)
class Unfit:
    """Requests that a target of the new rules can't serve. ``refused`` ones nobody else can, either."""

    target: str
    why: Why
    requests: int = 0
    refused: int = 0


@dataclass(slots=True)
class Replay:
    """The report. ``total`` is all that was looked at: requests that stay, those another rule would have taken to the
    same target (``retaken``), those that would have gone elsewhere (``moved``) and those that can't be told
    (``unknown``).

    ``moved_pairs`` and ``retaken_pairs`` are by rule before and after; ``causes`` say for want of what requests can't
    be told, how many each: one may want several. ``drafted`` requests would have been drafted first, which is left out
    of their cost; the answers of ``learned_output`` ones are taken to be as long as others were; ``by_budget`` ones
    were decided by an estimate of what was spent.
    """

    first_ms: int | None = None
    total: Sums = field(default_factory=Sums)
    stays: Sums = field(default_factory=Sums)
    retaken: Sums = field(default_factory=Sums)
    moved: Sums = field(default_factory=Sums)
    unknown: Sums = field(default_factory=Sums)  # their costs after are unknown, too
    moved_pairs: dict[tuple[str, str], Sums] = field(default_factory=dict)
    retaken_pairs: dict[tuple[str, str], Sums] = field(default_factory=dict)
    targets: dict[str, TargetSums] = field(default_factory=dict)
    causes: Counter[Cause] = field(default_factory=Counter)
    unfit: dict[tuple[str, Why], Unfit] = field(default_factory=dict)
    not_fitting: int = 0  # requests whose first target can't serve them
    refused_as_unfit: int = 0  # of those: that nobody else can serve, either
    refused_before: int = 0
    refused_after: int = 0
    failed: int = 0  # had no answer
    drafted_before: int = 0
    drafted: int = 0
    learned_output: int = 0
    by_budget: int = 0
    caches_before: CacheSums = field(default_factory=CacheSums)
    caches_after: CacheSums = field(default_factory=CacheSums)

    def add(self, one: Replayed, profile: Profile) -> None:
        """Count a request."""
        row = one.row
        self.first_ms = row.time_ms if self.first_ms is None else self.first_ms
        self.total.add(one)
        decided = one.decided
        self._count_target(one)
        if decided is None:
            self.unknown.add(one)
            self.causes.update(one.causes)
            return
        rule = decided.rule.label if decided.rule is not None else NO_ROUTE
        same_rule = rule == row.rule or (decided.rule is not None and decided.rule.hash == row.rule_hash)
        if one.stays and same_rule:
            self.stays.add(one)
        else:
            group, pairs = (self.retaken, self.retaken_pairs) if one.stays else (self.moved, self.moved_pairs)
            group.add(one)
            pairs.setdefault((row.rule, rule), Sums()).add(one)
        self._count_unfit(one)
        self.refused_before += row.attempts == 0
        self.refused_after += one.served is None
        self.failed += row.outcome in ("client-error", "upstream-error")
        self.drafted_before += row.draft is not None
        self.drafted += not one.stays and decided.target is not None and rule in profile.cascades
        self.learned_output += one.learned_output
        self.by_budget += one.by_budget
        self.caches_before.add(row.cache_lost, row.cache_lost_nano_usd)
        self.caches_after.add(one.cache_left, one.cache_left_nano_usd)

    def _count_target(self, one: Replayed) -> None:
        row = one.row
        was = REFUSED if row.attempts == 0 else f"{row.provider}/{row.model}"
        before = self.targets.setdefault(was, TargetSums())
        before.requests_before += 1
        before.tokens_before += (row.tokens_in or 0) + (row.output or 0)
        before.before += row.cost_nano_usd or 0
        before.unpriced_before += row.attempts > 0 and row.cost_nano_usd is None
        would = UNKNOWN if one.decided is None else REFUSED if one.served is None else str(one.served)
        after = self.targets.setdefault(would, TargetSums())
        after.requests_after += 1
        usage = one.usage
        after.tokens_after += 0 if usage is None else (usage.total_input or 0) + (usage.output or 0)
        after.after += one.nano_usd or 0
        after.unpriced_after += one.nano_usd is None

    def _count_unfit(self, one: Replayed) -> None:
        decided = one.decided
        if decided is None or not decided.passed_over:
            return
        self.not_fitting += 1
        self.refused_as_unfit += decided.target is None
        for dropped in decided.passed_over:
            key = str(dropped.candidate.target), dropped.why
            unfit = self.unfit.setdefault(key, Unfit(*key))
            unfit.requests += 1
            unfit.refused += decided.target is None


def replay(
    rows: Iterable[PastExchange],
    profile: Profile,
    prices: PriceTable,
    *,
    before: Profile | None = None,
    learned: Learned | None = None,
    credentials: Credentials | None = None,
    keys: Mapping[str, Limits] | None = None,
    spent: Mapping[Scope, Spent] | None = None,
    since_ms: int = 0,
) -> Replay:
    """Past traffic on the rules of ``profile``. ``rows`` must be readable twice where nothing was ``learned`` yet.

    ``before`` is the profile that it came through; ``credentials`` say which providers have a key, for requests that no
    rule takes; ``keys`` and ``spent`` are those of ``ReplayedSpending``. Requests before ``since_ms`` are replayed for
    what they leave behind, and not counted.
    """
    if learned is None:
        learned = learn(rows, {**(before or profile).providers, **profile.providers})
    found = Replay()
    for one in replayed(rows, profile, prices, learned, before=before, credentials=credentials, keys=keys, spent=spent):
        if one.row.time_ms >= since_ms:
            found.add(one, profile)
    return found
