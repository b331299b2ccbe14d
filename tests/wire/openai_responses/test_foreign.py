"""A request that is passed on holds nothing that the router put into another provider's reply, and all else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire.body import Body
from router.wire.conversation import OpaqueState
from router.wire.opaque import wrap
from tests.wire.openai_responses.saying import NEW, RESPONSES

OWN = wrap(OpaqueState("openai-encrypted", "sealed", "openai/gpt-new", "rs_own"))
NAMELESS = wrap(OpaqueState("openai-encrypted", "sealed", "openai/gpt-new"))
OTHERS = wrap(OpaqueState("openai-encrypted", "sealed", "openai/gpt-old", "rs_own"))
CLAUDES = wrap(OpaqueState("anthropic-signature", "sig", "openai/gpt-new"))
AGENTS_SEALED = (
    '{"type":"agent_message","content":[{"text":"To:","type":"input_text"}, '
    f'{{"type":"encrypted_content","encrypted_content":"gAAAA{"x9" * 60}=="}}]}}'
)
HI = '{ "role":"user",  "content": "hi" }'
CALL = '{"type":"function_call","call_id":"call_rtr1abc","name":"f","arguments":"{\\"n\\": 1.50}"}'


def passed(*items: str) -> str:
    """The input as it is passed on."""
    sent = f'{{"model":"m", "input" : [{", ".join(items)}] ,"x":1.50}}'.encode()
    body = Body.parse(sent)
    fields = RESPONSES.without_foreign(body, NEW)
    assert set(fields) <= {"input"}
    out = body.with_fields(fields).decode()
    head, tail = '{"model":"m", "input" : [', '] ,"x":1.50}'
    assert out.startswith(head)
    assert out.endswith(tail)
    return out[len(head) : -len(tail)]


def reasoning(encrypted: str, item_id: str = "rs_rtr1abc") -> str:
    return f'{{"type":"reasoning", "id":"{item_id}", "summary":[], "encrypted_content":"{encrypted}"}}'


@pytest.mark.parametrize(
    ("item", "left"),
    [
        pytest.param(reasoning(OWN), reasoning("sealed", "rs_own"), id="what the target sealed itself"),
        pytest.param(
            reasoning(NAMELESS),
            '{"type":"reasoning", "summary":[], "encrypted_content":"sealed"}',
            id="what the target sealed itself without an id",
        ),
        pytest.param(
            '{"type":"function_call","id":"fc_rtr1abc","call_id":"call_rtr1abc","name":"f",  "arguments":"{}"}',
            '{"type":"function_call","call_id":"call_rtr1abc","name":"f",  "arguments":"{}"}',
            id="a call under an id of ours",
        ),
        pytest.param(
            '{"id":"msg_rtr1abc","type":"message","role":"assistant","content":[],"phase":"commentary"}',
            '{"type":"message","role":"assistant","content":[],"phase":"commentary"}',
            id="a message under an id of ours",
        ),
        pytest.param(CALL, CALL, id="a call that has only its call's id from us"),
        pytest.param(reasoning("native", "rs_1"), reasoning("native", "rs_1"), id="native reasoning"),
        pytest.param(
            '{"role":"user","content":"what is rtr1?"}', '{"role":"user","content":"what is rtr1?"}', id="talk of us"
        ),
        pytest.param(
            '{"type":"item_reference","id":"msg_rtr1abc"}',
            '{"type":"item_reference","id":"msg_rtr1abc"}',
            id="a reference, which the API shall refuse",
        ),
        pytest.param('"rtr1"', '"rtr1"', id="no item at all"),
        pytest.param(
            '{"type":"agent_message", "id":"a_1","content":[{"type":"encrypted_content","encrypted_content":"Go"}]}',
            '{"type":"agent_message", "id":"a_1","content":[{"type":"input_text","text":"Go"}]}',
            id="words to an agent that nobody sealed",
        ),
        pytest.param(AGENTS_SEALED, AGENTS_SEALED, id="words to an agent that the provider sealed"),
    ],
)
def test_what_is_ours_is_taken_out_of_an_item(item: str, left: str) -> None:
    assert passed(HI, item, HI) == f"{HI}, {left}, {HI}"


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(reasoning(OTHERS), id="of another model"),
        pytest.param(reasoning(CLAUDES), id="of another format"),
        pytest.param(reasoning("rtr1.broken"), id="changed on the way"),
        pytest.param(reasoning(OTHERS, "rs_1"), id="of another model, under an id that isn't ours"),
        pytest.param('{"type":"reasoning","id":"rs_rtr1abc","summary":[{"text":"a"}]}', id="that nobody sealed"),
    ],
)
def test_reasoning_of_others_goes_as_a_whole(item: str) -> None:
    assert passed(HI, item, HI) == f"{HI}, {HI}"
    assert passed(item, HI, item, HI) == f" {HI}, {HI}"
    assert passed(HI, item) == HI
    assert passed(item, item) == ""


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b'{"model":"m","input":"rtr1"}', id="a text"),
        pytest.param(
            b'{"model":"m","instructions":"rtr1","input":[{"role":"user","content":"x"}]}', id="nothing of ours"
        ),
        pytest.param(b'{"model":"m","input":[{"role":"user","content":"rtr1"}]}', id="nothing but the word"),
        pytest.param(b'{"model":"m"}', id="no input"),
    ],
)
def test_a_request_without_anything_of_ours_is_not_touched(sent: bytes) -> None:
    assert RESPONSES.without_foreign(Body.parse(sent), NEW) == {}


spaces = st.text(" \n\t\r", max_size=2)
kept = st.sampled_from([HI, CALL, reasoning("native", "rs_1"), '{"a":[1 ,2],"id":"x_rtr"}', "3"])
gone = st.sampled_from([reasoning(OTHERS), reasoning("rtr1.x")])


@given(st.lists(st.tuples(spaces, kept | gone, spaces), max_size=6))
def test_what_is_left_is_a_list_of_the_same_items(items: list[tuple[str, str, str]]) -> None:
    left: list[Any] = json.loads(f"[{passed(*(before + item + after for before, item, after in items))}]")
    assert left == [json.loads(item) for _, item, _ in items if "rtr1." not in item]
