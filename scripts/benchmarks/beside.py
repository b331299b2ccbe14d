"""A quiet profile beside another one that floods the router: what the flood does to the quiet one's latency.

Both have a provider and a load generator of their own; only the router is shared. Within a round the quiet profile is
measured alone, then beside the flood, so that what is compared was measured seconds apart. The flood's own processes
run at a lower priority: it is the router that is measured, not who gets the core that they share with the quiet ones.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.payloads import every_payload
from benchmarks.processes import Worker, allow_many_files, cores, environment
from benchmarks.proxy import Sample, brief, dig, say
from benchmarks.report import Row
from benchmarks.targets import PLAIN_RULES, PROVIDERS, ledger_problems, start_router, write_profile

QUIET: dict[str, Any] = {"payload": "agent", "clients": 4, "pause_ms": 40.0, "deltas": None}
LEAD_S = 1.0  # of the flood, before the quiet profile is measured, and after
NICENESS = 5
GOAL = 2.0  # times the baseline, at p99


@dataclass(frozen=True, slots=True)
class Flood:
    """What one profile does to the other. ``first_ms`` is what the providers of both take to begin their answers."""

    payload: str
    first_ms: float
    clients: int = 200
    deltas: int | None = None
    delay_ms: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.clients} × {self.payload}, providers of {self.first_ms:.0f} ms"


FLOODS = (
    Flood("small", 50),
    Flood("agent", 50),
    Flood("stream", 50, deltas=20, delay_ms=5),
    Flood("small", 0),
    Flood("agent", 0),
    Flood("stream", 0, deltas=20),
    Flood("huge", 0, clients=20),
)


@dataclass(slots=True)
class Pressed:
    """What was found: of each flood and round the quiet profile alone, beside the flood, and the flood itself."""

    rounds: dict[Flood, list[tuple[Sample, Sample, Sample]]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)


class Bench:
    """The router with a quiet and a noisy profile, and who sends and answers for each."""

    def __init__(self, folder: Path) -> None:
        allow_many_files()
        load_core, server_core = cores()
        self.home = folder / "home"
        self.errors: list[str] = []
        self._sent = 0
        self._providers: dict[str, Worker] = {}
        self._loads: dict[str, Worker] = {}
        for name in ("quiet", "noisy"):
            log, env = folder / f"{name}.log", environment()
            provider = self._providers[name] = Worker("benchmarks.provider", "0", core=load_core, log=log, env=env)
            load = self._loads[name] = Worker("benchmarks.load", core=load_core, log=log, env=env)
            if name == "noisy":
                for process in (provider, load):
                    os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
            write_profile(self.home, name, PLAIN_RULES + PROVIDERS.replace("PORT", str(provider.ready["port"])))
        self.router, self._port = start_router(self.home, folder=folder, core=server_core)

    def prepare(self, flood: Flood) -> None:
        for provider in self._providers.values():
            provider.ask(deltas=flood.deltas or 0, delay_ms=flood.delay_ms, first_ms=flood.first_ms)

    def quiet(self, seconds: float) -> Sample:
        return self._send("quiet", seconds=seconds, **QUIET)

    def flood(self, flood: Flood, seconds: float) -> Sample:
        return self._send(
            "noisy", seconds=seconds, payload=flood.payload, clients=flood.clients, deltas=flood.deltas, pause_ms=0
        )

    def _send(self, profile: str, *, payload: str, **order: Any) -> Sample:
        path = f"/{profile}{every_payload()[payload].path}"
        sample = self._loads[profile].ask(
            port=self._port, path=path, payload=payload, headers={}, max_requests=1_000_000, ramp_s=0.2, **order
        )
        self._sent += sample["started"]
        sample["requests_s"] = sample["requests"] / sample["seconds"]
        if sample["errors"]:
            self.errors.append(f"{profile}: {sample['errors']} errors; the first: {sample['first_error']}")
        return sample

    def stop(self) -> None:
        for process in (self.router, *self._loads.values(), *self._providers.values()):
            if status := process.stop():
                self.errors.append(f"a process ended with status {status}:\n{process.why()}")
        self.errors += ledger_problems(self.home, self._sent)


def measure(*, rounds: int, seconds: float, only: str = "") -> Pressed:
    """Every flood whose name holds ``only``, in every round."""
    pressed = Pressed()
    with tempfile.TemporaryDirectory(prefix="router-bench-") as name, ThreadPoolExecutor(1) as beside:
        bench = Bench(Path(name))
        try:
            for number in range(rounds):
                for flood in FLOODS:
                    if only not in flood.name:
                        continue
                    bench.prepare(flood)
                    bench.quiet(min(0.4, seconds))
                    alone = bench.quiet(seconds)
                    flooding = beside.submit(bench.flood, flood, seconds + 2 * LEAD_S)
                    time.sleep(LEAD_S)
                    under = bench.quiet(seconds)
                    pressed.rounds.setdefault(flood, []).append((alone, under, flooding.result()))
                    for label, sample in (("alone", alone), ("beside", under), ("flood", flooding.result())):
                        say(f"round {number + 1}/{rounds}  {flood.name:32s} {label:8s} {brief(sample)}")
        finally:
            bench.stop()
    pressed.errors = bench.errors
    return pressed


def rows(pressed: Pressed) -> list[Row]:
    """Medians over the rounds; of the ratios, those of each round."""
    return [row for flood, found in pressed.rounds.items() for row in _rows_of(flood, found)]


def _rows_of(flood: Flood, found: Sequence[tuple[Sample, Sample, Sample]]) -> list[Row]:
    made = [Row(f"{flood.name}: flood", statistics.median(noisy["requests_s"] for _, _, noisy in found), "req/s")]
    for quantile, goal in (("p50", None), ("p99", GOAL)):
        key = f"whole_ms.{quantile}"
        pairs = [(a, b) for alone, under, _ in found if (a := dig(alone, key)) and (b := dig(under, key))]
        if pairs:
            label = f"{flood.name}: quiet {quantile}"
            made += [
                Row(f"{label}, alone", statistics.median(alone for alone, _ in pairs), "ms"),
                Row(f"{label}, beside", statistics.median(under for _, under in pairs), "ms"),
                Row(f"{label}, beside / alone", statistics.median(b / a for a, b in pairs), "×", goal),
            ]
    return made
