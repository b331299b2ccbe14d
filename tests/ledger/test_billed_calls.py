"""Which calls stand on a provider's bill: every one it worked on, by the UTC day of the call."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from router.ledger.billed_calls import BilledCalls
from router.ledger.entry import AttemptRecord, Intent, Settlement
from router.ledger.periods import BEGINNING, DAY_MS, END
from router.ledger.reports import Reader
from router.ledger.writing import Begin, Settle, write_records
from router.wire.usage import Usage
from tests.support import ledgers

NOON = int(datetime(2026, 11, 2, 12, tzinfo=UTC).timestamp() * 1000)
USAGE = Usage(100, 20, 3, 4, 50)
_numbers = iter(range(10**6))


class Books:
    """A ledger whose calls are looked at."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = ledgers.create(path)

    def add(self, *calls: dict[str, Any], kind: str = "generate", time_ms: int = NOON, settled: bool = True) -> None:
        """One request with these calls."""
        request = f"{time_ms:012x}{next(_numbers):020x}"
        given: dict[str, Any] = {
            "kind": kind, "time_ms": time_ms, "profile": "work", "rule": "r", "rule_hash": "h", "file_hash": "f",
            "client": "c", "key": None, "tags": None, "conversation": None, "api": "anthropic-messages",
            "requested_model": "m", "provider": "anthropic", "model": "m", "stream": True, "reason": "default",
        }  # fmt: skip
        attempts = []
        for number, call in enumerate(calls, 1):
            values: dict[str, Any] = {
                "role": "primary", "provider": "anthropic", "model": "m", "key_name": "env:K", "time_ms": time_ms,
                "status": 200, "usage": USAGE, "cost_nano_usd": 7, "list_nano_usd": 7, "price_source": "table",
            }  # fmt: skip
            attempts.append(AttemptRecord(request_id=request, number=number, **(values | call)))
        begin = Begin(Intent(id=request, **given), attempts[0])
        settle = Settle(Settlement(request, "ok", 200, attempts=len(attempts)), tuple(attempts))
        write_records(self.connection, [begin, settle] if settled else [begin])

    def on_bill(self, *, since_ms: int = BEGINNING, until_ms: int = END) -> list[BilledCalls]:
        return Reader(self.path).billed_calls(["anthropic", "mine"], since_ms, until_ms)


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    made = Books(tmp_path / "router.db")
    yield made
    made.connection.close()


def test_retries_drafts_and_their_verifiers_count_each(books: Books) -> None:
    books.add(
        {"role": "draft", "verdict": "rejected", "model": "small"},
        {"role": "verifier"},
    )
    books.add({"error_class": "timeout", "maybe_billed": True, "usage": None, "cost_nano_usd": None}, {"role": "retry"})
    found = {each.model: each for each in books.on_bill()}
    assert found["small"].calls == 1
    assert sum(each.calls for each in books.on_bill()) == 4
    assert sum(each.perhaps_billed for each in books.on_bill()) == 1


def test_amounts_are_those_of_the_calls(books: Books) -> None:
    books.add({})
    books.add({})
    (both,) = books.on_bill()
    assert both == BilledCalls(
        "work", "anthropic", "env:K", "m", "generate", NOON // DAY_MS, 0, "table", 2,
        200, 40, 6, 8, 100, 0, 0, 0, 14, 14, 0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("call", "kind", "counted"),
    [
        pytest.param({"error_class": "server", "usage": None}, "generate", 0, id="a failure without usage"),
        pytest.param({"error_class": "server"}, "generate", 1, id="a failure that names its usage"),
        pytest.param({"error_class": "x", "maybe_billed": True, "usage": None}, "generate", 1, id="a cut call"),
        pytest.param({"usage": None}, "generate", 1, id="an answer without usage"),
        pytest.param({}, "count", 0, id="tokens that were only counted"),
        pytest.param({}, "embed", 1, id="embeddings"),
        pytest.param({"provider": "groq"}, "generate", 0, id="another provider"),
        pytest.param({"provider": "mine"}, "generate", 1, id="the same under another name"),
    ],
)
def test_what_the_provider_worked_on_counts(books: Books, call: dict[str, Any], kind: str, counted: int) -> None:
    books.add(call, kind=kind)
    assert sum(each.calls for each in books.on_bill()) == counted


def test_calls_under_way_are_not_on_it_yet(books: Books) -> None:
    books.add({}, settled=False)
    assert books.on_bill() == []


@pytest.mark.parametrize(
    ("call", "subscription", "unpriced", "no_usage"),
    [
        ({}, 0, 0, 0),
        ({"cost_nano_usd": 0}, 1, 0, 0),
        ({"cost_nano_usd": 0, "list_nano_usd": None}, 1, 0, 0),
        ({"cost_nano_usd": 0, "list_nano_usd": 0}, 0, 0, 0),
        ({"cost_nano_usd": None, "list_nano_usd": None}, 0, 1, 0),
        ({"cost_nano_usd": None, "list_nano_usd": None, "usage": None}, 0, 0, 1),
    ],
)
def test_how_it_was_paid_is_known(
    books: Books, call: dict[str, Any], subscription: int, unpriced: int, no_usage: int
) -> None:
    books.add(call)
    (each,) = books.on_bill()
    assert (each.subscription, each.unpriced, each.no_usage) == (subscription, unpriced, no_usage)


def test_days_are_those_of_utc_and_of_the_call(books: Books) -> None:
    midnight = NOON + DAY_MS // 2
    books.add({"time_ms": midnight - 1}, {"role": "retry", "time_ms": midnight}, time_ms=midnight - 1)
    days = {each.day: each.calls for each in books.on_bill()}
    assert days == {NOON // DAY_MS: 1, NOON // DAY_MS + 1: 1}
    assert [each.calls for each in books.on_bill(since_ms=midnight)] == [1]
    assert [each.calls for each in books.on_bill(until_ms=midnight)] == [1]
    assert books.on_bill(since_ms=midnight + 1) == []


@pytest.mark.parametrize(
    ("raw", "source", "searches"),
    [
        ('{"server_tool_use": {"web_search_requests": 3}}', "table", 3),
        ('{"server_tool_use": {"web_search_requests": 3}}', "override (no price for web search)", 0),
        ('{"server_tool_use": null}', "table", 0),
        ('{"web_search_requests', "table", 0),
        (None, "table", 0),
    ],
)
def test_web_searches_that_were_paid_are_counted(books: Books, raw: str | None, source: str, searches: int) -> None:
    books.add({"usage_raw": raw, "price_source": source})
    (each,) = books.on_bill()
    assert each.web_searches == searches


def test_a_ledger_that_does_not_exist_has_none(tmp_path: Path) -> None:
    assert Reader(tmp_path / "none.db").billed_calls(["anthropic"], BEGINNING, END) == []
