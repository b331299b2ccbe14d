"""The providers that a configuration names, as providers of the profile: those of the catalog where the address is
theirs, others with a table of their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from router.importing.draft import Draft, Values
from router.providers.provider import Provider
from router.wire.request import Api

# What other programs write behind the base that SDKs take, with the wire format it stands for.
_ENDPOINTS: Final[tuple[tuple[str, Api], ...]] = (
    ("/chat/completions", "openai-chat"),
    ("/responses", "openai-responses"),
    ("/v1/messages", "anthropic-messages"),
    ("/models", "gemini"),
)
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Services:
    """Providers by what the source says of them; equal ones share a table."""

    def __init__(self, draft: Draft, catalog: Mapping[str, Provider]) -> None:
        self._draft = draft
        self._catalog = catalog
        self._made: dict[tuple[object, ...], str] = {}

    def known(self, name: str) -> Provider | None:
        """A provider of the catalog."""
        return self._catalog.get(name)

    def at(
        self, name: str, url: str, credential: str | None, *, api: Api | None = None, proxy: str | None = None
    ) -> str:
        """The provider at an address, which may be that of an endpoint: its name in the profile.

        ``name`` is the source's, ``credential`` a reference or None where the source gives none; ``api`` is the wire
        format if the address doesn't tell.
        """
        base, told = split_endpoint(url)
        spoken = api or told
        same = next((each for each in self._catalog.values() if _same_place(each, base, spoken)), None)
        if same is not None:
            return self.named(same.name, credential, proxy=proxy)
        spoken = spoken or "openai-chat"
        table: Values = {"formats": [spoken], "base-url": base}
        local = urlsplit(base).hostname in _LOOPBACK
        table["api-key"] = credential or "none"
        if local:
            table["billing"] = "free"
        return self._add(name, table, proxy)

    def named(self, name: str, credential: str | None, *, proxy: str | None = None) -> str:
        """A provider of the catalog, with a key of its own where ``credential`` isn't the one it has anyway."""
        provider = self._catalog[name]
        usual = {f"env:{variable}" for variable in provider.key_variables}
        own = credential if credential not in (None, *usual) and provider.credentials else None
        key = (name, own, proxy)
        if key not in self._made:
            first = all(made[0] != name for made in self._made)
            self._made[key] = name if first else self._again(provider, own, proxy)
            table = _given(own, proxy)
            if first and table:
                self._draft.providers[name] = table
        return self._made[key]

    def _again(self, provider: Provider, own: str | None, proxy: str | None) -> str:
        """A provider that the catalog knows with another key or proxy than it has already."""
        formats = list(provider.formats)
        key = own or (f"env:{provider.key_variables[0]}" if provider.key_variables else "none")
        table: Values = {"formats": formats, "base-url": provider.base_urls[formats[0]], "api-key": key}
        made = self._add(provider.name, table, proxy)
        self._draft.changed(made, f"{provider.name} with another key: a provider of its own, whose prices aren't known")
        return made

    def own(self, name: str, formats: list[Api], base: str, credential: str, *, auth: str) -> str:
        """A provider of the profile's own, given in full."""
        return self._add(name, {"formats": formats, "base-url": base, "auth": auth, "api-key": credential}, None)

    def _add(self, name: str, table: Values, proxy: str | None) -> str:
        key = ("", *map(str, table.items()), proxy)
        if key in self._made:
            return self._made[key]
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:50] or "imported"
        made, number = slug, 1
        while made in self._draft.providers or made in self._catalog:
            number += 1
            made = f"{slug}-{number}"
        self._draft.providers[made] = table | _given(None, proxy)
        self._made[key] = made
        return made


def _given(credential: str | None, proxy: str | None) -> Values:
    return {name: value for name, value in (("api-key", credential), ("proxy", proxy)) if value is not None}


def split_endpoint(url: str) -> tuple[str, Api | None]:
    """The base that an SDK takes, and the wire format that the rest of the address stands for."""
    base = url.strip().rstrip("/")
    for ending, api in _ENDPOINTS:
        if base.endswith(ending):
            return base.removesuffix(ending), api
    return base, None


def _same_place(provider: Provider, base: str, api: Api | None) -> bool:
    """Whether it is the provider's address in that format, or in any where the format isn't said."""
    apis = provider.formats if api is None else (api,)
    return any(_plain(provider.base_urls[each]) == _plain(base) for each in apis if each in provider.base_urls)


def _plain(url: str) -> tuple[str, int | None, str]:
    parts = urlsplit(url.rstrip("/"))
    host = parts.hostname or ""
    return "127.0.0.1" if host in _LOOPBACK else host, parts.port, parts.path
