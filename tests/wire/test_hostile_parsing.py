"""Whatever clients and providers send, a request is understood or refused in words, a reply is told or its failure is:
no other error comes out, what is sent on is JSON, and only an answer that ended looks finished."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.wire.formats import CODECS
from router.wire.request import Api
from tests.support.hostile.made import JSON, Reply, askings, hostile_reply, hostile_request, replies, request_stuff
from tests.support.hostile.replies import EVENTS, check_reply, exchanges
from tests.support.hostile.requests import Sent, check_request
from tests.support.hostile.told import check_told, finished_in
from tests.support.mutating import events_of
from tests.support.translating import APIS, TARGETS, Target

FEW = [pytest.param(15, id="a few"), pytest.param(700, id="many", marks=pytest.mark.slow)]
CAREFULLY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def some_targets(chance: random.Random) -> list[Target]:
    """One of each format."""
    return [chance.choice([target for target in TARGETS.values() if target.api == api]) for api in APIS]


def surviving(what: object, check: Callable[[], Any]) -> Any:
    """What the check says; if it fails, what it failed at is told."""
    try:
        return check()
    except BaseException as error:
        error.add_note(f"{what!r:.3000}")
        raise


# --- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("count", FEW)
@pytest.mark.sampled(8)
def test_mutated_requests_are_understood_or_refused(api: Api, count: int) -> None:
    understood = 0
    for number in range(count):
        sent, chance = hostile_request(api, number)
        understood += surviving(sent, lambda: check_request(sent, chance, some_targets(chance)))  # noqa: B023
    assert 0 < understood < count


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("step", [pytest.param(6, id="some"), pytest.param(1, id="all", marks=pytest.mark.slow)])
def test_the_same_requests_are_understood_while_nothing_is_wrong_with_them(api: Api, step: int) -> None:
    chance = random.Random(1)
    for asking in [*{asking.id: asking for asking in askings(api)}.values()][::step]:
        sent = Sent(api, json.dumps(asking.body).encode(), asking.url_model, asking.url_stream)
        surviving(asking.id, lambda: check_request(sent, chance, some_targets(chance)))  # noqa: B023
    everything = Sent(api, json.dumps(askings(api)[-1].body).encode(), "m")
    assert check_request(everything, chance, list(TARGETS.values()))


WORDS = st.text(max_size=8) | st.sampled_from(["rtr1.", "data:image/png;base64,AAAA", "\x00", "user", "function"])
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [place for key in keys for place in ((value, key), *_places(value[key]))]


@st.composite
def requests(draw: st.DrawFn, api: Api) -> Sent:
    """The request with everything, with any JSON in some of its places."""
    body = json.loads(json.dumps(askings(api)[-1].body))
    known = ANY_JSON | st.sampled_from([*request_stuff(api).words, *request_stuff(api).pieces])
    for _ in range(draw(st.integers(1, 3))):
        if places := _places(body):
            holder, key = draw(st.sampled_from(places))
            holder[key] = json.loads(json.dumps(draw(known)))
    return Sent(api, json.dumps(body).encode(), "m", draw(st.booleans()))


def _check_any_json(data: st.DataObject, api: Api) -> None:
    sent = data.draw(requests(api))
    check_request(sent, random.Random(1), some_targets(random.Random(len(sent.raw))))


@pytest.mark.parametrize("api", APIS)
@settings(CAREFULLY, max_examples=8)
@given(data=st.data())
def test_any_json_may_stand_in_any_place(api: Api, data: st.DataObject) -> None:
    _check_any_json(data, api)


@pytest.mark.slow
@pytest.mark.parametrize("api", APIS)
@settings(CAREFULLY, max_examples=150)
@given(data=st.data())
def test_any_json_may_stand_in_any_place_many_times(api: Api, data: st.DataObject) -> None:
    _check_any_json(data, api)


# --- replies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("count", FEW)
@pytest.mark.slow
def test_mutated_replies_are_told_or_their_failure_is(api: Api, count: int) -> None:
    for number in range(count):
        reply, chance = hostile_reply(api, number)
        surviving(reply, lambda: check_reply(api, reply.payload, chance, media_type=reply.media_type))  # noqa: B023


@settings(CAREFULLY, max_examples=60)
@given(
    api=st.sampled_from(APIS),
    payload=st.binary(max_size=200)
    | st.lists(ANY_JSON.map(lambda value: b"data: %b\n\n" % json.dumps(value).encode())).map(b"".join)
    | ANY_JSON.map(lambda value: json.dumps(value).encode()),
    media_type=st.sampled_from([EVENTS, JSON]),
)
def test_any_bytes_may_be_a_reply(api: Api, payload: bytes, media_type: str) -> None:
    check_reply(api, payload, random.Random(1), media_type=media_type)


@cache
def streams(api: Api) -> tuple[bytes, ...]:
    """Each stream once, those first that end."""
    found = dict.fromkeys(reply.payload for reply in replies(api) if reply.media_type == EVENTS)
    return tuple(sorted(found, key=lambda stream: not finished_in(api, stream)))


def told(api: Api, stream: bytes, client: Api) -> tuple[bytes, bool]:
    """What a client gets of a provider's stream, and whether it ended."""
    translation = next(one for one in exchanges(api) if one.source.api == client)
    tap = translation.stream(translation.asked("1", 2))
    now, last = tap.feed(stream)
    said = now + last + tap.finish()
    check_told(client, said, ended=tap.ended, failed=tap.failed)
    return said, tap.ended


@pytest.mark.parametrize("api", APIS)
def test_streams_that_are_whole_look_finished_in_every_format(api: Api) -> None:
    whole = [stream for stream in streams(api) if finished_in(api, stream)]
    assert len(whole) > 2
    for stream in whole:
        outcomes = {told(api, stream, client)[1] for client in APIS}
        assert outcomes in ({True}, {False}), "clients are told different things"
    assert all(told(api, whole[-1], client)[1] for client in APIS)


def _check_cut(api: Api, stream: bytes, at: int, client: Api) -> None:
    beginning = stream[:at]
    _, ended = told(api, beginning, client)
    assert not ended or finished_in(api, beginning), "a stream that broke off looks finished"


@pytest.mark.parametrize("api", APIS)
@settings(CAREFULLY, max_examples=25)
@given(data=st.data())
def test_a_stream_that_breaks_off_never_looks_finished(api: Api, data: st.DataObject) -> None:
    stream = data.draw(st.sampled_from(streams(api)))
    _check_cut(api, stream, data.draw(st.integers(0, len(stream))), data.draw(st.sampled_from(APIS)))


@pytest.mark.slow
@pytest.mark.parametrize("api", APIS)
def test_no_stream_that_breaks_off_anywhere_looks_finished(api: Api) -> None:
    chance = random.Random(1)
    for stream in streams(api):
        ends = [0]
        for event in events_of(stream):
            ends.append(ends[-1] + len(event) + 2)
        last = range(max(0, len(stream) - 40), len(stream), 3)
        cuts = {*ends[-6:], *last, *(chance.randrange(len(stream)) for _ in range(8))}
        for at in sorted(cuts):
            for client in APIS:
                surviving((stream[:at], client), lambda: _check_cut(api, stream, at, client))  # noqa: B023


@pytest.mark.parametrize("api", APIS)
def test_a_whole_reply_that_breaks_off_is_a_failure(api: Api) -> None:
    chance = random.Random(1)
    whole = [
        reply for reply in dict.fromkeys(replies(api)) if reply.media_type == JSON and reply.payload.endswith(b"}")
    ]
    for reply in whole[-8:]:
        for translation in exchanges(api)[:4]:
            cut = reply.payload[: chance.randrange(len(reply.payload) - 1)]
            assert not isinstance(translation.whole(cut, translation.asked("1", 2), media_type=JSON), bytes)
            tap = translation.stream(translation.asked("1", 2), media_type=JSON)
            tap.feed(cut)
            check_told(translation.source.api, tap.finish(), ended=False, failed=tap.failed)
            assert not tap.ended


def test_a_reply_says_of_itself_nothing_that_is_not_in_it() -> None:
    for api in APIS:
        for media_type in (EVENTS, JSON):
            reply = Reply(b"", media_type)
            check_reply(api, reply.payload, random.Random(1), media_type=media_type)
            assert CODECS[api].read_reply(reply.payload).usage is None
