"""The benchmark of whole requests: cells of payload and concurrency, targets interleaved, medians over rounds."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks import targets
from benchmarks.payloads import SESSION_TURNS, Payload, Session, every_payload
from benchmarks.processes import Meter, Worker, allow_many_files, cores, environment
from benchmarks.targets import Target

PROXIES = ("bare aiohttp", "router")
Sample = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind of load. Streams have ``deltas``, ``delay_ms`` apart; ``once`` sends one request a client."""

    name: str
    payload: str
    clients: int
    deltas: int | None = None
    delay_ms: float = 0.0
    direct: bool = False  # also measured without a proxy
    once: bool = False  # no time limit, so many requests as ``requests``
    requests: int = 1_000_000
    ramp_s: float = 0.0

    @property
    def steady_s(self) -> tuple[float, float] | None:
        """From when to when, in seconds, all streams run and no request begins or ends."""
        if not (self.once and self.deltas):
            return None
        begin, end = self.ramp_s + 1.0, self.deltas * self.delay_ms / 1000 - 0.5
        return (begin, end) if begin < end else None

    @property
    def deltas_s(self) -> float:
        """Deltas a second of all streams together."""
        return self.clients * 1000 / self.delay_ms


CELLS = (
    Cell("small, 1 client", "small", 1, direct=True),
    Cell("agent, 1 client", "agent", 1, direct=True),
    Cell("huge, 1 client", "huge", 1, direct=True),
    Cell("small, 16 clients", "small", 16),
    Cell("agent, 16 clients", "agent", 16),
    Cell("huge, 4 clients", "huge", 4),
    Cell("stream, 1 client", "stream", 1, deltas=200, delay_ms=5, direct=True),
    Cell("stream, 16 clients", "stream", 16, deltas=200, delay_ms=5),
)
MANY = "streams at once"
SESSION = Cell("growing session", "session", 1, once=True, requests=SESSION_TURNS)
WITH_TOKENS, WITHOUT_TOKENS = "router, token rule", "router, no token rule"
# Streams of a client's format and, behind the router, a provider's: the profile's prefix and the payload of each.
TRANSLATED = {
    "Messages → Chat": ("/to-chat", "stream"),
    "Chat → Messages": ("/plain", "stream, chat"),
    "Responses → Messages": ("/plain", "stream, responses"),
}


def many(streams: int) -> Cell:
    """So many streams of 5 deltas a second, for 12 seconds each, begun within 4."""
    return Cell(MANY, "stream", streams, deltas=60, delay_ms=200, direct=True, once=True, requests=streams, ramp_s=4.0)


@dataclass(slots=True)
class Results:
    """Samples by cell and target, in the order of the rounds."""

    samples: dict[tuple[str, str], list[Sample]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    streams: int = 0
    idle_mb: dict[str, float] = field(default_factory=dict)

    def values(self, cell: str, target: str, key: str) -> list[float]:
        """``key`` may lead into a table: ``whole_ms.p50``. Samples that lack it are left out."""
        found = (dig(sample, key) for sample in self.samples.get((cell, target), ()))
        return [value for value in found if value is not None]

    def median(self, cell: str, target: str, key: str) -> float | None:
        values = self.values(cell, target, key)
        return statistics.median(values) if values else None

    def across(
        self, cell: str, key: str, one: str, other: str, combine: Callable[[float, float], float]
    ) -> float | None:
        """The median over rounds of two targets' values combined: neighbours in time are compared, not medians."""
        pairs = zip(self.values(cell, one, key), self.values(cell, other, key), strict=False)
        combined = [combine(a, b) for a, b in pairs if b]
        return statistics.median(combined) if combined else None

    def ratio(self, cell: str, key: str, one: str, other: str) -> float | None:
        return self.across(cell, key, one, other, lambda a, b: a / b)

    def added(self, cell: str, key: str, one: str, other: str = "direct") -> float | None:
        return self.across(cell, key, one, other, lambda a, b: a - b)

    def worst(self, target: str, key: str) -> float | None:
        values = [value for cell, name in self.samples if name == target for value in self.values(cell, name, key)]
        return max(values, default=None)


def dig(sample: Sample, key: str) -> float | None:
    found: Any = sample
    for name in key.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    value: float | None = found
    return value


class Bench:
    """The running processes of one benchmark."""

    def __init__(self, folder: Path, peers: Sequence[str], *, with_router: bool, provider_port: int) -> None:
        allow_many_files()
        load_core, server_core = cores()
        self.pinned = load_core is not None
        self.folder = folder
        self.results = Results()
        self._sent_to_router = 0
        self._payloads = every_payload()
        env = environment()
        provider = ("benchmarks.provider", str(provider_port))
        self.provider = Worker(*provider, core=load_core, log=folder / "provider.log", env=env)
        self.load = Worker("benchmarks.load", core=load_core, log=folder / "load.log", env=env)
        port = self.provider.ready["port"]
        self.targets: list[Target] = [targets.direct(port), targets.bare(port, folder=folder, core=server_core)]
        if with_router:
            self.targets.append(targets.router(port, folder=folder, core=server_core))
        for description in peers:
            self.targets.append(targets.peer(description))
        for target in self.targets:
            if target.meter and (idle := target.meter.peak_mb()):
                self.results.idle_mb[target.name] = idle

    def run(self, cells: Iterable[Cell], *, rounds: int, seconds: float) -> None:
        """Every target within every cell within every round, the order turning from round to round."""
        for number in range(rounds):
            for cell in cells:
                measured = [target for target in self.targets if target.name != "direct" or cell.direct]
                turn = number % len(measured)
                for target in measured[turn:] + measured[:turn]:
                    if number == 0 and not cell.once:
                        self._send(cell, target, min(0.4, seconds))
                    sample = self._measure(cell, target, seconds)
                    self.results.samples.setdefault((cell.name, target.name), []).append(sample)
                    say(f"round {number + 1}/{rounds}  {cell.name:20s} {target.name:14s} {brief(sample)}")

    def run_sessions(self, rounds: int) -> None:
        """The same growing conversation through a profile with a token rule and one without, by turns."""
        router = next((target for target in self.targets if target.name == "router"), None)
        if router is None:
            return
        pair = [
            replace(router, name=WITHOUT_TOKENS, prefix="/plain"),
            replace(router, name=WITH_TOKENS, prefix="/tokens"),
        ]
        for number in range(rounds):
            for target in pair if number % 2 else reversed(pair):
                sample = self._measure(SESSION, target, 0)
                self.results.samples.setdefault((SESSION.name, target.name), []).append(sample)
                say(f"round {number + 1}/{rounds}  {SESSION.name:20s} {target.name:14s} {brief(sample)}")

    def run_streams(self, cell: Cell, *, rounds: int) -> None:
        """Many streams at once, passed through by every target, and translated by the router."""
        router = next((target for target in self.targets if target.name == "router"), None)
        translated = [
            replace(router, name=f"router, {way}", prefix=prefix, payload=payload)
            for way, (prefix, payload) in TRANSLATED.items()
            if router is not None
        ]
        self.results.streams = cell.clients
        passing = self.targets
        self.targets = [*passing, *translated]
        try:
            self.run([cell], rounds=rounds, seconds=0)
        finally:
            self.targets = passing

    def _measure(self, cell: Cell, target: Target, seconds: float) -> Sample:
        if target.stalls:
            target.stalls.longest_ms()
        if target.meter:
            target.meter.start()
        with ThreadPoolExecutor(1) as beside:
            steady = beside.submit(watch, target.meter, cell) if target.meter and cell.steady_s else None
            sample = self._send(cell, target, seconds)
            sample |= steady.result() if steady else {}
        sample["requests_s"] = sample["requests"] / sample["seconds"]
        if target.meter:
            target.meter.settle()
            sample["cpu_ms"] = target.meter.cpu_ms()
            sample["peak_mb"] = target.meter.peak_mb()
            if sample["cpu_ms"] is not None:
                sample["cpu_ms_per_request"] = sample["cpu_ms"] / max(1, sample["requests"])
                sample["cpu_ms_per_delta"] = sample["cpu_ms"] / sample["deltas"] if sample["deltas"] else None
        if target.stalls:
            sample["stall_ms"] = target.stalls.longest_ms()
        return sample

    def _send(self, cell: Cell, target: Target, seconds: float) -> Sample:
        name = target.payload or cell.payload
        payload: Payload | Session = self._payloads[name]
        before = self.provider.ask(deltas=cell.deltas or 0, delay_ms=cell.delay_ms)["requests"]
        sample = self.load.ask(
            port=target.port,
            path=target.prefix + payload.path,
            payload=name,
            clients=cell.clients,
            seconds=seconds if not cell.once else 60.0,
            max_requests=cell.requests,
            headers=target.headers,
            deltas=cell.deltas,
            ramp_s=cell.ramp_s,
        )
        seen = self.provider.ask()["requests"] - before
        if target.name.startswith("router"):
            self._sent_to_router += sample["started"]
        where = f"{cell.name}, {target.name}"
        if sample["errors"]:
            self.results.errors.append(f"{where}: {sample['errors']} errors; the first: {sample['first_error']}")
        elif seen != sample["requests"]:
            self.results.errors.append(f"{where}: {sample['requests']} answers, but the provider saw {seen} requests")
        return sample

    def stop(self) -> None:
        for target in self.targets:
            self.results.errors += target.stop()
        self.load.stop()
        self.provider.stop()
        if any(target.name == "router" for target in self.targets):
            self.results.errors += targets.ledger_problems(self.folder / "home", self._sent_to_router)


def measure(
    *,
    rounds: int,
    seconds: float,
    only: str,
    peers: Sequence[str],
    streams: int,
    with_router: bool,
    provider_port: int,
) -> Results:
    """The benchmark in a folder of its own; of the cells those whose name holds ``only``."""
    with tempfile.TemporaryDirectory(prefix="router-bench-") as name:
        bench = Bench(Path(name), peers, with_router=with_router, provider_port=provider_port)
        if not bench.pinned:
            say("only one core, or no pinning here: server, load and provider disturb each other")
        try:
            bench.run([cell for cell in CELLS if only in cell.name], rounds=rounds, seconds=seconds)
            if only in SESSION.name:
                bench.run_sessions(2 * rounds)
            if only in MANY:
                bench.run_streams(many(streams), rounds=min(2, rounds - 1) or 1)
        finally:
            bench.stop()
        return bench.results


def watch(meter: Meter, cell: Cell) -> Sample:
    """The CPU that a server takes while all streams run: its share of a core, and microseconds a delta."""
    assert cell.steady_s is not None
    begin, end = cell.steady_s
    time.sleep(begin)
    began, before = time.monotonic(), meter.cpu_ms()
    time.sleep(end - begin)
    now, after = time.monotonic(), meter.cpu_ms()
    if before is None or after is None:
        return {}
    share = (after - before) / 1000 / (now - began)
    return {"cpu_share": share, "cpu_us_per_delta": share / cell.deltas_s * 1e6}


def brief(sample: Sample) -> str:
    """One line for a person who waits."""
    parts = [f"{sample['requests_s']:9.1f} req/s"]
    for label, key in (("p50", "whole_ms.p50"), ("p99", "whole_ms.p99"), ("first delta", "first_delta_ms.p50")):
        if (value := dig(sample, key)) is not None:
            parts.append(f"{label} {value:.2f} ms")
    for label, key in (("cpu", "cpu_ms_per_request"), ("stall", "stall_ms")):
        if (value := dig(sample, key)) is not None:
            parts.append(f"{label} {value:.2f} ms")
    if (value := dig(sample, "cpu_us_per_delta")) is not None:
        parts.append(f"{value:.0f} µs a delta, {sample['cpu_share']:.0%} of a core, {sample['peak_mb']:.0f} MB")
    if sample["errors"]:
        parts.append(f"{sample['errors']} ERRORS")
    return "  ".join(parts)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
