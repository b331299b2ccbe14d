"""What people type by mistake: one line that says what is wrong and what to do, an exit status, and nothing lost."""

from __future__ import annotations

import os
import shlex
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from router.ledger.lock import HomeLock
from router.profile.home import Home
from tests.cli.conftest import Run

Prepare = Callable[[Home], object]


def as_it_is(home: Home) -> None:
    """Nothing is wrong but what is typed."""


def file(name: str, content: str | bytes, mode: int = 0o600) -> Prepare:
    """A file of the home that is like this."""

    def write(home: Home) -> None:
        path = home.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)

    return write


def rules(content: str) -> Prepare:
    """Another rules file."""
    return file("profiles/work/routing.toml", content)


def no_profiles(home: Home) -> None:
    (home.profiles / "work" / "routing.toml").unlink()
    (home.profiles / "work").rmdir()


def newer_ledger(home: Home) -> None:
    connection = sqlite3.connect(home.database)
    connection.execute("PRAGMA user_version = 999")
    connection.close()


class Case(NamedTuple):
    """``says`` are words of the line; the exit status is 2 for what was typed or stands in a file wrongly."""

    typed: str
    says: tuple[str, ...]
    status: int = 2
    before: Prepare = as_it_is


CASES = [
    Case("chek work", ('did you mean "check"', "router --help")),
    Case("usage --profil work", ("--profil", "router usage --help")),
    Case("explain wrk --tokens 5", ('no profile "wrk"', 'did you mean "work"')),
    Case("explain work", ("no profile", "router init"), before=no_profiles),
    Case("explain work --tokens many", ("many", "router explain --help")),
    Case("explain work --file nowhere.json", ("nowhere.json", "does not exist")),
    Case("init Work", ("lower-case letters",)),
    Case("init models", ("models",)),
    Case("init other -p antropic", ('did you mean "anthropic"', "router providers")),
    Case("init other --preset cheep", ('no preset "cheep"', '"cheapest"')),
    Case("init work -p groq", ("exists already", "nothing was changed")),
    Case("serve --port 99999", ("99999", "65535")),
    Case("serve --port eighty", ("eighty",)),
    Case("serve --host 203.0.113.7 --port 0", ("can't listen on 203.0.113.7", "--host"), 5),
    Case("serve --log-level loud", ("loud", "'debug'")),
    Case("serve --port 0", ("another router", "router stop"), 4),
    Case("serve --port 0", ("router.toml:2", "port"), before=file("router.toml", "[server]\nport = true\n")),
    Case("serve --port 0", ("providers.toml:1",), before=file("providers.toml", "[groq\n")),
    Case("serve --port 0", ("newer router", "update the router"), 3, before=newer_ledger),
    Case("serve --port 0", ("router.db",), 3, before=file("router.db", b"This is no database at all." * 200)),
    Case("check work", ("routing.toml:2",), before=rules('[[rule]]\nmatch = { tool-use = yes }\nto = "groq"\n')),
    Case("check work", ('unknown provider "grok"', "groq"), before=rules('[default]\nto = "grok"\n')),
    Case("check work", ("UTF-8",), before=file("profiles/work/routing.toml", b"\xff\xfe[default]")),
    Case("check work", (".env", "chmod 600"), 0, before=file("profiles/work/.env", "GROQ_API_KEY=x\n", 0o644)),
    Case("route add work cheap 'tokens < lots' groq/x", ("rule[3]", "expected a whole number")),
    Case("route add work cheap 'tokens << 5' groq/x", ("no condition", "expected a value")),
    Case("route add work cheap 'tokens < 5' grok/x", ('unknown provider "grok"', "groq")),
    Case("route remove work cheap", ('no rule "cheap"', "router route list")),
    Case("alias set work fast grok/x", ('unknown provider "grok"', "groq")),
    Case("alias remove work fast", ('no alias "fast"', "router alias list")),
    Case("profile create work -p groq", ("exists already",)),
    Case("profile remove wrk", ('did you mean "work"',)),
    Case("profile enable wrk", ('did you mean "work"',)),
    Case("run wrk -- claude", ('did you mean "work"',)),
    Case("run work -- no-such-agent", ("no-such-agent", "isn't installed")),
    Case("run work --agent claud", ('no agent "claud"', "claude")),
    Case("env work --agent vim", ('no agent "vim"', "claude-code")),
    Case("key create wrk --name alice", ('did you mean "work"',)),
    Case("key revoke 1234", ("no key", "router key list")),
    Case("requests show 1234", ("no request", "router requests")),
    Case("usage --since lately", ("lately", "7d")),
    Case("usage --by colour", ("colour", "'model'")),
    Case("usage --profile wrk", ('did you mean "work"',)),
    Case("usage", ("newer router",), 3, before=newer_ledger),
    Case("models antropic", ('did you mean "anthropic"',)),
    Case("prices anthropic/claude-99", ("claude-99", "router models")),
    Case("breaker reset wrk", ('did you mean "work"',)),
    Case("helper start proxy", ('no helper "proxy"', "router.toml")),
]  # fmt: skip


@pytest.fixture
def in_home(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home.path)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.typed}: {case.says[0]}")
@pytest.mark.sampled(8)
def test_one_line_says_what_to_do(case: Case, run: Run, home: Home, in_home: None) -> None:
    case.before(home)
    kept = {path: path.read_bytes() for path in home.path.rglob("*.toml")}
    if case.status == 4:
        with HomeLock(home.lock):
            result = run(*shlex.split(case.typed))
    else:
        result = run(*shlex.split(case.typed))
    assert result.exit_code == case.status, result.output
    lines = (result.stderr or result.stdout).splitlines()
    assert any(all(words in line for words in case.says) for line in lines), lines
    assert len(lines) <= 3, lines
    assert "Traceback" not in result.output
    assert {path: path.read_bytes() for path in home.path.rglob("*.toml")} == kept


def test_there_are_enough() -> None:
    assert len({case.typed for case in CASES}) >= 30


def test_a_busy_port_is_told_with_who_has_it(run: Run, home: Home) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        result = run("serve", "--port", str(port))
    assert result.exit_code == 5
    assert f"can't listen on 127.0.0.1:{port}" in result.stderr
    assert "--port" in result.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_named(run: Run, home: Home) -> None:
    path: Path = home.profiles / "work" / "routing.toml"
    path.chmod(0)
    result = run("check", "work")
    assert result.exit_code == 2
    assert "routing.toml" in result.output
