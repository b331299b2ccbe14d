"""Breakers and cooldowns in a router at work: who is left alone, who may probe, and how it ends."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.support.aftermath import aftermath
from tests.support.answers import answer
from tests.support.asking import MESSAGES, opening
from tests.support.process import RouterProcess, free_port
from tests.support.provider import FakeProvider, Pause, Raw, Received, Reset, Send, Stall, Status, Step
from tests.support.raw import RawReply, ask, request
from tests.support.serving import read_rows, write_profile
from tests.support.slow import in_time
from tests.support.targets import Targets, failing, profile, story, targets

SETTINGS = """
[retry]
backoff = "1ms"
{retry}
[breaker]
failures = 2
cooldown = "{cooldown}"
"""


def settings(cooldown: str, retry: str = "") -> str:
    return SETTINGS.format(cooldown=cooldown, retry=retry)


async def break_down(world: Targets) -> None:
    """Fail until every target's breaker is open, then be well again."""
    for provider in world.providers:
        provider.answer = lambda received: failing(500)
    while min(world.calls) < 2:
        await world.ask()
    for provider in world.providers:
        provider.answer = answer


# --- one probe --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("well", [True, False], ids=["it is well", "it is still ill"])
@pytest.mark.parametrize("crowd", [60, pytest.param(500, marks=pytest.mark.slow)])
async def test_one_probe_decides_for_everyone_who_waits(crowd: int, well: bool, stream: bool, tmp_path: Path) -> None:
    async with targets(tmp_path / "home", settings("100ms"), count=1, resentful=True) as world:
        await break_down(world)
        await asyncio.sleep(0.12)
        verdict, before = asyncio.Event(), world.calls[0]

        def considers(received: Received) -> Iterable[Step]:
            return [Pause(verdict), *(answer(received) if well else failing(500))]

        world.one.answer = considers
        async with world.many(crowd):
            requests = [asyncio.create_task(world.ask(stream=stream, within_s=60)) for _ in range(crowd)]
            done: set[asyncio.Task[RawReply]] = set()
            while len(done) < crowd - 1:
                done, _ = await asyncio.wait(requests, return_when=asyncio.FIRST_COMPLETED, timeout=30)
                assert world.calls[0] - before <= 1, "a second call before the verdict"
            verdict.set()
            replies = await asyncio.gather(*requests)
        assert Counter(reply.status for reply in replies) == {(200 if well else 500): 1, 429: crowd - 1}
        for reply in replies:
            if reply.status == 429:
                assert int(reply.headers["retry-after"]) >= 1
                assert "left alone" in MESSAGES.error_of(reply.body) or "finding out" in MESSAGES.error_of(reply.body)
        world.one.answer = answer
        if well:
            assert (await world.ask(stream=stream)).status == 200


@pytest.mark.parametrize("crowd", [60, pytest.param(500, marks=pytest.mark.slow)])
async def test_after_a_crash_one_probe_decides_for_everyone_who_waits(crowd: int, tmp_path: Path) -> None:
    """The cooldown ends while no server runs: the next one has a breaker that is half-open from the start."""
    home, verdict = tmp_path / "home", asyncio.Event()
    home.mkdir(mode=0o700)
    async with FakeProvider(lambda received: failing(500)) as provider:
        write_profile(home, "work", profile([provider.url], settings("1s")))
        router = RouterProcess(home, free_port())
        asking = request("POST", "/work/v1/messages", MESSAGES.request(stream=False)[1])
        try:
            await (await router.spawn()).ready()
            assert (await ask(router.url, asking)).status == 500
            async with asyncio.timeout(5):
                while not read_rows(home / "router.db", "breakers"):
                    await asyncio.sleep(0.01)
            router.signal(signal.SIGKILL)
            await router.ended()
            await asyncio.sleep(1.0)

            await (await router.spawn()).ready()
            before = len(provider.requests)
            provider.answer = lambda received: [Pause(verdict), *answer(received)]
            requests = [asyncio.create_task(ask(router.url, asking, within_s=60)) for _ in range(crowd)]
            while sum(each.done() for each in requests) < crowd - 1:
                await asyncio.sleep(0.01)
                assert len(provider.requests) - before <= 1, "a second call before the verdict"
            verdict.set()
            replies = await asyncio.gather(*requests)
            assert Counter(reply.status for reply in replies) == {200: 1, 429: crowd - 1}
            assert (await ask(router.url, asking)).status == 200
            router.signal(signal.SIGTERM)
            assert await router.ended() == 0
            rows, calls = (read_rows(home / "router.db", table) for table in ("requests", "attempts"))
            assert {row["state"] for row in (*rows, *calls)} == {"settled"}
            assert (len(rows), len(calls)) == (crowd + 2, len(provider.requests))
        finally:
            await router.destroy()


async def test_waiters_go_elsewhere_where_somebody_else_is_left(tmp_path: Path) -> None:
    async with targets(tmp_path / "home", settings("100ms"), resentful=True) as world:
        world.one.answer = lambda received: failing(500)
        for _ in range(2):
            await world.ask()
        await asyncio.sleep(0.12)
        verdict, before = asyncio.Event(), world.calls[0]
        world.one.answer = lambda received: [Pause(verdict), *answer(received)]
        async with world.many(30):
            requests = [asyncio.create_task(world.ask()) for _ in range(30)]
            while sum(request.done() for request in requests) < 29:
                await asyncio.sleep(0.005)
            assert world.calls[0] - before == 1
            verdict.set()
            replies = await asyncio.gather(*requests)
        assert Counter(reply.headers["x-router-provider"] for reply in replies) == {"one": 1, "two": 29}
        reply = await world.ask()
        assert reply.headers["x-router-provider"] == "one", "it is called again as before"


async def test_a_probe_whose_client_leaves_makes_way_for_another(tmp_path: Path) -> None:
    async with targets(tmp_path / "home", settings("50ms"), count=1, resentful=True) as world:
        await break_down(world)
        await asyncio.sleep(0.06)
        world.one.answer = lambda received: [Stall()]
        before = world.calls[0]
        probing = asyncio.create_task(world.ask())
        while world.calls[0] == before:
            await asyncio.sleep(0.002)
        assert (await world.ask()).status == 429
        probing.cancel()
        await asyncio.wait([probing])
        await world.router.flush()
        world.one.answer = answer
        reply, after = await world.asked()
        assert reply.status == 200
        assert story(after) == [("primary", "one", None)]


# --- everything is left alone -----------------------------------------------------------------------------------------


async def test_where_all_are_left_alone_one_call_is_shared(tmp_path: Path) -> None:
    async with targets(tmp_path / "home", settings("1h"), resentful=True) as world:
        await break_down(world)
        verdict, before = asyncio.Event(), sum(world.calls)
        for provider in world.providers:
            provider.answer = lambda received: [Pause(verdict), *answer(received)]
        async with world.many(40):
            requests = [asyncio.create_task(world.ask()) for _ in range(40)]
            while sum(request.done() for request in requests) < 39:
                await asyncio.sleep(0.005)
            assert sum(world.calls) - before == 1
            verdict.set()
            replies = await asyncio.gather(*requests)
        assert Counter(reply.status for reply in replies) == {200: 1, 429: 39}
        refused = next(reply for reply in replies if reply.status == 429)
        assert 1 <= int(refused.headers["retry-after"]) <= 3600
        assert "x-should-retry" not in refused.headers
        text = MESSAGES.error_of(refused.body)
        assert "one/model-1" in text
        assert "two/model-2" in text
        for _ in range(5):
            assert (await world.ask()).status == 200


async def test_the_last_resort_takes_turns_until_one_has_recovered(tmp_path: Path) -> None:
    """The one that failed longest ago is tried, so that a single well target is found soon, whichever it is."""
    async with targets(tmp_path / "home", settings("1h"), count=3, resentful=True) as world:
        await break_down(world)
        for provider in (world.one, world.two):
            provider.answer = lambda received: failing(500)
        statuses = []
        while not statuses or statuses[-1] != 200:
            before = sum(world.calls)
            statuses.append((await world.ask()).status)
            assert sum(world.calls) - before <= 1, "one call for a request, although all may be tried again"
            assert len(statuses) <= 3
        assert (await world.ask()).headers["x-router-provider"] == "three"


async def test_an_outage_is_not_met_with_a_call_for_each_request(tmp_path: Path) -> None:
    async with targets(tmp_path / "home", settings("1h"), resentful=True) as world:
        await break_down(world)
        for provider in world.providers:
            provider.answer = lambda received: failing(500)
        before = world.calls
        replies = [await world.ask() for _ in range(20)]
        assert [now - then for now, then in zip(world.calls, before, strict=True)] == [1, 1]
        assert [reply.status for reply in replies] == [500, 500, *[429] * 18]
        assert all(int(reply.headers["retry-after"]) >= 1 for reply in replies[2:])


async def test_nobody_waits_for_a_breaker_that_has_just_opened(tmp_path: Path) -> None:
    third = settings("1h").replace("failures = 2", "failures = 3")
    async with targets(tmp_path / "home", third, count=1, resentful=True) as world:
        world.one.answer = lambda received: failing(500)
        _, after = await world.asked()
        assert len(after.attempts) == 2
        world.one.answer = lambda received: failing(503, headers=[("retry-after", "5")])
        reply, after = await world.asked()
        in_time(after.row["duration_ms"] / 1000, 1)
        assert (reply.status, len(after.attempts)) == (503, 1)


# --- what is no failure of the target's -------------------------------------------------------------------------------


async def opened(world: Targets) -> bool:
    """Whether the first target is left alone now."""
    before = world.calls[0]
    world.one.answer = answer
    await world.ask()
    return world.calls[0] == before


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_what_clients_do_wrong_counts_nothing(status: int, tmp_path: Path) -> None:
    async with targets(tmp_path / "home", settings("1h"), resentful=True) as world:
        world.one.answer = lambda received: failing(status)
        for _ in range(4):
            assert (await world.ask()).status == status
        assert not await opened(world)


@pytest.mark.parametrize(
    "steps", [pytest.param([Stall()], id="before the head"), pytest.param([*opening(MESSAGES.events()[0]), Stall()],
    id="before content"), pytest.param([*opening(*MESSAGES.events()[:4]), Stall()], id="in the stream")],
)  # fmt: skip
async def test_clients_that_leave_count_nothing(steps: list[Step], tmp_path: Path) -> None:
    async with targets(tmp_path / "home", settings("1h"), resentful=True) as world:
        world.one.answer = lambda received: steps
        for number in range(1, 5):
            async with aftermath(world.router, *world.providers) as after:
                leaving = asyncio.create_task(world.ask(stream=True))
                while world.calls[0] < number:
                    await asyncio.sleep(0.002)
                await asyncio.sleep(0.02)
                leaving.cancel()
                await asyncio.wait([leaving])
            assert after.row["outcome"] == "client-gone"
        assert not await opened(world)


async def test_clients_that_read_nothing_count_nothing(tmp_path: Path) -> None:
    stalled = settings("1h") + '[timeouts]\nidle = "150ms"\n'
    flood = b": " + b"x" * 2**16 + b"\n\n"

    def flooding(received: Received) -> Iterable[Step]:
        yield from opening(*MESSAGES.events()[:4])
        while True:
            yield Send(flood)

    async with targets(tmp_path / "home", stalled, resentful=True) as world:
        world.one.answer = flooding
        body = MESSAGES.request(stream=True)[1]
        for number in range(1, 3):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await asyncio.get_running_loop().sock_connect(*_address(sock, world.router.url))
            sock.send(request("POST", "/work/v1/messages", body))
            while world.calls[0] < number:
                await asyncio.sleep(0.002)
            await asyncio.wait_for(world.one.requests[-1].closed.wait(), 5)
            sock.close()
        await world.router.flush()
        rows = await world.router.rows()
        assert [row["outcome"] for row in rows] == ["partial"] * 2
        assert not await opened(world)


def _address(sock: socket.socket, url: str) -> tuple[socket.socket, tuple[str, int]]:
    sock.setblocking(False)
    host, _, port = url.removeprefix("http://").partition(":")
    return sock, (host, int(port))


COUNTED = [
    pytest.param([Reset()], id="reset"),
    pytest.param(failing(500), id="500"),
    pytest.param(failing(529), id="529"),
    pytest.param(failing(504), id="504"),
    pytest.param([Status(200), Raw(b"zz\r\n")], id="no HTTP"),
    pytest.param([*opening(MESSAGES.events()[0]), Reset()], id="a broken start"),
    pytest.param([*opening(*MESSAGES.events()[:4]), Reset()], id="a broken stream"),
]


@pytest.mark.parametrize("steps", COUNTED)
async def test_what_a_target_does_wrong_counts(steps: list[Step], tmp_path: Path) -> None:
    async with targets(tmp_path / "home", settings("1h"), resentful=True) as world:
        world.one.answer = lambda received: steps
        for _ in range(2):
            await world.ask(stream=True)
        await world.router.flush()
        assert await opened(world)


async def test_a_limit_leaves_its_key_and_model_alone_and_opens_no_breaker(tmp_path: Path) -> None:
    async with targets(tmp_path / "home", settings("1h"), resentful=True) as world:
        world.one.answer = lambda received: failing(429, headers=[("retry-after-ms", "300")])
        for _ in range(4):
            reply, _ = await world.asked()
            assert reply.headers["x-router-provider"] == "two"
        assert world.calls[0] == 1
        world.one.answer = answer
        await asyncio.sleep(0.32)
        assert (await world.ask()).headers["x-router-provider"] == "one"


async def test_where_all_keys_are_left_alone_the_client_is_told_how_long(tmp_path: Path) -> None:
    async with targets(tmp_path / "home", settings("1h"), resentful=True) as world:
        world.one.answer = lambda received: failing(429, headers=[("retry-after", "40")])
        world.two.answer = lambda received: failing(429, headers=[("retry-after", "20")])
        await world.asked()
        reply, after = await world.asked()
        assert reply.status == 429
        assert 18 <= int(reply.headers["retry-after"]) <= 20, "the soonest of them"
        assert after.attempts == []
        assert after.told == ("refused", after.row["error_class"])
