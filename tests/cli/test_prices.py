"""``router prices``: the table in force, a newer one from an installed package, and back."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from router.money import exporting
from router.money.prices import PriceTable
from router.profile.home import Home

SHIPPED = PriceTable.load()


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> str:
    """A later version of genai-prices is installed, with one price that moved."""
    monkeypatch.setattr(exporting, "providers", exporting.providers[:2])  # the others take time
    models = exporting.providers[0].models
    name = f"{exporting.providers[0].id}/{models[0].id}"
    real = exporting._model

    def model(each: Any) -> dict[str, Any]:
        made = real(each)
        return made | {"prices": {"input": 1, "output": 2}} if each is models[0] else made

    monkeypatch.setattr(exporting, "_model", model)
    installed(monkeypatch, "99.1")
    return name


def installed(monkeypatch: pytest.MonkeyPatch, number: str) -> None:
    monkeypatch.setattr(exporting, "version", lambda name: number)
    monkeypatch.setattr("router.cli.prices.version", lambda name: number)


def shown(run: Any, *arguments: str) -> dict[str, Any]:
    result = run("prices", *arguments, "--json")
    assert result.exit_code == 0, result.output
    value: dict[str, Any] = json.loads(result.stdout)
    return value


def test_the_tables_state_is_shown(run: Any) -> None:
    state = shown(run)
    assert (state["version"], state["shipped"], state["problems"]) == (SHIPPED.version, True, [])
    assert state["age_days"] == max(0, (datetime.now(UTC).date() - SHIPPED.date).days)
    assert state["latest_change"]["date"] <= datetime.now(UTC).date().isoformat()
    lines = run("prices").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["Table", "Exported", "Newest", "Models"]
    assert lines[0].endswith(f"{SHIPPED.version}, shipped")


def test_a_newer_package_is_taken_and_given_back(run: Any, home: Home, newer: str) -> None:
    assert "99.1 is installed beside the router: `router prices refresh`" in run("prices").stderr
    told = shown(run, "refresh")
    assert (told["prices"], told["before"]) == ("genai-prices 99.1", SHIPPED.version)
    assert (told["added"], told["repriced"]) == ([], [newer])
    assert home.prices_file.stat().st_mode & 0o777 == 0o600
    state = shown(run)
    assert (state["version"], state["shipped"], state["installed"]) == ("genai-prices 99.1", False, None)
    assert str(home.prices_file) in run("prices").stdout
    assert shown(run, newer)["source"] == "genai-prices 99.1"
    assert "there is nothing newer" in run("prices", "refresh").stdout
    back = run("prices", "refresh", "--undo")
    assert "the shipped prices hold" in back.stdout
    assert not home.prices_file.exists()
    assert shown(run)["version"] == SHIPPED.version
    assert "hold already" in run("prices", "refresh", "--undo").stdout


def test_what_moved_is_told_in_words(run: Any, newer: str) -> None:
    lines = run("prices", "refresh").stdout.splitlines()
    assert lines[0].startswith(f"genai-prices 99.1 is in force, {SHIPPED.version} was")
    assert lines[1] == "0 models added"
    assert lines[2].split()[1:3] == ["models", "gone:"]
    assert lines[2].endswith(", …")
    assert lines[3] == f"1 model with other prices: {newer}"


@pytest.mark.slow
@pytest.mark.parametrize("number", ["0.0.1", SHIPPED.version.split()[1]])
def test_nothing_older_is_taken(run: Any, home: Home, monkeypatch: pytest.MonkeyPatch, number: str) -> None:
    installed(monkeypatch, number)
    assert "installed beside" not in run("prices").stderr
    assert "there is nothing newer" in run("prices", "refresh").stdout
    assert not home.prices_file.exists()


def test_without_the_package_it_is_told_what_to_install(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "router.money.exporting")
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    result = run("prices", "refresh")
    assert result.exit_code == 2
    assert f"genai-prices isn't installed beside the router; install a newer one into {sys.prefix}" in result.stderr


def test_a_package_of_another_make_is_told_and_changes_nothing(
    run: Any, home: Home, newer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def model(each: Any) -> dict[str, Any]:
        raise AttributeError("'ModelInfo' object has no attribute 'prices'")

    monkeypatch.setattr(exporting, "_model", model)
    result = run("prices", "refresh")
    assert result.exit_code == 2
    assert "genai-prices 99.1 is not as this router knows it: 'ModelInfo' object has no" in result.stderr
    assert not home.prices_file.exists()


def test_a_file_that_is_ignored_is_told_everywhere(run: Any, home: Home) -> None:
    home.prices_file.write_text("{")
    said = "prices.json: is no price table"
    assert said in run("prices").stderr
    assert shown(run)["problems"][0].startswith(said)
    assert said in run("check").stdout + run("check").stderr
    findings = json.loads(run("doctor", "--json").stdout)["findings"]
    (finding,) = [each for each in findings if each["about"] == "prices"]
    assert finding["rank"] == "warning"
    assert finding["text"].startswith(said)


def test_old_prices_are_told(run: Any, home: Home) -> None:
    old = {"source": "genai-prices", "version": "99.0", "date": "2026-01-05", "providers": {}}
    home.prices_file.write_text(json.dumps(old))
    for command in ("prices", "check"):
        stderr = run(command).stderr
        assert "the prices (genai-prices 99.0) are " in stderr, command
        assert "days old: update the router, or see `router prices refresh`" in stderr, command
    findings = json.loads(run("doctor", "--json").stdout)["findings"]
    (finding,) = [each for each in findings if each["about"] == "prices"]
    assert finding["rank"] == "warning"


def test_todays_prices_are_nothing_to_tell_of(run: Any, home: Home) -> None:
    fresh = {"source": "genai-prices", "version": "99.0", "date": "2999-01-05", "providers": {}}
    home.prices_file.write_text(json.dumps(fresh))
    assert "days old" not in run("check").stderr
    findings = json.loads(run("doctor", "--json").stdout)["findings"]
    assert [each["text"] for each in findings if each["about"] == "prices"] == ["genai-prices 99.0 of 2999-01-05"]
