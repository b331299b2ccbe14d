"""``router usage import``: an agent's own logs in the report."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from router.profile.home import Home
from tests.cli.conftest import Book
from tests.importing.test_claude_code_logs import NOON_MS, SESSION, line, log

SONNET = (3 * 3_000 + 40 * 300 + 10 * 15_000) / 1e9  # USD, by the price table of 2025


@pytest.fixture
def claude(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The agent's folder, with two calls in it."""
    folder = tmp_path / "claude"
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(folder))
    log(folder, line(), line(), line("msg_2", second=5, message={"model": "claude-unheard-of"}))
    return folder


def report(run: Any, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        run("usage", "--profile", "unrouted", "--by", "model", *arguments, "--json").stdout
    )
    return found


def test_calls_come_into_the_report_once(run: Any, claude: Path) -> None:
    result = run("usage", "import", "claude-code")
    assert result.exit_code == 0, result.output
    assert "2 calls of 1 log came in as unrouted." in result.stdout
    assert "don't say how they were paid" in result.stdout
    rows = {row["model"]: row for row in report(run)["rows"]}
    assert float(rows["claude-sonnet-4-5"]["cost_usd"]) == pytest.approx(SONNET)
    assert rows["claude-sonnet-4-5"]["tokens_in"] == 43
    assert rows["claude-unheard-of"]["cost_usd"] is None
    again = json.loads(run("usage", "import", "claude-code", "--json").stdout)
    assert (again["new"], again["known"]) == (0, 2)
    assert report(run)["total"]["requests"] == 2
    (label,) = {row["rule"] for row in json.loads(run("usage", "--profile", "unrouted", "--json").stdout)["rows"]}
    assert label == "(unrouted) → anthropic"


def test_a_subscriptions_calls_are_value_and_no_cost(run: Any, claude: Path) -> None:
    run("usage", "import", "claude-code", "--billing", "subscription")
    rows = {row["model"]: row for row in report(run)["rows"]}
    assert float(rows["claude-sonnet-4-5"]["cost_usd"]) == 0
    assert float(rows["claude-sonnet-4-5"]["value_usd"]) == pytest.approx(SONNET)


def test_sessions_that_went_through_the_router_are_left_out(run: Any, claude: Path, book: Book) -> None:
    book.add(time_ms=NOON_MS, conversation=f"{SESSION}/a1")
    log(claude, line("msg_3", sessionId="other"), name="other.jsonl")
    told = json.loads(run("usage", "import", "claude-code", "--json").stdout)
    assert (told["new"], told["routed"]) == (1, 2)
    assert "left out" in run("usage", "import", "claude-code").stdout


def test_nothing_that_was_said_is_kept(run: Any, claude: Path, home: Home) -> None:
    run("usage", "import", "claude-code")
    with sqlite3.connect(home.database) as connection:
        assert "never kept" not in "\n".join(connection.iterdump())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["claude-code", "--profile", "work"], "work is a profile"),
        (["claude-code", "--profile", "Bad Name"], "lower-case"),
        (["claude-code", "--folder", "nowhere"], "no logs of Claude Code in nowhere/projects"),
        (["codex"], "codex"),
    ],
)
def test_what_cannot_be_imported_is_one_line(run: Any, claude: Path, arguments: list[str], said: str) -> None:
    result = run("usage", "import", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.output
