"""What a profile may change in requests and replies on their way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.answers import answer
from tests.support.asking import FORMATS, Format
from tests.support.provider import FakeProvider
from tests.support.serving import serving

ECHO = """\
[routing]
echo-model = "requested"

[default]
target = "fake/served-1"

[prices."fake/served-1"]
input = 1
output = 2
"""


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_the_requested_model_is_named_in_replies_where_asked_for(
    form: Format, stream: bool, tmp_path: Path
) -> None:
    async with (
        FakeProvider(answer) as provider,
        serving(tmp_path / "home", {"work": ECHO}, providers={"fake": provider.url}) as router,
    ):
        path, body = form.request(stream=stream)
        async with router.post(f"/work{path}", data=body, headers={"content-type": "application/json"}) as reply:
            text = await reply.read()
        assert reply.status == 200
        assert reply.headers["x-router-model"] == "served-1"
        named = b'"modelVersion"' if form.name == "gemini" else b'"model"'
        assert text.count(named) == text.count(named + b':"m"') + text.count(named + b': "m"') > 0
        assert b"served-1" not in text
        (row,) = await router.rows()
        assert (row["requested_model"], row["model"], row["cost_nano_usd"] is None) == ("m", "served-1", False)


async def test_a_rule_may_put_its_own_field_in_place_of_one_it_drops(tmp_path: Path) -> None:
    rules = '[default]\nto = "fake"\ndrop = ["max_tokens", "top_k"]\nset = { max-tokens = 50, top_k = 3 }\n'
    async with (
        FakeProvider(answer) as provider,
        serving(tmp_path / "home", {"work": rules}, providers={"fake": provider.url}) as router,
    ):
        asked = {"model": "m", "max_tokens": 9, "top_k": 1, "messages": []}
        async with router.post("/work/v1/messages", json=asked) as reply:
            assert reply.status == 200
        assert json.loads(provider.requests[-1].body) == {"model": "m", "messages": [], "max_tokens": 50, "top_k": 3}


@pytest.mark.parametrize(
    ("provider", "sent", "expected"),
    [
        pytest.param("mistral", {}, {"max_tokens": 50}, id="a provider that knows the old name only"),
        pytest.param("openai", {}, {"max_completion_tokens": 50}, id="one that refuses it"),
        pytest.param("groq", {"max_tokens": 9}, {"max_tokens": 50}, id="the client's name, where either will do"),
        pytest.param("groq", {}, {"max_completion_tokens": 50}, id="the newer name otherwise"),
    ],
)
async def test_an_output_limit_is_called_what_the_provider_calls_it(
    provider: str, sent: dict[str, int], expected: dict[str, int], tmp_path: Path
) -> None:
    async with FakeProvider(answer) as fake:
        rules = (
            f'[default]\nto = "{provider}"\nset = {{ max-tokens = 50 }}\n'
            f'[providers.{provider}]\nbase-url = "{fake.url}/v1"\napi-key = "none"\n'
        )
        asked = {"model": "m", "messages": [], **sent}
        async with (
            serving(tmp_path / "home", {"work": rules}) as router,
            router.post("/work/v1/chat/completions", json=asked) as reply,
        ):
            assert reply.status == 200
        assert json.loads(fake.requests[-1].body) == {"model": "m", "messages": [], **expected}
