"""``router breaker``: what is left alone, listed and reset, with a running server and without."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from router.health.breaker import SavedBreaker
from router.health.cooldowns import SavedCooldown
from router.ledger import health_rows
from router.ledger.health_rows import SavedHealth
from router.profile.home import Home
from router.server.admin import AdminClient
from tests.support import ledgers

LEFT_MS = 1_470_000  # 24 minutes and a half
BEFORE = "it failed before the last restart".split()


def found(run: Any, *arguments: str) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    value: dict[str, Any] = json.loads(result.stdout)
    return value


def keep(home: Home, kept: SavedHealth) -> None:
    """What a server would have left in the ledger."""
    book = ledgers.create(home.database)
    health_rows.save(book, "work", kept)
    book.close()


@pytest.fixture
def ill(home: Home) -> None:
    """The ledger of a server that stopped while a target was failing and two keys were left alone."""
    now = time.time_ns() // 1_000_000
    keep(
        home,
        SavedHealth(
            (
                SavedBreaker(
                    "anthropic", "claude-sonnet-4-5", "env:ANTHROPIC_API_KEY", now + 1_470_000, 1_470_000, 0, now
                ),
            ),
            (
                SavedCooldown("groq", None, "env:GROQ_API_KEY", now + 250_500, 300_000, "quota"),
                SavedCooldown("groq", None, "env:OLD", now - 1, 300_000, "quota"),
                SavedCooldown("openai", None, "env:OPENAI_API_KEY", now + 250_000, 300_000, "auth"),
            ),
        ),
    )


def test_without_a_server_what_the_next_one_leaves_alone_is_listed(run: Any, ill: None) -> None:
    lines = run("breaker", "list").stdout.splitlines()
    assert lines[0].split("  ")[0] == "PROFILE"
    breaker, cooldown = (line.split() for line in lines[1:])
    assert breaker.pop(4).startswith("24m")
    assert cooldown.pop(4).startswith("4m")
    assert breaker == ["work", "anthropic/claude-sonnet-4-5", "env:ANTHROPIC_API_KEY", "open", *BEFORE]
    assert cooldown == ["work", "groq", "env:GROQ_API_KEY", "cooling-down", "quota"]


def test_the_list_as_json(run: Any, ill: None) -> None:
    rows = found(run, "breaker", "list", "work")["breakers"]
    assert [(row["provider"], row["model"], row["state"]) for row in rows] == [
        ("anthropic", "claude-sonnet-4-5", "open"),
        ("groq", None, "cooling-down"),
    ]
    assert rows[0].keys() == {"profile", "provider", "model", "key", "state", "again_s", "reason"}


def test_the_list_fits_a_terminal(run: Any, ill: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.cli.output.terminal_width", lambda: 80)
    assert [line for line in run("breaker", "list").stdout.splitlines() if len(line) > 80] == []


def test_a_reset_without_a_server_changes_what_is_kept(run: Any, ill: None) -> None:
    result = run("breaker", "reset", "work", "anthropic/claude-*")
    assert result.stdout == "anthropic/claude-sonnet-4-5 with env:ANTHROPIC_API_KEY is called again\n"
    assert [row["provider"] for row in found(run, "breaker", "list")["breakers"]] == ["groq"]
    assert found(run, "breaker", "reset", "work") == {"profile": "work", "reset": ["groq with env:GROQ_API_KEY"]}
    assert found(run, "breaker", "list") == {"breakers": []}
    again = run("breaker", "reset", "work", "groq")
    assert (again.exit_code, again.stdout) == (0, "")
    assert "see `router breaker list`" in again.stderr


def test_nothing_left_alone_is_said_beside_the_list(run: Any) -> None:
    result = run("breaker", "list")
    assert result.exit_code == 0
    assert "nothing is left alone" in result.stderr


@pytest.mark.parametrize("arguments", [("list", "wrk"), ("reset", "wrk")])
def test_breakers_of_an_unknown_profile_are_wrong_usage(run: Any, arguments: tuple[str, ...]) -> None:
    result = run("breaker", *arguments)
    assert result.exit_code == 2
    assert 'did you mean "work"?' in result.stderr


def test_a_running_server_is_asked_for_its_breakers(run: Any, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {
        "profile": "work", "provider": "groq", "model": "m", "key": None, "state": "half-open", "again_s": None,
        "reason": "3 of 4 calls failed",
    }  # fmt: skip
    calls: list[tuple[str, str, object]] = []

    def call(
        self: AdminClient, method: str, path: str, body: object = None, *, timeout_s: float = 10.0
    ) -> dict[str, Any]:
        calls.append((method, path, body))
        answers: dict[str, dict[str, Any]] = {
            "/breakers": {"breakers": [row, {**row, "profile": "home"}]},
            "/status": {"profiles": [{"profile": "work"}, {"profile": "home"}]},
            "/breakers/reset": {"reset": ["groq/m"]},
        }
        return answers[path]

    home.socket.touch()
    monkeypatch.setattr(AdminClient, "call", call)
    (line,) = run("breaker", "list", "work").stdout.splitlines()[1:]
    assert line.split() == ["work", "groq/m", "-", "half-open", "now", "3", "of", "4", "calls", "failed"]
    assert run("breaker", "reset", "work", "groq").stdout == "groq/m is called again\n"
    assert calls[-1] == ("POST", "/breakers/reset", {"profile": "work", "pattern": "groq"})
