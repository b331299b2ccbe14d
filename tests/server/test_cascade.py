"""Cascades: a draft is held back whole, judged, and is the client's answer or nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from router.routing.rules import Target
from router.server import outgoing
from router.wire.formats import CODECS
from router.wire.request import Api
from tests.support.aftermath import Aftermath, aftermath
from tests.support.asking import FORMATS, MESSAGES, Format, opening
from tests.support.provider import Answer, Close, FakeProvider, Pause, Reset, Stall, Step, whole
from tests.support.raw import RawClient, RawReply, ask, request
from tests.support.saying import calling, saying, text
from tests.support.serving import ALL_FORMATS, Running, serving

pytestmark = pytest.mark.sampled(4)

PROFILE = """
[retry]
backoff = "1ms"

[[rule]]
name = "drafted"
match = { always = true }
target = "dear/large"
cascade = { draft = "cheap/small", threshold = 0.7, risky-tools = ["*delete*"] }

[prices."cheap/small"]
input = 1.0
output = 5.0
[prices."dear/large"]
input = 3.0
output = 15.0
"""

MESSAGES_CODEC = CODECS["anthropic-messages"]
CANARY = "Quincunx"
GOOD = text(f"Lisbon is the capital of Portugal. {CANARY}.")
BAD = text(f"I'm sorry, but I can't help with that request. {CANARY}.")
FINAL = text("The capital of Portugal is Lisbon.")
ASKED = "What is the capital of Portugal?"

TOOLS = {
    "tools": [
        {
            "name": name,
            "description": "d",
            "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
        }
        for name in ("read_file", "delete_file")
    ]
}


class World(NamedTuple):
    """A router, the provider of the draft, and that of the verifier."""

    router: Running
    cheap: FakeProvider
    dear: FakeProvider


@asynccontextmanager
async def world(
    home: Path, draft: Answer, *, formats: tuple[str, ...] = ALL_FORMATS, profile: str = PROFILE, **options: Any
) -> AsyncIterator[World]:
    """The draft's provider speaks ``formats``."""
    async with FakeProvider(draft) as cheap, FakeProvider(saying(FINAL)) as dear:
        home.mkdir(mode=0o700)
        home.joinpath("providers.toml").write_text(
            f'[cheap]\nbase-url = "{cheap.url}"\nformats = {list(formats)}\napi-key = "env:TEST_KEY"\n'
            f'[dear]\nbase-url = "{dear.url}"\nformats = {list(ALL_FORMATS)}\napi-key = "env:OTHER_KEY"\n'
        )
        async with serving(home, {"work": profile}, **options) as router:
            yield World(router, cheap, dear)


def question(form: Format, *, stream: bool, **more: Any) -> bytes:
    """``ASKED``, in a format."""
    path, body = form.request(stream=stream)
    return request("POST", f"/work{path}", json.dumps({**json.loads(body), **_worded(form), **more}).encode())


def _worded(form: Format) -> dict[str, Any]:
    if form.name == "gemini":
        return {"contents": [{"role": "user", "parts": [{"text": ASKED}]}]}
    if form.name == "openai-responses":
        return {"input": ASKED}
    return {"messages": [{"role": "user", "content": ASKED}]} | (
        {"max_tokens": 900} if "max_tokens" in form.body else {}
    )


async def asked(
    world: World, form: Format = MESSAGES, *, stream: bool = False, **more: Any
) -> tuple[RawReply, Aftermath]:
    async with aftermath(world.router, world.cheap, world.dear) as after:
        reply = await ask(world.router.url, question(form, stream=stream, **more))
    return reply, after


def words(form: Format, body: bytes, *, stream: bool) -> str:
    """The text that a client of the format reads."""
    decoder = CODECS[_api(form)].decoder()
    events = decoder.feed(body) + decoder.finish() if stream else decoder.whole(body)
    return "".join(getattr(event, "text", "") for event in events)


def _api(form: Format) -> Api:
    return form.name  # type: ignore[return-value]  # formats are called by the API's name


def of_calls(after: Aftermath, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(attempt[name] for name in names) for attempt in after.attempts]


@pytest.mark.parametrize(
    "speaks", [ALL_FORMATS, ("openai-chat",), ("anthropic-messages",)], ids=["same", "chat", "messages"]
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
@pytest.mark.sampled(8)
async def test_a_good_draft_is_the_answer(form: Format, stream: bool, speaks: tuple[str, ...], tmp_path: Path) -> None:
    async with world(tmp_path / "home", saying(GOOD), formats=speaks) as found:
        reply, after = await asked(found, form, stream=stream)
        assert (reply.status, reply.whole) == (200, True)
        assert words(form, reply.body, stream=stream) == f"Lisbon is the capital of Portugal. {CANARY}."
        assert (reply.headers["x-router-provider"], reply.headers["x-router-model"]) == ("cheap", "small")
        assert found.dear.requests == []
        assert of_calls(after, "role", "provider", "model", "verdict") == [("draft", "cheap", "small", "accepted")]
        cost, instead = 100 * 1000 + 20 * 5000, 100 * 3000 + 20 * 15000
        assert of_calls(after, "cost_nano_usd", "saving_nano_usd") == [(cost, instead - cost)]
        assert (after.told, after.row["cost_nano_usd"]) == (("ok", None), cost)
        assert (after.row["rule"], after.row["provider"]) == ("drafted → dear", "cheap")
        assert "draft: cheap/small accepted, score 1 of 0.7" in after.row["trace"]


@pytest.mark.parametrize(
    "speaks", [ALL_FORMATS, ("openai-chat",), ("anthropic-messages",)], ids=["same", "chat", "messages"]
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
@pytest.mark.sampled(8)
async def test_nothing_is_seen_of_a_bad_draft(
    form: Format, stream: bool, speaks: tuple[str, ...], tmp_path: Path
) -> None:
    async with world(tmp_path / "home", saying(BAD), formats=speaks) as found:
        reply, after = await asked(found, form, stream=stream)
        assert (reply.status, reply.whole) == (200, True)
        assert words(form, reply.body, stream=stream) == "The capital of Portugal is Lisbon."
        assert CANARY.encode() not in reply.raw
        assert b"sorry" not in reply.raw
        assert (reply.headers["x-router-provider"], reply.headers["x-router-attempts"]) == ("dear", "2")
        assert of_calls(after, "role", "provider", "verdict") == [
            ("draft", "cheap", "rejected"),
            ("verifier", "dear", None),
        ]
        draft, verifier = 100 * 1000 + 20 * 5000, 100 * 3000 + 20 * 15000
        assert of_calls(after, "cost_nano_usd", "saving_nano_usd") == [(draft, -draft), (verifier, None)]
        assert after.row["cost_nano_usd"] == draft + verifier
        assert after.attempts[0]["error_class"] is None
        assert "cheap/small rejected, score" in after.row["trace"]
        assert CANARY not in after.row["trace"]


ERROR = MESSAGES_CODEC.error_event("api_error", "no")
FAULTS: list[Any] = [
    pytest.param(lambda: [Reset()], "connect", id="reset before a byte"),
    pytest.param(lambda: whole({"error": {"message": "no"}}, status=500), "server", id="500"),
    pytest.param(lambda: whole({"error": {"message": "no"}}, status=400), "bad-request", id="400"),
    pytest.param(lambda: whole({"error": {"message": "no"}}, status=429), "rate", id="429"),
    pytest.param(lambda: whole({"error": {"message": "no"}}, status=401), "auth", id="401"),
    pytest.param(lambda: [*opening(*MESSAGES.events()[:-1]), Close()], "broken-start", id="cut behind its content"),
    pytest.param(lambda: opening(*MESSAGES.events()[:-2], ERROR), "broken-start", id="an error in the middle"),
]  # fmt: skip


@pytest.mark.parametrize(("steps", "error_class"), FAULTS)
async def test_a_draft_that_fails_is_asked_for_once(
    steps: Callable[[], list[Step]], error_class: str, tmp_path: Path
) -> None:
    async with world(tmp_path / "home", lambda _: steps()) as found:
        reply, after = await asked(found, stream=True)
        assert (reply.status, words(MESSAGES, reply.body, stream=True)) == (200, "The capital of Portugal is Lisbon.")
        assert of_calls(after, "role", "error_class", "verdict") == [
            ("draft", error_class, None),
            ("verifier", None, None),
        ]
        assert "draft: cheap/small failed: " in after.row["trace"]


async def test_the_verifier_has_all_the_tries_it_has_without_a_draft(tmp_path: Path) -> None:
    async with world(tmp_path / "home", saying(BAD)) as found:
        found.dear.answer = lambda _: whole({"error": {"message": "no"}}, status=500)
        reply, after = await asked(found)
        assert (reply.status, reply.headers["x-should-retry"]) == (500, "false")
        assert [role for (role,) in of_calls(after, "role")] == ["draft", "verifier", "retry"]
        assert after.told == ("upstream-error", "server")
        assert CANARY.encode() not in reply.raw


async def test_a_draft_that_cannot_be_called_is_passed_over(tmp_path: Path) -> None:
    profile = PROFILE + '[models."cheap/small"]\ntools = false\n'
    async with world(tmp_path / "home", saying(GOOD), profile=profile) as found:
        reply, after = await asked(found, **TOOLS)
        assert reply.headers["x-router-provider"] == "dear"
        assert of_calls(after, "role") == [("primary",)]
        assert "passed over: cheap/small: it can't use tools" in after.row["trace"]
        assert found.cheap.requests == []


async def test_a_request_that_could_not_be_judged_has_no_draft(tmp_path: Path) -> None:
    async with world(tmp_path / "home", saying(GOOD)) as found:
        reply, after = await asked(found, messages=[{"role": "user", "content": 5}])
        assert (reply.status, reply.headers["x-router-provider"]) == (200, "dear")
        assert of_calls(after, "role") == [("primary",)]
        assert found.cheap.requests == []
        assert "draft: not asked for, it couldn't be judged: " in after.row["trace"]


async def test_a_request_that_continues_a_reply_has_no_draft(tmp_path: Path) -> None:
    async with world(tmp_path / "home", saying(GOOD)) as found:
        form = next(form for form in FORMATS if form.name == "openai-responses")
        _, after = await asked(found, form, previous_response_id="resp_x")
        assert of_calls(after, "role") == [("primary",)]
        assert "only its provider knows" in after.row["trace"]


async def test_tool_calls_of_a_draft(tmp_path: Path) -> None:
    async with world(tmp_path / "home", saying(calling("read_file", {"path": "a.py"}))) as found:
        for stream in (False, True):
            reply, after = await asked(found, stream=stream, **TOOLS)
            assert reply.headers["x-router-provider"] == "cheap"
            assert b"read_file" in reply.body
            found.dear.answer = saying(calling("read_file", {"path": "b.py"}))
        for call, reason in (
            (("delete_file", {"path": "a.py"}), "risk"),
            (("read_file", {"file": "a.py"}), "tools"),
            (("write_file", {"path": "a.py"}), "tools"),
        ):
            found.cheap.answer = saying(calling(*call))
            reply, after = await asked(found, stream=True, **TOOLS)
            assert reply.headers["x-router-provider"] == "dear"
            assert (b"b.py" in reply.body, b"a.py" in reply.raw) == (True, False)
            assert f"{reason} 0:" in after.row["trace"]


async def signs_of(world: World, form: Format, finish: asyncio.Event) -> tuple[bytes, RawReply]:
    """What a client has read before ``finish`` is set, and the whole reply."""
    async with RawClient(world.router.url) as client:
        await client.send(question(form, stream=True))
        await asyncio.sleep(0.5)
        early = bytes(client.reader._buffer)  # type: ignore[attr-defined]  # read, but left for the reply
        finish.set()
        return early, await client.reply()


@pytest.mark.slow
@pytest.mark.parametrize("verdict", ["accepted", "rejected"])
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
@pytest.mark.sampled(8)
async def test_a_client_that_waits_is_told_so(
    form: Format, verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "SIGN_S", 0.1)
    finish = asyncio.Event()
    answers = saying(GOOD if verdict == "accepted" else BAD)

    def slow(received: Any) -> list[Step]:
        first, *rest = answers(received)
        return [first, rest[0], Pause(finish), *rest[1:]]

    async with world(tmp_path / "home", slow) as found:
        async with aftermath(found.router, found.cheap, found.dear) as after:
            early, reply = await signs_of(found, form, finish)
        sign = CODECS[_api(form)].keep_alive
        if sign:
            assert early.count(sign) >= 2
            assert b"x-router-provider: cascade" in early
            assert CANARY.encode() not in early
            assert reply.headers["x-router-model"] == ""
        else:
            assert early == b""
        assert (reply.status, reply.whole) == (200, True)
        answer = (
            f"Lisbon is the capital of Portugal. {CANARY}."
            if verdict == "accepted"
            else "The capital of Portugal is Lisbon."
        )
        assert words(form, reply.body, stream=True) == answer
        assert (CANARY.encode() in reply.raw) == (verdict == "accepted")
        assert after.row["provider"] == ("cheap" if verdict == "accepted" else "dear")
        assert reply.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize(
    "form", [form for form in FORMATS if CODECS[_api(form)].keep_alive], ids=lambda form: form.name
)
@pytest.mark.slow
async def test_a_failure_after_signs_of_life_is_told_in_the_stream(
    form: Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "SIGN_S", 0.05)
    bad = saying(BAD)
    async with world(tmp_path / "home", lambda received: [Pause(0.3), *bad(received)]) as found:
        found.dear.answer = lambda _: whole({"error": {"message": "out of order"}}, status=500)
        reply, after = await asked(found, form, stream=True)
        assert (reply.status, reply.whole) == (200, False)
        assert b"out of order" in reply.body
        assert CANARY.encode() not in reply.raw
        assert after.told == ("upstream-error", "server")
        assert [role for (role,) in of_calls(after, "role")] == ["draft", "verifier", "retry"]


async def test_a_client_that_leaves_while_drafting_ends_the_call(tmp_path: Path) -> None:
    async with world(tmp_path / "home", lambda _: [*opening(*MESSAGES.events()[:3]), Stall()]) as found:
        async with aftermath(found.router, found.cheap, found.dear) as after:
            async with RawClient(found.router.url) as client:
                await client.send(question(MESSAGES, stream=True))
                while not found.cheap.requests:
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.1)
            async with asyncio.timeout(10):
                await found.cheap.requests[0].closed.wait()
        assert after.told == ("client-gone", None)
        assert of_calls(after, "role", "verdict", "maybe_billed") == [("draft", None, 1)]


@pytest.mark.slow
async def test_a_silent_draft_is_left_for_the_verifier(tmp_path: Path) -> None:
    profile = PROFILE + '[timeouts]\nfirst-event = "200ms"\nidle = "200ms"\n'
    for steps in ([Stall()], [*opening(*MESSAGES.events()[:3]), Stall()]):
        home = tmp_path / str(len(steps))
        async with world(home, lambda _, steps=steps: steps, profile=profile) as found:
            reply, after = await asked(found, stream=True)
            assert words(MESSAGES, reply.body, stream=True) == "The capital of Portugal is Lisbon."
            assert of_calls(after, "role", "maybe_billed") == [("draft", 1), ("verifier", 0)]


@pytest.mark.slow
async def test_drafts_open_breakers_like_other_calls(tmp_path: Path) -> None:
    def failing(_: Any) -> list[Step]:
        return whole({"error": {"message": "no"}}, status=500)

    async with world(tmp_path / "home", failing, resentful=True) as found:
        for _ in range(5):
            reply, after = await asked(found)
            assert reply.headers["x-router-provider"] == "dear"
        assert len(found.cheap.requests) == 3
        assert of_calls(after, "role") == [("primary",)]
        assert "passed over: cheap/small: it keeps failing" in after.row["trace"]


async def test_unknown_prices_save_an_unknown_amount(tmp_path: Path) -> None:
    profile = PROFILE[: PROFILE.index('[prices."dear/large"]')]
    async with world(tmp_path / "home", saying(GOOD), profile=profile) as found:
        _, after = await asked(found)
        assert of_calls(after, "cost_nano_usd", "saving_nano_usd") == [(200_000, None)]
        unmeasured = {"type": "message", "role": "assistant", "id": "m", "model": "m", "stop_reason": "end_turn"}
        found.cheap.answer = lambda _: whole({**unmeasured, "content": [{"type": "text", "text": "I can't do that."}]})
        _, after = await asked(found)
        assert of_calls(after, "role", "cost_nano_usd", "saving_nano_usd") == [
            ("draft", None, None),
            ("verifier", None, None),
        ]


async def test_a_rejected_draft_of_unknown_price_makes_the_request_one(tmp_path: Path) -> None:
    profile = PROFILE.replace('[prices."cheap/small"]', '[prices."cheap/other"]')
    async with world(tmp_path / "home", saying(BAD), profile=profile) as found:
        _, after = await asked(found)
        assert of_calls(after, "cost_nano_usd", "saving_nano_usd") == [(None, None), (600_000, None)]
        assert after.row["cost_nano_usd"] is None


async def test_a_pinned_or_named_model_has_no_draft(tmp_path: Path) -> None:
    async with world(tmp_path / "home", saying(GOOD)) as found:
        reply, after = await asked(found, model="dear:large")
        assert reply.headers["x-router-provider"] == "dear"
        assert (of_calls(after, "role"), after.row["trace"]) == ([("primary",)], None)


async def test_counting_tokens_drafts_nothing(tmp_path: Path) -> None:
    async with world(tmp_path / "home", saying(GOOD)) as found:
        body = {"model": "m", "messages": [{"role": "user", "content": ASKED}]}
        async with found.router.post("/work/v1/messages/count_tokens", json=body) as reply:
            assert reply.status == 200
        [row] = await found.router.rows()
        assert (row["kind"], row["attempts"]) == ("count", len(await found.router.rows("attempts")))
        assert "draft" not in {call["role"] for call in await found.router.rows("attempts")}


async def test_a_conversation_that_was_drafted_stays_at_home(tmp_path: Path) -> None:
    async with world(tmp_path / "home", saying(GOOD)) as found:
        for draft in (GOOD, BAD, GOOD):
            found.cheap.answer = saying(draft)
            async with found.router.post("/work/v1/messages", data=_body(), headers={"x-session-id": "s"}) as reply:
                assert reply.status == 200
        await found.router.flush()
        [tenant] = found.router.app.tenants
        assert {tenant.target_of(row["conversation"]) for row in await found.router.rows()} == {Target("dear", "large")}


def _body() -> bytes:
    return question(MESSAGES, stream=False).partition(b"\r\n\r\n")[2]
