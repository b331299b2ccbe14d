"""What is left of requests that were deleted after their time (``retention.py``): the sums that they are in.

The sums of an hour count every request of it. What is missing among the requests is therefore the difference, and a
report that reads requests adds it, so that it never says less than before. What only the requests knew stands as
``DELETED``. Requests go oldest first: from some hour on all are there, and only the hours up to it are compared.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from router.ledger.periods import END, HOUR_MS, Stretch, cut
from router.ledger.sums import ONLY_IN_REQUESTS, Group, Query, Sums, of_requests, of_sums


class Forgotten(NamedTuple):
    """Requests of which only sums are kept, all of them earlier than ``before_ms``; ``split`` are those of them in an
    hour that belongs to the report's period, or to a day in it, in part only: they count where the hour begins."""

    requests: int = 0
    before_ms: int = 0
    split: int = 0

    def plus(self, other: Forgotten) -> Forgotten:
        return Forgotten(self.requests + other.requests, max(self.before_ms, other.before_ms), self.split + other.split)


NONE_FORGOTTEN = Forgotten()


def kept_from(connection: sqlite3.Connection, profile: str) -> int:
    """The end (in milliseconds) of the last hour of which requests may have been deleted."""
    row = connection.execute(
        "SELECT time_ms FROM requests WHERE profile = ? AND state = 'settled' ORDER BY time_ms LIMIT 1", (profile,)
    ).fetchone()
    return END if row is None else (row[0] // HOUR_MS + 1) * HOUR_MS


def sums(connection: sqlite3.Connection, query: Query, before_ms: int) -> Iterator[tuple[Group, Sums]]:
    """What a report that reads these requests lacks. ``before_ms`` is ``kept_from``."""
    lacking = query.cut.requests if ONLY_IN_REQUESTS.isdisjoint(query.by) else query.stretches
    yield from _differences(connection, query, _whole_hours(lacking, before_ms)).items()


def count(connection: sqlite3.Connection, query: Query, before_ms: int) -> Forgotten:
    """How many requests of the query's period have been deleted."""

    def requests(stretches: Sequence[Stretch]) -> int:
        every = Query(query.profile, (), query.stretches, query.cut)
        found = _differences(connection, every, _whole_hours(stretches, before_ms))
        return sum(amounts.requests for amounts in found.values())

    deleted = requests(query.stretches)
    return Forgotten(deleted, before_ms, requests(query.cut.requests)) if deleted else NONE_FORGOTTEN


def _whole_hours(stretches: Sequence[Stretch], before_ms: int) -> list[Stretch]:
    """The hours that begin within each stretch, in milliseconds."""
    hours = (
        Stretch(number, -(-since // HOUR_MS) * HOUR_MS, -(-min(until, before_ms) // HOUR_MS) * HOUR_MS)
        for number, since, until in stretches
    )
    return [each for each in hours if each.since < each.until]


def _differences(connection: sqlite3.Connection, query: Query, hours: list[Stretch]) -> dict[Group, Sums]:
    found: defaultdict[Group, Sums] = defaultdict(Sums)
    those = Query(query.profile, query.by, hours, cut(hours), deleted=True)
    for group, amounts in of_sums(connection, those):
        found[group] += amounts
    for group, amounts in of_requests(connection, those, hours):
        found[group] -= amounts
    return {group: amounts for group, amounts in found.items() if amounts != Sums()}
