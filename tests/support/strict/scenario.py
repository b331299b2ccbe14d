"""What a strict provider says: the same answer in every format, told by the words behind ``#`` in the user's last text.

====================  ================================================================================================
``#hello``            a short text; also where no word is given
``#think``            thinking before whatever comes
``#hidden``           the same, but nothing of it is readable: only its sealed form
``#tools``            a text and two parallel calls, then, with their results, an answer that repeats them
``#rounds-N``         N rounds of calls instead of one
``#freeform``         with ``#tools``: tools that take raw text are called first
``#json``             a JSON object as structured output
``#limit``            the output limit is met in the middle of a sentence
``#cut-call``         … in the middle of a call's arguments (whole JSON where a format has no broken ones)
``#refuse``           a refusal
``#stop``             the first stop sequence of the request is met
``#empty``            nothing at all
``#fail-N``           an error with HTTP status N
``#late-fail``        a stream that tells of an overload in its middle; a whole reply fails with 529 or 503
====================  ================================================================================================
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

PIECES = ("Grüße", " from the strict", " provider – ✓")
TEXT = "".join(PIECES)
THOUGHT = "First I weigh\n\nthe évidence; then I speak."
REFUSAL = "I can't help with that."
ANSWER = {"city": "Zürich", "size": 3, "exact": 1.5, "tags": ["a", "b"]}
ASIDE = "I look it up."
RAW = '*** Begin Patch\n+"quoted" \\ ünïcode ✓\t{"input": 1}\n*** End Patch\n'
ARGUMENTS: tuple[dict[str, Any], ...] = (
    {"place": "Zürich ✓", "depth": 3, "exact": 0.25, "nested": {"list": [1, None, True], "quote": 'a"b\\c\n'}},
    {"place": "Rome"},
)

Stop = Literal["end", "calls", "limit", "refusal", "sequence"]

_MARK = re.compile(r"#([a-z][a-z0-9-]*)")


@dataclass(frozen=True)
class Result:
    """A tool's result as the provider's format tells it to the model."""

    text: str
    is_error: bool = False
    media: tuple[str, ...] = ()

    def __str__(self) -> str:
        failed = self.is_error or self.text.lower().startswith("error")  # formats without a mark say it in words
        text = "failed: " + re.sub(r"(?i)^error:\s*", "", self.text) if failed else self.text
        return " + ".join((text, *self.media))


@dataclass(frozen=True)
class Offered:
    """A tool that the model may call. ``custom``: freeform. ``schema`` is that of its arguments."""

    name: str
    custom: bool = False
    schema: Mapping[str, Any] = field(default_factory=dict)

    @property
    def freeform(self) -> bool:
        """Whether it takes raw text, if only as a function with one field for it."""
        return self.custom or (self.schema.get("properties") or {}).keys() == {"input"}


@dataclass(frozen=True)
class Heard:
    """What a request says to a model. ``calls`` counts those of the whole conversation."""

    words: frozenset[str] = frozenset()
    rounds: int = 0  # of tool calls since those words
    calls: int = 0
    results: tuple[Result, ...] = ()
    media: tuple[str, ...] = ()  # media types of pictures and documents in the user's last turn
    system: str = ""
    tools: tuple[Offered, ...] = ()
    stops: tuple[str, ...] = ()


@dataclass(frozen=True)
class Think:
    text: str


@dataclass(frozen=True)
class Write:
    text: str


@dataclass(frozen=True)
class Refuse:
    text: str


@dataclass(frozen=True)
class Call:
    """``number`` is the call's place among all of the conversation. A ``custom`` call has raw text as its input."""

    number: int
    name: str
    arguments: dict[str, Any]
    custom: bool = False
    broken: bool = False  # cut off by the limit

    @property
    def json(self) -> str:
        text = json.dumps(self.arguments, ensure_ascii=False, separators=(",", ":"))
        return text[: len(text) // 2] if self.broken else text

    @property
    def raw(self) -> str:
        return RAW


Part = Think | Write | Refuse | Call


@dataclass(frozen=True)
class Truth:
    """Tokens of one exchange in the ledger's meaning: fresh input, cache reads and writes, output with reasoning."""

    input: int
    cache_read: int
    cache_write: int
    output: int
    reasoning: int

    @property
    def total_input(self) -> int:
        return self.input + self.cache_read + self.cache_write


@dataclass(frozen=True)
class Say:
    """One answer. ``late_failure``: a stream breaks into an error behind its first text."""

    parts: tuple[Part, ...]
    stop: Stop = "end"
    sequence: str | None = None
    late_failure: bool = False

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Write))

    @property
    def calls(self) -> list[Call]:
        return [part for part in self.parts if isinstance(part, Call)]

    def truth(self, size: int, *, writes: bool) -> Truth:
        """The usage for a request of ``size`` bytes: growing with it. ``writes``: whether cache writes are told."""
        whole = 40 + size // 4
        read, write = whole // 3, whole // 5 if writes else 0
        reasoning = sum(7 + len(part.text) // 4 for part in self.parts if isinstance(part, Think))
        spoken = sum(len(part.json if isinstance(part, Call) else part.text) for part in self.parts)
        return Truth(whole - read - write, read, write, reasoning + 3 + spoken // 4, reasoning)


@dataclass(frozen=True)
class Fail:
    """An error instead of an answer."""

    status: int
    message: str = "the strict provider was told to fail"


@dataclass
class Listener:
    """Puts a request together as its format's module reads it, in the order of the conversation."""

    default: frozenset[str] = frozenset()
    system: list[str] = field(default_factory=list)
    tools: list[Offered] = field(default_factory=list)
    stops: tuple[str, ...] = ()
    _words: frozenset[str] | None = None
    _rounds: int = 0
    _calls: int = 0
    _open: bool = False  # whether the assistant spoke last
    _called: bool = False  # … with calls
    _results: list[Result] = field(default_factory=list)
    _media: list[str] = field(default_factory=list)

    def user_text(self, text: str) -> None:
        self._begin_user()
        if words := frozenset(_MARK.findall(text)):
            self._words, self._rounds = words, 0
            self._results.clear()

    def user_media(self, kind: str) -> None:
        self._begin_user()
        self._media.append(kind)

    def result(self, result: Result) -> None:
        self._begin_user()
        self._results.append(result)

    def assistant(self, calls: int = 0) -> None:
        """A turn of the assistant's, or a part of one, with so many calls in it."""
        if not self._open:
            self._open, self._called = True, False
        if calls and not self._called:
            self._called = True
            self._rounds += 1
        self._calls += calls

    def heard(self) -> Heard:
        return Heard(
            words=self.default if self._words is None else self._words,
            rounds=self._rounds,
            calls=self._calls,
            results=tuple(self._results),
            media=tuple(self._media),
            system="\n\n".join(self.system),
            tools=tuple(self.tools),
            stops=self.stops,
        )

    def _begin_user(self) -> None:
        if self._open:
            self._open = False
            self._results.clear()
            self._media.clear()


def answer(heard: Heard) -> Say | Fail:
    """The script for what was heard."""
    words = heard.words
    wanted = {word.rpartition("-")[0]: word.rpartition("-")[2] for word in words}
    if (status := wanted.get("fail", "")).isdigit():
        return Fail(int(status))
    thinking: tuple[Part, ...] = ()
    if words & {"think", "hidden"}:
        thinking = (Think("" if "hidden" in words else THOUGHT),)
    rounds = int(wanted.get("rounds", 1 if words & {"tools", "cut-call"} else 0))
    if heard.rounds < rounds and heard.tools:
        return _calls(heard, thinking, broken="cut-call" in words)
    if "refuse" in words:
        return Say((*thinking, Refuse(REFUSAL)), "refusal")
    if "limit" in words:
        return Say((*thinking, Write(PIECES[0])), "limit")
    if "stop" in words and heard.stops:
        return Say((*thinking, Write(PIECES[0])), "sequence", heard.stops[0])
    if "json" in words:
        return Say((*thinking, Write(json.dumps(ANSWER, ensure_ascii=False))))
    if "empty" in words:
        return Say(thinking)
    told = [str(result) for result in heard.results] if heard.rounds else []
    told += heard.media
    text = f"{TEXT} I was told: {' | '.join(told)}." if told else TEXT
    return Say((*thinking, Write(text)), late_failure="late-fail" in words)


def _calls(heard: Heard, thinking: tuple[Part, ...], *, broken: bool) -> Say:
    tools = sorted(heard.tools, key=lambda tool: not tool.freeform) if "freeform" in heard.words else heard.tools
    chosen = [tools[0]] if broken else [tools[0], tools[min(1, len(tools) - 1)]]
    calls = tuple(
        Call(heard.calls + offset, tool.name, _arguments(tool, offset), tool.custom, broken)
        for offset, tool in enumerate(chosen)
    )
    aside: tuple[Part, ...] = () if "silent" in heard.words else (Write(ASIDE),)
    return Say((*thinking, *aside, *calls), "limit" if broken else "calls")


def _arguments(tool: Offered, offset: int) -> dict[str, Any]:
    return {"input": RAW} if tool.freeform and not tool.custom else ARGUMENTS[offset]


def cut(text: str, size: int = 7) -> list[str]:
    """The text in pieces, as a stream tells it."""
    return [text[at : at + size] for at in range(0, len(text), size)]
