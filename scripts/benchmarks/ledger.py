"""The ledger alone: how fast it records, and how fast it reports once it is large."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from benchmarks import targets
from benchmarks.processes import environment
from benchmarks.report import Row
from benchmarks.timing import median_ms
from router.ledger.entry import AttemptRecord, Intent, Settlement
from router.ledger.reports import Reader
from router.ledger.store import Ledger
from router.ledger.writing import Begin, Record, Settle, write_records
from router.wire.usage import Usage

PROFILES = 50
DAY_MS = 86_400_000
_RULES = (
    ("tool-use → anthropic", "anthropic", "claude-sonnet-4-5"),
    ("input-tokens-lt → groq", "groq", "llama-3.3-70b-versatile"),
    ("input-tokens-gt → anthropic", "anthropic", "claude-sonnet-4-5"),
    ("default → anthropic", "anthropic", "claude-haiku-4-5"),
)
_USAGE_RAW = '{"input_tokens":1200,"output_tokens":210,"cache_creation_input_tokens":0,"cache_read_input_tokens":800}'


def measure(*, quick: bool, rows: int, say: targets.Say) -> list[Row]:
    """Recording into a new ledger, then reports and a start on one of ``rows`` requests."""
    with tempfile.TemporaryDirectory(prefix="router-bench-") as name:
        folder = Path(name)
        results = asyncio.run(_recording(folder / "new.db", requests=5_000 if quick else 50_000))
        home = folder / "home"
        for number in range(PROFILES):
            targets.write_profile(home, f"bench-{number}", targets.RULES)
        build(home / "router.db", rows, say)
        return [*results, *_reporting(home, rows), _starting(home, folder, rows)]


async def _recording(file: Path, *, requests: int) -> list[Row]:
    """Throughput with many requests under way, and the wait of one commit alone."""
    ledger = await Ledger.open(file)
    try:
        made = list(islice(records(seed=1, days=1), requests))
        began = time.perf_counter()
        for start in range(0, requests, 1000):  # so many at once are far more than a server has under way
            pairs = made[start : start + 1000]
            await asyncio.gather(*(ledger.put(record) for pair in pairs for record in pair))
        entries_s = requests / (time.perf_counter() - began)
        waits: list[float] = []
        for begin, settle in islice(records(seed=2, days=1), 300):
            for record in (begin, settle):
                began = time.perf_counter()
                await ledger.put(record)
                waits.append((time.perf_counter() - began) * 1000)
    finally:
        await ledger.close()
    waits.sort()
    return [
        Row("ledger entries, two records each", entries_s, "/s", less=False),
        Row("one awaited commit, p50", waits[len(waits) // 2], "ms"),
        Row("one awaited commit, p99", waits[len(waits) * 99 // 100], "ms"),
    ]


def _reporting(home: Path, rows: int) -> list[Row]:
    reader = Reader(home / "router.db")
    profile = "bench-0"
    now = time.time_ns() // 1_000_000
    total = reader.by_rule(profile).total.sums.requests
    if total != rows:
        raise SystemExit(f"the report counts {total} requests, the ledger holds {rows}")
    module, _, function = targets.ENTRY.partition(":")
    program = f"from {module} import {function}; {function}()"
    command = [sys.executable, "-c", program, "usage", "--profile", profile, "--by-rule"]
    env = environment(ROUTER_HOME=str(home))

    def run_command() -> None:
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"router {' '.join(command[3:])} failed:\n{done.stderr}")

    name = f"usage --by-rule on {rows:,} requests"
    everything = median_ms(lambda: reader.by_rule(profile), repeats=5)
    week = median_ms(lambda: reader.by_rule(profile, now - 7 * DAY_MS), repeats=5)
    detail = median_ms(lambda: reader.by_rule(profile, detail=True), repeats=1)
    return [
        Row(f"{name}, all", everything / 1000, "s", 1.0, 0.2),
        Row(f"{name}, 7 days", week / 1000, "s", 1.0, 0.2),
        Row(f"{name}, all, in detail", detail / 1000, "s"),
        Row(f"{name}, the whole command", median_ms(run_command, repeats=3) / 1000, "s", 1.0),
    ]


def _starting(home: Path, folder: Path, rows: int) -> Row:
    """From the command to the first healthy answer."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        process, _ = targets.start_router(home, folder=folder, core=None)
        times.append(time.perf_counter() - began)
        process.stop()
    return Row(f"start to ready, {PROFILES} profiles, {rows:,} requests", sorted(times)[1], "s", 1.5, 0.7)


def build(file: Path, rows: int, say: targets.Say) -> None:
    """A ledger of so many settled requests over a year, written by the ledger's own statements."""

    async def create() -> None:
        await (await Ledger.open(file)).close()

    asyncio.run(create())
    connection = sqlite3.connect(file, isolation_level=None)
    try:
        made = records(seed=3, days=365, count=rows)
        written = 0
        while batch := [record for pair in islice(made, 5_000) for record in pair]:
            write_records(connection, batch)
            written += len(batch) // 2
            if written % 100_000 == 0:
                say(f"a ledger of {written:,} of {rows:,} requests")
    finally:
        connection.close()


def records(*, seed: int, days: int, count: int = 1_000_000) -> Iterator[tuple[Record, Record]]:
    """Requests of one profile, evenly over the days before now: the row before the call, and how it ended."""
    chance = random.Random(seed)
    end_ms = time.time_ns() // 1_000_000
    for number in range(count):
        time_ms = end_ms - days * DAY_MS + number * days * DAY_MS // count
        request_id = f"{time_ms:012x}{seed:04x}{number:016x}"
        rule, provider, model = _RULES[chance.choices(range(4), (50, 30, 5, 15))[0]]
        usage = Usage(
            input=chance.randrange(3000),
            cache_read=chance.randrange(60_000),
            cache_write=0,
            output=chance.randrange(900),
        )
        cost = chance.randrange(1_000_000, 90_000_000)
        begin = Intent(
            id=request_id,
            kind="generate",
            time_ms=time_ms,
            profile="bench-0",
            rule=rule,
            rule_hash=f"{_RULES.index((rule, provider, model)):012x}",
            file_hash="0123456789ab",
            client=chance.choice(("claude-code", "codex", "sdk")),
            key=None,
            tags=None,
            conversation=f"conversation-{number // 40}",
            api="anthropic-messages",
            requested_model="claude-sonnet-4-5",
            provider=provider,
            model=model,
            stream=True,
            reason="rule[0] tool-use=true",
        )
        attempt = AttemptRecord(
            request_id,
            1,
            "primary",
            provider,
            model,
            "BENCH_KEY",
            time_ms,
            status=200,
            first_byte_ms=400.0,
            duration_ms=4000.0,
            usage=usage,
            usage_raw=_USAGE_RAW,
            cost_nano_usd=cost,
            list_nano_usd=cost,
            price_source="bench",
        )
        ended = Settlement(
            request_id,
            "ok",
            200,
            usage=usage,
            cost_nano_usd=cost,
            list_nano_usd=cost,
            price_source="bench",
            first_byte_ms=400.0,
            duration_ms=4000.0,
            attempts=1,
            provider=provider,
            model=model,
        )
        yield Begin(begin, attempt), Settle(ended, (attempt,))
