"""Any reply, as neutral events in the order that is promised."""

from __future__ import annotations

from hypothesis import strategies as st

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
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)
from router.wire.usage import Usage

_words = st.text(min_size=1, max_size=8)
_counts = st.none() | st.integers(0, 10**9)

states = st.builds(
    OpaqueState,
    st.sampled_from(["anthropic-signature", "anthropic-redacted", "openai-encrypted", "google-thought"]),
    _words,
    st.sampled_from(["anthropic/claude", "openai/gpt"]),
    st.none() | _words,
) | st.just(OpaqueState("visible", "", "deepseek/chat"))

_text = st.lists(
    st.builds(TextDelta, _words)
    | st.builds(Citation, st.just("web"), st.text(max_size=5), st.text(max_size=5), st.just({})),
    min_size=1,
    max_size=3,
)
_refusal = st.lists(st.builds(RefusalDelta, _words), min_size=1, max_size=2)
_thinking = st.tuples(st.lists(st.builds(ThinkingDelta, _words), max_size=3), st.none() | states).filter(
    lambda both: bool(both[0]) or both[1] is not None
)
_asides: st.SearchStrategy[StreamEvent] = st.sampled_from((KeepAlive(), Opaque("web_search")))
_arguments = st.sampled_from(["", "{}", '{"a": 1.50}', '{"a":"ü"}', '{"a":', "[1]", "nonsense"])


@st.composite
def _call(draw: st.DrawFn) -> list[StreamEvent]:
    custom = draw(st.booleans())
    events: list[StreamEvent] = [ToolCallStart(draw(_words), draw(_words), custom)]
    arguments = draw(_words if custom else _arguments)
    cut = draw(st.integers(0, len(arguments)))
    events.extend(ToolCallDelta(piece) for piece in (arguments[:cut], arguments[cut:]) if piece)
    if (state := draw(st.none() | states)) is not None:
        events.append(SignatureDelta(state))
    return events


@st.composite
def replies(draw: st.DrawFn) -> list[StreamEvent]:
    """A whole reply, its end included."""
    events: list[StreamEvent] = [draw(st.builds(MessageStart, st.text(max_size=5), st.text(max_size=5)))]
    for kind in draw(st.lists(st.sampled_from(["text", "refusal", "thinking", "call", "aside"]), max_size=6)):
        match kind:
            case "text":
                events.extend(draw(_text))
            case "refusal":
                events.extend(draw(_refusal))
            case "thinking":
                shown, state = draw(_thinking)
                events.extend(shown)
                events.extend([SignatureDelta(state)] if state is not None else [])
            case "call":
                events.extend(draw(_call()))
            case _:
                events.append(draw(_asides))
                continue
        events.append(PartEnd())
    if draw(st.booleans()):
        events.append(UsageReport(draw(st.builds(Usage, _counts, _counts, _counts, _counts, _counts, _counts))))
    stops = ["end", "stop-sequence", "tool-use", "max-tokens", "context-window", "refusal", "pause"]
    events.append(draw(st.builds(MessageEnd, st.sampled_from(stops), st.none(), st.none() | _words)))
    return events
