"""kill -9 under load, again and again on one home: whoever saw the end of an answer finds it in the ledger."""

from __future__ import annotations

import asyncio
import json
import random
import re
import sqlite3
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.answers import chat_chunks, completion, message, messages_events, response, response_events
from tests.support.process import RouterProcess, free_port
from tests.support.provider import SSE, End, FakeProvider, Pause, Received, Send, Status, Step, whole
from tests.support.raw_client import RawClient
from tests.support.serving import read_rows, write_profile, write_providers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

KILLS = 20
EACH = 20  # answers for each kill, at least
CLIENTS = 40
PROFILE = '[default]\nto = "there"\n'
CHAT = '"stream_options":{"include_usage":true},"messages":[]'
FORMS = {  # path, the rest of the body, how a stream ends
    "/work/v1/messages": ('"max_tokens":1,"messages":[]', b'"message_stop"}\n\n'),
    "/work/v1/chat/completions": (CHAT, b"data: [DONE]\n\n"),
    "/work/v1/responses": ('"input":"hi"', b'"type":"response.completed"'),
}


@dataclass
class Journal:
    """What the clients and the provider have seen: the truth that the ledger is compared with."""

    started: set[str] = field(default_factory=set)  # models asked for; each request asks for one of its own
    finished: dict[str, str] = field(default_factory=dict)  # request id: model, of answers seen to their end
    called: Counter[str] = field(default_factory=Counter)  # models that reached the provider


def slow_answer(journal: Journal, dice: random.Random) -> Any:
    """A provider that takes a little while, so that kills hit every phase of a request."""

    def answer(request: Received) -> Iterable[Step]:
        body = request.json
        model = body["model"]
        journal.called[model] += 1
        yield Pause(dice.random() * 0.02)
        if not body["stream"]:
            made = {"messages": message, "completions": completion, "responses": response}
            yield from whole(made[request.path.rpartition("/")[2]](model))
            return
        if request.path.endswith("/messages"):
            events = messages_events(model)
        elif request.path.endswith("/completions"):
            events = chat_chunks(model, usage=True)
        else:
            events = response_events(model)
        yield Status(200, SSE)
        for event in events:
            yield Send(event)
            yield Pause(dice.random() * 0.004)
        yield End()

    return answer


async def one_request(url: str, journal: Journal, dice: random.Random) -> None:
    """Ask once; the request counts as finished from the moment its last byte is here."""
    path = dice.choice(list(FORMS))
    rest, end = FORMS[path]
    streamed = dice.random() < 0.7
    model = f"m-{uuid.UUID(int=dice.getrandbits(128))}"
    body = f'{{"model":"{model}","stream":{json.dumps(streamed)},{rest}}}'.encode()
    journal.started.add(model)
    async with RawClient(url) as client:
        await client.send(path, body)
        head, _, payload = (await client.read_until(b"\r\n\r\n")).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        request_id = found(rb"x-router-request-id: (\w+)", head)
        if streamed:
            await client.read_until(end)
        else:
            length = int(found(rb"Content-Length: (\d+)", head))
            while len(payload) < length:
                part = await client.reader.read(65536)
                if not part:
                    raise EOFError
                payload += part
        journal.finished[request_id] = model


def found(pattern: bytes, text: bytes) -> str:
    match = re.search(pattern, text, re.IGNORECASE)
    assert match is not None
    return match[1].decode()


async def keep_asking(url: str, journal: Journal, dice: random.Random, stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            await one_request(url, journal, dice)
        except (OSError, EOFError):
            await asyncio.sleep(0.01)  # killed; the next one is about to start


async def test_no_finished_answer_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    home, journal, dice = tmp_path / "home", Journal(), random.Random(20261121)
    write_profile(home, "work", PROFILE)
    async with FakeProvider(slow_answer(journal, dice)) as provider:
        write_providers(home, {"there": provider.url})
        router, stop = RouterProcess(home, free_port()), asyncio.Event()
        starts = []
        try:
            async with asyncio.TaskGroup() as clients:
                for _ in range(CLIENTS):
                    clients.create_task(keep_asking(router.url, journal, dice, stop))
                for number in range(KILLS):
                    began = time.monotonic()
                    await router.spawn()
                    if number % 5 == 4:
                        await asyncio.sleep(dice.random() * 0.6)  # while it starts, and settles what was left open
                    else:
                        await router.ready()
                        starts.append(time.monotonic() - began)
                        enough = len(journal.finished) + 2 * EACH
                        await asyncio.sleep(0.05 + dice.random() * 0.5)
                        while len(journal.finished) < enough:  # soon, unless the machine is slow
                            await asyncio.sleep(0.005)
                    router.process.kill()
                    await router.ended()
                    check_file(home / "router.db")
                await (await router.spawn()).ready()
                await asyncio.sleep(0.3)
                stop.set()
            router.process.terminate()
            assert await router.ended() == 0
        finally:
            await router.destroy()
    starts.sort()
    print(f"\n{len(journal.finished)} answers finished over {KILLS} kills; {len(journal.started)} begun; ", end="")
    print(f"{sum(journal.called.values())} reached the provider; ready again after {starts[-1]:.2f} s at most")
    compare(home / "router.db", journal)


def check_file(database: Path) -> None:
    connection = sqlite3.connect(database)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        connection.close()


def compare(database: Path, journal: Journal) -> None:
    rows = {row["id"]: row for row in read_rows(database)}
    attempts = read_rows(database, "attempts")
    assert len(journal.finished) > EACH * KILLS, "there was enough traffic to mean something"
    assert {row["state"] for row in rows.values()} == {"settled"}
    assert {attempt["state"] for attempt in attempts} == {"settled"}

    lost = journal.finished.keys() - rows.keys()
    assert not lost
    for request_id, model in journal.finished.items():
        row = rows[request_id]
        assert (row["outcome"], row["requested_model"], row["output"]) == ("ok", model, 7)

    outcomes = Counter(row["outcome"] for row in rows.values())
    assert outcomes["interrupted"] > 0
    assert outcomes.keys() <= {"ok", "interrupted", "client-gone"}
    of_model = Counter(attempt["model"] for attempt in attempts)
    assert journal.called.keys() <= of_model.keys(), "every call that the provider saw has its row"
    assert set(of_model.values()) == {1}
    assert set(journal.called.values()) == {1}
    never_made = {attempt["request_id"] for attempt in attempts if attempt["model"] not in journal.called}
    assert {rows[request_id]["outcome"] for request_id in never_made} <= {"interrupted"}, "killed before the call"
    for attempt in attempts:
        if rows[attempt["request_id"]]["outcome"] == "interrupted":
            assert (attempt["error_class"], attempt["maybe_billed"]) == ("interrupted", 1)
            assert attempt["cost_nano_usd"] is None
    totals = read_rows(database, "rollup")
    assert sum(line["requests"] for line in totals) == len(rows), "the sums count every request once"
    assert sum(line["output"] for line in totals) == sum(row["output"] or 0 for row in rows.values())
