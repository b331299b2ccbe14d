"""What a target can be told: the catalog's habits of a provider and the table of models, as ``Traits``."""

from __future__ import annotations

from typing import Any

from router.providers.provider import Provider
from router.wire.request import Api
from router.wire.traits import Traits


def preferred_format(provider: Provider, client: Api, model: str) -> Api | None:
    """The wire format to speak with a provider: the client's own where it can, else the one it speaks best."""
    if client in provider.formats:
        return client
    return provider.formats[0] if provider.formats else None


def traits_for(provider: Provider, model: str, api: Api) -> Traits:
    """The capability flags of one target in one wire format."""
    flags: dict[str, Any] = {"provider": provider.name, "model": model, "stream_usage": provider.stream_usage}
    return Traits(**flags)
