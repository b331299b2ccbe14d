"""Whether an answer is about its question: the share of the question's words and names that it takes up."""

from __future__ import annotations

import re
from typing import Final

from router.routing.judging import words
from router.routing.judging.check import Check
from router.routing.judging.draft import Draft, Question
from router.routing.judging.prose import Prose, word_count

_MOST_TERMS: Final = 40
_LOOKED_AT: Final = 60_000  # characters of an answer
_LONGEST_QUESTION: Final = 20_000
_ARGUMENTS: Final = 4_000  # characters of a call's arguments
_TELLING: Final = 60  # words: only an answer of this length must take up a fair share
_SHARE: Final = 0.3
_WORDS_FOR_ONE: Final = 15  # words of an answer for each word of the question that it must take up at most
_TOO_SHORT: Final = 15

_TOKEN: Final = re.compile(r"\w[\w./\\:@#+-]*")
_NAME: Final = re.compile(r"\w[._/\\:-]+\w|[a-z][A-Z]|_|[A-Za-z][0-9]|^[A-Z][A-Z0-9+#]+$")
_SPACELESS: Final = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
_SCRIPTS: Final = {
    "Latin": re.compile("[A-Za-z\u00c0-\u024f]"),
    "Cyrillic": re.compile("[\u0400-\u052f]"),
    "Greek": re.compile("[\u0370-\u03ff]"),
    "Hebrew": re.compile("[\u0590-\u05ff]"),
    "Arabic": re.compile("[\u0600-\u06ff]"),
    "Devanagari": re.compile("[\u0900-\u097f]"),
    "Thai": re.compile("[\u0e00-\u0e7f]"),
    "Hangul": re.compile("[\uac00-\ud7af]"),
    "Chinese or Japanese": _SPACELESS,
}


def topic_check(question: Question, draft: Draft, prose: Prose) -> Check | None:
    """The share of the question's salient words, file names and identifiers that are answered or acted on.

    A translation shares no words with its question, a short answer few, and a call after results of tools follows
    those, not the question.
    """
    asked = question.asked
    if question.output is not None or words.TRANSLATES.search(asked) or words.CREATES.search(asked):
        return None
    if draft.calls:
        return None if question.results_last else _topic_of_calls(question, draft, prose)
    length = prose.words
    if length < _TOO_SHORT:
        return None
    weight = 0.6 * min(1.0, length / _TELLING)
    if (script := _foreign_script(question.text[:_LONGEST_QUESTION], prose.said)) is not None:
        return Check("topic", 0.0, weight, f"written in {script} letters, the question isn't")
    terms = salient(question.text)
    if len(terms) < 3:
        return None
    weighed, met = _met(terms, prose.text[:_LOOKED_AT])
    needed = min(_SHARE * sum(terms.values()), length / _WORDS_FOR_ONE) * (0.5 if question.messages > 1 else 1.0)
    reason = f"takes up {met} of the question's {len(terms)} salient words"
    score = 0.5 + 0.5 * min(1.0, weighed / needed) if met else 0.0
    return Check("topic", score, weight, reason)


def _topic_of_calls(question: Question, draft: Draft, prose: Prose) -> Check | None:
    terms = salient(question.text)
    if len(terms) < 3:
        return None
    texts = [prose.text[:_ARGUMENTS]]
    for call in draft.calls[:20]:
        texts += [call.name, call.arguments[:_ARGUMENTS]]
    _, met = _met(terms, "\n".join(texts))
    if met:
        return Check("topic", 1.0, 0.3, f"acts on {met} of the question's {len(terms)} salient words")
    return Check("topic", 0.5, 0.3, "acts on none of the question's salient words")


def _met(terms: dict[str, int], text: str) -> tuple[int, int]:
    """The weight of the terms that a text holds, and their number."""
    text = text.lower()
    met = [weight for term, weight in terms.items() if term in text]
    return sum(met), len(met)


def salient(text: str) -> dict[str, int]:
    """The words and names of a question that an answer would take up, each with its weight: a name counts double.

    Words are cut to their first letters, so that other forms of them are met as well.
    """
    found: dict[str, int] = {}
    text = text if len(text) <= 6_000 else f"{text[:3_000]}\n{text[-3_000:]}"
    for match in _TOKEN.finditer(text):
        token = match[0].strip("./\\:@-+#")
        if _NAME.search(token) and len(token) <= 80:
            found[_stem_of_name(token)] = 2
        elif (pairs := _SPACELESS.search(token)) is not None:
            for at in range(0, min(len(pairs[0]) - 1, 20), 2):
                found[pairs[0][at : at + 2]] = 1
        elif len(token) >= 4 and not token.isdigit() and token.lower() not in words.STOP_WORDS:
            found[token.lower()[:5]] = 1
    if len(found) <= _MOST_TERMS:
        return found
    terms = list(found.items())
    return dict(terms[: _MOST_TERMS // 2] + terms[-_MOST_TERMS // 2 :])


def _stem_of_name(name: str) -> str:
    """A path is met by its last part, a file's name without its ending."""
    last = re.split(r"[/\\]", name.lower())[-1]
    stem = last.rsplit(".", 1)[0] if re.fullmatch(r".{2,}\.[a-z]\w{0,5}", last) else last
    return stem or name.lower()


def _foreign_script(question: str, answer: str) -> str | None:
    """The script that most of an answer is written in, where the question has none of it."""
    head = answer[:4_000]
    sizes = {name: sum(map(len, pattern.findall(head))) for name, pattern in _SCRIPTS.items()}
    sizes["Chinese or Japanese"] *= 3  # letters that their words would have elsewhere
    script, size = max(sizes.items(), key=lambda item: item[1])
    if size < 20 or size < 0.6 * sum(sizes.values()) or _SCRIPTS[script].search(question):
        return None
    return script if word_count(question) >= 3 else None
