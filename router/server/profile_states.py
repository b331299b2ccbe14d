"""Profiles are stopped, started, disabled and enabled, each by itself: the others notice nothing of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

from router.errors import Halted
from router.ledger import profile_states
from router.server.services import Services, now_ms
from router.server.tenant import Tenant
from router.server.tenants import How, Tenants


class ProfileStates:
    """The admin socket's side of ``Tenants.halted``. All changes are idempotent; ``grace_s`` is what requests under way
    get when their profile stops."""

    def __init__(self, services: Services, tenants: Tenants, grace_s: Callable[[], float]) -> None:
        self._services = services
        self._tenants = tenants
        self._grace_s = grace_s
        self._endings: dict[str, asyncio.Task[None]] = {}

    async def load(self) -> None:
        """Take up which profiles are disabled; before the first is served."""
        disabled = await self._services.ledger.run(profile_states.disabled)
        self._tenants.halted |= dict.fromkeys(disabled, "disabled")

    async def start(self, name: str) -> None:
        """Serve a stopped profile again. Raises ValueError for a disabled one."""
        if self._tenants.halted.get(name) == "disabled":
            raise ValueError(f"profile {name} is disabled; `router profile enable {name}` changes that")
        await self._resume(name)

    async def stop(self, name: str, *, now: bool = False) -> None:
        """Serve it no longer, until it is started or the server is. A disabled profile stays disabled."""
        await self._halt(name, self._tenants.halted.get(name, "stopped"), now=now)

    async def restart(self, name: str, *, now: bool = False) -> None:
        """Close its listener and open it again, with a new process for its script. Requests under way go on, unless
        ``now``. Raises ValueError for a disabled profile."""
        if self._tenants.halted.get(name) != "disabled":
            await self._tenants.halt(name, "stopped")
            tenant = self._tenants.find(name)
            if tenant is not None and tenant.script is not None:
                tenant.script.reload()
            if now:
                self._cut(name, f"profile {name} is restarted")
        await self.start(name)

    async def disable(self, name: str, *, now: bool = False) -> None:
        """Serve it no longer, until it is enabled."""
        await self._services.ledger.run(lambda connection: profile_states.disable(connection, name, now_ms()))
        await self._halt(name, "disabled", now=now)

    async def enable(self, name: str) -> None:
        """Serve a profile that was disabled, or stopped."""
        await self._services.ledger.run(lambda connection: profile_states.enable(connection, name))
        await self._resume(name)

    async def forget(self, name: str) -> None:
        """Release the port of a profile whose folder is gone, and what else is kept of it. Raises ValueError while the
        folder is there."""
        await self._tenants.refresh()
        if name in self._tenants.names():
            raise ValueError(f"the folder of profile {name} is still there")
        self._tenants.halted.pop(name, None)
        await self._services.ledger.run(lambda connection: profile_states.forget(connection, name))

    def under_way(self, name: str) -> int:
        """Requests of a profile that have not ended."""
        return sum(exchange.tenant.name == name for exchange in self._services.active)

    def close(self) -> None:
        """Wait for nothing any more: the server ends all requests itself."""
        for ending in self._endings.values():
            ending.cancel()

    async def _halt(self, name: str, how: How, *, now: bool) -> None:
        await self._tenants.halt(name, how)
        if (tenant := self._tenants.find(name)) is not None:
            tenant.limits.dismiss(lambda: Halted(self._tenants.why_halted(name)))
        self._let_be(name)
        if self.under_way(name):
            grace_s = 0.0 if now else self._grace_s()
            self._endings[name] = asyncio.create_task(self._end(name, grace_s), name=f"the end of {name}")

    async def _resume(self, name: str) -> None:
        self._let_be(name)
        if name in self._tenants.halted:
            await self._tenants.resume(name)

    def _let_be(self, name: str) -> None:
        """What is under way needn't end."""
        if (ending := self._endings.pop(name, None)) is not None:
            ending.cancel()

    async def _end(self, name: str, grace_s: float) -> None:
        await asyncio.sleep(grace_s)
        if name in self._tenants.halted:
            self._cut(name, self._tenants.why_halted(name))

    def _cut(self, name: str, because: str) -> None:
        for exchange in list(self._services.active):
            if exchange.tenant.name == name:
                exchange.cut(because)

    # --- telling --------------------------------------------------------------------------------------------------

    def rows(self, base_url: str) -> list[dict[str, Any]]:
        """All profiles as ``GET /status`` shows them; ``base_url`` is the main listener's."""
        return [self.row(name, base_url) for name in self._tenants.names()]

    def row(self, name: str, base_url: str) -> dict[str, Any]:
        """One of them."""
        tenants = self._tenants
        tenant = tenants.find(name)
        return {
            "profile": name,
            "state": tenants.state(name),
            "reason": tenants.why_halted(name) if name in tenants.halted else None,
            "problems": tenants.problem_lines(name),
            **({} if tenant is None else _running(tenant, base_url, halted=name in tenants.halted)),
        }


def _running(tenant: Tenant, base_url: str, *, halted: bool) -> dict[str, Any]:
    return {
        "base_url": f"{base_url}/{tenant.name}",
        "port": tenant.own_port,
        "own_url": None if tenant.listener is None else tenant.listener.base_url,
        "pid": None if halted else os.getpid(),
        "restarts": tenant.restarts,
        "started_ms": tenant.started_ms,
        "requests": tenant.requests,
        "waiting": tenant.limits.waiting,
        "limited": dict(tenant.limits.refused),
        "reloads": tenant.reloads,
        "budgets": tenant.spending.rows(),
        "variables": sorted(
            spec.value
            for provider in tenant.profile.providers.values()
            for spec in provider.credentials
            if spec.kind == "env" and tenant.credentials.available(spec)
        ),
    }
