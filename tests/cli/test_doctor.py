"""``router doctor``: each thing that can be wrong is found, and named with what to do."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from router.cli import doctor
from router.cli.main import cli
from router.cli.port_owner import owner_of, why_taken
from router.profile.home import Home
from tests.support.process import free_port
from tests.support.serving import serving
from tests.support.tls import write_tls

Found = Callable[..., dict[str, list[str]]]


@pytest.fixture(autouse=True)
def no_agents(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A PATH with nothing on it, and the home of somebody without agents."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    monkeypatch.setenv("ROUTER_PORT", str(free_port()))
    return programs


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def lab(port: int, key: str = "none") -> str:
    return (
        f'[default]\nto = "lab"\n[providers.lab]\nformats = ["openai-chat"]\nbase-url = "http://127.0.0.1:{port}/v1"\n'
        f'api-key = "{key}"\n'
    )


@pytest.fixture
def found(run: Any, home: Home) -> Found:
    """What the doctor says, by rank, each as ``about: text``; the status fits it."""

    def find(rules: str) -> dict[str, list[str]]:
        (home.profiles / "work" / "routing.toml").write_text(rules)
        result = run("doctor", "--json")
        told = json.loads(result.stdout)
        ranks: dict[str, list[str]] = {"ok": [], "warning": [], "problem": []}
        for finding in told["findings"]:
            ranks[finding["rank"]].append(f"{finding['about']}: {finding['text']}")
        assert told["ok"] is (not ranks["problem"])
        assert result.exit_code == (0 if told["ok"] else 1)
        return ranks

    return find


def test_where_all_is_well_it_says_so(found: Found, listening: int, run: Any) -> None:
    ranks = found(lab(listening))
    assert ranks["problem"] == []
    assert [text.partition(":")[0] for text in ranks["ok"]] == [
        "version",
        "modes",
        "files",
        "ports",
        "prices",
        "providers",
    ]
    assert run("doctor").stdout.endswith("Nothing is wrong.\n")


def test_a_provider_that_is_down_is_named(found: Found) -> None:
    port = free_port()
    (problem,) = found(lab(port))["problem"]
    assert problem.startswith(f"providers: lab: http://127.0.0.1:{port} can't be reached: ")
    assert "refused" in problem


@pytest.mark.slow
def test_a_provider_that_does_not_answer_is_given_up(found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CONNECT_S", 0.2)
    with socket.socket() as full:  # takes no connection: nobody accepts, and no more may wait
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        (problem,) = found(lab(port))["problem"]
        for each in waiting:
            each.close()
    assert "no connection within 0.2 s" in problem


def test_a_certificate_that_is_not_trusted_is_told(found: Found, tmp_path: Path) -> None:
    tls = write_tls(tmp_path)

    async def look() -> str | None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tls.cert, tls.key)
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await doctor._connection_problem(f"https://127.0.0.1:{port}", None)

    assert "its certificate isn't trusted" in (asyncio.run(look()) or "")


def test_a_missing_key_is_named(found: Found, listening: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = lab(listening, "env:LAB_KEY")
    assert found(rules)["problem"] == ["keys: work: no key for lab: set LAB_KEY"]
    monkeypatch.setenv("LAB_KEY", "x")
    assert found(rules)["problem"] == []


def test_modes_that_let_others_in_are_told_with_the_command(found: Found, listening: int, home: Home) -> None:
    dotenv = home.profiles / "work" / ".env"
    dotenv.write_text("A=b\n")
    dotenv.chmod(0o644)
    home.path.chmod(0o755)
    assert found(lab(listening))["problem"] == [
        f"modes: {home.path} is open to other users (0755): run chmod 700 {home.path}",
        f"modes: {dotenv} is open to other users (0644): run chmod 600 {dotenv}",
    ]


def test_a_busy_port_is_told_with_who_has_it(
    found: Found, listening: int, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTER_PORT", str(listening))
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        problems = found(f"{lab(listening)}[profile]\nport = {port}\n")["problem"]
    who = f"process {os.getpid()} (" if sys.platform == "linux" else "another program"
    assert [problem.startswith("ports: port ") and who in problem for problem in problems] == [True, True]
    assert problems[0].endswith("the server is to listen there")
    assert problems[1].endswith("the profile work is to listen there")


def test_wrong_files_are_told(found: Found, listening: int, home: Home) -> None:
    assert "unknown provider" in found('[default]\nto = "antropic"\n')["problem"][0]
    home.server_file.write_text("[server]\nport = 'x'\n")
    (problem,) = found(lab(listening))["problem"]
    assert problem.startswith("files: router.toml:2: server.port")


def test_helpers_that_could_not_start_are_told(found: Found, listening: int, home: Home, no_agents: Path) -> None:
    program = no_agents / "there"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    home.server_file.write_text(
        f'[[helper]]\nname = "a"\ncommand = ["nowhere"]\nport = {free_port()}\n'
        f'[[helper]]\nname = "b"\ncommand = ["there"]\nport = {listening}\n'
        f'[[helper]]\nname = "c"\ncommand = ["there"]\nport = {free_port()}\n'
        '[[helper]]\nname = "d"\ncommand = ["nowhere"]\n'
    )
    ranks = found(lab(listening))
    assert ranks["problem"][0] == 'helpers: a: there is no program "nowhere"'
    assert ranks["problem"][1].startswith(f"helpers: b: port {listening} is taken")
    assert len(ranks["problem"]) == 2
    assert "helpers: c can be started" in ranks["ok"]


def test_a_clock_behind_the_ledger_is_told(found: Found, listening: int, home: Home, book: Any) -> None:
    home.database.chmod(0o600)
    book.add(time_ms=time.time_ns() // 1_000_000 + 3_600_000)
    (problem,) = found(lab(listening))["problem"]
    assert problem.startswith("clock: ")


def test_what_a_killed_server_left_is_told(found: Found, listening: int, home: Home) -> None:
    home.pid_file.write_text("1\n")
    assert any("left router.pid" in text for text in found(lab(listening))["warning"])


def test_an_agent_that_goes_elsewhere_is_a_warning(found: Found, listening: int, no_agents: Path) -> None:
    agent = no_agents / "claude"
    agent.write_text("#!/bin/sh\n")
    agent.chmod(0o755)
    ranks = found(lab(listening))
    assert ranks["problem"] == []
    assert any(
        "claude-code doesn't go through the router: `router run NAME -- claude`" in text for text in ranks["warning"]
    )


def test_without_a_profile_the_next_step_is_named(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_HOME", str(tmp_path / "new"))
    result = run("doctor")
    assert result.exit_code == 0
    assert "make one with `router init`" in result.stdout
    assert not (tmp_path / "new").exists()


async def test_a_key_that_only_this_shell_has_is_told(
    tmp_path: Path, listening: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_KEY", "x")
    settings = '[[helper]]\nname = "bad"\ncommand = ["no-such-program"]\nport = 1\n'
    rules = lab(listening, "env:LAB_KEY")
    async with serving(tmp_path / "home", {"work": rules}, environ={}, settings=settings):

        def command() -> str:
            line = ["doctor", "--home", str(tmp_path / "home"), "--json"]
            return CliRunner().invoke(cli, line, prog_name="router").stdout

        told = json.loads(await asyncio.to_thread(command))
    problems = [finding["text"] for finding in told["findings"] if finding["rank"] == "problem"]
    assert problems == [
        'helper bad: there is no program "no-such-program" on the PATH of the server',
        "work: LAB_KEY is set here, but not in the running server: `router restart` gives it this shell's variables",
    ]


def test_a_port_that_nobody_has_is_free(listening: int) -> None:
    assert why_taken("127.0.0.1", free_port()) is None
    assert owner_of(free_port()) is None
    assert "taken by" in (why_taken("127.0.0.1", listening) or "")
    assert "can't be listened on" in (why_taken("192.0.2.1", 80) or "")
