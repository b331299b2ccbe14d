"""The server's life: its status, reading files anew, the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from router.server import replies

if TYPE_CHECKING:
    from router.server.app import App


def routes(app: App) -> list[web.RouteDef]:
    """``GET /status``, ``POST /reload``, ``POST /stop``."""

    async def status(request: web.Request) -> web.Response:
        return replies.json_reply(app.status())

    async def reload(request: web.Request) -> web.Response:
        await app.tenants.refresh()
        return replies.json_reply(app.status())

    async def stop(request: web.Request) -> web.Response:
        app.request_stop()
        return replies.json_reply({"stopping": True})

    return [web.get("/status", status), web.post("/reload", reload), web.post("/stop", stop)]
