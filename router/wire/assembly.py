"""The one state machine of translated replies: whatever order a provider sends things in, one clean order comes out.

Decoders report what they meet, each part under a key of their format (an index, an item); the ``Assembler`` makes of it
the events of ``events.py``: parts that never overlap, calls that begin with an id and a name, one start and one end.
A part that comes while another one is open waits until that one is finished; text and thinking finish when something
else begins, a call when its arguments are complete or its format says so.
"""

from __future__ import annotations

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

MAX_WAITING: Final = 16 << 20
"""Characters of parts that wait for an open one; more is no answer but a fault."""

WRAPPER: Final = "multi_tool_use.parallel"
"""A call that OpenAI's models make when they mean several: its argument ``tool_uses`` holds them."""

_Kind = Literal["text", "refusal", "thinking", "call"]


@dataclass(slots=True)
class _Part:
    kind: _Kind
    waiting: list[StreamEvent] = field(default_factory=list)  # until the parts before it are finished
    open: bool = False
    said: bool = False  # something of it was given out
    finished: bool = False
    sealed: bool = False
    # calls
    id: str = ""
    name: str = ""
    custom: bool = False
    namespace: str | None = None
    started: bool = False
    arguments: list[str] = field(default_factory=list)
    given: int = 0  # fragments of the arguments already given out
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
        self._queue: list[_Part] = []
        self._waiting = 0
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
            self._events.append(MessageStart(reply_id, model))

    def text(self, key: Hashable, text: str, phase: str | None = None) -> None:
        """Some text; empty text opens nothing."""
        if text:
            self._say(self._part("text", key), TextDelta(text, phase), len(text))

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
        """The sealed form of the reasoning, or of the call, under ``key``. The first one counts."""
        part = self._part(of, key) if of == "thinking" else self._parts.get((of, key))
        if part is None or part.sealed or not value:
            return
        part.sealed = True
        if of == "call":
            self._begin_call(part)
            self._arguments_out(part)
        self._say(part, SignatureDelta(OpaqueState(kind, value, self._owner, item)), len(value))

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
        if part.started:
            return
        part.id = part.id or call_id
        part.custom = part.custom or custom
        part.namespace = part.namespace or namespace
        if name and name != part.name:
            part.name = name if whole_name or not part.name else part.name + name
        if whole_name and part.id and part.name:
            self._begin_call(part)
        self._arguments_out(part)

    def arguments(self, key: Hashable, fragment: str) -> None:
        """Some of a call's arguments."""
        part = self._part("call", key)
        if fragment:
            part.arguments.append(fragment)
            if part.id and part.name:
                self._begin_call(part)
            self._arguments_out(part)

    def close(self, kind: _Kind, key: Hashable) -> None:
        """The part under ``key`` is finished, says the format."""
        part = self._parts.get((kind, key))
        if part is not None and not part.finished:
            self._finish(part)
            if part.open:
                self._close_open()

    def usage(self, usage: Usage) -> None:
        """A report of usage; it is merged with earlier ones."""
        self._usage = merge(self._usage, usage)
        if self.started:
            self._events.append(UsageReport(self._usage))

    def alive(self) -> None:
        """The provider says that it is there."""
        if self.started:
            self._events.append(KeepAlive())

    def opaque(self, kind: str) -> None:
        """Something that can't be carried over."""
        self._events.append(Opaque(kind))

    def end(self, stop: Stop, sequence: str | None = None, explanation: str | None = None) -> None:
        """The answer is whole. With calls in it a plain end is a stop for them; without any it can't be one."""
        if self.ended or self.failed:
            return
        self.start()
        while self._open is not None:
            self._finish(self._open)
            self._close_open()
        if stop == "end" and self._calls:
            stop = "tool-use"
        elif stop == "tool-use" and not self._calls:
            stop = "end"
        self.ended = True
        self._events.append(MessageEnd(stop, sequence, explanation))

    def fail(self, code: str, message: str) -> None:
        """The provider told of an error. Open parts stay open: nothing shall look finished."""
        if not (self.ended or self.failed):
            self.failed = True
            self._events.append(StreamFailed(code, message))

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
            self._close_open()
        self._queue.append(part)
        if self._open is None:
            self._open_next()
        return part

    def _may_end(self, part: _Part) -> bool:
        if part.kind != "call" or part.finished:
            return True
        if part.custom:
            return False
        try:
            return isinstance(msgspec.json.decode("".join(part.arguments)), dict)
        except (msgspec.DecodeError, RecursionError):
            return False

    def _open_next(self) -> None:
        if not self._queue:
            return
        part = self._open = self._queue.pop(0)
        part.open = True
        for event in part.waiting:
            self._out(part, event)
        part.waiting.clear()
        # A waiting part is only finished by something behind it, and then at once.
        if part.finished or (self._queue and self._may_end(part)):
            self._finish(part)
            self._close_open()

    def _close_open(self) -> None:
        part, self._open = self._open, None
        if part is not None:
            part.open = False
            if part.said:
                self._events.append(PartEnd())
            self._open_next()

    def _finish(self, part: _Part) -> None:
        """Everything of the part is known."""
        if part.finished:
            return
        if part.kind == "call":
            if part.name == WRAPPER and self._split(part):
                part.finished = True
                return
            if not part.id and part.name:
                part.id = invented_id("call_", self._calls, part.name, *part.arguments)
            self._begin_call(part)
            self._arguments_out(part)
            if part.reader is not None and (left := part.reader.finish()):
                self._say(part, ToolCallDelta(left), len(left))
        elif part.kind == "thinking" and not part.sealed and self._owner is not None:
            part.sealed = True
            self._say(part, SignatureDelta(OpaqueState("visible", "", self._owner)), 0)
        part.finished = True

    def _say(self, part: _Part, event: StreamEvent, size: int) -> None:
        if part.open:
            self._out(part, event)
            return
        part.waiting.append(event)
        self._waiting += size
        if self._waiting > MAX_WAITING:
            self.fail("server", "the provider sent too much out of order")

    def _out(self, part: _Part, event: StreamEvent) -> None:
        part.said = True
        self._events.append(event)

    # --- calls ----------------------------------------------------------------------------------------------------

    def _begin_call(self, part: _Part) -> None:
        if part.started or not (part.id and part.name) or part.name == WRAPPER:
            return
        part.started = True
        self._calls += 1
        known = self._tools.known(part.name)
        if known.wrapped and not part.custom:
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

    def _split(self, part: _Part) -> bool:
        """Make the calls that a wrapper call stands for; whether it held any."""
        try:
            uses = msgspec.json.decode("".join(part.arguments))["tool_uses"]
            calls = [
                (str(use["recipient_name"]).removeprefix("functions."), msgspec.json.encode(use["parameters"]).decode())
                for use in uses
            ]
        except (msgspec.DecodeError, RecursionError, KeyError, TypeError):
            return False
        if not calls:
            return False
        for number, (name, arguments) in enumerate(calls):
            inner = _Part("call", open=part.open, name=name, arguments=[arguments])
            inner.id = f"{part.id or WRAPPER.replace('.', '_')}_{number}"
            self._begin_call(inner)
            self._arguments_out(inner)
            if inner.reader is not None and (left := inner.reader.finish()):
                self._say(inner, ToolCallDelta(left), len(left))
            if part.open:
                if number < len(calls) - 1:
                    self._events.append(PartEnd())
                part.said = True
            else:
                inner.finished = True
                self._queue.insert(self._queue.index(part) + number, inner)
        return True
