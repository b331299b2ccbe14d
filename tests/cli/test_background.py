"""`router start`, `stop` and `status`: real servers in the background, whatever the last one left behind."""

from __future__ import annotations

import contextlib
import json
import os
import plistlib
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from router.cli import background
from router.cli.places import Places
from router.errors import AlreadyRunning, RouterError
from router.ledger.lock import HomeLock, holder
from router.profile.home import Home
from router.server.supervisor import LAUNCHD_LABEL, supervisor
from tests.support.process import free_port
from tests.support.slow import within

pytestmark = pytest.mark.slow


@pytest.fixture
def places(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    """A home whose server, if one is started, is ended after the test."""
    monkeypatch.setenv("ROUTER_PORT", "0")
    yield Places(home.path)
    pid = background.server_pid(Places(home.path))
    if pid is not None:
        os.kill(pid, signal.SIGCONT)
        background.stop(Places(home.path), now=True)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def pid_of(places: Places) -> int:
    found = background.status(places)
    assert found is not None
    return found.pid


def died(pid: int) -> None:
    """Wait for the end of a server that this process started."""
    os.waitpid(pid, 0)


def test_a_server_is_started_shown_left_alone_and_stopped(run: Any, places: Places) -> None:
    before = run("status")
    assert before.exit_code == 1
    assert "No router runs" in before.stdout
    assert "work     -" in before.stdout

    started = run("start")
    assert started.exit_code == 0, started.output
    pid = pid_of(places)
    assert f"process {pid}, log {places.home.server_log}" in started.stdout
    assert os.getsid(pid) == pid, "it is no part of the terminal's session"
    assert Path(f"/proc/{pid}/cwd").resolve() == places.home.path.resolve() or sys.platform != "linux"

    shown = run("status")
    assert shown.exit_code == 0
    assert f"process {pid}" in shown.stdout
    told = json.loads(run("status", "--json").stdout)
    assert (told["running"], told["pid"], told["profiles"][0]["state"]) == (True, pid, "running")

    again = run("start")
    assert (again.exit_code, pid_of(places)) == (0, pid)
    assert "runs already" in again.stdout
    assert "its options stay as they are" in run("start", "--log-level", "debug").stderr

    stopped = run("stop")
    assert (stopped.exit_code, stopped.stdout) == (0, f"Stopped the router (process {pid}).\n")
    died(pid)
    assert not places.home.socket.exists()
    assert not places.home.pid_file.exists()
    nothing = run("stop")
    assert (nothing.exit_code, nothing.stdout) == (0, "No router runs on this home.\n")


def test_what_it_prints_is_the_users_own_and_has_no_requests(places: Places) -> None:
    started = background.spawn(places)
    assert places.home.server_log.stat().st_mode & 0o777 == 0o600
    assert f"router {started.version} on {started.base_url}" in places.home.server_log.read_text()
    assert started.answer["arguments"] == ["--port", "0"]


def wrong_file(places: Places) -> None:
    places.home.server_file.write_text("[server]\nport = 'many'\nhoost = 1\n")


def damaged_ledger(places: Places) -> None:
    places.home.database.write_bytes(b"nonsense" * 1000)


@pytest.mark.parametrize(
    ("spoil", "status", "said"),
    [
        (wrong_file, 2, r'router.toml:2: server.port: expected a whole number, got "many"'),
        (damaged_ledger, 3, "the ledger"),
    ],
)
@pytest.mark.slow
def test_a_server_that_cannot_start_says_why_with_its_own_status(
    run: Any, places: Places, spoil: Any, status: int, said: str
) -> None:
    spoil(places)
    result = run("start")
    assert result.exit_code == status
    assert result.stderr.startswith("router: ")
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert background.server_pid(places) is None


@pytest.mark.slow
def test_a_taken_address_is_status_5(run: Any, places: Places) -> None:
    port = free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        result = run("start", "--port", str(port))
    assert result.exit_code == 5
    assert f"can't listen on 127.0.0.1:{port}: address already in use" in result.stderr


@pytest.mark.slow
def test_a_home_that_a_command_holds_is_status_4(places: Places) -> None:
    with HomeLock(places.home.lock):
        assert holder(places.home.lock) == os.getpid()
        assert background.server_pid(places) is None, "whoever only writes is no server"
        with pytest.raises(AlreadyRunning, match=f"process {os.getpid()}"):
            background.spawn(places)
        assert background.stop(places) is None, "and gets no signal"
    assert holder(places.home.lock) is None


def test_asking_for_the_holder_keeps_no_server_from_starting(tmp_path: Path) -> None:
    lock = tmp_path / "router.lock"
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            holder(lock)

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        for _ in range(200):
            with HomeLock(lock):
                pass
    finally:
        done.set()
        asker.join()


@pytest.mark.slow
def test_what_a_killed_server_left_is_taken_away_and_replaced(run: Any, places: Places) -> None:
    pid = background.spawn(places).pid
    os.kill(pid, signal.SIGKILL)
    died(pid)
    assert places.home.socket.exists()
    assert run("status").exit_code == 1
    assert run("stop").stdout == "No router runs on this home.\n"
    assert not places.home.socket.exists()
    assert not places.home.pid_file.exists()

    pid = background.spawn(places).pid
    os.kill(pid, signal.SIGKILL)
    died(pid)
    assert background.ensure_running(places, say=lambda text: None).pid != pid


def test_a_left_pid_of_another_process_gets_no_signal(places: Places) -> None:
    other = subprocess.Popen(["sleep", "60"])
    try:
        places.home.pid_file.write_text(f"{other.pid}\n")
        places.home.lock.write_text(f"{other.pid}\n")
        assert background.stop(places) is None
        assert other.poll() is None
        assert not places.home.pid_file.exists()
    finally:
        other.kill()
        other.wait()


def test_a_left_socket_is_no_server(run: Any, places: Places) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(places.home.socket))
    assert run("status").exit_code == 1
    assert background.running(places) is None


@pytest.mark.slow
def test_a_server_that_hangs_is_told_at_once_and_ended_by_force(run: Any, places: Places) -> None:
    pid = background.spawn(places).pid
    os.kill(pid, signal.SIGSTOP)
    with within(4):
        result = run("status")
    assert result.exit_code == 1
    assert result.stderr == f"router: the router (process {pid}) doesn't answer; `router stop` ends it\n"
    stopped = run("stop")
    assert stopped.exit_code == 0
    assert f"Stopped the router (process {pid})." in stopped.stdout
    assert f"process {pid} doesn't answer; it gets a signal" in stopped.stderr
    died(pid)
    assert not places.home.socket.exists()


@pytest.mark.slow
def test_two_starts_at_once_make_one_server(places: Places) -> None:
    found: list[int | Exception] = []

    def start() -> None:
        try:
            found.append(background.ensure_running(Places(places.home.path), say=lambda text: None).pid)
        except RouterError as error:
            found.append(error)

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [pid_of(places)] * 3


def test_a_server_killed_before_it_served_is_told(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    ends_itself = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    popen = subprocess.Popen

    def killed(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        return popen([command[0], "-c", ends_itself], **options)

    monkeypatch.setattr(subprocess, "Popen", killed)
    with pytest.raises(RouterError, match=r"ended by signal 9 before it served; see .*_server\.log"):
        background.spawn(places)


def test_ensure_running_says_only_what_it_did(places: Places) -> None:
    said: list[str] = []
    first = background.ensure_running(places, say=said.append)
    assert len(said) == 1
    assert first.base_url in said[0]
    assert background.ensure_running(places, say=said.append).pid == first.pid
    assert len(said) == 1


def test_its_log_goes_on_in_a_new_file_when_it_is_full(tmp_path: Path) -> None:
    path = tmp_path / "_server.log"
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from router.server import server_log\n"
        "server_log.MAX_BYTES = 1000\n"
        "log = server_log.ServerLog(Path(sys.argv[1]))\n"
        "for number in range(200): log.write(f'line {number:03d} {\"x\" * 40}\\n')\n"
        "log.close()\n"
        "print('at the end', file=sys.stderr)\n"
    )
    with path.open("ab") as output:
        subprocess.run([sys.executable, "-c", program, str(path)], stdout=output, stderr=output, check=True)
    kept = sorted(tmp_path.iterdir())
    assert [file.name for file in kept] == ["_server.log", *(f"_server.log.{number}" for number in range(1, 6))]
    assert max(file.stat().st_size for file in kept) < 1100
    assert path.read_text().endswith("at the end\n")
    assert "line 199" in path.read_text() + kept[1].read_text()


# --- units ------------------------------------------------------------------------------------------------------------


def test_the_unit_for_systemd_runs_this_home_with_the_options_given(run: Any, home: Home) -> None:
    home.server_file.write_text('[server]\nstop-grace = "20s"\n')
    result = run("start", "--unit", "systemd", "--port", "9000")
    assert result.exit_code == 0
    lines = dict(line.split("=", 1) for line in result.stdout.splitlines() if "=" in line and line[0] != "#")
    assert shlex.split(lines["ExecStart"])[1:] == [
        *("-P", "-m", "router.cli", "serve", "--home", str(home.path), "--port", "9000")
    ]  # fmt: skip
    assert (lines["RestartPreventExitStatus"], lines["TimeoutStopSec"]) == ("2 3 4 5", "30")
    assert "systemctl --user enable --now router" in result.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_takes_it_with_any_path(run: Any, tmp_path: Path) -> None:
    odd = tmp_path / 'a "home" of 100% $HOME'
    result = run("start", "--unit", "systemd", "--home", str(odd))
    unit = tmp_path / "router.service"
    unit.write_text(result.stdout)
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_list_for_launchd_has_the_same(run: Any, home: Home) -> None:
    result = run("start", "--unit", "launchd", "--log-level", "debug")
    told = plistlib.loads(result.stdout.encode())
    assert told["Label"] == LAUNCHD_LABEL
    assert told["ProgramArguments"][1:] == [
        *("-P", "-m", "router.cli", "serve", "--home", str(home.path), "--background", "--log-level", "debug")
    ]  # fmt: skip
    assert told["KeepAlive"] == {"SuccessfulExit": False}
    assert told["StandardErrorPath"] == str(home.server_log)


def test_only_who_is_supervised_itself_says_so() -> None:
    assert supervisor({}) is None
    assert supervisor({"INVOCATION_ID": "0", "SYSTEMD_EXEC_PID": "1"}) is None, "inherited from a service"
    assert supervisor({"SYSTEMD_EXEC_PID": str(os.getpid())}) == "systemd"
    assert supervisor({"XPC_SERVICE_NAME": "application.com.apple.Terminal"}) is None
    assert supervisor({"XPC_SERVICE_NAME": LAUNCHD_LABEL}) == "launchd"
