"""Sealed reasoning through a foreign client and back: whole, to its owner alone, or not at all."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire.conversation import OpaqueState
from router.wire.opaque import TAG, belongs, invented_id, is_wrapped, unwrap, wrap

STATE = OpaqueState("openai-encrypted", "gAAAA+/=", "openai/gpt-5.6", "rs_1")
_STATES = st.builds(
    OpaqueState,
    st.sampled_from(["anthropic-signature", "openai-encrypted", "google-thought", "openrouter", "visible"]),
    st.text(),
    st.text(),
    st.none() | st.text(),
)


@given(state=_STATES)
def test_what_is_wrapped_comes_back(state: OpaqueState) -> None:
    text = wrap(state)
    assert is_wrapped(text)
    assert unwrap(text) == state
    assert re.fullmatch(r"rtr1\.[A-Za-z0-9_-]+", text), "fit for every opaque slot"


def test_native_state_stays_as_it_is() -> None:
    text = wrap(OpaqueState("anthropic-signature", "EqoB"))
    assert text == "EqoB"
    assert not is_wrapped(text)


@pytest.mark.parametrize("text", [None, 5, "", "rtr", "EqoB", ["rtr1."]])
def test_other_texts_are_not_ours(text: Any) -> None:
    assert not is_wrapped(text)


@given(place=st.integers(len(TAG), len(wrap(STATE)) - 1), char=st.sampled_from("AZaz09_-"))
def test_a_changed_character_is_noticed(place: int, char: str) -> None:
    text = wrap(STATE)
    changed = text[:place] + char + text[place + 1 :]
    assert unwrap(changed) in ((None,) if changed != text else (STATE,)) or _same_bits(changed, text)


def _same_bits(one: str, other: str) -> bool:
    """Whether only bits differ that base64 doesn't use."""
    return one[:-1] == other[:-1]


@given(cut=st.integers(1, len(wrap(STATE)) - len(TAG)))
def test_a_text_cut_short_is_noticed(cut: int) -> None:
    assert unwrap(wrap(STATE)[:-cut]) is None


@pytest.mark.parametrize(
    "text",
    [
        TAG,
        TAG + "x",
        TAG + "!!!!",
        TAG + "WzFd",  # [1]
        TAG + "WyJuZXciLCJhL2IiLG51bGwsIjAwMDAwMDAwMDAwMCIsIngiXQ",  # a kind that nobody knows
        TAG + "é",
    ],
)
def test_a_tag_with_something_else_behind_it_is_nothing(text: str) -> None:
    assert unwrap(text) is None


@given(text=st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_no_text_behind_the_tag_is_too_strange(text: str) -> None:
    assert unwrap(TAG + text) is None


@pytest.mark.parametrize(
    ("owner", "target", "theirs"),
    [
        pytest.param(None, "p/m", True, id="native, unmarked"),
        pytest.param("p/m", "p/m", True, id="its own"),
        pytest.param("p/m", "p/n", False, id="another model"),
        pytest.param("p/m", "q/m", False, id="another provider"),
        pytest.param("", "p/m", False, id="nobody's"),
    ],
)
def test_whom_it_belongs_to(owner: str | None, target: str, theirs: bool) -> None:
    assert belongs(OpaqueState("google-thought", "x", owner), target) == theirs


class TestInventedIds:
    def test_the_same_for_the_same(self) -> None:
        assert invented_id("call_", 1, "f", "{}") == invented_id("call_", 1, "f", "{}")
        assert re.fullmatch(r"call_rtr1[0-9a-f]{20}", invented_id("call_", 1, "f", "{}"))

    def test_another_for_others(self) -> None:
        made = {invented_id("", *of) for of in [(1, "f", "{}"), (2, "f", "{}"), (1, "g", "{}"), (1, "f", "[]")]}
        assert len(made) == 4
        assert invented_id("", "ab", "c") != invented_id("", "a", "bc")
