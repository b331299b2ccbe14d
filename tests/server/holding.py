"""Nothing of a request or of a draft is held while its answer streams: looked for in all that the process holds.

So it is tried in a process of its own (``test_holding.py``), where nothing else is.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import msgspec
import pytest

from router.routing.facts import RequestFacts
from router.routing.judging import Draft, Question
from router.server.relay import StreamRelay
from router.wire.body import Body
from router.wire.conversation import Conversation
from router.wire.piece_memory import PieceMemory
from router.wire.request import RequestView
from tests.server.test_translated import HELLO, Silence
from tests.support.asking import BY_NAME
from tests.support.held import instances_of, texts_with
from tests.support.provider import FakeProvider, Received, Step, whole
from tests.support.raw import RawClient, request
from tests.support.saying import saying, text
from tests.support.serving import serving

STRAIGHT = 'target = "dear/large"'
DRAFTED = 'target = "dear/large"\ncascade = { draft = "cheap/small" }'
FALLING_BACK = 'targets = ["cheap/small", "dear/large"]'


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("dear", ["anthropic-messages", "openai-chat"], ids=["same format", "translated"])
@pytest.mark.parametrize(
    ("rule", "cheap", "roles"),
    [
        pytest.param(STRAIGHT, None, ["primary"], id="of the only call"),
        pytest.param(DRAFTED, "refusing", ["draft", "verifier"], id="after a rejected draft"),
        pytest.param(DRAFTED, "failing", ["draft", "verifier"], id="after a draft that failed"),
        pytest.param(FALLING_BACK, "failing", ["primary", "retry", "fallback"], id="after calls that failed"),
    ],
)
async def test_neither_the_request_nor_a_draft_is_held_while_an_answer_streams(
    rule: str, cheap: str | None, roles: list[str], dear: str, tmp_path: Path
) -> None:
    asked, drafted = secrets.token_hex(8), secrets.token_hex(8)

    def answer_of_the_cheap(received: Received) -> Iterable[Step]:
        if cheap == "failing":
            return whole({"error": {"message": f"no {drafted} " * 20_000}}, status=500)
        return saying(text(f"I'm sorry, but I can't help with that. {drafted}\n" * 20_000))(received)

    quiet = Silence(BY_NAME[dear].events(), until=4)
    async with FakeProvider(quiet) as large, FakeProvider(answer_of_the_cheap) as small:
        providers = "".join(
            f'[providers.{name}]\nbase-url = "{fake.url}"\nformats = ["{api}"]\napi-key = "env:TEST_KEY"\n'
            for name, fake, api in (("cheap", small, "openai-chat"), ("dear", large, dear))
        )
        profile = f'[[rule]]\nmatch = {{ always = true }}\n{rule}\n[retry]\nbackoff = "1ms"\n{providers}'
        async with serving(tmp_path / "home", {"work": profile}) as router, RawClient(router.url) as client:
            await client.send(_long_request(asked))
            async with asyncio.timeout(10):
                await client.reader.readuntil(b"\r\n\r\n")
            while router.app.services.annotator.waiting:
                await asyncio.sleep(0.01)
            for received in (*small.requests, *large.requests):
                received.body = b""
            router.app.services.pieces = PieceMemory()  # what conversations bring again is kept on purpose, and bounded
            async with asyncio.timeout(5):  # a thread that has counted lets go a moment after it has told the number
                while found := instances_of(RequestView, Body, RequestFacts, Draft, Question, Conversation):
                    del found
                    await asyncio.sleep(0.02)
            assert texts_with(asked, drafted) == []
            quiet.go_on.set()
            await client.reader.readuntil(b"\r\n0\r\n\r\n")
            assert [row["role"] for row in await router.rows("attempts")] == roles


def _long_request(word: str) -> bytes:
    return request(
        "POST",
        "/work/v1/messages",
        {**HELLO, "stream": True, "messages": [{"role": "user", "content": f"{word} " * 60_000}]},
    )


def test_what_is_held_would_be_found() -> None:
    word = secrets.token_hex(8)
    long = f"{word} " * 600
    kept = [
        long,
        {"a": (long.encode(),)},
        [msgspec.Raw(long.encode())],
        [memoryview(long.encode())],
        partial(str, long),
        (piece for piece in long),
        StreamRelay(long, None, idle_s=1),  # type: ignore[arg-type]  # any object
    ]
    del long
    assert {"list", "tuple", "managedbuffer", "str_ascii_iterator", "StreamRelay"} == set(texts_with(word))
    kept.clear()
    assert texts_with(word) == []
