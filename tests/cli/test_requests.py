"""``router requests``: lists, follows, and shows one."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from router.cli import requests as module
from router.ledger.reports import PastRequest, Reader, Scope, Selection
from router.profile.home import Home
from router.wire.usage import Usage

NOW = time.time_ns() // 1_000_000


def test_the_latest_requests_are_listed_oldest_first(run: Any, book: Any) -> None:
    book.add(time_ms=NOW - 2000, usage=Usage(1500, output=45), cost=4_200_000, rule="first")
    book.add(time_ms=NOW - 1000, usage=None, cost=None, rule="second", outcome="upstream-error")
    lines = run("requests").stdout.splitlines()
    assert lines[0].split() == "TIME ID PROFILE RULE MODEL OUTCOME TOKENS COST TOOK".split()
    first = lines[1].split()
    assert first[first.index("work") :] == [  # before it stands the time, just after midnight with its day
        "work", "first", "claude-sonnet-4-5", "→", "claude-haiku-4-5", "ok", "1.5K", "/", "45", "$0.00420", "1.2s",
    ]  # fmt: skip
    assert lines[2].split()[-6:] == ["upstream-error", "?", "/", "?", "?", "1.2s"]


def test_who_asked_and_what_for(run: Any, book: Any) -> None:
    flags = {"background": True, "subagent": False, "plan-mode": True}
    book.add(time_ms=NOW - 3000, conversation="c1", facts=json.dumps(flags))
    book.add(time_ms=NOW - 2000, conversation="c1/agent-2", client="codex", facts="{}")
    book.add(time_ms=NOW - 1000)
    lines = [line.split() for line in run("requests", "work", "--clients").stdout.splitlines()]
    assert lines[0] == "TIME ID RULE CLIENT CONVERSATION FOR OUTCOME".split()
    assert [line[-5:] for line in lines[1:]] == [
        ["claude-code", "c1", "background,", "plan-mode", "ok"],
        ["anthropic", "codex", "c1/agent-2", "-", "ok"],
        ["anthropic", "claude-code", "-", "?", "ok"],
    ]


@pytest.mark.parametrize(
    ("arguments", "rules"),
    [
        (("work",), ["a", "b"]),
        (("other",), ["c"]),
        (("--failed",), ["b"]),
        (("--rule", "c"), ["c"]),
        (("-n", "1"), ["c"]),
        (("list", "work", "--rule", "a"), ["a"]),
    ],
)
def test_a_profile_a_rule_or_failures_alone(run: Any, book: Any, arguments: tuple[str, ...], rules: list[str]) -> None:
    book.add(time_ms=NOW - 3, rule="a", rule_hash="1")
    book.add(time_ms=NOW - 2, rule="b", rule_hash="2", outcome="partial")
    book.add(time_ms=NOW - 1, rule="c", rule_hash="3", profile="other", outcome="client-gone")
    found = json.loads(run("requests", *arguments, "--json").stdout)["requests"]
    assert [request["rule"] for request in found] == rules


def test_an_unknown_profile_is_wrong_usage(run: Any, book: Any) -> None:
    result = run("requests", "wrok")
    assert result.exit_code == 2
    assert 'did you mean "work"?' in result.stderr


def test_nothing_yet_is_said_beside_the_output(run: Any) -> None:
    result = run("requests")
    assert result.exit_code == 0
    assert "no requests yet" in result.stderr


def test_one_request_is_shown_with_its_calls_and_facts(run: Any, book: Any) -> None:
    request_id = book.add(
        time_ms=NOW, usage=Usage(1500, 20, output=45), cost=4_200_000, key="alice", tags="ci",
        facts=json.dumps({"tokens": 1500, "thinking": True, "image": False, "tests": {"latest:cheap": True}}),
    )  # fmt: skip
    text = run("requests", "show", request_id[:12]).stdout
    for part in (
        request_id,
        "default → anthropic",
        "claude-code, key alice, tags ci",
        "input 1500, cache read 20, output 45 (input estimated at 1500)",
        "$0.00420 (genai-prices 0.2.3)",
        "first byte 321ms, in all 1.2s",
        "anthropic/claude-haiku-4-5",
        "latest:cheap=yes",
    ):
        assert part in text
    shown = json.loads(run("requests", "show", request_id, "--json").stdout)
    assert shown["id"] == request_id
    assert shown["facts"]["tokens"] == 1500
    assert shown["calls"][0]["role"] == "primary"
    assert shown["calls"][0]["usage_raw"] == {"input_tokens": 1}


def test_the_order_and_who_was_passed_over_are_shown(run: Any, book: Any) -> None:
    trace = (
        "order: groq/a: cost $0.0004 (in 1,120, out ~600)\norder: groq/b: cost unknown, so last: it has no price\n"
        "passed over: groq/a: it can't use tools"
    )
    request_id = book.add(time_ms=NOW, trace=trace)
    text = run("requests", "show", request_id).stdout
    assert "\nOrder        groq/a: cost $0.0004 (in 1,120, out ~600)\n             groq/b: cost unknown, so" in text
    assert "\nPassed over  groq/a: it can't use tools\n" in text
    assert json.loads(run("requests", "show", request_id, "--json").stdout)["trace"] == trace.split("\n")


def calls_of(text: str) -> list[str]:
    """The lines of the calls' table."""
    (table,) = [part for part in text.split("\n\n") if part.startswith("CALL")]
    return table.splitlines()


def test_each_call_is_shown_with_its_key_and_how_it_ended(run: Any, book: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    request_id = book.add(time_ms=NOW, usage=Usage(1500, output=45), cost=4_200_000, error_class="timeout", billed=True)
    titles, call = calls_of(run("requests", "show", request_id).stdout)
    assert titles.split() == "CALL ROLE TARGET KEY FORMAT STATUS TOKENS COST TOOK".split()
    assert call.split() == [
        "1", "primary", "anthropic/claude-haiku-4-5", "env:ANTHROPIC_API_KEY", "anthropic-messages", "200", "timeout",
        "may", "be", "billed", "1.5K", "/", "45", "$0.00420", "1.2s",
    ]  # fmt: skip
    monkeypatch.setattr("router.cli.output.terminal_width", lambda: 80)
    titles, call = calls_of(run("requests", "show", request_id).stdout)
    assert len(call) <= 80
    assert {"CALL", "TARGET", "KEY", "STATUS", "COST"} <= set(titles.split())


def test_a_draft_is_shown_with_its_verdict_score_and_saving(
    run: Any, book: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = "draft: anthropic/claude-haiku-4-5 rejected, score 0.31 of 0.7 (length 0.31: one sentence)"
    request_id = book.add_drafted(
        "rejected", score=0.31, saving=-3_100_000, draft_cost=3_100_000, cost=9_300_000, time_ms=NOW, trace=trace
    )
    text = run("requests", "show", request_id).stdout
    assert "\nDraft      anthropic/claude-haiku-4-5 rejected, score 0.31 of 0.7 (length 0.31: one sentence)\n" in text
    titles, draft, verifier = (line.split() for line in calls_of(text))
    assert titles == "CALL ROLE TARGET KEY FORMAT STATUS DRAFT SAVED TOKENS COST TOOK".split()
    assert draft[1:3] + draft[6:9] == ["draft", "anthropic/claude-haiku-4-5", "rejected", "0.31", "-$0.00310"]
    assert verifier[1:3] + verifier[6:] == [
        "verifier",
        "anthropic/claude-sonnet-4-5",
        "?",
        "/",
        "?",
        "$0.00930",
        "1.2s",
    ]
    call = json.loads(run("requests", "show", request_id, "--json").stdout)["calls"][0]
    assert (call["verdict"], call["score"], call["saving_nano_usd"], call["saving_usd"]) == (
        "rejected", 0.31, -3_100_000, -0.0031,
    )  # fmt: skip
    monkeypatch.setattr("router.cli.output.terminal_width", lambda: 80)
    text = run("requests", "show", request_id).stdout
    assert max(map(len, text.splitlines())) <= 80
    titles, draft, _ = calls_of(text)
    assert {"CALL", "TARGET", "STATUS", "DRAFT", "SAVED", "COST"} <= set(titles.split())
    assert "rejected 0.31  -$0.00310" in draft


def test_a_draft_that_was_never_judged_says_so(run: Any, book: Any) -> None:
    request_id = book.add_drafted(None, saving=None, draft_cost=None, cost=9_300_000, time_ms=NOW)
    assert " not judged  " in run("requests", "show", request_id).stdout


@pytest.mark.parametrize(("worth", "told"), [(48_600_000, "$0.0486"), (None, "?")])
def test_what_was_lost_of_a_prompt_cache_is_shown(run: Any, book: Any, worth: int | None, told: str) -> None:
    request_id = book.add_drafted("accepted", saving=1, draft_cost=1, cost=0, lost=18_000, worth=worth, time_ms=NOW)
    text = run("requests", "show", request_id).stdout
    assert f"\nCache lost  18000 tokens at the target it was at before, worth {told}\n" in text
    shown = json.loads(run("requests", "show", request_id, "--json").stdout)
    assert (shown["cache_lost"], shown["cache_lost_usd"]) == (18_000, worth and 0.0486)
    assert "Cache lost" not in run("requests", "show", book.add(time_ms=NOW)).stdout


def test_an_id_that_is_not_there_is_status_2(run: Any, book: Any) -> None:
    result = run("requests", "show", "ffff")
    assert result.exit_code == 2
    assert "see `router requests`" in result.stderr


def test_following_shows_each_request_once_when_it_has_ended(
    home: Home, book: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time_ns() // 1_000_000  # of this test: a long run began more than the minute ago that is looked back
    running = book.add(time_ms=now - 500, settled=False, rule="slow")
    old = book.add(time_ms=now - 400, rule="done")
    turns: Iterator[Any] = iter(
        [
            lambda: book.add(time_ms=now - 300, rule="new"),
            lambda: book.finish(running),
            lambda: None,
            KeyboardInterrupt,
        ]
    )

    def step(_: float) -> None:
        turn = next(turns)
        if turn is KeyboardInterrupt:
            raise KeyboardInterrupt
        turn()

    monkeypatch.setattr(module.time, "sleep", step)
    reader = Reader(home.database)
    seen: list[PastRequest] = list(module._with_new(reader, reader.latest(), [Scope("work")], Selection()))
    assert [request.rule for request in seen] == ["done", "new", "slow"]
    assert seen[0].id == old


def test_following_prints_lines_of_json(run: Any, book: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    book.add(time_ms=NOW, rule="a")

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module.time, "sleep", stop)
    result = run("requests", "-f", "--json")
    assert result.exit_code == 0
    assert [json.loads(line)["rule"] for line in result.stdout.splitlines()] == ["a"]
