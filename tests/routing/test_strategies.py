from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.routing.strategies import (
    STRATEGIES,
    AdaptiveSettings,
    Draw,
    Estimate,
    Option,
    Ordered,
    order,
)


class Record(NamedTuple):
    requests: int = 100
    success: float = 1.0
    first_token_s: float | None = 1.0
    tokens_per_s: float | None = 50.0


def lucky(value: float) -> Callable[[], float]:
    return lambda: value


CALM = lucky(0.999)  # a draw that explores nothing


def options(**chosen: object) -> list[Option[str]]:
    """An option each: a number is its weight, else its estimate or its record."""
    made = []
    for name, value in chosen.items():
        option = Option(name, key=f"p/{name}")
        match value:
            case Estimate():
                option = option._replace(estimate=value)
            case Record():
                option = option._replace(seen=value)
            case int() | float():
                option = option._replace(weight=float(value))
        made.append(option)
    return made


def cost(nano_usd: int | None, input_tokens: int = 100, cached: int = 0, output: int = 10) -> Estimate:
    return Estimate(nano_usd, input_tokens, cached, output)


def items(strategy: str, given: list[Option[str]], **draw: object) -> str:
    return " ".join(order(strategy, given, Draw(**{"chance": CALM, **draw})).items)  # type: ignore[arg-type]


# --- every strategy ---------------------------------------------------------------------------------------------------

ANY_OPTIONS = st.lists(
    st.builds(
        Option,
        st.integers(),
        st.text(max_size=3),
        st.sampled_from([0.0, 0.5, 1.0, 3.0, 1e6]),
        st.none() | st.builds(cost, st.none() | st.integers(0, 10**12), st.integers(0, 10**6)),
        st.none()
        | st.builds(
            Record,
            st.integers(0, 50),
            st.floats(0.01, 1),
            st.none() | st.floats(0.001, 1e4),
            st.none() | st.floats(0, 1e6),
        ),
    ),
    max_size=6,
)
DRAWS = st.builds(
    lambda value, *rest: Draw(lucky(value), *rest),
    st.floats(0, 1, exclude_max=True),
    st.none() | st.text(max_size=5),
    st.none() | st.text(max_size=3),
    st.integers(0, 10**9),
    st.builds(
        AdaptiveSettings,
        success=st.floats(0.1, 5),
        latency=st.floats(0, 5),
        explore=st.floats(0, 1),
        min_requests=st.integers(0, 30),
        min_success=st.floats(0, 1),
    ),
)


@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(max_examples=40)
@given(given_options=ANY_OPTIONS, draw=DRAWS)
@pytest.mark.slow
def test_an_order_loses_nothing_explains_each_and_is_always_the_same(
    strategy: str, given_options: list[Option[int]], draw: Draw
) -> None:
    ordered: Ordered[int] = order(strategy, given_options, draw)
    assert Counter(ordered.items) == Counter(option.item for option in given_options)
    assert len(ordered.why) == len(given_options)
    assert all(line and "\n" not in line and len(line) < 200 for line in ordered.why)
    assert order(strategy, given_options, draw) == ordered


def test_a_word_that_is_no_strategy_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        order("cheapest", options(a=1), Draw(CALM))


@pytest.mark.parametrize("strategy", ["first-match", "simple", "conditional"])
def test_first_match_keeps_the_files_order(strategy: str) -> None:
    assert order(strategy, options(b=1, a=9), Draw(CALM)) == (("b", "a"), ("no. 1 in the file", "no. 2 in the file"))


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        pytest.param(0, "a b c", id="the first turn is the first one's"),
        pytest.param(1, "b c a", id="then the next one's, the others follow in a circle"),
        pytest.param(5, "c a b", id="and so on"),
    ],
)
def test_round_robin_takes_turns(turn: int, expected: str) -> None:
    assert items("round-robin", options(a=1, b=1, c=1), turn=turn) == expected


def test_round_robin_says_whose_turn_it_is() -> None:
    assert order("round-robin", options(a=1, b=1), Draw(CALM, turn=3)).why == (
        "turn 4: no. 2 of 2",
        "turn 4: no. 1 of 2",
    )


# --- weighted ---------------------------------------------------------------------------------------------------------

CONVERSATIONS = [f"conversation {number}" for number in range(4000)]


def firsts(given: list[Option[str]]) -> list[str]:
    return [order("weighted", given, Draw(CALM, conversation)).items[0] for conversation in CONVERSATIONS]


def shares(chosen: list[str]) -> dict[str, float]:
    return {name: count / len(chosen) for name, count in Counter(chosen).items()}


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        pytest.param({"a": 1, "b": 1}, {"a": 0.5, "b": 0.5}, id="equal weights"),
        pytest.param({"a": 3, "b": 1}, {"a": 0.75, "b": 0.25}, id="three to one"),
        pytest.param({"a": 0.5, "b": 0.3, "c": 0.2}, {"a": 0.5, "b": 0.3, "c": 0.2}, id="fractions"),
        pytest.param({"a": 1, "b": 0}, {"a": 1.0}, id="weight 0 is never first"),
    ],
)
def test_conversations_are_shared_out_by_weight(weights: dict[str, float], expected: dict[str, float]) -> None:
    assert shares(firsts(options(**weights))) == pytest.approx(expected, abs=0.03)


def test_requests_without_a_conversation_are_shared_out_by_chance() -> None:
    chosen = [items("weighted", options(a=3, b=1), chance=lucky(number / 4000))[0] for number in range(4000)]
    assert shares(chosen) == pytest.approx({"a": 0.75, "b": 0.25}, abs=0.03)


def test_a_conversation_stays_whatever_chance_says_and_the_order_of_the_file_doesnt_matter() -> None:
    one = [items("weighted", options(a=2, b=1, c=1), conversation="x", chance=lucky(luck)) for luck in (0.0, 0.3, 0.9)]
    assert set(one) == {items("weighted", options(c=1, a=2, b=1), conversation="x")}


def test_a_conversation_may_have_any_name() -> None:
    assert items("weighted", options(a=1), conversation=b"\xff\0".decode("utf-8", "surrogateescape")) == "a"


def test_a_changed_weight_moves_only_as_many_conversations_as_it_must() -> None:
    """From 1:1:1:1 to 2:1:1:1 the first's share grows from 25 % to 40 %."""
    before, after = firsts(options(a=1, b=1, c=1, d=1)), firsts(options(a=2, b=1, c=1, d=1))
    moved = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert {new for _, new in moved} == {"a"}
    assert len(moved) / len(CONVERSATIONS) == pytest.approx(0.15, abs=0.02)


def test_an_option_that_goes_moves_only_its_own_conversations() -> None:
    before, after = firsts(options(a=1, b=2, c=1)), firsts(options(a=1, c=1))
    assert [new for old, new in zip(before, after, strict=True) if old != "b"] == [old for old in before if old != "b"]


def test_the_second_is_drawn_by_weight_too() -> None:
    seconds = [order("weighted", options(a=8, b=3, c=1), Draw(CALM, name)).items for name in CONVERSATIONS]
    assert shares([second for first, second, _ in seconds if first == "a"]) == pytest.approx(
        {"b": 0.75, "c": 0.25}, abs=0.03
    )


def test_weighted_says_the_weights_and_what_drew() -> None:
    assert order("weighted", options(a=3, b=0), Draw(CALM, "x")).why == (
        "weight 3 of 3, drawn for the conversation",
        "weight 0 of 3",
    )
    assert order("weighted", options(a=0.5), Draw(CALM)).why == ("weight 0.5 of 0.5, drawn",)


# --- lowest cost ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimates", "expected"),
    [
        pytest.param({"a": cost(30), "b": cost(10), "c": cost(20)}, "b c a", id="the cheapest first"),
        pytest.param({"a": cost(10), "b": cost(10)}, "a b", id="equals keep the file's order"),
        pytest.param({"a": cost(None), "b": cost(10**12), "c": None}, "b a c", id="unknown prices last, not away"),
        pytest.param({"a": cost(1), "b": cost(0)}, "b a", id="free is the cheapest"),
    ],
)
def test_lowest_cost_orders_by_the_estimate(estimates: dict[str, Estimate | None], expected: str) -> None:
    assert items("lowest-cost", options(**estimates)) == expected


@pytest.mark.parametrize(
    ("estimate", "line"),
    [
        pytest.param(
            Estimate(12_345_678, 12_000, 8_000, 640),
            "cost $0.0123 (in 12,000 cached 8,000, out ~640)",
            id="with what is cached",
        ),
        pytest.param(Estimate(2_500_000_000, 9, 0, 1), "cost $2.5000 (in 9, out ~1)", id="nothing cached, dollars"),
        pytest.param(Estimate(12_345, 9, 0, 1), "cost $0.000012 (in 9, out ~1)", id="millionths of a dollar"),
        pytest.param(Estimate(0, 9, 0, 1), "cost $0.000000 (in 9, out ~1)", id="free"),
        pytest.param(Estimate(None, 9, 0, 1), "cost unknown, so last: it has no price", id="no price"),
    ],
)
def test_lowest_cost_says_what_it_reckoned_with(estimate: Estimate, line: str) -> None:
    assert order("lowest-cost", options(a=estimate), Draw(CALM)).why == (line,)


# --- adaptive ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        pytest.param({"a": Record(success=0.9), "b": Record()}, "b a", id="what succeeds more"),
        pytest.param({"a": Record(first_token_s=3.0), "b": Record()}, "b a", id="what begins sooner"),
        pytest.param({"a": Record(tokens_per_s=20), "b": Record()}, "b a", id="what writes faster"),
        pytest.param({"a": Record(), "b": Record()}, "a b", id="equals keep the file's order"),
        pytest.param(
            {"a": Record(success=0.79, first_token_s=0.1, tokens_per_s=500), "b": Record(success=0.8)},
            "b a",
            id="below min-success is last, however fast",
        ),
        pytest.param(
            {"a": Record(first_token_s=10.1), "b": Record(success=0.81, first_token_s=9.9, tokens_per_s=1)},
            "b a",
            id="beyond max-first-token too",
        ),
        pytest.param(
            {"a": Record(first_token_s=30), "b": Record(first_token_s=20)}, "b a", id="all beyond: the best of them"
        ),
        pytest.param(
            {"a": Record(19), "b": Record(first_token_s=30), "c": Record(success=0.8)},
            "c a b",
            id="what isn't judged yet is before what is beyond",
        ),
        pytest.param(
            {"a": Record(success=0.97), "b": Record(first_token_s=None)}, "b a", id="unknown latency is usual"
        ),
        pytest.param(
            {"a": Record(first_token_s=None, tokens_per_s=None, success=0.9), "b": Record(first_token_s=None)},
            "b a",
            id="where nobody is timed, success decides",
        ),
    ],
)
def test_adaptive_orders_by_score(records: dict[str, Record], expected: str) -> None:
    assert items("adaptive", options(**records)) == expected


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        pytest.param(AdaptiveSettings(success=1, latency=0, speed=0), "sure prompt quick", id="success alone"),
        pytest.param(AdaptiveSettings(success=0, latency=2, speed=0), "prompt quick sure", id="latency alone"),
        pytest.param(AdaptiveSettings(success=0, latency=0, speed=3), "quick prompt sure", id="speed alone"),
    ],
)
def test_weights_say_what_counts(weights: AdaptiveSettings, expected: str) -> None:
    given = options(
        sure=Record(success=1.0, first_token_s=5, tokens_per_s=20),
        prompt=Record(success=0.95, first_token_s=0.3, tokens_per_s=40),
        quick=Record(success=0.9, first_token_s=2, tokens_per_s=300),
    )
    assert items("adaptive", given, adaptive=weights) == expected


def test_a_third_option_never_changes_which_of_two_is_better() -> None:
    two = {"a": Record(success=0.97, first_token_s=0.4), "b": Record(success=1.0, first_token_s=1.2)}
    alone = items("adaptive", options(**two))
    for third in (Record(first_token_s=0.01, tokens_per_s=1e6), Record(success=0.3, first_token_s=90)):
        assert items("adaptive", options(**two, c=third)).replace("c", "").split() == alone.split()


def explored(given: list[Option[str]], settings: AdaptiveSettings = AdaptiveSettings()) -> dict[str, float]:  # noqa: B008
    draws = 10_000
    chosen = [items("adaptive", given, chance=lucky(number / draws), adaptive=settings)[0] for number in range(draws)]
    return shares(chosen)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        pytest.param(
            {"a": Record(), "b": Record(success=0.9), "c": Record(success=0.1)},
            {"a": 0.95, "b": 0.025, "c": 0.025},
            id="the others share what is explored, the worst too",
        ),
        pytest.param(
            {"a": Record(), "b": None, "c": Record(19)},
            {"a": 0.95 / 3, "b": 1.025 / 3, "c": 1.025 / 3},
            id="what isn't judged yet has its fair share",
        ),
        pytest.param(
            {"a": Record(), "b": None, "c": Record(success=0.9), "d": Record(success=0.8)},
            {"a": 0.95 * 0.75, "b": 0.25 + 0.0125, "c": 0.0125, "d": 0.0125},
            id="of the rest, the best has nearly all",
        ),
        pytest.param({"a": None, "b": None}, {"a": 0.5, "b": 0.5}, id="nothing known: by turns"),
        pytest.param({"a": Record(success=0.1)}, {"a": 1.0}, id="a single one is always first"),
    ],
)
@pytest.mark.slow
def test_adaptive_tries_and_explores(records: dict[str, Record | None], expected: dict[str, float]) -> None:
    assert explored(options(**records)) == pytest.approx(expected, abs=0.001)


@pytest.mark.slow
def test_the_share_of_exploring_may_be_nothing_or_all() -> None:
    given = options(a=Record(), b=Record(success=0.9))
    assert explored(given, AdaptiveSettings(explore=0)) == {"a": 1.0}
    assert explored(given, AdaptiveSettings(explore=1)) == {"b": 1.0}


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        pytest.param({"a": Record(), "home": Record(success=0.81)}, "home a", id="it stays for a little less"),
        pytest.param({"a": Record(), "home": Record(first_token_s=9)}, "a home", id="it leaves for much more"),
        pytest.param({"a": Record(success=0.81), "home": Record(success=0.79)}, "a home", id="or beyond a threshold"),
        pytest.param({"a": Record(), "home": Record(3)}, "home a", id="it stays where nothing is judged yet"),
        pytest.param({"a": None, "home": Record(success=0.81)}, "home a", id="and tries nothing"),
        pytest.param({"a": Record(), "b": Record(success=0.8)}, "a b", id="its home may have been dropped"),
    ],
)
def test_a_conversation_stays_where_its_prompt_cache_is(records: dict[str, Record | None], expected: str) -> None:
    assert items("adaptive", options(**records), home="p/home") == expected


def test_nothing_is_tried_with_a_conversation_that_is_at_home() -> None:
    given = options(home=Record(), new=None, b=Record(success=0.9))
    assert {items("adaptive", given, home="p/home", chance=lucky(luck / 100)) for luck in range(100)} == {"home b new"}
    elsewhere = {items("adaptive", given, home="p/gone", chance=lucky(luck / 100)) for luck in range(100)}
    assert len(elsewhere) > 1


def test_adaptive_says_that_a_conversation_stays() -> None:
    assert order("adaptive", options(a=Record()), Draw(CALM, home="p/a")).why == (
        "score 0.80 = success 1.00 x 0.5 + first token 0.67 (1 s) x 0.3 + speed 0.50 (50/s) x 0.2;"
        " 0.1 more, as the conversation is in its cache",
    )
    assert order("adaptive", options(a=None), Draw(CALM, home="p/a")).why == (
        "the conversation is in its cache: not judged yet: 0 of 20 requests seen",
    )


def test_adaptive_explains_each_place() -> None:
    given = options(
        late=Record(first_token_s=12),
        failing=Record(success=0.5),
        new=Record(3),
        best=Record(success=0.99, first_token_s=0.8, tokens_per_s=75),
        untimed=Record(success=0.9, first_token_s=None, tokens_per_s=None),
    )
    ordered = order("adaptive", given, Draw(CALM))
    assert dict(zip(ordered.items, ordered.why, strict=True)) == {
        "best": "score 0.83 = success 0.99 x 0.5 + first token 0.71 (0.8 s) x 0.3 + speed 0.60 (75/s) x 0.2",
        "untimed": "score 0.72 = success 0.90 x 0.5 + first token 0.55 (?) x 0.3 + speed 0.53 (?) x 0.2",
        "new": "not judged yet: 3 of 20 requests seen",
        "late": "late, first token 12 s > 10 s: score 0.64 = success 1.00 x 0.5 + first token 0.14 (12 s) x 0.3"
        " + speed 0.50 (50/s) x 0.2",
        "failing": "late, success 0.50 < 0.8: score 0.55 = success 0.50 x 0.5 + first token 0.67 (1 s) x 0.3"
        " + speed 0.50 (50/s) x 0.2",
    }
    assert ordered.items == ("best", "untimed", "new", "late", "failing")


@pytest.mark.parametrize(
    ("luck", "line"),
    [
        pytest.param(0.0, "its turn: not judged yet: 0 of 20 requests seen", id="not judged yet"),
        pytest.param(0.35, r"explored: score 0\.\d\d = .*", id="explored"),
    ],
)
def test_adaptive_says_why_another_than_the_best_is_first(luck: float, line: str) -> None:
    given = options(new=None, a=Record(), b=Record(success=0.9))
    assert re.fullmatch(line, order("adaptive", given, Draw(lucky(luck))).why[0])


def test_chance_is_drawn_at_most_once() -> None:
    drawn = []

    def chance() -> float:
        drawn.append(1)
        return 0.5

    for strategy in STRATEGIES:
        drawn.clear()
        order(strategy, options(a=1, b=2, c=Record()), Draw(chance))
        assert len(drawn) <= 1, strategy
