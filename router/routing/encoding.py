"""The tokenizer: o200k_base from the rank data in ``router/data/tiktoken``, and counting text with it.

Whatever the target, texts are counted in this one encoding, OpenAI's; ``tokens`` says how far other families are from
it. Loading takes a third of a second and 80 MB, so it happens once, when a count is first needed, never on import.
"""

from __future__ import annotations

import base64
import hashlib
import lzma
import threading
from collections.abc import Iterator
from importlib import resources
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import tiktoken

SHA256: Final = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
"""Of the rank file, uncompressed."""

PART: Final = 16_384
"""Characters counted at a time: bounds how long the interpreter is held while a list of tokens is built (under a
millisecond), and the regular expression's work on text without spaces."""

_SPLIT: Final = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*|"
    r"\s*[\r\n]+|"
    r"\s+(?!\S)|"
    r"\s+"
)
_SPECIAL: Final = {"<|endoftext|>": 199_999, "<|endofprompt|>": 200_018}

_lock = threading.Lock()
_loaded: list[tiktoken.Encoding] = []  # empty, or the one


def encoding_loaded() -> bool:
    """Whether counting can start at once."""
    return bool(_loaded)


def load_encoding() -> tiktoken.Encoding:
    """The encoding, loaded at the first call; may be called from any thread. ``ValueError`` if the data is damaged."""
    if not _loaded:
        with _lock:
            if not _loaded:
                _loaded.append(_build())
    return _loaded[0]


def _build() -> tiktoken.Encoding:
    import tiktoken  # here: importing it takes 30 ms, and many profiles never count

    packed = resources.files("router").joinpath("data", "tiktoken", "o200k_base.tiktoken.xz").read_bytes()
    ranks = lzma.decompress(packed)
    if hashlib.sha256(ranks).hexdigest() != SHA256:
        raise ValueError("the rank data of o200k_base is damaged: reinstall the router")
    lines = (line.split() for line in ranks.splitlines())
    return tiktoken.Encoding(
        "o200k_base",
        pat_str=_SPLIT,
        mergeable_ranks={base64.b64decode(token): int(rank) for token, rank in lines},
        special_tokens=_SPECIAL,
    )


def count(text: str) -> int:
    """Tokens of a text; special tokens' names in it count as the plain text they are."""
    encode = load_encoding().encode_ordinary
    if len(text) <= PART:
        return len(encode(text))
    return sum(len(encode(part)) for part in parts(text))


def parts(text: str) -> Iterator[str]:
    """The text in parts of at most ``PART`` characters, cut where counting apart changes the least.

    That is before a space between two words, where the encoding cuts too: nothing changes. Else before any white space,
    and in text without any wherever the part is full: a token or two each.
    """
    start = 0
    while len(text) - start > PART:
        end = _cut(text, start + 1, start + PART)
        yield text[start:end]
        start = end
    yield text[start:]


def _cut(text: str, low: int, high: int) -> int:
    """The best place in ``low..high``, near the end of it."""
    near = max(low, high - 1024)
    at = text.rfind(" ", near, high)
    while at > 0:
        if text[at - 1].isalnum() and text[at + 1 : at + 2].isalpha():
            return at
        at = text.rfind(" ", near, at)
    for mark in ("\n", " ", "\t"):
        if (at := text.rfind(mark, near, high)) > 0:
            return at + 1 if mark == "\n" else at
    return high
