"""JSON with comments is changed in one place only."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.agents import jsonc
from router.agents.form_error import FormError

SET = [
    pytest.param("", ("a", "b"), 1, '{\n  "a": {\n    "b": 1\n  }\n}\n', id="an empty file"),
    pytest.param("{}", ("a",), 1, '{\n  "a": 1\n}', id="an empty object"),
    pytest.param('{"a": 1}', ("b",), {"c": 2}, '{"a": 1, "b": {"c": 2}}', id="on one line"),
    pytest.param('{"a": 1}', ("a",), "x", '{"a": "x"}', id="a value in place of another"),
    pytest.param(
        '{\n    "a": 1 // one\n}\n',
        ("b", "c"),
        2,
        '{\n    "a": 1, // one\n    "b": {\n        "c": 2\n    }\n}\n',
        id="indented as the rest, behind a comment",
    ),
    pytest.param('{\n\t"a": 1,\n}', ("b",), 2, '{\n\t"a": 1,\n\t"b": 2,\n}', id="a comma behind the last"),
    pytest.param('{\r\n  "a": 1\r\n}', ("b",), 2, '{\r\n  "a": 1,\r\n  "b": 2\r\n}', id="lines as Windows ends them"),
    pytest.param('{"a": 1 // one\n}', ("b",), 2, '{"a": 1, // one\n"b": 2\n}', id="a comment that a line ends"),
    pytest.param("{ // none\n}", ("a",), 1, '{ // none\n  "a": 1\n}', id="only a comment"),
    pytest.param('{"a": 1, "a": 2}', ("a",), 3, '{"a": 1, "a": 3}', id="the last of two, which counts"),
    pytest.param('{"a": {"b": [1, 2,]}}', ("a", "c"), True, '{"a": {"b": [1, 2,], "c": true}}', id="within"),
    pytest.param('\ufeff{"a": 1}', ("a",), 2, '\ufeff{"a": 2}', id="a byte order mark"),
    pytest.param('{"url": "http://x"}', ("b",), "//y", '{"url": "http://x", "b": "//y"}', id="slashes in texts"),
]


@pytest.mark.parametrize(("text", "path", "value", "changed"), SET)
def test_a_value_is_set(text: str, path: tuple[str, ...], value: object, changed: str) -> None:
    assert jsonc.set_value(text, path, value) == changed
    place: Any = jsonc.parse(changed)
    for key in path:
        place = place[key]
    assert place == value


REMOVED = [
    pytest.param('{"a": 1, "b": 2}', ("b",), '{"a": 1}', id="the last"),
    pytest.param('{"a": 1, "b": 2}', ("a",), '{ "b": 2}', id="the first"),
    pytest.param(
        '{\n  "a": 1, // one\n  "b": 2 // two\n}', ("b",), '{\n  "a": 1 // one\n   // two\n}', id="comments stay"
    ),
    pytest.param('{"a": 1, // one\n "b": 2}', ("b",), '{"a": 1 // one\n }', id="a comment keeps its line's end"),
    pytest.param('{"a": {"b": 1}}', ("a", "b"), '{"a": {}}', id="the only one"),
    pytest.param('{"a": 1}', ("b", "c"), '{"a": 1}', id="what isn't there"),
    pytest.param('{"a": 1}', ("a", "c"), '{"a": 1}', id="what is below a number"),
    pytest.param("", ("a",), "", id="nothing"),
]


@pytest.mark.parametrize(("text", "path", "left"), REMOVED)
def test_a_value_is_removed(text: str, path: tuple[str, ...], left: str) -> None:
    assert jsonc.remove(text, path) == left
    jsonc.parse(left)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("{\n a: 1}", 2, 'expected a name in double quotes, found "a"'),
        ("{\n 'a': 1}", 2, "expected a name in double quotes"),
        ("{\"a\": 'b'}", 1, "expected a value"),
        ('{"a": 1\n "b": 2}', 2, "expected a comma or a brace"),
        ('{"a" 1}', 1, "expected a colon"),
        ('{"a": [1 2]}', 1, "expected a comma or a bracket"),
        ('{"a": "b', 1, "isn't closed"),
        ('{"a": 1', 1, "found the end"),
        ("[]", 1, "expected an object"),
        ("// nothing", 1, "found only comments"),
        ('{"a": 1} x', 1, "expected the end"),
        ('{"a": 1.2.3}', 1, "not JSON"),
        ('{"a": ' * 200, 1, "nested too deep"),
        ("/* open", 1, "expected a value"),
    ],
)
def test_what_is_no_json_is_refused_with_its_line(text: str, line: int, words: str) -> None:
    for change in (
        lambda: jsonc.parse(text),
        lambda: jsonc.set_value(text, ("x",), 1),
        lambda: jsonc.remove(text, ("x",)),
    ):
        with pytest.raises(FormError) as caught:
            change()
        assert caught.value.line == line
        assert words in caught.value.message


def test_a_path_through_a_number_is_refused() -> None:
    with pytest.raises(FormError, match='expected an object under "a"'):
        jsonc.set_value('{"a": 1}', ("a", "b"), 2)


KEYS = st.sampled_from(["a", "b", "c", 'q"', "ü"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
GAPS = st.sampled_from(["", " ", "\n", "\n  ", " /* x */ ", " // y: {\n", "\t"])


@st.composite
def texts(draw: st.DrawFn) -> str:
    """JSON of an object, with anything between its tokens."""

    def written(value: object) -> str:
        comma = draw(st.sampled_from(["", ","]))
        if isinstance(value, dict):
            parts = [f"{gap()}{json.dumps(key)}{gap()}:{gap()}{written(inner)}{gap()}" for key, inner in value.items()]
            return "{" + ",".join(parts) + (comma if parts else "") + gap() + "}"
        if isinstance(value, list):
            parts = [f"{gap()}{written(inner)}{gap()}" for inner in value]
            return "[" + ",".join(parts) + (comma if parts else "") + gap() + "]"
        return json.dumps(value)

    def gap() -> str:
        return draw(GAPS)

    return f"{gap()}{written(draw(st.dictionaries(KEYS, VALUES, max_size=4)))}{gap()}"


@given(texts(), st.lists(KEYS, min_size=1, max_size=3), VALUES)
def test_setting_and_removing_change_what_they_say_and_nothing_else(text: str, path: list[str], value: object) -> None:
    before = jsonc.parse(text)
    try:
        changed = jsonc.set_value(text, path, value)
    except FormError:  # the path leads through something that isn't an object
        return
    after = jsonc.parse(changed)
    expected: Any = json.loads(json.dumps(before))
    place = expected
    for key in path[:-1]:
        place = place.setdefault(key, {})
    there = path[-1] in place
    place[path[-1]] = value
    assert after == expected
    if not there:
        left = jsonc.remove(changed, path)
        del place[path[-1]]
        assert jsonc.parse(left) == expected
        if expected == before and place:
            assert left == text
