from __future__ import annotations

from datetime import UTC, datetime

import pytest

from router.routing.given import GIVEN, GivenFacts, read_given

NOON = datetime(2025, 11, 21, 12, 0, tzinfo=UTC)  # a Friday


def read(table: dict[str, object]) -> tuple[GivenFacts, list[tuple[tuple[str | int, ...], str]]]:
    problems: list[tuple[tuple[str | int, ...], str]] = []
    facts = read_given(
        table, path=("facts",), report=lambda path, message: problems.append((path, message)), phrases=None, now=NOON
    )
    return facts, problems


def test_what_is_not_said_is_not_there() -> None:
    facts, problems = read({})
    assert problems == []
    assert (facts.tool_count, facts.tokens(), facts.messages, facts.turns) == (0, 0, 1, 1)
    assert (facts.max_tokens, facts.key, facts.provider_used, facts.budget_used) == (None, None, None, None)
    assert facts.now == NOON
    assert not facts.tokens_reach(1)


@pytest.mark.parametrize(
    ("table", "name", "value"),
    [
        pytest.param({"tool-use": True}, "tool_count", 1, id="tools without a number are one"),
        pytest.param({"tools": ["a", "b"]}, "tool_count", 2, id="named tools are counted"),
        pytest.param({"thinking-budget": 5}, "thinking", True, id="a thinking budget is thinking"),
        pytest.param({"model": "claude-haiku-4-5"}, "background", True, id="a small model is background"),
        pytest.param({"system": "x"}, "has_system_prompt", True, id="a system prompt's text"),
        pytest.param(
            {"headers": {"User-Agent": "claude-cli/2.1"}}, "client", "claude-code", id="headers tell the client"
        ),
        pytest.param({"time": "23:30"}, "now", NOON.replace(hour=23, minute=30), id="a time of day"),
        pytest.param({"weekday": "mon"}, "now", datetime(2025, 11, 24, 12, 0, tzinfo=UTC), id="the next such day"),
    ],
)
def test_what_follows_from_what_is_said(table: dict[str, object], name: str, value: object) -> None:
    facts, problems = read(table)
    assert problems == []
    assert getattr(facts, name) == value


@pytest.mark.parametrize(
    ("table", "where", "words"),
    [
        pytest.param({"tols": 3}, "tols", 'unknown fact; did you mean "tools"?', id="a slip"),
        pytest.param({"tokens": "many"}, "tokens", "expected a whole number", id="no number"),
        pytest.param({"time": "noon"}, "time", 'such as "23:30"', id="no time"),
        pytest.param({"api": "chat"}, "api", "expected one of", id="no format"),
        pytest.param({"weekday": 5}, "weekday", "expected a string", id="no day"),
        pytest.param({"headers": "x"}, "headers", "expected a table", id="no headers"),
    ],
)
def test_a_wrong_description_is_reported(table: dict[str, object], where: str, words: str) -> None:
    _, [(path, message)] = read(table)
    assert path == ("facts", where)
    assert words in message


def test_credentials_are_left_out_of_described_headers() -> None:
    facts, _ = read({"headers": {"Authorization": "x", "X-Team": "blue"}})
    assert facts.headers == {"x-team": "blue"}


def test_every_fact_can_be_told() -> None:
    for name in ("tools", "tokens", "model", "text", "image", "header", "tag", "key"):
        assert name in GIVEN or f"{name}s" in GIVEN
