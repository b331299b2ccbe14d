"""``router route``: rules listed and edited in place, and taken up by a running server at once."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from router.cli.main import cli
from router.profile.home import Home
from tests.support.serving import serving

RULES = """\
# Ours.
[[rule]]
match = { tool-use = true }
to = "anthropic"
model = "claude-sonnet-4-5"
fallback = "groq/x"

# small ones
[[rule]]
name = "small"
match = "tokens < 2000"
target = "fast"
priority = 5

[[rule]]
name = "unused"
match = {}
targets = ["groq/a", { to = "groq", model = "b" }]
enabled = false

[default]
to = "anthropic"

[aliases]
fast = "groq/x"
"""


@pytest.fixture
def file(home: Home) -> Path:
    path = home.profiles / "work" / "routing.toml"
    path.write_text(RULES)
    return path


def test_rules_are_listed_in_the_order_in_which_they_are_tried(run: Any, file: Path) -> None:
    assert run("route", "list", "work").stdout.splitlines() == [
        "#  RULE                  CONDITION        TARGET                                    PRIORITY",
        "1  small → groq          tokens < 2000    fast                                      5",
        "0  tool-use → anthropic  tool-use = true  anthropic/claude-sonnet-4-5, then groq/x  0",
        "2  unused                always           groq/a, groq/b                            off",
        "   default → anthropic   all others       anthropic",
    ]


def test_the_list_as_json(run: Any, file: Path) -> None:
    found = json.loads(run("route", "list", "work", "--json").stdout)
    assert found["default"] == {"label": "default → anthropic", "target": "anthropic"}
    assert found["rules"][1] == {
        "index": 0, "label": "tool-use → anthropic", "name": None, "condition": "tool-use = true",
        "target": "anthropic/claude-sonnet-4-5", "fallback": ["groq/x"], "priority": 0,
        "enabled": True,
    }  # fmt: skip
    assert [(rule["index"], rule["enabled"]) for rule in found["rules"]] == [(1, True), (0, True), (2, False)]


def test_a_list_of_rules_that_are_off_says_so(run: Any, file: Path) -> None:
    file.write_text(f'[routing]\nrules = "off"\n{RULES}')
    assert "the rules are off" in run("route", "list", "work").stderr


def test_a_rule_is_added_behind_the_others(run: Any, file: Path) -> None:
    result = run("route", "add", "work", "plan", "thinking and not tools > 5", "anthropic", "--priority", "7")
    assert result.exit_code == 0
    assert result.stdout == "Added the rule plan → anthropic in profiles/work/routing.toml; no server runs.\n"
    block = '[[rule]]\nname = "plan"\nmatch = "thinking and not tools > 5"\nto = "anthropic"\npriority = 7\n\n'
    assert file.read_text() == RULES.replace("[default]", f"{block}[default]")
    assert run("route", "list", "work").stdout.splitlines()[1].split()[:4] == ["3", "plan", "→", "anthropic"]
    assert run("route", "remove", "work", "plan").exit_code == 0
    assert file.read_text() == RULES


@pytest.mark.parametrize(
    ("target", "line"), [("groq", 'to = "groq"'), ("groq/x", 'target = "groq/x"'), ("fast", 'target = "fast"')]
)
def test_a_target_is_a_model_an_alias_or_a_provider(run: Any, file: Path, target: str, line: str) -> None:
    assert run("route", "add", "work", "new", "stream", target).exit_code == 0
    assert f'match = "stream"\n{line}\n' in file.read_text()


def test_an_unknown_model_is_a_warning(run: Any, file: Path) -> None:
    result = run("route", "add", "work", "fast", "tokens < 2000", "minimax/claude-3-sonnet", "--priority", "5")
    assert result.exit_code == 0
    assert 'unknown model "claude-3-sonnet" at minimax' in result.stderr
    assert 'target = "minimax/claude-3-sonnet"' in file.read_text()


def test_a_warning_that_was_there_is_not_repeated(run: Any, file: Path) -> None:
    run("route", "add", "work", "first", "stream", "groq/no-such-model")
    assert "warning" not in run("route", "move", "work", "first", "--before", "small").stderr


def test_a_rule_that_is_never_chosen_is_warned_of(run: Any, file: Path) -> None:
    run("route", "add", "work", "all", "always", "groq")
    assert "is never chosen" in run("route", "add", "work", "late", "stream", "groq").stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "wrk", "x", "stream", "groq"), 'no profile "wrk"'),
        (("add", "work", "small", "stream", "groq"), 'has a rule "small" already: tokens < 2000 → fast'),
        (("add", "work", "x", "tokens <", "groq"), "column 9: expected a value"),
        (("add", "work", "x", "tokns < 5", "groq"), 'unknown condition; did you mean "max-tokens-lt"?'),
        (("add", "work", "x", "stream", "gruq/x"), 'unknown provider "gruq"; did you mean "groq"?'),
        (("add", "work", "x", "stream", "fats"), 'neither provider/model nor an alias; did you mean "fast"?'),
        (("add", "work", "x", "stream", "groq", "--priority", "9999999"), "priority"),
        (("add", "work", "x\ny", "stream", "groq"), "one line of ordinary text"),
        (("remove", "work", "smal"), 'no rule "smal"; did you mean "small"?'),
        (("remove", "work", "7"), 'no rule "7"'),
        (("move", "work", "small"), "--before"),
        (("move", "work", "small", "--before", "small"), "before itself"),
        (("list", "wrk"), 'did you mean "work"?'),
    ],
)
@pytest.mark.slow
def test_what_would_be_wrong_is_not_written(run: Any, file: Path, arguments: tuple[str, ...], said: str) -> None:
    result = run("route", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""
    assert file.read_text() == RULES


def test_removing_takes_the_comments_along(run: Any, file: Path) -> None:
    assert run("route", "remove", "work", "small -> groq").exit_code == 0
    assert "# small ones" not in file.read_text()
    assert file.read_text().startswith("# Ours.\n[[rule]]\n")


def test_a_wrong_rule_can_be_removed(run: Any, file: Path) -> None:
    file.write_text(RULES.replace("tool-use", "tool-usage"))
    assert run("route", "list", "work").exit_code == 2
    assert run("route", "add", "work", "x", "stream", "groq").exit_code == 2
    assert run("route", "remove", "work", "rule[0]").exit_code == 0
    assert run("route", "list", "work").exit_code == 0


def test_an_alias_that_is_used_stays(run: Any, file: Path) -> None:
    result = run("alias", "remove", "work", "fast")
    assert result.exit_code == 2
    assert "rule[1].target" in result.stderr
    assert file.read_text() == RULES


def test_moving_says_when_priorities_decide(run: Any, file: Path) -> None:
    result = run("route", "move", "work", "small", "--before", "tool-use")
    assert result.exit_code == 0
    assert "their priorities still decide first: 5 and 0" in result.stderr
    assert file.read_text().index("# small ones") < file.read_text().index("# Ours.")
    assert run("route", "move", "work", "0", "--before", "unused").exit_code == 0
    assert file.read_text() == RULES


def test_a_folder_of_profiles_elsewhere(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "mine" / "team" / "routing.toml"
    file.parent.mkdir(parents=True)
    file.write_text('[default]\nto = "groq"\n')
    result = run("route", "add", "team", "x", "stream", "groq", "--profiles", str(tmp_path / "mine"))
    assert result.stdout.startswith("Added the rule x → groq in mine/team/routing.toml;")


@pytest.mark.slow
async def test_a_running_server_takes_every_change_up_at_once(tmp_path: Path) -> None:
    rules = '# kept\n[default]\nto = "demo"\nmodel = "demo-small"\n'
    body = {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "hello"}]}
    async with serving(tmp_path / "home", {"work": rules}) as running:

        def command(*arguments: str) -> str:
            result = CliRunner().invoke(cli, [*arguments, "--home", str(tmp_path / "home")], prog_name="router")
            assert result.exit_code == 0, result.output
            return result.stdout

        async def rule() -> str:
            async with running.post("/work/v1/messages", json=body) as reply:
                assert reply.status == 200
                return str(reply.headers["x-router-rule"])

        done = asyncio.Event()

        async def ask() -> set[str]:
            seen = set()
            while not done.is_set():
                seen.add(await rule())
            return seen

        asking = asyncio.create_task(ask())
        for number in range(50):
            said = await asyncio.to_thread(command, "route", "add", "work", f"r{number}", "messages < 5", "demo")
            assert said.endswith("; the server uses it from now on.\n")
            assert await rule() == f"r{number} -> demo"
            await asyncio.to_thread(command, "route", "remove", "work", f"r{number}")
            assert await rule() == "default -> demo"
        done.set()
        assert len(await asking) > 2
        assert (tmp_path / "home" / "profiles" / "work" / "routing.toml").read_text() == rules


async def test_what_the_server_makes_of_it_is_told(tmp_path: Path) -> None:
    rules = '[default]\nto = "demo"\n[aliases]\nx = "demo"\n'
    async with serving(tmp_path / "home", {"work": rules}):

        def command(*arguments: str) -> str:
            return CliRunner().invoke(cli, [*arguments, "--home", str(tmp_path / "home")], prog_name="router").output

        (tmp_path / "other" / "team").mkdir(parents=True)
        (tmp_path / "other" / "team" / "routing.toml").write_text(rules)
        said = await asyncio.to_thread(
            command, "alias", "set", "team", "x", "groq", "--profiles", str(tmp_path / "other")
        )
        assert "the running server doesn't serve this profile" in said
