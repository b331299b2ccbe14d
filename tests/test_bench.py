"""The benchmark's own parts: what it sends, how it judges, and that it notices what goes wrong."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import beside, large_ledger, load, report
from benchmarks.payloads import SESSION_TURNS, every_payload
from benchmarks.report import Row

from router.ledger.reports import Reader, Scope

ROOT = Path(__file__).resolve().parent.parent
NONCE = b"0123456789abcdef"
PAYLOADS = every_payload()


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        pytest.param("small", 800, 1_200, id="small is 1 KB"),
        pytest.param("agent", 95_000, 115_000, id="agent is 100 KB"),
        pytest.param("stream", 95_000, 115_000, id="stream asks with agent's 100 KB"),
        pytest.param("huge", 1_900_000, 2_200_000, id="huge is 2 MB"),
    ],
)
def test_a_payload_has_its_size_and_a_nonce_in_its_last_message(name: str, least: int, most: int) -> None:
    raw = PAYLOADS[name].body(0, NONCE)
    assert least < len(raw) < most
    assert NONCE.decode() in json.dumps(json.loads(raw)["messages"][-1])
    assert raw.count(NONCE) == 1


def test_a_session_grows_by_two_messages_a_turn_and_keeps_what_was_said() -> None:
    session = PAYLOADS["session"]
    first, second = (json.loads(session.body(turn, NONCE))["messages"] for turn in (0, 1))
    last = json.loads(session.body(SESSION_TURNS - 1, b"another nonce is ignored"))["messages"]
    assert [len(first), len(second), len(last)] == [1, 3, 2 * SESSION_TURNS - 1]
    assert second[:1] == first
    assert last[:3] == second


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        pytest.param(Row("", 0.9, goal=1.2, stretch=0.8), "met", id="below the goal is met where less is better"),
        pytest.param(Row("", 0.8, goal=1.2, stretch=0.8), "stretch", id="the stretch goal may be hit exactly"),
        pytest.param(Row("", 1.3, goal=1.2, stretch=0.8), "missed", id="above is missed"),
        pytest.param(Row("", 0.5, goal=0.6, stretch=0.75, less=False), "missed", id="a ratio must reach its goal"),
        pytest.param(Row("", 0.7, goal=0.6, stretch=0.75, less=False), "met", id="and more is better"),
        pytest.param(Row("", None, goal=1.0), "", id="what wasn't measured has no verdict"),
        pytest.param(Row("", 1.0), "", id="nor has what has no goal"),
    ],
)
def test_a_row_is_judged_by_its_goals(row: Row, verdict: str) -> None:
    assert row.verdict == verdict


def test_a_large_ledger_is_one_that_the_router_could_have_written(tmp_path: Path) -> None:
    large_ledger.build(tmp_path / "router.db", 3_000, lambda text: None)
    reader = Reader(tmp_path / "router.db")
    by_sums, by_requests = (reader.usage([Scope(large_ledger.PROFILE)], (by,), detail=True) for by in ("model", "tag"))
    assert by_sums.total == by_requests.total
    assert by_sums.total.sums.requests == 3_000
    assert by_sums.total.drafts.drafts == 30
    assert len(by_sums.rows) == 4
    assert by_requests.forgotten.requests == 0


def test_quantiles_are_those_of_the_samples() -> None:
    milliseconds = [number * 1_000_000 for number in range(100, -1, -1)]
    assert load.quantiles(milliseconds) == {"p50": 50.0, "p99": 99.0, "max": 100.0, "mean": 50.0}
    assert load.quantiles([]) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(13_100.4, "13,100", id="large"),
        pytest.param(48.66, "48.7", id="tens"),
        pytest.param(0.433, "0.43", id="below one"),
        pytest.param(0.0171, "0.017", id="small"),
        pytest.param(None, "–", id="missing"),
    ],
)
def test_numbers_show_the_digits_that_matter(value: float | None, text: str) -> None:
    assert report.number(value) == text


HEAD = b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b"
STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
FIRST, SECOND = (b"16\r\n~%020d~\r\n" % sent for sent in (1, 2))
LAST = b"0\r\n\r\n"
END = b"c\r\nmessage_stop\r\n" + LAST
REPEATED = b"19\r\nevent: response.completed\r\n" + FIRST + b"200\r\n" + b" " * 512 + b"\r\n" + LAST


@pytest.mark.parametrize(
    ("reply", "deltas", "error"),
    [
        pytest.param(HEAD % (b"200 OK", 2, b"{}"), None, None, id="a whole reply is taken"),
        pytest.param(HEAD % (b"502 Bad Gateway", 2, b"{}"), None, "502", id="another status is an error"),
        pytest.param(HEAD % (b"200 OK", 9, b"{}"), None, "connection lost", id="a reply cut short is an error"),
        pytest.param(STREAM + FIRST + SECOND + END, 2, None, id="a whole stream is taken"),
        pytest.param(STREAM + FIRST + SECOND + REPEATED, 2, None, id="one that repeats its text at the end, too"),
        pytest.param(STREAM + FIRST + REPEATED, 2, "1 of 2 deltas", id="what is repeated counts once"),
        pytest.param(STREAM + FIRST + END, 2, "1 of 2 deltas", id="a missing delta is an error"),
        pytest.param(STREAM + FIRST + SECOND + LAST, 2, "2 of 2 deltas, ending", id="a stream without its end is one"),
        pytest.param(b"", None, "connection lost", id="no reply is one"),
    ],
)
async def test_the_load_generator_notices(reply: bytes, deltas: int | None, error: str | None) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readuntil(NONCE_END)
        for cut in range(0, len(reply), 7):  # whatever the reads, the reply is the same
            writer.write(reply[cut : cut + 7])
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        figures = await load.run(
            {
                "port": server.sockets[0].getsockname()[1],
                "path": "/v1/chat/completions",
                "payload": "small",
                "clients": 1,
                "seconds": 10,
                "max_requests": 1,
                "headers": {},
                "deltas": deltas,
                "ramp_s": 0,
            },
            PAYLOADS,
        )
    assert figures["started"] == 1
    assert figures["requests"] == (0 if error else 1)
    assert (figures["first_error"] is None) if error is None else (error in figures["first_error"])


NONCE_END = b')"}]}'


@pytest.mark.slow
def test_the_benchmark_runs_without_errors(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = [sys.executable, str(ROOT / "scripts" / "bench"), "proxy", "--no-router", "--only", "client"]
    done = subprocess.run(
        [*command, "--rounds", "1", "--seconds", "0.1", "--json", str(figures)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    written = json.loads(figures.read_text("utf-8"))
    assert written["errors"] == []
    assert {cell["target"] for cell in written["cells"]} == {"direct", "bare aiohttp"}
    assert all(sample["requests"] for cell in written["cells"] for sample in cell["samples"])


def test_a_quiet_profile_is_compared_with_itself_in_the_same_round() -> None:
    def sample(p50: float, p99: float) -> beside.Sample:
        return {"whole_ms": {"p50": p50, "p99": p99}, "requests_s": 100.0}

    found = [(sample(1, 2), sample(2, 6), sample(9, 9)), (sample(10, 20), sample(10, 20), sample(9, 9))] * 2
    pressed = beside.Pressed({beside.FLOODS[0]: found[:3]})
    rows = {row.name.partition(": ")[2]: row for row in beside.rows(pressed)}
    assert rows["flood"].value == 100.0
    assert rows["quiet p50, beside / alone"].value == 2.0
    assert (rows["quiet p99, beside / alone"].value, rows["quiet p99, beside / alone"].verdict) == (3.0, "missed")


@pytest.mark.slow
def test_a_flood_runs_without_errors(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = [sys.executable, str(ROOT / "scripts" / "bench"), "beside", "--only", "small, providers of 50"]
    done = subprocess.run(
        [*command, "--rounds", "1", "--seconds", "0.5", "--json", str(figures)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    written = json.loads(figures.read_text("utf-8"))
    assert written["errors"] == []
    assert all(row["value"] for row in written["beside"])
