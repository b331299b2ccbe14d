"""Who asks much doesn't keep who asks little from its turn."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.server import turnstile as module
from router.server.turnstile import ALONE, IDLE_TURN_S, LONGEST_S, SHARED, SHARED_S, Turnstile
from tests.support.aftermath import leaving_nothing
from tests.support.answers import answer
from tests.support.asking import MESSAGES, PROFILE
from tests.support.provider import FakeProvider
from tests.support.raw import RawClient, request
from tests.support.serving import serving

SHARED_TURNS = round(1 / SHARED)


class Clock:
    """The time, for the module under test."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


class Crowd:
    """Callers at a turnstile, and who has passed, in that order."""

    def __init__(self) -> None:
        self.turnstile = Turnstile()
        self.passed: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    def come(self, *names: str, profile: str | None = None) -> None:
        """Each name is a profile, or a line of one."""
        self.tasks += [asyncio.create_task(self._pass(profile or name, name)) for name in names]

    async def _pass(self, profile: str, line: str) -> None:
        await self.turnstile.turn(profile, line)
        self.passed.append(line)

    async def turns(self, count: int) -> int:
        """So many turns of the loop; how many have passed by then."""
        for _ in range(count):
            await asyncio.sleep(0)
        return len(self.passed)

    async def all_through(self) -> list[str]:
        await asyncio.gather(*self.tasks)
        assert not self.turnstile._waiting
        return self.passed


@pytest.fixture
async def crowd(clock: Clock) -> AsyncIterator[Crowd]:
    crowd = Crowd()
    yield crowd
    await asyncio.gather(*crowd.tasks, return_exceptions=True)


async def test_behind_two_hundred_of_another_profile_a_request_is_next_but_one(crowd: Crowd) -> None:
    crowd.come(*["a"] * 200)
    before = await crowd.turns(5)
    assert before < 50
    crowd.come("b")
    await crowd.turns(SHARED_TURNS + 3)
    assert "b" in crowd.passed[before : before + 3 * ALONE]
    assert len(await crowd.all_through()) == 201


async def test_alone_several_pass_in_a_turn(crowd: Crowd) -> None:
    crowd.come(*["a"] * 10 * ALONE)
    counts = [await crowd.turns(1) for _ in range(14)]
    steps = [later - earlier for earlier, later in itertools.pairwise(counts)]
    assert set(steps) <= {0, ALONE}
    assert counts[-1] == 10 * ALONE


async def test_where_there_are_others_one_of_each_profile_passes_in_some_turns(crowd: Crowd, clock: Clock) -> None:
    crowd.come(*"ab" * 20)
    await crowd.turns(4)
    before = await crowd.turns(0)
    assert await crowd.turns(5 * SHARED_TURNS) - before == 2 * 5
    clock.now += SHARED_S
    counts = [await crowd.turns(1) for _ in range(SHARED_TURNS + 3)]
    steps = [later - earlier for earlier, later in itertools.pairwise(counts)]
    assert max(steps) == ALONE, "for a minute nobody else has come"
    await crowd.all_through()


async def test_however_long_turns_take_each_profile_gets_one_in_after_some_time(crowd: Crowd, clock: Clock) -> None:
    crowd.come(*"ab" * 10)
    await crowd.turns(4)
    for _ in range(5):
        before = await crowd.turns(0)
        clock.now += LONGEST_S
        assert await crowd.turns(3) - before == 2
    await crowd.all_through()


async def test_who_comes_now_and_then_doesn_t_wait(crowd: Crowd, clock: Clock) -> None:
    for name in "abab":
        clock.now += SHARED_TURNS * 2 * IDLE_TURN_S
        with pytest.raises(StopIteration):
            crowd.turnstile.turn(name, "").send(None)
        await crowd.turns(1)


async def test_lines_of_a_profile_take_turns(crowd: Crowd) -> None:
    crowd.come(*["noisy"] * 20, "quiet", profile="a")
    passed = await crowd.all_through()
    assert passed.index("quiet") <= ALONE + 1


async def test_after_much_work_the_next_waits_for_longer(crowd: Crowd) -> None:
    crowd.come("a")
    await crowd.turns(1)
    crowd.tasks.append(asyncio.create_task(crowd.turnstile.turn("a", "a", 5 * ALONE)))
    await crowd.turns(1)
    crowd.come("a")
    assert await crowd.turns(4) == 1
    assert await crowd.turns(4) == 2


async def test_who_has_left_takes_no_turn(crowd: Crowd) -> None:
    crowd.come(*"ab", *["c"] * 10)
    await crowd.turns(1)
    for task in crowd.tasks[3:]:
        task.cancel()
    assert await crowd.turns(3 * SHARED_TURNS) == 3
    await asyncio.gather(*crowd.tasks, return_exceptions=True)
    assert not crowd.turnstile._waiting
    crowd.tasks = []


@given(st.lists(st.sampled_from("abc"), max_size=40))
def test_of_those_who_wait_the_profiles_are_served_by_turns(names: list[str]) -> None:
    async def order() -> list[str]:
        crowd = Crowd()
        crowd.turnstile._full_until, crowd.turnstile._since = 100.0, time.monotonic()  # nobody passes at once
        crowd.come(*names)
        return await crowd.all_through()

    passed = asyncio.run(order())
    assert sorted(passed) == sorted(names)
    for place, name in enumerate(passed):
        before = passed[:place]
        assert all(before.count(other) <= before.count(name) + 1 for other in names)


async def test_in_the_server_too(tmp_path: Path) -> None:
    """A hundred requests of one profile have come before that of another one, whose provider is called all the same
    before most of theirs are."""
    async with (
        FakeProvider(answer) as provider,
        serving(tmp_path / "home", {"noisy": PROFILE, "quiet": PROFILE}, providers={"fake": provider.url}) as router,
        leaving_nothing(router, provider),
    ):
        body = MESSAGES.request(stream=False)[1]
        clients = [RawClient(router.url) for _ in range(101)]
        for client in clients:
            await client.__aenter__()
        for client in clients[:-1]:
            client.writer.write(request("POST", "/noisy/v1/messages", body))
        clients[-1].writer.write(request("POST", "/quiet/v1/messages", body, headers=[("User-Agent", "quiet")]))
        statuses = {(await client.reply()).status for client in clients}
        for client in clients:
            await client.__aexit__()
        assert statuses == {200}
        place = [received.headers.get("user-agent") for received in provider.requests].index("quiet")
    assert place < 20
