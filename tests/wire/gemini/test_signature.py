"""What other models sealed, in the one opaque slot of Gemini's clients."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire.conversation import OpaqueState, Thought
from router.wire.gemini.signature import BYPASS, MARK, Sealed, is_ours, read, returned, written
from tests.wire.gemini.saying import OWN, claude, native, owned

VISIBLE = OpaqueState("visible", "", "deepseek/chat")


@pytest.mark.parametrize(
    ("thoughts", "own"),
    [
        pytest.param((), None, id="nothing"),
        pytest.param((Thought("", claude("s")),), None, id="sealed reasoning without words"),
        pytest.param((Thought("So.", claude("s")),), None, id="with words"),
        pytest.param((Thought("So.", VISIBLE),), None, id="words of a model that seals nothing"),
        pytest.param((Thought("a", claude("s")), Thought("", claude("t"))), None, id="two pieces"),
        pytest.param((), owned("sig"), id="the part's own"),
        pytest.param((Thought("ü😀", claude("s" * 5000)),), owned("sig"), id="both"),
    ],
)
def test_a_slot_gives_back_what_was_put_in(thoughts: tuple[Thought, ...], own: OpaqueState | None) -> None:
    slot = written(thoughts, own)
    assert slot.startswith(MARK)
    assert is_ours(slot)
    assert read(slot) == Sealed(thoughts, own)


def test_a_slot_survives_an_sdk_that_decodes_it_and_encodes_it_its_own_way() -> None:
    thought = Thought("??>>~~ü", claude("s"))
    slot = written((thought,), None)
    for way in (base64.urlsafe_b64encode, base64.b64encode):
        again = way(base64.b64decode(slot)).decode()
        assert read(again) == Sealed((thought,))
        assert read(again.rstrip("=")) == Sealed((thought,))


def test_what_is_native_stays_as_it_is() -> None:
    assert written((), native("AbC+/=")) == "AbC+/="
    assert written((Thought("", native("x")),), None) == "x"
    assert read("AbC+/=") == Sealed(own=native("AbC+/="))
    assert read(BYPASS).own == native(BYPASS)


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(lambda slot: slot[: len(slot) // 2], id="cut"),
        pytest.param(lambda slot: slot + "!", id="no base64"),
        pytest.param(lambda slot: MARK, id="nothing but the mark"),
    ],
)
def test_a_damaged_slot_holds_nothing(damaged: object) -> None:
    assert callable(damaged)
    assert read(damaged(written((Thought("So.", claude("s")),), owned("x")))) == Sealed()


def test_a_state_that_was_changed_inside_is_dropped_and_the_words_stay() -> None:
    slot = written((Thought("So.", claude("s")),), None)
    inside = base64.b64decode(slot)
    at = len(inside) // 2
    changed = inside[:at] + (b"A" if inside[at : at + 1] != b"A" else b"B") + inside[at + 1 :]
    assert read(base64.b64encode(changed).decode()).own is None
    assert all(thought.state is None for thought in read(base64.b64encode(changed).decode()).thoughts)


@given(st.text(max_size=40))
def test_reading_never_fails(slot: str) -> None:
    read(slot)
    read(MARK + slot)


@pytest.mark.parametrize(
    ("state", "given_back"),
    [
        pytest.param(owned("s"), "s", id="its own"),
        pytest.param(native("s"), "s", id="a client's own"),
        pytest.param(owned("s", "google/gemini-2"), None, id="of another model"),
        pytest.param(claude("s"), None, id="of another maker"),
        pytest.param(OpaqueState("visible", "", OWN.owner), None, id="nothing sealed"),
        pytest.param(None, None, id="none"),
    ],
)
def test_a_signature_goes_back_to_its_owner_only(state: OpaqueState | None, given_back: str | None) -> None:
    assert returned(state, OWN) == given_back
