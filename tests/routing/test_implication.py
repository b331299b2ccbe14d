# ruff: noqa: E501  (tables read better with a case a line)
"""What is concluded from conditions alone, and that no request contradicts it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.routing.implication import covered, implies, never
from tests.support.slow import within

# --- a table of conclusions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("thinking", "always", id="anything implies always"),
        pytest.param("thinking and stream", "thinking", id="two conditions imply each"),
        pytest.param("thinking", "thinking or stream", id="one implies the choice"),
        pytest.param("thinking and (stream or document)", "thinking and stream or thinking and document", id="and over or"),
        pytest.param("thinking or not thinking", "stream or not stream", id="what always holds"),
        pytest.param("tools >= 1", "tool-use", id="a tool is tool use"),
        pytest.param("tool-use", "tools > 0", id="tool use is a tool"),
        pytest.param("not tool-use", "tools < 1", id="no tool use is no tool"),
        pytest.param("has-tool = 'web_*'", "tool-use", id="a named tool is a tool"),
        pytest.param("has-tool = web_search", "has-tool = 'web_*'", id="a name within a glob"),
        pytest.param("has-tool = 'web_s*'", "has-tool = ['x', 'web_*']", id="a glob within one of several"),
        pytest.param("image = 'last-turn'", "image", id="a picture in the last turn is a picture"),
        pytest.param("not image", "not image = 'last-turn'", id="no picture is none in the last turn"),
        pytest.param("tokens > 100", "tokens >= 101", id="whole numbers"),
        pytest.param("tokens > 100 and tokens < 200", "tokens > 50", id="between is above"),
        pytest.param("not tokens < 100", "tokens >= 100", id="every request has tokens"),
        pytest.param("tokens = 5", "not tokens = 6", id="one number isn't another"),
        pytest.param("tokens > 10 and tokens < 12", "tokens = 11", id="only one is left"),
        pytest.param("not tools = 0", "tool-use", id="not none is some"),
        pytest.param("max-tokens < 10", "max-tokens < 20", id="a lower limit"),
        pytest.param("not max-tokens < 20", "not max-tokens < 10", id="none or at least 20"),
        pytest.param("max-tokens > 5 and not max-tokens < 10", "max-tokens >= 10", id="it has a limit"),
        pytest.param("budget-used > 0.5", "budget-used >= 0.5", id="a share"),
        pytest.param("client = codex", "client = [codex, aider]", id="one of several words"),
        pytest.param("client = codex", "not client = aider", id="one word isn't another"),
        pytest.param("not client = [codex, aider]", "not client = codex", id="none of several is not one"),
        pytest.param("not api = [openai-chat, openai-responses, gemini]", "api = anthropic-messages", id="the only API left"),
        pytest.param("model-equals = claude-x", "model-matches = 'claude-*'", id="a model within a glob"),
        pytest.param("model-equals = [claude-x, gpt-y]", "not model-matches = 'gemini-*'", id="models outside a glob"),
        pytest.param("model-equals = [claude-x, gpt-y] and not model-matches = 'gpt*'", "model-equals = claude-x", id="models that are left"),
        pytest.param("model-matches = 'claude-*-haiku*'", "model-matches = 'claude-*'", id="a glob within a glob"),
        pytest.param("model-matches = 'claude-?'", "model-matches = 'claude-*'", id="one letter within any"),
        pytest.param("model-matches = '[ab]*'", "model-matches = '[ab]*'", id="the same glob"),
        pytest.param("model-matches = 'b'", "model-matches = '[ab]*'", id="a name within a set of letters"),
        pytest.param("stream", "model-matches = '*'", id="any model"),
        pytest.param("header.x-team = blue", "header.x-team = 'b*'", id="a header within a glob"),
        pytest.param("keywords = cheap", "keywords = [cheap, fast]", id="one of several keywords"),
        pytest.param("concept = budget", "concept = [budget, speed]", id="one of several concepts"),
        pytest.param("tag = ci", "tag = [ci, night]", id="one of several tags"),
        pytest.param("weekday = sat", "weekday = 'fri-sun'", id="a day of a span"),
        pytest.param("time = '23:00-01:00'", "time = '22:00-06:00'", id="hours over midnight"),
        pytest.param("not weekday = 'mon-fri'", "weekday = [sat, sun]", id="the days that are left"),
        pytest.param("stream", "time = ['00:00-12:00', '12:00-24:00']", id="the whole day"),
    ],
)  # fmt: skip
def test_what_is_implied(bench: Any, one: str, other: str) -> None:
    assert implies(bench.compile(one), bench.compile(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("always", "thinking", id="not every request thinks"),
        pytest.param("thinking or stream", "thinking", id="a choice implies neither"),
        pytest.param("tools > 1", "has-tool = 'web_*'", id="some tool isn't this one"),
        pytest.param("image", "image = 'last-turn'", id="a picture may be an older one"),
        pytest.param("tokens > 100", "tokens > 101", id="the next number"),
        pytest.param("not max-tokens < 10", "max-tokens >= 10", id="it may have no limit"),
        pytest.param("not thinking-budget > 10", "thinking-budget <= 10", id="it may have no budget"),
        pytest.param("not budget-used > 0.5", "budget-used <= 0.5", id="there may be no budget"),
        pytest.param("not client = codex", "client = aider", id="there are other clients"),
        pytest.param("not key = alice", "key = bob", id="it may have no key"),
        pytest.param("model-matches = 'claude-*'", "model-matches = 'claude-*-haiku*'", id="a wider glob"),
        pytest.param("model-matches = 'a*'", "model-matches = 'a?'", id="any number of letters isn't one"),
        pytest.param("model-matches = '*a'", "model-matches = 'a*'", id="another end"),
        pytest.param("tag = [ci, night]", "tag = ci", id="it may be the other tag"),
        pytest.param("tag = ci", "not tag = night", id="a request may have several tags"),
        pytest.param("keywords = cheap", "(keywords = cheap and keywords-in = system)", id="said elsewhere"),
        pytest.param("keywords = cheap", "concept = budget", id="a word isn't the concept"),
        pytest.param("header.x-team = blue", "header.x-crew = blue", id="another header"),
        pytest.param("thinking-budget > 10", "thinking", id="what only the formats know isn't assumed"),
    ],
)  # fmt: skip
def test_what_is_not(bench: Any, one: str, other: str) -> None:
    assert not implies(bench.compile(one), bench.compile(other))


@pytest.mark.parametrize(
    "text",
    [
        "not always",
        "thinking and not thinking",
        "tokens > 100 and tokens < 50",
        "tokens > 100 and tokens < 101",
        "tokens < 0",
        "tools = 0 and has-tool = 'web_*'",
        "tool-use = false and tools >= 2",
        "client = codex and client = aider",
        "image = false and image = 'last-turn'",
        "model-equals = gpt-x and model-matches = 'claude-*'",
        "weekday = sat and weekday = 'mon-fri'",
        "time = '08:00-12:00' and time = '13:00-14:00'",
        "(stream or tool-use) and not stream and tools < 1",
        "not api = [anthropic-messages, openai-chat, openai-responses, gemini]",
    ],
)
def test_what_can_never_hold(bench: Any, text: str) -> None:
    assert never(bench.compile(text))


@pytest.mark.parametrize(
    "text", ["always", "tokens > 100 or tokens < 50", "tag = ci and tag = night", "not max-tokens >= 0", "not key = a"]
)
def test_what_can(bench: Any, text: str) -> None:
    assert not never(bench.compile(text))


@pytest.mark.parametrize(
    ("text", "earlier", "by"),
    [
        pytest.param("thinking", ["stream", "thinking"], (1,), id="one of them"),
        pytest.param("tokens > 5", ["tokens > 50", "tokens <= 80"], (0, 1), id="two together"),
        pytest.param("tokens > 5", ["stream", "tokens > 50", "client = codex", "tokens <= 80"], (1, 3), id="without those that add nothing"),
        pytest.param("api = [gemini, openai-chat]", ["api = gemini and stream", "api = openai-chat", "api = gemini and not stream"], (0, 1, 2), id="three together"),
        pytest.param("tokens > 5", ["tokens > 50", "tokens <= 49"], None, id="one number is left"),
        pytest.param("thinking", [], None, id="nothing earlier"),
    ],
)  # fmt: skip
def test_what_covers_a_condition(bench: Any, text: str, earlier: list[str], by: tuple[int, ...] | None) -> None:
    assert covered(bench.compile(text), [bench.compile(one) for one in earlier]) == by


def test_what_would_take_too_long_is_left_open(bench: Any) -> None:
    wide = bench.compile(" and ".join(f"(tag = a{n} or tag = b{n} or tag = c{n})" for n in range(12)))
    with within(1):
        assert not implies(wide, bench.compile("stream"))
        assert not never(wide)
        assert covered(wide, [bench.compile("stream"), wide]) is None
    assert implies(bench.compile({"all": [{"stream": True}]}), bench.compile("stream"))


@pytest.mark.slow
def test_a_hundred_rules_are_compared_in_a_moment(bench: Any) -> None:
    rules = [bench.compile(f"model-matches = 'm{n}-*' and (tokens > {n} or thinking) and not client = codex") for n in range(100)]  # fmt: skip
    with within(5):
        for number, rule in enumerate(rules):
            assert covered(rule, rules[:number]) is None


# --- against requests -------------------------------------------------------------------------------------------------

NUMBERS = st.integers(0, 3)
FORMS = st.sampled_from(["lt", "lte", "gt", "gte", "eq"])


def words(*some: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(some), min_size=1, max_size=3, unique=True)


LEAVES = st.one_of(
    st.builds(lambda key, on: {key: on}, st.sampled_from(["stream", "tool-use", "image", "always"]), st.booleans()),
    st.builds(
        lambda key, form, number: {f"{key}-{form}": number},
        st.sampled_from(["tools", "input-tokens", "max-tokens", "thinking-budget"]),
        FORMS,
        NUMBERS,
    ),
    st.builds(lambda form, share: {f"budget-used-{form}": share}, FORMS, st.sampled_from([0, 0.5, 1])),
    words("a*", "b?", "*b", "[ab]*", "ab").map(lambda globs: {"model-matches": globs}),
    words("a", "ab", "b1").map(lambda models: {"model-equals": models}),
    words("x*", "xy", "?y").map(lambda globs: {"has-tool": globs}),
    words("gemini", "openai-chat", "openai-responses", "anthropic-messages").map(lambda apis: {"api": apis}),
    words("ci", "night").map(lambda tags: {"tag": tags}),
    words("alice", "bob").map(lambda keys: {"key": keys}),
    words("cheap", "fast", "b c").map(lambda some: {"keywords": some}),
    words("budget", "speed").map(lambda some: {"concept": some}),
    words("b*", "blue").map(lambda globs: {"header": {"x-team": globs}}),
    words("mon-fri", "sat", "fri-sun").map(lambda days: {"weekday": days}),
    words("22:00-06:00", "06:00-12:00", "00:00-24:00").map(lambda hours: {"time": hours}),
    st.just({"image": "last-turn"}),
)
MATCHES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda tables: {"any": tables}),
        st.lists(inner, min_size=1, max_size=3).map(lambda tables: {"all": tables}),
        inner.map(lambda table: {"not": table}),
    ),
    max_leaves=5,
)
REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "stream": st.booleans(),
        "tools": st.one_of(NUMBERS, words("x", "xy", "y")),
        "tokens": NUMBERS,
        "max-tokens": NUMBERS,
        "thinking-budget": NUMBERS,
        "budget-used": st.sampled_from([0, 0.5, 0.7, 1]),
        "image": st.sampled_from([True, False, "last-turn"]),
        "text": st.sampled_from(["cheap and fast", "b  C", "cheaper", "low cost"]),
        "model": st.sampled_from(["a", "ab", "b1", "c"]),
        "api": st.sampled_from(["gemini", "openai-chat"]),
        "tag": words("ci", "night"),
        "key": st.sampled_from(["alice", "bob", "carol"]),
        "headers": st.sampled_from([{"x-team": "blue"}, {"x-team": "red"}]),
        "weekday": st.sampled_from(["mon", "fri", "sun"]),
        "time": st.sampled_from(["05:59", "06:00", "12:00", "23:30"]),
    },
)
MANY_REQUESTS = st.lists(REQUESTS, min_size=5, max_size=15)


@given(one=MATCHES, other=MATCHES, requests=MANY_REQUESTS)
def test_no_request_contradicts_an_implication(
    bench: Any, one: Any, other: Any, requests: list[dict[str, Any]]
) -> None:
    first, second = bench.compile(one), bench.compile(other)
    holding = [facts for facts in map(bench.facts, requests) if first.test(facts)]
    if never(first):
        assert holding == []
    if implies(first, second):
        assert all(second.test(facts) for facts in holding)


@given(match=MATCHES, earlier=st.lists(MATCHES, max_size=4), requests=MANY_REQUESTS)
def test_no_request_gets_past_what_covers_it(
    bench: Any, match: Any, earlier: list[Any], requests: list[dict[str, Any]]
) -> None:
    condition, before = bench.compile(match), [bench.compile(one) for one in earlier]
    by = covered(condition, before)
    if by is not None:
        for facts in map(bench.facts, requests):
            assert not condition.test(facts) or any(before[number].test(facts) for number in by)


@given(one=MATCHES, other=MATCHES)
def test_what_follows_by_form_alone_is_found(bench: Any, one: Any, other: Any) -> None:
    """Unless there is too much of it, which these never are."""
    both, either = bench.compile({"all": [one, other]}), bench.compile({"any": [one, other]})
    first = bench.compile(one)
    assert implies(first, first)
    assert implies(both, first)
    assert implies(first, either)
    assert never(bench.compile({"all": [one, {"not": one}]}))
