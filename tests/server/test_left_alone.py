"""Targets and keys that are left alone: told in the log, kept over restarts and crashes, taken up again on request."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import signal
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from router.errors import RouterError
from router.health.breaker import SavedBreaker
from router.health.cooldowns import SavedCooldown
from router.ledger import health_rows
from router.ledger.health_rows import SavedHealth
from router.server.admin import AdminClient
from router.server.services import now_ms
from router.server.target_health import TargetHealth, target_name
from tests.support import ledgers
from tests.support.answers import answer
from tests.support.asking import MESSAGES
from tests.support.process import RouterProcess, free_port
from tests.support.provider import FakeProvider, Received, Step, whole
from tests.support.raw import RawReply, ask, request
from tests.support.serving import Running, read_rows, serving, write_profile, write_providers

pytestmark = pytest.mark.slow

PROFILE = """
[retry]
backoff = "1ms"

[breaker]
failures = 2

[default]
target = "one/model-1"
fallback = ["two/model-2"]
"""
BODY = MESSAGES.request(stream=False)[1]
ASK = request("POST", "/work/v1/messages", BODY)


def failing(status: int, **headers: str) -> list[Step]:
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return whole({"type": "error", "error": {"type": "x", "message": "no"}}, status=status, headers=named)


@pytest_asyncio.fixture
async def one() -> AsyncIterator[FakeProvider]:
    """A provider that fails."""
    async with FakeProvider(lambda received: failing(500)) as provider:
        yield provider


@pytest_asyncio.fixture
async def two() -> AsyncIterator[FakeProvider]:
    async with FakeProvider(answer) as provider:
        yield provider


def served_by(reply: RawReply) -> tuple[int, str]:
    return reply.status, reply.headers["x-router-provider"]


async def until_kept(home: Path, table: str, count: int) -> list[dict[str, Any]]:
    """The rows of a table, once there are so many."""
    async with asyncio.timeout(5):
        while len(rows := read_rows(home / "router.db", table)) != count:
            await asyncio.sleep(0.01)
    return rows


@pytest.mark.slow
async def test_an_open_breaker_is_still_open_after_a_crash(
    tmp_path: Path, one: FakeProvider, two: FakeProvider
) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    write_profile(home, "work", PROFILE)
    write_providers(home, {"one": one.url, "two": two.url})
    router = RouterProcess(home, free_port())
    try:
        await (await router.spawn()).ready()
        assert served_by(await ask(router.url, ASK)) == (200, "two")
        (row,) = await until_kept(home, "breakers", 1)
        assert (row["profile"], row["provider"], row["model"], row["key_name"]) == (
            "work", "one", "model-1", "env:TEST_KEY",
        )  # fmt: skip
        assert 20_000 < row["left_ms"] <= 30_000
        router.signal(signal.SIGKILL)
        await router.ended()
        calls = len(one.requests)

        await (await router.spawn()).ready()
        assert served_by(await ask(router.url, ASK)) == (200, "two")
        assert len(one.requests) == calls, "what fails isn't called before its time"
        assert "profile work: left alone as before the restart: 1" in router.said()
    finally:
        await router.destroy()


async def test_a_cooldown_of_a_key_outlives_the_server_and_a_short_one_is_not_kept(
    tmp_path: Path, one: FakeProvider, two: FakeProvider
) -> None:
    home, addresses = tmp_path / "home", {"one": one.url, "two": two.url}
    one.answer = lambda received: failing(429, retry_after="2" if "short" in received.json["model"] else "600")
    text = PROFILE + '\n[[rule]]\nmatch = { model-equals = "short" }\ntarget = "one/short"\nfallback = ["two/x"]\n'
    async with serving(home, {"work": text}, providers=addresses, resentful=True) as router:
        await ask(router.url, request("POST", "/work/v1/messages", {**MESSAGES.body, "model": "short"}))
        await ask(router.url, ASK)
        rows = await until_kept(home, "cooldowns", 1)
        assert (rows[0]["model"], rows[0]["key_name"], rows[0]["reason"]) == (None, "env:TEST_KEY", "quota")
        calls = len(one.requests)
    async with serving(home, resentful=True) as router:
        assert served_by(await ask(router.url, ASK)) == (200, "two")
        assert len(one.requests) == calls
        (found,) = router.app.tenants.find("work").health.left_alone()  # type: ignore[union-attr]
        assert found.again_s is not None
        assert 590 < found.again_s <= 600


async def test_a_refused_key_is_tried_again_by_the_next_server(
    tmp_path: Path, one: FakeProvider, two: FakeProvider
) -> None:
    home, addresses = tmp_path / "home", {"one": one.url, "two": two.url}

    def choosy(received: Received) -> Any:
        return answer(received) if "new" in str(received.headers) else failing(401)

    one.answer = choosy
    async with serving(home, {"work": PROFILE}, providers=addresses, resentful=True) as router:
        assert served_by(await ask(router.url, ASK)) == (200, "two")
        assert [row["reason"] for row in await until_kept(home, "cooldowns", 1)] == ["auth"]
    async with serving(home, environ={"TEST_KEY": "new"}, resentful=True) as router:
        assert served_by(await ask(router.url, ASK)) == (200, "one")


async def test_a_new_key_in_the_profiles_env_is_used_at_once(
    tmp_path: Path, one: FakeProvider, two: FakeProvider
) -> None:
    home, addresses = tmp_path / "home", {"one": one.url, "two": two.url}
    one.answer = lambda received: answer(received) if "new" in str(received.headers) else failing(401)
    home.mkdir(mode=0o700)
    folder = write_profile(home, "work", PROFILE, {".env": "TEST_KEY=old\n"})
    (folder / ".env").chmod(0o600)
    async with serving(home, environ={}, providers=addresses, resentful=True) as router:
        assert served_by(await ask(router.url, ASK)) == (200, "two")
        (folder / ".env").write_text("TEST_KEY=new\n")
        await router.app.tenants.refresh()
        assert served_by(await ask(router.url, ASK)) == (200, "one")
        await until_kept(home, "cooldowns", 0)


async def test_each_change_is_one_line_of_the_log(
    tmp_path: Path, one: FakeProvider, two: FakeProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "router.server")
    addresses = {"one": one.url, "two": two.url}
    text = PROFILE.replace("[breaker]", '[breaker]\ncooldown = "1ms"')
    async with serving(tmp_path / "home", {"work": text}, providers=addresses, resentful=True) as router:
        await ask(router.url, ASK)
        one.answer = answer
        assert served_by(await ask(router.url, ASK)) == (200, "one")
        one.answer = lambda received: failing(402)
        await asyncio.gather(*(ask(router.url, ASK) for _ in range(5)))
        one.answer = lambda received: failing(404)
        router.app.tenants.find("work").health.cooldowns.reset("*")  # type: ignore[union-attr]
        await ask(router.url, ASK)
    said = [line for line in caplog.messages if " left alone" in line or " called again" in line]
    assert said == [
        "profile work: one/model-1 left alone for 0 s: server",
        "profile work: one/model-1 is called again",
        "profile work: one with env:TEST_KEY left alone for 300 s: quota",
        "profile work: one/model-1 left alone for 300 s: not-found",
    ]


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        pytest.param(("a", "m", None), "a/m", id="a target"),
        pytest.param(("a", None, "env:K"), "a with env:K", id="a key"),
        pytest.param(("a", "m", "env:K"), "a/m with env:K", id="a key for a model"),
        pytest.param(("a", "m\nprofile work: fine\x1b[2J", None), "a/m?profile work: fine?[2J", id="a client's joke"),
        pytest.param(("a", "m" * 500, None), "a/" + "m" * 97 + "…", id="a long one"),
    ],
)
def test_the_name_of_a_target_is_one_short_line(parts: tuple[str, str | None, str | None], name: str) -> None:
    assert target_name(*parts) == name


def test_rows_come_back_as_they_were_saved_each_profiles_own() -> None:
    connection = ledgers.create()
    first = SavedHealth(
        (SavedBreaker("a", "m", "", 1, -2, 3, 4), SavedBreaker("a", "m", "env:K", 5, 6, 0, 7)),
        (SavedCooldown("a", None, "env:K", 8, 9, "quota"), SavedCooldown("b", "m", None, 10, 11, "not-found")),
    )
    second = SavedHealth((SavedBreaker("z", "m", "", 1, 2, 3, 4),))
    health_rows.save(connection, "one", SavedHealth((SavedBreaker("old", "m", "", 1, 2, 3, 4),)))
    health_rows.save(connection, "one", first)
    health_rows.save(connection, "two", second)
    assert health_rows.load(connection, "one") == first
    assert health_rows.load(connection, "two") == second
    assert health_rows.profiles(connection) == ["one", "two"]
    health_rows.save(connection, "two", SavedHealth())
    assert health_rows.profiles(connection) == ["one"]
    connection.close()


async def test_what_cannot_be_read_back_holds_no_profile_up(tmp_path: Path, one: FakeProvider) -> None:
    home = tmp_path / "home"
    async with serving(home, {"work": PROFILE}, providers={"one": one.url, "two": one.url}) as router:
        await router.app.ledger.run(lambda connection: connection.execute("DROP TABLE cooldowns"))
    async with serving(home) as router:
        assert (await router.get("/work/health")).status == 200


async def test_a_locked_database_is_written_when_it_can_be(
    tmp_path: Path, one: FakeProvider, two: FakeProvider
) -> None:
    home = tmp_path / "home"
    async with serving(home, {"work": PROFILE}, providers={"one": one.url, "two": two.url}, resentful=True) as router:
        health = router.app.tenants.find("work").health  # type: ignore[union-attr]
        other = sqlite3.connect(home / "router.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        health._cool("one", None, "env:K", 60.0, "quota")
        await asyncio.sleep(0.3)
        other.execute("ROLLBACK")
        other.close()
        assert [row["reason"] for row in await until_kept(home, "cooldowns", 1)] == ["quota"]
        assert read_rows(home / "router.db", "cooldowns")[0]["until_ms"] > now_ms()


# --- shown and reset ----------------------------------------------------------------------------------------------


class World(NamedTuple):
    router: Running
    one: FakeProvider
    two: FakeProvider

    @property
    def health(self) -> TargetHealth:
        tenant = self.router.app.tenants.find("work")
        assert tenant is not None
        return tenant.health

    async def call(self, method: str, path: str, body: object = None) -> Any:
        return await asyncio.to_thread(AdminClient(self.router.app.home.socket).call, method, path, body)


@pytest_asyncio.fixture
async def world(tmp_path: Path, one: FakeProvider, two: FakeProvider) -> AsyncIterator[World]:
    addresses = {"one": one.url, "two": two.url}
    async with serving(tmp_path / "home", {"work": PROFILE}, providers=addresses, resentful=True) as router:
        yield World(router, one, two)


async def test_the_socket_lists_what_is_left_alone(world: World) -> None:
    assert await world.call("GET", "/breakers") == {"breakers": []}
    await ask(world.router.url, ASK)
    world.two.answer = lambda received: failing(402, retry_after="120")
    await ask(world.router.url, ASK)
    breaker, cooldown = (await world.call("GET", "/breakers"))["breakers"]
    assert 29 < breaker.pop("again_s") <= 30
    assert breaker == {
        "profile": "work", "provider": "one", "model": "model-1", "key": "env:TEST_KEY", "state": "open",
        "reason": "2 of 2 calls failed",
    }  # fmt: skip
    assert 119 < cooldown.pop("again_s") <= 120
    assert cooldown == {
        "profile": "work", "provider": "two", "model": None, "key": "env:TEST_KEY", "state": "cooling-down",
        "reason": "quota",
    }  # fmt: skip


async def test_a_reset_has_a_target_called_again_and_is_kept(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "router.server")
    await ask(world.router.url, ASK)
    world.one.answer = answer
    assert served_by(await ask(world.router.url, ASK)) == (200, "two")
    assert await world.call("POST", "/breakers/reset", {"profile": "work", "pattern": "two"}) == {"reset": []}
    assert served_by(await ask(world.router.url, ASK)) == (200, "two")
    found = await world.call("POST", "/breakers/reset", {"profile": "work", "pattern": "one/model-*"})
    assert found == {"reset": ["one/model-1 with env:TEST_KEY"]}
    assert served_by(await ask(world.router.url, ASK)) == (200, "one")
    await until_kept(world.router.app.home.path, "breakers", 0)
    assert "profile work: called again, as asked: one/model-1 with env:TEST_KEY" in caplog.messages


async def test_a_wrong_reset_is_refused(world: World) -> None:
    with pytest.raises(RouterError, match="no profile is served under /nobody"):
        await world.call("POST", "/breakers/reset", {"profile": "nobody"})
    for body in ({}, {"profile": "work", "pattern": ""}, {"profile": "work", "pattern": 5}):
        with pytest.raises(RouterError, match="wrong request"):
            await world.call("POST", "/breakers/reset", body)


async def health_of(world: World, path: str = "/work/health") -> tuple[str, list[str]]:
    """Status and problems of the profile, with every number of seconds as N."""
    found = json.loads((await ask(world.router.url, request("GET", path))).body)
    return found["status"], [re.sub(r"\d+ s\b", "N s", line) for line in found["profiles"]["work"]["problems"]]


async def test_health_tells_of_open_breakers_and_keys_left_alone_by_their_names(world: World) -> None:
    assert await health_of(world) == ("healthy", [])
    await ask(world.router.url, ASK)
    world.two.answer = lambda received: failing(401)
    await ask(world.router.url, ASK)
    told = [
        "one/model-1 with env:TEST_KEY is left alone for N s: 2 of 2 calls failed",
        "two with env:TEST_KEY is left alone for N s: auth",
    ]
    assert await health_of(world) == ("degraded", told)
    assert await health_of(world, "/health") == ("degraded", told)
    world.health.reset()
    assert await health_of(world) == ("healthy", [])


async def test_a_model_that_is_not_there_makes_no_profile_ill(world: World) -> None:
    world.one.answer = lambda received: failing(404)
    await ask(world.router.url, ASK)
    assert [each.reason for each in world.health.left_alone()] == ["not-found"]
    assert await health_of(world) == ("healthy", [])


async def test_health_stays_short(world: World) -> None:
    for number in range(15):
        world.health._cool("one", f"m-{number:02}", "env:TEST_KEY", 60.0, "rate")
    status, told = await health_of(world)
    assert status == "degraded"
    assert len(told) == 11
    assert told[-1] == "and 5 more"
