"""What usage teaches about tokens decides whether a long request fits a window, also after a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner

from router.cli.main import cli
from router.health import token_factors
from router.wire.usage import Usage
from tests.support.asking import CHAT, MESSAGES, Format
from tests.support.provider import FakeProvider
from tests.support.saying import saying, text
from tests.support.serving import Running, serving

PROFILE = """
[models."one/claude-x"]
context = 20_000

[models."two/other"]
context = 25_000

[default]
target = "one/claude-x"
fallback = ["two/other"]
"""
WORDS = 15_000
"""Tokens, about: a Claude model is taken to make 18,000 of them; 1.4 times as many are too many for its window."""
READ = Usage(input=WORDS, cache_read=int(WORDS * 0.3), cache_write=int(WORDS * 0.1), output=9)
ENOUGH = 3


@pytest.fixture(autouse=True)
def taught_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_factors, "ENOUGH", ENOUGH)


async def served_by(router: Running, form: Format, words: int = WORDS, *, stream: bool = False) -> str:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "word " * words}], "stream": stream}
    async with router.post(f"/work{form.path}", json=body) as reply:
        await reply.read()
        assert reply.status == 200
    await router.flush()
    return str(reply.headers["x-router-provider"])


@pytest.mark.parametrize(("form", "stream"), [(MESSAGES, False), (MESSAGES, True), (CHAT, True)])
async def test_usage_teaches_how_long_a_request_is_for_its_target(form: Format, stream: bool, tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with FakeProvider(saying(text("Hello.", usage=READ))) as one, FakeProvider(saying(text("Hello."))) as two:
        addresses = {"one": one.url, "two": two.url}
        async with serving(home, {"work": PROFILE}, providers=addresses) as router:
            served = [await served_by(router, form, stream=stream) for _ in range(ENOUGH + 1)]
            assert served == [*["one"] * ENOUGH, "two"]
            assert await served_by(router, form, WORDS - 2000, stream=stream) == "one", (
                "a shorter one fits all the same"
            )
            rows = await router.rows()
            assert "prompt is too long" in rows[ENOUGH]["trace"]
        async with serving(home, providers=addresses) as router:
            assert await served_by(router, form, stream=stream) == "two"


async def test_explain_reckons_with_it_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("TEST_KEY", "sk-1")

    def explained(tokens: int = WORDS) -> str:
        result = CliRunner().invoke(cli, ["explain", "work", "--tokens", str(tokens), "--home", str(home)])
        assert result.exit_code == 0, result.output
        return result.stdout

    async with FakeProvider(saying(text("Hello.", usage=READ))) as one:
        addresses = {"one": one.url, "two": one.url}
        async with serving(home, {"work": PROFILE}, providers=addresses) as router:
            before = await asyncio.to_thread(explained)
            assert "learned" not in before
            assert "Goes to  one/claude-x" in before
            for _ in range(ENOUGH):
                await served_by(router, MESSAGES)
            after, shorter = [await asyncio.to_thread(explained, tokens) for tokens in (WORDS, WORDS - 2000)]
    assert "Skips    one/claude-x" in after
    assert "Goes to  two/other" in after
    assert "learned from usage" not in after, "nothing is known of the other's tokenizer"
    assert "Goes to  one/claude-x" in shorter
    assert "window 20,000 tokens, estimate × 1.4 (learned from usage)" in shorter
