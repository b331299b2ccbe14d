"""Making a conversation's history one that a strict provider accepts, before it is rendered.

Clients keep what they were given and replay it elsewhere: empty texts, calls without results, results without calls,
system messages in odd places. What is put right here is put right for every target in the same way, by the past alone,
so that the beginning of a conversation stays the same bytes from turn to turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

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
    for role, same in groupby(turns, key=lambda turn: turn.role):
        first, *others = same
        yield Turn(role, (*first.parts, *(part for turn in others for part in turn.parts)), first.place)


def _systems_placed(turns: list[Turn], traits: Traits) -> Iterator[Turn]:
    """System turns behind the user's, never between a call and its result; as tagged text where there are none."""
    waiting: list[Turn] = []
    for turn in turns:
        if turn.role == "system":
            if traits.mid_system:
                waiting.append(turn)
            else:
                yield Turn("user", tagged(turn.parts), turn.place)
            continue
        if turn.role == "assistant":
            yield from waiting
            waiting.clear()
        yield turn
    yield from waiting


def tagged(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """What a system turn says, as text for a user's."""
    texts = [part for part in parts if isinstance(part, Text)]
    cache = next((text.cache for text in reversed(texts) if text.cache is not None), None)
    others = [part for part in parts if not isinstance(part, Text)]
    return (Text(f"<system>\n{text_of(texts)}\n</system>", cache=cache), *others)


@dataclass(slots=True, eq=False)
class _Waiting:
    """A call without its result: the id that the client knows it by, perhaps empty, and the call as it became."""

    known_as: str
    call: ToolCall
    answered: bool = False


class _Unanswered:
    """The calls of one turn, to be found by the results of the next."""

    def __init__(self) -> None:
        self._by_id: dict[str, deque[_Waiting]] = {}
        self._without_id: dict[str | None, deque[_Waiting]] = {}  # by name, and under None all of them
        self._all: dict[str | None, deque[_Waiting]] = {}  # likewise

    def add(self, known_as: str, call: ToolCall) -> None:
        waiting = _Waiting(known_as, call)
        if known_as:
            self._by_id.setdefault(known_as, deque()).append(waiting)
        for table in (self._all,) if known_as else (self._all, self._without_id):
            for name in (None, call.name):
                table.setdefault(name, deque()).append(waiting)

    def take(self, result: ToolResult, asked_for: set[str]) -> ToolCall | None:
        """The call that a result belongs to: by its id; where one side has none, by name and order.

        ``asked_for`` holds the ids that results of the same turn name: none of those calls is free to be guessed.
        """
        places = (self._by_id.get(result.id), self._without_id.get(result.name))
        for queue in places if result.id else (self._all.get(result.name),):
            while queue:
                waiting = queue.popleft()
                if not waiting.answered and (result.id or waiting.known_as not in asked_for):
                    waiting.answered = True
                    return waiting.call
        return None


def _with_ids(turns: Iterable[Turn]) -> Iterator[Turn]:
    """An id of its own for every call, and the same for its result.

    Clients may lack ids, and some providers give the same one again in a later turn; strict ones refuse both.
    """
    position = 0
    used: set[str] = set()
    names: dict[str, str] = {}
    unanswered = _Unanswered()
    for turn in turns:
        if turn.role == "assistant":
            unanswered = _Unanswered()
        asked_for = {part.id for part in turn.parts if isinstance(part, ToolResult) and part.id}
        parts: list[Part] = []
        for part in turn.parts:
            if isinstance(part, ToolCall):
                position += 1
                known_as = part.id
                if not known_as or known_as in used:
                    made = invented_id("call_", position, part.name, part.arguments)
                    part = msgspec.structs.replace(part, id=made)
                used.add(part.id)
                if known_as:
                    names[known_as] = part.name
                unanswered.add(known_as, part)
            elif isinstance(part, ToolResult):
                call = unanswered.take(part, asked_for)
                if call is not None:
                    part = msgspec.structs.replace(part, id=call.id)
                elif part.name is None:
                    part = msgspec.structs.replace(part, name=names.get(part.id))
            parts.append(part)
        yield Turn(turn.role, tuple(parts), turn.place)


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
    answers: dict[str, ToolResult] = {}
    lonely: list[ToolResult] = []
    asked = {call.id for call in calls}
    for part in turn.parts:
        if isinstance(part, ToolResult):
            if part.id in asked and part.id not in answers:
                answers[part.id] = part
            else:
                lonely.append(part)
    parts: list[Part] = []
    for call in calls:
        found = answers.get(call.id) or ToolResult(call.id, (Text(NO_RESULT),), is_error=True)
        parts.append(msgspec.structs.replace(found, name=call.name, custom=call.custom))
    for result in lonely:
        parts.append(Text(f"[Result of {result.name or 'a tool'}]\n{result_text(result)}"))
        parts.extend(media_of(result))
    parts.extend(part for part in turn.parts if not isinstance(part, ToolResult))
    return Turn(turn.role, tuple(parts), turn.place)
