"""The server's life: its status, reading files anew, the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from router.server import replies
from router.server.admin_routes.asked import asked

if TYPE_CHECKING:
    from router.server.app import App


class _Stop(msgspec.Struct):
    now: bool = False


def routes(app: App) -> list[web.RouteDef]:
    """``GET /status``, ``POST /reload``, ``POST /stop``."""

    async def status(request: web.Request) -> web.Response:
        return replies.json_reply(app.status())

    async def reload(request: web.Request) -> web.Response:
        await app.reload()
        return replies.json_reply(app.status())

    async def stop(request: web.Request) -> web.Response:
        now = (await asked(request, _Stop)).now
        app.request_stop()
        if now:
            app.request_stop()
        return replies.json_reply({"stopping": True, "grace_s": 0 if now else app.settings.stop_grace_s})

    return [web.get("/status", status), web.post("/reload", reload), web.post("/stop", stop)]
