"""`router restart`: the server is another process afterwards, or the same one and the reason is told."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from router.cli import background
from router.cli.places import Places
from router.profile.home import Home
from router.server.supervisor import LAUNCHD_LABEL

pytestmark = pytest.mark.slow


@pytest.fixture
def places(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    """A home whose servers, if any are started, are ended after the test."""
    monkeypatch.setenv("ROUTER_PORT", "0")
    yield Places(home.path)
    background.stop(Places(home.path), now=True)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def status_of(run: Any) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(run("status", "--json").stdout)
    return status


def test_without_a_server_one_is_started(run: Any, places: Places) -> None:
    result = run("restart")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("No router ran. Now one serves http://127.0.0.1:")
    assert status_of(run)["running"]


@pytest.mark.slow
def test_the_new_server_is_as_the_old_one_with_todays_variables(
    run: Any, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiles = places.home.path.with_name("elsewhere")
    places.home.profiles.rename(profiles)
    monkeypatch.delenv("ROUTER_PORT")
    assert run("start", "--port", "0", "--log-level", "warning", "--profiles", str(profiles)).exit_code == 0
    before = status_of(run)
    assert before["profiles"][0]["variables"] == []
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-x")
    result = run("restart")
    assert result.exit_code == 0, result.output
    after = status_of(run)
    assert result.stdout == (
        f"The router serves {before['base_url']} (process {after['pid']} in the place of {before['pid']}).\n"
    )
    assert after["pid"] != before["pid"]
    assert after["arguments"] == before["arguments"]
    assert after["profiles"][0]["variables"] == ["ANTHROPIC_API_KEY"]
    os.waitpid(before["pid"], 0)  # nobody was connected: it has ended
    assert places.home.socket.exists()
    assert Path(places.home.pid_file).read_text() == f"{after['pid']}\n"


@pytest.mark.slow
def test_a_server_of_one_shipped_profile_stays_one(run: Any, places: Places) -> None:
    server = background.spawn(places, "--demo")
    assert server.answer["arguments"] == ["--demo", "--port", "0"]
    assert run("restart").exit_code == 0
    assert [each["profile"] for each in status_of(run)["profiles"]] == ["demo"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        pytest.param("router.toml", "[server]\nport = 'many'\n", "router.toml:2: server.port", id="the server's"),
        pytest.param("profiles/work/routing.toml", "[[[", "profiles/work/routing.toml:1: not valid", id="a profile's"),
    ],
)
def test_wrong_files_leave_the_server_as_it_is(file: str, text: str, told: str, run: Any, places: Places) -> None:
    assert run("start").exit_code == 0
    before = status_of(run)
    (places.home.path / file).write_text(text)
    result = run("restart")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"router: {told}")
    assert "restart was given up" not in result.stderr, "what the old server logs is no part of it"
    assert status_of(run)["pid"] == before["pid"]


@pytest.mark.parametrize(
    ("supervisor", "told"),
    [("systemd", "`systemctl --user restart router`"), ("launchd", f"{LAUNCHD_LABEL}`")],
)
def test_a_supervised_server_is_restarted_by_its_supervisor(
    supervisor: str, told: str, run: Any, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = background.spawn(places)
    supervised = background.ServerStatus.of({**server.answer, "supervisor": supervisor})
    monkeypatch.setattr(background, "running", lambda places: supervised)
    result = run("restart")
    assert result.exit_code == 1
    assert f"{supervisor} runs this router" in result.stderr
    assert told in result.stderr
    assert background.server_pid(places) == server.pid
