"""What composing conditions does to what they match, whatever the conditions."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

NUMBERS = st.integers(0, 4)
FORMS = st.sampled_from(["lt", "lte", "gt", "gte", "eq"])
LEAVES = st.one_of(
    st.builds(lambda key, on: {key: on}, st.sampled_from(["stream", "thinking", "tool-use", "image"]), st.booleans()),
    st.builds(
        lambda key, form, number: {f"{key}-{form}": number},
        st.sampled_from(["tools", "input-tokens", "max-tokens", "turns"]),
        FORMS,
        NUMBERS,
    ),
    st.builds(lambda words: {"keywords": words}, st.lists(st.sampled_from(["cheap", "fast", "b c"]), min_size=1)),
    st.builds(lambda model: {"model-matches": model}, st.sampled_from(["a*", "b?", "*"])),
)


def _merged(tables: list[dict[str, Any]]) -> dict[str, Any]:
    return {key: value for table in tables for key, value in table.items()}


MATCHES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(_merged),
        st.lists(inner, min_size=1, max_size=3).map(lambda tables: {"any": tables}),
        st.lists(inner, min_size=1, max_size=3).map(lambda tables: {"all": tables}),
        inner.map(lambda table: {"not": table}),
    ),
    max_leaves=6,
)
REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "stream": st.booleans(),
        "thinking": st.booleans(),
        "tools": NUMBERS,
        "tokens": NUMBERS,
        "max-tokens": NUMBERS,
        "turns": NUMBERS,
        "image": st.booleans(),
        "text": st.sampled_from(["cheap and fast", "b  C", "cheaper"]),
        "model": st.sampled_from(["a", "ab", "b1"]),
    },
)


@given(match=MATCHES, more=LEAVES, request=REQUESTS)
def test_adding_a_condition_never_makes_a_rule_match_more(
    bench: Any, match: dict[str, Any], more: dict[str, Any], request: dict[str, Any]
) -> None:
    facts = bench.facts(request)
    if bench.compile({"all": [match, more]}).test(facts):
        assert bench.compile(match).test(facts)
    if match.keys().isdisjoint(more) and bench.compile({**match, **more}).test(facts):
        assert bench.compile(match).test(facts)


@given(match=MATCHES, more=LEAVES, request=REQUESTS)
def test_adding_an_alternative_never_makes_it_match_less(
    bench: Any, match: dict[str, Any], more: dict[str, Any], request: dict[str, Any]
) -> None:
    facts = bench.facts(request)
    if bench.compile(match).test(facts):
        assert bench.compile({"any": [more, match]}).test(facts)


@given(match=MATCHES, request=REQUESTS)
def test_not_is_the_opposite_and_twice_not_is_the_same(
    bench: Any, match: dict[str, Any], request: dict[str, Any]
) -> None:
    facts = bench.facts(request)
    plain = bench.compile(match).test(facts)
    assert bench.compile({"not": match}).test(facts) is not plain
    assert bench.compile({"not": {"not": match}}).test(facts) is plain


@given(match=MATCHES, request=REQUESTS)
def test_the_short_text_of_a_match_decides_alike(bench: Any, match: dict[str, Any], request: dict[str, Any]) -> None:
    facts = bench.facts(request)
    condition = bench.compile(match)
    again = bench.compile(condition.text())
    assert again.test(facts) is condition.test(facts)
    assert condition.text().isascii()


@given(match=MATCHES, request=REQUESTS)
def test_evaluating_agrees_with_testing(bench: Any, match: dict[str, Any], request: dict[str, Any]) -> None:
    facts = bench.facts(request)
    condition = bench.compile(match)
    assert condition.evaluate(facts).holds is condition.test(facts)
    assert all(part.test(facts) for part in condition.parts) is condition.test(facts)
