"""The turns of a conversation as messages of a Messages target.

The history comes settled (``history.py``): results are paired with their calls, texts aren't empty, system turns stand
where they may. What is left to do here are Anthropic's own demands: legal ids, arguments that are objects, a user who
speaks first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from router.wire.anthropic_messages.caching import Marks
from router.wire.anthropic_messages.ids import legal_id
from router.wire.anthropic_messages.render_media import MediaWriter
from router.wire.anthropic_messages.replay import thought_block
from router.wire.arguments import as_object
from router.wire.conversation import Document, Image, Refusal, Text, Thought, ToolCall, ToolResult, Turn
from router.wire.freeform import wrapped
from router.wire.loss import Losses
from router.wire.tool_table import ToolTable
from router.wire.traits import Traits

_OPENING: Final = "(The conversation begins.)"
"""What the user says where the assistant would speak first, which isn't allowed."""

THOUGHTS: Final = ("thinking", "redacted_thinking")

Block = dict[str, Any]
Message = dict[str, Any]


class TurnWriter:
    """Writes the messages of one request."""

    def __init__(self, table: ToolTable, traits: Traits, marks: Marks, losses: Losses) -> None:
        self._table = table
        self._traits = traits
        self._marks = marks
        self._losses = losses
        self._media = MediaWriter(traits, losses)

    def messages(self, turns: Sequence[Turn]) -> list[Message]:
        """All turns. Neighbours that speak alike become one message."""
        out: list[Message] = []
        for at, turn in enumerate(turns):
            content = self._content(turn)
            if turn.role == "assistant" and at == len(turns) - 1:
                _trim_end(content)
            if not content:
                continue
            if not out and turn.role != "user":
                out.append({"role": "user", "content": [{"type": "text", "text": _OPENING}]})
            if out and out[-1]["role"] == turn.role:
                out[-1]["content"].extend(content)
            else:
                out.append({"role": turn.role, "content": content})
        return out or [{"role": "user", "content": [{"type": "text", "text": _OPENING}]}]

    def text(self, part: Text | Refusal) -> Block:
        """A block of text."""
        out = {"type": "text", "text": part.text}
        if isinstance(part, Text):
            self._marks.add(out, part.cache)
        return out

    def _content(self, turn: Turn) -> list[Block]:
        content: list[Block] = []
        behind: list[Block] = []  # what can't stand in a result, behind all results
        results = 0
        for part in turn.parts:
            match part:
                case Text() | Refusal():
                    content.append(self.text(part))
                case Image() | Document():
                    self._add_media(part, turn, content)
                case Thought():
                    if (block := thought_block(part, self._traits)) is not None:
                        content.append(block)
                case ToolCall():
                    content.append(self._call(part))
                case ToolResult():
                    content.insert(results, self._result(part, turn.place, behind))
                    results += 1
        content[results:results] = behind
        return content

    def _add_media(self, part: Image | Document, turn: Turn, content: list[Block]) -> None:
        if turn.role != "user":
            self._losses.refuse(turn.place, "only the user can give images and documents here")
            return
        if (block := self._media.block(part, turn.place)) is not None:
            self._marks.add(block, part.cache)
            content.append(block)

    def _call(self, call: ToolCall) -> Block:
        arguments = wrapped(call.arguments) if self._table.wraps(call.custom) else call.arguments
        out = {
            "type": "tool_use",
            "id": legal_id(call.id),
            "name": self._table.name(call.name, call.namespace),
            "input": as_object(arguments),
        }
        self._marks.add(out, call.cache)
        return out

    def _result(self, result: ToolResult, place: str, behind: list[Block]) -> Block:
        out: Block = {"type": "tool_result", "tool_use_id": legal_id(result.id)}
        # A result that is an error may hold nothing but text.
        inside = self._traits.result_media and not result.is_error
        content: list[Block] = []
        cache = result.cache
        for part in result.content:
            cache = part.cache or cache
            if isinstance(part, Text):
                if part.text.strip():
                    content.append({"type": "text", "text": part.text})
            elif (block := self._media.block(part, place)) is None:
                continue
            elif inside or block["type"] == "text":
                content.append(block)
            else:
                content.append({"type": "text", "text": f"[{block['type']}: see below]"})
                behind.append(block)
        if content:
            out["content"] = content
        if result.is_error:
            out["is_error"] = True
        self._marks.add(out, cache)
        return out


def unthinking_loop(newest_first: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the assistant's turn that is still going on, through calls and their results, begins without thinking."""
    opening = ""
    for message in newest_first:
        kind = message["content"][0].get("type") if message["content"] else None
        if message["role"] == "assistant":
            opening = kind or ""
        elif message["role"] == "user" and kind != "tool_result":
            break
    return bool(opening) and opening not in THOUGHTS


def _trim_end(content: list[Block]) -> None:
    """A text that shall be continued can't end with space."""
    if content and content[-1]["type"] == "text":
        content[-1]["text"] = content[-1]["text"].rstrip()
