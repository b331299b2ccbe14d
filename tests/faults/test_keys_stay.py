"""A provider's key is seen by that provider and by nobody else, whatever goes wrong."""

from __future__ import annotations

import itertools
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.answers import answer
from tests.support.asking import FORMATS, Format, opening
from tests.support.provider import Close, FakeProvider, Received, Reset, Step, whole
from tests.support.serving import ENVIRON, Running, serving

pytestmark = pytest.mark.sampled(2)

HERS, OTHERS = ENVIRON["TEST_KEY"], ENVIRON["OTHER_KEY"]
CLIENTS = "sk-of-the-client-canary-9999"
PROFILE = """\
[[rule]]
match = { tag = "other" }
to = "other"

[default]
to = "fake"

[providers.other]
formats = ["anthropic-messages", "openai-chat", "openai-responses", "gemini"]
base-url = "OTHER"
api-key = "env:OTHER_KEY"
"""


class World:
    """One router, a provider for each of two keys, and all that was said and written."""

    def __init__(self, home: Path, router: Running, fake: FakeProvider, other: FakeProvider) -> None:
        self.home, self.router, self.fake, self.other = home, router, fake, other
        self.said = b""

    async def ask(self, form: Format, *, stream: bool, tag: str = "") -> None:
        path, body = form.request(stream=stream)
        headers = {"x-router-tag": tag, "authorization": f"Bearer {CLIENTS}", "x-api-key": CLIENTS}
        async with self.router.post(f"/work{path}", data=body, headers=headers) as reply:
            self.said += repr(reply.raw_headers).encode()
            try:
                async for part in reply.content.iter_any():
                    self.said += part
            except aiohttp.ClientError:
                pass  # a reply that breaks off is one of the faults

    async def everything(self) -> dict[str, bytes]:
        """What the router says of itself and has written down."""
        await self.router.flush()
        self.router.app.services.log.flush()
        shown = {str(path): path.read_bytes() for path in self.home.rglob("*") if path.is_file()}
        for path in ("/health", "/metrics", "/work/stats", "/work/v1/models", "/work/health", "/"):
            async with self.router.get(path) as reply:
                shown[path] = await reply.read()
        shown["status"] = repr(self.router.app.status()).encode()
        return {**shown, "replies": self.said}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    home = tmp_path / "home"
    async with FakeProvider(answer) as fake, FakeProvider(answer) as other:
        text = PROFILE.replace("OTHER", other.url, 1)
        async with serving(home, {"work": text}, providers={"fake": fake.url}) as router:
            yield World(home, router, fake, other)


def echoing(status: int) -> Callable[[Received], list[Step]]:
    """An error without the key: what a provider repeats of a key is the provider's own word."""
    return lambda request: whole({"error": {"message": "no", "type": "error"}}, status=status)


FAULTS = [
    pytest.param(answer, id="an answer"),
    pytest.param(echoing(400), id="a refused request"),
    pytest.param(echoing(401), id="a refused key"),
    pytest.param(echoing(429), id="too many requests"),
    pytest.param(echoing(500), id="a fault of the provider"),
    pytest.param(echoing(302), id="a redirect"),
    pytest.param(lambda request: [Close()], id="hanging up at once"),
    pytest.param(lambda request: [Reset()], id="a reset at once"),
    pytest.param(lambda request: [*opening(b"data: {\n\n"), Reset()], id="a stream that breaks off"),
    pytest.param(lambda request: whole(b"\xff not JSON"), id="an answer that is no JSON"),
]


@pytest.mark.parametrize("script", FAULTS)
async def test_a_key_is_nowhere_but_at_its_provider(
    script: Any, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    world.fake.answer = script
    for form, options in itertools.product(FORMATS, ({"stream": False}, {"stream": True}, {"tag": "other"})):
        await world.ask(form, **{"stream": False, **options})
    shown = {**await world.everything(), "log": caplog.text.encode()}
    for key in (HERS, OTHERS, CLIENTS):
        assert [place for place, content in shown.items() if key.encode() in content] == []
    assert len(world.fake.requests) >= 2 * len(FORMATS)
    assert all(HERS in str(seen.headers) for seen in world.fake.requests)
    assert all(OTHERS in str(seen.headers) for seen in world.other.requests)
    assert not any(OTHERS in str(seen) or CLIENTS in str(seen) for seen in world.fake.requests)
    assert not any(HERS in str(seen) or CLIENTS in str(seen) for seen in world.other.requests)


async def test_a_redirect_takes_the_key_nowhere(world: World) -> None:
    location = f"{world.other.url}/elsewhere"
    world.fake.answer = lambda request: whole({}, status=307, headers=[("location", location)])
    await world.ask(FORMATS[0], stream=False)
    assert world.other.requests == []


async def test_a_client_cannot_name_where_a_key_goes(world: World) -> None:
    """Neither by a model's name, nor by headers that other gateways read."""
    body = {"model": f"{world.other.url}/x", "max_tokens": 1, "messages": [], "base_url": world.other.url}
    headers = {"x-base-url": world.other.url, "x-forwarded-host": world.other.url.removeprefix("http://")}
    async with world.router.post("/work/v1/messages", json=body, headers=headers) as reply:
        await reply.read()
    assert len(world.fake.requests) == 1
    assert world.other.requests == []
