"""What is read of the ledger for advice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from router.advising.evidence import ENOUGH
from router.advising.past import Past, failure, read_past
from router.ledger.entry import AttemptRecord, Outcome
from router.ledger.reports import Reader
from router.ledger.writing import Begin, Record, Settle
from tests.advising import ledgers
from tests.advising.conftest import Study, look_into
from tests.advising.world import DAY_MS, HOUR_MS, NOW_MS, PRICES, Ask, load, question, serve, total, write


def some(count: int) -> list[Ask]:
    rng = Random(3)
    return [question(rng, NOW_MS - DAY_MS + number * 1000, f"c{number}", tools=2) for number in range(count)]


def read(folder: Path, records: list[Record], **more: int) -> Past:
    profile = load(folder / "work", ledgers.SOUND)
    write(folder / "router.db", records)
    period = {"since_ms": NOW_MS - 30 * DAY_MS, "until_ms": NOW_MS}
    return read_past(Reader(folder / "router.db"), profile, PRICES, **period | more)  # type: ignore[arg-type]


def made(folder: Path, asks: list[Ask]) -> list[Record]:
    return serve(asks, load(folder / "work", ledgers.SOUND))


def test_the_latest_are_looked_at(tmp_path: Path) -> None:
    asks = some(50)
    past = read(tmp_path, made(tmp_path, asks), most=20)
    assert [request.row.conversation for request in past.requests] == [ask.conversation for ask in asks[-20:]]
    assert past.since_ms == asks[-20].time_ms
    assert past.left_out


@pytest.mark.parametrize("most", [50, 51])
def test_all_are_looked_at_where_there_are_no_more(tmp_path: Path, most: int) -> None:
    past = read(tmp_path, made(tmp_path, some(50)), most=most)
    assert len(past.requests) == 50
    assert not past.left_out


def test_only_those_of_the_period_that_have_ended_and_generate(tmp_path: Path) -> None:
    asks = some(10)
    records = made(tmp_path, asks)
    for number, kind in ((0, "count"), (2, "embed")):
        begin = records[2 * number]
        assert isinstance(begin, Begin)
        records[2 * number] = Begin(replace(begin.intent, kind=kind))  # type: ignore[arg-type]
    other = records[2 * 4]
    assert isinstance(other, Begin)
    records[2 * 4] = Begin(replace(other.intent, profile="home"))
    del records[2 * 6 + 1]  # it is still open
    past = read(tmp_path, records, until_ms=asks[8].time_ms + 1)
    assert [request.row.conversation for request in past.requests] == ["c1", "c3", "c5", "c7", "c8"]


def test_a_request_is_read_anew_with_its_facts(tmp_path: Path) -> None:
    past = read(tmp_path, made(tmp_path, some(10)))
    chosen = past.requests[3:6]
    assert [request.row.facts for request in chosen] == [None] * 3
    rows = list(past.rows(chosen))
    assert [row.id for row in rows] == [request.row.id for request in chosen]
    assert all(row.facts and '"tool_1"' in row.facts for row in rows)


def test_what_is_the_same_in_all_requests_is_kept_once(tmp_path: Path) -> None:
    first, *others = read(tmp_path, made(tmp_path, some(10))).requests
    assert all(request.record["tools"] is first.record["tools"] for request in others)
    assert all(request.row.requested_model is first.row.requested_model for request in others)


def test_a_request_whose_facts_were_not_kept(tmp_path: Path) -> None:
    records = made(tmp_path, some(2))
    settle = records[1]
    assert isinstance(settle, Settle)
    records[1] = replace(settle, annotation=None)
    without, with_them = read(tmp_path, records).requests
    assert (without.facts, without.shape, dict(without.record)) == (None, None, {})
    assert with_them.shape is not None


CALL = AttemptRecord("", 1, "primary", "groq", "llama-3.3-70b-versatile", None, 0)


@pytest.mark.parametrize(
    ("outcome", "call", "expected"),
    [
        pytest.param("ok", CALL, False, id="an answer"),
        pytest.param("ok", replace(CALL, error_class="soft"), True, id="a failed call before it"),
        pytest.param("upstream-error", replace(CALL, error_class="rate"), True, id="a limit"),
        pytest.param("upstream-error", replace(CALL, error_class="auth"), None, id="a wrong key says nothing"),
        pytest.param("interrupted", replace(CALL, error_class="interrupted"), None, id="nor does our own end"),
        pytest.param("client-gone", CALL, None, id="nor a client that left"),
        pytest.param("ok", replace(CALL, role="draft", verdict="accepted"), False, id="an accepted draft"),
        pytest.param("ok", replace(CALL, role="draft", verdict="rejected"), True, id="a draft that was thrown away"),
        pytest.param("ok", replace(CALL, role="draft", error_class="server"), True, id="one that failed"),
    ],
)
def test_whether_a_target_failed(tmp_path: Path, outcome: Outcome, call: AttemptRecord, expected: bool | None) -> None:
    begin, settle = made(tmp_path, some(1))
    assert isinstance(settle, Settle)
    calls = (replace(call, request_id=settle.settlement.id),)
    (request,) = read(
        tmp_path, [begin, replace(settle, settlement=replace(settle.settlement, outcome=outcome), attempts=calls)]
    ).requests
    assert failure(request, request.calls[0]) is expected


@pytest.mark.slow
def test_requests_that_other_rules_decided_count_as_todays_would_have(tmp_path: Path) -> None:
    """In the first days the bound was another one."""
    asks = sorted(ledgers.threshold_asks(), key=lambda ask: ask.time_ms)
    old = [ask for ask in asks if ask.time_ms < NOW_MS - 4 * DAY_MS + HOUR_MS]
    before = load(tmp_path / "before" / "work", ledgers.THRESHOLD.replace("40_000", "9_000"))
    found = look_into(tmp_path / "now", ledgers.THRESHOLD, asks[len(old) :], records=serve(old, before))
    advice = found.only
    assert advice.kind == "threshold"
    now = serve(asks, found.profile)
    then = serve(asks, found.edited(advice))
    assert advice.saving_nano_usd == pytest.approx(total(now) - total(then), rel=0.03)


@pytest.mark.slow
def test_a_file_that_only_a_person_can_change(study: Study) -> None:
    rules = ledgers.SIBLING.replace("[[rule]]\n", "{ ").split("[default]")
    lines = [", ".join(rule.strip().splitlines()) for rule in rules[0].split("{ name") if rule.strip()]
    text = "rule = [\n" + "".join(f"  {{ name{line} }},\n" for line in lines) + f"]\n[default]{rules[1]}"
    found = study(text, ledgers.sibling_asks())
    assert len(found.past.requests) > ENOUGH
    assert found.found.advice == ()
    assert found.found.remarks == (
        "have anthropic/claude-haiku-4-5 take what questions → anthropic gets of that kind: rule can't be changed by a "
        "command as it is written here; edit the file by hand",
    )


@pytest.mark.slow
def test_what_nobody_asked_when_the_requests_came(study: Study, tmp_path: Path) -> None:
    """The words stand in the file for two days only."""
    asks = sorted(ledgers.sound_asks(), key=lambda ask: ask.time_ms)
    old = [ask for ask in asks if ask.time_ms < NOW_MS - 2 * DAY_MS]
    earlier = serve(old, load(tmp_path / "earlier" / "work", ledgers.SOUND))
    text = ledgers.SOUND + '\n[[rule]]\nname = "cheap"\nmatch = { keywords = ["low cost"] }\nto = "groq"\n'
    found = study(text, asks[len(old) :], records=earlier)
    assert found.found.advice == ()
    assert f"whether cheap → groq is for {len(old)} requests: nobody asked that when they came" in found.found.remarks
