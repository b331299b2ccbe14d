"""A conversation that goes elsewhere leaves what it had in a prompt cache: counted, and priced."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from router.wire.usage import Usage
from tests.support.provider import FakeProvider
from tests.support.saying import saying, text
from tests.support.serving import Running, serving

PROFILE = """
[[rule]]
name = "elsewhere"
match = { header = { x-where = "two" } }
target = "two/b"

[default]
target = "one/a"

[prices."one/a"]
input = 3.0
output = 15.0
cache-read = 0.3
cache-write = 3.75
"""
HELD = Usage(input=10, cache_read=40_000, cache_write=2_000, output=20)
ELSEWHERE = {"x-where": "two"}


@pytest_asyncio.fixture
async def router(tmp_path: Path) -> AsyncIterator[Running]:
    one, two = FakeProvider(saying(text("Hello.", usage=HELD))), FakeProvider(saying(text("Hello.")))
    home = tmp_path / "home"
    async with one, two, serving(home, {"work": PROFILE}, providers={"one": one.url, "two": two.url}) as running:
        yield running


async def ask(router: Running, length: int = 40_000, **headers: str) -> dict[str, Any]:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "word " * length}]}
    async with router.post("/work/v1/messages", json=body, headers={"x-session-id": "s", **headers}) as reply:
        assert reply.status == 200
    return (await router.rows())[-1]


async def test_what_a_switch_throws_away(router: Running) -> None:
    for _ in range(2):
        row = await ask(router)
        assert (row["cache_lost"], row["cache_lost_nano_usd"]) == (None, None)
    row = await ask(router, **ELSEWHERE)
    assert row["cache_lost"] == pytest.approx(42_000, abs=2_100)  # no more than the request has
    assert row["cache_lost_nano_usd"] == row["cache_lost"] * 2700
    row = await ask(router)
    assert row["cache_lost"] is None  # the second target held nothing


async def test_a_conversation_that_was_compacted_has_nothing_to_lose(router: Running) -> None:
    await ask(router)
    row = await ask(router, length=100, **ELSEWHERE)
    assert row["cache_lost"] is None


async def test_another_conversation_loses_nothing(router: Running) -> None:
    await ask(router)
    row = await ask(router, **{**ELSEWHERE, "x-session-id": "t"})
    assert row["cache_lost"] is None
