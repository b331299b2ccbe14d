"""Learning from a target's refusal: what it said it doesn't take is left out, once more tried, and remembered.

Flags are never complete: compatible servers differ by version, and a model may be newer than our table. So where a
provider answers a translated request with "unsupported parameter" and the like, the flags that made us send it are
changed. Only what our own renderers add or choose is looked for; a fault of the client's stays the client's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from router.wire.conversation import Conversation, OpaqueState, Part, Text, Thought, ToolCall, Turn
from router.wire.traits import Traits

_REFUSAL: Final = re.compile(
    r"unsupported|not supported|unrecognized|unknown|unexpected|not permitted|not allowed|deprecated|invalid|"
    r"does not support|doesn't support|extra inputs|cannot be used|can't be used|not available|unavailable|"
    r"must be verified",
    re.IGNORECASE,
)
_SEALED: Final = re.compile(
    r"invalid_encrypted_content|encrypted content|invalid.{0,20}signature|signature.{0,40}(invalid|not valid|required)|"
    r"bound to a different conversation|thought_?signature",
    re.IGNORECASE,
)

_LIMIT: Final = re.compile(r"max_?(completion|output)?_?tokens", re.IGNORECASE)
_NUMBER: Final = re.compile(r"(?<![\w.-])\d{3,7}(?![\w-])")


def _lower_limit(traits: Traits, message: str) -> Traits | None:
    """The output limit that the message names, which is below the one it complains of."""
    numbers = [int(number) for number in _NUMBER.findall(message)]
    # Where the output only doesn't fit beside this input, the limit is not the model's.
    if not numbers or not _LIMIT.search(message) or "context length" in message.lower():
        return None
    limit = min(numbers) - ("exclusive" in message)
    return msgspec.structs.replace(traits, max_output=limit) if limit < (traits.max_output or limit + 1) else None


def _swapped_limit(traits: Traits) -> Traits:
    other = "max_tokens" if traits.max_tokens_field == "max_completion_tokens" else "max_completion_tokens"
    return msgspec.structs.replace(traits, max_tokens_field=other)


def _in_words(traits: Traits) -> Traits:
    return msgspec.structs.replace(traits, refused_fields=traits.refused_fields | {"response_format.json_schema"})


def _with(**changes: object) -> Callable[[Traits], Traits]:
    return lambda traits: msgspec.structs.replace(traits, **changes)


_AMENDMENTS: Final[Mapping[str, Callable[[Traits], Traits]]] = {
    "reasoning.summary": _with(summaries=False),
    "reasoning summaries": _with(summaries=False),
    "reasoning.encrypted_content": _with(encrypted_reasoning=False),
    "stream_options": _with(stream_usage="never"),
    "parallel_tool_calls": _with(parallel_tools=False),
    "reasoning_effort": _with(reasoning_in=frozenset()),
    "enable_thinking": _with(reasoning_in=frozenset()),
    "output_config": _with(reasoning_in=frozenset()),
    "reasoning": _with(reasoning_in=frozenset()),
    "thinking": _with(reasoning_in=frozenset()),
    "temperature": _with(sampling="refused"),
    "top_p": _with(sampling="refused"),
    "top_k": _with(sampling="refused"),
    "stop_sequences": _with(stops=False),
    "'stop'": _with(stops=False),
    "max_completion_tokens": _swapped_limit,
    "max_tokens": _swapped_limit,
    "cache_control": _with(cache_hints="none"),
    "prompt_cache": _with(cache_hints="none"),
    "developer": _with(system_role="system"),
    "response_format": _in_words,
    "'strict'": _with(strict_schemas="no"),
}
"""What a refusal names, and what is changed then; the first that occurs counts, longer names before their parts."""


def amended(traits: Traits, message: str) -> Traits | None:
    """The flags with what the target refused taken out; ``None`` where its message says nothing that we can change."""
    if traits.replays_sealed and _SEALED.search(message):
        return msgspec.structs.replace(traits, replays_sealed=False)
    if (lower := _lower_limit(traits, message)) is not None:
        return lower
    if not _REFUSAL.search(message):
        return None
    for word, change in _AMENDMENTS.items():
        if word in message:
            changed = change(traits)
            return changed if changed != traits else None
    return None


def without_sealed(conversation: Conversation) -> Conversation:
    """The conversation without any sealed reasoning of earlier turns, after a target has refused it."""
    return msgspec.structs.replace(conversation, turns=tuple(map(_unsealed, conversation.turns)))


def _unsealed(turn: Turn) -> Turn:
    return Turn(turn.role, tuple(_part(part) for part in turn.parts), turn.place)


def _part(part: Part) -> Part:
    if isinstance(part, Thought):
        # What could be read stays, marked as nobody's: only targets that want reasoning as text are told it.
        return Thought(part.text, OpaqueState("visible", "", ""))
    if isinstance(part, Text | ToolCall) and part.state is not None:
        return msgspec.structs.replace(part, state=None)
    return part
