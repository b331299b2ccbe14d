"""From one wire format to another, by way of the neutral conversation and its events.

``Translation`` is one exchange between a client of one format and a target of another: the request is parsed and
rendered once, the reply decoded and encoded, whole or streamed. Which formats these are matters to nobody here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from router.errors import BadRequest, Untranslatable
from router.wire.amend import without_sealed
from router.wire.codec import Codec, ReplyFacts
from router.wire.conversation import SETTING_NAMES
from router.wire.encoding import Asked, ReplyEncoder
from router.wire.events import (
    KeepAlive,
    MessageEnd,
    MessageStart,
    Opaque,
    StreamEvent,
    StreamFailed,
    UsageReport,
)
from router.wire.loss import Loss, Losses, listed
from router.wire.request import RequestView
from router.wire.traits import Traits

_NO_CONTENT = (MessageStart, UsageReport, KeepAlive, Opaque)

MAX_WHOLE: Final = 64 << 20
"""Bytes of a reply that isn't streamed although it should be."""


class Translation:
    """One request on its way to a target of another format, and its reply on the way back."""

    def __init__(self, view: RequestView, source: Codec, target: Codec, traits: Traits, *, allow_losses: bool) -> None:
        """Parse and render. Raises BadRequest for what isn't a request of its format or is nested too deeply, and
        Untranslatable where what is lost must not be, unless ``allow_losses``."""
        self.source = source
        self.target = target
        self.traits = traits
        losses = Losses()
        try:
            conversation = source.parse(view, losses)
            if not traits.replays_sealed:
                conversation = without_sealed(conversation)
            rendered = target.render(conversation, traits, losses)
        except RecursionError:  # a schema's levels are walked one inside the other
            raise BadRequest("the request is nested too deeply to be translated") from None
        self.losses = tuple(_in_words_of(source, loss) for loss in losses.found)
        if losses.refused and not allow_losses:
            raise Untranslatable(_refusal(self.losses, target, traits))
        self.body = rendered.body
        self.headers: Mapping[str, str] = rendered.headers
        self.tools = rendered.tools
        self.include_usage = conversation.include_usage
        self.include_state = conversation.include_state
        self.echo = source.echoed(view.body)

    def asked(
        self, reply_id: str, created: int, *, model: str = "", input_estimate: int | None = None, array: bool = False
    ) -> Asked:
        """What the encoder of the reply must know."""
        return Asked(
            reply_id=reply_id,
            created=created,
            model=model,
            input_estimate=input_estimate,
            include_usage=self.include_usage,
            include_state=self.include_state,
            echo=self.echo,
            array=array,
        )

    def stream(self, asked: Asked, *, media_type: str = "text/event-stream") -> TranslatedStream:
        """A tap for a streamed reply."""
        return TranslatedStream(self, self.source.encoder(asked), media_type)

    def whole(self, payload: bytes, asked: Asked, *, media_type: str) -> bytes | StreamFailed:
        """A whole reply in the client's format; the failure, where the payload is an error or no reply at all.

        A provider that streams although nobody asked is read to its end.
        """
        events = self.events(payload, media_type=media_type)
        last = events[-1] if events else StreamFailed("server", "the provider's reply is not what its format says")
        if isinstance(last, StreamFailed):
            return last
        if not isinstance(last, MessageEnd):
            return StreamFailed("server", "the provider's reply has no end")
        return self.source.encoder(asked).whole(events)

    def events(self, payload: bytes, *, media_type: str) -> list[StreamEvent]:
        """The events of a whole payload."""
        decoder = self.target.decoder(self.traits, self.tools)
        if media_type == "text/event-stream":
            return decoder.feed(payload) + decoder.finish()
        return decoder.whole(payload)


class TranslatedStream:
    """A ``StreamTap`` whose bytes are not the ones that were fed but the same answer in the client's format."""

    def __init__(self, translation: Translation, encoder: ReplyEncoder, media_type: str) -> None:
        self.committed = False
        self.ended = False
        self.failed = False
        self.encoder = encoder
        target = self._target = translation.target
        # What the ledger records is read by the same code as in a stream that is passed through.
        self._tap = target.tap(media_type=media_type)
        self._decoder = target.decoder(translation.traits, translation.tools)
        self._streams = media_type == "text/event-stream"
        self._payload = bytearray()  # of a provider that doesn't stream although asked to
        self._whole: ReplyFacts | None = None
        self._failure: str | None = None

    @property
    def facts(self) -> ReplyFacts:
        """See ``StreamTap.facts``: the provider's own words."""
        facts = self._whole or self._tap.facts
        if self._failure is not None and facts.error is None:
            return ReplyFacts(facts.usage, facts.usage_raw, facts.model, facts.response_id, None, self._failure)
        return facts

    def feed(self, chunk: bytes) -> tuple[bytes, bytes]:
        """See ``StreamTap.feed``."""
        if not self._streams:
            if self.failed:
                return b"", b""
            self._payload += chunk
            if len(self._payload) <= MAX_WHOLE:
                return b"", b""
            self._payload.clear()
            return self._write([StreamFailed("server", "the provider's reply is too large")])
        self._tap.feed(chunk)
        return self._write(self._decoder.feed(chunk))

    def finish(self) -> bytes:
        """See ``StreamTap.finish``."""
        if self._streams:
            self._tap.finish()
            events = self._decoder.finish()
        elif self.failed:
            return b""
        else:
            payload, self._payload = bytes(self._payload), bytearray()
            self._whole = self._target.read_reply(payload)
            events = self._decoder.whole(payload)
        now, final = self._write(events)
        return now + final

    def _write(self, events: Iterable[StreamEvent]) -> tuple[bytes, bytes]:
        now: list[bytes] = []
        encode = self.encoder.encode
        for event in events:
            if self.ended or self.failed:
                break
            if isinstance(event, MessageEnd):
                self.committed = self.ended = True
                return b"".join(now), encode(event)
            if isinstance(event, StreamFailed):
                self.failed = True
                self._failure = event.message
            elif not self.committed and not isinstance(event, _NO_CONTENT):
                self.committed = True
            now.append(encode(event))
        return b"".join(now), b""


def _in_words_of(source: Codec, loss: Loss) -> Loss:
    name = source.field_names.get(loss.field) or SETTING_NAMES.get(loss.field, loss.field)
    return Loss(name, loss.why, loss.refused)


def _refusal(losses: Iterable[Loss], target: Codec, traits: Traits) -> str:
    told = listed((str(loss) for loss in losses if loss.refused), "; ")
    return (
        f"this request can't be translated to {target.api} for {traits.owner}: {told} "
        '([routing] on-loss = "allow" sends it without)'
    )
