"""The requests behind a row of a report: those with the same values, whatever they were counted by.

What a rule's row is called is worked out from all rules that ever fired (``rule_rows.py``), so its requests are found
by the meanings and labels that stand under that name, never by the name alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final, get_args

from router.ledger import history, sums
from router.ledger.history import PastRequest
from router.ledger.periods import Cut
from router.ledger.rule_rows import CurrentRule, RuleRows
from router.ledger.sums import Dimension, Query

_PLAIN: Final[tuple[Dimension, ...]] = ("model", "provider", "client", "key", "conversation", "price")
"""What a request has as its row has it."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which requests: by the values that reports show of them ("" where they have none), ``None`` for any.

    ``reported`` are those that reports count, ``unpriced`` those of unknown cost. ``after``: only larger ids; then a
    rule's label alone counts, since it may be edited meanwhile.
    """

    rule: str | None = None
    model: str | None = None
    provider: str | None = None
    client: str | None = None
    key: str | None = None
    tag: str | None = None
    conversation: str | None = None
    price: str | None = None
    failed: bool = False
    unpriced: bool = False
    reported: bool = False
    after: str | None = None

    @property
    def narrows(self) -> bool:
        """Whether it leaves anything out."""
        return self != Selection(after=self.after)


FILTERS: Final[tuple[Dimension, ...]] = tuple(
    dimension for dimension in get_args(Dimension) if dimension in Selection.__slots__
)
"""The dimensions of reports that a selection has; the others are the profile and the period."""


def select(
    connection: sqlite3.Connection,
    profile: str,
    since_ms: int,
    until_ms: int,
    selection: Selection,
    *,
    rules: Sequence[CurrentRule],
    zone: tzinfo,
    now_ms: int,
    limit: int,
) -> list[PastRequest]:
    """The latest of one profile's requests, in no order."""
    seen = sums.seen_rules(connection, profile)
    found: list[tuple[str, str]] = []
    if selection.after is not None:
        since_ms = max(since_ms, int(selection.after[:12], 16) - sums.ID_SLACK_MS)  # an id begins with its time
    elif selection.rule is not None:
        found = _meanings(connection, profile, selection.rule, RuleRows(rules, seen, now_ms, zone), rules)
        # A rule that hasn't fired for long is found at once: nothing later than its last use is looked at.
        used = [seen[rule_hash].last_ms for rule_hash, _ in found if rule_hash in seen]
        until_ms = min(until_ms, max(used, default=-1) + 1)
    where = ["r.profile = ?", "r.time_ms >= ?", "r.time_ms < ?"]
    values: list[object] = [profile, since_ms, until_ms]
    for dimension in _PLAIN:
        value = getattr(selection, dimension)
        if value is not None:
            (column,) = Query(profile, (dimension,), (), Cut()).columns
            where.append(f"{column} = ?")
            values.append(value)
    if selection.tag is not None:
        where.append("instr(' ' || ifnull(r.tags, '') || ' ', ?) > 0" if selection.tag else "ifnull(r.tags, '') = ?")
        values.append(selection.tag and f" {selection.tag} ")
    if selection.rule is not None and selection.after is None:
        where.append(f"(r.rule_hash, r.rule) IN (VALUES {', '.join(['(?, ?)'] * len(found)) or '(NULL, NULL)'})")
        values += [part for meaning in found for part in meaning]
    elif selection.rule is not None:
        where.append("r.rule = ?")
        values.append(selection.rule)
    if selection.failed:
        where.append(f"r.{history.FAILED}")
    if selection.unpriced:
        where.append("r.attempts > 0 AND r.cost_nano_usd IS NULL")
    if selection.reported:
        where.append(sums.SETTLED)
    if selection.after is not None:
        where.append("r.id > ?")
        values.append(selection.after)
    return history.requests_where(
        connection, " AND ".join(where), values, order="r.time_ms DESC, r.id DESC", limit=limit
    )


def _meanings(
    connection: sqlite3.Connection, profile: str, name: str, rows: RuleRows, rules: Sequence[CurrentRule]
) -> list[tuple[str, str]]:
    """The rules' hashes and labels, as recorded, whose requests stand under a name; where none do, those that were
    called so at the time."""
    used = connection.execute("SELECT DISTINCT rule_hash, rule FROM rollup_day WHERE profile = ?", (profile,))
    meanings = {*used.fetchall(), *((rule.hash, rule.label) for rule in rules)}
    found = [(rule_hash, label) for rule_hash, label in meanings if rows.name(rule_hash, label) == name]
    return found or [(rule_hash, label) for rule_hash, label in meanings if label == name]
