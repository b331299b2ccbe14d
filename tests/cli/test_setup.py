"""``router setup``: an agent's settings are changed and put back, whatever stands in them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from router.cli.setup_record import replace
from router.profile.home import Home
from tests.cli.conftest import Run, add_profile

pytestmark = pytest.mark.sampled(2)

BASE = "http://127.0.0.1:8080/work"
WITH_COMMENTS = '// mine\n{\n  "$schema": "https://opencode.ai/config.json", // theirs\n  "autoupdate": false,\n}\n'


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's home; nothing of whoever runs the tests."""
    made = tmp_path / "user"
    made.mkdir()
    monkeypatch.setenv("HOME", str(made))
    for name in ("CLAUDE_CONFIG_DIR", "CODEX_HOME", "XDG_CONFIG_HOME", "QWEN_HOME", "GEMINI_CLI_HOME", "HERMES_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(made)
    return made


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


CASES = [
    pytest.param("claude-code", ".claude/settings.json", "", id="an empty file"),
    pytest.param(
        "claude-code", ".claude/settings.json", '{"env": {"ANTHROPIC_BASE_URL": "http://x"}}', id="a key there"
    ),
    pytest.param("opencode", ".config/opencode/opencode.json", WITH_COMMENTS, id="comments"),
    pytest.param("opencode", ".config/opencode/opencode.jsonc", WITH_COMMENTS, id="the other name"),
    pytest.param("codex", ".codex/config.toml", '# x\r\nmodel = "y" # z\r\n', id="lines as Windows ends them"),
    pytest.param(
        "codex", ".codex/config.toml", 'model_provider = "lab"\n[model_providers.lab]\nname = "l"\n', id="toml"
    ),
    pytest.param("qwen-code", ".qwen/settings.json", '\ufeff{"a": 1}', id="a byte order mark"),
    pytest.param("gemini-cli", ".gemini/.env", "A=b", id="no line end"),
    pytest.param("aider", ".aider.conf.yml", "model: openai/x\n# mine\n", id="yaml"),
]


@pytest.mark.parametrize(("agent", "name", "text"), CASES)
def test_undo_gives_back_every_byte(run: Run, user: Path, agent: str, name: str, text: str) -> None:
    path = write(user / name, text)
    path.chmod(0o640)
    result = run("setup", "work", "--agent", agent)
    assert result.exit_code == 0, result.stderr
    assert f"changed {path}" in result.stdout
    assert BASE in path.read_text("utf-8")
    assert path.stat().st_mode & 0o777 == 0o640
    assert run("setup", "--agent", agent, "--undo").exit_code == 0
    assert path.read_bytes() == text.encode()
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("agent", ["claude-code", "codex", "opencode", "qwen-code", "gemini-cli", "aider"])
def test_a_file_that_was_made_is_for_its_owner_and_is_gone_after_undo(run: Run, user: Path, agent: str) -> None:
    made = json.loads(run("setup", "work", "--agent", agent, "--json").stdout)
    assert made["base_url"] == BASE
    assert made["changed"] == made["files"]
    assert [oct(Path(path).stat().st_mode & 0o777) for path in made["changed"]] == ["0o600"] * len(made["changed"])
    run("setup", "--agent", agent, "--undo")
    assert [path for path in made["files"] if Path(path).exists()] == []


def test_what_others_changed_since_stays(run: Run, user: Path) -> None:
    path = write(user / ".claude/settings.json", '{\n  "env": {"ANTHROPIC_AUTH_TOKEN": "mine"}\n}\n')
    run("setup", "work", "--agent", "claude-code")
    changed = json.loads(path.read_text())
    changed["env"]["ANTHROPIC_BASE_URL"] = "http://elsewhere"
    changed["theme"] = "dark"
    path.write_text(json.dumps(changed))
    result = run("setup", "--agent", "claude-code", "--undo")
    assert json.loads(path.read_text()) == {
        "env": {"ANTHROPIC_AUTH_TOKEN": "mine", "ANTHROPIC_BASE_URL": "http://elsewhere"},
        "theme": "dark",
    }
    assert "env.ANTHROPIC_BASE_URL" in result.stdout


def test_tables_that_were_made_go_where_they_are_empty(run: Run, user: Path) -> None:
    path = write(user / ".claude/settings.json", "{}")
    run("setup", "work", "--agent", "claude-code")
    path.write_text(path.read_text().replace("{", '{ "theme": "dark",', 1))
    run("setup", "--agent", "claude-code", "--undo")
    assert json.loads(path.read_text()) == {"theme": "dark"}


def test_a_second_setup_keeps_what_the_first_one_found(run: Run, home: Home, user: Path) -> None:
    path = write(user / ".claude/settings.json", '{"env": {"ANTHROPIC_BASE_URL": "http://before"}}')
    before = path.read_bytes()
    add_profile(home, "other", '[default]\nto = "anthropic"\n')
    run("setup", "work", "--agent", "claude-code")
    run("setup", "other", "--agent", "claude-code")
    assert "8080/other" in path.read_text()
    assert len(list((home.path / "agents/backups").iterdir())) == 1
    run("setup", "--agent", "claude-code", "--undo")
    assert path.read_bytes() == before


def test_a_setup_that_is_there_already_changes_nothing(run: Run, user: Path) -> None:
    run("setup", "work", "--agent", "codex")
    path = user / ".codex/config.toml"
    before = path.stat().st_mtime_ns
    assert "nothing was changed" in run("setup", "work", "--agent", "codex").stdout
    assert path.stat().st_mtime_ns == before


def test_a_link_is_followed_and_stays(run: Run, user: Path) -> None:
    target = write(user / "dotfiles/claude.json", "{}")
    link = user / ".claude/settings.json"
    link.parent.mkdir()
    link.symlink_to(target)
    run("setup", "work", "--agent", "claude-code")
    assert link.is_symlink()
    assert BASE in target.read_text()
    run("setup", "--agent", "claude-code", "--undo")
    assert link.is_symlink()
    assert target.read_text() == "{}"


def test_a_file_that_is_gone_is_not_made_again(run: Run, user: Path) -> None:
    path = write(user / ".claude/settings.json", '{"a": 1}')
    run("setup", "work", "--agent", "claude-code")
    path.unlink()
    result = run("setup", "--agent", "claude-code", "--undo")
    assert "agents/backups/claude-code-" in result.stdout
    assert not path.exists()


@pytest.mark.parametrize(
    ("agent", "name", "text", "told"),
    [
        (
            "claude-code",
            ".claude/settings.json",
            "{\n  theme: 1\n}",
            "settings.json:2: expected a name in double quotes",
        ),
        ("codex", ".codex/config.toml", "a = 1\nb\n", "config.toml:2: "),
        (
            "aider",
            ".aider.conf.yml",
            "openai-api-base:\n  - x\n",
            ".aider.conf.yml:1: openai-api-base is more than one",
        ),
        ("qwen-code", ".qwen/settings.json", '{"env": 1}', 'settings.json:1: expected an object under "env"'),
    ],
)
def test_a_file_that_is_not_understood_is_left_as_it_is(
    run: Run, user: Path, agent: str, name: str, text: str, told: str
) -> None:
    path = write(user / name, text)
    result = run("setup", "work", "--agent", agent)
    assert result.exit_code == 2
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert path.read_text() == text
    assert run("setup", "--agent", agent, "--undo").exit_code == 2  # nothing was set


def test_all_files_are_changed_or_none(run: Run, user: Path) -> None:
    settings = write(user / ".gemini/settings.json", "{}")
    write(user / ".gemini/.env", "A=b\n").chmod(0o600)
    (user / ".gemini/.env").write_bytes(b"\xff\xfe")
    assert "isn't UTF-8" in run("setup", "work", "--agent", "gemini-cli").stderr
    assert settings.read_text() == "{}"


def test_where_one_file_cant_be_written_none_is_changed(
    run: Run, home: Home, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = write(user / ".gemini/settings.json", "{}")
    write(user / ".gemini/.env", "A=b\n")

    def refuse(path: Path, text: str) -> None:
        if path.name == ".env":
            raise PermissionError(13, "Permission denied", str(path))
        replace(path, text)

    monkeypatch.setattr("router.cli.setup_record.replace", refuse)
    result = run("setup", "work", "--agent", "gemini-cli")
    assert result.exit_code == 1
    assert result.stderr == f"router: {user}/.gemini/.env can't be written: permission denied; nothing was changed\n"
    assert settings.read_text() == "{}"
    assert json.loads((home.path / "agents/setup.json").read_text()) == {}


HERMES = """#!/bin/sh
# hermes config set KEY VALUE
echo "$@" >> "$HOME/asked"
mkdir -p "$HOME/.hermes"
echo "# $3 $4" >> "$HOME/.hermes/config.yaml"
"""


@pytest.fixture
def hermes(user: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = write(user / "bin/hermes", HERMES)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return user / ".hermes/config.yaml"


def test_an_agent_whose_settings_only_it_writes_is_asked_to(run: Run, user: Path, hermes: Path) -> None:
    write(hermes, "model: {}\n")
    assert run("setup", "work", "--agent", "hermes").exit_code == 0
    assert (user / "asked").read_text().splitlines()[:2] == [
        "config set model.provider custom",
        f"config set model.base_url {BASE}/v1",
    ]
    run("setup", "--agent", "hermes", "--undo")
    assert hermes.read_text() == "model: {}\n"


def test_what_only_it_writes_is_not_touched_once_it_was_changed(run: Run, hermes: Path) -> None:
    run("setup", "work", "--agent", "hermes")
    with hermes.open("a") as out:
        out.write("more: 1\n")
    before = hermes.read_text()
    assert "run: hermes config unset model.provider" in run("setup", "--agent", "hermes", "--undo").stdout
    assert hermes.read_text() == before


def test_an_agent_that_has_to_do_it_must_be_there(run: Run, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    result = run("setup", "work", "--agent", "openclaw")
    assert result.exit_code == 2
    assert "npm install -g openclaw" in result.stderr


def test_a_key_that_is_asked_for_is_made_once(run: Run, home: Home, user: Path) -> None:
    add_profile(home, "locked", '[auth]\nkeys = "required"\n[default]\nto = "anthropic"\n')
    first: Any = None
    for _ in range(2):
        run("setup", "locked", "--agent", "claude-code")
        key = json.loads((user / ".claude/settings.json").read_text())["env"]["ANTHROPIC_AUTH_TOKEN"]
        assert key.startswith("rk_")
        assert first in (None, key)
        first = key
    (row,) = json.loads(run("key", "list", "locked", "--json").stdout)["keys"]
    assert row["tail"] == key[-4:]
    run("key", "revoke", row["id"])
    run("setup", "locked", "--agent", "claude-code")
    assert json.loads((user / ".claude/settings.json").read_text())["env"]["ANTHROPIC_AUTH_TOKEN"] != key


def test_a_key_in_a_file_that_others_can_read_is_told(run: Run, home: Home, user: Path) -> None:
    add_profile(home, "locked", '[auth]\nkeys = "required"\n[default]\nto = "anthropic"\n')
    path = write(user / ".claude/settings.json", "{}")
    path.chmod(0o644)
    assert f"chmod 600 {path}" in run("setup", "locked", "--agent", "claude-code").stderr
    assert "chmod" not in run("setup", "work", "--agent", "claude-code").stderr


def test_without_home_the_users_folder_is_meant(
    run: Run, user: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda path: str(path).replace("~", str(user)))
    run("setup", "work", "--agent", "codex", "--home", str(home.path))
    assert (user / ".codex/config.toml").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["setup"], "which profile?"),
        (["setup", "work"], "which agent?"),
        (["setup", "work", "--agent", "cloude-code"], 'did you mean "claude-code"?'),
        (["setup", "work", "--agent", "sdk"], "no settings of its own"),
        (["setup", "wrok", "--agent", "codex"], 'did you mean "work"?'),
        (["setup", "--agent", "codex", "--undo"], "nothing to undo"),
        (["setup", "--undo"], "which agent?"),
    ],
)
def test_what_is_missing_is_said_in_a_line(run: Run, user: Path, arguments: list[str], told: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1
