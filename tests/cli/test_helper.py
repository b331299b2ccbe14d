"""``router helper``: listed and edited without a server, started and stopped in one."""

from __future__ import annotations

import asyncio
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from router.cli.main import cli
from router.cli.profile_log import follow, last_lines
from router.profile.home import Home
from tests.support.process import free_port
from tests.support.serving import serving

PROGRAM = Path(__file__).parents[1] / "support" / "helper_program.py"
FILE = """\
# Ours.
[server]
port = 8080

# shortens prompts
[[helper]]
name = "first"
command = ["first"]
port = 9001

# writes down
[[helper]]
name = "second"  # here
command = ["second"]
port = 9002
order = 3
enabled = false
[helper.env]
X = "1"

[[helper]]
name = "by-hand"
command = ["third"]
order = 3
"""


@pytest.fixture
def file(home: Home) -> Path:
    home.server_file.write_text(FILE)
    return home.server_file


def test_without_a_server_the_file_is_listed(run: Any, file: Path) -> None:
    assert run("helper", "list").stdout.splitlines() == [
        "HELPER   STATE     PORT  PID  RESTARTS  SINCE  PROBLEM",
        "first    stopped   9001  -           0  -",
        "second   disabled  9002  -           0  -",
        "by-hand  passive   -     -           0  -",
    ]
    rows = json.loads(run("helper", "list", "--json").stdout)["helpers"]
    assert [(row["name"], row["order"], row["restarts"]) for row in rows] == [
        ("first", 0, 0), ("second", 3, 0), ("by-hand", 3, 0),
    ]  # fmt: skip


def test_without_helpers_the_list_says_where_they_belong(run: Any, home: Home) -> None:
    result = run("helper", "list")
    assert result.exit_code == 0
    assert "router.toml" in result.stderr


@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
def test_without_a_server_nothing_is_started_or_stopped(run: Any, file: Path, verb: str) -> None:
    result = run("helper", verb, "first")
    assert result.exit_code == 1
    assert "`router start` starts them" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [("start", "frist"), ("stop", "frist"), ("enable", "frist"), ("disable", "frist"), ("logs", "frist"),
     ("move", "frist", "--before", "second"), ("move", "second", "--before", "frist")],
)  # fmt: skip
def test_an_unknown_helper_is_wrong_usage(run: Any, file: Path, arguments: tuple[str, ...]) -> None:
    result = run("helper", *arguments)
    assert result.exit_code == 2
    assert 'no helper "frist"' in result.stderr
    assert 'did you mean "first"?' in result.stderr


def test_enabled_is_changed_in_place(run: Any, file: Path) -> None:
    assert run("helper", "enable", "second").stdout == "The helper second is enabled in router.toml.\n"
    assert file.read_text() == FILE.replace("enabled = false", "enabled = true")
    run("helper", "disable", "second")
    assert file.read_text() == FILE
    run("helper", "disable", "first")
    assert file.read_text() == FILE.replace("9001\n", "9001\nenabled = false\n")


def test_one_is_moved_with_its_comment_and_gets_the_others_order(run: Any, file: Path) -> None:
    assert run("helper", "move", "by-hand", "--before", "first").exit_code == 0
    tables = tomllib.loads(file.read_text())["helper"]
    assert [(table["name"], table.get("order", 0)) for table in tables] == [("by-hand", 0), ("first", 0), ("second", 3)]
    assert run("helper", "move", "second", "--before", "first").exit_code == 0
    assert file.read_text().index("# writes down") < file.read_text().index("# shortens prompts")
    assert [row["name"] for row in json.loads(run("helper", "list", "--json").stdout)["helpers"]] == [
        "by-hand", "second", "first",
    ]  # fmt: skip


def test_a_wrong_file_is_not_touched(run: Any, file: Path) -> None:
    file.write_text(FILE.replace("9001", '"x"'))
    result = run("helper", "disable", "first")
    assert result.exit_code == 2
    assert "router.toml:9: helper[0].port" in result.stderr


def test_a_log_is_printed(run: Any, file: Path, home: Home) -> None:
    assert "has printed nothing yet" in run("helper", "logs", "first").stderr
    (home.logs / "_helper-first.log").write_text("".join(f"line {number}\n" for number in range(9)))
    assert run("helper", "logs", "first", "--lines", "2").stdout == "line 7\nline 8\n"


@pytest.mark.slow
def test_a_log_that_is_emptied_under_way_is_followed(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("a long first line\n")
    said: list[str] = []
    turns = iter(range(3))

    def going() -> bool:
        turn = next(turns, None)
        if turn == 1:
            log.write_text("anew\n")
        return turn is not None

    follow(log, last_lines(log, 1)[1], said.append, going=going)
    assert said == ["anew"]


@pytest.mark.slow
async def test_a_running_server_follows(tmp_path: Path) -> None:
    port = free_port()
    settings = (
        f'[[helper]]\nname = "one"\ncommand = [{sys.executable!r}, {str(PROGRAM)!r}, "{port}"]\nport = {port}\n'
        '[[helper]]\nname = "bad"\ncommand = ["no-such-program"]\nport = 1\nrestart = "never"\nenabled = false\n'
    )
    async with serving(tmp_path / "home", {"work": '[default]\nto = "demo"\n'}, settings=settings):

        async def command(*arguments: str) -> tuple[int, str]:
            def call() -> tuple[int, str]:
                line = ["helper", *arguments, "--home", str(tmp_path / "home")]
                result = CliRunner().invoke(cli, line, prog_name="router")
                return result.exit_code, result.output

            return await asyncio.to_thread(call)

        assert (await command("stop", "one")) == (0, "one is stopped\n")
        assert (await command("start", "one"))[1].startswith("one is running, process ")
        assert (await command("disable", "one"))[1].endswith("one is disabled\n")
        assert (await command("start", "one")) == (
            1, "router: the helper one is disabled; `router helper enable one` starts it\n"
        )  # fmt: skip
        assert "one is running, process " in (await command("enable", "one"))[1]
        status, said = await command("enable", "bad")
        assert status == 1
        assert 'bad is failed\nrouter: helper bad: there is no program "no-such-program"' in said
        assert "`router helper logs bad`" in said
