"""Cache marks for a target: at most four, counting the automatic one, and longer lifetimes before shorter ones.

A request that breaks either rule is an error at Anthropic, and would be one again in every later turn.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from router.wire.conversation import Cache
from router.wire.loss import Losses
from router.wire.traits import Traits

MAX_MARKS: Final = 4


class Marks:
    """The marks of one request. Blocks are told in the order of the prompt: tools, system, messages."""

    def __init__(self) -> None:
        self._found: list[tuple[dict[str, Any], Cache]] = []

    def add(self, block: dict[str, Any], cache: Cache | None) -> None:
        """This block bears a mark; ``write`` decides whether it keeps it."""
        if cache is not None:
            self._found.append((block, cache))

    def write(self, automatic: Cache | None, traits: Traits, losses: Losses) -> dict[str, Any] | None:
        """Write the marks into their blocks; the automatic mark for the top of the body, if there shall be one.

        A client that gave no hints gets an automatic mark where the target reads any: agents of other formats rely on
        providers that cache unasked.
        """
        if traits.cache_hints != "anthropic":
            if self._found or automatic is not None:
                losses.drop("cache", "this provider takes no cache hints")
            return None
        if not self._found and automatic is None:
            return _mark("5m")
        room = MAX_MARKS if automatic is None else MAX_MARKS - 1
        kept = self._found
        if len(kept) > room:
            losses.drop("cache", f"only {MAX_MARKS} marks are allowed")
            # The first one serves other conversations with the same tools and instructions, the last ones this one.
            kept = [kept[0], *kept[len(kept) - room + 1 :]]
        longest: Literal["5m", "1h"] = "1h"
        for block, cache in kept:
            longest = "5m" if longest == "5m" or cache.ttl == "5m" else "1h"
            block["cache_control"] = _mark(longest)
        if automatic is None:
            return None
        return _mark("5m" if longest == "5m" or automatic.ttl == "5m" else "1h")


def _mark(ttl: Literal["5m", "1h"]) -> dict[str, Any]:
    return {"type": "ephemeral"} if ttl == "5m" else {"type": "ephemeral", "ttl": ttl}
