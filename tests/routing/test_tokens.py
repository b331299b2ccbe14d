"""Token estimates: bounds that are never wrong, a cache that never shows, and counting only where it decides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.routing import encoding, tokens
from router.routing.encoding import count, load_encoding
from router.routing.facts import CountNeeded
from router.routing.tokens import LOOP_BYTES, MESSAGE_TOKENS, REQUEST_TOKENS, PieceSummaries
from router.wire.body import Body
from router.wire.formats import CODECS
from router.wire.request import Api, Piece, PieceContent, RequestView

PAYLOADS = Path(__file__).resolve().parents[1] / "data" / "payloads"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAABiAAAAYgCAAAAAA="  # the head of a PNG of 1568 by 1568


def view_of(api: Api, body: dict[str, Any]) -> RequestView:
    return CODECS[api].view(Body.parse(json.dumps(body).encode()), url_model="gemini-2.5-pro")


def messages(*texts: Any, **fields: Any) -> RequestView:
    turns = [{"role": "assistant" if at % 2 else "user", "content": text} for at, text in enumerate(texts)]
    return view_of("anthropic-messages", {"model": "claude-sonnet-5", "max_tokens": 9, **fields, "messages": turns})


def long_session() -> RequestView:
    return view_of("anthropic-messages", json.loads((PAYLOADS / "claude-code-long-20turns.json").read_bytes())["body"])


class CountingView:
    """A view that notes which pieces were read."""

    def __init__(self, view: RequestView) -> None:
        self.api, self.body, self.tool_count = view.api, view.body, view.tool_count
        self._view = view
        self.read_pieces: list[Piece] = []

    def pieces(self) -> list[Piece]:
        return self._view.pieces()

    def read(self, piece: Piece) -> PieceContent:
        self.read_pieces.append(piece)
        return self._view.read(piece)


@pytest.fixture(autouse=True)
def _loaded() -> None:
    load_encoding()


def test_a_request_is_its_texts_and_a_little_for_each_message() -> None:
    view = messages("hello world", "good morning", system="be brief")
    expected = REQUEST_TOKENS + 3 * MESSAGE_TOKENS + sum(map(count, ("hello world", "good morning", "be brief")))
    assert PieceSummaries().tokens(view) == expected


def test_base64_is_never_counted() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL + "QUJD" * 50_000}
    view = messages([{"type": "image", "source": source}, {"type": "text", "text": "what is it?"}])
    assert PieceSummaries().tokens(view) < 1_700
    assert not PieceSummaries().reaches(view, 2_000, may_count=False)


def test_a_large_picture_in_few_bytes_counts_by_its_pixels() -> None:
    view = messages([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}])
    assert PieceSummaries().reaches(view, 1_600, may_count=False)
    assert len(view.body.raw) < 1_600


TEXTS = st.one_of(
    st.text(max_size=200),
    st.builds(lambda word, times: word * times, st.text(min_size=1, max_size=9), st.integers(1, 800)),
)
CONTENTS = st.one_of(
    TEXTS,
    st.lists(
        st.one_of(
            st.builds(lambda text: {"type": "text", "text": text}, TEXTS),
            st.builds(
                lambda value: {"type": "tool_use", "id": "t", "name": "f", "input": value},
                st.recursive(
                    st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text(max_size=9),
                    st.lists,
                    max_leaves=20,
                ),
            ),
            st.just({"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}),
            st.just({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}}),
            st.just({"type": "never-heard-of", "x": [1e9, 1e10]}),
        ),
        max_size=4,
    ),
    st.just(7),
)


@pytest.mark.slow
@given(st.lists(CONTENTS, max_size=6), st.integers(-9, 400), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_threshold_is_reached_exactly_when_the_count_is_that_high(contents: list[Any], off: int, warm: bool) -> None:
    view = messages(*contents, tools=[{"name": "f", "input_schema": {}}])
    total = PieceSummaries().tokens(view)
    summaries = PieceSummaries()
    if warm:
        summaries.reaches(view, total // 2, may_count=True)
    for threshold in (total, total + 1, total + off, total // 2, total * 4):
        assert summaries.reaches(view, threshold, may_count=True) == (total >= threshold)
    assert summaries.tokens(view) == total


@pytest.mark.parametrize("name", ["claude-code-tui-main", "qwen-chat-turn2", "codex-turn2", "gemini-cli-turn2"])
def test_bounds_hold_for_captured_requests(name: str) -> None:
    request = json.loads((PAYLOADS / f"{name}.json").read_bytes())
    apis: dict[str, Api] = {
        "messages": "anthropic-messages",
        "completions": "openai-chat",
        "responses": "openai-responses",
    }
    view = view_of(apis.get(request["path"].rpartition("/")[2], "gemini"), request["body"])
    total = PieceSummaries().tokens(view)
    assert total < len(view.body.raw)
    for threshold in (total, total + 1):
        assert PieceSummaries().reaches(view, threshold, may_count=True) == (total >= threshold)


def test_pieces_that_are_known_are_not_read_again() -> None:
    summaries = PieceSummaries()
    total = summaries.tokens(long_session())
    again = CountingView(long_session())
    assert summaries.tokens(again) == total  # type: ignore[arg-type]
    assert again.read_pieces == []


def test_a_new_message_costs_only_itself() -> None:
    summaries = PieceSummaries()
    summaries.tokens(messages("one", "two", "three"))
    grown = CountingView(messages("one", "two", "three", "four"))
    summaries.tokens(grown)  # type: ignore[arg-type]
    assert {piece.raw for piece in grown.read_pieces} == {b'{"role": "assistant", "content": "four"}'}


def test_a_piece_of_another_format_or_kind_is_another_piece() -> None:
    summaries = PieceSummaries()
    system = summaries.summary(messages("x"), Piece("system", b'"hello world"'))
    message = summaries.summary(messages("x"), Piece("message", b'"hello world"'))
    assert system is not message
    assert system is summaries.summary(messages("y"), Piece("system", b'"hello world"'))


def test_the_cache_is_bounded_and_keeps_what_is_in_use() -> None:
    summaries = PieceSummaries(limit=100)
    kept = Piece("system", b'"kept"')
    view = messages("x")
    first = summaries.summary(view, kept)
    for number in range(1_000):
        summaries.summary(view, Piece("system", b'"%d"' % number))
        assert summaries.summary(view, kept) is first
        assert len(summaries) <= 100


def test_no_text_is_kept() -> None:
    summary = PieceSummaries().summary(messages("x"), Piece("system", b'"a secret"'))
    assert not [name for name in summary.__slots__ if "secret" in str(getattr(summary, name))]


def test_a_body_shorter_than_the_threshold_is_decided_without_reading_it() -> None:
    view = CountingView(long_session())
    assert not PieceSummaries().reaches(view, len(view.body.raw) + 4, may_count=False)  # type: ignore[arg-type]
    assert view.read_pieces == []


def test_much_text_is_not_counted_where_others_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    view = messages("word " * (LOOP_BYTES // 4))
    summaries = PieceSummaries()
    with pytest.raises(CountNeeded):
        summaries.reaches(view, 5_000, may_count=False)
    assert summaries.reaches(view, 5_000, may_count=True)
    assert summaries.reaches(view, 5_000, may_count=False)  # what was learned decides from now on
    monkeypatch.setattr(tokens, "count", None)
    assert not summaries.reaches(view, 200_000, may_count=False)


def test_little_text_is_counted_at_once() -> None:
    view = messages("word " * 2_000)
    assert PieceSummaries().reaches(view, 1_500, may_count=False)


def test_nothing_is_counted_before_the_encoding_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "_loaded", [])
    with pytest.raises(CountNeeded):
        PieceSummaries().reaches(messages("hello hello"), 9, may_count=False)


def test_counting_stops_at_the_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []

    def noted(text: str) -> int:
        counted.append(len(text))
        return count(text)

    monkeypatch.setattr(tokens, "count", noted)
    view = messages("word " * 200_000)
    summaries = PieceSummaries()
    assert summaries.reaches(view, 5_000, may_count=True)
    assert sum(counted) < 50_000
    assert summaries.summary(view, view.pieces()[0]).tokens is None
    assert summaries.tokens(view) == REQUEST_TOKENS + MESSAGE_TOKENS + count("word " * 200_000)
