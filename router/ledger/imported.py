"""Requests that didn't come through the router, from somebody else's logs: written so that a second time adds nothing.

They belong to a profile of their own, which no server serves.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from router.ledger.entry import AttemptRecord, Intent, Settlement
from router.ledger.writing import Begin, Record, Settle, write_records
from router.routing.labels import meaning_hash, with_provider
from router.wire.usage import Usage

RULE = "(unrouted)"
MOST_AT_ONCE = 500


class Imported(msgspec.Struct, frozen=True):
    """One of them. ``key`` is its name in the source; costs are ``None`` where the price isn't known."""

    key: str
    time_ms: int
    profile: str
    client: str
    conversation: str
    api: str
    provider: str
    model: str
    requested_model: str
    usage: Usage
    cost_nano_usd: int | None
    list_nano_usd: int | None
    price_source: str | None

    @property
    def id(self) -> str:
        """Its id in the ledger, always the same."""
        return f"{self.time_ms:012x}{hashlib.sha256(self.key.encode()).hexdigest()[:20]}"


class Came(NamedTuple):
    """How many were new, and how many were there already."""

    new: int
    known: int


def write_imported(connection: sqlite3.Connection, requests: Sequence[Imported]) -> Came:
    """Write those that aren't there, at most ``MOST_AT_ONCE``."""
    known = _known(connection, [each.id for each in requests])
    new = [each for each in requests if each.id not in known]
    write_records(connection, [record for each in new for record in _records(each)])
    return Came(len(new), len(requests) - len(new))


def _known(connection: sqlite3.Connection, ids: Sequence[str]) -> set[str]:
    marks = ", ".join("?" * len(ids))
    return {row[0] for row in connection.execute(f"SELECT id FROM requests WHERE id IN ({marks})", tuple(ids))}


def _records(request: Imported) -> tuple[Record, Record]:
    intent = Intent(
        id=request.id,
        kind="generate",
        time_ms=request.time_ms,
        profile=request.profile,
        rule=with_provider(RULE, request.provider),
        rule_hash=meaning_hash([RULE, request.provider]),
        file_hash="",
        client=request.client,
        key=None,
        tags=None,
        conversation=request.conversation,
        api=request.api,
        requested_model=request.requested_model,
        provider=request.provider,
        model=request.model,
        stream=True,
        reason="imported",
    )
    attempt = AttemptRecord(
        request.id,
        1,
        "primary",
        request.provider,
        request.model,
        None,
        request.time_ms,
        request.api,
        200,
        usage=request.usage,
        cost_nano_usd=request.cost_nano_usd,
        list_nano_usd=request.list_nano_usd,
        price_source=request.price_source,
    )
    settlement = Settlement(
        request.id,
        "ok",
        200,
        usage=request.usage,
        cost_nano_usd=request.cost_nano_usd,
        list_nano_usd=request.list_nano_usd,
        price_source=request.price_source,
        attempts=1,
    )
    return Begin(intent), Settle(settlement, (attempt,))
