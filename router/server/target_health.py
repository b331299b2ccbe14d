"""What a profile knows of its targets and keys: which to leave alone, and how often a request may be tried again.

It belongs to the tenant and outlives reloads; what is left alone outlives the server, too (``health_keeper``). The
decisions are pure code in ``router.health``; here it gets the time, and every change is told and logged.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from router.errors import UpstreamError
from router.health import classes
from router.health.breaker import Breakers, BreakerSettings, Change, Ticket
from router.health.cooldowns import Cooldowns
from router.health.performance import Performance
from router.health.prompt_caches import PromptCaches
from router.health.retry import POLICIES, RetryBudget
from router.health.token_factors import TokenFactors
from router.ledger.health_rows import SavedHealth
from router.profile.profile import Profile

log = logging.getLogger("router.server")

PASSED_THROUGH: Final = "passthrough"
MAX_WINDOWS: Final = 1000  # clients may name any model
WORTH_KEEPING_S: Final = 5.0  # a shorter cooldown is over before anybody could read of it
_LONGEST_NAME: Final = 100


class LeftAlone(NamedTuple):
    """One breaker or cooldown as people see it. ``model`` or ``key`` is ``None`` where it is about all of them;
    ``again_s``: seconds until it may be called, ``None`` for now."""

    provider: str
    model: str | None
    key: str | None
    state: str  # closed | open | half-open | cooling-down
    again_s: float | None
    reason: str

    def __str__(self) -> str:
        return target_name(self.provider, self.model, self.key)

    def json(self, profile: str) -> dict[str, object]:
        """As the commands get it."""
        again_s = None if self.again_s is None else round(self.again_s, 1)
        return {"profile": profile, **self._asdict(), "again_s": again_s}


class TargetHealth:
    """Breakers, cooldowns, the budget of retries, and windows that providers have told us of.

    ``changed`` is called when what is left alone isn't the same any more.
    """

    def __init__(self, profile: Profile) -> None:
        self.breakers = Breakers(profile.breaker)
        self.cooldowns = Cooldowns()
        self.retries = RetryBudget()
        self.performance = Performance(profile.adaptive.half_life_s)
        self.caches = PromptCaches()
        self.factors = TokenFactors()
        self.windows: dict[tuple[str, str], int] = {}
        self.changed: Callable[[], None] = _nobody_asked
        self._profile = profile

    def use(self, profile: Profile) -> None:
        """Another version of the profile is in force: what is known stays, unless it was about other keys."""
        self.breakers.settings = profile.breaker
        self.performance.half_life_s = profile.adaptive.half_life_s
        if profile.dotenv != self._profile.dotenv:
            self._forget_refused_keys()
        self._profile = profile

    def failed(self, ticket: Ticket, provider: str, model: str, key_name: str, error: UpstreamError) -> None:
        """A call failed before its answer began: what its class says of the target, the key or both."""
        now = self.now
        policy = POLICIES[error.error_class]
        if policy.breaker:
            change = self.breakers.record(ticket, now, policy.breaker, retry_after_s=error.wait_s)
            self._tell(change, error.error_class)
        else:
            self.breakers.abandon(ticket, now)
        if key_name == PASSED_THROUGH:
            return  # a client's own credential: what it may do says nothing of other clients'
        cooldown = policy.cooldown
        lasts_s = cooldown.lasts_s(error.wait_s) if cooldown is not None else None
        if cooldown is not None and lasts_s is not None:
            self._cool(
                provider,
                None if cooldown.what == "key" else model,
                key_name if cooldown.what in ("key", "key-and-model") else None,
                lasts_s,
                error.error_class,
            )

    def record(self, ticket: Ticket, weight: float) -> None:
        """How a call ended that had an answer."""
        self._tell(self.breakers.record(ticket, self.now, weight), classes.BROKEN_STREAM)

    def abandon(self, ticket: Ticket) -> None:
        """A call ended without a verdict."""
        self.breakers.abandon(ticket, self.now)

    def reset(self, pattern: str = "*") -> list[str]:
        """Call what a pattern names (``PROVIDER``, ``PROVIDER/MODEL``, ``*`` for all) as if it had never failed.

        Returns what was left alone until now.
        """
        before = {str(each) for each in self.left_alone() if each.state != "closed"}
        self.breakers.reset(pattern)
        self.cooldowns.reset(pattern)
        found = sorted(before - {str(each) for each in self.left_alone()})
        if found:
            log.info("profile %s: called again, as asked: %s", self._profile.name, ", ".join(found))
        self.changed()
        return found

    def learn_window(self, provider: str, model: str, tokens: int) -> None:
        """A model refused a request of so many tokens as too long."""
        if len(self.windows) < MAX_WINDOWS:
            known = self.windows.get((provider, model))
            self.windows[provider, model] = tokens if known is None else min(known, tokens)

    @property
    def now(self) -> float:
        """The time that breakers and cooldowns reckon with: seconds of a clock that never goes back."""
        return time.monotonic()

    # --- looking --------------------------------------------------------------------------------------------------

    def left_alone(self) -> list[LeftAlone]:
        """Every cooldown, and every breaker that has seen a failure, closed ones too."""
        return left_alone(self.breakers, self.cooldowns, self.now)

    def problem_lines(self) -> list[str]:
        """Targets whose breakers are open and keys that are left alone, a line each. A model that cools down isn't
        among them: a client may have misspelt it."""
        return [
            f"{each} is left alone{f' for {each.again_s:.0f} s' if each.again_s else ''}: {each.reason}"
            for each in self.left_alone()
            if each.state in ("open", "half-open") or (each.state == "cooling-down" and each.key is not None)
        ]

    # --- keeping --------------------------------------------------------------------------------------------------

    def saved(self) -> SavedHealth:
        """What is left alone, to be kept over a restart."""
        now, wall_ms = self.now, time.time_ns() // 1_000_000
        cooldowns = self.cooldowns.saved(now, wall_ms)
        return SavedHealth(
            tuple(self.breakers.saved(now, wall_ms)),
            tuple(row for row in cooldowns if row.left_ms > WORTH_KEEPING_S * 1000),
        )

    def restored(self, kept: SavedHealth) -> int:
        """Go on with what was left alone before a restart; returns how much of it isn't over.

        A refused key is tried again: who puts a new one into the environment has to restart the server.
        """
        return _restored(self.breakers, self.cooldowns, kept, self.now)

    # --- changes --------------------------------------------------------------------------------------------------

    def _tell(self, change: Change | None, reason: str) -> None:
        if change is None:
            return
        provider, model, key_name = change.key
        entry = self._profile.providers.get(provider)
        several = entry is not None and len(entry.credentials) > 1
        name = target_name(provider, model, key_name if several else None)
        if change.retry_at is None:
            log.info("profile %s: %s is called again", self._profile.name, name)
        else:
            self._log_left_alone(name, change.retry_at - self.now, reason)
        self.changed()

    def _cool(self, provider: str, model: str | None, key: str | None, lasts_s: float, reason: str) -> None:
        now = self.now
        known = self.cooldowns.until(provider, model or "", key or "", now)
        found = self.cooldowns.put(provider, now + lasts_s, reason, key=key, model=model)
        if lasts_s <= WORTH_KEEPING_S or found is known:
            return
        if known is None:  # calls that were under way at the same time say the same
            self._log_left_alone(target_name(provider, model, key), lasts_s, reason)
        self.changed()

    def _log_left_alone(self, name: str, lasts_s: float, reason: str) -> None:
        log.warning("profile %s: %s left alone for %.0f s: %s", self._profile.name, name, lasts_s, reason)

    def _forget_refused_keys(self) -> None:
        refused = [row for row in self.cooldowns.rows(self.now) if row.reason == classes.AUTH]
        for row in refused:
            self.cooldowns.reset(row.provider, key=row.key)
        if refused:
            self.changed()


def _nobody_asked() -> None:
    """Nobody wants to know of changes."""


def left_alone(breakers: Breakers, cooldowns: Cooldowns, now: float) -> list[LeftAlone]:
    """Every cooldown, and every breaker that has seen a failure, closed ones too; by name."""
    found = [
        LeftAlone(
            row.key.provider,
            row.key.model,
            row.key.key_name or None,
            row.state,
            None if row.retry_at is None else row.retry_at - now,
            f"{row.failures:g} of {row.calls} calls failed" if row.calls else "it failed before the last restart",
        )
        for row in breakers.rows(now)
        if row.failures or row.state != "closed"
    ]
    found += [
        LeftAlone(row.provider, row.model, row.key or None, "cooling-down", row.until - now, row.reason)
        for row in cooldowns.rows(now)
    ]
    return sorted(found, key=lambda each: (each.provider, each.model or "", each.key or "", each.state))


def kept_alone(kept: SavedHealth) -> list[LeftAlone]:
    """What of this the next start will leave alone; for whoever looks while no server runs."""
    breakers, cooldowns = Breakers(BreakerSettings()), Cooldowns()
    _restored(breakers, cooldowns, kept, 0.0)
    return left_alone(breakers, cooldowns, 0.0)


def _restored(breakers: Breakers, cooldowns: Cooldowns, kept: SavedHealth, now: float) -> int:
    wall_ms = time.time_ns() // 1_000_000
    accepted = (row for row in kept.cooldowns if row.reason != classes.AUTH)
    return breakers.restored(kept.breakers, now, wall_ms) + cooldowns.restored(accepted, now, wall_ms)


def target_name(provider: str, model: str | None, key: str | None) -> str:
    """``openai/gpt-5 with env:OPENAI_API_KEY``: the names of a target and of the key it is called with, on one line
    whatever a client calls its model."""
    name = provider if model is None else f"{provider}/{model}"
    text = f"{name} with {key}" if key else name
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"
