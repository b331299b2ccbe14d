"""Seventy profiles in one process: a change to one, good or bad, costs no request anywhere and is soon to be seen."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from click.testing import CliRunner

from router.cli.main import cli
from router.server.listeners import Listener
from router.server.tenants import POLL_S
from tests.support.answers import answer, messages_events
from tests.support.provider import SSE, End, FakeProvider, Pause, Send, Status
from tests.support.raw_client import RawClient
from tests.support.serving import Running, serving, write_profile
from tests.support.slow import in_time

pytestmark = pytest.mark.asyncio(loop_scope="module")

BODY = b'{"model":"x","max_tokens":1,"messages":[]}'
VISIBLE_S = 2.0
FAST_POLL_S = 0.1


def rules(model: str, *, port: str = "") -> str:
    return f'{port}[default]\nto = "there"\nmodel = "{model}"\n'


ON_PATH = [f"path-{number}" for number in range(50)]
ON_PORT = [f"port-{number}" for number in range(20)]


class World(NamedTuple):
    router: Running
    provider: FakeProvider
    home: Path

    def write(self, name: str, text: str) -> Path:
        return write_profile(self.home, name, text) / "routing.toml"

    def base(self, name: str) -> str:
        tenant = self.router.app.tenants.find(name)
        listener = tenant.listener if tenant is not None else None
        return listener.base_url if listener is not None else f"{self.router.url}/{name}"

    async def model_of(self, base: str) -> str | int:
        """The model a request is sent to there, or the status of a refusal."""
        async with self.router.session.post(f"{base}/v1/messages", data=BODY) as reply:
            await reply.read()
            return reply.headers["x-router-model"] if reply.status == 200 else reply.status

    async def health(self, name: str) -> Any:
        async with self.router.get("/health") as reply:
            profiles: dict[str, Any] = (await reply.json())["profiles"]
            return profiles.get(name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    home = tmp_path_factory.mktemp("many") / "home"
    profiles = {name: rules("first") for name in ON_PATH}
    profiles |= {name: rules("first", port='[profile]\nport = "auto"\n\n') for name in ON_PORT}
    async with (
        FakeProvider(answer) as provider,
        serving(home, profiles, providers={"there": provider.url}) as router,
    ):
        router.app.tenants.poll_s = FAST_POLL_S
        yield World(router, provider, home)


async def until(condition: Callable[[], Awaitable[bool]], *, within: float = VISIBLE_S) -> float:
    """Wait for something to become true; the seconds it took, which are less than ``within``."""
    started = time.perf_counter()
    while not await condition():
        assert time.perf_counter() - started < 10, "it didn't happen"
        await asyncio.sleep(0.01)
    took_s = time.perf_counter() - started
    in_time(took_s, within)
    return took_s


@contextlib.asynccontextmanager
async def load(world: World, names: list[str], *, pause: float = 0.02) -> AsyncIterator[Counter[tuple[str, str | int]]]:
    """Constant requests to all of these profiles; what came of them, by profile and model or failure."""
    outcomes: Counter[tuple[str, str | int]] = Counter()
    stop = asyncio.Event()

    async def ask(name: str) -> None:
        base = world.base(name)
        while not stop.is_set():
            outcomes[name, await world.model_of(base)] += 1
            await asyncio.sleep(pause)

    async with asyncio.TaskGroup() as tasks:
        for name in names:
            tasks.create_task(ask(name))
        await asyncio.sleep(0.1)
        yield outcomes
        await asyncio.sleep(2 * pause)
        stop.set()


async def test_each_profile_has_its_own_address(world: World) -> None:
    ports = {world.base(name) for name in ON_PORT}
    assert len(ports) == 20
    for name in ON_PORT + ON_PATH:
        for base in {world.base(name), f"{world.router.url}/{name}", f"{world.router.url}/p/{name}"}:
            async with world.router.session.post(f"{base}/v1/messages", data=BODY) as reply:
                assert reply.headers["x-router-profile"] == name
    rows = await world.router.rows()
    assert {row["profile"] for row in rows} == {*ON_PORT, *ON_PATH}


async def test_a_port_serves_its_own_profile_only(world: World) -> None:
    base = world.base("port-3")
    for path in ("/path-1/v1/messages", "/p/path-1/v1/messages", "/port-4/v1/messages"):
        async with world.router.session.post(base + path, data=BODY) as reply:
            assert reply.status == 404


BROKEN = [
    pytest.param("[[rule]\n", "not valid TOML", id="no TOML", marks=pytest.mark.slow),
    pytest.param('[default]\nto = "nowhere"\n', "nowhere", id="unknown provider"),
    pytest.param('[default]\nto = "there"\ntwo = "x"\n', "two", id="unknown key", marks=pytest.mark.slow),
    pytest.param("", "is empty", id="empty", marks=pytest.mark.slow),
    pytest.param(None, "does not exist", id="file deleted", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("text", "said"), BROKEN)
async def test_a_broken_edit_fails_no_request_and_is_soon_shown(
    text: str | None, said: str, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    victim = "path-7"
    path = world.write(victim, rules("first"))
    await until(lambda: is_healthy(world, victim))
    tenants = world.router.app.tenants
    tenants.poll_s = POLL_S if said == "not valid TOML" else FAST_POLL_S
    async with load(world, [*ON_PATH, *ON_PORT], pause=0.2) as outcomes:
        before = outcomes.total()
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
        await until(lambda: is_told(world, victim, said))
        assert any(said in record.getMessage() for record in caplog.records)
        checked = await asyncio.to_thread(CliRunner().invoke, cli, ["check", victim, "--home", str(world.home)])
        assert said in checked.output
        assert checked.exit_code != 0
    assert outcomes.total() >= before + 70
    assert {model for _, model in outcomes} == {"first"}, "the last good version goes on"
    tenants.poll_s = FAST_POLL_S
    world.write(victim, rules("first"))
    await until(lambda: is_healthy(world, victim))


async def is_told(world: World, name: str, said: str) -> bool:
    entry = await world.health(name)
    return entry["status"] == "degraded" and said in json.dumps(entry["problems"])


async def is_healthy(world: World, name: str) -> bool:
    return await world.health(name) == {"status": "healthy", "problems": []}


@pytest.mark.parametrize("name", ["path-49", "port-19"])
async def test_a_good_edit_swaps_in_without_losing_a_request(name: str, world: World) -> None:
    base = world.base(name)
    async with load(world, [*ON_PATH[-20:], *ON_PORT[-10:]], pause=0.1) as outcomes:
        port = '[profile]\nport = "auto"\n\n' if name.startswith("port") else ""
        world.write(name, rules("second", port=port))
        await until(lambda: serves(world, base, "second"))
    assert {model for served, model in outcomes if served != name} == {"first"}
    assert {model for served, model in outcomes if served == name} == {"first", "second"}
    assert world.base(name) == base
    world.write(name, rules("first", port=port))
    await until(lambda: serves(world, base, "first"))


async def serves(world: World, base: str, what: str | int) -> bool:
    return await world.model_of(base) == what


async def test_a_request_under_way_keeps_the_version_it_started_with(world: World) -> None:
    name, go = "path-9", asyncio.Event()
    old = world.router.app.tenants.find(name)
    assert old is not None
    old_hash = old.profile.file_hash
    events = messages_events("first")
    held = [Status(200, SSE), Send(b"".join(events[:5])), Pause(go), Send(b"".join(events[5:])), End()]
    world.provider.answer = lambda request: held if b"stream" in request.body else answer(request)
    try:
        async with RawClient(world.router.url) as client:
            await client.send(f"/{name}/v1/messages", b'{"model":"x","stream":true,"messages":[]}')
            await client.read_until(b"Hello")
            world.write(name, rules("second") + '\n[timeouts]\nidle = "5s"\n')
            await until(lambda: serves(world, f"{world.router.url}/{name}", "second"))
            go.set()
            await client.read_until(b"message_stop")
    finally:
        world.provider.answer = answer
    rows = [row for row in await world.router.rows() if row["profile"] == name]
    assert [(row["model"], row["file_hash"] == old_hash, row["outcome"]) for row in rows if row["stream"]] == [
        ("first", True, "ok")
    ]
    assert rows[-1]["model"] == "second"
    assert rows[-1]["file_hash"] != old_hash


async def test_a_new_folder_is_served_and_a_deleted_one_is_gone(world: World) -> None:
    world.write("fresh", rules("first"))
    base = f"{world.router.url}/fresh"
    await until(lambda: serves(world, base, "first"))
    shutil.rmtree(world.home / "profiles" / "fresh")
    await until(lambda: serves(world, base, 404))
    assert await world.health("fresh") is None


async def test_a_port_moves_and_a_busy_one_is_told_and_forgotten(world: World) -> None:
    name = "path-10"
    free, busy = Listener("127.0.0.1", 0, unreachable), Listener("127.0.0.1", 0, unreachable)
    await free.open()
    await busy.open()
    await free.close()
    try:
        world.write(name, rules("first", port=f"[profile]\nport = {free.port}\n\n"))
        await until(lambda: listens(world, name, free.port))
        world.write(name, rules("second", port=f"[profile]\nport = {busy.port}\n\n"))
        await until(lambda: is_told(world, name, "can't listen"))
        assert await world.model_of(world.base(name)) == "second", "the rest of the file is in force"
        assert world.base(name).endswith(f":{free.port}")
        world.write(name, rules("second", port=f"[profile]\nport = {free.port}\n\n"))
        await until(lambda: is_healthy(world, name))
    finally:
        await busy.close()


async def unreachable(request: object) -> Any:
    raise AssertionError


async def listens(world: World, name: str, port: int) -> bool:
    return world.base(name).endswith(f":{port}")


# --- how editors save -------------------------------------------------------------------------------------------------


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


def by_rename(path: Path, text: str) -> None:
    beside = path.with_name(".routing.toml.swp")
    beside.write_text(text)
    os.replace(beside, path)


def backup_first(path: Path, text: str) -> None:
    path.rename(path.with_name("routing.toml~"))
    path.write_text(text)


def deleted_first(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


@pytest.mark.parametrize("save", [in_place, by_rename, backup_first, deleted_first])
async def test_every_way_of_saving_is_noticed_and_loses_no_request(save: Any, world: World) -> None:
    name = "path-11"
    base = f"{world.router.url}/{name}"
    async with load(world, [name]) as outcomes:
        save(world.home / "profiles" / name / "routing.toml", rules(save.__name__))
        await until(lambda: serves(world, base, save.__name__))
    assert all(isinstance(model, str) for _, model in outcomes)
    assert await is_healthy(world, name)


@pytest.mark.slow
async def test_half_of_a_file_is_never_in_force_though_it_is_a_good_file(world: World) -> None:
    name = "path-12"
    path = world.home / "profiles" / name / "routing.toml"
    base = f"{world.router.url}/{name}"
    whole = rules("half") + '\n[[rule]]\nmatch = "always"\nto = "there"\nmodel = "whole"\n'
    half = rules("half")
    async with load(world, [name]) as outcomes:
        for _ in range(12):  # at different moments between two looks
            with path.open("w") as file:
                file.write(half)
                file.flush()
                await asyncio.sleep(FAST_POLL_S * 0.6)
                file.write(whole.removeprefix(half))
            await asyncio.sleep(FAST_POLL_S * 0.7)
        await until(lambda: serves(world, base, "whole"))
    assert {model for _, model in outcomes} <= {"first", "whole"}


@pytest.mark.slow
async def test_twenty_saves_a_second_end_with_the_last(world: World) -> None:
    name = "path-13"
    tenant = world.router.app.tenants.find(name)
    assert tenant is not None
    reloads, started = tenant.reloads, time.perf_counter()
    for number in range(30):
        in_place(world.home / "profiles" / name / "routing.toml", rules(f"save-{number}"))
        await asyncio.sleep(0.05)
    await until(lambda: serves(world, f"{world.router.url}/{name}", "save-29"))
    assert tenant.reloads - reloads <= (time.perf_counter() - started) / (2 * FAST_POLL_S)


async def test_a_folder_that_is_replaced_whole_is_never_missing(world: World) -> None:
    """A checkout moves the old folder away and the new one in."""
    name = "path-14"
    folder, base = world.home / "profiles" / name, f"{world.router.url}/{name}"
    write_profile(world.home / "elsewhere", name, rules("new"))
    async with load(world, [name]) as outcomes:
        folder.rename(world.home / "old")
        await asyncio.sleep(FAST_POLL_S * 0.5)
        (world.home / "elsewhere" / "profiles" / name).rename(folder)
        await until(lambda: serves(world, base, "new"))
    assert {model for _, model in outcomes} == {"first", "new"}
