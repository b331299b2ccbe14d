"""One client request, start to end. Read this file first: ``Exchange.run`` is the walk, in order.

    arrive      the listener and the URL have named the profile and the wire format (``front.py``)
    admit       key, Host, size: from the head alone (``front.py``)
    read        the body, as raw top-level fields
    decide      facts in, candidates out: the same ``decide`` that `router explain` calls
    record      the request's row is committed before a provider is called
    attempt     the call; an error here can still become an ordinary error reply
    commit      the reply to the client starts: the line nobody crosses twice
    relay       bytes unchanged; a tap reads usage from a copy
    settle      the cost is committed before the end of the answer goes out; ``finally`` settles whatever is left

An exchange is the only thing that changes while a request is served, and it changes only here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from router.errors import BadRequest, NoCredential, Refused, RequestTimeout, Unavailable, UpstreamError
from router.health import classes
from router.ledger.entry import AttemptRecord, Intent, Kind, Outcome, Settlement
from router.ledger.writing import Begin, Settle
from router.providers.addresses import auth_headers, endpoint_url
from router.providers.credentials import CredentialMissing
from router.providers.provider import Provider
from router.routing.candidates import check_format
from router.routing.facts import CountNeeded, RequestFacts
from router.routing.rules import RouteDecision, Target, decide
from router.server import replies
from router.server.admission import Admitted
from router.server.annotate import Job
from router.server.bodies import read_body
from router.server.endpoints import Endpoint
from router.server.pricing import price_attempt
from router.server.relay import StreamRelay
from router.server.services import DRAINING, Services, new_request_id, now_ms
from router.server.tenant import Tenant
from router.upstream.client import Call, UpstreamReply
from router.upstream.headers import passed_through_credential, reply_headers, request_headers
from router.wire.body import Body
from router.wire.codec import Codec, ReplyFacts
from router.wire.formats import CODECS
from router.wire.request import Api, RequestView

log = logging.getLogger("router.server")

SETTLE_WAIT_S = 0.25  # how long the end of an answer waits for its commit before the spill file is used
RECORD_WAIT_S = 2.0  # likewise for the row before the call, where the profile serves without a ledger
REPLY_CAP = 64 * 2**20  # bytes of a whole reply
ERROR_CAP = 2**20


class Exchange:
    """One request to a profile. ``await run()`` gives the reply; whatever happens, exactly one row is settled."""

    def __init__(
        self, services: Services, tenant: Tenant, endpoint: Endpoint, admitted: Admitted, request: web.BaseRequest
    ) -> None:
        assert endpoint.api is not None
        self.id = new_request_id()
        self.time_ms = now_ms()
        self.started = time.monotonic()
        self.services = services
        self.tenant = tenant
        self.profile = tenant.profile  # this version, to the end
        self.endpoint = endpoint
        self.kind: Kind = "count" if endpoint.kind == "count" else "generate"
        self.api: Api = endpoint.api
        self.codec: Codec = CODECS[self.api]
        self.admitted = admitted
        self.request = request
        self.task = asyncio.current_task()
        self.drained = False  # the server cut this exchange short

        self.body: Body
        self.view: RequestView
        self.facts: RequestFacts | None = None
        self.decision: RouteDecision | None = None
        self.target: Target | None = None
        self.provider: Provider | None = None
        self.passed_through = False

        self.intent: Intent | None = None
        self.attempt: AttemptRecord | None = None
        self.attempt_started = 0.0
        self.reply_facts = ReplyFacts()
        self.first_byte_ms: float | None = None
        self.settled = False
        self.outcome: Outcome = "client-gone"  # until something better is known
        self.status: int | None = None
        self.error_class: str | None = None

    # --- the walk -------------------------------------------------------------------------------------------------

    async def run(self) -> web.StreamResponse:
        """Serve the request. Raises only CancelledError (the client left)."""
        self.services.active.add(self)
        try:
            try:
                await self.read()
                await self.decide()
                return await self.serve()
            except Refused as error:
                return await self.refuse(error)
            except UpstreamError as error:
                return await self.give_up(error)
        finally:
            self.close()

    async def read(self) -> None:
        """The body under a cap, then its top-level fields; nothing deeper is parsed."""
        raw = await read_body(self.request, self.services.max_body)
        self.body = Body.parse(raw)
        self.view = self.codec.view(self.body, url_model=self.endpoint.model, url_stream=self.endpoint.stream)

    async def decide(self) -> None:
        """Facts in, candidates out. A token count too large for the event loop is made in a thread."""
        tenant, profile = self.tenant, self.profile
        self.facts = facts = tenant.facts(
            self.view, headers=self.request.headers, key=self.admitted.key, summaries=self.services.summaries
        )
        script = await tenant.ask_script(facts) if profile.script is not None else None
        try:
            self.decision = decide(profile.routes, facts, script=script, catalog=tenant.catalog)
        except CountNeeded:
            facts.may_count = True
            self.decision = await asyncio.to_thread(
                decide, profile.routes, facts, script=script, catalog=tenant.catalog
            )
        self.target = self.decision.candidates[0]
        self.provider = profile.providers[self.target.provider]

    async def serve(self) -> web.StreamResponse:
        """Call the first candidate and pass its reply on."""
        assert self.decision is not None and self.target is not None and self.provider is not None
        if self.kind == "count" and not self.counts_upstream():
            return await self.count_locally()
        check_format(self.decision, self.api, self.profile.providers)
        credential, key_name = await self.credential()
        call = self.call(credential)
        await self.record(key_name)
        self.attempt_started = time.monotonic()
        with await self.services.upstream.send(call) as reply:
            assert self.attempt is not None
            self.attempt.status = reply.status
            if reply.status >= 300:
                return await self.relay_error(reply)
            if self.view.stream and reply.media_type in ("text/event-stream", "application/json"):
                if reply.media_type == "text/event-stream" or self.api == "gemini":
                    return await self.relay_stream(reply, call.timeout_s)
            return await self.relay_whole(reply)

    # --- the call -------------------------------------------------------------------------------------------------

    async def credential(self) -> tuple[Mapping[str, str], str | None]:
        """The headers that authorise the call, and the key's name for the ledger."""
        assert self.provider is not None
        if not self.provider.credentials:
            return {}, None
        missing: list[str] = []
        for spec in self.provider.credentials:
            if spec.kind == "none":
                return {}, None
            if spec.kind == "passthrough":
                own = passed_through_credential(self.request.headers, router_key_header=self.admitted.header)
                if own:
                    self.passed_through = True
                    return own, "passthrough"
                missing.append("the client sent no credential to pass through")
                continue
            try:
                secret = await self.tenant.credentials.resolve(spec)
            except CredentialMissing as error:
                missing.append(str(error))
                continue
            return auth_headers(self.provider, self.api, secret), str(spec)
        raise NoCredential(f"no key for provider {self.provider.name}: {'; '.join(missing)}")

    def call(self, credential: Mapping[str, str]) -> Call:
        """The client's request with the model's name and the declared overrides changed, and nothing else."""
        assert self.provider is not None and self.target is not None and self.decision is not None
        provider, rule, timeouts = self.provider, self.decision.rule, self.profile.timeouts
        model = self.target.model or self.view.model
        headers = request_headers(self.request.headers, credential=credential, extra=(provider.headers, rule.headers))
        if self.api == "anthropic-messages":
            headers.setdefault("anthropic-version", "2023-06-01")
        return Call(
            method="POST",
            url=with_query(self.url(model), self.request.raw_path.partition("?")[2]),
            headers=headers,
            body=self.outgoing_body(model),
            connect_s=provider.timeouts.get("connect", timeouts.connect),
            timeout_s=(
                provider.timeouts.get("first-event-last", timeouts.first_event_last)
                if self.view.stream
                else provider.timeouts.get("whole", timeouts.whole)
            ),
            proxy=provider.proxy,
            ca_file=provider.ca_file,
        )

    def url(self, model: str) -> str:
        """The provider's address for this kind of request."""
        assert self.provider is not None
        return endpoint_url(
            self.provider, self.api, model=model, stream=self.view.stream, operation=_OPERATIONS[self.kind]
        )

    def outgoing_body(self, model: str) -> bytes:
        """The client's bytes with the ``model`` value, declared overrides and the request for usage spliced in."""
        assert self.provider is not None and self.decision is not None
        rule = self.decision.rule
        fields: dict[str, bytes] = {}
        if rule.set:
            fields.update(self.codec.overrides(self.body, rule.set))
        if self.hides_usage():
            fields.update(self.codec.with_usage_asked(self.body))
        if self.api != "gemini" and model != self.view.model:
            fields["model"] = msgspec.json.encode(model)
        if not fields and not rule.drop:
            return self.body.raw
        return self.body.with_fields(fields, rule.drop)

    def hides_usage(self) -> bool:
        """Whether we ask for the stream's usage in the client's place, and so withhold the event that carries it."""
        assert self.provider is not None
        return (
            self.view.stream
            and self.kind == "generate"
            and self.profile.ask_usage
            and self.provider.stream_usage == "asks"
            and not self.codec.asks_usage(self.body)
        )

    # --- replies --------------------------------------------------------------------------------------------------

    async def relay_whole(self, reply: UpstreamReply) -> web.Response:
        """A reply that isn't streamed: read whole, settled, then sent."""
        async with asyncio.timeout(self.profile.timeouts.whole):
            payload = await reply.read(REPLY_CAP)
        self.mark_first_byte()
        self.reply_facts = self.codec.read_reply(payload)
        if self.reply_facts.error is not None:
            self.finish("upstream-error", reply.status, classes.SOFT)
        else:
            self.finish("ok", reply.status)
        await self.settle()
        headers = self.headers(reply)
        if self.attempt is not None and self.attempt.cost_nano_usd is not None:
            headers["x-router-cost-usd"] = f"{self.attempt.cost_nano_usd / 1e9:.9f}"
        return web.Response(status=reply.status, body=payload, headers=headers)

    async def relay_stream(self, reply: UpstreamReply, first_event_s: float) -> web.StreamResponse:
        """A stream: held until its first content, then passed on as it comes."""
        tap = self.codec.tap(hide_usage=self.hides_usage(), media_type=reply.media_type)
        relay = StreamRelay(reply, tap, idle_s=self.profile.timeouts.idle)
        try:
            async with asyncio.timeout(max(0.001, first_event_s - (time.monotonic() - self.attempt_started))):
                await relay.open()
        except TimeoutError as error:
            raise UpstreamError(
                f"no content within {first_event_s:g} s", error_class=classes.TIMEOUT, maybe_billed=True
            ) from error
        finally:
            self.reply_facts = tap.facts
        self.mark_first_byte()

        out = web.StreamResponse(status=reply.status, headers=self.headers(reply))
        out.headers["X-Accel-Buffering"] = "no"
        await out.prepare(self.request)  # the commit: from here on this answer is the client's only one

        async def settle() -> None:
            self.reply_facts = tap.facts
            self.finish("ok", reply.status)
            await self.settle()

        try:
            await relay.run(out, settle)
        except UpstreamError as error:
            self.reply_facts = tap.facts
            self.finish("partial", reply.status, error.error_class)
            await self.break_off(out, None if tap.failed else error)
        except asyncio.CancelledError:
            self.reply_facts = tap.facts
            if not self.drained or self.settled:
                raise
            self.finish("drained", reply.status)
            await self.break_off(out, Unavailable(DRAINING))
        except ConnectionError:  # the client left while we wrote
            self.reply_facts = tap.facts
        return out

    async def break_off(self, out: web.StreamResponse, error: Exception | None) -> None:
        """End a started stream honestly: the format's own error event, then the connection closed without an end."""
        await self.settle()
        if error is not None:
            code = error.error_class if isinstance(error, UpstreamError) else "unavailable"
            try:
                async with asyncio.timeout(1.0):
                    await out.write(self.codec.error_event(code, f"{self.where()}: {error}"))
            except (TimeoutError, ConnectionError):
                pass  # the client reads no more; closing says the same
        out.force_close()
        if self.request.transport is not None:
            self.request.transport.close()  # flushes, and the missing last chunk shows that this was no regular end

    async def relay_error(self, reply: UpstreamReply) -> web.Response:
        """An error status of the provider: passed on as it is, except where it concerns our key, not the client's."""
        payload = await reply.read(ERROR_CAP)
        self.mark_first_byte()
        facts = self.codec.read_reply(payload)
        retry_after_s = _seconds(reply.headers.get("Retry-After"))
        error_class = classes.classify_status(
            reply.status,
            message=facts.error or payload[:2000].decode("utf-8", "replace"),
            retry_after_s=retry_after_s,
            passed_through=self.passed_through,
        )
        if reply.status < 400:
            raise UpstreamError(f"an unexpected redirect (status {reply.status})", error_class=classes.SERVER)
        if error_class == classes.AUTH:
            raise UpstreamError(
                f"the key was refused (status {reply.status})", error_class=error_class, status=reply.status
            )
        self.finish("client-error" if reply.status < 500 and reply.status != 429 else "upstream-error",
                    reply.status, error_class)  # fmt: skip
        await self.settle()
        return web.Response(status=reply.status, body=payload, headers=self.headers(reply))

    async def give_up(self, error: UpstreamError) -> web.Response:
        """No answer from the provider: an error reply in the client's format that says who failed and how."""
        status = _STATUS_OF_CLASS.get(error.error_class, 502)
        if self.attempt is not None:
            self.attempt.maybe_billed = error.maybe_billed
        self.finish("upstream-error", status, error.error_class)
        await self.settle()
        return replies.error_reply(
            status,
            error.error_class,
            f"{self.where()}: {error}",
            self.api,
            request_id=self.id,
            headers=self.headers(),
            should_retry=error.error_class != classes.AUTH,
        )

    async def refuse(self, error: Refused) -> web.Response:
        """An error of ours or the client's, found before a provider was called."""
        self.finish("refused", error.status, error.code)
        headers: Mapping[str, str] = {}
        if hasattr(self, "body"):
            if self.intent is None:
                self.intent = self.make_intent()
                self.services.ledger.put(Begin(self.intent))
            await self.settle()
            headers = self.headers()
        else:
            self.services.refused_early += 1
        reply = replies.refusal(error, self.api, request_id=self.id, headers=headers)
        if isinstance(error, RequestTimeout) or not self.request.content.is_eof():
            reply.force_close()
        return reply

    async def count_locally(self) -> web.Response:
        """Answer a token count from our own estimate, for a provider that has no counter."""
        assert self.facts is not None and self.provider is not None
        self.facts.may_count = True
        tokens = await asyncio.to_thread(self.services.summaries.tokens, self.view)
        self.intent = self.make_intent()
        self.intent.estimated_input = tokens
        self.services.ledger.put(Begin(self.intent))
        self.finish("ok", 200)
        await self.settle()
        return web.Response(body=self.codec.count_reply(tokens), content_type=replies.JSON, headers=self.headers())

    def counts_upstream(self) -> bool:
        """Whether the chosen provider counts tokens in the client's format."""
        assert self.provider is not None
        if self.api not in self.provider.formats:
            return False
        return self.provider.count_tokens if self.api == "anthropic-messages" else self.provider.family in _COUNTERS

    # --- accounts -------------------------------------------------------------------------------------------------

    def make_intent(self) -> Intent:
        decision, target, view = self.decision, self.target, self.view
        return Intent(
            id=self.id,
            kind=self.kind,
            time_ms=self.time_ms,
            profile=self.profile.name,
            rule=decision.rule.label if decision else "(none)",
            rule_hash=decision.rule.hash if decision else "",
            file_hash=self.profile.file_hash,
            client=self.facts.client if self.facts else "other",
            key=self.admitted.key.name if self.admitted.key else None,
            tags=" ".join(sorted(self.facts.tags)) or None if self.facts else None,
            conversation=None,
            api=self.api,
            requested_model=_model_or_empty(view),
            provider=target.provider if target else None,
            model=target.model if target else None,
            stream=view.stream,
            reason=decision.reason if decision else "",
        )

    async def record(self, key_name: str | None) -> None:
        """Commit the request's row and its attempt before the provider is called."""
        assert self.target is not None
        self.intent = self.make_intent()
        self.attempt = AttemptRecord(
            self.id, 1, "primary", self.target.provider, self.target.model or "", key_name, now_ms()
        )
        ledger = self.services.ledger
        refuse = self.profile.ledger_on_error == "refuse"
        begin = Begin(self.intent, self.attempt)
        if ledger.failing is not None and not refuse:
            ledger.put(begin)
            return
        try:
            async with asyncio.timeout(RECORD_WAIT_S):
                await ledger.put(begin)
        except TimeoutError as error:
            if refuse:
                raise Unavailable("the ledger can't be written, and this profile serves nothing unrecorded") from error

    def finish(self, outcome: Outcome, status: int | None, error_class: str | None = None) -> None:
        """Note how it ended; the first note holds, since what comes after the end changes nothing."""
        if not self.settled:
            self.outcome, self.status, self.error_class = outcome, status, error_class

    async def settle(self) -> None:
        """Commit how it ended, before the client sees the end. A slow disk delays that by 250 ms at most."""
        committed = self.settle_now()
        if committed is None:
            return
        try:
            async with asyncio.timeout(SETTLE_WAIT_S):
                await committed[0]
        except TimeoutError:
            self.services.ledger.spill(committed[1])

    def settle_now(self) -> tuple[asyncio.Future[None], Settle] | None:
        """Put the settlement into the ledger's queue; nothing here waits, so nothing can interrupt it."""
        if self.settled or self.intent is None:
            return None
        self.settled = True
        now = time.monotonic()
        attempt, facts = self.attempt, self.reply_facts
        settlement = Settlement(
            self.id,
            self.outcome,
            self.status,
            self.error_class,
            first_byte_ms=self.first_byte_ms,
            duration_ms=(now - self.started) * 1000,
        )
        attempts: tuple[AttemptRecord, ...] = ()
        if attempt is not None and self.provider is not None:
            attempt.error_class = self.error_class
            attempt.duration_ms = (now - self.attempt_started) * 1000 if self.attempt_started else None
            attempt.first_byte_ms = self.first_byte_ms
            attempt.usage, attempt.usage_raw = facts.usage, facts.usage_raw
            attempt.response_id = facts.response_id if self.api == "openai-responses" else None
            attempt.maybe_billed = attempt.maybe_billed or self.outcome in ("client-gone", "partial", "drained")
            if self.kind == "generate":
                price_attempt(
                    attempt,
                    self.profile,
                    self.provider,
                    self.services.prices,
                    served_model=facts.model,
                    credential=self.request.headers.get("Authorization", "") if self.passed_through else "",
                )
            elif self.kind == "count":
                attempt.cost_nano_usd = attempt.list_nano_usd = 0  # counting is free at every provider
            settlement.usage = facts.usage
            settlement.cost_nano_usd, settlement.list_nano_usd = attempt.cost_nano_usd, attempt.list_nano_usd
            settlement.price_source = attempt.price_source
            settlement.attempts = 1
            settlement.provider, settlement.model = attempt.provider, attempt.model
            attempts = (attempt,)
        record = Settle(settlement, attempts)
        future = self.services.ledger.put(record)
        self.tenant.note(self.intent, settlement, response_id=facts.response_id)
        self.services.log.write(self.profile.name, _line(self.intent, settlement))
        return future, record

    def close(self) -> None:
        """Whatever happened: settle what isn't settled, and leave the books for the facts of this request."""
        if self.intent is not None:
            if self.drained and self.outcome == "client-gone":
                self.outcome = "drained"
            self.settle_now()
            if self.facts is not None:
                self.services.annotator.put(
                    Job(
                        self.id,
                        self.facts,
                        self.profile.routes,
                        len(self.body.raw),
                        self.profile.token_facts,
                        self.remember,
                    )
                )
        self.services.active.discard(self)

    def remember(self, conversation: str) -> None:
        """The next request of this conversation may ask where this one went."""
        if self.target is not None:
            self.tenant.remember(conversation, self.target)

    def cut(self) -> None:
        """The server stops: end this exchange now. A started stream gets an error event first."""
        self.drained = True
        if self.task is not None:
            self.task.cancel()

    # --- small parts ----------------------------------------------------------------------------------------------

    def mark_first_byte(self) -> None:
        if self.first_byte_ms is None:
            self.first_byte_ms = (time.monotonic() - self.attempt_started) * 1000

    def where(self) -> str:
        """Who an error is about: profile, rule and target."""
        rule = self.decision.rule.label if self.decision else "(none)"
        return f"profile {self.profile.name}, rule {rule}, target {self.target or '(none)'}"

    def headers(self, reply: UpstreamReply | None = None) -> CIMultiDict[str]:
        """The reply's own headers that may pass, and what the router has to say."""
        headers = reply_headers(reply.headers) if reply is not None else CIMultiDict[str]()
        headers.extend(
            replies.router_headers(
                request_id=self.id,
                profile=self.profile.name,
                rule=self.decision.rule.label if self.decision else "(none)",
                provider=self.target.provider if self.target else "",
                model=(self.target.model or "") if self.target else "",
                attempts=1 if self.attempt is not None else 0,
                reason=self.decision.reason if self.decision else "",
            )
        )
        return headers


# What a client sees when a provider failed. 403 for a refused key of ours: agents stop at once and show the text, while a
# 401 makes them ask for a new login and a 5xx makes them try for minutes.
_STATUS_OF_CLASS: dict[str, int] = {
    classes.AUTH: 403,
    classes.TIMEOUT: 504,
    classes.OVERLOADED: 503,
    classes.CONNECT: 502,
}
_OPERATIONS = {"generate": "generate", "count": "count-tokens"}
_COUNTERS = frozenset({"openai", "google"})


def with_query(url: str, query: str) -> str:
    """The client's query on the provider's URL, without ``key=``, where Gemini clients may put a credential."""
    kept = "&".join(part for part in query.split("&") if part and not part.startswith("key="))
    return f"{url}?{kept}" if kept else url


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text) if text is not None else None
    except ValueError:
        return None
    return seconds if seconds is not None and 0 <= seconds < 1e9 else None


def _model_or_empty(view: RequestView) -> str:
    try:
        return view.model
    except BadRequest:
        return ""


def _line(intent: Intent, s: Settlement) -> str:
    """The request's log line: fixed order, ``-`` for what isn't known."""
    usage = s.usage
    read_in = usage.input if usage else None
    cached = usage.cache_read if usage else None
    written = usage.output if usage else None
    moment = datetime.fromtimestamp(intent.time_ms / 1000, UTC)
    return " ".join(
        (
            f"{moment:%Y-%m-%dT%H:%M:%S}.{intent.time_ms % 1000:03d}Z",
            f"id={intent.id}",
            f"profile={intent.profile}",
            f'rule="{intent.rule}"',
            f'reason="{intent.reason}"',
            f"client={intent.client}",
            f"model={_shown(intent.requested_model)}->{_shown(s.model or intent.model)}",
            f"provider={_shown(s.provider or intent.provider)}",
            f"status={_shown(s.status)}",
            f"outcome={s.outcome}",
            f"error={_shown(s.error_class)}",
            f"in={_shown(read_in)}",
            f"cached={_shown(cached)}",
            f"out={_shown(written)}",
            f"cost={'?' if s.cost_nano_usd is None and s.attempts else f'${(s.cost_nano_usd or 0) / 1e9:.6f}'}",
            f"first={'-' if s.first_byte_ms is None else f'{s.first_byte_ms:.1f}ms'}",
            f"total={s.duration_ms or 0:.1f}ms",
            f"attempts={s.attempts}",
        )
    )


def _shown(value: object) -> object:
    return "-" if value is None or value == "" else value
