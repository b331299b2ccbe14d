"""Past requests one after the other, with what is needed to try other rules on them.

They are read page by page, each page in a transaction of its own: a long look at a large ledger holds nobody up.
"""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple

from router.wire.usage import Usage

PAGE: Final = 2000


class PastExchange(NamedTuple):
    """A settled request. ``provider`` and ``model`` answered it, or were called last; ``first_provider`` and
    ``first_model`` were called first, of those that weren't asked for a draft.

    ``facts`` is JSON text, ``None`` where none were kept. ``draft`` is what became of a draft: accepted, rejected or
    failed. ``response_id`` is the id of the Responses reply it was given.
    """

    id: str
    kind: str  # generate | count
    time_ms: int
    rule: str
    rule_hash: str
    conversation: str | None
    api: str
    requested_model: str
    provider: str | None
    model: str | None
    stream: int
    outcome: str
    error_class: str | None
    input: int | None
    cache_read: int | None
    cache_write: int | None
    cache_write_1h: int | None
    output: int | None
    reasoning: int | None
    estimated_input: int | None
    usage_estimated: int
    cost_nano_usd: int | None
    list_nano_usd: int | None
    held_nano_usd: int | None
    first_byte_ms: float | None
    duration_ms: float | None
    attempts: int
    cache_lost: int | None
    cache_lost_nano_usd: int | None
    facts: str | None
    first_provider: str | None
    first_model: str | None
    draft: str | None
    response_id: str | None

    @property
    def usage(self) -> Usage:
        """The tokens of the call that answered."""
        return Usage(self.input, self.cache_read, self.cache_write, self.cache_write_1h, self.output, self.reasoning)

    @property
    def tokens_in(self) -> int | None:
        """All input: fresh, read from a cache and written to one."""
        if self.input is None:
            return None
        return self.input + (self.cache_read or 0) + (self.cache_write or 0) + (self.cache_write_1h or 0)


_OWN: Final = PastExchange._fields[: PastExchange._fields.index("first_provider")]
_PAGE: Final = f"""
    SELECT {", ".join(f"r.{name}" for name in _OWN)},
        CASE WHEN first.role = 'draft' THEN second.provider ELSE first.provider END,
        CASE WHEN first.role = 'draft' THEN second.model ELSE first.model END,
        CASE WHEN first.role = 'draft' THEN ifnull(first.verdict, 'failed') END,
        last.response_id
    FROM requests r
    LEFT JOIN attempts first ON first.request_id = r.id AND first.number = 1
    LEFT JOIN attempts second ON second.request_id = r.id AND second.number = 2 AND first.role = 'draft'
    LEFT JOIN attempts last ON last.request_id = r.id AND last.number = r.attempts AND r.api = 'openai-responses'
    WHERE r.profile = ? AND r.time_ms < ? AND (r.time_ms, r.id) > (?, ?)
        AND r.state = 'settled' AND r.kind IN ('generate', 'count')
    ORDER BY r.time_ms, r.id LIMIT {PAGE}
"""


def page(connection: sqlite3.Connection, profile: str, until_ms: int, after: tuple[int, str]) -> list[PastExchange]:
    """The next requests behind a moment and an id, oldest first; fewer than ``PAGE`` are the last."""
    return [PastExchange._make(row) for row in connection.execute(_PAGE, (profile, until_ms, *after))]
