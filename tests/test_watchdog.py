"""What holds the event loop up is noticed, and said to be one or the other: work, or a wait."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support import watchdog as module
from tests.support.slow import TooSlow
from tests.support.watchdog import watchdog


def work() -> None:
    end = time.thread_time() + 0.5
    while time.thread_time() < end:
        pass


@pytest.mark.slow
async def test_work_that_holds_the_loop_is_noticed_with_its_place() -> None:
    with pytest.raises(TooSlow, match=r"(?s)the loop was held.*in work"):
        async with watchdog(0.05):
            work()


@pytest.mark.slow
async def test_a_wait_that_blocks_the_loop_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.05)
    with pytest.raises(TooSlow, match="the loop stood still"):
        async with watchdog(0.05):
            time.sleep(0.5)  # noqa: ASYNC251


@pytest.mark.slow
async def test_neither_is_what_goes_on_beside_the_loop() -> None:
    async with watchdog(0.05) as stalls:
        await asyncio.gather(asyncio.sleep(0.3), asyncio.to_thread(time.sleep, 0.3))
    assert stalls.longest_s < 0.05
    assert stalls.blocked_s < module.PATIENCE_S
