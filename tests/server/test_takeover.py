"""One server takes over from another, and either of them may end at every step of it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from router.errors import ConfigError, LedgerError, ListenError, RouterError
from router.ledger.forwarding import Forwarded
from router.ledger.lock import holder
from router.ledger.migrations import MIGRATIONS
from router.ledger.store import Ledger
from router.money.budget import PROFILE
from router.profile.home import Home
from router.server import channel, takeover
from router.server.admin import AdminClient
from router.server.app import App, ServeOptions
from router.server.channel import UnderWay
from router.server.takeover import Predecessor
from tests.support.answers import answer, messages_events
from tests.support.process import RouterProcess, free_port
from tests.support.provider import SSE, End, FakeProvider, Pause, Received, Send, Status, Step
from tests.support.raw_client import RawClient
from tests.support.serving import ENVIRON, read_rows, write_profile, write_providers

pytestmark = pytest.mark.slow

PATH = "/work/v1/messages"
EVENTS = messages_events("m")
SLOW = b'{"model":"slow","max_tokens":1,"stream":true,"messages":[{"role":"user","content":"hi"}]}'
QUICK = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}'
RULES = """
[profile]
port = "auto"
[default]
target = "fake/model-1"
[budget]
daily-usd = 1000
[prices."fake/model-1"]
input = 3.0
output = 15.0
"""
COST = (11 + 5) * 3000 + 7 * 15000  # nano-dollars of one answer


@dataclass
class World:
    """A home, a provider whose slow streams wait, and the servers that have been started there."""

    home: Path
    stack: AsyncExitStack
    finish: asyncio.Event = field(default_factory=asyncio.Event)
    apps: list[App] = field(default_factory=list)

    @property
    def admin(self) -> AdminClient:
        return AdminClient(self.home / "router.sock")

    async def serve(self, *, take_over: bool = False, **options: Any) -> App:
        """Start a server, which is stopped in the end."""
        app = App(ServeOptions(home=self.home, port=0, take_over=take_over, **options), environ=ENVIRON)
        await app.start()
        self.apps.append(app)
        return app

    async def replace(self, old: App) -> App:
        """Start a server that takes over from this one."""
        new = await self.serve(take_over=True)
        async with asyncio.timeout(5):
            await old.retired.wait()
        return new

    async def begun(self, app: App) -> RawClient:
        """A client whose stream has shown its first words."""
        client = await self.stack.enter_async_context(RawClient(app.base_url))
        await client.send(PATH, SLOW)
        await client.read_until(b"Hello")
        return client

    async def ended(self, client: RawClient) -> None:
        """Let streams end, and see this one do so."""
        self.finish.set()
        assert (await client.read_until(b"0\r\n\r\n")).endswith(b'"message_stop"}\n\n\r\n0\r\n\r\n')

    def outcomes(self) -> Counter[str | None]:
        return Counter(row["outcome"] for row in read_rows(self.home / "router.db"))

    async def all_settled(self, count: int) -> Counter[str | None]:
        """The outcomes, once there are so many rows and none is open."""
        async with asyncio.timeout(5):
            while (found := self.outcomes()).total() < count or None in found:
                await asyncio.sleep(0.01)
        return found


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    def slowly(request: Received) -> Iterable[Step]:
        if not request.json.get("stream"):
            return answer(request)
        return [
            *(Status(200, SSE), Send(b"".join(EVENTS[:6]))),
            *(Pause(world.finish), Send(b"".join(EVENTS[6:])), End()),
        ]

    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    write_profile(home, "work", RULES)
    async with FakeProvider(slowly) as provider, AsyncExitStack() as stack:
        write_providers(home, {"fake": provider.url})
        world = World(home, stack)
        yield world
        world.finish.set()
        await stack.aclose()
        await asyncio.gather(*(app.stop() for app in world.apps))


async def ask(base_url: str, session: aiohttp.ClientSession | None = None) -> aiohttp.ClientResponse:
    """One whole request, answered well."""
    if session is None:
        async with aiohttp.ClientSession() as session:
            return await ask(base_url, session)
    async with session.post(base_url + PATH, data=QUICK, headers={"Content-Type": "application/json"}) as reply:
        assert (await reply.json())["usage"]["output_tokens"] == 7
        return reply


async def told(call: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.to_thread(call, *arguments)


# --- all goes well ----------------------------------------------------------------------------------------------------


async def test_the_new_server_has_the_addresses_and_the_old_ones_requests_end(world: World) -> None:
    old = await world.serve()
    stream = await world.begun(old)
    own_port = next(iter(old.tenants)).own_port
    new = await world.replace(old)
    assert new.base_url == old.base_url, "also with --port 0"
    assert next(iter(new.tenants)).own_port == own_port, "an automatic port stays"
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{own_port}/health") as health:
        assert health.status == 200
    assert (await told(world.admin.call, "GET", "/status"))["draining"] == {"pid": os.getpid(), "requests": 1}
    await ask(new.base_url)
    assert new.services.active == set()
    assert world.outcomes() == {"ok": 1, None: 1}, "who is under way isn't interrupted"
    await world.ended(stream)
    assert await world.all_settled(2) == {"ok": 2}
    stream.leave()
    await old.stop()
    await asyncio.sleep(0.05)
    assert (await told(world.admin.call, "GET", "/status"))["draining"] is None
    assert holder(world.home / "router.lock") == os.getpid()
    assert (world.home / "router.pid").exists()
    await ask(new.base_url)
    assert not [path for path in world.home.iterdir() if path.suffix in (".s", ".next")]


async def test_what_comes_on_a_kept_connection_is_answered_once_more_and_recorded(world: World) -> None:
    old = await world.serve()
    async with aiohttp.ClientSession() as session:
        assert "Connection" not in (await ask(old.base_url, session)).headers
        new = await world.replace(old)
        kept = await ask(old.base_url, session)
        assert kept.headers["Connection"] == "close"
        assert world.outcomes() == {"ok": 2}, "committed before it was answered"
        assert "Connection" not in (await ask(old.base_url, session)).headers
    assert next(iter(old.tenants)).requests == 2
    assert next(iter(new.tenants)).requests == 2, "the old one's last one, and its own"


async def test_budgets_and_conversations_go_on(world: World) -> None:
    old = await world.serve()
    stream = await world.begun(old)
    await ask(old.base_url)
    before = next(iter(old.tenants))
    while not before.memory().conversations:
        await asyncio.sleep(0.01)
    new = await world.replace(old)
    tenant = next(iter(new.tenants))
    assert tenant.memory().conversations == before.memory().conversations
    assert tenant.spending.used_share(None) == pytest.approx(COST / 1e12)
    await world.ended(stream)
    await world.all_settled(2)
    assert tenant.spending.used_share(None) == pytest.approx(2 * COST / 1e12)
    assert before.spending.used_share(None) == pytest.approx(2 * COST / 1e12)


async def test_a_strict_budget_holds_over_a_restart(world: World) -> None:
    """What the old server has under way counts in the new one, then what it came to, once; and the old one spends no
    more on connections that clients keep."""
    strict = RULES.replace("daily-usd = 1000", 'daily-usd = 1000\nmode = "strict"')
    write_profile(world.home, "work", strict)
    old = await world.serve()
    async with aiohttp.ClientSession() as session:
        await ask(old.base_url, session)
        stream = await world.begun(old)
        new = await world.replace(old)
        [tenant] = new.tenants
        window = tenant.spending.budgets.window(PROFILE, "day")
        [open_row] = read_rows(world.home / "router.db", where="state = 'open'")
        assert (window.spent, window.reserved) == (COST, open_row["held_nano_usd"])
        assert window.reserved > COST
        async with session.post(old.base_url + PATH, data=QUICK) as refused:
            assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
        await ask(new.base_url)
        await world.ended(stream)
        await world.all_settled(4)
        assert (window.spent, window.reserved) == (3 * COST, 0)


async def test_a_second_restart_while_the_first_server_still_serves(world: World) -> None:
    apps = [await world.serve()]
    streams = []
    for _ in range(3):
        streams.append(await world.begun(apps[-1]))
        apps.append(await world.replace(apps[-1]))
    assert world.outcomes() == {None: 3}
    for stream in streams:
        await world.ended(stream)
    assert world.outcomes() == {"ok": 3}, "committed before the end was told"
    for app in apps[:-1]:
        await app.stop()
    await ask(apps[-1].base_url)
    assert await world.all_settled(4) == {"ok": 4}


async def test_a_stop_ends_both(world: World) -> None:
    old = await world.serve()
    stream = await world.begun(old)
    new = await world.replace(old)
    await told(world.admin.call, "POST", "/stop", {"now": True})
    await asyncio.wait_for(old.stopping.wait(), 10)
    await asyncio.gather(old.stop(), new.stop())
    assert b"shutting down" in await stream.read_all()
    assert world.outcomes() == {"drained": 1}
    assert not (world.home / "router.sock").exists()
    assert holder(world.home / "router.lock") is None


async def test_sockets_that_are_not_wanted_any_more_are_closed(world: World) -> None:
    old = await world.serve()
    port = next(iter(old.tenants)).own_port
    assert port is not None
    write_profile(world.home, "work", RULES.replace('port = "auto"', ""))
    await world.replace(old)
    await asyncio.sleep(0.01)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


# --- the new server ends before it serves -----------------------------------------------------------------------------


async def met(home: Path) -> Predecessor:
    return await Predecessor.meet(Home(home))


async def ends_after_the_greeting(home: Path) -> None:
    await (await met(home)).close()


async def ends_with_the_lock(home: Path) -> None:
    before = await met(home)
    await before.take()
    before.lock.sign()
    await before.close()


async def ends_with_the_ledger(home: Path) -> None:
    before = await met(home)
    requests = await before.take()
    (home / "router.pid").write_text("1\n")
    ledger = await Ledger.open(home / "router.db", under_way=requests.requests)
    await before.opened(Forwarded(ledger, requests.requests, lambda profile, record: None))
    await asyncio.sleep(0.1)  # the old one's records come here
    await ledger.close()
    (home / "router.sock").unlink()
    await before.close()


ENDS = [ends_after_the_greeting, ends_with_the_lock, ends_with_the_ledger]


@pytest.mark.parametrize("end", ENDS)
async def test_the_old_one_goes_on_if_the_new_one_ends(end: Callable[[Path], Any], world: World) -> None:
    old = await world.serve()
    stream = await world.begun(old)
    asking = [asyncio.create_task(ask(old.base_url)) for _ in range(5)]
    await end(world.home)
    asking += [asyncio.create_task(ask(old.base_url)) for _ in range(5)]
    await asyncio.gather(*asking)
    async with asyncio.timeout(5):
        while not await told(world.admin.alive):
            await asyncio.sleep(0.01)
    assert holder(world.home / "router.lock") == os.getpid()
    assert (world.home / "router.pid").read_text() == f"{os.getpid()}\n"
    assert not old.retired.is_set()
    await told(world.admin.call, "POST", "/keys", {"profile": "work", "name": "laptop"})
    await world.ended(stream)
    assert await world.all_settled(11) == {"ok": 11}
    new = await world.replace(old)  # the next restart works
    await ask(new.base_url)


async def test_wrong_files_change_nothing(world: World) -> None:
    old = await world.serve()
    (world.home / "router.toml").write_text("[server]\nport = 'many'\n")
    with pytest.raises(ConfigError, match=r"router\.toml:2"):
        await world.serve(take_over=True)
    (world.home / "router.toml").unlink()
    write_profile(world.home, "work", "[[[")
    write_profile(world.home, "never-good", "[[[")
    with pytest.raises(ConfigError, match=r"profiles/work/routing.toml:1.*\nthe running router goes on") as raised:
        await world.serve(take_over=True)
    assert "never-good" not in str(raised.value), "it wasn't served before either"
    await ask(old.base_url)
    assert not old.retired.is_set()


async def test_an_older_version_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    old = await world.serve()
    monkeypatch.setattr(takeover, "MIGRATIONS", MIGRATIONS[:-1])
    with pytest.raises(LedgerError, match="is newer"):
        await world.serve(take_over=True)
    await ask(old.base_url)
    assert not old.retired.is_set()


async def test_a_busy_address_is_told_and_the_old_one_goes_on(world: World) -> None:
    old = await world.serve()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        app = App(ServeOptions(home=world.home, port=taken.getsockname()[1], take_over=True), environ=ENVIRON)
        with pytest.raises(ListenError):
            await app.start()
    async with asyncio.timeout(5):
        while not await told(world.admin.alive):
            await asyncio.sleep(0.01)
    await ask(old.base_url)
    assert await world.all_settled(1) == {"ok": 1}


async def test_one_restart_at_a_time(world: World) -> None:
    await world.serve()
    first = await met(world.home)
    with pytest.raises(RouterError, match="a restart is under way"):
        await met(world.home)
    await first.close()


async def test_without_a_server_there_is_nothing_to_take_over(world: World) -> None:
    with pytest.raises(RouterError, match="no router answers"):
        await world.serve(take_over=True)


@pytest.mark.parametrize("name", ["../x.s", "x", "/tmp/1.s", "1.s\n"])
async def test_only_a_socket_in_the_home_is_connected_to(name: str, world: World) -> None:
    await world.serve()
    with pytest.raises(RouterError, match="wrong request"):
        await told(world.admin.call, "POST", "/hand-over", {"socket": name})


# --- one of them ends later -------------------------------------------------------------------------------------------


async def test_records_are_spilled_when_the_new_one_dies(world: World) -> None:
    old = await world.serve()
    stream = await world.begun(old)
    new = await world.replace(old)
    assert new._predecessor is not None
    await new._predecessor.close()  # as its process' end would
    await world.ended(stream)
    async with asyncio.timeout(5):
        while not list(world.home.glob("router.spill*")):
            await asyncio.sleep(0.01)
    await old.stop()
    await new.stop()
    await world.serve()
    assert world.outcomes() == {"ok": 1}


@pytest.mark.slow
@pytest.mark.parametrize("when", ["take", "opened", "ready", "later"])
async def test_the_new_one_serves_when_the_old_one_is_killed(
    when: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = RouterProcess(world.home, free_port())
    try:
        await (await old.spawn()).ready()
        async with RawClient(old.url) as stream:
            await stream.send(PATH, SLOW)
            await stream.read_until(b"Hello")
            if when != "later":
                step = getattr(Predecessor, when)

                async def with_a_death(before: Predecessor, *arguments: Any) -> Any:
                    result = await step(before, *arguments)
                    old.process.kill()
                    await old.ended()
                    return result

                monkeypatch.setattr(Predecessor, when, with_a_death)
            new = await world.serve(take_over=True)
            await ask(new.base_url)
            if when == "later":
                old.process.kill()
                await old.ended()
            assert await world.all_settled(2) == {"ok": 1, "interrupted": 1}
            status = await told(world.admin.call, "GET", "/status")
            assert (status["pid"], status["draining"]) == (os.getpid(), None)
    finally:
        await old.destroy()


async def test_a_predecessor_that_says_nonsense_is_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    old = await world.serve()
    framed = channel._framed

    def nonsense(message: channel.Message) -> bytes:
        return b"\0\0\0\2{}" if isinstance(message, UnderWay) else framed(message)

    monkeypatch.setattr(channel, "_framed", nonsense)
    with pytest.raises(RouterError, match="can't be understood"):
        await world.serve(take_over=True)
    async with asyncio.timeout(5):
        while old.ledger._connection is None:
            await asyncio.sleep(0.01)
    await ask(old.base_url)
