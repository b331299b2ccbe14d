"""Values and keys written as TOML."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.profile.literals import key, literal

_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
_VALUES = st.recursive(
    st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=8,
)


@given(_VALUES)
def test_a_value_is_read_back_as_it_was(value: object) -> None:
    text = literal(value)
    assert "\n" not in text
    assert tomllib.loads(f"k = {text}") == {"k": value}


@given(st.lists(_TEXT, min_size=1, max_size=3))
def test_a_key_is_read_back_as_it_was(names: list[str]) -> None:
    value: object = tomllib.loads(f"{key(*names)} = 1")
    for name in names:
        assert isinstance(value, dict)
        value = value[name]
    assert value == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"api": ["openai-chat", "gemini"]}, '{ api = ["openai-chat", "gemini"] }'),
        ({}, "{}"),
        ({"x": {"my key": True}}, '{ x = { "my key" = true } }'),
        ('a → "b" \\', '"a → \\"b\\" \\\\"'),
    ],
)
def test_values_look_as_a_person_writes_them(value: object, text: str) -> None:
    assert literal(value) == text


def test_what_toml_cannot_say_is_refused() -> None:
    with pytest.raises(TypeError):
        literal(None)
