"""What is judged: a draft, and the question it is measured by; both read from the neutral request and reply."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from router.wire.conversation import Conversation, OutputFormat, Text, Tool, ToolCall, ToolChoice, ToolResult, Turn
from router.wire.events import (
    MessageEnd,
    RefusalDelta,
    Stop,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)
from router.wire.pieces import without_reminders
from router.wire.usage import Usage

_MOST_EARLIER: Final = 8
_ASKED: Final = 600


@dataclass(frozen=True, slots=True)
class Question:
    """What a client asked for, as far as an answer's form can be measured by it.

    ``text`` is the latest human text. ``output`` says that JSON was asked for, and its schema. ``results_last``: the
    last turn holds results of tools. ``earlier_calls`` are the assistant's latest calls, oldest first. ``max_tokens``
    is the client's own limit.
    """

    text: str = ""
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    output: OutputFormat | None = None
    messages: int = 1
    results_last: bool = False
    earlier_calls: tuple[ToolCall, ...] = ()
    max_tokens: int | None = None

    @property
    def asked(self) -> str:
        """The beginning and the end of the text, where a question says what it wants; lower-case."""
        text = self.text.strip()
        text = text if len(text) <= 2 * _ASKED else f"{text[:_ASKED]}\n{text[-_ASKED:]}"
        return text.lower().replace("’", "'")

    @classmethod
    def of(cls, conversation: Conversation) -> Question:
        """The question that a conversation ends with."""
        turns = conversation.turns
        return cls(
            text=_latest_human_text(turns),
            tools=conversation.tools,
            tool_choice=conversation.tool_choice,
            output=conversation.settings.output,
            messages=sum(turn.role != "system" for turn in turns),
            results_last=_results_last(turns),
            earlier_calls=_earlier_calls(turns),
            max_tokens=conversation.settings.max_tokens,
        )


@dataclass(frozen=True, slots=True)
class Draft:
    """A whole answer. ``stop`` is ``None`` where it broke off; ``refusal`` is what the provider marked as one."""

    texts: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    stop: Stop | None = "end"
    refusal: str = ""
    thinking: bool = False
    usage: Usage | None = None

    @classmethod
    def of(cls, events: Iterable[StreamEvent]) -> Draft:
        """The answer that these events tell."""
        texts: list[list[str]] = []
        calls: list[tuple[ToolCallStart, list[str]]] = []
        refusal: list[str] = []
        stop: Stop | None = None
        thinking, usage, in_text = False, None, False
        for event in events:
            match event:
                case TextDelta(text):
                    if not in_text:
                        texts.append([])
                    texts[-1].append(text)
                case ToolCallStart():
                    calls.append((event, []))
                case ToolCallDelta(text):
                    calls[-1][1].append(text)
                case RefusalDelta(text):
                    refusal.append(text)
                case ThinkingDelta():
                    thinking = True
                case UsageReport(report):
                    usage = report
                case MessageEnd(reason):
                    stop = reason
                case _:
                    pass
            in_text = isinstance(event, TextDelta)
        return cls(
            texts=tuple("".join(pieces) for pieces in texts),
            calls=tuple(
                ToolCall(start.id, start.name, "".join(pieces), start.custom, start.namespace)
                for start, pieces in calls
            ),
            stop=stop,
            refusal="".join(refusal),
            thinking=thinking,
            usage=usage,
        )


def _latest_human_text(turns: tuple[Turn, ...]) -> str:
    """What a person, or the agent in a person's place, said last; results of tools may have followed."""
    for turn in reversed(turns):
        if turn.role == "user":
            typed = [without_reminders(part.text).strip() for part in turn.parts if isinstance(part, Text)]
            if text := "\n\n".join(filter(None, typed)):
                return text
    return ""


def _results_last(turns: tuple[Turn, ...]) -> bool:
    for turn in reversed(turns):
        if turn.role == "assistant":
            return False
        if any(isinstance(part, ToolResult) for part in turn.parts):
            return True
    return False


def _earlier_calls(turns: tuple[Turn, ...]) -> tuple[ToolCall, ...]:
    """The latest calls since a person spoke."""
    found: list[ToolCall] = []
    for turn in reversed(turns):
        if turn.role == "user" and any(
            isinstance(part, Text) and without_reminders(part.text).strip() for part in turn.parts
        ):
            break
        if turn.role == "assistant":
            found += [part for part in reversed(turn.parts) if isinstance(part, ToolCall)]
        if len(found) >= _MOST_EARLIER:
            break
    return tuple(reversed(found[:_MOST_EARLIER]))
