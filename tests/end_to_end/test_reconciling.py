"""A provider keeps books of its own; what it exports is compared with the ledger of a router that called it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner

from router.cli.main import cli
from router.money.cost import cost_nano_usd
from router.money.prices import PriceTable
from router.reconciling.amounts import Tokens
from router.wire.usage import Usage
from tests.support import exports as write
from tests.support.answers import CACHED, INPUT, OUTPUT, answer, messages_events
from tests.support.exports import Fact
from tests.support.provider import SSE, FakeProvider, Received, Reset, Send, Status, Step, whole
from tests.support.serving import Running, serving

MODEL = "claude-haiku-4-5"
RULES = '[default]\nto = "anthropic"\n[retry]\nbackoff = "1ms"\n'
BODY: dict[str, Any] = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
ONE = Tokens(INPUT, CACHED, output=OUTPUT)


class Books:
    """A provider that counts what it answers; what it is told to does it otherwise."""

    def __init__(self) -> None:
        self.answered = 0
        self.script: Iterator[str] = iter(())

    def __call__(self, request: Received) -> Iterable[Step]:
        match next(self.script, "answer"):
            case "refuse":
                return whole({"type": "error", "error": {"type": "api_error", "message": "no"}}, status=500)
            case "cut":
                self.answered += 1
                return [Status(200, SSE), Send(b"".join(messages_events(MODEL)[:5])), Reset()]
            case _:
                self.answered += 1
                return answer(request)

    def facts(self, day: str) -> list[Fact]:
        one = cost_nano_usd(
            Usage(INPUT, CACHED, output=OUTPUT), PriceTable.load().rates("anthropic", MODEL), day=write.begin(day)
        ).nano_usd
        assert one is not None
        return [
            Fact(day, f"{MODEL}-20251001", sum([ONE] * self.answered, Tokens()), self.answered, one * self.answered)
        ]


async def ask(router: Running, *, stream: bool = False) -> None:
    async with router.post("/work/v1/messages", json=BODY | {"stream": stream}) as reply:
        with contextlib.suppress(aiohttp.ClientPayloadError):  # of a stream that was cut
            await reply.read()


def reconciled(home: Path, folder: Path, books: Books, day: str) -> dict[str, Any]:
    facts = books.facts(day)
    files = [folder / "usage.json", folder / "cost.json"]
    for file, writer in zip(files, (write.anthropic_usage_json, write.anthropic_cost_json), strict=True):
        file.write_bytes(writer(facts, [day]))
    result = CliRunner().invoke(cli, ["usage", "reconcile", *map(str, files), "--json"], env={"ROUTER_HOME": str(home)})
    assert result.exit_code == 0, result.output
    value: dict[str, Any] = json.loads(result.stdout)
    return value


async def day_of(router: Running) -> str:
    """The day of the calls; a test that runs over midnight begins again."""
    days = {datetime.fromtimestamp(row["time_ms"] / 1000, UTC).date() for row in await router.rows("attempts")}
    if len(days) > 1:
        pytest.skip("it is midnight")
    return days.pop().isoformat()


async def test_the_providers_books_and_the_ledger_agree_but_for_what_was_cut_off(tmp_path: Path) -> None:
    books, home = Books(), tmp_path / "home"
    async with (
        FakeProvider(books) as provider,
        serving(home, {"work": RULES}, providers={"anthropic": provider.url}) as router,
    ):
        books.script = iter(["answer", "answer", "refuse", "answer", "answer"])
        for stream in (False, True, False, True):
            await ask(router, stream=stream)
        day = await day_of(router)
        value = reconciled(home, tmp_path, books, day)
        assert value["agrees"], value
        assert (value["rows"][0]["ledger_calls"], books.answered) == (4, 4)
        assert value["verdict"].startswith("The ledger and the provider agree to the cent: ")

        books.script = iter(["cut"])
        await ask(router, stream=True)
        await router.flush()
        value = reconciled(home, tmp_path, books, await day_of(router))
        (row,) = value["rows"]
        assert row["cause"] == "perhaps-billed"
        assert (row["perhaps_billed"], row["off_input"], row["off_cache_read"]) == (1, 0, 0)
        assert row["off_output"] < 0
