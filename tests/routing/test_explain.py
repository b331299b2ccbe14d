from __future__ import annotations

from typing import Any

import pytest

from router.routing.concepts import Concept
from router.routing.explain import explain
from router.routing.rules import Target, decide

BUDGET = Concept("budget", "Budget", ("low cost", "cheap", "budget mode"), routes=(Target("groq", "x"),))
TOML = """
[[rule]]
match = { tool-use = true, input-tokens-gt = 100 }
to = "anthropic"
[[rule]]
match = { any = [{ stream = true }, { thinking = true }] }
to = "openai"
[[rule]]
match = "always"
to = "groq"
[aliases]
fast = "groq/x"
[default]
to = "openai"
"""


def test_every_rule_is_told_with_every_condition_and_what_it_saw(bench: Any) -> None:
    explanation = explain(bench.routes(TOML, routed=(BUDGET,)), bench.facts(tools=2, thinking=True, model="m"))
    told = [
        (one.rule.label, one.holds, one.taken, [(v.condition, v.seen, v.holds) for v in one.verdicts])
        for one in explanation.considered
    ]
    assert told == [
        (
            "tool-use → anthropic",
            False,
            False,
            [("tool-use=true", "2 tools", True), ("input-tokens-gt 100", "0", False)],
        ),
        (
            "stream → openai",
            True,
            True,
            [
                (
                    "stream=true or thinking=true",
                    "stream=true: no (false); thinking=true: yes (true)",
                    True,
                )
            ],
        ),
        ("always → groq", True, False, [("always", "true", True)]),
        ("concept:budget → groq", False, False, [("concept budget", "does not occur", False)]),
        ("alias:fast → groq", False, False, [('model="fast"', '"m"', False)]),
        ("default → openai", True, False, []),
    ]


@pytest.mark.parametrize(
    ("given", "script", "label"),
    [
        pytest.param({"model": "groq:x"}, None, "explicit → groq", id="an explicit provider"),
        pytest.param({}, "fast", "script → groq", id="a script"),
        pytest.param({}, None, "always → groq", id="a rule"),
    ],
)
def test_the_decision_is_the_servers(bench: Any, given: dict[str, object], script: str | None, label: str) -> None:
    routes, facts = bench.routes(TOML), bench.facts(given)
    explanation = explain(routes, facts, script=script)
    assert explanation.decision == decide(routes, facts, script=script)
    assert [one.rule.label for one in explanation.considered if one.taken] == [label]


def test_a_catalogs_choice_is_told(bench: Any) -> None:
    explanation = explain(bench.routes(""), bench.facts(model="m"), catalog=lambda model, api: ["groq"])
    assert [one.rule.label for one in explanation.considered] == ["catalog → groq"]


def test_no_route_is_told_with_its_reason(bench: Any) -> None:
    explanation = explain(bench.routes('[[rule]]\nmatch = "stream"\nto = "groq"'), bench.facts(model="m"))
    assert explanation.decision is None
    assert explanation.refusal is not None
    assert "stream → groq" in explanation.refusal
    assert [one.taken for one in explanation.considered] == [False]


def test_concepts_that_occur_are_told_in_the_order_of_their_strength(bench: Any) -> None:
    speed = Concept("speed", "Speed", ("fast", "cheap and fast"), 10, (Target("openai", "y"),))
    routes = bench.routes("", routed=(BUDGET, speed))
    considered = explain(routes, bench.facts(text="cheap and fast")).considered
    assert [(one.rule.name, one.taken) for one in considered] == [("speed", True), ("budget", False)]
