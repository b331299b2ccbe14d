"""An event stream means the same however it is cut, and its events stand where the decoder says."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire.sse import KEPT_TAIL, SseDecoder, SseEvent, encode_event


def decode(*chunks: bytes, max_event: int = 1 << 20) -> list[SseEvent]:
    decoder = SseDecoder(max_event)
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events + decoder.finish()


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        pytest.param(b"data: x\n\n", [(None, b"x")], id="line feeds"),
        pytest.param(b"data: x\r\n\r\n", [(None, b"x")], id="CRLF"),
        pytest.param(b"data: x\r\rdata: y\r\r", [(None, b"x"), (None, b"y")], id="carriage returns"),
        pytest.param(b"data: x\n\r\ndata: y\r\n\n", [(None, b"x"), (None, b"y")], id="mixed line ends"),
        pytest.param(b"event: e\ndata: x\n\n", [("e", b"x")], id="a name"),
        pytest.param(b"data:x\nevent:e\n\n", [("e", b"x")], id="no space behind the colon, name last"),
        pytest.param(b"data:  x\n\n", [(None, b" x")], id="only one space belongs to the field"),
        pytest.param(b"data: a\ndata: b\ndata\n\n", [(None, b"a\nb\n")], id="several data lines"),
        pytest.param(b": ping\n\ndata: x\n\n", [(None, b"x")], id="a comment"),
        pytest.param(b"event: lonely\n\ndata: x\n\n", [(None, b"x")], id="a name without data is no event"),
        pytest.param(b"data:\n\n", [(None, b"")], id="empty data"),
        pytest.param(b"id: 1\nretry: 5\ndatum: 1\ndata: x\n\n", [(None, b"x")], id="other fields"),
        pytest.param(b"\xef\xbb\xbfdata: x\n\n", [(None, b"x")], id="byte order mark"),
        pytest.param(b"\n\n\n\ndata: x\n\n\n\n", [(None, b"x")], id="extra blank lines"),
        pytest.param("data: é名😄\n\n".encode(), [(None, "é名😄".encode())], id="characters of several bytes"),
        pytest.param(b"data: x\n", [(None, b"x")], id="the last blank line is missing"),
        pytest.param(b"data: a\x0bb\x85c\n\n", [(None, b"a\x0bb\x85c")], id="other control characters end no line"),
    ],
)
def test_events_are_read_whole_and_byte_by_byte(stream: bytes, expected: list[tuple[str | None, bytes]]) -> None:
    assert [(event.event, event.data) for event in decode(stream)] == expected
    assert decode(*(stream[i : i + 1] for i in range(len(stream)))) == decode(stream)


def test_an_event_says_where_it_stands() -> None:
    stream = b": comment\n\ndata: one\n\nevent: e\r\ndata: two\r\n\r\n"
    one, two = decode(stream)
    assert stream[one.start : one.end] == b"data: one\n\n"
    assert stream[two.start : two.end] == b"event: e\r\ndata: two\r\n\r\n"


def test_skipped_events_count_as_bytes() -> None:
    decoder = SseDecoder()
    decoder.skip(100)
    (event,) = decoder.feed(b"data: x\n\n")
    assert (event.start, event.end) == (100, 109)


@pytest.mark.parametrize("cut", [1, 7, 1000, 10**9])
def test_an_event_that_is_too_large_keeps_only_its_tail(cut: int) -> None:
    limit = 2 * KEPT_TAIL
    stream = b"data: " + b"x" * limit + b"the end\n\nevent: e\ndata: small\n\n"
    decoder = SseDecoder(limit)
    events = []
    for start in range(0, len(stream), cut):
        events += decoder.feed(stream[start : start + cut])
        assert len(decoder.pending) <= limit + cut
    large, small = events
    assert large.oversized
    assert large.data == stream[large.start : large.end][-KEPT_TAIL:]
    assert (small.event, small.data, small.oversized) == ("e", b"small", False)


stream_parts = st.sampled_from([b"data: a", b"data:b", b"event: e", b": c", b"\n", b"\r", b"\r\n", b"\xc3\xa9", b"xyz"])


@given(st.lists(stream_parts), st.lists(st.integers(0, 60), max_size=5))
def test_cutting_never_changes_the_events(parts: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(parts)
    edges = [0, *sorted(cuts), len(stream)]
    chunks = [stream[start:end] for start, end in pairwise(edges)]
    assert decode(*chunks) == decode(stream)
    assert decode(*chunks, max_event=8) == decode(*(bytes([byte]) for byte in stream), max_event=8)


@given(st.text(), st.none() | st.from_regex(r"[a-z_.]+", fullmatch=True))
def test_what_is_encoded_is_decoded(text: str, name: str | None) -> None:
    data = b"\n".join(text.encode().splitlines())  # line ends have no other spelling in an event
    assert [(event.event, event.data) for event in decode(encode_event(data, name))] == [(name, data)]
