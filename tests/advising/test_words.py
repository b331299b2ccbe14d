"""Numbers as a person reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.advising.words import counted, days, dollars, percent, roundest, two_digits
from router.ledger.periods import DAY_MS


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (0, "$0.00"),
        (1_234_000_000, "$1.23"),
        (1_234_567_000_000, "$1,234.57"),
        (8_100_000, "$0.0081"),
        (994_000_000, "$0.9940"),
        (-1_500_000_000, "-$1.50"),
    ],
)
def test_dollars(nano: int, text: str) -> None:
    assert dollars(nano) == text


@pytest.mark.parametrize(
    ("number", "expected"), [(0, 0), (7, 7), (99, 99), (3_740, 3_700), (3_799, 3_700), (128_000, 120_000)]
)
def test_two_digits(number: int, expected: int) -> None:
    assert two_digits(number) == expected


def test_shares_counts_and_days() -> None:
    assert [percent(share) for share in (0, 0.004, 0.0994, 0.0995, 0.27, 1)] == [
        "0%", "0.4%", "9.9%", "10%", "27%", "100%"
    ]  # fmt: skip
    assert [counted(1), counted(1204), counted(2, "draft")] == ["1 request", "1,204 requests", "2 drafts"]
    assert [days(DAY_MS // 3), days(7 * DAY_MS + 1)] == ["1 day", "7 days"]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (3_987, 4_120, 4_000),
        (3_987, 3_989, 3_987),
        (1, 9, 1),
        (1, 10, 10),
        (999, 1_001, 1_000),
        (14_100, 14_900, 14_100),
    ],
)
def test_the_roundest_number_between_two(low: int, high: int, expected: int) -> None:
    assert roundest(low, high) == expected


@given(st.integers(1, 10**6), st.integers(0, 10**4))
def test_none_between_two_has_more_zeros(low: int, more: int) -> None:
    found = roundest(low, low + more)
    zeros = len(str(found)) - len(str(found).rstrip("0"))
    step = 10 ** (zeros + 1)
    assert low <= found <= low + more
    assert -(-low // step) * step > low + more
