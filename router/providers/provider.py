"""A provider: a service with an address per wire format, a credential and habits.

Values come from ``catalog.toml`` (shipped), the home's ``providers.toml`` and a profile's ``[providers.X]``, later ones
on top: ``catalog.py`` reads the first, ``overrides.py`` puts the others over it, ``addresses.py`` makes URLs and
headers of the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from router.providers.credentials import CredentialSpec
from router.wire.request import Api

AuthStyle = Literal["bearer", "x-api-key", "x-goog-api-key", "api-key"]
Billing = Literal["metered", "subscription", "free"]
StreamUsage = Literal["asks", "always", "never"]


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider as one profile sees it.

    ``base_urls`` has the address of each wire format it speaks, in the provider's order of preference, without a
    trailing slash: the address as that format's own SDK takes it (``/chat/completions``, ``/responses``,
    ``/v1/messages`` and ``/models/M:…`` are appended). ``credentials`` are tried in order; empty means that no key is
    needed, and a last one of kind ``none`` that it works without.
    """

    name: str
    base_urls: Mapping[Api, str]
    auth: Mapping[Api, AuthStyle]
    credentials: tuple[CredentialSpec, ...] = ()
    key_variables: tuple[str, ...] = ()  # the environment variables the catalog names for its key
    family: str = ""  # whose tokenizer its models use: "anthropic", "openai", …; empty for models of many makers
    price_provider: str | None = None  # its name in the price table
    billing: Billing = "metered"
    headers: Mapping[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    proxy: str | None = None
    ca_file: str | None = None
    timeouts: Mapping[str, float] = field(default_factory=dict)  # seconds, keys as in [timeouts]
    stream_usage: StreamUsage = "asks"  # whether Chat streams report usage only when stream_options asks for it
    count_tokens: bool = False  # has /v1/messages/count_tokens
    placeholders: tuple[str, ...] = ()  # region, resource, … which stand in base_urls and are filled in by base-url
    quirks: Mapping[str, object] = field(default_factory=dict)  # habits as data: catalog.QUIRKS has the vocabulary
    evidence: str = ""  # how this is known: letters of d (documented), t (recorded), m (a list), k (general knowledge)
    note: str = ""  # one line for a person

    @property
    def formats(self) -> tuple[Api, ...]:
        """The wire formats it speaks, best first."""
        return tuple(self.base_urls)

    @property
    def key_names(self) -> tuple[str, ...]:
        """What its credentials are called in records and breakers, in order; "" stands for none."""
        return tuple("" if spec.kind == "none" else str(spec) for spec in self.credentials) or ("",)
