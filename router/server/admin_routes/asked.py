"""What the admin handlers have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec
from aiohttp import web

from router.server import replies

if TYPE_CHECKING:
    from router.server.app import App

T = TypeVar("T")


async def asked(request: web.Request, kind: type[T]) -> T:
    """The body as what it should be. Raises MsgspecError, which is told as a wrong request."""
    return msgspec.json.decode(await request.read() or b"{}", type=kind)


def missing(app: App, profile: str) -> web.Response:
    """The answer where no profile of this name runs."""
    return replies.json_reply({"error": app.tenants.why_missing(profile)}, status=404)
