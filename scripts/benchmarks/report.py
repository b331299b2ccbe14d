"""Figures to tables: Markdown on standard output, JSON for programs."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.processes import ROOT
from benchmarks.proxy import MANY, SESSION, TRANSLATED, WITH_TOKENS, WITHOUT_TOKENS, Results

BARE, ROUTER = "bare aiohttp", "router"
_TRANSLATED = {way: f"router, {way}" for way in TRANSLATED}
_VARIANTS = frozenset({WITH_TOKENS, WITHOUT_TOKENS, *_TRANSLATED.values()})  # the router in one cell only


@dataclass(frozen=True, slots=True)
class Row:
    """A figure beside its goal. ``less`` says which way is better; a value of None wasn't measured."""

    name: str
    value: float | None
    unit: str = ""
    goal: float | None = None
    stretch: float | None = None
    less: bool = True

    @property
    def verdict(self) -> str:
        if self.value is None or self.goal is None:
            return ""
        if self.stretch is not None and self._reaches(self.stretch):
            return "stretch"
        return "met" if self._reaches(self.goal) else "missed"

    def _reaches(self, limit: float) -> bool:
        assert self.value is not None
        return self.value <= limit if self.less else self.value >= limit

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "goal": self.goal,
            "stretch": self.stretch,
            "verdict": self.verdict or None,
        }


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit or None,
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "aiohttp": version("aiohttp"),
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def overview(results: Results) -> str:
    """One line a target: the same work on one core."""
    names = list(dict.fromkeys(target for cell, target in results.samples if target not in _VARIANTS))
    head = [
        "target",
        "small req/s",
        "agent req/s",
        "huge req/s",
        "CPU ms per agent request",
        "added p50 / p99 at 1 client, agent (ms)",
        "first byte / first delta (ms)",
        "CPU ms per chunk",
        "peak RSS (MB)",
        "longest stall (ms)",
    ]
    lines = []
    for name in names:
        median = results.median
        added = [results.added("agent, 1 client", f"whole_ms.{q}", name) for q in ("p50", "p99")]
        lines.append(
            [
                f"**{name}**" if name == ROUTER else name,
                number(median("small, 16 clients", name, "requests_s")),
                number(median("agent, 16 clients", name, "requests_s")),
                number(median("huge, 4 clients", name, "requests_s")),
                number(median("agent, 16 clients", name, "cpu_ms_per_request")),
                " / ".join(number(value) for value in added) if name != "direct" else "–",
                " / ".join(
                    number(median("stream, 1 client", name, key)) for key in ("first_byte_ms.p50", "first_delta_ms.p50")
                ),
                number(median("stream, 16 clients", name, "cpu_ms_per_delta")),
                number(results.worst(name, "peak_mb")),
                number(results.worst(name, "stall_ms")),
            ]
        )
    return table(head, lines)


def goals(results: Results) -> list[Row]:
    """The router against the bare proxy and against a direct call, with what is aimed at."""
    ratio, added = results.ratio, results.added
    rows = [
        Row(
            "agent req/s, router / bare", ratio("agent, 16 clients", "requests_s", ROUTER, BARE), "×", 0.6, 0.75, False
        ),
        Row("small req/s, router / bare", ratio("small, 16 clients", "requests_s", ROUTER, BARE), "×"),
        Row("huge req/s, router / bare", ratio("huge, 4 clients", "requests_s", ROUTER, BARE), "×"),
        Row(
            "CPU per agent request, router / bare", ratio("agent, 16 clients", "cpu_ms_per_request", ROUTER, BARE), "×"
        ),
        Row("added p50, agent, 1 client", added("agent, 1 client", "whole_ms.p50", ROUTER), "ms", 1.2, 0.8),
        Row("added p99, agent, 1 client", added("agent, 1 client", "whole_ms.p99", ROUTER), "ms"),
        Row("added p50, small, 1 client", added("small, 1 client", "whole_ms.p50", ROUTER), "ms"),
        Row("added p50, huge, 1 client", added("huge, 1 client", "whole_ms.p50", ROUTER), "ms"),
        Row("first byte of a stream, added", added("stream, 1 client", "first_byte_ms.p50", ROUTER), "ms"),
        Row("first delta, added", added("stream, 1 client", "first_delta_ms.p50", ROUTER), "ms", 2.0, 1.0),
        Row(
            "CPU per chunk, router / bare",
            ratio("stream, 16 clients", "cpu_ms_per_delta", ROUTER, BARE),
            "×",
            1.5,
            1.15,
        ),
        *streams(results),
        Row(
            "a token rule on a growing session, per turn",
            ratio(SESSION.name, "whole_ms.mean", WITH_TOKENS, WITHOUT_TOKENS),
            "×",
            1.3,
            1.1,
        ),
        Row("longest event-loop stall in any of these", stall_of_all(results), "ms", 50, 10),
        Row("idle RSS", results.idle_mb.get(ROUTER), "MB"),
    ]
    peers = [
        name
        for name in dict.fromkeys(target for _, target in results.samples)
        if name not in {"direct", BARE, ROUTER, *_VARIANTS}
    ]
    for name in peers:
        value = ratio("agent, 16 clients", "requests_s", ROUTER, name)
        rows.append(Row(f"agent req/s, router / {name}", value, "×", 6.0, 10.0, False))
    return rows


def streams(results: Results) -> list[Row]:
    """Many streams at once, passed on and translated. A delta's CPU is that of the time when all of them run."""
    many = f"{results.streams:,} streams"
    median = results.median
    rows = [
        Row(f"{many}: peak RSS", median(MANY, ROUTER, "peak_mb"), "MB", 200, 120),
        Row(f"{many}: peak RSS, bare", median(MANY, BARE, "peak_mb"), "MB"),
        Row(f"{many}: p99 of a delta on its way, added", results.added(MANY, "transit_ms.p99", ROUTER), "ms", 25.0),
        Row(f"{many}: CPU per delta, bare", median(MANY, BARE, "cpu_us_per_delta"), "µs"),
        Row(f"{many}: CPU per delta, passed on", median(MANY, ROUTER, "cpu_us_per_delta"), "µs"),
    ]
    for way, name in _TRANSLATED.items():
        ratio = results.ratio(MANY, "cpu_us_per_delta", name, ROUTER)
        rows += [
            Row(f"{many}, {way}: CPU per delta", median(MANY, name, "cpu_us_per_delta"), "µs"),
            Row(f"{many}, {way}: CPU per delta / passed on", ratio, "×", 3.0, 2.0),
            Row(f"{many}, {way}: share of a core", median(MANY, name, "cpu_share"), "", 1.0),
            Row(f"{many}, {way}: peak RSS", median(MANY, name, "peak_mb"), "MB"),
            Row(
                f"{many}, {way}: p99 of a delta on its way, added",
                results.added(MANY, "transit_ms.p99", name),
                "ms",
            ),
        ]
    return rows


def stall_of_all(results: Results) -> float | None:
    """The longest of every cell, the sessions and the translated streams too."""
    stalls = [results.worst(name, "stall_ms") for name in (ROUTER, *_VARIANTS)]
    return max((stall for stall in stalls if stall is not None), default=None)


def goals_table(rows: Sequence[Row]) -> str:
    lines = [
        [
            row.name,
            f"{number(row.value)} {row.unit}".strip(),
            _limit(row, row.goal),
            _limit(row, row.stretch),
            row.verdict,
        ]
        for row in rows
        if row.value is not None
    ]
    return table(["", "measured", "goal", "stretch", ""], lines)


def _limit(row: Row, limit: float | None) -> str:
    return "" if limit is None else f"{'≤' if row.less else '≥'} {limit:g} {row.unit}"


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Markdown, padded so that it reads well in a terminal."""
    widths = [max(len(line[column]) for line in [head, *lines]) for column in range(len(head))]

    def draw(cells: Sequence[str]) -> str:
        padded = (
            cell.ljust(width) if not column else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return f"| {' | '.join(padded)} |"

    rule = "|".join("-" * (width + 2) if not column else "-" * (width + 1) + ":" for column, width in enumerate(widths))
    return "\n".join([draw(head), f"|{rule}|", *(draw(line) for line in lines)])


def number(value: float | None) -> str:
    """Three digits that matter; an en dash for what wasn't measured."""
    if value is None:
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.3f}"
