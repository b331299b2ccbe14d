"""Requests to count tokens: asked of the chosen provider where it can count, else answered from our own estimate.

An agent compacts its context by these numbers, so an estimate has the factor of the target's family on it: rather a
little high than low.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from aiohttp import web

from router.errors import FormatUnsupported, TooManyRequests, Untranslatable
from router.ledger.entry import Kind
from router.providers.addresses import endpoint_url
from router.providers.provider import Provider
from router.routing.rules import RouteDecision, no_more
from router.server import replies
from router.server.attempt import Chosen
from router.server.exchange import Exchange
from router.server.ways import TranslatedCount, Way
from router.wire.request import Api, RequestView


class CountTokens(Exchange):
    """One request to count tokens; the same walk, without a charge."""

    kind: Kind = "count"
    translated = TranslatedCount

    async def decide(self, view: RequestView) -> RouteDecision:
        """Only the first candidate's count is of use."""
        decision = await super().decide(view)
        return replace(decision, candidates=decision.candidates[:1], later=no_more)

    async def serve(self, view: RequestView) -> web.StreamResponse:
        """Ask the provider if it can count and may be called, else estimate."""
        try:
            return await super().serve(view)
        except (FormatUnsupported, Untranslatable, TooManyRequests):  # found out before it was called
            return await self.estimate(view)

    async def estimate(self, view: RequestView) -> web.Response:
        """Answer from our own count."""
        assert self.decision is not None
        target = self.decision.candidates[0]
        family = self.profile.providers[target.provider].family
        tokens = await asyncio.to_thread(self.services.summaries.estimate_for, view, family, target.model or "")
        intent = self.intent()
        intent.estimated_input = tokens
        self.account.open(intent)
        self.account.finish("ok", 200)
        await self.account.settle()
        body = self.codec.count_reply(tokens)
        return web.Response(body=body, content_type=replies.JSON, headers=self.outgoing.headers())

    def format_to(self, provider: Provider, model: str) -> Api:
        """A format in which the provider counts, the client's own first. Raises FormatUnsupported without one."""
        able = [api for api in provider.formats if counts(provider, api)]
        if not able:
            raise FormatUnsupported(f"{provider.name} doesn't count tokens")
        return self.api if self.api in able else able[0]

    def url(self, way: Way, view: RequestView, chosen: Chosen) -> str:
        return endpoint_url(chosen.provider, way.api, model=chosen.model, operation="count-tokens")


def counts(provider: Provider, api: Api) -> bool:
    """Whether a provider counts tokens in a format that it speaks."""
    match api:
        case "anthropic-messages":
            return provider.count_tokens
        case "openai-responses":
            return provider.quirks.get("count-input-tokens") is True
        case "gemini":
            return provider.count_tokens or provider.family == "google"
        case _:
            return False
