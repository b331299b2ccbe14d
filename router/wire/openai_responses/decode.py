"""A provider's Responses reply, whole or streamed, as neutral events.

Items are told apart by ``output_index``, since some gateways change an item's id from event to event. An item's end
repeats all of it; what the deltas before it left out (some servers send none) is taken from there, so a whole reply is
read as items that only end. The end of the response repeats all items once more, and only counts where none was seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from router.wire.decoding import ReplyDecoder
from router.wire.events import Citation, Stop
from router.wire.openai_responses.faults import fault_of
from router.wire.openai_responses.shapes import NOTHING
from router.wire.pieces import blocks_of, fields_of
from router.wire.sse import SseEvent
from router.wire.taps import decoded, text_or_none, usage_report
from router.wire.tool_table import ToolTable
from router.wire.traits import Traits
from router.wire.usage import from_openai

JOINT: Final = "\n\n"
"""What stands between the parts of a summary."""


class _Event(msgspec.Struct):
    type: Any = None
    output_index: Any = None
    item_id: Any = None
    content_index: Any = None
    summary_index: Any = None
    delta: Any = None
    text: Any = None
    refusal: Any = None
    arguments: Any = None
    input: Any = None
    name: Any = None
    annotation: Any = None
    item: Any = None
    response: msgspec.Raw = NOTHING
    error: Any = None
    code: Any = None
    message: Any = None


class _Response(msgspec.Struct):
    id: Any = None
    model: Any = None
    status: Any = None
    output: msgspec.Raw = NOTHING
    incomplete_details: Any = None
    error: Any = None
    detail: Any = None
    message: Any = None
    service_tier: Any = None
    usage: msgspec.Raw = NOTHING


_events = msgspec.json.Decoder(_Event)
_responses = msgspec.json.Decoder(_Response)
_response_lists = msgspec.json.Decoder(list[_Response])
_lists = msgspec.json.Decoder(list[Any])

_UNFINISHED: Final = ("queued", "in_progress")
_STOPS: Final[Mapping[str, Stop]] = {"content_filter": "refusal", "max_messages": "pause", "steered": "pause"}
"""Why a response is incomplete; everything else is a limit of tokens."""


@dataclass(slots=True, eq=False)
class _Item:
    key: int
    kind: str
    phase: str | None = None
    said: dict[tuple[str, int], list[str]] = field(default_factory=dict)  # by part and its index
    thought_in: str | None = None  # "summary" or "content": where the readable reasoning comes from
    cited: int = 0
    done: bool = False


class ResponsesDecoder(ReplyDecoder):
    """Decodes one reply."""

    def __init__(self, traits: Traits | None = None, tools: ToolTable | None = None) -> None:
        super().__init__(traits, tools)
        self._tools = tools or ToolTable()
        self._items: dict[int | str, _Item] = {}
        self._count = 0
        self._refused = False

    def _read(self, event: SseEvent) -> None:
        seen = decoded(event.data, _events)
        if seen is None:
            return
        if not isinstance(seen.type, str):
            seen.type = event.event or ("error" if seen.error is not None else "")
        if (delta := _DELTAS.get(seen.type)) is not None:
            tell = self._complete if delta.whole else self._say
            tell(self._at(seen, delta.kind), delta.part, getattr(seen, delta.at), getattr(seen, delta.value))
        elif (read := _READERS.get(seen.type)) is not None:
            read(self, seen)
        elif seen.type not in _FRAMES:  # a hosted tool at work, or something new
            self.parts.alive()

    def _read_whole(self, payload: bytes) -> None:
        response = decoded(payload, _responses)
        if response is None:  # some gateways put their error into a list
            listed = decoded(payload, _response_lists)
            response = listed[0] if listed else None
        if response is None or response.status in _UNFINISHED:
            return
        if response.status is None and decoded(response.output, _lists) is None:
            told = response.error or text_or_none(response.detail) or text_or_none(response.message)
            if (fault := fault_of(told)) is not None:
                self.parts.fail(*fault)
            return
        self._start(response)
        self._end(response, "completed")

    # --- the response -----------------------------------------------------------------------------------------------

    def _read_start(self, event: _Event) -> None:
        response = decoded(event.response, _responses)
        self._start(response or _Response())

    def _start(self, response: _Response) -> None:
        self.parts.start(text_or_none(response.id) or "", text_or_none(response.model) or "")

    def _read_end(self, event: _Event) -> None:
        response = decoded(event.response, _responses)
        if response is None:  # cut short, so no end
            return
        self._start(response)
        self._end(response, event.type.rpartition(".")[2])

    def _end(self, response: _Response, status: str) -> None:
        """The response as it was in the end. ``status`` is what its event says, if it says nothing itself."""
        if response.status in ("completed", "incomplete", "failed", "cancelled"):
            status = response.status
        if not self._items:
            output = decoded(response.output, _lists) or []
            for index, item in enumerate(output):
                self._read_item_done(_Event(output_index=index, item=item))
        if (report := usage_report(response.usage)) is not None:
            self.parts.usage(from_openai(report, service_tier=response.service_tier))
        fault = fault_of(response.error)
        if fault is not None or status in ("failed", "cancelled"):
            self.parts.fail(*(fault or ("server", f"the response was {status} without a message")))
            return
        reason = fields_of(response.incomplete_details).get("reason")
        if status == "incomplete":
            stop = _STOPS.get(reason, "max-tokens") if isinstance(reason, str) else "max-tokens"
        else:
            calls = any(item.kind in _CALLS for item in self._items.values())
            stop = "refusal" if self._refused and not calls else "end"
        self.parts.end(stop)

    def _read_error(self, event: _Event) -> None:
        message = text_or_none(event.message) or "the stream broke off with an error"
        if (fault := fault_of(event.error or {"code": event.code, "message": message})) is not None:
            self.parts.fail(*fault)

    # --- items ------------------------------------------------------------------------------------------------------

    def _read_item(self, event: _Event) -> None:
        """An item begins."""
        self._item(event)

    def _read_item_done(self, event: _Event) -> None:
        """An item as it was in the end."""
        item = self._item(event)
        item.done = True
        if (finish := _FINISHERS.get(item.kind)) is not None:
            finish(self, item, fields_of(event.item))

    def _item(self, event: _Event) -> _Item:
        """The item that an event holds; a new one, unless it is being written."""
        fields = fields_of(event.item)
        kind = text_or_none(fields.get("type")) or "message"
        place = event.output_index if isinstance(event.output_index, int) else fields.get("id")
        known = self._known(place)
        return known if known is not None and known.kind == kind and not known.done else self._add(kind, place, fields)

    def _known(self, place: Any) -> _Item | None:
        return self._items.get(place) if isinstance(place, int | str) else None

    def _add(self, kind: str, place: Any, item: Mapping[str, Any]) -> _Item:
        self._count += 1
        added = _Item(self._count, kind, phase=text_or_none(item.get("phase")))
        for name in (place, item.get("id")):
            if isinstance(name, int | str):
                self._items[name] = added
        if kind in _CALLS:
            self._call(added, item)
        elif kind not in _FINISHERS:
            self.parts.opaque(kind)
        return added

    def _at(self, event: _Event, kind: str) -> _Item:
        """The item that a delta belongs to; of one that never began only the kind is known."""
        place = event.output_index if isinstance(event.output_index, int) else event.item_id
        known = self._known(place)
        return known if known is not None and known.kind == kind else self._add(kind, place, {})

    def _say(self, item: _Item, part: str, index: Any, text: Any) -> None:
        """Some more of an item's part."""
        if not isinstance(text, str) or not text:
            return
        at = index if isinstance(index, int) else 0
        said = item.said.get((part, at))
        if said is None:
            said = item.said[part, at] = []
            if part in _REASONING:
                if item.thought_in not in (None, part):
                    return  # it was read already, from the other of its two places
                if item.thought_in is not None:
                    self.parts.thinking(item.key, JOINT)
                item.thought_in = part
        said.append(text)
        match part:
            case "text":
                self.parts.text((item.key, at), text, item.phase)
            case "refusal":
                self._refused = True
                self.parts.refusal((item.key, at), text)
            case "call":
                self.parts.arguments(item.key, text)
            case _ if part == item.thought_in:
                self.parts.thinking(item.key, text)

    def _complete(self, item: _Item, part: str, index: Any, whole: Any) -> None:
        """What the deltas left out of a part."""
        if not isinstance(whole, str):
            return
        said = "".join(item.said.get((part, index if isinstance(index, int) else 0), ()))
        if whole.startswith(said):
            self._say(item, part, index, whole[len(said) :])

    # --- finished items ---------------------------------------------------------------------------------------------

    def _finish_message(self, item: _Item, fields: Mapping[str, Any]) -> None:
        item.phase = item.phase or text_or_none(fields.get("phase"))
        cited = 0
        for index, part in enumerate(map(fields_of, blocks_of(fields.get("content")))):
            self._complete(item, "text", index, part.get("text"))
            self._complete(item, "refusal", index, part.get("refusal"))
            for annotation in blocks_of(part.get("annotations")):
                cited += 1
                if cited > item.cited:  # of those before it the stream has told
                    self._cite(item, index, annotation)
        for kind, index in item.said:
            self.parts.close("text" if kind == "text" else "refusal", (item.key, index))

    def _read_citation(self, event: _Event) -> None:
        item = self._at(event, "message")
        item.cited += 1
        self._cite(item, event.content_index, event.annotation)

    def _cite(self, item: _Item, index: Any, annotation: Any) -> None:
        raw = fields_of(annotation)
        if kind := text_or_none(raw.get("type")):
            title = text_or_none(raw.get("title")) or text_or_none(raw.get("filename")) or ""
            citation = Citation(kind, text_or_none(raw.get("url")) or "", title, raw)
            self.parts.cite((item.key, index if isinstance(index, int) else 0), citation)

    def _finish_reasoning(self, item: _Item, fields: Mapping[str, Any]) -> None:
        for part in ("summary", "content"):
            for index, piece in enumerate(map(fields_of, blocks_of(fields.get(part)))):
                self._complete(item, part, index, piece.get("text"))
        sealed = text_or_none(fields.get("encrypted_content"))
        if sealed is not None:
            self.parts.seal(item.key, "openai-encrypted", sealed, item=text_or_none(fields.get("id")))
        self.parts.close("thinking", item.key)

    def _finish_call(self, item: _Item, fields: Mapping[str, Any]) -> None:
        self._call(item, fields)
        self._complete(item, "call", 0, fields.get("input" if item.kind == "custom_tool_call" else "arguments"))
        self.parts.close("call", item.key)

    def _call(self, item: _Item, fields: Mapping[str, Any]) -> None:
        name = text_or_none(fields.get("name")) or ""
        self.parts.call(
            item.key,
            text_or_none(fields.get("call_id")) or "",
            name,
            custom=item.kind == "custom_tool_call",
            # Groups aren't offered to targets; a tool that is known by its name is in the group it came from.
            namespace=None if name in self._tools else text_or_none(fields.get("namespace")),
        )


class _Delta(NamedTuple):
    """An event with more of an item's part: the part, the event's fields with its index and its text, and whether that
    is all of it."""

    kind: str
    part: str
    at: str
    value: str
    whole: bool = False


_DELTAS: Final[Mapping[str, _Delta]] = {
    "response.output_text.delta": _Delta("message", "text", "content_index", "delta"),
    "response.output_text.done": _Delta("message", "text", "content_index", "text", True),
    "response.refusal.delta": _Delta("message", "refusal", "content_index", "delta"),
    "response.refusal.done": _Delta("message", "refusal", "content_index", "refusal", True),
    "response.reasoning_summary_text.delta": _Delta("reasoning", "summary", "summary_index", "delta"),
    "response.reasoning_summary_text.done": _Delta("reasoning", "summary", "summary_index", "text", True),
    "response.reasoning_text.delta": _Delta("reasoning", "content", "content_index", "delta"),
    "response.reasoning_text.done": _Delta("reasoning", "content", "content_index", "text", True),
    "response.function_call_arguments.delta": _Delta("function_call", "call", "content_index", "delta"),
    "response.function_call_arguments.done": _Delta("function_call", "call", "content_index", "arguments", True),
    "response.custom_tool_call_input.delta": _Delta("custom_tool_call", "call", "content_index", "delta"),
    "response.custom_tool_call_input.done": _Delta("custom_tool_call", "call", "content_index", "input", True),
}
_FRAMES: Final = frozenset(
    {
        "response.content_part.added",
        "response.content_part.done",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_part.done",
    }
)
"""Events that say nothing which others don't."""
_CALLS: Final = ("function_call", "custom_tool_call")
_REASONING: Final = ("summary", "content")
_FINISHERS: Final[Mapping[str, Callable[[ResponsesDecoder, _Item, Mapping[str, Any]], None]]] = {
    "message": ResponsesDecoder._finish_message,
    "reasoning": ResponsesDecoder._finish_reasoning,
    "function_call": ResponsesDecoder._finish_call,
    "custom_tool_call": ResponsesDecoder._finish_call,
}
"""The kinds of items that can be carried over."""
_READERS: Final[Mapping[str, Callable[[ResponsesDecoder, _Event], None]]] = {
    "response.created": ResponsesDecoder._read_start,
    "response.in_progress": ResponsesDecoder._read_start,
    "response.queued": ResponsesDecoder._read_start,
    "response.output_item.added": ResponsesDecoder._read_item,
    "response.output_item.done": ResponsesDecoder._read_item_done,
    "response.output_text.annotation.added": ResponsesDecoder._read_citation,
    "response.completed": ResponsesDecoder._read_end,
    "response.incomplete": ResponsesDecoder._read_end,
    "response.failed": ResponsesDecoder._read_end,
    "error": ResponsesDecoder._read_error,
}
