"""What must hold after every fault, whatever it was.

``aftermath`` wraps one exchange: behind it there is exactly one more settled row, exactly one more settled row for each
call that was made, nothing under way, no task left over, no connection to a provider still in use, and no breaker that
waits for a verdict. ``leaving_nothing`` wraps any number of exchanges and looks for the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

from router.ledger.reports import Reader
from router.server.spending import Spending
from router.server.tenant import Tenant
from tests.support.provider import FakeProvider
from tests.support.serving import Running, read_rows
from tests.support.slow import in_time

SOON_S = 2.0
PATIENCE_S = 10.0

# Tasks that live as long as a connection or as a test's own helpers, and so may come and go.
_LASTING = ("RequestHandler.start", "FakeProvider._serve", "FakeProvider._play", "_watch", "Watchdog", "RawClient")


@dataclass
class Aftermath:
    """Filled in when the exchange is over."""

    row: dict[str, Any] = field(default_factory=dict)
    attempts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def attempt(self) -> dict[str, Any]:
        [attempt] = self.attempts
        return attempt

    @property
    def told(self) -> tuple[str, str | None]:
        """Outcome and error class."""
        return self.row["outcome"], self.row["error_class"]


@contextlib.asynccontextmanager
async def aftermath(router: Running, *providers: FakeProvider) -> AsyncIterator[Aftermath]:
    """One exchange happens inside. Calls are counted at the providers, not in the ledger."""
    known = {row["id"] for row in await router.rows()}
    calls = sum(len(provider.requests) for provider in providers)
    tasks = asyncio.all_tasks()
    after = Aftermath()
    yield after
    await at_rest(router, tasks)
    made = sum(len(provider.requests) for provider in providers) - calls
    rows = [row for row in await router.rows() if row["id"] not in known]
    assert len(rows) == 1, f"one request has {len(rows)} rows"
    after.row = rows[0]
    assert after.row["state"] == "settled"
    assert after.row["outcome"] is not None
    after.attempts = await router.rows("attempts", f"request_id = '{after.row['id']}'")
    assert len(after.attempts) == made == after.row["attempts"], f"{made} calls, {len(after.attempts)} rows"
    assert {attempt["state"] for attempt in after.attempts} <= {"settled"}
    check_books(router)


@contextlib.asynccontextmanager
async def leaving_nothing(router: Running, *providers: FakeProvider) -> AsyncIterator[None]:
    """Whatever was asked inside, in the end every request has its row, every call its own, and nothing goes on.

    ``providers`` are all that are called, unless there are others that nobody can count the calls of.
    """
    tasks = asyncio.all_tasks()
    known = len(await router.rows("attempts"))
    yield
    if router.app.services.draining:
        return  # stopped by the test, whose affair it is then
    await at_rest(router, tasks)
    rows, attempts = await router.rows(), await router.rows("attempts")
    assert {row["state"] for row in (*rows, *attempts)} <= {"settled"}
    assert None not in {row["outcome"] for row in rows}
    assert {row["id"]: row["attempts"] for row in rows if row["attempts"]} == Counter(
        attempt["request_id"] for attempt in attempts
    )
    if providers:
        made = sum(received.method == "POST" for provider in providers for received in provider.requests)
        assert len(attempts) - known == made, f"{made} calls, {len(attempts) - known} rows"
    check_books(router)


@contextlib.asynccontextmanager
async def nothing_recorded(router: Running, *providers: FakeProvider) -> AsyncIterator[None]:
    """What happens inside leaves no row, makes no call, and leaves nothing under way."""
    known = len(await router.rows())
    calls = sum(len(provider.requests) for provider in providers)
    tasks = asyncio.all_tasks()
    yield
    await at_rest(router, tasks)
    assert len(await router.rows()) == known
    assert sum(len(provider.requests) for provider in providers) == calls


async def at_rest(router: Running, before: Iterable[asyncio.Task[Any]]) -> None:
    """Wait until nothing is under way any more, which is soon; fail when something stays."""
    services, began = router.app.services, time.monotonic()

    def still() -> list[object]:
        return [*services.active, *_leased(router), *_strays(before), *_probes(router)]

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            while still():
                await asyncio.sleep(0.002)
    assert not services.active, "an exchange is still under way"
    assert not _leased(router), "a connection to a provider is still in use"
    assert not _strays(before), "a task is left over"
    assert not _probes(router), "a breaker waits for a verdict"
    assert services.idle.is_set()
    in_time(time.monotonic() - began, SOON_S, "something was still under way")


def check_books(router: Running) -> None:
    """The sums agree with the rows they are made of, and nothing was lost."""
    database = router.app.home.database
    assert router.app.ledger.lost == 0
    rows = read_rows(database, where="state = 'settled'")
    for table in ("rollup", "rollup_day"):
        sums = read_rows(database, table)
        assert sum(line["requests"] for line in sums) == len(rows), table
        assert sum(line["cost_nano_usd"] for line in sums) == sum(row["cost_nano_usd"] or 0 for row in rows), table
    for tenant in router.app.tenants:
        check_budgets(router, tenant)


def check_budgets(router: Running, tenant: Tenant) -> None:
    """Where nothing is under way nothing is reserved, and what is counted is what the ledger says."""
    spending = tenant.spending
    assert all(charge.over for charge in spending._charges.values()), "a reservation isn't settled"
    again = Spending(tenant.name, tenant.clock)
    past = Reader(router.app.home.database).budget_past(tenant.name, spending.budgets.zone, spending.budgets.mark_ms)
    again.load(past, spending.terms, spending.budgets.zone)
    live, rebuilt = (list(each.budgets.standing(again.budgets.mark_ms)) for each in (spending, again))
    assert [(each.reserved, each.at_risk) for each in live] == [(0, 0)] * len(live), "something is reserved"
    counted = [[(str(each.scope), each.start_ms, each.spent) for each in windows] for windows in (live, rebuilt)]
    assert counted[0] == counted[1], "budgets count something else than the ledger"


def _leased(router: Running) -> list[object]:
    connector = router.app.services.upstream._session.connector
    assert connector is not None
    return list(connector._acquired)


def _probes(router: Running) -> list[object]:
    breakers = (breaker for tenant in router.app.tenants for breaker in tenant.health.breakers._breakers.values())
    return [breaker.probe for breaker in breakers if breaker.probe is not None]


def _strays(before: Iterable[asyncio.Task[Any]]) -> list[object]:
    lasting = {*before, asyncio.current_task()}
    return [
        task
        for task in asyncio.all_tasks() - lasting
        if getattr(task.get_coro(), "__qualname__", "").rpartition("<locals>.")[2] not in _LASTING
    ]
