"""How much thinking is asked for, in the words of targets that know fewer of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire.conversation import Depth
from router.wire.depth import RISING, budget_of, effort_of, known_effort
from router.wire.loss import Losses
from router.wire.traits import Traits


@pytest.mark.parametrize(
    ("depth", "effort"),
    [
        pytest.param(Depth(), None, id="nothing is said"),
        pytest.param(Depth(on=True), None, id="on, the depth is the model's affair"),
        pytest.param(Depth(on=False), "none", id="off"),
        pytest.param(Depth(on=False, effort="high"), "none", id="off, whatever the effort"),
        pytest.param(Depth(effort="xhigh"), "xhigh", id="an effort"),
        pytest.param(Depth(effort="none"), "none", id="no effort"),
        pytest.param(Depth(effort="colossal"), None, id="a word that nobody knows"),
        pytest.param(Depth(on=True, effort="low", budget=30_000), "low", id="an effort beside a budget"),
        pytest.param(Depth(on=True, budget=1999), "low", id="a budget under 2,000"),
        pytest.param(Depth(on=True, budget=2000), "medium", id="a budget of 2,000"),
        pytest.param(Depth(on=True, budget=8000), "high", id="a budget of 8,000"),
        pytest.param(Depth(on=True, budget=24_000), "xhigh", id="a budget of 24,000"),
    ],
)
def test_the_effort_that_is_asked_for(depth: Depth, effort: str | None) -> None:
    assert effort_of(depth) == effort


@pytest.mark.parametrize(
    ("depth", "below", "budget"),
    [
        pytest.param(Depth(on=True), None, None, id="the model's affair"),
        pytest.param(Depth(on=False, budget=5000), None, None, id="off"),
        pytest.param(Depth(effort="none"), None, None, id="no effort"),
        pytest.param(Depth(effort="low"), None, 1024, id="low"),
        pytest.param(Depth(effort="medium"), None, 4096, id="medium"),
        pytest.param(Depth(effort="high"), None, 16_384, id="high"),
        pytest.param(Depth(effort="max"), None, 32_768, id="max"),
        pytest.param(Depth(budget=5000), None, 5000, id="a budget"),
        pytest.param(Depth(budget=10), None, 1024, id="less than anyone takes"),
        pytest.param(Depth(effort="high"), 8000, 7999, id="less than the limit of the output"),
        pytest.param(Depth(effort="high"), 1025, 1024, id="the least room"),
        pytest.param(Depth(effort="high"), 1024, None, id="no room"),
    ],
)
def test_the_budget_that_is_asked_for(depth: Depth, below: int | None, budget: int | None) -> None:
    assert budget_of(depth, below=below) == budget


@pytest.mark.parametrize(
    ("depth", "efforts", "chosen", "lost"),
    [
        pytest.param(Depth(), "low high", None, None, id="nothing is said"),
        pytest.param(Depth(effort="high"), "low high", "high", None, id="a known word"),
        pytest.param(Depth(effort="max"), "low medium high", "high", "high is asked for", id="down to the highest"),
        pytest.param(Depth(effort="medium"), "low high", "low", "low is asked for", id="down to the next"),
        pytest.param(Depth(effort="low"), "high max", "high", "high is asked for", id="up where nothing is below"),
        pytest.param(Depth(effort="low"), "none high", "high", "high is asked for", id="never off unasked"),
        pytest.param(Depth(effort="minimal"), "none low", "none", "none is asked for", id="minimal is as good as off"),
        pytest.param(
            Depth(effort="minimal"), "low high", "low", "low is asked for", id="minimal where there is no off"
        ),
        pytest.param(Depth(on=False), "none low", "none", None, id="off"),
        pytest.param(Depth(on=False), "minimal low", "minimal", "can't be switched off", id="as good as off"),
        pytest.param(Depth(on=False), "low high", "low", "can't be switched off", id="the least where there is no off"),
        pytest.param(Depth(effort="high"), "", None, "not known", id="no words at all"),
        pytest.param(Depth(on=False), "none", "none", None, id="only off"),
        pytest.param(Depth(effort="high"), "none", None, "not known", id="only off, but thinking is asked for"),
    ],
)
def test_the_word_for_a_target(depth: Depth, efforts: Any, chosen: str | None, lost: str | None) -> None:
    losses = Losses()
    assert known_effort(depth, Traits(provider="p", model="m", efforts=tuple(efforts.split())), losses) == chosen
    assert [(loss.field, loss.refused) for loss in losses.found] == ([("depth", False)] if lost else [])
    assert (lost or "") in "".join(loss.why for loss in losses.found)


@given(
    depth=st.builds(
        Depth, st.none() | st.booleans(), st.none() | st.sampled_from(RISING), st.none() | st.integers(1, 99_999)
    ),
    efforts=st.sets(st.sampled_from(RISING)).map(lambda words: tuple(sorted(words, key=RISING.index))),
)
def test_whatever_is_asked_the_target_knows_the_word(depth: Depth, efforts: Any) -> None:
    losses = Losses()
    chosen = known_effort(depth, Traits(provider="p", model="m", efforts=efforts), losses)
    assert chosen is None or chosen in efforts
    assert (chosen != effort_of(depth)) == bool(losses.found), "what changes is told"
