"""What a profile knows of its targets and keys: which to leave alone, and how often a request may be tried again.

It belongs to the tenant and outlives reloads. The decisions are pure code in ``router.health``; here it gets the time.
"""

from __future__ import annotations

import time
from typing import Final

from router.errors import UpstreamError
from router.health.breaker import Breakers, Ticket
from router.health.cooldowns import Cooldowns
from router.health.performance import Performance
from router.health.prompt_caches import PromptCaches
from router.health.retry import POLICIES, RetryBudget
from router.profile.profile import Profile

PASSED_THROUGH: Final = "passthrough"
MAX_WINDOWS: Final = 1000  # clients may name any model


class TargetHealth:
    """Breakers, cooldowns, the budget of retries, and windows that providers have told us of."""

    def __init__(self, profile: Profile) -> None:
        self.breakers = Breakers(profile.breaker)
        self.cooldowns = Cooldowns()
        self.retries = RetryBudget()
        self.performance = Performance(profile.adaptive.half_life_s)
        self.caches = PromptCaches()
        self.windows: dict[tuple[str, str], int] = {}

    def use(self, profile: Profile) -> None:
        """Another version of the profile is in force: what is known stays."""
        self.breakers.settings = profile.breaker
        self.performance.half_life_s = profile.adaptive.half_life_s

    def failed(self, ticket: Ticket, provider: str, model: str, key_name: str, error: UpstreamError) -> None:
        """A call failed before its answer began: what its class says of the target, the key or both."""
        now = self.now
        policy = POLICIES[error.error_class]
        if policy.breaker:
            self.breakers.record(ticket, now, policy.breaker, retry_after_s=error.wait_s)
        else:
            self.breakers.abandon(ticket, now)
        if key_name == PASSED_THROUGH:
            return  # a client's own credential: what it may do says nothing of other clients'
        cooldown = policy.cooldown
        lasts_s = cooldown.lasts_s(error.wait_s) if cooldown is not None else None
        if cooldown is not None and lasts_s is not None:
            self.cooldowns.put(
                provider,
                now + lasts_s,
                error.error_class,
                key=key_name if cooldown.what in ("key", "key-and-model") else None,
                model=None if cooldown.what == "key" else model,
            )

    def record(self, ticket: Ticket, weight: float) -> None:
        """How a call ended that had an answer."""
        self.breakers.record(ticket, self.now, weight)

    def abandon(self, ticket: Ticket) -> None:
        """A call ended without a verdict."""
        self.breakers.abandon(ticket, self.now)

    def reset(self, pattern: str = "*") -> None:
        """Call what a pattern names (``PROVIDER``, ``PROVIDER/MODEL``, ``*`` for all) as if it had never failed."""
        self.breakers.reset(pattern)
        self.cooldowns.reset(pattern)

    def learn_window(self, provider: str, model: str, tokens: int) -> None:
        """A model refused a request of so many tokens as too long."""
        if len(self.windows) < MAX_WINDOWS:
            known = self.windows.get((provider, model))
            self.windows[provider, model] = tokens if known is None else min(known, tokens)

    @property
    def now(self) -> float:
        """The time that breakers and cooldowns reckon with: seconds of a clock that never goes back."""
        return time.monotonic()
