"""A request that is passed on holds no other model's reasoning, and else not one byte is changed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router.wire.body import Body
from router.wire.conversation import OpaqueState
from router.wire.opaque import wrap
from tests.support.messages import MESSAGES, NEW

FOREIGN = wrap(OpaqueState("openai-encrypted", "enc", "openai/m", "rs_1"))
OWN = wrap(OpaqueState("anthropic-signature", "sig", NEW.owner))
OWN_REDACTED = wrap(OpaqueState("anthropic-redacted", "abc", NEW.owner))
OTHER_CLAUDE = wrap(OpaqueState("anthropic-signature", "sig", "anthropic/other"))

TEXT = {"type": "text", "text": "b"}
CALL = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "r"}]}
ASKED = {"role": "user", "content": "a"}


def thinking(signature: Any, text: str = "hm") -> dict[str, Any]:
    return {"type": "thinking", "thinking": text, "signature": signature}


def redacted(data: str) -> dict[str, Any]:
    return {"type": "redacted_thinking", "data": data}


def assistant(*content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(content)}


def cleaned(body: dict[str, Any]) -> dict[str, Any]:
    parsed = Body.parse(json.dumps(body).encode())
    after: dict[str, Any] = json.loads(parsed.with_fields(MESSAGES.without_foreign(parsed, NEW)))
    return after


@pytest.mark.parametrize(
    ("turn", "after"),
    [
        pytest.param(assistant(thinking(FOREIGN), TEXT), assistant(TEXT), id="another maker's goes"),
        pytest.param(assistant(thinking(OTHER_CLAUDE), TEXT), assistant(TEXT), id="another model's goes"),
        pytest.param(assistant(thinking("rtr1.broken"), TEXT), assistant(TEXT), id="a broken one goes"),
        pytest.param(assistant(thinking(OWN), TEXT), assistant(thinking("sig"), TEXT), id="its own is unwrapped"),
        pytest.param(assistant(redacted(OWN_REDACTED), TEXT), assistant(redacted("abc"), TEXT), id="redacted, its own"),
        pytest.param(assistant(redacted(FOREIGN), TEXT), assistant(TEXT), id="redacted, another's"),
        pytest.param(assistant(redacted(OWN), TEXT), assistant(TEXT), id="in a slot where it doesn't belong"),
        pytest.param(
            assistant(thinking("native"), TEXT, thinking(FOREIGN)),
            assistant(thinking("native"), TEXT),
            id="native stays",
        ),
        pytest.param(assistant(CALL, thinking(FOREIGN, "")), assistant(CALL), id="the seal of a call goes"),
        pytest.param(assistant(thinking(FOREIGN)), None, id="a turn of nothing else goes"),
        pytest.param(
            assistant({"type": "text", "text": FOREIGN}), assistant({"type": "text", "text": FOREIGN}), id="text stays"
        ),
    ],
)
def test_reasoning(turn: dict[str, Any], after: dict[str, Any] | None) -> None:
    last = {"role": "user", "content": "c"}
    body = cleaned({"model": "m", "messages": [ASKED, turn, last]})
    assert body == {"model": "m", "messages": [ASKED, *([after] if after else []), last]}


def test_every_other_byte_stays() -> None:
    kept = '{"type":"tool_use", "id":"t","name":"f",  "input":{"n":1.0,"n":1e5, "s":"\\u00fc"}}'
    head = '{ "model":"m" , "temperature": 1.0,\n "messages" : [{"role":"user","content":"a"},{"x": 1.50, "content":['
    raw = f'{head}{kept},{json.dumps(thinking(FOREIGN))}],"role":"assistant"}}] , "max_tokens":5}}'
    body = Body.parse(raw.encode())
    after = body.with_fields(MESSAGES.without_foreign(body, NEW))
    assert after.decode() == f'{head}{kept}],"role":"assistant"}}] , "max_tokens":5}}'


def test_of_an_unwrapped_block_only_the_signature_changes() -> None:
    block = '{"thinking": "h\\u006d", "signature" :"%s", "type":"thinking"}'
    raw = '{"messages":[{"role":"assistant","content":[%s, {"type":"text","text":"b"}]}]}'
    body = Body.parse((raw % block % OWN).encode())
    fields = MESSAGES.without_foreign(body, NEW)
    inner = '{"thinking": "h\\u006d", "signature" :"sig", "type":"thinking"}'
    assert fields["messages"].decode() == f'[{{"role":"assistant","content":[{inner},{{"type":"text","text":"b"}}]}}]'


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"model": "m", "messages": [ASKED, assistant(thinking("native"), TEXT)]}, id="nothing of ours"),
        pytest.param({"model": "m", "messages": [{"role": "user", "content": "what is rtr1.abc?"}]}, id="a question"),
        pytest.param({"model": "m", "system": "rtr1."}, id="no messages"),
        pytest.param({"model": "m", "messages": "rtr1."}, id="messages no list"),
        pytest.param({"model": "m", "messages": ["rtr1.", 5, None]}, id="messages no objects"),
        pytest.param({"messages": [{"role": "assistant", "content": {"rtr1.": 1}}]}, id="content no list"),
        pytest.param({"messages": [{"role": "assistant", "content": ["rtr1.", ["rtr1."]]}]}, id="blocks no objects"),
        pytest.param({"messages": [assistant({"type": ["rtr1."]}, thinking(["rtr1."]))]}, id="odd blocks"),
    ],
)
def test_otherwise_nothing_is_set(body: dict[str, Any]) -> None:
    assert MESSAGES.without_foreign(Body.parse(json.dumps(body).encode()), NEW) == {}


def test_a_block_whose_keys_occur_twice_is_left_to_the_provider() -> None:
    block = f'{{"type":"thinking","signature":"{OWN}","text":"a","text":"b"}}'
    body = Body.parse(f'{{"messages":[{{"role":"assistant","content":[{block}]}}]}}'.encode())
    assert MESSAGES.without_foreign(body, NEW) == {}


# --- thinking in the middle of calls ----------------------------------------------------------------------------------

ENABLED = {"type": "enabled", "budget_tokens": 2048}


@pytest.mark.parametrize(
    ("messages", "on"),
    [
        pytest.param([ASKED, assistant(thinking(FOREIGN), CALL), RESULT], False, id="the calls lost their thinking"),
        pytest.param(
            [ASKED, assistant(thinking(FOREIGN), CALL), RESULT, assistant(CALL), RESULT], False, id="several calls ago"
        ),
        pytest.param(
            [ASKED, assistant(thinking(FOREIGN), TEXT), {"role": "user", "content": "c"}], True, id="no calls go on"
        ),
        pytest.param(
            [ASKED, assistant(thinking(FOREIGN), TEXT), ASKED, assistant(thinking("native"), CALL), RESULT],
            True,
            id="the calls that go on have theirs",
        ),
        pytest.param([ASKED, assistant(thinking(OWN), CALL), RESULT], True, id="it was unwrapped"),
    ],
)
def test_thinking_is_switched_off_where_the_calls_that_go_on_lost_theirs(messages: list[Any], on: bool) -> None:
    body = cleaned({"model": "m", "thinking": ENABLED, "messages": messages})
    assert body["thinking"] == (ENABLED if on else {"type": "disabled"})


@pytest.mark.parametrize(
    ("management", "after"),
    [
        pytest.param({"edits": [{"type": "clear_thinking_20251015"}]}, None, id="nothing else"),
        pytest.param(
            {"edits": [{"type": "clear_thinking_20251015"}, {"type": "clear_tool_uses_20250919"}]},
            {"edits": [{"type": "clear_tool_uses_20250919"}]},
            id="beside another edit",
        ),
    ],
)
def test_what_edits_thinking_goes_with_it(management: dict[str, Any], after: Any) -> None:
    messages = [ASKED, assistant(thinking(FOREIGN), CALL), RESULT]
    body = cleaned({"model": "m", "thinking": ENABLED, "context_management": management, "messages": messages})
    assert body["context_management"] == after


def test_adaptive_thinking_needs_no_change() -> None:
    messages = [ASKED, assistant(thinking(FOREIGN), CALL), RESULT]
    body = cleaned({"model": "m", "thinking": {"type": "adaptive"}, "messages": messages})
    assert body["thinking"] == {"type": "adaptive"}
