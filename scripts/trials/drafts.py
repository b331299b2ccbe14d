"""The part of the provider that drafts in a cascade, and what must have come of its drafts.

``Drafts.answer`` is what that provider says: every other time what the script says, else something that the router must
reject. Nothing of that may reach the agent, and so come back in a later request: a word in it would tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count, cycle
from typing import Any, Final

from router.server.demo.answer import Answer, Question, ToolCall
from trials.script import Script, reader_among

CANARY: Final = "quincunx"
"""A word of every bad draft, and of nothing else."""
DRAFT_PRICE: Final = 1
"""USD per million tokens of input; a token of output costs five times as much."""
TIMES_DEARER: Final = 3
"""What the verifier costs in drafts."""

Fields = Mapping[str, Any]


class Drafts:
    """The drafts of one trial."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._asked = count()
        self._bad = cycle((_refusal, _wrong_arguments, _unknown_tool))

    def answer(self, question: Question) -> Answer:
        """See the module."""
        if next(self._asked) % 2:
            return self._script.answer(question)
        self._script.note(question)
        return next(self._bad)(question)


def _refusal(question: Question) -> Answer:
    return Answer(f"I'm sorry, but I can't help with that. {CANARY}.")


def _wrong_arguments(question: Question) -> Answer:
    reader = reader_among(question.options.functions)
    if reader is None:
        return _refusal(question)
    return Answer(f"I read a {CANARY}.", "", ToolCall(reader.name, {CANARY: 1}), "tool")


def _unknown_tool(question: Question) -> Answer:
    return Answer("", "", ToolCall(f"open_{CANARY}", {}), "tool")


def draft_problems(requests: Sequence[Fields], total: Fields) -> list[str]:
    """What is wrong with a trial's requests, as `router requests show --json` shows them: their calls aren't those of a
    cascade, the sums don't agree, or no draft was accepted, or none rejected. ``total`` is that of `router usage`."""
    found = dict.fromkeys(
        f"{problem} ({request['id'][:14]})" for request in requests for problem in _problems_of(request)
    )
    verdicts = [call["verdict"] for request in requests for call in request["calls"] if call["role"] == "draft"]
    problems = [*found, *(f"no draft was {verdict}" for verdict in ("accepted", "rejected") if verdict not in verdicts)]
    told = {name: total[name] for name in ("requests", "cost_nano_usd", "drafts", "drafts_rejected")}
    cost = sum(request["cost_nano_usd"] or 0 for request in requests)
    counted = dict(zip(told, (len(requests), cost, len(verdicts), verdicts.count("rejected")), strict=True))
    return problems if told == counted else [*problems, f"the report says {told} of {counted}"]


def _problems_of(request: Fields) -> Iterator[str]:
    calls = request["calls"]
    made = [(call["role"], call["verdict"]) for call in calls]
    if made not in ([("draft", "accepted")], [("draft", "rejected"), ("verifier", None)]):
        yield f"its calls are {made}"
        return
    if sum(call["cost_nano_usd"] or 0 for call in calls) != request["cost_nano_usd"]:
        yield "it doesn't cost what its calls do"
    served, draft = calls[-1], calls[0]
    if any(request[kind] != served[kind] for kind in ("input", "cache_read", "cache_write", "output")):
        yield "its tokens aren't those of the call that answered"
    saved = draft["cost_nano_usd"] * (TIMES_DEARER - 1 if draft["verdict"] == "accepted" else -1)
    if not draft["cost_nano_usd"] or draft["saving_nano_usd"] != saved:
        yield f"a draft of {draft['cost_nano_usd']} nano-dollars saved {draft['saving_nano_usd']}, not {saved}"
