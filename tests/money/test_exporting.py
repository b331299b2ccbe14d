"""The export of the source's table, which the shipped file and `router prices refresh` are made by."""

from __future__ import annotations

import json
from datetime import UTC, time
from pathlib import Path

import pytest
from genai_prices import types

from router.money import exporting
from router.money.exporting import Moved, export_table, moved, render
from router.money.prices import PriceTable, shipped

FILE = Path(exporting.__file__).with_name("prices.json")


def test_the_shipped_file_is_what_the_export_writes() -> None:
    table = shipped()
    assert render(export_table(table["date"])) == FILE.read_text("utf-8")
    assert PriceTable.read(FILE.read_bytes()).version == PriceTable.load().version


def test_a_model_stands_on_a_line_of_its_own() -> None:
    lines = [line for line in FILE.read_text("utf-8").splitlines() if line.startswith('{"id":')]
    assert len(lines) == sum(len(provider["models"]) for provider in shipped()["providers"].values())
    assert all(json.loads(line.removesuffix(","))["id"] for line in lines)


def test_what_moved_is_told_by_model() -> None:
    def table(**models: object) -> dict[str, object]:
        entries = [{"id": name, "prices": prices} for name, prices in models.items()]
        return {"providers": {"p": {"models": entries}}}

    old, new = table(a={"input": 1}, b={"input": 2}, c={}), table(b={"input": 3}, c={}, d={})
    assert moved(old, new) == Moved(("p/d",), ("p/a",), ("p/b",))
    assert moved({}, old).added == ("p/a", "p/b", "p/c")
    assert moved(old, old) == Moved((), (), ())


def test_what_has_no_place_here_is_an_error_and_not_left_out() -> None:
    with pytest.raises(ValueError, match="unknown match clause"):
        exporting._match(object())
    elsewhere = types.TimeOfDateConstraint(start_time=time(1, tzinfo=UTC), end_time=time(2))
    assert exporting._period(elsewhere) == {"hours": ["01:00:00", "02:00:00"]}
