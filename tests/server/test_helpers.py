"""Helpers: started in order before requests are served, watched, ended with everything they started."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from router.profile.home import Helper
from router.server import helpers as module
from router.server.helpers import Helpers
from tests.support.process import free_port
from tests.support.serving import Running, serving

PROGRAM = Path(__file__).parents[1] / "support" / "helper_program.py"
pytestmark = pytest.mark.slow


def helper(name: str, *arguments: str, port: int | None = None, **fields: Any) -> Helper:
    """The program of the tests on a free port."""
    port = port or free_port()
    command = (sys.executable, str(PROGRAM), str(port), *arguments)
    return Helper(**{"name": name, "command": command, "port": port, "health_path": "/health", **fields})


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Helpers]:
    (tmp_path / "logs").mkdir()

    def make(**options: Any) -> Helpers:
        environ = {**os.environ, "TEST_KEY": "sk-canary"}
        return Helpers(tmp_path / "logs", tmp_path / "router.helpers", environ=environ, **options)

    return make


@pytest_asyncio.fixture
async def helpers(make: Callable[..., Helpers]) -> AsyncIterator[Helpers]:
    made = make()
    yield made
    await made.close()


def row(helpers: Helpers, name: str) -> dict[str, Any]:
    return next(each for each in helpers.rows() if each["name"] == name)


async def until(holds: Callable[[], object], longest_s: float = 30.0) -> None:
    end = time.monotonic() + longest_s
    while not holds():
        assert time.monotonic() < end, "it never came to it"
        await asyncio.sleep(0.02)


def reap(helpers: Helpers) -> None:
    """What the end of a process does: its children are nobody's any more."""
    for watched in helpers._watched.values():
        assert watched._process is not None
        watched._process.ended()


def alive(pid: int) -> bool:
    return bool(module._begun(pid))


async def test_they_are_started_in_order_and_stopped_in_reverse(
    helpers: Helpers, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "router.server")
    await helpers.use([helper("first", "--ready-after", "0.6"), helper("second")])
    assert [each["state"] for each in helpers.rows()] == ["running", "running"]
    assert helpers.rows()[1]["since_ms"] - helpers.rows()[0]["since_ms"] >= 0
    pids = [each["pid"] for each in helpers.rows()]
    await helpers.close()
    said = [record.getMessage().partition(",")[0] for record in caplog.records]
    assert said == [
        "helper first: started",
        "helper second: started",
        "helper second: stopped",
        "helper first: stopped",
    ]
    assert not any(map(alive, pids))


async def test_the_second_is_started_when_the_first_is_ready(helpers: Helpers) -> None:
    using = asyncio.create_task(helpers.use([helper("first", "--ready-after", "1"), helper("second")]))
    await until(lambda: helpers.rows() and row(helpers, "first")["state"] == "starting")
    assert (row(helpers, "second")["state"], row(helpers, "second")["pid"]) == ("stopped", None)
    await using
    assert row(helpers, "second")["state"] == "running"


async def test_a_providers_key_is_not_among_its_variables_and_its_own_are(helpers: Helpers) -> None:
    await helpers.use([helper("one"), helper("two", env={"TEST_KEY": "mine"})])
    for name, said in (("one", "secret None"), ("two", "secret mine")):
        log = Path(row(helpers, name)["log"])
        assert said in log.read_text()
        assert stat.S_IMODE(log.stat().st_mode) == 0o600


async def test_without_a_port_it_is_passive_and_without_enabled_it_is_left_alone(helpers: Helpers) -> None:
    await helpers.use([Helper("by-hand", ("false",)), helper("off", enabled=False)])
    assert [each["state"] for each in helpers.rows()] == ["passive", "disabled"]
    with pytest.raises(ValueError, match="started by hand"):
        await helpers.start("by-hand")
    with pytest.raises(ValueError, match="router helper enable off"):
        await helpers.start("off")
    with pytest.raises(ValueError, match="no helper other"):
        await helpers.stop("other")
    assert helpers.problem_lines() == []


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"command": ("no-such-program",)}, 'there is no program "no-such-program" on the PATH of the server'),
        ({"command": (sys.executable, "-c", "print('no licence'); exit(3)")}, "it ended with status 3: no licence"),
        ({"command": ("sleep", "60"), "timeout_s": 0.5}, "wasn't ready within 0.5 s"),
        ({"command": (sys.executable, "-c", "import os; os.kill(os.getpid(), 9)")}, "was ended by signal 9"),
        ({"command": ("/",)}, 'there is no program "/"'),
    ],
)  # fmt: skip
async def test_one_that_does_not_start_says_why_and_holds_nobody_up(
    helpers: Helpers, wrong: dict[str, Any], problem: str
) -> None:
    await helpers.use([helper("bad", restart="never", **wrong), helper("good")])
    assert row(helpers, "bad")["state"] == "failed"
    assert row(helpers, "good")["state"] == "running"
    (line,) = helpers.problem_lines()
    assert line.startswith("helper bad: ")
    assert problem in line


async def test_a_file_that_others_may_write_starts_nothing(make: Callable[..., Helpers]) -> None:
    helpers = make(distrust=lambda: "can be written by other users")
    await helpers.use([helper("one", restart="never")])
    assert "can be written by other users" in row(helpers, "one")["problem"]


async def test_a_port_that_is_taken_is_told(helpers: Helpers) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        await helpers.use([helper("one", port=port, health_path=None)])
        assert row(helpers, "one")["state"] == "waiting"
        assert helpers.problem_lines() == [f"helper one: port {port} is taken by another program"]
    await until(lambda: row(helpers, "one")["state"] == "running")
    assert helpers.problem_lines() == []


async def test_one_that_was_started_by_hand_is_left_alone_until_it_ends(helpers: Helpers) -> None:
    one = helper("one")
    by_hand = await asyncio.create_subprocess_exec(*one.command, stdout=asyncio.subprocess.DEVNULL)
    other = Helper("other", ("x",), port=one.port, health_path="/health")
    while not await module.Watched(other, Path("x"), {}, None, module._Clock(), print, lambda: None)._is_ready():
        await asyncio.sleep(0.05)
    await helpers.use([one])
    assert (row(helpers, "one")["state"], row(helpers, "one")["pid"]) == ("passive", None)
    assert helpers.problem_lines() == []
    by_hand.kill()
    await by_hand.wait()
    await until(lambda: row(helpers, "one")["state"] == "running")


async def test_one_that_ends_is_started_again_after_growing_pauses(make: Callable[..., Helpers]) -> None:
    """The clock is that of the test: it only moves when somebody sleeps."""
    now, pauses = 0.0, []

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        if seconds >= module.FIRST_PAUSE_S:
            pauses.append(seconds)
        await asyncio.sleep(0 if len(pauses) < 9 else 600)

    helpers = make(clock=module._Clock(lambda: now, sleep))
    bad = helper("bad", command=("no-such-program",))
    await helpers.use([bad])
    await until(lambda: len(pauses) == 9)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert row(helpers, "bad")["restarts"] == 8
    await helpers.close()


async def test_one_that_ran_for_long_is_started_again_at_once(make: Callable[..., Helpers]) -> None:
    shift = 0.0
    pauses = []

    async def sleep(seconds: float) -> None:
        if seconds >= module.FIRST_PAUSE_S:
            pauses.append(seconds)
        await asyncio.sleep(min(seconds, 0.05))

    helpers = make(clock=module._Clock(lambda: time.monotonic() + shift, sleep))
    await helpers.use([helper("one")])
    for _ in range(2):
        os.kill(row(helpers, "one")["pid"], signal.SIGKILL)
        await until(lambda: row(helpers, "one")["state"] == "waiting")
        await until(lambda: row(helpers, "one")["state"] == "running")
    assert pauses == [1, 2]
    shift += 61
    os.kill(row(helpers, "one")["pid"], signal.SIGKILL)
    await until(lambda: len(pauses) == 3)
    assert pauses == [1, 2, 1]
    await helpers.close()


async def test_with_restart_never_it_stays_ended(helpers: Helpers) -> None:
    await helpers.use([helper("one", "--die-after", "0.5", restart="never")])
    await until(lambda: row(helpers, "one")["state"] == "failed")
    assert "it ended with status 7" in row(helpers, "one")["problem"]
    await helpers.start("one")
    assert row(helpers, "one")["state"] == "running"


@pytest.mark.parametrize("how", ["stop", "crash"])
async def test_nothing_that_it_started_is_left(helpers: Helpers, tmp_path: Path, how: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "STOP_S", 0.5)
    await helpers.use([helper("one", "--grandchild", str(tmp_path / "pid"), restart="never")])
    grandchild = int((tmp_path / "pid").read_text())
    assert alive(grandchild)
    if how == "stop":
        await helpers.stop("one")
    else:
        os.kill(row(helpers, "one")["pid"], signal.SIGKILL)
        await until(lambda: row(helpers, "one")["state"] == "failed")
    assert not alive(grandchild)


async def test_one_that_does_not_obey_is_killed(helpers: Helpers, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "STOP_S", 0.3)
    await helpers.use([helper("one", "--stubborn")])
    pid = row(helpers, "one")["pid"]
    await helpers.stop("one")
    assert not alive(pid)
    assert (row(helpers, "one")["state"], row(helpers, "one")["pid"]) == ("stopped", None)


async def test_a_stop_command_ends_it(helpers: Helpers, tmp_path: Path) -> None:
    stop = ("sh", "-c", f"echo stopping > {tmp_path}/told; kill -9 $(cat {tmp_path}/pid)")
    run = f"echo $$ > {tmp_path}/pid; exec {sys.executable} {PROGRAM} $0 --stubborn"
    port = free_port()
    await helpers.use([helper("one", port=port, command=("sh", "-c", run, str(port)), stop_command=stop)])
    await helpers.stop("one")
    assert (tmp_path / "told").exists()
    assert row(helpers, "one")["state"] == "stopped"


async def test_a_command_that_leaves_something_running_is_watched_by_its_port(helpers: Helpers, tmp_path: Path) -> None:
    """As container tools do it: the command returns, the program lives elsewhere, another command ends it."""
    port = free_port()
    start = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, {str(PROGRAM)!r}, '{port}'], start_new_session=True)\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
    )
    command = (sys.executable, "-c", start)
    stop = ("sh", "-c", f"kill $(cat {tmp_path}/pid)")
    await helpers.use([helper("one", port=port, command=command, stop_command=stop)])
    await until(lambda: row(helpers, "one")["pid"] is None)
    assert row(helpers, "one")["state"] == "running"
    pid = int((tmp_path / "pid").read_text())
    os.kill(pid, signal.SIGKILL)
    await until(lambda: row(helpers, "one")["restarts"] == 1 and row(helpers, "one")["state"] == "running")
    await helpers.stop("one")
    await until(lambda: not alive(int((tmp_path / "pid").read_text())))


async def test_a_new_list_changes_only_what_is_new(helpers: Helpers) -> None:
    one, two, three = helper("one"), helper("two"), helper("three")
    await helpers.use([one, two])
    pids = {each["name"]: each["pid"] for each in helpers.rows()}
    await helpers.use([replace(two, order=1), replace(one, order=2, env={"A": "b"}), three])
    assert [each["name"] for each in helpers.rows()] == ["two", "one", "three"]
    assert row(helpers, "two")["pid"] == pids["two"]
    assert row(helpers, "one")["pid"] != pids["one"]
    await helpers.use([replace(two, enabled=False)])
    assert [(each["name"], each["state"]) for each in helpers.rows()] == [("two", "disabled")]
    assert not any(map(alive, pids.values()))


async def test_one_stopped_by_name_stays_so_until_it_is_started(helpers: Helpers) -> None:
    one = helper("one")
    await helpers.use([one])
    await helpers.stop("one")
    await helpers.use([replace(one, order=3)])
    assert row(helpers, "one")["state"] == "stopped"
    await helpers.restart("one")
    first = row(helpers, "one")["pid"]
    await helpers.restart("one")
    assert row(helpers, "one")["state"] == "running"
    assert row(helpers, "one")["pid"] != first


async def test_another_server_goes_on_watching_what_one_left(make: Callable[..., Helpers], monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "STOP_S", 0.3)
    one = helper("one")
    before, after = make(), make()
    await before.use([one])
    pid = row(before, "one")["pid"]
    before.leave()
    await before.close()
    assert alive(pid)
    await after.use([one])
    assert (row(after, "one")["pid"], row(after, "one")["state"]) == (pid, "running")
    os.kill(pid, signal.SIGKILL)
    await until(lambda: row(after, "one")["restarts"] == 1 and row(after, "one")["state"] == "running")
    await after.close()
    assert row(after, "one")["pid"] is None
    reap(before)


async def test_what_a_killed_server_left_and_nobody_wants_is_ended(
    make: Callable[..., Helpers], monkeypatch: Any
) -> None:
    monkeypatch.setattr(module, "STOP_S", 0.3)
    one = helper("one")
    before, after = make(), make()
    await before.use([one])
    pid = row(before, "one")["pid"]
    before.leave()
    await after.use([])
    assert not alive(pid)
    reap(before)


async def test_a_number_that_is_another_process_by_now_is_left_alone(
    make: Callable[..., Helpers], tmp_path: Path
) -> None:
    other = await asyncio.create_subprocess_exec("sleep", "60", start_new_session=True)
    (tmp_path / "router.helpers").write_text(f'{{"one":{{"pid":{other.pid},"begun":"1","command":["x"]}}}}')
    helpers = make()
    await helpers.use([])
    assert other.returncode is None
    assert alive(other.pid)
    other.kill()
    await other.wait()


async def test_its_log_is_rotated_while_it_writes(helpers: Helpers, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 2000)
    port = free_port()
    chatter = "import sys, time\nprint('x' * 3000, flush=True)\n" + (
        f"import socketserver; s = socketserver.TCPServer(('127.0.0.1', {port}), socketserver.BaseRequestHandler)\n"
        "import threading; threading.Thread(target=s.serve_forever, daemon=True).start()\n"
        "while True: print('later', flush=True); time.sleep(0.05)\n"
    )
    one = Helper("one", (sys.executable, "-c", chatter), port=port)
    await helpers.use([one])
    log = Path(row(helpers, "one")["log"])
    await until(lambda: log.with_name(f"{log.name}.1").exists() and log.read_bytes().startswith(b"later"))
    assert b"xxx" in log.with_name(f"{log.name}.1").read_bytes()


# --- in a server ------------------------------------------------------------------------------------------------------

RULES = '[default]\nto = "demo"\nmodel = "demo-small"\n'
BODY = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}


def table(name: str, port: int, *arguments: str, more: str = "") -> str:
    command = [sys.executable, str(PROGRAM), str(port), *arguments]
    return f'[[helper]]\nname = "{name}"\ncommand = {command}\nport = {port}\nhealth-path = "/health"\n{more}\n'


async def asked(running: Running, url: str) -> Any:
    async with running.session.post(f"{url}/v1/messages", json=BODY) as reply:
        assert reply.status == 200, await reply.text()
        return reply.headers


async def test_a_chain_before_the_router_and_one_behind_it(tmp_path: Path) -> None:
    before, behind = free_port(), free_port()
    async with serving(tmp_path / "far", {"work": RULES}) as far:
        profile = (
            f'[default]\nto = "far"\nmodel = "m"\n[providers.far]\nformats = ["anthropic-messages"]\n'
            f'api-key = "none"\nbase-url = "http://127.0.0.1:{behind}/work"\n'
        )
        settings = table("behind", behind, "--upstream", far.url)
        async with serving(tmp_path / "home", {"work": profile}, settings=settings) as running:
            assert [each["state"] for each in running.app.status()["helpers"]] == ["running"]
            assert (await asked(running, f"{running.url}/work"))["x-router-provider"] == "far"
            (tmp_path / "home" / "router.toml").write_text(settings + table("front", before, "--upstream", running.url))
            await running.app.reload()
            await until(lambda: [each["state"] for each in running.app.status()["helpers"]] == ["running"] * 2)
            assert (await asked(running, f"http://127.0.0.1:{before}/work"))["x-router-provider"] == "far"
            pids = [each["pid"] for each in running.app.status()["helpers"]]
    assert not any(map(alive, pids))
    assert not (tmp_path / "home" / "router.helpers").exists()


async def test_a_helper_that_fails_keeps_nobody_from_being_served(tmp_path: Path) -> None:
    settings = '[[helper]]\nname = "bad"\ncommand = ["no-such-program"]\nport = 1\n'
    async with serving(tmp_path / "home", {"work": RULES}, settings=settings) as running:
        await asked(running, f"{running.url}/work")
        async with running.get("/health") as reply:
            health = await reply.json()
        assert health["status"] == "degraded"
        assert any(line.startswith("helper bad: there is no program") for line in health["problems"])
        assert running.app.status()["problems"] == health["problems"]


async def on_the_socket(running: Running, method: str, path: str) -> Any:
    from router.server.admin import AdminClient

    client = AdminClient(running.app.home.socket)
    call: Awaitable[Any] = asyncio.to_thread(client.call, method, path)
    return await call


async def test_the_admin_socket_starts_and_stops(tmp_path: Path) -> None:
    port = free_port()
    async with serving(tmp_path / "home", {"work": RULES}, settings=table("one", port)) as running:
        (first,) = (await on_the_socket(running, "GET", "/helpers"))["helpers"]
        assert (first["state"], first["port"]) == ("running", port)
        assert (await on_the_socket(running, "POST", "/helpers/one/stop"))["state"] == "stopped"
        assert (await on_the_socket(running, "POST", "/helpers/one/start"))["state"] == "running"
        again = await on_the_socket(running, "POST", "/helpers/one/restart")
        assert again["state"] == "running"
        with pytest.raises(Exception, match="no helper two"):
            await on_the_socket(running, "POST", "/helpers/two/start")
