"""`router profile`: profiles made, shown, halted and removed, with a server and without one."""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from router.cli import background
from router.cli.output import terminal_width
from router.cli.places import Places
from router.cli.profile_log import FOLLOW_S, Place, follow, last_lines
from router.profile.home import Home
from router.server.request_log import rotate
from tests.cli.conftest import add_profile

pytestmark = pytest.mark.slow

DEMO = '[default]\nto = "demo"\n'
RULES = """\
[profile]
description = "daily work"
port = 8999
agent = "claude-code"

[[rule]]
name = "long"
match = "tokens > 100000 and not thinking"
target = "gemini/gemini-3.8-flash"
priority = 5

[[rule]]
match = { background = true }
to = "groq"
model = "llama-3.3-70b-versatile"
fallback = ["anthropic/claude-haiku-5-5"]

[aliases]
fast = { target = "groq/llama-3.3-70b-versatile", pin = true }
best = "anthropic/claude-opus-5-5"

[default]
to = "anthropic"
"""


@pytest.fixture
def server(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    """A server on the home, which has the profiles ``work`` and ``play``."""
    monkeypatch.setenv("ROUTER_PORT", "0")
    add_profile(home, "play", DEMO)
    places = Places(home.path)
    background.spawn(places)
    yield places
    pid = background.stop(places, now=True)
    if pid is not None:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def state(places: Places, name: str) -> str:
    found = background.status(places)
    assert found is not None
    row = found.profile(name)
    assert row is not None
    return str(row["state"])


# --- made -------------------------------------------------------------------------------------------------------------


def test_a_profile_is_made_as_asked(run: Any, home: Home) -> None:
    result = run("profile", "create", "fresh", "-p", "minimax", "--port", "auto", "--agent", "codex")
    assert result.exit_code == 0
    assert "no key for minimax: set MINIMAX_API_KEY" in result.stderr
    assert "No server runs; `router start` starts it." in result.stdout
    profile = Places(home.path).profile("fresh")
    assert (profile.port, profile.agent) == ("auto", "codex")
    assert home.profile("fresh").stat().st_mode & 0o777 == 0o700


def test_a_preset_gets_its_port_and_agent_too(run: Any, home: Home) -> None:
    assert run("profile", "create", "fresh", "--preset", "demo", "--port", "8123", "--agent", "codex").exit_code == 0
    profile = Places(home.path).profile("fresh")
    assert (profile.port, profile.agent) == (8123, "codex")


def test_without_any_key_the_router_itself_answers(run: Any, home: Home) -> None:
    assert "the preset demo" in run("profile", "create", "fresh").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("work", "-p", "groq"), "the profile work exists already"),
        (("Bad Name", "-p", "groq"), "has lower-case letters, digits and -"),
        (("new", "-p", "grok"), 'no provider "grok"; did you mean "groq"?'),
        (("new", "--preset", "fast"), 'no preset "fast"'),
        (("new", "-p", "groq", "--preset", "demo"), "exclude each other"),
        (("new", "--port", "99999"), 'expected a port from 1 to 65535, or "auto", got "99999"'),
        (("new", "-p", "groq", "--agent", "codec"), 'no agent "codec"; did you mean "codex"?'),
        (("new", "--port", "some"), 'expected a port from 1 to 65535, or "auto", got "some"'),
    ],
)
def test_what_cannot_be_made_is_told_and_changes_nothing(
    run: Any, home: Home, arguments: tuple[str, ...], said: str
) -> None:
    before = sorted(home.profiles.rglob("*"))
    result = run("profile", "create", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert sorted(home.profiles.rglob("*")) == before


# --- shown ------------------------------------------------------------------------------------------------------------


def test_show_prints_rules_aliases_default_and_addresses(run: Any, home: Home) -> None:
    add_profile(home, "full", RULES)
    assert run("profile", "show", "full").stdout.splitlines() == [
        "Profile      full",
        "Description  daily work",
        "Enabled      yes",
        "State        stopped",
        "Port         8999",
        "Agent        claude-code",
        "Strategy     first-match",
        "Rules        [long] tokens > 100000 and not thinking -> gemini/gemini-3.8-flash (priority: 5)",
        "             [background] background = true -> groq/llama-3.3-70b-versatile, then anthropic/claude-haiku-5-5 "
        "(priority: 0)",
        "Aliases      fast -> groq/llama-3.3-70b-versatile (pin)",
        "             best -> anthropic/claude-opus-5-5",
        "Default      anthropic",
        "gemini       gemini  https://generativelanguage.googleapis.com/v1beta/models/MODEL:generateContent",
        "             openai-chat  https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
        "groq         openai-chat  https://api.groq.com/openai/v1/chat/completions",
        "             openai-responses  https://api.groq.com/openai/v1/responses",
        "anthropic    anthropic-messages  https://api.anthropic.com/v1/messages",
        f"Folder       {home.profile('full')}",
    ]


def test_show_as_json_has_the_same(run: Any, home: Home) -> None:
    add_profile(home, "full", RULES)
    told = json.loads(run("profile", "show", "full", "--json").stdout)
    assert told["rules"][1] == {
        "name": "background",
        "label": "background → groq",
        "condition": "background = true",
        "target": "groq/llama-3.3-70b-versatile",
        "fallback": ["anthropic/claude-haiku-5-5"],
        "priority": 0,
    }
    assert told["aliases"]["fast"] == {"target": "groq/llama-3.3-70b-versatile", "pin": True}
    assert (told["port"], told["enabled"], told["default"]) == (8999, True, "anthropic")


def test_list_shows_broken_ones_too(run: Any, home: Home) -> None:
    add_profile(home, "bad", "nonsense =")
    rows = {row["profile"]: row for row in json.loads(run("profile", "list", "--json").stdout)["profiles"]}
    assert (rows["work"]["state"], rows["work"]["rules"], rows["work"]["providers"]) == (
        "stopped",
        3,
        ["anthropic", "groq"],
    )
    assert rows["bad"]["rules"] is None
    assert "bad      stopped" in run("profile", "list").stdout


@pytest.mark.parametrize("verb", ["show", "status", "logs", "start", "stop", "restart", "enable", "disable", "remove"])
def test_a_profile_that_is_not_there_is_told(run: Any, home: Home, verb: str) -> None:
    result = run("profile", verb, "wrok")
    assert result.exit_code == 2
    assert result.stderr == f'router: no profile "wrok" in {home.profiles}; did you mean "work"?\n'


# --- without a server -------------------------------------------------------------------------------------------------


def test_disabling_needs_no_server(run: Any, home: Home) -> None:
    result = run("profile", "disable", "work")
    assert (result.exit_code, result.stdout) == (0, "work is disabled.\n")
    assert "the next one will know" in result.stderr
    assert "Enabled    no" in run("profile", "show", "work").stdout
    assert re.search(r"work +- +- +- +disabled", run("status").stdout)
    assert run("profile", "enable", "work").exit_code == 0
    assert Places(home.path).reader.disabled() == set()


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_starting_a_profile_without_a_server_says_how_to_start_that(run: Any, verb: str) -> None:
    result = run("profile", verb, "work")
    assert result.exit_code == 1
    assert "no router runs on this home; `router start` starts it" in result.stderr


def test_stopping_without_a_server_is_no_failure(run: Any) -> None:
    assert run("profile", "stop", "work").exit_code == 0
    assert run("profile", "stop-all").exit_code == 0
    assert json.loads(run("profile", "stop-all", "--json").stdout) == {"stopped": []}


def test_removing_keeps_the_folder_aside_or_not(run: Any, home: Home) -> None:
    (home.profile("work") / ".env").write_text("KEY=1")
    result = run("profile", "remove", "work")
    aside = Path(result.stdout.split(" is now ", 1)[1].strip().removesuffix("."))
    assert (aside / ".env").read_text() == "KEY=1"
    assert aside.parent == home.path / "removed"
    assert aside.parent.stat().st_mode & 0o777 == 0o700
    assert not home.profile("work").exists()

    add_profile(home, "work", DEMO)
    assert run("profile", "remove", "work", "--delete").stdout == "Removed work; its folder is deleted.\n"
    assert list(aside.parent.iterdir()) == [aside]


# --- with a server ----------------------------------------------------------------------------------------------------


def test_the_life_of_a_profile(run: Any, server: Places) -> None:
    served = run("profile", "status", "play")
    assert served.exit_code == 0
    assert re.fullmatch(r"play is running at http://127\.0\.0\.1:\d+/play\.\n", served.stdout)

    assert run("profile", "stop", "play").stdout == "play is stopped.\n"
    assert (state(server, "play"), state(server, "work")) == ("stopped", "running")
    assert run("profile", "status", "play").exit_code == 1
    assert run("profile", "start", "play").exit_code == 0
    assert json.loads(run("profile", "restart", "play", "--json").stdout)["restarts"] == 2

    assert run("profile", "disable", "play", "--now").stdout == "play is disabled.\n"
    refused = run("profile", "start", "play")
    assert (refused.exit_code, refused.stderr) == (
        1,
        "router: profile play is disabled; `router profile enable play` changes that\n",
    )
    assert run("profile", "enable", "play").exit_code == 0
    assert run("profile", "stop-all").stdout == "play is stopped.\nwork is stopped.\n"
    assert run("profile", "status").exit_code == 0, "the server runs"

    assert "It is served at http://127.0.0.1:" in run("profile", "create", "new", "--preset", "demo").stdout
    assert state(server, "new") == "running"
    assert run("profile", "remove", "new").exit_code == 0
    assert background.status(server).profile("new") is None  # type: ignore[union-attr]


def test_a_profile_that_cannot_be_served_is_status_1_with_the_reason(run: Any, server: Places) -> None:
    add_profile(server.home, "bad", "nonsense =")
    result = run("profile", "start", "bad")
    assert (result.exit_code, result.stdout) == (1, "bad is down.\n")
    assert "profiles/bad/routing.toml:1" in result.stderr


@pytest.mark.parametrize(
    "arguments", [("status",), ("profile", "status"), ("profile", "list"), ("profile", "show", "work")], ids=" ".join
)
def test_its_tables_fit_a_terminal_and_are_whole_in_a_pipe(
    run: Any, server: Places, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    name = "a-profile-with-a-rather-long-name-of-its-own"
    add_profile(server.home, name, f'[profile]\ndescription = "{"many words " * 10}"\nport = "auto"\n{DEMO}')
    server.server.call("POST", "/reload")
    piped = run(*arguments).stdout
    assert "…" not in piped
    assert "\x1b" not in piped
    assert terminal_width() is None
    monkeypatch.setattr("router.cli.output.terminal_width", lambda: 80)
    assert [line for line in run(*arguments).stdout.splitlines() if len(line) > 80 and "/" not in line] == []


# --- logs -------------------------------------------------------------------------------------------------------------


def test_logs_prints_the_last_lines(run: Any, home: Home) -> None:
    assert "work had no request yet" in run("profile", "logs", "work").stderr
    log = home.logs / "work.log"
    log.write_text("".join(f"line {number}\n" for number in range(60)))
    assert run("profile", "logs", "work").stdout.splitlines() == [f"line {number}" for number in range(10, 60)]
    assert run("profile", "logs", "work", "--lines", "2").stdout == "line 58\nline 59\n"
    rotate(log)
    log.write_text("line 60\n")
    assert run("profile", "logs", "work", "--lines", "2").stdout == "line 59\nline 60\n"
    assert run("profile", "logs", "work", "--lines", "0").stdout == ""


def test_following_goes_on_over_rotations(tmp_path: Path) -> None:
    log = tmp_path / "work.log"
    lines: list[str] = []
    expected: list[str] = []
    done = threading.Event()

    def caught_up() -> None:
        until = time.monotonic() + 20
        while len(lines) < len(expected) and time.monotonic() < until:
            time.sleep(0.01)

    found, place = last_lines(log, 10)
    assert (found, place) == ([], Place(0, 0))
    reader = threading.Thread(
        target=follow, args=(log, place, lines.append), kwargs={"going": lambda: not done.is_set()}
    )
    reader.start()
    try:
        for number in range(30):
            with log.open("a") as file:
                file.write(f"line {number}\nhalf of ")
                file.flush()
                time.sleep(FOLLOW_S / 10)
                file.write(f"line {number}\n")
            expected += [f"line {number}", f"half of line {number}"]
            if number % 10 == 9:
                caught_up()  # rotated at most once between two looks
                rotate(log)
        caught_up()
    finally:
        done.set()
        reader.join()
    assert lines == expected
