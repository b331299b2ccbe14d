"""Client keys: made, listed, revoked, in force at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from aiohttp import web

from router.server import client_keys, replies
from router.server.admin_routes.asked import asked, missing

if TYPE_CHECKING:
    from router.server.app import App


class _NewKey(msgspec.Struct):
    profile: str
    name: str
    daily_usd: Annotated[float, msgspec.Meta(gt=0)] | None = None
    monthly_usd: Annotated[float, msgspec.Meta(gt=0)] | None = None


def routes(app: App) -> list[web.RouteDef]:
    """``GET /keys``, ``POST /keys``, ``DELETE /keys/{id}``."""

    async def listed(request: web.Request) -> web.Response:
        return replies.json_reply({"keys": await app.ledger.run(client_keys.listed)})

    async def create(request: web.Request) -> web.Response:
        new = await asked(request, _NewKey)
        if app.tenants.find(new.profile) is None:
            return missing(app, new.profile)

        def job(connection: sqlite3.Connection) -> dict[str, str]:
            return client_keys.create(
                connection,
                profile=new.profile,
                name=new.name,
                daily_usd=new.daily_usd,
                monthly_usd=new.monthly_usd,
            )

        return await change(job)

    async def revoke(request: web.Request) -> web.Response:
        key_id = request.match_info["id"]

        def job(connection: sqlite3.Connection) -> dict[str, bool]:
            if not client_keys.revoke(connection, key_id):
                raise ValueError(f"no key in force has the id {key_id}")
            return {"revoked": True}

        return await change(job)

    async def change(job: Callable[[sqlite3.Connection], Any]) -> web.Response:
        answer = await app.ledger.run(job)
        await app.tenants.use_key_limits(await app.ledger.run(client_keys.limits))  # before the key is known
        app.services.keys = await app.ledger.run(client_keys.ring)
        return replies.json_reply(answer)

    return [web.get("/keys", listed), web.post("/keys", create), web.delete("/keys/{id}", revoke)]
