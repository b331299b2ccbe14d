"""Judgements: scores, why drafts end, what judging costs, and what holds for any draft."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.routing.judging import Check, Draft, Judgement, Question, judge
from router.routing.judging import words as word_lists
from router.wire.conversation import OutputFormat, ToolCall
from router.wire.events import Stop
from tests.support import drafts
from tests.support.judging import TOOLS, call, calling, reading, saying, seen
from tests.support.slow import in_time, within

PERSON = OutputFormat({"type": "object", "required": ["name"]})


def test_the_score_is_what_the_checks_leave() -> None:
    judgement = judge(
        Question("Explain in detail how Raft elects its leaders."), saying("I think it might, perhaps, vote.")
    )
    factors = [check.factor for check in judgement.checks if check.factor < 1]
    assert len(factors) == 2
    assert judgement.score == pytest.approx(factors[0] * factors[1], abs=0.0001)
    assert judgement.fatal is None
    assert not judgement.accepted(0.6)


def test_a_check_leaves_the_more_the_better_its_score_and_the_less_its_weight() -> None:
    assert [Check("x", score, 0.5, "").factor for score in (0.0, 0.5, 1.0)] == [0.5, 0.75, 1.0]
    assert [Check("x", 0.0, weight, "").factor for weight in (0.0, 0.3, 1.0)] == [1.0, 0.7, 0.0]


@pytest.mark.parametrize("threshold", [0.0, 0.6, 1.0])
def test_a_fatal_fault_is_below_every_threshold(threshold: float) -> None:
    judgement = judge(Question("Hi"), Draft())
    assert (judgement.score, judgement.fatal) == (0.0, "holds neither words nor a tool call")
    assert not judgement.accepted(threshold)


def test_a_draft_at_the_threshold_is_accepted() -> None:
    judgement = Judgement(0.7, (), None)
    assert judgement.accepted(0.7)
    assert not judgement.accepted(0.71)


@pytest.mark.parametrize(
    ("stop", "limit", "expected"),
    [
        pytest.param("end", None, "", id="ended"),
        pytest.param("stop-sequence", None, "", id="ended where the client wanted"),
        pytest.param("max-tokens", None, "cut at the limit of output", id="cut"),
        pytest.param("max-tokens", 4_000, "cut at the limit of output", id="cut at a large limit of the client's"),
        pytest.param("max-tokens", 16, "", id="cut at a small limit of the client's"),
        pytest.param("context-window", None, "cut because the context window was full", id="the window was full"),
        pytest.param("refusal", None, "the provider says that the model refused", id="refused"),
        pytest.param("pause", None, "paused before its end", id="paused"),
        pytest.param(None, None, "broke off", id="broke off"),
    ],
)
def test_why_a_draft_ended(stop: Stop | None, limit: int | None, expected: str) -> None:
    judgement = judge(Question("Which port?", max_tokens=limit), saying("Port 80", stop))
    assert seen(judgement, "stop") == expected
    assert judgement.accepted(0.8) == (not expected)


def test_every_reason_to_stop_is_judged() -> None:
    for stop in get_args(Stop):
        assert judge(Question("Hi"), saying("Hello", stop)).checks[0].name == "stop"


def test_thinking_alone_is_no_answer() -> None:
    assert judge(Question("Hi"), Draft(thinking=True)).fatal == "holds nothing but thinking"


# --- costs and properties ---------------------------------------------------------------------------------------------

PLAIN = "The pool keeps connections open, because opening one is slow (about a millisecond). " * 2_500
SOURCE = Path(drafts.__file__).read_text("utf-8")


@pytest.mark.parametrize(
    "draft",
    [
        pytest.param(saying(PLAIN[:200_000]), id="200,000 characters of prose"),
        pytest.param(saying(f"```python\n{SOURCE}\n```\n" * 30), id="much code"),
        pytest.param(
            calling(*(call("Write", {"file_path": f"/{n}.py", "content": PLAIN[:100_000]}) for n in range(50))),
            id="50 calls with 100,000 characters each",
        ),
        pytest.param(
            calling(*(call("Write", {"edits": [{"at": n, "x": "y"}] * 5_000, "n": n}) for n in range(50))),
            id="50 long lists",
        ),
    ],
)
def test_the_largest_drafts_take_less_than_fifty_milliseconds(draft: Draft) -> None:
    question = Question("Explain the pool of connections in pool.py, and fix its size.", tools=TOOLS)
    times = []
    for _ in range(5):
        start = time.process_time()
        judge(question, draft)
        times.append(time.process_time() - start)
    in_time(min(times), 0.05)


PIECES = [
    *'` " \n . a. 的 我无法 - { [{ # > \\ <| <think ... i can kann ich let me may'.split(" "),
    *("```\n", "~~~\n", "1. \n", "- a\n", "\t`", " ", "i cannot ", "kann ich ", "... existing ", "return json "),
]


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.slow
def test_no_text_is_dear(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    with within(0.5, clock=time.process_time):  # about 0.05 where nothing else runs
        for question in (Question("Why?"), Question(f"Return JSON. List five things {text}", tools=TOOLS)):
            judge(question, saying(text))
            judge(question, calling(call("Write", {"content": text})))


LISTS = {name: value for name, value in vars(word_lists).items() if isinstance(value, re.Pattern)}


@pytest.mark.parametrize("pattern", LISTS.values(), ids=LISTS.keys())
@pytest.mark.slow
def test_no_list_of_words_is_dear(pattern: re.Pattern[str]) -> None:
    """Each word of a list again and again, so that all its gaps are tried."""
    for word in sorted(set(re.findall(r"[a-zäöüß]{2,}", pattern.pattern)))[:80]:
        text = f"{word} " * (8_000 // (len(word) + 1))
        with within(0.2, word, clock=time.process_time):
            pattern.search(text.replace(" ", "  ") + "\n")
            sum(1 for _ in pattern.finditer(text))


@pytest.mark.parametrize(
    ("draft", "reason"),
    [
        pytest.param(saying("word " * 1_700_000), "too large to be looked at", id="a text"),
        pytest.param(calling(*[reading()] * 201), "makes 201 calls, too many to be looked at", id="calls"),
    ],
)
def test_what_is_too_much_goes_to_the_verifier(draft: Draft, reason: str) -> None:
    judgement = judge(Question(tools=TOOLS), draft)
    assert (judgement.fatal, [check.name for check in judgement.checks]) == (reason, ["size"])


TEXTS = st.text(max_size=80) | st.sampled_from(PIECES).map(lambda piece: piece * 30)
CALLS = st.builds(
    ToolCall,
    id=st.just("c"),
    name=st.sampled_from(["Read", "Write", "patch", "list", "other"]) | st.text(min_size=1, max_size=5),
    arguments=st.sampled_from(['{"path": "a"}', "{}", "", "[", '{"content": "a", "file_path": "b.py"}'])
    | st.text(max_size=20),
    custom=st.booleans(),
)
DRAFTS = st.builds(
    Draft,
    texts=st.lists(TEXTS, max_size=3).map(tuple),
    calls=st.lists(CALLS, max_size=3).map(tuple),
    stop=st.sampled_from([*get_args(Stop), None]),
    refusal=st.just("") | TEXTS,
    thinking=st.booleans(),
)
QUESTIONS = st.builds(
    Question,
    text=TEXTS,
    tools=st.just(()) | st.just(TOOLS),
    output=st.none() | st.just(OutputFormat()) | st.just(PERSON),
    messages=st.integers(1, 9),
    results_last=st.booleans(),
    earlier_calls=st.lists(CALLS, max_size=3).map(tuple),
    max_tokens=st.none() | st.integers(1, 9_999),
)


@given(QUESTIONS, DRAFTS)
def test_any_draft_is_judged_and_always_alike(question: Question, draft: Draft) -> None:
    judgement = judge(question, draft)
    assert judgement == judge(question, draft)
    assert 0 <= judgement.score <= 1
    assert (judgement.fatal is not None) == any(check.fatal for check in judgement.checks)
    assert len({check.name for check in judgement.checks}) >= 2
    for check in judgement.checks:
        assert 0 <= check.score <= 1
        assert 0 < check.weight <= 1
        assert check.reason.isprintable()
        assert len(check.reason) < 400


@given(st.sampled_from(["Explain {}, please", "Return {} as JSON", "{}"]), st.booleans(), st.booleans())
def test_no_reason_tells_what_was_said(form: str, tools: bool, results: bool) -> None:
    secret = "Xylograph"
    question = Question(form.format(f"{secret} {secret}_file.py"), TOOLS if tools else (), results_last=results)
    arguments = {secret: secret, "path": [secret], "old_string": secret, "new_string": secret, "content": f"{secret}("}
    for draft in (
        saying(f"I can't help with {secret}. {secret}! " * 9 + f"\n```python\n{secret} {secret}\n```"),
        calling(call("Read", arguments), call("Write", arguments)),
        Draft((secret,), refusal=secret),
    ):
        for check in judge(question, draft).checks:
            assert secret.lower() not in check.reason.lower()
