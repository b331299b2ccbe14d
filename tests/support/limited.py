"""A profile with limits, client keys, and a provider that answers when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from router.server.admission import ClientKey, KeyRing, hash_key
from router.server.limits import Limiter
from tests.support.aftermath import leaving_nothing
from tests.support.answers import answer
from tests.support.asking import MESSAGES, PROFILE, Format
from tests.support.provider import FakeProvider, Pause, Received, Step
from tests.support.raw import RawReply, ask, request
from tests.support.serving import Running, serving, write_profile

KEYS = {f"rk_{name}": ClientKey(name, name, "work") for name in ("alice", "bob")}


class Limited(NamedTuple):
    """A server with a profile ``work``."""

    router: Running
    provider: FakeProvider
    home: Path

    @property
    def limiter(self) -> Limiter:
        tenant = self.router.app.tenants.find("work")
        assert tenant is not None
        return tenant.limits

    async def limits(self, text: str) -> None:
        """Change the file under way."""
        write_profile(self.home, "work", f"{PROFILE}\n{text}\n")
        await self.router.app.tenants.refresh()
        tenant = self.router.app.tenants.find("work")
        assert tenant is not None
        assert tenant.problems == ()

    async def ask(
        self,
        who: str | None = "alice",
        form: Format = MESSAGES,
        *,
        path: str | None = None,
        program: str | None = None,
        stream: bool = False,
    ) -> RawReply:
        """One request, with somebody's key; its program is called after whoever has it."""
        usual, body = form.request(stream=stream)
        headers = [("User-Agent", program or who or "-")] + ([("x-router-key", f"rk_{who}")] if who else [])
        return await ask(self.router.url, request("POST", f"/work{path or usual}", body, headers=headers))

    async def until(self, *, inside: int, waiting: int) -> None:
        """Wait until so many have a place, and so many wait for one."""
        await until(lambda: (self.limiter.inside, self.limiter.waiting) == (inside, waiting))


class Held:
    """Calls that are answered one after the other, when told to."""

    def __init__(self, world: Limited, then: Callable[[Received], Iterable[Step]] = answer) -> None:
        self.order: list[str] = []  # the programs that asked
        self._then = then
        self._turns: list[asyncio.Event] = []
        self._served = 0
        world.provider.answer = self._answer

    def _answer(self, received: Received) -> list[Step]:
        self.order.append(received.headers.get("user-agent", "-"))
        self._turns.append(turn := asyncio.Event())
        return [Pause(turn), *self._then(received)]

    async def calls(self, count: int) -> None:
        """Wait until so many have come."""
        await until(lambda: len(self.order) == count)

    def release(self) -> None:
        """Answer the first of those that wait."""
        self._turns[self._served].set()
        self._served += 1


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that is about to happen."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def limited(home: Path) -> AsyncIterator[Limited]:
    """The server without limits; nothing may be left behind in the end, nor a place be taken."""
    async with (
        FakeProvider(answer) as provider,
        serving(home, {"work": PROFILE}, providers={"fake": provider.url}) as router,
    ):
        router.app.services.keys = KeyRing({hash_key(key): known for key, known in KEYS.items()})
        world = Limited(router, provider, home)
        async with leaving_nothing(router, provider):
            yield world
        await world.until(inside=0, waiting=0)
