"""What a request was made of is freed when it is over, not when the garbage collector looks for it: that would find
what thousands of requests left, and hold everybody up meanwhile."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from pathlib import Path

import pytest

from tests.support.answers import answer
from tests.support.asking import BY_NAME, MESSAGES
from tests.support.provider import Answer, Stall
from tests.support.raw_client import RawClient
from tests.support.targets import QUICK, failing, targets

pytestmark = pytest.mark.slow  # each looks through the whole heap

DRAFTING = '[[rule]]\nmatch = {}\ntarget = "two/model-2"\ncascade = { draft = "one/model-1", threshold = 1.0 }\n'
DRAIN = '[routing]\non-disconnect = "drain"\n'


def left_over() -> Counter[str]:
    """Objects of ours that only the collector frees, by their kind; it has freed them then."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    gc.set_debug(0)
    kinds = [type(each) for each in gc.garbage]
    gc.garbage.clear()
    gc.collect()
    return Counter(kind.__qualname__ for kind in kinds if kind.__module__.startswith("router."))


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize(
    ("settings", "provider", "first"),
    [
        pytest.param("", "anthropic-messages", answer, id="passed on"),
        pytest.param(DRAIN, "anthropic-messages", answer, id="in a task of its own"),
        pytest.param("", "anthropic-messages", lambda received: failing(500), id="after calls that failed"),
        pytest.param("", "anthropic-messages", lambda received: failing(400), id="refused by its provider"),
        pytest.param(DRAFTING, "anthropic-messages", answer, id="after a draft"),
    ],
)
async def test_nothing_of_a_request_waits_for_the_collector(
    settings: str, provider: str, first: Answer, stream: bool, tmp_path: Path
) -> None:
    async with targets(tmp_path / "home", f"{settings}{QUICK}", formats=[[provider]] * 2) as world:
        world.one.answer = first
        await world.ask(BY_NAME["anthropic-messages"], stream=stream)  # what is made once
        await world.router.flush()
        left_over()
        for _ in range(5):
            await world.ask(BY_NAME["anthropic-messages"], stream=stream)
        await world.router.flush()
        assert left_over() == Counter()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("provider", [*BY_NAME])
@pytest.mark.parametrize("client", [*BY_NAME])
async def test_nor_of_one_that_was_translated(client: str, provider: str, stream: bool, tmp_path: Path) -> None:
    async with targets(tmp_path / "home", formats=[[provider]], count=1) as world:
        await world.ask(BY_NAME[client], stream=stream)
        await world.router.flush()
        left_over()
        for _ in range(5):
            assert (await world.ask(BY_NAME[client], stream=stream)).status == 200
        await world.router.flush()
        assert left_over() == Counter()


@pytest.mark.usefixtures("uncollected")
async def test_nor_where_its_client_left(tmp_path: Path) -> None:
    async with targets(tmp_path / "home", count=1) as world:
        world.one.answer = lambda received: [Stall()]
        for _ in range(5):
            calls = len(world.one.requests)
            async with RawClient(world.router.url) as client:
                await client.send("/work/v1/messages", MESSAGES.request(stream=True)[1])
                while len(world.one.requests) == calls:
                    await asyncio.sleep(0.002)
                client.leave()
            await world.router.flush()
        assert left_over() == Counter()
