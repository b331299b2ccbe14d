"""The judgement of a draft: all checks, and the score they come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Final

from router.routing.judging.calls import (
    call_as_text,
    placeholder_check,
    read_calls,
    repeated_calls_check,
    risk_check,
    tools_check,
    writing_check,
    written_files,
)
from router.routing.judging.check import Check, counted, fatal
from router.routing.judging.code import code_check
from router.routing.judging.draft import Draft, Question
from router.routing.judging.prose import Prose
from router.routing.judging.structure import json_check
from router.routing.judging.texts import (
    action_check,
    ending_check,
    form_check,
    hedging_check,
    length_check,
    refusal_check,
    repetition_check,
)
from router.routing.judging.topic import topic_check

__all__ = ["Check", "Judgement", "judge"]

_SMALL_LIMIT: Final = 256
"""Tokens. A client that asks for no more wants the beginning of an answer; another model would be cut there, too."""

_LARGEST: Final = 8_000_000  # characters
_MOST_CALLS: Final = 200


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a draft is worth: the product of what its checks leave of 1. ``fatal`` is the reason of a check after which
    nothing else matters; the score is then 0."""

    score: float
    checks: tuple[Check, ...]
    fatal: str | None

    def accepted(self, threshold: float) -> bool:
        """Whether the draft may be sent to the client."""
        return self.fatal is None and self.score >= threshold


def judge(question: Question, draft: Draft, *, risky_tools: Sequence[str] = ()) -> Judgement:
    """Judge a draft; ``risky_tools`` are globs (upper and lower case differ) of tools that it may not call."""
    if (check := _size_check(draft)) is not None:
        return Judgement(0.0, (check,), check.reason)
    prose = Prose("\n\n".join(draft.texts))
    calls = read_calls(question, draft)
    found = (
        _stop_check(question, draft),
        _content_check(draft, prose),
        refusal_check(question, draft, prose),
        tools_check(question, draft, calls),
        risk_check(calls, risky_tools),
        repeated_calls_check(question, draft),
        placeholder_check(calls) or writing_check(calls),
        form_check(question, draft, prose) or call_as_text(question, prose),
        ending_check(question, draft, prose),
        action_check(question, draft, prose),
        json_check(question, draft, prose),
        code_check(prose.blocks, written_files(calls), question.text),
        hedging_check(draft, prose),
        length_check(question, draft, prose),
        topic_check(question, draft, prose),
        repetition_check(question, draft, prose),
    )
    checks = tuple(check for check in found if check is not None)
    first = next((check.reason for check in checks if check.fatal), None)
    score = 0.0 if first is not None else round(prod(check.factor for check in checks), 4)
    return Judgement(score, checks, first)


def _size_check(draft: Draft) -> Check | None:
    if len(draft.calls) > _MOST_CALLS:
        return fatal("size", f"makes {len(draft.calls)} calls, too many to be looked at")
    if sum(map(len, draft.texts)) + sum(len(call.arguments) for call in draft.calls) > _LARGEST:
        return fatal("size", "too large to be looked at")
    return None


def _stop_check(question: Question, draft: Draft) -> Check:
    match draft.stop:
        case None:
            return fatal("stop", "broke off")
        case "max-tokens":
            limit = question.max_tokens
            if limit is not None and limit <= _SMALL_LIMIT and not draft.calls:
                return Check("stop", 1.0, 1.0, f"ended at the client's own small limit of {counted(limit, 'token')}")
            return fatal("stop", "cut at the limit of output")
        case "context-window":
            return fatal("stop", "cut because the context window was full")
        case "refusal":
            return fatal("stop", "the provider says that the model refused")
        case "pause":
            return fatal("stop", "paused before its end")
        case "stop-sequence":
            return Check("stop", 1.0, 1.0, "ended at a stop sequence of the client's")
        case "end" | "tool-use":
            return Check("stop", 1.0, 1.0, "ended by itself")


def _content_check(draft: Draft, prose: Prose) -> Check:
    if draft.calls or draft.refusal or prose.holds_something:
        held = [counted(prose.words, "word")] if prose.holds_something else []
        held += [counted(len(draft.calls), "tool call")] if draft.calls else []
        return Check("content", 1.0, 1.0, f"holds {' and '.join(held) or 'a refusal'}")
    return fatal("content", "holds nothing but thinking" if draft.thinking else "holds neither words nor a tool call")
