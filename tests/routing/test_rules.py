"""The walk from a request to a target: who is asked, in which order, and what the answer says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from router.errors import NoRoute
from router.routing.concepts import Concept
from router.routing.rules import RouteDecision, Target, decide

FIRST_FILE = """
[[rule]]
match = { tool-use = true }
to = "anthropic"
model = "claude-sonnet-4-5"

[[rule]]
match = { input-tokens-lt = 2000 }
to = "groq"
model = "llama-3.3-70b-versatile"

[[rule]]
match = { input-tokens-gt = 100000 }
to = "anthropic"
model = "claude-sonnet-4-5" # long context

[default]
to = "anthropic"
model = "claude-haiku-4-5"
"""

EVERY_STEP = """
[[rule]]
match = { model-matches = "*" }
target = "groq/by-rule"

[aliases]
"pinned" = { target = "groq/by-pin", pin = true }
"plain" = "groq/by-alias"

[default]
target = "groq/by-default"
"""
BUDGET = Concept("budget", "Budget", ("low cost", "cheap", "budget mode"), routes=(Target("groq", "by-concept"),))
SPEED = Concept("speed", "Speed", ("fast", "cheap and fast"), 10, (Target("openai", "x"), Target("groq")))


def first(decision: RouteDecision) -> str:
    return str(decision.candidates[0])


@pytest.mark.parametrize(
    ("request_facts", "label", "target"),
    [
        pytest.param(
            {"tools": 2, "tokens": 500_000},
            "tool-use → anthropic",
            "anthropic/claude-sonnet-4-5",
            id="tools, before all",
        ),
        pytest.param({"tokens": 1999}, "input-tokens-lt → groq", "groq/llama-3.3-70b-versatile", id="short"),
        pytest.param({"tokens": 2000}, "default → anthropic", "anthropic/claude-haiku-4-5", id="in between"),
        pytest.param({"tokens": 100_000}, "default → anthropic", "anthropic/claude-haiku-4-5", id="not yet long"),
        pytest.param({"tokens": 100_001}, "input-tokens-gt → anthropic", "anthropic/claude-sonnet-4-5", id="long"),
    ],
)
def test_the_first_rule_that_matches_wins(
    bench: Any, request_facts: dict[str, object], label: str, target: str
) -> None:
    decision = decide(bench.routes(FIRST_FILE), bench.facts(request_facts))
    assert decision.rule.label == label
    assert first(decision) == target


def test_a_rules_file_knows_whether_tokens_are_needed(bench: Any) -> None:
    assert bench.routes(FIRST_FILE).needs_tokens
    assert not bench.routes(EVERY_STEP).needs_tokens


def only_the_default(model: str, api: str) -> Sequence[str]:
    raise AssertionError("the catalog isn't asked where there is a default")


@pytest.mark.parametrize(
    ("model", "text", "script", "settings", "label"),
    [
        pytest.param("groq:pinned", "cheap", "openai/x", {}, "explicit → groq", id="an explicit provider before all"),
        pytest.param("pinned", "cheap", "openai/x", {}, "script → openai", id="then the script"),
        pytest.param("pinned", "cheap", None, {"concepts_before_rules": True}, "alias:pinned → groq", id="then pins"),
        pytest.param(
            "plain",
            "cheap",
            None,
            {"concepts_before_rules": True},
            "concept:budget → groq",
            id="then concepts, if asked",
        ),
        pytest.param("plain", "cheap", None, {}, "model-matches → groq", id="then rules"),
        pytest.param("pinned", "", "unknown", {}, "alias:pinned → groq", id="a script's nonsense is passed over"),
    ],
)
def test_the_order_of_the_walk(
    bench: Any, model: str, text: str, script: str | None, settings: dict[str, object], label: str
) -> None:
    routes = bench.routes(EVERY_STEP, routed=(BUDGET,), **settings)
    decision = decide(routes, bench.facts(model=model, text=text), script=script, catalog=only_the_default)
    assert decision.rule.label == label


@pytest.mark.parametrize(
    ("model", "text", "label"),
    [
        pytest.param("plain", "cheap", "concept:budget → groq", id="concepts"),
        pytest.param("plain", "", "alias:plain → groq", id="then aliases"),
        pytest.param("other", "", "default → groq", id="then the default"),
    ],
)
def test_behind_the_rules_come(bench: Any, model: str, text: str, label: str) -> None:
    no_rule = EVERY_STEP.replace('"*" }', '"no-such-model" }')
    decision = decide(bench.routes(no_rule, routed=(BUDGET,)), bench.facts(model=model, text=text))
    assert decision.rule.label == label
    assert [rule.index for rule in decision.tried] == [0]


def test_rules_off_sends_everything_to_the_default(bench: Any) -> None:
    routes = bench.routes(EVERY_STEP, routed=(BUDGET,), rules_on=False)
    for model in ("pinned", "plain", "groq:x", "other"):
        decision = decide(routes, bench.facts(model=model, text="cheap"), script="openai/x")
        assert decision.rule.label == "default → groq"


@pytest.mark.parametrize(
    ("model", "target"),
    [
        pytest.param("openai:gpt-5", "openai/gpt-5", id="a known provider"),
        pytest.param("openai:gpt:5", "openai/gpt:5", id="split at the first colon only"),
        pytest.param("qwen2.5-coder:latest", "groq/by-default", id="a model's own colon"),
        pytest.param("deepseek/deepseek-r1:free", "groq/by-default", id="a slash and a colon"),
        pytest.param("openai:", "groq/by-default", id="nothing behind the colon"),
    ],
)
def test_a_model_written_with_its_provider(bench: Any, model: str, target: str) -> None:
    decision = decide(bench.routes('[default]\ntarget = "groq/by-default"'), bench.facts(model=model))
    assert [str(candidate) for candidate in decision.candidates] == [target]


def test_explicit_providers_can_be_switched_off(bench: Any) -> None:
    routes = bench.routes('[default]\nto = "groq"', explicit_provider=False)
    assert first(decide(routes, bench.facts(model="openai:gpt-5"))) == "groq/openai:gpt-5"


def test_priority_goes_before_the_files_order(bench: Any) -> None:
    toml = "".join(
        f'[[rule]]\nname = "{name}"\nmatch = {{}}\nto = "groq"\npriority = {priority}\n'
        for name, priority in [("a", 0), ("b", 5), ("c", -1), ("d", 5)]
    )
    routes = bench.routes(toml)
    assert [rule.name for rule in routes.rules] == ["b", "d", "a", "c"]
    assert decide(routes, bench.facts()).reason == "rule[1] always"


def test_a_rule_that_is_not_enabled_is_not_tried(bench: Any) -> None:
    routes = bench.routes('[[rule]]\nmatch = {}\nto = "groq"\nenabled = false\n[default]\nto = "openai"')
    decision = decide(routes, bench.facts(model="m"))
    assert decision.rule.kind == "default"
    assert decision.tried == ()


@pytest.mark.parametrize(
    ("model", "target"),
    [
        pytest.param("gpt-5", "anthropic/gpt-5", id="the requested model is kept"),
        pytest.param("fast", "anthropic/claude-haiku-4-5", id="an alias of this provider lends its model"),
        pytest.param("quick", "anthropic/quick", id="an alias of another provider doesn't"),
    ],
)
def test_a_target_without_a_model(bench: Any, model: str, target: str) -> None:
    toml = """
    [[rule]]
    match = {}
    to = "anthropic"
    [aliases]
    fast = "anthropic/claude-haiku-4-5"
    quick = "groq/llama"
    """
    assert first(decide(bench.routes(toml), bench.facts(model=model))) == target


def test_candidates_are_the_targets_then_the_fallbacks_each_once(bench: Any) -> None:
    toml = '[[rule]]\nmatch = {}\ntarget = "groq/a"\nfallback = ["openai/b", "groq/a", "anthropic"]'
    decision = decide(bench.routes(toml), bench.facts(model="m"))
    assert [str(target) for target in decision.candidates] == ["groq/a", "openai/b", "anthropic/m"]


def test_a_concepts_further_routes_are_fallbacks(bench: Any) -> None:
    routes = bench.routes("", routed=(BUDGET, SPEED))
    decision = decide(routes, bench.facts(model="m", text="make it cheap and fast"))
    assert decision.rule.label == "concept:speed → openai"
    assert decision.reason == "concept speed"
    assert [str(target) for target in decision.candidates] == ["openai/x", "groq/m"]


def test_a_concept_without_a_route_routes_nothing(bench: Any) -> None:
    routes = bench.routes('[default]\nto = "groq"', routed=(SPEED,))
    assert decide(routes, bench.facts(text="cheap")).rule.kind == "default"


@pytest.mark.parametrize(
    ("answer", "candidates"),
    [
        pytest.param("openai/gpt-5", ["openai/gpt-5"], id="a target"),
        pytest.param("openrouter/x", ["groq/d"], id="an unknown provider"),
        pytest.param("openai", ["openai/m"], id="a provider"),
        pytest.param("plain", ["groq/by-alias"], id="an alias"),
        pytest.param(Target("groq", "z"), ["groq/z"], id="a target already taken apart"),
        pytest.param("", ["groq/d"], id="nothing"),
    ],
)
def test_what_a_script_may_answer(bench: Any, answer: str | Target, candidates: list[str]) -> None:
    routes = bench.routes('[aliases]\nplain = "groq/by-alias"\n[default]\ntarget = "groq/d"')
    decision = decide(routes, bench.facts(model="m"), script=answer)
    assert [str(target) for target in decision.candidates] == candidates


def test_a_script_that_names_an_alias_is_still_the_scripts_answer(bench: Any) -> None:
    routes = bench.routes('[aliases]\nplain = { target = "groq/a", set = { temperature = 0 } }')
    rule = decide(routes, bench.facts(), script="plain").rule
    assert (rule.kind, rule.label, rule.set) == ("script", "script → groq", {"temperature": 0})
    assert rule.hash == decide(routes, bench.facts(), script="groq/b").rule.hash


def test_without_a_default_the_catalog_is_asked(bench: Any) -> None:
    asked = []

    def catalog(model: str, api: str) -> Sequence[str]:
        asked.append((model, api))
        return ["openai", "groq"]

    decision = decide(bench.routes(""), bench.facts(model="gpt-5", api="openai-chat"), catalog=catalog)
    assert asked == [("gpt-5", "openai-chat")]
    assert decision.rule.label == "catalog → openai"
    assert [str(target) for target in decision.candidates] == ["openai/gpt-5", "groq/gpt-5"]


def test_no_route_names_the_model_and_the_rules_tried(bench: Any) -> None:
    routes = bench.routes('[[rule]]\nmatch = "thinking"\nto = "groq"\n[[rule]]\nmatch = "stream"\nto = "groq"')
    with pytest.raises(NoRoute) as caught:
        decide(routes, bench.facts(model="my-model"))
    assert caught.value.status == 404
    for word in ("my-model", "thinking → groq", "stream → groq"):
        assert word in str(caught.value)


def test_steps_tell_which_condition_refused_and_what_it_saw(bench: Any) -> None:
    toml = """
    [[rule]]
    match = { input-tokens-gt = 5, stream = true }
    to = "groq"
    [[rule]]
    match = { input-tokens-gt = 5 }
    to = "openai"
    [default]
    to = "groq"
    """
    facts = bench.facts(tokens=3)
    decision = decide(bench.routes(toml), facts)
    told = [(s.label, s.taken, s.because and (s.because.condition, s.because.seen)) for s in decision.steps(facts)]
    assert told == [
        ("input-tokens-gt → groq", False, ("stream=true", "false")),
        ("input-tokens-gt → openai", False, ("input-tokens-gt 5", "3")),
        ("default → groq", True, None),
    ]


@pytest.mark.parametrize(
    ("toml", "given", "reason"),
    [
        pytest.param('[[rule]]\nmatch = "tool-use"\nto = "groq"', {"tools": 1}, "rule[0] tool-use=true", id="a rule"),
        pytest.param(
            '[[rule]]\nmatch = { keywords = "größe" }\nto = "groq"',
            {"text": "Größe"},
            r'rule[0] keywords="gr\u00f6\u00dfe"',
            id="only ASCII",
        ),
        pytest.param('[aliases]\nfast = "groq/x"', {"model": "fast"}, "alias fast", id="an alias"),
        pytest.param("", {"model": "groq:x"}, "explicit provider", id="an explicit provider"),
        pytest.param('[default]\nto = "groq"', {}, "default", id="the default"),
    ],
)
def test_the_reason_is_short(bench: Any, toml: str, given: dict[str, object], reason: str) -> None:
    assert decide(bench.routes(toml), bench.facts(given)).reason == reason


def test_routes_can_be_decided_again_without_change(bench: Any) -> None:
    routes = bench.routes(FIRST_FILE)
    facts = bench.facts(tokens=5)
    assert decide(routes, facts) == decide(replace(routes), facts)
