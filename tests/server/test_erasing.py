"""``router usage erase`` while a server runs: its one writer does it, between what it has to write anyway."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner, Result

from router.cli.main import cli
from router.errors import RouterError
from router.ledger import erasing
from router.ledger.reports import Reader
from router.server.admin import AdminClient
from router.server.admin_routes import ledger
from tests.support.answers import answer, messages_events
from tests.support.asking import MESSAGES, PROFILE
from tests.support.provider import SSE, End, FakeProvider, Pause, Received, Send, Status, Step
from tests.support.raw import ask, request
from tests.support.serving import Running, read_rows, serving, write_profile

CANARY = "canary-7c1e"
BUDGET = PROFILE + "\n[budget]\ndaily-usd = 1.0\n"
KEYED = PROFILE + '[auth]\nkeys = "required"\n'
WAITING = json.dumps({**MESSAGES.body, "stream": True, "messages": [{"role": "user", "content": "wait"}]}).encode()
TABLES = ("requests", "rollup", "rollup_day", "rules")


class World(NamedTuple):
    router: Running
    go_on: asyncio.Event  # a stream with "wait" in its body waits for it

    async def ask(self, profile: str, *, body: bytes | None = None, key: str | None = None) -> int:
        word = CANARY if profile == "work" else "other"
        headers = [("x-router-tag", word), *([("x-api-key", key)] if key else [])]
        sent = body or json.dumps({**MESSAGES.body, "model": f"{word}-model"}).encode()
        return (await ask(self.router.url, request("POST", f"/{profile}/v1/messages", sent, headers=headers))).status

    async def run(self, *arguments: str) -> Result:
        home = str(self.router.app.home.path)
        return await asyncio.to_thread(CliRunner().invoke, cli, [*arguments, "--home", home], prog_name="router")

    def files(self) -> bytes:
        home = self.router.app.home.path
        return b"".join(path.read_bytes() for path in [*home.glob("router.db*"), *home.glob("logs/*")])


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    go_on = asyncio.Event()

    def reply(call: Received) -> list[Step]:
        if b"wait" not in call.body:
            return answer(call)
        return [Status(200, SSE), *(Send(each) for each in messages_events("model-1")[:6]), Pause(go_on),
                *(Send(each) for each in messages_events("model-1")[6:]), End()]  # fmt: skip

    profiles = {"work": BUDGET, "home": PROFILE, "keyed": KEYED}
    async with (
        FakeProvider(reply) as provider,
        serving(tmp_path / "home", profiles, providers={"fake": provider.url}) as router,
    ):
        yield World(router, go_on)


def rows_of(router: Running, profile: str) -> dict[str, list[dict[str, Any]]]:
    """Everything that the ledger has of a profile."""
    database = router.app.home.database
    found = {table: read_rows(database, table, f"profile = '{profile}'") for table in TABLES}
    ids = {row["id"] for row in found["requests"]}
    return {**found, "attempts": [row for row in read_rows(database, "attempts") if row["request_id"] in ids]}


async def test_all_of_a_profile_goes_while_it_serves(world: World) -> None:
    router, tenant = world.router, world.router.app.tenants.find("work")
    assert tenant is not None
    for profile in (*["work"] * 12, *["home"] * 3):
        assert await world.ask(profile) == 200
    await router.flush()
    under_way = asyncio.create_task(world.ask("work", body=WAITING))
    while not read_rows(router.app.home.database, "requests", "state = 'open'"):
        await asyncio.sleep(0.01)
    home, used = rows_of(router, "home"), tenant.spending.used_share(None)
    assert used
    assert CANARY.encode() in world.files()

    result = await world.run("usage", "erase", "work", "--yes")
    assert result.stdout == (
        "Erased 12 requests of work, <$0.01.\n"
        "1 request under way: recorded at the end.\n"
        "Its budgets go on counting what was erased, as long as the router runs.\n"
        "Nothing of it is left in the ledger's files.\n"
    )
    assert rows_of(router, "home") == home
    assert tenant.spending.used_share(None) == used
    (row,) = rows_of(router, "work")["requests"]
    assert row["state"] == "open"

    world.go_on.set()
    assert await under_way == 200
    (row,) = await router.rows("requests", "profile = 'work'")
    assert (row["state"], row["outcome"]) == ("settled", "ok")
    assert Reader(router.app.home.database).by_rule("work").total.sums.requests == 1
    assert rows_of(router, "home") == home


@pytest.mark.slow
async def test_no_trace_is_left_in_any_file(world: World) -> None:
    for profile in (*["work"] * 5, "home"):
        assert await world.ask(profile) == 200
    await world.router.flush()
    await asyncio.sleep(0.2)  # the log is written a little later
    assert CANARY.encode() in world.router.app.home.logs.joinpath("work.log").read_bytes()
    assert (await world.run("usage", "erase", "work", "--yes")).exit_code == 0
    assert CANARY.encode() not in world.files()
    assert b"profile=home" in world.files()


async def test_only_what_is_older_goes(world: World) -> None:
    assert await world.ask("work") == 200
    await world.router.flush()
    result = await world.run("usage", "erase", "work", "--before", "1d", "--yes", "--json")
    told = json.loads(result.stdout)
    assert (told["requests"], told["rows"], told["gone"], told["rewritten"]) == (0, 0, False, True)
    assert len(await world.router.rows()) == 1


async def test_a_large_ledger_is_overwritten_but_not_rewritten(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "QUICKLY", 0)
    assert await world.ask("work") == 200
    await world.router.flush()
    result = await world.run("usage", "erase", "work", "--yes")
    assert result.stdout.endswith(
        "What was deleted is overwritten; only rewriting the large file leaves no trace at all.\n"
        "That needs the router stopped: `router stop`, then the same command again.\n"
    )
    assert rows_of(world.router, "work")["requests"] == []


async def test_keys_of_a_profile_that_is_gone_open_nothing_any_more(world: World) -> None:
    home = world.router.app.home
    made = await asyncio.to_thread(
        AdminClient(home.socket).call, "POST", "/keys", {"profile": "keyed", "name": "alice"}
    )
    assert await world.ask("keyed", key=made["key"]) == 200
    await world.router.flush()
    shutil.rmtree(home.profiles / "keyed")
    await world.router.app.reload()
    result = await world.run("usage", "erase", "keyed", "--yes")
    assert "its client keys and its port are erased, too" in result.stdout
    write_profile(home.path, "keyed", KEYED)
    await world.router.app.reload()
    assert await world.ask("keyed", key=made["key"]) == 401


async def test_a_router_that_stops_says_so_and_the_rest_goes_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        assert await world.ask("work") == 200
    await world.router.flush()
    monkeypatch.setattr(ledger, "TELL_EVERY_S", 0.001)
    monkeypatch.setattr(erasing, "SLICE", 1)
    world.router.app.stopping.set()
    result = await world.run("usage", "erase", "work", "--yes")
    world.router.app.stopping.clear()
    assert result.exit_code == 1
    assert result.stderr == "router: erasing broke off: the router stops; the same command goes on with it\n"
    assert (await world.run("usage", "erase", "work", "--yes")).exit_code == 0
    assert rows_of(world.router, "work")["requests"] == []


@pytest.mark.parametrize("body", [{}, {"profile": "../x", "before_ms": 1, "whole": True}])
async def test_what_is_no_erasure_is_refused(world: World, body: dict[str, object]) -> None:
    def send() -> None:
        list(AdminClient(world.router.app.home.socket).lines("POST", "/ledger/erase", body))

    with pytest.raises(RouterError, match=r"wrong request|a profile's name"):
        await asyncio.to_thread(send)
