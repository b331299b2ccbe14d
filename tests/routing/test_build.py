from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from router.routing.build import concept_rule, make_routes, make_rule
from router.routing.concepts import Concept
from router.routing.rules import Target

GROQ = (Target("groq", "llama"),)


def hash_of(bench: Any, match: object = "tool-use", raw: dict[str, object] | None = None, **parts: Any) -> str:
    compiled = bench.compile(match)
    return make_rule("rule", **{"targets": GROQ, "match": compiled, "raw": raw or {}, **parts}).hash


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param({"raw": {"name": "big"}, "name": "big"}, id="its name"),
        pytest.param({"raw": {"priority": 7}}, id="its priority"),
        pytest.param({"raw": {"enabled": False}}, id="whether it is enabled"),
        pytest.param({"index": 4, "line": 90}, id="its place"),
        pytest.param({"raw": {"to": "groq", "model": "llama"}}, id="how its target is written"),
        pytest.param({"match": {"all": [{"tool-use": True}]}}, id="how its match is written"),
    ],
)
def test_a_rule_stays_the_same_rule_whatever(bench: Any, parts: dict[str, Any]) -> None:
    if "match" in parts:
        parts = {**parts, "match": bench.compile(parts["match"])}
    assert make_rule("rule", **{"targets": GROQ, "match": bench.compile("tool-use"), **parts}).hash == hash_of(bench)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param({"tools-gt": 1, "stream": True}, {"stream": True, "tools-gt": 1}, id="the order of keys"),
        pytest.param({"model-equals": "a"}, {"model-equals": ["a"]}, id="a list of one"),
        pytest.param({"model-equals": ["a", "b"]}, {"model-equals": ["b", "a"]}, id="the order of a list"),
        pytest.param({"stream": False}, {"not": {"stream": True}}, id="not"),
        pytest.param({"input-tokens-gt": 1000}, "tokens > 1_000", id="a short string"),
        pytest.param({"header": {"X-Team": "a"}}, {"header": {"x-team": "a"}}, id="the case of a header's name"),
        pytest.param({}, {"always": True}, id="always"),
        pytest.param({"weekday": ["sat", "sun"]}, {"weekday": "sat-sun"}, id="a span of days"),
        pytest.param({"budget-used-gt": Decimal("0.50")}, {"budget-used-gt": 0.5}, id="a number's spelling"),
    ],
)
def test_two_ways_to_write_one_match_are_one_rule(bench: Any, one: object, other: object) -> None:
    assert hash_of(bench, one) == hash_of(bench, other)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"match": "tools > 0"}, id="its match"),
        pytest.param({"targets": (Target("groq", "other"),)}, id="its model"),
        pytest.param({"targets": (Target("openai", "llama"),)}, id="its provider"),
        pytest.param({"targets": (Target("groq", "llama", 2.0),)}, id="a target's weight"),
        pytest.param({"fallback": GROQ}, id="its fallbacks"),
        pytest.param({"raw": {"set": {"temperature": 0}}}, id="what it sets"),
        pytest.param({"raw": {"drop": ["top_k"]}}, id="what it drops"),
        pytest.param({"raw": {"headers": {"x-a": "b"}}}, id="its headers"),
        pytest.param({"raw": {"strategy": "weighted"}}, id="its strategy"),
        pytest.param({"raw": {"weight": 2}}, id="its weight"),
        pytest.param({"raw": {"sticky": "cache"}}, id="whether it sticks"),
        pytest.param({"raw": {"cascade": {"draft": "groq/x"}}}, id="its cascade"),
        pytest.param({"raw": {"budget": {"daily-usd": 1}}}, id="its budget"),
        pytest.param({"raw": {"targets": [{"to": "groq", "openrouter": {"models": ["a"]}}]}}, id="a target's settings"),
    ],
)
def test_a_rule_becomes_another_with(bench: Any, changed: dict[str, Any]) -> None:
    assert hash_of(bench, **changed) != hash_of(bench)


def test_every_kind_has_its_own_hash() -> None:
    kinds = [make_rule(kind, targets=GROQ, name="n").hash for kind in ("rule", "default", "alias")]  # type: ignore[arg-type]
    kinds.append(make_rule("alias", targets=GROQ, name="m").hash)
    kinds.append(concept_rule(Concept("n", "n", ("a",), routes=GROQ), "concept:n@1").hash)
    kinds.append(concept_rule(Concept("n", "n", ("b",), routes=GROQ), "concept:n@2").hash)
    assert len(set(kinds)) == len(kinds)


@pytest.mark.parametrize(
    ("match", "label"),
    [
        pytest.param({"tool-use": True}, "tool-use → groq", id="the condition's key"),
        pytest.param({"stream": True, "tool-use": True}, "stream → groq", id="the first as written"),
        pytest.param({"input-tokens-gt": 5, "stream": True}, "input-tokens-gt → groq", id="not the cheapest"),
        pytest.param("tokens > 5 and stream", "input-tokens-gt → groq", id="of a short string"),
        pytest.param({"thinking": False}, "thinking → groq", id="of a flag that must not hold"),
        pytest.param({"not": {"has-tool": "x"}}, "not-has-tool → groq", id="of an opposite"),
        pytest.param({"any": [{"image": True}, {"document": True}]}, "image → groq", id="of alternatives"),
        pytest.param({}, "always → groq", id="of an empty match"),
    ],
)
def test_a_rule_without_a_name_is_labelled_by(bench: Any, match: object, label: str) -> None:
    assert make_rule("rule", targets=GROQ, match=bench.compile(match)).label == label


def test_labels_of_the_other_kinds(bench: Any) -> None:
    assert make_rule("rule", targets=GROQ, match=bench.compile({}), name="big").label == "big → groq"
    assert make_rule("default", targets=GROQ).label == "default → groq"
    assert make_rule("alias", targets=GROQ, name="fast-model").label == "alias:fast-model → groq"
    assert concept_rule(Concept("budget", "B", routes=GROQ), "x").label == "concept:budget → groq"


def test_equal_labels_are_numbered_whatever_their_order_and_use(bench: Any) -> None:
    rules = [
        make_rule("rule", targets=GROQ, match=bench.compile("stream"), index=index, raw=raw)
        for index, raw in enumerate([{}, {"enabled": False}, {"priority": 5}])
    ]
    routes = make_routes(rules)
    assert [(rule.index, rule.label) for rule in routes.rules] == [(2, "stream → groq #3"), (0, "stream → groq")]


def test_a_rule_keeps_what_its_table_says(bench: Any) -> None:
    raw = {
        "priority": 3,
        "sticky": "cache",
        "strategy": "weighted",
        "set": {"temperature": 0.2, "verbatim": [1]},
        "drop": ["top_k"],
        "headers": {"x-a": "b"},
        "cascade": {"draft": "groq/x"},
    }
    rule = make_rule("rule", targets=GROQ, match=bench.compile({}), raw=raw, line=12, index=0)
    assert (rule.priority, rule.sticky, rule.strategy, rule.line) == (3, "cache", "weighted", 12)
    assert (rule.set, rule.drop, rule.headers, rule.raw) == (raw["set"], ("top_k",), {"x-a": "b"}, raw)
