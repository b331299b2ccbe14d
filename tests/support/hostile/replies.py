"""What must hold whatever a provider answers: the reply is told in every format, or its failure is.

The check raises AssertionError, or the error that the code under test must not raise.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from functools import cache
from typing import Final

import msgspec

from router.wire.amend import amended
from router.wire.codec import Codec
from router.wire.decoding import ReplyDecoder
from router.wire.echo import EchoTap, renamed
from router.wire.encoding import Asked
from router.wire.error_words import too_long
from router.wire.events import MessageEnd, StreamEvent, StreamFailed
from router.wire.formats import CODECS
from router.wire.other_tap import OtherTap
from router.wire.request import Api
from router.wire.translate import Translation
from tests.support.event_grammar import check_events
from tests.support.hostile.everything import REQUESTS
from tests.support.hostile.told import check_told, finished_in, strict_json_of
from tests.support.mutating import pieces_of
from tests.support.translating import APIS, TARGETS, Asking, G

EVENTS: Final = "text/event-stream"


@cache
def exchanges(target_api: Api) -> tuple[Translation, ...]:
    """Two translations of a request with everything from each format to targets of this one. Clients of Chat read calls
    of the old kind in one of them."""
    flags = [target.traits for target in TARGETS.values() if target.api == target_api]
    flags.append(msgspec.structs.replace(flags[-1], reasoning_out=frozenset({"think-tags"}), custom_tools=True))
    return tuple(
        Translation(_asking(api, without).view(), CODECS[api], CODECS[target_api], traits, allow_losses=True)
        for at, api in enumerate(APIS)
        for traits, without in ((flags[at % len(flags)], ("functions",)), (flags[-1 - at % len(flags)], ("reasoning",)))
    )


def _asking(api: Api, without: Iterable[str]) -> Asking:
    body = {name: value for name, value in REQUESTS[api].items() if name not in without}
    return Asking("", api, body, "m")


def check_reply(api: Api, payload: bytes, chance: random.Random, *, media_type: str = EVENTS) -> None:
    """A provider's reply is told in every format, or its failure is; only one that ended is told as finished."""
    target = CODECS[api]
    _check_facts(target, payload, chance, media_type)
    for translation in exchanges(api):
        if chance.random() < 0.3:
            _check_told(translation, payload, chance, media_type)
    if media_type == EVENTS and not finished_in(api, payload):
        ends = [
            event for event in _decoded(target.decoder(), payload, media_type, chance) if isinstance(event, MessageEnd)
        ]
        assert not ends, "an answer that never ended looks whole"
    events = _decoded(target.decoder(), payload, media_type, chance)
    if events and isinstance(events[-1], MessageEnd):
        assert isinstance(strict_json_of(target.encoder(Asked("1", 0)).whole(events)), dict)


def _check_facts(target: Codec, payload: bytes, chance: random.Random, media_type: str) -> None:
    """What is only read on the side: nothing is raised, and every byte passes."""
    facts = target.read_reply(payload)
    for text in (facts.error, facts.model, facts.stop_reason, facts.response_id, facts.usage_raw):
        assert text is None or msgspec.json.encode(text)
    count = target.read_count(payload)
    if count is not None:
        assert count >= 0
        for codec in CODECS.values():
            assert isinstance(strict_json_of(codec.count_reply(count)), dict)
    renamed(payload, "m", target.model_paths)
    message = facts.error or payload[:2000].decode(errors="replace")
    amended(exchanges(target.api)[0].traits, message)
    for codec in CODECS.values():
        assert isinstance(strict_json_of(codec.error_body(400, "context-length", too_long(message), "1")), dict)
    tap, echo = target.tap(media_type=media_type), EchoTap(target.tap(media_type=media_type), "m", target.model_paths)
    other = OtherTap()
    passed = passed_there = b""
    for chunk in pieces_of(chance, payload):
        passed += b"".join(tap.feed(chunk))
        passed_there += b"".join(other.feed(chunk))
        echo.feed(chunk)
    passed += tap.finish()
    passed_there += other.finish()
    echo.finish()
    assert passed == passed_there == payload
    assert tap.facts == echo.facts


def _decoded(decoder: ReplyDecoder, payload: bytes, media_type: str, chance: random.Random) -> list[StreamEvent]:
    if media_type != EVENTS:
        events = decoder.whole(payload)
    else:
        events = [event for chunk in pieces_of(chance, payload) for event in decoder.feed(chunk)] + decoder.finish()
    over = bool(events) and isinstance(events[-1], MessageEnd | StreamFailed)
    check_events(events, ended=over)
    return events


def _check_told(translation: Translation, payload: bytes, chance: random.Random, media_type: str) -> None:
    client = translation.source
    array = client.api == G and chance.random() < 0.3
    asked = translation.asked(
        "1", 2, model=chance.choice(("", "m")), input_estimate=chance.choice((None, 5)), array=array
    )
    events = _decoded(translation.target.decoder(translation.traits, translation.tools), payload, media_type, chance)
    whole = translation.whole(payload, asked, media_type=media_type)
    if isinstance(whole, bytes):
        assert isinstance(strict_json_of(whole), dict)
        assert isinstance(events[-1], MessageEnd)
    else:
        for codec in CODECS.values():
            assert strict_json_of(codec.error_body(502, whole.code, whole.message, "1"))
    tap = translation.stream(asked, media_type=media_type)
    chunks = pieces_of(chance, payload)
    told, last = b"", b""
    for chunk in chunks:
        now, final = tap.feed(chunk)
        assert not (last and now), "told behind the end"
        told, last = told + now, last + final
    told += last + tap.finish()
    assert tap.ended == isinstance(whole, bytes)
    assert not (tap.ended and tap.failed)
    assert tap.failed == (bool(events) and isinstance(events[-1], StreamFailed))
    if tap.ended:
        assert tap.committed
    check_told(client.api, told, ended=tap.ended, failed=tap.failed, array=array)
    assert tap.facts.error is None or msgspec.json.encode(tap.facts.error)
    if tap.ended and not array:
        own = client.decoder()
        again = own.feed(told) + own.finish()
        assert isinstance(again[-1], MessageEnd)
