"""What a target can be told: the flags of a model at a provider in a wire format, put together from what is known.

    the format's own          what an unknown server of it most likely takes
    the provider's habits     ``quirks`` in ``catalog.toml``
    the model's               ``models.toml``, by name, at whatever provider
    the profile's corrections ``[models."provider/model"]``

Later ones win. The result is made once per provider, model and format, and kept.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import translate
from functools import cache, lru_cache
from importlib import resources
from typing import Any, Final

import msgspec

from router.providers.provider import Provider
from router.wire.request import Api
from router.wire.traits import Traits

Flags = dict[str, Any]  # by the names of Traits

_FORMATS: Final[Mapping[Api, Mapping[str, Any]]] = {
    "anthropic-messages": {
        "reasoning_in": ["budget"],
        "mid_system": False,
        "cache_hints": "anthropic",
    },
    "openai-chat": {
        "max_tokens_field": "max_tokens",  # what OpenAI deprecates is what all others know
        "text_arrays": False,
    },
    "openai-responses": {
        "result_media": False,
        "summaries": False,
        "encrypted_reasoning": False,
    },
    "gemini": {
        "reasoning_in": ["budget"],
        "mid_system": False,
        "result_media": False,
    },
}
# What the maker of a format takes that imitations of it may not.
_OFFICIAL: Final[Mapping[Api, Mapping[str, Any]]] = {
    "anthropic-messages": {},
    "openai-chat": {"text_arrays": True},
    "openai-responses": {"result_media": True, "summaries": True, "encrypted_reasoning": True},
    "gemini": {},
}
_SELECTORS: Final = ("names", "formats", "providers", "official")


def traits_for(provider: Provider, model: str, api: Api, corrections: Mapping[str, object] | None = None) -> Traits:
    """The flags of ``model`` at ``provider`` when it is spoken to in ``api``.

    ``corrections`` are a profile's for the model: ``context`` and ``max-output`` (tokens), ``images``, ``tools``,
    ``documents`` and ``thinking`` (true or false).
    """
    traits = _known(_Same(provider), model, api)
    return _corrected(traits, corrections) if corrections else traits


def preferred_format(provider: Provider, client_api: Api, model: str) -> Api | None:
    """The wire format to speak with a provider: the client's own if it can, so that nothing need be translated, else
    the provider's best for this model; ``None`` where it speaks none."""
    formats = _formats(provider, model)
    return client_api if client_api in formats else next(iter(formats), None)


def _formats(provider: Provider, model: str) -> tuple[Api, ...]:
    """The formats of the provider in which it serves this model, best first."""
    name = plain_name(model)
    if provider.quirks.get("format-by-model") is True:
        own = next((api for start, api in _NATIVE.items() if name.startswith(start)), "openai-chat")
        return tuple(api for api in provider.formats if api == own)[:1] or provider.formats
    claude_only = provider.quirks.get("claude-only")
    if isinstance(claude_only, list) and not name.startswith("claude-"):
        return tuple(api for api in provider.formats if api not in claude_only)
    return provider.formats


_NATIVE: Final[Mapping[str, Api]] = {
    "claude-": "anthropic-messages",
    "gpt-oss": "openai-chat",
    "gpt-": "openai-responses",
    "gemini-": "gemini",
}


class _Same:
    """A provider as a key: what it holds can't be hashed, but it never changes, so it is known by being itself."""

    __slots__ = ("provider",)

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def __hash__(self) -> int:
        return id(self.provider)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.provider is self.provider


@lru_cache(maxsize=1024)  # model names come from clients
def _known(same: _Same, model: str, api: Api) -> Traits:
    provider = same.provider
    said = provider.quirks.get("official")
    official = isinstance(said, list) and api in said
    flags: Flags = {
        "provider": provider.name,
        "model": model,
        "official": official,
        "stream_usage": provider.stream_usage,
        **_FORMATS[api],
        **(_OFFICIAL[api] if official else {}),
        **_habits(provider.quirks, api),
    }
    name = plain_name(model)
    for entry in _entries():
        if entry.fits(name, api, provider.name, official=official):
            flags.update(entry.flags)
    if flags.get("cache_hints", "none") != "none":
        flags["text_arrays"] = True  # the marks stand on parts
    return msgspec.convert(flags, Traits)


def _habits(quirks: Mapping[str, Any], api: Api) -> Flags:
    """A provider's habits as flags of a format; those of Chat say nothing about its other formats."""
    flags: Flags = {flag: quirks[name] for name, flag in _AS_THEY_ARE.items() if name in quirks}
    if quirks.get("prefill") in ("yes", "refused"):
        flags["prefill"] = quirks["prefill"] == "yes"
    if "sampling" in quirks and quirks["sampling"] != "by-model":
        flags["sampling"] = "yes" if quirks["sampling"] == "yes" else "refused"
    if quirks.get("tool-id-rule") == "alphanumeric-9":
        flags["tool_id_rule"] = quirks["tool-id-rule"]
    if "tool-choice-levels" in quirks:
        levels = set(quirks["tool-choice-levels"])
        flags["tool_choices"] = {"any" if level == "required" else level for level in levels}
        flags["any_word"] = "any" if "any" in levels else "required"
    if api == "openai-responses" and "custom-tools-on-responses" in quirks:
        flags["custom_tools"] = quirks["custom-tools-on-responses"]
    if api == "openai-chat":
        flags |= _chat_habits(quirks)
    return flags


_AS_THEY_ARE: Final[Mapping[str, str]] = {
    "cache-hints": "cache_hints",
    "documents": "documents",
    "documents-as": "documents_as",
    "encrypted-reasoning": "encrypted_reasoning",
    "item-ids-rotate": "item_ids_rotate",
    "parallel-tools": "parallel_tools",
    "reasoning-replay": "reasoning_replay",
    "reasoning-summaries": "summaries",
    "strict-schema": "strict_schemas",
    "text-arrays": "text_arrays",
    "tool-name-limit": "tool_name_limit",
}


def _chat_habits(quirks: Mapping[str, Any]) -> Flags:
    flags: Flags = {}
    if "max-tokens-field" in quirks:
        fields = quirks["max-tokens-field"]
        flags["max_tokens_field"] = "max_tokens" if "max_tokens" in fields else "max_completion_tokens"
    if "reasoning-in" in quirks:
        flags["reasoning_in"] = quirks["reasoning-in"]
    if "reasoning-in-fields" in quirks:
        flags["reasoning_fields"] = quirks["reasoning-in-fields"]
    if "reasoning-out" in quirks:
        flags["reasoning_out"] = quirks["reasoning-out"]
    if "refused-reasoning" in quirks:
        flags["refused_reasoning"] = quirks["refused-reasoning"]
    if "refused-fields" in quirks:
        flags["refused_fields"] = quirks["refused-fields"]
        flags["stops"] = "stop" not in quirks["refused-fields"]
    return flags


def _corrected(traits: Traits, corrections: Mapping[str, object]) -> Traits:
    changes: Flags = {
        flag: corrections[key]
        for key, flag in (
            ("context", "context"),
            ("max-output", "max_output"),
            ("images", "images"),
            ("tools", "tools"),
            ("documents", "documents"),
        )
        if key in corrections
    }
    if corrections.get("thinking") is False:
        changes["reasoning_in"] = frozenset[str]()
    elif corrections.get("thinking") is True and not traits.reasoning_in:
        changes["reasoning_in"] = frozenset({"effort"})
    return msgspec.structs.replace(traits, **changes)


# --- names of models --------------------------------------------------------------------------------------------------

_MAKER = re.compile(
    r"^(?:[a-z]+\.)*(?:anthropic|openai|google|deepseek|moonshotai|moonshot|zai|minimax|mistral|qwen|meta|xai)\."
)
_SERVICE = re.compile(r"^(?:databricks|azure)-")
_DOTTED = re.compile(r"(?<=\d)\.(?=\d)")


@lru_cache(maxsize=1024)
def plain_name(model: str) -> str:
    """A model's name as its maker writes it, in small letters: without the paths, regions and variants that services
    put around it. Claude's versions are written with dashes, whoever writes them."""
    name = model.lower().rstrip("/").rpartition("/")[2]
    name = re.split("[:@]", name, maxsplit=1)[0]
    name = _SERVICE.sub("", _MAKER.sub("", name))
    return _DOTTED.sub("-", name) if name.startswith("claude-") else name


@dataclass(frozen=True, slots=True)
class _Entry:
    """One table of ``models.toml``."""

    names: re.Pattern[str]
    formats: frozenset[str] | None
    providers: frozenset[str] | None
    official: bool
    flags: Flags

    def fits(self, name: str, api: Api, provider: str, *, official: bool) -> bool:
        return (
            (self.formats is None or api in self.formats)
            and (self.providers is None or provider in self.providers)
            and (official or not self.official)
            and self.names.fullmatch(name) is not None
        )


@cache
def _entries() -> tuple[_Entry, ...]:
    return tuple(_read_entries(resources.files("router.providers").joinpath("models.toml").read_text("utf-8")))


def _read_entries(text: str) -> Iterator[_Entry]:
    """The file is ours and a test reads all of it, so only its shape is followed here, not doubted."""
    for table in tomllib.loads(text)["model"]:
        yield _Entry(
            names=re.compile("|".join(translate(glob) for glob in table["names"])),
            formats=frozenset(table["formats"]) if "formats" in table else None,
            providers=frozenset(table["providers"]) if "providers" in table else None,
            official=table.get("official", False),
            flags={key.replace("-", "_"): value for key, value in table.items() if key not in _SELECTORS},
        )
