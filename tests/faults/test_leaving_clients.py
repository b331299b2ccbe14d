"""Clients that leave, at any moment and in any way, many at once: their calls end at once, every request is told as
what it was, and nothing is left over.

    pytest tests/faults/test_leaving_clients.py --exhaustive

has 10,000 of them leave in each test.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import pytest

from tests.support.answers import answer
from tests.support.asking import FORMATS, Format, opening
from tests.support.provider import SSE, Received, Stall, Status, Step
from tests.support.raw_client import RawClient
from tests.support.slow import in_time, within
from tests.support.strict.grammar import ENDS
from tests.support.targets import Targets, failing, targets

FEW, MANY = 300, 10_000
AT_ONCE = 12
PATIENT = '[retry]\nmax-delay = "20s"\n'
WAITING_ROOM = failing(503, headers=[("retry-after", "15")])

Moment = Literal[
    "in its body", "before the head", "behind the head", "before content", "in the stream", "between calls"
]
How = Literal["closes", "resets", "closes one way"]
MOMENTS: tuple[Moment, ...] = (
    "in its body", "before the head", "behind the head", "before content", "in the stream", "between calls",
)  # fmt: skip
HOW: tuple[How, ...] = ("closes", "resets", "closes one way")


class Leaver(NamedTuple):
    """One client, and when and how it goes away."""

    number: int
    form: Format
    moment: Moment
    how: How
    stream: bool

    def steps(self) -> Iterable[Step]:
        """What the provider says until then."""
        events = self.form.events()
        match self.moment:
            case "behind the head" if not self.stream:
                return [Status(200), Stall()]
            case "behind the head":
                return [Status(200, SSE), Stall()]
            case "before content":
                return [*opening(b": still here\n\n"), Stall()]
            case "in the stream":
                return [*opening(*events[: 1 if self.form.name == "gemini" else 5]), Stall()]
            case "between calls":
                return WAITING_ROOM
            case _:
                return [Stall()]


def leavers(count: int) -> Iterator[Leaver]:
    chance = random.Random(count)
    for number in range(count):
        moment = chance.choice(MOMENTS)
        stream = moment in ("before content", "in the stream") or chance.random() < 0.5
        yield Leaver(number, chance.choice(FORMATS), moment, chance.choice(HOW), stream)


def leave(client: RawClient, how: How) -> None:
    if how == "closes one way":
        client.writer.write_eof()  # it could read on, but nobody asks anything in that way
    else:
        client.leave(rudely=how == "resets")


def asking(form: Format, number: int, *, stream: bool) -> tuple[str, bytes]:
    path, body = form.request(stream=stream)
    return f"/work{path}", body.replace(b'"Hello"', b'"client %d"' % number)


def number_of(received: Received) -> int:
    found = re.search(rb"client (\d+)\b", received.body)
    assert found is not None
    return int(found[1])


def open_files() -> int:
    """Sockets and files of this process; 0 where that can't be told."""
    folder = Path("/proc/self/fd")
    return len(os.listdir(folder)) if folder.exists() else 0


async def in_turn(world: Targets, people: Iterable[Leaver]) -> dict[Moment, list[float]]:
    """Have them all ask and leave; how long their calls then lasted, in seconds."""
    calls: dict[int, asyncio.Future[Received]] = {}
    plans: dict[int, Leaver] = {}
    lasted: dict[Moment, list[float]] = {moment: [] for moment in MOMENTS}

    def provider(received: Received) -> Iterable[Step]:
        number = number_of(received)
        if not calls[number].done():
            calls[number].set_result(received)
        return plans[number].steps()

    async def goes(one: Leaver) -> None:
        plans[one.number], calls[one.number] = one, asyncio.get_running_loop().create_future()
        path, body = asking(one.form, one.number, stream=one.stream)
        async with RawClient(world.router.url) as client:
            await client.send(path, body, only=10 if one.moment == "in its body" else None)
            if one.moment == "in its body":
                await asyncio.sleep(0.005)
                leave(client, one.how)
                return
            call = await calls[one.number]
            if one.moment == "in the stream":
                await client.read_until(b"Hello")
            else:
                await asyncio.sleep(0.01)  # until what was said has arrived
            left = time.perf_counter()
            leave(client, one.how)
            if one.moment != "between calls":
                await asyncio.wait_for(call.closed.wait(), 5)
                lasted[one.moment].append(time.perf_counter() - left)

    async def some(people: Iterator[Leaver]) -> None:
        for one in people:
            await goes(one)

    world.one.answer = provider
    everybody = iter(people)
    await asyncio.gather(*(some(everybody) for _ in range(AT_ONCE)))
    return lasted


@pytest.mark.timeout(900)
async def test_whenever_and_however_they_leave_nothing_is_left_over(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    count = MANY if request.config.getoption("exhaustive") else FEW
    people = list(leavers(count))
    asked = sum(one.moment != "in its body" for one in people)
    async with targets(tmp_path / "home", PATIENT, count=1) as world:
        world.unbounded()  # or some wouldn't wait for a second call
        files = open_files()
        async with world.many(asked):
            lasted = await in_turn(world, people)
        rows = await world.router.rows()
        assert Counter(row["outcome"] for row in rows) == {"client-gone": asked}
        assert {row["attempts"] for row in rows} == {1}
        assert not await world.router.rows("attempts", "error_class IS NULL AND maybe_billed = 0")
        assert open_files() <= files + 4, "sockets are left open"
    for moment, times in lasted.items():
        if times:
            times.sort()
            middle_ms, late_ms = (times[len(times) * share // 100] * 1000 for share in (50, 99))
            print(
                f"{moment}: {len(times)} calls ended {middle_ms:.1f} ms after their clients left, p99 {late_ms:.1f} ms"
            )
            in_time(middle_ms / 1000, 0.1, moment)


@pytest.mark.timeout(900)
async def test_who_leaves_right_behind_the_end_has_had_its_answer(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    count = MANY if request.config.getoption("exhaustive") else FEW
    async with targets(tmp_path / "home", count=1) as world:
        world.one.answer = answer

        async def goes(number: int) -> None:
            form, how = FORMATS[number % len(FORMATS)], HOW[number % len(HOW)]
            path, body = asking(form, number, stream=True)
            async with RawClient(world.router.url) as client:
                await client.send(path, body)
                await client.read_until(ENDS[form.name])
                leave(client, how)

        async def some(numbers: Iterator[int]) -> None:
            for number in numbers:
                await goes(number)

        numbers = iter(range(count))
        async with world.many(count):
            await asyncio.gather(*(some(numbers) for _ in range(AT_ONCE)))
        rows = await world.router.rows()
    assert Counter((row["outcome"], row["output"]) for row in rows) == {("ok", 7): count}


@pytest.mark.parametrize("how", HOW)
async def test_who_leaves_while_the_next_one_is_tried_leaves_no_probe_behind(how: How, tmp_path: Path) -> None:
    """The call that is under way is the one that an open breaker waits for."""
    settings = '[retry]\nbackoff = "1ms"\n[breaker]\nfailures = 1\ncooldown = "50ms"\n'
    async with targets(tmp_path / "home", settings, resentful=True) as world:
        world.one.answer = lambda received: failing(500)
        await world.ask()
        await asyncio.sleep(0.06)
        world.one.answer = lambda received: [Stall()]
        for _ in range(3):
            before = world.calls[0]
            async with RawClient(world.router.url) as client:
                await client.send(*asking(FORMATS[0], 1, stream=True))
                while world.calls[0] == before:
                    await asyncio.sleep(0.002)
                leave(client, how)
                with within(2):
                    await world.one.requests[-1].closed.wait()
            await world.router.flush()
        world.one.answer = answer
        assert (await world.ask()).headers["x-router-provider"] == "one"


def test_every_way_of_leaving_is_among_the_few() -> None:
    """What the short run covers, too."""
    ways = {(one.moment, one.how) for one in leavers(FEW)}
    assert ways == set(itertools.product(MOMENTS, HOW))
