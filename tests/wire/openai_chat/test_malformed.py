"""Whatever JSON comes, a request is refused by name or understood, and a reply is read or left out; nothing breaks."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from router.errors import BadRequest
from router.wire.body import Body
from router.wire.conversation import OpaqueState
from router.wire.loss import Losses
from router.wire.opaque import wrap
from tests.wire.openai_chat.saying import CHAT, asked, decoder, sse, target

JUNK: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 1.5, 1e300, 2**70, "", "x", "rtr1.x", "data:", [], [None], [[]], {}, {"type": "text"}, {"a": 1}]
)
SEALED = {
    "type": "reasoning.encrypted",
    "data": wrap(OpaqueState("visible", "", "a/b")),
    "id": "rtr1-1-1-1",
    "index": 0,
}
REQUEST: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "S", "cache_control": {"type": "ephemeral"}}]},
        {
            "role": "user",
            "name": "n",
            "content": [
                {"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
                {"type": "file", "file": {"filename": "a.txt", "file_data": "data:text/plain;base64,AAAA"}},
                {"type": "document_url", "document_url": "https://example.com"},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                {"type": "text", "text": "b"},
            ],
            "reasoning_content": "h",
            "reasoning_details": [SEALED, {"type": "reasoning.text", "text": "t", "signature": "s"}],
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "f", "arguments": "{}"},
                    "extra_content": {"google": {"thought_signature": "s"}},
                },
                {"id": "c2", "type": "custom", "custom": {"name": "p", "input": "x"}},
            ],
            "function_call": {"name": "f", "arguments": "{}"},
            "extra_content": {"google": {"thought_signature": "s"}},
        },
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "r"}]},
        {"role": "function", "name": "f", "content": "r"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True},
        },
        {
            "type": "custom",
            "custom": {"name": "p", "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "x"}}},
        },
    ],
    "functions": [{"name": "g", "parameters": {}}],
    "tool_choice": {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
    },
    "function_call": {"name": "g"},
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True},
    },
    "reasoning": {"effort": "low", "max_tokens": 5, "enabled": True, "exclude": False},
    "reasoning_effort": "low",
    "thinking": {"type": "enabled", "budget_tokens": 5},
    "chat_template_kwargs": {"enable_thinking": True},
    "enable_thinking": True,
    "thinking_budget": 5,
    "stop": ["a"],
    "temperature": 1,
    "top_p": 1,
    "top_k": 5,
    "seed": 1,
    "n": 1,
    "max_tokens": 5,
    "stream": True,
    "stream_options": {"include_usage": True},
    "user": "u",
    "service_tier": "auto",
    "verbosity": "low",
    "prompt_cache_options": {"mode": "implicit", "ttl": "30m"},
    "logit_bias": {},
    "modalities": ["text"],
}
MESSAGE: dict[str, Any] = {
    "role": "assistant",
    "content": [{"type": "text", "text": "a"}, {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}],
    "reasoning": "hm",
    "reasoning_content": "hm",
    "reasoning_details": [{"type": "reasoning.text", "text": "hm", "index": 0, "signature": "s"}],
    "refusal": "no",
    "annotations": [{"type": "url_citation", "url_citation": {"url": "u", "title": "t"}}],
    "tool_calls": [
        {
            "index": 0,
            "id": "c",
            "type": "function",
            "function": {"name": "f", "arguments": "{}"},
            "extra_content": {"google": {"thought_signature": "s"}},
        },
        {"index": 1, "id": "d", "type": "custom", "custom": {"name": "p", "input": "x"}},
    ],
    "function_call": {"name": "f", "arguments": "{}"},
    "extra_content": {"google": {"thought_signature": "s"}},
}
REPLY: dict[str, Any] = {
    "id": "i",
    "model": "m",
    "service_tier": "default",
    "choices": [{"index": 0, "delta": MESSAGE, "finish_reason": "stop", "stop_reason": "x"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1}},
    "x_groq": {"usage": {"prompt_tokens": 1}},
    "citations": ["u"],
    "search_results": [{"url": "u"}],
}


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a JSON value, as its container and its key."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [place for key in keys for place in ((value, key), *places(value[key]))]


@st.composite
def broken(draw: st.DrawFn, whole: dict[str, Any]) -> dict[str, Any]:
    """The same with some places changed."""
    changed: dict[str, Any] = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 3))):
        known = places(changed)
        if not known:
            break
        container, key = draw(st.sampled_from(known))
        container[key] = copy.deepcopy(draw(JUNK))
    return changed


@given(broken(REQUEST))
def test_a_request_is_refused_by_name_or_understood(body: dict[str, Any]) -> None:
    try:
        conversation = CHAT.parse(CHAT.view(Body.parse(json.dumps(body).encode())), Losses())
    except BadRequest as refusal:
        told = str(refusal)
        assert told.startswith("the field '")
        return
    for flags in ({}, {"official": True, "cache_hints": "openai", "text_arrays": False}):
        rendered = CHAT.render(conversation, target(**flags), Losses())
        assert json.loads(rendered.body)["model"] == "served"


@given(broken(REQUEST))
def test_a_passing_request_keeps_its_shape(body: dict[str, Any]) -> None:
    seen = Body.parse(json.dumps(body).encode())
    passed = json.loads(seen.with_fields(CHAT.without_foreign(seen, target())))
    assert passed | {"messages": None} == body | {"messages": None}


@given(broken(REPLY))
def test_a_chunk_is_read_or_left_out(chunk: dict[str, Any]) -> None:
    for reading in (decoder(), decoder(reasoning_out=frozenset({"think-tags"}))):
        events = reading.feed(sse(chunk, chunk)) + reading.finish()
        encoder = CHAT.encoder(asked())
        for event in events:
            encoder.encode(event)


@given(broken(REPLY))
def test_a_whole_reply_is_read_or_left_out(reply: dict[str, Any]) -> None:
    text = json.dumps(reply).replace('"delta"', '"message"').encode()
    decoder().whole(text)
    decoder().whole(b"[" + text + b"]")


def test_a_schema_may_be_nested_deeply() -> None:
    schema: dict[str, Any] = {}
    for _ in range(400):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"], "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    body = {"model": "m", "messages": [], "response_format": form, "tools": [tool]}
    conversation = CHAT.parse(CHAT.view(Body.parse(json.dumps(body).encode())), Losses())
    assert b'"strict":true' in CHAT.render(conversation, target(), Losses()).body
