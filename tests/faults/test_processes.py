"""The router as a process, in bad surroundings: no room on the disk, nobody reading its console, hostile variables."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import stat
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.answers import answer
from tests.support.asking import FORMATS, MESSAGES, PROFILE, opening
from tests.support.process import RouterProcess, free_port
from tests.support.provider import End, FakeProvider, Pause, Send
from tests.support.raw import RawReply, ask, request
from tests.support.serving import read_rows, write_profile, write_providers
from tests.support.slow import in_time, within

pytestmark = pytest.mark.slow

PATH, BODY = "/work/v1/messages", MESSAGES.request(stream=True)[1]


@contextlib.asynccontextmanager
async def started(
    home: Path, provider: FakeProvider | None, *options: str, **spawning: Any
) -> AsyncIterator[RouterProcess]:
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (home / "profiles").exists():
        write_profile(home, "work", PROFILE)
    if provider is not None:
        write_providers(home, {"fake": provider.url})
    process = RouterProcess(home, free_port())
    await process.spawn(*options, **spawning)
    try:
        yield await process.ready()
    finally:
        await process.destroy()


async def send(process: RouterProcess, *, stream: bool = True) -> RawReply:
    return await ask(process.url, request("POST", PATH, MESSAGES.request(stream=stream)[1]))


@pytest.fixture
async def served(provider: FakeProvider) -> FakeProvider:
    provider.answer = answer
    return provider


# --- the disk ---------------------------------------------------------------------------------------------------------


async def test_files_that_may_not_grow_cost_no_request_and_no_row(tmp_path: Path, served: FakeProvider) -> None:
    """The write-ahead log, the spill file and the request log all hit the limit."""
    home = tmp_path / "home"

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))

    async with started(home, served, first=small) as router:
        done = 0
        for _ in range(40):
            replies = await asyncio.gather(*(send(router) for _ in range(20)))
            assert all(reply.status == 200 and reply.whole for reply in replies)
            done += len(replies)
            health = await ask(router.url, request("GET", "/health"))
            if b"degraded" in health.body:
                break
        assert b"ledger" in health.body, "the limit was never hit"
        replies = await asyncio.gather(*(send(router) for _ in range(20)))
        assert all(reply.status == 200 and reply.whole for reply in replies)
        done += len(replies)
        router.signal(signal.SIGTERM)
        assert await router.ended() == 0
    assert "Traceback" not in router.said()
    # What found no place is counted and told; a spill file of 300 kB takes several hundred records.
    async with started(home, served) as router:
        rows = read_rows(home / "router.db")
        assert len(rows) == done
        assert {row["outcome"] for row in rows} == {"ok"}
        assert not (home / "router.spill").exists()


# --- the console ------------------------------------------------------------------------------------------------------


def closed_pipe() -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def full_device() -> int:
    return os.open("/dev/full", os.O_WRONLY)


@pytest.mark.parametrize(
    "console",
    [
        closed_pipe,
        pytest.param(full_device, marks=pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")),
    ],
)
async def test_a_console_that_cannot_be_written_costs_nothing(
    console: Any, tmp_path: Path, served: FakeProvider
) -> None:
    home, fd = tmp_path / "home", console()
    try:
        async with started(home, served, console=fd) as router:
            for _ in range(20):
                assert (await send(router)).whole
            (home / "profiles" / "work" / "routing.toml").write_text("broken [")  # which is told on the console
            await asyncio.sleep(1)
            assert (await send(router)).whole
            router.signal(signal.SIGTERM)
            assert await router.ended() == 0
    finally:
        os.close(fd)
    assert len(read_rows(home / "router.db")) == 21


async def test_no_console_at_all_costs_nothing(tmp_path: Path, served: FakeProvider) -> None:
    def close_all() -> None:
        for fd in (0, 1, 2):
            os.close(fd)

    home = tmp_path / "home"
    async with started(home, served, first=close_all) as router:
        for _ in range(20):
            assert (await send(router)).whole
        router.signal(signal.SIGTERM)
        assert await router.ended() == 0
    assert len(read_rows(home / "router.db")) == 20


async def test_a_console_that_nobody_reads_holds_nobody_up(tmp_path: Path, served: FakeProvider) -> None:
    """As `router serve | less`: the pipe takes 64 KB, a line for each request fills it soon."""
    home = tmp_path / "home"
    reading, writing = os.pipe()
    try:
        async with started(home, served, console=writing) as router:
            for _ in range(20):
                async with asyncio.timeout(10):
                    replies = await asyncio.gather(*(send(router) for _ in range(20)))
                assert all(reply.whole for reply in replies)
                await asyncio.sleep(0.12)  # lines are written together
            router.signal(signal.SIGTERM)
            assert await router.ended() == 0
    finally:
        os.close(reading)
        os.close(writing)
    assert len(read_rows(home / "router.db")) == 400


# --- surroundings -----------------------------------------------------------------------------------------------------


async def test_variables_and_files_of_the_surroundings_are_not_obeyed(tmp_path: Path, served: FakeProvider) -> None:
    """Proxies, .netrc, certificates and a .env of the folder it is started in."""
    async with FakeProvider(answer) as trap:
        user = tmp_path / "user"
        user.mkdir()
        (user / ".netrc").write_text("machine 127.0.0.1 login NETRCMARK password NETRCMARK\n")
        (user / ".netrc").chmod(0o600)
        where = tmp_path / "project"
        where.mkdir()
        (where / ".env").write_text("TEST_KEY=sk-of-the-project\nHTTP_PROXY=http://127.0.0.1:1\n")
        (where / "router").mkdir()
        (where / "router" / "__init__.py").write_text("raise SystemExit('the code of the folder was run')")
        (where / "routing.toml").write_text('[default]\nto = "elsewhere"\n')
        hostile = dict.fromkeys(
            (
                "HTTP_PROXY",
                "http_proxy",
                "HTTPS_PROXY",
                "ALL_PROXY",
                "all_proxy",
                "OPENAI_BASE_URL",
                "ANTHROPIC_BASE_URL",
            ),
            trap.url,
        )
        hostile |= {
            "NO_PROXY": "",
            "NETRC": str(user / ".netrc"),
            "HOME": str(user),
            "PYTHONSAFEPATH": "1",
            "AIOHTTP_TRUST_ENV": "1",
        }
        async with started(tmp_path / "home", served, variables=hostile, cwd=where) as router:
            for form in FORMATS:
                path, body = form.request(stream=False)
                assert (await ask(router.url, request("POST", f"/work{path}", body))).status == 200
        assert trap.connections == 0
    assert len(served.requests) == 4
    for seen in served.requests:
        assert "NETRCMARK" not in str(seen.headers)
        assert "proxy-authorization" not in seen.headers
        assert "sk-provider-canary-1234" in str(seen.headers), "the key of the environment, not that of the folder"


async def test_everything_it_makes_is_the_users_own_under_any_umask(tmp_path: Path, served: FakeProvider) -> None:
    home = tmp_path / "made" / "home"
    async with started(home, served, first=lambda: os.umask(0)) as router:
        assert (await send(router)).whole
        await asyncio.sleep(0.3)  # the log
        kinds = {}
        for path in (home, *home.rglob("*")):
            if path.is_relative_to(home / "profiles") or path.name == "providers.toml":
                continue  # the test's own
            kinds[str(path.relative_to(home))] = oct(stat.S_IMODE(path.lstat().st_mode))
        assert kinds.pop(".") == "0o700"
        assert kinds.pop("logs") == "0o700"
        assert {
            "router.db",
            "router.db-wal",
            "router.lock",
            "router.sock",
            "router.pid",
            "logs/work.log",
        } <= kinds.keys()
        assert set(kinds.values()) == {"0o600"}, kinds


async def test_no_secret_stands_in_the_process_list(tmp_path: Path, served: FakeProvider) -> None:
    async with started(tmp_path / "home", served) as router:
        command = Path(f"/proc/{router.process.pid}/cmdline")
        if command.exists():
            assert b"sk-provider" not in command.read_bytes()


async def test_a_home_whose_path_is_too_long_for_a_socket_is_told(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 30)
    write_profile(home, "work", PROFILE)
    process = RouterProcess(home, free_port())
    await process.spawn()
    assert await process.ended() == 5
    assert "Traceback" not in process.said()
    assert "too long" in process.said()


@pytest.mark.skipif(os.geteuid() == 0 or sys.platform != "linux", reason="root may")
async def test_a_port_that_one_may_not_use_is_told(tmp_path: Path) -> None:
    home = tmp_path / "home"
    write_profile(home, "work", PROFILE)
    process = RouterProcess(home, 80)
    await process.spawn()
    assert await process.ended() == 5
    assert ":80: permission denied" in process.said()


# --- signals ----------------------------------------------------------------------------------------------------------


async def test_signals_that_mean_nothing_end_nothing(tmp_path: Path, served: FakeProvider) -> None:
    async with started(tmp_path / "home", served) as router:
        for number in (signal.SIGPIPE, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGCHLD):
            router.signal(number)
            await asyncio.sleep(0.05)
            assert router.process.returncode is None, number
            assert (await send(router)).whole


async def test_hangup_reads_the_files_again(tmp_path: Path, served: FakeProvider) -> None:
    home = tmp_path / "home"
    async with started(home, served) as router:
        write_profile(home, "new", PROFILE)
        router.signal(signal.SIGHUP)
        with within(2):
            while (await ask(router.url, request("GET", "/new/v1/models"))).status != 200:
                await asyncio.sleep(0.01)


async def test_a_process_that_was_stopped_goes_on_where_it_was(tmp_path: Path, served: FakeProvider) -> None:
    """As a laptop that slept: streams go on, nothing times out at once."""
    events = MESSAGES.events()
    go = asyncio.Event()
    served.answer = lambda received: [*opening(*events[:4]), Pause(go), *(Send(event) for event in events[4:]), End()]
    home = tmp_path / "home"
    async with started(home, served) as router, aiohttp.ClientSession() as session:
        async with session.post(router.url + PATH, data=BODY) as reply:
            first = await reply.content.readany()
            router.signal(signal.SIGSTOP)
            await asyncio.sleep(2)
            go.set()
            await asyncio.sleep(0.2)
            router.signal(signal.SIGCONT)
            rest = await reply.content.read()
        assert first + rest == b"".join(events)
        served.answer = answer
        assert (await send(router)).whole
    assert {row["outcome"] for row in read_rows(home / "router.db")} == {"ok"}


async def test_it_ends_cleanly_however_often_it_is_started(tmp_path: Path, served: FakeProvider) -> None:
    home = tmp_path / "home"
    took = []
    for number in range(10):
        async with started(home, served) as router:
            if number % 2:
                assert (await send(router)).whole
            began = time.monotonic()
            router.signal(signal.SIGTERM if number % 3 else signal.SIGINT)
            assert await router.ended() == 0
            took.append(time.monotonic() - began)
        assert not (home / "router.sock").exists()
        assert not (home / "router.pid").exists()
    in_time(max(took), 1.5)
    assert "Traceback" not in router.said()
    assert len(read_rows(home / "router.db")) == 5
