from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.routing.shorthand import ShorthandError, parse_shorthand


@pytest.mark.parametrize(
    ("text", "table"),
    [
        pytest.param("always", {"always": True}, id="a name alone is true"),
        pytest.param("tokens > 100000", {"input-tokens-gt": 100000}, id="tokens is short for input-tokens"),
        pytest.param("tokens < 2_000", {"input-tokens-lt": 2000}, id="numbers may be grouped"),
        pytest.param("tools >= 3", {"tools-gte": 3}, id="at least"),
        pytest.param("tools<=3", {"tools-lte": 3}, id="spaces are optional"),
        pytest.param("tools = 3", {"tools-eq": 3}, id="a number is equal to"),
        pytest.param("tools == 3", {"tools-eq": 3}, id="two equal signs are one"),
        pytest.param("input-tokens-gt = 5", {"input-tokens-gt": 5}, id="a key with its form takes ="),
        pytest.param("input-tokens-gt 5", {"input-tokens-gt": 5}, id="or nothing"),
        pytest.param("budget-used > 0.8", {"budget-used-gt": 0.8}, id="a share"),
        pytest.param("thinking = false", {"thinking": False}, id="a flag"),
        pytest.param('client = "codex"', {"client": "codex"}, id="a word in quotes"),
        pytest.param("client = codex", {"client": "codex"}, id="a word without quotes"),
        pytest.param(
            "model-matches = claude-*-haiku*", {"model-matches": "claude-*-haiku*"}, id="a glob without quotes"
        ),
        pytest.param("keywords = 'low cost'", {"keywords": "low cost"}, id="single quotes"),
        pytest.param(r'keywords = "say \"hi\""', {"keywords": 'say "hi"'}, id="escapes"),
        pytest.param("weekday = [sat, 'sun']", {"weekday": ["sat", "sun"]}, id="a list"),
        pytest.param("header.x-team = blue*", {"header": {"x-team": "blue*"}}, id="a header"),
        pytest.param(
            "tokens > 100000 and not thinking", {"input-tokens-gt": 100000, "not": {"thinking": True}}, id="and, not"
        ),
        pytest.param("stream or thinking", {"any": [{"stream": True}, {"thinking": True}]}, id="or"),
        pytest.param(
            "stream or thinking and image",
            {"any": [{"stream": True}, {"thinking": True, "image": True}]},
            id="and binds closer than or",
        ),
        pytest.param(
            "(stream or thinking) and image",
            {"any": [{"stream": True}, {"thinking": True}], "image": True},
            id="groups",
        ),
        pytest.param(
            "not (stream or image)", {"not": {"any": [{"stream": True}, {"image": True}]}}, id="not of a group"
        ),
        pytest.param("not not stream", {"not": {"not": {"stream": True}}}, id="not twice"),
        pytest.param(
            "keywords = a and keywords = b",
            {"all": [{"keywords": "a"}, {"keywords": "b"}]},
            id="a key twice makes a list",
        ),
        pytest.param(
            "(keywords = a and keywords-in = system) and keywords = b",
            {"all": [{"keywords": "a", "keywords-in": "system"}], "keywords": "b"},
            id="keywords-in stays with its own keywords",
        ),
        pytest.param("stream AND NOT image", {"stream": True, "not": {"image": True}}, id="AND"),
    ],
)
def test_a_short_string_stands_for_a_table(text: str, table: object) -> None:
    assert parse_shorthand(text) == table


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        pytest.param("", 1, "expected a condition's name, got the end", id="nothing"),
        pytest.param("   ", 1, "got the end", id="blank"),
        pytest.param("tools >", 8, "expected a value, got the end", id="no value"),
        pytest.param("> 3", 1, "expected a condition's name, got >", id="no name"),
        pytest.param("and stream", 1, "expected a condition's name, got and", id="begins with and"),
        pytest.param("stream and", 11, "expected a condition's name, got the end", id="ends with and"),
        pytest.param("stream image", 8, 'expected "and", "or" or the end, got image', id="nothing between"),
        pytest.param("(stream", 8, 'expected ")", got the end', id="an open group"),
        pytest.param("stream)", 7, 'expected "and", "or" or the end, got )', id="a group never opened"),
        pytest.param('client = "codex', 10, "this quote isn't closed", id="an open quote"),
        pytest.param(r'client = "\q"', 10, "a backslash", id="no such escape"),
        pytest.param("client = [codex", 16, 'expected "," or "]"', id="an open list"),
        pytest.param("client = [[codex]]", 11, "expected a value, got [", id="a list in a list"),
        pytest.param("client = []", 11, "expected a value, got ]", id="an empty list"),
        pytest.param("tools-gt > 3", 10, 'tools-gt already says how to compare: write "="', id="two comparisons"),
        pytest.param("5 > tools", 1, "expected a condition's name, got 5", id="the wrong way round"),
        pytest.param("tools > " + "9" * 5000, 9, "too long", id="a number nobody means"),
    ],
)
def test_what_is_no_condition_is_refused_with_its_column(text: str, column: int, words: str) -> None:
    with pytest.raises(ShorthandError) as caught:
        parse_shorthand(text)
    assert caught.value.column == column
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"column {column}: ")


@given(st.text(alphabet="ab-.><=()[],'\" \\\n1_ and or not", max_size=60))
def test_any_text_is_a_table_or_refused(text: str) -> None:
    try:
        table = parse_shorthand(text)
    except ShorthandError as error:
        column = error.column
    else:
        assert table
        return
    assert 1 <= column <= len(text) + 1
