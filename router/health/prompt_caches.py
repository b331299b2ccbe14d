"""What a target still has of a conversation in its prompt cache: the part of the next request that is cheap there.

Told after every answer what the provider's usage says of its cache, asked when prices are compared. It is an estimate:
a provider may drop what it holds at any time, and says so only afterwards.
"""

from __future__ import annotations

from typing import Final

MAX_CACHES: Final = 8192
LIFETIME_S: Final = 300.0
"""Since the last use: what Anthropic promises, and what others keep at least when they aren't busy."""

_REWRITTEN: Final = 0.75
# A request shorter than this share of what is held isn't its continuation: the agent compacted its context. Not 1,
# because what is held was counted by the provider and the request is an estimate.


class PromptCaches:
    """By conversation and target; of more than ``limit``, those used longest ago are forgotten."""

    def __init__(self, limit: int = MAX_CACHES) -> None:
        self._limit = limit
        self._held: dict[tuple[str, str, str], tuple[int, float]] = {}  # tokens, until when; in the order of use

    def note(
        self, conversation: str, target: tuple[str, str], tokens: int, now: float, lifetime_s: float = LIFETIME_S
    ) -> None:
        """An answer came: so many tokens of the conversation (read and written) are in the target's cache now."""
        key = conversation, *target
        self._held.pop(key, None)
        if tokens > 0:
            while len(self._held) >= self._limit:
                del self._held[next(iter(self._held))]
            self._held[key] = tokens, now + lifetime_s

    def of(self, conversation: str, target: tuple[str, str], input_tokens: int | None, now: float) -> int:
        """How many of a request's tokens the target probably has, never more than the request's; all that it has of
        the conversation, where those aren't known."""
        tokens, until = self._held.get((conversation, *target), (0, 0.0))
        if now >= until:
            return 0
        if input_tokens is None:
            return tokens
        return 0 if input_tokens < tokens * _REWRITTEN else min(tokens, input_tokens)
