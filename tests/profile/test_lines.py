from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import tomli_w
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from router.profile.lines import key_lines, last_key
from router.profile.problems import KeyPath


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        pytest.param("a = 1\nb = 2\n", ("b",), 2, id="a key"),
        pytest.param("# x\n\n\na = 1", ("a",), 4, id="behind comments and blank lines"),
        pytest.param("[t]\n\na = 1\n", ("t", "a"), 3, id="a key of a table"),
        pytest.param("[t]\n\na = 1\n", ("t",), 1, id="a header"),
        pytest.param("[a.b.c]\n", ("a", "b"), 1, id="a table that only a longer header implies"),
        pytest.param("[[r]]\nx=1\n\n[[r]]\nx=2\n", ("r", 1, "x"), 5, id="a key of the second element"),
        pytest.param("[[r]]\nx=1\n\n[[r]]\nx=2\n", ("r", 1), 4, id="an array-of-tables header"),
        pytest.param("[[r]]\n[r.m]\na=1\n[[r]]\n[r.m]\na=1\n", ("r", 1, "m", "a"), 6, id="a table inside an element"),
        pytest.param("[[r]]\n[[r.s]]\n[[r.s]]\nk=1", ("r", 0, "s", 1, "k"), 4, id="arrays of tables inside each other"),
        pytest.param("m = { a = 1, b = { c = 2 } }", ("m", "b", "c"), 1, id="a key of an inline table"),
        pytest.param('m = { a = """\n\n""", b = 1 }', ("m", "b"), 3, id="behind a multi-line string"),
        pytest.param("l = [\n 1,\n # one\n 2,\n]\nz = 1", ("l", 1), 4, id="an element of a list over several lines"),
        pytest.param("l = [\n 1,\n]\nz = 1", ("z",), 4, id="behind such a list"),
        pytest.param("l = [\n {a = 1},\n {a = 2},\n]", ("l", 1, "a"), 3, id="a key of a table in a list"),
        pytest.param("a.b.c = 1\na.b.d = 2", ("a", "b", "d"), 2, id="a dotted key"),
        pytest.param('"a.b" = 1\n"c\\u0064" = 2', ("cd",), 2, id="a quoted key, escapes undone"),
        pytest.param("'x y'. z = 1", ("x y", "z"), 1, id="a literal key with space around the dot"),
        pytest.param("a = '''\nb = 1\n'''\nb = 2", ("b",), 4, id="text that looks like a key is none"),
        pytest.param('a = """x\\"""\n"""\nb = 2', ("b",), 3, id="an escaped quote ends no string"),
        pytest.param('a = """x"""""\nb = 2', ("b",), 2, id="two more quotes belong to the string"),
        pytest.param("a = ''''x''''\nb = 2", ("b",), 2, id="and likewise in a literal string"),
        pytest.param("a = 1979-05-27 07:32:00 # x\nb = 2", ("b",), 2, id="a date with a space"),
        pytest.param("a = 1\r\nb = 2\r\n", ("b",), 2, id="Windows line ends"),
        pytest.param("1.2 = 3", ("1", "2"), 1, id="numbers are names too"),
        pytest.param("a = [[1, 2], [\n3]]", ("a", 1, 0), 2, id="lists in lists"),
    ],
)
def test_the_line_of(text: str, path: KeyPath, line: int) -> None:
    tomllib.loads(text)
    assert key_lines(text)[path] == line


def test_the_last_key_of_an_unfinished_text() -> None:
    assert last_key('[t]\na = 1\nb = """x\n\n') == (("t", "b"), 3)
    assert last_key("") == ((), 1)


NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8
) | st.sampled_from(["rule", "match", "a.b", "to", "'", '"', "#", "[x]", "=", " ", "1"])
SCALARS = (
    st.integers(-(2**60), 2**60)
    | st.booleans()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=30)
    | st.datetimes()
    | st.dates()
    | st.sampled_from(["\n", '"""', "'''", "a = 1\nb = 2\n[x]\n", "# no comment", '\\"', "}", "]", ","])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=6)


def paths(value: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from paths(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield (*path, index)
            yield from paths(inner, (*path, index))


def stands_in(key: str, line: str) -> bool:
    """Whether a line has the key, bare or in one of the ways to quote it."""
    written = tomli_w.dumps({key: 0}).removesuffix(" = 0\n")
    return key in line or written in line or tomlkit.key(key).as_string() in line


def check(text: str) -> None:
    lines = text.replace("\r\n", "\n").split("\n")
    found = key_lines(text)
    assert set(found) == set(paths(tomllib.loads(text)))
    for path, number in found.items():
        if isinstance(path[-1], str):
            assert stands_in(path[-1], lines[number - 1])


@pytest.mark.slow
@given(DOCUMENTS, st.booleans())
@settings(max_examples=60, deadline=None)
def test_every_key_of_a_written_document_stands_in_its_line(values: dict[str, Any], multiline: bool) -> None:
    check(tomli_w.dumps(values, multiline_strings=multiline))


@pytest.mark.slow
@given(DOCUMENTS)
@settings(max_examples=30, deadline=None)
def test_every_key_stands_in_its_line_in_another_writers_style(values: dict[str, Any]) -> None:
    text = tomlkit.dumps(values)
    try:
        readable = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # that writer's own mistake
    if set(paths(readable)):
        check(text)


@given(st.lists(st.tuples(NAMES, SCALARS), max_size=5, unique_by=lambda pair: pair[0]), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_every_key_of_inline_tables_stands_in_its_line(pairs: list[tuple[str, Any]], blank: int) -> None:
    table = tomlkit.inline_table()
    for key, value in pairs:
        table.append(key, value)
    text = "\n# x" * blank + f"\nouter = [\n  {table.as_string()}, # note\n  {table.as_string()},\n]\nlast = 1\n"
    check(text)
