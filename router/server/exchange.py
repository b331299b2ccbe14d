"""One client request, start to end. Read this file first: ``Exchange.run`` is the walk, in order.

    arrive      the listener and the URL have named the profile and the wire format (``front.py``)
    admit       key, Host, size, a place within the profile's limits: from the head alone (``front.py``)
    read        the body, as raw top-level fields
    decide      facts in, candidates out: the same ``decide`` that `router explain` calls
    record      the rows of the request and its call are committed before a provider is called (``accounts.py``)
    attempt     one candidate after the other is called (``trying.py``, ``attempt.py``), in the client's wire format or
                translated into the provider's (``ways.py``), until one answers; what fails here the client never sees
    commit      the reply to the client starts: the line nobody crosses twice (``outgoing.py``)
    relay       bytes as they come, or translated event by event; a tap reads usage on the side (``relay.py``)
    settle      the cost is committed before the end of the answer goes out; ``finally`` settles whatever is left

An exchange and what it holds (its account, its tries, what goes out) are all that changes while a request is served.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import dropwhile

from aiohttp import web

from router.errors import (
    BadRequest,
    FormatUnsupported,
    NoCredential,
    Refused,
    Unavailable,
    Untranslatable,
    UpstreamError,
)
from router.health.breaker import Key
from router.ledger.entry import Intent, Kind
from router.ledger.history import PastInput
from router.ledger.writing import Annotate
from router.money.budget import Charge, Scope
from router.providers.addresses import endpoint_url
from router.providers.provider import Provider
from router.providers.traits import preferred_format, traits_for
from router.routing.candidates import Abilities
from router.routing.facts import CountNeeded, RequestFacts
from router.routing.openrouter import openrouter_fields
from router.routing.rules import RouteDecision, Target, decide, filled, no_more
from router.server.accounts import Account
from router.server.admission import Admitted
from router.server.annotate import Job
from router.server.attempt import Answer, Attempt, Chosen, Patience, SoftFailure, no_answer
from router.server.authorise import Authorised, authorise
from router.server.bodies import LARGE_BODY, read_body
from router.server.budget_terms import degraded_rule
from router.server.drafting import Drafting
from router.server.endpoints import Endpoint
from router.server.limits import Place
from router.server.outgoing import Outgoing
from router.server.pricing import is_subscription_login
from router.server.savings import Prompt
from router.server.services import DRAINING, Services, new_request_id
from router.server.tenant import Tenant
from router.server.trying import Trying
from router.server.ways import Going, PassThrough, Translated, Way
from router.upstream.client import Call
from router.wire.body import Body
from router.wire.codec import Codec
from router.wire.formats import CODECS
from router.wire.request import Api, RequestView
from router.wire.traits import Traits


class Exchange:
    """One request to a profile. ``await run()`` gives the reply; whatever happens, exactly one row is settled."""

    kind: Kind = "generate"
    translated: type[Translated] = Translated

    def __init__(
        self,
        services: Services,
        tenant: Tenant,
        endpoint: Endpoint,
        admitted: Admitted,
        request: web.BaseRequest,
        line: str = "",
        place: Place | None = None,
    ) -> None:
        """``line`` is the caller's; ``place`` the one it has within the profile's limits, if those count it."""
        self.id = new_request_id()
        self.time_ms = services.clock()
        self.started = time.monotonic()
        self.services = services
        self.tenant = tenant
        self.profile = tenant.profile  # this version, to the end
        self.endpoint = endpoint
        self.api: Api = endpoint.api or "openai-chat"
        self.codec: Codec = CODECS[self.api]
        self.admitted = admitted
        self.request = request
        self.account = Account(services, tenant, self.profile)
        self.view: RequestView | None = None
        self.facts: RequestFacts | None = None
        self.decision: RouteDecision | None = None
        self.trying: Trying | None = None
        self.attempt: Attempt | None = None  # the call under way, or the last one
        self.amended: dict[tuple[str, str], Traits] = {}  # of targets that refused how this request was written
        self.outgoing = Outgoing(self)
        self.cut_because: str | None = None  # the server or its profile stops
        self.alone = False  # the client has gone, and the call under way is read to its end all the same
        self._line = line
        self._place = place
        self._task: asyncio.Task[object] | None = asyncio.current_task()
        self._annotated = False
        self._conversation: str | None = None
        self._input: int | None = None  # estimated tokens
        self._served: Target | None = None

    # --- the walk -------------------------------------------------------------------------------------------------

    async def run(self) -> web.StreamResponse:
        """Serve the request. Raises CancelledError when the client left, and what is a fault of ours."""
        if self.profile.on_disconnect == "cancel":
            return await self._walk()
        work = self._task = asyncio.create_task(self._walk(), name=f"request {self.id}")
        return await self.services.drains.outliving(self, work)

    def left(self) -> bool:
        """The client has gone. Whether the call under way is read to its end all the same."""
        drains, attempt = self.services.drains, self.attempt
        if (
            not self.alone
            and self.profile.on_disconnect == "drain"
            and (attempt is not None and attempt.under_way)
            and not self.account.settled
            and self._task is not None
        ):
            self.alone = self.account.alone = drains.begin(self, self._task)
        return self.alone

    async def _walk(self) -> web.StreamResponse:
        self.services.enter(self)
        try:
            work = 1 + (self.request.content_length or 0) // LARGE_BODY
            await self.services.turnstile.turn(self.tenant.name, self._line, work)
            if self._place is not None and self._place.waited_s:
                self.account.trace.append(f"waited {self._place.waited_s:.1f} s for its turn: [limits]")
            self.view = await self.read()  # no name of our own for it: a stream lives long, the body needn't
            self.decision = await self.decide(self.view)
            return await self.serve(self.view)
        except Refused as error:
            return await self.outgoing.refuse(error)
        except UpstreamError as error:
            # Frames that it came through know it: with its way there it would be left to the garbage collector.
            return await self.outgoing.give_up(error.with_traceback(None))
        except asyncio.CancelledError:
            if self.cut_because is None or self.outgoing.committed or self.account.settled:
                raise
            return await self.outgoing.refuse(Unavailable(self.cut_because, retry_after_s=1), outcome="drained")
        except Exception:
            self.account.finish("refused", 500, "internal")  # a fault of ours; the door logs and answers it
            raise
        finally:
            self.close()

    async def read(self) -> RequestView:
        """The body under a cap, then its top-level fields; nothing deeper is parsed."""
        body = Body.parse(await read_body(self.request, self.services.max_body))
        view = self.codec.view(body, url_model=self.endpoint.model, url_stream=self.endpoint.stream)
        view.memory = self.services.pieces
        return view

    async def decide(self, view: RequestView) -> RouteDecision:
        """Facts in, candidates out. A token count too large for the event loop is made in a thread."""
        tenant = self.tenant
        facts = self.facts = tenant.facts(view, self.request.headers, self.admitted.key, self.services.summaries)
        script = await tenant.ask_script(facts)
        try:
            decision = self.route(facts, script)
        except CountNeeded:
            facts.may_count = True
            decision = await asyncio.to_thread(self.route, facts, script)
        return self.following_up(decision)

    def route(self, facts: RequestFacts, script: str | None) -> RouteDecision:
        """Rules, strategies, and conversations that stay where they are. Raises CountNeeded."""
        tenant = self.tenant
        ordering = tenant.ordering(facts, takes_turns=self.kind == "generate")
        return ordering.stuck(
            decide(self.profile.routes, facts, script=script, catalog=tenant.catalog, arrange=ordering)
        )

    async def serve(self, view: RequestView) -> web.StreamResponse:
        """Have one of the candidates answer, and pass that on."""
        answer = await self.draft(view) or await self.answer(view)
        del view
        self.view = self.facts = None  # a stream lives long; the body needn't
        assert self.decision is not None
        self.decision = replace(self.decision, later=no_more)
        if answer.relay is not None:
            return await self.outgoing.stream(answer, answer.relay)
        return await self.outgoing.whole(answer)

    async def draft(self, view: RequestView) -> Answer | None:
        """The draft of the rule's cascade, if it has one and the draft is good enough to be the answer."""
        assert self.decision is not None
        cascade = self.profile.cascades.get(self.decision.rule.label) if self.kind == "generate" else None
        return await Drafting(self, self.decision, cascade).answer(view) if cascade is not None else None

    async def answer(self, view: RequestView) -> Answer:
        """Call one candidate after the other until one answers. Raises UpstreamError for the last one's failure, and
        Refused where none can be called."""
        assert self.decision is not None
        trying = self.trying = Trying(self, self.decision)
        self.tenant.health.retries.enter(self.started)
        while True:
            attempt = self.attempt = await trying.next()
            try:
                answer = await attempt.open(view, trying.role)
                if self.kind == "generate" and (fault := no_answer(answer, self.facts)) is not None:
                    raise SoftFailure(fault, answer)
            except UpstreamError as error:
                attempt.close()
                if self.alone:
                    raise
                try:
                    await trying.failed(error)
                except SoftFailure as soft:
                    return replace(soft.answer, soft=True)
            else:
                trying.answered()
                return answer

    def charged(self) -> Charge:
        """What budgets count for this request, from its first call on."""
        account = self.account
        if account.charge is None:
            assert self.decision is not None
            account.charge = self.tenant.spending.open(self.id, self.time_ms, self.decision.rule, self._key_name)
        return account.charge

    def degraded(self, scope: Scope) -> RouteDecision:
        """Where a budget sends the request that doesn't allow it elsewhere. A request that has been recorded for its
        rule stays that rule's; another one isn't any rule's from now on."""
        assert self.decision is not None
        spending = self.tenant.spending
        rule = degraded_rule(scope, spending.terms[scope].degrade_to)
        routes, asked = self.profile.routes, _text(self.view, "model")
        candidates = tuple(filled(routes, asked, target) for target in rule.targets)
        decision = RouteDecision(rule, candidates, rule.reason, self.decision.tried)
        if self.account.intent is None:
            self.decision = decision
            spending.move(self.charged(), rule, self._key_name)
        else:
            self.decision = replace(self.decision, reason=rule.reason)
        return decision

    @property
    def _key_name(self) -> str | None:
        return self.admitted.key.name if self.admitted.key is not None else None

    async def written(self, chosen: Chosen) -> Way:
        """The request as the candidate gets it. Raises FormatUnsupported, Untranslatable."""
        view = self.view
        assert view is not None
        if len(view.body.raw) > LARGE_BODY:
            return await asyncio.to_thread(self.way_to, view, chosen)
        return self.way_to(view, chosen)

    def way_to(self, view: RequestView, chosen: Chosen) -> Way:
        """Pass the request through where the provider speaks the client's format, else translate it."""
        provider, model = chosen.provider, chosen.model
        api = self.format_to(provider, model)
        traits = traits_for(provider, model, api, self.profile.models.get((provider.name, model)))
        # Agents give thinking back only to the model they asked for: by its name they know the reply as that one's.
        echo = self.profile.echo_model or ("served" if api == self.api else "requested")
        going = Going(
            view=view,
            provider=provider,
            model=model,
            rule=chosen.rule,
            traits=self.amended.get((provider.name, model)) or self.services.learned.get((traits.owner, api), traits),
            echoed=_text(view, "model") if echo == "requested" else "",
            ask_usage=self.profile.ask_usage and self.kind == "generate",
            allow_losses=self.profile.on_loss == "allow" or self.kind == "count",
            reply_id=self.id,
            created=self.time_ms // 1000,
            query=self.request.raw_path.partition("?")[2],
            more=self.openrouter_fields(chosen) if self.kind == "generate" else {},
        )
        if api == self.api:
            return PassThrough(self.codec, going)
        try:
            return self.translated(self.codec, CODECS[api], going)
        except Untranslatable as error:
            raise Untranslatable(f'rule "{chosen.rule.label}": {error}') from error

    def openrouter_fields(self, chosen: Chosen) -> dict[str, object]:
        """What OpenRouter is told of other models and its providers; nothing where the target is somebody else's."""
        decision = self.decision
        if decision is None or chosen.provider.quirks.get("error-dialect") != "openrouter":
            return {}
        behind = dropwhile(lambda target: target != chosen.target, decision.candidates)
        breakers, now = self.tenant.health.breakers, self.tenant.health.now

        def may_be_listed(target: Target) -> bool:
            provider = self.profile.providers[target.provider]
            keys = (Key(provider.name, target.model or "", name) for name in provider.key_names)
            return provider is chosen.provider and all(breakers.state(key, now) == "closed" for key in keys)

        return openrouter_fields(
            self.profile.openrouter, chosen.rule, chosen.target, [*behind][1:], may_be_listed=may_be_listed
        )

    def format_to(self, provider: Provider, model: str) -> Api:
        """The wire format to speak with a provider. Raises FormatUnsupported where there is none."""
        api = preferred_format(provider, self.api, model)
        if api is None:
            raise FormatUnsupported(f"{provider.name} speaks no wire format that this router knows")
        return api

    def estimating(self, way: Way, view: RequestView, chosen: Chosen) -> asyncio.Future[int] | None:
        """The input's size in tokens, being counted in a thread, where the reply has to name it before it is known."""
        if not way.wants_estimate:
            return None
        count = self.services.summaries.estimate_for
        return asyncio.ensure_future(asyncio.to_thread(count, view, chosen.provider.family, chosen.model))

    def annotate(self) -> None:
        """Have the facts of this request written down, once."""
        if self.facts is not None and self.account.intent is not None and not self._annotated:
            self._annotated = True
            self.services.annotator.put(
                Job(self.id, self.facts, self.profile.routes, self.profile.token_facts, self.described)
            )

    def close(self) -> None:
        """Whatever happened: give the place back, end the call, settle what isn't, have the facts written down."""
        if self._place is not None:
            self.tenant.limits.leave(self._place, time.monotonic())
        self.services.drains.end(self)
        if self.trying is not None:
            self.trying.close()
        if self.view is not None and self.account.intent is None:
            self.account.open(self.intent())  # the client left before it was decided where to go
        self.account.close(drained=self.cut_because is not None)
        self.annotate()
        self.outgoing.close()
        self.view = self.facts = None
        self.services.leave(self)
        # These know the exchange in turn: let go of them, or only the garbage collector would, of all of them at once.
        self.trying = self.attempt = self._task = None
        del self.outgoing

    def described(self, found: Annotate, prompt: Prompt) -> None:
        """The facts are known: they go to the books, and the conversation's next request may ask where this went."""
        self._conversation, self._input = found.conversation, found.estimated_input
        self.remember()
        account = self.account
        account.annotate(
            replace(found, cache_lost=account.cache_lost, cache_lost_nano_usd=account.cache_lost_nano_usd),
            prompt,
            subscription_login=is_subscription_login(self.request.headers.get("Authorization", "")),
        )
        if account.settled:
            self.note_cache()
            self.note_size()

    def remember(self) -> None:
        """Note where the conversation went, once it is known both which one it is and who answered, and what it left
        behind elsewhere. A draft doesn't move it: its home is the verifier's."""
        conversation, served, attempt = self._conversation, self._served, self.account.attempt
        if conversation is None or served is None or (attempt is not None and attempt.role == "draft"):
            return
        left = self.tenant.target_of(conversation)
        if (
            left is not None
            and (left.provider, left.model) != (served.provider, served.model)
            and self.kind == "generate"
        ):
            self.account.cache_lost, self.account.cache_lost_nano_usd = self.tenant.cache_at(
                conversation, left, self._input
            )
        self.tenant.remember(conversation, served)

    def note_cache(self) -> None:
        """Note what the answering target now has of the conversation in its prompt cache. Providers that cache by
        themselves report no writes: what was read there before shows that they do, and then they have it all."""
        usage, target = self.account.reply.usage, self._served
        if usage is None or target is None or self._conversation is None:
            return
        read, written = usage.cache_read or 0, (usage.cache_write or 0) + (usage.cache_write_1h or 0)
        held = read + written if written or not read else read + (usage.input or 0)
        health = self.tenant.health
        health.caches.note(self._conversation, (target.provider, target.model or ""), held, health.now)

    def note_size(self) -> None:
        """Note how many tokens the answering target made of ours, once both counts are known."""
        usage, target, estimated = self.account.reply.usage, self._served, self._input
        reported = usage.total_input if usage is not None else None
        if self.kind == "generate" and target is not None and estimated is not None and reported is not None:
            self.tenant.learn_factors([PastInput(target.provider, target.model or "", estimated, reported)])

    def serving(self) -> None:
        """This answer is the client's."""
        if self.attempt is not None:
            self._served = self.attempt.chosen.target
            self.remember()

    def served(self, *, ok: bool) -> None:
        """The answer is over: at its end, or broken off by its provider."""
        self.serving()
        if self.trying is not None:
            self.trying.finished(ok=ok)
        if ok:
            self.note_cache()
            self.note_size()

    def cut(self, because: str = DRAINING) -> None:
        """The server or the profile stops: end this exchange now. A started stream gets an error event, anybody else an
        error."""
        self.cut_because = because
        if self._task is not None:
            self._task.cancel()

    # --- the call -------------------------------------------------------------------------------------------------

    async def authorise(self, chosen: Chosen, usable: Callable[[str], bool]) -> Authorised:
        """The credential of a call. Raises NoCredential, FormatUnsupported."""
        try:
            return await authorise(
                chosen.provider,
                self.format_to(chosen.provider, chosen.model),
                self.tenant.credentials,
                client_api=self.api,
                client_headers=self.request.headers,
                router_key_header=self.admitted.header,
                usable=usable,
            )
        except NoCredential as error:
            raise NoCredential(f'rule "{chosen.rule.label}", {error}') from error

    def call(self, attempt: Attempt, view: RequestView) -> Call:
        """The call to the provider, as the way there has it."""
        chosen, way = attempt.chosen, attempt.way
        provider = chosen.provider
        query = way.query(self.request.raw_path.partition("?")[2], stream=view.stream)
        url = self.url(way, view, chosen)
        credential = attempt.authorised.headers
        return Call(
            method="POST",
            url=f"{url}?{query}" if query else url,
            headers=way.headers(self.request.headers, credential, (provider.headers, chosen.rule.headers)),
            body=way.body,
            connect_s=provider.timeouts.get("connect", self.profile.timeouts.connect),
            proxy=provider.proxy,
            ca_file=provider.ca_file,
        )

    def patience(self, provider: Provider, others: Callable[[], bool]) -> Patience:
        """How long to wait for a whole reply, or for the first content of a stream."""
        assert self.view is not None
        own, timeouts = provider.timeouts, self.profile.timeouts
        if not self.view.stream:
            whole_s = own.get("whole", timeouts.whole)
            return Patience(whole_s, whole_s, others)
        return Patience(
            own.get("first-event", timeouts.first_event), own.get("first-event-last", timeouts.first_event_last), others
        )

    def abilities(self, chosen: Chosen) -> Abilities:
        """What is known of the candidate's model."""
        return self.tenant.abilities(chosen.provider, chosen.model, self.format_to(chosen.provider, chosen.model))

    def silence_s(self, provider: Provider) -> float:
        """How long a stream that has begun may be silent."""
        return provider.timeouts.get("idle", self.profile.timeouts.idle)

    def url(self, way: Way, view: RequestView, chosen: Chosen) -> str:
        """The provider's address for this kind of request."""
        return endpoint_url(chosen.provider, way.api, model=chosen.model, stream=view.stream)

    def following_up(self, decision: RouteDecision) -> RouteDecision:
        """A reply's id leads back to whoever gave it: a Responses request that continues one goes there."""
        earlier = self.facts.continued_reply if self.facts is not None else None
        if earlier is None or decision.rule.kind == "explicit":
            return decision
        return replace(decision, candidates=(self.tenant.continuing(earlier, decision.candidates[0]),), later=no_more)

    # --- small parts ----------------------------------------------------------------------------------------------

    def intent(self) -> Intent:
        """The request's row, as far as it is known now."""
        view, facts, charge = self.view, self.facts, self.account.charge
        rule = self.decision.rule if self.decision is not None else None
        chosen = self.attempt.chosen if self.attempt is not None else None
        return Intent(
            id=self.id,
            kind=self.kind,
            time_ms=self.time_ms,
            profile=self.profile.name,
            rule=rule.label if rule else "(none)",
            rule_hash=rule.hash if rule else "",
            file_hash=self.profile.file_hash,
            client=facts.client if facts else "other",
            key=self._key_name,
            tags=" ".join(sorted(facts.tags)) or None if facts else None,
            conversation=None,  # the annotator finds it out
            api=self.api,
            requested_model=_text(view, "model"),
            provider=chosen.provider.name if chosen else None,
            model=chosen.model if chosen else None,
            stream=bool(_text(view, "stream")),
            reason=self.decision.reason if self.decision else "",
            held_nano_usd=charge.counted or None if charge is not None else None,
            charged_ms=charge.moment_ms if charge is not None and charge.moment_ms != self.time_ms else None,
        )


def _text(view: RequestView | None, field: str) -> str:
    """A field of a request that may be wrong there: the row of a refused request has it if it can be read."""
    try:
        return str(getattr(view, field) or "") if view is not None else ""
    except BadRequest:
        return ""
