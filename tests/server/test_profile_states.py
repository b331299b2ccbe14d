"""Profiles are stopped, started, disabled, enabled and forgotten through the socket; nobody else notices."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest

from router.errors import RouterError
from router.server.admin import AdminClient
from tests.support.answers import answer, messages_events
from tests.support.asking import FORMATS, MESSAGES, PROFILE, Format
from tests.support.process import free_port
from tests.support.provider import SSE, Answer, End, FakeProvider, Pause, Send, Status
from tests.support.raw import ask, request
from tests.support.serving import Running, read_rows, serving, write_profile
from tests.support.slow import within

pytestmark = pytest.mark.slow

BODY = MESSAGES.request(stream=False)[1]
STREAMED = MESSAGES.request(stream=True)[1]
OWN_PORT = f'[profile]\nport = "auto"\n{PROFILE}'
STOPPED = "profile work is stopped; on the router's machine, `router profile start work` changes that"
DISABLED = "profile work is disabled; on the router's machine, `router profile enable work` changes that"


def slow(pause_s: float) -> Answer:
    """A stream that takes a while."""
    events = messages_events("model-1")
    return lambda call: [
        Status(200, SSE),
        Send(b"".join(events[:6])),
        Pause(pause_s),
        Send(b"".join(events[6:])),
        End(),
    ]


class World(NamedTuple):
    router: Running
    provider: FakeProvider
    home: Path

    async def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        return await asyncio.to_thread(AdminClient(self.router.app.home.socket).call, method, path, body)

    async def act(self, verb: str, profile: str = "work", **options: object) -> dict[str, Any]:
        return await self.call("POST", f"/profiles/{profile}/{verb}", options)

    async def row(self, profile: str = "work") -> dict[str, Any]:
        status = await self.call("GET", "/status")
        return next(row for row in status["profiles"] if row["profile"] == profile)

    async def asked(self, profile: str = "work") -> int:
        return (await ask(self.router.url, request("POST", f"/{profile}/v1/messages", BODY))).status

    def port_free(self, port: int) -> bool:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            return sock.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture
def ports() -> str:
    """A range of ports for automatic ones."""
    first = free_port()
    return f'[server]\nport-range = "{min(first, 65500)}-{min(first, 65500) + 20}"\nstop-grace = "0s"\n'


@pytest.fixture
async def world(tmp_path: Path, ports: str) -> AsyncIterator[World]:
    home = tmp_path / "home"
    profiles = {"work": OWN_PORT, "plain": PROFILE, "bad": "nonsense ="}
    async with (
        FakeProvider(answer) as provider,
        serving(home, profiles, providers={"fake": provider.url}, settings=ports) as router,
    ):
        yield World(router, provider, home)


def give_grace(world: World, seconds: float) -> None:
    world.router.app.settings = replace(world.router.app.settings, stop_grace_s=seconds)


STATES = {
    "running": (),
    "stopped": ("stop",),
    "disabled": ("disable",),
}
AFTER: dict[str, dict[str, str | None]] = {  # None: refused
    "start": {"running": "running", "stopped": "running", "disabled": None},
    "stop": {"running": "stopped", "stopped": "stopped", "disabled": "disabled"},
    "restart": {"running": "running", "stopped": "running", "disabled": None},
    "enable": {"running": "running", "stopped": "running", "disabled": "running"},
    "disable": {"running": "disabled", "stopped": "disabled", "disabled": "disabled"},
}


@pytest.mark.parametrize("profile", ["work", "plain"])
@pytest.mark.parametrize(("verb", "before"), [(verb, before) for verb in AFTER for before in STATES])
@pytest.mark.sampled(8)
async def test_what_a_command_makes_of_each_state(world: World, verb: str, before: str, profile: str) -> None:
    for step in STATES[before]:
        await world.act(step, profile)
    port = (await world.row(profile))["port"]
    expected = AFTER[verb][before]
    if expected is None:
        with pytest.raises(RouterError, match=f"profile {profile} is disabled; `router profile enable {profile}`"):
            await world.act(verb, profile)
        expected = before
    else:
        told = await world.act(verb, profile)
        assert (told["state"], told["port"], told["under_way"]) == (expected, port, 0)
        assert await world.act(verb, profile) == {**told, "restarts": told["restarts"] + (verb == "restart"),
                                                  "started_ms": (await world.row(profile))["started_ms"]}  # fmt: skip
    row = await world.row(profile)
    assert (row["state"], row["port"]) == (expected, port)
    assert row["pid"] == (None if expected != "running" else (await world.call("GET", "/status"))["pid"])
    assert await world.asked(profile) == (200 if expected == "running" else 503)
    if profile == "work":
        assert world.port_free(port) is (expected != "running")
    assert await world.asked("plain" if profile == "work" else "work") == 200


async def test_a_profile_that_was_never_right_can_be_halted_too(world: World) -> None:
    assert (await world.row("bad"))["state"] == "down"
    assert (await world.act("stop", "bad"))["state"] == "stopped"
    assert (await world.act("disable", "bad"))["state"] == "disabled"
    reply = await ask(world.router.url, request("POST", "/bad/v1/messages", BODY))
    assert (reply.status, "profile bad is disabled" in reply.body.decode()) == (503, True)
    assert (await world.act("enable", "bad"))["state"] == "down"
    write_profile(world.home, "bad", PROFILE)
    await world.call("POST", "/reload")
    assert await world.asked("bad") == 200


async def test_a_profile_that_is_not_there_is_told(world: World) -> None:
    with pytest.raises(RouterError, match="no profile is served under /nobody"):
        await world.act("stop", "nobody")


async def test_a_profile_made_this_moment_is_found(world: World) -> None:
    write_profile(world.home, "new", PROFILE)
    assert (await world.act("start", "new"))["state"] == "running"


@pytest.mark.parametrize("client", FORMATS, ids=lambda client: client.name)
@pytest.mark.parametrize(("verb", "reason"), [("stop", STOPPED), ("disable", DISABLED)])
@pytest.mark.sampled(8)
async def test_a_halted_profile_says_why_in_the_clients_format_and_closes_the_connection(
    world: World, verb: str, reason: str, client: Format
) -> None:
    await world.act(verb)
    path, body = client.request(stream=True)
    reply = await ask(world.router.url, request("POST", f"/work{path}", body))
    assert (reply.status, client.error_of(reply.body)) == (503, reason)
    assert reply.headers["connection"] == "close"
    assert reply.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("path", ["/work", "/work/v1/models", "/work/stats", "/work/health"])
async def test_its_other_paths_answer_503_too(world: World, path: str) -> None:
    await world.act("stop")
    reply = await ask(world.router.url, request("GET", path))
    assert reply.status == 503
    if path.endswith("health"):
        assert json.loads(reply.body)["status"] == "stopped"
    else:
        assert "profile work is stopped" in reply.body.decode()


async def test_the_server_itself_stays_healthy(world: World) -> None:
    shutil.rmtree(world.home / "profiles" / "bad")
    await world.call("POST", "/reload")
    await world.act("stop")
    async with world.router.get("/health") as reply:
        assert (reply.status, (await reply.json())["status"]) == (200, "healthy")
        assert (await reply.json())["profiles"]["work"] == {"status": "stopped", "problems": []}
    for path in ("/", "/metrics"):
        async with world.router.get(path) as reply:
            assert reply.status == 200


async def test_idle_connections_to_its_own_port_are_closed_and_running_requests_get_the_grace(world: World) -> None:
    give_grace(world, 0.3)
    own = (await world.row())["own_url"]
    reader, writer = await asyncio.open_connection("127.0.0.1", (await world.row())["port"])
    writer.write(request("POST", "/v1/messages", BODY))
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    world.provider.answer = slow(30.0)
    stream = asyncio.create_task(ask(own, request("POST", "/v1/messages", STREAMED)))
    while not world.router.app.services.active:
        await asyncio.sleep(0.01)
    assert (await world.act("stop"))["under_way"] == 1
    with within(2, "the grace is shorter"):
        await reader.read()  # the rest of the first answer, and the end of the connection, which was idle
        assert "profile work is stopped" in (await stream).body.decode()
    writer.close()
    await world.router.flush()
    (row,) = await world.router.rows(where="outcome = 'drained'")
    assert row["profile"] == "work"


async def test_now_cuts_at_once_and_a_start_in_time_cuts_nothing(world: World) -> None:
    give_grace(world, 60.0)
    world.provider.answer = slow(0.5)
    streams = [
        asyncio.create_task(ask(world.router.url, request("POST", f"/{name}/v1/messages", STREAMED)))
        for name in ("work", "plain")
    ]
    while len(world.router.app.services.active) < 2:
        await asyncio.sleep(0.01)
    await world.act("stop", "plain")
    await world.act("start", "plain")
    await world.act("stop", "work", now=True)
    async with asyncio.timeout(5):
        cut, whole = [(await stream).body.decode() for stream in streams]
    assert "profile work is stopped" in cut
    assert "is stopped" not in whole


async def test_a_port_is_kept_over_a_stop_released_by_removal_and_never_given_to_another(
    tmp_path: Path, ports: str
) -> None:
    home = tmp_path / "home"
    async with FakeProvider(answer) as provider:
        options: dict[str, Any] = {"providers": {"fake": provider.url}, "settings": ports}
        async with serving(home, {"work": OWN_PORT, "plain": PROFILE}, **options) as router:
            world = World(router, provider, home)
            port = (await world.row())["port"]
            await world.act("disable")
            write_profile(home, "aaa", OWN_PORT)
            await world.call("POST", "/reload")
            assert (await world.row("aaa"))["port"] != port
        async with serving(home, **options) as router:
            world = World(router, provider, home)
            assert (await world.row())["state"] == "disabled", "it stays so over a restart of the server"
            assert (await world.row())["port"] == port
            assert world.port_free(port)
            write_profile(home, "bbb", OWN_PORT)
            await world.call("POST", "/reload")
            assert (await world.row("bbb"))["port"] not in (port, (await world.row("aaa"))["port"])
            assert (await world.act("enable"))["port"] == port
            with pytest.raises(RouterError, match="the folder of profile work is still there"):
                await world.call("DELETE", "/profiles/work")
            await world.act("disable")
            shutil.rmtree(home / "profiles" / "work")
            await world.call("DELETE", "/profiles/work")
            assert [row["profile"] for row in (await world.call("GET", "/status"))["profiles"]] == [
                "aaa",
                "bbb",
                "plain",
            ]
            write_profile(home, "ccc", OWN_PORT)
            await world.call("POST", "/reload")
            assert (await world.row("ccc"))["port"] == port
            write_profile(home, "work", OWN_PORT)
            await world.call("POST", "/reload")
            assert (await world.row())["state"] == "running", "nothing of the removed one is left"
    assert read_rows(home.joinpath("router.db"), "profile_states") == []


async def test_a_stop_lasts_until_the_servers_next_start(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with FakeProvider(answer) as provider:
        async with serving(home, {"work": PROFILE}, providers={"fake": provider.url}) as router:
            await World(router, provider, home).act("stop")
        async with serving(home, providers={"fake": provider.url}) as router:
            assert (await World(router, provider, home).row())["state"] == "running"


async def test_a_port_that_was_taken_meanwhile_is_a_problem_not_a_failure(world: World) -> None:
    taken = free_port()
    write_profile(world.home, "plain", f"[profile]\nport = {taken}\n{PROFILE}")
    await world.call("POST", "/reload")
    await world.act("stop", "plain")
    with socket.socket() as other:
        other.bind(("127.0.0.1", taken))
        other.listen()
        told = await world.act("start", "plain")
        assert told["state"] == "problem"
        assert f"can't listen on 127.0.0.1:{taken}: address already in use" in told["problems"][0]
    assert (await world.act("restart", "plain"))["state"] == "running"


async def test_stop_all_stops_what_runs(world: World) -> None:
    await world.act("disable", "plain")
    told = await world.call("POST", "/profiles/stop-all")
    assert [row["profile"] for row in told["stopped"]] == ["bad", "work"]
    assert {name: (await world.row(name))["state"] for name in ("bad", "plain", "work")} == {
        "bad": "stopped",
        "plain": "disabled",
        "work": "stopped",
    }


async def test_a_changed_file_of_a_stopped_profile_is_taken_up_without_serving_it(world: World) -> None:
    await world.act("stop")
    port = free_port()
    write_profile(world.home, "work", f"[profile]\nport = {port}\n{PROFILE}")
    await world.call("POST", "/reload")
    assert ((await world.row())["state"], (await world.row())["port"]) == ("stopped", port)
    assert world.port_free(port)
    assert (await world.act("start"))["own_url"] == f"http://127.0.0.1:{port}"
    assert not world.port_free(port)


@pytest.mark.slow
async def test_fifty_stops_and_starts_fail_no_request_of_another_profile(world: World) -> None:
    statuses: list[int] = []
    done = asyncio.Event()

    async def ask_on() -> None:
        async with aiohttp.ClientSession() as session:  # its connection is kept alive throughout
            while not done.is_set():
                async with session.post(f"{world.router.url}/plain/v1/messages", data=BODY) as reply:
                    await reply.read()
                    statuses.append(reply.status)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ask_on())
        for _ in range(50):
            await world.act("stop")
            await asyncio.sleep(0.01)
            await world.act("start")
        done.set()
    assert (await world.row())["restarts"] == 50
    assert set(statuses) == {200}
    assert len(statuses) > 10
