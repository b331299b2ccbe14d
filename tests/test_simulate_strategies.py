"""The simulated day: it is always the same, its parts do what their names say, and the docs show what it prints."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from simulating import tables
from simulating.day import WAYS, Day, Tally, Way
from simulating.targets import HOUR_S, TARGETS, Luck, Served, Target, Trouble
from simulating.traffic import COMPACTS_AT, Conversation, Step, conversations

from router.routing.strategies import STRATEGIES, AdaptiveSettings, Draw, Estimate, Option, order

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "simulate-strategies"
PAGE = (ROOT / "docs" / "strategies.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
GOOD = Luck(0.999, 0.5, 0.5)


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:2] != "|-"]


def shown(heading: str, page: str = PAGE) -> list[list[str]]:
    """The table of the page whose first row begins so."""
    (table,) = re.findall(rf"^\| {heading} .*(?:\n\|.*)+", page, re.MULTILINE)
    return cells(table)


# --- the page ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def documented_day() -> list[Conversation]:
    return conversations(1, 160)


@pytest.mark.sampled(len(WAYS))
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
@pytest.mark.slow
def test_the_pages_show_what_the_script_prints(way: Way, documented_day: list[Conversation]) -> None:
    tally = {way.name: Day(way).run(documented_day)}
    for page, table in ((PAGE, tables.results(tally)), (README, tables.summary(tally))):
        head, row = cells(table)
        page_head, *page_rows = shown(r"strategy +\| +cost", page)
        assert page_head == head
        assert row in page_rows
        assert len(page_rows) == len(WAYS)


def test_the_page_shows_the_targets() -> None:
    assert shown("target ") == cells(tables.targets())


def test_the_page_tells_how_large_the_day_is(documented_day: list[Conversation]) -> None:
    steps = [step for conversation in documented_day for step in conversation.steps]
    requests = len(steps) + sum(step.beside is not None for step in steps)
    assert f"some {round(requests, -2):,} requests in {round(len(documented_day), -1)} conversations" in PAGE
    assert f"some {round(requests, -2):,} requests of coding agents, {len(TARGETS)} targets" in README
    assert f"growing to {COMPACTS_AT:,} tokens" in PAGE


def test_tables_are_put_where_their_places_are() -> None:
    page = f"a\n{tables.BEGIN}\n| old |\n{tables.END}\nb\n{tables.BEGIN}\n| older |\n{tables.END}\nc\n"
    assert tables.put_into(page, ["| 1 |", "| 2 |"]) == page.replace("| old |", "| 1 |").replace("| older |", "| 2 |")
    for text, tabled in ((README, 1), (PAGE, 2)):
        assert text.count(tables.BEGIN) == tabled
        assert tables.put_into(text, [""] * tabled).count("\n|") < text.count("\n|")


def test_the_page_has_a_row_for_every_strategy_and_the_defaults_figures() -> None:
    assert [name for name in STRATEGIES if f"* `{name}`" not in README] == ["simple", "conditional"]
    rows = shown(r"strategy +\| +order")
    assert [f"`{name}`" for name in STRATEGIES if f"`{name}`" not in " ".join(map(" ".join, rows))] == []
    settings = AdaptiveSettings()
    assert f"a fifth of `max-first-token`: {settings.max_first_token_s / 5:g} s" in PAGE


class Record:
    def __init__(self, requests: int, success: float, first_token_s: float, tokens_per_s: float) -> None:
        self.requests = requests
        self.success = success
        self.first_token_s = first_token_s
        self.tokens_per_s = tokens_per_s


@pytest.mark.parametrize(
    ("strategy", "option"),
    [
        pytest.param("lowest-cost", {"estimate": Estimate(12_300_000, 12_000, 8_000, 640)}, id="cached"),
        pytest.param("lowest-cost", {"estimate": Estimate(41_100_000, 12_000, 0, 380)}, id="not cached"),
        pytest.param("lowest-cost", {}, id="no price"),
        pytest.param("adaptive", {"seen": Record(200, 0.99, 0.8, 75)}, id="judged"),
        pytest.param("adaptive", {"seen": Record(3, 1, 1, 1)}, id="not judged"),
        pytest.param("adaptive", {"seen": Record(200, 0.5, 1, 50)}, id="late"),
    ],
)
def test_the_lines_that_the_page_shows_are_those_of_the_router(strategy: str, option: dict[str, object]) -> None:
    (line,) = order(strategy, [Option("", "", **option)], Draw(lambda: 0.9)).why  # type: ignore[arg-type]
    assert f"\n{line}\n" in PAGE


# --- the script -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_script_prints_both_tables_and_the_same_as_json() -> None:
    def printed(*arguments: str) -> str:
        command = [sys.executable, str(SCRIPT), "--conversations", "3", "--seed", "5", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    first, second = printed().strip().split("\n\n")
    figures = json.loads(printed("--json"))
    assert first == tables.targets()
    assert [row[1] for row in cells(second)[1:]] == [
        f"${each['cost_usd']:.2f}" for each in figures["strategies"].values()
    ]
    assert figures["strategies"].keys() == {way.name for way in WAYS}
    assert figures["seed"] == 5


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
@pytest.mark.slow
def test_the_same_day_has_the_same_figures(way: Way) -> None:
    day = conversations(7, 4)
    one, other = Day(way).run(day), Day(way).run(conversations(7, 4))
    assert one == other
    assert one.requests >= sum(len(conversation.steps) for conversation in day)
    assert sum(one.calls.values()) == len(one.first_token_s) <= one.requests


def test_figures_of_a_day_without_requests_are_zeros() -> None:
    figures = tables.figures_of({"none": Tally()})["none"]
    assert {value for name, value in figures.items() if name != "answers"} == {0}


# --- the traffic ------------------------------------------------------------------------------------------------------


def test_a_conversation_grows_until_it_is_compacted() -> None:
    for conversation in conversations(3, 60):
        for before, after in zip(conversation.steps, conversation.steps[1:], strict=False):
            assert after.tokens <= COMPACTS_AT
            if after.compactions == before.compactions:
                assert after.tokens >= before.tokens + before.output
            else:
                assert (after.compactions, after.tokens < before.tokens) == (before.compactions + 1, True)


@pytest.mark.slow
def test_people_work_by_day_and_each_seed_is_another_day() -> None:
    day = conversations(3, 150)
    hours = Counter(int(conversation.begins_s / HOUR_S) for conversation in day)
    assert set(hours) <= set(range(24))
    assert 110 < len(day) < 190
    assert sum(hours[hour] for hour in range(8, 18)) > 0.75 * len(day)
    assert conversations(4, 150) != day
    assert conversations(3, 150) == day


# --- the targets ------------------------------------------------------------------------------------------------------

PLAIN = Target(
    "oak", "x", TARGETS[0].rates, first_token_s=1.0, reads_per_s=1000, writes_per_s=10, fails=0.1, cache="free"
)


def test_a_call_takes_what_it_takes_to_read_and_to_write() -> None:
    answer = Served(PLAIN).call(0, ("a", 0), 2_000, 50, GOOD)
    assert (answer.failure, answer.cached, answer.fresh, answer.output) == ("", 0, 2_000, 50)
    assert answer.first_token_s == pytest.approx(3.0)
    assert answer.took_s == pytest.approx(8.0)


@pytest.mark.parametrize(
    ("changes", "now", "prefix", "cached"),
    [
        pytest.param({}, 100, ("a", 0), 2_000, id="the beginning of the conversation"),
        pytest.param({}, 303, ("a", 0), 0, id="not once its time is over"),
        pytest.param({}, 100, ("a", 1), 0, id="not after a compaction"),
        pytest.param({}, 100, ("b", 0), 0, id="not for another conversation"),
        pytest.param({}, 100, None, 0, id="nor for none"),
        pytest.param({"cache": "none"}, 100, ("a", 0), 0, id="and not where there is no cache"),
    ],
)
def test_a_cache_holds(changes: dict[str, object], now: float, prefix: tuple[str, int] | None, cached: int) -> None:
    served = Served(replace(PLAIN, **changes))  # type: ignore[arg-type]
    served.call(0, ("a", 0), 2_000, 50, GOOD)
    assert served.call(now, prefix, 3_000, 50, GOOD).cached == cached


@pytest.mark.parametrize(
    ("failing", "hour", "failure"),
    [
        pytest.param(0.11, 8, "", id="seldom"),
        pytest.param(0.09, 8, "server", id="at its own rate"),
        pytest.param(0.89, 9, "server", id="nearly always in an outage"),
        pytest.param(0.89, 10, "", id="until it is over"),
    ],
)
def test_a_call_fails(failing: float, hour: float, failure: str) -> None:
    served = Served(replace(PLAIN, troubles=(Trouble(9, 10, fails=0.9),)))
    assert served.call(hour * HOUR_S, None, 100, 1, GOOD._replace(failing=failing)).failure == failure


def test_a_slow_hour_is_slower() -> None:
    served = Served(replace(PLAIN, troubles=(Trouble(9, 10, slower=8),)))
    usual, slow = (served.call(hour * HOUR_S, None, 1_000, 1, GOOD).first_token_s for hour in (8, 9))
    assert slow == pytest.approx(8 * usual)


def test_a_rate_limit_says_when_it_is_over() -> None:
    served = Served(replace(PLAIN, per_minute=2))
    answers = [served.call(now, None, 100, 1, GOOD) for now in (0, 20, 30, 61)]
    assert [answer.failure for answer in answers] == ["", "", "rate", ""]
    assert answers[2].retry_after_s == pytest.approx(30)


def test_a_request_that_fails_everywhere_is_made_again_and_then_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = [replace(target, fails=1.0, per_minute=None) for target in TARGETS]
    monkeypatch.setattr("simulating.day.TARGETS", dead)
    step = Step(0.0, 0, 1_000, 10, 0.5, (GOOD,) * 9)
    tally = Day(Way("first-match")).run([Conversation("a", 0.0, (step, replace(step, after_s=5.0)))])
    assert (tally.requests, tally.first_token_s, tally.nano_usd) == (6, [], 0)
