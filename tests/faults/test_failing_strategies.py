"""Whatever a rule goes by to choose a target: one that fails before its answer has begun is stood in for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.aftermath import aftermath
from tests.support.answers import answer
from tests.support.asking import MESSAGES, opening
from tests.support.provider import Reset, Step, stream
from tests.support.raw import ask, request
from tests.support.targets import QUICK, failing, says, story, targets

STRATEGIES = ["first-match", "weighted", "round-robin", "lowest-cost", "adaptive"]
OVERLOADED = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
FAULTS: list[Any] = [
    pytest.param([Reset()], "connect", id="reset"),
    pytest.param(failing(503), "overloaded", id="503"),
    pytest.param(failing(429), "rate", id="429"),
    pytest.param([*opening(MESSAGES.events()[0]), Reset()], "broken-start", id="a broken start"),
    pytest.param(stream(OVERLOADED), "overloaded", id="an error inside the stream"),
]


def rule(strategy: str, more: str = "") -> str:
    names = [f'"{name}/model-{number}"' for number, name in enumerate(("one", "two", "three"), 1)]
    return (
        f'{QUICK}[[rule]]\nmatch = {{ always = true }}\nstrategy = "{strategy}"\ntargets = [{", ".join(names)}]\n{more}'
    )


@pytest.mark.sampled(3)
@pytest.mark.parametrize("ill", [0, 1, 2], ids=["the first", "the second", "the third"])
@pytest.mark.parametrize(("steps", "error_class"), FAULTS)
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_target_that_fails_is_stood_in_for(
    strategy: str, steps: list[Step], error_class: str, ill: int, tmp_path: Path
) -> None:
    async with targets(tmp_path / "home", rule(strategy), count=3) as world:
        world.providers[ill].answer = lambda received: steps
        chosen = set()
        for _ in range(6):
            reply, after = await world.asked(stream=True)
            assert (reply.status, after.told) == (200, ("ok", None))
            *failed, (_, served, _) = story(after)
            assert reply.body == says(MESSAGES, f"model-{('one', 'two', 'three').index(served) + 1}", stream=True)
            assert {(name, fault) for _, name, fault in failed} <= {(("one", "two", "three")[ill], error_class)}
            assert len(failed) <= 2
            chosen.add(after.attempts[0]["provider"])
        assert len(chosen) > 1 or strategy != "round-robin"


@pytest.mark.sampled(2)
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_conversation_that_stays_goes_elsewhere_while_its_target_fails(strategy: str, tmp_path: Path) -> None:
    async with targets(tmp_path / "home", rule(strategy, 'sticky = "conversation"\n'), count=3) as world:
        path, body = MESSAGES.request(stream=True)
        talk = request("POST", f"/work{path}", body, headers=[("x-session-id", "a conversation")])

        async def called() -> list[str]:
            async with aftermath(world.router, *world.providers) as after:
                assert (await ask(world.router.url, talk)).status == 200
            return [call["provider"] for call in after.attempts]

        [home] = await called()
        assert await called() == [home]
        at_home = world.providers[("one", "two", "three").index(home)]
        at_home.answer = lambda received: failing(503)
        *failed, other = await called()
        assert (failed, other != home) == ([home, home], True)
        at_home.answer = answer
        assert await called() == [other], "and stays where it was answered last"


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_where_all_fail_the_last_one_is_told_of(strategy: str, tmp_path: Path) -> None:
    async with targets(tmp_path / "home", rule(strategy), count=3) as world:
        for provider in world.providers:
            provider.answer = lambda received: failing(500)
        reply, after = await world.asked()
    assert (reply.status, reply.headers["x-should-retry"], after.told) == (500, "false", ("upstream-error", "server"))
    assert len(after.attempts) == 3
