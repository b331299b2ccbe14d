"""The condition for some kinds of requests holds for those, and for none of the others."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.advising.shapes import FLAGS, Shape, condition_for
from router.routing.concepts import PhraseRegistry
from router.routing.conditions import Condition, compile_match
from router.routing.facts import Facts
from router.routing.given import GivenFacts
from router.routing.recorded import RecordedFacts

KEYS = [flag.key for flag in FLAGS]


def facts_of(shape: Shape) -> Facts:
    told: dict[str, object] = {key: shape.has(place) for place, key in enumerate(KEYS)}
    return GivenFacts({**told, "model": shape.model}, now=datetime(2026, 11, 20, tzinfo=UTC))


def compiled(text: str) -> Condition:
    problems: list[str] = []
    condition = compile_match(
        text,
        path=("match",),
        report=lambda path, message: problems.append(message),
        concepts=(),
        phrases=PhraseRegistry(),
    )
    assert condition is not None, problems
    return condition


SHAPES = st.builds(Shape, st.integers(0, 2 ** len(FLAGS) - 1), st.sampled_from(["claude-opus-4-5", 'a "b"', "x"]))


@given(SHAPES)
def test_a_request_is_of_the_kind_that_its_facts_say(shape: Shape) -> None:
    assert Shape.of(facts_of(shape)) == shape


def test_a_record_without_a_flag_is_of_no_kind() -> None:
    assert Shape.of(RecordedFacts({"model": "m", "background": False})) is None


@given(st.lists(SHAPES, min_size=1, max_size=5, unique=True), st.data())
def test_it_tells_kinds_from_others(every: list[Shape], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(every), min_size=1, unique=True))
    text = condition_for(chosen, every)
    if text is None:
        assert len(chosen) > 1
        return
    condition = compiled(text)
    assert [condition.test(facts_of(shape)) for shape in every] == [shape in chosen for shape in every]


@pytest.mark.parametrize(
    ("chosen", "others", "expected"),
    [
        pytest.param([(0, "a")], [], "always", id="nothing to tell it from"),
        pytest.param([(0, "a")], [(128, "a")], "tool-use=false", id="one flag"),
        pytest.param(
            [(640, "a")], [(128, "a"), (0, "a")], "tool-use=true and tool-result=true", id="only what is needed"
        ),
        pytest.param([(0, "a")], [(0, "b")], 'model-equals="a"', id="the model that was asked for"),
        pytest.param([(0, "a"), (0, "b")], [(0, "c")], 'model-equals=["a", "b"]', id="several"),
        pytest.param([(0, "a"), (1, "b")], [(0, "b"), (1, "a")], None, id="nothing that holds for both"),
    ],
)
def test_conditions(chosen: list[tuple[int, str]], others: list[tuple[int, str]], expected: str | None) -> None:
    assert condition_for([Shape(*each) for each in chosen], [Shape(*each) for each in others]) == expected
