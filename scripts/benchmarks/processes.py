"""Processes of a benchmark: started on a core, spoken to through pipes, measured through /proc, ended by handle."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).resolve().parent.parent
ROOT = SCRIPTS.parent


def cores() -> tuple[int | None, int | None]:
    """One core for load and provider, another for the server; None where they can't be pinned apart."""
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return (usable[0], usable[-1]) if len(usable) > 1 else (None, None)


def allow_many_files() -> None:
    """1,000 streams need 2,000 sockets; children inherit the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 16_384 if hard == resource.RLIM_INFINITY else min(16_384, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def environment(**more: str) -> dict[str, str]:
    """The environment without other people's keys and proxies, with both packages importable."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().endswith(("_API_KEY", "_PROXY", "_TOKEN")) and not name.startswith("ROUTER_")
    }
    return {**kept, "PYTHONPATH": f"{SCRIPTS}{os.pathsep}{ROOT}", "PYTHONUNBUFFERED": "1", **more}


class Process:
    """A running command. ``pid`` and its descendants are what is measured."""

    def __init__(
        self, command: Sequence[str], *, core: int | None, log: Path, env: Mapping[str, str], pipes: bool = False
    ) -> None:
        self.log = log
        with log.open("ab") as out:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipes else out,
                stderr=out,
                env=dict(env),
                cwd=SCRIPTS,
                start_new_session=True,
            )
        self.pid = self._popen.pid
        if core is not None:
            os.sched_setaffinity(self.pid, {core})  # before it starts threads: it still loads the interpreter

    def running(self) -> bool:
        return self._popen.poll() is None

    def stop(self, patience_s: float = 15.0) -> int:
        """Ask it to end, then insist. Returns its exit status."""
        if self.running():
            self._popen.send_signal(signal.SIGTERM)
        try:
            return self._popen.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            return self._popen.wait()
        finally:
            for pipe in (self._popen.stdin, self._popen.stdout):
                if pipe:
                    pipe.close()

    def signal(self, number: int) -> None:
        self._popen.send_signal(number)

    def why(self) -> str:
        """The end of its log, for an error message."""
        return self.log.read_text("utf-8", "replace")[-3000:]


class Worker(Process):
    """A process that answers orders: one JSON line each way. ``ready`` is what it said first."""

    def __init__(self, module: str, *arguments: str, core: int | None, log: Path, env: Mapping[str, str]) -> None:
        super().__init__([sys.executable, "-m", module, *arguments], core=core, log=log, env=env, pipes=True)
        self.ready = self._answer()

    def ask(self, **order: Any) -> dict[str, Any]:
        assert self._popen.stdin is not None
        self._popen.stdin.write(json.dumps(order).encode() + b"\n")
        self._popen.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._popen.stdout is not None
        line = self._popen.stdout.readline()
        if not line:
            raise SystemExit(f"{self._popen.args!r} ended:\n{self.why()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self, patience_s: float = 15.0) -> int:
        assert self._popen.stdin is not None
        self._popen.stdin.close()  # the end of its orders
        try:
            return self._popen.wait(patience_s)
        except subprocess.TimeoutExpired:
            return super().stop(1.0)


class Meter:
    """CPU time and peak memory of a process and its descendants; None where there is no /proc."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def start(self) -> None:
        """Begin a measurement: forget the peak so far."""
        for pid in self._tree():
            try:
                Path(f"/proc/{pid}/clear_refs").write_text("5")
            except OSError:
                continue  # the peak then counts from the process's start
        self._began = self._cpu_ns()

    def cpu_ms(self) -> float | None:
        """Since ``start``."""
        now = self._cpu_ns()
        return None if now is None or self._began is None else (now - self._began) / 1e6

    def settle(self) -> None:
        """Wait, 3 seconds at most, until work that goes on after the last reply is done: it counts, too."""
        for _ in range(60):
            before = self._cpu_ns()
            time.sleep(0.05)
            after = self._cpu_ns()
            if before is None or after is None or after - before < 2_000_000:
                return

    def peak_mb(self) -> float | None:
        """Peak resident memory since ``start``, summed."""
        total = 0
        for pid in self._tree():
            for line in _lines(f"/proc/{pid}/status"):
                if line.startswith("VmHWM:"):
                    total += int(line.split()[1])
        return total / 1024 if total else None

    def _cpu_ns(self) -> int | None:
        # schedstat counts nanoseconds; stat counts ticks of 10 ms, too coarse for a short cell.
        times = [
            int(line.split()[0])
            for pid in self._tree()
            for task in _names(f"/proc/{pid}/task")
            for line in _lines(f"/proc/{pid}/task/{task}/schedstat")
        ]
        return sum(times) if times else None

    def _tree(self) -> list[int]:
        found = [self._pid]
        for pid in found:
            for task in _names(f"/proc/{pid}/task"):
                found += [int(child) for line in _lines(f"/proc/{pid}/task/{task}/children") for child in line.split()]
        return found


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []  # ended in between, or no /proc


def _names(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


class Stalls:
    """The longest event-loop stall of a process that runs under ``benchmarks.watched``."""

    def __init__(self, process: Process, file: Path) -> None:
        self._process = process
        self._file = file
        self._read = 0

    def longest_ms(self) -> float | None:
        """Since the last call."""
        self._process.signal(signal.SIGUSR2)
        for _ in range(200):
            lines = _lines(str(self._file))
            if len(lines) > self._read:
                self._read = len(lines)
                return float(lines[-1])
            time.sleep(0.01)
        return None
