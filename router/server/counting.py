"""Requests to count tokens: asked of the chosen provider where it can count, else answered from our own estimate.

An agent compacts its context by these numbers, so an estimate has the factor of the target's family on it: rather a
little high than low.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from router.errors import FormatUnsupported, Untranslatable
from router.ledger.entry import Kind
from router.providers.addresses import endpoint_url
from router.providers.provider import Provider
from router.server import replies
from router.server.exchange import Chosen, Exchange
from router.server.ways import TranslatedCount, Way
from router.wire.request import Api, RequestView


class CountTokens(Exchange):
    """One request to count tokens; the same walk, without a charge."""

    kind: Kind = "count"
    translated = TranslatedCount

    async def serve(self, view: RequestView, chosen: Chosen) -> web.StreamResponse:
        """Ask the provider if it can count, else estimate."""
        try:
            return await super().serve(view, chosen)
        except (FormatUnsupported, Untranslatable):  # found out before it was called
            return await self.estimate(view, chosen)

    async def estimate(self, view: RequestView, chosen: Chosen) -> web.Response:
        """Answer from our own count."""
        family = chosen.provider.family
        tokens = await asyncio.to_thread(self.services.summaries.estimate_for, view, family, chosen.model)
        intent = self.intent()
        intent.estimated_input = tokens
        self.account.open(intent)
        self.account.finish("ok", 200)
        await self.account.settle()
        body = self.codec.count_reply(tokens)
        return web.Response(body=body, content_type=replies.JSON, headers=self.headers())

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
