"""Helpers: listed, started, stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aiohttp import web

from router.server import replies

if TYPE_CHECKING:
    from router.server.app import App

PATIENCE_S = 5.0  # then the answer says how far it has come; it goes on


def routes(app: App) -> list[web.RouteDef]:
    """``GET /helpers``, ``POST /helpers/NAME/start``, ``…/stop``, ``…/restart``.

    Each answers with the helper as the list has it. What takes longer than a moment goes on behind the answer.
    """
    under_way: set[asyncio.Task[None]] = set()

    async def listed(request: web.Request) -> web.Response:
        return replies.json_reply({"helpers": app.helpers.rows()})

    def change(act: Callable[[str], Awaitable[None]]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            name = request.match_info["name"]
            task = asyncio.ensure_future(act(name))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            done, _ = await asyncio.wait({task}, timeout=PATIENCE_S)
            if done:
                task.result()
            return replies.json_reply(next(row for row in app.helpers.rows() if row["name"] == name))

        return handle

    return [
        web.get("/helpers", listed),
        web.post("/helpers/{name}/start", change(app.helpers.start)),
        web.post("/helpers/{name}/stop", change(app.helpers.stop)),
        web.post("/helpers/{name}/restart", change(app.helpers.restart)),
    ]
