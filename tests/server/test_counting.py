"""Counting tokens: asked of who can count, else estimated, and always free."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.aftermath import aftermath
from tests.support.answers import answer
from tests.support.asking import GEMINI, MESSAGES, PROFILE, RESPONSES, Format
from tests.support.provider import FakeProvider, whole
from tests.support.raw import ask, request
from tests.support.serving import serving

PROVIDERS = """\
[fake]
base-url = "{url}"
formats = ["anthropic-messages", "openai-chat", "openai-responses", "gemini"]
api-key = "env:TEST_KEY"
{more}
"""
COUNTS = [
    (MESSAGES, "/work/v1/messages/count_tokens", "input_tokens", "/v1/messages/count_tokens"),
    (GEMINI, "/work/v1beta/models/m:countTokens", "totalTokens", "/v1beta/models/model-1:countTokens"),
    (RESPONSES, "/work/v1/responses/input_tokens", "input_tokens", ""),
]


def home_with(tmp_path: Path, provider: FakeProvider, more: str) -> Path:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "providers.toml").write_text(PROVIDERS.format(url=provider.url, more=more))
    return home


@pytest.mark.parametrize(("form", "path", "field", "upstream"), COUNTS, ids=lambda value: getattr(value, "name", ""))
async def test_an_estimate_of_ours_is_recorded_and_costs_nothing(
    form: Format, path: str, field: str, upstream: str, tmp_path: Path
) -> None:
    async with (
        FakeProvider(answer) as provider,
        serving(home_with(tmp_path, provider, ""), {"work": PROFILE}) as router,
    ):
        counts = []
        for text in ("Hello", "Hello " * 2000):
            body = json.loads(json.dumps(form.body).replace("Hello", text))
            async with aftermath(router, provider) as after:
                reply = await ask(router.url, request("POST", path, body))
            assert reply.status == 200
            counts.append(json.loads(reply.body)[field])
            assert after.row["kind"] == "count"
            assert after.told == ("ok", None)
            assert counts[-1] / 2 < after.row["estimated_input"] < counts[-1] * 2
            assert not after.row["cost_nano_usd"]
        assert 1 <= counts[0] < 60
        assert 1500 < counts[1] < 6000
        assert not provider.requests


async def test_a_provider_that_can_count_is_asked(tmp_path: Path) -> None:
    home = tmp_path / "home"
    profile = '[default]\ntarget = "anthropic/claude-haiku-4-5"\n'
    async with (
        FakeProvider(answer) as provider,
        serving(home, {"work": profile}, providers={"anthropic": provider.url}) as router,
    ):
        async with aftermath(router, provider) as after:
            reply = await ask(router.url, request("POST", COUNTS[0][1], MESSAGES.body))
        assert json.loads(reply.body)["input_tokens"] == 42
        assert provider.requests[0].path.startswith("/v1/messages/count_tokens")
        assert provider.requests[0].json["model"] == "claude-haiku-4-5"
        assert after.row["kind"] == "count"
        assert after.attempt["cost_nano_usd"] == 0
        provider.answer = lambda received: whole({"type": "error", "error": {"message": "no"}}, status=500)
        async with aftermath(router, provider) as after:
            reply = await ask(router.url, request("POST", COUNTS[0][1], MESSAGES.body))
        assert reply.status == 500
        assert after.row["outcome"] == "upstream-error"


@pytest.mark.parametrize(("form", "path", "field", "upstream"), COUNTS, ids=lambda value: getattr(value, "name", ""))
async def test_a_wrong_body_is_refused(form: Format, path: str, field: str, upstream: str, tmp_path: Path) -> None:
    async with (
        FakeProvider(answer) as provider,
        serving(home_with(tmp_path, provider, ""), {"work": PROFILE}) as router,
    ):
        for body in (b"", b"[]", b"{", b'{"messages": 5, "contents": 5, "input": 5, "model": 5}'):
            reply = await ask(router.url, request("POST", path, body))
            assert reply.status == 400, body
            assert form.error_of(reply.body)
        assert not provider.requests
