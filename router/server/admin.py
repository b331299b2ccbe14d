"""Administration: HTTP on a Unix socket in the home, for this user's own commands and nobody else.

``AdminServer`` is the server's side, ``AdminClient`` the commands'; what can be asked is in ``admin_routes``. Nothing
on TCP changes state.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from router.errors import ListenError, RouterError
from router.server import replies
from router.server.admin_routes import TOPICS

if TYPE_CHECKING:
    from router.server.app import App

CLIENT_TIMEOUT_S = 10.0
ALIVE_S = 2.0  # a server that takes longer for its status hangs


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
        for topic in TOPICS:
            routes.add_routes(topic.routes(self._app))
        self._runner = web.AppRunner(routes, access_log=None)
        await self._runner.setup()
        made = self._path.with_suffix(".next")  # as long as the name it gets then
        made.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            await web.UnixSite(self._runner, str(made)).start()
            made.rename(self._path)
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
            self._path.unlink(missing_ok=True)
            await self.leave()

    async def leave(self) -> None:
        """Stop listening; the file belongs to another process by now."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()


class AdminClient:
    """The commands' side. Not for use inside the server."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def alive(self) -> bool:
        """Whether a server answers."""
        return self.status() is not None

    def status(self) -> dict[str, Any] | None:
        """How the server is; None if none answers."""
        try:
            return self.call("GET", "/status", timeout_s=ALIVE_S)
        except RouterError:
            return None

    def call(
        self, method: str, path: str, body: object = None, *, timeout_s: float = CLIENT_TIMEOUT_S
    ) -> dict[str, Any]:
        """One call. Raises RouterError with the server's text, or when no server answers."""
        with self._asked(method, path, body, timeout_s) as response:
            return _answer(response, response.read())

    def lines(
        self, method: str, path: str, body: object = None, *, timeout_s: float = CLIENT_TIMEOUT_S
    ) -> Iterator[dict[str, Any]]:
        """One call that is answered by several lines, each within the time, the last of which may be an error. Raises
        RouterError as ``call`` does."""
        with self._asked(method, path, body, timeout_s) as response:
            for line in response:
                yield _answer(response, line)

    @contextmanager
    def _asked(self, method: str, path: str, body: object, timeout_s: float) -> Iterator[http.client.HTTPResponse]:
        connection = _UnixConnection(self._path, timeout_s)
        try:
            payload = None if body is None else msgspec.json.encode(body)
            connection.request(method, path, payload, {"Content-Type": "application/json"})
            yield connection.getresponse()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise RouterError(f"no router answers on {self._path}; start one with `router start`") from error
        finally:
            connection.close()


def _answer(response: http.client.HTTPResponse, text: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(text)
    if response.status >= 400 or answer.keys() == {"error"}:
        raise RouterError(str(answer.get("error", f"the router answered {response.status}")))
    return answer


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("router", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
