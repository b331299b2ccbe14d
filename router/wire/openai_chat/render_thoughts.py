"""Reasoning of earlier turns, told to a Chat target as it wants it back.

Sealed reasoning goes to its owner only. What could be read goes to the model that thought it, in the place where its
provider has such text; and to a provider that insists on reasoning beside calls, whoever thought it. It never becomes
text of an answer.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

from router.wire.conversation import OpaqueState, Thought
from router.wire.loss import Losses
from router.wire.opaque import belongs
from router.wire.openai_chat.reasoning import JOINT, native
from router.wire.traits import Traits

BYPASS: Final = "skip_thought_signature_validator"
"""What Google documents for a call whose signature is lost."""

LOST: Final = " "
"""Reasoning that isn't there, for providers that insist on some: empty they refuse it."""

Place = Literal["reasoning_content", "reasoning", "content-parts", "think-tags"]


class Replayed(NamedTuple):
    """What an assistant's message holds of its reasoning: further fields, and text that stands in its content."""

    fields: dict[str, Any]
    place: Place | None = None
    text: str = ""

    def before(self, said: str | list[dict[str, Any]] | None) -> str | list[dict[str, Any]] | None:
        """The content with the reasoning at its beginning, where it stands there."""
        parts = [{"type": "text", "text": said}] if isinstance(said, str) else said or []
        if self.place == "content-parts":
            return [{"type": "thinking", "thinking": [{"type": "text", "text": self.text}]}, *parts]
        if self.place == "think-tags":
            tagged = f"<think>\n{self.text}\n</think>\n\n"
            return [{"type": "text", "text": tagged}, *parts] if isinstance(said, list) else tagged + (said or "")
        return said


def replayed(thoughts: list[Thought], traits: Traits, losses: Losses, *, calls: bool) -> Replayed:
    """The reasoning of one turn; ``calls``: whether tools are called in it."""
    fields: dict[str, Any] = {}
    details: list[dict[str, Any]] = []
    for state in (thought.state for thought in thoughts if thought.state is not None):
        if state.kind == "openrouter" and belongs(state, traits.owner):
            details += native(state.value)
        elif takes_signature(state, traits):
            fields["extra_content"] = google(state.value)
    if details:
        return Replayed(fields | {"reasoning_details": details})
    place = place_for(traits)
    demanded = calls and traits.reasoning_replay == "required" and place in ("reasoning_content", "reasoning")
    text = JOINT.join(thought.text for thought in thoughts if thought.text and (demanded or _is_own(thought, traits)))
    if place is None or not (text or demanded):
        if any(thought.text for thought in thoughts):
            losses.drop("reasoning", "earlier reasoning isn't carried over to this model")
        return Replayed(fields)
    if place in ("reasoning_content", "reasoning"):
        return Replayed(fields | {place: text or LOST})
    return Replayed(fields, place, text)


def takes_signature(state: OpaqueState, traits: Traits) -> bool:
    """Whether this is a signature of the target's, if it is one of Google's; nobody's only where calls need one."""
    if state.kind != "google-thought":
        return False
    return traits.call_signatures if state.owner is None else belongs(state, traits.owner)


def google(signature: str) -> dict[str, Any]:
    """``extra_content`` with a signature."""
    return {"google": {"thought_signature": signature}}


def place_for(traits: Traits) -> Place | None:
    """Where the target's own readable reasoning stands in its messages, and so may stand when it goes back."""
    if traits.reasoning_replay == "refused":
        return None
    required, out = traits.reasoning_replay == "required", traits.reasoning_out
    if "content-parts" in out:
        return "content-parts"
    if "think-tags" in out and required:
        return "think-tags"
    if "reasoning" in out and "reasoning_content" not in out:
        return "reasoning"
    return "reasoning_content" if required or "reasoning_content" in out else None


def _is_own(thought: Thought, traits: Traits) -> bool:
    return thought.state is not None and thought.state.kind == "visible" and thought.state.owner == traits.owner
