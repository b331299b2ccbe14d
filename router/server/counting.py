"""Requests to count tokens: asked of the chosen provider where it can count, else answered from our own estimate.

An agent compacts its context by these numbers, so an estimate has the factor of the target's family on it: rather a
little high than low.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from router.ledger.entry import Kind
from router.providers.addresses import endpoint_url
from router.server import replies
from router.server.exchange import Chosen, Exchange
from router.wire.request import RequestView


class CountTokens(Exchange):
    """One request to count tokens; the same walk, without a charge."""

    kind: Kind = "count"

    async def serve(self, view: RequestView, chosen: Chosen) -> web.StreamResponse:
        """Ask the provider if it can count, else estimate."""
        if self.counts(chosen):
            return await super().serve(view, chosen)
        family = chosen.provider.family
        tokens = await asyncio.to_thread(self.services.summaries.estimate_for, view, family, chosen.model)
        intent = self.intent()
        intent.estimated_input = tokens
        self.account.open(intent)
        self.account.finish("ok", 200)
        await self.account.settle()
        body = self.codec.count_reply(tokens)
        return web.Response(body=body, content_type=replies.JSON, headers=self.headers())

    def url(self, view: RequestView, chosen: Chosen) -> str:
        return endpoint_url(chosen.provider, self.api, model=chosen.model, operation="count-tokens")

    def asks_usage(self, view: RequestView, chosen: Chosen) -> bool:
        return False

    def counts(self, chosen: Chosen) -> bool:
        """Whether the chosen provider counts tokens in the client's format."""
        provider = chosen.provider
        match self.api if self.api in provider.formats else None:
            case "anthropic-messages":
                return provider.count_tokens
            case "openai-responses":
                return provider.quirks.get("count-input-tokens") is True
            case "gemini":
                return provider.count_tokens or provider.family == "google"
            case _:
                return False
