"""The labelled drafts: most are judged as they are labelled, and docs/cascade.md shows what the script prints."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from router.money.prices import PriceTable
from router.routing.judging import Question, judge
from tests.support import drafts
from tests.support.judging import TOOLS, calling, reading, saying

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "cascade.md").read_text("utf-8")
JUDGED = drafts.judged()


def test_the_page_shows_the_table_as_it_is_now() -> None:
    """Out of date: scripts/judge-drafts --write."""
    assert drafts.with_table(PAGE, JUDGED) == PAGE


def test_the_set_has_two_like_halves_of_some_size() -> None:
    by_half = {half: [case for case, _ in JUDGED if case.half == half] for half in drafts.HALVES}
    kinds = {half: sorted(case.kind for case in cases) for half, cases in by_half.items()}
    assert kinds["development"] == kinds["held-out"]
    assert len(JUDGED) >= 80
    assert len({case.id for case, _ in JUDGED}) == len(JUDGED)
    assert all(case.why for case, _ in JUDGED)


@pytest.mark.parametrize("half", drafts.HALVES)
@pytest.mark.parametrize("threshold", drafts.THRESHOLDS)
def test_most_are_judged_as_they_are_labelled(half: str, threshold: float) -> None:
    good = [judgement for case, judgement in JUDGED if case.half == half and case.accept]
    bad = [judgement for case, judgement in JUDGED if case.half == half and not case.accept]
    assert drafts.accepted(good, threshold) / len(good) > 0.9
    assert drafts.accepted(bad, threshold) / len(bad) < 0.25


def test_a_higher_threshold_accepts_no_more() -> None:
    for _, judgement in JUDGED:
        verdicts = [judgement.accepted(threshold) for threshold in drafts.THRESHOLDS]
        assert verdicts == sorted(verdicts, reverse=True)


def test_the_page_names_every_check_with_the_most_it_takes() -> None:
    most: dict[str, float] = {}
    extra = [judge(Question(tools=TOOLS), draft) for draft in (calling(*[reading()] * 201), saying("a " * 30 + "the"))]
    for judgement in (*(judgement for _, judgement in JUDGED), *extra):
        for check in judgement.checks:
            most[check.name] = max(most.get(check.name, 0.0), check.weight)
    rows = re.findall(r"^\| `(\w+)` \|.*\| (all|\d+ %) \|$", PAGE, re.MULTILINE)
    assert dict(rows) == {
        name: "all" if share == 1 else f"{share:.0%}".replace("%", " %") for name, share in most.items()
    }


def test_the_costs_on_the_page_are_right() -> None:
    rows = re.findall(r"^\| (\d+) %.*\| (\d+) % \| (\d+) %", PAGE, re.MULTILINE)
    assert len(rows) > 3
    for draft, accepted, whole in rows:
        share = 1 / 3 if draft == "33" else int(draft) / 100
        taken = 1 / 3 if accepted == "33" else int(accepted) / 100
        assert round(100 * (share + 1 - taken)) == int(whole)
    prices = PriceTable.load()
    haiku, sonnet = (prices.rates("anthropic", f"claude-{name}-4-5") for name in ("haiku", "sonnet"))
    assert haiku is not None
    assert sonnet is not None
    for kind in ("input", "output", "cache_read", "cache_write"):
        assert 3 * getattr(haiku, kind) == getattr(sonnet, kind)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param([], "all good ones", id="the table"),
        pytest.param(
            ["--wrong"], "wrong-sum (development, fluent but wrong): accepted with 1.00", id="what is misjudged"
        ),
    ],
)
def test_the_script_prints(options: list[str], expected: str) -> None:
    assert expected in run(*options)


def test_the_script_prints_json() -> None:
    found = json.loads(run("--json"))
    assert len(found) == len(JUDGED)
    assert {"id", "kind", "half", "accept", "score", "fatal", "checks"} == found[0].keys()


def run(*options: str) -> str:
    command = [sys.executable, str(ROOT / "scripts" / "judge-drafts"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
