"""Calls that are passed on as they are: embeddings, images, audio, …, and replies fetched by their id.

No rule looks at them. The provider is the one named in the model (``openai:text-embedding-3-small``), else ``[routing]
other-to``, else the default if it speaks OpenAI's API.
"""

from __future__ import annotations

import re

import msgspec
from aiohttp import web

from router.errors import BadRequest, NotFound, UpstreamError
from router.providers.addresses import auth_headers, endpoint_url
from router.providers.credentials import CredentialMissing
from router.providers.provider import Provider
from router.routing.rules import RouteDecision, Rule, Target
from router.server import replies
from router.server.admission import Admitted
from router.server.bodies import read_body
from router.server.endpoints import Endpoint
from router.server.exchange import REPLY_CAP, Exchange
from router.server.services import Services
from router.server.tenant import Tenant
from router.upstream.client import Call
from router.upstream.headers import passed_through_credential, reply_headers, request_headers
from router.wire.body import Body

_REST = re.compile(r"[a-z]+(/[a-z_-]+)*")
_EMBEDDINGS = "embeddings"
_PASSED_ON = Rule(kind="explicit", label="passed on", hash="passed-on", targets=())


class PassOn(Exchange):
    """One call that no rule looks at; otherwise the same walk, the same records."""

    async def read(self) -> None:
        """The body whole; only a JSON body has a model that can be read and changed."""
        if not _REST.fullmatch(self.endpoint.rest):
            raise NotFound("no such path here")
        self.kind = "embed" if self.endpoint.rest == _EMBEDDINGS else "other"
        raw = await read_body(self.request, self.services.max_body)
        self.is_json = self.request.content_type == "application/json"
        self.payload = raw
        self.body = Body.parse(raw if self.is_json else b"{}")
        self.view = self.codec.view(self.body)

    async def decide(self) -> None:
        """The provider by the model's prefix, by ``other-to``, or the default."""
        asked = self.body.get("model", "")
        if not isinstance(asked, str):
            raise BadRequest("model must be a string")
        routes, providers = self.profile.routes, self.profile.providers
        name, colon, model = asked.partition(":")
        default = routes.default.targets[0].provider if routes.default and routes.default.targets else None
        if colon and name in providers and routes.explicit_provider:
            target, reason = Target(name, model), "explicit provider"
        elif self.profile.other_to is not None:
            target, reason = Target(self.profile.other_to, asked), "other-to"
        elif default is not None and "openai-chat" in providers[default].formats:
            target, reason = Target(default, asked), "default"
        else:
            raise NotFound(
                f"nothing in profile {self.profile.name} takes /v1/{self.endpoint.rest}: "
                'set other-to = "PROVIDER" in [routing], or write the model as PROVIDER:MODEL'
            )
        self.decision = RouteDecision(_PASSED_ON, (target,), reason)
        self.target, self.provider = target, providers[target.provider]

    async def serve(self) -> web.StreamResponse:
        """Call and pass on; a stream is relayed, but its usage can't be read."""
        assert self.provider is not None and self.target is not None
        if "openai-chat" not in self.provider.formats:
            raise BadRequest(f"provider {self.provider.name} doesn't speak OpenAI's API")
        return await super().serve()

    def url(self, model: str) -> str:
        assert self.provider is not None
        return endpoint_url(self.provider, "openai-chat", operation=self.endpoint.rest)

    def outgoing_body(self, model: str) -> bytes:
        if self.is_json and model != self.body.get("model", ""):
            return self.body.with_fields({"model": msgspec.json.encode(model)})
        return self.payload

    def hides_usage(self) -> bool:
        return False


async def fetch_response(
    services: Services, tenant: Tenant, endpoint: Endpoint, admitted: Admitted, request: web.BaseRequest
) -> web.Response:
    """``GET`` or ``DELETE /v1/responses/{id}``: to the provider that gave the reply, else to the only one that could.

    Nothing is generated, so nothing is recorded. Raises NotFound where no provider can be told.
    """
    provider = _owner(tenant, endpoint.rest)
    try:
        credential: dict[str, str] = {}
        for spec in provider.credentials:
            if spec.kind == "passthrough":
                credential = passed_through_credential(request.headers, router_key_header=admitted.header)
            elif spec.has_key:
                credential = auth_headers(provider, "openai-responses", await tenant.credentials.resolve(spec))
            break
        call = Call(
            method=request.method,
            url=endpoint_url(provider, "openai-responses", operation=f"responses/{endpoint.rest}"),
            headers=request_headers(request.headers, credential=credential, extra=(provider.headers,)),
            body=None,
            connect_s=tenant.profile.timeouts.connect,
            timeout_s=tenant.profile.timeouts.whole,
            proxy=provider.proxy,
            ca_file=provider.ca_file,
        )
        with await services.upstream.send(call) as reply:
            payload = await reply.read(REPLY_CAP)
            return web.Response(status=reply.status, body=payload, headers=reply_headers(reply.headers))
    except CredentialMissing as error:
        return replies.error_reply(403, "no_credential", str(error), "openai-responses", should_retry=False)
    except UpstreamError as error:
        return replies.error_reply(502, error.error_class, f"provider {provider.name}: {error}", "openai-responses")


def _owner(tenant: Tenant, response_id: str) -> Provider:
    providers = tenant.profile.providers
    name = tenant.provider_of_response(response_id)
    if name is not None and name in providers:
        return providers[name]
    speakers = {
        target.provider
        for target in tenant.profile.routes.targets()
        if "openai-responses" in providers[target.provider].formats
    }
    if len(speakers) != 1:
        raise NotFound("no response of this id was given through this profile")
    return providers[speakers.pop()]
