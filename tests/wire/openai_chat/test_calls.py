"""Tool calls as compatible servers stream them."""

from __future__ import annotations

from typing import Any

import pytest

from router.wire.events import StreamEvent, ToolCallDelta, ToolCallStart
from tests.wire.openai_chat.saying import delta, streamed, whole

Told = list[tuple[str, str, str]]


def told(events: list[StreamEvent]) -> Told:
    """Id, name and arguments of each call; ``made`` for an id of our own."""
    calls: Told = []
    for event in events:
        if isinstance(event, ToolCallStart):
            calls.append(("made" if "rtr1" in event.id else event.id, event.name, ""))
        elif isinstance(event, ToolCallDelta):
            calls[-1] = (*calls[-1][:2], calls[-1][2] + event.text)
    return calls


def piece(
    index: int | None = 0, call_id: str | None = None, name: str | None = None, arguments: Any = ""
) -> dict[str, Any]:
    call: dict[str, Any] = {"type": "function", "function": {"arguments": arguments}}
    if index is not None:
        call["index"] = index
    if call_id is not None:
        call["id"] = call_id
    if name is not None:
        call["function"]["name"] = name
    return call


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        pytest.param(
            [[piece(0, "c1", "f")], [piece(0, arguments='{"a"')], [piece(0, arguments=":1}")]],
            [("c1", "f", '{"a":1}')],
            id="in fragments, as OpenAI does",
        ),
        pytest.param([[piece(0, "c1", "f", '{"a":1}')]], [("c1", "f", '{"a":1}')], id="whole in one chunk"),
        pytest.param([[piece(0, "c1", "f")]], [("c1", "f", "")], id="without any arguments"),
        pytest.param([[piece(1, "c1", "f")], [piece(1, arguments="{}")]], [("c1", "f", "{}")], id="numbered from one"),
        pytest.param(
            [[piece(0, "c1", "f")], [piece(0, "", arguments='{"a"')], [piece(0, "", arguments=":1}")]],
            [("c1", "f", '{"a":1}')],
            id="with an empty id later",
        ),
        pytest.param(
            [[piece(0, "c1", "f")], [piece(0, None, "", '{"a":1}')]],
            [("c1", "f", '{"a":1}')],
            id="with an empty name later",
        ),
        pytest.param(
            [[piece(0, "c1", "f", '{"a"')], [piece(0, "c1", "f", ":1}")]],
            [("c1", "f", '{"a":1}')],
            id="with id and name in every chunk",
        ),
        pytest.param(
            [[piece(0, "c1", "get_")], [piece(0, None, "weather")], [piece(0, arguments="{}")]],
            [("c1", "get_weather", "{}")],
            id="with a name in pieces",
        ),
        pytest.param(
            [[piece(0, "", "f")], [piece(0, "c1", arguments='{"a"')], [piece(0, arguments=":1}")]],
            [("c1", "f", '{"a":1}')],
            id="with a late id",
        ),
        pytest.param(
            [[piece(0, "c1", None, '{"a"')], [piece(0, None, "f", ":1}")]],
            [("c1", "f", '{"a":1}')],
            id="with a late name",
        ),
        pytest.param([[piece(0, "", "f", "{}")]], [("made", "f", "{}")], id="without an id"),
        pytest.param(
            [[piece(None, "c1", "f", '{"a"')], [piece(None, arguments=":1}")]],
            [("c1", "f", '{"a":1}')],
            id="without a number",
        ),
        pytest.param(
            [[piece(None, "c1", "f", "{}")], [piece(None, "c2", "g", "{}")]],
            [("c1", "f", "{}"), ("c2", "g", "{}")],
            id="two without numbers",
        ),
        pytest.param(
            [[piece(None, "", "f", "{}"), piece(None, "", "g", "{}")]],
            [("made", "f", "{}"), ("made", "g", "{}")],
            id="two without numbers and ids in one chunk",
        ),
        pytest.param(
            [[piece(0, "", "f", "{}")], [piece(0, "", "f", '{"a":1}')]],
            [("made", "f", "{}"), ("made", "f", '{"a":1}')],
            id="two whole ones under one number, without ids",
        ),
        pytest.param(
            [[piece(0, "c1", "f", "{}")], [piece(0, "c2", "g", "{}")]],
            [("c1", "f", "{}"), ("c2", "g", "{}")],
            id="two under one number, with ids of their own",
        ),
        pytest.param(
            [[piece(0, "c1", "f"), piece(1, "c2", "g")], [piece(1, arguments="{}")], [piece(0, arguments='{"a":1}')]],
            [("c1", "f", '{"a":1}'), ("c2", "g", "{}")],
            id="two at the same time",
        ),
        pytest.param(
            [[piece(0, "c1", "f", '{"a"')], [piece(1, "c2", "g", "{}")], [piece(0, arguments=":1}")]],
            [("c1", "f", '{"a":1}'), ("c2", "g", "{}")],
            id="back to an earlier one",
        ),
        pytest.param([[piece(0, "c1", "f", {"a": 1.0})]], [("c1", "f", '{"a":1.0}')], id="arguments as an object"),
        pytest.param(
            [
                [
                    piece(
                        0,
                        "c1",
                        "multi_tool_use.parallel",
                        '{"tool_uses":[{"recipient_name":"functions.f","parameters":{"a":1}},'
                        '{"recipient_name":"functions.g","parameters":{}}]}',
                    )
                ]
            ],
            [("c1_0", "f", '{"a":1}'), ("c1_1", "g", "{}")],
            id="several wrapped into one",
        ),
        pytest.param([[piece(0, "c1", "f", '{"a":')]], [("c1", "f", '{"a":')], id="cut short"),
    ],
)
def test_calls_of_a_stream(chunks: list[list[dict[str, Any]]], expected: Told) -> None:
    sent = [delta(tool_calls=calls) for calls in chunks]
    assert told(streamed(*sent, delta("tool_calls"))) == expected
    assert told(streamed(*sent[:-1], delta("stop", tool_calls=chunks[-1]))) == expected  # the reason in the same chunk


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        pytest.param(
            [piece(None, "c1", "f", "{}"), piece(None, "c2", "g", "{}")],
            [("c1", "f", "{}"), ("c2", "g", "{}")],
            id="two",
        ),
        pytest.param(
            [piece(0, "", "f", ""), piece(0, "", "f", "")], [("made", "f", ""), ("made", "f", "")], id="two all alike"
        ),
        pytest.param(
            [{"id": "c1", "type": "custom", "custom": {"name": "p", "input": "raw {"}}],
            [("c1", "p", "raw {")],
            id="freeform",
        ),
    ],
)
def test_calls_of_a_whole_message(calls: list[dict[str, Any]], expected: Told) -> None:
    assert told(whole({"tool_calls": calls}, "tool_calls")) == expected


def test_freeform_calls_are_streamed_one_behind_the_other() -> None:
    def raw(index: int, **custom: str) -> dict[str, Any]:
        return {"index": index, "type": "custom", "custom": custom}

    events = streamed(
        delta(tool_calls=[{**raw(0, name="p", input=""), "id": "c1"}]),
        delta(tool_calls=[raw(0, input="*** Be")]),
        delta(tool_calls=[raw(0, input="gin")]),
        delta(tool_calls=[{**raw(1, name="p", input="x"), "id": "c2"}]),
        delta("tool_calls"),
    )
    assert told(events) == [("c1", "p", "*** Begin"), ("c2", "p", "x")]
    assert all(event.custom for event in events if isinstance(event, ToolCallStart))


def test_a_call_of_the_old_kind_is_streamed() -> None:
    events = streamed(
        delta(function_call={"name": "f", "arguments": ""}),
        delta(function_call={"arguments": '{"a"'}),
        delta(function_call={"arguments": ":1}"}),
        delta("function_call"),
    )
    assert told(events) == [("made", "f", '{"a":1}')]
