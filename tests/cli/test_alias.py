"""``router alias``: listed, set and removed in place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from router.profile.home import Home

RULES = """\
[default]
to = "anthropic"

[aliases]
# the quick one
fast = "groq/llama-3.3-70b-versatile"  # for titles
"claude-sonnet-4" = { target = "anthropic/claude-haiku-4-5", pin = true, fallback = ["groq/x"] }
old = { to = "groq", model = "y", enabled = false }
"""


@pytest.fixture
def file(home: Home) -> Path:
    path = home.profiles / "work" / "routing.toml"
    path.write_text(RULES)
    return path


def test_aliases_are_listed_with_their_place(run: Any, file: Path) -> None:
    assert run("alias", "list", "work").stdout.splitlines() == [
        "ALIAS            TARGET                                   ORDER",
        "fast             groq/llama-3.3-70b-versatile             after the rules",
        "claude-sonnet-4  anthropic/claude-haiku-4-5, then groq/x  before the rules (pin)",
        "old              groq/y                                   off",
    ]
    found = json.loads(run("alias", "list", "work", "--json").stdout)
    assert found["aliases"][1] == {
        "alias": "claude-sonnet-4", "target": "anthropic/claude-haiku-4-5", "fallback": ["groq/x"], "pin": True,
        "enabled": True,
    }  # fmt: skip


def test_without_aliases_the_list_says_how_to_make_one(run: Any, home: Home) -> None:
    result = run("alias", "list", "work")
    assert result.exit_code == 0
    assert "router alias set work" in result.stderr


def test_an_alias_is_set_and_removed(run: Any, file: Path) -> None:
    result = run("alias", "set", "work", "claude-3-sonnet", "minimax/claude-3-sonnet", "--pin")
    assert result.exit_code == 0
    assert 'unknown model "claude-3-sonnet" at minimax' in result.stderr
    assert file.read_text() == f'{RULES}claude-3-sonnet = {{ target = "minimax/claude-3-sonnet", pin = true }}\n'
    assert run("alias", "remove", "work", "claude-3-sonnet").exit_code == 0
    assert file.read_text() == RULES


def test_setting_it_again_keeps_the_rest(run: Any, file: Path) -> None:
    assert run("alias", "set", "work", "claude-sonnet-4", "fast").exit_code == 0
    assert '{ target = "fast", pin = true, fallback = ["groq/x"] }' in file.read_text()
    assert run("alias", "set", "work", "fast", "groq").exit_code == 0
    assert '# the quick one\nfast = "groq"  # for titles\n' in file.read_text()


def test_the_last_alias_takes_its_table_along(run: Any, home: Home) -> None:
    file = home.profiles / "work" / "routing.toml"
    before = file.read_text()
    run("alias", "set", "work", "one", "groq")
    run("alias", "remove", "work", "one")
    assert file.read_text() == before


def test_an_alias_that_an_always_rule_makes_unreachable_is_warned_of(run: Any, file: Path) -> None:
    file.write_text(f'[[rule]]\nmatch = "always"\nto = "groq"\n{RULES}')
    result = run("alias", "set", "work", "fast", "groq/x")
    assert result.exit_code == 0
    assert "aliases.fast: is never used" in result.stderr
    assert "--pin" in result.stderr
    assert "never used" not in run("alias", "set", "work", "fast", "groq/x", "--pin").stderr
    assert "never used" in run("alias", "set", "work", "fast", "groq/x", "--no-pin").stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("set", "wrk", "x", "groq"), 'no profile "wrk"'),
        (("set", "work", "x", "gruq/x"), 'unknown provider "gruq"'),
        (("set", "work", "fast", "fast"), "goes in a circle"),
        (("set", "work", "a\nb", "groq"), "one line of ordinary text"),
        (("remove", "work", "fats"), 'no alias "fats"; did you mean "fast"?'),
        (("remove", "work", "zzz"), "see `router alias list`"),
    ],
)
def test_what_would_be_wrong_is_not_written(run: Any, file: Path, arguments: tuple[str, ...], said: str) -> None:
    result = run("alias", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert file.read_text() == RULES
