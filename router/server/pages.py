"""The router's own endpoints beside the models' APIs: health, stats, metrics, the list of models."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from router.errors import NotFound
from router.ledger.reports import Reader, Scope, Sums
from router.ledger.rule_rows import current_rules
from router.profile.profile import Profile
from router.routing.conditions.request import ModelEquals
from router.server import replies
from router.server.endpoints import Endpoint
from router.server.limits import LIMITS
from router.server.services import Services
from router.server.tenant import Tenant

if TYPE_CHECKING:
    from router.server.tenants import Tenants

# Clients compare a model's age; the time at which a name of ours came to be means nothing, so it is fixed.
CREATED = 1_700_000_000
CREATED_AT = "2023-11-14T22:13:20Z"

MOST_LEFT_ALONE = 10  # lines of a profile's health: with many models at one provider a failure is a line each


async def root(
    services: Services, tenants: Tenants, tenant: Tenant | None, request: web.BaseRequest, endpoint: Endpoint
) -> web.Response:
    """Agents knock here before their first request; any 200 will do."""
    return replies.json_reply({"router": services.version})


async def health(
    services: Services, tenants: Tenants, tenant: Tenant | None, request: web.BaseRequest, endpoint: Endpoint
) -> web.Response:
    """``healthy``, or ``degraded`` with the problems. Keyless, so it says nothing that a stranger shouldn't read."""
    shown = [tenant] if tenant is not None else list(tenants) if endpoint.profile is None else []
    problems = (
        [] if tenant is not None else [name for name in tenants.broken_names() if endpoint.profile in (None, name)]
    )
    profiles: dict[str, Any] = {}
    for one in shown:
        if one.name in tenants.halted:
            profiles[one.name] = {"status": tenants.state(one.name), "problems": []}
            continue
        of_profile = [*one.problem_lines(), *_at_most(one.health.problem_lines(), MOST_LEFT_ALONE)]
        profiles[one.name] = {"status": "degraded" if of_profile else "healthy", "problems": of_profile}
    for name in problems:
        profiles[name] = {"status": tenants.state(name), "problems": tenants.problem_lines(name)}
    halted = tenants.halted.get(endpoint.profile) if endpoint.profile is not None else None
    server = services_problems(services)
    degraded = bool(server) or any(entry["problems"] for entry in profiles.values())
    answer = {
        "status": "draining" if services.draining else halted or ("degraded" if degraded else "healthy"),
        "version": services.version,
        "uptime_seconds": round(time.monotonic() - services.started),
        "profiles": profiles,
        "problems": server,
    }
    return replies.json_reply(answer, status=503 if services.draining or halted else 200)


def _at_most(lines: list[str], count: int) -> list[str]:
    return lines if len(lines) <= count else [*lines[:count], f"and {len(lines) - count} more"]


def services_problems(services: Services) -> list[str]:
    """What is wrong with the server itself."""
    problems = services.home_problems()
    if services.ledger.failing is not None:
        problems.append(f"the ledger can't be written: {services.ledger.failing}")
    if services.ledger.lost:
        problems.append(f"{services.ledger.lost} ledger records were lost")
    return problems


async def stats(
    services: Services, tenants: Tenants, tenant: Tenant | None, request: web.BaseRequest, endpoint: Endpoint
) -> web.Response:
    """Totals of one profile since its first request, in all and per rule."""
    assert tenant is not None
    profile = tenant.profile
    answer = await asyncio.to_thread(_stats, Reader(services.ledger.path, limit_s=2.0), profile)
    limits = tenant.limits
    answer |= {
        "budgets": tenant.spending.rows(),
        "requests_active": limits.inside,
        "requests_waiting": limits.waiting,
        "requests_limited": dict(limits.refused),
        "uptime_seconds": round(time.monotonic() - services.started),
    }
    return replies.json_reply(answer)


def _stats(reader: Reader, profile: Profile) -> dict[str, object]:
    scope = Scope(profile.name, zone=profile.timezone, rules=current_rules(profile.routes))
    by_rule = reader.usage([scope])
    by_model = reader.usage([scope], by=("provider", "model"))
    total = by_rule.total.sums
    priced = total.requests - total.unpriced
    return {
        "total_queries": total.requests,
        "total_cost": total.cost_nano_usd / 1e9,
        "unpriced_queries": total.unpriced,
        "avg_cost_per_query": total.cost_nano_usd / 1e9 / priced if priced else 0.0,
        "cascade_used_count": total.drafted,
        "cascade_usage_pct": 100 * total.drafted / total.requests if total.requests else 0.0,
        "models_used": {"/".join(row.keys): row.sums.requests for row in by_model.rows if all(row.keys)},
        **_savings(total),
        "rules": [
            {
                "rule": row.keys[0],
                "requests": row.sums.requests,
                "tokens_in": row.sums.tokens_in,
                "tokens_out": row.sums.output,
                "cost_usd": row.sums.cost_nano_usd / 1e9,
                "errors": row.sums.errors,
                **_savings(row.sums),
            }
            for row in by_rule.rows
        ],
    }


def _savings(sums: Sums) -> dict[str, object]:
    """What requests would have cost elsewhere, ``None`` where that isn't known of any."""
    found: dict[str, object] = {
        "wasted_usd": sums.wasted_nano_usd / 1e9,
        "cache_read_share": sums.cache_read / sums.tokens_in if sums.tokens_in else None,
    }
    for name, requests, there, paid in (
        ("at_default", sums.at_default, sums.at_default_nano_usd, sums.at_default_paid_nano_usd),
        ("at_requested", sums.at_requested, sums.at_requested_nano_usd, sums.at_requested_paid_nano_usd),
    ):
        found[f"{name}_requests"] = requests
        found[f"{name}_usd"] = there / 1e9 if requests else None
        found[f"{name}_saved_usd"] = (there - paid) / 1e9 if requests else None
    return found


async def metrics(
    services: Services, tenants: Tenants, tenant: Tenant | None, request: web.BaseRequest, endpoint: Endpoint
) -> web.Response:
    """Prometheus text. On loopback for everyone on this machine, elsewhere with ``[server] metrics-key``."""
    tenants.check_metrics_key(request.headers)
    lines = [
        "# TYPE router_requests_total counter",
        *(f'router_requests_total{{profile="{one.name}"}} {one.requests}' for one in tenants),
        "# TYPE router_requests_active gauge",
        f"router_requests_active {len(services.active)}",
        "# TYPE router_requests_waiting gauge",
        *(f'router_requests_waiting{{profile="{one.name}"}} {one.limits.waiting}' for one in tenants),
        "# TYPE router_requests_limited_total counter",
        *(
            f'router_requests_limited_total{{profile="{one.name}",limit="{limit}"}} {one.limits.refused[limit]}'
            for one in tenants
            for limit in LIMITS
        ),
        "# TYPE router_drains_active gauge",
        f"router_drains_active {len(services.drains)}",
        "# TYPE router_ledger_waiting gauge",
        f"router_ledger_waiting {services.ledger.waiting}",
        "# TYPE router_ledger_spilled_total counter",
        f"router_ledger_spilled_total {services.ledger.spilled}",
        "# TYPE router_ledger_lost_total counter",
        f"router_ledger_lost_total {services.ledger.lost}",
        "# TYPE router_refused_early_total counter",
        f"router_refused_early_total {services.refused_early}",
        "# TYPE router_facts_skipped_total counter",
        f"router_facts_skipped_total {services.annotator.skipped}",
        "# TYPE router_log_lines_dropped_total counter",
        f"router_log_lines_dropped_total {services.log.dropped}",
        *_budget_lines(tenants),
    ]
    return web.Response(text="\n".join(lines) + "\n", content_type="text/plain", headers=replies.NO_STORE)


def _budget_lines(tenants: Tenants) -> Iterable[str]:
    """What is spent and reserved of each limit of a profile, its rules and its client keys."""
    rows = [(one.name, row) for one in tenants for row in one.spending.rows()]
    for what in ("limit", "spent", "reserved", "at_risk") if rows else ():
        yield f"# TYPE router_budget_{what}_usd gauge"
        for name, row in rows:
            budget = str(row["budget"]).replace("\\", "\\\\").replace('"', '\\"')
            labels = f'profile="{name}",budget="{budget}",period="{row["period"]}"'
            yield f"router_budget_{what}_usd{{{labels}}} {row[f'{what}_usd']}"


async def models(
    services: Services, tenants: Tenants, tenant: Tenant | None, request: web.BaseRequest, endpoint: Endpoint
) -> web.Response:
    """The names a client may ask this profile for, in the shape its headers ask for."""
    assert tenant is not None
    names = list(model_names(tenant.profile))
    headers = request.headers
    if "anthropic-version" in headers:
        data = [_anthropic_model(name) for name in names]
        ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
        return replies.json_reply({"data": data, "has_more": False, **ends})
    if _wants_gemini(request):
        return replies.json_reply({"models": [_gemini_model(name) for name in names]})
    return replies.json_reply({"object": "list", "data": [_openai_model(name) for name in names]})


async def model(
    services: Services, tenants: Tenants, tenant: Tenant | None, request: web.BaseRequest, endpoint: Endpoint
) -> web.Response:
    """One of the names of ``models``."""
    assert tenant is not None
    name = endpoint.rest
    if name not in model_names(tenant.profile):
        raise NotFound("this profile lists no such model; any name may still be asked for, rules decide where it goes")
    if "anthropic-version" in request.headers:
        return replies.json_reply(_anthropic_model(name))
    return replies.json_reply(_gemini_model(name) if _wants_gemini(request) else _openai_model(name))


def model_names(profile: Profile) -> Iterable[str]:
    """Aliases, ``provider:model`` of the targets, the names that rules ask for by ``model-equals``; each once."""
    routes = profile.routes
    names = [*routes.aliases]
    names += [f"{target.provider}:{target.model}" for target in routes.targets() if target.model]
    conditions = (leaf for rule in routes.rules if rule.match is not None for leaf in rule.match.leaves())
    names += [word for leaf in conditions if isinstance(leaf, ModelEquals) for word in leaf.words]
    return dict.fromkeys(names)


def _wants_gemini(request: web.BaseRequest) -> bool:
    return "x-goog-api-key" in request.headers or "/v1beta/" in request.raw_path


def _openai_model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "router"}


def _anthropic_model(name: str) -> dict[str, object]:
    return {"type": "model", "id": name, "display_name": name, "created_at": CREATED_AT}


def _gemini_model(name: str) -> dict[str, object]:
    return {
        "name": f"models/{name}",
        "displayName": name,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }
