"""Helpers: local programs of a chain (``[[helper]]``), started before the server accepts requests, watched, stopped
after it.

A helper that doesn't start, or ends by itself, is started again after a growing pause; it never keeps the server from
serving. Its processes are a group of their own, whose output is a file, so that a helper outlives a server that is
replaced or killed: who runs is remembered in the home, and the next server goes on watching it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import aiohttp
import msgspec

from router.profile.home import Helper
from router.server.request_log import MAX_BYTES, rotated_copy

log = logging.getLogger("router.server")

State = Literal["running", "starting", "stopping", "waiting", "stopped", "disabled", "passive", "failed"]

POLL_S: Final = 0.2
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
STEADY_S: Final = 60.0  # who ran this long is started again without delay
STOP_S: Final = 5.0  # from the signal, or the stop command, to the kill
KILL_S: Final = 1.0  # until a killed group is gone, unless somebody else's dead child is in it
CONNECT_S: Final = 1.0
# All that a helper sees of the server's environment: a provider's key isn't among it.
KEPT_VARIABLES: Final = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TMPDIR", "TZ")


class Kept(msgspec.Struct, frozen=True):
    """A helper's process as it is remembered: ``begun`` tells it from a later one with the same number."""

    pid: int
    begun: str
    command: tuple[str, ...]


class _Failed(Exception):
    """A helper doesn't run; the text says why."""


@dataclass(slots=True)
class _Clock:
    """Time, for tests to replace."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Helpers:
    """All helpers of a server. ``use`` puts a new list in force; ``close`` stops them, ``leave`` doesn't."""

    def __init__(
        self,
        logs: Path,
        kept_file: Path,
        *,
        environ: Mapping[str, str],
        distrust: Callable[[], str | None] = lambda: None,
        clock: _Clock | None = None,
    ) -> None:
        self._logs = logs
        self._kept_file = kept_file
        self._environ = {name: environ[name] for name in KEPT_VARIABLES if name in environ}
        self._distrust = distrust
        self._clock = clock or _Clock()
        self._watched: dict[str, Watched] = {}
        self._left = False
        self._changing = asyncio.Lock()

    async def use(self, helpers: Iterable[Helper]) -> None:
        """Start what is new or changed, one after the other, and stop what is gone or disabled.

        Those that run and still say the same are left alone. Each is waited for until it is ready, or fails.
        """
        async with self._changing:
            wanted = {helper.name: helper for helper in helpers}
            for name in reversed(list(self._watched)):
                if name not in wanted or not self._watched[name].same(wanted[name]):
                    await self._watched.pop(name).stop()
            kept = self._read_kept()
            self._watched = {
                name: self._watched.get(name) or self._watch(helper, kept.get(name)) for name, helper in wanted.items()
            }
            for name, watched in self._watched.items():
                watched.helper = wanted[name]
                if watched.state == "stopped" and not watched.by_hand:
                    await watched.start()
            for name, old in kept.items():
                if name not in wanted and _begun(old.pid) == old.begun:
                    await _end_group(old.pid, self._clock)
            self._keep()

    async def start(self, name: str) -> None:
        """Start one that doesn't run. Raises ValueError if it can't be."""
        await self._startable(name).start()

    async def stop(self, name: str) -> None:
        """Stop one, until it is started by name or with the next server."""
        watched = self._find(name)
        watched.by_hand = True
        await watched.stop()

    async def restart(self, name: str) -> None:
        """Stop and start one. Raises ValueError if it can't be."""
        watched = self._startable(name)
        await watched.stop()
        await watched.start()

    def _find(self, name: str) -> Watched:
        if name not in self._watched:
            raise ValueError(f"no helper {name}")
        return self._watched[name]

    def _startable(self, name: str) -> Watched:
        watched = self._find(name)
        if watched.helper.port is None:
            raise ValueError(f"the helper {name} has no port, so it is started by hand")
        if not watched.helper.enabled:
            raise ValueError(f"the helper {name} is disabled; `router helper enable {name}` starts it")
        watched.by_hand = False
        return watched

    async def close(self) -> None:
        """Stop them all, in the reverse order."""
        if self._left:
            return
        async with self._changing:
            for watched in reversed(self._watched.values()):
                await watched.stop()
            self._keep()

    def leave(self) -> None:
        """Let them run, and watch them no more: another server does."""
        for watched in self._watched.values():
            watched.leave()
        self._left = True

    def rows(self) -> list[dict[str, Any]]:
        """Each helper in its order, for people and programs."""
        return [watched.row() for watched in self._watched.values()]

    def problem_lines(self) -> list[str]:
        """What is wrong with those that should run."""
        return [f"helper {each.helper.name}: {each.problem}" for each in self._watched.values() if each.problem]

    def _watch(self, helper: Helper, kept: Kept | None) -> Watched:
        log_file = self._logs / f"_helper-{helper.name}.log"
        process = None
        if kept is not None and kept.command == helper.command and _begun(kept.pid) == kept.begun:
            process = _Process(kept.pid)
        environ = {**self._environ, **helper.env}
        return Watched(helper, log_file, environ, process, self._clock, self._keep, self._distrust)

    def _read_kept(self) -> dict[str, Kept]:
        try:
            return msgspec.json.decode(self._kept_file.read_bytes(), type=dict[str, Kept])
        except (OSError, msgspec.MsgspecError):  # there is none, or a part of one: then none is known
            return {}

    def _keep(self) -> None:
        """Remember who runs."""
        found = {name: watched.kept() for name, watched in self._watched.items()}
        running = {name: kept for name, kept in found.items() if kept is not None}
        try:
            if running:
                made = self._kept_file.with_name(f"{self._kept_file.name}.new")
                made.write_bytes(msgspec.json.encode(running))
                made.replace(self._kept_file)
            else:
                self._kept_file.unlink(missing_ok=True)
        except OSError as error:
            log.warning("the running helpers can't be written down: %s", error)


class _Process:
    """A process by its number: one of our own children, or one that another server started."""

    def __init__(self, pid: int, child: subprocess.Popen[bytes] | None = None) -> None:
        self.pid = pid
        self.begun = _begun(pid)
        self._child = child

    def ended(self) -> int | str | None:
        """None while it runs; then its exit status, or ``"ended"`` where only its parent would know."""
        if self._child is not None:
            return self._child.poll()
        return None if _begun(self.pid, known=self.begun) == self.begun else "ended"


class Watched:
    """One helper and the task that watches it."""

    def __init__(
        self,
        helper: Helper,
        log_file: Path,
        environ: Mapping[str, str],
        process: _Process | None,
        clock: _Clock,
        keep: Callable[[], None],
        distrust: Callable[[], str | None],
    ) -> None:
        self.helper = helper
        self.problem: str | None = None
        self.by_hand = False  # stopped by name: it isn't started again by itself
        self.restarts = 0
        self._log_file = log_file
        self._environ = environ
        self._process = process
        self._clock = clock
        self._keep = keep
        self._distrust = distrust
        self._task: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()  # running, or failed for now
        self._since_ms = 0
        self._detached = False  # its command has ended, and the port is what tells that it runs
        self._state: State = "stopped"
        self._rest()

    @property
    def state(self) -> State:
        """What it does now."""
        return self._state

    def same(self, helper: Helper) -> bool:
        """Whether a newer version of the file says the same of the process."""
        return replace(helper, order=0) == replace(self.helper, order=0)

    async def start(self) -> None:
        """Begin to watch it, and wait until it is ready or has failed for the first time."""
        if self._task is not None and not self._task.done():
            if self._state != "waiting":
                return
            self._task.cancel()  # now, rather than after the pause
            await asyncio.wait({self._task})
        self._settled.clear()
        self._task = asyncio.create_task(self._run(), name=f"helper {self.helper.name}")
        await self._settled.wait()

    async def stop(self) -> None:
        """End its processes, and the watching."""
        self.leave()
        if self._process is not None or self._detached:
            self._set("stopping")
            await self._end()
            log.info("helper %s: stopped", self.helper.name)
        self._rest()
        self.problem = None
        self._settled.set()
        self._keep()

    def leave(self) -> None:
        """Watch it no more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def kept(self) -> Kept | None:
        """Its process, for another server."""
        process = self._process
        return None if process is None else Kept(process.pid, process.begun, self.helper.command)

    def row(self) -> dict[str, Any]:
        """What there is to say about it."""
        return {
            "name": self.helper.name,
            "state": self._state,
            "pid": self._process.pid if self._process is not None else None,
            "port": self.helper.port,
            "order": self.helper.order,
            "restarts": self.restarts,
            "since_ms": self._since_ms,
            "problem": self.problem,
            "log": str(self._log_file),
        }

    async def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            begun = self._clock.now()
            try:
                await self._bring_up()
                self.problem = None
                self._set("running")
                begun = self._clock.now()
                self._settled.set()
                why = await self._stay()
            except _Failed as failure:
                why = str(failure)
            if self._process is not None or self._detached:
                await self._end()
            self._keep()
            log.warning("helper %s: %s", self.helper.name, why)
            self.problem = why
            self._set("failed" if self.helper.restart == "never" else "waiting")
            self._settled.set()
            if self.helper.restart == "never":
                return
            if self._clock.now() - begun >= STEADY_S:
                pause_s = FIRST_PAUSE_S
            await self._clock.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            self.restarts += 1

    async def _bring_up(self) -> None:
        """From nothing, or from a process that another server left, to a helper that is ready. Raises _Failed."""
        self._set("starting")
        if self._process is None:
            await self._spawn()
        until = self._clock.now() + self.helper.timeout_s
        while not await self._is_ready():
            self._look_after()
            if self._clock.now() > until:
                raise _Failed(f"it wasn't ready within {self.helper.timeout_s:g} s{self._last_words()}")
            await self._clock.sleep(POLL_S)
        self._look_after()

    async def _spawn(self) -> None:
        name, command = self.helper.name, self.helper.command
        if (problem := self._distrust()) is not None:
            raise _Failed(f"its command isn't run: router.toml {problem}")
        await self._leave_alone()
        program = shutil.which(command[0], path=self._environ.get("PATH"))
        if program is None:
            raise _Failed(f'there is no program "{command[0]}" on the PATH of the server')
        try:
            child = self._popen([program, *command[1:]])
        except OSError as error:
            raise _Failed(f"it can't be started: {(error.strerror or str(error)).lower()}") from error
        self._process = _Process(child.pid, child)
        self._keep()
        log.info("helper %s: started, process %d", name, child.pid)

    async def _leave_alone(self) -> None:
        """Wait as long as one that was started by hand runs, which its health path tells. Raises _Failed if somebody
        else has the port."""
        while await self._connects():
            if self.helper.health_path is None or not await self._is_ready():
                raise _Failed(f"port {self.helper.port} is taken by another program")
            self.problem = None
            self._set("passive")
            self._settled.set()
            await self._clock.sleep(POLL_S)
        self._set("starting")

    def _popen(self, command: list[str]) -> subprocess.Popen[bytes]:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        output = os.open(self._log_file, flags, 0o600)
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environ,
                cwd=self._log_file.parent.parent,
                start_new_session=True,
            )
        finally:
            os.close(output)

    async def _stay(self) -> str:
        """Wait until it has ended, and say how."""
        while True:
            await self._clock.sleep(POLL_S)
            try:
                self._look_after()
                if self._detached and not await self._connects():
                    return f"nothing listens on port {self.helper.port} any more"
            except _Failed as failure:
                return str(failure)

    def _look_after(self) -> None:
        """Raises _Failed once the process has ended. A stop command says that what it started lives elsewhere."""
        self._rotate()
        status = None if self._process is None else self._process.ended()
        if status is None:
            return
        if status == 0 and self.helper.stop_command:
            self._process, self._detached = None, True
            self._keep()
            return
        if isinstance(status, int):
            how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        else:
            how = "ended"
        raise _Failed(f"it {how}{self._last_words()}")

    async def _is_ready(self) -> bool:
        if not await self._connects():
            return False
        if self.helper.health_path is None:
            return True
        url = f"http://127.0.0.1:{self.helper.port}{self.helper.health_path}"
        timeout = aiohttp.ClientTimeout(total=self.helper.timeout_s)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _connects(self) -> bool:
        """Whether something listens on its port."""
        try:
            async with asyncio.timeout(CONNECT_S):
                _, writer = await asyncio.open_connection("127.0.0.1", self.helper.port, family=socket.AF_INET)
        except (OSError, TimeoutError):
            return False
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return True

    async def _end(self) -> None:
        """The stop command, if there is one; then signals to the whole group."""
        process = self._process
        if self.helper.stop_command and (self._detached or (process is not None and process.ended() is None)):
            await self._run_stop_command()
        if process is not None:
            await _end_group(process.pid, self._clock, process)
        self._process, self._detached = None, False

    async def _run_stop_command(self) -> None:
        try:
            child = self._popen(list(self.helper.stop_command))
        except OSError as error:
            log.warning("helper %s: its stop command can't be started: %s", self.helper.name, error)
            return
        if not await _until(lambda: child.poll() is not None, STOP_S, self._clock):
            log.warning("helper %s: its stop command takes too long", self.helper.name)
            await _end_group(child.pid, self._clock)
            child.poll()

    def _rotate(self) -> None:
        with contextlib.suppress(OSError):
            if self._log_file.stat().st_size > MAX_BYTES:
                rotated_copy(self._log_file)

    def _last_words(self) -> str:
        """The last line that it printed, for the problem's text."""
        try:
            with self._log_file.open("rb") as file:
                file.seek(max(0, self._log_file.stat().st_size - 2000))
                lines = file.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        legible = "".join(character if character.isprintable() else " " for character in last[:200])
        return f": {legible}" if legible else ""

    def _rest(self) -> None:
        self._set("passive" if self.helper.port is None else "stopped" if self.helper.enabled else "disabled")

    def _set(self, state: State) -> None:
        if state != self._state or not self._since_ms:
            self._since_ms = time.time_ns() // 1_000_000
        self._state = state


async def _end_group(pid: int, clock: _Clock, process: _Process | None = None) -> None:
    """Ask a process group to end, then make it. Returns when nothing of it is left."""

    def is_gone() -> bool:
        if process is not None:
            process.ended()  # a child that ended stays in its group until it is asked for
        try:
            os.killpg(pid, 0)
        except (ProcessLookupError, PermissionError):  # macOS permits nothing to what is left of the dead
            return True
        return False

    if is_gone():
        return
    _signal(pid, signal.SIGTERM)
    if not await _until(is_gone, STOP_S, clock):
        _signal(pid, signal.SIGKILL)
        await _until(is_gone, KILL_S, clock)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


async def _until(done: Callable[[], bool], longest_s: float, clock: _Clock) -> bool:
    until = clock.now() + longest_s
    while not done():
        if clock.now() > until:
            return False
        await clock.sleep(0.02)
    return True


def _begun(pid: int, *, known: str = "") -> str:
    """When a process began, as the system says it; empty where there is none, or only what is left of one.

    ``known`` is what was found before: where asking takes long, it counts for as long as there is such a process.
    """
    try:
        # The fields behind the name, which may hold anything: the first is the state, the twentieth the start.
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return "" if Path("/proc/self").exists() else _begun_elsewhere(pid, known)
    return "" if fields[0] in "ZX" else fields[19]


def _begun_elsewhere(pid: int, known: str) -> str:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return ""
    asked = ["ps", "-o", "lstart=", "-p", str(pid)]
    return known or subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
