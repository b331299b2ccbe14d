"""Reasoning of earlier turns, given back to the model that it belongs to: whole and unchanged, or not at all."""

from __future__ import annotations

from typing import Any

import msgspec

from router.wire.conversation import Conversation, Part, Refusal, Text, Thought, Turn
from router.wire.loss import Losses
from router.wire.opaque import belongs
from router.wire.traits import Traits


def thought_block(thought: Thought, traits: Traits) -> dict[str, Any] | None:
    """The block for a thought; ``None`` where the target may not be given it.

    Anthropic takes only what it sealed itself. Compatible servers often seal nothing; they are given back their own
    readable reasoning, and all of it where they demand some.
    """
    state = thought.state
    if state is not None and belongs(state, traits.owner):
        if state.kind == "anthropic-signature":
            return {"type": "thinking", "thinking": thought.text, "signature": state.value}
        if state.kind == "anthropic-redacted":
            return {"type": "redacted_thinking", "data": state.value}
        if state.kind == "visible" and thought.text and not traits.official:
            return {"type": "thinking", "thinking": thought.text, "signature": ""}
    if thought.text and traits.reasoning_replay == "required" and not traits.official:
        return {"type": "thinking", "thinking": thought.text, "signature": ""}
    return None


def without_lost_thoughts(conversation: Conversation, traits: Traits, losses: Losses) -> Conversation:
    """The conversation with those thoughts only that the target can be given. None stands at the end of the
    assistant's turn, which is an error, and a turn of nothing else is left out."""
    kept: list[Turn] = []
    behind = "user"  # who speaks next
    for turn in reversed(conversation.turns):
        parts = [part for part in turn.parts if not isinstance(part, Thought) or thought_block(part, traits)]
        if len(parts) < len(turn.parts):
            losses.drop("reasoning", "earlier reasoning of another model can't be given to this one")
        while parts and behind != "assistant" and (isinstance(parts[-1], Thought) or _blank(parts[-1])):
            parts.pop()
        if parts and not all(_blank(part) for part in parts):
            kept.append(Turn(turn.role, tuple(parts), turn.place))
            behind = turn.role
    return msgspec.structs.replace(conversation, turns=tuple(reversed(kept)))


def _blank(part: Part) -> bool:
    return isinstance(part, Text | Refusal) and not part.text.strip()
