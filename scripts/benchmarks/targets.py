"""What is measured: a direct call, the bare proxy, the router, and any other gateway that runs on this machine."""

from __future__ import annotations

import os
import socket
import sqlite3
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import Meter, Process, Stalls, Worker, environment

# The rules of the README's first example.
RULES = """\
[[rule]]
match = { tool-use = true }
to = "anthropic"
model = "claude-sonnet-4-5"

[[rule]]
match = { input-tokens-lt = 2000 }
to = "groq"
model = "llama-3.3-70b-versatile"

[[rule]]
match = { input-tokens-gt = 100000 }
to = "anthropic"
model = "claude-sonnet-4-5" # long context

[default]
to = "anthropic"
model = "claude-haiku-4-5"
"""
# A rule that asks for the length of the session, which its bytes alone don't tell for most turns; and the same without.
TOKEN_RULES = """\
[[rule]]
match = { input-tokens-gt = 60000 }
to = "anthropic"

"""
PLAIN_RULES = """\
[default]
to = "anthropic"
"""
# To a provider that speaks Chat only.
CHAT_RULES = """\
[default]
to = "groq"
model = "llama-3.3-70b-versatile"
"""
PROVIDERS = """
[models."anthropic/claude-sonnet-4-5"]
context = 2_000_000
[providers.anthropic]
base-url = "http://127.0.0.1:PORT"
api-key = "env:BENCH_KEY"

[providers.groq]
base-url = "http://127.0.0.1:PORT/v1"
api-key = "env:BENCH_KEY"
"""
ENTRY = "router.cli.main:main"
READY_S = 30.0
Say = Callable[[str], None]


@dataclass(slots=True)
class Target:
    """Where requests go, and what of it can be measured from outside. ``payload`` stands in for that of a cell."""

    name: str
    port: int
    prefix: str = ""
    payload: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    process: Process | None = None
    meter: Meter | None = None
    stalls: Stalls | None = None

    def stop(self) -> list[str]:
        """End it; returns what went wrong."""
        if self.process is None:
            return []
        if not self.process.running():
            return [f"{self.name} ended on its own:\n{self.process.why()}"]
        status = self.process.stop()
        return [f"{self.name} ended with status {status}:\n{self.process.why()}"] if status else []


def direct(provider: int) -> Target:
    return Target("direct", provider)


def bare(provider: int, *, folder: Path, core: int | None) -> Target:
    stalls = folder / "bare.stalls"
    process = Worker(
        "benchmarks.watched",
        str(stalls),
        "benchmarks.bare_proxy:main",
        str(provider),
        core=core,
        log=folder / "bare.log",
        env=environment(),
    )
    return Target(
        "bare aiohttp", process.ready["port"], process=process, meter=Meter(process.pid), stalls=Stalls(process, stalls)
    )


def router(provider: int, *, folder: Path, core: int | None) -> Target:
    """The router as a user starts it: rules, ledger and log on."""
    home = folder / "home"
    providers = PROVIDERS.replace("PORT", str(provider))
    write_profile(home, "bench", RULES + providers)
    write_profile(home, "plain", PLAIN_RULES + providers)
    write_profile(home, "tokens", TOKEN_RULES + PLAIN_RULES + providers)
    write_profile(home, "to-chat", CHAT_RULES + providers)
    process, port = start_router(home, folder=folder, core=core)
    target = Target("router", port, prefix="/bench", process=process, meter=Meter(process.pid))
    target.stalls = Stalls(process, folder / "router.stalls")
    return target


def write_profile(home: Path, name: str, rules: str) -> None:
    """A profile in a home; both stay readable by their owner alone."""
    profile = home / "profiles" / name
    profile.mkdir(parents=True)
    home.chmod(0o700)
    (profile / "routing.toml").write_text(rules, "utf-8")


def start_router(home: Path, *, folder: Path, core: int | None) -> tuple[Process, int]:
    """Start the server and wait until it says that it is healthy."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.watched", str(folder / "router.stalls"), ENTRY, "serve"]
    process = Process(
        [*command, "--home", str(home), "--port", str(port)],
        core=core,
        log=folder / "router.log",
        env=environment(ROUTER_HOME=str(home), BENCH_KEY="bench-key"),
    )
    until = time.monotonic() + READY_S
    while not healthy(port):
        if not process.running() or time.monotonic() > until:
            process.stop(1.0)
            raise SystemExit(f"the router isn't ready after {READY_S:.0f} s:\n{process.why()}")
        time.sleep(0.005)
    return process, port


def healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def peer(description: str) -> Target:
    """``NAME=PORT[/PREFIX][,pid=PID][,HEADER:VALUE…]``: a gateway the user started, forwarding to the fake provider."""
    name, found, rest = description.partition("=")
    place, *extras = rest.split(",")
    port, slash, prefix = place.partition("/")
    if not found or not port.isdigit():
        raise SystemExit(f"--peer {description}: expected NAME=PORT[/PREFIX][,pid=PID][,HEADER:VALUE]")
    target = Target(name, int(port), prefix=slash + prefix)
    headers = {}
    for extra in extras:
        if extra.startswith("pid="):
            target.meter = Meter(int(extra[4:]))
        else:
            header, _, value = extra.partition(":")
            headers[header] = value
    target.headers = headers
    return target


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ledger_problems(home: Path, requests: int) -> list[str]:
    """Whether the ledger holds exactly one settled, priced row for every request that was sent."""
    file = home / "router.db"
    if not file.exists():
        return ["the router wrote no ledger"]
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        rows, settled, ok, priced = connection.execute(
            "SELECT count(*), sum(state = 'settled'), sum(outcome = 'ok'), sum(cost_nano_usd > 0) FROM requests"
        ).fetchone()
    finally:
        connection.close()
    seen = (
        f"{requests} requests were sent; the ledger has {rows} rows, {settled} settled, {ok} ok, {priced} with a cost"
    )
    return [] if rows == settled == ok == priced == requests else [seen]


def disturbing_variables() -> list[str]:
    """Variables that are set and would slow everything down."""
    return [name for name in ("PYTHONASYNCIODEBUG", "PYTHONDEVMODE", "PYTHONTRACEMALLOC") if os.environ.get(name)]
