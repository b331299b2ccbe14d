"""What an answer's text says: nothing, a refusal, doubts, too little, the same again, or only what comes next."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from router.routing.judging import words
from router.routing.judging.check import Check, counted, fatal
from router.routing.judging.draft import Draft, Question
from router.routing.judging.prose import Prose, word_count

_SUBSTANCE: Final = 60  # words beside a refusal that make up for it


def refusal_check(question: Question, draft: Draft, prose: Prose) -> Check | None:
    """Whether the whole answer is about not answering. Only what is said at the beginning counts, outside of code and
    quotations, and not where the question speaks of refusing itself."""
    if draft.refusal:
        return fatal("refusal", "the provider says that the model refused")
    if draft.calls or not prose.sentences:
        return None
    refusing = [words.REFUSES.search(sentence) is not None for sentence in prose.sentences]
    if not any(refusing[:3]) or words.REFUSES.search(question.asked):
        return Check("refusal", 1.0, 0.9, "doesn't refuse")
    rest = sum(
        word_count(sentence)
        for sentence, refuses in zip(prose.sentences, refusing, strict=True)
        if not refuses and not words.PADS.search(sentence)
    )
    rest += prose.code_words
    return Check("refusal", min(1.0, rest / _SUBSTANCE), 0.9, f"refuses, with {counted(rest, 'word')} beside it")


def hedging_check(draft: Draft, prose: Prose) -> Check | None:
    """How much doubt there is for so many words. A little is honest."""
    if draft.calls or not prose.sentences:
        return None
    doubts = sum(1 for _ in words.DOUBTS.finditer(prose.own_words))
    unknowing = sum(1 for _ in words.UNKNOWING.finditer(prose.own_words))
    signs = doubts + 3 * unknowing
    if signs < 3:
        return Check("hedging", 1.0, 0.6, f"{counted(signs, 'sign')} of doubt")
    length = word_count(prose.own_words) + prose.code_words
    share = 100 * signs / max(length, 1)
    reason = f"{counted(doubts + unknowing, 'sign')} of doubt in {counted(length, 'word')}"
    return Check("hedging", _between(share, worst=8, best=3), 0.6, reason)


# --- length -----------------------------------------------------------------------------------------------------------

_LENGTH: Final = 0.6


def length_check(question: Question, draft: Draft, prose: Prose) -> Check | None:
    """Length against what the question wants: a word, an explanation, code, so many things. Calls may go without text,
    JSON is as long as it is, and after results of tools a short report is enough."""
    if draft.calls or question.output is not None or not prose.holds_something:
        return None
    asked = question.asked
    length = prose.words
    if words.BRIEF.search(asked):
        most = 150
        reason = f"{counted(length, 'word')} where little was asked for"
        return Check("length", min(1.0, most / max(length, 1)), _LENGTH, reason)
    if not question.results_last:
        numbered = words.NUMBERED.search(asked)
        if numbered and (wanted := int(words.NUMBERS.get(numbered["number"], numbered["number"]))) and wanted > 1:
            found = _things(prose.text)
            if found < wanted:
                return Check("length", found / wanted, _LENGTH, f"{found} of {wanted} things that were asked for")
        if words.WRITES_CODE.search(asked) and not question.tools and not _holds_code(prose):
            return Check("length", 0.2, _LENGTH, "code was asked for and there is none")
    wanted = _words_wanted(question, asked)
    reason = f"{counted(length, 'word')} where about {wanted} or more are due"
    return Check("length", min(1.0, length / wanted), _LENGTH, reason)


def _words_wanted(question: Question, asked: str) -> int:
    if question.results_last:
        return 4
    if words.AT_LENGTH.search(asked):
        return 60
    if words.EXPLAINS.search(asked):
        return 25
    if words.WRITES_CODE.search(asked):
        return 8
    return 1


def _things(text: str) -> int:
    """How many things a text lists: points, rows of a table, lines, or what commas separate."""
    text = text[:20_000]
    points = len(re.findall(r"^[ \t]*(?:[-*•]|\d{1,3}[.)])\s", text, re.MULTILINE))
    rows = len(re.findall(r"^[ \t]*\|", text, re.MULTILINE)) - 2
    lines = sum(1 for line in text.splitlines() if line.strip())
    return max(points, rows, lines, text.count(",") + text.count("、") + 1)


_CODE: Final = re.compile(
    r"^(?: {4}|\t)\S|[;{}][ \t]*$|\w\([^()\n]{0,200}\)|=>|:=|^[ \t]*(?:def|class|func|fn|select|import) ",
    re.MULTILINE | re.IGNORECASE,
)


def _holds_code(prose: Prose) -> bool:
    return bool(prose.blocks) or "`" in prose.said or _CODE.search(prose.said[:4000]) is not None


# --- repetition -------------------------------------------------------------------------------------------------------

_AGAIN: Final = 5
_TAIL: Final = 1_500


def repetition_check(question: Question, draft: Draft, prose: Prose) -> Check | None:
    """Whether the text runs in circles: one sentence again and again, or an end that repeats itself."""
    if not prose.text.strip():
        return None
    counts = Counter(sentence for sentence in prose.sentences if len(sentence) >= 25)
    sentence, times = counts.most_common(1)[0] if counts else ("", 0)
    total = sum(len(sentence) for sentence in prose.sentences)
    asked = question.asked
    again = 3 * _AGAIN if words.CREATES.search(asked) else _AGAIN
    if (
        times >= again
        and times * len(sentence) > 0.4 * total
        and (sentence.strip(".!? \"'") not in asked or "?" in sentence)
    ):
        return Check("repetition", 0.0, 0.9, f"says one sentence {times} times")
    if (times := period(prose.said)) >= again:
        return Check("repetition", 0.0, 0.9, f"ends with the same words {times} times")
    return Check("repetition", 1.0, 0.9, "doesn't repeat itself")


def period(text: str) -> int:
    """How many times the end of a text repeats itself; only repetitions with letters in them, of some length."""
    tail = text.rstrip()[-_TAIL:]
    for size in (60, 16):
        end = tail[-size:]
        before = tail.rfind(end, 0, len(tail) - 1)
        if len(end) < size or before < 0:
            continue
        step = len(tail) - size - before
        unit = tail[len(tail) - step :]
        if not re.search(r"[^\W\d_]{2}", unit):
            continue
        times = 1
        while tail.endswith(unit, 0, len(tail) - times * step):
            times += 1
        if times * step >= 150:
            return times
    return 0


# --- acting -----------------------------------------------------------------------------------------------------------

_LONGEST_QUESTION: Final = 20_000
_TEMPLATE: Final = re.compile(r"<\|[a-zA-Z_]{2,30}\|>|\[/?INST\]|<(?:start|end)_of_turn>|</?think(?:ing)?>|<<SYS>>")
_CALL_TEXT: Final = re.compile(
    r"</?tool_call>|<function[=_ ]\w|<\|?tool_calls?|<invoke |\[TOOL_CALLS\]|<｜tool|</?tool_use>|<tool_code>"
    r"|<function_calls>"
)


def form_check(question: Question, draft: Draft, prose: Prose) -> Check | None:
    """Marks of a chat template, or of a tool call, in the text: the model or its server has lost its form."""
    if not prose.said.strip():
        return None
    said = prose.ends
    asked = question.text[:_LONGEST_QUESTION]
    if question.tools and _CALL_TEXT.search(said) and not _CALL_TEXT.search(asked):
        return fatal("form", "a tool call is written as text")
    if _TEMPLATE.search(said) and not _TEMPLATE.search(asked):
        return Check("form", 0.0, 0.7, "marks of a chat template stand in the text")
    return None


def ending_check(question: Question, draft: Draft, prose: Prose) -> Check | None:
    """Whether a text that is said to be whole breaks off in the middle of a sentence."""
    if draft.calls or draft.stop != "end" or prose.words < 20 or question.output is not None:
        return None
    if words.HANGS.search(prose.text[-100:].rstrip().lower()):
        return Check("ending", 0.0, 0.5, "breaks off in the middle of a sentence")
    return None


def action_check(question: Question, draft: Draft, prose: Prose) -> Check | None:
    """Whether an answer only talks where tools are there to act with: it announces what comes next and ends, or tells
    the person how to do what was ordered."""
    if not question.tools or draft.calls or not prose.sentences or question.output is not None:
        return None
    if question.tool_choice is not None and question.tool_choice.mode == "none":
        return None
    last = prose.sentences[-1]
    if prose.said.rstrip().endswith((":", "：")) and not prose.text.rstrip().endswith("```"):
        return Check("action", 0.0, 0.6, "ends with a colon, and nothing follows")
    if words.ANNOUNCES.search(last) and not words.CONDITIONAL.search(last):
        return Check("action", 0.0, 0.6, "announces what comes next, and ends")
    if not question.results_last and words.ACTS.search(question.asked) and "?" not in prose.said[-200:]:
        return Check("action", 0.2, 0.6, "was told to do something, and calls no tool")
    return Check("action", 1.0, 0.6, "an answer, not an announcement")


# --- small ------------------------------------------------------------------------------------------------------------


def _between(value: float, *, worst: float, best: float) -> float:
    """0 at the worst, 1 at the best, in between in proportion."""
    return min(1.0, max(0.0, (value - worst) / (best - worst)))
