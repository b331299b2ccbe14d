"""What is wrong with a match: all of it, where it stands, and what was meant."""

from __future__ import annotations

from typing import Any

import pytest

HERE = ("rule", 0, "match")


@pytest.mark.parametrize(
    ("match", "where", "words"),
    [
        pytest.param(
            {"input-tokens-gt": "100k"}, ("input-tokens-gt",), 'expected a whole number, got "100k"', id="text"
        ),
        pytest.param({"tools-gt": True}, ("tools-gt",), "expected a whole number, got true", id="a flag for a number"),
        pytest.param({"tools-gt": 1.5}, ("tools-gt",), "expected a whole number, got 1.5", id="a fraction"),
        pytest.param({"tools-gt": -1}, ("tools-gt",), "expected a whole number, got -1", id="below zero"),
        pytest.param({"budget-used-gt": "x"}, ("budget-used-gt",), "expected a share such as 0.8", id="no share"),
        pytest.param({"input-token-gt": 5}, ("input-token-gt",), 'did you mean "input-tokens-gt"?', id="a slip"),
        pytest.param({"tokens-gt": 5}, ("tokens-gt",), 'did you mean "input-tokens-gt"?', id="the short string's word"),
        pytest.param({"tools": 5}, ("tools",), "did you mean tools-gt", id="a number without its form"),
        pytest.param({"frobnicate": 5}, ("frobnicate",), "unknown condition", id="nothing alike"),
        pytest.param({"tool-use": "yes"}, ("tool-use",), 'expected true or false, got "yes"', id="no flag"),
        pytest.param({"image": "first"}, ("image",), 'expected true, false or "last-turn", got "first"', id="image"),
        pytest.param(
            {"model-equals": 5}, ("model-equals",), "expected a string or a list of strings, got 5", id="no text"
        ),
        pytest.param({"model-equals": []}, ("model-equals",), "got an empty list", id="an empty list"),
        pytest.param({"model-equals": ["a", 5]}, ("model-equals", 1), "expected a string, got 5", id="one in a list"),
        pytest.param({"keywords": " "}, ("keywords",), "expected a string with text in it", id="blank text"),
        pytest.param({"api": "openai"}, ("api",), "expected one of anthropic-messages", id="an unknown format"),
        pytest.param({"client": "claud-code"}, ("client",), 'did you mean "claude-code"?', id="nearly a known client"),
        pytest.param(
            {"concept": "budgte"}, ("concept",), 'unknown concept "budgte"; did you mean "budget"?', id="concept"
        ),
        pytest.param({"header": "x"}, ("header",), "expected a table such as", id="no header table"),
        pytest.param({"header": {"a b": "x"}}, ("header", "a b"), "no header name", id="a bad header name"),
        pytest.param({"header": {"x-a": 5}}, ("header", "x-a"), "expected a string", id="a bad header value"),
        pytest.param({"time": "22-6"}, ("time",), 'expected a range such as "22:00-06:00"', id="no time range"),
        pytest.param({"time": "10:00-10:00"}, ("time",), "expected a range", id="an empty time range"),
        pytest.param({"time": "25:00-26:00"}, ("time",), "expected a range", id="no such hour"),
        pytest.param({"weekday": "someday"}, ("weekday",), "expected one of mon, tue", id="no such day"),
        pytest.param(
            {"any": {}}, ("any",), "expected a list of tables of conditions, got a table", id="any of a table"
        ),
        pytest.param({"any": []}, ("any",), "expected a list of tables", id="any of nothing"),
        pytest.param({"all": [5]}, ("all", 0), "expected a table of conditions, got 5", id="all of a number"),
        pytest.param({"not": True}, ("not",), "expected a table of conditions, got true", id="not of a flag"),
        pytest.param({"any": [{"not": {"tols-gt": 1}}]}, ("any", 0, "not", "tols-gt"), "unknown condition", id="deep"),
        pytest.param({"keywords-in": "system"}, ("keywords-in",), "neither stands beside it", id="keywords-in alone"),
        pytest.param(
            {"keywords": "a", "keywords-in": "x"}, ("keywords-in",), '"latest", "system" or "any"', id="where"
        ),
        pytest.param(5, (), "expected a table of conditions or a short string, got 5", id="no table at all"),
        pytest.param("tools >", (), "column 8: expected a value, got the end", id="a broken short string"),
        pytest.param("tols > 5", ("tols-gt",), "unknown condition", id="an unknown word in a short string"),
    ],
)
def test_a_wrong_value_is_reported_where_it_stands(
    bench: Any, match: object, where: tuple[Any, ...], words: str
) -> None:
    [(path, message)] = bench.problems(match)
    assert path == (*HERE, *where)
    assert words in message


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "Authorization",
        "x-api-key",
        "x-goog-api-key",
        "cookie",
        "x-router-key",
        "Proxy-Authorization",
        "x-amz-security-token",
        "x-foo-api-key",
    ],
)
def test_credentials_cannot_be_tested(bench: Any, name: str) -> None:
    [(path, message)] = bench.problems({"header": {name: "secret-value"}})
    assert path == (*HERE, "header", name)
    assert "credential" in message
    assert "secret-value" not in message


def test_all_problems_are_reported_at_once(bench: Any) -> None:
    found = bench.problems({"tools-gt": "x", "any": [{"image": 3}, {"weekday": "x"}], "nope": 1})
    assert len(found) == 4


def test_endless_nesting_is_reported(bench: Any) -> None:
    match: dict[str, object] = {"tool-use": True}
    for _ in range(200):
        match = {"not": match}
    [(_, message)] = bench.problems(match)
    assert "nested too deeply" in message
    [(_, message)] = bench.problems("not " * 200 + "tool-use")
    assert "nested too deeply" in message
    assert bench.problems("(" * 200 + "tool-use" + ")" * 200)
