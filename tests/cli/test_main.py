"""What holds for every command: help with examples, exit statuses, plain output in a pipe, a quick start."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from router import __version__
from router.cli import output
from router.cli.main import COMMANDS, cli
from router.cli.output import Column, Table
from router.errors import AlreadyRunning, ConfigError, LedgerError, ListenError, RouterError
from router.wire.usage import Usage

pytestmark = pytest.mark.sampled(2)

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = (ROOT / "docs" / "commands.md").read_text("utf-8")


def commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command and sub-command with its path."""
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


ALL = [pytest.param(path, command, id=" ".join(path)) for path, command in commands()]


@pytest.mark.parametrize(("path", "command"), ALL)
def test_every_commands_help_has_an_example_and_fits_80_columns(path: tuple[str, ...], command: click.Command) -> None:
    result = CliRunner().invoke(cli, [*path, "--help"], terminal_width=80)
    assert result.exit_code == 0
    assert f"router {' '.join(path)}" in result.output.split("Examples:", 1)[1]
    assert max(map(len, result.output.splitlines())) <= 80


@pytest.mark.parametrize(("path", "command"), ALL)
def test_every_option_says_what_it_does_or_what_it_takes(path: tuple[str, ...], command: click.Command) -> None:
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    assert [option.name for option in options if not (option.help or option.name.startswith("fact_"))] == []


@pytest.mark.parametrize(("path", "command"), ALL)
def test_every_command_and_option_is_documented(path: tuple[str, ...], command: click.Command) -> None:
    assert f"router {' '.join(path)}" in DOCS
    section = DOCS.split(f"## router {path[0]}\n", 1)[1].split("\n## ", 1)[0]
    shown = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    options = [name for parameter in shown for name in parameter.opts if name.startswith("--")]
    common = {"--home", "--json", "--profiles"}
    assert [name for name in options if name not in common and f"`{name}" not in section] == []


def test_the_list_of_commands_says_what_their_help_says() -> None:
    for name, (_, summary) in COMMANDS.items():
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        assert command.name == name
        assert summary.endswith(".")
        assert len(summary) < 66


def test_help_needs_none_of_the_commands_modules_and_starts_at_once() -> None:
    program = (
        "import sys, time; begun = time.perf_counter()\n"
        "from click.testing import CliRunner\n"
        "from router.cli.main import cli\n"
        "result = CliRunner().invoke(cli, ['--help'])\n"
        "assert 'usage' in result.output, result.output\n"
        "print([name for name in sys.modules if name.startswith('router.') and name not in "
        "('router.errors', 'router.cli', 'router.cli.main')])\n"
        "print([name for name in ('aiohttp', 'rich', 'tiktoken', 'msgspec', 'sqlite3') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n[]\n"


def test_the_version(run: Any) -> None:
    assert run("--version").output == f"router {__version__}\n"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RouterError("it failed"), 1),
        (ConfigError("it failed"), 2),
        (LedgerError("it failed"), 3),
        (AlreadyRunning("it failed"), 4),
        (ListenError("it failed"), 5),
        (PermissionError(13, "Permission denied", "/secret"), 1),
        (click.ClickException("it failed"), 1),
        (click.UsageError("it failed"), 2),
    ],
)
def test_an_error_is_one_line_and_the_status_that_fits(
    run: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    @click.command("usage")
    def broken() -> None:
        raise error

    monkeypatch.setattr("router.cli.usage.command", broken)
    result = run("usage")
    assert result.exit_code == status
    assert result.stdout == ""
    assert re.fullmatch(r"router: (it failed|/secret: permission denied).*\n", result.stderr)


def test_an_unknown_command_suggests_the_nearest(run: Any) -> None:
    result = run("usge")
    assert result.exit_code == 2
    assert 'did you mean "usage"?' in result.stderr


@pytest.mark.slow
def test_a_reader_that_has_enough_is_no_error(tmp_path: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -c 'from router.cli.main import main; main()' models --json | head -1",
        shell=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ROUTER_HOME": str(tmp_path)},
    )
    assert done.stdout == "{\n"
    assert done.stderr == ""


FILLED = [
    ("usage",),
    ("usage", "--detail"),
    ("usage", "--by", "day", "--by", "model", "--by", "conversation"),
    ("requests",),
    ("requests", "--failed"),
    ("requests", "show", "0"),
    ("providers",),
    ("providers", "anthropic"),
    ("models", "anthropic"),
    ("models", "--search", "claude"),
    ("prices",),
    ("prices", "anthropic/claude-sonnet-4-5"),
    ("check",),
    ("check", "-v"),
    ("route", "list", "work"),
    ("alias", "list", "work"),
    ("helper", "list"),
    ("explain", "work", "--tokens", "50"),
    ("key", "list"),
    ("env", "work", "--agent", "qwen-code"),
    ("agents",),
    ("status",),
    ("profile", "list"),
    ("profile", "show", "work"),
]


@pytest.fixture
def filled(book: Any) -> None:
    now = time.time_ns() // 1_000_000
    facts = json.dumps({"tokens": 21000, "tools": [f"mcp__tool_number_{n}" for n in range(40)], "thinking": True})
    book.add(
        time_ms=now, usage=Usage(10**6, 10**7, 10**6, 10**6, 10**6, 10**5), cost=123_450_000_000, facts=facts,
        rule="a rule with a rather long name of its own → anthropic", outcome="upstream-error",
        conversation="0b5c3c6e-5d27-4b4e-8d6e-2f4a5f3c1d7e", model="claude-sonnet-4-5-20250929",
    )  # fmt: skip


@pytest.mark.parametrize("arguments", FILLED, ids=" ".join)
def test_output_fits_a_terminal_of_80_columns(
    run: Any, filled: None, terminal: None, arguments: tuple[str, ...]
) -> None:
    lines = run(*arguments).stdout.splitlines()
    assert lines
    assert [line for line in lines if len(line) > 80 and "/" not in line] == []  # an address isn't broken


@pytest.mark.parametrize("arguments", FILLED, ids=" ".join)
def test_output_in_a_pipe_is_plain_and_whole(run: Any, filled: None, arguments: tuple[str, ...]) -> None:
    text = run(*arguments).output
    assert "\x1b" not in text
    assert "…" not in text.replace("rk_…", "")
    assert not set(text) & set("│┃┌┐└┘├┤┼╭╮╰╯━")


@pytest.mark.parametrize("arguments", [a for a in FILLED if "-v" not in a], ids=" ".join)
def test_json_is_one_object(run: Any, filled: None, arguments: tuple[str, ...]) -> None:
    assert isinstance(json.loads(run(*arguments, "--json").stdout), dict)


@pytest.mark.parametrize("no_color", [False, True])
def test_colour_is_for_terminals_that_want_it(
    run: Any, promised_nothing: None, monkeypatch: pytest.MonkeyPatch, no_color: bool
) -> None:
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    result = CliRunner().invoke(cli, ["usage"], prog_name="router", color=True)
    assert ("\x1b[1m" in result.output) is not no_color


@pytest.fixture
def promised_nothing(book: Any) -> None:
    """An empty ledger."""


def test_completion_knows_profiles_rules_models_and_providers(run: Any, home: Any, book: Any) -> None:
    book.add(time_ms=1, rule="an old rule")

    def complete(words: str) -> list[str]:
        last = str(len(words.split(" ")) - 1)
        env = {"_ROUTER_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": last}
        result = CliRunner().invoke(cli, [], prog_name="router", env=env)
        return [line.split(",")[1] for line in result.output.splitlines() if line]

    assert complete("router check ") == ["work"]
    assert complete("router usage --profile w") == ["work"]
    assert complete("router route remove work tool") == ["tool-use → anthropic"]
    assert "tool-use → anthropic" in complete("router requests list work --rule ")
    assert "an old rule" in complete("router requests list work --rule ")
    assert "anthropic/claude-sonnet-4-5" in complete("router prices anthropic/claude-s")
    assert complete("router providers anthr") == ["anthropic"]
    home.providers_file.write_text("nonsense = ")
    assert complete("router prices anthropic/") == []


def test_a_table_gives_up_optional_columns_before_it_cuts_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = [Column("NAME", text=True), Column("WHAT", text=True, optional=True), Column("COUNT")]
    row = ["n" * 30, "w" * 30, "7"]
    monkeypatch.setattr(output, "terminal_width", lambda: 80)
    assert "WHAT" in Table(columns, [row]).header()
    monkeypatch.setattr(output, "terminal_width", lambda: 50)
    assert Table(columns, [row]).line(row) == "n" * 30 + "  7"
    monkeypatch.setattr(output, "terminal_width", lambda: 40)
    assert Table(columns, [["n" * 50, "", "7"]]).line(["n" * 50, "", "7"]) == "n" * 36 + "…  7"


def test_letters_of_two_cells_keep_their_columns_straight() -> None:
    columns = [Column("NAME", text=True), Column("COUNT")]
    table = Table(columns, [["模型", "7"], ["model", "12"]])
    assert [table.line(["模型", "7"]), table.line(["model", "12"])] == ["模型      7", "model    12"]
