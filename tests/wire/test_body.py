"""A body is read by its top-level members, and everything that isn't swapped stays as it was sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import BadRequest, DuplicateKey
from router.wire.body import MAX_CONTAINERS, MAX_MEMBERS, MAX_VALUES, READ_FIELDS, Body


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        pytest.param(b"", "not valid JSON", id="nothing at all"),
        pytest.param(b"[1]", "must be a JSON object", id="a list"),
        pytest.param(b"null", "must be a JSON object", id="null"),
        pytest.param(b'"secret"', "must be a JSON object", id="a string"),
        pytest.param(b'{"secret": }', "not valid JSON", id="broken JSON"),
        pytest.param(b'{"a": 1', "not valid JSON", id="cut off"),
        pytest.param(b'{"a": 1} x', "not valid JSON", id="trailing bytes"),
        pytest.param(b'{"a": 1}{"b": 2}', "not valid JSON", id="two objects"),
        pytest.param(b'{"a": NaN}', "not valid JSON", id="NaN"),
        pytest.param(b'{"a": [-Infinity]}', "not valid JSON", id="Infinity deep inside"),
        pytest.param(b'{"a": "\xff"}', "not valid UTF-8", id="invalid UTF-8 in a value nobody reads"),
        pytest.param(b'{"\xc3": 1}', "not valid UTF-8", id="invalid UTF-8 in a key"),
        pytest.param(b'{"a": "\xed\xa0\x80"}', "not valid UTF-8", id="a surrogate in UTF-8"),
        pytest.param(b"\xef\xbb\xbf{}", "byte order mark", id="byte order mark"),
        pytest.param(b'{"a": "x\ny"}', "not valid JSON", id="a raw newline in a string"),
        pytest.param(b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply", id="nested too deeply"),
        pytest.param(b'{"a": [' + b"[]," * MAX_CONTAINERS + b"0]}", "too many", id="too many lists"),
        pytest.param(b'{"a": [' + b"1," * (MAX_VALUES + 1) + b"0]}", "too many", id="too many numbers"),
        pytest.param(
            b"{" + b",".join(b'"k%d":1' % number for number in range(MAX_MEMBERS + 1)) + b"}",
            "too many",
            id="too many members",
        ),
        pytest.param(
            b"{" + b",".join([b'"k":1'] * (MAX_MEMBERS + 2)) + b"}", "too many", id="the same member too many times"
        ),
    ],
)
def test_a_bad_body_is_refused_without_quoting_it(raw: bytes, said: str) -> None:
    with pytest.raises(BadRequest, match=said) as caught:
        Body.parse(raw)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(b'{"model":"model"}', b'{"model":NEW}', id="the value is the key's own name"),
        pytest.param(
            b'{"x":"\\"model\\":1","model":"a"}', b'{"x":"\\"model\\":1","model":NEW}', id="named in a string"
        ),
        pytest.param(b'{"x":{"model":1},"model":"a"}', b'{"x":{"model":1},"model":NEW}', id="nested before"),
        pytest.param(b'{"model":"a","x":{"model":1}}', b'{"model":NEW,"x":{"model":1}}', id="nested behind"),
        pytest.param(b'{"mod\\u0065l":"a"}', b'{"mod\\u0065l":NEW}', id="the key is written with escapes"),
        pytest.param(b' {\n\t"model" : "a" ,\r "z":1e5 }\n', b' {\n\t"model" : NEW ,\r "z":1e5 }\n', id="odd spacing"),
        pytest.param('{"é":"ü","model":"名"}'.encode(), '{"é":"ü","model":NEW}'.encode(), id="not ASCII"),
        pytest.param(b'{"n":1.50,"model":{"a":[1, 2]}}', b'{"n":1.50,"model":NEW}', id="the value is an object"),
        pytest.param(b'{"a":12,"a":1,"model":"m"}', b'{"a":12,"a":1,"model":NEW}', id="another field occurs twice"),
        pytest.param(b'{"a":1,"b":1}', b'{"a":1,"b":1,"model":NEW}', id="absent"),
        pytest.param(b" { } ", b' { "model":NEW} ', id="absent from an empty object"),
    ],
)
def test_only_the_value_of_the_field_changes(raw: bytes, expected: bytes) -> None:
    changed = Body.parse(raw).with_fields({"model": b"NEW"})
    assert changed.replace(b" ", b"") == expected.replace(b" ", b"")
    if b"model" in raw or b"mod\\u" in raw:
        assert changed == expected


@pytest.mark.parametrize(
    ("raw", "drop", "expected"),
    [
        pytest.param(b'{"a":1, "b":2, "c":3}', ["a"], b'{"b":2, "c":3}', id="the first"),
        pytest.param(b'{"a":1, "b":2, "c":3}', ["b"], b'{"a":1, "c":3}', id="one in the middle"),
        pytest.param(b'{"a":1, "b":2, "c":3 }', ["c"], b'{"a":1, "b":2 }', id="the last"),
        pytest.param(b'{"a":1, "b":2, "c":3}', ["a", "b", "c"], b"{}", id="all"),
        pytest.param(b'{"a":1, "b":2}', ["z"], b'{"a":1, "b":2}', id="one that isn't there"),
        pytest.param(b'{"a":1, "b":2, "a":3}', ["a"], b'{"b":2}', id="every occurrence of a duplicate"),
    ],
)
def test_dropped_fields_take_their_comma_with_them(raw: bytes, drop: list[str], expected: bytes) -> None:
    assert Body.parse(raw).with_fields({}, drop) == expected


def test_fields_are_replaced_dropped_and_added_at_once() -> None:
    body = Body.parse(b'{"a":1,"b":2,"c":3}')
    assert body.with_fields({"c": b"[]", "d": b"4"}, {"a"}) == b'{"b":2,"c":[],"d":4}'


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b'{"model":"a","model":"b"}', id="side by side"),
        pytest.param(b'{"model":"a","x":1,"model":"a"}', id="with equal values"),
        pytest.param(b'{"model":"a","mod\\u0065l":"b"}', id="spelled differently"),
        pytest.param(b'{"messages":[12],"messages":[1]}', id="messages"),
    ],
)
def test_a_field_we_read_must_not_occur_twice(raw: bytes) -> None:
    with pytest.raises(DuplicateKey, match="occurs twice"):
        Body.parse(raw)


def test_values_are_decoded_when_asked_for() -> None:
    body = Body.parse(b'{"model":"m","big":1e999,"n":null}')
    assert body.get("model") == "m"
    assert body.get("absent", "else") == "else"
    assert body.get("n", "else") is None
    assert "n" in body
    assert "absent" not in body
    assert list(body) == ["model", "big", "n"]
    assert body.raw_field("big") == b"1e999"
    assert body.raw_field("absent") is None
    with pytest.raises(BadRequest):
        body.get("big")


def test_a_duplicate_nobody_reads_counts_as_its_last_value() -> None:
    assert Body.parse(b'{"a":1,"a":2}').get("a") == 2


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["model", "mod\\el", "a", 'q"', "é", "", "stream", "m"]) | st.text(max_size=4)


@given(
    members=st.lists(st.tuples(names, json_values), max_size=6),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 1]),
    values=st.dictionaries(names, json_values, max_size=3),
    drop=st.sets(names, max_size=2),
)
def test_splicing_means_what_it_says_and_keeps_the_rest(
    members: list[tuple[str, Any]], ascii_only: bool, indent: int | None, values: dict[str, Any], drop: set[str]
) -> None:
    def dumps(value: Any) -> str:
        return json.dumps(value, ensure_ascii=ascii_only, indent=indent)

    text = "{" + ", ".join(f"{dumps(name)} : {dumps(value)}" for name, value in members) + "\n}"
    raw = text.encode()
    twice = {name for name, _ in members if [other for other, _ in members].count(name) > 1}
    if twice & READ_FIELDS:
        with pytest.raises(DuplicateKey):
            Body.parse(raw)
        return
    body = Body.parse(raw)
    sent = dict(members)
    assert {name: body.get(name) for name in body} == sent

    changed = body.with_fields({name: dumps(value).encode() for name, value in values.items()}, drop)
    expected = {name: value for name, value in {**sent, **values}.items() if name not in drop}
    assert json.loads(changed) == expected
    assert body.with_fields({name: body.raw_field(name) or b"" for name in sent if name not in twice}) == raw
