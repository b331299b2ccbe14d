"""What is known of a model at a provider, of all that keeps requests from being sent there.

Three sources, the first that knows wins: the profile's corrections, ``models.toml``, the price table, which has context
windows beside its prices. The question itself is asked in ``routing.candidates``.
"""

from __future__ import annotations

from collections.abc import Mapping

from router.money.prices import PriceTable
from router.providers.provider import Provider
from router.providers.traits import traits_for
from router.routing.candidates import Abilities
from router.wire.request import Api


def abilities_of(
    provider: Provider,
    model: str,
    api: Api,
    prices: PriceTable,
    corrections: Mapping[str, object] | None = None,
    *,
    refused: int | None = None,
) -> Abilities:
    """The abilities of ``model`` at ``provider`` when it is spoken to in ``api``.

    ``corrections`` are a profile's for the model, see ``traits_for``; ``refused``: the tokens of a request that it
    refused as too long. A profile's own ``context`` holds all the same.
    """
    traits = traits_for(provider, model, api, corrections)
    window = traits.context
    if window is None and provider.price_provider is not None:
        window = prices.context_window(provider.price_provider, model)
    if refused is not None and "context" not in (corrections or {}):
        window = min(filter(None, (window, refused)))
    return Abilities(window, traits.max_output, traits.images, traits.tools, traits.documents)
