"""Calls that no rule looks at: where they go, what of them changes, and what stands in the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.provider import FakeProvider, Received, whole
from tests.support.serving import serving

VECTOR = {"object": "list", "data": [], "model": "e", "usage": {"prompt_tokens": 7, "total_tokens": 7}}
PROVIDERS = """
[providers.openai]
base-url = "{url}/one/v1"
api-key = "env:TEST_KEY"
[providers.mistral]
base-url = "{url}/two/v1"
api-key = "env:OTHER_KEY"
[providers.anthropic]
base-url = "{url}/three"
api-key = "env:TEST_KEY"
"""
DEFAULT = '[default]\nto = "openai"\n'
ONLY_ANTHROPIC = '[default]\nto = "anthropic"\n'
OTHER_TO = '[routing]\nother-to = "mistral"\n' + ONLY_ANTHROPIC


def answer(request: Received) -> Any:
    return whole(VECTOR)


@pytest.mark.parametrize(
    ("rules", "model", "path", "sent_model", "label"),
    [
        pytest.param(DEFAULT, "e", "/one/v1/embeddings", "e", "other → openai", id="to the default"),
        pytest.param(OTHER_TO, "e", "/two/v1/embeddings", "e", "other → mistral", id="where other-to says"),
        pytest.param(DEFAULT, "mistral:e", "/two/v1/embeddings", "e", "explicit → mistral", id="by the model's prefix"),
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded"])
@pytest.mark.slow
async def test_embeddings_go_to_their_provider_and_are_recorded(
    tmp_path: Path, rules: str, model: str, path: str, sent_model: str, label: str, content_type: str
) -> None:
    async with FakeProvider(answer) as provider:
        text = rules + PROVIDERS.format(url=provider.url)
        async with serving(tmp_path / "home", {"work": text}) as router:
            body = f'{{"model": "{model}", "input": "x"}}'
            headers = {"Content-Type": content_type}
            async with router.post("/work/v1/embeddings", data=body, headers=headers) as reply:
                assert reply.status == 200, await reply.text()
            (row,) = await router.rows()
    (request,) = provider.requests
    assert (request.path, request.json["model"]) == (path, sent_model)
    assert (row["kind"], row["rule"], row["outcome"], row["input"]) == ("embed", label, "ok", 7)


async def test_a_form_is_passed_on_byte_for_byte(tmp_path: Path) -> None:
    async with (
        FakeProvider(answer) as provider,
        serving(tmp_path / "home", {"work": DEFAULT + PROVIDERS.format(url=provider.url)}) as router,
    ):
        body = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper\r\n--b--\r\n'
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        async with router.post("/work/v1/audio/transcriptions", data=body, headers=headers) as reply:
            assert reply.status == 200
        (row,) = await router.rows()
    (request,) = provider.requests
    assert (request.path, request.body) == ("/one/v1/audio/transcriptions", body)
    assert request.headers["content-type"] == headers["Content-Type"]
    assert row["kind"] == "other"


async def test_without_a_provider_for_it_the_refusal_says_which_key_to_set(tmp_path: Path) -> None:
    async with (
        FakeProvider(answer) as provider,
        serving(tmp_path / "home", {"work": ONLY_ANTHROPIC + PROVIDERS.format(url=provider.url)}) as router,
        router.post("/work/v1/rerank", json={"model": "r"}) as reply,
    ):
        assert reply.status == 404
        assert "other-to" in await reply.text()
    assert provider.requests == []
