"""Limits in the terminal: what a file says, and what became of it since the server started."""

from __future__ import annotations

import contextlib
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from router.cli import background
from router.cli.places import Places
from router.profile.home import Home
from tests.cli.conftest import add_profile

LIMITED = """\
[default]
to = "demo"
model = "demo-small"

[limits]
requests-per-minute = 1
queue = 2

[limits.per-key]
concurrent-requests = 3
"""
BODY = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def limited(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    """A server with a profile ``tight``."""
    monkeypatch.setenv("ROUTER_PORT", "0")
    add_profile(home, "tight", LIMITED)
    places = Places(home.path)
    background.spawn(places)
    yield places
    pid = background.stop(places, now=True)
    if pid is not None:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def ask(places: Places) -> int:
    server = background.status(places)
    assert server is not None
    url = f"{server.base_url}/tight/v1/messages"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(BODY).encode())) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_what_limits_have_refused_stands_below_the_profiles(run: Any, limited: Places) -> None:
    assert run("status").stderr == ""
    assert [ask(limited) for _ in range(3)] == [200, 429, 429]
    assert run("status").stderr == "tight, [limits]: 2 refused by requests-per-minute\n"
    profiles = json.loads(run("status", "--json").stdout)["profiles"]
    assert {each["profile"]: (each["limited"], each["waiting"]) for each in profiles} == {
        "work": ({}, 0),
        "tight": ({"requests-per-minute": 2}, 0),
    }


def test_a_profile_shows_its_limits(run: Any, home: Home) -> None:
    add_profile(home, "tight", LIMITED)
    shown = run("profile", "show", "tight").stdout
    assert "requests-per-minute 1, queue 2\n" in shown
    assert "per key: concurrent-requests 3\n" in shown
    told = json.loads(run("profile", "show", "tight", "--json").stdout)
    assert told["limits"] == {"requests-per-minute": 1, "queue": 2, "per-key": {"concurrent-requests": 3}}
    assert "Limits" not in run("profile", "show", "work").stdout
