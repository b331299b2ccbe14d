"""A line for every request, whole or not at all, in files that don't grow for ever."""

from __future__ import annotations

import asyncio
import os
import re
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from router.ledger.entry import Verdict
from router.server import request_log as module
from router.server.request_log import RequestLog, is_logged, request_line
from router.wire.events import StreamEvent
from router.wire.usage import Usage
from tests.server.test_cascade import BAD, GOOD, asked, world
from tests.support.records import made
from tests.support.saying import saying


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


async def test_lines_gather_and_are_written_together(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLUSH_S", 0.02)
    log = RequestLog(folder)
    for number in range(5):
        log.write("work", f"line {number}")
        log.write("home", f"other {number}")
    assert not list(folder.iterdir())
    async with asyncio.timeout(10):
        while not (folder / "home.log").exists():
            await asyncio.sleep(0.005)
    assert (folder / "work.log").read_text() == "".join(f"line {number}\n" for number in range(5))
    assert (folder / "home.log").read_text().count("\n") == 5
    log.write("work", "later")
    log.close()
    assert (folder / "work.log").read_text().endswith("line 4\nlater\n")


async def test_files_are_the_users_own_and_links_are_not_followed(folder: Path) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.write_text("precious")
    (folder / "linked.log").symlink_to(elsewhere)
    before = os.umask(0)
    try:
        log = RequestLog(folder)
        log.write("work", "x")
        log.write("linked", "x")
        log.close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "work.log").stat().st_mode) == 0o600
    assert elsewhere.read_text() == "precious"
    assert log.dropped == 1


async def test_control_characters_are_made_visible(folder: Path) -> None:
    log = RequestLog(folder)
    log.write("work", "a\nb\r\x1b[31m\x00\u2028ü字")
    log.close()
    assert (folder / "work.log").read_text() == "a\\x0ab\\x0d\\x1b[31m\\x00\\x2028ü字\n"


async def test_files_are_rotated_and_the_oldest_dropped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    log = RequestLog(folder)
    for number in range(20):
        log.write("work", f"{number:03} " + "x" * 110)
        log.flush()
    names = sorted(path.name for path in folder.iterdir())
    assert names == [f"work.log.{number}" for number in range(1, module.KEPT_FILES + 1)]
    assert [(folder / name).read_text()[:3] for name in names] == ["019", "018", "017", "016", "015"]
    assert log.dropped == 0


async def test_what_cannot_be_written_is_counted_and_told_on_the_console(folder: Path) -> None:
    (folder / "work.log").mkdir()
    told: list[str] = []
    log = RequestLog(folder, console=told.append)
    log.write("work", "lost")
    log.write("home", "kept")
    log.flush()
    assert log.dropped == 1
    assert (folder / "home.log").read_text() == "kept\n"
    assert sorted(told) == ["kept\n", "lost\n"]
    (folder / "work.log").rmdir()
    log.write("work", "again")
    log.close()
    assert (folder / "work.log").read_text() == "again\n"


async def test_a_write_that_stops_half_way_is_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[: len(data) // 2]))
    log = RequestLog(folder)
    log.write("work", "x" * 100)
    log.close()
    assert log.dropped == 1


LINE = re.compile(
    r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z id=[0-9a-f]{32} profile=\S+ rule="[^"]*" reason="[^"]*" client=\S+ '
    r"model=\S+->\S+ provider=\S+ status=\S+ outcome=\S+ error=\S+ in=\S+ cached=\S+ written=\S+ out=\S+ "
    r"cost=\S+ first=\S+ total=\S+ms attempts=\d+"
)


@pytest.mark.parametrize(
    "model", ["m", "", "a b", "x outcome=ok cost=$0", 'a"b', "\u2003wide", "ü字", "tab\there", "a\x00b"]
)
def test_a_clients_words_never_look_like_other_fields(model: str) -> None:
    one = made(requested_model=model)
    line = request_line(one.begin.intent, one.settle.settlement, one.settle.attempts)
    assert LINE.fullmatch(line)
    assert line.count("outcome=") == 1 + model.count("outcome=")
    assert " outcome=ok cost=$0 " not in line


def test_a_reason_with_quotes_ends_where_it_ends() -> None:
    one = made(reason='rule[2] keywords="slow"')
    line = request_line(one.begin.intent, one.settle.settlement, one.settle.attempts)
    assert LINE.fullmatch(line)
    assert """ reason="rule[2] keywords='slow'" client=""" in line


def test_what_is_not_known_is_a_dash_and_an_unknown_price_a_question_mark() -> None:
    one = made(cost=None, status=None, outcome="client-gone", usage=None, provider=None, model=None)
    one.settle.settlement.provider = one.settle.settlement.model = None
    line = request_line(one.begin.intent, one.settle.settlement, one.settle.attempts)
    assert LINE.fullmatch(line)
    assert (
        " model=m->- provider=- status=- outcome=client-gone error=- in=- cached=- written=- out=- cost=? first=- "
        in line
    )


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        pytest.param(Usage(input=3, cache_write=40, cache_write_1h=2), "in=3 cached=- written=42 out=-", id="both"),
        pytest.param(Usage(input=0, cache_read=9, cache_write_1h=2), "in=0 cached=9 written=2 out=-", id="one"),
        pytest.param(Usage(input=3, cache_write=0), "in=3 cached=- written=0 out=-", id="nothing"),
    ],
)
def test_input_that_went_into_a_cache_is_told(usage: Usage, told: str) -> None:
    one = made(usage=usage)
    assert f" {told} cost" in request_line(one.begin.intent, one.settle.settlement, one.settle.attempts)


@pytest.mark.parametrize(
    ("verdict", "score", "saving", "told"),
    [
        pytest.param("accepted", 0.914, 2_000_000, " draft=accepted score=0.91 saved=$0.002000", id="accepted"),
        pytest.param("accepted", 1.0, -1_500, " draft=accepted score=1.00 saved=-$0.000002", id="accepted at a loss"),
        pytest.param("rejected", 0.3, -900_000, " draft=escalated score=0.30 saved=-$0.000900", id="rejected"),
        pytest.param("rejected", 0.0, None, " draft=escalated score=0.00 saved=?", id="of unknown price"),
        pytest.param(None, None, 0, " draft=failed score=- saved=$0.000000", id="failed before it was judged"),
    ],
)
def test_a_line_ends_with_what_became_of_the_draft(
    verdict: Verdict | None, score: float | None, saving: int | None, told: str
) -> None:
    one = made()
    (call,) = one.settle.attempts
    draft = replace(call, role="draft", verdict=verdict, score=score, saving_nano_usd=saving)
    others = [replace(call, number=2, role="verifier")] if verdict != "accepted" else []
    plain = request_line(one.begin.intent, one.settle.settlement, others)
    assert LINE.fullmatch(plain)
    assert request_line(one.begin.intent, one.settle.settlement, [draft, *others]) == plain + told


@pytest.mark.parametrize(("draft", "ended"), [(GOOD, "accepted"), (BAD, "escalated")], ids=["accepted", "escalated"])
async def test_the_line_of_a_cascade_agrees_with_its_calls(
    draft: list[StreamEvent], ended: str, tmp_path: Path
) -> None:
    async with world(tmp_path / "home", saying(draft)) as found:
        await asked(found)
        call, *_ = await found.router.rows("attempts")
        found.router.app.services.log.flush()
        line = (tmp_path / "home" / "logs" / "work.log").read_text().splitlines()[-1]
    sign = "-" if call["saving_nano_usd"] < 0 else ""
    saved = f"{sign}${abs(call['saving_nano_usd']) / 1e9:.6f}"
    assert line.endswith(f" draft={ended} score={call['score']:.2f} saved={saved}")
    assert (call["verdict"] == "accepted") == (ended == "accepted") == (call["saving_nano_usd"] > 0)


def test_levels() -> None:
    outcomes = ("ok", "client-gone", "drained", "refused", "client-error", "upstream-error", "partial", "interrupted")
    logged = {
        level: [outcome for outcome in outcomes if is_logged(outcome, level)]  # type: ignore[arg-type]
        for level in ("debug", "info", "warning", "error")
    }
    assert logged["debug"] == logged["info"] == list(outcomes)
    assert logged["warning"] == list(outcomes[2:])
    assert logged["error"] == list(outcomes[5:])
