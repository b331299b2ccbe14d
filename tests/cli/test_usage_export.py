"""``router usage export``: every row of one profile, none of another, whole or not at all."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from router.ledger import exporting
from router.ledger.belongings import HEALTH, RULES, STANDING, SUMS
from router.ledger.reports import Reader
from router.profile.home import Home
from router.server import client_keys
from router.wire.usage import Usage

DAY_MS = 86_400_000
NOW = 1_763_476_200_000


@pytest.fixture
def recorded(book: Any) -> dict[str, str]:
    """A year of ``work`` and some of ``home``; the keys that they were made with."""
    for number in range(25):
        book.add(
            time_ms=NOW - number * 15 * DAY_MS, key="alice", tags="=cmd ci", usage=Usage(10, output=number),
            cost=number, facts='{"tools": 2}', conversation=f"c{number}",
        )  # fmt: skip
        book.add(time_ms=NOW - number, profile="home", key="bob")
    book.add_drafted("rejected", score=0.5, saving=-7, draft_cost=7, cost=9, time_ms=NOW)
    book.add(time_ms=NOW, settled=False)
    made = {
        name: client_keys.create(book.connection, profile=name, name=name, daily_usd=5.0) for name in ("work", "home")
    }
    return {name: each["key"] for name, each in made.items()}


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def rows(home: Home, table: str, where: str = "profile = 'work'") -> list[dict[str, Any]]:
    connection = sqlite3.connect(home.database)
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table} WHERE {where}")]
    finally:
        connection.close()


def test_every_row_is_there_as_it_stands_in_the_ledger(
    run: Any, recorded: dict[str, str], home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "PAGE", 4)
    first, *found, last = lines(run("usage", "export", "work").stdout)
    assert first.pop("exported").endswith("+00:00")
    assert {name: first[name] for name in ("table", "version", "profile")} == {
        "table": "export", "version": 1, "profile": "work",
    }  # fmt: skip
    calls = [call for row in found for call in row.pop("calls", [])]
    for table in ("requests", *SUMS, RULES, *HEALTH, *STANDING):
        exported = [
            {name: value for name, value in row.items() if name != "table"} for row in found if row["table"] == table
        ]
        kept = [{name: value for name, value in row.items() if name != "hash"} for row in rows(home, table)]
        key = lambda row: json.dumps(row, sort_keys=True)  # noqa: E731
        assert sorted(exported, key=key) == sorted(kept, key=key), table
    assert (
        len(calls)
        == len(rows(home, "attempts", "request_id IN (SELECT id FROM requests WHERE profile = 'work')"))
        == 27
    )
    counts = Counter(row["table"] for row in found)
    assert last == {"table": "end", "rows": {**counts, "attempts": 27}}
    assert counts["requests"] == 27


def test_nothing_of_another_profile_and_no_key_is_in_it(run: Any, recorded: dict[str, str], home: Home) -> None:
    text = run("usage", "export", "work").stdout
    assert "bob" not in text
    assert '"home"' not in text
    for row in rows(home, "keys", "1"):
        assert row["hash"] not in text
    assert all(key not in text for key in recorded.values())
    (key,) = [line for line in lines(text) if line["table"] == "keys"]
    assert (key["name"], key["daily_usd"]) == ("work", 5.0)


def test_a_file_is_whole_and_the_users_own(run: Any, recorded: dict[str, str], tmp_path: Path) -> None:
    target = tmp_path / "work.jsonl"
    before = os.umask(0)
    try:
        result = run("usage", "export", "work", str(target))
    finally:
        os.umask(before)
    assert result.stdout == ""
    assert result.stderr.startswith(f"{target}: ")
    assert "27 requests" in result.stderr
    assert target.stat().st_mode & 0o777 == 0o600
    assert lines(target.read_text())[1:] == lines(run("usage", "export", "work").stdout)[1:]
    again = run("usage", "export", "home", str(target))
    assert (again.exit_code, "is there already" in again.stderr) == (2, True)
    assert run("usage", "export", "home", str(target), "--force").exit_code == 0
    assert lines(target.read_text())[0]["profile"] == "home"
    assert sorted(os.listdir(tmp_path)) == ["home", "work.jsonl"]


def test_what_fails_leaves_nothing(
    run: Any, recorded: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "_requests", fail)
    for extra in ([], ["--format", "csv"]):
        result = run("usage", "export", "work", str(tmp_path / "out"), *extra)
        assert (result.exit_code, result.stderr) == (1, "router: no space left on device\n")
        assert sorted(os.listdir(tmp_path)) == ["home"]


def test_csv_is_a_file_for_each_table(run: Any, recorded: dict[str, str], tmp_path: Path, home: Home) -> None:
    assert run("usage", "export", "work", str(tmp_path / "out"), "--format", "csv").exit_code == 0
    names = sorted(os.listdir(tmp_path / "out"))
    assert names == ["attempts.csv", "keys.csv", "requests.csv", "rollup.csv", "rollup_day.csv", "rules.csv"]
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
    with (tmp_path / "out" / "requests.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert len(found) == 27
    assert {row["tags"] for row in found} == {"'=cmd ci", ""}
    costs = {row["id"]: row["cost_nano_usd"] for row in rows(home, "requests")}
    assert {row["id"]: row["cost_nano_usd"] for row in found} == {
        row["id"]: "" if costs[row["id"]] is None else str(costs[row["id"]]) for row in found
    }
    with (tmp_path / "out" / "keys.csv").open(newline="") as file:
        assert "hash" not in next(csv.reader(file))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("wrok",), 'did you mean "work"?'),
        (("work", "--format", "csv"), "name a folder"),
        (("work", "{tmp}/nowhere/x.jsonl"), "doesn't exist"),
        (("work", "{tmp}/home"), "is there already"),
        (("work", "{tmp}/home", "--format", "csv"), "name a new folder"),
        (("work", "--format", "xml"), "is not one of"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    run: Any, recorded: dict[str, str], tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    result = run("usage", "export", *(each.replace("{tmp}", str(tmp_path)) for each in arguments))
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_profile_that_is_gone_or_had_no_request_can_be_exported(run: Any, book: Any) -> None:
    book.add(time_ms=NOW, profile="old")
    assert [line["table"] for line in lines(run("usage", "export", "old").stdout)] == [
        "export", "rules", "rollup_day", "rollup", "requests", "end",
    ]  # fmt: skip
    assert [line["table"] for line in lines(run("usage", "export", "work").stdout)] == ["export", "end"]


def test_who_reads_slowly_keeps_no_snapshot(run: Any, book: Any, home: Home) -> None:
    for number in range(5):
        book.add(time_ms=NOW + number)
    reading = Reader(home.database).export("work")
    next(reading)
    assert book.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0, "nobody is in the way"
    assert len([row for row in reading if row.table == "requests"]) == 5
