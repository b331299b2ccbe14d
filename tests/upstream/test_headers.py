"""Which headers cross, each way: between two ends that speak the same format, and between formats."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from router.upstream.headers import (
    reply_headers,
    request_headers,
    translated_reply_headers,
    translated_request_headers,
)

KEY = {"Authorization": "Bearer provider-key"}


def headers(*pairs: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(pairs))


REQUEST = [
    pytest.param("User-Agent", True, True, id="who calls is told to any provider"),
    pytest.param("Accept", True, True, id="what is accepted"),
    pytest.param("Idempotency-Key", True, True, id="a key against doing it twice"),
    pytest.param("traceparent", True, True, id="a trace"),
    pytest.param("tracestate", True, True, id="its state"),
    pytest.param("anthropic-version", True, False, id="Anthropic's version"),
    pytest.param("Anthropic-Beta", True, False, id="Anthropic's trials"),
    pytest.param("OpenAI-Beta", True, False, id="OpenAI's trials"),
    pytest.param("OpenAI-Organization", True, False, id="an organisation at OpenAI"),
    pytest.param("X-Stainless-Retry-Count", True, False, id="what an SDK says of itself"),
    pytest.param("x-claude-code-session-id", True, False, id="Claude Code's session"),
    pytest.param("x-codex-turn-metadata", True, False, id="Codex's turn"),
    pytest.param("x-goog-api-client", True, False, id="Google's SDK"),
    pytest.param("originator", True, False, id="which agent, for OpenAI"),
    pytest.param("version", True, False, id="which version of it"),
    pytest.param("session-id", True, False, id="Codex's conversation"),
    pytest.param("x-app", True, False, id="Claude Code's mode"),
    pytest.param("x-client-request-id", True, False, id="an id for OpenAI's support"),
    pytest.param("x-goog-user-project", False, False, id="who pays at Google"),
    pytest.param("Cookie", False, False, id="cookies"),
    pytest.param("X-Forwarded-For", False, False, id="the client's network"),
    pytest.param("Content-Encoding", False, False, id="how the client compressed its body"),
    pytest.param("Content-Length", False, False, id="the length of its body"),
    pytest.param("Transfer-Encoding", False, False, id="its framing"),
    pytest.param("Accept-Encoding", False, False, id="compressions for the reply"),
    pytest.param("Authorization", False, False, id="its credential"),
    pytest.param("x-api-key", False, False, id="its key"),
    pytest.param("x-router-tag", False, False, id="what was meant for the router"),
]


@pytest.mark.parametrize(("name", "same", "translated"), REQUEST)
def test_a_clients_header_reaches_only_whom_it_concerns(name: str, same: bool, translated: bool) -> None:
    client = headers((name, "canary"))
    assert ("canary" in request_headers(client, credential=KEY).values()) == same
    assert ("canary" in translated_request_headers(client, credential=KEY).values()) == translated


@pytest.mark.parametrize("make", [request_headers, translated_request_headers])
def test_declared_headers_go_over_the_clients_and_the_credential_over_all(
    make: Callable[..., CIMultiDict[str]],
) -> None:
    client = headers(("User-Agent", "agent/1"), ("Accept", "*/*"))
    declared = ({"user-agent": "declared/1", "x-first": "1"}, {"X-First": "2", "authorization": "Bearer not-this"})
    made = make(client, credential=KEY, extra=declared)
    assert made.getall("User-Agent") == ["declared/1"]
    assert made.getall("x-first") == ["2"]
    assert made.getall("Authorization") == ["Bearer provider-key"]
    assert made.getall("Accept") == ["*/*"]


def test_a_translated_body_is_json_and_comes_back_uncompressed() -> None:
    client = headers(("Content-Type", "application/x-www-form-urlencoded"), ("Accept-Encoding", "br"))
    made = translated_request_headers(client, credential=KEY)
    assert made.getall("Content-Type") == ["application/json"]
    assert made.getall("Accept-Encoding") == ["identity"]


def test_what_a_renderer_asks_for_is_sent() -> None:
    made = translated_request_headers(
        headers(("anthropic-beta", "the-clients")), credential={}, extra=({"anthropic-beta": "ours"},)
    )
    assert made.getall("anthropic-beta") == ["ours"]


REPLY = [
    pytest.param("Retry-After", True, True, id="when to come back"),
    pytest.param("retry-after-ms", True, True, id="to the millisecond"),
    pytest.param("x-should-retry", True, True, id="whether to, as the SDKs of two makers read it"),
    pytest.param("anthropic-ratelimit-requests-remaining", True, False, id="what is left at Anthropic"),
    pytest.param("x-ratelimit-remaining-tokens", True, False, id="what is left at OpenAI"),
    pytest.param("openai-processing-ms", True, False, id="how long OpenAI worked"),
    pytest.param("openai-version", True, False, id="OpenAI's version"),
    pytest.param("Content-Type", True, False, id="the type of a body that is written anew"),
    pytest.param("Content-Encoding", True, False, id="its compression"),
    pytest.param("Content-Length", False, False, id="its length"),
    pytest.param("Set-Cookie", False, False, id="cookies"),
    pytest.param("openai-organization", False, False, id="whose account it was"),
    pytest.param("anthropic-organization-id", False, False, id="whose account at Anthropic"),
    pytest.param("x-router-cost-usd", False, False, id="what only the router says"),
]


@pytest.mark.parametrize(("name", "same", "translated"), REPLY)
def test_a_providers_header_reaches_only_clients_it_means_something_to(name: str, same: bool, translated: bool) -> None:
    provider = headers((name, "1"))
    assert (name in reply_headers(provider)) == same
    assert (name in translated_reply_headers(provider)) == translated


@pytest.mark.parametrize("name", ["request-id", "x-request-id", "X-Request-Id"])
def test_a_providers_request_id_gets_a_name_of_ours(name: str) -> None:
    assert dict(translated_reply_headers(headers((name, "req_1")))) == {"x-router-upstream-id": "req_1"}


@pytest.mark.parametrize("made", [reply_headers, translated_reply_headers])
@pytest.mark.parametrize("value", ["ünï", "a\x00b", "a\tb", "a\x7fb"])
def test_a_value_that_cant_stand_in_a_header_is_left_out(
    made: Callable[[CIMultiDictProxy[str]], CIMultiDict[str]], value: str
) -> None:
    assert dict(made(headers(("retry-after", value), ("x-request-id", value)))) == {}
