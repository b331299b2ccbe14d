"""The door: every request of every listener comes in here, is checked from its head alone, and goes to what serves it.

Order matters: request target, URL, Host and Origin, profile, key, size, limits; no byte of the body before all of them
agree.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from router.errors import MethodNotAllowed, NotFound, Refused, RouterError, Unavailable, UpgradeRequired
from router.server import pages, replies
from router.server.admission import check_body_head, check_target, line_of
from router.server.counting import CountTokens
from router.server.endpoints import Endpoint, EndpointKind, resolve
from router.server.exchange import Exchange
from router.server.passing import PassOn, fetch_response
from router.server.services import DRAINING, Services
from router.server.tenant import Tenant
from router.server.tenants import Tenants
from router.wire.request import Api

log = logging.getLogger("router.server")

Page = Callable[[Services, Tenants, Tenant | None, web.BaseRequest, Endpoint], Awaitable[web.Response]]

# What needs no key: everything else does where the profile asks for one.
_KEYLESS: frozenset[EndpointKind] = frozenset({"root", "health"})
_WITHOUT_PROFILE: frozenset[EndpointKind] = frozenset({"root", "health", "metrics"})
_PAGES: Mapping[EndpointKind, Page] = {
    "root": pages.root,
    "health": pages.health,
    "stats": pages.stats,
    "metrics": pages.metrics,
    "models": pages.models,
    "model": pages.model,
}
# What the profile's limits count. Counting tokens and fetching a reply generate nothing, and agents do much of it.
_LIMITED: frozenset[EndpointKind] = frozenset({"generate", "other"})
_EXCHANGES: Mapping[EndpointKind, type[Exchange]] = {"generate": Exchange, "count": CountTokens, "other": PassOn}


class Front:
    """The handler of one listener. ``own`` is the profile whose port it is; None on the main listener."""

    def __init__(self, services: Services, tenants: Tenants, own: str | None = None) -> None:
        self._services = services
        self._tenants = tenants
        self._own = own

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve one request. An error of ours is answered in the client's format and logged; it ends nothing else."""
        reply = await self._answer(request)
        if not reply.prepared:
            reply.headers.update(self._services.hosts.cors(request.headers))
        return reply

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        endpoint: Endpoint | None = None
        try:
            check_target(request)
            endpoint = resolve(request.raw_path.partition("?")[0], prefixed=self._own is None)
            return await self._serve(request, endpoint)
        except Refused as error:
            self._services.refused_early += 1
            reply = replies.refusal(error, _api(request, endpoint))
            if request.can_read_body or isinstance(error, Unavailable):
                reply.force_close()  # a body that isn't wanted isn't read, and who isn't served doesn't stay
            return reply
        except Exception:
            log.exception("a request failed inside the router")
            return replies.error_reply(
                500,
                "internal",
                "internal error of the router; its log has the details",
                _api(request, endpoint),
            )

    async def _serve(self, request: web.BaseRequest, endpoint: Endpoint) -> web.StreamResponse:
        services = self._services
        services.hosts.check(request.headers)
        if request.method == "OPTIONS":
            return _preflight(services, request)
        if endpoint.kind == "unknown":
            raise NotFound("no such path here")
        if request.method not in endpoint.methods:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                raise UpgradeRequired("WebSocket is not served here; use POST")
            raise MethodNotAllowed(f"use {' or '.join(endpoint.methods)} here")
        tenant = self._tenants.find(self._own or endpoint.profile, own=self._own is not None)
        if tenant is None:
            nameless = endpoint.profile is None or (
                self._tenants.is_broken(endpoint.profile) and endpoint.kind in _KEYLESS
            )
            if not (nameless and endpoint.kind in _WITHOUT_PROFILE):
                raise self._tenants.missing(endpoint.profile)
        elif endpoint.kind not in _WITHOUT_PROFILE or (endpoint.kind == "root" and endpoint.profile is not None):
            self._tenants.check_served(tenant.name)
        admitted = None
        if tenant is not None and endpoint.kind not in _KEYLESS:
            admitted = services.keys.admit(
                request.headers,
                profile=tenant.name,
                required=tenant.keys_required(loopback=services.loopback),
                fixed_key_hash=await _fixed_key(tenant),
            )
        page = _PAGES.get(endpoint.kind)
        if page is not None:
            return await page(services, self._tenants, tenant, request, endpoint)
        assert tenant is not None
        assert admitted is not None
        if services.draining:
            raise Unavailable(DRAINING, retry_after_s=1)
        check_body_head(request, services.max_body)
        if endpoint.kind == "response":
            return await fetch_response(services, tenant, endpoint, admitted, request)
        line = line_of(request, admitted)
        place = await tenant.limits.admit(request, line, admitted.key) if endpoint.kind in _LIMITED else None
        return await _EXCHANGES[endpoint.kind](services, tenant, endpoint, admitted, request, line, place).run()


def _api(request: web.BaseRequest, endpoint: Endpoint | None) -> Api | None:
    """The wire format of an answer of ours: the URL's, or where it has none what the client's headers tell."""
    if endpoint is not None and endpoint.api is not None:
        return endpoint.api
    if "anthropic-version" in request.headers:
        return "anthropic-messages"
    return "gemini" if "x-goog-api-key" in request.headers else None


async def _fixed_key(tenant: Tenant) -> str | None:
    try:
        return await tenant.fixed_key_hash()
    except RouterError as error:
        raise Unavailable(f"the key of [auth] key can't be read: {error}") from error


def _preflight(services: Services, request: web.BaseRequest) -> web.Response:
    """Answer a browser's question before a cross-origin call; only named origins get a yes."""
    if not services.hosts.cors(request.headers):
        raise MethodNotAllowed("OPTIONS is answered only to the origins of [server] origins")
    return web.Response(
        status=204,
        headers={
            "Access-Control-Allow-Methods": "GET, POST, DELETE",
            "Access-Control-Allow-Headers": request.headers.get("Access-Control-Request-Headers", "content-type"),
            "Access-Control-Max-Age": "600",
        },
    )
