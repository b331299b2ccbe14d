"""Calls that are passed on as they are: embeddings, images, audio, …, and replies fetched by their id.

No rule looks at them. The provider is the one named in the model (``openai:text-embedding-3-small``), else ``[routing]
other-to``, else the default if it speaks OpenAI's API.
"""

from __future__ import annotations

import asyncio
import re

import msgspec
from aiohttp import web

from router.errors import BadRequest, NoCredential, NotFound, UpstreamError
from router.health import classes
from router.ledger.entry import Kind
from router.providers.addresses import endpoint_url
from router.routing.rules import RouteDecision, Rule, Target, explicit_rule
from router.server import replies
from router.server.admission import Admitted
from router.server.attempt import REPLY_CAP, Chosen
from router.server.authorise import authorise
from router.server.bodies import read_body
from router.server.endpoints import Endpoint
from router.server.exchange import Exchange
from router.server.services import Services
from router.server.tenant import Tenant
from router.server.ways import EVENTS, PassThrough, Way, client_query
from router.upstream.client import Call, UpstreamReply
from router.upstream.headers import reply_headers, request_headers
from router.wire.body import Body
from router.wire.codec import Codec, StreamTap
from router.wire.other_tap import OtherTap
from router.wire.request import RequestView

_REST = re.compile(r"[a-z]+(/[a-z_-]+)*")
_EMBEDDINGS = "embeddings"


class PassOn(Exchange):
    """One call that no rule looks at; otherwise the same walk, the same records."""

    kind: Kind = "other"

    async def read(self) -> RequestView:
        """The body whole; only a JSON body has a model that can be read and changed."""
        if not _REST.fullmatch(self.endpoint.rest):
            raise NotFound("no such path here")
        if self.endpoint.rest == _EMBEDDINGS:
            self.kind = "embed"
        self.payload = await read_body(self.request, self.services.max_body)
        form = self.request.content_type.startswith("multipart/")
        self.is_json = not form and self.payload.lstrip()[:1] == b"{"  # whatever it is called: curl calls it a form
        return self.codec.view(Body.parse(self.payload if self.is_json else b"{}"))

    async def decide(self, view: RequestView) -> RouteDecision:
        """The provider by the model's prefix, by ``other-to``, or the default."""
        asked = view.body.get("model", "")
        if not isinstance(asked, str):
            raise BadRequest("model must be a string")
        routes, providers = self.profile.routes, self.profile.providers
        named = explicit_rule(routes, asked)
        if named is not None:
            return RouteDecision(named, named.targets, named.reason)
        provider = self.profile.other_to
        if provider is None and routes.default is not None and routes.default.targets:
            default = routes.default.targets[0].provider
            provider = default if "openai-chat" in providers[default].formats else None
        if provider is None:
            raise NotFound(
                f"nothing in profile {self.profile.name} takes /v1/{self.endpoint.rest}: "
                'set other-to = "PROVIDER" in [routing], or write the model as PROVIDER:MODEL'
            )
        reason = "other-to" if self.profile.other_to else "default"
        rule = Rule(kind="catalog", label=f"other → {provider}", hash="other", targets=(Target(provider, asked),))
        return RouteDecision(rule, rule.targets, reason)

    def way_to(self, view: RequestView, chosen: Chosen) -> Way:
        return _Onwards(self.codec, self._body(view, chosen))

    def url(self, way: Way, view: RequestView, chosen: Chosen) -> str:
        return endpoint_url(chosen.provider, way.api, operation=self.endpoint.rest)

    def _body(self, view: RequestView, chosen: Chosen) -> bytes:
        if self.is_json and chosen.model != view.body.get("model", ""):
            return view.body.with_fields({"model": msgspec.json.encode(chosen.model)})
        return self.payload


class _Onwards(PassThrough):
    """Whatever it is, as it is."""

    def __init__(self, codec: Codec, body: bytes) -> None:
        self.codec = codec
        self.body = body
        self._echoed = ""

    def streams(self, reply: UpstreamReply) -> bool:
        return reply.media_type == EVENTS

    def tap(self, reply: UpstreamReply) -> StreamTap:
        return OtherTap()


async def fetch_response(
    services: Services, tenant: Tenant, endpoint: Endpoint, admitted: Admitted, request: web.BaseRequest
) -> web.Response:
    """``GET`` or ``DELETE /v1/responses/{id}``: to the provider that gave the reply, else to the only one that could.

    Nothing is generated, so nothing is recorded. Raises NotFound where no provider can be told.
    """
    provider = tenant.profile.providers[tenant.owner_of_response(endpoint.rest)]
    timeouts, query = tenant.profile.timeouts, client_query(request.raw_path.partition("?")[2])
    try:
        authorised = await authorise(
            provider,
            "openai-responses",
            tenant.credentials,
            client_api="openai-responses",
            client_headers=request.headers,
            router_key_header=admitted.header,
        )
        url = endpoint_url(provider, "openai-responses", operation=f"responses/{endpoint.rest}")
        call = Call(
            method=request.method,
            url=f"{url}?{query}" if query else url,
            headers=request_headers(request.headers, credential=authorised.headers, extra=(provider.headers,)),
            body=None,
            connect_s=provider.timeouts.get("connect", timeouts.connect),
            proxy=provider.proxy,
            ca_file=provider.ca_file,
        )
        async with asyncio.timeout(provider.timeouts.get("whole", timeouts.whole)):
            with await services.upstream.send(call) as reply:
                payload = await reply.read(REPLY_CAP)
        if not reply.ok and reply.status < 400:
            raise UpstreamError(f"an unexpected status, {reply.status}", error_class=classes.SERVER)
        if reply.status in (401, 403) and authorised.key:
            return replies.error_reply(
                403,
                classes.AUTH,
                f"provider {provider.name}: the router's key was refused (status {reply.status})",
                "openai-responses",
                should_retry=False,
            )
        headers = reply_headers(reply.headers)
        headers.update({**replies.SERVER, "x-router-profile": tenant.name, "x-router-provider": provider.name})
        return web.Response(status=reply.status, body=payload, headers=headers)
    except TimeoutError:
        return replies.error_reply(504, classes.TIMEOUT, f"provider {provider.name}: no answer", "openai-responses")
    except NoCredential as error:
        return replies.error_reply(403, "no_credential", str(error), "openai-responses", should_retry=False)
    except UpstreamError as error:
        return replies.error_reply(502, error.error_class, f"provider {provider.name}: {error}", "openai-responses")
