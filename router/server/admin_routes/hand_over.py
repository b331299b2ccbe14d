"""Another process takes over: see ``takeover.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from aiohttp import web

from router.server import replies
from router.server.admin_routes.asked import asked

if TYPE_CHECKING:
    from router.server.app import App


class _Where(msgspec.Struct):
    socket: Annotated[str, msgspec.Meta(pattern=r"^\d{1,10}\.s\Z")]  # in the home


def routes(app: App) -> list[web.RouteDef]:
    """``POST /hand-over``."""

    async def begin(request: web.Request) -> web.Response:
        app.begin_hand_over(app.home.path / (await asked(request, _Where)).socket)
        return replies.json_reply({}, status=202)

    return [web.post("/hand-over", begin)]
