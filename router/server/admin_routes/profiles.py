"""The life of single profiles: started, stopped, enabled, disabled, forgotten."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from router.server import replies
from router.server.admin_routes.asked import asked, missing

if TYPE_CHECKING:
    from router.server.app import App


class _Change(msgspec.Struct):
    now: bool = False


def routes(app: App) -> list[web.RouteDef]:
    """``POST /profiles/NAME/…``, ``POST /profiles/stop-all``, ``DELETE /profiles/NAME``.

    Each answers with the profile as ``GET /status`` has it, and how many of its requests are still under way.
    """

    def change(act: Callable[[str, bool], Awaitable[None]]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            name = request.match_info["name"]
            now = (await asked(request, _Change)).now
            if name not in app.tenants.names():
                await app.tenants.refresh()  # it may have been made this moment
            if name not in app.tenants.names():
                return missing(app, name)
            await act(name, now)
            return replies.json_reply(_row(app, name))

        return handle

    async def stop_all(request: web.Request) -> web.Response:
        now = (await asked(request, _Change)).now
        names = [name for name in app.tenants.names() if name not in app.tenants.halted]
        for name in names:
            await states.stop(name, now=now)
        return replies.json_reply({"stopped": [_row(app, name) for name in names]})

    async def forget(request: web.Request) -> web.Response:
        await states.forget(request.match_info["name"])
        return replies.json_reply({"forgotten": request.match_info["name"]})

    states = app.profile_states
    return [
        web.post("/profiles/stop-all", stop_all),
        web.post("/profiles/{name}/start", change(lambda name, now: states.start(name))),
        web.post("/profiles/{name}/stop", change(lambda name, now: states.stop(name, now=now))),
        web.post("/profiles/{name}/restart", change(lambda name, now: states.restart(name, now=now))),
        web.post("/profiles/{name}/enable", change(lambda name, now: states.enable(name))),
        web.post("/profiles/{name}/disable", change(lambda name, now: states.disable(name, now=now))),
        web.delete("/profiles/{name}", forget),
    ]


def _row(app: App, name: str) -> dict[str, object]:
    states = app.profile_states
    return {**states.row(name, app.base_url), "under_way": states.under_way(name)}
