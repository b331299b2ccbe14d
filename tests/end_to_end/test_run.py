"""``router run`` with a program in an agent's place: its status, its signals and its terminal are the command's."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.process import REPOSITORY
from tests.support.serving import ENVIRON

pytestmark = pytest.mark.slow

ROUTER = (sys.executable, "-m", "router.cli")
AGENT = f"""#!{sys.executable}
import json, os, signal, sys, time
told = {{"argv": sys.argv[1:], "environment": dict(os.environ), "pid": os.getpid(), "tty": os.isatty(0)}}
open(os.environ["TOLD"], "w").write(json.dumps(told))
if "wait" in sys.argv:
    print("waiting", flush=True)
    time.sleep(60)
print("done", flush=True)
sys.exit(7)
"""


class World:
    """A home with a demo profile that asks for a key, and a ``claude`` on the PATH."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.told_path = folder / "told.json"
        profile = self.home / "profiles/work"
        profile.mkdir(parents=True)
        self.home.chmod(0o700)
        (profile / "routing.toml").write_text(
            '[auth]\nkeys = "required"\n[default]\nto = "demo"\nmodel = "demo-small"\n'
        )
        program = folder / "bin/claude"
        program.parent.mkdir()
        program.write_text(AGENT)
        program.chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ROUTER_", "ANTHROPIC_"))}
        self.environ = kept | ENVIRON | {
            "ROUTER_HOME": str(self.home), "ROUTER_PORT": "0", "PYTHONPATH": str(REPOSITORY), "HOME": str(folder),
            "PATH": f"{program.parent}:{os.environ['PATH']}", "TOLD": str(self.told_path),
        }  # fmt: skip

    def router(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*ROUTER, *words], env=self.environ, capture_output=True, text=True, check=False)

    def told(self) -> dict[str, object]:
        for _ in range(600):
            if self.told_path.exists() and (text := self.told_path.read_text()):
                found: dict[str, object] = json.loads(text)
                return found
            time.sleep(0.05)
        raise AssertionError("the agent wasn't started")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    stopped = made.router("stop", "--now")
    assert stopped.returncode == 0, stopped.stderr


def test_the_server_is_started_and_the_status_is_the_agents(world: World) -> None:
    done = world.router("run", "work", "--", "claude", "-p", "two words")
    assert (done.returncode, done.stdout) == (7, "done\n")
    assert "started the router in the background" in done.stderr
    told = world.told()
    assert told["argv"] == ["--settings", f"{world.home}/agents/work/claude-code.json", "-p", "two words"]
    again = world.router("run", "work", "--", "claude")
    assert (again.returncode, again.stderr) == (7, "")


def test_a_program_enters_with_what_it_was_given(world: World) -> None:
    call = (
        "import json, os, urllib.request as u\n"
        "body = {'model': 'm', 'max_tokens': 9, 'messages': [{'role': 'user', 'content': 'hi'}]}\n"
        "head = {'x-api-key': os.environ['ANTHROPIC_API_KEY'], 'content-type': 'application/json'}\n"
        "url = os.environ['ANTHROPIC_BASE_URL'] + '/v1/messages'\n"
        "print(json.load(u.urlopen(u.Request(url, json.dumps(body).encode(), head)))['role'])\n"
    )
    done = world.router("run", "work", "--", sys.executable, "-c", call)
    assert (done.returncode, done.stdout) == (0, "assistant\n"), done.stderr
    assert len(json.loads(world.router("key", "list", "work", "--json").stdout)["keys"]) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_reaches_the_agent_itself(world: World, number: int) -> None:
    process = subprocess.Popen(
        [*ROUTER, "run", "work", "--", "claude", "wait"], env=world.environ, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        told = world.told()
        assert told["pid"] == process.pid  # it has taken the command's place
        process.send_signal(number)
        process.wait(20)
    assert process.returncode == -number
    assert world.router("status").returncode == 0  # the server goes on


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="there is no /proc here")
def test_no_key_stands_on_a_command_line(world: World) -> None:
    with subprocess.Popen([*ROUTER, "run", "work", "--", "claude", "wait"], env=world.environ) as process:
        told = world.told()
        environment = told["environment"]
        assert isinstance(environment, dict)
        key = environment["ANTHROPIC_AUTH_TOKEN"]
        assert key.startswith("rk_")
        assert key not in Path(f"/proc/{process.pid}/cmdline").read_text()
        process.terminate()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc here")
def test_a_program_ignores_no_signal_that_python_ignores(world: World) -> None:
    done = world.router("run", "work", "--", "sh", "-c", "grep SigIgn /proc/$$/status")
    ignored = int(done.stdout.split()[1], 16)
    assert ignored & (1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1)) == 0


def test_control_c_in_a_terminal_ends_the_agent_and_not_the_server(world: World) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [*ROUTER, "run", "work", "--", "claude", "wait"], world.environ)
    try:
        assert world.told()["tty"] is True
        seen = b""
        while b"waiting" not in seen:
            seen += os.read(terminal, 4096)
        os.write(terminal, b"\x03")
        _, status = os.waitpid(pid, 0)
    finally:
        os.close(terminal)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGINT
    assert world.router("status").returncode == 0
