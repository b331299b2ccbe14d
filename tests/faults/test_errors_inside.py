"""Errors told inside a reply whose status says success: what follows is decided by what they say, not by the 200."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.aftermath import aftermath
from tests.support.answers import answer, encoded, messages_events
from tests.support.asking import BY_NAME, CHAT, FORMATS, GEMINI, MESSAGES, RESPONSES, Format
from tests.support.provider import FakeProvider, Received, Step, stream, whole
from tests.support.raw import ask, request
from tests.support.recorded import cases
from tests.support.serving import ENVIRON, serving
from tests.support.targets import QUICK, failing, says, story, targets


class Told(NamedTuple):
    """An error as a provider tells it inside a stream of its format: events without content, then the error."""

    form: Format
    error_class: str
    error: dict[str, Any]
    before: bytes = b""
    failed: bool = False  # Responses: as the end of the response rather than as an event of its own

    @property
    def events(self) -> bytes:
        match self.form.name:
            case "anthropic-messages":
                event = {"type": "error", "error": self.error, "request_id": "req_1"}
                return self.before + b"event: error\ndata: %s\n\n" % encoded(event)
            case "openai-chat":
                return self.before + b"data: %s\n\n" % encoded({"error": self.error})
            case "openai-responses" if self.failed:
                response = {"id": "resp_1", "object": "response", "status": "failed", "error": self.error, "output": []}
                event = {"type": "response.failed", "sequence_number": 3, "response": response}
                return self.before + b"event: response.failed\ndata: %s\n\n" % encoded(event)
            case "openai-responses":
                event = {"type": "error", "sequence_number": 2, "param": None, **self.error}
                return self.before + b"event: error\ndata: %s\n\n" % encoded(event)
            case _:
                return self.before + b"data: %s\r\n\r\n" % encoded({"error": self.error})

    @property
    def whole(self) -> dict[str, Any]:
        """The same as a reply that isn't streamed."""
        if self.failed:
            return {"id": "resp_1", "object": "response", "status": "failed", "error": self.error, "output": []}
        return {"type": "error", "error": self.error} if self.form is MESSAGES else {"error": self.error}


START = messages_events("model-1")[0]
ROLE = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant",' \
    b'"content":""},"finish_reason":null}]}\n\n'  # fmt: skip
QUOTA = next(case for case in cases() if case.id == "openai-responses.openai.openai-error-1-stream").reply


TOLD: list[Any] = [
    pytest.param(Told(form, error_class, error, before, failed), id=told)
    for told, form, error_class, error, before, failed in [
        *(
            (f"Anthropic: {kind}", MESSAGES, error_class, {"type": kind, "message": message}, START, False)
            for kind, error_class, message in [
                ("overloaded_error", "overloaded", "Overloaded"),
                ("rate_limit_error", "rate", "This request would exceed your organization's rate limit."),
                ("billing_error", "quota", "Your credit balance is too low to access the Anthropic API."),
                ("authentication_error", "auth", "invalid x-api-key"),
                ("permission_error", "auth", "Your API key does not have permission to use this resource."),
                ("not_found_error", "not-found", "model: claude-opus-9"),
                ("timeout_error", "timeout", "Request timed out"),
                ("invalid_request_error", "bad-request", "messages: at least one message is required"),
                ("api_error", "broken-start", "Internal server error"),
            ]
        ),
        ("Anthropic: too long", MESSAGES, "context-length",
         {"type": "invalid_request_error", "message": "prompt is too long: 203456 tokens > 200000 maximum"}, START,
         False),
        ("Anthropic: filtered", MESSAGES, "content-filter",
         {"type": "invalid_request_error", "message": "Output blocked by content filtering policy"}, START, False),
        *(
            (f"OpenRouter: {code}", CHAT, error_class, {"code": code, "message": message}, ROLE, False)
            for code, error_class, message in [
                (400, "bad-request", "Invalid value for 'messages'"),
                (401, "auth", "User not found."),
                (402, "quota", "Insufficient credits."),
                (403, "content-filter", "Input flagged by moderation"),
                (404, "not-found", "No endpoints found for a/b"),
                (408, "timeout", "Request timed out"),
                (429, "rate", "Provider returned error"),
                (502, "broken-start", "Provider returned error"),
                (503, "overloaded", "No instances available"),
            ]
        ),
        ("OpenAI: its own fault", CHAT, "broken-start",
         {"message": "The server had an error while processing your request. Sorry about that!", "type": "server_error",
          "param": None, "code": None}, b"", False),
        ("vLLM: too long", CHAT, "context-length",
         {"object": "error", "message": "This model's maximum context length is 8192 tokens. However, you requested "
          "9000 tokens", "type": "BadRequestError", "param": None, "code": 400}, b"", False),
        ("DeepSeek: nothing to pay with", CHAT, "quota",
         {"message": "Insufficient Balance", "type": "unknown_error", "param": None, "code": "invalid_request_error"},
         ROLE, False),
        *(
            (f"Responses: {code}", RESPONSES, error_class, {"code": code, "message": message}, b"", failed)
            for code, error_class, message, failed in [
                ("rate_limit_exceeded", "rate", "Rate limit reached for gpt-5.1 in organization org-1 on tokens per "
                 "min (TPM): Limit 30000, Used 22999, Requested 12528. Please try again in 11.054s.", True),
                ("context_length_exceeded", "context-length", "Your input exceeds the context window of this model. "
                 "Please adjust your input and try again.", True),
                ("server_is_overloaded", "overloaded", "Our servers are currently overloaded.", True),
                ("slow_down", "overloaded", "Please slow down.", False),
                ("invalid_prompt", "bad-request", "Invalid prompt.", True),
                ("model_not_found", "not-found", "The requested model 'gpt-9' does not exist.", False),
                ("server_error", "broken-start", "The server had an error processing your request.", True),
                ("invalid_api_key", "auth", "Incorrect API key provided.", False),
            ]
        ),
        *(
            (f"Google: {status}", GEMINI, error_class, {"code": code, "message": message, "status": status, **more},
             b"", False)
            for code, status, error_class, message, more in [
                (503, "UNAVAILABLE", "overloaded", "The model is overloaded. Please try again later.", {}),
                (429, "RESOURCE_EXHAUSTED", "rate", "Resource has been exhausted (e.g. check quota).",
                 {"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}]}),
                (504, "DEADLINE_EXCEEDED", "timeout", "Deadline expired before operation could complete.", {}),
                (403, "PERMISSION_DENIED", "auth", "The caller does not have permission", {}),
                (404, "NOT_FOUND", "not-found", "models/x is not found for API version v1beta", {}),
                (400, "INVALID_ARGUMENT", "bad-request", "Request contains an invalid argument.", {}),
                (500, "INTERNAL", "broken-start", "An internal error has occurred.", {}),
            ]
        ),
        ("Google: too long", GEMINI, "context-length",
         {"code": 400, "message": "The input token count (1200000) exceeds the maximum number of tokens allowed "
          "(1048576).", "status": "INVALID_ARGUMENT"}, b"", False),
    ]
]  # fmt: skip

TWICE = {"overloaded", "broken-start"}  # the same target once more
NOBODY = {"bad-request", "content-filter", "context-length"}  # nobody else, or none whose window isn't larger
MAYBE_BILLED = {"timeout", "broken-start", "soft"}
STATUSES = {
    "overloaded": 503, "rate": 429, "quota": 429, "auth": 403, "not-found": 404, "timeout": 504, "bad-request": 400,
    "context-length": 400, "content-filter": 400, "broken-start": 502,
}  # fmt: skip


def calls_of_one(error_class: str) -> list[tuple[str, str, str]]:
    """The calls that are made of the first target, in the ledger's words."""
    return [("primary", "one", error_class), ("retry", "one", error_class)][: 2 if error_class in TWICE else 1]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("told", TOLD)
async def test_a_stream_that_begins_with_an_error_is_followed_by_what_it_says(told: Told, tmp_path: Path) -> None:
    form, error_class = told.form, told.error_class
    async with targets(tmp_path / "home") as world:
        world.one.answer = lambda received: stream(told.events)
        reply, after = await world.asked(form, stream=True)
    calls = calls_of_one(error_class)
    assert [bool(call["maybe_billed"]) for call in after.attempts[: len(calls)]] == [error_class in MAYBE_BILLED] * len(
        calls
    )
    if error_class in NOBODY:
        assert story(after) == calls
        assert reply.status == STATUSES[error_class]
        assert reply.headers["x-should-retry"] == "false"
        assert told.error["message"] in form.error_of(reply.body) or error_class == "context-length"
        assert after.told == ("client-error", error_class)
    else:
        assert story(after) == [*calls, ("fallback", "two", None)]
        assert reply.body == says(form, "model-2", stream=True)
        assert after.told == ("ok", None)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("told", TOLD)
async def test_so_is_a_whole_reply_that_is_an_error(told: Told, tmp_path: Path) -> None:
    error_class = "soft" if told.error_class == "broken-start" else told.error_class
    async with targets(tmp_path / "home") as world:
        world.one.answer = lambda received: whole(told.whole)
        reply, after = await world.asked(told.form)
    if error_class in NOBODY:
        assert story(after) == calls_of_one(error_class)
        assert (reply.status, json.loads(reply.body)) == (200, told.whole), "it is passed on as it is"
        assert after.told == ("upstream-error", error_class)
    else:
        assert story(after) == [*calls_of_one(error_class), ("fallback", "two", None)]
        assert reply.body == says(told.form, "model-2", stream=False)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("told", TOLD)
async def test_and_one_of_another_format(told: Told, streamed: bool, tmp_path: Path) -> None:
    """The client speaks another format than the target that fails."""
    client = FORMATS[(FORMATS.index(told.form) + 1) % len(FORMATS)]
    error_class = told.error_class if streamed or told.error_class != "broken-start" else "soft"
    formats = [[told.form.name], [client.name]]
    async with targets(tmp_path / "home", formats=formats) as world:
        world.one.answer = lambda received: stream(told.events) if streamed else whole(told.whole)
        reply, after = await world.asked(client, stream=streamed)
    if error_class in NOBODY:
        assert story(after) == calls_of_one(error_class)
        assert reply.status == STATUSES[error_class]
        assert client.error_of(reply.body)
    else:
        assert story(after) == [*calls_of_one(error_class), ("fallback", "two", None)]
        assert reply.body == says(client, "model-2", stream=streamed)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("told", TOLD)
async def test_what_nobody_else_can_mend_is_told_with_the_status_of_its_class(told: Told, tmp_path: Path) -> None:
    error_class = told.error_class
    async with targets(tmp_path / "home", count=1) as world:
        world.one.answer = lambda received: stream(told.events)
        reply, after = await world.asked(told.form, stream=True)
    assert reply.status == after.row["status"] == STATUSES[error_class]
    text = told.form.error_of(reply.body)
    assert "profile work, rule default" in text
    if error_class == "auth":
        assert "the router's key was refused" in text
    elif error_class == "context-length":
        assert "prompt is too long" in text, "by which agents know to make room"
    else:
        assert told.error["message"] in text
    limited = reply.status == 429
    assert limited == ("x-should-retry" not in reply.headers)
    assert limited == ("retry-after" in reply.headers)
    assert after.row["outcome"] == (
        "client-error" if error_class in {*NOBODY, "not-found"} else "upstream-error"
    )  # fmt: skip


async def test_the_wait_that_an_error_names_is_the_clients(tmp_path: Path) -> None:
    told = next(param.values[0] for param in TOLD if param.id == "Google: RESOURCE_EXHAUSTED")
    async with targets(tmp_path / "home", resentful=True) as world:
        world.one.answer = world.two.answer = lambda received: stream(told.events)
        reply, after = await world.asked(GEMINI, stream=True)
        assert (reply.status, reply.headers["retry-after"]) == (429, "34")
        assert len(after.attempts) == 2
        reply, after = await world.asked(GEMINI, stream=True)
        assert (reply.status, after.attempts) == (429, []), "both are left alone for that long"
        assert 30 <= int(reply.headers["retry-after"]) <= 34


async def test_what_was_recorded_at_openai_is_a_spent_account(tmp_path: Path) -> None:
    async with targets(tmp_path / "home", resentful=True) as world:
        world.one.answer = lambda received: stream(QUOTA)
        for calls in (2, 1):
            reply, after = await world.asked(RESPONSES, stream=True)
            assert (reply.headers["x-router-provider"], len(after.attempts)) == ("two", calls)
        [row] = await world.router.rows("attempts", "error_class IS NOT NULL")
        assert (row["error_class"], row["cost_nano_usd"]) == ("quota", 0)


async def test_a_choice_that_openrouter_finishes_with_an_error_is_no_answer(tmp_path: Path) -> None:
    chunk = {
        "id": "gen-1", "object": "chat.completion.chunk", "provider": "OpenAI", "model": "model-1",
        "error": {"code": 429, "message": "Rate limit exceeded"},
        "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error", "native_finish_reason": None}],
    }  # fmt: skip
    async with targets(tmp_path / "home") as world:
        world.one.answer = lambda received: stream(ROLE, b"data: %s\n\n" % encoded(chunk), b"data: [DONE]\n\n")
        reply, after = await world.asked(CHAT, stream=True)
    assert reply.body == says(CHAT, "model-2", stream=True)
    assert story(after) == [("primary", "one", "rate"), ("fallback", "two", None)]


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
async def test_a_larger_window_is_asked_and_the_small_one_remembered(streamed: bool, tmp_path: Path) -> None:
    windows = "".join(
        f'[models."{name}"]\ncontext = {size}\n'
        for name, size in (("one/model-1", 1000), ("two/model-2", 900), ("three/model-3", 2000))
    )
    error = {"type": "invalid_request_error", "message": "prompt is too long: 1200 tokens > 1000 maximum"}
    told = Told(MESSAGES, "context-length", error, START)
    async with targets(tmp_path / "home", QUICK + windows, count=3) as world:
        world.one.answer = lambda received: stream(told.events) if streamed else whole(told.whole)
        reply, after = await world.asked(stream=streamed)
        assert world.calls == [1, 0, 1]
        assert reply.body == says(MESSAGES, "model-3", stream=streamed)
        tenant = world.router.app.tenants.find("work")
        assert tenant is not None
        assert tenant.health.windows == {("one", "model-1"): 1000}
    assert after.told == ("ok", None)


async def test_a_key_that_is_refused_inside_a_stream_gives_way_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENVIRON, "SECOND_KEY", "sk-second-canary")
    told = Told(MESSAGES, "auth", {"type": "authentication_error", "message": "invalid x-api-key"}, START)

    def by_key(received: Received) -> list[Step]:
        return [*answer(received)] if "second" in str(received.headers) else stream(told.events)

    keys = ["env:TEST_KEY", "env:SECOND_KEY"]
    async with targets(tmp_path / "home", count=1, keys=keys, resentful=True) as world:
        world.one.answer = by_key
        for used in (keys, keys[1:]):
            reply, after = await world.asked(stream=True)
            assert reply.status == 200
            assert [call["key_name"] for call in after.attempts] == used


async def test_a_clients_own_key_that_is_refused_inside_a_stream_is_its_own_affair(tmp_path: Path) -> None:
    text = f'{QUICK}[default]\ntarget = "anthropic/claude-haiku-4-5"\nfallback = ["two/model-2"]\n' \
        '[providers.anthropic]\napi-key = "passthrough"\n'  # fmt: skip
    told = Told(MESSAGES, "auth", {"type": "authentication_error", "message": "invalid x-api-key"}, START)
    async with FakeProvider(lambda received: stream(told.events)) as one, FakeProvider(answer) as two:
        addresses = {"two": two.url}
        text += f'base-url = "{one.url}"\n'
        body = request(
            "POST", "/work/v1/messages", MESSAGES.request(stream=True)[1], headers=[("x-api-key", "sk-client-own")]
        )
        async with (
            serving(tmp_path / "home", {"work": text}, providers=addresses) as router,
            aftermath(router, one, two) as after,
        ):
            reply = await ask(router.url, body)
    assert reply.status == 401
    assert story(after) == [("primary", "anthropic", "auth-client")]
    assert two.requests == []


async def test_wrong_requests_told_inside_streams_open_no_breaker(tmp_path: Path) -> None:
    told = Told(MESSAGES, "bad-request", {"type": "invalid_request_error", "message": "tools: wrong"}, START)
    async with targets(tmp_path / "home", QUICK + "[breaker]\nfailures = 2\n", resentful=True) as world:
        world.one.answer = lambda received: stream(told.events)
        for _ in range(4):
            reply, _ = await world.asked(stream=True)
            assert reply.status == 400
        world.one.answer = answer
        reply, _ = await world.asked(stream=True)
        assert reply.headers["x-router-provider"] == "one"


@pytest.mark.parametrize("name", BY_NAME)
async def test_an_error_behind_content_is_passed_on_whatever_it_says(name: str, tmp_path: Path) -> None:
    """By then the answer is the client's: nobody else is called, and nothing but the breaker learns of it."""
    form = BY_NAME[name]
    told = next(
        param.values[0] for param in TOLD if param.values[0].form is form and param.values[0].error_class == "rate"
    )
    async with targets(tmp_path / "home", resentful=True) as world:
        world.one.answer = lambda received: stream(*form.events()[:-2], told._replace(before=b"").events)
        reply, after = await world.asked(form, stream=True)
        assert story(after) == [("primary", "one", "broken-stream")]
        assert after.told == ("partial", "broken-stream")
        assert told.error["message"].encode() in reply.body
        reply, after = await world.asked(form, stream=True)
        assert reply.headers["x-router-provider"] == "one", "no limit was heard of"


async def test_failing_as_a_status_and_inside_a_stream_is_one_row_each(tmp_path: Path) -> None:
    told = Told(MESSAGES, "overloaded", {"type": "overloaded_error", "message": "Overloaded"}, START)
    replies = [failing(529), stream(told.events)]
    async with targets(tmp_path / "home") as world:
        world.one.answer = lambda received: replies.pop(0)
        _, after = await world.asked(stream=True)
    assert story(after) == [
        ("primary", "one", "overloaded"), ("retry", "one", "overloaded"), ("fallback", "two", None),
    ]  # fmt: skip
    assert [call["status"] for call in after.attempts] == [529, 200, 200]
