"""What a call takes from budgets: how large it is, read from the body as it will be sent, and what that costs.

``money.reserving`` has the bounds; here is found out what they are made of. Only calls of requests with a budget come
here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from router.errors import BadRequest
from router.money.budget import FREE, Need
from router.money.rates import Rates
from router.money.reserving import USUAL_OUTPUT, USUAL_SEARCHES, Size, probable, worst_case
from router.server.pricing import is_subscription_login, rates_for
from router.wire.body import Body

if TYPE_CHECKING:
    from router.server.attempt import Attempt
    from router.server.exchange import Exchange

# Input that a body only names: kept by the provider, or fetched by it.
_REFERRING: Final = frozenset(
    "previous_response_id conversation container mcp_servers cachedContent cached_content plugins".split()
)
_REFERENCE: Final = re.compile(
    rb'"(?:file_id|file_url|fileUri|file_uri)"\s*:|"type"\s*:\s*"(?:file|url)"'  # documents, of any size
)
# What is counted in no text: its bytes are the only bound that is known.
_SOUND: Final = re.compile(rb'"(?:input_audio|input_video|video_url)"|"(?:audio|video)/[a-z0-9.+-]+"')
_LIMITS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")

_BYTES_A_TOKEN: Final = 4  # of English, where nothing is counted


def need_of(exchange: Exchange, attempt: Attempt, *, strict: bool) -> Need:
    """What a call takes. ``strict``: its worst case, else what it will probably cost. Raises CountNeeded."""
    chosen, profile = attempt.chosen, exchange.profile
    login = attempt.authorised.headers.get("authorization", "") if attempt.authorised.passed_through else ""
    if exchange.kind == "count" or chosen.provider.billing != "metered" or is_subscription_login(login):
        return FREE
    body = _parsed(attempt.way.body)
    size = _size(exchange, attempt, body)
    prices, now = exchange.tenant.prices, datetime.fromtimestamp(exchange.services.clock() / 1000, UTC)
    rates = rates_for(profile, chosen.provider, prices, chosen.model)
    worst = worst_case(size, rates, now)
    for name in _other_models(body, chosen.model):  # the provider may choose one of them itself
        other = worst_case(size, rates_for(profile, chosen.provider, prices, name), now)
        worst = None if worst is None or other is None else max(worst, other)
    if strict or not worst:
        return Need(worst, worst)
    return Need(_probable(exchange, attempt, size, rates, now), worst)


def _probable(exchange: Exchange, attempt: Attempt, size: Size, rates: Rates | None, now: datetime) -> int | None:
    chosen, facts = attempt.chosen, exchange.facts
    length = exchange.tenant.health.performance.output(chosen.model, chosen.rule.label)
    output = length.p95 if length is not None else USUAL_OUTPUT
    if facts is None:
        tokens, cached = (size.length or 0) // _BYTES_A_TOKEN, 0
    else:
        estimate = exchange.tenant.ordering(facts).estimate(chosen.target)
        tokens, cached = estimate.input_tokens, estimate.cached_tokens
    return probable(size, rates, now, tokens=tokens, cached=cached, output=output)


def _parsed(raw: bytes) -> Body | None:
    """The body as JSON; ``None`` for a form or a file."""
    try:
        return Body.parse(raw) if raw.lstrip()[:1] == b"{" else None
    except BadRequest:
        return None


def _size(exchange: Exchange, attempt: Attempt, body: Body | None) -> Size:
    tenant, chosen, facts, raw = exchange.tenant, attempt.chosen, exchange.facts, attempt.way.body
    abilities = exchange.abilities(chosen)
    size = Size(
        length=len(raw),
        window=abilities.window,
        most_output=abilities.max_output,
        writes=exchange.kind != "embed",
    )
    if body is not None:
        config = body.get("generationConfig", body.get("generation_config"))
        size = size._replace(
            max_output=_asked_output(body, config),
            answers=max(_whole(body.get("n")) or 1, _whole(body.get("best_of")) or 1, _of(config, "candidateCount", 1)),
            outside=any(body.get(name) for name in _REFERRING)
            or isinstance(body.get("prompt"), dict)
            or _REFERENCE.search(raw) is not None,
        )
    if facts is None:
        return size
    hosted = [tool for tool in facts.tools if tool.kind != "function"]
    return size._replace(
        tokens=None if _SOUND.search(raw) else facts.tokens(),
        factor=tenant.window_factor(chosen.provider, chosen.model),
        length=None if facts.image or facts.document else size.length,
        outside=size.outside or bool(hosted),
        web_searches=_searches(body) if any(tool.kind == "web-search" for tool in hosted) else 0,
    )


def _asked_output(body: Body, config: object) -> int | None:
    """The output that was asked for. Of two limits the higher one: providers differ in which of them they heed. Some
    count thinking with a budget of its own on top."""
    limits = [_whole(body.get(name)) for name in _LIMITS]
    limits += [_of(config, name, None) for name in ("maxOutputTokens", "max_output_tokens")]
    asked = max((limit for limit in limits if limit is not None), default=None)
    return None if asked is None else asked + (_whole(body.get("thinking_budget")) or 0)


def _searches(body: Body | None) -> int:
    tools = body.get("tools") if body is not None else None
    found = (tool for tool in tools if isinstance(tool, dict)) if isinstance(tools, list) else ()
    searching = [tool for tool in found if str(tool.get("type", "")).startswith("web_search")]
    return sum(USUAL_SEARCHES if (uses := _whole(tool.get("max_uses"))) is None else uses for tool in searching)


def _other_models(body: Body | None, model: str) -> Iterable[str]:
    """Models that OpenRouter may answer with in the place of the one that was asked for."""
    listed = body.get("models") if body is not None else None
    names = listed if isinstance(listed, list) else ()
    return [name for name in names if isinstance(name, str) and name != model]


def _of(config: object, name: str, default: Any) -> Any:
    found = _whole(config.get(name)) if isinstance(config, dict) else None
    return default if found is None else found


def _whole(value: object) -> int | None:
    """A number as a count; ``None`` for anything else, which the provider refuses."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**53:
        return None
    return max(0, int(value))
