"""The labelled drafts of ``tests/data/drafts``, and how well they are judged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from router.routing.judging import Draft, Judgement, Question, judge
from router.wire.conversation import OutputFormat, Tool, ToolCall, ToolChoice
from router.wire.usage import Usage

FOLDER = Path(__file__).resolve().parents[1] / "data" / "drafts"
HALVES = ("development", "held-out")
THRESHOLDS = (0.6, 0.7, 0.8)


@dataclass(frozen=True, slots=True)
class Case:
    """One labelled draft."""

    id: str
    kind: str
    accept: bool
    half: str
    why: str
    question: Question
    draft: Draft
    risky_tools: tuple[str, ...]

    def judged(self) -> Judgement:
        return judge(self.question, self.draft, risky_tools=self.risky_tools)


@dataclass(frozen=True, slots=True)
class Share:
    """How many of some drafts are accepted."""

    accepted: int
    all: int

    def __str__(self) -> str:
        return f"{self.accepted}/{self.all}"


def cases(folder: Path = FOLDER) -> list[Case]:
    """All of them, good kinds first, in the order of their files."""
    tools = json.loads((folder / "tools.json").read_text("utf-8"))
    files = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*-*.json"))]
    files.sort(key=lambda file: not file["accept"])
    return [_case(file, case, tools) for file in files for case in file["cases"]]


def shares(judged: Iterable[tuple[Case, Judgement]], threshold: float) -> Share:
    """The share that this threshold accepts."""
    accepted = [judgement.accepted(threshold) for _, judgement in judged]
    return Share(sum(accepted), len(accepted))


def by_kind(judged: Iterable[tuple[Case, Judgement]]) -> dict[tuple[bool, str], list[tuple[Case, Judgement]]]:
    """Grouped by label and kind."""
    found: dict[tuple[bool, str], list[tuple[Case, Judgement]]] = {}
    for case, judgement in judged:
        found.setdefault((case.accept, case.kind), []).append((case, judgement))
    return found


def table(judged: list[tuple[Case, Judgement]]) -> Iterator[list[str]]:
    """The table of docs/cascade.md: for each kind, then for all good and all bad ones, the share accepted at each
    threshold by half."""
    rows = [(accept, kind, group) for (accept, kind), group in by_kind(judged).items()]
    for accept, word in ((True, "all that should be"), (False, "all that should not be")):
        rows.append((accept, word, [each for each in judged if each[0].accept is accept]))
    for accept, kind, group in rows:
        cells = [kind, "yes" if accept else "no"]
        for half in HALVES:
            members = [each for each in group if each[0].half == half]
            cells += [str(shares(members, threshold)) for threshold in THRESHOLDS]
        yield cells


def _case(file: Mapping[str, Any], case: Mapping[str, Any], tools: Mapping[str, list[dict[str, Any]]]) -> Case:
    asked, draft = case["question"], case["draft"]
    output, choice = asked.get("output"), asked.get("tool_choice")
    tokens = draft.get("output_tokens")
    return Case(
        id=case["id"],
        kind=file["kind"],
        accept=file["accept"],
        half=case["half"],
        why=case["why"],
        question=Question(
            text=asked["text"],
            tools=tuple(Tool(**tool) for tool in tools[asked["tools"]]) if "tools" in asked else (),
            tool_choice=ToolChoice(**choice) if choice else None,
            output=OutputFormat(**output) if output is not None else None,
            messages=asked.get("messages", 1),
            results_last=asked.get("results_last", False),
            earlier_calls=_calls(asked.get("earlier_calls", [])),
            max_tokens=asked.get("max_tokens"),
        ),
        draft=Draft(
            texts=tuple(draft["texts"]),
            calls=_calls(draft["calls"]),
            stop=draft["stop"],
            refusal=draft.get("refusal", ""),
            usage=Usage(output=tokens) if tokens else None,
        ),
        risky_tools=tuple(asked.get("risky_tools", ())),
    )


def _calls(calls: list[dict[str, Any]]) -> tuple[ToolCall, ...]:
    return tuple(ToolCall(id=f"call_{number}", **call) for number, call in enumerate(calls))
