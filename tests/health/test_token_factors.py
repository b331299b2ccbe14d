from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.health.token_factors import ENOUGH, HIGHEST, LEAST_TOKENS, LOWEST, TokenFactors

LONG = 100_000


def taught(*ratios: float, estimated: int = LONG, limit: int = 256) -> TokenFactors:
    factors = TokenFactors(limit)
    for ratio in ratios:
        factors.observe("claude", estimated, round(estimated * ratio))
    return factors


@pytest.mark.parametrize(
    ("ratios", "factor"),
    [
        pytest.param([1.15] * (ENOUGH - 1), None, id="too few"),
        pytest.param([1.15] * ENOUGH, 1.15, id="enough"),
        pytest.param([1.151] * ENOUGH, 1.16, id="rounded to the safe side"),
        pytest.param([1.1] * 95 + [1.4] * 5, 1.1, id="95 of 100 are below"),
        pytest.param([1.1] * 94 + [1.4] * 6, 1.4, id="94 of 100 are too few"),
        pytest.param([0.8] * 50, LOWEST, id="no window is larger than it is"),
        pytest.param([1.2] * 50 + [2.01, 7.0, 0.49, 0.0], 1.2, id="what can't be the tokenizer's doing isn't counted"),
        pytest.param([2.0] * 50, HIGHEST, id="the highest"),
        pytest.param([3.0] * 50, None, id="nothing that can be compared"),
    ],
)
def test_the_factor_is_what_most_requests_stay_below(ratios: list[float], factor: float | None) -> None:
    assert taught(*ratios).of("claude") == factor


def test_short_requests_teach_nothing() -> None:
    assert taught(*[1.5] * 100, estimated=LEAST_TOKENS - 1).of("claude") is None
    assert taught(*[1.5] * 100, estimated=LEAST_TOKENS).of("claude") == 1.5


def test_what_was_long_ago_counts_less_and_less() -> None:
    factors = taught(*[1.5] * 500)
    seen = []
    for _ in range(12):
        for _ in range(500):
            factors.observe("claude", LONG, LONG)
        seen.append(factors.of("claude"))
    assert seen[0] == 1.5
    assert seen[-1] == 1.0
    assert seen == sorted(seen, reverse=True)


def test_a_higher_ratio_is_learned_soon() -> None:
    factors = taught(*[1.0] * 10_000)
    for _ in range(40):
        factors.observe("claude", LONG, round(LONG * 1.3))
    assert factors.of("claude") == 1.3


def test_families_are_apart_and_never_too_many() -> None:
    factors = taught(*[1.2] * ENOUGH, limit=2)
    for name in ("qwen", "llama"):
        for _ in range(ENOUGH):
            factors.observe(name, LONG, LONG)
    assert [factors.of(name) for name in ("claude", "qwen", "llama", "nobody")] == [None, 1.0, 1.0, None]


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**7)), max_size=80))
def test_it_is_always_within_its_bounds_and_a_ratio_that_was_seen(counts: list[tuple[int, int]]) -> None:
    factors = TokenFactors()
    for estimated, reported in counts:
        factors.observe("x", estimated, reported)
    factor = factors.of("x")
    if factor is not None:
        assert LOWEST <= factor <= HIGHEST
        ratios = [reported / estimated for estimated, reported in counts if estimated >= LEAST_TOKENS]
        assert factor == LOWEST or any(factor - 0.01 <= ratio <= factor for ratio in ratios)
