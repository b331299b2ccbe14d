from __future__ import annotations

import heapq
import itertools
import random
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from router.health import classes
from router.health.retry import (
    POLICIES,
    Again,
    Cooldown,
    Failure,
    GiveUp,
    Next,
    Progress,
    RetryBudget,
    RetrySettings,
    Step,
    next_step,
)

CLASSES = {value for name, value in vars(classes).items() if name.isupper() and isinstance(value, str)}
USUAL = RetrySettings()
ROW: Final = r"^\| `([\w-]+)` \|(?:[^|]*\|){3} ([1½–]) \|"
"""A row of the documentation's table: the class, and its weight in the breaker."""


def step(
    error_class: str,
    *,
    wait_s: float | None = None,
    here: int = 1,
    total: int | None = None,
    now: float = 0.0,
    left: int = 0,
    larger: int = 0,
    keys: int = 0,
    settings: RetrySettings = USUAL,
    chance: float = 0.5,
    budget_left: bool = True,
) -> Step:
    """What follows the first call to the only candidate, unless said otherwise."""
    progress = Progress(here, here if total is None else total, 0.0, now, left, larger, keys)
    return next_step(Failure(error_class, wait_s), progress, settings, chance=lambda: chance, budget_left=budget_left)


# --- the table --------------------------------------------------------------------------------------------------------

KEY_5_MIN, MODEL_5_MIN = Cooldown("key", 300.0), Cooldown("model", 300.0)
ROWS = {
    # class: the same target, the next candidate, weight in the breaker, what is left alone
    "connect": ("yes", "yes", 1.0, None),
    "timeout": ("if-asked", "yes", 1.0, None),
    "overloaded": ("once", "yes", 1.0, Cooldown("target", None, asked=True)),
    "rate": ("if-short-and-last", "yes", 0.0, Cooldown("key-and-model", 2.0, asked=True)),
    "ramp-up": ("no", "yes", 0.0, Cooldown("key-and-model", 10.0, asked=True)),
    "quota": ("no", "yes", 0.0, Cooldown("key", 300.0, asked=True)),
    "auth": ("other-key", "yes", 0.0, KEY_5_MIN),
    "auth-client": ("no", "no", 0.0, None),
    "not-found": ("no", "yes", 0.0, MODEL_5_MIN),
    "bad-request": ("no", "no", 0.0, None),
    "context-length": ("no", "larger-window", 0.0, None),
    "content-filter": ("no", "if-asked", 0.0, None),
    "server": ("once", "yes", 1.0, None),
    "soft": ("no", "yes", 0.5, None),
    "broken-start": ("once", "yes", 1.0, None),
    "broken-stream": ("no", "no", 1.0, None),
}


@pytest.mark.parametrize("error_class", ROWS)
def test_every_class_has_its_row(error_class: str) -> None:
    policy = POLICIES[error_class]
    assert (policy.same, policy.following, policy.breaker, policy.cooldown) == ROWS[error_class]


def test_every_class_has_a_row() -> None:
    assert set(POLICIES) == set(ROWS) == CLASSES


def test_the_table_says_what_may_have_cost_money_and_what_is_told() -> None:
    billed = {name for name, policy in POLICIES.items() if policy.maybe_billed}
    assert billed == {"timeout", "soft", "broken-start", "broken-stream"}
    assert {name for name, policy in POLICIES.items() if not policy.relayed} == {"auth"}
    assert {name for name, policy in POLICIES.items() if policy.blames_key} == {"rate", "ramp-up", "quota", "auth"}


@pytest.mark.parametrize(
    ("error_class", "wait_s", "lasts_s"),
    [
        ("overloaded", None, None), ("overloaded", 7.0, 7.0), ("overloaded", 0.0, 0.0),
        ("rate", None, 2.0), ("rate", 7.0, 7.0), ("rate", 0.0, 0.0),
        ("ramp-up", None, 10.0), ("ramp-up", 30.0, 30.0),
        ("quota", None, 300.0), ("quota", 7200.0, 7200.0),
        ("auth", None, 300.0), ("auth", 7.0, 300.0),
        ("not-found", None, 300.0), ("not-found", 7.0, 300.0),
    ],
)  # fmt: skip
def test_what_is_left_alone_is_so_for_the_wait_asked_for_or_the_usual(
    error_class: str, wait_s: float | None, lasts_s: float | None
) -> None:
    cooldown = POLICIES[error_class].cooldown
    assert cooldown is not None
    assert cooldown.lasts_s(wait_s) == lasts_s


def test_a_call_may_cost_by_its_class_or_by_what_is_known_of_it() -> None:
    assert Failure("timeout").may_cost
    assert Failure("connect", maybe_billed=True).may_cost
    assert not Failure("connect").may_cost


# --- one failure ------------------------------------------------------------------------------------------------------

AGAIN, OTHER_KEY, NEXT, LARGER = Again(0.125), Again(0.0, other_key=True), Next(), Next(larger_window=True)
FIRST_FAILURES: list[tuple[str, Step | None, Step | None, Step | None]] = [
    # class: with another candidate left, as the last, as the last with another key; None gives up
    ("connect", Again(0.0), AGAIN, AGAIN),
    ("timeout", NEXT, None, None),
    ("overloaded", AGAIN, AGAIN, AGAIN),
    ("rate", NEXT, AGAIN, OTHER_KEY),
    ("ramp-up", NEXT, None, OTHER_KEY),
    ("quota", NEXT, None, OTHER_KEY),
    ("auth", NEXT, None, OTHER_KEY),
    ("auth-client", None, None, None),
    ("not-found", NEXT, None, None),
    ("bad-request", None, None, None),
    ("context-length", None, None, None),
    ("content-filter", None, None, None),
    ("server", AGAIN, AGAIN, AGAIN),
    ("soft", NEXT, None, None),
    ("broken-start", AGAIN, AGAIN, AGAIN),
    ("broken-stream", None, None, None),
]


@pytest.mark.parametrize(("error_class", "with_another", "as_the_last", "with_a_key"), FIRST_FAILURES)
def test_what_follows_a_first_failure(
    error_class: str, with_another: Step | None, as_the_last: Step | None, with_a_key: Step | None
) -> None:
    found = step(error_class, left=1), step(error_class), step(error_class, keys=1)
    for actual, expected in zip(found, (with_another, as_the_last, with_a_key), strict=True):
        assert isinstance(actual, GiveUp) if expected is None else actual == expected


def test_every_class_is_among_the_first_failures() -> None:
    assert {row[0] for row in FIRST_FAILURES} == CLASSES


NO_CANDIDATE, SPENT = GiveUp("no candidate is left"), GiveUp("the retry budget is used up")
ASKING = replace(USUAL, on_content_filter="next", after_timeout=True)
PATIENT = replace(USUAL, attempts=5, total=9)

STEPS = [
    # --- what settings ask for
    pytest.param(step("timeout", settings=ASKING), AGAIN, id="a timeout is repeated if asked for"),
    pytest.param(step("timeout", settings=ASKING, left=1), AGAIN, id="even before others"),
    pytest.param(step("content-filter", settings=ASKING, left=1), NEXT, id="a refusal goes on if asked for"),
    pytest.param(step("content-filter", settings=ASKING), NO_CANDIDATE, id="if there is where"),
    pytest.param(step("content-filter", left=1), GiveUp("it is passed on as it is (content-filter)"), id="else not"),
    # --- windows
    pytest.param(step("context-length", left=3, larger=1), LARGER, id="too long goes to a larger window"),
    pytest.param(step("context-length", left=3), GiveUp("no candidate with a larger window is left"), id="to no other"),
    # --- keys
    pytest.param(step("auth", keys=1, left=1), OTHER_KEY, id="a refused key gives way to another before others"),
    pytest.param(step("auth", keys=1, here=2, left=1, settings=PATIENT), OTHER_KEY, id="and again"),
    pytest.param(step("auth", keys=1, here=2, left=1, settings=replace(USUAL, total=9)), NEXT, id="up to its attempts"),
    pytest.param(step("quota", keys=1, left=1), NEXT, id="a spent key gives way to another candidate"),
    pytest.param(step("quota", wait_s=9e4, keys=1), OTHER_KEY, id="if there is none, to another key without a wait"),
    pytest.param(step("rate", wait_s=5.0, keys=1), OTHER_KEY, id="so does a limited one"),
    pytest.param(step("server", keys=1, wait_s=60.0), GiveUp("it asks for a wait of 60.0 s, more than 10 s"),
                 id="another key doesn't mend a broken server"),
    # --- waits
    pytest.param(step("rate", wait_s=3.0), Again(3.0), id="a short limit is waited for by the last"),
    pytest.param(step("rate", wait_s=10.0), Again(10.0), id="up to the longest delay"),
    pytest.param(step("rate", wait_s=10.1), GiveUp("it asks for a wait of 10.1 s, more than 10 s"), id="not longer"),
    pytest.param(step("rate", wait_s=3.0, left=1), NEXT, id="with another candidate it isn't waited for"),
    pytest.param(step("overloaded", wait_s=0.1, left=1), NEXT, id="nor is an overloaded target, however short"),
    pytest.param(step("overloaded", wait_s=3.0), Again(3.0), id="the wait asked for wins over the backoff"),
    pytest.param(step("connect", wait_s=0.01), Again(0.01), id="also where it is shorter"),
    pytest.param(step("overloaded", wait_s=0.0), AGAIN, id="a wait of 0 leaves the backoff"),
    pytest.param(step("overloaded", wait_s=0.0, left=1), AGAIN, id="and is no wish to be left alone"),
    pytest.param(step("rate", wait_s=1.0, settings=replace(USUAL, max_delay_s=0.0)),
                 GiveUp("it asks for a wait of 1.0 s, more than 0 s"), id="a longest delay of 0 waits for nothing"),
    pytest.param(step("server", settings=replace(USUAL, max_delay_s=0.0)), Again(0.0), id="but still repeats at once"),
    # --- attempts
    pytest.param(step("connect", here=2, settings=PATIENT), Again(0.25), id="the backoff doubles"),
    pytest.param(step("connect", here=4, settings=PATIENT), Again(1.0), id="and doubles"),
    pytest.param(step("connect", here=5, settings=PATIENT), NO_CANDIDATE, id="up to the attempts"),
    pytest.param(step("connect", here=5, settings=PATIENT, left=1), NEXT, id="then the next candidate follows"),
    pytest.param(step("server", here=2, settings=PATIENT), NO_CANDIDATE, id="once is once"),
    pytest.param(step("server", here=2, settings=PATIENT, left=1), NEXT, id="before others as well"),
    pytest.param(step("server", here=1, total=5, settings=PATIENT), AGAIN, id="once per candidate"),
    pytest.param(step("connect", settings=replace(USUAL, attempts=1)), NO_CANDIDATE, id="or never"),
    pytest.param(step("connect", here=2, total=3, left=1), GiveUp("all 3 attempts are used up"), id="three in all"),
    pytest.param(step("server", here=1, total=2, left=1), NEXT, id="the last call is the next candidate's"),
    pytest.param(step("server", here=1, total=2), AGAIN, id="if there is one"),
    pytest.param(step("auth", total=2, keys=1, left=1), NEXT, id="also before another key"),
    pytest.param(step("content-filter", total=3), GiveUp("all 3 attempts are used up"), id="whatever the class"),
    # --- the deadline
    pytest.param(step("server", now=119.8), Again(0.125), id="before the deadline a call starts"),
    pytest.param(step("server", now=119.9), GiveUp("a wait of 0.1 s would pass the deadline"), id="not after a wait"),
    pytest.param(step("server", now=119.9, left=1), NEXT, id="then another candidate is called at once"),
    pytest.param(step("server", now=120.0, left=1), GiveUp("the deadline of 120 s has passed"), id="then nobody"),
    pytest.param(step("rate", wait_s=9.0, now=111.5), GiveUp("a wait of 9.0 s would pass the deadline"),
                 id="nor after one asked for"),
    pytest.param(step("auth", keys=1, now=120.0), GiveUp("the deadline of 120 s has passed"), id="no other key either"),
    # --- the budget
    pytest.param(step("server", budget_left=False), SPENT, id="a repetition needs budget"),
    pytest.param(step("quota", left=1, budget_left=False), SPENT, id="so does a fallback"),
    pytest.param(step("auth", keys=1, budget_left=False), SPENT, id="and another key"),
    pytest.param(step("quota", budget_left=False), NO_CANDIDATE, id="the budget isn't blamed for all"),
    pytest.param(step("bad-request", left=1, budget_left=False), GiveUp("no other call could do better (bad-request)"),
                 id="nor for what never goes on"),
]  # fmt: skip


@pytest.mark.parametrize(("actual", "expected"), STEPS)
def test_steps(actual: Step, expected: Step) -> None:
    assert actual == expected


@pytest.mark.parametrize(("chance", "delay_s"), [(0.0, 0.0), (0.5, 0.125), (0.75, 0.1875)])
def test_the_backoff_has_full_jitter(chance: float, delay_s: float) -> None:
    assert step("connect", chance=chance) == Again(delay_s)


def test_the_backoff_grows_no_further_than_the_longest_delay() -> None:
    settings = replace(USUAL, attempts=10**9, total=10**9)
    for here in (7, 100, 10**6):
        assert step("connect", here=here, settings=settings) == Again(5.0)


# --- a whole request --------------------------------------------------------------------------------------------------


@dataclass
class Candidate:
    window: int
    keys: int = 1


def serve(
    failures: list[Failure],
    candidates: list[Candidate],
    settings: RetrySettings,
    *,
    took_s: float = 0.1,
    chance: float = 0.5,
    budget: bool = True,
) -> tuple[list[int], list[float], GiveUp]:
    """A request all of whose calls fail, one failure after the other: who was called, the delays, why it ended."""
    now, here, at, keys = 0.0, 0, 0, candidates[0].keys
    left = list(range(1, len(candidates)))
    called: list[int] = []
    delays: list[float] = []
    for failure in itertools.cycle(failures):
        assert now < settings.deadline_s, "no call starts after the deadline"
        called.append(at)
        here, keys, now = here + 1, keys - 1, now + took_s
        larger = [index for index in left if candidates[index].window > candidates[at].window]
        progress = Progress(here, len(called), 0.0, now, len(left), len(larger), keys)
        match next_step(failure, progress, settings, chance=lambda: chance, budget_left=budget):
            case Again(delay_s, other_key):
                assert keys or not other_key
                delays.append(delay_s)
                now += delay_s
            case Next(larger_window):
                at = (larger if larger_window else left)[0]
                left, here, keys = [index for index in left if index > at], 0, candidates[at].keys
            case GiveUp() as end:
                return called, delays, end
    raise AssertionError


@pytest.mark.parametrize(
    ("error_classes", "candidates", "expected"),
    [
        pytest.param(["server"], 2, [0, 0, 1], id="the first twice, then the second"),
        pytest.param(["server"], 3, [0, 0, 1], id="three calls in all"),
        pytest.param(["timeout"], 3, [0, 1, 2], id="a timeout is never repeated"),
        pytest.param(["rate"], 2, [0, 1, 1], id="a limit only by the last"),
        pytest.param(["quota", "server"], 2, [0, 1, 1], id="each candidate has its own attempts"),
        pytest.param(["server", "bad-request"], 3, [0, 0], id="the client's fault ends it"),
        pytest.param(["broken-start", "connect", "soft"], 1, [0, 0], id="two calls to one target"),
    ],
)
def test_requests_walk_through_their_candidates(error_classes: list[str], candidates: int, expected: list[int]) -> None:
    failures = [Failure(name) for name in error_classes]
    called, _, _ = serve(failures, [Candidate(1)] * candidates, USUAL)
    assert called == expected


def chance_of_failing(
    error_classes: list[str],
    shares: list[Fraction],
    settings: RetrySettings,
    *,
    at: int = 0,
    here: int = 1,
    calls: int = 1,
) -> Fraction:
    """How likely a request gets no answer where each call to a candidate fails with the candidate's share, whatever
    the calls before it did, and all classes are equally likely. Exact."""
    lost = Fraction(0)
    for error_class in error_classes:
        progress = Progress(here, calls, 0.0, 0.0, len(shares) - at - 1)
        match next_step(Failure(error_class), progress, settings, chance=lambda: 0.0, budget_left=True):
            case GiveUp():
                lost += 1
            case Again():
                lost += chance_of_failing(error_classes, shares, settings, at=at, here=here + 1, calls=calls + 1)
            case Next():
                lost += chance_of_failing(error_classes, shares, settings, at=at + 1, calls=calls + 1)
    return shares[at] * lost / len(error_classes)


REPEATED = ["connect", "overloaded", "server", "broken-start"]
PASSING = [*REPEATED, "timeout", "rate", "soft"]  # not a matter of keys, models or accounts
TENTH, NEVER = Fraction(1, 10), Fraction(0)


@pytest.mark.parametrize(
    ("error_classes", "shares", "settings", "per_million"),
    [
        pytest.param(sorted(CLASSES - {"auth-client", "bad-request", "context-length", "content-filter",
                                       "broken-stream"}), [TENTH, NEVER], USUAL, 0, id="the second one is well"),
        pytest.param(REPEATED, [TENTH] * 2, USUAL, 1000, id="both fail alike: three calls, each with a tenth"),
        pytest.param(PASSING, [TENTH] * 3, USUAL, 1000, id="three fail alike, whatever may pass"),
        pytest.param(PASSING, [TENTH] * 2, USUAL, 2102, id="two do: who timed out or said nothing isn't called again"),
        pytest.param(PASSING, [TENTH] * 2, ASKING, 1367, id="two do, and timeouts may be repeated"),
        pytest.param(PASSING, [TENTH] * 2, replace(ASKING, total=4), 816, id="and there are four calls"),
    ],
)  # fmt: skip
def test_how_many_requests_are_lost_while_every_tenth_call_fails(
    error_classes: list[str], shares: list[Fraction], settings: RetrySettings, per_million: int
) -> None:
    assert round(chance_of_failing(error_classes, shares, settings) * 10**6) == per_million


FAILURES = st.builds(
    Failure, st.sampled_from(sorted(CLASSES)), st.none() | st.floats(0, 200) | st.just(3e6), st.booleans()
)
SETTINGS = st.builds(
    RetrySettings,
    attempts=st.integers(1, 20),
    total=st.integers(1, 100),
    backoff_s=st.floats(0, 60),
    max_delay_s=st.floats(0, 60),
    deadline_s=st.floats(0.001, 600),
    on_content_filter=st.sampled_from(["relay", "next"]),
    after_timeout=st.booleans(),
)


@given(
    st.lists(FAILURES, min_size=1, max_size=8),
    st.lists(st.builds(Candidate, st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=5),
    SETTINGS,
    st.sampled_from([0.0, 0.01, 1.0, 70.0]),
    st.floats(0, 1, exclude_max=True),
)
def test_every_request_ends_within_its_bounds(
    failures: list[Failure], candidates: list[Candidate], settings: RetrySettings, took_s: float, chance: float
) -> None:
    called, delays, _ = serve(failures, candidates, settings, took_s=took_s, chance=chance)
    assert len(called) <= settings.total
    assert called == sorted(called), "candidates are called in their order"
    assert all(called.count(at) <= settings.attempts for at in called)
    assert all(0 <= delay_s <= settings.max_delay_s for delay_s in delays)
    assert sum(delays) < settings.deadline_s or not delays


@given(FAILURES, st.integers(1, 20), st.integers(0, 3), st.integers(0, 3), SETTINGS, st.floats(0, 700))
def test_without_budget_no_further_call_is_made(
    failure: Failure, here: int, left: int, keys: int, settings: RetrySettings, now: float
) -> None:
    progress = Progress(here, here, 0.0, now, left, left, keys)
    assert isinstance(next_step(failure, progress, settings, chance=lambda: 0.5, budget_left=False), GiveUp)


@given(st.none() | st.floats(0, 200), st.integers(0, 3), st.integers(0, 3))
def test_a_timeout_is_not_repeated_at_the_target_that_may_have_charged(
    wait_s: float | None, left: int, keys: int
) -> None:
    failure = Failure("timeout", wait_s)
    progress = Progress(1, 1, 0.0, 1.0, left, left, keys)
    assert failure.may_cost
    assert not isinstance(next_step(failure, progress, USUAL, chance=lambda: 0.5, budget_left=True), Again)


# --- the budget -------------------------------------------------------------------------------------------------------


def test_few_requests_may_all_be_retried() -> None:
    budget = RetryBudget()
    for second in range(100):
        budget.enter(second)
        for _ in range(2):
            assert budget.left(second + 0.5)
            budget.take(second + 0.5)


def test_one_blip_may_be_retried_by_all_whom_it_cut() -> None:
    budget = RetryBudget()
    for _ in range(25):
        budget.enter(0.0)
    for _ in range(25):
        assert budget.left(300.0)
        budget.take(300.0)
    assert not budget.left(300.9)


def test_a_fifth_of_many_requests_may_be_retried() -> None:
    budget = RetryBudget()
    for _ in range(1000):
        budget.enter(5.0)
    taken = 0
    while budget.left(5.0):
        budget.take(5.0)
        taken += 1
    assert taken == 200


def test_the_budget_comes_back_with_time() -> None:
    budget = RetryBudget(least=2)
    budget.take(0.0)
    budget.take(4.0)
    assert [budget.left(now) for now in (4.0, 9.9, 10.0, 14.0)] == [False, False, True, True]


@given(st.lists(st.tuples(st.floats(0, 3), st.booleans()), max_size=300), st.integers(0, 5))
@example([*[(0.0, True)] * 5, (1.0, False), (3.0, True), (3.0, False), (3.0, False)], 0)
def test_in_no_window_are_more_retries_than_allowed(moves: list[tuple[float, bool]], least: int) -> None:
    budget = RetryBudget(least=least)
    now, requests, retries = 0.0, list[float](), list[float]()
    for pause_s, is_request in moves:
        now += pause_s
        if is_request:
            budget.enter(now)
            requests.append(now)
        elif budget.left(now):
            budget.take(now)
            retries.append(now)
            # Only now: requests leave the window before retries that came after them.
            recent = [sum(1 for time in times if int(time) > int(now) - 10) for times in (requests, retries)]
            assert recent[1] <= max(least, recent[0] / 5 + 1)


def outage(
    *,
    per_s: float,
    healthy_s: float,
    failing_s: float,
    candidates: int,
    keys: int,
    fail: tuple[tuple[str, float, float | None], ...],
    settings: RetrySettings = USUAL,
) -> tuple[int, int]:
    """Requests at a fixed rate in virtual time while all providers fail: (requests, calls) of that time.

    ``fail`` are the ways to fail: class, seconds until then, wait asked for.
    """
    chance = random.Random(1)
    budget = RetryBudget()
    order = itertools.count()
    # A new request or the end of a call: time, order, request's start, candidate, calls here and in all, failure.
    events: list[tuple[float, int, float, int, int, int, Failure | None]] = []
    for number in range(int((healthy_s + failing_s) * per_s)):
        start = number / per_s
        heapq.heappush(events, (start, next(order), start, 0, 0, 0, None))
    requests = calls = 0
    while events:
        now, _, start, at, here, total, failure = heapq.heappop(events)
        if failure is None:
            budget.enter(now)
            if now < healthy_s:
                continue
            requests += 1
        else:
            progress = Progress(here, total, start, now, candidates - 1 - at, candidates - 1 - at, keys - here)
            match next_step(failure, progress, settings, chance=chance.random, budget_left=budget.left(now)):
                case GiveUp():
                    continue
                case Again(delay_s):
                    now += delay_s
                case Next():
                    at, here = at + 1, 0
            budget.take(now)
        calls += 1
        error_class, took_s, wait_s = chance.choice(fail)
        failed = Failure(error_class, wait_s)
        heapq.heappush(events, (now + took_s, next(order), start, at, here + 1, total + 1, failed))
    return requests, calls


FAST, BUSY = ("connect", 0.001, None), ("overloaded", 0.05, None)
OUTAGES = [
    pytest.param((FAST,), 1, 1, id="one target that can't be reached"),
    pytest.param((FAST,), 3, 1, id="three that can't be reached"),
    pytest.param((BUSY,), 3, 1, id="three that are overloaded"),
    pytest.param((("overloaded", 0.05, 2.0),), 1, 1, id="one that asks for a wait"),
    pytest.param((("timeout", 60.0, None),), 3, 1, id="three that never answer"),
    pytest.param((("rate", 0.2, 1.0),), 1, 1, id="a limit that is hit"),
    pytest.param((("auth", 0.02, None),), 2, 3, id="keys that are refused"),
    pytest.param((("quota", 0.02, 9000.0), ("server", 2.0, None), FAST, BUSY), 3, 2, id="all of that"),
]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("settings", [USUAL, replace(USUAL, attempts=20, total=100)], ids=["usual", "stubborn"])
@pytest.mark.parametrize(("fail", "candidates", "keys"), OUTAGES)
@pytest.mark.slow
def test_an_outage_of_everything_is_not_multiplied(
    fail: tuple[tuple[str, float, float | None], ...], candidates: int, keys: int, settings: RetrySettings
) -> None:
    requests, calls = outage(
        per_s=500, healthy_s=0, failing_s=30, candidates=candidates, keys=keys, fail=fail, settings=settings
    )
    assert requests == 15_000
    assert requests < calls <= 1.25 * requests


@pytest.mark.parametrize("per_s", [10.0, 30.0, 100.0])
def test_an_outage_after_a_good_minute_is_not_multiplied_either(per_s: float) -> None:
    requests, calls = outage(per_s=per_s, healthy_s=60, failing_s=30, candidates=3, keys=1, fail=(FAST, BUSY))
    assert calls <= 1.25 * requests


@pytest.mark.parametrize("per_s", [1, 5, 10, 20, 50])
def test_one_failure_in_ten_is_within_the_budget(per_s: int) -> None:
    """For ten minutes every call fails with a probability of a tenth: at most one retry in a thousand is refused."""
    chance = random.Random(2)
    budget = RetryBudget()
    wanted = refused = 0
    for number in range(600 * per_s):
        now = number / per_s
        budget.enter(now)
        for _ in range(2):
            if chance.random() >= 0.1:
                break
            wanted += 1
            if not budget.left(now):
                refused += 1
                break
            budget.take(now)
    assert wanted > 50 * per_s
    assert refused <= wanted / 1000


def test_every_class_has_its_row_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "failures.md").read_text("utf-8")
    rows = {name: {"1": 1.0, "½": 0.5, "–": 0.0}[weight] for name, weight in re.findall(ROW, page, re.MULTILINE)}
    assert rows == {name: policy.breaker for name, policy in POLICIES.items()}
