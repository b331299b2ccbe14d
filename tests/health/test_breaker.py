from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.health.breaker import (
    FAILURE,
    FORCED_EVERY_S,
    FORGOTTEN_AFTER_S,
    LIMIT,
    MAX_DOUBLINGS,
    MAX_WAIT_S,
    PROBE_LEASE_S,
    SOFT_FAILURE,
    SUCCESS,
    BreakerRow,
    Breakers,
    BreakerSettings,
    Change,
    Key,
    SavedBreaker,
    Ticket,
    names_target,
)

ONE = BreakerSettings(failures=1, ratio=0.5, window_s=60.0, cooldown_s=30.0)  # opens at the first failure
KEY = Key("anthropic", "claude-haiku-4-5", "work")
OTHER = Key("groq", "llama-3.3-70b-versatile")
WEIGHTS = {"ok": SUCCESS, "soft": SOFT_FAILURE, "fail": FAILURE}
WALL_MS = 1_800_000_000_000
YEAR_MS = 365 * 86_400_000


def begun(breakers: Breakers, now: float, key: Key = KEY, *, forced: bool = False) -> Ticket:
    ticket = breakers.begin(key, now, forced=forced)
    assert ticket is not None
    return ticket


def opened(*failed_at: float, settings: BreakerSettings = ONE) -> Breakers:
    """A breaker that opened, then was probed and opened again at the later times."""
    breakers = Breakers(settings)
    for now in failed_at or (0.0,):
        breakers.record(begun(breakers, now), now, FAILURE)
        assert breakers.state(KEY, now) == "open"
    return breakers


# --- when it opens, and what follows ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        pytest.param({}, "0 fail closed; 1 fail closed; 2 fail open", id="three failures open it"),
        pytest.param(
            {},
            "0 soft closed; 1 soft closed; 2 fail closed; 3 soft closed; 4 soft open",
            id="a soft one is half of one",
        ),
        pytest.param(
            {"failures": 1},
            "0 ok closed; 0 ok closed; 1 fail closed; 2 fail open",
            id="half of the calls must have failed",
        ),
        pytest.param(
            {},
            "0 fail closed; 0 fail closed; 30 ok closed; 59.9 fail open",
            id="a success between changes nothing else",
        ),
        pytest.param(
            {}, "0 fail closed; 1 fail closed; 60 fail closed; 60.5 fail open", id="failures go out of sight after 60 s"
        ),
        pytest.param(
            {},
            "0 ok closed; 0 ok closed; 0 ok closed; 10 fail closed; 10 fail closed; 60 ok closed; 61 fail open",
            id="so do successes",
        ),
        pytest.param(
            {"failures": 2},
            "0 fail closed; 59.7 ok closed; 60.1 fail closed",
            id="also between two calls that are counted together",
        ),
        pytest.param(
            {"failures": 1},
            "0 ok closed; 0 ok closed; 10 fail closed; 61 ok closed",
            id="a success opens nothing, although the share has grown",
        ),
        pytest.param({"failures": 1}, "0 fail open", id="one failure may be set to be enough"),
        pytest.param(
            {"failures": 1, "ratio": 1.0}, "0 ok closed; 1 fail closed; 60 fail open", id="or that all must fail"
        ),
        pytest.param(
            {"failures": 1}, "0 fail open; 29.9 look open; 30 look half-open", id="the cooldown ends half-open"
        ),
        pytest.param({"failures": 1}, "0 fail open; 0 none open; 29.9 none open", id="while it is open nobody calls"),
        pytest.param({"failures": 1}, "0 fail open; 30 ok closed; 31 ok closed", id="a probe that succeeds closes it"),
        pytest.param(
            {},
            "0 fail closed; 0 fail closed; 0 fail open; 30 ok closed; 31 fail closed; 32 fail closed; 33 fail open",
            id="closing forgets what was before",
        ),
        pytest.param(
            {"failures": 1},
            "0 fail open; 30 fail open; 89 none open; 90 fail open; 209 none open; 210 fail open; 449 none open; "
            "450 fail open; 689 none open; 690 look half-open",
            id="each probe that fails doubles the cooldown, up to eight times",
        ),
        pytest.param(
            {"failures": 1},
            "0 fail open; 30 fail open; 90 ok closed; 91 fail open; 121 look half-open",
            id="closing ends that",
        ),
        pytest.param(
            {"failures": 1}, "0 fail open; 30 soft open; 89 none open; 90 look half-open", id="a soft probe fails"
        ),
        pytest.param(
            {"failures": 1, "cooldown_s": 2000.0},
            "0 fail open; 2000 fail open; 5599 none open; 5600 look half-open",
            id="doubling ends at an hour",
        ),
        pytest.param(
            {"failures": 1, "cooldown_s": 5000.0},
            "0 fail open; 5000 fail open; 9999 none open; 10000 look half-open",
            id="a cooldown set longer than that stays",
        ),
        pytest.param(
            {},
            "0 fail closed; 0 fail closed; 0 fail open; 3629 look half-open; 3630 look closed; 3630 fail closed; "
            "3631 fail closed; 3632 fail open",
            id="half-open for an hour, it is forgotten",
        ),
    ],
)
def test_transitions(settings: dict[str, float], steps: str) -> None:
    """Steps ``time what state``; what: how a call ends at once, ``none`` a call refused, ``look`` no call."""
    breakers = Breakers(replace(BreakerSettings(failures=3, ratio=0.5, window_s=60.0, cooldown_s=30.0), **settings))
    for step in steps.split("; "):
        time, what, after = step.split()
        now = float(time)
        before = breakers.state(KEY, now)
        if what == "none":
            assert not breakers.may_call(KEY, now), step
            assert breakers.begin(KEY, now) is None, step
        elif what != "look":
            assert breakers.may_call(KEY, now), step
            ticket = begun(breakers, now)
            assert ticket.is_probe == (before == "half-open")
            change = breakers.record(ticket, now, WEIGHTS[what])
            expected = Change(KEY, before, breakers.state(KEY, now), breakers.retry_at(KEY, now))
            assert change == (None if before == after else expected), step
        assert breakers.state(KEY, now) == after, step


def test_a_ratio_is_reached_as_it_is_written() -> None:
    breakers = Breakers(BreakerSettings(failures=7, ratio=0.07))
    for number in range(100):
        breakers.record(begun(breakers, 0.0), 0.0, SUCCESS if number < 93 else FAILURE)
    assert breakers.state(KEY, 0.0) == "open"


def test_breakers_are_apart() -> None:
    breakers = opened()
    for key in (OTHER, KEY._replace(model="claude-opus-4-5"), KEY._replace(key_name="home")):
        assert breakers.state(key, 1.0) == "closed"
        assert breakers.may_call(key, 1.0)


@pytest.mark.parametrize(
    ("asked", "wait_s"),
    [
        pytest.param(None, 30.0, id="nothing asked: the cooldown"),
        pytest.param(10.0, 30.0, id="a shorter wait than the cooldown changes nothing"),
        pytest.param(100.0, 100.0, id="a longer one lengthens it"),
        pytest.param(1e9, MAX_WAIT_S, id="to an hour at most"),
        pytest.param(math.inf, MAX_WAIT_S, id="even if forever was asked"),
        pytest.param(math.nan, 30.0, id="nonsense changes nothing"),
        pytest.param(-5.0, 30.0, id="nor does the past"),
    ],
)
def test_a_provider_may_ask_for_a_longer_cooldown(asked: float | None, wait_s: float) -> None:
    breakers = Breakers(ONE)
    change = breakers.record(begun(breakers, 100.0), 100.0, FAILURE, retry_after_s=asked)
    assert change == Change(KEY, "closed", "open", 100.0 + wait_s)
    assert breakers.retry_at(KEY, 100.0) == 100.0 + wait_s
    assert breakers.retry_at(KEY, 100.0 + wait_s) is None


# --- the probe --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("now", [pytest.param(30.0, id="half-open"), pytest.param(5.0, id="forced while open")])
def test_of_500_callers_one_probes(now: float) -> None:
    breakers = opened()
    tickets = [breakers.begin(KEY, now, forced=now < 30) for _ in range(500)]
    assert [ticket is not None for ticket in tickets] == [True] + [False] * 499
    assert breakers.state(KEY, now) == "half-open"
    assert not breakers.may_call(KEY, now)


def test_a_probe_without_a_verdict_stops_blocking() -> None:
    breakers = opened()
    first = begun(breakers, 30.0)
    assert breakers.retry_at(KEY, 31.0) == 30.0 + PROBE_LEASE_S
    assert breakers.begin(KEY, 39.9) is None
    second = begun(breakers, 40.0)
    assert first.is_probe
    assert second.is_probe
    assert breakers.begin(KEY, 40.0) is None


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    ("weight", "after", "retry_at"),
    [pytest.param(SUCCESS, "closed", None, id="success"), pytest.param(FAILURE, "open", 115.0, id="failure")],
)
def test_a_slow_probe_is_heard_although_another_has_begun(
    which: int, weight: float, after: str, retry_at: float | None
) -> None:
    breakers = opened()
    probes = [begun(breakers, 30.0), begun(breakers, 40.0)]
    assert breakers.record(probes[which], 55.0, weight) == Change(KEY, "half-open", after, retry_at)
    # After that the other one has nothing to say: it belongs to what is over.
    for second in (SUCCESS, FAILURE):
        assert breakers.record(probes[1 - which], 56.0, second) is None
        assert breakers.state(KEY, 56.0) == after
        assert breakers.retry_at(KEY, 56.0) == retry_at


def test_a_probe_of_an_earlier_opening_is_not_the_next_one() -> None:
    breakers = opened()
    early, late = begun(breakers, 30.0), begun(breakers, 40.0)
    breakers.record(late, 41.0, FAILURE)
    assert breakers.state(KEY, 101.0) == "half-open"
    assert breakers.record(early, 101.0, SUCCESS) is None
    assert breakers.state(KEY, 101.0) == "half-open"


def test_an_abandoned_probe_frees_its_place_and_says_nothing() -> None:
    breakers = opened()
    breakers.abandon(begun(breakers, 30.0), 31.0)
    assert breakers.state(KEY, 31.0) == "half-open"
    assert breakers.may_call(KEY, 31.0)
    assert begun(breakers, 31.0).is_probe


def test_abandoning_a_slow_probe_frees_no_other_one() -> None:
    breakers = opened()
    first, _second = begun(breakers, 30.0), begun(breakers, 40.0)
    breakers.abandon(first, 41.0)
    assert breakers.begin(KEY, 41.0) is None


def test_an_abandoned_call_counts_nothing() -> None:
    breakers = Breakers(ONE)
    breakers.abandon(begun(breakers, 0.0), 1.0)
    assert breakers.rows(1.0) == []


@pytest.mark.parametrize("first", ["record", "abandon"])
def test_a_ticket_counts_once(first: str) -> None:
    breakers = Breakers(ONE)
    ticket = begun(breakers, 0.0)
    if first == "record":
        breakers.record(ticket, 1.0, SUCCESS)
    else:
        breakers.abandon(ticket, 1.0)
    counted = breakers.rows(2.0)
    assert breakers.record(ticket, 2.0, FAILURE) is None
    breakers.abandon(ticket, 2.0)
    assert breakers.rows(2.0) == counted
    assert breakers.state(KEY, 2.0) == "closed"


# --- calls that began before it opened or closed ----------------------------------------------------------------------


def test_a_late_call_is_counted_and_changes_nothing_about_an_open_breaker() -> None:
    breakers = Breakers(ONE)
    early = [begun(breakers, 0.0) for _ in range(4)]
    breakers.record(early[0], 1.0, FAILURE)
    assert breakers.record(early[1], 2.0, SUCCESS) is None
    assert breakers.record(early[2], 3.0, FAILURE, retry_after_s=600.0) is None
    assert breakers.rows(3.0) == [BreakerRow(KEY, "open", 2.0, 3, 3.0, 31.0)]
    probe = begun(breakers, 31.0)
    assert breakers.record(early[3], 32.0, SUCCESS) is None
    assert breakers.state(KEY, 32.0) == "half-open"
    assert breakers.record(probe, 33.0, SUCCESS) == Change(KEY, "half-open", "closed", None)


def test_a_call_from_before_it_closed_belongs_to_the_forgotten_window() -> None:
    breakers = Breakers(ONE)
    first, hanging = begun(breakers, 0.0), begun(breakers, 0.0)
    breakers.record(first, 1.0, FAILURE)
    breakers.record(begun(breakers, 31.0), 32.0, SUCCESS)
    assert breakers.rows(33.0) == [BreakerRow(KEY, "closed", 0.0, 0, 1.0, None)]
    assert breakers.record(hanging, 60.0, FAILURE) is None
    assert breakers.state(KEY, 60.0) == "closed"


def test_a_probe_that_is_heard_after_its_breaker_was_forgotten_is_a_call_like_any_other() -> None:
    breakers = opened()
    probe = begun(breakers, 30.0)
    now = 30.0 + FORGOTTEN_AFTER_S
    assert breakers.record(probe, now, SUCCESS) is None
    assert breakers.rows(now) == [BreakerRow(KEY, "closed", 0.0, 1, None, None)]


# --- the last resort --------------------------------------------------------------------------------------------------


def test_a_forced_probe_closes_an_open_breaker() -> None:
    breakers = opened()
    assert breakers.record(begun(breakers, 5.0, forced=True), 6.0, SUCCESS) == Change(KEY, "half-open", "closed", None)


def test_a_forced_probe_that_fails_starts_the_cooldown_again_but_does_not_double_it() -> None:
    breakers = opened()
    for now in (5.0, 15.0, 25.0, 35.0):
        probe = begun(breakers, now, forced=True)
        assert breakers.record(probe, now, FAILURE) == Change(KEY, "half-open", "open", now + 30.0)
    assert breakers.record(begun(breakers, 65.0), 65.0, FAILURE) == Change(KEY, "half-open", "open", 125.0)


def test_a_forced_probe_shortens_no_wait_a_provider_asked_for() -> None:
    breakers = Breakers(ONE)
    breakers.record(begun(breakers, 0.0), 0.0, FAILURE, retry_after_s=600.0)
    breakers.record(begun(breakers, 5.0, forced=True), 6.0, FAILURE)
    assert breakers.retry_at(KEY, 6.0) == 600.0


def test_nobody_is_tried_by_force_twice_within_ten_seconds() -> None:
    breakers = opened()
    for now in (5.0, 15.0, 25.0):
        assert breakers.last_resort([KEY], now) == KEY
        breakers.record(begun(breakers, now, forced=True), now, FAILURE)
        assert breakers.last_resort([KEY], now + FORCED_EVERY_S - 0.1) is None
        assert breakers.begin(KEY, now + FORCED_EVERY_S - 0.1, forced=True) is None
        assert breakers.last_resort([KEY, OTHER], now) == OTHER
    breakers.record(begun(breakers, 35.0, forced=True), 35.0, SUCCESS)
    breakers.record(begun(breakers, 36.0), 36.0, FAILURE)
    assert breakers.last_resort([KEY], 36.0) == KEY, "it has been well in between"


def test_who_was_tried_by_force_in_vain_is_still_probed_in_its_time() -> None:
    breakers = Breakers(replace(ONE, cooldown_s=4.0))
    breakers.record(begun(breakers, 0.0), 0.0, FAILURE)
    breakers.record(begun(breakers, 1.0, forced=True), 1.0, FAILURE)
    assert begun(breakers, 5.0).is_probe


def test_a_forced_probe_without_a_verdict_leaves_the_breaker_open_until_its_time() -> None:
    breakers = opened()
    probe = begun(breakers, 5.0, forced=True)
    assert breakers.state(KEY, 14.9) == "half-open"
    assert breakers.begin(KEY, 14.9, forced=True) is None
    assert breakers.state(KEY, 15.0) == "open"
    assert breakers.begin(KEY, 15.0) is None
    assert breakers.retry_at(KEY, 15.0) == 30.0
    assert breakers.record(probe, 16.0, FAILURE) == Change(KEY, "open", "open", 46.0)
    assert begun(breakers, 26.0, forced=True).is_probe


def test_forcing_a_closed_breaker_is_an_ordinary_call() -> None:
    breakers = Breakers(ONE)
    assert not begun(breakers, 0.0, forced=True).is_probe


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        pytest.param([], "a", id="the first of those that never failed"),
        pytest.param([("a", 1.0), ("b", 2.0)], "c", id="one that never failed before all others"),
        pytest.param([("a", 3.0), ("b", 1.0), ("c", 2.0)], "b", id="the one that failed longest ago"),
        pytest.param([("a", 1.0), ("b", 2.0), ("c", 3.0), ("probe a", 5.0)], "a", id="still while it is probed"),
        pytest.param([("a", 1.0), ("b", 2.0), ("c", 3.0), ("probe a", -1.0)], "b", id="not when its probe hangs"),
        pytest.param([("b", 1.0), ("a", 1.0), ("c", 1.0)], "a", id="the first of equals"),
    ],
)
def test_the_last_resort(story: list[tuple[str, float]], expected: str) -> None:
    now = 9.5
    breakers = Breakers(ONE)
    keys = {name: Key("p", name) for name in "abc"}
    for what, at in story:
        ticket = begun(breakers, at, keys[what[-1]], forced=True)
        if not what.startswith("probe"):
            breakers.record(ticket, at, FAILURE)
    assert breakers.last_resort(list(keys.values()), now) == keys[expected]
    assert breakers.last_resort([], now) is None


# --- looking and resetting --------------------------------------------------------------------------------------------


def test_rows_show_what_is_kept_by_name() -> None:
    breakers = Breakers(BreakerSettings())
    breakers.record(begun(breakers, 0.0, OTHER), 1.0, SOFT_FAILURE)
    for _ in range(3):
        breakers.record(begun(breakers, 2.0), 3.0, FAILURE)
    assert breakers.rows(4.0) == [
        BreakerRow(KEY, "open", 3.0, 3, 3.0, 33.0),
        BreakerRow(OTHER, "closed", 0.5, 1, 1.0, None),
    ]
    assert breakers.rows(61.0)[0].calls == 3
    assert [row.key for row in breakers.rows(61.0)] == [KEY], "what is closed and idle has nothing to say"


@pytest.mark.parametrize(
    ("chosen", "closed"),
    [
        pytest.param(KEY, {KEY}, id="one breaker"),
        pytest.param(Key("a", "b"), set(), id="one that isn't kept"),
        pytest.param("anthropic", {KEY, KEY._replace(key_name="home")}, id="all of a provider"),
        pytest.param("groq/llama-*", {OTHER}, id="models of a provider"),
        pytest.param("*", {KEY, KEY._replace(key_name="home"), OTHER}, id="all"),
        pytest.param("groq/claude-*", set(), id="none"),
    ],
)
def test_reset_closes_what_is_chosen(chosen: Key | str, closed: set[Key]) -> None:
    keys = {KEY, KEY._replace(key_name="home"), OTHER}
    breakers = Breakers(ONE)
    for key in keys:
        breakers.record(begun(breakers, 0.0, key), 0.0, FAILURE)
    assert set(breakers.reset(chosen)) == closed
    assert {key for key in keys if breakers.state(key, 1.0) == "closed"} == closed


def test_the_probe_of_a_breaker_that_was_reset_is_a_call_like_any_other() -> None:
    breakers = opened()
    probe = begun(breakers, 30.0)
    breakers.reset(KEY)
    assert breakers.record(probe, 31.0, SUCCESS) is None
    assert breakers.state(KEY, 31.0) == "closed"


@pytest.mark.parametrize(
    ("pattern", "target", "named"),
    [
        pytest.param("groq", "groq/llama", True, id="a provider names its models"),
        pytest.param("gro", "groq/llama", False, id="by its whole name"),
        pytest.param("groq/llama", "groq/llama", True, id="a model"),
        pytest.param("groq/llama", "groq/llama-3", False, id="by its whole name, too"),
        pytest.param("*/llama*", "groq/llama-3", True, id="both may be globs"),
        pytest.param("openrouter/deepseek/*", "openrouter/deepseek/deepseek-r1:free", True, id="models have slashes"),
        pytest.param("openrouter/deepseek", "openrouter/deepseek/deepseek-r1:free", False, id="and are whole names"),
        pytest.param("groq/Llama", "groq/llama", False, id="case matters"),
    ],
)
def test_a_pattern_names_targets(pattern: str, target: str, named: bool) -> None:
    provider, _, model = target.partition("/")
    assert names_target(pattern, provider, model) is named


def test_settings_may_be_replaced_and_what_is_open_stays_open() -> None:
    breakers = opened()
    breakers.settings = BreakerSettings(failures=2, window_s=10.0, cooldown_s=1.0)
    assert breakers.retry_at(KEY, 1.0) == 30.0
    assert breakers.record(begun(breakers, 1.0, OTHER), 1.0, FAILURE) is None
    assert breakers.record(begun(breakers, 2.0, OTHER), 2.0, FAILURE) == Change(OTHER, "closed", "open", 3.0)


def test_a_shorter_window_forgets_what_is_older_than_that() -> None:
    breakers = Breakers(BreakerSettings(failures=2, window_s=6000.0))
    breakers.record(begun(breakers, 0.0), 0.0, FAILURE)
    breakers.settings = BreakerSettings(failures=2, window_s=10.0)
    assert breakers.record(begun(breakers, 20.0), 20.0, FAILURE) is None
    assert breakers.rows(20.0) == [BreakerRow(KEY, "closed", 1.0, 1, 20.0, None)]


# --- over a restart ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("away_ms", "states"),
    [
        pytest.param(0, "0 open; 19.9 open; 20 half-open", id="at once"),
        pytest.param(15_000, "0 open; 4.9 open; 5 half-open", id="15 s later, 15 s less are left"),
        pytest.param(20_000, "0 half-open", id="the cooldown was over meanwhile"),
        pytest.param(3_600_000, "0 half-open", id="an hour later it still wants a probe"),
        pytest.param(3_620_000, "0 closed", id="after more than an hour it is forgotten"),
        pytest.param(-5_000, "0 open; 19.9 open; 20 half-open", id="the clock went back: no longer than was left"),
        pytest.param(-YEAR_MS, "0 open; 19.9 open; 20 half-open", id="however far"),
        pytest.param(YEAR_MS, "0 closed", id="the clock jumped ahead"),
    ],
)
def test_a_breaker_is_back_after_a_restart(away_ms: int, states: str) -> None:
    """Saved 10 s after it opened for 30 s. The next process counts its seconds from elsewhere."""
    rows = opened(1000.0).saved(1010.0, WALL_MS)
    breakers = Breakers(ONE)
    breakers.restored(rows, 5.0, WALL_MS + away_ms)
    for step in states.split("; "):
        time, state = step.split()
        assert breakers.state(KEY, 5.0 + float(time)) == state, step


def test_the_doubling_outlives_a_restart() -> None:
    rows = opened(0.0, 30.0).saved(30.0, WALL_MS)
    breakers = Breakers(ONE)
    assert breakers.restored(rows, 0.0, WALL_MS) == 1
    assert breakers.record(begun(breakers, 60.0), 60.0, FAILURE) == Change(KEY, "half-open", "open", 180.0)


def test_the_order_of_failures_outlives_a_restart() -> None:
    breakers = Breakers(ONE)
    for at, key in ((1.0, OTHER), (2.0, KEY)):
        breakers.record(begun(breakers, at, key), at, FAILURE)
    again = Breakers(ONE)
    again.restored(breakers.saved(3.0, WALL_MS), 0.0, WALL_MS)
    assert again.last_resort([KEY, OTHER], 1.0) == OTHER


def test_no_failure_is_restored_into_the_future() -> None:
    breakers = opened()
    breakers.restored([SavedBreaker(*OTHER, WALL_MS, 30_000, 0, WALL_MS)], 0.0, WALL_MS - YEAR_MS)
    breakers.record(begun(breakers, 1.0, forced=True), 1.0, FAILURE)
    assert breakers.last_resort([KEY, OTHER], 2.0) == OTHER


def test_only_what_is_not_closed_is_saved_and_as_plain_values() -> None:
    breakers = opened()
    breakers.record(begun(breakers, 1.0, OTHER), 1.0, SUCCESS)
    rows = breakers.saved(2.0, WALL_MS)
    assert rows == [SavedBreaker(*KEY, WALL_MS + 28_000, 28_000, 0, WALL_MS - 2_000)]
    assert msgspec.json.decode(msgspec.json.encode(rows), type=list[SavedBreaker]) == rows


def test_what_is_known_already_is_not_restored() -> None:
    rows = opened().saved(0.0, WALL_MS)
    breakers = Breakers(ONE)
    breakers.record(begun(breakers, 0.0), 0.0, SUCCESS)
    assert breakers.restored(rows, 1.0, WALL_MS) == 0
    assert breakers.state(KEY, 1.0) == "closed"


def test_no_saved_row_keeps_a_breaker_open_for_longer_than_a_breaker_may() -> None:
    row = SavedBreaker(*KEY, WALL_MS + YEAR_MS, YEAR_MS, 40, WALL_MS)
    breakers = Breakers(ONE)
    breakers.restored([row], 0.0, WALL_MS)
    assert breakers.saved(0.0, WALL_MS)[0][3:6] == (WALL_MS + 3_600_000, 3_600_000, MAX_DOUBLINGS)
    assert breakers.record(begun(breakers, 3600.0), 3600.0, FAILURE) == Change(KEY, "half-open", "open", 3840.0)


def test_a_long_cooldown_is_back_as_long_as_it_was() -> None:
    settings = replace(ONE, cooldown_s=5000.0)
    rows = opened(settings=settings).saved(0.0, WALL_MS)
    breakers = Breakers(settings)
    breakers.restored(rows, 0.0, WALL_MS)
    assert breakers.retry_at(KEY, 0.0) == 5000.0


# --- bounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_there_are_never_more_breakers_than_the_limit_and_open_ones_are_kept() -> None:
    breakers = opened()
    most = 0
    for number in range(2 * LIMIT + 100):
        key = Key("anthropic", f"invented-{number}")
        breakers.record(begun(breakers, 1.0, key), 1.0, SUCCESS)
        most = max(most, len(breakers))
    assert most <= LIMIT
    assert breakers.state(KEY, 1.0) == "open"


def test_open_breakers_are_bounded_too() -> None:
    breakers = Breakers(ONE)
    for number in range(LIMIT + 100):
        breakers.record(begun(breakers, 1.0, Key("p", f"m{number}")), 1.0, FAILURE)
    assert len(breakers) <= LIMIT
    assert breakers.state(Key("p", f"m{LIMIT + 99}"), 1.0) == "open"


def test_idle_breakers_go_away_by_themselves() -> None:
    breakers = Breakers(ONE)
    for number in range(5000):
        breakers.record(begun(breakers, float(number), Key("p", f"m{number}")), float(number), SUCCESS)
        assert len(breakers) <= 200


@pytest.mark.parametrize("weight", [SUCCESS, FAILURE])
def test_a_busy_breaker_is_small(weight: float) -> None:
    breakers = Breakers(BreakerSettings(failures=10_000, ratio=1.0))
    tickets = [begun(breakers, 0.0) for _ in range(9000)]
    tracemalloc.start()
    try:
        for number, ticket in enumerate(tickets):
            breakers.record(ticket, 0.1 * number, weight)
        assert tracemalloc.get_traced_memory()[0] < 32 * 1024
    finally:
        tracemalloc.stop()
    assert breakers.rows(900.0)[0].calls == pytest.approx(600, abs=10)


# --- properties -------------------------------------------------------------------------------------------------------

calls = st.lists(st.tuples(st.integers(0, 40), st.sampled_from([SUCCESS, SUCCESS, SOFT_FAILURE, FAILURE])), max_size=60)


@given(calls, st.integers(1, 6), st.sampled_from([0.1, 0.25, 0.5, 0.75, 1.0]))
def test_it_opens_exactly_when_the_rule_says(story: list[tuple[int, float]], failures: int, ratio: float) -> None:
    """At whole seconds a window of 100 s, counted in slices of 1 s, is exact."""
    breakers = Breakers(BreakerSettings(failures=failures, ratio=ratio, window_s=100.0))
    seen: list[tuple[float, float]] = []
    now = 0.0
    for wait, weight in story:
        now += wait
        seen.append((now, weight))
        window = [counted for at, counted in seen if at > now - 100]
        opens = weight > 0 and sum(window) >= failures and sum(window) / len(window) >= ratio
        change = breakers.record(begun(breakers, now), now, weight)
        assert (change is not None) == opens
        if opens:
            return


steps = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.sampled_from([0.0, 0.5, 3.0, 9.0, 10.0, 30.0, 61.0, 700.0, 4000.0])),
        st.tuples(st.sampled_from(["begin", "force"]), st.just(0.0)),
        st.tuples(st.sampled_from(["end", "abandon"]), st.floats(0, 1, exclude_max=True)),
        st.tuples(st.just("fail"), st.just(0.0)),
    ),
    max_size=60,
)


class Story:
    """A breaker in use, checked at every step."""

    def __init__(self) -> None:
        self.breakers = Breakers(BreakerSettings(failures=2))
        self.now = 1000.0
        self.waiting: list[Ticket] = []

    def tell(self, steps: list[tuple[str, float]]) -> None:
        for what, amount in steps:
            if what == "wait":
                self.now += amount
            elif what in ("begin", "force"):
                self.begin(forced=what == "force")
            elif what == "fail":
                self.begin(forced=False)
                if self.waiting:
                    self.record(self.waiting.pop(), FAILURE)
            elif self.waiting:
                ticket = self.waiting.pop(int(amount * len(self.waiting)))
                if what == "abandon":
                    self.breakers.abandon(ticket, self.now)
                else:
                    self.record(ticket, [SUCCESS, SOFT_FAILURE, FAILURE][int(amount * 1000) % 3])
            self.check()

    def begin(self, *, forced: bool) -> None:
        expected = self.breakers.may_call(KEY, self.now)
        state = self.breakers.state(KEY, self.now)
        ticket = self.breakers.begin(KEY, self.now, forced=forced)
        assert (ticket is not None) == expected or (forced and state == "open")
        if ticket is not None:
            assert ticket.is_probe == (state != "closed")
            self.waiting.append(ticket)

    def record(self, ticket: Ticket, weight: float) -> None:
        before = self.breakers.state(KEY, self.now)
        change = self.breakers.record(ticket, self.now, weight)
        after = self.breakers.state(KEY, self.now)
        assert change is None or change[1:3] == (before, after)
        assert change is not None or before == after

    def check(self) -> None:
        breakers, now = self.breakers, self.now
        leased = [ticket for ticket in self.waiting if ticket.is_probe and now < ticket.begun + PROBE_LEASE_S]
        state, may_call, retry_at = breakers.state(KEY, now), breakers.may_call(KEY, now), breakers.retry_at(KEY, now)
        if state != "closed":
            assert len(leased) <= 1, "two probes at once"
        assert may_call == (state == "closed" or (state == "half-open" and not leased))
        assert (retry_at is None) == may_call
        if retry_at is not None:
            assert breakers.may_call(KEY, retry_at)
            assert not breakers.may_call(KEY, math.nextafter(retry_at, now))
        assert len(breakers) <= 1


@given(steps, st.sampled_from([SUCCESS, FAILURE]))
def test_one_probe_at_a_time_and_a_way_out_of_every_state(steps: list[tuple[str, float]], verdict: float) -> None:
    story = Story()
    story.tell(steps)
    breakers = story.breakers
    now = breakers.retry_at(KEY, story.now) or story.now
    probing = breakers.state(KEY, now) == "half-open"
    change = breakers.record(begun(breakers, now), now, verdict)
    if probing:
        assert change is not None
        assert breakers.state(KEY, now) == ("open" if verdict else "closed")
    assert breakers.state(KEY, now + 2 * FORGOTTEN_AFTER_S) == "closed", "left alone, too"


@given(steps, st.floats(0, 1e6), st.integers(-10 * YEAR_MS, 10 * YEAR_MS) | st.integers(-60_000, 60_000))
def test_restoring_never_lengthens(steps: list[tuple[str, float]], later: float, away_ms: int) -> None:
    story = Story()
    story.tell(steps)
    again = Breakers(story.breakers.settings)
    again.restored(story.breakers.saved(story.now, WALL_MS), later, WALL_MS + away_ms)
    before = [row.retry_at_ms - WALL_MS for row in story.breakers.saved(story.now, WALL_MS)]
    after = [row.retry_at_ms - WALL_MS for row in again.saved(later, WALL_MS)]
    if not before:
        assert after == []
    elif after:
        left_ms = min(before[0], before[0] - away_ms)
        assert after[0] == pytest.approx(left_ms, abs=1)
    else:
        assert away_ms - before[0] >= FORGOTTEN_AFTER_S * 1000
