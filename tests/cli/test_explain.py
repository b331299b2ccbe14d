"""``router explain``: every candidate in order, and what keeps those from being called that wouldn't be."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from router.health.breaker import SavedBreaker
from router.health.cooldowns import SavedCooldown
from router.ledger import health_rows
from router.ledger.health_rows import SavedHealth
from router.profile.home import Home
from router.server.admin import AdminClient
from tests.support import ledgers

PROFILE = """
[[rule]]
match = { model-equals = "big" }
target = "anthropic/claude-sonnet-4-5"
fallback = ["groq/llama-3.3-70b-versatile", "openai/gpt-5"]

[[rule]]
name = "never"
match = { tools-gt = 100 }
target = "mistral/never"

[default]
target = "deepseek/deepseek-chat"

[models."groq/llama-3.3-70b-versatile"]
context = 8000
images = false
tools = false
"""
KEYS = ("ANTHROPIC_API_KEY", "GROQ_API_KEY", "OPENAI_API_KEY", "DEEPSEEK_API_KEY")
ANTHROPIC, GROQ = "anthropic/claude-sonnet-4-5", "groq/llama-3.3-70b-versatile"


@pytest.fixture(autouse=True)
def profile(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    (home.profiles / "work" / "routing.toml").write_text(PROFILE, "utf-8")
    for name in KEYS:
        monkeypatch.setenv(name, "set")


def explained(run: Any, *arguments: str) -> dict[str, Any]:
    result = run("explain", "work", "--model", "big", *arguments, "--json")
    assert result.exit_code == 0, result.output
    value: dict[str, Any] = json.loads(result.stdout)
    return value


def skipped(run: Any, *arguments: str) -> dict[str, tuple[str, str]]:
    """The candidates that wouldn't be called, each with why."""
    candidates = explained(run, *arguments)["candidates"]
    return {one["target"]: (one["why"], one["reason"]) for one in candidates if one["why"] is not None}


def keep(home: Home, breakers: tuple[SavedBreaker, ...] = (), cooldowns: tuple[SavedCooldown, ...] = ()) -> None:
    """What a server would have left in the ledger."""
    book = ledgers.create(home.database)
    health_rows.save(book, "work", SavedHealth(breakers, cooldowns))
    book.close()


def test_every_candidate_is_shown_in_order_also_those_behind_the_rule(run: Any) -> None:
    found = explained(run)
    assert [(one["target"], one["rule"]) for one in found["candidates"]] == [
        (ANTHROPIC, "model-equals → anthropic"),
        (GROQ, "model-equals → anthropic"),
        ("openai/gpt-5", "model-equals → anthropic"),
        ("deepseek/deepseek-chat", "default → deepseek"),
    ]
    assert skipped(run) == {}
    assert (found["refusal"], found["unknown"], found["order"]) == (None, None, [])


UNFIT: list[Any] = [
    pytest.param(["--tools", "3"], ("unable", "it can't use tools"), id="tools"),
    pytest.param(["--image"], ("unable", "it can't read images"), id="images"),
    pytest.param(
        ["--tokens", "9000"], ("too-long", "prompt is too long: 9900 tokens > 8000 maximum"), id="a small window"
    ),
    pytest.param(["--tokens", "10", "--max-tokens", "8000"], None, id="room for little output"),
]


@pytest.mark.parametrize(("arguments", "reason"), UNFIT)
def test_an_unfit_candidate_says_why(run: Any, arguments: list[str], reason: tuple[str, str] | None) -> None:
    found = skipped(run, *arguments)
    if reason is None:
        assert [why for why, _ in found.values()] == ["too-long"]
    else:
        assert found[GROQ] == reason


def test_a_missing_key_is_told_and_the_next_candidate_is_the_first(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    assert skipped(run) == {ANTHROPIC: ("key", "key env:ANTHROPIC_API_KEY is missing")}
    text = run("explain", "work", "--model", "big").stdout
    assert f"Skips    {ANTHROPIC}  input not estimated\n         key env:ANTHROPIC_API_KEY is missing\n" in text
    assert f"Goes to  {GROQ}  input not estimated\n" in text
    assert "then 3   deepseek/deepseek-chat, by default → deepseek  input not estimated\n" in text


def test_without_any_key_it_is_refused(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.delenv(name)
    assert explained(run)["refusal"] == "no candidate can be called"
    text = run("explain", "work", "--model", "big").stdout
    assert "Goes to" not in text
    assert text.endswith("Refused  no candidate can be called\n")


def test_what_a_stopped_server_left_alone_is_skipped(run: Any, home: Home) -> None:
    now = time.time_ns() // 1_000_000
    half_hour = 1_800_000
    keep(
        home,
        (SavedBreaker("anthropic", "claude-sonnet-4-5", "env:ANTHROPIC_API_KEY", now + half_hour, half_hour, 0, now),),
        (
            SavedCooldown("openai", None, "env:OPENAI_API_KEY", now + half_hour, half_hour, "quota"),
            SavedCooldown("deepseek", "deepseek-chat", None, now + half_hour, half_hour, "not-found"),
            SavedCooldown("groq", "another-model", None, now + half_hour, half_hour, "not-found"),
        ),
    )
    found = skipped(run)
    assert {target: why for target, (why, _) in found.items()} == {
        ANTHROPIC: "breaker", "openai/gpt-5": "cooling-down", "deepseek/deepseek-chat": "cooling-down",
    }  # fmt: skip
    assert found["openai/gpt-5"][1].startswith("key env:OPENAI_API_KEY is left alone for ")
    assert found["deepseek/deepseek-chat"][1].endswith(": not-found")


@pytest.mark.slow
def test_the_running_server_is_asked_what_it_leaves_alone(
    run: Any, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"profile": "work", "provider": "groq", "model": GROQ.partition("/")[2], "key": "env:GROQ_API_KEY"}
    rows = [
        {**row, "state": "open", "again_s": 12.0, "reason": "3 of 4 calls failed"},
        {**row, "provider": "openai", "model": "gpt-5", "state": "half-open", "again_s": None, "reason": "it failed"},
        {**row, "profile": "home", "provider": "anthropic", "model": None, "state": "open", "again_s": 1, "reason": ""},
    ]
    home.socket.touch()
    monkeypatch.setattr(AdminClient, "call", lambda *_, **_named: {"breakers": rows})
    assert skipped(run) == {GROQ: ("breaker", "it is left alone for 12.0s: 3 of 4 calls failed")}


def test_a_request_that_cannot_be_translated_is_told(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    document = {"type": "document", "source": {"type": "file", "file_id": "file_1"}}
    body = {"model": "big", "max_tokens": 5, "messages": [{"role": "user", "content": [document]}]}
    file.write_text(json.dumps(body))
    result = run("explain", "work", "--file", str(file), "--json")
    found = {one["target"]: one["why"] for one in json.loads(result.stdout)["candidates"]}
    assert found[ANTHROPIC] is None
    assert found["openai/gpt-5"] == "format"


def test_a_strategys_numbers_are_shown(run: Any, home: Home) -> None:
    text = (
        '[default]\ntargets = ["anthropic/claude-sonnet-4-5", "anthropic/claude-haiku-4-5"]\nstrategy = "lowest-cost"'
    )
    (home.profiles / "work" / "routing.toml").write_text(text, "utf-8")
    found = explained(run, "--tokens", "1000")
    assert [one["target"] for one in found["candidates"]] == ["anthropic/claude-haiku-4-5", ANTHROPIC]
    assert [line.partition(" (")[0] for line in found["order"]] == [
        "anthropic/claude-haiku-4-5: cost $0.004120",
        "anthropic/claude-sonnet-4-5: cost $0.0124",
    ]
    assert f"\nOrder    {found['order'][0]}\n" in run("explain", "work", "--tokens", "1000").stdout


def test_what_was_not_recorded_ends_the_list(run: Any, book: Any) -> None:
    record = {"model": "big", "api": "anthropic-messages", "client": "codex", "tokens": 10}
    request_id = book.add(time_ms=1_700_000_000_000, facts=json.dumps(record))
    found = json.loads(run("explain", "work", "--request", request_id, "--json").stdout)
    assert [one["target"] for one in found["candidates"]] == [ANTHROPIC, GROQ, "openai/gpt-5"]
    assert found["unknown"] == "tool_count"
    assert "wasn't recorded" in run("explain", "work", "--request", request_id).stdout
