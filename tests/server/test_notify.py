"""``[budget] notify``: a command that hears of spent shares."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.answers import message
from tests.support.provider import whole
from tests.support.targets import QUICK, Targets, targets

NOON = 1_795_176_000_000  # 2026-11-20 12:00 UTC
DAY = 24 * 3_600_000

# Appends what it is told as a line of JSON.
PROGRAM = """
import json, os, sys
told = {name[14:].lower(): value for name, value in os.environ.items() if name.startswith("ROUTER_BUDGET_")}
with open(sys.argv[1], "a") as file:
    file.write(json.dumps(told) + chr(10))
"""


def settings(command: list[str], more: str = "") -> str:
    """A budget of ten cents; every answer costs one."""
    return f"{QUICK}[budget]\ndaily-usd = 0.1\nnotify = {json.dumps(command)}\n{more}\n"


def program(tmp_path: Path, text: str = PROGRAM) -> list[str]:
    (tmp_path / "notify.py").write_text(text)
    return [sys.executable, str(tmp_path / "notify.py"), str(tmp_path / "told")]


def a_cent(received: object) -> Any:
    return whole({**message("m"), "usage": {"input_tokens": 0, "output_tokens": 1000}})


async def quiet(world: Targets) -> None:
    """Wait until no command runs."""
    [tenant] = world.router.app.tenants
    while tenant.spending.alarm._running is not None and not tenant.spending.alarm._running.done():
        await asyncio.sleep(0.01)


async def spend(world: Targets, cents: int) -> None:
    world.one.answer = a_cent
    for _ in range(cents):
        assert (await world.ask()).status == 200
        await quiet(world)


def told(tmp_path: Path) -> list[dict[str, str]]:
    file = tmp_path / "told"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


async def test_each_share_is_told_once_in_a_window_and_not_again_after_a_restart(tmp_path: Path) -> None:
    now = NOON
    text = settings(program(tmp_path))
    async with targets(tmp_path / "home", text, count=1, clock=lambda: now) as world:
        await spend(world, 4)
        assert told(tmp_path) == []
        await spend(world, 1)
        assert told(tmp_path) == [
            {
                "profile": "work",
                "scope": "profile",
                "period": "day",
                "share": "0.5",
                "spent_usd": "0.050000000",
                "limit_usd": "0.100000000",
                "resets": "2026-11-21T00:00:00+00:00",
            }
        ]
        await spend(world, 2)
    async with targets(tmp_path / "home", text, count=1, clock=lambda: now) as world:
        await spend(world, 1)
        assert [each["share"] for each in told(tmp_path)] == ["0.5", "0.8"]
        now += DAY
        await spend(world, 5)
        assert [each["share"] for each in told(tmp_path)] == ["0.5", "0.8", "0.5"]


async def test_of_several_shares_that_are_passed_at_once_the_highest_is_told(tmp_path: Path) -> None:
    text = settings(program(tmp_path), "notify-at = [0.02, 0.04, 0.1, 1.0]")
    async with targets(tmp_path / "home", text, count=1) as world:
        await spend(world, 1)
    assert [each["share"] for each in told(tmp_path)] == ["0.1"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("raise SystemExit(3)", "ended with status 3", id="it fails"),
        pytest.param(None, "can't be started: No such file or directory", id="it isn't there"),
    ],
)
async def test_a_command_that_fails_is_a_problem(text: str | None, problem: str, tmp_path: Path) -> None:
    command = ["/nowhere/at-all"] if text is None else program(tmp_path, text)
    async with targets(tmp_path / "home", settings(command, "notify-at = 0.05"), count=1) as world:
        await spend(world, 1)
        [tenant] = world.router.app.tenants
        [line] = tenant.problem_lines()
        assert line.startswith("[budget] notify: ")
        assert line.endswith(problem)


@pytest.mark.slow
async def test_a_command_that_hangs_is_ended_and_nobody_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.server.alarm.RUN_S", 0.2)
    command = program(tmp_path, "import time; time.sleep(60)")
    async with targets(tmp_path / "home", settings(command, "notify-at = 0.05"), count=1) as world:
        await spend(world, 1)
        [tenant] = world.router.app.tenants
        assert tenant.problem_lines()[0].endswith("took longer than 0.2 s and was ended")


async def test_a_file_that_others_can_change_runs_nothing(tmp_path: Path) -> None:
    async with targets(tmp_path / "home", settings(program(tmp_path), "notify-at = 0.05"), count=1) as world:
        (world.router.app.home.profiles / "work" / "routing.toml").chmod(0o666)
        await spend(world, 1)
        [tenant] = world.router.app.tenants
        assert tenant.problem_lines()
    assert told(tmp_path) == []
