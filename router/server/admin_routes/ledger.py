"""The ledger's writer, for commands that have something to write while a server runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from aiohttp import web

from router.ledger.imported import MOST_AT_ONCE, Imported, write_imported
from router.server import replies
from router.server.admin_routes.asked import asked

if TYPE_CHECKING:
    from router.server.app import App


class _Records(msgspec.Struct):
    records: Annotated[list[Imported], msgspec.Meta(max_length=MOST_AT_ONCE)]


def routes(app: App) -> list[web.RouteDef]:
    """``POST /ledger/import``."""

    async def imported(request: web.Request) -> web.Response:
        records = (await asked(request, _Records)).records
        came = await app.ledger.run(lambda connection: write_imported(connection, records))
        return replies.json_reply(came._asdict())

    return [web.post("/ledger/import", imported)]
