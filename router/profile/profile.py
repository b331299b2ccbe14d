"""A profile: one tenant's rules and settings, compiled from its folder and never changed.

A reload builds a new ``Profile`` and swaps one reference; requests under way keep the one they started with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from router.health.breaker import BreakerSettings
from router.health.retry import RetrySettings
from router.money.prices import Rates
from router.profile.problems import Problem
from router.providers.credentials import CredentialSpec
from router.providers.provider import Provider
from router.routing.rules import RouteTable, Target
from router.routing.strategies import AdaptiveSettings

Strategy = Literal["first-match", "weighted", "round-robin", "lowest-cost", "adaptive"]
Sticky = Literal["off", "conversation", "cache"]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. ``first_event`` holds while another candidate is left, ``first_event_last`` for the last one."""

    connect: float = 5.0
    first_event: float = 60.0
    first_event_last: float = 300.0
    whole: float = 600.0
    idle: float = 300.0


@dataclass(frozen=True, slots=True)
class Cascade:
    """A rule's draft: tried first, judged, and discarded below ``threshold`` in favour of the rule's own target."""

    draft: tuple[Target, ...]
    threshold: float = 0.7
    risky_tools: tuple[str, ...] = ()
    pause_when_losing_s: float | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Admission limits; None is "no limit"."""

    requests_per_minute: int | None = None
    concurrent_requests: int | None = None
    queue: int = 64
    key_requests_per_minute: int | None = None
    key_concurrent_requests: int | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """Spending limits in integer nano-dollars; None is "no limit"."""

    daily_nano_usd: int | None = None
    monthly_nano_usd: int | None = None
    mode: Literal["expected", "strict"] = "expected"
    on_exceed: Literal["warn", "block", "degrade"] = "block"
    degrade_to: tuple[Target, ...] = ()
    notify: tuple[str, ...] = ()  # a command and its arguments
    notify_at: tuple[float, ...] = (0.5, 0.8, 1.0)  # of the limit, rising


@dataclass(frozen=True, slots=True)
class RouteTest:
    """A ``[[test]]``: what comes in (``request`` is a file's name or the body itself), and what it should get."""

    name: str
    request: str | Mapping[str, object] | None
    facts: Mapping[str, object]
    expect_rule: str | None
    expect_target: str | None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """One tenant. ``file_hash`` is 12 hex digits of routing.toml and its companions (concepts, script)."""

    name: str
    directory: Path
    file_hash: str
    routes: RouteTable
    providers: Mapping[str, Provider]
    warnings: tuple[Problem, ...] = ()
    description: str | None = None
    agent: str | None = None
    port: int | Literal["auto"] | None = None
    log_level: str = "info"
    auth_keys: Literal["none", "required"] | None = None  # None: by the listener
    auth_key: CredentialSpec | None = None
    timezone: ZoneInfo = ZoneInfo("UTC")
    timezone_name: str = "UTC"
    echo_model: Literal["served", "requested"] | None = None  # None: served, in translated replies requested
    ask_usage: bool = True
    other_to: str | None = None
    script: Path | None = None
    sticky: Sticky = "off"
    on_loss: Literal["refuse", "allow"] = "refuse"
    on_disconnect: Literal["cancel", "drain"] = "cancel"
    openrouter: Mapping[str, object] = field(default_factory=dict)  # how its `models` list is built
    front: str | None = None  # the helper agents are pointed at instead of the router
    timeouts: Timeouts = Timeouts()
    retry: RetrySettings = field(default_factory=RetrySettings)
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    adaptive: AdaptiveSettings = field(default_factory=AdaptiveSettings)
    limits: Limits = Limits()
    budget: Budget | None = None
    rule_budgets: Mapping[str, Budget] = field(default_factory=dict)  # by the rule's label
    cascades: Mapping[str, Cascade] = field(default_factory=dict)  # by the rule's label
    prices: Mapping[tuple[str, str], Rates] = field(default_factory=dict)
    models: Mapping[tuple[str, str], Mapping[str, object]] = field(default_factory=dict)
    ledger_on_error: Literal["serve", "refuse"] = "serve"
    token_facts: bool = True
    retention_s: float = 400 * 86400.0
    log_bodies: Literal["off", "failed", "all"] = "off"
    log_keep_s: float = 3 * 86400.0
    tests: tuple[RouteTest, ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)  # the parsed file; floats are Decimals
    dotenv: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def script_config(self) -> Mapping[str, object]:
        """What the profile's script is told beside the request: names only, as JSON has them."""
        routes = self.routes
        return {
            "profile": self.name,
            "providers": sorted(self.providers),
            "aliases": {name: str(rule.targets[0]) for name, rule in routes.aliases.items()},
            "default": str(routes.default.targets[0]) if routes.default else None,
        }
