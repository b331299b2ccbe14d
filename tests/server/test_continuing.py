"""Requests that continue a Responses reply go to whoever gave it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.support.answers import answer, response
from tests.support.provider import FakeProvider, Received, Step, whole
from tests.support.serving import Running, serving

RULES = """
[[rule]]
match = { keywords = ["first"] }
target = "one/model-1"
[default]
target = "two/model-2"
"""


def replies_called(reply_id: str) -> Any:
    def reply(request: Received) -> Iterable[Step]:
        if request.path.endswith("/responses") and not request.json.get("stream"):
            return whole({**response("m"), "id": reply_id})
        return answer(request)

    return reply


async def asked(router: Running, text: str, **fields: object) -> tuple[int, dict[str, Any]]:
    body = {"model": "m", "input": text, **fields}
    async with router.post("/work/v1/responses", json=body) as reply:
        return reply.status, json.loads(await reply.read())


async def test_a_known_reply_is_continued_where_it_was_made_with_the_model_that_made_it(tmp_path: Path) -> None:
    async with (
        FakeProvider(replies_called("resp_of_one")) as one,
        FakeProvider(replies_called("resp_of_two")) as two,
        serving(
            tmp_path / "home", {"work": RULES}, providers={"one": f"{one.url}/v1", "two": f"{two.url}/v1"}
        ) as router,
    ):
        await asked(router, "the first question")
        status, _ = await asked(router, "and then?", previous_response_id="resp_of_one")
        assert status == 200
        assert [request.json["model"] for request in one.requests] == ["model-1", "model-1"]
        assert two.requests == []
        rows = await router.rows()
        assert [row["rule"] for row in rows] == ["keywords → one", "default → two"]  # the rule is told as it decided
        assert [row["provider"] for row in rows] == ["one", "one"]


async def test_the_same_provider_may_be_asked_for_another_model(tmp_path: Path) -> None:
    rules = RULES.replace("two/", "one/")
    async with (
        FakeProvider(replies_called("resp_1")) as one,
        serving(tmp_path / "home", {"work": rules}, providers={"one": f"{one.url}/v1"}) as router,
    ):
        await asked(router, "the first question")
        await asked(router, "and then?", previous_response_id="resp_1")
        assert [request.json["model"] for request in one.requests] == ["model-1", "model-2"]


async def test_an_explicit_provider_is_obeyed(tmp_path: Path) -> None:
    async with (
        FakeProvider(replies_called("resp_of_one")) as one,
        FakeProvider(replies_called("resp_of_two")) as two,
        serving(
            tmp_path / "home", {"work": RULES}, providers={"one": f"{one.url}/v1", "two": f"{two.url}/v1"}
        ) as router,
    ):
        await asked(router, "the first question")
        await asked(router, "and then?", model="two:other", previous_response_id="resp_of_one")
        assert [request.json["model"] for request in two.requests] == ["other"]


async def test_an_unknown_reply_is_asked_of_the_rules_own_target_if_it_speaks_responses(tmp_path: Path) -> None:
    async with (
        FakeProvider(answer) as one,
        FakeProvider(answer) as two,
        serving(
            tmp_path / "home", {"work": RULES}, providers={"one": f"{one.url}/v1", "two": f"{two.url}/v1"}
        ) as router,
    ):
        status, _ = await asked(router, "and then?", previous_response_id="resp_of_long_ago")
        assert (status, len(two.requests)) == (200, 1)


CHAT_ONLY = """
[providers.two]
formats = ["openai-chat"]
base-url = "{url}/v1"
api-key = "env:TEST_KEY"
"""


async def test_an_unknown_reply_goes_to_the_only_provider_that_could_have_made_it(tmp_path: Path) -> None:
    async with FakeProvider(answer) as one, FakeProvider(answer) as two:
        rules = CHAT_ONLY.format(url=two.url) + RULES
        async with serving(tmp_path / "home", {"work": rules}, providers={"one": f"{one.url}/v1"}) as router:
            status, _ = await asked(router, "and then?", previous_response_id="resp_of_long_ago")
            assert (status, len(one.requests), len(two.requests)) == (200, 1, 0)


@pytest.mark.parametrize(
    ("reply_id", "words"),
    [
        pytest.param("resp_of_long_ago", "no response of this id", id="unknown, and nobody speaks Responses"),
        pytest.param("resp_rtr1abc", "translated from another wire format", id="one of ours"),
    ],
)
async def test_what_nobody_can_continue_is_not_found(reply_id: str, words: str, tmp_path: Path) -> None:
    async with FakeProvider(answer) as two:
        rules = CHAT_ONLY.format(url=two.url) + '[default]\ntarget = "two/m"\n'
        async with serving(tmp_path / "home", {"work": rules}) as router:
            status, told = await asked(router, "and then?", previous_response_id=reply_id)
            assert (status, two.requests) == (404, [])
            assert words in told["error"]["message"]
            async with router.get(f"/work/v1/responses/{reply_id}") as reply:
                assert reply.status == 404
                assert words in (await reply.json())["error"]["message"]
