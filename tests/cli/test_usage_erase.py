"""``router usage erase`` without a server: who is asked, what goes, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from router.cli import usage_erase
from router.ledger.lock import HomeLock
from router.ledger.reports import Reader
from router.profile.home import Home
from router.server import client_keys
from router.wire.usage import Usage
from tests.cli.conftest import add_profile

DAY_MS = 86_400_000
OLD = 1_763_476_200_000  # 18 Nov 2025
BUDGET = '[budget]\ndaily-usd = 5\n[default]\nto = "anthropic"\nmodel = "claude-haiku-4-5"\n'


@pytest.fixture
def recorded(book: Any, home: Home) -> None:
    """Four requests of ``work``, a day each, one of ``home``, and logs of both."""
    add_profile(home, "home", '[default]\nto = "groq"\nmodel = "m"\n')
    for number in range(4):
        book.add(time_ms=OLD + number * DAY_MS, key="alice", usage=Usage(10), cost=2_000_000_000)
    book.add(time_ms=OLD, profile="home", cost=1)
    for name in ("work", "home"):
        client_keys.create(book.connection, profile=name, name=name, daily_usd=None)
    home.logs.mkdir(exist_ok=True)
    for number, file in enumerate(("work.log", "work.log.1", "home.log")):
        lines = [f"2025-11-{18 + number + day:02}T14:30:00.000Z id={day} profile=x\n" for day in (0, 1)]
        (home.logs / file).write_text("".join(lines))


def left(home: Home) -> dict[str, int]:
    reader = Reader(home.database)
    return {name: reader.by_rule(name).total.sums.requests for name in ("work", "home")}


def test_everything_of_a_profile_goes_but_the_profile(run: Any, recorded: None, home: Home) -> None:
    result = run("usage", "erase", "work", "--yes")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        "Erased 4 requests of work, $8.00.\nNothing of it is left in the ledger's files.\n"
    )  # fmt: skip
    assert left(home) == {"work": 0, "home": 1}
    assert sorted(path.name for path in home.logs.iterdir()) == ["home.log"]
    assert {key.name for key in Reader(home.database).client_keys()} == {"work", "home"}
    assert run("usage", "erase", "work", "--yes").stdout.startswith("Erased 0 requests of work, $0.00.\n")


def test_only_what_is_older_than_a_moment_goes(run: Any, recorded: None, home: Home) -> None:
    told = json.loads(run("usage", "erase", "work", "--before", "2025-11-20", "--yes", "--json").stdout)
    assert told == {
        "profile": "work", "before": "2025-11-20T00:00:00+00:00", "requests": 2, "rows": 2, "under_way": 0,
        "gone": False, "rewritten": True, "emptied": True, "problem": None,
    }  # fmt: skip
    assert left(home) == {"work": 2, "home": 1}
    assert not (home.logs / "work.log").exists()
    assert (home.logs / "work.log.1").read_text() == "2025-11-20T14:30:00.000Z id=1 profile=x\n"
    assert (home.logs / "work.log.1").stat().st_mode & 0o777 == 0o600
    assert len((home.logs / "home.log").read_text().splitlines()) == 2
    said = run("usage", "erase", "work", "--before", "2025-11-21", "--yes").stdout
    assert said.startswith("Erased 1 request of work until 20 Nov 2025, $2.00.\n")


def test_a_profile_that_is_gone_takes_its_keys_along(run: Any, recorded: None, home: Home) -> None:
    (home.profiles / "work" / "routing.toml").unlink()
    (home.profiles / "work").rmdir()
    assert "its client keys and its port are erased, too" in run("usage", "erase", "work", "--yes").stdout
    assert [key.name for key in Reader(home.database).client_keys()] == ["home"]
    assert run("usage", "erase", "work", "--yes").exit_code == 2, "there is no trace of it"


def test_a_profile_that_another_folder_lacks_is_not_gone(run: Any, recorded: None, home: Home, tmp_path: Path) -> None:
    (tmp_path / "others").mkdir()
    result = run("usage", "erase", "work", "--yes", "--profiles", str(tmp_path / "others"))
    assert "client keys" not in result.stdout
    assert {key.name for key in Reader(home.database).client_keys()} == {"work", "home"}


def test_nothing_goes_unasked(run: Any, recorded: None, home: Home) -> None:
    result = run("usage", "erase", "work")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--yes" in result.stderr
    assert left(home) == {"work": 4, "home": 1}


@pytest.mark.parametrize(("answer", "requests"), [("y\n", 0), ("n\n", 4), ("\n", 4), ("", 4)])
def test_at_a_terminal_a_person_is_asked(
    recorded: None, home: Home, monkeypatch: pytest.MonkeyPatch, answer: str, requests: int
) -> None:
    from click.testing import CliRunner

    from router.cli.main import cli

    monkeypatch.setattr(usage_erase, "can_ask", lambda: True)
    result = CliRunner().invoke(cli, ["usage", "erase", "work", "--home", str(home.path)], input=answer)
    assert result.exit_code == (0 if requests == 0 else 130)
    assert result.stderr.startswith(
        "4 requests of work, $8.00: to be erased for good, with their calls, their sums and the log.\n"
        "`router usage export work FILE` keeps a copy.\nErase them? [y/N]: "
    )
    assert left(home)["work"] == requests


def test_of_a_budget_it_is_said_that_it_may_be_spent_again(run: Any, recorded: None, home: Home) -> None:
    (home.profiles / "work" / "routing.toml").write_text(BUDGET)
    assert "what was erased may be spent again" in run("usage", "erase", "work", "--yes").stdout
    assert "spent again" not in run("usage", "erase", "home", "--yes").stdout


def test_a_server_that_is_about_to_start_keeps_the_ledger(run: Any, recorded: None, home: Home) -> None:
    with HomeLock(home.lock):
        assert run("usage", "erase", "work", "--yes").exit_code == 4
    assert left(home)["work"] == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("wrok", "--yes"), 'did you mean "work"?'),
        (("work", "--before", "soon", "--yes"), "expected one such as"),
        (("../work", "--yes"), 'no profile "../work"'),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    run: Any, recorded: None, home: Home, arguments: tuple[str, ...], said: str
) -> None:
    result = run("usage", "erase", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert left(home) == {"work": 4, "home": 1}


def test_without_a_ledger_there_is_nothing_to_erase(run: Any, home: Home) -> None:
    result = run("usage", "erase", "work", "--yes")
    assert (result.exit_code, "there is no ledger" in result.stderr) == (2, True)
    assert not Path(home.database).exists()
