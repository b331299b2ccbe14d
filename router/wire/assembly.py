"""The one state machine of translated replies: whatever order a provider sends things in, one clean order comes out.

Decoders report what they meet, each part under a key of their format (an index, an item); the ``Assembler`` makes of it
the events of ``events.py``: parts that never overlap, calls that begin with an id and a name, one start and one end.
A part that comes while another one is open waits until that one is finished; text and thinking finish when something
else begins, a call when its arguments are complete or its format says so. What is sealed comes last in its part.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

from router.wire.conversation import OpaqueState
from router.wire.events import (
    Citation,
    KeepAlive,
    MessageEnd,
    MessageStart,
    Opaque,
    PartEnd,
    RefusalDelta,
    SignatureDelta,
    Stop,
    StreamEvent,
    StreamFailed,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)
from router.wire.freeform import InputReader
from router.wire.opaque import invented_id
from router.wire.tool_table import ToolTable
from router.wire.usage import Usage, merge

MAX_HELD: Final = 16 << 20
"""Characters of one reply's calls and of parts that wait for an open one; more is no answer but a fault."""

WRAPPERS: Final = frozenset({"multi_tool_use.parallel", "parallel"})
"""Calls that OpenAI's models make, though never offered, when they mean several: ``tool_uses`` holds them."""

_Kind = Literal["text", "refusal", "thinking", "call"]


class _Use(msgspec.Struct):
    recipient_name: str
    parameters: msgspec.Raw = msgspec.Raw(b"{}")


class _Uses(msgspec.Struct):
    tool_uses: list[_Use]


_uses = msgspec.json.Decoder(_Uses)


@dataclass(slots=True, eq=False)
class _Part:
    kind: _Kind
    waiting: list[StreamEvent] = field(default_factory=list)  # until the parts before it are finished
    open: bool = False
    said: bool = False  # something of it was given out
    finished: bool = False
    state: OpaqueState | None = None
    # texts
    begun: bool = False
    phase: str | None = None  # of its first words, and so of all
    # calls
    id: str = ""
    name: str = ""
    custom: bool = False
    namespace: str | None = None
    started: bool = False
    arguments: list[str] = field(default_factory=list)
    given: int = 0  # fragments of the arguments already given out
    looked_at: int = 0  # fragments when it was last asked whether they are complete
    reader: InputReader | None = None


class Assembler:
    """The events of one reply. ``owner`` marks sealed reasoning with the target it belongs to; ``None``: as it came."""

    def __init__(self, tools: ToolTable | None = None, *, owner: str | None = None) -> None:
        self.started = False
        self.ended = False
        self.failed = False
        self._tools = tools or ToolTable()
        self._owner = owner
        self._events: list[StreamEvent] = []
        self._parts: dict[tuple[_Kind, Hashable], _Part] = {}
        self._open: _Part | None = None
        self._queue: deque[_Part] = deque()
        self._held = 0
        self._calls = 0
        self._usage: Usage | None = None

    def take(self) -> list[StreamEvent]:
        """The events since the last time."""
        events, self._events = self._events, []
        return events

    # --- what decoders report -------------------------------------------------------------------------------------

    def start(self, reply_id: str = "", model: str = "") -> None:
        """The reply begins; a second beginning is none."""
        if not self.started:
            self.started = True
            self._emit(MessageStart(reply_id, model))
            if self._usage is not None:
                self._emit(UsageReport(self._usage))

    def text(self, key: Hashable, text: str, phase: str | None = None) -> None:
        """Some text; empty text opens nothing."""
        if text:
            part = self._part("text", key)
            if not part.begun:
                part.begun, part.phase = True, phase
            self._say(part, TextDelta(text, part.phase), len(text))

    def refusal(self, key: Hashable, text: str) -> None:
        """Some words of a refusal."""
        if text:
            self._say(self._part("refusal", key), RefusalDelta(text), len(text))

    def cite(self, key: Hashable, citation: Citation) -> None:
        """A source of the text under ``key``; without text there is nothing to cite for."""
        part = self._parts.get(("text", key))
        if part is not None and not part.finished:
            self._say(part, citation, 100)

    def thinking(self, key: Hashable, text: str) -> None:
        """Some readable reasoning."""
        if text:
            self._say(self._part("thinking", key), ThinkingDelta(text), len(text))

    def seal(
        self,
        key: Hashable,
        kind: Any,
        value: str,
        *,
        item: str | None = None,
        of: Literal["thinking", "call"] = "thinking",
    ) -> None:
        """The sealed form of the reasoning, or of the call, under ``key``; the last one counts."""
        if not value:
            return
        part = self._part("thinking", key) if of == "thinking" else self._parts.get((of, key))
        if part is not None:
            part.state = OpaqueState(kind, value, self._owner, item)

    def call(
        self,
        key: Hashable,
        call_id: str = "",
        name: str = "",
        *,
        custom: bool = False,
        namespace: str | None = None,
        whole_name: bool = True,
    ) -> None:
        """A call, or more about it: id and name may come late, and the name in pieces where ``whole_name`` is false."""
        part = self._part("call", key)
        if part.started or part.finished:
            return
        part.id = part.id or call_id
        part.custom = part.custom or custom
        part.namespace = part.namespace or namespace
        if name and name != part.name:
            part.name = name if whole_name or not part.name else part.name + name
        if whole_name:
            self._begin_call(part)
        self._arguments_out(part)

    def arguments(self, key: Hashable, fragment: str) -> None:
        """Some of a call's arguments."""
        part = self._part("call", key)
        if fragment and not part.finished:
            part.arguments.append(fragment)
            self._hold(len(fragment))
            self._begin_call(part)
            self._arguments_out(part)

    def close(self, kind: _Kind, key: Hashable) -> None:
        """The part under ``key`` is finished, says the format."""
        part = self._parts.get((kind, key))
        if part is not None and not part.finished:
            self._finish(part)
            self._advance()

    def usage(self, usage: Usage) -> None:
        """A report of usage; it is merged with earlier ones."""
        self._usage = merge(self._usage, usage)
        if self.started:
            self._emit(UsageReport(self._usage))

    def alive(self) -> None:
        """The provider says that it is there."""
        if self.started:
            self._emit(KeepAlive())

    def opaque(self, kind: str) -> None:
        """Something that can't be carried over."""
        self.start()
        self._emit(Opaque(kind))

    def end(self, stop: Stop, sequence: str | None = None, explanation: str | None = None) -> None:
        """The answer is whole. With calls in it a plain end is a stop for them; without any it can't be one."""
        if self.ended or self.failed:
            return
        self.start()
        while self._open is not None:
            self._finish(self._open)
            self._advance()
        if stop == "end" and self._calls:
            stop = "tool-use"
        elif stop == "tool-use" and not self._calls:
            stop = "end"
        self._emit(MessageEnd(stop, sequence, explanation))
        self.ended = True

    def fail(self, code: str, message: str) -> None:
        """The provider told of an error. Open parts stay open: nothing shall look finished."""
        if not (self.ended or self.failed):
            self._emit(StreamFailed(code, message))
            self.failed = True

    def _emit(self, event: StreamEvent) -> None:
        if not (self.ended or self.failed):
            self._events.append(event)

    # --- parts ----------------------------------------------------------------------------------------------------

    def _part(self, kind: _Kind, key: Hashable) -> _Part:
        """The part under a key; a new one if there is none, or if that one is finished (calls never come back)."""
        part = self._parts.get((kind, key))
        if part is not None and (not part.finished or kind == "call"):
            return part
        self.start()
        part = self._parts[kind, key] = _Part(kind)
        if self._open is not None and self._may_end(self._open):
            self._finish(self._open)
        self._queue.append(part)
        self._advance()
        return part

    def _may_end(self, part: _Part) -> bool:
        """Whether nothing can be missing of a part when another one begins."""
        if part.kind != "call" or part.finished:
            return True
        if part.custom or part.looked_at == len(part.arguments):
            return False
        part.looked_at = len(part.arguments)
        try:
            return isinstance(msgspec.json.decode("".join(part.arguments)), dict)
        except (msgspec.DecodeError, RecursionError):
            return False

    def _advance(self) -> None:
        """Close the open part if it is finished, and open those that waited for that."""
        while self._open is None or self._open.finished:
            if self._open is not None:
                self._open.open = False
                if self._open.said:
                    self._emit(PartEnd())
                self._open = None
            if not self._queue:
                return
            part = self._open = self._queue.popleft()
            part.open = True
            for event in part.waiting:
                self._out(part, event)
            part.waiting.clear()
            if self._queue and self._may_end(part):
                self._finish(part)

    def _finish(self, part: _Part) -> None:
        """Everything of the part is known."""
        if part.finished:
            return
        if part.kind == "call":
            if not (self._is_wrapper(part) and self._split(part)):
                self._finish_call(part)
        elif part.kind == "thinking" and part.state is None and self._owner is not None:
            part.state = OpaqueState("visible", "", self._owner)
        if part.state is not None and (part.kind == "thinking" or part.started):
            self._say(part, SignatureDelta(part.state), len(part.state.value))
        part.finished = True
        part.arguments.clear()

    def _say(self, part: _Part, event: StreamEvent, size: int) -> None:
        if part.open:
            self._out(part, event)
        else:
            part.waiting.append(event)
            self._hold(size)

    def _out(self, part: _Part, event: StreamEvent) -> None:
        part.said = True
        self._emit(event)

    def _hold(self, size: int) -> None:
        self._held += size
        if self._held > MAX_HELD:
            self.fail("server", "the provider sent too much that has to wait for its end")

    # --- calls ----------------------------------------------------------------------------------------------------

    def _is_wrapper(self, part: _Part) -> bool:
        return part.name in WRAPPERS and not part.custom and part.name not in self._tools

    def _begin_call(self, part: _Part) -> None:
        """Give out the call's beginning, once its id and its name are known."""
        if not part.started and part.id and part.name and not self._is_wrapper(part):
            self._start_call(part)

    def _start_call(self, part: _Part) -> None:
        part.started = True
        self._calls += 1
        known = self._tools.known(part.name)
        if known.custom and not part.custom:
            part.reader = InputReader()
        start = ToolCallStart(part.id, known.name, part.custom or known.custom, part.namespace or known.namespace)
        self._say(part, start, len(part.name))

    def _arguments_out(self, part: _Part) -> None:
        if not part.started:
            return
        while part.given < len(part.arguments):
            fragment = part.arguments[part.given]
            part.given += 1
            text = fragment if part.reader is None else part.reader.feed(fragment)
            if text:
                self._say(part, ToolCallDelta(text), len(text))

    def _finish_call(self, part: _Part) -> None:
        """Give out what is left of a call. One that never got a name can't be told to anybody."""
        if not part.started and part.name:
            part.id = part.id or self._made_id(part)
            self._start_call(part)
        self._arguments_out(part)
        if part.reader is not None and (left := part.reader.finish()):
            self._say(part, ToolCallDelta(left), len(left))

    def _made_id(self, part: _Part) -> str:
        return invented_id("call_", self._calls, part.name, "".join(part.arguments))

    def _split(self, part: _Part) -> bool:
        """Make the calls that a wrapper call stands for; whether it held any."""
        try:
            uses = _uses.decode("".join(part.arguments)).tool_uses
        except (msgspec.DecodeError, RecursionError):
            return False
        calls = [(use.recipient_name.removeprefix("functions."), bytes(use.parameters).decode()) for use in uses]
        calls = [call for call in calls if call[0]]
        if not calls:
            return False
        made_from = part.id or self._made_id(part)
        for number, (name, arguments) in enumerate(calls):
            inner = _Part("call", open=part.open, id=f"{made_from}_{number}", name=name, arguments=[arguments])
            self._finish_call(inner)
            inner.finished = True
            if not part.open:
                self._queue.insert(self._queue.index(part), inner)
            elif number < len(calls) - 1:
                self._emit(PartEnd())
            else:
                part.said = True
        return True
