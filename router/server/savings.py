"""What a request would have cost at the profile's default, and at the model that its client asked for.

It takes what is known when the request has ended (its usage, the prices in force) and what its text tells (which
conversation it belongs to, whether its prompt is to be cached), which may be found out before that or after it.
Whichever comes second has the numbers written. The arithmetic is ``money.savings``.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from router.health.prompt_caches import LIFETIME_S, PromptCaches
from router.ledger.entry import AttemptRecord, Intent, Outcome
from router.ledger.history import PastPrompt
from router.money.cost import charge, cost_nano_usd
from router.money.prices import PriceTable
from router.money.savings import Baseline, Baselines, Counts, caching_of, encode, usage_elsewhere
from router.profile.profile import Profile
from router.providers.provider import Billing, Provider
from router.providers.traits import preferred_format
from router.routing.facts import RequestFacts
from router.routing.families import family_word
from router.routing.rules import Target, explicit_rule, filled
from router.server.pricing import rates_for
from router.wire.request import Api, Lifetime
from router.wire.usage import Usage

if TYPE_CHECKING:
    from router.server.tenant import Tenant

ANSWERED: Final[frozenset[Outcome]] = frozenset({"ok", "client-gone"})
"""What is compared. A request that failed may be sent once more by its client, and is compared then."""

MAX_NAMES: Final = 1000  # of models; clients may ask for any

_LIFETIMES_S: Final[dict[Lifetime, float]] = {"5m": LIFETIME_S, "1h": 3600.0}


class Prompt(NamedTuple):
    """What a request's text tells of its prompt. ``start`` tells apart the prompts of one conversation that begin
    otherwise (an agent's side jobs have its session's id, too): no cache holds one for the other."""

    conversation: str
    start: str
    asked: Lifetime


def prompt_of(facts: RequestFacts) -> Prompt:
    """Read it from a request. Raises BadRequest."""
    start = facts.conversation_start
    return Prompt(facts.conversation or start, start, facts.kept)


class Sizes:
    """How long the prompts of a profile's conversations were lately: what any one model would hold of them in its
    cache, if all of them had gone there. In tokens as we count them."""

    def __init__(self) -> None:
        self._caches = PromptCaches()

    def held(self, prompt: Prompt, lifetime: Lifetime, tokens: int, now: float) -> int:
        """How many of a prompt's tokens a cache of this lifetime would hold. After a restart it isn't known how a
        conversation began."""
        known, before = (lifetime, prompt.start), (lifetime, "")
        return self._caches.of(prompt.conversation, known, tokens, now) or self._caches.of(
            prompt.conversation, before, tokens, now
        )

    def note(self, prompt: Prompt, tokens: int, now: float) -> None:
        """A request has been answered whose prompt had so many tokens."""
        lifetimes: tuple[Lifetime, ...] = ("5m", "1h") if prompt.asked == "1h" else ("5m",)
        for lifetime in lifetimes:
            self._caches.note(prompt.conversation, (lifetime, prompt.start), tokens, now, _LIFETIMES_S[lifetime])

    def recall(self, conversation: str, tokens: int, left_s: float, now: float) -> None:
        """Before a restart a conversation's prompt had so many tokens; they are held for so long still."""
        self._caches.note(conversation, ("5m", ""), tokens, now, left_s)


def recall(tenant: Tenant, prompts: Iterable[PastPrompt], now_ms: int) -> None:
    """Go on with the sizes of prompts that the ledger knows of the last minutes; the largest of a conversation, since
    its side jobs are short."""
    largest: dict[str, tuple[int, float]] = {}
    for past in prompts:
        provider = tenant.profile.providers.get(past.provider)
        if provider is None:
            continue
        tokens = round(past.tokens / tenant.window_factor(provider, past.model))
        left_s = min(LIFETIME_S, LIFETIME_S - (now_ms - past.ended_ms) / 1000)
        largest[past.conversation] = max(largest.get(past.conversation, (0, 0.0)), (tokens, left_s))
    for conversation, (tokens, left_s) in largest.items():
        tenant.sizes.recall(conversation, tokens, left_s, tenant.health.now)


class Compared(NamedTuple):
    """What is written of a request, in nano-dollars; ``None`` for what isn't known, or not yet."""

    at_default_nano_usd: int | None = None
    at_requested_nano_usd: int | None = None
    baselines: str | None = None


class _Went(NamedTuple):
    """What is known of a request that is over. ``size`` is its input in tokens as we count them."""

    api: Api
    served: AttemptRecord
    usage: Usage
    prompt: Prompt
    size: float


class Comparison:
    """Compares one request. ``ended`` and ``described`` are each called at most once; the later one has the result."""

    def __init__(self, tenant: Tenant, profile: Profile) -> None:
        self._tenant = tenant
        self._profile = profile
        self._began = tenant.health.now
        self._intent: Intent | None = None
        self._served: AttemptRecord | None = None
        self._prompt: Prompt | None = None
        self._login = False

    def ended(self, intent: Intent, outcome: Outcome, served: AttemptRecord | None) -> Compared:
        """The request is over, and this call was the answer."""
        if intent.kind == "generate" and outcome in ANSWERED:
            self._intent, self._served = intent, served
        return self._compared()

    def described(self, prompt: Prompt, *, subscription_login: bool) -> Compared:
        """This is its prompt; ``subscription_login``: its client has a login to a subscription of its own."""
        self._prompt, self._login = prompt, subscription_login
        return self._compared()

    def _compared(self) -> Compared:
        intent, served, prompt, tenant = self._intent, self._served, self._prompt, self._tenant
        if intent is None or served is None or prompt is None:
            return Compared()
        usage = served.usage
        total = usage.total_input if usage is not None else None
        if usage is None or total is None or usage.output is None:
            return Compared()
        requested = intent.requested_model
        went = _Went(
            intent.api,  # type: ignore[arg-type]  # an exchange's own
            served,
            usage,
            prompt,
            total / tenant.window_factor(self._profile.providers[served.provider], served.model),
        )
        at_default, default = self._at(default_target(self._profile, requested), went)
        at_requested, asked_for = self._at(tenant.requested.target(tenant, self._profile, requested, went.api), went)
        tenant.sizes.note(prompt, round(went.size), tenant.health.now)
        return Compared(at_default, at_requested, encode(Baselines(default, asked_for)))

    def _at(self, target: Target | None, went: _Went) -> tuple[int | None, Baseline | None]:
        """What the request would have cost at a target, and how that was worked out."""
        if target is None:
            return None, None
        tenant, profile, served = self._tenant, self._profile, went.served
        provider, model = profile.providers[target.provider], target.model or ""
        if _is_same(tenant, profile, provider, model, served):
            return served.cost_nano_usd, Baseline(provider.name, model)
        api = preferred_format(provider, went.api, model)
        if api is None:
            return None, Baseline(provider.name, model, unknown="it speaks no format that the router knows")
        factor = tenant.window_factor(provider, model)
        tokens = round(went.size * factor)
        window = tenant.abilities(provider, model, api).window
        if window is not None and tokens > window:
            return None, Baseline(provider.name, model, unknown=f"its window of {window:,} tokens is too small")
        asked = went.prompt.asked
        if api == "anthropic-messages" and api != went.api and not asked:
            asked = "5m"  # the mark that a translated request gets
        caching = caching_of(family_word(provider.family, model), asked)
        held = tenant.sizes.held(went.prompt, caching.lifetime, round(went.size), self._began)
        there = usage_elsewhere(
            went.usage,
            tokens=tokens,
            held=round(held * factor),
            caching=caching,
            same_provider=provider.name == served.provider,
        )
        billing = self._billing(provider, api, went.api)
        moment = datetime.fromtimestamp(served.time_ms / 1000, UTC)
        cost = cost_nano_usd(there, rates_for(profile, provider, tenant.prices, model), day=moment)
        amount, _ = charge(cost, billing)
        unknown = "it has no price" if amount is None else ""
        return amount, Baseline(provider.name, model, Counts.of(there), billing, unknown)

    def _billing(self, provider: Provider, api: Api, client_api: Api) -> Billing:
        """Who pays there: nobody, where the client's own login to a subscription would be passed through."""
        if self._login and api == client_api:
            for spec in provider.credentials:
                if spec.kind == "passthrough":
                    return "subscription"
                if self._tenant.credentials.available(spec) is not False:
                    break
        return provider.billing


def default_target(profile: Profile, requested: str) -> Target | None:
    """The first target of the profile's default; ``None`` without one."""
    default = profile.routes.default
    return filled(profile.routes, requested, default.targets[0]) if default is not None and default.targets else None


class Requested:
    """What clients of a profile mean by the models they ask for, remembered for one version of it and of the prices."""

    def __init__(self) -> None:
        self._profile: Profile | None = None
        self._prices: PriceTable | None = None
        self._known: dict[tuple[str, str], Target | None] = {}

    def target(self, tenant: Tenant, profile: Profile, requested: str, api: str) -> Target | None:
        """See ``requested_target``."""
        if profile is not self._profile or tenant.prices is not self._prices or len(self._known) >= MAX_NAMES:
            self._profile, self._prices, self._known = profile, tenant.prices, {}
        name = requested, api
        if name not in self._known:
            self._known[name] = requested_target(tenant, profile, requested, api)
        return self._known[name]


def requested_target(tenant: Tenant, profile: Profile, requested: str, api: str) -> Target | None:
    """What a client means by the model it asks for: a ``provider:model``, an alias, else the model of that name at the
    first provider that has a price for it: of those that the profile's rules name, then of its maker, then of those
    that speak the client's format. ``None`` where there is none."""
    routes = profile.routes
    if (explicit := explicit_rule(routes, requested)) is not None:
        return explicit.targets[0]
    if (alias := routes.aliases.get(requested)) is not None:
        return filled(routes, requested, alias.targets[0])
    named = {target.provider for target in routes.targets()}
    sellers = (
        provider
        for provider in profile.providers.values()
        if rates_for(profile, provider, tenant.prices, requested) is not None
    )
    maker = family_word("", requested)

    def place(provider: Provider) -> tuple[bool, bool, bool]:
        return provider.name not in named, not maker or provider.family != maker, api not in provider.formats

    seller = min(sellers, key=place, default=None)
    return Target(seller.name, requested) if seller is not None else None


def _is_same(tenant: Tenant, profile: Profile, provider: Provider, model: str, served: AttemptRecord) -> bool:
    """Whether the request went there: by that name, or by another one of what costs and counts the same (a model's
    dated name)."""
    if provider.name != served.provider:
        return False
    if model == served.model:
        return True
    there, here = (rates_for(profile, provider, tenant.prices, name) for name in (model, served.model))
    factors = {tenant.window_factor(provider, name) for name in (model, served.model)}
    return there is not None and there == here and len(factors) == 1
