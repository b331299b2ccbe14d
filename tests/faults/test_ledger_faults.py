"""The running server while its ledger can't be written: streams go on, rows come later, nothing is counted twice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from router.ledger import store
from router.ledger.store import Ledger
from router.server import accounts
from tests.support.aftermath import aftermath, check_books
from tests.support.answers import answer
from tests.support.asking import FORMATS, MESSAGES, PROFILE, Format, opening
from tests.support.provider import End, FakeProvider, Pause, Send, Step, stream
from tests.support.raw import RawReply, ask, request
from tests.support.serving import Running, read_rows, serving
from tests.support.slow import in_time, within
from tests.support.watchdog import watchdog

PATH, BODY = "/work/v1/messages", MESSAGES.request(stream=True)[1]
REFUSING = f'{PROFILE}\n[ledger]\non-error = "refuse"\n'


@contextlib.contextmanager
def locked(router: Running) -> Iterator[None]:
    """Another program writes to the ledger."""
    with contextlib.closing(sqlite3.connect(router.app.home.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextlib.asynccontextmanager
async def read_only(router: Running) -> AsyncIterator[None]:
    """The file system takes no more writes."""

    def switch(on: int) -> Any:
        return lambda connection: connection.execute(f"PRAGMA query_only = {on}").fetchone()

    await router.app.ledger.run(switch(1))
    yield
    await router.app.ledger.run(switch(0))


@contextlib.asynccontextmanager
async def unwritable(router: Running, fault: str) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as stack:
        if fault == "locked":
            stack.enter_context(locked(router))
        else:
            await stack.enter_async_context(read_only(router))
        yield


async def settled(router: Running, count: int) -> list[dict[str, Any]]:
    """All rows, once they are there."""
    async with asyncio.timeout(10):
        while len(rows := read_rows(router.app.home.database, where="state = 'settled'")) < count:
            await asyncio.sleep(0.01)
    await router.flush()
    return rows


async def health(router: Running) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((await ask(router.url, request("GET", "/health"))).body)
    return found


@pytest.fixture
async def served(arena: Any) -> Any:
    arena.provider.answer = answer
    return arena


FAULTS = pytest.mark.parametrize("fault", ["locked", "read-only"])


@pytest.mark.slow
@FAULTS
async def test_requests_are_served_shown_as_a_problem_and_recorded_later(fault: str, served: Any) -> None:
    router = served.router
    async with watchdog(0.1), unwritable(router, fault):
        for number in range(6):
            form = FORMATS[number % 4]
            path, body = form.request(stream=number % 2 == 0)
            # The first waits for its row before the call; each waits 250 ms for its commit before the end.
            with within(3.2 if number == 0 else 0.9):
                reply = await ask(router.url, request("POST", f"/work{path}", body))
            assert reply.status == 200
            assert reply.whole
        shown = await health(router)
        assert shown["status"] == "degraded"
        assert any("ledger" in problem for problem in shown["problems"])
        assert router.app.ledger.spilled >= 6
    rows = await settled(router, 6)
    assert {row["outcome"] for row in rows} == {"ok"}
    assert [row["attempts"] for row in rows] == [1] * 6
    assert len(await router.rows("attempts", "state = 'settled'")) == 6
    async with asyncio.timeout(10):
        while list(router.app.home.path.glob("router.spill*")):
            await asyncio.sleep(0.01)
    check_books(router)
    assert (await health(router))["status"] == "healthy"


@FAULTS
async def test_streams_under_way_do_not_notice_until_their_end(fault: str, served: Any) -> None:
    router, provider = served
    events = MESSAGES.events()
    paces: list[float] = []

    def slow(received: object) -> Iterator[Step]:
        yield from opening(*events[:3])
        for event in events[3:-1]:
            yield Pause(0.03)
            yield Send(event)
        yield Send(events[-1])
        yield End()

    provider.answer = slow

    async def one() -> None:
        async with router.post(PATH, data=BODY) as reply:
            last = time.monotonic()
            seen = b""
            async for chunk in reply.content.iter_any():
                now = time.monotonic()
                if b"message_stop" not in chunk:
                    paces.append(now - last)
                last, seen = now, seen + chunk
            assert seen == b"".join(events)

    running = [asyncio.create_task(one()) for _ in range(20)]
    while len(router.app.services.active) < 20:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)
    async with watchdog(0.1), unwritable(router, fault):
        await asyncio.gather(*running)
    rows = await settled(router, 20)
    assert {row["outcome"] for row in rows} == {"ok"}
    in_time(sorted(paces)[len(paces) // 2], 0.06, "events come at their pace")
    check_books(router)


@pytest.mark.slow
@FAULTS
async def test_a_profile_that_serves_nothing_unrecorded_refuses(
    fault: str, tmp_path: Path, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "RECORD_WAIT_S", 0.3)
    provider.answer = answer
    profiles = {"work": REFUSING, "other": PROFILE}
    async with serving(tmp_path / "home", profiles, providers={"fake": provider.url}) as router:
        async with unwritable(router, fault):
            for _ in range(3):
                reply = await ask(router.url, request("POST", PATH, BODY))
                assert reply.status == 503
                assert "ledger" in MESSAGES.error_of(reply.body)
            assert not provider.requests, "no call that can't be recorded"
            reply = await ask(router.url, request("POST", "/other/v1/messages", BODY))
            assert reply.status == 200, "another profile may think otherwise"
        rows = await settled(router, 4)
        assert sorted(row["outcome"] for row in rows) == ["ok", "refused", "refused", "refused"]
        attempts = await router.rows("attempts")
        assert [attempt["state"] for attempt in attempts] == ["settled"], "a call that wasn't made has no row"
        async with aftermath(router, provider) as after:
            assert (await ask(router.url, request("POST", PATH, BODY))).status == 200
        assert after.told == ("ok", None)


@pytest.mark.slow
async def test_a_lock_that_outlasts_the_server_costs_no_row(
    tmp_path: Path, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "RETRY_S", 0.02)
    provider.answer = answer
    home = tmp_path / "home"
    with contextlib.ExitStack() as stack:
        async with serving(home, {"work": PROFILE}, providers={"fake": provider.url}) as router:
            stack.enter_context(locked(router))
            for _ in range(3):
                assert (await ask(router.url, request("POST", PATH, BODY))).status == 200
        assert read_rows(home / "router.db") == []
    async with serving(home) as router:
        rows = await router.rows()
        assert [row["outcome"] for row in rows] == ["ok"] * 3
        assert len(await router.rows("attempts")) == 3
        check_books(router)


@pytest.mark.slow
async def test_a_ledger_that_dies_is_shown_and_streams_go_on(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every write fails for good: as when the disk is taken out."""
    router = served.router

    async def gone(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(Ledger, "_store", gone)
    for _ in range(3):
        reply = await ask(router.url, request("POST", PATH, BODY))
        assert reply.whole
    assert "disk I/O error" in str((await health(router))["problems"])
    monkeypatch.undo()
    await settled(router, 3)
    check_books(router)


@pytest.mark.slow
async def test_a_spill_file_that_cannot_be_written_is_counted_and_shown(served: Any) -> None:
    router, _ = served
    spill = router.app.home.database.with_suffix(".spill")
    spill.mkdir()
    with locked(router):
        assert (await ask(router.url, request("POST", PATH, BODY))).whole
        assert router.app.ledger.lost == 1
        assert "lost" in str((await health(router))["problems"])
    await settled(router, 1)
    spill.rmdir()
    router.app.ledger.lost = 0  # on purpose, which the look behind the test needn't find


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
async def test_many_requests_while_the_lock_comes_and_goes(form: Format, served: Any) -> None:
    router, provider = served
    done = 0

    async def one() -> None:
        nonlocal done
        path, body = form.request(stream=True)
        reply: RawReply = await ask(router.url, request("POST", f"/work{path}", body))
        assert reply.whole
        done += 1

    async def lock_and_unlock() -> None:
        while done < 150:
            with locked(router):
                await asyncio.sleep(0.3)
            await asyncio.sleep(0.1)

    async def in_turns() -> None:
        for _ in range(15):
            await asyncio.gather(*(one() for _ in range(10)))

    await asyncio.gather(lock_and_unlock(), in_turns())
    rows = await settled(router, 150)
    assert len(rows) == 150
    assert {row["outcome"] for row in rows} == {"ok"}
    assert len(provider.requests) == len(await router.rows("attempts", "state = 'settled'")) == 150
    check_books(router)


async def test_the_answer_goes_out_although_the_log_cannot_be_written(served: Any) -> None:
    router, provider = served
    provider.answer = lambda received: stream(*MESSAGES.events())
    logs = router.app.home.logs
    for file in logs.iterdir():
        file.unlink()
    (logs / "work.log").mkdir()
    assert (await ask(router.url, request("POST", PATH, BODY))).whole
    router.app.services.log.flush()
    assert router.app.services.log.dropped == 1
    assert b"router_log_lines_dropped_total 1" in (await ask(router.url, request("GET", "/metrics"))).body
    (logs / "work.log").rmdir()
