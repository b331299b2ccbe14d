"""Made-up conversations and replies through every format: what is sent is always what the target takes, a longer
conversation begins with the same bytes, and what a reply says survives being written and read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, note
from hypothesis import strategies as st
from msgspec.structs import replace

from router.wire.conversation import (
    Cache,
    Conversation,
    Depth,
    Document,
    Image,
    Inline,
    Link,
    OpaqueState,
    OutputFormat,
    Refusal,
    Settings,
    Text,
    Thought,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    Written,
)
from router.wire.encoding import Asked
from router.wire.events import (
    MessageEnd,
    MessageStart,
    PartEnd,
    RefusalDelta,
    SignatureDelta,
    Stop,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)
from router.wire.formats import CODECS
from router.wire.loss import Losses
from router.wire.request import Api
from router.wire.usage import Usage
from tests.support.event_grammar import check_events, parts_of
from tests.support.translating import APIS, TARGETS, A, C, G, R, Target

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
TEXTS = st.sampled_from(["hello", "Grüße 😀", " ", "", "line\n\nline", "<think>no</think>", '{"a": 1}'])
CACHES = st.sampled_from([None, None, None, Cache(), Cache("1h")])
TOOLS = (
    Tool("get_time", "Tells the time.", {"type": "object", "properties": {"zone": {"type": "string"}}}),
    Tool("ping"),
    Tool("a tool/with an odd name " + "and a long one" * 5, "", {}),
    Tool("open", "Opens.", {"type": "object", "properties": {}}, namespace="files"),
    Tool("apply_patch", "Edits.", custom=True, grammar={"type": "grammar", "syntax": "lark", "definition": "start: x"}),
    Tool(
        "strict_one",
        "Strict.",
        {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False},
        strict=True,
    ),
)

texts = st.builds(Text, TEXTS, CACHES)
media = st.one_of(
    st.builds(Image, st.sampled_from([Inline("image/png", PIXEL), Link("https://example.com/a.png")])),
    st.builds(
        Document,
        st.sampled_from(
            [Inline("application/pdf", "JVBERi0xLjQK"), Written("words"), Link("https://example.com/a.pdf")]
        ),
        st.sampled_from([None, "a.pdf"]),
        st.sampled_from([None, "context"]),
    ),
)
states = st.builds(
    OpaqueState,
    st.sampled_from(["anthropic-signature", "anthropic-redacted", "openai-encrypted", "google-thought", "visible"]),
    st.just("c2VhbGVk"),
    st.sampled_from(["someone/else", ""]),
    st.sampled_from([None, "rs_1"]),
)
thoughts = st.builds(Thought, st.sampled_from(["", "Hm."]), st.none() | states).filter(
    lambda thought: thought.text or (thought.state and thought.state.value)
)
IDS = st.sampled_from(["call_1", "call_2", "toolu_01A", "with spaces & more:1", "", "x" * 70])


def _call(call_id: str, tool: Tool, arguments: str) -> ToolCall:
    return ToolCall(call_id, tool.name, arguments, tool.custom, tool.namespace)


calls = st.builds(
    _call, IDS, st.sampled_from(TOOLS), st.sampled_from(['{"zone":"UTC","n":1}', "{}", "", '{"cut', "[1]"])
)
results = st.builds(ToolResult, IDS, st.lists(texts | media, max_size=3).map(tuple), st.booleans(), cache=CACHES)


def _turns(first: int) -> st.SearchStrategy[tuple[Turn, ...]]:
    return st.lists(
        st.one_of(
            st.builds(Turn, st.just("user"), st.lists(texts | media | results, min_size=1, max_size=4).map(tuple)),
            st.builds(
                Turn,
                st.just("assistant"),
                st.lists(texts | thoughts | calls | st.builds(Refusal, TEXTS), min_size=1, max_size=4).map(tuple),
            ),
            st.builds(Turn, st.just("system"), st.lists(texts, min_size=1, max_size=2).map(tuple)),
        ),
        max_size=6,
    ).map(lambda turns: tuple(Turn(turn.role, turn.parts, f"messages[{first + n}]") for n, turn in enumerate(turns)))


USER = Turn("user", (Text("Go on."),), "messages[99]")
all_settings = st.builds(
    Settings,
    max_tokens=st.sampled_from([None, 16, 2000, 10**6]),
    temperature=st.sampled_from([None, 0, 0.5, 1]),
    top_p=st.sampled_from([None, 0.9]),
    top_k=st.sampled_from([None, 40]),
    stop=st.sampled_from([(), ("END",), ("a", "b", "c", "d", "e", " ")]),
    seed=st.sampled_from([None, 7]),
    depth=st.builds(
        Depth,
        st.sampled_from([None, True, False]),
        st.sampled_from([None, "minimal", "low", "high", "max"]),
        st.sampled_from([None, 1024, 30_000]),
        st.sampled_from([None, True, False]),
    ),
    output=st.sampled_from(
        [
            None,
            OutputFormat(),
            OutputFormat({"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}}, "a name", "d"),
        ]
    ),
    verbosity=st.sampled_from([None, "low"]),
    parallel_tools=st.sampled_from([None, True, False]),
    user=st.sampled_from([None, "u", '{"account":"x"}', "x" * 300]),
    service_tier=st.sampled_from([None, "auto", "standard", "flex", "priority"]),
    cache_key=st.sampled_from([None, "key"]),
    cache_all=CACHES,
)
choices = st.sampled_from(
    [
        None,
        ToolChoice("auto"),
        ToolChoice("any"),
        ToolChoice("none"),
        ToolChoice("named", "ping"),
        ToolChoice("auto", allowed=("ping", "get_time")),
    ]
)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    offered = TOOLS if draw(st.booleans()) else ()
    return Conversation(
        model="m",
        turns=(*draw(_turns(0)), USER),
        system=draw(st.lists(texts, max_size=2).map(tuple)),
        tools=offered,
        tool_choice=draw(choices) if offered else None,
        settings=draw(all_settings),
        stream=draw(st.booleans()),
    )


def bodies(conversation: Conversation) -> Iterator[tuple[Target, dict[str, Any]]]:
    """What each target is sent; the same however often it is asked for."""
    for target in TARGETS.values():
        note(target.name)
        rendered = CODECS[target.api].render(conversation, target.traits, Losses())
        assert CODECS[target.api].render(conversation, target.traits, Losses()).body == rendered.body
        yield target, json.loads(rendered.body)


@given(conversation=conversations())
@pytest.mark.slow
def test_whatever_is_asked_each_target_takes_what_it_gets(conversation: Conversation) -> None:
    for target, body in bodies(conversation):
        target.check(body)


@given(conversation=conversations(), later=_turns(100), reply=st.lists(texts | calls, max_size=2))
@pytest.mark.slow
def test_a_longer_conversation_begins_with_the_same_messages(
    conversation: Conversation, later: tuple[Turn, ...], reply: list[Any]
) -> None:
    """All but the marks for a provider's cache, which move along with the end."""
    answered = Turn("assistant", (*reply, Text("Done.")), "messages[100]")
    longer = replace(conversation, turns=(*conversation.turns, answered, *later, USER))
    for (target, shown), (_, continued) in zip(bodies(conversation), bodies(longer), strict=True):
        before, after = _unmarked(shown), _unmarked(continued)
        field = {A: "messages", C: "messages", R: "input", G: "contents"}[target.api]
        assert after[field][: len(before[field])] == before[field]
        for name in ("system", "instructions", "systemInstruction", "tools"):
            assert after.get(name) == before.get(name)


def _unmarked(value: Any) -> Any:
    if isinstance(value, dict):
        marks = ("cache_control", "prompt_cache_breakpoint")
        return {name: _unmarked(inner) for name, inner in value.items() if name not in marks}
    return [_unmarked(inner) for inner in value] if isinstance(value, list) else value


# --- replies ----------------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(["hello", " world", "Grüße 😀", "\n", '"quoted"', "</x>", "\u2028", "a\u0000b"])
ARGUMENTS = st.dictionaries(st.sampled_from("abc"), st.integers() | WORDS, max_size=2).map(json.dumps)


@st.composite
def replies(draw: st.DrawFn) -> list[StreamEvent]:
    events: list[StreamEvent] = [MessageStart("id_1", "model")]
    called = 0
    for kind in draw(st.lists(st.sampled_from(["text", "refusal", "thinking", "call", "custom"]), max_size=5)):
        said = draw(st.lists(WORDS, min_size=1, max_size=3))
        match kind:
            case "text":
                events += [TextDelta(text) for text in said]
            case "refusal":
                events += [RefusalDelta(text) for text in said]
            case "thinking":
                events += [ThinkingDelta(text) for text in said]
                if draw(st.booleans()):
                    events.append(SignatureDelta(OpaqueState("anthropic-signature", "c2VhbGVk", "someone/else")))
            case _:
                called += 1
                custom = kind == "custom"
                events.append(ToolCallStart(f"call_{called}", "apply_patch" if custom else "get_time", custom))
                text = "".join(said) if custom else draw(ARGUMENTS)
                cut = draw(st.integers(0, len(text)))
                events += [ToolCallDelta(piece) for piece in (text[:cut], text[cut:]) if piece]
        events.append(PartEnd())
    if draw(st.booleans()):
        events.append(UsageReport(Usage(input=5, cache_read=20, cache_write=3, output=7, reasoning=2)))
    stops: tuple[Stop, ...] = ("end", "max-tokens", "refusal")
    stop = draw(st.sampled_from(stops))
    if stop == "end":
        refused = any(isinstance(event, RefusalDelta) for event in events)
        stop = "tool-use" if called else "refusal" if refused else "end"
    events.append(MessageEnd(stop))
    return events


def _said(events: list[StreamEvent], api: Api, *, thoughts_joined_by: str = "") -> dict[str, Any]:
    """What the format can hold: words and calls, not which parts they stood in."""
    parts = parts_of(events)
    words, refused, thoughts = (
        [part[1] for part in parts if part[0] == kind and part[1]] for kind in ("text", "refusal", "thinking")
    )
    if api == A:  # where a text of nothing but space is an error when it comes back
        words, refused = ([text for text in texts if text.strip()] for texts in (words, refused))
    end = events[-1]
    assert isinstance(end, MessageEnd)
    usage = next((event.usage for event in reversed(events) if isinstance(event, UsageReport)), Usage())
    fresh, read, written = usage.input or 0, usage.cache_read or 0, usage.cache_write or 0
    return {
        # Only Chat holds a refusal beside the text, and only Chat and Responses tell it from one.
        "words": "".join(words) if api == C else sorted("".join(words + refused)),
        "refused": "".join(refused) if api in (C, R) else "",
        "thinking": thoughts_joined_by.join(thoughts),
        "calls": [
            (call_id, name, {"input": text} if custom else json.loads(text or "{}"))
            for _, call_id, name, text, *custom in (part for part in parts if part[0] == "call")
        ],
        "stop": end.stop,
        # Nothing is written to Gemini's cache: what was is a part of the prompt.
        "usage": (fresh + written, read, 0) if api == G else (fresh, read, written),
        "answer": (usage.output or 0, usage.reasoning or 0),
    }


@pytest.mark.parametrize("api", APIS)
@given(events=replies())
def test_a_reply_says_the_same_after_being_written_and_read(api: Api, events: list[StreamEvent]) -> None:
    check_events(events, ended=True)
    asked = Asked("1", 0)
    streaming, decoder = CODECS[api].encoder(asked), CODECS[api].decoder()
    streamed = decoder.feed(b"".join(map(streaming.encode, events))) + decoder.finish()
    whole = CODECS[api].decoder().whole(CODECS[api].encoder(asked).whole(events))
    for read in (streamed, whole):
        check_events(read, ended=True)
        assert _said(read, api) == _said(events, api, thoughts_joined_by="\n\n" if api == C else "")
