"""Every recorded and every odd request reaches the provider with all bytes as sent, but for the model's name."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from tests.support.answers import answer
from tests.support.provider import FakeProvider, whole
from tests.support.recorded import Case, cases
from tests.support.serving import Running, serving

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.sampled(3)]

OLD, NEW = "asked-model-7f3e", "served-model-a1"
CASES = [case for case in cases() if case.request is not None and case.endpoint != "compact"]
SWAP = f'[routing]\nask-usage = false\n\n[default]\nto = "there"\nmodel = "{NEW}"\n'
KEEP = '[routing]\nask-usage = false\n\n[default]\nto = "there"\n'
ASK = f'[default]\nto = "there"\nmodel = "{NEW}"\n'
SETTING = f"""
[default]
to = "there"
model = "{NEW}"
set = {{ temperature = 0.25, max-tokens = 77, "x-unknown" = {{ deep = [1, 2.5] }} }}
drop = ["top_k", "metadata"]
"""


class World(NamedTuple):
    router: Running
    provider: FakeProvider

    async def forwarded(self, profile: str, path: str, body: bytes, headers: dict[str, str] | None = None) -> Any:
        """What the provider received for a request."""
        self.provider.requests.clear()
        headers = {"content-type": "application/json", **(headers or {})}
        async with self.router.post(f"/{profile}{path}", data=io.BytesIO(body), headers=headers) as reply:
            payload = await reply.read()
            assert reply.status == 200, payload
        [received] = self.provider.requests
        return received


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with FakeProvider(answer) as provider:
        profiles = {"swap": SWAP, "keep": KEEP, "ask": ASK, "setting": SETTING}
        addresses = {"there": provider.url, "anthropic": provider.url}
        async with serving(tmp_path_factory.mktemp("out") / "home", profiles, providers=addresses) as router:
            yield World(router, provider)


def spellings(value: object) -> list[bytes]:
    """The same JSON as different writers write it."""
    return [
        json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(),
        json.dumps(value, indent="\t", ensure_ascii=True).encode(),
        b" \r\n" + json.dumps(value, separators=(" ,  ", "\n:\t"), ensure_ascii=False).encode() + b"\n\t ",
        json.dumps(dict(reversed(value.items())) if isinstance(value, dict) else value).encode(),
    ]


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in CASES if not case.counts])
async def test_a_recorded_request_is_forwarded_byte_for_byte(case: Case, world: World) -> None:
    for body in spellings(case.asking(OLD)):
        received = await world.forwarded("keep", case.path(OLD), body)
        assert received.body == body
        received = await world.forwarded("swap", case.path(OLD), body)
        if case.api == "gemini":
            assert f"/models/{NEW}:" in received.path
            assert received.body == body
        else:
            assert body.count(OLD.encode()) == 1
            assert received.body == body.replace(OLD.encode(), NEW.encode())


# What can stand in a body beside "model" and must survive; each is spliced into a request of every format.
ODD_MEMBERS = [
    pytest.param(b'"temperature": 1.0, "top_p":1e0, "seed" : 12345678901234567890123', id="spelling of numbers"),
    pytest.param(b'"a":1e3,"b":-0,"c":1E+2,"d":0.10000000000000000000001', id="more spellings of numbers"),
    pytest.param(b'"x_unknown" : {"deep":[ 1 ,{ } , [ ] , null,true ] } ', id="unknown fields and odd spacing"),
    pytest.param(b'"cache_control":{"type":"ephemeral","ttl":"1h"}', id="cache marks"),
    pytest.param(b'"signature":"EqQBCgIYAhIM+/==\\u002b\\/", "data":"\\ud83d\\ude00"', id="signatures and escapes"),
    pytest.param(b'"m\\u006fdel_hint":"model", "k\\"ey":"\\\\"', id="escaped keys"),
    pytest.param('"ключ":"значение 🙂\u2028\u00a0"'.encode(), id="not ASCII"),
    pytest.param(b'"nested":{"model":"asked-elsewhere","stream":true}', id="the same names deeper down"),
    pytest.param(b'"":"", " ":" "', id="empty names"),
    pytest.param(b'"twice":1,"twice":2', id="unknown fields twice"),
    pytest.param(b'"text":"' + b"lorem ipsum " * 250_000 + b'"', id="three megabytes"),
    pytest.param(b'"deep":' + b"[" * 200 + b"]" * 200, id="deep nesting"),
]
BODIES = {
    "/v1/messages": b'{"model":"%s","max_tokens":8,"messages":[{"role":"user","content":"hi"}],%s}',
    "/v1/chat/completions": b'{ %s , "messages" : [ {"role":"user","content":"hi"} ] , "model" : "%s" }',
    "/v1/responses": b'{"input":"hi",\n  "model":\t"%s" ,\n %s\n}\n',
}


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("member", ODD_MEMBERS)
async def test_whatever_else_stands_in_a_body_stays_as_it_is(member: bytes, path: str, world: World) -> None:
    template = BODIES[path]
    parts = (member, OLD.encode()) if template.index(b"%s") < template.index(b'"%s"') else (OLD.encode(), member)
    body = template % parts
    assert (await world.forwarded("keep", path, body)).body == body
    assert (await world.forwarded("swap", path, body)).body == body.replace(OLD.encode(), NEW.encode())


@pytest.mark.parametrize("member", ODD_MEMBERS)
async def test_a_gemini_body_stays_as_it_is_and_the_model_changes_in_the_url(member: bytes, world: World) -> None:
    body = b'{ "contents" : [{"parts":[{"text":"hi"}]}] ,%s}' % member
    received = await world.forwarded("swap", f"/v1beta/models/{OLD}:generateContent?x=1&key=sk-client&y=%20", body)
    assert received.body == body
    assert received.path == f"/v1beta/models/{NEW}:generateContent?x=1&y=%20"


@pytest.mark.parametrize(
    ("written", "model"),
    [
        pytest.param(b'"mod\\u0065l"', b'"asked"', id="escaped key"),
        pytest.param(b'"model"', b'"as\\u006bed \\"quoted\\" \\ud83d\\ude00"', id="escaped value"),
        pytest.param(b'"model"', '"гпт-🙂"'.encode(), id="value not ASCII"),
        pytest.param(b'"model"  \r\n\t: ', b'\n"asked"\n', id="odd spacing"),
    ],
)
async def test_the_model_is_swapped_however_it_is_written(written: bytes, model: bytes, world: World) -> None:
    colon = b"" if b":" in written else b":"
    head, tail = b'{"max_tokens":1,' + written + colon, b',"messages":[]}'
    received = await world.forwarded("swap", "/v1/messages", head + model + tail)
    spaces = model[: len(model) - len(model.lstrip())], model[len(model.rstrip()) :]
    assert received.body == head + spaces[0] + b'"%s"' % NEW.encode() + spaces[1] + tail


@pytest.mark.parametrize(
    "options",
    [b"", b',"stream_options":{"include_usage":false}', b',"stream_options":null', b',"stream_options":{"x": 1.50}'],
    ids=["absent", "declined", "null", "something else"],
)
async def test_asking_for_usage_changes_that_one_member(options: bytes, world: World) -> None:
    head, tail = b'{"model":"' + OLD.encode() + b'" , "stream" : true', b', "seed":1.0,"messages":[ ]}'
    received = await world.forwarded("ask", "/v1/chat/completions", head + options + tail)
    parsed = received.json
    assert parsed["stream_options"].pop("include_usage") is True
    without = received.body
    start = without.index(b',"stream_options":')
    end = without.index(b"}", start) + 1
    rest = without[:start] + without[end:]
    assert rest == (head + tail).replace(OLD.encode(), NEW.encode())
    assert parsed["stream_options"] in ({}, {"x": 1.5})


async def test_a_client_that_asks_for_usage_itself_is_left_alone(world: World) -> None:
    body = b'{"model":"%s","stream":true,"stream_options":{"include_usage": true},"messages":[]}' % OLD.encode()
    received = await world.forwarded("ask", "/v1/chat/completions", body)
    assert received.body == body.replace(OLD.encode(), NEW.encode())


async def test_declared_changes_touch_only_what_they_name(world: World) -> None:
    body = (
        b'{ "model":"%s", "top_k" : 5 ,"max_tokens":  1e1, "keep" : 1.0,\n "metadata":{"a":[]}, "messages":[ ] }'
        % OLD.encode()
    )
    received = await world.forwarded("setting", "/v1/messages", body)
    assert received.body == (
        b'{ "model":"%s" ,"max_tokens":  77, "keep" : 1.0, "messages":[ ],'
        b'"temperature":0.25,"x-unknown":{"deep":[1,2.5]} }' % NEW.encode()
    )


# --- headers ----------------------------------------------------------------------------------------------------------

SENT = {
    "accept": "application/json, text/event-stream",
    "anthropic-beta": "one,two",
    "anthropic-dangerous-direct-browser-access": "true",
    "anthropic-version": "2026-01-02",
    "content-type": "application/json; charset=utf-8",
    "idempotency-key": "idem-1",
    "openai-beta": "responses=v1",
    "openai-organization": "org-1",
    "originator": "codex_cli_rs",
    "session-id": "s-1",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "a=b",
    "user-agent": "some-agent/1.0 (äöü)",
    "x-app": "cli",
    "x-claude-code-session-id": "c-1",
    "x-client-request-id": "r-1",
    "x-codex-turn-metadata": '{"a":1}',
    "x-goog-api-client": "genai/1",
    "x-stainless-lang": "python",
}
WITHHELD = {
    "authorization": "Bearer sk-client-canary-1",
    "cookie": "session=canary",
    "forwarded": "for=10.0.0.1",
    "x-api-key": "sk-client-canary-2",
    "x-custom": "1",
    "x-forwarded-for": "10.0.0.1",
    "x-forwarded-host": "internal.example.org",
    "x-goog-api-key": "sk-client-canary-3",
    "x-real-ip": "10.0.0.1",
    "x-router-key": "rk_canary",
    "x-router-tag": "ci",
    "proxy-authorization": "Basic canary",
    "te": "trailers",
    "via": "1.1 office",
    "referer": "https://internal.example.org/secret",
}


@pytest.mark.parametrize(
    "api", ["/v1/messages", "/v1/chat/completions", "/v1/responses", "/v1beta/models/m:generateContent"]
)
async def test_exactly_the_listed_headers_reach_the_provider(api: str, world: World) -> None:
    body = b'{"model":"m","messages":[],"input":"","contents":[]}'
    received = await world.forwarded("keep", api, body, {**SENT, **WITHHELD, "accept-encoding": "gzip, br"})
    credential = {
        "/v1/messages": {"x-api-key": "sk-provider-canary-1234"},
        "/v1beta/models/m:generateContent": {"x-goog-api-key": "sk-provider-canary-1234"},
    }.get(api, {"authorization": "Bearer sk-provider-canary-1234"})
    own = {
        "host": world.provider.url.removeprefix("http://"),
        "content-length": str(len(body)),
        "accept-encoding": "identity",
    }
    agent = {"user-agent": SENT["user-agent"].encode().decode("latin-1")}
    assert received.headers == {**SENT, **agent, **credential, **own}


async def test_a_version_is_added_for_anthropic_only_where_the_client_sent_none(world: World) -> None:
    received = await world.forwarded("keep", "/v1/messages", b'{"model":"m","messages":[]}')
    assert received.headers["anthropic-version"] == "2023-06-01"
    received = await world.forwarded("keep", "/v1/chat/completions", b'{"model":"m","messages":[]}')
    assert "anthropic-version" not in received.headers


PASSED = {
    "anthropic-ratelimit-requests-remaining": "12",
    "content-type": "application/json; odd=1",
    "openai-processing-ms": "5",
    "openai-version": "2020-10-01",
    "request-id": "req_1",
    "retry-after": "3",
    "retry-after-ms": "2900",
    "x-ratelimit-limit-tokens": "1",
    "x-request-id": "req_2",
    "x-should-retry": "true",
}
KEPT_BACK = {
    "access-control-allow-origin": "*",
    "anthropic-organization-id": "org-canary",
    "alt-svc": 'h3=":443"',
    "cf-ray": "1",
    "date": "Thu, 01 Jan 1970 00:00:00 GMT",
    "location": "https://elsewhere.example.org",
    "openai-organization": "org-canary",
    "server": "secret-server/1",
    "set-cookie": "a=canary",
    "strict-transport-security": "max-age=1",
    "via": "1.1 x",
    "x-router-rule": "forged",
    "x-custom": "1",
}
OURS = {
    "x-router-request-id",
    "x-router-profile",
    "x-router-rule",
    "x-router-provider",
    "x-router-model",
    "x-router-attempts",
    "x-router-route-reason",
}


@pytest.mark.parametrize("status", [200, 400, 429, 500])
async def test_exactly_the_listed_headers_reach_the_client(status: int, world: World) -> None:
    payload = b'{"error": {"message":"x"}}' if status >= 400 else b'{"type":"message","usage":{"input_tokens":1}}'
    steps = whole(payload, status=status, headers=[*PASSED.items(), *KEPT_BACK.items()])
    steps[0] = type(steps[0])(status, steps[0].headers[1:], chunked=False)  # type: ignore[union-attr, call-arg]
    world.provider.answer = lambda request: steps
    try:
        async with world.router.post("/keep/v1/messages", data=b'{"model":"m","messages":[]}') as reply:
            assert await reply.read() == payload
            assert reply.status == status
            headers = {name.lower(): value for name, value in reply.headers.items()}
    finally:
        world.provider.answer = answer
    assert len(headers) == len(reply.headers), "none comes twice"
    assert headers.pop("content-length") == str(len(payload))
    assert headers.pop("date") != KEPT_BACK["date"]
    assert headers.pop("server", "") != KEPT_BACK["server"]
    headers.pop("x-router-cost-usd", None)
    expected = PASSED | {"x-should-retry": "false"} if status == 500 else PASSED  # we have given up, so nobody need try
    assert {name: value for name, value in headers.items() if name not in OURS} == expected
    assert headers["x-router-rule"] != "forged"
    assert set(headers) >= OURS
