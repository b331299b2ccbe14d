"""The tables about failure, load and money: how long to wait, when to give up, how much may be spent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final, Literal

from router.health.breaker import BreakerSettings
from router.health.retry import RetrySettings
from router.profile.problems import shown
from router.profile.profile import Budget, Limits, Profile, Timeouts
from router.profile.table import Table
from router.profile.targets import Expansion, Names, read_references
from router.routing.strategies import AdaptiveSettings

_NANO = 10**9
_MOST_SHARE: Final = 10
_MODES: Final[tuple[Literal["expected", "strict"], ...]] = ("expected", "strict")
_EXCEEDED: Final[tuple[Literal["warn", "block", "degrade"], ...]] = ("warn", "block", "degrade")
_FILTERED: Final[tuple[Literal["relay", "next"], ...]] = ("relay", "next")


def read_retry(table: Table, draft: Profile) -> Profile:
    default = draft.retry
    return replace(
        draft,
        retry=RetrySettings(
            attempts=table.whole("attempts", default.attempts, least=1, most=20),
            total=table.whole("total", default.total, least=1, most=100),
            backoff_s=table.duration("backoff", default.backoff_s, zero=True),
            max_delay_s=table.duration("max-delay", default.max_delay_s, zero=True),
            deadline_s=table.duration("deadline", default.deadline_s),
            on_content_filter=table.choice("on-content-filter", _FILTERED, default.on_content_filter),
            after_timeout=table.boolean("after-timeout", default.after_timeout),
        ),
    )


def read_timeouts(table: Table, draft: Profile) -> Profile:
    default = draft.timeouts
    return replace(
        draft,
        timeouts=Timeouts(
            connect=table.duration("connect", default.connect),
            first_event=table.duration("first-event", default.first_event),
            first_event_last=table.duration("first-event-last", default.first_event_last),
            whole=table.duration("whole", default.whole),
            idle=table.duration("idle", default.idle),
        ),
    )


def read_breaker(table: Table, draft: Profile) -> Profile:
    default = draft.breaker
    return replace(
        draft,
        breaker=BreakerSettings(
            failures=table.whole("failures", default.failures, least=1, most=10_000),
            ratio=table.share("ratio", default.ratio, above=True),
            window_s=table.duration("window", default.window_s),
            cooldown_s=table.duration("cooldown", default.cooldown_s),
        ),
    )


def read_adaptive(table: Table, draft: Profile) -> Profile:
    default = draft.adaptive
    success, latency, speed = _weights(table, default)
    return replace(
        draft,
        adaptive=AdaptiveSettings(
            success=success,
            latency=latency,
            speed=speed,
            min_requests=table.whole("min-requests", default.min_requests),
            explore=table.share("explore", default.explore),
            half_life_s=table.duration("half-life", default.half_life_s),
            max_first_token_s=table.duration("max-first-token", default.max_first_token_s),
            min_success=table.share("min-success", default.min_success),
        ),
    )


def _weights(table: Table, default: AdaptiveSettings) -> tuple[float, float, float]:
    """The three weights; one that is left out counts nothing once another is given."""
    usual = default.success, default.latency, default.speed
    weights = table.table("weights")
    if weights is None:
        return usual
    found = [weights.number(name, Decimal(0)) for name in ("success", "latency", "speed")]
    weights.finish()
    if not any(found):
        weights.error(None, "at least one of success, latency and speed must be above 0")
        return usual
    return float(found[0]), float(found[1]), float(found[2])


def read_limits(table: Table, draft: Profile) -> Profile:
    default = draft.limits
    per_key = table.table("per-key")
    key_requests_per_minute = key_concurrent_requests = None
    if per_key is not None:
        key_requests_per_minute = per_key.whole("requests-per-minute", None, least=1)
        key_concurrent_requests = per_key.whole("concurrent-requests", None, least=1)
        per_key.finish()
    return replace(
        draft,
        limits=Limits(
            requests_per_minute=table.whole("requests-per-minute", None, least=1),
            concurrent_requests=table.whole("concurrent-requests", None, least=1),
            queue=table.whole("queue", default.queue, most=100_000),
            key_requests_per_minute=key_requests_per_minute,
            key_concurrent_requests=key_concurrent_requests,
        ),
    )


def read_budget(parent: Table, names: Names, expansion: Expansion, *, of_profile: bool = False) -> Budget | None:
    """``budget`` of a profile or a rule. The profile's says who is told of all of them."""
    table = parent.table("budget")
    if table is None:
        return None
    degrade_to = expansion.targets(read_references(table, "degrade-to", names))
    budget = Budget(
        daily_nano_usd=_nano_usd(table, "daily-usd"),
        monthly_nano_usd=_nano_usd(table, "monthly-usd"),
        mode=table.choice("mode", _MODES, "expected"),
        on_exceed=table.choice("on-exceed", _EXCEEDED, "block"),
        degrade_to=degrade_to,
    )
    if of_profile:
        budget = replace(budget, notify=table.texts("notify"), notify_at=_shares(table, budget.notify_at))
    if budget.on_exceed == "degrade" and not table.has("degrade-to"):
        table.error("on-exceed", '"degrade" needs degrade-to = "provider/model"')
    if budget.on_exceed != "degrade" and table.has("degrade-to"):
        table.warn("degrade-to", 'is used only with on-exceed = "degrade"')
    if of_profile and table.has("notify-at") and not table.has("notify"):
        table.warn("notify-at", "tells nobody without notify")
    if not (table.has("daily-usd") or table.has("monthly-usd")):
        table.warn(None, "limits nothing without daily-usd or monthly-usd")
    table.finish()
    return budget


def _shares(table: Table, default: tuple[float, ...]) -> tuple[float, ...]:
    """``notify-at``: shares of a limit, rising; a budget can be overspent."""
    found: list[float] = []
    for value, path in table.values_of("notify-at"):
        if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 < value <= _MOST_SHARE:
            table.document.error(path, f"expected a share above 0, such as 0.8, got {shown(value)}")
        else:
            found.append(float(value))
    return tuple(sorted(found)) if table.has("notify-at") else default


def _nano_usd(table: Table, key: str) -> int | None:
    dollars = table.number(key, None, most=1_000_000)
    return None if dollars is None else int(dollars * _NANO)


SECTIONS: Final[Mapping[str, Callable[[Table, Profile], Profile]]] = {
    "retry": read_retry,
    "timeouts": read_timeouts,
    "breaker": read_breaker,
    "adaptive": read_adaptive,
    "limits": read_limits,
}
