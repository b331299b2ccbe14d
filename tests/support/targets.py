"""A profile with several targets, each a scripted provider of its own: what one fails to do, the next may.

The profile's default goes to ``one/model-1``; ``two/model-2`` and ``three/model-3`` are its fallbacks.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from router.health.retry import RetryBudget
from router.server.services import now_ms
from tests.support.aftermath import Aftermath, aftermath, at_rest, check_books, leaving_nothing
from tests.support.answers import answer
from tests.support.asking import MESSAGES, Format
from tests.support.provider import FakeProvider, Received, Step, whole
from tests.support.raw import RawReply, ask, request
from tests.support.serving import ALL_FORMATS, Running, serving

NAMES = ("one", "two", "three")
QUICK = '[retry]\nbackoff = "1ms"\n'


@dataclass
class Targets:
    """A router and the providers behind it."""

    router: Running
    providers: list[FakeProvider]

    @property
    def one(self) -> FakeProvider:
        return self.providers[0]

    @property
    def two(self) -> FakeProvider:
        return self.providers[1]

    @property
    def three(self) -> FakeProvider:
        return self.providers[2]

    @property
    def calls(self) -> list[int]:
        """How often each provider has been called."""
        return [len(provider.requests) for provider in self.providers]

    def unbounded(self) -> None:
        """Let requests be tried again however many others are."""
        for tenant in self.router.app.tenants:
            tenant.health.retries = RetryBudget(least=10**9)

    async def ask(
        self, form: Format = MESSAGES, *, stream: bool = False, body: bytes | None = None, within_s: float = 10.0
    ) -> RawReply:
        path, usual = form.request(stream=stream)
        return await ask(self.router.url, request("POST", f"/work{path}", body or usual), within_s=within_s)

    async def asked(
        self, form: Format = MESSAGES, *, stream: bool = False, body: bytes | None = None
    ) -> tuple[RawReply, Aftermath]:
        """A reply, and what must hold behind every one."""
        async with aftermath(self.router, *self.providers) as after:
            reply = await self.ask(form, stream=stream, body=body)
        return reply, after

    @contextlib.asynccontextmanager
    async def settling(self) -> AsyncIterator[None]:
        """As ``many``, where only the client knows how many requests it makes."""
        tasks = asyncio.all_tasks()
        yield
        await at_rest(self.router, tasks)
        rows, attempts = await self.router.rows(), await self.router.rows("attempts")
        assert len(attempts) == sum(self.calls)
        assert {row["state"] for row in (*rows, *attempts)} == {"settled"}
        check_books(self.router)

    @contextlib.asynccontextmanager
    async def many(self, requests: int, *, unheard: int = 0) -> AsyncIterator[None]:
        """As ``aftermath``, for so many requests that their rows are counted once, at the end. ``unheard``: calls that
        came to none of the providers."""
        tasks = asyncio.all_tasks()
        before = {"requests": len(await self.router.rows()), "attempts": len(await self.router.rows("attempts"))}
        calls = sum(self.calls)
        yield
        await at_rest(self.router, tasks)
        rows, attempts = await self.router.rows(), await self.router.rows("attempts")
        assert len(rows) - before["requests"] == requests
        assert len(attempts) - before["attempts"] == sum(self.calls) - calls + unheard
        assert {row["state"] for row in (*rows, *attempts)} == {"settled"}
        assert sum(row["attempts"] for row in rows) == len(attempts)
        check_books(self.router)


def profile(
    urls: Sequence[str], settings: str = QUICK, *, formats: Sequence[Sequence[str]] = (), keys: Sequence[str] = ()
) -> str:
    """The profile's text. ``formats`` are those of each provider, all by default; ``keys`` those of the first one."""
    chain = [f'"{name}/model-{number}"' for number, name in enumerate(NAMES[: len(urls)], 1)]
    lines = ["[default]", f"target = {chain[0]}", f"fallback = [{', '.join(chain[1:])}]", settings]
    for number, url in enumerate(urls):
        own = list(keys) if keys and not number else ["env:TEST_KEY"]
        spoken = list(formats[number]) if number < len(formats) else list(ALL_FORMATS)
        lines += [f"[providers.{NAMES[number]}]", f'base-url = "{url}"', f"formats = {spoken}", f"api-keys = {own}"]
        lines += [f"[prices.{chain[number]}]", f"input = {number + 1}.0", f"output = {10 * (number + 1)}.0"]
    return "\n".join(lines)


@contextlib.asynccontextmanager
async def targets(
    home: Path,
    settings: str = QUICK,
    *,
    count: int = 2,
    formats: Sequence[Sequence[str]] = (),
    keys: Sequence[str] = (),
    addresses: Sequence[str] = (),
    resentful: bool = False,
    server: str = "",
    clock: Callable[[], int] = now_ms,
) -> AsyncIterator[Targets]:
    """A router with ``count`` providers that answer well until told otherwise; the first of them may be elsewhere.

    Nothing may be left behind in the end, whatever was asked.
    """
    async with contextlib.AsyncExitStack() as stack:
        providers = [await stack.enter_async_context(FakeProvider(answer)) for _ in range(count)]
        urls = [*addresses, *(provider.url for provider in providers)][:count]
        text = profile(urls, settings, formats=formats, keys=keys)
        router = await stack.enter_async_context(
            serving(home, {"work": text}, resentful=resentful, settings=server, clock=clock)
        )
        await stack.enter_async_context(leaving_nothing(router, *([] if addresses else providers)))
        yield Targets(router, providers)


def failing(status: int, message: str = "no", headers: Iterable[tuple[str, str]] = ()) -> list[Step]:
    """An error reply."""
    return whole({"type": "error", "error": {"type": "x", "message": message}}, status=status, headers=headers)


def answered(received: Received) -> list[Step]:
    """What a provider says that is well."""
    return list(answer(received))


def says(form: Format, model: str, *, stream: bool) -> bytes:
    """The body that a client gets from a provider that is well, in its own format."""
    path, body = form.request(stream=stream)
    named = body.replace(b'"m"', b'"%s"' % model.encode())
    steps = answer(Received("POST", path.replace("models/m:", f"models/{model}:"), {}, named))
    return b"".join(getattr(step, "data", b"") for step in steps)


def story(after: Aftermath) -> list[tuple[str, str, str | None]]:
    """Every call: its role, who was called, and how it failed."""
    return [(attempt["role"], attempt["provider"], attempt["error_class"]) for attempt in after.attempts]
