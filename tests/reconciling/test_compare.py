"""Each difference gets its cause, and a sentence that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from router.reconciling.amounts import Counted, Tokens
from router.reconciling.bill import Bill, combine
from router.reconciling.compare import Cause, Comparison, Recorded, compare
from router.reconciling.reading import read
from router.reconciling.words import remark, verdict
from tests.support import exports as write
from tests.support.exports import Fact

DAY, NEXT = "2026-11-02", "2026-11-03"
FACT = Fact(DAY, "m", Tokens(1000, 200, 30, 4, 500), 10, 2_000_000_000)


def of(fact: Fact, **changes: Any) -> Recorded:
    """What the ledger has of the same."""
    amounts = Counted(fact.requests, fact.tokens, fact.nano_usd, sources=(("genai-prices 0.2.3", fact.requests),))
    return Recorded(fact.day, fact.model, replace(amounts, **changes))


def billed(facts: Sequence[Fact], *, usage: bool = True, costs: bool = True, days: Sequence[str] = (DAY, NEXT)) -> Bill:
    contents = [write.openai_usage_json(facts, days)] * usage + [write.openai_costs_json(facts, days)] * costs
    return combine([each for content in contents for each in read("f", content)], label=str)


def words(found: Comparison) -> str:
    return verdict(found, lambda nano: f"${(nano or 0) / 1e9:.2f}")


def causes(found: Comparison) -> list[tuple[str, str, Cause]]:
    return [(row.day, row.model, row.cause) for row in found.differing]


TWO = Tokens(2000, 400, 60, 8, 1000)
MORE, LESS = replace(FACT, tokens=TWO, nano_usd=4_000_000_000), replace(FACT, tokens=Tokens(), nano_usd=0)


@pytest.mark.parametrize(
    ("provider", "ledger", "cause", "said"),
    [
        pytest.param(FACT, of(FACT), "agrees", "", id="the same"),
        pytest.param(
            FACT,
            of(FACT, nano_usd=FACT.nano_usd + 10),
            "agrees",
            "",
            id="off by what rounding ten calls to nano-dollars explains",
        ),
        pytest.param(
            FACT,
            of(FACT, calls=12, perhaps_billed=2),
            "agrees",
            "",
            id="calls perhaps billed that weren't",
        ),
        pytest.param(
            FACT, None, "only-at-provider", "only at the provider: something else uses the account", id="lacking here"
        ),
        pytest.param(
            None, of(FACT), "only-in-ledger", "only in the ledger: it went to another account", id="lacking there"
        ),
        pytest.param(
            MORE,
            of(FACT),
            "more-at-provider",
            "uses the account, too (input -1,000, cache read -200, cache write -30, cache write 1h -4, output -500)",
            id="more there",
        ),
        pytest.param(FACT, of(MORE), "more-in-ledger", "the ledger has more", id="more here"),
        pytest.param(
            MORE,
            of(FACT, perhaps_billed=1),
            "perhaps-billed",
            "perhaps billed: 1 call that ended before the usage was known (input -1,000",
            id="calls that were cut off, and billed",
        ),
        pytest.param(
            replace(MORE, requests=11),
            of(FACT, perhaps_billed=1),
            "more-at-provider",
            "the provider has more",
            id="more requests than those cut off explain",
        ),
        pytest.param(
            MORE, of(FACT, no_usage=2), "no-usage", "without a token count: 2 calls (", id="calls without a count"
        ),
        pytest.param(
            replace(FACT, tokens=Tokens(1200, 0, 30, 4, 500)),
            of(FACT),
            "split",
            "as many tokens, but of other kinds (input -200, cache read +200)",
            id="reads of the cache charged as fresh",
        ),
        pytest.param(
            replace(FACT, nano_usd=3_000_000_000),
            of(FACT),
            "prices",
            "the same tokens at another price; the ledger's: genai-prices 0.2.3 (10)",
            id="another price",
        ),
        pytest.param(
            FACT, of(FACT, nano_usd=0, unpriced=10), "unpriced", "of unknown price: 10 calls", id="an unknown price"
        ),
        pytest.param(
            replace(FACT, requests=14), of(FACT), "requests", "the same tokens in 14 requests", id="more requests"
        ),
    ],
)
def test_a_difference_has_a_cause(provider: Fact | None, ledger: Recorded | None, cause: Cause, said: str) -> None:
    found = compare(billed([provider] if provider else []), [ledger] if ledger else [])
    (row,) = found.rows
    assert row.cause == cause
    assert remark(row) == said if not said else said in remark(row)


def test_without_costs_tokens_are_compared() -> None:
    found = compare(billed([FACT], costs=False), [of(FACT, nano_usd=7)])
    assert found.rows[0].cause == "agrees"
    assert found.rows[0].nano_off is None
    assert words(found) == "The ledger and the provider agree to the token: 1,734. No costs were given."
    found = compare(billed([MORE], costs=False), [of(FACT)])
    assert words(found) == "The ledger lacks 1,734 of 3,468 tokens (50.0%): 1,734 more at the provider."
    found = compare(billed([FACT], costs=False), [of(MORE)])
    assert words(found).startswith("The ledger has 1,734 tokens more than the provider's 1,734 (100.0%): ")
    moved = [replace(FACT, tokens=Tokens(output=1734))]
    assert words(compare(billed(moved, costs=False), [of(FACT)])) == (
        "The totals agree (1,734 tokens), 1 row doesn't: other kinds of tokens."
    )


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({}, "costs-only"),
        ({"perhaps_billed": 1}, "perhaps-billed"),
        ({"no_usage": 1}, "no-usage"),
        ({"unpriced": 1}, "unpriced"),
    ],
)
def test_without_usage_the_ledgers_own_marks_explain(changes: dict[str, int], cause: Cause) -> None:
    found = compare(billed([MORE], usage=False), [of(FACT, **changes)])
    assert causes(found) == [(DAY, "m", cause)]


def test_a_discount_is_known_by_the_list_price() -> None:
    page = write.anthropic_cost_json([replace(FACT, nano_usd=1_000_000_000)], [DAY])
    page = page.replace(b'"amount": ', b'"list_amount": "200", "amount": ')
    bill = combine(read("f", page), label=str)
    found = compare(bill, [of(FACT)])
    assert causes(found) == [(DAY, "m", "discount")]
    assert words(found) == "The ledger has $1.00 more than the $1.00 billed (100.0%): $1.00 a discount."


def test_cents_are_told_from_a_difference() -> None:
    facts = [replace(FACT, model=f"m-{number}", nano_usd=14_000_000) for number in range(3)]
    bill = combine(read("f", write.anthropic_cost_csv(facts, [DAY])), label=str)
    found = compare(bill, [of(fact) for fact in facts])
    assert causes(found) == []
    assert words(found) == "The ledger and the provider agree as far as its rounding to cents allows: $0.03."
    assert causes(compare(bill, [of(fact, nano_usd=30_000_000) for fact in facts])) != []


def test_calls_around_midnight_cancel_out() -> None:
    late = replace(FACT, day=NEXT)
    found = compare(billed([late]), [of(FACT)])
    assert causes(found) == [(DAY, "m", "midnight"), (NEXT, "m", "midnight")]
    assert words(found) == "The totals agree to the cent ($2.00), 2 rows don't: calls around midnight."
    other = compare(billed([replace(late, model="n")]), [of(FACT)])
    assert {cause for _, _, cause in causes(other)} == {"only-at-provider", "only-in-ledger"}


def test_batches_and_what_is_no_model_stand_apart() -> None:
    page = write.openai_usage_json([FACT], [DAY]).replace(b'"batch": false', b'"batch": true')
    costs = write.openai_costs_json([FACT], [DAY]).replace(b'"m, input"', b'"web search tool calls"')
    bill = combine([*read("f", page), *read("g", costs)], label=str)
    found = compare(bill, [of(FACT)])
    assert causes(found) == [
        (DAY, "(web search tool calls)", "not-counted"),
        (DAY, "m", "more-in-ledger"),
        (DAY, "m (batch)", "batches"),
    ]


def test_web_searches_are_compared_apart_from_their_models() -> None:
    search = b'"cost_type": "web_search", "description": "Web Search Usage", "model": null, "old": '
    page = write.anthropic_cost_json([FACT, replace(FACT, nano_usd=30_000_000)], [DAY])
    before, after = page.rsplit(b'"cost_type": ', 1)
    after = after.replace(b'"model": ', b'"older": ').replace(b'"description": ', b'"oldest": ')
    bill = combine(read("f", before + search + after), label=str)
    ledger = replace(of(FACT, nano_usd=FACT.nano_usd + 30_000_000), web_searches_nano=30_000_000)
    found = compare(bill, [ledger])
    assert [(row.model, row.cause, row.nano_off) for row in found.rows] == [
        ("(web search)", "agrees", 0),
        ("m", "agrees", 0),
    ]
    found = compare(bill, [of(FACT)])
    assert causes(found) == [(DAY, "(web search)", "only-at-provider")]


def test_embeddings_are_only_compared_where_they_are_told() -> None:
    embed = replace(of(Fact(DAY, "e", Tokens(70), 3, 0)), embed=True)
    found = compare(billed([FACT], costs=False), [of(FACT), embed])
    assert [row.model for row in found.rows] == ["m"]
    costs = compare(billed([FACT]), [of(FACT), replace(embed, amounts=replace(embed.amounts, nano_usd=9_000_000))])
    assert causes(costs) == [(DAY, "e", "only-in-ledger")]


def test_days_that_only_one_part_tells_of_are_not_taken_for_nothing() -> None:
    usage = read("f", write.openai_usage_json([FACT, replace(FACT, day=NEXT)], [DAY, NEXT]))
    costs = read("g", write.openai_costs_json([FACT], [DAY]))
    found = compare(combine([*usage, *costs], label=str), [of(FACT), of(replace(FACT, day=NEXT))])
    assert causes(found) == []
    assert found.rows[1].nano_off is None
    assert found.total.ledger.nano_usd == FACT.nano_usd
    assert found.total.ledger.calls == 20


def test_where_costs_are_by_day_and_usage_by_model_each_has_its_rows() -> None:
    costs = write.openai_costs_json([FACT, replace(FACT, model="n")], [DAY])
    for model in ("m", "n"):
        for part in write.COST_PARTS:
            costs = costs.replace(f'"line_item": "{model}, {part}"'.encode(), b'"line_item": null')
    usage = write.openai_usage_json([FACT, replace(FACT, model="n")], [DAY])
    found = compare(
        combine([*read("f", usage), *read("g", costs)], label=str), [of(FACT), of(replace(FACT, model="n"))]
    )
    assert [(row.model, row.tokens_off, row.nano_off) for row in found.rows] == [
        ("", None, 0),
        ("m", Tokens(), None),
        ("n", Tokens(), None),
    ]
    assert (found.total.ledger.calls, found.total.nano_off) == (20, 0)


def test_the_verdict_names_what_weighs_most() -> None:
    facts = [
        replace(FACT, model="known", nano_usd=2_100_000_000),
        replace(FACT, model="foreign", nano_usd=300_000_000),
        replace(FACT, model="cut", tokens=TWO, nano_usd=2_010_000_000),
        replace(FACT, model="other", nano_usd=5_000_000),
    ]
    ledger = [
        of(replace(FACT, model="known")),
        of(replace(FACT, model="cut"), perhaps_billed=1),
        of(replace(FACT, model="own", nano_usd=1_000_000)),
    ]
    found = compare(billed(facts), ledger)
    assert words(found) == (
        "The ledger lacks $0.41 of $4.42 (9.4%): $0.30 only at the provider, $0.10 other prices, "
        "$0.01 calls perhaps billed and other causes."
    )
    assert words(compare(billed([]), [])) == "Neither the ledger nor the provider has anything of this time."


def test_causes_that_make_the_difference_smaller_stand_apart() -> None:
    facts = [replace(FACT, model="foreign", nano_usd=300_000_000)]
    ledger = [of(replace(FACT, model="own", nano_usd=100_000_000))]
    assert words(compare(billed(facts), ledger)) == (
        "The ledger lacks $0.20 of $0.30 (66.7%): $0.30 only at the provider; against that $0.10 only in the ledger."
    )


def test_amounts_add_up_without_losing_a_digit() -> None:
    tiny = replace(FACT, nano_usd=1)
    costs = write.openai_costs_json([tiny], [DAY])
    (export,) = read("f", costs)
    assert sum((line.amounts.usd or Decimal(0) for line in export.lines), Decimal(0)) == Decimal("1e-9")
