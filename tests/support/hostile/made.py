"""Hostile requests and replies, made of all real ones and of those with everything in them; each has a number."""

from __future__ import annotations

import json
import random
from functools import cache
from typing import Any, Final, NamedTuple

from router.wire.request import Api
from tests.support.hostile.everything import REQUESTS, reply_with_everything, stream_with_everything
from tests.support.hostile.replies import EVENTS
from tests.support.hostile.requests import Sent
from tests.support.mutating import Stuff, broken_bytes, events_of, short, shuffled_events, small, stuff_of, wrong_values
from tests.support.recorded import cases
from tests.support.translating import Asking, agents_requests, recorded_requests

JSON: Final = "application/json"
_SHARE: Final = 3  # of so many beginnings one has everything in it


class Reply(NamedTuple):
    """A provider's reply as it arrives."""

    payload: bytes
    media_type: str


@cache
def askings(api: Api) -> tuple[Asking, ...]:
    """Requests to begin with: those recorded and those of agents, made small, and again and again the one with
    everything."""
    found = [asking for asking in (*recorded_requests(), *agents_requests()) if asking.api == api]
    askings = [Asking(one.id, api, small(one.body), one.url_model, one.url_stream) for one in found]
    everything = Asking("everything", api, REQUESTS[api], "m")
    return (*askings, *[everything] * (len(askings) // _SHARE))


@cache
def replies(api: Api) -> tuple[Reply, ...]:
    """Replies to begin with, likewise."""
    found = [
        Reply(short(case.reply), EVENTS) if case.streamed else Reply(case.reply, case.content_type.partition(";")[0])
        for case in cases()
        if case.api == api
    ]
    everything = [Reply(reply_with_everything(api), JSON), Reply(stream_with_everything(api), EVENTS)]
    return (*found, *everything * (len(found) // 2 // _SHARE + 1))


@cache
def request_stuff(api: Api) -> Stuff:
    """What stands in requests of the format."""
    return stuff_of(asking.body for asking in askings(api))


@cache
def reply_stuff(api: Api) -> tuple[Stuff, tuple[bytes, ...]]:
    """What stands in replies of the format, and the events of its streams."""
    payloads: list[Any] = []
    events: list[bytes] = []
    for reply in replies(api):
        parts = events_of(reply.payload) if reply.media_type == EVENTS else [reply.payload]
        events += parts if reply.media_type == EVENTS else []
        for part in parts:
            value = _value(part.rpartition(b"data:")[2] if reply.media_type == EVENTS else part)
            payloads += [] if value is None else [value]
    return stuff_of(payloads), tuple(events)


def hostile_request(api: Api, number: int) -> tuple[Sent, random.Random]:
    """The request, and the chance that made it, for what else is left to it."""
    chance = random.Random(f"request {api} {number}")
    asking = chance.choice(askings(api))
    if chance.random() < 0.12:
        raw = broken_bytes(chance, json.dumps(asking.body, ensure_ascii=False).encode())
    else:
        raw = wrong_values(chance, asking.body, request_stuff(api)).encode("utf-8", "surrogatepass")
    return Sent(api, raw, asking.url_model, asking.url_stream), chance


def hostile_reply(api: Api, number: int) -> tuple[Reply, random.Random]:
    """The reply, likewise."""
    chance = random.Random(f"reply {api} {number}")
    payload, media_type = chance.choice(replies(api))
    stuff, events = reply_stuff(api)
    if media_type == EVENTS:
        way = chance.random()
        if way < 0.75:
            payload = shuffled_events(chance, payload, stuff, events)
        if way > 0.6:
            payload = broken_bytes(chance, payload)
    elif (value := _value(payload)) is None or chance.random() < 0.15:
        payload = broken_bytes(chance, payload)
    else:
        payload = wrong_values(chance, small(value), stuff).encode("utf-8", "surrogatepass")
    if chance.random() < 0.03:
        media_type = chance.choice((EVENTS, JSON, "text/html"))
    return Reply(payload, media_type), chance


def _value(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
