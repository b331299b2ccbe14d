"""docs/reports.md has a sentence for each number of each report, and none for a number that isn't there."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from router.cli import requests as listing
from router.cli import usage_tables
from router.cli.places import Places
from router.ledger.reports import DIMENSIONS
from router.money.savings import Baseline, Baselines, Counts, encode
from router.profile.home import Home
from router.server.pages import _stats
from router.wire.usage import Usage

PAGE = (Path(__file__).parents[2] / "docs" / "reports.md").read_text("utf-8")
NOW = time.time_ns() // 1_000_000


def named(heading: str) -> list[str]:
    """The first cells of the tables under a heading."""
    section = re.split(r"^## ", PAGE.split(f"## {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", section, re.MULTILINE)
    return [name.strip("`") for name, _ in rows]


def titles(tables: Iterable[usage_tables.Table]) -> list[str]:
    return list(dict.fromkeys(part.title for table in tables for part in table.parts))


@pytest.mark.parametrize(
    ("heading", "tables"),
    [
        ("router usage", usage_tables.TOTALS),
        ("router usage --detail", usage_tables.DETAIL),
        ("router usage --savings", usage_tables.SAVINGS),
    ],
)
def test_each_column_of_usage_is_told(heading: str, tables: Iterable[usage_tables.Table]) -> None:
    assert named(heading) == titles(tables)


def test_each_column_of_requests_is_told() -> None:
    columns = [column.title for column in (*listing._COLUMNS, *listing._CLIENT_COLUMNS)]
    assert named("router requests") == list(dict.fromkeys(columns))


def test_each_key_of_a_row_is_told(run: Any, book: Any) -> None:
    book.add(time_ms=NOW)
    row = json.loads(run("usage", "--by", "day", "--detail", "--savings", "--json").stdout)["rows"][0]
    assert set(named("Keys of --json and --csv")) == set(row) - set(DIMENSIONS)


OF_NOW = ("requests_active", "requests_waiting", "requests_limited")  # which only a server knows


def test_each_key_of_stats_is_told(home: Home) -> None:
    places = Places(home.path)
    stats: dict[str, Any] = _stats(places.reader, places.profile("work"))
    assert set(named("/stats")) == {*stats, *stats["rules"][0], "uptime_seconds", *OF_NOW}


def test_each_line_of_one_request_is_told(run: Any, book: Any) -> None:
    trace = "order: a: 1\ndraft: b accepted\npassed over: c: no"
    there = Baseline("anthropic", "claude-sonnet-4-5", Counts(1, output=1))
    request_id = book.add_drafted(
        "accepted", score=0.9, saving=1, draft_cost=1, lost=5, worth=6, cost=7, time_ms=NOW, usage=Usage(1, output=1),
        key="alice", tags="ci", conversation="c1", trace=trace, charged_ms=NOW,
        ended={
            "dropped": "top_k", "held_nano_usd": 5, "at_default_nano_usd": 5,
            "baselines": encode(Baselines(there, there)),
        },
    )  # fmt: skip
    fields, table, costs = run("requests", "show", request_id).stdout.split("\n\n")
    found = [match[1] for line in fields.splitlines() if (match := re.match(r"(\S+(?: \S+)*)(?:  |$)", line))]
    found += table.splitlines()[0].split()
    found += [re.sub(r"\d+$", "N", costs.split("  ")[0])]
    assert named("router requests show") == found
