"""Strategies at work: whose turn it is, and which conversations stay where they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from router.server import ordering
from tests.support.answers import answer
from tests.support.provider import FakeProvider
from tests.support.serving import Running, serving
from tests.support.targets import failing

SMALL, LARGE, VISION = "demo-small", "demo-large", "demo-vision"
TURNS = """
[[rule]]
match = { always = true }
strategy = "round-robin"
targets = ["demo/demo-small", "demo/demo-large"]
"""


async def model(
    router: Running, conversation: str | None = None, *, text: str = "Hello", path: str = "", **body: object
) -> str:
    """The model that answers one request."""
    headers = {"x-session-id": conversation} if conversation else {}
    asked = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": text}], **body}
    async with router.post(f"/work/v1/messages{path}", json=asked, headers=headers) as reply:
        assert reply.status == 200, await reply.text()
        await reply.read()
    await router.flush()  # by now it is known where the conversation went
    return str(reply.headers["x-router-model"])


async def models(router: Running, *conversations: str | None) -> list[str]:
    """The models that answer requests of these conversations, one after the other."""
    return [await model(router, conversation) for conversation in conversations]


# --- round-robin ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("conversation", [None, "a"])
async def test_turns_go_from_request_to_request(conversation: str | None, tmp_path: Path) -> None:
    async with serving(tmp_path / "home", {"work": TURNS}) as router:
        assert await models(router, *[conversation] * 4) == [SMALL, LARGE, SMALL, LARGE]


@pytest.mark.parametrize("where", ["rule", "routing"])
async def test_a_conversation_that_sticks_takes_no_turn_but_its_first(where: str, tmp_path: Path) -> None:
    sticky = 'sticky = "conversation"\n'
    text = TURNS + sticky if where == "rule" else f"[routing]\n{sticky}{TURNS}"
    async with serving(tmp_path / "home", {"work": text}) as router:
        assert await models(router, "a", "a", "b", "b", "c", "a", "b", "c", "d") == [
            *(SMALL, SMALL, LARGE, LARGE),
            *(SMALL, SMALL, LARGE, SMALL, LARGE),
        ]


async def test_conversations_that_begin_with_the_same_words_are_not_the_same(tmp_path: Path) -> None:
    async with serving(tmp_path / "home", {"work": f'{TURNS}sticky = "conversation"\n'}) as router:
        assert await models(router, *[None] * 4) == [SMALL, LARGE, SMALL, LARGE]
        later = [
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hi"},
            {"role": "user", "content": "How are you?"},
        ]
        assert [await model(router, messages=later) for _ in range(3)] == [LARGE] * 3, "where the last of them was"


async def test_counting_tokens_takes_no_turn(tmp_path: Path) -> None:
    """An agent counts before it asks: if both took turns, every question would go to the same target."""
    async with serving(tmp_path / "home", {"work": TURNS}) as router:
        seen = []
        for _ in range(3):
            counted = await model(router, path="/count_tokens")
            seen.append(await model(router))
            assert counted == seen[-1], "counted by whoever is asked next"
        assert seen == [SMALL, LARGE, SMALL]


@pytest.mark.slow
async def test_each_set_of_matching_rules_takes_turns_among_itself(tmp_path: Path) -> None:
    """Requests of two kinds, one after the other: each kind goes round its own rules."""
    rules = [
        f'[[rule]]\nname = "{number}"\nmatch = {match}\ntarget = "demo/{target}"\n'
        for number, (match, target) in enumerate(
            [('{ tag = "x" }', SMALL), ("{ always = true }", LARGE), ('{ keywords = "look" }', VISION)]
        )
    ]
    text = "\n".join(['[routing]\nstrategy = "round-robin"\n', *rules])
    async with serving(tmp_path / "home", {"work": text}) as router:
        seen = [await model(router, text=text) for _ in range(2) for text in ("look", "Hello")]
        assert seen == [LARGE, LARGE, VISION, LARGE]


async def test_who_only_stands_behind_takes_no_turn(tmp_path: Path) -> None:
    text = f'[[rule]]\nmatch = {{ tag = "x" }}\ntarget = "gone/m"\n{TURNS}\n[providers.gone]\nformats = ["gemini"]\n'
    text += 'base-url = "http://127.0.0.1:9"\napi-key = "env:NOWHERE"\n'
    async with serving(tmp_path / "home", {"work": text}) as router:
        seen = []
        for _ in range(4):
            async with router.post(
                "/work/v1/messages",
                json={"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]},
                headers={"x-router-tag": "x"},
            ) as reply:
                assert reply.headers["x-router-model"] in (SMALL, LARGE)
            seen.append(await model(router))
        assert seen == [SMALL, LARGE, SMALL, LARGE]


async def test_turns_are_not_remembered_without_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordering, "MAX_TURNS", 1)
    text = TURNS.replace("always = true", 'keywords = "{word}"')
    rules = "".join(text.replace("{word}", word) for word in ("one", "two", "three"))
    async with serving(tmp_path / "home", {"work": rules}) as router:
        for word in ("one", "two", "three", "one", "two", "three"):
            await model(router, text=word)
        (tenant,) = router.app.tenants
        assert len(tenant._turns) <= 2


# --- weighted ---------------------------------------------------------------------------------------------------------

DRAWN = """
[[rule]]
match = { always = true }
strategy = "weighted"
targets = ["demo/demo-small", "demo/demo-large"]
"""


async def test_weighted_stays_put_within_a_conversation_and_not_across_them(tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(12)]
    async with serving(tmp_path / "home", {"work": DRAWN}) as router:
        first = await models(router, *names)
        assert set(first) == {SMALL, LARGE}
        assert await models(router, *names) == first


async def test_weighted_stays_put_although_a_conversation_has_an_id_only_from_its_second_request_on(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path / "home", {"work": DRAWN}) as router:
        for opening in ("one", "two", "three", "four", "five"):
            messages = [{"role": "user", "content": opening}]
            first = await model(router, messages=messages)
            for _ in range(3):
                messages += [{"role": "assistant", "content": "Yes"}, {"role": "user", "content": "Go on"}]
                assert await model(router, messages=messages) == first


# --- staying with a rule that others stand before ---------------------------------------------------------------------

MOVING = """
[routing]
sticky = "conversation"

[[rule]]
match = { tool-use = true }
target = "one/model-1"
set = { temperature = 0.1 }
fallback = ["one/model-3"]

[default]
target = "two/model-2"
set = { temperature = 0.9 }
headers = { x-whose = "default" }
"""
TOOLS = [{"name": "look", "input_schema": {"type": "object"}}]


async def test_a_conversation_stays_with_the_settings_of_its_own_rule(tmp_path: Path) -> None:
    async with FakeProvider(answer) as one, FakeProvider(answer) as two:
        providers = {"one": one.url, "two": two.url}
        async with serving(tmp_path / "home", {"work": MOVING}, providers=providers) as router:
            assert await model(router, "a") == "model-2"
            assert await model(router, "a", tools=TOOLS) == "model-2"
            assert await model(router, "b", tools=TOOLS) == "model-1"
            sent = two.requests[-1]
            assert json.loads(sent.body)["temperature"] == 0.9
            assert sent.headers["x-whose"] == "default"
            assert json.loads(one.requests[-1].body)["temperature"] == 0.1
            rows = await router.rows()
        assert [row["rule"] for row in rows] == ["default → two", "default → two", "tool-use → one"]
        assert "stays at two/model-2, where the conversation was" in rows[1]["trace"]


async def test_behind_a_target_that_a_conversation_stays_at_come_those_of_the_matching_rule(tmp_path: Path) -> None:
    text = MOVING + '[retry]\nattempts = 1\nbackoff = "1ms"\n'
    async with FakeProvider(answer) as one, FakeProvider(answer) as two:
        providers = {"one": one.url, "two": two.url}
        async with serving(tmp_path / "home", {"work": text}, providers=providers) as router:
            await model(router, "a")
            two.answer = lambda received: failing(500)
            assert await model(router, "a", tools=TOOLS) == "model-1"
            assert json.loads(one.requests[-1].body)["temperature"] == 0.1
