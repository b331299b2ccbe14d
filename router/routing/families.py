"""What another family of models makes of a request that was counted in o200k_base.

Every family has its own tokenizer, and its provider wraps a request in words of its own: markers around messages, a
prompt that explains tools. ``FAMILIES`` says both in a handful of numbers; ``scripts/token-error`` prints how far
they are from recorded usage. They matter for short requests; for long ones only the factor does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Makeup:
    """What a request consists of. ``text`` and ``media`` are tokens as ``tokens`` counts them; a system prompt that
    isn't a message counts as one."""

    text: int
    media: int
    messages: int
    tools: int
    budgeted_thinking: bool = False  # thinking with an explicit budget


@dataclass(frozen=True, slots=True)
class Family:
    """Text is multiplied; the rest are tokens that the provider adds: once, per message, for tools, per tool, …"""

    factor: float = 1.0
    request: int = 3
    message: int = 4
    tools: int = 0
    tool: int = 8
    thinking: int = 0
    window_factor: float = 1.1
    """For the question whether a request fits a context window, until usage has taught a better one
    (``health.token_factors``): on the safe side for code and JSON, which differ more between tokenizers than prose."""


PLAIN: Final = Family()
"""For a family nobody measured: as OpenAI counts."""

FAMILIES: Final[Mapping[str, Family]] = {
    # Anthropic documents a tool prompt of 264 to 804 tokens by model and tool_choice, and 28 or 29 for thinking.
    "anthropic": Family(factor=1.12, tools=450, tool=60, thinking=29, window_factor=1.2),
    "openai": Family(tool=5, window_factor=1.0),
    # Open-weight GPT models are sent with the harmony format's system message, whoever serves them.
    "gpt-oss": Family(request=65, window_factor=1.05),
    # Google reports the text alone, without markers around messages.
    "google": Family(request=0, message=0, tool=10),
}
"""By the word in a provider's ``family``."""

_BY_NAME: Final = (
    ("claude", "anthropic"),
    ("gpt-oss", "gpt-oss"),
    ("gpt", "openai"),
    ("codex", "openai"),
    ("gemini", "google"),
    ("gemma", "google"),
)
"""What stands in a model's name, for providers that serve models of many makers."""


def family_of(family: str, model: str = "") -> Family:
    """The numbers of a family by its word, or else by a model's name; ``PLAIN`` for all others."""
    return FAMILIES.get(family_word(family, model), PLAIN)


def family_word(family: str, model: str = "") -> str:
    """The family's word, or else the one that a model's name tells; empty for all others."""
    if family != "openai" and family in FAMILIES:
        return family
    lower = model.lower()
    for part, word in _BY_NAME:
        if part in lower:
            return word
    return family if family in FAMILIES else ""


def family_estimate(makeup: Makeup, family: Family) -> int:
    """Estimated input tokens of a request at a model of this family."""
    tokens = makeup.text * family.factor + makeup.media + family.request + family.message * makeup.messages
    if makeup.tools:
        tokens += family.tools + family.tool * makeup.tools
    if makeup.budgeted_thinking:
        tokens += family.thinking
    return round(tokens)
