"""Making a conversation's history one that a strict provider accepts, before it is rendered.

Clients keep what they were given and replay it elsewhere: empty texts, calls without results, results without calls,
system messages in odd places. What is put right here is put right for every target in the same way, by the past alone,
so that the beginning of a conversation stays the same bytes from turn to turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from router.wire.conversation import (
    Conversation,
    Document,
    Image,
    Part,
    Refusal,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    Turn,
)
from router.wire.loss import Losses
from router.wire.opaque import invented_id
from router.wire.traits import Traits

NO_RESULT = "No result: the call was not carried out."


def settled(conversation: Conversation, traits: Traits, losses: Losses) -> list[Turn]:
    """The turns for a target: alternating, system turns aside; each call followed by its result at the beginning of the
    user's next turn, in the order of the calls; no empty text; an id of its own for each call."""
    turns = [turn for turn in map(_without_empty, conversation.turns) if turn.parts]
    turns = list(_joined(_systems_placed(turns, traits)))
    turns = list(_joined(_paired(_with_ids(turns))))
    if turns and turns[-1].role == "assistant" and not traits.prefill:
        losses.refuse(turns[-1].place, "this model doesn't continue a message of the assistant's")
        turns.pop()
    return turns


def text_of(parts: Iterable[Part], joint: str = "\n") -> str:
    """The texts among the parts."""
    return joint.join(part.text for part in parts if isinstance(part, Text | Refusal))


def result_text(result: ToolResult, joint: str = "\n") -> str:
    """A result as one text; images and documents that aren't text are left to the caller."""
    text = text_of(result.content, joint)
    if result.is_error and not text.lower().startswith("error"):
        return f"Error: {text}"
    return text


def media_of(result: ToolResult) -> list[Image | Document]:
    """The images and documents inside a result."""
    return [part for part in result.content if isinstance(part, Image | Document)]


def _without_empty(turn: Turn) -> Turn:
    return Turn(turn.role, tuple(_emptied(part) for part in turn.parts if not _is_empty(part)), turn.place)


def _emptied(part: Part) -> Part:
    """The same; a result without its empty texts."""
    if not isinstance(part, ToolResult) or not any(map(_is_empty, part.content)):
        return part
    return msgspec.structs.replace(part, content=tuple(inner for inner in part.content if not _is_empty(inner)))


def _is_empty(part: Part) -> bool:
    if isinstance(part, Text | Refusal):
        return not part.text.strip()
    return isinstance(part, Thought) and not part.text and part.state is None


def _joined(turns: Iterable[Turn]) -> Iterator[Turn]:
    """Neighbours of one role as one turn."""
    held: Turn | None = None
    for turn in turns:
        if held is not None and held.role == turn.role:
            held = Turn(held.role, held.parts + turn.parts, held.place)
            continue
        if held is not None:
            yield held
        held = turn
    if held is not None:
        yield held


def _systems_placed(turns: list[Turn], traits: Traits) -> Iterator[Turn]:
    """System turns behind the user's, never between a call and its result; as tagged text where there are none."""
    waiting: list[Turn] = []
    for turn in turns:
        if turn.role == "system":
            if traits.mid_system:
                waiting.append(turn)
            else:
                yield Turn("user", _tagged(turn.parts), turn.place)
            continue
        if turn.role == "assistant":
            yield from waiting
            waiting.clear()
        yield turn
    yield from waiting


def _tagged(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    texts = [part for part in parts if isinstance(part, Text)]
    cache = next((text.cache for text in reversed(texts) if text.cache is not None), None)
    others = [part for part in parts if not isinstance(part, Text)]
    return (Text(f"<system>\n{text_of(texts)}\n</system>", cache=cache), *others)


class _Unanswered(NamedTuple):
    """A call that has no result yet: the id that the client knows it by, perhaps empty, and the call as it became."""

    known_as: str
    call: ToolCall


def _with_ids(turns: Iterable[Turn]) -> Iterator[Turn]:
    """An id of its own for every call, and the same for its result.

    Clients may lack ids, and some providers give the same one again in a later turn; strict ones refuse both.
    """
    position = 0
    used: set[str] = set()
    names: dict[str, str] = {}
    unanswered: list[_Unanswered] = []
    for turn in turns:
        if turn.role == "assistant":
            unanswered = []
        asked_for = {part.id for part in turn.parts if isinstance(part, ToolResult)}
        parts: list[Part] = []
        for part in turn.parts:
            if isinstance(part, ToolCall):
                position += 1
                names[part.id] = part.name
                known_as = part.id
                if not part.id or part.id in used:
                    made = invented_id("call_", position, part.name, part.arguments)
                    part = msgspec.structs.replace(part, id=made)
                used.add(part.id)
                unanswered.append(_Unanswered(known_as, part))
            elif isinstance(part, ToolResult):
                waiting = _answered_by(part, unanswered, asked_for)
                if waiting is not None:
                    unanswered.remove(waiting)
                    part = msgspec.structs.replace(part, id=waiting.call.id)
                part = msgspec.structs.replace(part, name=part.name or names.get(part.id))
            parts.append(part)
        yield Turn(turn.role, tuple(parts), turn.place)


def _answered_by(result: ToolResult, unanswered: list[_Unanswered], asked_for: set[str]) -> _Unanswered | None:
    """The call that a result belongs to: by its id; where one side has none, by name and order."""
    for waiting in unanswered:
        if result.id and result.id == waiting.known_as:
            return waiting
    for waiting in unanswered:
        free = not waiting.known_as or (not result.id and waiting.known_as not in asked_for)
        if free and result.name in (None, waiting.call.name):
            return waiting
    return None


def _paired(turns: Iterable[Turn]) -> Iterator[Turn]:
    """Results first and in the order of the calls before; a missing one is made, a lonely one becomes text."""
    calls: list[ToolCall] = []
    for turn in turns:
        if turn.role == "user":
            yield _answering(turn, calls)
            calls = []
            continue
        if calls:
            yield _answering(Turn("user", (), turn.place), calls)
            calls = []
        yield turn
        if turn.role == "assistant":
            calls = [part for part in turn.parts if isinstance(part, ToolCall)]
    if calls:
        yield _answering(Turn("user", (), turn.place), calls)


def _answering(turn: Turn, calls: list[ToolCall]) -> Turn:
    results = [part for part in turn.parts if isinstance(part, ToolResult)]
    others = [part for part in turn.parts if not isinstance(part, ToolResult)]
    answers: list[Part] = []
    for call in calls:
        found = next((result for result in results if result.id == call.id), None)
        if found is None:
            found = ToolResult(call.id, (Text(NO_RESULT),), is_error=True)
        else:
            results.remove(found)
        answers.append(msgspec.structs.replace(found, name=call.name, custom=call.custom))
    for lonely in results:
        answers.append(Text(f"[Result of {lonely.name or 'a tool'}]\n{result_text(lonely)}"))
        answers.extend(media_of(lonely))
    return Turn(turn.role, (*answers, *others), turn.place)
