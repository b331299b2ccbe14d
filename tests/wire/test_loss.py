"""Nothing is lost in silence: what was met, in order, each thing once."""

from __future__ import annotations

import time

import pytest

from router.wire.loss import ROOM, Loss, Losses, listed
from tests.support.slow import within


def test_losses_are_told_once_and_in_order() -> None:
    losses = Losses()
    losses.drop("top_k", "unknown there")
    losses.refuse("messages[0].content[1]", "audio can't be carried over")
    losses.drop("top_k", "unknown there")
    losses.drop("top_k", "for another reason")
    assert losses.found == [
        Loss("top_k", "unknown there"),
        Loss("messages[0].content[1]", "audio can't be carried over", refused=True),
        Loss("top_k", "for another reason"),
    ]
    assert [str(loss) for loss in losses.refused] == ["messages[0].content[1]: audio can't be carried over"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        pytest.param("a\r\nx-evil: 1", "a\\r\\nx-evil: 1", id="line ends"),
        pytest.param("naïve", "na\\xefve", id="no ASCII"),
        pytest.param("\u2028", "\\u2028", id="another line end"),
        pytest.param("a" * 500, "a" * 100, id="long"),
    ],
)
def test_whatever_a_client_calls_a_field_its_name_can_stand_in_a_header(name: str, told: str) -> None:
    losses = Losses()
    losses.drop(name, "'\n' is no type, '…' is clipped")
    losses.refuse("user", "naïve…")
    assert losses.found == [
        Loss(told, "'\\n' is no type, '\\u2026' is clipped"),
        Loss("user", "naïve…", refused=True),
    ]


@pytest.mark.slow
def test_many_take_no_time() -> None:
    losses = Losses()
    with within(2, clock=time.process_time):
        for number in range(20_000):
            losses.drop(f"messages[{number}]", "why")
    assert len(losses.found) == 20_000


@pytest.mark.parametrize(
    ("told", "line"),
    [
        pytest.param([], "", id="nothing"),
        pytest.param(["top_k", "seed", "top_k"], "top_k, seed", id="each once"),
        pytest.param(["x" * (ROOM - 2)], "x" * (ROOM - 2), id="as much as there is room for"),
        pytest.param(["a" * 1500, "b" * 400, "c" * 400, "d"], f"{'a' * 1500}, {'b' * 400}, and 2 more", id="too much"),
    ],
)
def test_a_list_of_losses_fits_into_a_header(told: list[str], line: str) -> None:
    assert listed(told) == line
