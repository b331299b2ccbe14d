"""The server: builds all parts in order, serves until told to stop, takes them down in the reverse order.

``run`` is the command's entry; tests build an ``App``, ``await start()`` it and talk to its address.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from router import __version__
from router.errors import ConfigError, LedgerError, Unavailable
from router.ledger.forwarding import Forwarded
from router.ledger.lock import HomeLock
from router.ledger.migrations import MIGRATIONS
from router.ledger.reports import Reader
from router.ledger.retention import keep_forgetting
from router.ledger.store import Ledger
from router.ledger.writing import Record, Settle
from router.money.prices import PriceTable
from router.profile.files import private_problem
from router.profile.home import Home, HomeSettings
from router.profile.load import Loaded, find_profiles, load_profile
from router.profile.problems import Problem
from router.providers.builtin import DEMO
from router.providers.credentials import CredentialMissing, Credentials
from router.providers.provider import Provider
from router.routing.encoding import load_encoding
from router.routing.tokens import PieceSummaries
from router.server import client_keys
from router.server.admin import AdminServer
from router.server.admission import HostRule, KeyRing, hash_key
from router.server.annotate import Annotator
from router.server.channel import Hello, Memories, UnderWay
from router.server.console import standard_error
from router.server.demo import DemoProvider
from router.server.draft_watch import keep_looking
from router.server.front import Front
from router.server.helpers import Helpers
from router.server.home_files import HomeFiles
from router.server.listeners import Listener, is_loopback, new_sockets, server_tls
from router.server.pages import services_problems
from router.server.profile_states import ProfileStates
from router.server.request_log import RequestLog
from router.server.server_log import ServerLog
from router.server.services import DRAINING, Services, now_ms
from router.server.supervisor import supervisor
from router.server.takeover import Predecessor, Successor, hand_over
from router.server.tenants import Tenants
from router.upstream.client import Upstream
from router.wire.piece_memory import PieceMemory

log = logging.getLogger("router.server")

M_MMAP_THRESHOLD = -3  # malloc.h
LARGE_BLOCK = 256 * 1024
CUT_S = 2.0  # for exchanges that are cut short: an error event, the settlement
FADE_POLL_S = 0.1  # how often a server that another one has replaced looks whether all its clients are gone


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What the command line says; None leaves it to router.toml and its defaults. ``port`` 0 takes any free one."""

    home: Path
    profiles: Path | None = None
    host: str | None = None
    port: int | None = None
    log_level: str | None = None
    only: str | None = None  # of the profiles in that folder, when it isn't all
    background: bool = False  # it prints into the home's server log, which has no requests: profiles have logs
    take_over: bool = False  # from the server that runs on the home

    def arguments(self) -> list[str]:
        """These options as arguments of `router serve`, for a successor; not the home, nor how it is run."""
        given = {
            "--profiles": self.profiles and self.profiles.absolute(),
            "--host": self.host,
            "--port": self.port,
            "--log-level": self.log_level,
        }
        if self.only is not None:  # so does --demo choose it
            del given["--profiles"]
        chosen = ["--demo"] if self.only is not None else []
        return chosen + [word for name, value in given.items() if value is not None for word in (name, str(value))]


class App:
    """One server on one home."""

    def __init__(
        self,
        options: ServeOptions,
        *,
        environ: Mapping[str, str] = os.environ,
        console: Callable[[str], object] | None = None,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self.options = options
        self.clock = clock
        self.console = console
        self.environ = environ
        self.home = Home(options.home)
        self.stopping = asyncio.Event()
        self.started_ms = time.time_ns() // 1_000_000
        self._tasks: set[asyncio.Task[None]] = set()
        self._exit = contextlib.AsyncExitStack()
        self._stop_now = asyncio.Event()
        self.helpers = Helpers(
            self.home.logs,
            self.home.helpers,
            environ=environ,
            distrust=lambda: private_problem(self.home.server_file),
        )
        self.retired = asyncio.Event()  # whether another process serves the home by now
        self._handing_over: asyncio.Task[None] | None = None
        self._successor: Successor | None = None
        self._predecessor: Predecessor | None = None

        self.settings: HomeSettings
        self.services: Services
        self.tenants: Tenants
        self.profile_states: ProfileStates
        self.ledger: Ledger
        self.listener: Listener
        self.catalog: Mapping[str, Provider]
        self.credentials: Credentials
        self.prices: PriceTable
        self._admin: AdminServer
        self._files: HomeFiles
        self._demo: Provider
        self._lock: HomeLock
        self._of_prices: tuple[Problem, ...]
        self._upstream: Upstream

    @property
    def base_url(self) -> str:
        """The main listener's address."""
        return self.listener.base_url

    async def start(self) -> None:
        """Bring everything up. Raises RouterErrors (wrong files, ledger, lock, address); what was up is taken down."""
        try:
            await self._start()
        except BaseException:
            await self._exit.aclose()
            raise

    async def _start(self) -> None:
        self.home.create()
        if self.options.take_over:
            self._read_home()
            await self._build_parts()
            requests = await self._take_over()
        else:
            self._claim_home()
            self._read_home()
            await self._build_parts()
            requests = None
        await self._open_books(requests)
        await self._open_doors(requests)
        self._watch()

    def _claim_home(self, lock: HomeLock | None = None) -> None:
        """See that nobody else serves the home, unless that one gave us its lock."""
        self._lock = HomeLock(self.home.lock).acquire() if lock is None else lock
        self._lock.sign()
        self._exit.callback(self._leave_home)
        self.home.pid_file.write_text(f"{os.getpid()}\n")

    def _leave_home(self) -> None:
        if not self.retired.is_set():
            self.home.pid_file.unlink(missing_ok=True)
            self._lock.release()

    def _read_home(self) -> None:
        """The home's own files. Raises ConfigError."""
        self.settings, problems = self.home.settings()
        catalog, of_providers = self.home.catalog()
        if problems or of_providers:
            raise ConfigError("\n".join(str(problem) for problem in (*problems, *of_providers)))
        for problem in self.home.problems():
            log.warning("%s", problem)
        self.catalog = catalog
        self.credentials = Credentials(self.environ)

    async def _build_parts(self) -> None:
        """What needs neither the home nor its ledger; taken down at the end."""
        demo = DemoProvider()
        await demo.start()
        self._exit.push_async_callback(demo.close)
        self._demo = demo.provider()
        self.catalog = {**self.catalog, DEMO: self._demo}
        self.prices, self._of_prices = await asyncio.to_thread(self.home.prices)
        self._upstream = Upstream(proxy=self.settings.proxy, ca_file=self.settings.ca_file)
        self._exit.push_async_callback(self._upstream.close)

    async def _take_over(self) -> UnderWay:
        """Have the server that runs give us everything, once it is known that we can use it."""
        broken = await asyncio.to_thread(self._broken_profiles)
        self._predecessor = before = await Predecessor.meet(self.home)
        self._exit.push_async_callback(before.close)
        lost = [line for name in before.profiles for line in broken.get(name, ())]
        if lost:
            raise ConfigError("\n".join((*lost, "the running router goes on with the last good version")))
        requests = await before.take()
        self._claim_home(before.lock)
        return requests

    def _broken_profiles(self) -> dict[str, list[str]]:
        """Profiles that can't be served as their files are now, and why."""
        found = find_profiles(self.options.profiles or self.home.profiles)
        loaded = {name: self._load_profile(path, name) for name, path in found.items()}
        return {name: [str(error) for error in each.errors] for name, each in loaded.items() if each.profile is None}

    async def _open_books(self, requests: UnderWay | None) -> None:
        """The ledger, and what exchanges share; taken down at the end."""
        at_exit = self._exit
        self.ledger = await Ledger.open(self.home.database, under_way=requests.requests if requests else ())
        at_exit.push_async_callback(self.ledger.close)
        request_log = RequestLog(self.home.logs, console=self.console if log.isEnabledFor(logging.INFO) else None)
        at_exit.callback(request_log.close)
        annotator = Annotator()
        at_exit.push_async_callback(annotator.close)
        self.services = Services(
            ledger=self.ledger,
            upstream=self._upstream,
            prices=self.prices,
            pieces=PieceMemory(),
            summaries=PieceSummaries(),
            annotator=annotator,
            log=request_log,
            hosts=HostRule(listen_host=self.host, hosts=self.settings.hosts, origins=self.settings.origins),
            keys=await self._key_ring(),
            max_body=self.settings.max_body,
            loopback=is_loopback(self.host),
            version=__version__,
            clock=self.clock,
        )

    async def _open_doors(self, requests: UnderWay | None) -> None:
        """The listeners and the profiles behind them, then the admin socket."""
        tls = server_tls(self.settings)
        before = self._predecessor
        bind = before.bind if before is not None else new_sockets
        self.tenants = Tenants(
            self.options.profiles or self.home.profiles,
            load=self._load_profile,
            credentials=self.credentials,
            prices=self.services.prices,
            ledger=self.ledger,
            host=self.host,
            may_run_commands=self.options.profiles is None,  # a repository that is served must not run programs
            tls=tls,
            bind=bind,
            only=self.options.only,
            clock=self.clock,
            key_limits=await self.ledger.run(client_keys.limits),
        )
        await self._use_settings(self.settings)
        self.tenants.front = lambda name: Front(self.services, self.tenants, name)
        self._exit.push_async_callback(self.tenants.close)
        self.profile_states = ProfileStates(self.services, self.tenants, lambda: self.settings.stop_grace_s)
        await self.profile_states.load()
        if before is not None and requests is not None:
            told = self._told_elsewhere, self.tenants.lost_elsewhere
            await before.opened(Forwarded(self.ledger, requests.requests, *told))
        port = self.options.port if self.options.port is not None else self.settings.port
        if port == 0 and before is not None:
            port = before.main_port
        self.listener = Listener(self.host, port, Front(self.services, self.tenants), tls=tls, bind=bind)
        await self.listener.open(accept=False)  # a busy port is told at once; whoever connects waits for the profiles
        self._exit.push_async_callback(self.listener.close)
        self._exit.push_async_callback(self.helpers.close)
        if before is None:
            await self.helpers.use(self.settings.helpers)
        await self.tenants.refresh()
        if before is not None:
            for tenant in self.tenants:
                if (memory := before.memories.get(tenant.name)) is not None:
                    tenant.recall(memory)
        await self.listener.accept()
        self._admin = AdminServer(self, self.home.socket)
        await self._admin.open()
        self._exit.push_async_callback(self._admin.close)
        if before is not None:
            await before.ready()
            self._background(self.helpers.use(self.settings.helpers), "helpers")  # those that run are watched from here

    def _told_elsewhere(self, profile: str, record: Record) -> None:
        self.tenants.told_elsewhere(profile, record)
        tenant = self.tenants.find(profile)
        if tenant is not None and isinstance(record, Settle):
            tenant.note_elsewhere(record)

    def _watch(self) -> None:
        """What goes on beside the requests: files are watched, old requests forgotten."""
        if any(tenant.profile.routes.needs_tokens for tenant in self.tenants):
            self._background(asyncio.to_thread(load_encoding), "rank data")
        self._files = files = HomeFiles(
            self.home,
            self.settings,
            use_settings=self._change_settings,
            use_catalog=self._use_catalog,
            use_prices=self._use_prices,
            problems=self._of_prices,
        )
        self.services.home_problems = lambda: [*files.problem_lines(), *self.helpers.problem_lines()]
        self._background(self.tenants.watch(), "profile watcher")
        self._background(files.watch(), "home watcher")
        self._background(keep_forgetting(self.ledger, self._retention), "retention")
        self._background(keep_looking(Reader(self.home.database), lambda: self.tenants), "draft watch")

    @property
    def host(self) -> str:
        """The address to listen on."""
        return self.options.host or self.settings.host

    async def _use_settings(self, settings: HomeSettings) -> None:
        """Put ``router.toml`` in force, as far as it can change under way. Raises ConfigError."""
        try:
            key = settings.metrics_key
            metrics_hash = hash_key((await self.credentials.resolve(key)).reveal()) if key else None
        except CredentialMissing as error:
            raise ConfigError(f"[server] metrics-key: {error}") from error
        self.settings = settings
        self.services.hosts = HostRule(listen_host=self.host, hosts=settings.hosts, origins=settings.origins)
        self.services.max_body = settings.max_body
        first, last = settings.port_range
        self.tenants.use(
            default=settings.default_profile, metrics_key_hash=metrics_hash, auto_ports=range(first, last + 1)
        )

    async def _change_settings(self, settings: HomeSettings) -> None:
        """The same under way; helpers take their time to start and to stop."""
        await self._use_settings(settings)
        self._background(self.helpers.use(settings.helpers), "helpers")

    async def reload(self) -> None:
        """Take up every change of a file now."""
        await self._files.look(patient=False)
        await self.tenants.refresh()

    async def _use_catalog(self, catalog: Mapping[str, Provider]) -> None:
        """Put ``providers.toml`` in force: every profile is built anew on it."""
        self.catalog = {**catalog, DEMO: self._demo}
        await self.tenants.reload()

    async def _use_prices(self, prices: PriceTable) -> None:
        """Put a price table in force for what is priced from now on; what has been stays as it is."""
        self.prices = self.services.prices = prices
        await self.tenants.use_prices(prices)

    def _retention(self) -> list[tuple[str, float]]:
        return [(tenant.name, tenant.profile.retention_s) for tenant in self.tenants]

    def _load_profile(self, directory: Path, name: str) -> Loaded:
        prices = self.prices

        def known_model(provider: str, model: str) -> bool | None:
            entry = self.catalog.get(provider)
            if entry is None or entry.price_provider is None or not prices.models(entry.price_provider):
                return None
            return prices.knows(entry.price_provider, model)

        return load_profile(directory, name=name, catalog=self.catalog, environ=self.environ, known_model=known_model)

    async def _key_ring(self) -> KeyRing:
        return await self.ledger.run(client_keys.ring)

    def _background(self, work: Any, name: str) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        task.set_name(name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)  # each change of a file makes one

    # --- status and stopping --------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """What `router status` and the commands need to know of a running server."""
        return {
            "pid": os.getpid(),
            "version": self.services.version,
            "base_url": self.base_url,
            "home": str(self.home.path),
            "started_ms": self.started_ms,
            "active": len(self.services.active),
            "problems": services_problems(self.services),
            "profiles": self.profile_states.rows(self.base_url),
            "helpers": self.helpers.rows(),
            "log": str(self.home.server_log) if self.options.background else None,
            "supervisor": supervisor(self.environ),
            "arguments": self.options.arguments(),
            "draining": self._draining(),
        }

    def _draining(self) -> dict[str, int] | None:
        """The process that this one has replaced, while it still serves requests."""
        before = self._predecessor
        if before is None or before.forwarded is None or before.has_ended:
            return None
        return {"pid": before.pid, "requests": len(before.forwarded.requests)}

    def request_stop(self) -> None:
        """Begin to stop; asked a second time, stop at once."""
        if self.stopping.is_set():
            self._stop_now.set()
        self.stopping.set()
        if self._predecessor is not None:
            self._predecessor.stop()

    async def stop(self) -> None:
        """Take no new work, let running requests end within the grace, end the rest honestly, take all parts down."""
        services = self.services
        services.draining = True
        for tenant in self.tenants:
            tenant.limits.dismiss(lambda: Unavailable(DRAINING, retry_after_s=1))
        if self._handing_over is not None and not self.retired.is_set():
            self._handing_over.cancel()
        self.listener.stop()
        self.tenants.stop_listening()
        self.profile_states.close()
        await self._stop_watching()
        await self._until_idle(self.settings.stop_grace_s)
        for exchange in list(services.active):
            exchange.cut()
        self._stop_now.clear()
        await self._until_idle(CUT_S)
        if self._predecessor is not None:
            await self._predecessor.gone(self.settings.stop_grace_s + CUT_S)
        await self._exit.aclose()
        if self._handing_over is not None:
            self._handing_over.cancel()
            await asyncio.wait({self._handing_over})
        if self._successor is not None:
            await self._successor.bye()

    async def _stop_watching(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _until_idle(self, longest_s: float) -> None:
        """Wait until no exchange is under way, for a while, or until asked to stop at once."""
        idle = asyncio.create_task(self.services.idle.wait())
        now = asyncio.create_task(self._stop_now.wait())
        await asyncio.wait({idle, now}, timeout=longest_s, return_when=asyncio.FIRST_COMPLETED)
        idle.cancel()
        now.cancel()

    async def serve(self, on_ready: Callable[[App], None]) -> None:
        """Start, say so, serve until a signal or the admin socket says stop, stop."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(LoopErrors())
        await self.start()
        spare_the_collector()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.request_stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        for number in (signal.SIGUSR1, signal.SIGUSR2):  # which would end the process
            loop.add_signal_handler(number, lambda: log.info("%d requests are under way", len(self.services.active)))
        on_ready(self)
        ends = {asyncio.create_task(event.wait()) for event in (self.stopping, self.retired)}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        if self.retired.is_set():
            await self._fade()
        await self.stop()

    def _reload(self) -> None:
        if not self.retired.is_set():
            self._background(self.reload(), "reload")

    # --- handing over to another process --------------------------------------------------------------------------

    def begin_hand_over(self, path: Path) -> None:
        """Have the process that listens at ``path`` replace this one. Raises ValueError where that isn't possible."""
        if self.stopping.is_set() or self.retired.is_set():
            raise ValueError("this router is about to end")
        if self._handing_over is not None and not self._handing_over.done():
            raise ValueError("a restart is under way")
        self._handing_over = asyncio.create_task(hand_over(self, path), name="hand-over")

    def hello(self) -> tuple[Hello, list[int]]:
        """Who we are; the lock and all listening sockets."""
        listeners = [self.listener, *(tenant.listener for tenant in self.tenants if tenant.listener is not None)]
        places = [(listener.host, listener.port, len(listener.fds)) for listener in listeners]
        hello = Hello(os.getpid(), __version__, len(MIGRATIONS), [tenant.name for tenant in self.tenants], places)
        return hello, [self._lock.fd, *(fd for listener in listeners for fd in listener.fds)]

    def memories(self) -> Memories:
        """What the profiles know of conversations."""
        return Memories({tenant.name: tenant.memory() for tenant in self.tenants})

    async def pause(self) -> None:
        """Let go of the ledger. Requests are served as before; what they record waits."""
        await self._stop_watching()
        await self.tenants.pause()
        await self.ledger.hand_over()

    def under_way(self) -> UnderWay:
        """Requests that may have an open row, or none yet: those being served, those of which a record waits, and those
        of a process that we have replaced."""
        before = self._predecessor
        requests = dict(before.forwarded.requests) if before is not None and before.forwarded is not None else {}
        requests |= dict.fromkeys(self.ledger.unwritten, "")
        requests |= {exchange.id: exchange.profile.name for exchange in self.services.active}
        return UnderWay(requests)

    async def resume(self) -> None:
        """The other process has ended: go on as if there had been none."""
        self._lock.sign()
        self.home.pid_file.write_text(f"{os.getpid()}\n")
        try:
            await self.ledger.take_back()
            await self.tenants.recount()  # it may have served already
        except sqlite3.Error as error:
            log.error("budgets don't know what the other process has spent: %s", error)
        except LedgerError as error:
            log.error("%s; what is served goes to the spill file", error)
            await self.ledger.close()
        self.tenants.go_on()
        await self._admin.close()
        await self._admin.open()
        self._watch()

    def retire(self, successor: Successor) -> None:
        """The other process serves: take no new clients, leave the home to it, end with the last request."""
        self.retired.set()
        self._successor = successor
        self.listener.retire()
        self.tenants.retire()
        self.helpers.leave()
        self._lock.release()
        self._background(self._admin.leave(), "the end of the admin socket")
        log.info("another process serves now; %d requests end here", len(self.services.active))

    async def _fade(self) -> None:
        """Serve what is under way, and what still comes on connections that clients keep."""
        until = time.monotonic() + self.settings.restart_grace_s
        while time.monotonic() < until and not self.stopping.is_set():
            if not self.services.active and not self.listener.connections and not self.tenants.connections:
                return
            await asyncio.sleep(FADE_POLL_S)


class LoopErrors:
    """Errors that asyncio has nobody to give to: logged, at most ten a minute, so that a flood can't fill the disk."""

    def __init__(self) -> None:
        self._minute = 0
        self._count = 0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        minute = int(loop.time() // 60)
        if minute != self._minute:
            self._minute, self._count = minute, 0
        self._count += 1
        if self._count <= 10:
            log.error("%s", context.get("message"), exc_info=context.get("exception"))


def spare_the_collector() -> None:
    """Have the garbage collector look at less, now that everything is up that lives as long as the process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)  # requests make little that refers to itself


def give_memory_back() -> None:
    """Have large blocks returned to the system when they are freed.

    glibc learns from each large block that is freed to keep the next one for itself; with bodies of megabytes coming
    and going its heap then holds several hundred megabytes of holes. A fixed threshold ends the learning. Elsewhere
    (macOS, musl) there is nothing to set.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK)


def run(options: ServeOptions, on_ready: Callable[[App], None] = lambda app: None) -> int:
    """Serve in the foreground until a signal. Returns 0; raises RouterErrors that know their exit status."""
    console = ServerLog(Home(options.home).server_log) if options.background else standard_error()
    logging.basicConfig(
        level=(options.log_level or "info").upper(),
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S" if options.background else "%H:%M:%S",
        handlers=[console],
    )
    logging.raiseExceptions = False  # what can't be logged must not fail a request
    os.umask(0o077)
    give_memory_back()

    def tell(app: App) -> None:
        try:
            on_ready(app)
        except OSError:  # nobody reads what is printed, or there is no room for it
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    async def serve() -> None:
        await App(options, console=None if options.background else console.write).serve(tell)

    try:
        asyncio.run(serve())
    finally:
        console.close()
    return 0
