"""The tables of a profile's plain settings. Each reader takes a draft of the profile and gives it back refined."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from router.profile.problems import shown, suggestion
from router.profile.profile import Profile, RouteTest, Sticky, Strategy
from router.profile.table import Table

STRATEGIES: Final[Mapping[str, Strategy]] = {
    "first-match": "first-match",
    "simple": "first-match",
    "conditional": "first-match",
    "weighted": "weighted",
    "round-robin": "round-robin",
    "lowest-cost": "lowest-cost",
    "adaptive": "adaptive",
}
STICKY: Final[tuple[Sticky, ...]] = ("off", "conversation", "cache")
_LOG_LEVELS = ("debug", "info", "warning", "error")
_NONE_REQUIRED: Final[tuple[Literal["none", "required"], ...]] = ("none", "required")
_ECHOES: Final[tuple[Literal["served", "requested"], ...]] = ("served", "requested")
_LOSSES: Final[tuple[Literal["refuse", "allow"], ...]] = ("refuse", "allow")
_DISCONNECTS: Final[tuple[Literal["cancel", "drain"], ...]] = ("cancel", "drain")
_ERRORS: Final[tuple[Literal["serve", "refuse"], ...]] = ("serve", "refuse")
_BODIES: Final[tuple[Literal["off", "failed", "all"], ...]] = ("off", "failed", "all")
_KEY_SOURCES = ("env", "file", "keyring", "command")


def read_profile(table: Table, draft: Profile) -> Profile:
    return replace(
        draft,
        description=table.text("description"),
        agent=table.text("agent"),
        port=_port(table),
        front=table.text("front"),
        log_level=table.choice("log-level", _LOG_LEVELS, draft.log_level),
    )


def _port(table: Table) -> int | Literal["auto"] | None:
    if table.values.get("port") == "auto":
        table.take("port")
        return "auto"
    if isinstance(table.values.get("port"), str):
        table.error("port", f'expected a port number or "auto", got {shown(table.take("port"))}')
        return None
    return table.whole("port", None, least=1, most=65535)


def read_auth(table: Table, draft: Profile) -> Profile:
    return replace(
        draft,
        auth_keys=table.choice("keys", _NONE_REQUIRED, None),
        auth_key=table.credential("key", _KEY_SOURCES),
    )


def read_routing(table: Table, draft: Profile) -> Profile:
    """``[routing]``; what belongs to the route table itself is read by ``read_route_switches``."""
    timezone, timezone_name = _timezone(table, draft)
    strategy = table.choice("strategy", tuple(STRATEGIES), "first-match")
    return replace(
        draft,
        sticky=table.choice("sticky", STICKY, draft.sticky),
        script=_script(table, draft),
        timezone=timezone,
        timezone_name=timezone_name,
        echo_model=table.choice("echo-model", _ECHOES, draft.echo_model),
        ask_usage=table.boolean("ask-usage", default=True),
        other_to=_other_to(table, draft),
        openrouter=_openrouter(table),
        on_loss=table.choice("on-loss", _LOSSES, draft.on_loss),
        on_disconnect=table.choice("on-disconnect", _DISCONNECTS, draft.on_disconnect),
        routes=replace(
            draft.routes,
            rules_on=table.choice("rules", ("on", "off"), "on") == "on",
            concepts_before_rules=table.choice("concepts", ("before-rules", "after-rules"), "after-rules")
            == "before-rules",
            explicit_provider=table.boolean("explicit-provider", default=True),
            strategy=STRATEGIES[strategy],
            fallthrough=table.boolean("fallthrough", default=True),
        ),
    )


def _timezone(table: Table, draft: Profile) -> tuple[ZoneInfo, str]:
    name = table.text("timezone")
    if name is None:
        return draft.timezone, draft.timezone_name
    try:
        return ZoneInfo(name), name
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of zones, such as "America"
        table.error("timezone", f'expected a time zone such as "UTC" or "Europe/Berlin", got {shown(name)}')
        return draft.timezone, draft.timezone_name


def _script(table: Table, draft: Profile) -> Path | None:
    name = table.text("script")
    if name is None:
        return None
    if "/" in name or not name.endswith(".py") or name.startswith("."):
        table.error("script", f'expected a file of the profile\'s own folder such as "route.py", got {shown(name)}')
        return None
    return draft.directory / name


def _other_to(table: Table, draft: Profile) -> str | None:
    provider = table.text("other-to")
    if provider is not None and provider not in draft.providers:
        table.error("other-to", f"unknown provider {shown(provider)}{suggestion(provider, draft.providers)}")
        return None
    return provider


def _openrouter(table: Table) -> Mapping[str, object]:
    own = table.table("openrouter")
    if own is None:
        return {}
    own.boolean("fallback-models", default=False)
    own.choice("sort", ("price", "throughput", "latency"), None)
    own.finish()
    return own.values


def read_ledger(table: Table, draft: Profile) -> Profile:
    """``[ledger]``; with a budget, a ledger that can't be written refuses requests unless told otherwise."""
    return replace(
        draft,
        ledger_on_error=table.choice("on-error", _ERRORS, draft.ledger_on_error),
        token_facts=table.boolean("token-facts", default=True),
        retention_s=table.duration("retention", draft.retention_s),
    )


def read_log(table: Table, draft: Profile) -> Profile:
    return replace(
        draft,
        log_bodies=table.choice("bodies", _BODIES, draft.log_bodies),
        log_keep_s=table.duration("keep", draft.log_keep_s),
    )


def read_tests(root: Table, draft: Profile) -> Profile:
    """``[[test]]``: what `router check` tries out."""
    tests = tuple(_test(table, index) for index, table in enumerate(root.tables("test", "test")))
    return replace(draft, tests=tests)


def _test(table: Table, index: int) -> RouteTest:
    request = table.take("request")
    if request is not None and not isinstance(request, dict):
        request = table.text("request")
    facts = table.table("facts")
    test = RouteTest(
        name=table.text("name") or f"test {index + 1}",
        request=request,
        facts={} if facts is None else dict(facts.entries()),
        expect_rule=table.text("expect-rule"),
        expect_target=table.text("expect-target"),
        line=table.document.line(table.path),
    )
    table.one_at_most("request", "facts")
    if not (table.has("request") or table.has("facts")):
        table.error(None, "has neither request nor facts")
    if not (table.has("expect-rule") or table.has("expect-target")):
        table.error(None, "expects nothing; add expect-rule or expect-target")
    table.finish()
    return test


SECTIONS: Final[Mapping[str, Callable[[Table, Profile], Profile]]] = {
    "profile": read_profile,
    "auth": read_auth,
    "routing": read_routing,
    "ledger": read_ledger,
    "log": read_log,
}
