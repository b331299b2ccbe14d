"""What is left alone: listed, and called again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from aiohttp import web

from router.server import replies
from router.server.admin_routes.asked import asked, missing

if TYPE_CHECKING:
    from router.server.app import App


class _Reset(msgspec.Struct):
    profile: str
    pattern: Annotated[str, msgspec.Meta(min_length=1, max_length=500)] = "*"


def routes(app: App) -> list[web.RouteDef]:
    """``GET /breakers``, ``POST /breakers/reset``."""

    async def listed(request: web.Request) -> web.Response:
        rows = [each.json(tenant.name) for tenant in app.tenants for each in tenant.health.left_alone()]
        return replies.json_reply({"breakers": rows})

    async def reset(request: web.Request) -> web.Response:
        which = await asked(request, _Reset)
        tenant = app.tenants.find(which.profile)
        if tenant is None:
            return missing(app, which.profile)
        return replies.json_reply({"reset": tenant.health.reset(which.pattern)})

    return [web.get("/breakers", listed), web.post("/breakers/reset", reset)]
