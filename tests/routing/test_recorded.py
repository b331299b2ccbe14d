"""A request's record answers as the request did, and says so where it can't."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from router.routing.concepts import Concept
from router.routing.explain import explain
from router.routing.facts import FactUnknown, RequestFacts
from router.routing.recorded import RecordedFacts
from router.routing.rules import RouteTable, Target, decide
from router.routing.tokens import PieceSummaries
from router.wire.body import Body
from router.wire.formats import CODECS

BUDGET = Concept("budget", "Budget", ("low cost", "cheap", "budget mode"), routes=(Target("groq", "x"),))
SECRET = "the secret plan is cheap"
RULES = """
[[rule]]
match = { keywords = ["secret"], keywords-in = "system" }
to = "groq"
[[rule]]
match = { keywords = ["secret plan"], header = { x-team = "blue*" }, time = "09:00-10:00" }
to = "openai"
[[rule]]
match = { any = [{ has-tool = "Ba*" }, { tag = "night" }, { weekday = "fri" }] }
to = "anthropic"
"""


def recorded(routes: RouteTable, *, count_tokens: bool = False) -> dict[str, Any]:
    body = {
        "model": "m",
        "max_tokens": 9,
        "tools": [{"name": "Bash"}],
        "messages": [{"role": "user", "content": SECRET}],
    }
    facts = RequestFacts(
        CODECS["anthropic-messages"].view(Body.parse(json.dumps(body).encode())),
        headers={"x-team": "blue-7", "authorization": "Bearer hush"},
        summaries=PieceSummaries(),
        phrases=routes.phrases,
        now=datetime(2025, 11, 21, 9, 30, tzinfo=timezone(timedelta(hours=1))),
        tags=frozenset({"ci"}),
        key="alice",
        may_count=True,
    )
    text = msgspec.json.encode(facts.record(routes, count_tokens=count_tokens))
    for word in (b"secret plan is", b"hush", b"blue-7"):
        assert word not in text
    loaded = msgspec.json.decode(text)
    assert isinstance(loaded, dict)
    return loaded


def test_a_record_decides_as_the_request_did(bench: Any) -> None:
    routes = bench.routes(RULES)
    facts = RecordedFacts(recorded(routes))
    assert decide(routes, facts).rule.label == "keywords → openai"
    assert (facts.key, facts.tags, facts.max_tokens, facts.now.hour) == ("alice", {"ci"}, 9, 9)


def test_other_rules_can_be_tried_on_it(bench: Any) -> None:
    facts = RecordedFacts(recorded(bench.routes(RULES)))
    routes = bench.routes('[[rule]]\nmatch = "stream"\nto = "groq"\n[[rule]]\nmatch = "tools = 1"\nto = "openai"')
    assert decide(routes, facts).rule.label == "tools-eq → openai"


@pytest.mark.parametrize(
    "match",
    [
        pytest.param('{ keywords = "other" }', id="words nobody asked about"),
        pytest.param('{ keywords = "secret", keywords-in = "any" }', id="in another place"),
        pytest.param('{ header = { x-team = "red" } }', id="another glob on a header"),
        pytest.param('"tokens > 5"', id="tokens that weren't counted"),
        pytest.param('{ not = { concept = "speed" } }', id="a concept no rule used"),
    ],
)
def test_what_was_not_asked_then_is_unknown_now(bench: Any, match: str) -> None:
    facts = RecordedFacts(recorded(bench.routes(RULES)))
    routes = bench.routes(f'[[rule]]\nmatch = {match}\nto = "groq"\n[default]\nto = "openai"')
    with pytest.raises(FactUnknown):
        decide(routes, facts)
    explanation = explain(routes, facts)
    assert explanation.decision is None
    assert explanation.refusal is not None
    assert explanation.considered[0].holds is None
    assert explanation.considered[0].verdicts[0].seen == "unknown"


@pytest.mark.parametrize(
    ("match", "kind"),
    [
        pytest.param('{ keywords = "other", stream = true }', "default", id="something else says no"),
        pytest.param('{ any = [{ keywords = "other" }, { tool-use = true }] }', "rule", id="something else says yes"),
    ],
)
def test_an_unknown_fact_that_cannot_matter_does_not(bench: Any, match: str, kind: str) -> None:
    facts = RecordedFacts(recorded(bench.routes(RULES)))
    routes = bench.routes(f'[[rule]]\nmatch = {match}\nto = "groq"\n[default]\nto = "openai"')
    assert decide(routes, facts).rule.kind == kind


def test_tokens_are_recorded_when_counted(bench: Any) -> None:
    routes = bench.routes("")
    assert "tokens" not in recorded(routes)
    facts = RecordedFacts(recorded(routes, count_tokens=True))
    assert facts.tokens_reach(facts.tokens())
    assert not facts.tokens_reach(facts.tokens() + 1)


def test_concepts_with_a_route_are_recorded(bench: Any) -> None:
    routes = bench.routes('[default]\nto = "openai"', routed=(BUDGET,))
    facts = RecordedFacts(recorded(routes))
    assert decide(routes, facts).rule.label == "concept:budget → groq"
    without = RecordedFacts(recorded(bench.routes("")))
    with pytest.raises(FactUnknown):
        decide(routes, without)


def test_an_empty_record_knows_nothing() -> None:
    facts = RecordedFacts({})
    for name in ("model", "tools", "tags", "now", "headers", "image"):
        with pytest.raises(FactUnknown):
            getattr(facts, name)
    with pytest.raises(AttributeError):
        facts.weather  # noqa: B018
