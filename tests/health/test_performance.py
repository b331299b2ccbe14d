from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.health.performance import ENOUGH, Performance, Seen

TARGET = ("groq", "llama")
HALF_LIFE = 1800.0
Call = tuple[float, dict[str, Any]]


def told(calls: Sequence[Call]) -> Performance:
    performance = Performance(HALF_LIFE)
    for now, call in calls:
        performance.observe(TARGET, now, **{"ok": True, **call})
    return performance


def seen(calls: Sequence[Call], now: float = 0.0) -> Seen:
    found = told(calls).of(TARGET, now)
    assert found is not None
    return found


def good(number: int, now: float = 0.0) -> list[Call]:
    return [(now, {})] * number


def bad(number: int, now: float = 0.0) -> list[Call]:
    return [(now, {"ok": False})] * number


@pytest.mark.parametrize(
    ("calls", "now", "success"),
    [
        pytest.param(good(7), 0, 1.0, id="nothing failed"),
        pytest.param(bad(1), 0, 1 / 2, id="one success is assumed beforehand"),
        pytest.param([*good(18), *bad(1)], 0, 19 / 20, id="and is soon outweighed"),
        pytest.param(bad(19), 0, 1 / 20, id="by failures too"),
        pytest.param([*good(9), *bad(10, HALF_LIFE)], HALF_LIFE, 5.5 / 15.5, id="a call one half-life ago counts half"),
        pytest.param(bad(7), 3 * HALF_LIFE, 1 / (7 / 8 + 1), id="what failed long ago is forgiven"),
        pytest.param(bad(7), 1e9, 1.0, id="in the end wholly"),
        pytest.param(bad(7, HALF_LIFE), 0, 1 / 8, id="a clock that is behind the last call forgives nothing"),
    ],
)
def test_success_is_a_share_of_decayed_counts(calls: list[Call], now: float, success: float) -> None:
    assert seen(calls, now).success == pytest.approx(success)


@pytest.mark.parametrize(
    ("times", "now", "first_token_s"),
    [
        pytest.param([(0, 0.5)], 0, 0.5, id="one"),
        pytest.param([(0, 1.0), (0, 4.0)], 0, 2.0, id="the geometric mean of several"),
        pytest.param([(0, 1.0)] * 29 + [(0, 60.0)], 0, 60 ** (1 / 30), id="one call that hung hardly counts"),
        pytest.param([(0, 1.0), (HALF_LIFE, 8.0)], HALF_LIFE, 4.0, id="the later one counts twice"),
        pytest.param([(0, 0.0)], 0, 0.001, id="no time at all is a millisecond"),
        pytest.param([(0, 1.0)], 4 * HALF_LIFE, 1.0, id="it stays while there is some evidence"),
        pytest.param([(0, 1.0)], 5 * HALF_LIFE, None, id="and is unknown when that has faded"),
        pytest.param([(0, 1.0)] * 64, 10 * HALF_LIFE, 1.0, id="more evidence lasts longer"),
    ],
)
def test_the_time_to_the_first_token_is_the_usual_one(
    times: list[tuple[float, float]], now: float, first_token_s: float | None
) -> None:
    found = seen([(at, {"first_token_s": time}) for at, time in times], now).first_token_s
    assert found == (first_token_s if first_token_s is None else pytest.approx(first_token_s))


@pytest.mark.parametrize(
    ("streams", "now", "tokens_per_s"),
    [
        pytest.param([(0, 100, 2.0)], 0, 50.0, id="one"),
        pytest.param([(0, 1000, 20.0), (0, 10, 0.001)], 0, 1010 / 20.001, id="a short answer counts for what it is"),
        pytest.param([(0, 100, 1.0), (HALF_LIFE, 100, 10.0)], HALF_LIFE, 150 / 10.5, id="the later one counts twice"),
        pytest.param([(0, 100, 0.0)], 0, None, id="answers that come all at once have none"),
        pytest.param([(0, 50, 1.0)], 5 * HALF_LIFE, None, id="unknown when the evidence has faded"),
    ],
)
def test_speed_is_all_tokens_over_all_seconds(
    streams: list[tuple[float, int, float]], now: float, tokens_per_s: float | None
) -> None:
    calls: list[Call] = [(at, {"streamed_tokens": tokens, "streaming_s": s}) for at, tokens, s in streams]
    found = seen(calls, now).tokens_per_s
    assert found == (tokens_per_s if tokens_per_s is None else pytest.approx(tokens_per_s))


@pytest.mark.parametrize(
    "call",
    [
        pytest.param({"ok": False}, id="a failure"),
        pytest.param({"output_tokens": 100}, id="an answer that wasn't streamed"),
        pytest.param({"streamed_tokens": 100}, id="tokens without their time"),
    ],
)
def test_what_was_not_measured_is_unknown(call: dict[str, Any]) -> None:
    found = seen([(0, call)])
    assert (found.requests, found.first_token_s, found.tokens_per_s) == (1, None, None)


def test_a_target_that_was_never_called_is_unknown_and_the_others_are_apart() -> None:
    performance = told(bad(3))
    performance.observe(("groq", "other"), 0, ok=True)
    assert performance.of(("openai", "llama"), 0) is None
    other = performance.of(("groq", "other"), 0)
    assert other is not None
    assert (other.requests, other.success) == (1, 1.0)
    assert [target for target, _ in performance.every(0)] == [TARGET, ("groq", "other")]


CALLS = st.lists(
    st.tuples(
        st.floats(0, 20_000),
        st.fixed_dictionaries(
            {"ok": st.booleans(), "first_token_s": st.none() | st.floats(0.01, 100)},
            optional={"streamed_tokens": st.integers(0, 10_000), "streaming_s": st.floats(0.01, 100)},
        ),
    ),
    min_size=1,
    max_size=12,
)


@given(CALLS, st.data())
def test_calls_may_be_told_in_any_order(calls: list[Call], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(calls))
    one, other = seen(calls, 20_000), seen(shuffled, 20_000)
    for figure, same in zip(one, other, strict=True):
        assert same == (figure if figure is None else pytest.approx(figure))


@given(CALLS, st.floats(0, 1e6))
def test_figures_stay_within_what_was_told(calls: list[Call], later: float) -> None:
    found = seen(calls, 20_000 + later)
    times = [call["first_token_s"] for _, call in calls if call["first_token_s"] is not None]
    assert 0 < found.success <= 1
    if found.first_token_s is not None:
        assert min(times) * 0.999 <= found.first_token_s <= max(times) * 1.001


def test_of_too_many_targets_the_one_called_longest_ago_is_forgotten() -> None:
    performance = Performance(HALF_LIFE, max_targets=3)
    for number in (1, 2, 3, 1, 4):
        performance.observe(("groq", str(number)), number, ok=True)
    assert [model for (_, model), _ in performance.every(9)] == ["3", "1", "4"]


def test_the_half_life_may_change() -> None:
    performance = told([*good(1), *bad(1)])
    performance.half_life_s = 10.0
    later = performance.of(TARGET, 10)
    assert later is not None
    assert later.success == pytest.approx(1.5 / 2)


# --- the length of answers --------------------------------------------------------------------------------------------


def answered(performance: Performance, lengths: Sequence[int], model: str = "llama", label: str = "") -> None:
    for number in lengths:
        performance.observe(("groq", model), 0, ok=True, output_tokens=number, label=label)


def nearest_rank(lengths: Sequence[int]) -> int:
    return sorted(lengths)[math.ceil(len(lengths) * 19 / 20) - 1]


@given(st.lists(st.integers(0, 200_000), min_size=ENOUGH, max_size=300))
def test_the_mean_is_exact_and_the_95th_percentile_at_most_9_percent_too_high(lengths: list[int]) -> None:
    performance = Performance(HALF_LIFE)
    answered(performance, lengths)
    found = performance.output("llama")
    assert found is not None
    assert found.mean == pytest.approx(sum(lengths) / len(lengths))
    true = max(nearest_rank(lengths), 1)
    assert true <= found.p95 <= math.ceil(true * 2 ** (1 / 8))


def test_a_rules_own_answers_count_once_there_are_enough() -> None:
    performance = Performance(HALF_LIFE)
    answered(performance, [1000] * ENOUGH, label="work → groq")
    answered(performance, [10] * (ENOUGH - 1), label="background → groq")
    few = performance.output("llama", "background → groq")
    answered(performance, [10], label="background → groq")
    enough = performance.output("llama", "background → groq")
    all_rules = performance.output("llama")
    assert few is not None
    assert enough is not None
    assert all_rules is not None
    assert few.mean > 500
    assert enough.mean == 10
    assert all_rules.mean == 505
    assert performance.output("llama", "a new rule") == all_rules


def test_it_is_unknown_while_there_are_too_few_and_shared_by_the_providers_of_a_model() -> None:
    performance = Performance(HALF_LIFE)
    answered(performance, [7] * (ENOUGH - 1))
    assert performance.output("llama") is None
    performance.observe(("openrouter", "llama"), 0, ok=True, output_tokens=7)
    assert performance.output("llama") is not None
    assert performance.output("other") is None


def test_old_answers_are_forgotten_by_count() -> None:
    performance = Performance(HALF_LIFE)
    answered(performance, [10] * 5000)
    answered(performance, [100] * 5000)
    found = performance.output("llama")
    assert found is not None
    assert 95 < found.mean < 100
    assert found.p95 == math.ceil(2 ** (54 / 8))


def test_of_too_many_labels_the_one_used_longest_ago_is_forgotten() -> None:
    performance = Performance(HALF_LIFE, max_lengths=2)
    answered(performance, [1] * ENOUGH, model="a")
    answered(performance, [2] * ENOUGH, model="b")
    answered(performance, [3] * ENOUGH, model="c")
    assert [performance.output(model) is None for model in "abc"] == [True, False, False]
