"""A provider: a service with an address per wire format, a credential and habits.

Values come from ``catalog.toml`` (shipped), the home's ``providers.toml`` and a profile's ``[providers.X]``, later ones on
top; ``catalog.py`` reads and merges them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from router.providers.credentials import CredentialSpec
from router.wire.request import Api

AuthStyle = Literal["bearer", "x-api-key", "x-goog-api-key", "api-key"]
Billing = Literal["metered", "subscription", "free"]


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider as one profile sees it.

    ``base_urls`` has the address of each wire format it speaks, in the provider's order of preference, without a trailing
    slash: the address as that format's own SDK takes it (``/chat/completions``, ``/responses``, ``/v1/messages`` and
    ``/models/M:…`` are appended). ``credentials`` are tried in order; empty means that no key is needed.
    ``key_variables`` are the environment variables the catalog names for it.
    """

    name: str
    base_urls: Mapping[Api, str]
    auth: Mapping[Api, AuthStyle]
    credentials: tuple[CredentialSpec, ...] = ()
    key_variables: tuple[str, ...] = ()
    family: str = ""  # whose prices and tokenizer habits apply: "anthropic", "openai", "google", …
    billing: Billing = "metered"
    headers: Mapping[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    proxy: str | None = None
    ca_file: str | None = None
    timeouts: Mapping[str, float] = field(default_factory=dict)  # seconds, keys as in [timeouts]
    stream_usage: Literal["asks", "always", "never"] = (
        "asks"  # whether Chat's stream_options.include_usage is understood
    )
    count_tokens: bool = False  # has /v1/messages/count_tokens
    placeholders: tuple[str, ...] = ()  # {region}, {resource}, … the user must fill in by base-url

    @property
    def formats(self) -> tuple[Api, ...]:
        """The wire formats it speaks, best first."""
        return tuple(self.base_urls)
