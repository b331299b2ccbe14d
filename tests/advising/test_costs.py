"""The quick way to price requests elsewhere says what a replay says, one by one or all at once."""

from __future__ import annotations

from random import Random

import pytest

from router.advising.costs import Line
from router.replaying.report import replay
from router.routing.rules import Target
from tests.advising import ledgers
from tests.advising.conftest import Studied, look_into
from tests.advising.world import PRICES, load

SONNET, HAIKU, OPUS, GROQ = (
    Target("anthropic", "claude-sonnet-4-5"),
    Target("anthropic", "claude-haiku-4-5"),
    Target("anthropic", "claude-opus-4-5"),
    Target("groq", "llama-3.3-70b-versatile"),
)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Studied:
    return look_into(tmp_path_factory.mktemp("ledger"), ledgers.THRESHOLD, ledgers.threshold_asks())


@pytest.mark.slow
def test_requests_moved_one_by_one_cost_what_all_do_at_once(found: Studied) -> None:
    rng = Random(1)
    costs = found.inquiry.costs
    numbers = costs.line_of(next(r.number for r in found.past.requests if r.row.conversation == "day3-session1"))
    assert len(numbers) == 40
    line = Line(costs, {number: costs.target(number) for number in numbers})
    paid = sum(found.past.requests[number].row.cost_nano_usd or 0 for number in numbers)
    assert line.total == paid
    at = {number: costs.target(number) for number in numbers}
    for _ in range(300):
        number, target = rng.choice(numbers), rng.choice([SONNET, HAIKU, OPUS, GROQ])
        before, at[number] = line.total, target
        assert line.move(number, target) == line.total - before
        assert line.total == Line(costs, at).total
    elsewhere = {number: target for number, target in at.items() if target != costs.target(number)}
    moved = costs.moved(elsewhere)
    assert moved is not None
    assert moved[0] - moved[1] == paid - line.total


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "cheaper"),
    [
        pytest.param('"groq/llama-3.3-70b-versatile"', '"anthropic/claude-haiku-4-5"', True, id="a cache is kept"),
        pytest.param('"anthropic/claude-haiku-4-5"', '"anthropic/claude-sonnet-4-5"', False, id="a dearer one"),
        pytest.param("40_000", "12_000", True, id="another bound"),
    ],
)
def test_it_is_what_a_replay_says(found: Studied, old: str, new: str, cheaper: bool) -> None:
    profile = load(found.folder / "other" / "work", found.text.replace(old, new))
    rows = found.past.rows(found.past.requests)
    replayed = replay(rows, profile, PRICES, before=found.profile, learned=found.past.learned)
    to = {}
    for request in found.past.requests:
        assert request.facts is not None
        short = request.facts.tokens() < (12_000 if "12" in new else 40_000)
        to[request.number] = {
            '"anthropic/claude-haiku-4-5"': HAIKU,
            '"anthropic/claude-sonnet-4-5"': GROQ if short else SONNET,
            "12_000": GROQ if short else HAIKU,
        }[new]
    moved = found.inquiry.costs.moved(to)
    assert moved is not None
    assert moved == (replayed.total.known_before, replayed.total.known_after)
    assert (moved[1] < moved[0]) is cheaper


def test_a_target_without_a_price(found: Studied) -> None:
    lab = Target("groq", "something-new")
    assert not found.inquiry.costs.knows(lab)
    assert found.inquiry.costs.knows(GROQ)
    assert found.inquiry.costs.moved({0: lab}) is None
