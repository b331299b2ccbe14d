"""A ledger that is written out as a provider would have it reconciles to nothing, in every form; what is changed in
between is found, and named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache, partial
from itertools import product

import anthropic.types.beta.organization as anthropic_types
import openai.types.admin.organization as openai_types
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from router.money.prices import PriceTable
from router.reconciling.amounts import Counted, Tokens
from router.reconciling.bill import combine
from router.reconciling.compare import Cause, Comparison, Recorded, compare
from router.reconciling.export import Maker
from router.reconciling.reading import read
from tests.support.exports import COSTS, USAGE, Fact, Writer, anthropic_cost_csv, begin, end

PRICES = PriceTable.load()
DAYS = [(date(2026, 11, 1) + timedelta(days=number)).isoformat() for number in range(4)]
# Models by the names that requests have and that exports have.
NAMES: dict[Maker, dict[str, str]] = {
    "anthropic": {
        "claude-haiku-4-5": "claude-haiku-4-5-20251001",
        "claude-opus-5-5": "claude-opus-5-5",
        "claude-sonnet-4-20250514": "claude-sonnet-4-20250514",
        "unheard-of": "unheard-of",
    },
    "openai": {"gpt-5": "gpt-5-2025-08-07", "gpt-5.6-sol": "gpt-5.6-sol", "my-own": "my-own"},
}
FOR_PEOPLE = {
    "claude-haiku-4-5": "Claude Haiku 4.5",
    "claude-opus-5-5": "Claude Opus 5.5",
    "claude-sonnet-4-20250514": "Claude Sonnet 4",
    "unheard-of": "Unheard Of",
}
counts = st.integers(0, 10**9)
tokens = st.builds(Tokens, counts, counts, counts, counts, st.integers(1, 10**9))


@cache
def named(maker: Maker, model: str) -> str:
    return PRICES.recognise(maker, model) or "-".join(model.lower().split())


@dataclass(frozen=True)
class Case:
    """Calls in the ledger, and the writers that the provider's exports come from."""

    maker: Maker
    facts: tuple[Fact, ...]
    writers: tuple[Writer, ...]

    def compared(self, provider: Sequence[Fact], ledger: Sequence[Recorded]) -> Comparison:
        exports = []
        for writer in self.writers:
            names = FOR_PEOPLE if writer is anthropic_cost_csv else NAMES[self.maker]
            theirs = [replace(fact, model=names.get(fact.model, fact.model)) for fact in provider]
            exports += read(writer.__name__, writer(theirs, DAYS))

        label = partial(named, self.maker)
        since, until = (int(at.timestamp() * 1000) for at in (begin(DAYS[0]), end(DAYS[-1])))
        bill = combine(exports, label=label).within(since, until)
        return compare(bill, [replace(each, model=label(each.model)) for each in ledger])


@st.composite
def cases(draw: st.DrawFn) -> Case:
    maker = draw(st.sampled_from(["anthropic", "openai"]))
    usage, costs = draw(st.sampled_from([each for each in product([True, False], repeat=2) if any(each)]))
    writers = [draw(st.sampled_from(USAGE[maker]))] if usage else []
    writers += [draw(st.sampled_from(COSTS[maker]))] if costs else []
    keys = draw(
        st.lists(st.tuples(st.sampled_from(DAYS), st.sampled_from(sorted(NAMES[maker]))), unique=True, min_size=2)
    )
    facts = tuple(
        Fact(day, model, draw(tokens), draw(st.integers(1, 10**4)), draw(st.integers(10**9, 10**12)))
        for day, model in keys
    )
    return Case(maker, facts, tuple(writers))


def recorded(fact: Fact, parts: int = 1) -> list[Recorded]:
    """What the ledger has, in several groups as its query gives them."""
    whole = Counted(fact.requests, fact.tokens, fact.nano_usd)
    rest = Recorded(fact.day, fact.model, Counted())
    return [Recorded(fact.day, fact.model, whole), *[rest] * (parts - 1)]


@given(cases(), st.integers(1, 3))
def test_what_the_ledger_has_comes_back_without_a_difference(case: Case, parts: int) -> None:
    found = case.compared(case.facts, [each for fact in case.facts for each in recorded(fact, parts)])
    assert found.differing == ()
    assert found.total.tokens_off in (None, Tokens())
    assert found.total.costs_agree
    assert found.total.ledger.calls == sum(fact.requests for fact in case.facts)


@given(cases(), st.data())
def test_a_planted_difference_is_found_where_it_is_and_named(case: Case, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(case.facts) - 1))
    planted = case.facts[number]
    others = [fact for fact in case.facts if fact is not planted]
    ledger = [each for fact in others for each in recorded(fact)]
    (own,) = recorded(planted)
    more = replace(planted, tokens=planted.tokens + Tokens(output=9), nano_usd=planted.nano_usd + 10**12)
    tells_usage, tells_costs = case.writers[0] in USAGE[case.maker], case.writers[-1] in COSTS[case.maker]
    by_marks: Cause = "more-at-provider" if tells_usage else "costs-only"
    kind = data.draw(st.sampled_from(["foreign", "own", "more", "cut", "uncounted", "price"]))
    match kind:
        case "foreign":
            found, cause = case.compared(case.facts, ledger), "only-at-provider"
        case "own":
            found, cause = case.compared(others, [*ledger, own]), "only-in-ledger"
        case "more":
            found, cause = case.compared([*others, more], [*ledger, own]), by_marks
        case "cut":
            marked = replace(own, amounts=replace(own.amounts, perhaps_billed=1))
            found, cause = case.compared([*others, more], [*ledger, marked]), "perhaps-billed"
        case "uncounted":
            marked = replace(own, amounts=replace(own.amounts, no_usage=1))
            found, cause = case.compared([*others, more], [*ledger, marked]), "no-usage"
        case _:
            dearer = replace(planted, nano_usd=planted.nano_usd + 10**12)
            found = case.compared([*others, dearer], [*ledger, own])
            cause = "agrees" if not tells_costs else "prices" if tells_usage else "costs-only"
    label = named(case.maker, planted.model)
    rows = {(row.day, row.model): row for row in found.rows}
    assert rows[planted.day, label].cause == cause
    assert all(row.cause == "agrees" for key, row in rows.items() if key != (planted.day, label))


@pytest.mark.parametrize("writer", [*USAGE["openai"][:1], *COSTS["openai"][:1]])
def test_what_the_tests_write_is_what_openais_own_sdk_reads(writer: Writer) -> None:
    facts = [Fact(DAYS[0], "gpt-5", Tokens(1, 2, 3, 4, 5), 2, 123_456_789)]
    page = openai_types.UsageCompletionsResponse.model_validate_json(writer(facts, DAYS), strict=True)
    assert page.data[0].results[0].object.startswith("organization.")
    assert not page.data[0].results[0].model_extra


@pytest.mark.parametrize(
    ("writer", "bucket", "also"),
    [
        (USAGE["anthropic"][0], anthropic_types.BetaAnalyticsUsageReportTimeBucket, {}),
        (COSTS["anthropic"][0], anthropic_types.BetaAnalyticsCostReportTimeBucket, {"list_amount": "1"}),
    ],
)
def test_and_anthropics(writer: Writer, bucket: type[object], also: dict[str, str]) -> None:
    """Of its reports the SDK has those of the analytics endpoints, which have the same fields and more."""
    facts = [Fact(DAYS[0], "claude-opus-5-5", Tokens(1, 2, 3, 4, 5), 2, 123_456_789)]
    (made, *_) = json.loads(writer(facts, DAYS))["data"]
    made["results"] = [result | also for result in made["results"]]
    assert TypeAdapter(bucket).validate_python(made)
