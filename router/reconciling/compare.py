"""The ledger beside a bill: rows by day and model, what differs in each and why that is likely so, and a verdict.

Differences are the ledger's amounts less the provider's: negative where the ledger lacks something.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from router.reconciling.amounts import Billed, Counted, Tokens, nano
from router.reconciling.bill import ALL, Bill, Key, Part
from router.reconciling.export import Told

Cause = Literal[
    "agrees", "only-at-provider", "only-in-ledger", "more-at-provider", "more-in-ledger", "perhaps-billed", "no-usage",
    "split", "midnight", "requests", "unpriced", "discount", "prices", "costs-only", "not-counted", "batches",
]  # fmt: skip
WEB_SEARCH = "(web search)"


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the ledger has of one day and model, as it is compared. Web searches are in ``amounts`` as well."""

    day: str
    model: str
    amounts: Counted
    embed: bool = False
    web_searches_nano: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One day and model on both sides. What the provider doesn't tell of it is ``None`` there."""

    day: str
    model: str
    ledger: Counted
    provider: Billed
    cause: Cause = "agrees"

    @property
    def tokens_off(self) -> Tokens | None:
        """The ledger's tokens less the provider's."""
        return None if self.provider.tokens is None else self.ledger.tokens - self.provider.tokens

    @property
    def nano_off(self) -> int | None:
        """The ledger's cost less the provider's."""
        billed = self.provider.nano_usd
        return None if billed is None else self.ledger.nano_usd - billed

    @property
    def costs_agree(self) -> bool:
        """Whether the costs differ by no more than what rounding each call, and the export's rows, explains."""
        off = self.nano_off
        return off is None or abs(off) <= self.ledger.calls + 1 + nano(self.provider.rounding_usd)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Rows by day and model, and the sums of what was compared: tokens of what usage is told of, costs of theirs."""

    rows: tuple[Row, ...]
    total: Row

    @property
    def differing(self) -> tuple[Row, ...]:
        """The rows that don't agree."""
        return tuple(row for row in self.rows if row.cause != "agrees")

    @property
    def tells_costs(self) -> bool:
        """Whether the provider's costs are known, not only its counts."""
        return self.total.provider.usd is not None

    def weights(self) -> list[tuple[Cause, int]]:
        """How much each cause explains, in nano-dollars, or in tokens where no costs are told; the most first."""
        found: defaultdict[Cause, int] = defaultdict(int)
        for row in self.differing:
            off = row.tokens_off
            found[row.cause] += (row.nano_off or 0) if self.tells_costs else 0 if off is None else off.total
        return sorted(found.items(), key=lambda each: (-abs(each[1]), each[0]))


def compare(bill: Bill, ledger: Iterable[Recorded]) -> Comparison:
    """Put both beside each other. ``ledger`` has models by the same names as the bill."""
    entries = list(ledger)
    costs = bill.parts.get("costs")
    if costs is not None and costs.by_model:
        entries = [part for entry in entries for part in _apart(entry)]
    counted: dict[Told, dict[Key, Counted]] = {}
    for told, part in bill.parts.items():
        of_part = [entry for entry in entries if told == "costs" or entry.embed is (told == "embeddings")]
        counted[told] = _sums(of_part, part)
        if bill.maker == "openai" and not (part.total.tokens or Tokens()).written:
            counted[told] = {key: replace(sums, tokens=sums.tokens.unwritten) for key, sums in counted[told].items()}
    keys = sorted({key for told, part in bill.parts.items() for key in (*part.rows, *counted[told])})
    rows = [_row(key, bill, counted) for key in keys]
    rows = _cancelling([replace(row, cause=_cause(row, bill)) for row in rows])
    everything: dict[Told, Counted | None] = {told: sum(sums.values(), Counted()) for told, sums in counted.items()}
    billed = sum((part.total for part in bill.parts.values()), Billed())
    return Comparison(tuple(rows), Row("", "", _merged(everything), billed))


def _apart(entry: Recorded) -> list[Recorded]:
    """A model's own cost, and that of its web searches, which providers tell apart."""
    if not entry.web_searches_nano:
        return [entry]
    own = replace(entry.amounts, nano_usd=entry.amounts.nano_usd - entry.web_searches_nano)
    searches = Recorded(entry.day, WEB_SEARCH, Counted(nano_usd=entry.web_searches_nano), entry.embed)
    return [replace(entry, amounts=own, web_searches_nano=0), searches]


def _sums(entries: Iterable[Recorded], part: Part) -> dict[Key, Counted]:
    """What the ledger has of what a part of the bill tells, by the part's own keys."""
    sums: dict[Key, Counted] = {}
    for entry in entries:
        if part.covers(entry.day):
            key = entry.day, entry.model if part.by_model else ALL
            sums[key] = sums.get(key, Counted()) + entry.amounts
    return sums


def _row(key: Key, bill: Bill, counted: Mapping[Told, Mapping[Key, Counted]]) -> Row:
    """Both sides of one day and model. Where a part of the bill that tells of the day has nothing of it, that is 0."""
    ledger: dict[Told, Counted | None] = {}
    provider = Billed()
    for told, part in bill.parts.items():
        own, theirs = counted[told].get(key), part.rows.get(key)
        # An embeddings model is in no usage of completions, and the other way round.
        concerned = part.covers(key[0]) and part.by_model is (key[1] != ALL)
        if concerned and (told == "costs" or own is not None or theirs is not None):
            ledger[told] = own or Counted()
            provider += theirs or part.nothing
    return Row(*key, _merged(ledger), provider)


def _merged(counted: Mapping[Told, Counted | None]) -> Counted:
    """Tokens of what usage is told of, costs of what costs are told of, where both are; else both of either."""
    usage = [each for told, each in counted.items() if told != "costs" and each is not None]
    tokens, costs = sum(usage, Counted()), counted.get("costs")
    if not usage:
        return costs or Counted()
    return (
        tokens
        if costs is None
        else replace(tokens, nano_usd=costs.nano_usd, unpriced=costs.unpriced, sources=costs.sources)
    )


# --- causes -----------------------------------------------------------------------------------------------------------


def _cause(row: Row, bill: Bill) -> Cause:
    ledger, provider = row.ledger, row.provider
    if not row.tokens_off and row.costs_agree:
        asked = provider.requests
        counted = asked is None or ledger.calls - ledger.perhaps_billed <= asked <= ledger.calls
        return "agrees" if counted else "requests"
    if row.model in bill.batches:
        return "batches"
    if not (ledger.calls or ledger.tokens or ledger.nano_usd):
        counts_searches = bill.maker == "anthropic" and row.model == WEB_SEARCH
        return "not-counted" if row.model in bill.apart and not counts_searches else "only-at-provider"
    if not (provider.tokens or provider.usd):
        return "only-in-ledger"
    return _cause_of_tokens(row, row.tokens_off) if row.tokens_off else _cause_of_costs(row)


def _cause_of_tokens(row: Row, off: Tokens) -> Cause:
    ledger, provider = row.ledger, row.provider
    if off.total == 0:
        return "split"
    if off.total > 0:
        return "more-in-ledger"
    if provider.requests is not None and provider.requests > ledger.calls:
        return "more-at-provider"
    return _missing(ledger) or "more-at-provider"


def _cause_of_costs(row: Row) -> Cause:
    """Of costs that differ where tokens don't, or aren't told."""
    ledger, provider = row.ledger, row.provider
    lacks = (row.nano_off or 0) < 0
    if lacks and ledger.unpriced:
        return "unpriced"
    if replace(row, provider=replace(provider, usd=provider.list_usd)).costs_agree and provider.list_usd is not None:
        return "discount"
    if provider.tokens is not None:
        return "prices"
    return (_missing(ledger) if lacks else None) or "costs-only"


def _missing(ledger: Counted) -> Cause | None:
    """Why the ledger may lack tokens, by its own marks."""
    return "perhaps-billed" if ledger.perhaps_billed else "no-usage" if ledger.no_usage else None


_MOVABLE: frozenset[Cause] = frozenset(
    {"only-at-provider", "only-in-ledger", "more-at-provider", "more-in-ledger", "perhaps-billed", "no-usage"}
)


def _cancelling(rows: Sequence[Row]) -> list[Row]:
    """Rows of one model whose differences cancel out over the days: each side dates a call by another moment of it."""
    by_model: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.cause in _MOVABLE and row.tokens_off:
            by_model[row.model].append(row)
    moved = {model for model, its in by_model.items() if not sum((row.tokens_off or Tokens() for row in its), Tokens())}
    return [
        replace(row, cause="midnight") if row.model in moved and row.cause in _MOVABLE and row.tokens_off else row
        for row in rows
    ]
