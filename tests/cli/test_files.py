"""Commands about files: ``init``, ``check`` and ``explain``."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from router.cli.asked import guess_api
from router.profile import making
from router.profile.home import Home

PAYLOADS = Path(__file__).resolve().parent.parent / "data" / "payloads"


def add(home: Home, name: str, text: str) -> Path:
    folder = home.profiles / name
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "routing.toml").write_text(text, "utf-8")
    return folder


# --- check --------------------------------------------------------------------------------------------------------


def test_the_first_file_has_no_error_and_warns_of_missing_keys(run: Any) -> None:
    result = run("check")
    assert result.exit_code == 0
    assert (
        "warning: profiles/work/routing.toml:3: rule[0].to: no key for anthropic: set ANTHROPIC_API_KEY"
        in result.stdout
    )
    assert result.stdout.endswith("1 profile, 0 errors, 2 warnings\n")


def test_all_problems_are_shown_with_file_line_and_key_and_the_status_is_2(run: Any, home: Home) -> None:
    add(home, "work", '[[rule]]\nmatch = { input-tokens-gt = "100k" }\nto = "antropic"\n[default]\nto = "groq"\n')
    add(home, "other", "[[rule]\n")
    result = run("check")
    assert result.exit_code == 2
    assert (
        'profiles/work/routing.toml:2: rule[0].match.input-tokens-gt: expected a whole number, got "100k"'
        in result.stdout
    )
    assert "profiles/work/routing.toml:3: rule[0].to" in result.stdout
    assert "profiles/other/routing.toml:1" in result.stdout
    assert "Traceback" not in result.output
    assert run("check", "other").stdout.count("work") == 0
    report = json.loads(run("check", "work", "--json").stdout)
    assert report["ok"] is False
    problem = report["profiles"][0]["problems"][0]
    assert {"file", "line", "path", "message", "severity", "text"} == problem.keys()


def test_keys_that_do_nothing_yet_are_warned_of(run: Any, home: Home) -> None:
    add(home, "work", '[default]\nto = "groq"\n[log]\nbodies = "all"\n')
    assert "log.bodies: isn't active yet" in run("check", "work").stdout


@pytest.mark.parametrize(
    ("expect", "facts", "problem"),
    [
        ('expect-rule = "input-tokens-lt → groq"', "{ tokens = 100 }", None),
        ('expect-rule = "input-tokens-lt -> groq"', "{ tokens = 100 }", None),
        ('expect-target = "groq/llama-3.3-70b-versatile"', "{ tokens = 100 }", None),
        ('expect-target = "groq"', "{ tokens = 100 }", None),
        ('expect-target = "groq"', "{ tokens = 5000 }", "expected the target groq, got anthropic/claude-haiku-4-5"),
        ('expect-rule = "tool-use → anthropic"', "{ tokens = 5000 }", 'got "default → anthropic"'),
        ('expect-rule = "x"', "{ tokns = 5000 }", "tokns: unknown fact"),
    ],
)
def test_the_tests_in_a_file_are_run(run: Any, home: Home, expect: str, facts: str, problem: str | None) -> None:
    path = home.profiles / "work" / "routing.toml"
    path.write_text(f'{path.read_text("utf-8")}\n[[test]]\nname = "mine"\nfacts = {facts}\n{expect}\n', "utf-8")
    result = run("check")
    if problem is None:
        assert result.exit_code == 0
        assert result.stdout.endswith("1 test, 0 failed\n")
    else:
        assert result.exit_code == 2
        assert 'profiles/work/routing.toml:20: [[test]] "mine": ' in result.stdout
        assert problem in result.stdout


def test_a_test_may_be_a_captured_request(run: Any, home: Home) -> None:
    path = home.profiles / "work" / "routing.toml"
    (path.parent / "request.json").write_bytes((PAYLOADS / "claude-code-main-turn1.json").read_bytes())
    test = '[[test]]\nrequest = "request.json"\nexpect-rule = "tool-use → anthropic"\n'
    inline = (
        '[[test]]\nrequest = { model = "x", messages = [{ role = "user", content = "hi" }] }\nexpect-target = "groq"\n'
    )
    path.write_text(f"{path.read_text('utf-8')}\n{test}{inline}", "utf-8")
    result = run("check", "work")
    assert result.stdout.endswith("2 tests, 0 failed\n"), result.stdout


def test_verbose_prints_the_address_in_each_format(run: Any, home: Home) -> None:
    add(home, "work", '[providers.anthropic]\nbase-url = "http://127.0.0.1:8787/v1"\n[default]\nto = "anthropic"\n')
    assert "anthropic  anthropic-messages  http://127.0.0.1:8787/v1/messages\n" in run("check", "-v").stdout


def test_wrong_files_of_the_home_come_first(run: Any, home: Home) -> None:
    home.server_file.write_text("[server]\nprot = 1\n")
    result = run("check")
    assert result.exit_code == 2
    assert "router.toml:2: server.prot" in result.stdout
    assert "profiles were not looked at" in result.stdout


def test_no_profile_yet_says_what_to_type(run: Any, home: Home) -> None:
    (home.profiles / "work" / "routing.toml").unlink()
    (home.profiles / "work").rmdir()
    assert "router init" in run("check").stdout


# --- explain ------------------------------------------------------------------------------------------------------


def explained(run: Any, *arguments: str) -> dict[str, Any]:
    result = run("explain", "work", *arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (("--tokens", "1500"), "input-tokens-lt → groq"),
        (("--tokens", "5000"), "default → anthropic"),
        (("--tokens", "150000"), "input-tokens-gt → anthropic"),
        (("--tokens", "150000", "--tools", "3"), "tool-use → anthropic"),
        (("--tools", "Bash,Read"), "tool-use → anthropic"),
        (("--model", "openai:gpt-5", "--tools", "3"), "explicit → openai"),
        (("--fact", "tool-use=true"), "tool-use → anthropic"),
        (("--fact", "tool-use"), "tool-use → anthropic"),
    ],
)
def test_a_described_request_is_decided_as_the_server_would(run: Any, arguments: tuple[str, ...], rule: str) -> None:
    assert explained(run, *arguments)["rule"] == rule


def test_every_rule_and_condition_is_shown_with_the_value_seen(run: Any) -> None:
    text = run("explain", "work", "--tokens", "1500", "--model", "claude-sonnet-4-5").stdout
    assert text.startswith(
        "Profile  work\n"
        "Request  claude-sonnet-4-5, anthropic-messages, other, 1500 tokens\n"
        "\n"
        "  tool-use → anthropic\n"
        "     no  tool-use=true   (saw 0 tools)\n"
        "→ input-tokens-lt → groq\n"
        "    yes  input-tokens-lt 2000   (saw 1500)\n"
    )
    assert "groq/llama-3.3-70b-versatile  input about $0.000885" in text
    assert "key env:GROQ_API_KEY is missing" in text


def test_a_candidate_has_its_address_key_and_estimated_price(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-secret-0123456789")
    found = explained(run, "--tokens", "150000")
    assert [(one["target"], one["rule"]) for one in found["candidates"]] == [
        ("anthropic/claude-sonnet-4-5", "input-tokens-gt → anthropic"),
        ("anthropic/claude-haiku-4-5", "default → anthropic"),
    ]
    assert found["candidates"][:1] == [
        {
            "target": "anthropic/claude-sonnet-4-5",
            "provider": "anthropic",
            "model": "claude-sonnet-4-5",
            "rule": "input-tokens-gt → anthropic",
            "why": None,
            "reason": None,
            "url": "https://api.anthropic.com/v1/messages",
            "api": "anthropic-messages",
            "translated": False,
            "losses": [],
            "problem": None,
            "key": "env:ANTHROPIC_API_KEY",
            "window": 200_000,
            "window_factor": 1.2,
            "window_factor_learned": False,
            "input_tokens": 150000,
            "input_nano_usd": 450_000_000,
            "input_usd": 0.45,
            "instead": [],
            "reserved_nano_usd": None,
            "reserved_usd": None,
        }
    ]
    assert "secret" not in run("explain", "work", "--tokens", "1").output


@pytest.mark.parametrize(
    ("payload", "client"),
    [
        ("claude-code-main-turn1", "claude-code"),
        ("codex-turn1", "codex"),
        ("gemini-cli-turn1", "gemini-cli"),
        ("opencode-chat-turn1", "opencode"),
    ],
)
def test_a_captured_request_brings_its_format_and_client(run: Any, payload: str, client: str) -> None:
    captured = json.loads((PAYLOADS / f"{payload}.json").read_text("utf-8"))
    found = explained(run, "--file", str(PAYLOADS / f"{payload}.json"))
    assert found["rule"] == "tool-use → anthropic"
    assert found["request"]["client"] == client
    assert found["request"]["tokens"] > 1000
    assert found["request"]["model"] == captured["body"].get("model", "gemini-2.5-pro")


def test_a_bare_body_takes_api_and_headers_from_the_options(run: Any, home: Home, tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text(json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello"}]}))
    add(home, "work", '[[rule]]\nmatch = { header = { x-team = "blue*" } }\nto = "openai"\n[default]\nto = "groq"\n')
    assert explained(run, "--file", str(file))["rule"] == "default → groq"
    found = explained(run, "--file", str(file), "--header", "X-Team: blue one", "--api", "anthropic-messages")
    assert found["rule"] == "header → openai"
    assert found["request"]["api"] == "anthropic-messages"
    assert (found["candidates"][0]["api"], found["candidates"][0]["translated"]) == ("openai-responses", True)


@pytest.mark.parametrize(
    ("body", "api"),
    [
        ({"contents": []}, "gemini"),
        ({"input": "hi"}, "openai-responses"),
        ({"messages": [], "system": "x"}, "anthropic-messages"),
        ({"messages": [], "max_tokens": 5}, "anthropic-messages"),
        ({"messages": [], "tools": [{"name": "t", "input_schema": {}}]}, "anthropic-messages"),
        ({"messages": [], "tools": [{"type": "function", "function": {}}], "max_tokens": 5}, "openai-chat"),
        ({"messages": [{"role": "system", "content": "x"}], "max_tokens": 5}, "openai-chat"),
        ({"messages": []}, "openai-chat"),
    ],
)
def test_the_format_of_a_bare_body_is_guessed(body: dict[str, Any], api: str) -> None:
    assert guess_api(body, "it") == api


def test_a_past_request_is_explained_from_its_facts(run: Any, book: Any) -> None:
    facts = {"model": "m", "api": "openai-chat", "client": "codex", "tool_count": 0, "tools": [], "tokens": 1200}
    request_id = book.add(time_ms=1_700_000_000_000, facts=json.dumps(facts))
    found = explained(run, "--request", request_id[:10])
    assert found["rule"] == "input-tokens-lt → groq"
    assert found["candidates"][0]["url"] == "https://api.groq.com/openai/v1/chat/completions"
    without = book.add(time_ms=1_700_000_000_001)
    assert "were not kept" in run("explain", "work", "--request", without).stderr


def test_a_script_is_asked_about_a_whole_request(run: Any, home: Home, tmp_path: Path) -> None:
    folder = add(home, "work", '[routing]\nscript = "route.py"\n[default]\nto = "groq"\n')
    (folder / "route.py").write_text("def route(request, config):\n    return 'openai/gpt-5'\n")
    (folder / "route.py").chmod(0o600)
    file = tmp_path / "request.json"
    file.write_text(json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello"}]}))
    assert explained(run, "--file", str(file))["rule"] == "script → openai"
    result = run("explain", "work", "--tokens", "5")
    assert "only about whole requests" in result.stderr


def test_nobody_taking_a_request_is_said(run: Any, home: Home) -> None:
    add(home, "work", '[[rule]]\nmatch = { tool-use = true }\nto = "groq"\n')
    assert "Refused  no route for model" in run("explain", "work", "--model", "m").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("wrk",), 'did you mean "work"?'),
        (("work", "--fact", "toknes=5"), 'unknown fact; did you mean "tokens"?'),
        (("work", "--tokens", "5", "--request", "ab"), "exclude each other"),
        (("work", "--header", "nonsense"), "expected 'NAME: VALUE'"),
        (("work", "--file", "/nowhere.json"), "does not exist"),
        (("work", "--client", "codex", "--tokens", "many"), "not a valid integer"),
    ],
)
def test_a_wrong_description_is_one_line_and_status_2(run: Any, arguments: tuple[str, ...], said: str) -> None:
    result = run("explain", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "content", ["", "[1]", '{"a": 1}', '{"headers": {}, "body": null}', '{"headers": [], "body": "x"}']
)
def test_a_file_that_is_no_request_says_what_is_expected(run: Any, tmp_path: Path, content: str) -> None:
    file = tmp_path / "request.json"
    file.write_text(content)
    result = run("explain", "work", "--file", str(file))
    assert result.exit_code == 2
    assert "request.json" in result.stderr


# --- init ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Any) -> Home:
    home = Home(tmp_path / "new" / "home")
    monkeypatch.setenv("ROUTER_HOME", str(home.path))
    return home


@pytest.fixture
def presets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "presets"
    (folder / "demo" / "concepts").mkdir(parents=True)
    (folder / "demo" / "routing.toml").write_text('[default]\nto = "demo"\nmodel = "demo-small"\n')
    (folder / "demo" / "concepts" / "cheap.md").write_text("# cheap\nsynonyms:: low cost\n")
    monkeypatch.setattr(making, "presets", lambda: {"demo": folder / "demo"})


@pytest.mark.parametrize(
    "providers", [["anthropic"], ["openai"], ["groq", "anthropic"], ["anthropic", "openai", "gemini"], ["ollama"]]
)
def test_a_first_file_is_right_and_keeps_the_requested_model(run: Any, empty: Home, providers: list[str]) -> None:
    result = run("init", "mine", *(word for provider in providers for word in ("-p", provider)))
    assert result.exit_code == 0
    assert f"Made {empty.profiles / 'mine' / 'routing.toml'} ({' and '.join(providers)})." in result.stdout
    assert "router check mine" in result.stdout
    checked = run("check", "mine")
    assert checked.exit_code == 0, checked.stdout
    assert "0 errors" in checked.stdout
    found = json.loads(run("explain", "mine", "--model", "some-model", "--json").stdout)
    assert found["candidates"][0]["model"] == "some-model"


def test_each_format_goes_to_a_provider_that_speaks_it(run: Any, empty: Home) -> None:
    run("init", "-p", "anthropic", "-p", "openai", "-p", "gemini")
    for api, provider in {"anthropic-messages": "anthropic", "openai-chat": "openai", "gemini": "gemini"}.items():
        found = json.loads(run("explain", "work", "--api", api, "--model", "m", "--json").stdout)
        assert (found["candidates"][0]["provider"], found["candidates"][0]["problem"]) == (provider, None)


def test_the_providers_whose_keys_are_there_are_found(run: Any, empty: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "x")
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    assert "(openai and groq)" in run("init").stdout


def test_a_missing_key_is_named(run: Any, empty: Home) -> None:
    assert "export GROQ_API_KEY=…" in run("init", "-p", "groq").stdout


def test_without_any_key_the_demo_is_made(run: Any, empty: Home, presets: None) -> None:
    assert "(the preset demo)" in run("init", "try").stdout
    folder = empty.profiles / "try"
    assert sorted(path.name for path in folder.rglob("*")) == ["cheap.md", "concepts", "routing.toml"]
    assert run("check", "try").exit_code == 0


def test_the_home_and_its_files_are_the_users_alone(run: Any, empty: Home) -> None:
    run("init", "-p", "groq")
    for path in (empty.path, empty.profiles, empty.profiles / "work", empty.profiles / "work" / "routing.toml"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_what_exists_is_never_overwritten(run: Any, home: Home) -> None:
    path = home.profiles / "work" / "routing.toml"
    before = path.read_text("utf-8")
    result = run("init", "work", "-p", "groq")
    assert result.exit_code == 2
    assert "nothing was changed" in result.stderr
    again = run("init")
    assert again.exit_code == 0
    assert "nothing was changed" in again.stdout
    assert path.read_text("utf-8") == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-p", "antropic"), 'did you mean "anthropic"?'),
        (("--preset", "nothing"), 'there are "demo"'),
        (("--preset", "demo", "-p", "groq"), "exclude each other"),
        (("v1",), "v1"),
        (("../evil",), "lower-case letters"),
    ],
)
def test_wrong_wishes_make_nothing(run: Any, empty: Home, presets: None, arguments: tuple[str, ...], said: str) -> None:
    result = run("init", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not os.path.lexists(empty.profiles)


PRESETS = ["balanced", "cheapest", "demo", "fastest", "local", "quality", "savings"]


def test_all_presets_are_shipped() -> None:
    assert sorted(making.presets()) == PRESETS


@pytest.mark.parametrize("name", [*PRESETS, "quality-first"])
def test_the_shipped_presets_are_right(run: Any, empty: Home, name: str) -> None:
    assert run("init", "--preset", name).exit_code == 0
    checked = json.loads(run("check", name, "--json").stdout)
    assert checked["ok"]
    (profile,) = checked["profiles"]
    assert len(profile["tests"]) >= 2
    # Without keys, that is all there is to say: no unknown model, nothing without effect, no rule that is never chosen.
    assert [p["message"] for p in profile["problems"] if not p["message"].startswith("no key for")] == []


@pytest.mark.skipif(sys.platform != "linux", reason="a file system that knows its case")
def test_a_home_that_cannot_be_made_is_status_2(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_HOME", "/proc/nowhere/home")
    result = run("init", "-p", "groq")
    assert result.exit_code == 2
    assert "can't be made" in result.stderr
