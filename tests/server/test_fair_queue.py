"""Lines that take turns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.server.fair_queue import FairQueue


def queue_of(*names: str) -> FairQueue[str]:
    """One who waits for each name, called after it with a number: a1, a2, b1, …"""
    queue: FairQueue[str] = FairQueue()
    for number, name in enumerate(names):
        queue.join(name, f"{name}{names[: number + 1].count(name)}")
    return queue


def drained(queue: FairQueue[str]) -> list[str]:
    found = []
    while (one := queue.next()) is not None:
        found.append(one)
    assert len(queue) == 0
    return found


@pytest.mark.parametrize(
    ("names", "order"),
    [
        pytest.param("", "", id="nobody"),
        pytest.param("aaa", "a1 a2 a3", id="one line goes in the order of coming"),
        pytest.param("aaaab", "a1 b1 a2 a3 a4", id="who comes late to an empty line is next but one"),
        pytest.param("abcabc", "a1 b1 c1 a2 b2 c2", id="lines of one length"),
        pytest.param("aaabbc", "a1 b1 c1 a2 b2 a3", id="the longest is the last to be done"),
    ],
)
def test_lines_take_turns(names: str, order: str) -> None:
    assert drained(queue_of(*names)) == order.split()


def test_who_may_not_go_is_passed_over_and_keeps_the_turn() -> None:
    queue = queue_of(*"aabb")
    assert [queue.next(lambda name: name == "b"), queue.next(lambda name: name == "b")] == ["b1", "b2"]
    assert queue.next(lambda name: name == "b") is None
    assert drained(queue) == ["a1", "a2"]


def test_who_leaves_is_gone_and_only_once() -> None:
    queue = queue_of(*"aab")
    for _ in range(2):
        queue.leave("a", "a1")
    queue.leave("nobody", "x")
    assert len(queue) == 2
    assert drained(queue) == ["a2", "b1"]


@pytest.mark.parametrize(
    ("names", "comes", "gives_way"),
    [
        pytest.param("aaa", "b", "a3", id="the last of the longest line"),
        pytest.param("aaa", "a", None, id="not for one of its own"),
        pytest.param("aaabb", "b", None, id="not where it would only change places"),
        pytest.param("aaaabb", "b", "a4", id="where it stays the longest"),
        pytest.param("abc", "d", None, id="not of lines of one"),
        pytest.param("", "a", None, id="nobody there"),
    ],
)
def test_who_gives_way_in_a_full_queue(names: str, comes: str, gives_way: str | None) -> None:
    queue = queue_of(*names)
    assert queue.gives_way(comes) == gives_way
    assert len(queue) == len(names) - (gives_way is not None)


@given(st.lists(st.sampled_from("abcd"), max_size=40))
def test_nobody_starves(names: list[str]) -> None:
    """Before anybody is served who has as many before him in his line, no other line has been served twice more."""
    order = drained(queue_of(*names))
    assert sorted(order) == sorted(f"{name}{number + 1}" for name in set(names) for number in range(names.count(name)))
    for place, one in enumerate(order):
        before = [other[0] for other in order[:place]]
        turns = int(one[1:]) - 1
        assert all(before.count(name) <= turns + 1 for name in "abcd")
