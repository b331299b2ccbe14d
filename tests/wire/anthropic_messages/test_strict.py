"""Whatever a conversation holds, what is rendered of it is a request that Anthropic takes."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from router.wire.conversation import (
    Cache,
    CacheTtl,
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
from router.wire.traits import Traits
from tests.support.messages import NEW, OLD, rendering, traits
from tests.support.strict.anthropic import check_anthropic

TARGETS: list[Traits] = [traits(NEW, model="claude-opus-5-5"), traits(OLD, model="claude-sonnet-4-5")]

_WORDS = st.sampled_from(["", " ", "\n", "a", "b ", "<x>", "ü"])
_TTLS: st.SearchStrategy[CacheTtl] = st.sampled_from(["5m", "1h", "30m", "12h"])
_CACHES = st.none() | st.builds(Cache, _TTLS)
_IDS = st.sampled_from(["t1", "t2", "functions.f:0", "", "ü"])
_NAMES = st.sampled_from(["f", "g", "mcp__x__" + "y" * 70, "a.b"])
_STATES = st.none() | st.builds(
    OpaqueState,
    st.sampled_from(["openai-encrypted", "google-thought", "visible"]),
    _WORDS,
    st.just("other/m"),
)
_TEXTS = st.builds(Text, _WORDS, _CACHES)
_IMAGES = st.builds(
    Image,
    st.sampled_from(
        [Inline("image/png", "iVBORw0="), Inline("image/tiff", "eA=="), Link("https://e.org/a.png"), Link("x")]
    ),
    cache=_CACHES,
)
_DOCUMENTS = st.builds(
    Document,
    st.sampled_from([Inline("application/pdf", "JVBERi0="), Inline("text/csv", "YQ=="), Written(""), Written("a")]),
    _WORDS,
    cache=_CACHES,
)
_RESULTS = st.builds(
    ToolResult, _IDS, st.lists(_TEXTS | _IMAGES | _DOCUMENTS, max_size=2).map(tuple), st.booleans(), cache=_CACHES
)
_CALLS = st.builds(
    ToolCall, _IDS, _NAMES, st.sampled_from(["", "{}", '{"a":1}', "[1]", '{"a']), st.booleans(), state=_STATES
)
_USER = st.lists(_TEXTS | _IMAGES | _DOCUMENTS | _RESULTS, max_size=3)
_ASSISTANT = st.lists(_TEXTS | st.builds(Refusal, _WORDS) | st.builds(Thought, _WORDS, _STATES) | _CALLS, max_size=3)
_TURNS = st.lists(
    st.one_of(
        _USER.map(lambda parts: Turn("user", tuple(parts), "u")),
        _ASSISTANT.map(lambda parts: Turn("assistant", tuple(parts), "a")),
        st.lists(_TEXTS, max_size=2).map(lambda parts: Turn("system", tuple(parts), "s")),
    ),
    max_size=7,
).map(tuple)
_TOOLS = st.lists(
    st.builds(
        Tool, _NAMES, _WORDS, st.sampled_from([None, {}, {"type": "object"}]), custom=st.booleans(), cache=_CACHES
    ),
    max_size=3,
    unique_by=lambda tool: tool.name,
).map(tuple)
_CHOICES = st.none() | st.builds(
    ToolChoice, st.sampled_from(["auto", "any", "none", "named"]), _NAMES, allowed=st.none() | st.just(("f",))
)
_OBJECT: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}
_SETTINGS = st.builds(
    Settings,
    max_tokens=st.none() | st.sampled_from([1, 1024, 1500, 8000, 10**6]),
    temperature=st.none() | st.sampled_from([0, 0.5, 2]),
    top_p=st.none() | st.just(0.5),
    top_k=st.none() | st.just(3),
    stop=st.lists(_WORDS, max_size=3).map(tuple),
    depth=st.builds(
        Depth,
        st.none() | st.booleans(),
        st.none() | st.sampled_from(["none", "minimal", "low", "max"]),
        st.none() | st.sampled_from([1, 5000, 10**6]),
        st.none() | st.booleans(),
    ),
    output=st.none() | st.builds(OutputFormat, st.sampled_from([None, _OBJECT, {"type": "object"}])),
    parallel_tools=st.none() | st.booleans(),
    user=st.none() | st.sampled_from(["u", "u" * 300]),
    cache_all=_CACHES,
)
_CONVERSATIONS = st.builds(
    Conversation,
    st.just("m"),
    _TURNS,
    st.lists(_TEXTS, max_size=2).map(tuple),
    _TOOLS,
    _CHOICES,
    _SETTINGS,
)


@given(_CONVERSATIONS, st.sampled_from(TARGETS))
def test_anthropic_takes_whatever_is_rendered(conversation: Conversation, target: Traits) -> None:
    rendered, losses = rendering(conversation, target)
    body = json.loads(rendered.body)
    check_anthropic(body, {"anthropic-version": "2023-06-01", "x-api-key": "k", **rendered.headers})
    assert body["messages"][0]["role"] == "user"
    assert all(loss.field and loss.why for loss in losses.found)
    assert rendering(conversation, target)[0].body == rendered.body


@given(_CONVERSATIONS, st.lists(_TEXTS, max_size=2))
def test_what_was_sent_stays_when_the_conversation_grows(conversation: Conversation, more: list[Text]) -> None:
    """The prompt cache lives by it."""
    target = TARGETS[0]
    plain = msgspec.structs.replace(conversation, settings=Settings())
    ended = (*plain.turns, Turn("user", (Text("go on"),), "u"))
    grown = (*ended, Turn("assistant", (Text("yes"),), "a"), Turn("user", tuple(more), "u"))
    before = json.loads(rendering(msgspec.structs.replace(plain, turns=ended), target)[0].body)
    after = json.loads(rendering(msgspec.structs.replace(plain, turns=grown), target)[0].body)
    assert _unmarked(after["messages"])[: len(before["messages"])] == _unmarked(before["messages"])
    assert _unmarked(after.get("system")) == _unmarked(before.get("system"))


def _unmarked(value: Any) -> Any:
    if isinstance(value, list):
        return [_unmarked(inner) for inner in value]
    if isinstance(value, dict):
        return {name: _unmarked(inner) for name, inner in value.items() if name != "cache_control"}
    return value
