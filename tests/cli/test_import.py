"""``router import``: what is written, and what is said of it."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from router.profile.home import Home

IMPORTS = Path(__file__).resolve().parents[1] / "data" / "imports"
CCR = str(IMPORTS / "claude-code-router-whole.json")
SOURCES = [
    ("claude-code-router", CCR),
    ("litellm", str(IMPORTS / "litellm-whole.yaml")),
    ("ccproxy", str(IMPORTS / "ccproxy" / "ccproxy.yaml")),
]


@pytest.mark.parametrize(("source", "file"), SOURCES, ids=[source for source, _ in SOURCES])
@pytest.mark.slow
def test_an_import_makes_a_profile_whose_tests_hold(run: Any, home: Home, source: str, file: str) -> None:
    result = run("import", source, file)
    assert result.exit_code == 0, result.output
    assert {line.split("  ")[0] for line in result.stdout.splitlines()} >= {"carried", "changed", "left out"}
    assert f"Made {home.profiles / source / 'routing.toml'} from {file}.\n" in result.stdout
    checked = json.loads(run("check", source, "--json").stdout)
    assert checked["ok"]
    assert checked["profiles"][0]["tests"]


def test_keys_go_to_the_dotenv_and_nowhere_else(run: Any, home: Home) -> None:
    result = run("import", "claude-code-router", CCR, "--as", "mine")
    folder = home.profiles / "mine"
    assert "not-a-real-key" in (folder / ".env").read_text("utf-8")
    assert "not-a-real" not in (folder / "routing.toml").read_text("utf-8") + result.output
    assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600
    assert "DEEPSEEK_KEY" in result.stdout


def test_json_has_every_note(run: Any, home: Home) -> None:
    told = json.loads(run("import", "claude-code-router", CCR, "--as", "mine", "--json").stdout)
    assert told["profile"] == "mine"
    assert told["secrets"] == ["ARK_VOLCES_KEY", "CLIENT_KEY", "DEEPSEEK_KEY", "HOUSE_KEY"]
    assert {"kind": "carried", "what": "Router.default", "why": "[default] deepseek/deepseek-chat"} in told["notes"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["claude-code-router", CCR, "--as", "work"], "the profile work exists already", id="it is there"),
        pytest.param(["claude-code-router", CCR, "--as", "Wörk"], "lower-case letters", id="no name"),
        pytest.param(["claude-code-router", "absent.json"], "absent.json does not exist", id="no file"),
        pytest.param(["litellm", CCR], "claude-code-router-whole.json: ", id="another program's file"),
        pytest.param(["portkey", CCR], "portkey", id="an unknown program"),
    ],
)
def test_what_cannot_be_imported_is_one_line_and_nothing_is_written(
    run: Any, home: Home, arguments: list[str], said: str
) -> None:
    before = sorted(home.profiles.iterdir())
    result = run("import", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert sorted(home.profiles.iterdir()) == before


def test_a_profile_that_would_be_wrong_is_not_written(run: Any, home: Home, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text('model_list: [{model_name: "a\\nb", litellm_params: {model: gpt-4o}}]')
    result = run("import", "litellm", str(file))
    assert result.exit_code == 2
    assert "nothing was written" in result.stderr
    assert not (home.profiles / "litellm").exists()
