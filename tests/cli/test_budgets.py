"""Budgets in the terminal, without a server: as the ledger has them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from router.profile.home import Home
from tests.cli.conftest import FIRST_FILE, Book, Run, add_profile

BUDGET = """
[routing]
timezone = "Europe/Berlin"
[budget]
daily-usd = 20
monthly-usd = 300
"""


@pytest.fixture
def budgeted(home: Home) -> Home:
    add_profile(home, "paid", FIRST_FILE + BUDGET)
    book = Book(home)
    book.add(profile="paid", time_ms=time.time_ns() // 1_000_000, cost=3_200_000_000)
    return home


def found(run: Run, *args: str) -> Any:
    return json.loads(run(*args, "--json").stdout)


@pytest.mark.usefixtures("budgeted")
def test_usage_ends_with_how_the_budget_stands(run: Run) -> None:
    last = run("usage", "--profile", "paid").stdout.rstrip().splitlines()[-1]
    assert last.startswith("Budget: $3.20 of $20.00 today (16 %), resets 00:00; $3.20 of $300.00 this month (1 %), ")
    assert "Budget" not in run("usage", "--profile", "work").stdout
    day, month = found(run, "usage", "--profile", "paid")["budgets"]
    assert (day["profile"], day["budget"], day["period"], day["spent_usd"]) == ("paid", "profile", "day", 3.2)
    assert (month["limit_nano_usd"], month["reserved_nano_usd"]) == (300 * 10**9, 0)


@pytest.mark.usefixtures("budgeted")
def test_a_profile_shows_its_budget(run: Run) -> None:
    assert "Budget: $3.20 of $20.00 today" in run("profile", "show", "paid").stdout
    assert len(found(run, "profile", "show", "paid")["budgets"]) == 2
    assert found(run, "profile", "show", "work")["budgets"] == []


@pytest.mark.usefixtures("budgeted")
def test_a_key_of_a_profile_has_a_line_of_its_own(run: Run) -> None:
    run("key", "create", "paid", "--name", "ci", "--daily-usd", "2")
    assert "Budget of key ci: $0.00 of $2.00 today (0 %), resets 00:00" in run("usage", "--profile", "paid").stdout


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        pytest.param('daily-usd = 20\nmode = "strict"', "reserves $", id="it fits"),
        pytest.param("daily-usd = 3.2", "the budget of the profile for the day doesn't allow it", id="it is spent"),
        pytest.param(
            'daily-usd = 3\non-exceed = "degrade"\ndegrade-to = "groq/x"',
            "Goes to groq/x and nowhere else",
            id="it degrades",
        ),
        pytest.param('daily-usd = 3\non-exceed = "warn"', "reserves $", id="it only warns"),
    ],
)
def test_explain_tells_what_a_budget_would_say(
    budget: str, said: str, run: Run, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")
    add_profile(home, "paid", f"{FIRST_FILE}\n[budget]\n{budget}\n")
    Book(home).add(profile="paid", time_ms=time.time_ns() // 1_000_000, cost=3_200_000_000)
    told = " ".join(run("explain", "paid", "--tokens", "5000", "--max-tokens", "1000").stdout.split())
    assert said in told
