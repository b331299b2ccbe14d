"""A ledger of years: how fast reports, a start, deletion and a backup are on ten million requests.

The requests are made within SQLite, in the router's own schema, a year's evenly, all of one profile of fifty; the sums
are then what the router adds up itself. Times are of a file that the system has in memory, unless a row says otherwise.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

from benchmarks import targets
from benchmarks.ledger import PROFILES, records
from benchmarks.processes import environment
from benchmarks.report import Row
from benchmarks.timing import median_ms
from router.ledger.backup import back_up
from router.ledger.erasing import rebuild_day
from router.ledger.periods import DAY_MS, END
from router.ledger.reports import Reader, Report, Scope
from router.ledger.retention import forget
from router.ledger.store import Ledger

T = TypeVar("T")

PROFILE = "bench-0"
DAYS = 365
BYTES_A_REQUEST = 1_500  # of the file, about; the backup is another one
CHUNK = 500_000
DELETED = 100_000  # by retention, of the oldest
_EXPORTED = 100_000
_RULES = (
    ("tool-use → anthropic", "anthropic", "claude-sonnet-4-5", 10),
    ("input-tokens-lt → groq", "groq", "llama-3.3-70b-versatile", 6),
    ("input-tokens-gt → anthropic", "anthropic", "claude-opus-4-5", 1),
    ("default → anthropic", "anthropic", "claude-haiku-4-5", 3),
)
_FACTS = (
    '{"api":"anthropic-messages","client":"claude-code","messages":41,"turns":12,"tools":["Bash","Edit","Glob","Grep",'
    '"Read","Task","TodoWrite","WebFetch","WebSearch","Write"],"thinking":true,"stream":true,"max_tokens":32000,'
    '"input_tokens":21733,"text_bytes":101432,"concepts":{"code":2},"keywords":[],"headers":{},"minute":870}'
)
_USAGE_RAW = '{"input_tokens":1200,"output_tokens":210,"cache_creation_input_tokens":0,"cache_read_input_tokens":800}'

# One request in numbers of its own, which look like chance and are the same every time.
_NUMBERS = """
    WITH RECURSIVE numbers(i) AS (VALUES (:first) UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < :end),
    made AS MATERIALIZED (
        SELECT i, :start + i * :year / :rows AS time_ms, (i * 2654435761 >> 5) & 0xffffff AS h FROM numbers
    )
"""
_REQUESTS = f"""
    INSERT INTO requests (id, kind, state, time_ms, profile, rule, rule_hash, file_hash, client, key, tags,
        conversation, api, requested_model, provider, model, stream, reason, status, outcome, input, cache_read,
        output, cost_nano_usd, list_nano_usd, price_source, first_byte_ms, duration_ms, attempts, facts, cache_lost,
        cache_lost_nano_usd)
    {_NUMBERS}
    SELECT printf('%012x%020x', time_ms, i), 'generate', 'settled', time_ms, '{PROFILE}', rule, rule_hash,
        '0123456789ab', CASE h % 3 WHEN 0 THEN 'claude-code' WHEN 1 THEN 'codex' ELSE 'sdk' END,
        CASE h % 7 WHEN 0 THEN NULL WHEN 1 THEN 'bob' WHEN 2 THEN 'carol' ELSE 'alice' END,
        CASE h % 10 WHEN 0 THEN 'ci' WHEN 1 THEN 'ci nightly' END, 'conversation-' || (i / 40), 'anthropic-messages',
        'claude-sonnet-4-5', provider, model, 1, 'rule[0] tool-use=true', 200,
        CASE h % 200 WHEN 0 THEN 'upstream-error' ELSE 'ok' END, h % 3000, h % 60000, h % 900, 1000000 + h * 5,
        1000000 + h * 5, 'bench', 400.0 + h % 1000, 1000.0 + h % 30000, 1, :facts,
        CASE WHEN i % 200 = 0 THEN 20000 END, CASE WHEN i % 200 = 0 THEN 50000000 END
    FROM made JOIN kinds ON slot = h / 7 % 20
"""
_ATTEMPTS = f"""
    INSERT INTO attempts (request_id, number, role, provider, model, key_name, time_ms, api, state, status,
        first_byte_ms, duration_ms, input, cache_read, output, cost_nano_usd, list_nano_usd, price_source, usage_raw,
        verdict, score, saving_nano_usd)
    {_NUMBERS}
    SELECT printf('%012x%020x', time_ms, i), 1, CASE WHEN i % 100 = 0 THEN 'draft' ELSE 'primary' END, provider, model,
        'env:BENCH_KEY', time_ms, 'anthropic-messages', 'settled', 200, 400.0 + h % 1000, 1000.0 + h % 30000, h % 3000,
        h % 60000, h % 900, 1000000 + h * 5, 1000000 + h * 5, 'bench', :usage_raw,
        CASE WHEN i % 100 = 0 THEN 'accepted' END, CASE WHEN i % 100 = 0 THEN 0.9 END,
        CASE WHEN i % 100 = 0 THEN h - 3000000 END
    FROM made JOIN kinds ON slot = h / 7 % 20
"""


def measure(*, rows: int, say: targets.Say) -> list[Row]:
    """All of it; ``rows`` requests take about two files of ``BYTES_A_REQUEST`` each."""
    with tempfile.TemporaryDirectory(prefix="router-bench-") as name:
        folder = Path(name)
        needed, free = 2 * rows * BYTES_A_REQUEST, shutil.disk_usage(folder).free
        if free < needed:
            raise SystemExit(f"{folder} has {free / 1e9:.0f} GB left, and this takes about {needed / 1e9:.0f} GB")
        home = folder / "home"
        for number in range(PROFILES):
            targets.write_profile(home, f"bench-{number}", targets.RULES)
        build(home / "router.db", rows, say)
        of = f"{rows:,} requests"
        say("reports")
        results = [
            Row(f"file of {of}", (home / "router.db").stat().st_size / 1e9, "GB"),
            *_reports(home, rows),
            *_commands(home),
        ]
        say("starts")
        results.append(_start(home, folder))
        say("deletion")
        results += asyncio.run(_deletion(home / "router.db"))
        say("a backup")
        return [*results, *_backup(home / "router.db", folder / "backup.db")]


def build(file: Path, rows: int, say: targets.Say) -> None:
    """A ledger of so many settled requests, over the year before now."""
    asyncio.run(_create(file))
    start = time.time_ns() // 1_000_000 - DAYS * DAY_MS
    made = {"start": start, "year": DAYS * DAY_MS, "rows": rows, "facts": _FACTS, "usage_raw": _USAGE_RAW}
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "secure_delete = OFF", "cache_size = -1000000"):
            connection.execute(f"PRAGMA {pragma}")
        _kinds(connection, start)
        indexes = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql > ''").fetchall()
        for index, _ in indexes:
            connection.execute(f"DROP INDEX {index}")
        for first in range(0, rows, CHUNK):
            chunk = {**made, "first": first, "end": min(first + CHUNK, rows)}
            connection.execute("BEGIN")
            connection.execute(_REQUESTS, chunk)
            connection.execute(_ATTEMPTS, chunk)
            connection.execute("COMMIT")
            say(f"a ledger of {chunk['end']:,} of {rows:,} requests")
        for _, text in indexes:
            connection.execute(text)
        say("its sums")
        for day in range(start // DAY_MS, start // DAY_MS + DAYS + 1):
            rebuild_day(connection, PROFILE, day, END)
        connection.execute("PRAGMA journal_mode = WAL")


async def _create(file: Path) -> None:
    await (await Ledger.open(file)).close()


def _kinds(connection: sqlite3.Connection, start: int) -> None:
    """Which rule takes a request: as often as it has slots."""
    connection.execute("CREATE TEMP TABLE kinds (slot INTEGER PRIMARY KEY, rule, rule_hash, provider, model)")
    slots = [(rule, f"{number:012x}", *to) for number, (rule, *to, count) in enumerate(_RULES) for _ in range(count)]
    connection.executemany("INSERT INTO kinds VALUES (?, ?, ?, ?, ?)", ((n, *each) for n, each in enumerate(slots)))
    connection.executemany(
        "INSERT INTO rules (profile, rule_hash, rule, first_ms, last_ms) VALUES (?, ?, ?, ?, ?)",
        ((PROFILE, f"{number:012x}", rule, start, start + DAYS * DAY_MS) for number, (rule, *_) in enumerate(_RULES)),
    )


# --- reading ----------------------------------------------------------------------------------------------------------


def _reports(home: Path, rows: int) -> list[Row]:
    reader = Reader(home / "router.db")
    now = time.time_ns() // 1_000_000
    if (counted := reader.by_rule(PROFILE).total.sums.requests) != rows:
        raise SystemExit(f"the report counts {counted} requests, the ledger holds {rows}")

    def took(name: str, report: Callable[[], object], *, repeats: int = 5, goal: bool = True) -> Row:
        limits = (1.0, 0.2) if goal else (None, None)
        return Row(name, median_ms(report, repeats=repeats) / 1000, "s", *limits)

    def usage(*by: str, since_ms: int = 0, zone: str = "UTC", detail: bool = False) -> Callable[[], Report]:
        scope = Scope(PROFILE, since_ms, zone=ZoneInfo(zone))
        return lambda: reader.usage([scope], by, detail=detail)  # type: ignore[arg-type]  # names of dimensions

    def export() -> None:
        for _ in islice(reader.export(PROFILE), _EXPORTED):
            pass

    month = now - 30 * DAY_MS
    return [
        took("usage --by-rule", usage("rule")),
        took("usage --by day", usage("day")),
        took("usage --by model", usage("model")),
        took("usage --by key,model", usage("key", "model")),
        took("usage --by day,key,model", usage("day", "key", "model")),
        took("usage --by-rule --since 7d", usage("rule", since_ms=now - 7 * DAY_MS)),
        took(
            "usage --by day in Asia/Kolkata, whose days end within an hour",
            usage("day", zone="Asia/Kolkata"),
            repeats=1,
            goal=False,
        ),
        took("usage --by-rule --detail", usage("rule", detail=True), repeats=3, goal=False),
        took("usage --by-rule --detail --since 30d", usage("rule", detail=True, since_ms=month), repeats=3, goal=False),
        took("usage --by tag --since 30d, which reads requests", usage("tag", since_ms=month), repeats=1, goal=False),
        took("usage --by tag, which reads all requests", usage("tag"), repeats=1, goal=False),
        took("requests", lambda: reader.latest(profile=PROFILE)),
        took("requests --failed", lambda: reader.latest(profile=PROFILE, failed=True)),
        Row("export, rows a second", _EXPORTED / (median_ms(export, repeats=1) / 1000), "/s", less=False),
    ]


def _commands(home: Path) -> list[Row]:
    module, _, function = targets.ENTRY.partition(":")
    program = [sys.executable, "-c", f"from {module} import {function}; {function}()"]

    def run() -> None:
        arguments = ["usage", "--profile", PROFILE, "--by-rule"]
        subprocess.run([*program, *arguments], env=environment(ROUTER_HOME=str(home)), capture_output=True, check=True)

    def run_cold() -> None:
        for file in home.glob("router.db*"):
            with file.open("rb") as stream:
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        run()

    return [
        Row("usage --by-rule, the whole command", median_ms(run, repeats=3) / 1000, "s", 1.0),
        Row("the same, the file not in memory", median_ms(run_cold, repeats=3) / 1000, "s", 1.0),
    ]


def _start(home: Path, folder: Path) -> Row:
    """From the command to the first healthy answer."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        process, _ = targets.start_router(home, folder=folder, core=None)
        times.append(time.perf_counter() - began)
        process.stop()
    return Row(f"start to ready, {PROFILES} profiles", sorted(times)[1], "s", 2.0)


# --- writing ----------------------------------------------------------------------------------------------------------


class _Timed:
    """A ledger that notes how long each job holds its writer."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.held_ms: list[float] = []

    async def run(self, job: Callable[[sqlite3.Connection], T]) -> T:
        def timed(connection: sqlite3.Connection) -> T:
            began = time.perf_counter()
            result = job(connection)
            self.held_ms.append((time.perf_counter() - began) * 1000)
            return result

        return await self._ledger.run(timed)


async def _deletion(file: Path) -> list[Row]:
    """Retention deletes the oldest, while requests come and wait for their rows."""
    ledger = await Ledger.open(file)
    timed = _Timed(ledger)
    waits: list[float] = []

    async def others() -> None:
        for begin, settle in records(seed=9, days=1):
            for record in (begin, settle):
                began = time.perf_counter()
                await ledger.put(record)
                waits.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(0.01)

    with closing(sqlite3.connect(file)) as connection:
        (oldest,) = connection.execute("SELECT min(time_ms) FROM requests").fetchone()
        query = "SELECT time_ms FROM requests WHERE profile = ? ORDER BY time_ms LIMIT 1 OFFSET ?"
        (before,) = connection.execute(query, (PROFILE, DELETED)).fetchone() or (oldest + DAY_MS,)
    now = time.time_ns() // 1_000_000
    traffic = asyncio.create_task(others())
    try:
        began = time.perf_counter()
        deleted = await forget(timed, lambda: [(PROFILE, (now - before) / 1000)], now)  # type: ignore[arg-type]
        seconds = time.perf_counter() - began
    finally:
        traffic.cancel()
        await asyncio.wait({traffic})
        await ledger.close()
    held, waits = sorted(timed.held_ms), sorted(waits)
    return [
        Row(f"retention: {deleted:,} requests deleted in", seconds, "s"),
        Row("retention: the writer held by a slice, p50", held[len(held) // 2], "ms"),
        Row("retention: the writer held by a slice, longest", held[-1], "ms"),
        Row("retention: others wait for a commit, p50", waits[len(waits) // 2], "ms"),
        Row("retention: others wait for a commit, longest", waits[-1], "ms"),
    ]


def _backup(file: Path, target: Path) -> list[Row]:
    steps: dict[str, float] = {}
    began = time.perf_counter()
    made = back_up(file, target, told=lambda what, share: steps.setdefault(what, time.perf_counter()))
    end = time.perf_counter()
    return [
        Row("backup, checked", end - began, "s"),
        Row("backup, its check alone", end - steps["checking the copy"], "s"),
        Row("backup, the file", made.size / 1e9, "GB"),
    ]
