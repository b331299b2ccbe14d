"""What the server does around a translation: what goes to the provider, what is told, what is recorded."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from router.routing.rules import no_more
from router.server import relay
from tests.support import answers
from tests.support.answers import answer
from tests.support.asking import FORMATS, Format
from tests.support.provider import SSE, Answer, End, FakeProvider, Pause, Received, Send, Status, Step, whole
from tests.support.serving import Running, serving

pytestmark = pytest.mark.sampled(2)

HELLO = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]}
BASES = {"anthropic-messages": "", "openai-chat": "/v1", "openai-responses": "/v1", "gemini": "/v1beta"}


def rules(provider: FakeProvider, api: str, *, routing: str = "", default: str = "", more: str = "") -> str:
    """A profile whose only provider speaks one format."""
    return f"""
[providers.fake]
formats = ["{api}"]
base-url = "{provider.url}{BASES[api]}"
api-key = "env:TEST_KEY"
{more}
[routing]
{routing}
[default]
target = "fake/model-1"
{default}
[retry]
max-delay = "1ms"
[prices."fake/model-1"]
input = 3.0
output = 15.0
"""


def serve(home: Path, provider: FakeProvider, api: str, **options: str) -> Any:
    return serving(home, {"work": rules(provider, api, **options)})


async def say(router: Running, body: dict[str, Any] | None = None, **options: Any) -> tuple[int, Any, Any]:
    """One request of a Messages client: status, headers, decoded body."""
    async with router.post("/work/v1/messages", json=body or HELLO, **options) as reply:
        return reply.status, reply.headers, json.loads(await reply.read())


PAIRS = [
    pytest.param(client, provider, id=f"{client.name} to {provider.name}")
    for client in FORMATS
    for provider in FORMATS
    if client is not provider
]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("client", "provider"), PAIRS)
@pytest.mark.sampled(8)
async def test_any_format_reaches_any_other(client: Format, provider: Format, streamed: bool, tmp_path: Path) -> None:
    async with FakeProvider(answer) as fake, serve(tmp_path / "home", fake, provider.name) as router:
        path, body = client.request(stream=streamed)
        async with router.post(f"/work{path}", data=body, headers={"content-type": "application/json"}) as reply:
            payload = await reply.read()
        assert reply.status == 200, payload
        assert reply.headers["content-type"].startswith("text/event-stream" if streamed else "application/json")
        texts = "".join(json.loads(f'"{piece}"') for piece in _texts(payload))
        assert "".join(answers.TEXT) in texts
        [row] = await router.rows()
        assert {name: row[name] for name in answers.USAGE} == answers.USAGE
        assert (row["outcome"], row["api"], row["stream"]) == ("ok", client.name, int(streamed))
        [attempt] = await router.rows("attempts")
        assert (attempt["api"], attempt["role"], attempt["state"]) == (provider.name, "primary", "settled")
        [seen] = fake.requests
        assert seen.path.partition("?")[0].endswith(
            (provider.stream_path if streamed else provider.path)
            .partition("?")[0]
            .rpartition("/")[2]
            .rpartition(":")[2]
        )


def _texts(payload: bytes) -> list[str]:
    """The JSON texts under the names that hold text, as they stand in the bytes, without what repeats them."""
    return re.findall(r'"(?:text|content|delta)"\s*:\s*"((?:[^"\\]|\\.)*)"', payload.decode())


async def test_what_is_left_out_is_told_and_recorded(tmp_path: Path) -> None:
    async with FakeProvider(answer) as fake, serve(tmp_path / "home", fake, "openai-chat") as router:
        status, headers, _ = await say(router, {**HELLO, "top_k": 5, "metadata": {"user_id": "u"}})
        assert status == 200
        assert "top_k" in headers["x-router-dropped"]
        [row] = await router.rows()
        assert "top_k" in row["dropped"]
        assert "top_k" not in fake.requests[0].json


async def test_what_is_told_of_losses_fits_into_a_header_whatever_they_are(tmp_path: Path) -> None:
    odd: dict[str, Any] = {"a\r\nx-odd: 1": 1, "naïve": 2}
    async with FakeProvider(answer) as fake, serve(tmp_path / "home", fake, "openai-chat") as router:
        status, headers, _ = await say(router, {**HELLO, **odd, **{f"field_number_{n}": n for n in range(900)}})
        assert status == 200
        assert "x-odd" not in headers
        assert len(headers["x-router-dropped"]) < 2100
        [row] = await router.rows()
        assert row["dropped"] == headers["x-router-dropped"]


async def test_what_would_change_the_meaning_is_refused_before_anybody_is_called(tmp_path: Path) -> None:
    search = {**HELLO, "tools": [{"type": "web_search_20250305", "name": "web_search"}]}
    async with FakeProvider(answer) as fake:
        async with serve(tmp_path / "home", fake, "openai-chat") as router:
            status, headers, told = await say(router, search)
            assert (status, fake.requests) == (400, [])
            message = told["error"]["message"]
            for words in ("profile work", "default → fake", "tools[0]", "fake/model-1", "openai-chat", "on-loss"):
                assert words in message
            assert headers["x-should-retry"] == "false"
            [row] = await router.rows()
            assert (row["outcome"], row["error_class"]) == ("refused", "not_translatable")
            assert await router.rows("attempts") == []
        async with serve(tmp_path / "other", fake, "openai-chat", routing='on-loss = "allow"') as router:
            status, headers, _ = await say(router, search)
            assert status == 200
            assert "tools[0]" in headers["x-router-dropped"]


def refusing(message: str, field: str) -> Answer:
    """A provider that doesn't take a field."""

    def reply(request: Received) -> Iterable[Step]:
        if field in request.json:
            return whole({"error": {"message": message, "type": "invalid_request_error"}}, status=400)
        return answer(request)

    return reply


async def test_a_parameter_that_is_refused_is_left_out_once_and_from_then_on(tmp_path: Path) -> None:
    message = "Unsupported parameter: 'temperature' is not supported with this model."
    async with (
        FakeProvider(refusing(message, "temperature")) as fake,
        serve(tmp_path / "home", fake, "openai-chat") as router,
    ):
        status, headers, _ = await say(router, {**HELLO, "temperature": 0.2})
        assert (status, headers["x-router-attempts"]) == (200, "2")
        assert "temperature" in headers["x-router-dropped"]
        status, headers, _ = await say(router, {**HELLO, "temperature": 0.2})
        assert (status, headers["x-router-attempts"]) == (200, "1")
        assert len(fake.requests) == 3
        first, second = await router.rows()
        assert (first["attempts"], second["attempts"]) == (2, 1)
        assert first["cost_nano_usd"] == second["cost_nano_usd"]
        calls = [(call["number"], call["role"], call["status"]) for call in await router.rows("attempts")]
        assert calls == [(1, "primary", 400), (2, "retry", 200), (1, "primary", 200)]


async def test_a_fault_of_the_clients_is_told_and_not_tried_again(tmp_path: Path) -> None:
    fault = whole({"error": {"message": "messages: too many images", "type": "invalid_request_error"}}, status=400)
    async with FakeProvider(lambda _: fault) as fake, serve(tmp_path / "home", fake, "openai-chat") as router:
        status, _, told = await say(router)
        assert (status, len(fake.requests)) == (400, 1)
        assert told["type"] == "error"
        assert told["error"] == {"type": "invalid_request_error", "message": "messages: too many images"}


async def test_a_parameter_is_refused_twice_at_most(tmp_path: Path) -> None:
    fault = whole({"error": {"message": "temperature: unsupported", "type": "invalid_request_error"}}, status=400)
    async with FakeProvider(lambda _: fault) as fake, serve(tmp_path / "home", fake, "openai-chat") as router:
        status, _, _ = await say(router, {**HELLO, "temperature": 0.2})
        assert (status, len(fake.requests)) == (400, 2)
        [row] = await router.rows()
        assert (row["outcome"], row["attempts"], row["cost_nano_usd"]) == ("client-error", 2, 0)


@pytest.mark.parametrize(
    ("status", "message", "told", "kind", "words"),
    [
        pytest.param(429, "slow down", 429, "rate_limit_error", "slow down", id="a rate limit"),
        pytest.param(500, "oops", 500, "api_error", "oops", id="a fault"),
        pytest.param(503, "overloaded", 503, "api_error", "overloaded", id="no capacity"),
        pytest.param(404, "no such model", 404, "not_found_error", "no such model", id="no such model"),
        pytest.param(401, "bad key", 403, "permission_error", "refused (status 401)", id="our key"),
        pytest.param(
            400,
            "This model's maximum context length is 8192 tokens, however you requested 9000 tokens",
            400,
            "invalid_request_error",
            "prompt is too long: 9000 tokens > 8192 maximum",
            id="too long",
        ),
    ],
)
async def test_errors_are_told_in_the_clients_words(
    status: int, message: str, told: int, kind: str, words: str, tmp_path: Path
) -> None:
    fault = whole({"error": {"message": message}}, status=status, headers=[("retry-after", "7"), ("set-cookie", "a=b")])
    async with FakeProvider(lambda _: fault) as fake, serve(tmp_path / "home", fake, "openai-chat") as router:
        got, headers, body = await say(router)
        assert (got, body["error"]["type"]) == (told, kind)
        assert words in body["error"]["message"]
        assert "set-cookie" not in headers
        if status != 401:
            assert headers["retry-after"] == "7"


async def test_an_overloaded_provider_of_anthropics_format_is_a_503_to_others(tmp_path: Path) -> None:
    fault = whole({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, status=529)
    async with FakeProvider(lambda _: fault) as fake, serve(tmp_path / "home", fake, "anthropic-messages") as router:
        body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
        async with router.post("/work/v1/chat/completions", json=body) as reply:
            assert reply.status == 503
            assert (await reply.json())["error"]["message"] == "Overloaded"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_an_error_dressed_as_a_success_is_an_error(streamed: bool, tmp_path: Path) -> None:
    fault = whole({"error": {"message": "the backend fell over"}})
    async with FakeProvider(lambda _: fault) as fake, serve(tmp_path / "home", fake, "openai-chat") as router:
        status, _, told = await say(router, {**HELLO, "stream": streamed})
        assert status == 502
        assert "the backend fell over" in told["error"]["message"]
        [row] = await router.rows()
        assert row["outcome"] == "upstream-error"


async def test_a_reply_that_comes_compressed_unasked_is_an_error_not_rubbish(tmp_path: Path) -> None:
    packed = gzip.compress(json.dumps(answers.completion("m")).encode())
    reply = whole(packed, headers=[("content-encoding", "gzip")])
    async with FakeProvider(lambda _: reply) as fake, serve(tmp_path / "home", fake, "openai-chat") as router:
        status, _, told = await say(router)
        assert status == 502
        assert "compressed" in told["error"]["message"]


async def test_headers_of_one_format_stay_with_it(tmp_path: Path) -> None:
    def reply(request: Received) -> Iterable[Step]:
        named = [("openai-organization", "org-1"), ("x-request-id", "up_1"), ("openai-version", "2020-10-01")]
        return whole(answers.completion("m"), headers=named)

    sent = {
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "context-1m-2025-08-07",
        "x-stainless-lang": "python",
        "x-claude-code-session-id": "s",
        "x-api-key": "client-key",
        "user-agent": "claude-cli/2.1.197 (external, cli)",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    async with FakeProvider(reply) as fake, serve(tmp_path / "home", fake, "openai-chat") as router:
        _, headers, _ = await say(router, headers=sent)
        seen = fake.requests[0].headers
        assert seen["authorization"] == "Bearer sk-provider-canary-1234"
        assert seen["content-type"] == "application/json"
        assert seen["traceparent"] == sent["traceparent"]
        foreign = ("anthropic-", "x-stainless-", "x-claude-", "x-api-key")
        assert not [name for name in seen if name.startswith(foreign)]
        assert headers["x-router-upstream-id"] == "up_1"
        assert not [name for name in headers if name.lower().startswith("openai-")]


async def test_an_anthropic_provider_is_told_its_version_by_clients_who_know_none(tmp_path: Path) -> None:
    async with FakeProvider(answer) as fake, serve(tmp_path / "home", fake, "anthropic-messages") as router:
        body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
        async with router.post("/work/v1/chat/completions", json=body) as reply:
            assert reply.status == 200
        assert fake.requests[0].headers["anthropic-version"] == "2023-06-01"
        assert fake.requests[0].path == "/v1/messages"


async def test_a_rule_sets_and_drops_fields_of_the_translated_request(tmp_path: Path) -> None:
    wanted = (
        'set = { temperature = 0.5, max-tokens = 77, "logit_bias" = { "5" = 1 } }\ndrop = ["stop_sequences", "top_p"]'
    )
    async with (
        FakeProvider(answer) as fake,
        serve(tmp_path / "home", fake, "openai-chat", default=wanted) as router,
    ):
        await say(router, {**HELLO, "stop_sequences": ["x"], "top_p": 0.9, "temperature": 0.1})
        seen = fake.requests[0].json
        assert (seen["temperature"], seen["logit_bias"]) == (0.5, {"5": 1})
        assert 77 in (seen.get("max_tokens"), seen.get("max_completion_tokens"))
        assert not {"stop", "top_p"} & set(seen)


async def test_a_reply_names_the_requested_model_where_the_profile_wants_that(tmp_path: Path) -> None:
    async with (
        FakeProvider(answer) as fake,
        serve(tmp_path / "home", fake, "openai-chat", routing='echo-model = "requested"') as router,
    ):
        _, _, told = await say(router, {**HELLO, "model": "claude-asked-for"})
        assert told["model"] == "claude-asked-for"
        assert fake.requests[0].json["model"] == "model-1"


async def test_a_clients_own_credential_goes_to_its_own_format_only(tmp_path: Path) -> None:
    async with (
        FakeProvider(answer) as fake,
        serving(
            tmp_path / "home", {"work": rules(fake, "openai-chat").replace('"env:TEST_KEY"', '"passthrough"')}
        ) as router,
    ):
        status, _, told = await say(router, headers={"x-api-key": "sk-ant-own"})
        assert (status, fake.requests) == (403, [])
        assert "passed on in anthropic-messages only" in told["error"]["message"]


@pytest.mark.parametrize(
    ("api", "quirks", "asked"),
    [
        pytest.param("openai-chat", "", False, id="a provider that can't count: our own estimate"),
        pytest.param("gemini", "", False, id="one that may not"),
    ],
)
async def test_tokens_are_counted_by_ourselves_where_the_provider_has_no_counter(
    api: str, quirks: str, asked: bool, tmp_path: Path
) -> None:
    async with FakeProvider(answer) as fake, serve(tmp_path / "home", fake, api) as router:
        async with router.post("/work/v1/messages/count_tokens", json=HELLO) as reply:
            told = await reply.json()
        assert (reply.status, bool(fake.requests)) == (200, asked)
        assert 0 < told["input_tokens"] < 50


@pytest.mark.parametrize(
    ("path", "body", "provider", "upstream", "told"),
    [
        pytest.param(
            "/work/v1/messages/count_tokens",
            HELLO,
            "openai",
            "/v1/responses/input_tokens",
            {"input_tokens": 42},
            id="Messages asks OpenAI",
        ),
        pytest.param(
            "/work/v1/responses/input_tokens",
            {"model": "m", "input": "Hello"},
            "anthropic",
            "/v1/messages/count_tokens",
            {"object": "response.input_tokens", "input_tokens": 42},
            id="Responses asks Anthropic",
        ),
        pytest.param(
            "/work/v1beta/models/m:countTokens",
            {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]},
            "anthropic",
            "/v1/messages/count_tokens",
            {"totalTokens": 42},
            id="Gemini asks Anthropic",
        ),
    ],
)
async def test_tokens_are_counted_by_a_provider_of_another_format(
    path: str, body: dict[str, Any], provider: str, upstream: str, told: dict[str, Any], tmp_path: Path
) -> None:
    base = "/v1" if provider == "openai" else ""
    text = f"""
[default]
target = "{provider}/model-1"
[providers.{provider}]
api-key = "env:TEST_KEY"
base-url = "%s{base}"
"""
    async with FakeProvider(answer) as fake, serving(tmp_path / "home", {"work": text % fake.url}) as router:
        async with router.post(path, json=body) as reply:
            assert (reply.status, await reply.json()) == (200, told)
        [seen] = fake.requests
        assert seen.path == upstream
        [row] = await router.rows()
        assert (row["kind"], row["outcome"], row["cost_nano_usd"]) == ("count", "ok", 0)


class Silence:
    """A stream of one format that is quiet behind its first content until it is told to go on."""

    def __init__(self, events: list[bytes], *, until: int) -> None:
        self.go_on = asyncio.Event()
        self._events = events
        self._until = until

    def __call__(self, request: Received) -> Iterable[Step]:
        yield Status(200, SSE)
        for event in self._events[: self._until]:
            yield Send(event)
        yield Pause(self.go_on)
        for event in self._events[self._until :]:
            yield Send(event)
        yield End()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("client", "sign"),
    [
        pytest.param("anthropic-messages", b"event: ping", id="ping on Messages"),
        pytest.param("openai-responses", b"\n: ", id="a comment on Responses"),
        pytest.param("gemini", None, id="nothing on Gemini, whose clients can't take it"),
    ],
)
async def test_a_silent_providers_client_is_kept(
    client: str, sign: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "KEEP_ALIVE_S", 0.02)
    asker = next(form for form in FORMATS if form.name == client)
    quiet = Silence(answers.chat_chunks("m", usage=True), until=2)
    async with FakeProvider(quiet) as fake, serve(tmp_path / "home", fake, "openai-chat") as router:
        path, body = asker.request(stream=True)
        async with router.post(f"/work{path}", data=body, headers={"content-type": "application/json"}) as reply:
            seen = b""
            async for chunk in reply.content.iter_any():
                seen += chunk
                if sign is not None and seen.count(sign) >= 4:
                    quiet.go_on.set()
                elif sign is None and not quiet.go_on.is_set():
                    asyncio.get_running_loop().call_later(0.1, quiet.go_on.set)
        assert reply.status == 200
        assert sign is not None or not [line for line in seen.splitlines() if line.startswith(b":")]


@pytest.mark.slow
async def test_a_request_is_forgotten_while_its_reply_streams(tmp_path: Path) -> None:
    """A body of a megabyte mustn't be held for as long as the answer takes."""
    quiet = Silence(answers.chat_chunks("m", usage=True), until=2)
    async with FakeProvider(quiet) as fake, serve(tmp_path / "home", fake, "openai-chat") as router:
        body = {**HELLO, "stream": True, "messages": [{"role": "user", "content": "x" * 1_000_000}]}
        async with router.post("/work/v1/messages", json=body) as reply:
            await reply.content.readany()
            [exchange] = router.app.services.active
            assert exchange.view is None
            assert exchange.attempt is not None
            assert exchange.attempt.way.body == b""
            assert exchange.facts is None
            assert exchange.decision is not None
            assert exchange.decision.later is no_more
            quiet.go_on.set()
            await reply.read()
