"""What the built-in provider says: made from the request alone, so the same request has the same answer.

A text says who speaks and what was asked. A tool is called when the choice of tools forces it or the person's text says
"use the tool", never right after a tool's result. Thinking is shown where it was asked for, and a wanted JSON schema is
filled in. Output limits and stop sequences hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import msgspec

from router.server.demo.counting import InputTokens, Part, count_tokens, cut_tokens
from router.server.demo.schema import example
from router.wire.request import RequestView

Stop = Literal["end", "tool", "length", "sequence"]

_USE_TOOL: Final = re.compile(r"\buse (?:(?:the|a|an|your|this) )?(?:[\w-]+ )?tools?\b")
_PIECE: Final = re.compile(r"(?:\s*\S+){1,3}\s*")
_QUOTED: Final = 60
SAMPLING: Final = ("temperature", "top_p", "topP", "top_k", "topK", "seed")


@dataclass(frozen=True, slots=True)
class Function:
    """A tool that is called with a JSON object."""

    name: str
    schema: Any


@dataclass(frozen=True, slots=True)
class Options:
    """What of a request only its format's file can read.

    ``choice`` any: a tool must be called; none: it may not. ``schema`` is that of a JSON answer, if one is wanted.
    ``sampling`` holds the settings that a person may like to see again in the answer.
    """

    functions: tuple[Function, ...] = ()
    choice: Literal["auto", "any", "none"] = "auto"
    schema: Any = None
    stop: tuple[str, ...] = ()
    sampling: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """One request. ``id`` and ``created`` (seconds since 1970) go into the reply; ``note`` is an ``x-demo-note``."""

    id: str
    created: int
    view: RequestView
    parts: Sequence[Part]
    options: Options
    input: InputTokens
    note: str | None = None

    @property
    def model(self) -> str:
        return self.view.model


@dataclass(frozen=True, slots=True)
class ToolCall:
    name: str
    arguments: dict[str, Any]

    @property
    def json(self) -> str:
        return msgspec.json.encode(self.arguments).decode()


@dataclass(frozen=True, slots=True)
class Answer:
    """Thinking, text and a tool call, in this order; what isn't there is empty."""

    text: str
    thinking: str = ""
    call: ToolCall | None = None
    stop: Stop = "end"
    stop_sequence: str | None = None

    @property
    def thinking_tokens(self) -> int:
        return count_tokens(self.thinking)

    @property
    def output_tokens(self) -> int:
        """All of it, thinking included."""
        called = f"{self.call.name} {self.call.json}" if self.call else ""
        return self.thinking_tokens + count_tokens(self.text) + count_tokens(called)


def answer(question: Question) -> Answer:
    """The whole answer."""
    options = question.options
    facts = _facts(question)
    call = _tool_call(question)
    if call is not None:
        text = f"{question.model} uses {call.name}."
    elif options.schema is not None:
        text = msgspec.json.encode(example(options.schema)).decode()
    else:
        text = f"{question.model} here: {facts}.{_remark(question)}"
    thinking = f"There is {facts}. Nothing hard about it." if question.view.thinking.on else ""
    made = Answer(text, thinking, call, "tool" if call else "end")
    return _limited(_stopped(made, options.stop), question.view.max_tokens)


def pieces_of(text: str) -> list[str]:
    """A text in pieces of up to three words, as a stream brings it."""
    return _PIECE.findall(text)


def slices_of(text: str) -> list[str]:
    """JSON in pieces of eight characters, cut wherever that is."""
    return [text[start : start + 8] for start in range(0, len(text), 8)]


def _facts(question: Question) -> str:
    """``2 messages, 1 tool, thinking, temperature 0.2``."""
    contents = [part.content for part in question.parts]
    messages = sum(piece.kind == "message" for piece in question.view.pieces())
    counted = (
        (messages, "message"),
        (question.view.tool_count, "tool"),
        (sum(len(content.images) for content in contents), "image"),
        (sum(bool(content.document_pages) for content in contents), "document"),
    )
    facts = [f"{count} {word}{'' if count == 1 else 's'}" for count, word in counted if count or word == "message"]
    facts += ["thinking"] if question.view.thinking.on else []
    facts += [f"{name} {value}" for name, value in question.options.sampling.items()]
    facts += [f"note {question.note}"] if question.note else []
    return ", ".join(facts)


def _remark(question: Question) -> str:
    if _after_tool_result(question):
        return " The tool has answered."
    text = " ".join(_latest_human_text(question).split())
    if not text:
        return ""
    return f' You said "{text[: _QUOTED - 1]}…"' if len(text) > _QUOTED else f' You said "{text}"'


def _latest_human_text(question: Question) -> str:
    texts = (part.content.human_text for part in reversed(question.parts) if part.content.role == "user")
    return next((text for text in texts if text), "")


def _after_tool_result(question: Question) -> bool:
    for part in reversed(question.parts):
        if part.content.role == "assistant":
            return False
        if part.content.tool_result:
            return True
    return False


def _tool_call(question: Question) -> ToolCall | None:
    options, forced = question.options, question.view.forced_tool
    if not options.functions or options.choice == "none" or _after_tool_result(question):
        return None
    said = _latest_human_text(question).lower()
    if forced is None and options.choice != "any" and not _USE_TOOL.search(said):
        return None
    named = (function for function in options.functions if forced in (None, function.name))
    by_text = [function for function in options.functions if function.name and function.name.lower() in said]
    function = by_text[0] if by_text and forced is None else next(named, None)
    if function is None:  # a forced tool that isn't a function
        return None
    arguments = example(function.schema)
    return ToolCall(function.name, arguments if isinstance(arguments, dict) else {})


def _stopped(made: Answer, sequences: Sequence[str]) -> Answer:
    """Cut before the first stop sequence of the text; what would have come after it doesn't come."""
    found = [(place, sequence) for sequence in sequences if sequence and (place := made.text.find(sequence)) >= 0]
    if not found:
        return made
    place, sequence = min(found)
    return replace(made, text=made.text[:place], call=None, stop="sequence", stop_sequence=sequence)


def _limited(made: Answer, most: int | None) -> Answer:
    """Cut at the output limit. A tool call comes whole or not at all."""
    if most is None or made.output_tokens <= most:
        return made
    thinking = cut_tokens(made.thinking, most)
    text = cut_tokens(made.text, max(0, most - count_tokens(thinking)))
    return Answer(text, thinking, None, "length")
