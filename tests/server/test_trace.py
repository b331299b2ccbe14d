"""A request's trace in the ledger: a strategy's numbers, and who was passed over and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from router.server.accounts import TRACE_LENGTH, _bounded
from tests.support.answers import answer
from tests.support.asking import MESSAGES
from tests.support.provider import FakeProvider
from tests.support.raw import ask, request
from tests.support.serving import serving

RULES = """
[default]
targets = ["one/dear", "one/cheap", "one/small"]
strategy = "lowest-cost"

[models."one/cheap"]
tools = false

[prices."one/dear"]
input = 10
output = 10
[prices."one/cheap"]
input = 1
output = 1
"""
TOOL = {"name": "look", "input_schema": {"type": "object"}}


async def traced(tmp_path: Path, rules: str, **fields: Any) -> tuple[int, str | None]:
    """The status of one request, and the trace in its row."""
    async with (
        FakeProvider(answer) as one,
        serving(tmp_path / "home", {"work": rules}, providers={"one": one.url}) as router,
    ):
        reply = await ask(router.url, request("POST", "/work/v1/messages", {**MESSAGES.body, **fields}))
        (row,) = await router.rows()
        return reply.status, row["trace"]


async def test_the_order_and_who_was_passed_over_are_kept(tmp_path: Path) -> None:
    status, trace = await traced(tmp_path, RULES, tools=[TOOL])
    assert status == 200
    assert trace is not None
    cheap, dear, small, passed = trace.splitlines()
    assert cheap.startswith("order: one/cheap: cost $0.000")
    assert dear.startswith("order: one/dear: cost $0.00")
    assert small == "order: one/small: cost unknown, so last: it has no price"
    assert passed == "passed over: one/cheap: it can't use tools"


async def test_a_refused_request_says_of_each_candidate_why(tmp_path: Path) -> None:
    rules = '[default]\ntarget = "one/a"\nfallback = ["groq/b"]\n[models."one/a"]\ntools = false\n'
    status, trace = await traced(tmp_path, rules, tools=[TOOL])
    assert status == 403
    assert trace is not None
    first, second = trace.splitlines()
    assert first == "passed over: one/a: it can't use tools"
    assert second.startswith("passed over: groq/b: ")
    assert "GROQ_API_KEY" in second


async def test_where_there_is_nothing_to_say_nothing_is_kept(tmp_path: Path) -> None:
    assert await traced(tmp_path, '[default]\ntarget = "one/a"\n') == (200, None)


async def test_no_word_of_a_prompt_is_in_a_trace(tmp_path: Path) -> None:
    words = "a-word-of-the-prompt"
    status, trace = await traced(
        tmp_path, RULES, tools=[TOOL], system=words, messages=[{"role": "user", "content": words}]
    )
    assert status == 200
    assert words not in json.dumps(trace)


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        pytest.param([], None, id="nothing"),
        pytest.param(["a", "b\nc  d"], "a\nb c d", id="a line stays one"),
        pytest.param(["x" * 999, "yz"], "x" * 999 + "…", id="a long one is cut"),
        pytest.param(["x" * 1000], "x" * 1000, id="as long as it may be"),
    ],
)
def test_a_trace_is_bounded(lines: list[str], text: str | None) -> None:
    assert _bounded(lines) == text
    assert len(text or "") <= TRACE_LENGTH
