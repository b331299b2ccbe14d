"""The order of neutral events, checked without the code that makes it, and the parts they tell of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

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
    StreamEvent,
    StreamFailed,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)

_ANYWHERE = (UsageReport, KeepAlive, Opaque)
_MAY_FOLLOW: dict[type[Any], tuple[type[Any], ...]] = {
    TextDelta: (TextDelta, Citation, PartEnd),
    Citation: (TextDelta, Citation, PartEnd),
    RefusalDelta: (RefusalDelta, PartEnd),
    ThinkingDelta: (ThinkingDelta, SignatureDelta, PartEnd),
    SignatureDelta: (PartEnd,),
    ToolCallStart: (ToolCallDelta, SignatureDelta, PartEnd),
    ToolCallDelta: (ToolCallDelta, SignatureDelta, PartEnd),
}
_BEGINNINGS = (TextDelta, RefusalDelta, ThinkingDelta, SignatureDelta, ToolCallStart, MessageEnd)


def check_events(events: Iterable[StreamEvent], *, ended: bool) -> None:
    """Raise AssertionError unless the events are a reply, or with ``ended`` false the beginning of one."""
    started = over = False
    last: StreamEvent | None = None  # of the open part
    calls = 0
    for event in events:
        assert not over, f"{event} behind the end"
        if isinstance(event, StreamFailed):
            over = True
            continue
        assert started != isinstance(event, MessageStart), f"{event} and the start"
        if isinstance(event, MessageStart):
            started = True
            continue
        if isinstance(event, _ANYWHERE):
            continue
        if last is None:
            assert isinstance(event, _BEGINNINGS), f"{event} begins no part"
        else:
            assert isinstance(event, _MAY_FOLLOW[type(last)]), f"{event} behind {last}"
        match event:
            case TextDelta() | RefusalDelta() | ThinkingDelta() | ToolCallDelta():
                assert event.text, f"an empty {event}"
                if isinstance(event, TextDelta) and isinstance(last, TextDelta):
                    assert event.phase == last.phase
            case ToolCallStart():
                assert event.id, f"no id: {event}"
                assert event.name, f"no name: {event}"
                calls += 1
            case SignatureDelta():
                assert event.state.value or event.state.kind == "visible"
                assert event.state.value or isinstance(last, ThinkingDelta), "a part with nothing in it"
            case MessageEnd():
                assert event.stop != "tool-use" or calls, "stopped for no call"
                assert event.stop != "end" or not calls, "stopped for nothing although there are calls"
                over = True
        last = None if isinstance(event, PartEnd) else event
    assert over == ended


def parts_of(events: Iterable[StreamEvent]) -> list[tuple[Any, ...]]:
    """The parts in short: ``("text", words)``, ``("refusal", words)``, ``("thinking", words, state)``, and ``("call",
    id, name, arguments)`` with ``"custom"`` behind it where it is freeform."""
    parts: list[tuple[Any, ...]] = []
    words: list[str] = []
    state: OpaqueState | None = None
    kind: StreamEvent | None = None
    for event in events:
        match event:
            case TextDelta() | RefusalDelta() | ThinkingDelta():
                words.append(event.text)
                kind = event
            case ToolCallStart():
                kind = event
            case ToolCallDelta():
                words.append(event.text)
            case SignatureDelta():
                state = event.state
                kind = kind or ThinkingDelta("")
            case PartEnd():
                text = "".join(words)
                match kind:
                    case TextDelta():
                        parts.append(("text", text))
                    case RefusalDelta():
                        parts.append(("refusal", text))
                    case ToolCallStart():
                        custom = ("custom",) if kind.custom else ()
                        parts.append(("call", kind.id, kind.name, text, *custom))
                    case _:
                        parts.append(("thinking", text, state))
                words, state, kind = [], None, None
    return parts
