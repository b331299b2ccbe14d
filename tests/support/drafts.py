"""The labelled drafts of ``tests/data/drafts``, and how well they are judged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from router.routing.judging import Draft, Judgement, Question, judge
from router.wire.conversation import OutputFormat, Tool, ToolCall, ToolChoice
from router.wire.usage import Usage

FOLDER = Path(__file__).resolve().parents[1] / "data" / "drafts"
HALVES = ("development", "held-out")
THRESHOLDS = (0.6, 0.7, 0.8)
BEGIN, END = "<!-- table: scripts/judge-drafts --write -->", "<!-- end of table -->"


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


Judged = tuple[Case, Judgement]


def cases(folder: Path = FOLDER) -> list[Case]:
    """All of them, good kinds first, in the order of their files."""
    tools = json.loads((folder / "tools.json").read_text("utf-8"))
    files = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*-*.json"))]
    files.sort(key=lambda file: not file["accept"])
    return [_case(file, case, tools) for file in files for case in file["cases"]]


def judged() -> list[Judged]:
    """All of them with their judgements."""
    return [(case, case.judged()) for case in cases()]


HEADINGS = ("drafts", "should pass", *(f"{half} {threshold}" for half in HALVES for threshold in THRESHOLDS))


def rows(judged: list[Judged]) -> Iterator[list[str]]:
    """For each kind, then for all good and all bad ones: how many are accepted, by half and threshold."""
    kinds = dict.fromkeys((case.accept, case.kind) for case, _ in judged)
    groups = [(*kind, [each for each in judged if (each[0].accept, each[0].kind) == kind]) for kind in kinds]
    for accept, name in ((True, "all good ones"), (False, "all bad ones")):
        groups.append((accept, name, [each for each in judged if each[0].accept is accept]))
    for accept, name, group in groups:
        row = [name, "yes" if accept else "no"]
        for half in HALVES:
            members = [judgement for case, judgement in group if case.half == half]
            row += [f"{accepted(members, threshold)}/{len(members)}" for threshold in THRESHOLDS]
        yield row


def accepted(judgements: Iterable[Judgement], threshold: float) -> int:
    """How many this threshold accepts."""
    return sum(judgement.accepted(threshold) for judgement in judgements)


def with_table(page: str, judged: list[Judged]) -> str:
    """A page of the documentation with the table between its marks as it is now."""
    lines = [HEADINGS, ["---"] * 2 + ["---:"] * (len(HEADINGS) - 2), *rows(judged)]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    before, mark, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (mark and end):
        raise ValueError(f"the page has no marks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table}{END}{after}"


def figures(judged: list[Judged]) -> list[dict[str, Any]]:
    """Each draft with its judgement, as plain data."""
    return [
        {
            "id": case.id,
            "kind": case.kind,
            "half": case.half,
            "accept": case.accept,
            "score": judgement.score,
            "fatal": judgement.fatal,
            "checks": [asdict(check) for check in judgement.checks],
        }
        for case, judgement in judged
    ]


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
