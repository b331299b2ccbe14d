"""Turns as input items.

Items get no ids of our making: ids are optional, and the API looks up those that it is given. Reasoning goes back only
to the model that sealed it, with the id that the seal is bound to, and only before the item it led to: anything else is
an error there. Readable reasoning of other models has no place in this format.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from router.wire.arguments import as_text_of_object
from router.wire.conversation import (
    Document,
    Image,
    OpaqueState,
    Part,
    Refusal,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    Turn,
)
from router.wire.freeform import wrapped
from router.wire.history import media_of, result_text
from router.wire.loss import Losses
from router.wire.opaque import belongs, invented_id
from router.wire.openai_responses.content import PartWriter
from router.wire.tool_table import ToolTable
from router.wire.traits import Traits

MAX_ID: Final = 64
"""Characters of a call's id."""

_SEEN_LATER: Final = "[see the next message]"

Item = dict[str, Any]


class InputWriter:
    """Writes the input for one target."""

    def __init__(self, traits: Traits, tools: ToolTable, losses: Losses) -> None:
        self._traits = traits
        self._tools = tools
        self._losses = losses
        self._content = PartWriter(traits, losses)

    def items(self, turns: Iterable[Turn]) -> list[Item]:
        """The items of settled turns, in order."""
        items: list[Item] = []
        for turn in turns:
            if turn.role == "user":
                items += self._user(turn)
            elif turn.role == "assistant":
                items += self._assistant(turn)
            else:
                items += self.message(self._traits.system_role, turn.parts, turn.place)
        return items

    def message(self, role: str, parts: Iterable[Part], place: str) -> list[Item]:
        """One message; none if nothing of it can be said."""
        content = self._content.parts((part for part in parts if isinstance(part, Text | Image | Document)), place)
        return [{"type": "message", "role": role, "content": content}] if content else []

    # --- the user's side --------------------------------------------------------------------------------------------

    def _user(self, turn: Turn) -> list[Item]:
        later: list[Part] = []
        items: list[Item] = []
        for part in turn.parts:
            if isinstance(part, ToolResult):
                output, rest = self._output(part, turn.place)
                later += rest
                kind = "custom_tool_call_output" if self._is_native(part) else "function_call_output"
                items.append({"type": kind, "call_id": _call_id(part.id), "output": output})
        said = [part for part in turn.parts if not isinstance(part, ToolResult)]
        return items + self.message("user", [*later, *said], turn.place)

    def _output(self, result: ToolResult, place: str) -> tuple[str | list[Item], list[Part]]:
        """What a tool gave, and what of it has to stand behind all results."""
        text = result_text(result)
        media = media_of(result)
        if not media:
            return text, []
        if not self._traits.result_media:
            return f"{text}\n{_SEEN_LATER}".strip(), list(media)
        if not result.is_error:
            return self._content.parts(result.content, place) or text, []
        return self._content.parts([Text(text), *media], place), []

    # --- the assistant ----------------------------------------------------------------------------------------------

    def _assistant(self, turn: Turn) -> list[Item]:
        """What was said and called, each thing behind the reasoning that led to it.

        Compatible servers want a turn's calls together, right before their results, so what was said between them
        comes first there.
        """
        said: list[Item] = []
        called: list[Item] = []
        reasoning: list[Item] = []
        for part in turn.parts:
            if isinstance(part, Thought):
                reasoning += self._reasoning(part)
            elif (item := self._said(part, turn.place)) is not None:
                is_message = item["type"] == "message"
                to = said if is_message and not self._traits.official else called
                to += [*reasoning, item]
                reasoning = []
        return said + called

    def _said(self, part: Part, place: str) -> Item | None:
        if isinstance(part, ToolCall):
            return self._call(part)
        if isinstance(part, Refusal):
            return {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": part.text}]}
        if isinstance(part, Text):
            content = [{"type": "output_text", "text": part.text, "annotations": []}]
            message = {"type": "message", "role": "assistant", "content": content}
            return message if part.phase is None else {**message, "phase": part.phase}
        self._losses.refuse(place, "an assistant's turn can't hold images or documents here")
        return None

    def _reasoning(self, thought: Thought) -> list[Item]:
        state = thought.state
        if state is None or state.kind != "openai-encrypted" or not belongs(state, self._traits.owner):
            self._losses.drop("reasoning", "earlier reasoning of another model can't be given to this one")
            return []
        return [_reasoning_item(state, thought.text)]

    def _call(self, call: ToolCall) -> Item:
        place = {"call_id": _call_id(call.id), "name": self._tools.name(call.name, call.namespace)}
        if self._is_native(call):
            return {"type": "custom_tool_call", **place, "input": call.arguments}
        arguments = wrapped(call.arguments) if call.custom else call.arguments
        return {"type": "function_call", **place, "arguments": as_text_of_object(arguments)}

    def _is_native(self, part: ToolCall | ToolResult) -> bool:
        """Whether a tool is freeform for the target, too."""
        return part.custom and not self._tools.wraps(part.custom)


def _reasoning_item(state: OpaqueState, text: str) -> Item:
    item: Item = {"type": "reasoning"}
    if state.id is not None:
        item["id"] = state.id
    summary = [{"type": "summary_text", "text": text}] if text else []
    return {**item, "summary": summary, "encrypted_content": state.value}


def _call_id(call_id: str) -> str:
    """The id of a call, the same for its result; one that is too long becomes another."""
    return call_id if len(call_id) <= MAX_ID else invented_id("call_", call_id)
