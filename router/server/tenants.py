"""All profiles of the server: found in a folder, loaded, watched, and swapped whole when their files change.

A profile whose new version is wrong keeps its last good one, and the problems are shown; one that was never right is
down alone. A person can halt one: it stays loaded, its listener closes and its path answers 503. Nothing here holds a
request up: files are read in a thread, and a swap is one assignment.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import ssl
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Literal

from multidict import CIMultiDictProxy

from router.errors import Forbidden, Halted, ListenError, NotFound, Unavailable
from router.ledger import profile_states
from router.ledger.store import Ledger
from router.ledger.writing import Begin, Record, Settle
from router.money.budget import Limits
from router.money.prices import PriceTable
from router.profile.files import private_problem
from router.profile.load import Loaded, find_profiles
from router.profile.names import name_problem
from router.profile.problems import Problem
from router.profile.profile import Profile
from router.profile.watch import Fingerprint, fingerprint
from router.providers.credentials import Credentials
from router.server.admission import hash_key
from router.server.health_keeper import HealthKeeper
from router.server.listeners import Bind, Handler, Listener, is_loopback, new_sockets
from router.server.services import now_ms
from router.server.spending import Spending
from router.server.tenant import Tenant

log = logging.getLogger("router.server")

State = Literal["running", "problem", "stopped", "disabled", "down"]
How = Literal["stopped", "disabled"]  # by a person: until started again, or the server is; until enabled

POLL_S = 0.5
AUTO_PORTS = range(8081, 8181)
_UNSEEN = Fingerprint({"": ""}, {})  # a state that no folder has


class Tenants:
    """The profiles by name. ``load`` reads one folder; ``front`` makes the handler of a profile's own port; ``only`` is
    the one profile that is served, where it isn't all."""

    def __init__(
        self,
        folder: Path,
        *,
        load: Callable[[Path, str], Loaded],
        credentials: Credentials,
        prices: PriceTable,
        ledger: Ledger,
        host: str,
        may_run_commands: bool = False,
        tls: ssl.SSLContext | None = None,
        bind: Bind = new_sockets,
        only: str | None = None,
        clock: Callable[[], int] = now_ms,
        key_limits: Mapping[str, Mapping[str, Limits]] | None = None,
    ) -> None:
        self.folder = folder
        self.front: Callable[[str], Handler] | None = None
        self.poll_s = POLL_S
        self.halted: dict[str, How] = {}  # profiles that a person doesn't want served
        self._load = load
        self._credentials = credentials
        self._prices = prices
        self._ledger = ledger
        self._keeper = HealthKeeper(ledger)
        self._host = host
        self._may_run_commands = may_run_commands
        self._tls = tls
        self._bind = bind
        self._only = only
        self._clock = clock
        self._key_limits = key_limits or {}
        self._spendings: dict[str, Spending] = {}
        self._default: str | None = None
        self._metrics_key_hash: str | None = None
        self._auto_ports = AUTO_PORTS
        self._running: dict[str, Tenant] = {}
        self._broken: dict[str, tuple[Problem, ...]] = {}
        self._seen: dict[str, Fingerprint] = {}
        self._moving: dict[str, Fingerprint | None] = {}  # changes seen once; None: the folder is gone
        self._looking = asyncio.Lock()  # an older version must never overtake a newer one

    def use(self, *, default: str | None, metrics_key_hash: str | None, auto_ports: range) -> None:
        """Settings of the server: the profile at the root, who may read metrics, where automatic ports are."""
        self._default = default
        self._metrics_key_hash = metrics_key_hash
        self._auto_ports = auto_ports

    # --- looking up -----------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Tenant]:
        return iter(sorted(self._running.values(), key=lambda tenant: tenant.name))

    def __len__(self) -> int:
        return len(self._running)

    def find(self, name: str | None, *, own: bool = False) -> Tenant | None:
        """A profile by name; without a name the default profile, or the only one."""
        if name is not None:
            return self._running.get(name)
        if self._default is not None:
            return self._running.get(self._default)
        return next(iter(self._running.values())) if len(self._running) == 1 else None

    def why_missing(self, name: str | None) -> str:
        """What to tell a client whose profile isn't there."""
        if name is None and self._default is not None:
            name = self._default
        if name is None:
            return "name a profile in the base URL: http://HOST:PORT/PROFILE, or set [server] default-profile"
        if name in self._broken:
            return f"profile {name} is down: its files have problems; `router check {name}` lists them"
        if name_problem(name) is not None:  # not repeated: whatever it is, it may be a key in the wrong place
            return "no profile can have that name"
        return f"no profile is served under /{name}"

    def missing(self, name: str | None) -> NotFound | Unavailable:
        """What to raise for it."""
        name = self._default if name is None else name
        if name in self.halted:
            return Halted(self.why_halted(name))
        kind = Unavailable if name is not None and self.is_broken(name) else NotFound
        return kind(self.why_missing(name))

    def is_broken(self, name: str) -> bool:
        """Whether a profile is there but has no good version."""
        return name in self._broken

    def broken_names(self) -> list[str]:
        """Profiles that have no good version."""
        return sorted(self._broken)

    def names(self) -> list[str]:
        """All profiles there are, by name."""
        return sorted({*self._running, *self._broken})

    def state(self, name: str) -> State:
        """How a profile is. ``problem``: it serves, but something is wrong; ``down``: it was never right."""
        if name in self.halted:
            return self.halted[name]
        if name in self._broken:
            return "down"
        return "problem" if self._running[name].problem_lines() else "running"

    def check_served(self, name: str) -> None:
        """Raises Halted with the reason where a person doesn't want a profile served."""
        if name in self.halted:
            raise Halted(self.why_halted(name))

    def why_halted(self, name: str) -> str:
        """What to tell the clients of a halted profile."""
        how = self.halted[name]
        remedy = "start" if how == "stopped" else "enable"
        return f"profile {name} is {how}; on the router's machine, `router profile {remedy} {name}` changes that"

    def problem_lines(self, name: str) -> list[str]:
        """The problems of one profile as lines."""
        tenant = self._running.get(name)
        return tenant.problem_lines() if tenant else [str(problem) for problem in self._broken.get(name, ())]

    def check_metrics_key(self, headers: CIMultiDictProxy[str]) -> None:
        """Raises Forbidden unless metrics are for this client: everyone on loopback, elsewhere who has the key."""
        if self._metrics_key_hash is None:
            if not is_loopback(self._host):
                raise Forbidden("metrics are served on loopback only; set [server] metrics-key for others")
            return
        presented = headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if not hmac.compare_digest(hash_key(presented), self._metrics_key_hash):
            raise Forbidden("metrics need the key of [server] metrics-key")

    # --- halting --------------------------------------------------------------------------------------------------

    async def halt(self, name: str, how: How) -> None:
        """Serve a profile no longer. Its port is kept for it; its requests under way go on."""
        async with self._looking:
            self.halted[name] = how
            tenant = self._running.get(name)
            if tenant is not None:
                await self._listen(tenant, tenant.profile)

    async def resume(self, name: str) -> None:
        """Serve a halted profile again."""
        async with self._looking:
            del self.halted[name]
            tenant = self._running.get(name)
            if tenant is not None:
                tenant.restarts += 1
                tenant.started_ms = time.time_ns() // 1_000_000
                await self._listen(tenant, tenant.profile)

    # --- loading and watching -------------------------------------------------------------------------------------

    async def refresh(self) -> None:
        """Load what is new or has changed, drop what is gone."""
        await self._look(patient=False)

    async def use_prices(self, prices: PriceTable) -> None:
        """Price with this table from now on."""
        self._prices = prices
        for tenant in self._running.values():
            tenant.prices = prices
        await self.reload()

    async def reload(self) -> None:
        """Load every profile anew: what they are built on has changed."""
        self._seen = dict.fromkeys(self._seen, _UNSEEN)
        await self.refresh()

    async def watch(self) -> None:
        """Look for changes, for ever. What goes wrong here must not end the watching."""
        told = ""
        while True:
            await asyncio.sleep(self.poll_s)
            try:
                await self._look(patient=True)
            except OSError as error:
                if str(error) != told:
                    log.error("the profiles in %s can't be read: %s", self.folder, error)
                told = str(error)
            except Exception:
                log.exception("a change of the profiles in %s could not be taken up", self.folder)
            else:
                told = ""

    async def _look(self, *, patient: bool) -> None:
        """Compare the folder with what is known. Patient: a change is taken up once it has stayed for two looks, since
        half of a file that is being written may be a good file of another meaning."""
        async with self._looking:
            found, changed = await asyncio.to_thread(self._scan, patient)
            waiting = dict(changed)
            try:
                for name, loaded in sorted(changed.items(), key=_takes_any_port):
                    await self._take(name, loaded)
                    del waiting[name]
            finally:
                self._seen |= dict.fromkeys(waiting, _UNSEEN)  # whatever went wrong, they are tried again
            for name in [*self._running, *self._broken]:
                if name not in found:
                    await self._drop(name)

    async def close(self) -> None:
        """End every profile's listener and script, and save what they leave alone."""
        for tenant in self._running.values():
            if tenant.listener is not None:
                await tenant.listener.close()
            if tenant.script is not None:
                await tenant.script.end()
            await tenant.spending.alarm.close()
        await self._keeper.close()

    def stop_listening(self) -> None:
        """Accept no more connections on the profiles' own ports."""
        for tenant in self._running.values():
            if tenant.listener is not None:
                tenant.listener.stop()

    async def pause(self) -> None:
        """Write nothing into the ledger's database until ``go_on``."""
        for spending in self._spendings.values():
            spending.hand_over()
        await self._keeper.close()

    async def recount(self) -> None:
        """Have all budgets know what another process has spent. Raises sqlite3.Error."""
        for spending in self._spendings.values():
            await spending.recount(self._ledger)

    def go_on(self) -> None:
        """See ``pause``."""
        for spending in self._spendings.values():
            spending.go_on()
        self._keeper.reopen()

    def retire(self) -> None:
        """Leave the profiles' own ports, and what may be spent, to another process."""
        for spending in self._spendings.values():
            spending.retire()
        for tenant in self._running.values():
            if tenant.listener is not None:
                tenant.listener.retire()

    @property
    def connections(self) -> int:
        """Clients on the profiles' own ports."""
        return sum(tenant.listener.connections for tenant in self._running.values() if tenant.listener is not None)

    def _scan(self, patient: bool) -> tuple[set[str], dict[str, Loaded]]:
        """The profiles that count as being there, and those to take up, loaded."""
        found = find_profiles(self.folder)
        if self._only is not None:
            found = {name: path for name, path in found.items() if name == self._only}
        now: dict[str, Fingerprint | None] = {
            name: fingerprint(directory, self._seen.get(name)) for name, directory in found.items()
        }
        now |= dict.fromkeys(self._seen.keys() - found.keys())
        moved = {name: state for name, state in now.items() if state != self._seen.get(name)}
        still = [name for name, state in moved.items() if not patient or self._has_stayed(name, state)]
        self._moving = {name: state for name, state in moved.items() if name not in still}
        changed: dict[str, Loaded] = {}
        for name in still:
            state = moved[name]
            if state is None:
                del self._seen[name]
            else:
                self._seen[name] = state
                changed[name] = self._load(found[name], name)
        return set(self._seen), changed

    def _has_stayed(self, name: str, state: Fingerprint | None) -> bool:
        """Whether a folder was like this at the last look, too: not only what its files say, their times as well."""
        before = self._moving.get(name, _UNSEEN)
        if state is None or before is None:
            return state is before
        return before == state and before.stamps == state.stamps

    async def _take(self, name: str, loaded: Loaded) -> None:
        errors = tuple(problem for problem in loaded.problems if problem.severity == "error")
        tenant = self._running.get(name)
        if loaded.profile is None:
            for problem in errors:
                log.error("%s", problem)
            if tenant is None:
                self._broken[name] = errors
            else:
                tenant.problems = errors
                log.error("profile %s keeps its last good version", name)
            return
        self._broken.pop(name, None)
        told = {(problem.path, problem.message) for problem in tenant.profile.warnings} if tenant is not None else set()
        for problem in loaded.warnings:
            if (problem.path, problem.message) not in told:
                log.warning("%s", problem)
        if tenant is None:
            spending = self.spending(name)
            await self._take_up(spending, loaded.profile)
            tenant = Tenant(
                loaded.profile,
                self._credentials,
                self._prices,
                may_run_commands=self._may_run_commands,
                clock=self._clock,
                spending=spending,
            )
            await self._keeper.adopt(tenant)
            self._running[name] = tenant
        else:
            await self._take_up(tenant.spending, loaded.profile)
            tenant.use(loaded.profile)
            tenant.reloads += 1
            log.info("profile %s: new version %s in force", name, loaded.profile.file_hash)
        tenant.problems = ()
        await self._listen(tenant, loaded.profile)

    async def _take_up(self, spending: Spending, profile: Profile) -> None:
        """Have budgets hold before the version that they are of does."""
        if self._may_run_commands:
            spending.alarm.distrust = partial(private_problem, profile.directory / "routing.toml")
        await spending.use(profile, self._key_limits.get(profile.name, {}), self._ledger)

    async def use_key_limits(self, limits: Mapping[str, Mapping[str, Limits]]) -> None:
        """Put what client keys may spend in force, by profile and the key's name."""
        async with self._looking:
            self._key_limits = limits
            for tenant in self._running.values():
                await self._take_up(tenant.spending, tenant.profile)

    def told_elsewhere(self, profile: str, record: Record) -> None:
        """The process that this one replaces has begun a call, or ended a request. It may not know whose."""
        if isinstance(record, Begin):
            self.spending(profile).begun_elsewhere(record.intent)
        elif isinstance(record, Settle):
            for spending in [self.spending(profile)] if profile else list(self._spendings.values()):
                spending.ended_elsewhere(record.settlement)

    def lost_elsewhere(self, ids: Collection[str]) -> None:
        """That process has died with these requests."""
        for spending in self._spendings.values():
            for id_ in ids:
                spending.lost_elsewhere(id_)

    def spending(self, name: str) -> Spending:
        """What a profile of this name has spent, whether it is served or not."""
        return self._spendings.setdefault(name, Spending(name, self._clock))

    async def _listen(self, tenant: Tenant, profile: Profile) -> None:
        """Open, move or close the profile's own listener as its file says, and whether it is halted."""
        assert self.front is not None
        tenant.listen_problem = None
        current = tenant.listener
        kept = await self._ledger.run(profile_states.ports) if profile.port == "auto" else {}
        if profile.name in self.halted:
            tenant.own_port = kept.get(profile.name) if profile.port == "auto" else profile.port
            tenant.listener = None
            if current is not None:
                current.stop()
                await current.stopped()
            return
        if profile.port is None:
            wanted: list[int] = []
        elif profile.port == "auto":
            if current is not None:
                return
            wanted = self._automatic(profile.name, kept)
        else:
            wanted = [profile.port]
        if current is not None and current.port in wanted[:1]:
            return
        opened, failure = None, None
        for port in wanted:
            listener = Listener(self._host, port, self.front(profile.name), tls=self._tls, bind=self._bind)
            try:
                await listener.open()
                opened = listener
                break
            except ListenError as error:
                failure = error
        tenant.listen_problem = str(failure) if wanted and opened is None else None
        if tenant.listen_problem:
            log.error("profile %s: %s", profile.name, tenant.listen_problem)
            return
        tenant.listener = opened
        tenant.own_port = opened.port if opened is not None else None
        if current is not None:
            current.stop()
            tenant.restarts += opened is not None
        if opened is not None and profile.port == "auto":
            await self._ledger.run(lambda connection: profile_states.remember(connection, profile.name, opened.port))

    def _automatic(self, name: str, kept: dict[str, int]) -> list[int]:
        """Ports to try for a profile, the best first: the one it had, then those that no other profile has or had. What
        was left by profiles that are gone comes last."""
        others = [tenant for tenant in self if tenant.name != name]
        taken = {other.listener.port for other in others if other.listener is not None}
        taken |= {other.profile.port for other in others if isinstance(other.profile.port, int)}
        taken |= {port for other, port in kept.items() if other != name and other in self._seen}
        ports = sorted(self._auto_ports, key=lambda port: port in kept.values())
        if name in kept:
            ports.insert(0, kept[name])
        return [port for port in ports if port not in taken]

    async def _drop(self, name: str) -> None:
        self._broken.pop(name, None)
        if self.halted.get(name) == "stopped":
            del self.halted[name]
        tenant = self._running.pop(name, None)
        if tenant is None:
            return
        log.info("profile %s is gone", name)
        if tenant.listener is not None:
            tenant.listener.stop()
        if tenant.script is not None:
            tenant.script.close()


def _takes_any_port(change: tuple[str, Loaded]) -> bool:
    """Profiles with a port of their own choice come before those that take what is left."""
    profile = change[1].profile
    return profile is not None and profile.port == "auto"
