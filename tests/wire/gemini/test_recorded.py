"""Recorded requests and replies of Google's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire.body import Body
from router.wire.events import (
    Citation,
    MessageEnd,
    MessageStart,
    PartEnd,
    StreamEvent,
    StreamFailed,
    TextDelta,
    ThinkingDelta,
    ToolCallStart,
    UsageReport,
)
from router.wire.loss import Losses
from router.wire.usage import Usage
from tests.wire.gemini.saying import GEMINI, OWN, asked

pytestmark = pytest.mark.sampled(4)

DATA = Path(__file__).parents[2] / "data"
CASES = [json.loads(path.read_text()) for path in sorted((DATA / "wire" / "cases").glob("gemini.*.json"))]
REPLIES = [pytest.param(case, id=case["id"]) for case in CASES if case["response"]["status"] == 200]
STREAMS = [pytest.param(case, id=case["id"]) for case in CASES if isinstance(case["response"]["body"], str)]
REQUESTS = [
    pytest.param(case["request"], id=case["id"])
    for case in CASES
    if case["request"] is not None and case["endpoint"] != "countTokens"
] + [
    pytest.param(payload["body"], id=payload["name"])
    for payload in (json.loads(path.read_text()) for path in sorted((DATA / "payloads").glob("*.json")))
    if "enerateContent" in payload["path"]
]


def payload(case: dict[str, Any]) -> bytes:
    body = case["response"]["body"]
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def events_of(case: dict[str, Any]) -> list[StreamEvent]:
    decoder = GEMINI.decoder()
    if isinstance(case["response"]["body"], str):
        return decoder.feed(payload(case)) + decoder.finish()
    return decoder.whole(payload(case))


def content(events: list[StreamEvent]) -> list[StreamEvent]:
    """The events with pieces joined, without what the format can't keep: names and the moments of reports."""
    out: list[StreamEvent] = []
    for event in events:
        if isinstance(event, MessageStart | UsageReport):
            continue
        before = out[-1] if out else None
        if isinstance(event, TextDelta) and isinstance(before, TextDelta):
            out[-1] = TextDelta(before.text + event.text)
        elif isinstance(event, ThinkingDelta) and isinstance(before, ThinkingDelta):
            out[-1] = ThinkingDelta(before.text + event.text)
        else:
            out.append(event)
    return out


def usage_of(events: list[StreamEvent]) -> Usage | None:
    """The last report. No client is told the service class in it."""
    reports = [event.usage for event in events if isinstance(event, UsageReport)]
    return msgspec.convert({**msgspec.to_builtins(reports[-1]), "service_tier": None}, Usage) if reports else None


@pytest.mark.parametrize("case", REPLIES)
def test_a_reply_written_anew_says_the_same(case: dict[str, Any]) -> None:
    events = events_of(case)
    assert isinstance(events[-1], MessageEnd)
    again = GEMINI.decoder().whole(GEMINI.encoder(asked()).whole(events))
    if any(isinstance(event, ThinkingDelta) for event in events):  # its signature goes to the part behind it
        assert [event for event in content(again) if isinstance(event, TextDelta | ThinkingDelta)] == [
            event for event in content(events) if isinstance(event, TextDelta | ThinkingDelta)
        ]
    else:
        assert content(again) == content(events)
    assert usage_of(again) == usage_of(events)
    encoder = GEMINI.encoder(asked())
    stream = b"".join(map(encoder.encode, events))
    decoder = GEMINI.decoder()
    assert content(decoder.feed(stream) + decoder.finish()) == content(again)


@pytest.mark.parametrize("case", REPLIES)
def test_usage_is_what_a_tap_reads(case: dict[str, Any]) -> None:
    if isinstance(case["response"]["body"], str):
        tap = GEMINI.tap()
        tap.feed(payload(case))
        tap.finish()
        facts = tap.facts
    else:
        facts = GEMINI.read_reply(payload(case))
    reports = [event.usage for event in events_of(case) if isinstance(event, UsageReport)]
    assert facts.usage is not None
    assert reports[-1] == facts.usage


@pytest.mark.parametrize("case", STREAMS)
def test_a_stream_cut_anywhere_says_the_same(case: dict[str, Any]) -> None:
    stream = payload(case)
    once = events_of(case)
    decoder = GEMINI.decoder()
    bytewise = [event for byte in stream for event in decoder.feed(bytes([byte]))]
    assert bytewise + decoder.finish() == once


@given(st.data())
@pytest.mark.parametrize("case", STREAMS)
def test_a_stream_cut_at_random_says_the_same(case: dict[str, Any], data: st.DataObject) -> None:
    stream = payload(case)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    decoder = GEMINI.decoder()
    events: list[StreamEvent] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        events += decoder.feed(stream[start:end])
    assert events + decoder.finish() == events_of(case)


@given(st.data())
@pytest.mark.parametrize("case", STREAMS)
def test_a_stream_that_breaks_off_never_ends(case: dict[str, Any], data: st.DataObject) -> None:
    stream = payload(case)
    stop = data.draw(st.integers(0, stream.rindex(b'"finishReason"')))
    decoder = GEMINI.decoder()
    events = decoder.feed(stream[:stop]) + decoder.finish()
    assert not any(isinstance(event, MessageEnd | StreamFailed) for event in events)


@given(
    st.binary(max_size=60) | st.text(alphabet='{}[]":,candidatespartstextfunctionCall0', max_size=60).map(str.encode)
)
def test_no_reply_breaks_the_decoder(noise: bytes) -> None:
    GEMINI.decoder().whole(noise)
    decoder = GEMINI.decoder()
    decoder.feed(b"data: " + noise + b"\n\n")
    decoder.finish()


@pytest.mark.parametrize("request_body", REQUESTS)
@pytest.mark.parametrize("traits", [OWN, msgspec.structs.replace(OWN, reasoning_in=frozenset({"budget"}))])
def test_a_request_written_anew_stays_so(request_body: dict[str, Any], traits: Any) -> None:
    first = GEMINI.parse(_view(json.dumps(request_body).encode()), Losses())
    rendered = GEMINI.render(first, traits, Losses()).body
    losses = Losses()
    second = GEMINI.parse(_view(rendered), losses)
    again = GEMINI.render(second, traits, losses).body
    assert again == rendered
    assert losses.found == []
    assert GEMINI.parse(_view(again), Losses()) == second
    assert second.system == first.system
    assert [(tool.name, tool.description) for tool in second.tools] == [
        (tool.name, tool.description) for tool in first.tools
    ]


def test_calls_of_a_recorded_stream_have_their_arguments_whole() -> None:
    case = next(case for case in CASES if "stream-tool-call-arguments" in case["id"])
    events = events_of(case)
    calls = [event.name for event in events if isinstance(event, ToolCallStart)]
    assert calls == ["getWeather", "getWeather"]
    assert not any(isinstance(event, Citation) for event in events)
    assert sum(isinstance(event, PartEnd) for event in events) == 2


def _view(body: bytes) -> Any:
    return GEMINI.view(Body.parse(body), url_model="gemini-3", url_stream=False)
