"""Counting text: the same numbers as tiktoken itself, in parts that change next to nothing."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from tiktoken_ext import openai_public

from router.routing import encoding
from router.routing.encoding import PART, count, load_encoding, parts

PAYLOADS = Path(__file__).resolve().parents[1] / "data" / "payloads"
ROUTER = Path(encoding.__file__).resolve().parents[1]


def test_the_encoding_is_tiktokens_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", lambda *_, expected_hash: expected_hash)  # no network
    public = openai_public.o200k_base()
    ours = load_encoding()
    assert public["mergeable_ranks"] == encoding.SHA256
    assert ours._pat_str == public["pat_str"]
    assert ours._special_tokens == public["special_tokens"]
    assert ours.n_vocab == 200_019


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        pytest.param("", 0, id="nothing"),
        pytest.param("hello world", 2, id="words"),
        pytest.param("Hello, world! 12345", 7, id="punctuation and digits in threes"),
        pytest.param("<|endoftext|>", 7, id="a special token's name is plain text"),
        pytest.param("\ud800", 1, id="half a surrogate pair"),
    ],
)
def test_small_texts(text: str, tokens: int) -> None:
    assert count(text) == tokens


@given(st.text(max_size=400))
def test_a_text_has_at_most_as_many_tokens_as_bytes(text: str) -> None:
    assert count(text) <= len(text.encode("utf-8", "surrogatepass"))


@given(st.text(max_size=60), st.integers(min_value=1, max_value=2_000))
@settings(max_examples=50)
def test_parts_are_the_text_and_none_is_too_long(seed: str, times: int) -> None:
    text = seed * times
    cut = list(parts(text))
    assert "".join(cut) == text
    assert max(map(len, cut)) <= PART


@pytest.mark.parametrize(
    "text",
    [
        pytest.param((PAYLOADS / "claude-code-long-100turns.json").read_text(), id="a long session's JSON"),
        pytest.param("\n".join(path.read_text() for path in sorted(ROUTER.rglob("*.py"))), id="source code"),
        pytest.param("数据。" * 40_000, id="text without spaces"),
        pytest.param(json.dumps(list(range(60_000))), id="numbers"),
        pytest.param("QUJDREVGR0g=" * 20_000, id="base64"),
    ],
)
@pytest.mark.slow
def test_counting_in_parts_is_off_by_two_in_ten_thousand_at_most(text: str) -> None:
    exact = len(load_encoding().encode_ordinary(text))
    assert abs(count(text) - exact) <= max(1, exact * 0.0002)


def test_the_encoding_is_built_once_for_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[object] = []
    start = threading.Barrier(4)

    def build() -> object:
        built.append(object())
        return built[-1]

    monkeypatch.setattr(encoding, "_loaded", [])
    monkeypatch.setattr(encoding, "_build", build)
    got: list[tiktoken.Encoding] = []

    def ask() -> None:
        start.wait()
        got.append(load_encoding())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1
    assert all(one is built[0] for one in got)


def test_damaged_rank_data_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "SHA256", "0" * 64)
    with pytest.raises(ValueError, match="damaged"):
        encoding._build()
