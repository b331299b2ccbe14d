"""Administration: HTTP on a Unix socket in the home, for this user's own commands and nobody else.

``AdminServer`` is the server's side, ``AdminClient`` the commands'. Nothing on TCP changes state.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from aiohttp import web

from router.errors import ListenError, RouterError
from router.server import client_keys, replies

if TYPE_CHECKING:
    from router.server.app import App

CLIENT_TIMEOUT_S = 10.0


class _NewKey(msgspec.Struct):
    profile: str
    name: str
    daily_usd: Annotated[float, msgspec.Meta(gt=0)] | None = None


class _Reset(msgspec.Struct):
    profile: str
    pattern: Annotated[str, msgspec.Meta(min_length=1, max_length=500)] = "*"


@web.middleware
async def _tell_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """The commands show what they are told: every error as JSON, with a text for a person."""
    try:
        return await handler(request)
    except web.HTTPNotFound:
        return replies.json_reply({"error": f"no such path: {request.path}"}, status=404)
    except web.HTTPMethodNotAllowed as error:
        return replies.json_reply({"error": f"use {' or '.join(sorted(error.allowed_methods))} here"}, status=405)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return replies.json_reply({"error": f"wrong request: {error}"}, status=400)
    except ValueError as error:
        return replies.json_reply({"error": str(error)}, status=409)
    except sqlite3.Error as error:
        return replies.json_reply({"error": f"the ledger can't be used: {error}"}, status=503)


class AdminServer:
    """Serves the socket for one app. ``open`` replaces a socket file that a dead server left behind."""

    def __init__(self, app: App, path: Path) -> None:
        self._app = app
        self._path = path
        self._runner: web.AppRunner | None = None

    async def open(self) -> None:
        """Listen; the socket is the user's own (0600) from its first moment."""
        routes = web.Application(middlewares=[_tell_errors])
        routes.router.add_get("/status", self._status)
        routes.router.add_post("/reload", self._reload)
        routes.router.add_post("/stop", self._stop)
        routes.router.add_get("/keys", self._keys)
        routes.router.add_post("/keys", self._create_key)
        routes.router.add_delete("/keys/{id}", self._revoke_key)
        routes.router.add_get("/breakers", self._breakers)
        routes.router.add_post("/breakers/reset", self._reset_breakers)
        self._runner = web.AppRunner(routes, access_log=None)
        await self._runner.setup()
        self._path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            await web.UnixSite(self._runner, str(self._path)).start()
        except OSError as error:
            await self._runner.cleanup()
            reason = error.strerror or str(error)
            raise ListenError(
                f"can't listen on {self._path}: {reason.lower()}; is the home's path too long?"
            ) from error
        finally:
            os.umask(before)

    async def close(self) -> None:
        """Stop listening and take the socket file away."""
        if self._runner is not None:
            await self._runner.cleanup()
        self._path.unlink(missing_ok=True)

    async def _status(self, request: web.Request) -> web.Response:
        return replies.json_reply(self._app.status())

    async def _reload(self, request: web.Request) -> web.Response:
        await self._app.tenants.refresh()
        return replies.json_reply(self._app.status())

    async def _stop(self, request: web.Request) -> web.Response:
        self._app.request_stop()
        return replies.json_reply({"stopping": True})

    async def _keys(self, request: web.Request) -> web.Response:
        return replies.json_reply({"keys": await self._app.ledger.run(client_keys.listed)})

    async def _create_key(self, request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read(), type=_NewKey)
        if self._app.tenants.find(asked.profile) is None:
            return self._missing(asked.profile)

        def job(connection: sqlite3.Connection) -> dict[str, str]:
            return client_keys.create(connection, profile=asked.profile, name=asked.name, daily_usd=asked.daily_usd)

        return await self._change_keys(job)

    async def _revoke_key(self, request: web.Request) -> web.Response:
        key_id = request.match_info["id"]

        def job(connection: sqlite3.Connection) -> dict[str, bool]:
            if not client_keys.revoke(connection, key_id):
                raise ValueError(f"no key in force has the id {key_id}")
            return {"revoked": True}

        return await self._change_keys(job)

    async def _change_keys(self, job: Callable[[sqlite3.Connection], Any]) -> web.Response:
        ledger = self._app.ledger
        answer = await ledger.run(job)
        self._app.services.keys = await ledger.run(client_keys.ring)
        return replies.json_reply(answer)

    async def _breakers(self, request: web.Request) -> web.Response:
        rows = [each.json(tenant.name) for tenant in self._app.tenants for each in tenant.health.left_alone()]
        return replies.json_reply({"breakers": rows})

    async def _reset_breakers(self, request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read(), type=_Reset)
        tenant = self._app.tenants.find(asked.profile)
        if tenant is None:
            return self._missing(asked.profile)
        return replies.json_reply({"reset": tenant.health.reset(asked.pattern)})

    def _missing(self, profile: str) -> web.Response:
        return replies.json_reply({"error": self._app.tenants.why_missing(profile)}, status=404)


class AdminClient:
    """The commands' side. Not for use inside the server."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def alive(self) -> bool:
        """Whether a server answers."""
        try:
            self.call("GET", "/status")
        except RouterError:
            return False
        return True

    def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """One call. Raises RouterError with the server's text, or when no server answers."""
        connection = _UnixConnection(self._path)
        try:
            payload = None if body is None else msgspec.json.encode(body)
            connection.request(method, path, payload, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise RouterError(f"no router answers on {self._path}; start one with `router serve`") from error
        finally:
            connection.close()
        if response.status >= 400:
            raise RouterError(str(answer.get("error", f"the router answered {response.status}")))
        return answer


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("router", timeout=CLIENT_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(CLIENT_TIMEOUT_S)
        self.sock.connect(str(self._path))
