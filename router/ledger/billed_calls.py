"""The calls that a provider has on its books, added up by UTC day: retries, drafts and rejected ones, too.

A call counts if the provider worked on it, as far as that is known: it was answered, or told its usage, or ended in a
way after which it may be billed. Counting tokens is free everywhere and left out.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from typing import NamedTuple

from router.ledger.periods import DAY_MS

_ID_SLACK_MS = 60_000  # a request's id and its time are taken one after the other, and its last call a while later
_LONGEST_REQUEST_MS = 24 * 3_600_000

# A subscription's calls cost nothing and are worth something, or nobody knows what; a failed one is worth nothing.
_OF_SUBSCRIPTION = "a.cost_nano_usd = 0 AND (a.list_nano_usd IS NULL OR a.list_nano_usd > 0)"
_NO_USAGE = "a.input IS NULL AND a.output IS NULL"
# Web searches that Anthropic ran and that are part of the cost.
_SEARCHES = (
    "CASE WHEN a.cost_nano_usd IS NOT NULL AND a.usage_raw LIKE '%web_search_requests%' AND json_valid(a.usage_raw)"
    " AND a.price_source NOT LIKE '%no price for%web search%' THEN"
    " json_extract(a.usage_raw, '$.server_tool_use.web_search_requests') END"
)


class BilledCalls(NamedTuple):
    """Calls of one UTC day (counted since 1970) that have all of this in common, and their sums.

    ``kind`` is ``generate``, ``embed`` or ``other``. Sums leave out what isn't known: ``no_usage`` calls came without a
    count, and so without a cost; of ``unpriced`` ones the count is known, but not the price. ``perhaps_billed`` ended
    before it was known whether they were.
    """

    profile: str
    provider: str
    key_name: str
    model: str
    kind: str
    day: int
    subscription: int
    price_source: str
    calls: int
    input: int
    cache_read: int
    cache_write: int
    cache_write_1h: int
    output: int
    no_usage: int
    perhaps_billed: int
    unpriced: int
    cost_nano_usd: int
    list_nano_usd: int
    web_searches: int


def on_the_books(
    connection: sqlite3.Connection, providers: Collection[str], since_ms: int, until_ms: int
) -> Iterator[BilledCalls]:
    """The calls that went to these providers from ``since_ms`` to ``until_ms``, by the moment of the call."""
    begin = max(0, since_ms - _ID_SLACK_MS - _LONGEST_REQUEST_MS)
    rows = connection.execute(
        f"""
        SELECT r.profile, a.provider, ifnull(a.key_name, ''), a.model, r.kind, a.time_ms / {DAY_MS},
            ifnull({_OF_SUBSCRIPTION}, 0), ifnull(a.price_source, ''), count(*),
            ifnull(sum(a.input), 0), ifnull(sum(a.cache_read), 0), ifnull(sum(a.cache_write), 0),
            ifnull(sum(a.cache_write_1h), 0), ifnull(sum(a.output), 0), sum({_NO_USAGE}), sum(a.maybe_billed),
            sum(a.cost_nano_usd IS NULL AND NOT ({_NO_USAGE})), ifnull(sum(a.cost_nano_usd), 0),
            ifnull(sum(a.list_nano_usd), 0), ifnull(sum({_SEARCHES}), 0)
        FROM attempts a CROSS JOIN requests r ON r.id = a.request_id
        WHERE a.request_id >= ? AND a.request_id < ? AND a.time_ms >= ? AND a.time_ms < ?
            AND a.provider IN ({", ".join("?" * len(providers))}) AND a.state = 'settled' AND r.kind <> 'count'
            AND (a.error_class IS NULL OR a.maybe_billed OR NOT ({_NO_USAGE}))
        GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
        """,
        (f"{begin:012x}", f"{until_ms + _ID_SLACK_MS:012x}", since_ms, until_ms, *providers),
    )
    return (BilledCalls(*row) for row in rows)
