"""Records as the server makes them."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from router.ledger.entry import AttemptRecord, Intent, Settlement
from router.ledger.writing import Annotate, Begin, Settle
from router.wire.usage import Usage


@dataclass(frozen=True)
class Made:
    """The records of one request: its beginning, its end, its facts."""

    begin: Begin
    settle: Settle
    annotate: Annotate

    def __iter__(self) -> Any:
        return iter((self.begin, self.settle, self.annotate))


def made(number: int = 1, *, profile: str = "work", cost: int | None = 700, **changes: Any) -> Made:
    """One served request with one call."""
    request_id = f"{number:032x}"
    intent = Intent(
        id=request_id, kind="generate", time_ms=1_763_000_000_000 + number, profile=profile, rule="default → a",
        rule_hash="h", file_hash="f", client="sdk", key=None, tags=None, conversation=None, api="openai-chat",
        requested_model="m", provider="a", model="m", stream=True, reason="default",
    )  # fmt: skip
    attempt = AttemptRecord(request_id, 1, "primary", "a", "m", "env:KEY", intent.time_ms)
    done = AttemptRecord(
        request_id, 1, "primary", "a", "m", "env:KEY", intent.time_ms, status=200, duration_ms=12.5,
        usage=Usage(input=10, output=5), usage_raw='{"x": 1}', cost_nano_usd=cost, list_nano_usd=cost,
        price_source="table",
    )  # fmt: skip
    settlement = Settlement(
        request_id, "ok", 200, usage=Usage(input=10, output=5), cost_nano_usd=cost, list_nano_usd=cost,
        price_source="table", duration_ms=13.0, attempts=1, provider="a", model="m",
    )  # fmt: skip
    for name, value in changes.items():
        target = next(one for one in (intent, settlement) if hasattr(one, name))
        setattr(target, name, value)
    return Made(Begin(intent, attempt), Settle(settlement, (done,)), Annotate(request_id, '{"tools": 2}', 10, "c1"))


def everything(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables that records are written to."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return {
            table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall()
            for table in ("requests", "attempts", "rollup", "rollup_day", "rules")
        }
    finally:
        connection.close()
