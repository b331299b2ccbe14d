"""The trials of real agents, without the agents: the provider's part, what it refuses, how a trial is judged."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from trials.drafts import CANARY, Drafts, draft_problems
from trials.refusals import BYPASS, refusals
from trials.script import SEALS, THINKING, Script
from trials.trial import ledger_problems

from router.server.demo import DemoProvider
from router.wire.gemini.signature import MARK
from router.wire.request import Api

ROOT = Path(__file__).resolve().parent.parent
FILE = "/project/notes.txt"
ASKED = f"Read the file {FILE} with your tool and tell me which secret word it says."
FOUND = "Meeting at noon.\nThe secret word is abc123\n"
SCHEMA = {"type": "object", "properties": {"file_path": {"type": "string"}}, "required": ["file_path"]}
ARGUMENTS = {"file_path": FILE}
Body = dict[str, Any]


def messages(second: bool = False) -> Body:
    turns: list[Body] = [{"role": "user", "content": ASKED}]
    if second:
        thinking = {
            "type": "thinking",
            "thinking": THINKING["anthropic-messages"],
            "signature": SEALS["anthropic-messages"],
        }
        call = {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": ARGUMENTS}
        turns.append({"role": "assistant", "content": [thinking, call]})
        turns.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": FOUND}]})
    return {
        "model": "claude-sonnet-4-5",
        "max_tokens": 4096,
        "thinking": {"type": "enabled", "budget_tokens": 2048},
        "tools": [{"name": "Read", "input_schema": SCHEMA}],
        "messages": turns,
    }


def chat(second: bool = False) -> Body:
    turns: list[Body] = [{"role": "user", "content": ASKED}]
    if second:
        function = {"name": "read_file", "arguments": json.dumps(ARGUMENTS)}
        call = {"id": "call_1", "type": "function", "function": function}
        turns.append(
            {"role": "assistant", "content": None, "reasoning_content": THINKING["openai-chat"], "tool_calls": [call]}
        )
        turns.append({"role": "tool", "tool_call_id": "call_1", "content": FOUND})
    tool = {"type": "function", "function": {"name": "read_file", "parameters": SCHEMA}}
    return {"model": "kimi-k2-thinking", "tools": [tool], "messages": turns}


def responses(second: bool = False) -> Body:
    items: list[Body] = [{"role": "user", "content": ASKED}]
    if second:
        items.append({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": SEALS["openai-responses"]})
        call = {"call_id": "call_1", "name": "exec_command", "arguments": json.dumps({"cmd": f"cat {FILE}"})}
        items.append({"type": "function_call", **call})
        items.append({"type": "function_call_output", "call_id": "call_1", "output": FOUND})
    schema = {"type": "object", "properties": {"cmd": {"type": "string"}}, "required": ["cmd"]}
    tool = {"type": "function", "name": "exec_command", "parameters": schema}
    return {"model": "gpt-5", "tools": [tool], "input": items, "store": False}


def gemini(second: bool = False) -> Body:
    turns: list[Body] = [{"role": "user", "parts": [{"text": ASKED}]}]
    if second:
        call = {"functionCall": {"name": "read_file", "args": ARGUMENTS}, "thoughtSignature": SEALS["gemini"]}
        turns.append({"role": "model", "parts": [call]})
        response = {"name": "read_file", "response": {"output": FOUND}}
        turns.append({"role": "user", "parts": [{"functionResponse": response}]})
    tools = [{"functionDeclarations": [{"name": "read_file", "parametersJsonSchema": SCHEMA}]}]
    return {"contents": turns, "tools": tools}


FORMATS: list[tuple[Api, str, Callable[[bool], Body]]] = [
    ("anthropic-messages", "/v1/messages", messages),
    ("openai-chat", "/v1/chat/completions", chat),
    ("openai-responses", "/v1/responses", responses),
    ("gemini", "/v1beta/models/gemini-3-pro-preview:generateContent", gemini),
]


async def sent(script: Script | Drafts, path: str, bodies: list[Body]) -> list[str]:
    provider = DemoProvider(answering=script.answer)
    await provider.start()
    replies = []
    try:
        async with aiohttp.ClientSession() as session:
            for body in bodies:
                async with session.post(provider.provider().base_urls["anthropic-messages"] + path, json=body) as reply:
                    assert reply.status == 200
                    replies.append(await reply.text())
    finally:
        await provider.close()
    return replies


@pytest.mark.parametrize(("api", "path", "body"), FORMATS, ids=[api for api, _, _ in FORMATS])
async def test_files_are_read_by_the_offered_tool_and_the_word_said(
    api: Api, path: str, body: Callable[[bool], Body]
) -> None:
    script = Script(FILE, own=None)
    further = json.loads(json.dumps(body(True)).replace("The secret word is abc123", "The notes continue in /more.txt"))
    replies = await sent(script, path, [body(False), further, body(True)])
    assert FILE in replies[0]
    assert "/more.txt" in replies[1]
    assert "the secret word is abc123" in replies[2]
    assert (script.calls, script.results, script.thinking_kept) == (2, 2, True)
    assert script.problems == []


@pytest.mark.parametrize(
    ("left", "told"),
    [
        pytest.param("rtr1.abc", "what the router sealed for itself", id="what the router sealed"),
        pytest.param(MARK + "x", "what the router sealed for itself", id="what it sealed for Gemini's clients"),
        pytest.param(SEALS["gemini"], "reasoning sealed by gemini", id="what another provider sealed"),
    ],
)
async def test_what_others_left_in_a_request_is_seen_even_in_the_agents_own_format(left: str, told: str) -> None:
    script = Script(FILE, own="openai-chat")
    await sent(script, "/v1/chat/completions", [{**chat(True), "unknown": left}])
    assert script.problems == [f"holds {told}"]


async def test_what_else_is_asked_gets_the_usual_answer() -> None:
    script = Script(FILE, own=None)
    title = {"model": "m", "messages": [{"role": "user", "content": f"A title for: {ASKED}"}]}
    (reply,) = await sent(script, "/v1/chat/completions", [title])
    assert "A title for" in reply
    assert (script.calls, script.results) == (0, 0)


@pytest.mark.parametrize(("api", "path", "body"), FORMATS, ids=[api for api, _, _ in FORMATS])
async def test_every_other_draft_is_bad_each_in_another_way(api: Api, path: str, body: Callable[[bool], Body]) -> None:
    script = Script(FILE, own=None)
    asked = [body(False), body(False), body(False), body(True), body(False), body(False), body(False)]
    replies = await sent(Drafts(script), path, asked)
    assert [CANARY in reply for reply in replies] == [True, False] * 3 + [True]
    refused, read, wrong, found, unknown, _, again = replies
    assert all("I can't help" in reply for reply in (refused, again))
    assert FILE in read
    assert f'"{CANARY}' in wrong.replace("\\", "")
    assert "the secret word is abc123" in found
    assert f"open_{CANARY}" in unknown
    assert (len(script.bodies), script.calls, script.results) == (7, 2, 1)


async def test_a_bad_draft_without_tools_is_a_refusal() -> None:
    title = {"model": "m", "messages": [{"role": "user", "content": "A title, please."}]}
    replies = await sent(Drafts(Script(FILE, own=None)), "/v1/chat/completions", [title] * 3)
    assert [CANARY in reply for reply in replies] == [True, False, True]
    assert 'tool_calls":' not in replies[2]


def drafted(**changes: Any) -> Body:
    """A request that was drafted, as `router requests show --json` shows it, with the draft changed."""
    counts = {"input": 10, "cache_read": None, "cache_write": None, "output": 2}
    draft = {"role": "draft", "verdict": "accepted", "cost_nano_usd": 20, "saving_nano_usd": 40, **counts, **changes}
    calls = [draft]
    if draft["verdict"] != "accepted":
        calls.append({"role": "verifier", "verdict": None, "cost_nano_usd": 60, "saving_nano_usd": None, **counts})
    return {
        "id": "019a5c7e3f21aaaa",
        "cost_nano_usd": sum(call["cost_nano_usd"] for call in calls),
        "calls": calls,
        **counts,
    }


def summed(requests: list[Body]) -> Body:
    """Their total, as `router usage --detail --json` shows it."""
    drafts = [call for request in requests for call in request["calls"] if call["role"] == "draft"]
    return {
        "requests": len(requests),
        "cost_nano_usd": sum(request["cost_nano_usd"] for request in requests),
        "drafts": len(drafts),
        "drafts_rejected": sum(draft["verdict"] == "rejected" for draft in drafts),
    }


REJECTED: Body = {"verdict": "rejected", "saving_nano_usd": -20}


@pytest.mark.parametrize(
    ("requests", "problem"),
    [
        pytest.param([drafted(), drafted(**REJECTED)], "", id="one accepted, one rejected"),
        pytest.param([drafted()], "no draft was rejected", id="none rejected"),
        pytest.param([drafted(**REJECTED)], "no draft was accepted", id="none accepted"),
        pytest.param([drafted(verdict=None)], "its calls are [('draft', None), ", id="one that failed"),
        pytest.param([drafted(role="primary", verdict=None)], "its calls are [('primary', None), ", id="none"),
        pytest.param([drafted() | {"cost_nano_usd": 21}], "it doesn't cost what its calls do", id="another cost"),
        pytest.param([drafted(output=3)], "its tokens aren't those", id="other tokens"),
        pytest.param([drafted(saving_nano_usd=20)], "saved 20, not 40", id="another saving"),
        pytest.param([drafted(**REJECTED, cost_nano_usd=0)], "a draft of 0 nano-dollars", id="a draft for nothing"),
    ],
)
def test_the_calls_and_sums_of_drafted_requests_are_judged(requests: list[Body], problem: str) -> None:
    found = draft_problems(requests, summed(requests))
    assert any(problem in each for each in found) if problem else found == []
    assert not any("the report" in each for each in found)


def test_the_report_of_drafted_requests_is_held_against_them() -> None:
    requests = [drafted(), drafted(**REJECTED)]
    [problem] = draft_problems(requests, summed(requests) | {"drafts_rejected": 2})
    assert problem.startswith(
        "the report says {'requests': 2, 'cost_nano_usd': 100, 'drafts': 2, 'drafts_rejected': 2}"
    )


def changed(body: Body, *path: str | int, to: object = None) -> Body:
    """The body with one value changed, or removed."""
    place: Any = body
    for step in path[:-1]:
        place = place[step]
    if to is None:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return body


REFUSED = [
    pytest.param("anthropic-messages", changed(messages(), "max_tokens"), "max_tokens: required", id="no limit"),
    pytest.param(
        "anthropic-messages", {**messages(), "store": True}, "store: not a field", id="a field of another format"
    ),
    pytest.param("anthropic-messages", changed(messages(), "max_tokens", to=2048), "budget_tokens", id="no room"),
    pytest.param("anthropic-messages", changed(messages(True), "messages", 2), "", id="a call that is yet to be run"),
    pytest.param(
        "anthropic-messages",
        changed(messages(True), "messages", 1, "content", 0, "signature", to="foreign"),
        "invalid signature",
        id="another's signature",
    ),
    pytest.param(
        "anthropic-messages",
        changed(messages(True), "messages", 1, "content", 0),
        "must begin with thinking",
        id="a lost thought of Claude's",
    ),
    pytest.param(
        "anthropic-messages",
        changed(messages(True), "messages", 2, "content", 0, "tool_use_id", to="toolu_2"),
        "results of ['toolu_2'], but called were ['toolu_1']",
        id="a result of another call",
    ),
    pytest.param(
        "anthropic-messages",
        changed(messages(), "messages", 0, "content", to=[{"type": "text", "text": " "}]),
        "must not be empty",
        id="blank text",
    ),
    pytest.param(
        "anthropic-messages",
        changed(messages(), "tools", 0, "name", to="a b"),
        "invalid or repeated",
        id="a tool's name",
    ),
    pytest.param(
        "openai-chat",
        changed(chat(True), "messages", 1, "reasoning_content"),
        "must be passed back",
        id="a lost thought of Kimi's",
    ),
    pytest.param(
        "openai-chat",
        changed(chat(True), "messages", 2, to={"role": "user", "content": "Go on."}),
        "have no result",
        id="a call without result",
    ),
    pytest.param(
        "openai-chat",
        changed(chat(True), "messages", 1, "tool_calls", 0, "function", "arguments", to="{"),
        "no JSON object",
        id="broken arguments",
    ),
    pytest.param("openai-chat", {**chat(), "max_output_tokens": 9}, "not a field", id="Responses' limit in Chat"),
    pytest.param(
        "openai-chat", changed(chat(), "tools", to=[]) | {"tool_choice": "auto"}, "only allowed", id="no tools"
    ),
    pytest.param(
        "openai-responses",
        changed(responses(True), "input", 3, "call_id", to="call_2"),
        "no tool call found",
        id="an output without its call",
    ),
    pytest.param(
        "openai-responses",
        changed(responses(True), "input", 1, "encrypted_content", to="foreign"),
        "invalid encrypted_content",
        id="another's sealed reasoning",
    ),
    pytest.param("openai-responses", changed(responses(True), "input", 3), "no tool output", id="no output"),
    pytest.param(
        "gemini", changed(gemini(True), "contents", 1, "parts", 0, "thoughtSignature"), "is missing", id="no signature"
    ),
    pytest.param(
        "gemini",
        changed(gemini(True), "contents", 1, "parts", 0, "thoughtSignature", to=BYPASS),
        "",
        id="the documented value for a signature that was lost",
    ),
    pytest.param(
        "gemini",
        changed(gemini(True), "contents", 2, "parts", 0, "functionResponse", "response", to="text"),
        "must be an object",
        id="a response that is text",
    ),
    pytest.param("gemini", {**gemini(), "model": "m"}, "not a field", id="a model in Gemini's body"),
]


@pytest.mark.parametrize(("api", "body", "words"), REFUSED)
def test_what_a_real_provider_would_refuse_is_seen(api: Api, body: Body, words: str) -> None:
    found = refusals(api, body, SEALS[api])
    assert any(words in problem for problem in found) if words else found == []


ROW: Body = {
    "id": "019a5c7e3f21aaaa",
    "state": "settled",
    "outcome": "ok",
    "status": 200,
    "error_class": None,
    "input": 5,
    "cache_read": None,
    "cache_write": None,
    "cache_write_1h": None,
    "output": 7,
    "client": "codex",
    "conversation": "c",
}


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        pytest.param([{}], [], id="a settled row with tokens is good"),
        pytest.param([{"input": 0, "cache_read": 9}], [], id="all input may come from the cache"),
        pytest.param([], ["no ledger rows"], id="there must be one"),
        pytest.param([{}, {"state": "open"}], ["1 of 2 requests not settled (019a5c7e3f21aa)"], id="an open row isn't"),
        pytest.param(
            [{"output": None}, {"output": 0}],
            ["2 of 2 requests without tokens (019a5c7e3f21aa, …)"],
            id="nor are those without tokens",
        ),
        pytest.param(
            [{"outcome": "client-error", "status": 400, "error_class": "request"}],
            ["1 of 1 requests ended: client-error 400 request (019a5c7e3f21aa)"],
            id="nor is one that failed",
        ),
        pytest.param(
            [{"client": "sdk"}, {"conversation": None}],
            [
                "1 of 2 requests taken for those of sdk (019a5c7e3f21aa)",
                "1 of 2 requests of no conversation (019a5c7e3f21aa)",
            ],
            id="nor one that wasn't recognised",
        ),
    ],
)
def test_ledger_rows_are_judged(changes: list[Body], problems: list[str]) -> None:
    assert ledger_problems([ROW | change for change in changes], "codex") == problems


@pytest.mark.slow
def test_agents_that_are_not_there_are_shown_with_the_reason(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "agents"), "--no-install", "--cache", str(tmp_path)]
    done = subprocess.run([*command, "--only", "codex: "], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"skipped: not in {tmp_path / 'codex'}") == 8
