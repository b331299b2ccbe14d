"""A Gemini client's request that goes to Google after another provider has answered earlier ones."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from router.wire.body import Body
from router.wire.conversation import OpaqueState, Thought
from router.wire.gemini.signature import BYPASS, MARK, written
from router.wire.traits import Traits
from tests.wire.gemini.saying import GEMINI, OWN, claude, owned

GEMINI_3 = msgspec.structs.replace(OWN, call_signatures=True)
FOREIGN = written((Thought("Hm.", claude("s")),), None)
HI = {"role": "user", "parts": [{"text": "Hi"}]}
CALL = {"functionCall": {"name": "f", "args": {}}}


def body(*parts: dict[str, Any], **fields: Any) -> Body:
    return Body.parse(json.dumps({"contents": [HI, {"role": "model", "parts": list(parts)}], **fields}).encode())


def model_parts(found: dict[str, bytes]) -> list[dict[str, Any]]:
    turn = json.loads(found["contents"])[1]
    parts: list[dict[str, Any]] = turn["parts"]
    return parts


@pytest.mark.parametrize(
    ("parts", "left", "traits"),
    [
        pytest.param([{"text": "a", "thoughtSignature": FOREIGN}], [{"text": "a"}], GEMINI_3, id="on a text"),
        pytest.param([{"text": "a", "thought_signature": FOREIGN}], [{"text": "a"}], GEMINI_3, id="in snake case"),
        pytest.param([{**CALL, "thoughtSignature": FOREIGN}], [CALL], OWN, id="on a call"),
        pytest.param(
            [{**CALL, "thoughtSignature": FOREIGN}],
            [{**CALL, "thoughtSignature": BYPASS}],
            GEMINI_3,
            id="on a call that needs a signature",
        ),
        pytest.param(
            [{**CALL, "thoughtSignature": written((), None)}],
            [{**CALL, "thoughtSignature": BYPASS}],
            GEMINI_3,
            id="on a call of a model without reasoning",
        ),
        pytest.param(
            [{**CALL, "thoughtSignature": written((Thought("x", claude("s")),), owned("own"))}],
            [{**CALL, "thoughtSignature": "own"}],
            GEMINI_3,
            id="the target's own, on a call",
        ),
        pytest.param(
            [{"text": "a", "thoughtSignature": written((Thought("x", owned("own")),), None)}],
            [{"text": "a", "thoughtSignature": "own"}],
            OWN,
            id="the target's own, before a text",
        ),
        pytest.param(
            [{**CALL, "thoughtSignature": written((), owned("own"))}],
            [CALL],
            msgspec.structs.replace(OWN, replays_sealed=False),
            id="its own, which it refused",
        ),
        pytest.param(
            [{"text": "a"}, {"text": "", "thoughtSignature": FOREIGN}], [{"text": "a"}], OWN, id="standing alone"
        ),
        pytest.param(
            [{**CALL, "thoughtSignature": MARK + "damaged"}],
            [{**CALL, "thoughtSignature": BYPASS}],
            GEMINI_3,
            id="damaged",
        ),
        pytest.param(
            [{"text": "b", "thoughtSignature": "native"}, {"text": "a", "thoughtSignature": FOREIGN}],
            [{"text": "b", "thoughtSignature": "native"}, {"text": "a"}],
            OWN,
            id="beside a native one",
        ),
        pytest.param(
            [{"text": MARK}, {"text": "a", "thoughtSignature": FOREIGN}],
            [{"text": MARK}, {"text": "a"}],
            OWN,
            id="beside a text that looks like it",
        ),
    ],
)
def test_ours_is_taken_out(parts: list[dict[str, Any]], left: list[dict[str, Any]], traits: Traits) -> None:
    found = GEMINI.without_foreign(body(*parts), traits)
    assert found.keys() == {"contents"}
    assert model_parts(found) == left


def test_a_turn_of_which_nothing_is_left_is_left_out() -> None:
    found = GEMINI.without_foreign(body({"text": "", "thoughtSignature": FOREIGN}), OWN)
    assert json.loads(found["contents"]) == [HI]


def test_every_other_byte_stays() -> None:
    raw = (
        b'{ "contents": [ {"parts" : [{"text": "\\u0041", "n": 1.0}]}, {"role":"model","parts":[ {"text":"a",'
        b'"thoughtSignature":"%b"} , { "functionCall": {"name":"f", "args": {"b": 1.50}}}]}], "tools": [ 1e3 ] }'
    ) % FOREIGN.encode()
    request = Body.parse(raw)
    assert request.with_fields(GEMINI.without_foreign(request, OWN)) == (
        b'{ "contents": [{"parts" : [{"text": "\\u0041", "n": 1.0}]},{"role":"model","parts":[{"text":"a"},'
        b'{ "functionCall": {"name":"f", "args": {"b": 1.50}}}]}], "tools": [ 1e3 ] }'
    )


def test_one_turn_that_is_no_list() -> None:
    turn = {"role": "model", "parts": [{"text": "a", "thoughtSignature": FOREIGN}]}
    found = GEMINI.without_foreign(Body.parse(json.dumps({"contents": turn}).encode()), OWN)
    assert json.loads(found["contents"]) == {"role": "model", "parts": [{"text": "a"}]}


@pytest.mark.parametrize(
    "contents",
    [
        pytest.param([HI], id="nothing of ours"),
        pytest.param([{"role": "model", "parts": [{"text": "a", "thoughtSignature": "native"}]}], id="a native one"),
        pytest.param(f"{MARK} is just a text", id="a text"),
        pytest.param([MARK], id="no turn"),
        pytest.param([[{"parts": MARK}]], id="a list of lists"),
        pytest.param(None, id="nothing"),
    ],
)
def test_what_is_not_ours_stays(contents: Any) -> None:
    assert GEMINI.without_foreign(Body.parse(json.dumps({"contents": contents}).encode()), OWN) == {}


@pytest.mark.parametrize(
    "part",
    [
        pytest.param({"text": MARK}, id="in a text"),
        pytest.param({"thoughtSignature": [MARK]}, id="in a list"),
        pytest.param({"inlineData": {"data": MARK}}, id="in data"),
    ],
)
def test_what_looks_like_ours_stays_too(part: dict[str, Any]) -> None:
    found = GEMINI.without_foreign(body(part), OWN)
    assert model_parts(found) == [part]


def test_a_visible_thought_is_nobody_s() -> None:
    slot = written((Thought("Hm.", OpaqueState("visible", "", OWN.owner)),), None)
    assert model_parts(GEMINI.without_foreign(body({**CALL, "thoughtSignature": slot}), OWN)) == [CALL]
