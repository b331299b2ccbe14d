"""The official SDKs through a cascade: drafts accepted and rejected, and clients that had to be kept waiting."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, NamedTuple

import anthropic
import openai
import pytest
import pytest_asyncio

from router.server import outgoing
from tests.support.provider import Answer, FakeProvider, Pause, Received, Step, whole
from tests.support.saying import calling, saying, text
from tests.support.sdk import claude, gpt
from tests.support.serving import Running, serving

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.sampled(5)]

PROFILE = """
[[rule]]
match = { always = true }
target = "dear/large"
cascade = { draft = "cheap/small" }
[retry]
total = 1
"""
OTHER_FORMAT = '[providers.cheap]\nformats = ["gemini"]\n'

ASKED: Any = [{"role": "user", "content": "What is the capital of Portugal?"}]
SCHEMA = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
TOOL: Any = {"name": "look_up", "description": "Looks a place up.", "input_schema": SCHEMA}
FUNCTION: Any = {"name": "look_up", "description": "Looks a place up.", "parameters": SCHEMA}

CANARY = "Quincunx"
"""A word of every draft, and of nothing else."""
GOOD = {
    "words": text("Lisbon is the capital", f" of Portugal, said {CANARY}."),
    "a call": calling("look_up", {"place": f"Lisbon, {CANARY}"}),
}
BAD = {
    "words": text(f"I'm sorry, but I can't help with that request. {CANARY}."),
    "a call": calling("look_up", {"town": f"Lisbon, {CANARY}"}),
}
FINAL = {
    "words": text("The capital of Portugal", " is Lisbon."),
    "a call": calling("look_up", {"place": "Lisbon"}),
}


class World(NamedTuple):
    router: Running
    cheap: FakeProvider
    dear: FakeProvider

    async def calls(self) -> list[tuple[str, str | None]]:
        """Role and verdict of the calls of the last request."""
        [*_, last] = await self.router.rows()
        rows = await self.router.rows("attempts", f"request_id = '{last['id']}'")
        return [(row["role"], row["verdict"]) for row in rows]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with FakeProvider() as cheap, FakeProvider() as dear:
        profiles = {"same": PROFILE, "other": PROFILE + OTHER_FORMAT}
        addresses = {"cheap": cheap.url, "dear": dear.url}
        async with serving(tmp_path_factory.mktemp("cascades") / "home", profiles, providers=addresses) as router:
            yield World(router, cheap, dear)


# --- what the clients do ----------------------------------------------------------------------------------------------


class Made(NamedTuple):
    """What an SDK made of a reply: one object, or a list of events, as plain data; and the headers."""

    plain: Any
    headers: Mapping[str, str]


def messages(base: str, way: str) -> Made:
    asked: dict[str, Any] = {"model": "m", "max_tokens": 900, "messages": ASKED, "tools": [TOOL]}
    with claude(base) as client:
        if way == "helper":
            with client.messages.stream(**asked) as stream:
                return Made(plain(stream.get_final_message()), stream.response.headers)
        raw = client.messages.with_raw_response.create(**asked, stream=way == "streamed")
        return Made(plain(raw.parse()), raw.headers)


def chat(base: str, way: str) -> Made:
    tools = [{"type": "function", "function": FUNCTION}]
    asked: dict[str, Any] = {"model": "m", "messages": ASKED, "tools": tools}
    if way != "whole":
        asked["stream_options"] = {"include_usage": True}
    with gpt(f"{base}/v1") as client:
        if way == "helper":
            with client.chat.completions.stream(**asked) as stream:
                return Made(plain(stream.get_final_completion()), stream._response.headers)
        raw = client.chat.completions.with_raw_response.create(**asked, stream=way == "streamed")
        return Made(plain(raw.parse()), raw.headers)


def responses(base: str, way: str) -> Made:
    asked: dict[str, Any] = {"model": "m", "input": ASKED, "tools": [{"type": "function", **FUNCTION}]}
    with gpt(f"{base}/v1") as client:
        if way == "helper":
            with client.responses.stream(**asked) as stream:
                return Made(plain(stream.get_final_response()), stream._response.headers)
        raw = client.responses.with_raw_response.create(**asked, stream=way == "streamed")
        return Made(plain(raw.parse()), raw.headers)


def plain(result: Any) -> Any:
    """An object, or the events of a stream that is read to its end."""
    return result.model_dump() if hasattr(result, "model_dump") else [event.model_dump() for event in result]


Call = Callable[[str, str], Made]


def gist(call: Call, made: Any) -> tuple[str, list[Any], str, int, int]:
    """Words, arguments of calls, the end and the tokens of a whole answer, whatever its format."""
    usage = made["usage"]
    if call is messages:
        blocks = made["content"]
        words = [block["text"] for block in blocks if block["type"] == "text"]
        calls = [block["input"] for block in blocks if block["type"] == "tool_use"]
        return "".join(words), calls, made["stop_reason"], usage["input_tokens"], usage["output_tokens"]
    if call is chat:
        [choice] = made["choices"]
        calls = [json.loads(each["function"]["arguments"]) for each in choice["message"]["tool_calls"] or ()]
        tokens = usage["prompt_tokens"], usage["completion_tokens"]
        return choice["message"]["content"] or "", calls, choice["finish_reason"], *tokens
    words = [part["text"] for item in made["output"] if item["type"] == "message" for part in item["content"]]
    calls = [json.loads(item["arguments"]) for item in made["output"] if item["type"] == "function_call"]
    return "".join(words), calls, made["status"], usage["input_tokens"], usage["output_tokens"]


# --- what they get ----------------------------------------------------------------------------------------------------


def slowly(answer: Answer) -> Answer:
    """The same after a while."""

    def answered(received: Received) -> Iterable[Step]:
        return [Pause(0.25), *answer(received)]

    return answered


@pytest.fixture(params=[False, True], ids=["at once", "after signs of life"])
def slow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the draft takes so long that the client is told that somebody is there."""
    if request.param:
        monkeypatch.setattr(outgoing, "SIGN_S", 0.05)
    return bool(request.param)


each_call = pytest.mark.parametrize("call", [messages, chat, responses], ids=["messages", "chat", "responses"])
each_way = pytest.mark.parametrize("way", ["whole", "streamed", "helper"])
each_kind = pytest.mark.parametrize("kind", [*GOOD])
each_verdict = pytest.mark.parametrize("verdict", ["accepted", "rejected"])


def script(world: World, verdict: str, kind: str, *, slow: bool) -> None:
    draft = saying((GOOD if verdict == "accepted" else BAD)[kind])
    world.cheap.answer = slowly(draft) if slow else draft
    world.dear.answer = saying(FINAL[kind])


async def check(world: World, made: Made, verdict: str, *, signs: bool) -> None:
    """The answer is the draft or the verifier's, the client was kept waiting or not, and so it stands in the books."""
    accepted = verdict == "accepted"
    assert (CANARY in json.dumps(made.plain)) == accepted
    assert made.headers["x-router-provider"] == ("cascade" if signs else "cheap" if accepted else "dear")
    assert await world.calls() == [("draft", verdict)] + [("verifier", None)] * (not accepted)


@each_call
@each_way
@each_kind
@each_verdict
async def test_an_answer_is_parsed_as_if_its_provider_had_been_asked(
    call: Call, way: str, kind: str, verdict: str, slow: bool, world: World
) -> None:
    script(world, verdict, kind, slow=slow)
    answering = world.cheap if verdict == "accepted" else world.dear
    direct = await asyncio.to_thread(call, answering.url, way)
    made = await asyncio.to_thread(call, f"{world.router.url}/same", way)
    assert made.plain == direct.plain
    await check(world, made, verdict, signs=slow and way != "whole")


@each_call
@pytest.mark.parametrize("way", ["whole", "helper"])
@each_kind
@each_verdict
async def test_an_answer_of_a_draft_in_another_format(
    call: Call, way: str, kind: str, verdict: str, slow: bool, world: World
) -> None:
    script(world, verdict, kind, slow=slow)
    answering = world.cheap if verdict == "accepted" else world.dear
    direct = await asyncio.to_thread(call, answering.url, way)
    made = await asyncio.to_thread(call, f"{world.router.url}/other", way)
    assert gist(call, made.plain) == gist(call, direct.plain)
    await check(world, made, verdict, signs=slow and way != "whole")
    assert world.cheap.requests[-1].path.startswith("/v1beta/models/small:")


@each_call
@each_way
async def test_an_error_after_signs_of_life_is_an_error(
    call: Call, way: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "SIGN_S", 0.05)
    script(world, "rejected", "words", slow=True)
    world.dear.answer = lambda _: whole({"error": {"message": "out of order"}}, status=500)
    sdk = anthropic if call is messages else openai
    with pytest.raises(sdk.APIError, match="out of order") as caught:
        await asyncio.to_thread(call, f"{world.router.url}/same", way)
    assert CANARY not in str(caught.value)
    assert ("dear/large" in str(caught.value)) == (way != "whole")  # within a stream it can only be the router's own
    assert await world.calls() == [("draft", "rejected"), ("verifier", None)]
