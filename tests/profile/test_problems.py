from __future__ import annotations

from decimal import Decimal

import pytest

from router.profile.problems import KeyPath, Problem, key_text, one_of, shown, suggestion


def test_a_problem_reads_as_file_line_key_and_message() -> None:
    problem = Problem(
        "profiles/work/routing.toml", 14, "rule[2].match.input-tokens-gt", 'expected a whole number, got "100k"'
    )
    assert str(problem) == (
        'profiles/work/routing.toml:14: rule[2].match.input-tokens-gt: expected a whole number, got "100k"'
    )


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        pytest.param(Problem("f", None, "", "does not exist"), "f: does not exist", id="neither line nor key"),
        pytest.param(Problem("f", 3, "", "not valid TOML"), "f:3: not valid TOML", id="no key"),
        pytest.param(Problem("f", None, "rule", "x"), "f: rule: x", id="no line"),
    ],
)
def test_a_problem_leaves_out_what_is_not_known(problem: Problem, text: str) -> None:
    assert str(problem) == text


@pytest.mark.parametrize(
    ("path", "text"),
    [
        pytest.param(("rule", 2, "match"), "rule[2].match", id="elements are counted in brackets"),
        pytest.param(("prices", "groq/a.b", "input"), 'prices."groq/a.b".input', id="odd names are quoted"),
        pytest.param(("aliases", 'a"b'), 'aliases."a\\"b"', id="quotes are escaped"),
        pytest.param((), "", id="the file itself has no key"),
    ],
)
def test_a_key_is_written_as_in_the_file(path: KeyPath, text: str) -> None:
    assert key_text(path) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param("100k", '"100k"', id="strings are quoted"),
        pytest.param(True, "true", id="booleans as in TOML"),
        pytest.param(Decimal("0.10"), "0.10", id="numbers as written"),
        pytest.param({"a": 1}, "a table", id="tables aren't spelled out"),
        pytest.param([1], "a list", id="nor lists"),
        pytest.param("x" * 100, '"' + "x" * 59 + '…"', id="long text is cut"),
        pytest.param(10**5000, "a very large number", id="a number with thousands of digits"),
    ],
)
def test_a_found_value_is_shown_short(value: object, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize("key", ["sk-ant-api03-abcdefghijklmnop123", "Bearer gsk_abcdefghijklmnop1234567"])
def test_a_key_in_the_wrong_place_is_never_shown(key: str) -> None:
    assert "abcdefghij" not in shown(key)


def test_a_near_miss_is_suggested_and_a_stranger_is_not() -> None:
    assert suggestion("modle", ["model", "match"]) == '; did you mean "model"?'
    assert suggestion("zzz", ["model", "match"]) == ""


def test_choices_are_listed_in_words() -> None:
    assert one_of(["a"]) == '"a"'
    assert one_of(["a", "b", "c"]) == '"a", "b" or "c"'
