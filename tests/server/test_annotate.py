"""Facts found out beside the reply: bounded, and never in anybody's way."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from router.ledger.writing import Annotate
from router.routing.facts import CountNeeded
from router.server import annotate as module
from router.server.annotate import Annotator, Job
from tests.support.answers import answer
from tests.support.asking import MESSAGES, PROFILE
from tests.support.provider import FakeProvider, Pause
from tests.support.raw import ask, request
from tests.support.serving import serving
from tests.support.watchdog import watchdog


class Facts:
    """As much of a request's facts as an annotator asks for."""

    conversation_start = "start"
    kept = ""

    def __init__(self, size: int = 10, *, fails: bool = False, long: bool = False) -> None:
        self.view = self.body = self
        self.raw = b"x" * size
        self.conversation: str | None = "c1"
        self.may_count = False
        self._fails, self._long = fails, long

    def record(self, routes: object, *, count_tokens: bool) -> dict[str, object]:
        if self._fails:
            raise ZeroDivisionError("a fault of ours")
        if self._long and not self.may_count:
            raise CountNeeded
        return {"tokens": 5, "size": len(self.raw)}

    def tokens(self) -> int:
        return 5


def job(found: list[Annotate], number: int = 1, **options: Any) -> Job:
    return Job(f"{number:032x}", Facts(**options), None, True, lambda one, _: found.append(one))  # type: ignore[arg-type]


async def test_every_job_is_done_before_it_closes() -> None:
    found: list[Annotate] = []
    annotator = Annotator()
    for number in range(100):
        annotator.put(job(found, number, long=number % 3 == 0))
    assert annotator.waiting == 100
    await annotator.close()
    assert [int(one.request_id, 16) for one in found] == list(range(100))
    assert found[0].estimated_input == 5
    assert json.loads(found[0].facts)["size"] == 10
    assert annotator.waiting == 0
    assert annotator.skipped == 0


async def test_what_waits_is_bounded_and_one_large_job_is_always_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_BYTES", 1000)
    found: list[Annotate] = []
    annotator = Annotator()
    annotator.put(job(found, size=5000))
    for _ in range(5):
        annotator.put(job(found, size=10))
    assert (annotator.waiting, annotator.skipped) == (1, 5)
    await annotator.close()
    assert len(found) == 1


async def test_a_job_that_fails_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    found: list[Annotate] = []
    annotator = Annotator()
    for number in range(10):
        annotator.put(job(found, number, fails=number % 2 == 0))
    await annotator.close()
    assert len(found) == 5
    assert caplog.text.count("could not be recorded") == 5


@pytest.mark.slow
async def test_a_flood_of_long_conversations_delays_no_reply(tmp_path: Path) -> None:
    text = " ".join(f"word{number} and {number * 7919 % 1000}" for number in range(60_000))
    async with (
        FakeProvider(lambda received: [Pause(0.01), *answer(received)]) as provider,
        serving(tmp_path / "home", {"work": PROFILE}, providers={"fake": provider.url}) as router,
    ):
        long = [
            request(
                "POST", "/work/v1/messages", {**MESSAGES.body, "messages": [{"role": "user", "content": f"{n} {text}"}]}
            )
            for n in range(12)
        ]
        await ask(router.url, long[0])  # the encoding is loaded
        await router.flush()
        async with watchdog(0.1) as stalls:
            running = [asyncio.create_task(ask(router.url, data)) for data in long]
            for _ in range(30):
                reply = await ask(router.url, request("POST", "/work/v1/messages", MESSAGES.request(stream=False)[1]))
                assert reply.status == 200
            await asyncio.gather(*running)
            await router.flush()
        print(f"longest {stalls.longest_s * 1000:.0f} ms")
        rows = await router.rows(where="estimated_input > 100000")
        assert len(rows) == 13
