"""The provider that comes with the router itself: ``demo``, which needs no key and no network.

It speaks every wire format, so that rules, tools, streams and costs can be tried before any account exists. The answers
are made by ``server/demo``, which listens on a free port and tells its address; without a running server (`router
check`, `router explain`) the provider is known, but nobody answers at its address. Its prices are a made-up tariff,
which stands in ``profiles/demo/routing.toml`` like a user's own prices.
"""

from __future__ import annotations

from typing import Final

from router.providers.addresses import DEFAULT_AUTH
from router.providers.provider import Provider

DEMO: Final = "demo"
DEMO_MODELS: Final = ("demo-small", "demo-large", "demo-thinker", "demo-vision")
NOWHERE: Final = "http://127.0.0.1:1"  # nothing listens there: the address while no server runs


def demo(address: str = NOWHERE) -> Provider:
    """The built-in provider, answering at ``address``."""
    return Provider(
        name=DEMO,
        base_urls={
            "anthropic-messages": address,
            "openai-chat": f"{address}/v1",
            "openai-responses": f"{address}/v1",
            "gemini": f"{address}/v1beta",
        },
        auth=dict(DEFAULT_AUTH),
        models=DEMO_MODELS,
        count_tokens=True,
        quirks={"count-input-tokens": True, "reasoning-out": ["thinking-blocks", "reasoning_content"]},
        evidence="d",
        note="built in: made-up answers at a made-up tariff, without a key and without a network",
    )
