"""A profile as it runs: the current version of its rules, and what lives longer than one request.

The profile itself never changes; a reload swaps ``Tenant.profile`` whole. Counters, budgets, remembered conversations
and the script's process belong to the tenant and outlive a reload.
"""

from __future__ import annotations

import random
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeVar

from multidict import CIMultiDictProxy

from router.errors import NotFound
from router.ledger.entry import Settlement
from router.ledger.history import PastInput
from router.ledger.writing import Settle
from router.money.prices import PriceTable
from router.profile.problems import Problem, shown
from router.profile.profile import Profile
from router.providers.abilities import abilities_of
from router.providers.credentials import Credentials
from router.providers.provider import Provider
from router.routing.candidates import Abilities
from router.routing.facts import Facts, RequestFacts
from router.routing.families import family_of, family_word
from router.routing.rules import Target, script_rule
from router.routing.tokens import PieceSummaries
from router.server.admission import ClientKey, hash_key
from router.server.draft_watch import Losing
from router.server.limits import Limiter
from router.server.listeners import Listener
from router.server.ordering import Ordering
from router.server.pricing import cache_discount
from router.server.savings import Requested, Sizes
from router.server.script import Script
from router.server.services import now_ms
from router.server.spending import Spending
from router.server.target_health import TargetHealth
from router.wire.opaque import INVENTED
from router.wire.request import Api, RequestView

T = TypeVar("T")

REMEMBERED = 20_000  # conversations and response ids kept in memory, each


@dataclass(frozen=True, slots=True)
class Memory:
    """What a profile knows of the requests it has served and what a successor should know: where conversations went
    last, and who gave which Responses reply. The oldest first."""

    conversations: dict[str, Target]
    responses: dict[str, Target]


class Tenant:
    """One profile at work."""

    def __init__(
        self,
        profile: Profile,
        credentials: Credentials,
        prices: PriceTable,
        *,
        may_run_commands: bool = False,
        clock: Callable[[], int] = now_ms,
        spending: Spending | None = None,
    ) -> None:
        self.prices = prices
        self.listener: Listener | None = None
        self.own_port: int | None = None  # the listener's, also while it is closed; None until it is known
        self.listen_problem: str | None = None
        self.problems: tuple[Problem, ...] = ()
        self.started_ms = time.time_ns() // 1_000_000
        self.requests = 0
        self.reloads = 0
        self.restarts = 0  # of its listener, or where it has none of serving its path
        self.script: Script | None = None
        self.clock = clock
        self.spending = spending or Spending(profile.name, clock)
        self.losing: Mapping[str, Losing] = {}  # rules whose drafts cost more than they save, by hash
        self.sizes = Sizes()  # of the conversations' prompts
        self.requested = Requested()
        self._conversations: OrderedDict[str, Target] = OrderedDict()
        self._turns: dict[str, int] = {}  # of round-robin, by the hashes of those who take turns
        self._responses: OrderedDict[str, Target] = OrderedDict()
        self._credentials = credentials
        self._may_run_commands = may_run_commands
        self.health = TargetHealth(profile)
        self.limits = Limiter(profile.name, profile.limits)
        self.use(profile)

    def use(self, profile: Profile) -> None:
        """Swap in another version of the profile. Requests under way keep theirs."""
        self.profile = profile
        self.health.use(profile)
        self.limits.use(profile.limits, time.monotonic())
        self.credentials = self._credentials.for_profile(profile.dotenv, allow_commands=self._may_run_commands)
        if self.script is not None and self.script.path != profile.script:
            self.script.close()
            self.script = None
        if profile.script is not None:
            if self.script is None:
                self.script = Script(profile.script)
            else:
                self.script.reload()

    @property
    def name(self) -> str:
        """The profile's name."""
        return self.profile.name

    def problem_lines(self) -> list[str]:
        """What is wrong with this profile right now, a line each."""
        lines = [str(problem) for problem in self.problems]
        lines += [self.listen_problem] if self.listen_problem else []
        lines += [self.script.problem] if self.script is not None and self.script.problem else []
        return lines + self.spending.problem_lines()

    def keys_required(self, *, loopback: bool) -> bool:
        """Whether a client key is needed: as set, else only where others than this machine can connect."""
        return self.profile.auth_keys == "required" or (self.profile.auth_keys is None and not loopback)

    async def fixed_key_hash(self) -> str | None:
        """The hash of ``[auth] key``, if the profile has one."""
        if self.profile.auth_key is None:
            return None
        return hash_key((await self.credentials.resolve(self.profile.auth_key)).reveal())

    def facts(
        self,
        view: RequestView,
        headers: CIMultiDictProxy[str],
        key: ClientKey | None,
        summaries: PieceSummaries,
    ) -> RequestFacts:
        """The facts of one request, nothing computed yet."""
        profile = self.profile
        return RequestFacts(
            view,
            headers=headers,
            summaries=summaries,
            phrases=profile.routes.phrases,
            now=datetime.fromtimestamp(self.clock() / 1000, profile.timezone),
            key=key.name if key else None,
            tags=tags_of(headers),
            provider_used=self.provider_of,
            budget_used=partial(self.spending.used_share, key.name if key else None),
        )

    def ordering(
        self, facts: Facts, *, chance: Callable[[], float] = random.random, takes_turns: bool = True
    ) -> Ordering:
        """How strategies order the candidates of one request."""
        return Ordering(self, facts, chance=chance, turns=self._turns, takes_turns=takes_turns)

    def target_of(self, conversation: str | None) -> Target | None:
        """Where the conversation's previous request went."""
        return self._conversations.get(conversation) if conversation is not None else None

    def window_factor(self, provider: Provider, model: str) -> float:
        """How many of a model's tokens to reckon with for each that we count: as usage taught, else its family's."""
        learned = self.health.factors.of(_tokenizer(provider, model))
        return family_of(provider.family, model).window_factor if learned is None else learned

    def learn_factors(self, inputs: Iterable[PastInput]) -> None:
        """Targets have read requests, and their providers told how many tokens those had."""
        for read in inputs:
            provider = self.profile.providers.get(read.provider)
            if provider is not None:
                self.health.factors.observe(_tokenizer(provider, read.model), read.estimated, read.reported)

    def abilities(self, provider: Provider, model: str, api: Api) -> Abilities:
        """What is known of a model that is spoken to in this format: the profile's word, then what the provider said,
        then the tables."""
        name = provider.name, model
        return abilities_of(
            provider, model, api, self.prices, self.profile.models.get(name), refused=self.health.windows.get(name)
        )

    async def ask_script(self, facts: RequestFacts) -> str | None:
        """The script's answer, None when it has none, failed or took too long (the problem is kept and shown)."""
        if self.script is None:
            return None
        routes = self.profile.routes
        config = {
            "profile": self.name,
            "aliases": {name: str(alias.targets[0]) for name, alias in routes.aliases.items()},
            "default": str(routes.default.targets[0]) if routes.default else None,
            "providers": sorted(self.profile.providers),
        }
        answer = await self.script.ask(facts.for_script(), config)
        if answer is not None and script_rule(routes, answer) is None:
            self.script.problem = f"{self.script.path.name} answered {shown(answer)}: no provider/model and no alias"
            return None
        return answer

    def catalog(self, model: str, api: str) -> list[str]:
        """Providers with a usable key that list the model: those speaking ``api`` first, else in catalog order."""
        able = [
            provider
            for provider in self.profile.providers.values()
            if provider.price_provider
            and all(self.credentials.available(spec) is not False for spec in provider.credentials)
            and provider.credentials
            and self.prices.knows(provider.price_provider, model)
        ]
        return [provider.name for provider in sorted(able, key=lambda provider: api not in provider.formats)]

    def note(self, settlement: Settlement, *, response_id: str | None) -> None:
        """Count a settled request: for status, and for whoever asks for its response by id."""
        self.requests += 1
        if response_id is not None and settlement.provider is not None:
            _keep(self._responses, response_id, Target(settlement.provider, settlement.model))

    def remember(self, conversation: str, target: Target) -> None:
        """Where this conversation went last."""
        _keep(self._conversations, conversation, target)

    def memory(self) -> Memory:
        """What a successor should know, as it is now."""
        return Memory(dict(self._conversations), dict(self._responses))

    def recall(self, memory: Memory) -> None:
        """What the predecessor knew."""
        for conversation, target in memory.conversations.items():
            _keep(self._conversations, conversation, target)
        for response_id, target in memory.responses.items():
            _keep(self._responses, response_id, target)

    def note_elsewhere(self, record: Settle) -> None:
        """Count a request that the predecessor has served to its end."""
        settlement, served = record.settlement, record.attempts[-1] if record.attempts else None
        self.note(settlement, response_id=served.response_id if served is not None else None)
        conversation = record.annotation.conversation if record.annotation is not None else None
        if conversation is not None and served is not None and served.role != "draft":
            self.remember(conversation, Target(served.provider, served.model))

    def cache_at(self, conversation: str, target: Target, tokens: int | None) -> tuple[int | None, int | None]:
        """How many of a request's tokens a target has in its prompt cache, and what reading them there would save in
        nano-dollars. ``None`` for none, and for an unknown price."""
        provider = self.profile.providers.get(target.provider)
        model = target.model or ""
        held = self.health.caches.of(conversation, (target.provider, model), tokens, self.health.now)
        if not held or provider is None:
            return None, None
        return held, cache_discount(self.profile, provider, self.prices, model, held)

    def provider_of(self, conversation: str | None) -> str | None:
        """The provider of the conversation's previous request."""
        target = self.target_of(conversation)
        return target.provider if target is not None else None

    def owner_of_response(self, response_id: str) -> str:
        """The provider that gave a Responses reply; for an unknown id the only one that could.

        Raises NotFound where no provider can be told.
        """
        if INVENTED in response_id:
            raise NotFound("this reply was translated from another wire format and is kept nowhere (store: false)")
        known = self._responses.get(response_id)
        providers = self.profile.providers
        if known is not None and known.provider in providers:
            return known.provider
        speakers = {
            target.provider
            for target in self.profile.routes.targets()
            if "openai-responses" in providers[target.provider].formats
        }
        if len(speakers) != 1:
            raise NotFound("no response of this id was given through this profile")
        return speakers.pop()

    def continuing(self, response_id: str, chosen: Target) -> Target:
        """Where a request goes that continues a Responses reply: to whoever gave that.

        Of an unknown reply the rules' own target is asked if it can know it. Raises NotFound where nobody can.
        """
        known = self._responses.get(response_id)
        if known is None and "openai-responses" in self.profile.providers[chosen.provider].formats:
            return chosen
        owner = self.owner_of_response(response_id)
        if owner == chosen.provider:
            return chosen
        return Target(owner, known.model if known is not None else chosen.model)


def _tokenizer(provider: Provider, model: str) -> str:
    """What counts a model's tokens: its family, or where that isn't known the model alone."""
    return family_word(provider.family, model) or f"{provider.name}/{model}"


def tags_of(headers: Mapping[str, str]) -> frozenset[str]:
    """Tags from ``x-router-tag``: words separated by commas or spaces."""
    value = headers.get("x-router-tag")
    return frozenset(value.replace(",", " ").split()) if value else frozenset()


def _keep(memory: OrderedDict[str, T], key: str, value: T) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > REMEMBERED:
        memory.popitem(last=False)
