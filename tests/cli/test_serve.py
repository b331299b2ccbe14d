"""``router serve``: what the command line hands to the server, and what it says when it is ready."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from router.cli import serve
from router.errors import ListenError
from router.profile.home import Home
from router.server import app
from router.server.app import ServeOptions


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[ServeOptions]:
    """The options of each server that was asked for; none is started."""
    options: list[ServeOptions] = []
    monkeypatch.setattr(app, "run", lambda given, on_ready: options.append(given) or 0)
    return options


def test_nothing_said_leaves_everything_to_the_files(run: Any, served: list[ServeOptions], home: Home) -> None:
    assert run("serve").exit_code == 0
    assert served == [ServeOptions(home.path)]


def test_options_and_variables_reach_the_server(
    run: Any, served: list[ServeOptions], home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTER_HOST", "0.0.0.0")
    monkeypatch.setenv("ROUTER_PORT", "9000")
    run("serve", "--log-level", "debug")
    run("serve", "--port", "0", "--host", "::1", "--profiles", str(home.profiles))
    assert served == [
        ServeOptions(home.path, host="0.0.0.0", port=9000, log_level="debug"),
        ServeOptions(home.path, host="::1", port=0, profiles=home.profiles),
    ]


def test_the_demo_is_the_shipped_profile(run: Any, served: list[ServeOptions]) -> None:
    run("serve", "--demo")
    folder = served[0].profiles
    assert isinstance(folder, Path)
    assert (folder / "demo" / "routing.toml").is_file()
    assert served[0].only == "demo"


def test_an_address_that_is_taken_is_status_5(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(options: ServeOptions, on_ready: object) -> int:
        raise ListenError("can't listen on 127.0.0.1:8080: address already in use")

    monkeypatch.setattr(app, "run", taken)
    result = run("serve")
    assert result.exit_code == 5
    assert result.stderr == "router: can't listen on 127.0.0.1:8080: address already in use\n"


def greeting(capsys: pytest.CaptureFixture[str], *profiles: dict[str, object]) -> str:
    status = {"version": "1", "base_url": "http://127.0.0.1:8080", "home": "/h", "profiles": list(profiles)}
    serve._greet(SimpleNamespace(status=lambda: status))  # type: ignore[arg-type]
    return capsys.readouterr().out


def test_the_greeting_says_where_profiles_are_and_how_to_point_an_agent_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    work = {
        "profile": "work",
        "base_url": "http://127.0.0.1:8080/work",
        "port": 8081,
        "state": "running",
        "problems": [],
    }
    down = {"profile": "bad", "state": "down", "problems": ["profiles/bad/routing.toml:1: wrong"]}
    off = {"profile": "off", "base_url": "http://127.0.0.1:8080/off", "port": None, "state": "disabled", "problems": []}
    text = greeting(capsys, off, work, down)
    assert re.search(r"off +disabled", text)
    assert "http://127.0.0.1:8080/work and port 8081" in text
    assert "ANTHROPIC_BASE_URL=http://127.0.0.1:8080/work" in text
    assert "profiles/bad/routing.toml:1: wrong" in text


def test_without_a_profile_the_greeting_says_what_to_type(capsys: pytest.CaptureFixture[str]) -> None:
    assert "router init work" in greeting(capsys)
