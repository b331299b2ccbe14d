from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.profile.dotenv import parse_dotenv


@pytest.mark.parametrize(
    ("line", "value"),
    [
        pytest.param("K=abc", "abc", id="plain"),
        pytest.param("export K=abc", "abc", id="with export"),
        pytest.param("  K = abc  ", "abc", id="with space around"),
        pytest.param("K=a=b", "a=b", id="an equals sign in the value"),
        pytest.param("K=a#b", "a#b", id="a # inside a word"),
        pytest.param("K=abc # mine", "abc", id="a comment behind it"),
        pytest.param("K='a # b'", "a # b", id="single quotes"),
        pytest.param('K="a\\"b\\n" # x', 'a"b\n', id="double quotes with escapes"),
        pytest.param("K='$HOME\\n'", "$HOME\\n", id="nothing is expanded"),
        pytest.param("K=", "", id="empty"),
        pytest.param("K= # nothing", "", id="empty with a comment"),
        pytest.param("K=1\nK=2", "2", id="the later one counts"),
        pytest.param("K=abc\r", "abc", id="Windows line ends"),
    ],
)
def test_a_value_is(line: str, value: str) -> None:
    problems: list[tuple[int, str]] = []
    assert parse_dotenv(line, lambda *problem: problems.append(problem)) == {"K": value}
    assert problems == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param("K abc", "expected NAME=value", id="no equals sign"),
        pytest.param("1K=abc", "expected NAME=value", id="no name"),
        pytest.param("K='abc", "the quotes of K aren't closed", id="an open quote"),
        pytest.param("K='abc' def", "the quotes of K aren't closed", id="text behind the quote"),
        pytest.param("K=a\0b", "K holds a NUL character", id="a NUL"),
    ],
)
def test_a_wrong_line_is_told_and_left_out(line: str, said: str) -> None:
    problems: list[tuple[int, str]] = []
    assert parse_dotenv(f"# x\n\n{line}\nOTHER=1", lambda *problem: problems.append(problem)) == {"OTHER": "1"}
    assert problems == [(3, said)]


@given(st.text())
def test_no_text_raises(text: str) -> None:
    parse_dotenv(text, lambda line, message: None)
