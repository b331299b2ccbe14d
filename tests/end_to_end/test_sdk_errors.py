"""Errors through the official SDKs: the class and text a client sees are those the provider, or the router, means."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, NamedTuple

import anthropic
import openai
import pytest
import pytest_asyncio

from tests.support.aftermath import leaving_nothing
from tests.support.answers import chat_chunks, encoded, messages_events, response_events
from tests.support.asking import ONE_CALL
from tests.support.provider import SSE, Close, End, FakeProvider, Pause, Reset, Send, Status, Step, whole
from tests.support.sdk import claude, gpt
from tests.support.serving import Running, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLAUDE = f'[default]\nto = "anthropic"\n{ONE_CALL}'
GPT = f'[default]\nto = "openai"\n{ONE_CALL}'
NARROW = '[providers.openai]\nformats = ["openai-chat"]\n\n[default]\nto = "openai"\n'
MESSAGES: Any = [{"role": "user", "content": "hi"}]


class World(NamedTuple):
    router: Running
    provider: FakeProvider

    async def last_row(self) -> dict[str, Any]:
        return (await self.router.rows())[-1]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with FakeProvider() as provider:
        profiles = {"claude": CLAUDE, "gpt": GPT, "narrow": NARROW}
        addresses = {"anthropic": provider.url, "openai": provider.url}
        async with (
            serving(tmp_path_factory.mktemp("errors") / "home", profiles, providers=addresses) as router,
            leaving_nothing(router),
        ):
            yield World(router, provider)


def messages(base: str, **options: Any) -> Any:
    with claude(base) as client:
        made = client.messages.create(model="m", max_tokens=9, messages=MESSAGES, **options)
        return list(made) if options.get("stream") else made


def chat(base: str, **options: Any) -> Any:
    with gpt(base) as client:
        made = client.chat.completions.create(model="m", messages=MESSAGES, **options)
        return list(made) if options.get("stream") else made


def responses(base: str, **options: Any) -> Any:
    with gpt(base) as client:
        made = client.responses.create(model="m", input="hi", **options)
        return list(made) if options.get("stream") else made


CALLS = [
    pytest.param(messages, "claude", anthropic, id="messages"),
    pytest.param(chat, "gpt", openai, id="chat"),
    pytest.param(responses, "gpt", openai, id="responses"),
]
STATUSES = [
    pytest.param(400, "invalid_request_error", "BadRequestError", "client-error", id="400"),
    pytest.param(404, "not_found_error", "NotFoundError", "client-error", id="404"),
    pytest.param(413, "request_too_large", None, "client-error", id="413"),
    pytest.param(422, "invalid_request_error", "UnprocessableEntityError", "client-error", id="422"),
    pytest.param(429, "rate_limit_error", "RateLimitError", "upstream-error", id="429"),
    pytest.param(500, "api_error", "InternalServerError", "upstream-error", id="500"),
    pytest.param(529, "overloaded_error", None, "upstream-error", id="529"),
]


def error_body(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message, "code": None, "param": None}}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("status", "kind", "name", "outcome"), STATUSES)
@pytest.mark.parametrize(("call", "profile", "sdk"), CALLS)
async def test_a_providers_error_is_the_error_the_sdk_raises(
    call: Any,
    profile: str,
    sdk: Any,
    status: int,
    kind: str,
    name: str | None,
    outcome: str,
    stream: bool,
    world: World,
) -> None:
    world.provider.answer = lambda request: whole(error_body(kind, f"no: {status}"), status=status)
    raised = []
    for base in (world.provider.url, f"{world.router.url}/{profile}"):
        with pytest.raises(sdk.APIStatusError) as caught:
            await asyncio.to_thread(call, base, stream=stream)
        raised.append(caught.value)
    direct, through = raised
    assert type(through) is type(direct)
    assert name is None or type(through) is getattr(sdk, name)
    assert (through.status_code, through.body) == (direct.status_code, direct.body)
    assert f"no: {status}" in str(through)
    row = await world.last_row()
    assert (row["outcome"], row["status"]) == (outcome, status)
    assert row["attempts"] == 1


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(("call", "profile", "sdk"), CALLS)
async def test_a_refused_key_of_ours_is_no_invitation_to_log_in(
    call: Any, profile: str, sdk: Any, status: int, world: World
) -> None:
    world.provider.answer = lambda request: whole(
        error_body("authentication_error", "bad sk-provider-canary"), status=status
    )
    with pytest.raises(sdk.PermissionDeniedError, match="the router's key was refused") as caught:
        await asyncio.to_thread(call, f"{world.router.url}/{profile}")
    assert "canary" not in str(caught.value)
    row = await world.last_row()
    assert (row["outcome"], row["error_class"]) == ("upstream-error", "auth")


REFUSALS: list[Any] = [
    pytest.param(
        messages, "nobody", anthropic.NotFoundError, "no profile is served under /nobody", id="unknown profile"
    ),
    pytest.param(
        partial(messages, tools=[{"type": "web_search_20250305", "name": "web_search"}]),
        "narrow",
        anthropic.BadRequestError,
        r"can.{1,3}t be translated to openai-chat for openai/m: tools\[0\]",
        id="what the target's format has no words for",
    ),
    pytest.param(
        partial(responses, previous_response_id="resp_1"),
        "narrow",
        openai.NotFoundError,
        "no response of this id",
        id="a response that nobody keeps",
    ),
    pytest.param(chat, "nobody", openai.NotFoundError, "no profile is served under /nobody", id="unknown, openai"),
]


@pytest.mark.parametrize(("call", "profile", "error", "message"), REFUSALS)
async def test_the_routers_own_refusals_are_errors_of_the_sdk(
    call: Any, profile: str, error: type[Exception], message: str, world: World
) -> None:
    before = len(world.provider.requests)
    with pytest.raises(error, match=message):
        await asyncio.to_thread(call, f"{world.router.url}/{profile}")
    assert len(world.provider.requests) == before


@pytest.mark.parametrize(("call", "profile", "sdk"), CALLS)
async def test_a_provider_that_cant_be_reached_is_an_internal_server_error(
    call: Any, profile: str, sdk: Any, world: World
) -> None:
    world.provider.answer = lambda request: [Reset()]
    with pytest.raises(sdk.InternalServerError, match=r"the call failed before an answer|can't connect") as caught:
        await asyncio.to_thread(call, f"{world.router.url}/{profile}")
    assert caught.value.status_code == 502
    assert f"profile {profile}, rule default" in str(caught.value)


# --- streams that fail ------------------------------------------------------------------------------------------------

EVENTS: dict[str, list[bytes]] = {
    "messages": messages_events("m"),
    "chat": chat_chunks("m", usage=True),
    "responses": response_events("m"),
}
CUT_AT = {"messages": 5, "chat": 3, "responses": 5}  # after some text, before the end


def broken_off(name: str, how: list[Step]) -> Callable[[Any], list[Step]]:
    sent = [Send(event) for event in EVENTS[name][: CUT_AT[name]]]
    return lambda request: [Status(200, SSE), *sent, Pause(0.01), *how]


@pytest.mark.parametrize("how", [[Close()], [Reset()], [End()]], ids=["FIN", "RST", "an end too soon"])
@pytest.mark.parametrize(("call", "profile", "sdk"), CALLS)
async def test_a_stream_that_breaks_off_raises(
    call: Any, profile: str, sdk: Any, how: list[Step], world: World
) -> None:
    world.provider.answer = broken_off(call.__name__, how)
    with pytest.raises(sdk.APIError, match=r"broke off|ended before the answer did"):
        await asyncio.to_thread(call, f"{world.router.url}/{profile}", stream=True)
    row = await world.last_row()
    assert (row["outcome"], row["error_class"]) == ("partial", "broken-stream")


@pytest.mark.parametrize(("call", "profile", "sdk"), CALLS)
async def test_an_error_event_after_content_is_the_providers_own(
    call: Any, profile: str, sdk: Any, world: World
) -> None:
    event = {
        "messages": b"event: error\ndata: %s\n\n" % encoded(error_body("overloaded_error", "too much")),
        "chat": b"data: %s\n\n" % encoded({"error": {"message": "too much", "code": 503}}),
        "responses": b"event: error\ndata: %s\n\n"
        % encoded(
            {"type": "error", "code": "server_error", "message": "too much", "param": None, "sequence_number": 9}
        ),
    }[call.__name__]
    world.provider.answer = broken_off(call.__name__, [Send(event), End()])
    errors = []
    for base in (world.provider.url, f"{world.router.url}/{profile}"):
        try:
            errors.append(await asyncio.to_thread(call, base, stream=True))
        except sdk.APIError as error:
            errors.append((type(error), str(error)))
    assert errors[0] == errors[1]
    assert "too much" in str(errors[1])
    row = await world.last_row()
    assert row["outcome"] == "partial"


@pytest.mark.parametrize(("call", "profile", "sdk"), CALLS)
async def test_an_error_event_before_content_is_an_ordinary_error(
    call: Any, profile: str, sdk: Any, world: World
) -> None:
    start = EVENTS[call.__name__][0]
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "message": "Overloaded"}
    frame = b"data: %s\n\n" if call is chat else b"event: error\ndata: %s\n\n"
    world.provider.answer = lambda request: [Status(200, SSE), Send(start), Send(frame % encoded(error)), End()]
    with pytest.raises(sdk.APIStatusError, match="Overloaded") as caught:
        await asyncio.to_thread(call, f"{world.router.url}/{profile}", stream=True)
    assert caught.value.status_code == 503
    row = await world.last_row()
    assert (row["outcome"], row["error_class"]) == ("upstream-error", "overloaded")


async def test_a_wrong_body_is_refused_in_the_clients_format_and_leaves_a_row_only_if_it_was_json(world: World) -> None:
    before = len(await world.router.rows())
    async with world.router.post("/claude/v1/messages", data=b'{"model": 5, "messages": []}') as reply:
        assert reply.status == 400
        assert json.loads(await reply.read())["error"]["type"] == "invalid_request_error"
    rows = await world.router.rows()
    assert [row["outcome"] for row in rows[before:]] == ["refused"]
    async with world.router.post("/claude/v1/messages", data=b"{not json") as reply:
        assert reply.status == 400
    assert len(await world.router.rows()) == before + 1


class Faulty:
    """Stands for the part that calls providers, with a mistake in it."""

    async def send(self, call: object) -> object:
        raise LookupError("a mistake")


async def test_a_fault_of_the_router_itself_is_answered_recorded_and_logged_as_one(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    services: Any = world.router.app.services
    sound, services.upstream = services.upstream, Faulty()
    try:
        with pytest.raises(anthropic.InternalServerError, match="internal error of the router") as caught:
            await asyncio.to_thread(messages, f"{world.router.url}/claude")
    finally:
        services.upstream = sound
    assert "mistake" not in str(caught.value)
    assert "LookupError: a mistake" in caplog.text
    row = await world.last_row()
    assert (row["outcome"], row["status"], row["error_class"]) == ("refused", 500, "internal")
