"""What is enough: the limits at their edges, the intervals against their definition."""

from __future__ import annotations

from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.advising.evidence import MOST_FAILING, Z, at_least, at_most, surely_negative, worth_saying
from router.ledger.periods import DAY_MS

DOLLAR = 10**9


@pytest.mark.parametrize(
    ("saving", "of", "days", "expected"),
    [
        pytest.param(DOLLAR, 20 * DOLLAR, 30, True, id="a dollar in 30 days, a twentieth"),
        pytest.param(DOLLAR - 1, 10 * DOLLAR, 30, False, id="a nano-dollar less"),
        pytest.param(DOLLAR, 20 * DOLLAR + 20, 30, False, id="less than a twentieth"),
        pytest.param(DOLLAR // 2, DOLLAR, 15, True, id="half a dollar in half the time"),
        pytest.param(2 * DOLLAR, 2 * DOLLAR, 61, False, id="two dollars in more than twice the time"),
        pytest.param(DOLLAR // 30, DOLLAR, 0.01, False, id="a short time counts as a day"),
        pytest.param(DOLLAR // 30 + 1, DOLLAR // 10, 0.01, True, id="of which it may be enough"),
        pytest.param(0, 0, 30, False, id="nothing of nothing"),
        pytest.param(-DOLLAR, DOLLAR, 30, False, id="a loss"),
    ],
)
def test_what_is_worth_saying(saving: int, of: int, days: float, expected: bool) -> None:
    assert worth_saying(saving, of, round(days * DAY_MS)) is expected


@given(st.integers(1, 2_000), st.data())
def test_an_end_of_the_interval_is_a_share_of_which_the_record_is_just_possible(of: int, data: st.DataObject) -> None:
    """Wilson's definition: the observed share is Z standard deviations away from it."""
    failed = data.draw(st.integers(0, of))
    for end in (at_most(failed, of), at_least(failed, of)):
        assert -1e-12 <= end <= 1 + 1e-12
        assert abs(failed / of - end) == pytest.approx(Z * sqrt(max(0.0, end * (1 - end)) / of), abs=1e-7)
    assert at_least(failed, of) <= failed / of + 1e-12
    assert at_most(failed, of) >= failed / of - 1e-12


def test_73_without_a_failure_are_the_fewest_that_allow_for_5_percent() -> None:
    assert at_most(0, 73) <= MOST_FAILING < at_most(0, 72)


def test_without_a_record_everything_is_possible() -> None:
    assert (at_least(0, 0), at_most(0, 0)) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("amounts", "expected"),
    [
        pytest.param([-5, -4, -6, -5], True, id="all lose"),
        pytest.param([-5, 40, -6, -5], False, id="one makes up for the others"),
        pytest.param([-5, 14, -6, -5], False, id="they may lose by chance"),
        pytest.param([-5], False, id="a single one says nothing"),
        pytest.param([0, 0, 0], False, id="they cost nothing"),
    ],
)
def test_what_surely_loses(amounts: list[int], expected: bool) -> None:
    assert surely_negative(amounts) is expected
