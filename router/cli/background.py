"""The server as a process in the background: found, started, waited for, stopped.

Who holds ``router.lock`` is the server, and the process named in it is the only one that is ever sent a signal; the
socket says how it is. A server that starts says why it can't on its standard error, which is ``logs/_server.log``, and
ends with the exit status that fits: a command that started it passes both on.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from router.cli.places import Places
from router.errors import AlreadyRunning, ConfigError, LedgerError, ListenError, RouterError
from router.ledger.lock import holder

STOP_S = 5.0  # for the answer to being stopped: a signal after an answer that only came late would cut requests short
READY_S = 60.0  # from the start of the process to its first answer
STUCK_S = 10.0  # how long one that holds the lock may be silent: it may be starting, or stopping
CUT_S = 4.0  # what a stop takes beyond the grace: requests cut short are settled, everything is closed
SIGNAL_S = 2.0  # after which a signal had no effect
POLL_S = 0.05
_LOGGED = re.compile(r"\n(?=\d{4}-\d\d-\d\d )")  # before a line of the log
_ERRORS = {error.exit_status: error for error in (ConfigError, LedgerError, AlreadyRunning, ListenError)}

Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """A running server as it describes itself. ``answer`` is all it said."""

    pid: int
    version: str
    base_url: str
    home: str
    started_ms: int
    profiles: Sequence[Mapping[str, Any]]
    problems: Sequence[str]
    answer: Mapping[str, Any]

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> ServerStatus:
        """Read an answer of ``GET /status``."""
        names = ("pid", "version", "base_url", "home", "started_ms", "profiles", "problems")
        return cls(**{name: answer[name] for name in names}, answer=answer)

    def profile(self, name: str) -> Mapping[str, Any] | None:
        """What it says of one profile; None if it doesn't know it."""
        return next((each for each in self.profiles if each["profile"] == name), None)


def server_pid(places: Places) -> int | None:
    """The process that serves this home, whether it answers or not. A command that writes while no server runs holds
    the lock too, for a moment: it isn't one."""
    pid = holder(places.home.lock)
    try:
        return pid if pid is not None and int(places.home.pid_file.read_text()) == pid else None
    except (OSError, ValueError):
        return None


def status(places: Places) -> ServerStatus | None:
    """What the server says of itself; None if none runs. Raises RouterError if it holds the home but doesn't answer."""
    if (found := _answer(places)) is not None:
        return found
    pid = server_pid(places)
    if pid is None:
        return None
    raise RouterError(_hangs(pid))


def ensure_running(places: Places, *, say: Say) -> ServerStatus:
    """The server of this home, started if need be (``say`` is told). Raises the error that it failed to start with."""
    found = running(places)
    if found is None:
        found = spawn(places)
        say(f"started the router in the background: {found.base_url} (process {found.pid}); `router stop` ends it")
    return found


def running(places: Places) -> ServerStatus | None:
    """The server of this home. One that is starting is waited for, and so is the end of one that stops: then None."""
    until = time.monotonic() + STUCK_S
    while True:
        if (found := _answer(places)) is not None:
            return found
        pid = server_pid(places)
        if pid is None:
            return None
        if time.monotonic() > until:
            raise RouterError(_hangs(pid))
        time.sleep(POLL_S)


def spawn(places: Places, *extra_arguments: str) -> ServerStatus:
    """Start a server as a process of its own, and wait until it serves.

    ``extra_arguments`` are those of ``router serve``. If it ends instead, its own words and exit status are raised.
    """
    places.home.create()
    home = places.home.path.absolute()
    arguments = ["serve", "--background", "--home", str(home)]
    if places.folder != places.home.profiles:
        arguments += ["--profiles", str(places.folder.absolute())]
    log_file = places.home.server_log
    with open(log_file, "ab", opener=_private) as output:
        begun = output.tell()
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "router.cli", *arguments, *extra_arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=home,
            start_new_session=True,
            umask=0o077,
        )
    until = time.monotonic() + READY_S
    while process.poll() is None:
        found = _answer(places)
        if found is not None and found.pid == process.pid:
            process.returncode = 0  # nobody waits for it any more: Python would warn that it still runs
            return found
        if time.monotonic() > until:
            raise RouterError(
                f"process {process.pid} was started, but doesn't serve after {READY_S:.0f} s; see {log_file}, "
                "and `router stop` ends it"
            )
        time.sleep(POLL_S)
    if process.returncode == AlreadyRunning.exit_status and (found := running(places)) is not None:
        return found  # another command started one at the same time
    raise _failure(process.returncode, log_file, begun)


def stop(places: Places, *, now: bool = False, say: Say = lambda text: None) -> int | None:
    """End the server of this home and return its process id; None if none runs. What a dead one left is taken away.

    It is asked first, and gets its grace (unless ``now``); then signals follow, as hard as needed.
    """
    pid = server_pid(places)
    if pid is None:
        if holder(places.home.lock) is None:
            places.home.pid_file.unlink(missing_ok=True)
            places.home.socket.unlink(missing_ok=True)
        return None
    try:
        grace_s = float(places.server.call("POST", "/stop", {"now": now}, timeout_s=STOP_S)["grace_s"])
    except RouterError:
        say(f"process {pid} doesn't answer; it gets a signal")
    else:
        if _gone(places, pid, grace_s + CUT_S):
            return pid
        say(f"process {pid} is still there after its grace; it gets a signal")
    for number in (signal.SIGTERM, signal.SIGKILL):
        if server_pid(places) == pid:
            os.kill(pid, number)
        if _gone(places, pid, SIGNAL_S):
            break
    else:
        raise RouterError(f"process {pid} can't be ended; see what it waits for with `ps -o pid,stat,wchan {pid}`")
    if holder(places.home.lock) is None:  # killed, it took nothing away
        places.home.pid_file.unlink(missing_ok=True)
        places.home.socket.unlink(missing_ok=True)
    return pid


def _answer(places: Places) -> ServerStatus | None:
    if not places.home.socket.exists():
        return None
    answer = places.server.status()
    return None if answer is None else ServerStatus.of(answer)


def _gone(places: Places, pid: int, within_s: float) -> bool:
    """Whether a server has let go of the home. Not whether the process has ended: its number may be used again."""
    until = time.monotonic() + within_s
    while holder(places.home.lock) == pid:
        if time.monotonic() > until:
            return False
        time.sleep(POLL_S)
    return True


def _hangs(pid: int) -> str:
    return f"the router (process {pid}) doesn't answer; `router stop` ends it"


def _failure(status: int, log_file: Path, begun: int) -> RouterError:
    """Why a server ended before it served, as it said itself."""
    with log_file.open("rb") as output:
        output.seek(begun)
        said = output.read().decode("utf-8", "replace")
    _, found, reason = f"\n{said}".rpartition("\nrouter: ")
    reason = _LOGGED.split(reason)[0]  # the server that it should have replaced writes there, too
    if status < 0:
        reason, found = f"the server was ended by signal {-status} before it served; see {log_file}", "\n"
    return _ERRORS.get(status, RouterError)(
        reason.strip() if found else f"the server ended with status {status} before it served; see {log_file}"
    )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
