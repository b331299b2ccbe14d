"""Every condition: what makes it hold, what doesn't, and that a request without the fact doesn't either."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from router.routing.conditions import CONDITIONS

Given = Mapping[str, object]
NOTHING: Given = {}

# (match, requests it holds for, requests it doesn't hold for)
TABLE = [
    pytest.param({"always": True}, [NOTHING, {"tools": 3}], [], id="always holds for every request"),
    pytest.param({}, [NOTHING, {"tools": 3}], [], id="an empty match holds for every request"),
    pytest.param({"tool-use": True}, [{"tools": 1}, {"tools": ["a", "b"]}], [NOTHING, {"tools": 0}], id="tool-use"),
    pytest.param({"tools-gte": 3}, [{"tools": 3}, {"tools": 4}], [{"tools": 2}, NOTHING], id="tools-gte includes N"),
    pytest.param({"tools-gt": 3}, [{"tools": 4}], [{"tools": 3}], id="tools-gt excludes N"),
    pytest.param({"tools-lt": 3}, [{"tools": 2}, NOTHING], [{"tools": 3}], id="tools-lt excludes N"),
    pytest.param({"tools-lte": 3}, [{"tools": 3}], [{"tools": 4}], id="tools-lte includes N"),
    pytest.param({"tools-eq": 3}, [{"tools": 3}], [{"tools": 2}, {"tools": 4}], id="tools-eq is exactly N"),
    pytest.param(
        {"has-tool": "web_*"},
        [{"tools": ["Bash", "web_search"]}],
        [{"tools": ["Web_search"]}, {"tools": ["my_web_x"]}, {"tools": 3}, NOTHING],
        id="has-tool is a glob over whole names, case-sensitive",
    ),
    pytest.param(
        {"has-tool": ["Bash", "Re?d"]},
        [{"tools": ["Read"]}, {"tools": ["Bash"]}],
        [{"tools": ["Write"]}],
        id="any glob of a list may match any tool",
    ),
    pytest.param({"tool-result": True}, [{"tool-result": True}], [NOTHING], id="tool-result"),
    pytest.param({"input-tokens-lt": 10}, [{"tokens": 9}], [{"tokens": 10}], id="input-tokens-lt excludes N"),
    pytest.param({"input-tokens-lte": 10}, [{"tokens": 10}], [{"tokens": 11}], id="input-tokens-lte includes N"),
    pytest.param({"input-tokens-gt": 10}, [{"tokens": 11}], [{"tokens": 10}, NOTHING], id="input-tokens-gt excludes N"),
    pytest.param({"input-tokens-gte": 10}, [{"tokens": 10}], [{"tokens": 9}], id="input-tokens-gte includes N"),
    pytest.param({"input-tokens-eq": 10}, [{"tokens": 10}], [{"tokens": 9}, {"tokens": 11}], id="input-tokens-eq is N"),
    pytest.param(
        {"max-tokens-lt": 5}, [{"max-tokens": 4}], [{"max-tokens": 5}, NOTHING], id="max-tokens-lt, not asked"
    ),
    pytest.param({"max-tokens-gt": 5}, [{"max-tokens": 6}], [{"max-tokens": 5}, NOTHING], id="max-tokens-gt"),
    pytest.param({"messages-gt": 2}, [{"messages": 3}], [{"messages": 2}, NOTHING], id="messages-gt"),
    pytest.param({"turns-gt": 2}, [{"turns": 3}], [{"turns": 2}, NOTHING], id="turns-gt"),
    pytest.param({"has-system-prompt": True}, [{"system": "Be brief."}], [NOTHING], id="has-system-prompt"),
    pytest.param(
        {"model-equals": "gpt-5"},
        [{"model": "gpt-5"}],
        [{"model": "gpt-5-mini"}, {"model": "GPT-5"}, NOTHING],
        id="model-equals is exact",
    ),
    pytest.param({"model-equals": ["a", "b"]}, [{"model": "b"}], [{"model": "c"}], id="any model of a list"),
    pytest.param(
        {"model-matches": "claude-*-haiku*"},
        [{"model": "claude-3-5-haiku-latest"}],
        [{"model": "claude-sonnet-4"}, NOTHING],
        id="model-matches is a glob",
    ),
    pytest.param({"thinking": True}, [{"thinking": True}], [NOTHING], id="thinking"),
    pytest.param({"thinking": False}, [NOTHING], [{"thinking": True}], id="X = false is the opposite"),
    pytest.param(
        {"thinking-budget-gt": 100},
        [{"thinking-budget": 101}],
        [{"thinking-budget": 100}, {"thinking": True}],
        id="thinking-budget without a budget compares with nothing",
    ),
    pytest.param(
        {"thinking-budget-lt": 100}, [{"thinking-budget": 1}], [NOTHING], id="no budget is not a small budget"
    ),
    pytest.param({"image": True}, [{"image": True}, {"image": "last-turn"}], [NOTHING], id="image anywhere"),
    pytest.param(
        {"image": "last-turn"}, [{"image": "last-turn"}], [{"image": True}, NOTHING], id="image in the last turn"
    ),
    pytest.param({"image": False}, [NOTHING], [{"image": True}], id="no image"),
    pytest.param({"document": True}, [{"document": True}], [NOTHING], id="document"),
    pytest.param(
        {"web-search": True},
        [{"web-search": True}, {"tools": ["WebSearch"]}],
        [{"tools": ["WebSearch", "Bash"]}, NOTHING],
        id="web-search",
    ),
    pytest.param(
        {"background": True}, [{"background": True}, {"model": "claude-haiku-4-5"}], [NOTHING], id="background"
    ),
    pytest.param({"plan-mode": True}, [{"plan-mode": True}], [NOTHING], id="plan-mode"),
    pytest.param({"subagent": True}, [{"subagent": True}], [NOTHING], id="subagent"),
    pytest.param({"compaction": True}, [{"compaction": True}], [NOTHING], id="compaction"),
    pytest.param({"stream": True}, [{"stream": True}], [NOTHING], id="stream"),
    pytest.param({"client": "claude-code"}, [{"client": "claude-code"}], [{"client": "codex"}, NOTHING], id="client"),
    pytest.param({"client": ["codex", "sdk"]}, [{"client": "sdk"}], [{"client": "aider"}], id="any client of a list"),
    pytest.param({"api": "openai-chat"}, [{"api": "openai-chat"}], [{"api": "gemini"}, NOTHING], id="api"),
    pytest.param(
        {"keywords": ["low cost", "cheap"]},
        [{"text": "Keep it CHEAP, please"}, {"text": "as low\n  cost as it goes"}],
        [{"text": "the cheapest"}, {"system": "cheap"}, NOTHING],
        id="keywords in the latest text, on word boundaries",
    ),
    pytest.param(
        {"keywords": "cheap", "keywords-in": "system"},
        [{"system": "be cheap"}],
        [{"text": "be cheap"}, NOTHING],
        id="keywords in the system prompt",
    ),
    pytest.param(
        {"keywords": "cheap", "keywords-in": "any"},
        [{"system": "be cheap"}, {"text": "be cheap"}],
        [NOTHING],
        id="keywords anywhere",
    ),
    pytest.param(
        {"concept": "budget"},
        [{"text": "in budget mode"}, {"text": "Low cost!"}],
        [{"text": "fast"}, NOTHING],
        id="concept",
    ),
    pytest.param(
        {"concept": ["budget", "speed"], "keywords-in": "system"},
        [{"system": "fast"}],
        [{"text": "fast"}],
        id="keywords-in says where a concept is looked for",
    ),
    pytest.param(
        {"header": {"X-Team": "blue*"}},
        [{"headers": {"x-team": "blue-2"}}],
        [{"headers": {"x-team": "red"}}, {"headers": {"x-teams": "blue"}}, NOTHING],
        id="header is a glob, its name in any case",
    ),
    pytest.param(
        {"header": {"x-a": "1", "x-b": ["1", "2"]}},
        [{"headers": {"x-a": "1", "x-b": "2"}}],
        [{"headers": {"x-a": "1"}}, {"headers": {"x-a": "1", "x-b": "3"}}],
        id="all headers must match, any glob of each",
    ),
    pytest.param({"key": "alice"}, [{"key": "alice"}], [{"key": "bob"}, NOTHING], id="key"),
    pytest.param({"tag": ["ci", "cron"]}, [{"tag": ["ci", "night"]}], [{"tag": "x"}, NOTHING], id="any tag of a list"),
    pytest.param(
        {"provider-used": "groq"},
        [{"provider-used": "groq"}],
        [{"provider-used": "openai"}, NOTHING],
        id="provider-used",
    ),
    pytest.param(
        {"time": "09:00-17:30"},
        [{"time": "09:00"}, {"time": "17:29"}],
        [{"time": "17:30"}, {"time": "08:59"}],
        id="time includes its begin and not its end",
    ),
    pytest.param(
        {"time": "22:00-06:00"},
        [{"time": "22:00"}, {"time": "00:00"}, {"time": "05:59"}],
        [{"time": "06:00"}, {"time": "21:59"}],
        id="time over midnight",
    ),
    pytest.param({"time": "12:00-24:00"}, [{"time": "23:59"}], [{"time": "00:00"}], id="time until midnight"),
    pytest.param(
        {"weekday": ["sat", "sun"]}, [{"weekday": "sat"}, {"weekday": "sun"}], [{"weekday": "mon"}], id="weekday"
    ),
    pytest.param(
        {"weekday": "fri-mon"}, [{"weekday": "sun"}, {"weekday": "mon"}], [{"weekday": "tue"}], id="a span of weekdays"
    ),
    pytest.param(
        {"budget-used-gt": 0.8}, [{"budget-used": 0.81}], [{"budget-used": 0.8}, NOTHING], id="budget-used-gt"
    ),
    pytest.param({"budget-used-lt": 0.8}, [{"budget-used": 0.1}], [NOTHING], id="no budget is not an unspent budget"),
    pytest.param(
        {"tool-use": True, "stream": True},
        [{"tools": 1, "stream": True}],
        [{"tools": 1}, {"stream": True}],
        id="all keys of a table must hold",
    ),
    pytest.param(
        {"any": [{"tool-use": True}, {"stream": True}]}, [{"tools": 1}, {"stream": True}], [NOTHING], id="any"
    ),
    pytest.param(
        {"all": [{"tool-use": True}, {"stream": True}]}, [{"tools": 1, "stream": True}], [{"tools": 1}], id="all"
    ),
    pytest.param(
        {"not": {"tool-use": True, "stream": True}}, [{"tools": 1}, NOTHING], [{"tools": 1, "stream": True}], id="not"
    ),
    pytest.param(
        {"any": [{"not": {"all": [{"stream": True}, {"any": [{"tool-use": True}]}]}}], "model-equals": "m"},
        [{"model": "m", "stream": True}],
        [{"model": "m", "stream": True, "tools": 1}, {"model": "n"}],
        id="compositions nest",
    ),
    pytest.param({"not": {}}, [], [NOTHING, {"tools": 1}], id="not always is never"),
]


@pytest.mark.parametrize(("match", "holds", "fails"), TABLE)
def test_condition_holds_for_these_requests_and_not_for_those(
    bench: Any, match: object, holds: list[Given], fails: list[Given]
) -> None:
    condition = bench.compile(match)
    for given in holds:
        assert condition.test(bench.facts(given)), given
    for given in fails:
        assert not condition.test(bench.facts(given)), given


@pytest.mark.parametrize(("match", "holds", "fails"), TABLE)
def test_what_is_seen_is_told_in_ascii(bench: Any, match: object, holds: list[Given], fails: list[Given]) -> None:
    condition = bench.compile(match)
    for given, expected in [(given, True) for given in holds] + [(given, False) for given in fails]:
        verdict = condition.evaluate(bench.facts(given))
        assert verdict.holds is expected
        assert verdict.seen is not None
        assert (verdict.condition + verdict.seen).isascii()


@pytest.mark.parametrize(("match", "holds", "fails"), TABLE)
def test_the_text_of_a_condition_means_the_same(
    bench: Any, match: object, holds: list[Given], fails: list[Given]
) -> None:
    condition = bench.compile(match)
    assert bench.compile(condition.text()).canonical() == condition.canonical()


def test_every_condition_has_a_case() -> None:
    used: set[str] = set()

    def collect(match: Any) -> None:
        for key, value in match.items():
            used.add(key)
            for inner in value if key in ("any", "all") else [value] if key == "not" else []:
                collect(inner)

    for case in TABLE:
        collect(case.values[0])
    numeric = {key.rsplit("-", 1)[0] for key in CONDITIONS if key.endswith("-gte")}
    used |= {f"{stem}-{form}" for stem in numeric for form in ("lt", "lte", "gt", "gte", "eq") if _any_form(stem, used)}
    assert set(CONDITIONS) <= used


def _any_form(stem: str, used: set[str]) -> bool:
    return any(f"{stem}-{form}" in used for form in ("lt", "gt"))


@pytest.mark.parametrize("key", CONDITIONS)
def test_every_condition_is_explained(key: str) -> None:
    about = CONDITIONS[key].about
    assert about[0].isupper()
    assert about.endswith(".")


def test_cheap_conditions_are_asked_before_dear_ones(bench: Any) -> None:
    condition = bench.compile({"input-tokens-gt": 5, "image": True, "has-tool": "x", "stream": True})
    assert [part.first_key() for part in condition.parts] == ["stream", "has-tool", "image", "input-tokens-gt"]
    assert condition.first_key() == "input-tokens-gt"
    assert condition.needs_tokens


def test_only_token_conditions_need_tokens(bench: Any) -> None:
    assert bench.compile({"any": [{"stream": True}, {"not": {"input-tokens-lt": 5}}]}).needs_tokens
    assert not bench.compile({"tools-gt": 5, "max-tokens-gt": 5}).needs_tokens
