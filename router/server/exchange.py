"""One client request, start to end. Read this file first: ``Exchange.run`` is the walk, in order.

    arrive      the listener and the URL have named the profile and the wire format (``front.py``)
    admit       key, Host, size: from the head alone (``front.py``)
    read        the body, as raw top-level fields
    decide      facts in, candidates out: the same ``decide`` that `router explain` calls
    record      the rows of the request and its call are committed before a provider is called (``accounts.py``)
    attempt     the call, in the client's wire format or translated into the provider's (``ways.py``); an error here can
                still become an ordinary error reply
    commit      the reply to the client starts: the line nobody crosses twice
    relay       bytes as they come, or translated event by event; a tap reads usage on the side (``relay.py``)
    settle      the cost is committed before the end of the answer goes out; ``finally`` settles whatever is left

An exchange is the only thing that changes while a request is served, and it changes only here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from aiohttp import web
from multidict import CIMultiDict

from router.errors import (
    BadRequest,
    FormatUnsupported,
    NoCredential,
    Refused,
    Unavailable,
    Untranslatable,
    UpstreamError,
)
from router.health import classes
from router.ledger.entry import AttemptRecord, Intent, Kind, Outcome
from router.ledger.writing import Annotate
from router.providers.addresses import endpoint_url
from router.providers.provider import Provider
from router.providers.traits import preferred_format, traits_for
from router.routing.facts import CountNeeded, RequestFacts
from router.routing.rules import RouteDecision, Target, decide
from router.server import replies
from router.server.accounts import Account
from router.server.admission import Admitted
from router.server.annotate import Job
from router.server.authorise import Authorised, authorise
from router.server.bodies import read_body
from router.server.endpoints import Endpoint
from router.server.pricing import is_subscription_login
from router.server.relay import StreamRelay
from router.server.services import DRAINING, Services, new_request_id, now_ms
from router.server.tenant import Tenant
from router.server.ways import Going, PassThrough, Translated, Way
from router.upstream.client import Call, UpstreamReply
from router.wire.body import Body
from router.wire.codec import Codec
from router.wire.formats import CODECS
from router.wire.loss import listed
from router.wire.request import Api, RequestView

REPLY_CAP = 64 * 2**20  # bytes of a whole reply
ERROR_CAP = 2**20
LARGE_BODY = 2**18  # bytes of a request; to translate a longer one would hold everybody else up for milliseconds
FLUSH_S = 2.0  # for the last bytes of a stream that was broken off

# What a client sees when a provider failed. 403 for a refused key of ours: agents stop at once and show the text, while
# a 401 makes them ask for a new login and a 5xx makes them try for minutes.
_STATUS_OF_CLASS: dict[str, int] = {classes.AUTH: 403, classes.TIMEOUT: 504, classes.OVERLOADED: 503}
_BAD_GATEWAY = 502


@dataclass(frozen=True, slots=True)
class Chosen:
    """Where the request goes: the decision, its first candidate, and the provider of that."""

    decision: RouteDecision
    target: Target
    provider: Provider

    @property
    def model(self) -> str:
        """The model asked for at the provider."""
        return self.target.model or ""


class Exchange:
    """One request to a profile. ``await run()`` gives the reply; whatever happens, exactly one row is settled."""

    kind: Kind = "generate"
    translated: type[Translated] = Translated

    def __init__(
        self, services: Services, tenant: Tenant, endpoint: Endpoint, admitted: Admitted, request: web.BaseRequest
    ) -> None:
        self.id = new_request_id()
        self.time_ms = now_ms()
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
        self.chosen: Chosen | None = None
        self.reply: UpstreamReply | None = None
        self.way: Way | None = None
        self._task = asyncio.current_task()
        self._key = b""  # the router's, of the call under way
        self._cut = False
        self._committed = False  # whether a stream to the client has started

    # --- the walk -------------------------------------------------------------------------------------------------

    async def run(self) -> web.StreamResponse:
        """Serve the request. Raises CancelledError when the client left, and what is a fault of ours."""
        self.services.enter(self)
        try:
            self.view = await self.read()
            self.chosen = await self.decide(self.view)
            return await self.serve(self.view, self.chosen)
        except Refused as error:
            return await self.refuse(error)
        except UpstreamError as error:
            return await self.give_up(error)
        except asyncio.CancelledError:
            if not self._cut or self._committed or self.account.settled:
                raise
            return await self.refuse(Unavailable(DRAINING, retry_after_s=1), outcome="drained")
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

    async def decide(self, view: RequestView) -> Chosen:
        """Facts in, candidates out. A token count too large for the event loop is made in a thread."""
        tenant, routes = self.tenant, self.profile.routes
        facts = self.facts = tenant.facts(view, self.request.headers, self.admitted.key, self.services.summaries)
        script = await tenant.ask_script(facts)
        try:
            decision = decide(routes, facts, script=script, catalog=tenant.catalog)
        except CountNeeded:
            facts.may_count = True
            decision = await asyncio.to_thread(decide, routes, facts, script=script, catalog=tenant.catalog)
        return self.choose(self.following_up(view, decision))

    def choose(self, decision: RouteDecision) -> Chosen:
        """The first candidate is the one that is called."""
        target = decision.candidates[0]
        return Chosen(decision, target, self.profile.providers[target.provider])

    async def serve(self, view: RequestView, chosen: Chosen) -> web.StreamResponse:
        """Call the provider, wait for its answer or the first content of it, and pass that on."""
        patience_s = self.patience_s(view, chosen.provider)
        if len(view.body.raw) > LARGE_BODY:
            way = self.way = await asyncio.to_thread(self.way_to, view, chosen)
        else:
            way = self.way = self.way_to(view, chosen)
        streamed = view.stream
        payload = b""
        try:
            async with asyncio.timeout(patience_s):
                reply = self.reply = await self.send(way, view, chosen)
                if not reply.ok:
                    payload = await reply.read(ERROR_CAP)
                    if (other := way.amended(payload, reply.status)) is not None:
                        way, reply, payload = await self.send_again(other, view, chosen)
                estimating = self.estimating(way, view, chosen) if reply.ok else None
                del view
                way.forget()
                self.annotate()  # while the provider works; the body is held no longer than that takes
                if estimating is not None:
                    way.estimated(await estimating)
                relay = None
                if reply.ok and streamed and way.streams(reply):
                    relay = StreamRelay(
                        reply, way.tap(reply), idle_s=self.silence_s(chosen.provider), keep_alive=way.keep_alive
                    )
                    await relay.open()
                elif reply.ok:
                    payload = await reply.read(REPLY_CAP)
        except TimeoutError as error:
            raise UpstreamError(
                f"no answer within {patience_s:g} s", error_class=classes.TIMEOUT, maybe_billed=True
            ) from error
        self.account.mark_first_byte()
        if relay is not None:
            return await self.relay_stream(way, reply, relay)
        if not reply.ok:
            return await self.relay_error(way, reply, payload)
        return await self.relay_whole(way, reply, payload)

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
            rule=chosen.decision.rule,
            traits=self.services.learned.get((traits.owner, api), traits),
            echoed=_text(view, "model") if echo == "requested" else "",
            ask_usage=self.profile.ask_usage and self.kind == "generate",
            allow_losses=self.profile.on_loss == "allow" or self.kind == "count",
            reply_id=self.id,
            created=self.time_ms // 1000,
            query=self.request.raw_path.partition("?")[2],
        )
        if api == self.api:
            return PassThrough(self.codec, going)
        try:
            return self.translated(self.codec, CODECS[api], going)
        except Untranslatable as error:
            raise Untranslatable(f'rule "{chosen.decision.rule.label}": {error}') from error

    def format_to(self, provider: Provider, model: str) -> Api:
        """The wire format to speak with a provider. Raises FormatUnsupported where there is none."""
        api = preferred_format(provider, self.api, model)
        if api is None:
            raise FormatUnsupported(f"{provider.name} speaks no wire format that this router knows")
        return api

    async def send(self, way: Way, view: RequestView, chosen: Chosen) -> UpstreamReply:
        """Record the call, make it, and wait for the head of its reply."""
        authorised = await self.authorise(way, chosen)
        call = self.call(way, view, chosen, authorised.headers)
        self.account.dropped = listed(loss.field for loss in way.losses) or None
        attempt = AttemptRecord(
            self.id,
            self.account.calls + 1,
            "retry" if self.account.calls else "primary",
            chosen.provider.name,
            chosen.model,
            authorised.key_name,
            now_ms(),
            way.api,
        )
        await self.account.begin(self.intent(), attempt, chosen.provider)
        reply = await self.services.upstream.send(call)
        attempt.status = reply.status
        return reply

    async def send_again(self, way: Way, view: RequestView, chosen: Chosen) -> tuple[Way, UpstreamReply, bytes]:
        """Once more, without what the provider said it doesn't take. What was learned is kept for later requests."""
        assert self.reply is not None
        self.account.conclude(classes.BAD_REQUEST)
        self.reply.close()
        self.way = way
        reply = self.reply = await self.send(way, view, chosen)
        payload = b"" if reply.ok else await reply.read(ERROR_CAP)
        if reply.ok and isinstance(way, Translated) and way.traits.replays_sealed:
            self.services.learn(way.traits, way.api)
        return way, reply, payload

    def estimating(self, way: Way, view: RequestView, chosen: Chosen) -> asyncio.Future[int] | None:
        """The input's size in tokens, being counted in a thread, where the reply has to name it before it is known."""
        if not way.wants_estimate:
            return None
        count = self.services.summaries.estimate_for
        return asyncio.ensure_future(asyncio.to_thread(count, view, chosen.provider.family, chosen.model))

    def annotate(self) -> None:
        """Have the facts of this request written down, once, and let go of its body."""
        if self.facts is not None and self.account.intent is not None:
            self.services.annotator.put(
                Job(self.id, self.facts, self.profile.routes, self.profile.token_facts, self.described)
            )
            self.facts = self.view = None

    def close(self) -> None:
        """Whatever happened: end the call, settle what isn't settled, have the facts written down."""
        if self.reply is not None:
            self.reply.close()
        if self.view is not None and self.account.intent is None:
            self.account.open(self.intent())  # the client left before it was decided where to go
        self.account.close(drained=self._cut)
        self.annotate()
        self.services.leave(self)

    def described(self, found: Annotate) -> None:
        """The facts are known: they go to the books, and the conversation's next request may ask where this went."""
        self.account.annotate(found)
        if self.chosen is not None and found.conversation is not None:
            self.tenant.remember(found.conversation, self.chosen.target)

    def cut(self) -> None:
        """The server stops: end this exchange now. A started stream gets an error event, anybody else an error."""
        self._cut = True
        if self._task is not None:
            self._task.cancel()

    # --- the call -------------------------------------------------------------------------------------------------

    async def authorise(self, way: Way, chosen: Chosen) -> Authorised:
        """The credential of the call. Raises NoCredential."""
        try:
            authorised = await authorise(
                chosen.provider,
                way.api,
                self.tenant.credentials,
                client_api=self.api,
                client_headers=self.request.headers,
                router_key_header=self.admitted.header,
            )
        except NoCredential as error:
            raise NoCredential(f'rule "{chosen.decision.rule.label}", {error}') from error
        self._key = authorised.key
        if authorised.passed_through:
            login = authorised.headers.get("authorization", "")
            self.account.subscription_login = is_subscription_login(login)
        return authorised

    def call(self, way: Way, view: RequestView, chosen: Chosen, credential: Mapping[str, str]) -> Call:
        """The call to the provider, as the way there has it."""
        provider = chosen.provider
        query = way.query(self.request.raw_path.partition("?")[2], stream=view.stream)
        url = self.url(way, view, chosen)
        return Call(
            method="POST",
            url=f"{url}?{query}" if query else url,
            headers=way.headers(self.request.headers, credential, (provider.headers, chosen.decision.rule.headers)),
            body=way.body,
            connect_s=provider.timeouts.get("connect", self.profile.timeouts.connect),
            proxy=provider.proxy,
            ca_file=provider.ca_file,
        )

    def patience_s(self, view: RequestView, provider: Provider) -> float:
        """How long to wait for the whole reply, or the first content of a stream."""
        own, timeouts = provider.timeouts, self.profile.timeouts
        if view.stream:
            return own.get("first-event-last", timeouts.first_event_last)
        return own.get("whole", timeouts.whole)

    def silence_s(self, provider: Provider) -> float:
        """How long a stream that has begun may be silent."""
        return provider.timeouts.get("idle", self.profile.timeouts.idle)

    def url(self, way: Way, view: RequestView, chosen: Chosen) -> str:
        """The provider's address for this kind of request."""
        return endpoint_url(chosen.provider, way.api, model=chosen.model, stream=view.stream)

    def following_up(self, view: RequestView, decision: RouteDecision) -> RouteDecision:
        """A reply's id leads back to whoever gave it: a Responses request that continues one goes there."""
        earlier = view.body.get("previous_response_id") if self.api == "openai-responses" else None
        if not isinstance(earlier, str) or decision.rule.kind == "explicit":
            return decision
        return replace(decision, candidates=(self.tenant.continuing(earlier, decision.candidates[0]),))

    # --- replies --------------------------------------------------------------------------------------------------

    async def relay_whole(self, way: Way, reply: UpstreamReply, payload: bytes) -> web.Response:
        """A reply that isn't streamed: settled, then sent."""
        account = self.account
        account.reply, payload = way.whole(payload, reply)
        if account.reply.error is None:
            account.finish("ok", reply.status)
        else:
            account.finish("upstream-error", reply.status, classes.SOFT)
        await account.settle()
        headers = self.headers(way.reply_headers(reply, stream=False))
        if account.attempt is not None and account.attempt.cost_nano_usd is not None:
            headers["x-router-cost-usd"] = f"{account.attempt.cost_nano_usd / 1e9:.9f}"
        return web.Response(status=reply.status, body=payload, headers=headers)

    async def relay_stream(self, way: Way, reply: UpstreamReply, relay: StreamRelay) -> web.StreamResponse:
        """A stream that has shown content: passed on as it comes."""
        account = self.account
        headers = self.headers(way.reply_headers(reply, stream=True))
        out = web.StreamResponse(status=reply.status, headers=headers)
        out.headers["X-Accel-Buffering"] = "no"
        out.headers.update(self.services.hosts.cors(self.request.headers))

        async def settle() -> None:
            account.reply = relay.facts
            account.finish("ok", reply.status)
            await account.settle()

        try:
            self._committed = True
            await out.prepare(self.request)  # the commit: from here on this answer is the client's only one
            await relay.run(out, settle)
        except UpstreamError as error:
            account.reply = relay.facts
            account.finish("partial", reply.status, error.error_class)
            if relay.failed and relay.at_end:
                await account.settle()  # the provider told of its failure and then ended its reply: so do we
            else:
                await self.break_off(out, None if relay.failed else way.error_event(reply, *self.told(error)))
        except asyncio.CancelledError:
            account.reply = relay.facts
            if not self._cut or account.settled:
                raise
            account.finish("drained", reply.status)
            await self.break_off(out, way.error_event(reply, Unavailable.code, DRAINING))
        except ConnectionError:
            account.reply = relay.facts  # the client left while we wrote; `close` settles that
        return out

    async def break_off(self, out: web.StreamResponse, event: bytes | None) -> None:
        """End a started stream honestly: the format's own error event, then the connection closed without an end."""
        await self.account.settle()
        if event:
            try:
                async with asyncio.timeout(1.0):
                    await out.write(event)
            except (TimeoutError, ConnectionError):
                pass  # the client reads no more; closing says the same
        out.force_close()
        transport = self.request.transport
        if transport is not None:
            transport.close()  # flushes first; the missing last chunk shows that this was no regular end
            asyncio.get_running_loop().call_later(FLUSH_S, transport.abort)  # unless the client reads no more

    async def relay_error(self, way: Way, reply: UpstreamReply, payload: bytes) -> web.Response:
        """An error status of the provider: passed on as it is, except where it concerns our key, not the client's."""
        error_class = classes.classify_status(
            reply.status,
            message=way.codec.read_reply(payload).error or payload[:2000].decode("utf-8", "replace"),
            retry_after_s=_seconds(reply.headers.get("Retry-After")),
            passed_through=self.account.attempt is not None and self.account.attempt.key_name == "passthrough",
        )
        if reply.status < 400:
            raise UpstreamError(f"an unexpected status, {reply.status}", error_class=classes.SERVER)
        if error_class == classes.AUTH:
            raise UpstreamError(f"the router's key was refused (status {reply.status})", error_class=error_class)
        status, body = way.error(self.discreet(payload), reply, error_class, self.id)
        ours = status < 500 and error_class not in (classes.RATE, classes.QUOTA, classes.RAMP_UP)
        self.account.finish("client-error" if ours else "upstream-error", status, error_class)
        await self.account.settle()
        return web.Response(status=status, body=body, headers=self.headers(way.reply_headers(reply, stream=False)))

    async def give_up(self, error: UpstreamError) -> web.Response:
        """No answer from the provider: an error reply in the client's format that says who failed and how."""
        overloaded = error.error_class == classes.BROKEN_START and "overload" in str(error).lower()
        status = _STATUS_OF_CLASS.get(classes.OVERLOADED if overloaded else error.error_class, _BAD_GATEWAY)
        if self.account.attempt is not None:
            self.account.attempt.maybe_billed = error.maybe_billed
        self.account.finish("upstream-error", status, error.error_class)
        await self.account.settle()
        return replies.error_reply(
            status, *self.told(error), self.api, request_id=self.id, headers=self.headers(),
            should_retry=error.error_class != classes.AUTH,
        )  # fmt: skip

    async def refuse(self, error: Refused, outcome: Outcome = "refused") -> web.Response:
        """An error of ours or the client's, found before a provider was called. What was no request has no row."""
        if self.view is None and self.account.intent is None:
            self.services.refused_early += 1
        else:
            if self.account.intent is None:
                self.account.open(self.intent())
            self.account.finish(outcome, error.status, error.code)
            await self.account.settle()
        reply = replies.refusal(error, self.api, request_id=self.id, profile=self.profile.name, headers=self.headers())
        if not self.request.content.is_eof():
            reply.force_close()  # the rest of the body is not wanted
        return reply

    # --- small parts ----------------------------------------------------------------------------------------------

    def intent(self) -> Intent:
        """The request's row, as far as it is known now."""
        view, facts, chosen, key = self.view, self.facts, self.chosen, self.admitted.key
        return Intent(
            id=self.id,
            kind=self.kind,
            time_ms=self.time_ms,
            profile=self.profile.name,
            rule=chosen.decision.rule.label if chosen else "(none)",
            rule_hash=chosen.decision.rule.hash if chosen else "",
            file_hash=self.profile.file_hash,
            client=facts.client if facts else "other",
            key=key.name if key else None,
            tags=" ".join(sorted(facts.tags)) or None if facts else None,
            conversation=None,  # the annotator finds it out
            api=self.api,
            requested_model=_text(view, "model"),
            provider=chosen.provider.name if chosen else None,
            model=chosen.model if chosen else None,
            stream=bool(_text(view, "stream")),
            reason=chosen.decision.reason if chosen else "",
        )

    def told(self, error: UpstreamError) -> tuple[str, str]:
        """A failure's code and text for the client: profile, rule and target, then what happened."""
        rule = self.chosen.decision.rule.label if self.chosen else "(none)"
        target = self.chosen.target if self.chosen else "(none)"
        happened = self.discreet(str(error).encode()).decode()
        return error.error_class, f"profile {self.profile.name}, rule {rule}, target {target}: {happened}"

    def discreet(self, text: bytes) -> bytes:
        """A provider's error without our key in it: careless servers repeat what they refuse."""
        return text.replace(self._key, b"(key)") if self._key else text

    def headers(self, passing: CIMultiDict[str] | None = None) -> CIMultiDict[str]:
        """The provider's headers that may pass, and what the router has to say."""
        headers = passing if passing is not None else CIMultiDict[str]()
        chosen, way = self.chosen, self.way
        dropped = [loss.field for loss in way.losses] if way is not None else []
        if chosen is not None and chosen.decision.rule.set:
            dropped += (way.codec if way is not None else self.codec).unplaced(chosen.decision.rule.set)
        headers.extend(
            replies.router_headers(
                request_id=self.id,
                profile=self.profile.name,
                rule=chosen.decision.rule.label if chosen else "(none)",
                provider=chosen.provider.name if chosen else "",
                model=chosen.model if chosen else "",
                attempts=self.account.calls,
                reason=chosen.decision.reason if chosen else "",
                dropped=dropped,
            )
        )
        return headers


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text) if text is not None else None
    except ValueError:
        return None
    return seconds if seconds is not None and 0 <= seconds < 1e9 else None


def _text(view: RequestView | None, field: str) -> str:
    """A field of a request that may be wrong there: the row of a refused request has it if it can be read."""
    try:
        return str(getattr(view, field) or "") if view is not None else ""
    except BadRequest:
        return ""
