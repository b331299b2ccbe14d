"""``router usage --savings``: what the requests of each row would have cost elsewhere."""

from __future__ import annotations

import csv
import io
import json
import time
from typing import Any

import click
import pytest

from router.cli import usage_tables
from router.profile.home import Home
from router.wire.usage import Usage
from tests.cli.test_usage import hashes

NOW = time.time_ns() // 1_000_000
CENT = 10_000_000


def compared(default: int | None, requested: int | None = None, **more: Any) -> dict[str, Any]:
    return {"at_default_nano_usd": default, "at_requested_nano_usd": requested, **more}


@pytest.fixture
def moved(home: Home, book: Any) -> None:
    """Requests that were cheaper than at the default, dearer, thrown away in part, failed, and not comparable."""
    rules = hashes(home)
    tools, short, _, default = (
        {"time_ms": NOW, "rule": label, "rule_hash": rule_hash} for label, rule_hash in rules.items()
    )
    usage = Usage(200, 700, 100, output=50)
    for _ in range(3):
        book.add(**short, usage=usage, cost=10 * CENT, ended=compared(40 * CENT, 90 * CENT))
    book.add(**short, usage=usage, cost=10 * CENT)  # no price at either
    book.add(**tools, usage=usage, cost=70 * CENT, ended=compared(20 * CENT, 200 * CENT))
    lost = {"cache_lost": 5_000, "cache_lost_nano_usd": 3 * CENT}
    book.add_drafted(
        "rejected", saving=-CENT, draft_cost=CENT, cost=50 * CENT, usage=usage, lost=5_000, worth=3 * CENT, **tools
    )
    book.add(**default, usage=usage, cost=CENT, ended=compared(CENT, None, **lost))
    book.add(**default, cost=None, outcome="upstream-error")


def test_savings_are_shown_with_losses_and_what_is_not_known(run: Any, moved: None) -> None:
    compared_, causes = run("usage", "--profile", "work", "--by-rule", "--savings").stdout.split("\n\n")
    assert compared_.splitlines()[0].split() == "RULE COST AT DEFAULT SAVED AT REQUESTED SAVED".split()
    cells = {line[:27].strip(): line[27:].split("  ") for line in compared_.splitlines()[1:]}
    shown = {rule: [cell.strip() for cell in row if cell.strip()] for rule, row in cells.items()}
    assert shown["tool-use → anthropic"] == ["$1.21", "$0.20 + ?", "-$0.50 + ?", "$2.00 + ?", "$1.30 + ?"]
    assert shown["input-tokens-lt → groq"] == ["$0.40", "$1.20 + ?", "$0.90 + ?", "$2.70 + ?", "$2.40 + ?"]
    assert shown["input-tokens-gt → anthropic"] == ["$0.00"] * 5
    assert shown["default → anthropic"] == ["$0.01 + ?", "$0.01", "$0.00", "?", "?"]
    assert shown["TOTAL"] == ["$1.62 + ?", "$1.41 + ?", "$0.40 + ?", "$4.70 + ?", "$3.70 + ?"]
    lines = causes.splitlines()
    assert lines[0].split() == "RULE REQUESTS CACHE WASTE THROWN AWAY".split()
    assert lines[1].split()[-4:] == ["2", "70%", "$0.01", "$0.03"]
    assert lines[3].split()[-4:] == ["0", "-", "$0.00", "$0.00"]
    assert lines[-1] == "AT DEFAULT compares 5 of 8 requests (1 failed), AT REQUESTED 4."


def test_savings_fit_a_terminal_of_80_columns(run: Any, moved: None, terminal: None) -> None:
    result = run("usage", "--profile", "work", "--by-rule", "--savings")
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "-$0.50 + ?" in result.stdout


def test_a_loss_is_red(run: Any, moved: None, home: Home) -> None:
    from router.cli.places import Places
    from router.ledger.reports import Scope

    scope, _ = Places(home.path).scope("work")
    assert isinstance(scope, Scope)
    report = Places(home.path).reader.usage([scope])
    saved = {row.keys[0]: usage_tables._saved_at_default(row, report.total) for row in report.rows}
    assert saved["tool-use → anthropic"] == click.style("-$0.50 + ?", fg="red")
    assert saved["input-tokens-lt → groq"] == "$0.90 + ?"


def test_the_numbers_are_in_json_and_csv(run: Any, moved: None) -> None:
    report = json.loads(run("usage", "--profile", "work", "--savings", "--json").stdout)
    names = (
        "at_default_requests", "at_default_usd", "at_default_paid_usd", "at_default_saved_usd", "at_requested_requests",
        "at_requested_usd", "at_requested_paid_usd", "at_requested_saved_usd", "cache_read_share", "wasted_usd",
        "wasted_unknown", "cache_switches", "cache_lost", "cache_lost_usd", "cache_lost_unknown",
    )  # fmt: skip
    shown = {row["rule"]: tuple(row[name] for name in names) for row in report["rows"]}
    assert shown["tool-use → anthropic"] == (
        1, 0.2, 0.7, -0.5, 1, 2.0, 0.7, 1.3, 0.7, 0.01, 0, 1, 5000, 0.03, 0,
    )  # fmt: skip
    assert shown["default → anthropic"][:8] == (1, 0.01, 0.01, 0.0, 0, None, None, None)
    assert tuple(report["total"][name] for name in names[:4]) == (5, 1.41, 1.01, 0.4)
    row = next(csv.DictReader(io.StringIO(run("usage", "--profile", "work", "--savings", "--csv").stdout)))
    assert row["at_default_saved_usd"] == "-0.5"
    assert "requests_command" not in row
    plain = json.loads(run("usage", "--profile", "work", "--json").stdout)["rows"][0]
    assert not set(names) & set(plain)


@pytest.mark.parametrize("by", ["model", "day,client", "tag", "conversation"])
def test_any_report_has_them(run: Any, moved: None, by: str) -> None:
    report = json.loads(run("usage", "--by", by, "--savings", "--json").stdout)
    assert report["total"]["at_default_saved_usd"] == 0.4
    assert "AT DEFAULT compares 5 of 8" in run("usage", "--by", by, "--savings", "--detail").stdout


def test_where_nothing_was_compared_a_question_mark_stands(run: Any, book: Any) -> None:
    book.add(time_ms=NOW, usage=Usage(1, output=1), cost=CENT)
    text = run("usage", "--by", "client", "--savings").stdout
    assert text.splitlines()[1].split() == ["claude-code", "$0.01", "?", "?", "?", "?"]
    assert "AT DEFAULT compares 0 of 1 request, AT REQUESTED 0." in text
