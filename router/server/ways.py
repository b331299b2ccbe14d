"""How one request reaches its target, and how the answer gets back: passed through as it is, or translated.

An exchange asks its ``Way`` for everything that depends on whether client and provider speak the same wire format, and
knows nothing of it otherwise.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import msgspec
from multidict import CIMultiDict, CIMultiDictProxy

from router.errors import UpstreamError
from router.health import classes
from router.providers.provider import Provider
from router.routing.rules import Rule
from router.upstream.client import UpstreamReply
from router.upstream.headers import (
    reply_headers,
    request_headers,
    translated_reply_headers,
    translated_request_headers,
)
from router.wire.amend import amended
from router.wire.body import Body
from router.wire.codec import Codec, ReplyFacts, StreamTap
from router.wire.echo import EchoTap, renamed
from router.wire.error_words import too_long
from router.wire.events import StreamFailed
from router.wire.loss import Loss
from router.wire.request import Api, RequestView
from router.wire.traits import Traits
from router.wire.translate import Translation

EVENTS = "text/event-stream"
ANTHROPIC_VERSION = "2023-06-01"


@dataclass(frozen=True, slots=True)
class Going:
    """What a way has to know: the request, its target, and what the rule and the profile say about both."""

    view: RequestView
    provider: Provider
    model: str
    rule: Rule
    traits: Traits
    echoed: str = ""  # the model to name in the reply instead of the one that answered
    ask_usage: bool = True
    allow_losses: bool = False
    reply_id: str = ""
    created: int = 0  # seconds since 1970
    query: str = ""  # of the client's URL
    more: Mapping[str, object] = field(default_factory=dict)  # fields to add to the body, where the client sets none


class Way(ABC):
    """One request's way to its target and back."""

    codec: Codec  # of the format spoken with the provider
    body: bytes
    losses: tuple[Loss, ...] = ()
    keep_alive: bytes = b""  # what may be sent while the provider is silent
    wants_estimate = False  # whether the reply can use an estimate of the input

    @property
    def api(self) -> Api:
        """The format spoken with the provider."""
        return self.codec.api

    @abstractmethod
    def headers(
        self, incoming: CIMultiDictProxy[str], credential: Mapping[str, str], declared: Iterable[Mapping[str, str]]
    ) -> CIMultiDict[str]:
        """The headers of the call."""

    @abstractmethod
    def query(self, query: str, *, stream: bool) -> str:
        """The query of the call, from the client's."""

    @abstractmethod
    def streams(self, reply: UpstreamReply) -> bool:
        """Whether a reply to a client that wants a stream is passed on as it comes."""

    @abstractmethod
    def tap(self, reply: UpstreamReply) -> StreamTap:
        """What stands between a streamed reply and the client."""

    @abstractmethod
    def whole(self, payload: bytes, reply: UpstreamReply) -> tuple[ReplyFacts, bytes | None]:
        """A whole reply: what it says, and its bytes for the client; ``None`` for an error that has no place in an
        answer of the client's format. Raises UpstreamError for what can't be read."""

    @abstractmethod
    def error(self, payload: bytes, reply: UpstreamReply, error_class: str, request_id: str) -> tuple[int, bytes]:
        """An error of the provider for the client: status and body."""

    @abstractmethod
    def error_event(self, reply: UpstreamReply, code: str, message: str) -> bytes:
        """An error inside a stream that has started; empty where the client gets no events."""

    @abstractmethod
    def reply_headers(self, reply: UpstreamReply, *, stream: bool) -> CIMultiDict[str]:
        """The headers of the provider's reply that the client may see, with the content type of what it gets."""

    def amended(self, payload: bytes, status: int) -> Way | None:
        """Another way to the same target after it has refused this one, where we and not the client were at fault."""
        return None

    def estimated(self, tokens: int) -> None:  # noqa: B027 - only some replies can use it
        """The size of the input, as far as it can be known before the provider says."""

    def forget(self) -> None:
        """The provider has the request: let go of what was needed for that. Replies may take long."""
        self.body = b""


class PassThrough(Way):
    """Client and provider speak the same format: the client's bytes with the ``model`` value, declared overrides and
    the request for usage spliced in; the provider's bytes as they are."""

    def __init__(self, codec: Codec, going: Going) -> None:
        self.codec = codec
        self._echoed = going.echoed
        view, rule, provider = going.view, going.rule, going.provider
        # Whether a stream's usage is asked for in the client's place, and the event that carries it withheld.
        self._hide_usage = (
            view.stream and going.ask_usage and provider.stream_usage == "asks" and not codec.asks_usage(view.body)
        )
        # What is dropped is gone before anything is set, so that a rule can put a field of its own in its place.
        body = Body.parse(view.body.with_fields({}, rule.drop)) if rule.drop else view.body
        fields = codec.without_foreign(body, going.traits)
        fields.update({name: msgspec.json.encode(value) for name, value in going.more.items() if name not in body})
        if rule.set:
            fields.update(codec.overrides(body, rule.set, provider.quirks))
        if self._hide_usage:
            fields.update(codec.with_usage_asked(body))
        if "model" in body and going.model != view.model:
            fields["model"] = msgspec.json.encode(going.model)
        self.body = body.with_fields(fields) if fields else body.raw

    def headers(
        self, incoming: CIMultiDictProxy[str], credential: Mapping[str, str], declared: Iterable[Mapping[str, str]]
    ) -> CIMultiDict[str]:
        headers = request_headers(incoming, credential=credential, extra=declared)
        if self.api == "anthropic-messages":
            headers.setdefault("anthropic-version", ANTHROPIC_VERSION)
        return headers

    def query(self, query: str, *, stream: bool) -> str:
        return client_query(query)

    def streams(self, reply: UpstreamReply) -> bool:
        """Events, or Gemini's array in pieces."""
        return reply.media_type == EVENTS or (self.api == "gemini" and reply.media_type == "application/json")

    def tap(self, reply: UpstreamReply) -> StreamTap:
        tap = self.codec.tap(hide_usage=self._hide_usage, media_type=reply.media_type)
        echoes = self._echoed and reply.media_type == EVENTS
        return EchoTap(tap, self._echoed, self.codec.model_paths) if echoes else tap

    def whole(self, payload: bytes, reply: UpstreamReply) -> tuple[ReplyFacts, bytes]:
        facts = self.codec.read_reply(payload)
        return facts, renamed(payload, self._echoed, self.codec.model_paths) if self._echoed else payload

    def error(self, payload: bytes, reply: UpstreamReply, error_class: str, request_id: str) -> tuple[int, bytes]:
        return reply.status, payload

    def error_event(self, reply: UpstreamReply, code: str, message: str) -> bytes:
        return self.codec.error_event(code, message) if reply.media_type == EVENTS else b""

    def reply_headers(self, reply: UpstreamReply, *, stream: bool) -> CIMultiDict[str]:
        return reply_headers(reply.headers)


class Translated(Way):
    """Client and provider speak different formats."""

    def __init__(self, source: Codec, target: Codec, going: Going) -> None:
        """Raises Untranslatable, and BadRequest where the body isn't what its format says."""
        self.codec = target
        self.keep_alive = source.keep_alive
        self._source = source
        self._going: Going | None = going
        view, rule = going.view, going.rule
        if rule.drop:  # before anything is translated, and again in the provider's own words
            view = source.view(
                Body.parse(view.body.with_fields({}, rule.drop)), url_model=view.model, url_stream=view.stream
            )
        self._translation = Translation(view, source, target, going.traits, allow_losses=going.allow_losses)
        self.losses = self._translation.losses
        rendered = Body.parse(self._translation.body)
        fields = {name: msgspec.json.encode(value) for name, value in going.more.items() if name not in rendered}
        if rule.set:
            fields.update(target.overrides(rendered, rule.set, going.provider.quirks))
        self.body = rendered.with_fields(fields, [name for name in rule.drop if name not in fields])
        array = bool(source.events_query) and source.events_query not in going.query.split("&")
        self.asked = self._translation.asked(going.reply_id, going.created, model=going.echoed, array=array)
        self.wants_estimate = view.stream and source.estimates_input

    def headers(
        self, incoming: CIMultiDictProxy[str], credential: Mapping[str, str], declared: Iterable[Mapping[str, str]]
    ) -> CIMultiDict[str]:
        headers = translated_request_headers(
            incoming, credential=credential, extra=(self._translation.headers, *declared)
        )
        if self.api == "anthropic-messages":
            headers.setdefault("anthropic-version", ANTHROPIC_VERSION)
        return headers

    def query(self, query: str, *, stream: bool) -> str:
        """Nothing of the client's, which is in its own format's words."""
        return self.codec.events_query if stream else ""

    def streams(self, reply: UpstreamReply) -> bool:
        """Whatever comes: a provider that doesn't stream is made to look as if it did."""
        return True

    def tap(self, reply: UpstreamReply) -> StreamTap:
        self._readable(reply)
        return self._translation.stream(self.asked, media_type=reply.media_type)

    def whole(self, payload: bytes, reply: UpstreamReply) -> tuple[ReplyFacts, bytes | None]:
        self._readable(reply)
        if reply.media_type == EVENTS:  # nobody asked for a stream
            tap = self.codec.tap(media_type=EVENTS)
            tap.feed(payload)
            tap.finish()
            facts = tap.facts
        else:
            facts = self.codec.read_reply(payload)
        told = self._translation.whole(payload, self.asked, media_type=reply.media_type)
        if isinstance(told, StreamFailed):
            return replace(facts, error=facts.error or told.message), None
        return facts, told

    def error(self, payload: bytes, reply: UpstreamReply, error_class: str, request_id: str) -> tuple[int, bytes]:
        message = self._message(payload)
        if error_class == classes.CONTEXT_LENGTH:
            return 400, self._source.error_body(400, error_class, too_long(message), request_id)
        status = self._source.status_for(reply.status)
        return status, self._source.error_body(status, error_class, message, request_id)

    def error_event(self, reply: UpstreamReply, code: str, message: str) -> bytes:
        return b"" if self.asked.array else self._source.error_event(code, message)

    def reply_headers(self, reply: UpstreamReply, *, stream: bool) -> CIMultiDict[str]:
        headers = translated_reply_headers(reply.headers)
        headers["Content-Type"] = EVENTS if stream and not self.asked.array else "application/json"
        return headers

    def amended(self, payload: bytes, status: int) -> Way | None:
        traits = amended(self.traits, self._message(payload)) if status in (400, 422) else None
        if traits is None or self._going is None:
            return None
        return type(self)(self._source, self.codec, replace(self._going, traits=traits))

    def estimated(self, tokens: int) -> None:
        self.asked.input_estimate = tokens

    def forget(self) -> None:
        super().forget()
        self._going = None
        self._translation.body = b""

    @property
    def traits(self) -> Traits:
        """The flags by which the request was written."""
        return self._translation.traits

    def _message(self, payload: bytes) -> str:
        return self.codec.read_reply(payload).error or payload[:2000].decode("utf-8", "replace")

    def _readable(self, reply: UpstreamReply) -> None:
        coding = reply.headers.get("Content-Encoding", "identity")
        if coding.lower() != "identity":
            raise UpstreamError(
                f"the reply is compressed ({coding[:20]}) although nobody asked for that",
                error_class=classes.SERVER,
                maybe_billed=True,
            )


class TranslatedCount(Translated):
    """A request to count tokens, asked in another format."""

    def __init__(self, source: Codec, target: Codec, going: Going) -> None:
        super().__init__(source, target, going)
        self.body = target.count_request(self.body)

    def streams(self, reply: UpstreamReply) -> bool:
        return False

    def whole(self, payload: bytes, reply: UpstreamReply) -> tuple[ReplyFacts, bytes]:
        tokens = self.codec.read_count(payload)
        if tokens is None:
            raise UpstreamError("the answer holds no count of tokens", error_class=classes.SOFT)
        return ReplyFacts(), self._source.count_reply(tokens)


def client_query(query: str) -> str:
    """A client's query without ``key=``, where Gemini clients may put a credential."""
    return "&".join(part for part in query.split("&") if part and not part.startswith("key="))
