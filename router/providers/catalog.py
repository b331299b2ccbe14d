"""The providers that come with the router, and the door to this folder.

A provider is added by a few lines in ``catalog.toml``, which is read once; the one of ``builtin.py`` comes last. A
user's own settings go over them in ``overrides.py``; URLs and headers are made of the result in ``addresses.py``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Any, Final, get_args

from router.providers.addresses import DEFAULT_AUTH, auth_headers, endpoint_url, placeholders_of
from router.providers.builtin import DEMO, demo
from router.providers.credentials import CredentialSpec
from router.providers.overrides import KEYS, override
from router.providers.provider import AuthStyle, Provider
from router.wire.request import Api

__all__ = ["KEYS", "QUIRKS", "auth_headers", "endpoint_url", "load_catalog", "override", "shipped"]


def _one_of(*words: str) -> Callable[[object], bool]:
    return lambda value: value in words


def _some_of(*words: str) -> Callable[[object], bool]:
    return lambda value: isinstance(value, list) and bool(value) and set(value) <= set(words)


def _flag(value: object) -> bool:
    return isinstance(value, bool)


def _names(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(name, str) and name for name in value)


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


# What a provider's habits can be called, and the test of a value. A habit that isn't listed for a provider is unknown.
QUIRKS: Final[Mapping[str, Callable[[object], bool]]] = {
    "cache-hints": _one_of("anthropic", "openai", "none"),  # whose prompt cache marks it reads
    "claude-only": _some_of(*get_args(Api)),  # formats that only its Claude models speak
    "count-input-tokens": _flag,  # has /responses/input_tokens
    "custom-tools-on-responses": _flag,  # keeps tools of type "custom"
    "documents": _flag,  # takes PDF and other documents
    "documents-as": _one_of("document_url"),  # the part a document travels in, where it isn't the format's usual one
    "encrypted-reasoning": _flag,  # gives sealed reasoning on Responses and takes it back
    "error-dialect": _one_of("anthropic", "openai", "google", "openrouter", "detail-list"),
    "format-by-model": _flag,  # a model speaks only one of the provider's formats
    "item-ids-rotate": _flag,  # an item has another id in each event of one Responses stream
    "max-tokens-field": _some_of("max_tokens", "max_completion_tokens"),  # what Chat calls the output limit
    "official": _some_of(*get_args(Api)),  # formats of which it is the maker, or answers for it: Azure for OpenAI
    "parallel-tools": _flag,  # parallel_tool_calls is understood
    "prefill": _one_of("yes", "refused", "by-model"),  # a last message of the assistant's is continued
    "reasoning-in": _some_of("effort", "budget", "toggle"),  # how thinking can be asked for
    "reasoning-in-fields": _names,  # … and in which fields of a Chat body
    "reasoning-out": _some_of(
        "reasoning", "reasoning_content", "reasoning_details", "think-tags", "content-parts", "thinking-blocks"
    ),  # where thinking comes back
    "reasoning-replay": _one_of("required", "allowed", "refused"),  # whether it goes back in later turns
    "reasoning-summaries": _flag,  # gives summaries of reasoning on Responses where they are asked for
    "refused-reasoning": _some_of("reasoning_content", "reasoning"),  # fields of a Chat message that are an error
    "refused-fields": _names,  # fields of a Chat body that are an error
    "reported-cost": _flag,  # usage.cost is what was charged, in USD
    "sampling": _one_of("yes", "refused", "fixed", "by-model"),  # whether temperature and its like may be sent
    "stateless-responses": _flag,  # previous_response_id and GET /responses/ID don't work
    "strict-schema": _one_of("yes", "no", "all-tools-equal"),
    "text-arrays": _flag,  # a Chat message's text may be a list of parts
    "tool-choice-levels": _some_of("auto", "none", "any", "required", "named"),
    "tool-id-rule": _one_of("alphanumeric-9", "may-be-missing", "empty-on-later-chunks"),
    "tool-name-limit": _count,  # characters
    "usage-cached": _one_of("inside", "outside"),  # whether input tokens include the cached ones
    "usage-reasoning": _one_of("inside", "outside"),  # whether output tokens include the reasoning ones
}


@cache
def load_catalog() -> Mapping[str, Provider]:
    """All known providers by name, in the order in which they are tried. Read at the first call; to be left as is."""
    return {**shipped(), DEMO: demo()}


@cache
def shipped() -> Mapping[str, Provider]:
    """The providers of ``catalog.toml``."""
    text = resources.files("router.providers").joinpath("catalog.toml").read_text("utf-8")
    return {name: _provider(name, table) for name, table in tomllib.loads(text).items()}


def _provider(name: str, table: Mapping[str, Any]) -> Provider:
    """One entry. The file is ours and a test reads all of it, so only its shape is followed here, not doubted."""
    urls: dict[Api, str] = table["urls"]
    key_variables = tuple(table.get("keys", ()))
    credentials = tuple(CredentialSpec("env", variable) for variable in key_variables)
    if table.get("key") == "optional":
        credentials += (CredentialSpec("none"),)
    return Provider(
        name=name,
        base_urls=urls,
        auth=_auth(urls, table.get("auth")),
        credentials=credentials,
        key_variables=key_variables,
        family=table.get("family", ""),
        price_provider=table.get("price-provider"),
        billing=table.get("billing", "metered"),
        stream_usage=table.get("stream-usage", "asks"),
        count_tokens=table.get("count-tokens", False),
        placeholders=placeholders_of(*urls.values()),
        quirks=table.get("quirks", {}),
        evidence=table["evidence"],
        note=table.get("note", ""),
    )


def _auth(urls: Mapping[Api, str], said: AuthStyle | Mapping[Api, AuthStyle] | None) -> dict[Api, AuthStyle]:
    if isinstance(said, str):
        return dict.fromkeys(urls, said)
    return {api: (said or {}).get(api, DEFAULT_AUTH[api]) for api in urls}
