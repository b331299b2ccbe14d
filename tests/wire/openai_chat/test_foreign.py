"""Requests that pass: our own seals are taken out, or given to their owner; nothing else changes."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from router.wire.body import Body
from router.wire.conversation import OpaqueState
from router.wire.opaque import wrap
from tests.support.slow import in_time
from tests.wire.openai_chat.saying import CHAT, compact, target

HERE = "here/served"
NATIVE = {"type": "reasoning.encrypted", "data": "x", "index": 0}
OURS = {"type": "reasoning.encrypted", "data": wrap(OpaqueState("anthropic-signature", "s", "a/b")), "id": "rtr1-0-0-0"}
OWN = {"type": "reasoning.encrypted", "data": wrap(OpaqueState("openrouter", f"[{compact(NATIVE)}]", HERE))}


def cleaned(*messages: dict[str, Any], **flags: Any) -> list[Any] | None:
    """The messages that go on; ``None`` where they go as they came."""
    body = Body.parse(json.dumps({"model": "m", "messages": list(messages), "n": 1}).encode())
    fields = CHAT.without_foreign(body, target(**flags))
    assert fields.keys() <= {"messages"}
    return json.loads(fields["messages"]) if fields else None


def said(**fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": "a", **fields}


CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("message", "flags", "expected"),
    [
        pytest.param(
            said(reasoning_content="Hm", reasoning="Hm"),
            {"refused_reasoning": frozenset({"reasoning_content"})},
            said(reasoning="Hm"),
            id="reasoning under a name that the provider refuses",
        ),
        pytest.param(said(reasoning_content="Hm"), {}, None, id="nothing is known to be refused"),
        pytest.param(
            said(tool_calls=[CALL]),
            {"reasoning_replay": "required"},
            said(tool_calls=[CALL], reasoning_content=" "),
            id="calls of a model that told no reasoning, where some is wanted beside calls",
        ),
        pytest.param(
            said(tool_calls=[CALL], reasoning_content="Hm"), {"reasoning_replay": "required"}, None, id="it is there"
        ),
        pytest.param(said(), {"reasoning_replay": "required"}, None, id="an answer without calls"),
        pytest.param(said(tool_calls=[]), {"reasoning_replay": "required"}, None, id="an empty list of calls"),
    ],
)
def test_reasoning_beside_what_another_model_said(
    message: dict[str, Any], flags: dict[str, Any], expected: dict[str, Any] | None
) -> None:
    user = {"role": "user", "content": "tool_calls"}
    assert cleaned(user, message, **flags) == (None if expected is None else [user, expected])


def call(signature: str) -> dict[str, Any]:
    extra = {"google": {"thought_signature": signature}}
    return {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": extra}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(said(reasoning_details=[OURS]), said(), id="a seal of another's"),
        pytest.param(
            said(reasoning_details=[OURS, NATIVE]), said(reasoning_details=[NATIVE]), id="beside one of the provider's"
        ),
        pytest.param(said(reasoning_details=[OWN]), said(reasoning_details=[NATIVE]), id="its own, wrapped"),
        pytest.param(
            said(reasoning_details=[{"type": "reasoning.encrypted", "data": "rtr1.broken"}]), said(), id="a broken one"
        ),
        pytest.param(
            said(tool_calls=[call(wrap(OpaqueState("google-thought", "s", "a/b")))]),
            said(tool_calls=[{name: value for name, value in call("").items() if name != "extra_content"}]),
            id="a call's signature of another's",
        ),
        pytest.param(
            said(tool_calls=[call(wrap(OpaqueState("google-thought", "s", HERE)))]),
            said(tool_calls=[call("s")]),
            id="a call's own signature",
        ),
    ],
)
def test_our_seals_are_taken_out(message: dict[str, Any], expected: dict[str, Any]) -> None:
    user = {"role": "user", "content": "Hi"}
    assert cleaned(user, message, user) == [user, expected, user]


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(said(), id="nothing sealed"),
        pytest.param(said(reasoning_details=[NATIVE]), id="a provider's own seal"),
        pytest.param(said(tool_calls=[call("s")]), id="a provider's own signature"),
        pytest.param({"role": "user", "content": "what is rtr1.abc?"}, id="our tag in a text"),
        pytest.param({"role": "user", "content": [{"type": "text", "text": "rtr1."}]}, id="and in a part"),
    ],
)
def test_all_else_goes_as_it_came(message: dict[str, Any]) -> None:
    assert cleaned(message) is None


def test_a_target_that_refused_its_seals_gets_none() -> None:
    assert cleaned(said(reasoning_details=[OWN]), replays_sealed=False) == [said()]


def test_other_bytes_stay() -> None:
    kept = '{ "role":"assistant" ,"content" : "\\u00e4 1.0e0", "reasoning_details":[%s] , "x":1.50}'
    first = '{"role":"user","content":"r\\u0074r1. \\/"}'
    raw = '{"messages":[ %s,\n %s ], "model":"m"}'
    body = Body.parse((raw % (first, kept % json.dumps(OURS))).encode())
    out = body.with_fields(CHAT.without_foreign(body, target()))
    gone = kept.replace(', "reasoning_details":[%s] ', "")
    assert json.loads(out) == json.loads(raw % (first, gone))
    assert first.encode() in out
    assert b'"content" : "\\u00e4 1.0e0"' in out
    assert b'"x":1.50' in out
    assert out.startswith(b'{"messages":[ {')


@pytest.mark.parametrize(
    "messages",
    ['"rtr1."', '["rtr1."]', '[{"reasoning_details":"rtr1."}]', '[{"tool_calls":["rtr1.",{"extra_content":"rtr1."}]}]'],
    ids=["text", "a list of text", "odd details", "odd calls"],
)
def test_odd_messages_are_the_providers_to_judge(messages: str) -> None:
    body = Body.parse(f'{{"messages":{messages}}}'.encode())
    fields = CHAT.without_foreign(body, target())
    assert json.loads(fields.get("messages", messages.encode())) is not None


def test_a_number_that_nobody_can_read_is_the_providers_to_judge() -> None:
    body = Body.parse(b'{"messages":[{"role":"assistant","tool_calls":[{"index":1e400}]}]}')
    assert CHAT.without_foreign(body, target(reasoning_replay="required")) == {}


def test_a_long_conversation_is_gone_through_once() -> None:
    """Time rises with the length, not with its square."""

    def seconds(messages: int) -> float:
        raw = json.dumps({"messages": [said(content=str(at), reasoning_details=[OURS]) for at in range(messages)]})
        body = Body.parse(raw.encode())
        started = time.process_time()
        assert json.loads(CHAT.without_foreign(body, target())["messages"])[-1] == said(content=str(messages - 1))
        return time.process_time() - started

    in_time(seconds(8000), 30 * max(seconds(800), 0.01))
