"""What `router profile show` tells of a profile: as JSON, and as lines for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from router.cli.budgets import lines
from router.cli.check import provider_urls
from router.cli.editing import condition_text, fallback_of, target_text
from router.profile.profile import Profile
from router.routing.labels import ARROW


def shown_json(profile: Profile, row: Mapping[str, Any]) -> dict[str, Any]:
    """A profile with its state: ``row`` is what `GET /status` has of it, or would have."""
    routes = profile.routes
    written: Any = profile.settings
    return {
        "profile": profile.name,
        "description": profile.description,
        "enabled": row["state"] != "disabled",
        "state": row["state"],
        "base_url": row.get("base_url"),
        "own_url": row.get("own_url"),
        "port": row.get("port") or (profile.port if isinstance(profile.port, int) else None),
        "port_setting": profile.port,
        "agent": profile.agent,
        "strategy": routes.strategy,
        "rules": [
            {
                "name": rule.name or rule.label.partition(f" {ARROW} ")[0],
                "label": rule.label,
                "condition": condition_text(written["rule"][rule.index]["match"]),
                "target": target_text(written["rule"][rule.index]),
                "fallback": fallback_of(written["rule"][rule.index]),
                "priority": rule.priority,
            }
            for rule in routes.rules
        ],
        "aliases": {
            name: {"target": target_text(table), "pin": isinstance(table, dict) and bool(table.get("pin"))}
            for name, table in written.get("aliases", {}).items()
        },
        "limits": dict(written.get("limits", {})),
        "budgets": list(row.get("budgets", ())),
        "default": None if routes.default is None else target_text(routes.default.raw),
        "urls": {provider: dict(addresses) for provider, addresses in provider_urls(profile).items()},
        "folder": str(profile.directory),
    }


def fields(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The same as names and texts, in the order in which a request meets them."""
    yield "Profile", told["profile"]
    if told["description"]:
        yield "Description", told["description"]
    yield "Enabled", "yes" if told["enabled"] else "no"
    yield "State", told["state"]
    yield "Port", _port(told)
    if told["base_url"]:
        yield "Base URL", "\n".join(url for url in (told["own_url"], told["base_url"]) if url)
    if told["agent"]:
        yield "Agent", told["agent"]
    yield "Strategy", told["strategy"]
    yield "Rules", "\n".join(map(_rule, told["rules"])) or "none"
    yield "Aliases", "\n".join(_alias(name, alias) for name, alias in told["aliases"].items()) or "none"
    yield "Default", told["default"] or "none: what no rule takes goes to a provider that lists the model"
    if told["limits"]:
        yield "Limits", "\n".join(_limits(told["limits"]))
    if told["budgets"]:
        yield "Budgets", "\n".join(lines(told["budgets"]))
    for provider, addresses in told["urls"].items():
        yield provider, "\n".join(f"{api}  {url}" for api, url in addresses.items())
    yield "Folder", told["folder"]


def _port(told: Mapping[str, Any]) -> str:
    if told["port_setting"] is None:
        return "none of its own"
    if told["port_setting"] == "auto":
        return f"{told['port']} (auto)" if told["port"] is not None else "auto: chosen when it is first served"
    return str(told["port"])


def _rule(rule: Mapping[str, Any]) -> str:
    target = ", then ".join([rule["target"], *rule["fallback"]])
    return f"[{rule['name']}] {rule['condition']} -> {target} (priority: {rule['priority']})"


def _limits(limits: Mapping[str, Any]) -> Iterator[str]:
    """Those of the profile, then those of each of its client keys, in the words of its file."""
    for whose, table in (("", limits), ("per key: ", limits.get("per-key", {}))):
        said = [f"{key} {value}" for key, value in table.items() if key != "per-key"]
        if said:
            yield whose + ", ".join(said)


def _alias(name: str, alias: Mapping[str, Any]) -> str:
    return f"{name} -> {alias['target']}{' (pin)' if alias['pin'] else ''}"
