"""What requests would have cost, from recorded tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from router.health.performance import ENOUGH
from router.ledger.periods import DAY_MS
from router.ledger.traffic import PastExchange
from router.replaying import Learned, Pricing, Replayed, learn
from router.routing.rules import Target
from router.wire.usage import Usage
from tests.replaying.bench import BIG, OTHER, SMALL, TABLE, Bench, asked

NANO_BIG, NANO_SMALL, NANO_OTHER = (3000, 15_000), (1000, 5000), (2000, 10_000)  # a token of input, of output
TO_SMALL, TO_OTHER = f'[default]\ntarget = "{SMALL}"', f'[default]\ntarget = "{OTHER}"'
OPENAI, ANTHROPIC = 1.0, 1.12  # what the families make of a token


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def one(bench: Bench, row: Any, text: str, **options: Any) -> Replayed:
    (found,) = bench.replayed([row], text, **options)
    return found


# --- one request ------------------------------------------------------------------------------------------------------


def test_what_stays_costs_what_it_cost(bench: Bench) -> None:
    found = one(bench, asked(cost_nano_usd=123, list_nano_usd=124), f'[default]\ntarget = "{BIG}"')
    assert (found.stays, found.nano_usd, found.list_nano_usd) == (True, 123, 124)


@pytest.mark.parametrize(
    ("columns", "text", "usage", "nano_usd"),
    [
        pytest.param(
            {"input": 2000, "output": 10},
            TO_SMALL,
            Usage(input=0, cache_write=2000, output=10),
            2000 * 1250 + 10 * 5000,
            id="written to the cache where the client asks for that",
        ),
        pytest.param(
            {"input": 2000, "output": 10, "cache_marks": "1h"},
            TO_SMALL,
            Usage(input=0, cache_write_1h=2000, output=10),
            2000 * 1250 + 10 * 5000,
            id="for as long as it asks",
        ),
        pytest.param(
            {"input": 2000, "output": 10, "cache_marks": ""},
            TO_SMALL,
            Usage(input=2000, output=10),
            2000 * 1000 + 10 * 5000,
            id="and read fresh where it doesn't",
        ),
        pytest.param(
            {"input": 100, "output": 10},
            TO_SMALL,
            Usage(input=100, output=10),
            100 * 1000 + 10 * 5000,
            id="a short one is cached nowhere",
        ),
        pytest.param(
            {"input": 112, "output": 10},
            TO_OTHER,
            Usage(input=100, output=10),
            100 * 2000 + 10 * 10_000,
            id="in the tokens of the other family",
        ),
        pytest.param(
            {"target": OTHER, "input": 2000, "output": 10, "api": "openai-chat", "cache_marks": ""},
            TO_SMALL,
            Usage(input=0, cache_write=2240, output=10),
            2240 * 1250 + 10 * 5000,
            id="a translated request is marked by the router",
        ),
    ],
)
def test_another_target_has_its_own_tokens_and_prices(
    bench: Bench, columns: dict[str, Any], text: str, usage: Usage, nano_usd: int
) -> None:
    found = one(bench, asked(0, **columns), text)
    assert (found.stays, found.usage, found.nano_usd) == (False, usage, nano_usd)


def test_the_price_is_that_of_the_day_that_it_came(bench: Bench) -> None:
    """A long request to this model had a price of its own until 13 March 2026."""
    profile = bench.profile('[default]\ntarget = "anthropic/claude-opus-4-6"', prices="")
    then = asked(input=300_000, output=10, cache_marks="")
    now = then._replace(time_ms=then.time_ms + 365 * DAY_MS)
    assert [found.nano_usd for found in bench.replayed([then, now], profile)] == [
        300_000 * 10_000 + 10 * 37_500,
        300_000 * 5000 + 10 * 25_000,
    ]


def test_an_unknown_price_stays_unknown(bench: Bench) -> None:
    found = one(bench, asked(), '[default]\ntarget = "anthropic/unheard-of"')
    assert (found.nano_usd, found.list_nano_usd) == (None, None)
    assert one(bench, asked(cost_nano_usd=None), f'[default]\ntarget = "{BIG}"').nano_usd is None


def test_an_answer_is_no_longer_than_the_client_allows(bench: Bench) -> None:
    learned = taught(bench, (SMALL, 100), (BIG, 10))
    found = one(bench, asked(output=10, input=1, max_tokens=40), TO_SMALL, learned=learned)
    assert found.usage is not None
    assert found.usage.output == 40


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        pytest.param({"outcome": "upstream-error", "input": None, "output": None, "cost_nano_usd": 0}, None, id="?"),
        pytest.param(
            {"outcome": "upstream-error", "input": None, "output": None}, 112 * 1000 + 30 * 5000, id="learned"
        ),
        pytest.param({"target": None}, 112 * 1000 + 30 * 5000, id="one that was refused"),
    ],
)
def test_what_had_no_answer_costs_what_is_usual_elsewhere(
    bench: Bench, row: dict[str, Any], expected: int | None
) -> None:
    learned = taught(bench, (SMALL, 30)) if expected is not None else None
    found = one(bench, asked(0, **row), TO_SMALL, learned=learned)
    assert (found.nano_usd, found.learned_output) == (expected, expected is not None)


def test_a_refused_request_costs_nothing(bench: Bench) -> None:
    found = one(bench, asked(target=None), '[[rule]]\nmatch = "stream"\ntarget = "openai/other"')
    assert (found.stays, found.served, found.nano_usd) == (True, None, 0)


# --- who pays ---------------------------------------------------------------------------------------------------------

LOGIN = {"input": 100, "output": 10, "cost_nano_usd": 0, "list_nano_usd": 450_000}


def test_a_login_to_a_subscription_stays_one_at_its_provider_and_nowhere_else(bench: Bench) -> None:
    at_home, elsewhere = one(bench, asked(**LOGIN), TO_SMALL), one(bench, asked(**LOGIN), TO_OTHER)
    assert (at_home.nano_usd, at_home.list_nano_usd) == (0, 100 * 1000 + 10 * 5000)
    assert elsewhere.nano_usd == elsewhere.list_nano_usd == round(100 / ANTHROPIC) * 2000 + 10 * 10_000


@pytest.mark.parametrize(("billing", "cost", "worth"), [("subscription", 0, 150_000), ("free", 0, 0)])
def test_a_providers_billing_says_what_it_costs(bench: Bench, billing: str, cost: int, worth: int) -> None:
    found = one(bench, asked(), f'{TO_SMALL}\n[providers.anthropic]\nbilling = "{billing}"\n')
    assert (found.nano_usd, found.list_nano_usd) == (cost, worth)


# --- what is learned --------------------------------------------------------------------------------------------------


def taught(bench: Bench, *answers: tuple[str, int], **facts: Any) -> Learned:
    """Enough answers of these lengths."""
    rows = [asked(0, target, input=112, output=length, **facts) for target, length in answers for _ in range(ENOUGH)]
    return learn(rows, bench.profile(TO_SMALL).providers)


def test_an_answer_is_as_much_longer_as_the_models_answers_to_such_requests_are(bench: Bench) -> None:
    learned = taught(bench, (SMALL, 300), (BIG, 200))
    found = one(bench, asked(input=100, output=10), TO_SMALL, learned=learned)
    assert found.usage is not None
    assert (found.usage.output, found.learned_output) == (15, True)
    found = one(bench, asked(input=100, output=10, background=True), TO_SMALL, learned=learned)
    assert found.usage is not None
    assert (found.usage.output, found.learned_output) == (10, False), "other requests say nothing of these"


def test_too_few_answers_teach_nothing(bench: Bench) -> None:
    rows = [asked(0, target, output=300 if target == SMALL else 200) for target in (SMALL, BIG)] * (ENOUGH - 1)
    learned = learn(rows, bench.profile(TO_SMALL).providers)
    found = one(bench, asked(input=100, output=10), TO_SMALL, learned=learned)
    assert found.usage is not None
    assert found.usage.output == 10


def test_how_many_tokens_a_family_makes_is_learned_from_what_it_reported(bench: Bench) -> None:
    rows = [asked(0, BIG, input=130) for _ in range(ENOUGH)]
    rows += [asked(0, BIG, input=1000), asked(0, BIG, input=10)] * ENOUGH  # says nothing of a tokenizer
    learned = learn(rows, bench.profile(TO_SMALL).providers)
    assert learned.factor("anthropic", "big") == learned.factor("anthropic", "small") == 1.3
    assert learned.factor("openai", "other") == OPENAI


def test_one_request_can_be_priced_anywhere(bench: Bench) -> None:
    profile, there = bench.profile(TO_SMALL), Target("anthropic", "small")
    pricing = Pricing(profile, TABLE, learn([], profile.providers))
    row = asked(input=2000, cache_read=2000, output=10)
    assert pricing.at(row, there).nano_usd == 2000 * 1250 + 2000 * 100 + 10 * 5000
    assert pricing.at(row, there, cached=0).nano_usd == 4000 * 1250 + 10 * 5000
    assert pricing.at(row, there, cached=10**9).nano_usd == 4000 * 100 + 10 * 5000


# --- prompt caches ----------------------------------------------------------------------------------------------------

TALK = {"conversation": "talk", "opening": False}


def talk(*columns: dict[str, Any], minutes: float = 1.0) -> list[PastExchange]:
    """A conversation at the big model that grows by 2,000 tokens with each request, and was cached there."""
    rows = []
    for number, more in enumerate(columns):
        read = 2000 * number
        cost = read * 300 + 2000 * 3750 + 10 * 15_000
        known = {"input": 0, "cache_read": read, "cache_write": 2000, "output": 10, "estimated_input": read + 2000}
        paid = {"cost_nano_usd": cost, "list_nano_usd": cost}
        rows.append(asked(number * minutes, **TALK, **known, **paid, tokens=read + 2000, **more))
    return rows


AWAY = {"tags": ["away"]}
SPLIT = f'[[rule]]\nmatch = {{ tag = "away" }}\ntarget = "{SMALL}"\n[default]\ntarget = "{BIG}"'


def test_a_conversation_that_moves_whole_is_cached_there(bench: Bench) -> None:
    found = bench.replayed(talk({}, {}, {}), TO_SMALL)
    assert [one.nano_usd for one in found] == [read * 100 + 2000 * 1250 + 10 * 5000 for read in (0, 2000, 4000)], (
        "as at the big model, at the small one's prices"
    )


@pytest.mark.parametrize(("minutes", "marks", "read"), [(4, "5m", 2000), (6, "5m", 0), (6, "1h", 2000), (61, "1h", 0)])
def test_a_cache_is_lost_after_its_time(bench: Bench, minutes: float, marks: str, read: int) -> None:
    more = {"cache_marks": marks}
    found = bench.replayed(talk(more, more, minutes=minutes), TO_SMALL)
    assert found[1].usage is not None
    assert found[1].usage.cache_read == (read or None)


def test_what_goes_elsewhere_once_is_missing_twice(bench: Bench) -> None:
    first, moved, back = bench.replayed(talk({}, AWAY, {}), SPLIT)
    assert (first.stays, moved.stays, back.stays) == (True, False, True)
    assert moved.nano_usd == 4000 * 1250 + 10 * 5000, "nothing of it is cached there"
    assert (moved.cache_left, moved.cache_left_nano_usd) == (2000, 2000 * (3000 - 300))
    assert back.usage == Usage(input=0, cache_read=2000, cache_write=4000, output=10), "only the first is cached here"
    assert back.nano_usd == 2000 * 300 + 4000 * 3750 + 10 * 15_000
    assert back.cache_left == 4000


def test_what_no_longer_goes_elsewhere_is_cached(bench: Bench) -> None:
    rows = talk({}, {}, {})
    elsewhere = rows[1]._replace(model="small", first_model="small")
    cost = 2000 * 300 + 4000 * 3750 + 10 * 15_000
    last = rows[2]._replace(cache_read=2000, cache_write=4000, cost_nano_usd=cost, list_nano_usd=cost)
    found = bench.replayed([rows[0], elsewhere, last], f'[default]\ntarget = "{BIG}"')
    assert found[2].usage == Usage(input=0, cache_read=4000, cache_write=2000, output=10)
    assert found[2].nano_usd == 4000 * 300 + 2000 * 3750 + 10 * 15_000


def test_an_agents_side_job_is_cached_on_its_own(bench: Bench) -> None:
    first, *rest = talk({}, {})
    job = asked(0.5, **TALK, **AWAY, start="title", input=1500, output=10)
    found = bench.replayed([first, job, *rest], SPLIT)
    assert [one.nano_usd for one in found if one.stays] == [first.cost_nano_usd, rest[0].cost_nano_usd]


def test_one_that_was_never_seen_to_cache_unasked_does_not(bench: Bench) -> None:
    unasked = {"cache_marks": ""}
    rows = [asked(0, OTHER, **TALK, **unasked, input=100, cache_read=0)] * ENOUGH
    for learned, read in ((None, round(2000 / ANTHROPIC)), (learn(rows, bench.profile(TO_OTHER).providers), None)):
        found = bench.replayed(talk(unasked, unasked), TO_OTHER, learned=learned)
        assert found[1].usage is not None
        assert found[1].usage.cache_read == read


def test_nothing_changes_for_a_conversation_that_stays(bench: Bench) -> None:
    rows = talk({}, {}, {})
    found = bench.replayed(rows, f'[default]\ntarget = "{BIG}"')
    assert [one.nano_usd for one in found] == [row.cost_nano_usd for row in rows]
