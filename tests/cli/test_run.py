"""``router run`` and ``router env``: what a process is given, and what is said when it can't be."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from router.agents.pointing import Pointing
from router.cli.agents import ago
from router.cli.background import ServerStatus
from router.cli.run import environment
from router.profile.home import Home
from tests.cli.conftest import Run, add_profile

pytestmark = pytest.mark.sampled(2)

BASE = "http://127.0.0.1:8123"
LOCKED = '[profile]\nagent = "codex"\n[auth]\nkeys = "required"\n[default]\nto = "anthropic"\n'


@dataclass
class Became:
    """What a process was replaced by."""

    program: str
    argv: list[str]
    environment: dict[str, str]


@pytest.fixture
def server(home: Home, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Says that a server runs, with these profiles; none is started."""
    rows: dict[str, dict[str, Any]] = {}

    def serve(name: str, **row: Any) -> None:
        rows[name] = {
            "profile": name,
            "reason": None,
            "problems": [],
            "base_url": f"{BASE}/{name}",
            "own_url": None,
        } | row

    def status(*args: Any, **options: Any) -> ServerStatus:
        answer: dict[str, Any] = {"arguments": []}
        return ServerStatus(1, "1", BASE, str(home.path), 0, list(rows.values()), [], answer)

    serve("work")
    monkeypatch.setattr("router.cli.background.ensure_running", status)
    monkeypatch.setattr("router.cli.background.running", status)
    monkeypatch.setattr("router.cli.pointing.make_key", lambda *args: {"id": "1", "key": "rk_made"})
    return serve


@pytest.fixture
def became(server: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Became]:
    """The processes that would have been; programs of all agents are there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("claude", "codex", "opencode", "qwen", "gemini", "hermes", "openclaw", "aider", "thing"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    found: list[Became] = []
    monkeypatch.setattr("router.cli.run._become", lambda *given: found.append(Became(*given)))
    return found


@pytest.mark.parametrize(
    ("words", "argv"),
    [
        (["--", "claude", "-p", "x"], ["claude", "--settings", "{folder}/claude-code.json", "-p", "x"]),
        (["--agent", "claude-code"], ["claude", "--settings", "{folder}/claude-code.json"]),
        (["--agent", "qwen", "--", "-p", "x"], ["qwen", "--auth-type", "openai", "-p", "x"]),
        (["--", "thing", "--agent", "x"], ["thing", "--agent", "x"]),
        (["--", "opencode", "run", "x"], ["opencode", "run", "x"]),
    ],
)
def test_a_command_gets_what_its_agent_needs_before_its_own_words(
    run: Run, home: Home, became: list[Became], words: list[str], argv: list[str]
) -> None:
    result = run("run", "work", *words)
    assert result.exit_code == 0, result.stderr
    (process,) = became
    assert process.argv == [word.replace("{folder}", f"{home.path}/agents/work") for word in argv]
    assert process.program.endswith(f"/bin/{argv[0]}")
    assert BASE in str(process.environment)


def test_the_profiles_agent_is_run_where_no_command_is_given(
    run: Run, home: Home, server: Any, became: list[Became]
) -> None:
    add_profile(home, "locked", LOCKED)
    server("locked")
    run("run", "locked")
    assert became[0].argv[0] == "codex"


def test_a_script_that_starts_an_agent_is_told_what_else_that_needs(run: Run, became: list[Became]) -> None:
    result = run("run", "work", "--agent", "codex", "--", "thing", "x")
    assert became[0].argv == ["thing", "x"]
    assert became[0].environment["ROUTER_CLIENT_KEY"]
    assert "model_provider" in result.stderr


def test_files_for_an_agent_are_for_nobody_else(run: Run, home: Home, became: list[Became]) -> None:
    run("run", "work", "--", "claude")
    file = home.path / "agents/work/claude-code.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert json.loads(file.read_text())["env"]["ANTHROPIC_BASE_URL"] == f"{BASE}/work"


@pytest.mark.parametrize("form", ["two words", "one word", "a file"])
def test_settings_of_ones_own_are_merged(run: Run, home: Home, became: list[Became], tmp_path: Path, form: str) -> None:
    own = '{"model": "opus", "env": {"ANTHROPIC_BASE_URL": "http://elsewhere", "A": "b"}}'
    (tmp_path / "own.json").write_text(own)
    words = {"two words": ["--settings", own], "one word": [f"--settings={own}"], "a file": ["--settings", "own.json"]}
    run("run", "work", "--", "claude", "-c", *words[form], "--", "--settings", "x")
    ours = f"{home.path}/agents/work/claude-code.json"
    assert became[0].argv == ["claude", "--settings", ours, "-c", "--", "--settings", "x"]
    settings = json.loads(Path(ours).read_text())
    assert settings["model"] == "opus"
    assert settings["env"] == {"ANTHROPIC_BASE_URL": f"{BASE}/work", "ANTHROPIC_AUTH_TOKEN": "router", "A": "b"}


def test_settings_of_ones_own_that_cant_be_read_are_told(run: Run, became: list[Became]) -> None:
    result = run("run", "work", "--", "claude", "--settings", "missing.json")
    assert result.exit_code == 2
    assert "--settings missing.json" in result.stderr
    assert became == []


@pytest.mark.parametrize(
    ("given", "key"), [({}, "rk_made"), ({"ROUTER_KEY": "rk_given"}, "rk_given"), ({"MY_KEY": "rk_fixed"}, "rk_fixed")]
)
def test_a_key_is_sent_where_one_is_asked_for(
    run: Run,
    home: Home,
    server: Any,
    became: list[Became],
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, str],
    key: str,
) -> None:
    fixed = '[auth]\nkey = "env:MY_KEY"\n'
    add_profile(home, "locked", LOCKED.replace("[auth]\n", fixed if "MY_KEY" in given else "[auth]\n"))
    server("locked")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    run("run", "locked", "--", "codex")
    assert became[0].environment["ROUTER_CLIENT_KEY"] == key
    assert (home.path / "agents/locked/key").exists() is (key == "rk_made")


def test_no_key_is_made_where_none_is_asked_for(run: Run, home: Home, became: list[Became]) -> None:
    run("run", "work", "--", "codex")
    assert became[0].environment["ROUTER_CLIENT_KEY"] == "router"
    assert not (home.path / "agents/work/key").exists()


@pytest.mark.parametrize(
    ("own", "given"),
    [
        ({}, {}),
        ({"HTTP_PROXY": "http://p"}, {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}),
        ({"https_proxy": "http://p", "no_proxy": "a,b"}, {"NO_PROXY": "127.0.0.1", "no_proxy": "a,b,127.0.0.1"}),
        ({"https_proxy": "http://p", "NO_PROXY": "127.0.0.1"}, {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}),
    ],
)
def test_a_proxy_is_not_asked_for_the_router(own: dict[str, str], given: dict[str, str]) -> None:
    made = environment(Pointing({"A": "b"}, unset=("C",)), f"{BASE}/work", own | {"C": "d"})
    assert made == own | {"A": "b"} | given


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "work"], "what is to be run? For example `router run work -- claude`"),
        (["run", "wrok", "--", "claude"], 'did you mean "work"?'),
        (["run", "work", "--", "nothing-here"], "nothing-here isn't installed, or not on the PATH"),
        (["run", "work", "--agent", "cluade"], 'did you mean "claude"?'),
        (["run", "work", "--agent", "sdk"], "has no program of its own"),
        (["run", "work", "--", "openclaw"], "`router setup work"),
        (["env", "work", "--agent", "openclaw"], "`router setup work"),
        (["env", "work", "--shell", "tcsh"], "bash"),
    ],
)
def test_what_is_missing_is_said_in_a_line(run: Run, became: list[Became], arguments: list[str], told: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert became == []


def test_an_agent_that_isnt_there_is_told_how_to_get(
    run: Run, became: list[Became], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    result = run("run", "work", "--", "gemini")
    assert result.exit_code == 2
    assert "npm install -g @google/gemini-cli" in result.stderr


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"reason": "profile work is stopped"}, "profile work is stopped"),
        ({"base_url": None, "problems": ["routing.toml:3: wrong"]}, "routing.toml:3: wrong"),
    ],
)
def test_a_profile_that_isnt_served_is_told_with_the_reason(
    run: Run, server: Any, became: list[Became], row: dict[str, Any], told: str
) -> None:
    server("work", **row)
    result = run("run", "work", "--", "claude")
    assert result.exit_code == 1
    assert told in result.stderr
    assert became == []


HELPERS = '[[helper]]\nname = "before"\ncommand = ["x"]\nport = 8787\n[[helper]]\nname = "portless"\ncommand = ["x"]\n'


@pytest.mark.parametrize(
    ("front", "told"),
    [
        ("before", None),
        ("portless", 'the helper "portless", which is to stand before chained, has no port'),
        ("nobody", 'the helper "nobody", which is to stand before chained, isn\'t in router.toml'),
    ],
)
def test_agents_go_to_the_helper_that_stands_before_a_profile(
    run: Run, home: Home, server: Any, became: list[Became], front: str, told: str | None
) -> None:
    home.server_file.write_text(HELPERS)
    add_profile(home, "chained", f'[profile]\nfront = "{front}"\n[default]\nto = "anthropic"\n')
    server("chained")
    result = run("run", "chained", "--", "thing")
    if told is None:
        assert became[0].environment["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:8787"
    else:
        assert (result.exit_code, became) == (2, [])
        assert told in result.stderr


def test_a_helper_that_failed_is_told_before_an_agent_runs_into_it(
    run: Run, home: Home, server: Any, became: list[Became], monkeypatch: pytest.MonkeyPatch
) -> None:
    home.server_file.write_text(HELPERS)
    add_profile(home, "chained", '[profile]\nfront = "before"\n[default]\nto = "anthropic"\n')
    row = {"profile": "chained", "reason": None, "problems": [], "base_url": f"{BASE}/chained", "own_url": None}
    helper = {"name": "before", "state": "failed", "problem": "port 8787 is taken"}
    status = ServerStatus(1, "1", BASE, str(home.path), 0, [row], [], {"arguments": [], "helpers": [helper]})
    monkeypatch.setattr("router.cli.background.ensure_running", lambda *args, **options: status)
    result = run("run", "chained", "--", "thing")
    assert (result.exit_code, became) == (1, [])
    assert "the helper before, which stands before chained, is failed: port 8787 is taken" in result.stderr


def test_variables_are_printed_for_a_shell(run: Run, became: list[Became]) -> None:
    lines = run("env", "work", "--agent", "gemini-cli", "--shell", "fish").stdout.splitlines()
    assert f"set -gx GOOGLE_GEMINI_BASE_URL {BASE}/work" in lines
    lines = run("env", "work").stdout.splitlines()
    assert f"export OPENAI_BASE_URL={BASE}/work/v1" in lines


@pytest.mark.parametrize(
    ("shell", "word"), [("/usr/bin/fish", "set -gx "), ("/bin/zsh", "export "), ("/bin/tcsh", "export ")]
)
def test_the_shell_is_ones_own(
    run: Run, became: list[Became], monkeypatch: pytest.MonkeyPatch, shell: str, word: str
) -> None:
    monkeypatch.setenv("SHELL", shell)
    assert all(line.startswith(word) for line in run("env", "work").stdout.splitlines())


def test_what_variables_cant_say_is_a_comment(run: Run, home: Home, became: list[Became]) -> None:
    last = run("env", "work", "--agent", "claude-code").stdout.splitlines()[-1]
    assert last == f"# and start it with: claude --settings {home.path}/agents/work/claude-code.json"
    told = json.loads(run("env", "work", "--agent", "codex", "--json").stdout)
    assert told["arguments"][0] == "-c"
    assert told["base_url"] == f"{BASE}/work"


def test_without_a_server_the_next_ones_address_is_meant(
    run: Run, home: Home, became: list[Became], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.cli.background.running", lambda places: None)
    home.server_file.write_text('[server]\nhost = "0.0.0.0"\nport = 9000\n')
    result = run("env", "work", "--json")
    assert json.loads(result.stdout)["base_url"] == "http://127.0.0.1:9000/work"
    assert json.loads(result.stdout)["environment"]["ANTHROPIC_API_KEY"] == "rk_made"  # others can connect
    monkeypatch.setenv("ROUTER_HOST", "::1")
    monkeypatch.setenv("ROUTER_PORT", "9001")
    result = run("env", "work")
    assert "http://[::1]:9001/work" in result.stdout
    assert "router start" in result.stderr


@pytest.mark.parametrize(
    ("minutes", "told"), [(-3, "now"), (0, "now"), (59, "59m ago"), (60, "1h ago"), (2879, "47h ago"), (2880, "2d ago")]
)
def test_how_long_ago(minutes: int, told: str) -> None:
    assert ago(10**9, 10**9 + minutes * 60_000) == told


def test_agents_are_listed_with_where_they_go(
    run: Run, home: Home, became: list[Became], book: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.add(time_ms=1_700_000_000_000, client="codex")
    book.add(time_ms=1_700_000_100_000, client="codex")
    (tmp_path / ".claude").mkdir()
    settings = {"env": {"ANTHROPIC_BASE_URL": f"{BASE}/work/"}}
    (tmp_path / ".claude/settings.json").write_text(json.dumps(settings))
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:8123/works/v1")
    (Path(os.environ["PATH"]) / "aider").unlink()
    rows = {row["agent"]: row for row in json.loads(run("agents", "--json").stdout)["agents"]}
    assert rows["claude-code"]["profile"] == "work"
    assert rows["codex"]["last_seen"] == "2023-11-14T22:15:00+00:00"
    assert rows["aider"]["command"] is None
    table = run("agents")
    assert "bypasses the router (127.0.0.1:8123)" in table.stdout  # another name begins alike
    assert "bypasses the router (its vendor)" in table.stdout
    assert "not installed" in table.stdout
    assert "not through the router: codex, opencode, qwen-code, gemini-cli, hermes, openclaw;" in table.stderr
