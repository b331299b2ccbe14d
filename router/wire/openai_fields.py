"""Fields that OpenAI's two formats, Chat and Responses, write alike, for one target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from router.wire.conversation import Conversation, ServiceTier, Settings, Tool, ToolChoice
from router.wire.digest import digest
from router.wire.loss import Losses
from router.wire.traits import Traits

TIER_WORDS: Final[Mapping[ServiceTier, str]] = {
    "auto": "auto",
    "standard": "default",
    "flex": "flex",
    "priority": "priority",
    "fast": "fast",
}
"""What OpenAI calls a service class."""
TIERS: Final[Mapping[str, ServiceTier]] = {word: tier for tier, word in TIER_WORDS.items()}
"""The service class behind OpenAI's word."""
MAX_ID: Final = 64
"""Characters of a user's id or a cache key that OpenAI takes."""


def offered(conversation: Conversation, traits: Traits, losses: Losses) -> tuple[Tool, ...]:
    """The tools to be offered: a choice that can't be said is made by offering no others. There are none where the
    model calls no tools, so that the client's are refused. So is a call that must be made where no tool is left."""
    tools, choice = conversation.tools, conversation.tool_choice
    if tools and traits.tools is False:
        losses.refuse("tools", "this model calls no tools")
        return ()
    if choice is None:
        return tools
    if choice.mode == "none" and "none" not in traits.tool_choices:
        return ()
    if choice.allowed is not None and not traits.official:
        tools = tuple(tool for tool in tools if tool.name in choice.allowed)
    if not tools and choice.mode in ("any", "named"):
        losses.refuse("tool_choice", "no tool is offered that could be called")
    return tools


def named_tool(choice: ToolChoice, tools: tuple[Tool, ...], losses: Losses) -> Tool | None:
    """The tool that a choice names; one that isn't offered is refused."""
    named = next((tool for tool in tools if (tool.namespace, tool.name) == (choice.namespace, choice.name)), None)
    if named is None:
        losses.refuse("tool_choice", "the tool it names isn't offered")
    return named


def can_be_said(choice: ToolChoice, traits: Traits, losses: Losses) -> bool:
    """Whether the target takes such a choice. The model's own goes without saying, any other is refused."""
    if choice.mode in traits.tool_choices:
        return True
    if choice.mode != "auto":
        losses.refuse("tool_choice", "this model can't be made to call a tool")
    return False


def can_be_strict(tools: tuple[Tool, ...], traits: Traits, losses: Losses, field: str) -> bool:
    """Whether a tool that asks for it can be held to its schema; ``field`` is what is lost of those that can't."""
    strict = traits.strict_schemas == "yes" or (
        traits.strict_schemas == "all-tools-equal" and all(tool.strict for tool in tools)
    )
    if not strict and any(tool.strict for tool in tools):
        losses.drop(field, "this provider checks no schemas, or those of all tools only")
    return strict


def parallel_calls(settings: Settings, traits: Traits, losses: Losses) -> dict[str, Any]:
    """``parallel_tool_calls``, which stands only beside tools."""
    parallel = settings.parallel_tools
    if parallel is not None and traits.parallel_tools:
        return {"parallel_tool_calls": parallel}
    if parallel is False:
        losses.drop("parallel_tools", "this provider can't be told to make one call at a time")
    return {}


def sampling(settings: Settings, traits: Traits, losses: Losses) -> dict[str, Any]:
    """``temperature`` and ``top_p``, as far as the model takes them."""
    fields: dict[str, Any] = {}
    for name in ("temperature", "top_p"):
        value = getattr(settings, name)
        if value is None:
            continue
        if traits.sampling == "refused":
            losses.drop(name, "this model takes no sampling parameters")
        elif traits.sampling == "one" and fields:
            losses.drop(name, "this model takes one sampling parameter")
        else:
            fields[name] = value
    return fields


def cache_key(settings: Settings, *, marked: bool) -> str | None:
    """The key of the prompt cache: the client's own, a digest of it where it is too long, or for a prompt with cache
    marks one of its user's."""
    key = settings.cache_key
    if key is None and marked and settings.user is not None:
        return digest(settings.user)[:32]  # of a session or a user: the same in every turn
    return key if key is None or len(key) <= MAX_ID else digest(key)
