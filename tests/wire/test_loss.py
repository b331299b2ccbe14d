"""Nothing is lost in silence: what was met, in order, each thing once."""

from __future__ import annotations

import time

from router.wire.loss import Loss, Losses


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


def test_many_take_no_time() -> None:
    losses = Losses()
    started = time.process_time()
    for number in range(100_000):
        losses.drop(f"messages[{number}]", "why")
    assert time.process_time() - started < 5
    assert len(losses.found) == 100_000
