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

# Whose servers count tokens in their own formats; Anthropic's format has a flag of its own in the catalog.
_COUNTERS = {"openai-responses": frozenset({"openai"}), "gemini": frozenset({"google"})}


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
        if self.api not in chosen.provider.formats:
            return False
        if self.api == "anthropic-messages":
            return chosen.provider.count_tokens
        return chosen.provider.family in _COUNTERS.get(self.api, frozenset())
