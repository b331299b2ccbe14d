"""A request's record answers as the request did, and says so where it can't."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from router.routing.concepts import Concept
from router.routing.conditions import CONDITIONS
from router.routing.explain import explain
from router.routing.facts import FactUnknown, RequestFacts
from router.routing.recorded import RecordedFacts
from router.routing.rules import RouteTable, Target, decide
from router.routing.tokens import PieceSummaries
from router.wire.body import Body
from router.wire.formats import CODECS
from router.wire.request import Api

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


def recorded(
    routes: RouteTable, *, count_tokens: bool = False, text: str = SECRET, api: Api = "anthropic-messages", **more: Any
) -> dict[str, Any]:
    body = {
        "model": "m",
        "max_tokens": 9,
        "tools": [{"name": "Bash"}],
        "input" if api == "openai-responses" else "messages": [{"role": "user", "content": text}],
        **more,
    }
    facts = RequestFacts(
        CODECS[api].view(Body.parse(json.dumps(body).encode())),
        headers={"x-team": "blue-7", "authorization": "Bearer hush"},
        summaries=PieceSummaries(),
        phrases=routes.phrases,
        now=datetime(2025, 11, 21, 9, 30, tzinfo=timezone(timedelta(hours=1))),
        tags=frozenset({"ci"}),
        key="alice",
        may_count=True,
    )
    record = msgspec.json.encode(facts.record(routes, count_tokens=count_tokens))
    for word in (b"secret plan is", b"hush", b"blue-7"):
        assert word not in record
    loaded = msgspec.json.decode(record)
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


VALUES = {
    "has-tool": '"Bash"', "model-equals": '"m"', "model-matches": '"m*"', "client": '"sdk"', "api": '"gemini"',
    "key": '"alice"', "tag": '"ci"', "provider-used": '"groq"', "time": '"09:00-10:00"', "weekday": '"fri"',
}  # fmt: skip
ASKED_THEN = {"keywords", "concept", "header"}


@pytest.mark.parametrize("key", [key for key in CONDITIONS if key not in ASKED_THEN])
def test_every_other_condition_can_be_answered_whatever_the_rules_were_then(bench: Any, key: str) -> None:
    facts = RecordedFacts(recorded(bench.routes(""), count_tokens=True))
    number = key.rpartition("-")[2] in ("lt", "lte", "gt", "gte", "eq")
    condition = bench.compile(
        tomllib.loads(f"match = {{ {key} = {VALUES.get(key, '1' if number else 'true')} }}")["match"]
    )
    assert condition.holds(facts) in (True, False)
    assert bench.compile({"image": "last-turn"}).holds(facts) is False


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


@pytest.mark.parametrize(
    ("priority", "expected"),
    [
        pytest.param(0, "swift", id="which stands first is up to the place"),
        pytest.param(9, "thrift", id="unless the rules of today have it count for more"),
    ],
)
def test_of_several_concepts_the_rules_of_today_choose(bench: Any, priority: int, expected: str) -> None:
    def routes_of(*concepts: Concept) -> RouteTable:
        for concept in concepts:
            bench.registry.add_concept(concept)
        routes: RouteTable = bench.routes("", routed=concepts)
        return routes

    swift = Concept("swift", "Swift", ("quick",), routes=(Target("groq", "y"),))
    thrift = Concept("thrift", "Thrift", ("cheap",), 3, routes=(Target("groq", "x"),))
    record = recorded(routes_of(swift, thrift), text="quick or cheap")
    routes = routes_of(swift, replace(thrift, priority=priority))
    assert decide(routes, RecordedFacts(record, routes.phrases)).rule.name == expected
    record["concepts"].popitem()
    with pytest.raises(FactUnknown):
        decide(routes, RecordedFacts(record, routes.phrases))


def test_a_record_tells_whether_the_conversation_was_known_and_what_was_continued(bench: Any) -> None:
    routes = bench.routes("")
    first = recorded(routes)
    assert (first["opening"], first["cache_marks"], "continues" in first) == (True, "", False)
    marked = [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]
    later = [
        {"role": "user", "content": SECRET},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": marked},
    ]
    record = recorded(routes, messages=later)
    assert (record["opening"], record["cache_marks"], record["start"]) == (False, "5m", first["start"])
    assert recorded(routes, text='"cache_control"')["cache_marks"] == ""
    assert recorded(routes, api="openai-responses", previous_response_id="resp_1")["continues"] == "resp_1"


UNKNOWN, ALSO = '{ keywords = "other" }', '{ header = { x-a = "b" } }'


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        pytest.param(UNKNOWN, ['keywords="other"'], id="the condition itself"),
        pytest.param(f"{{ not = {UNKNOWN} }}", ['keywords="other"'], id="what is negated"),
        pytest.param(f"{{ any = [{UNKNOWN}, {ALSO}] }}", ['keywords="other"', 'header.x-a="b"'], id="all of several"),
        pytest.param(f"{{ any = [{UNKNOWN}, {{ tool-use = true }}] }}", [], id="none where another says yes"),
        pytest.param(f"{{ all = [{UNKNOWN}, {{ stream = true }}] }}", [], id="none where another says no"),
        pytest.param(
            f"{{ all = [{ALSO}, {{ any = [{UNKNOWN}, {{ tool-use = true }}] }}] }}",
            ['header.x-a="b"'],
            id="only those that matter",
        ),
    ],
)
def test_a_condition_names_what_it_can_not_be_told_without(bench: Any, match: str, expected: list[str]) -> None:
    facts = RecordedFacts(recorded(bench.routes("")))
    (rule,) = bench.routes(f'[[rule]]\nmatch = {match}\nto = "groq"').rules
    assert sorted(each.text() for each in rule.match.undecided(facts)) == sorted(expected)


def test_an_empty_record_knows_nothing() -> None:
    facts = RecordedFacts({})
    for name in ("model", "tools", "tags", "now", "headers", "image"):
        with pytest.raises(FactUnknown):
            getattr(facts, name)
    with pytest.raises(AttributeError):
        facts.weather  # noqa: B018
