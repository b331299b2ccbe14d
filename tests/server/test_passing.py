"""Endpoints that no rule looks at: what streams there is passed on as it comes, and ends as it ended."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.support.provider import SSE, Close, End, FakeProvider, Pause, Send, Status, Step, stream
from tests.support.serving import serving

RULES = '[routing]\nother-to = "fake"\n[default]\nto = "fake"\n'

COMPLETION = [
    b'data: {"id":"c","object":"text_completion","model":"m","choices":[{"text":"He","index":0}]}\n\n',
    b'data: {"id":"c","model":"m","choices":[{"text":"","finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}\n\n',
    b"data: [DONE]\n\n",
]
IMAGE = [
    b'event: image_generation.partial_image\ndata: {"type":"image_generation.partial_image","b64_json":"%b"}\n\n'
    % (b"A" * 90_000),
    b'event: image_generation.completed\ndata: {"type":"image_generation.completed","b64_json":"QQ==",'
    b'"usage":{"input_tokens":3,"output_tokens":2,"total_tokens":5}}\n\n',
]
SPEECH = [
    b'data: {"type":"speech.audio.delta","audio":"QQ=="}\n\n',
    b'data: {"type":"speech.audio.done","usage":{"input_tokens":3,"output_tokens":2,"total_tokens":5}}\n\n',
]


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        pytest.param("completions", COMPLETION, id="legacy completions"),
        pytest.param("images/generations", IMAGE, id="images as they sharpen"),
        pytest.param("audio/speech", SPEECH, id="speech"),
    ],
)
async def test_a_stream_passes_whole_and_its_usage_is_recorded(path: str, parts: list[bytes], tmp_path: Path) -> None:
    async with (
        FakeProvider(lambda request: stream(*parts)) as provider,
        serving(tmp_path / "home", {"work": RULES}, providers={"fake": provider.url + "/v1"}) as router,
    ):
        async with router.post(f"/work/v1/{path}", json={"model": "m", "stream": True}) as reply:
            assert await reply.read() == b"".join(parts)
        (row,) = await router.rows()
        assert (row["kind"], row["outcome"], row["input"], row["output"]) == ("other", "ok", 3, 2)


async def test_the_first_event_is_not_held_back(tmp_path: Path) -> None:
    more = asyncio.Event()
    steps: list[Step] = [Status(200, SSE), Send(COMPLETION[0]), Pause(more), *map(Send, COMPLETION[1:]), End()]
    async with (
        FakeProvider(lambda request: steps) as provider,
        serving(tmp_path / "home", {"work": RULES}, providers={"fake": provider.url + "/v1"}) as router,
        asyncio.timeout(10),
        router.post("/work/v1/completions", json={"model": "m", "prompt": "x", "stream": True}) as reply,
    ):
        assert await reply.content.readany() == COMPLETION[0]
        more.set()
        assert await reply.content.read() == b"".join(COMPLETION[1:])


async def test_a_stream_that_breaks_off_is_not_made_to_look_whole(tmp_path: Path) -> None:
    steps: list[Step] = [Status(200, SSE), Send(SPEECH[0]), Close()]
    async with (
        FakeProvider(lambda request: steps) as provider,
        serving(tmp_path / "home", {"work": RULES}, providers={"fake": provider.url + "/v1"}) as router,
    ):
        with pytest.raises(aiohttp.ClientPayloadError):
            async with router.post("/work/v1/audio/speech", json={"model": "m", "stream": True}) as reply:
                await reply.read()
        (row,) = await router.rows()
        assert row["outcome"] == "partial"
