"""A change of prices, of the table's or of one's own, holds for what is priced from then on; recorded costs stay."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from router.ledger.reports import Reader, Scope
from router.money.prices import PriceTable
from router.server import home_files
from tests.support.answers import CACHED, INPUT, OUTPUT, answer
from tests.support.provider import FakeProvider
from tests.support.serving import Running, serving, write_profile

RULES = '[default]\nto = "anthropic"\n'
BODY = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": []}
SHIPPED = PriceTable.load().version
FIRST = INPUT * 1_000 + CACHED * 100 + OUTPUT * 5_000  # nano-dollars, at $1, $0.10 and $5 a million


def table(version: str, usd: int) -> str:
    """Prices of one model, so many dollars a million tokens of any kind."""
    prices = {"input": usd * 10**6, "output": usd * 10**6}
    models = [{"id": "claude-haiku-4-5", "prices": prices}]
    providers = {"anthropic": {"name": "Anthropic", "also": [], "models": models}}
    return json.dumps({"source": "genai-prices", "version": version, "date": "2026-11-20", "providers": providers})


@pytest_asyncio.fixture
async def provider(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeProvider]:
    monkeypatch.setattr(home_files, "POLL_S", 0.02)
    async with FakeProvider(answer) as made:
        yield made


async def ask(router: Running) -> None:
    async with router.post("/work/v1/messages", json=BODY) as reply:
        assert reply.status == 200
        await reply.read()
    await router.flush()


async def until(look: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await look():
            await asyncio.sleep(0.01)


async def costs(router: Running) -> list[tuple[int, str]]:
    """Cost and price source of each call, in the order of the calls; those of its request are the same."""
    requests = await router.rows()
    calls = await router.rows("attempts")
    kept = [(row["cost_nano_usd"], row["price_source"]) for row in calls]
    assert kept == [(row["cost_nano_usd"], row["price_source"]) for row in requests]
    return kept


def by_price(home: Path) -> dict[str, tuple[int, int]]:
    report = Reader(home / "router.db").usage([Scope("work")], ["price"])
    return {row.keys[0]: (row.sums.requests, row.sums.cost_nano_usd) for row in report.rows}


async def test_recorded_costs_outlive_every_change_of_prices(tmp_path: Path, provider: FakeProvider) -> None:
    home = tmp_path / "home"
    counts: dict[str, Any] = {"providers": {"anthropic": provider.url}}
    async with serving(home, {"work": RULES}, **counts) as router:
        await ask(router)
        first = [(FIRST, SHIPPED)]
        assert await costs(router) == first

        (home / "prices.json").write_text(table("99.0", 2))
        await until(lambda: in_force(router, "genai-prices 99.0"))
        await ask(router)
        second = [*first, ((INPUT + CACHED + OUTPUT) * 2_000, "genai-prices 99.0")]
        assert await costs(router) == second

        own = '[prices."anthropic/claude-haiku-4-5"]\ninput = 3\noutput = 3\n'
        write_profile(home, "work", RULES + own)
        await router.app.reload()
        await ask(router)
        third = [*second, ((INPUT + CACHED + OUTPUT) * 3_000, "override")]
        assert await costs(router) == third
        sums = Reader(home / "router.db").spent("work")

    write_profile(home, "work", RULES)
    (home / "prices.json").write_text(table("99.1", 9))
    async with serving(home, **counts) as router:
        assert await costs(router) == third
        assert Reader(home / "router.db").spent("work") == sums
        await ask(router)
        fourth = [*third, ((INPUT + CACHED + OUTPUT) * 9_000, "genai-prices 99.1")]
        assert await costs(router) == fourth

        (home / "prices.json").unlink()
        await until(lambda: in_force(router, SHIPPED))
        await ask(router)
        assert await costs(router) == [*fourth, (FIRST, SHIPPED)]
    assert by_price(home) == {
        SHIPPED: (2, 2 * FIRST),
        **{source: (1, cost) for cost, source in fourth if source != SHIPPED},
    }


async def in_force(router: Running, version: str) -> bool:
    """Whether all that prices anything has this table."""
    app = router.app
    tables = [app.prices, app.services.prices, *(tenant.prices for tenant in app.tenants)]
    return {each.version for each in tables} == {version}


async def test_a_broken_table_changes_nothing_and_is_told(tmp_path: Path, provider: FakeProvider) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "prices.json").write_text("{")
    async with serving(home, {"work": RULES}, providers={"anthropic": provider.url}) as router:
        assert "prices.json: is no price table" in (await problems(router))[0]
        (home / "prices.json").write_text(table("99.0", 2))
        await until(lambda: in_force(router, "genai-prices 99.0"))
        await until(lambda: told(router, False))
        (home / "prices.json").write_text("[]")
        await until(lambda: told(router, True))
        assert await in_force(router, "genai-prices 99.0")


async def problems(router: Running) -> list[str]:
    async with router.get("/health") as reply:
        found: list[str] = (await reply.json())["problems"]
        return found


async def told(router: Running, any_problem: bool) -> bool:
    return bool(await problems(router)) == any_problem
