"""The ledger's writer, for commands that have something to write while a server runs, or to erase."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING, Annotated

import msgspec
from aiohttp import web

from router.ledger.belongings import going
from router.ledger.erasing import QUICKLY, compact, erase, under_way
from router.ledger.imported import MOST_AT_ONCE, Imported, write_imported
from router.profile.names import name_problem
from router.server import client_keys, replies
from router.server.admin_routes.asked import asked

if TYPE_CHECKING:
    from router.server.app import App


TELL_EVERY_S = 1.0


class _Records(msgspec.Struct):
    records: Annotated[list[Imported], msgspec.Meta(max_length=MOST_AT_ONCE)]


class _Erasure(msgspec.Struct):
    profile: str
    before_ms: int
    whole: bool  # all of it, not only what is older


def routes(app: App) -> list[web.RouteDef]:
    """``POST /ledger/import``; ``POST /ledger/erase``, which answers with a line each second and one at the end."""

    async def imported(request: web.Request) -> web.Response:
        records = (await asked(request, _Records)).records
        came = await app.ledger.run(lambda connection: write_imported(connection, records))
        return replies.json_reply(came._asdict())

    async def erased(request: web.Request) -> web.StreamResponse:
        asked_for = await asked(request, _Erasure)
        if problem := name_problem(asked_for.profile):
            raise ValueError(problem)
        reply = web.StreamResponse(headers={"Content-Type": "application/x-ndjson", **replies.NO_STORE})
        await reply.prepare(request)

        async def tell(line: object) -> None:
            await reply.write(msgspec.json.encode(line) + b"\n")

        so_far = {"rows": 0}
        erasing = asyncio.create_task(_erase(app, asked_for, so_far), name=f"erasing {asked_for.profile}")
        try:
            while not (await asyncio.wait({erasing}, timeout=TELL_EVERY_S))[0]:
                if app.stopping.is_set():
                    raise OSError("the router stops")
                await tell(so_far)
            await tell(erasing.result())
        except (sqlite3.Error, OSError) as error:
            await tell({"error": f"erasing broke off: {error}; the same command goes on with it"})
        finally:
            erasing.cancel()  # nobody waits for it any more
        return reply

    return [web.post("/ledger/import", imported), web.post("/ledger/erase", erased)]


async def _erase(app: App, asked_for: _Erasure, so_far: dict[str, int]) -> dict[str, object]:
    """Do it, in the ledger, in the profile's log, and in the file."""
    profile, before_ms = asked_for.profile, asked_for.before_ms
    await app.tenants.refresh()
    gone = asked_for.whole and profile not in app.tenants.names() and not (app.home.profiles / profile).exists()
    also = going(whole=asked_for.whole, gone=gone)
    count = await erase(app.ledger, profile, before_ms, also=also, told=lambda count: so_far.update(rows=count))
    if gone:
        app.services.keys = await app.ledger.run(client_keys.ring)
    await app.services.log.erase(profile, before_ms)
    left = await app.ledger.run(lambda connection: under_way(connection, profile))
    file = await compact(app.ledger, at_most=QUICKLY)
    return {"rows": count, "under_way": left, "gone": gone, **file._asdict()}
