"""An answer's text taken apart, once for all checks: code in fences, and what is said around it.

Answers say what they are at their beginning, and what comes next at their end. So words are looked at there, and a
long text costs no more than one of some pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

_HEAD: Final = 6_000
_TAIL: Final = 2_000
_COUNTED: Final = 10_000  # characters in which words are counted; of a longer text the rest is reckoned
_MOST_FENCES: Final = 200

_FENCE: Final = re.compile(r"^[ \t>]{0,40}(`{3,}|~{3,})[ \t]*([^`\n]*)$", re.MULTILINE)
_INLINE: Final = re.compile(r"`[^`\n]{1,300}`")
_QUOTED: Final = re.compile(r"[\"“„«][^\"“”„«»\n]{1,300}[\"”“»]")
_QUOTED_LINE: Final = re.compile(r"^[ \t]{0,8}>.*$", re.MULTILINE)
_SENTENCE: Final = re.compile(r"[.!?…](?=[\s\"')\]*]|$)|[。！？]|\n\s*\n|\n(?=[ \t]*(?:[-*#>|]|\d{1,3}[.)]))")
_SPACELESS: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
)
_SOMETHING: Final = re.compile(r"[^\s.…\-_*#'\"`~\ufffd]")
_LETTER: Final = re.compile(r"[^\W\d_]")
_MARKDOWN: Final = frozenset({"markdown", "md", "mdx", ""})


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. ``language`` is lower-case and may be empty; ``closed`` says whether its fence ended."""

    language: str
    code: str
    closed: bool


class Prose:
    """A text, its fenced ``blocks``, and what is ``said`` outside of them."""

    def __init__(self, text: str) -> None:
        self.text = text
        blocks: list[Block] = []
        said: list[str] = []
        for part in _parts(text):
            if isinstance(part, Block):
                blocks.append(part)
            else:
                said.append(part)
        self.blocks = tuple(blocks)
        self.said = "\n".join(said)

    @cached_property
    def words(self) -> int:
        """About how many words there are, code included."""
        return word_count(self.said) + self.code_words

    @cached_property
    def code_words(self) -> int:
        """About how many words the blocks have."""
        return word_count("\n".join(block.code for block in self.blocks))

    @cached_property
    def holds_something(self) -> bool:
        """Whether there is anything but space, dots and rules: a word, a number, an operator, an emoji."""
        return any(_SOMETHING.search(part) for part in (self.said, *(block.code for block in self.blocks)))

    @cached_property
    def ends(self) -> str:
        """The beginning and the end of what is said."""
        if len(self.said) <= _HEAD + _TAIL:
            return self.said
        return f"{self.said[:_HEAD]}\n\n{self.said[-_TAIL:]}"

    @cached_property
    def own_words(self) -> str:
        """``ends`` in lower case, without inline code, quotations and quoted lines."""
        text = _QUOTED_LINE.sub("", self.ends.replace("’", "'"))
        return _QUOTED.sub(" … ", _INLINE.sub(" … ", text)).lower()

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """The sentences of ``own_words`` that have a letter."""
        text = self.own_words
        found: list[str] = []
        start = 0
        for match in _SENTENCE.finditer(text):
            found.append(text[start : match.end()])
            start = match.end()
        found.append(text[start:])
        return tuple(sentence.strip() for sentence in found if _LETTER.search(sentence))


def word_count(text: str) -> int:
    """About how many words a text has; two characters of a script without spaces are one."""
    sample = text[:_COUNTED]
    words = len(sample.split())
    if not sample.isascii():
        words += len(_SPACELESS.findall(sample)) // 2
    return words if len(sample) == len(text) else words * len(text) // _COUNTED


def _parts(text: str) -> Iterator[Block | str]:
    """Blocks and the stretches between them, in order. In a block of Markdown, or of no language, fences may be
    nested. After very many of them the rest is one stretch."""
    start = 0  # of the stretch or of the block's code
    fence, language, nested = "", "", 0
    for number, match in enumerate(_FENCE.finditer(text)):
        if not fence:
            if number >= _MOST_FENCES:
                break
            yield text[start : match.start()]
            fence, language, nested = match[1], _language(match[2]), 0
        elif match[2].strip() or not match[1].startswith(fence):
            nested += language in _MARKDOWN and bool(match[2].strip())
            continue
        elif nested:
            nested -= 1
            continue
        else:
            yield Block(language, text[start : match.start()].removesuffix("\n"), closed=True)
            fence = ""
        start = match.end() + 1
    if fence:
        yield Block(language, text[start:], closed=False)
    else:
        yield text[start:]


def _language(info: str) -> str:
    """The first word behind a fence: ``python title="a.py"``, ``{.python}``, ``ts,ignore``."""
    return re.split(r"[\s,{}:]", info.strip().lstrip("{.").lower(), maxsplit=1)[0][:20]
