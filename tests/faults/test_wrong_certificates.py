"""A provider that can't show who it is gets no byte of a request, and no key."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.asking import MESSAGES
from tests.support.slow import in_time
from tests.support.targets import QUICK, Targets, says, targets
from tests.support.tls import write_tls


class Impostor:
    """Listens for TLS and notes what it gets to read."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self.context = context
        self.read: list[bytes] = []
        self.connections = 0
        self.address = ""

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[Impostor]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.context)
        self.address = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """With a certificate, what comes behind the handshake; without one, the handshake, which it never answers."""
        self.connections += 1
        while part := await reader.read(1000):
            self.read.append(part)
        writer.close()


@pytest.mark.parametrize("which", ["good", "expired", "of somebody else"])
async def test_a_certificate_has_to_be_valid_and_its_own(which: str, tmp_path: Path) -> None:
    tls = write_tls(tmp_path, which)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.cert, tls.key)
    trusted = "" if which == "good" else f'[network]\nca-file = "{tls.cert}"\n'  # the good one is nobody's we know
    async with (
        Impostor(context).listening() as impostor,
        targets(tmp_path / "home", addresses=[impostor.address], server=trusted) as world,
    ):
        await stood_in_for(world)
        async with world.many(3, unheard=6):
            for stream in (True, False, True):
                reply = await world.ask(stream=stream)
                assert reply.body == says(MESSAGES, "model-2", stream=stream)
    assert impostor.read == []


async def test_a_trusted_certificate_that_is_valid_is_taken(tmp_path: Path) -> None:
    """So the ones above are refused for what is wrong with them."""
    tls = write_tls(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.cert, tls.key)
    trusted = f'[network]\nca-file = "{tls.cert}"\n'
    async with (
        Impostor(context).listening() as impostor,
        targets(tmp_path / "home", addresses=[impostor.address], server=trusted) as world,
    ):
        asking = asyncio.create_task(world.ask())
        async with asyncio.timeout(5):
            while not impostor.read:
                await asyncio.sleep(0.002)
        asking.cancel()
        await asyncio.wait([asking])
    assert b"POST /v1/messages" in b"".join(impostor.read)


async def test_a_handshake_that_nobody_answers_ends_at_the_limit_for_connecting(tmp_path: Path) -> None:
    settings = QUICK + '[timeouts]\nconnect = "200ms"\n'
    async with (
        Impostor(None).listening() as impostor,
        targets(tmp_path / "home", settings, addresses=[impostor.address]) as world,
    ):
        began = time.monotonic()
        await stood_in_for(world)
        took_s = time.monotonic() - began
        assert took_s > 0.38, "it is tried twice"
        in_time(took_s, 1.2)
        assert impostor.connections == 2
    assert all(part.startswith(b"\x16\x03") for part in impostor.read), "nothing but the beginning of a handshake"


async def stood_in_for(world: Targets) -> None:
    """The first target can't be reached, and that isn't charged by anybody; the second one answers."""
    before = len(await world.router.rows("attempts"))
    reply = await world.ask()
    assert (reply.status, reply.headers["x-router-provider"]) == (200, "two")
    calls = (await world.router.rows("attempts"))[before:]
    assert [(call["error_class"], call["maybe_billed"]) for call in calls] == [
        ("connect", 0),
        ("connect", 0),
        (None, 0),
    ]
