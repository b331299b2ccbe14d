"""A home with a profile and a ledger, and a way to run commands on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from router.cli import output
from router.cli.main import cli
from router.ledger.entry import AttemptRecord, Intent, Outcome, Settlement, Verdict
from router.ledger.writing import Annotate, Begin, Record, Settle, write_records
from router.profile.home import Home
from router.wire.usage import Usage
from tests.support import ledgers

Run = Callable[..., Result]

FIRST_FILE = """\
[[rule]]
match = { tool-use = true }
to = "anthropic"
model = "claude-sonnet-4-5"

[[rule]]
match = { input-tokens-lt = 2000 }
to = "groq"
model = "llama-3.3-70b-versatile"

[[rule]]
match = { input-tokens-gt = 100000 }
to = "anthropic"
model = "claude-sonnet-4-5" # long context

[default]
to = "anthropic"
model = "claude-haiku-4-5"
"""


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key of whoever runs the tests."""
    import os

    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_TOKEN")) or name.startswith("ROUTER_") or name in ("NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(name)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with the profile ``work``."""
    made = Home(tmp_path / "home")
    made.create()
    add_profile(made, "work", FIRST_FILE)
    return made


def add_profile(home: Home, name: str, text: str) -> None:
    folder = home.profiles / name
    folder.mkdir(mode=0o700)
    (folder / "routing.toml").write_text(text, "utf-8")


@pytest.fixture
def run(home: Home, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``run("usage", "--json")``: a command on the home."""
    monkeypatch.setenv("ROUTER_HOME", str(home.path))

    def invoke(*args: str) -> Result:
        result = CliRunner().invoke(cli, list(args), prog_name="router")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return invoke


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a terminal of 80 columns."""
    monkeypatch.setattr(output, "terminal_width", lambda: 80)


class Book:
    """Writes requests into the home's ledger."""

    def __init__(self, home: Home) -> None:
        self._number = 0
        self.connection = ledgers.create(home.database)

    def add(self, **fields: object) -> str:
        """One settled request with one call; its id. The fields are those of ``records``."""
        records = self.records(**fields)  # type: ignore[arg-type]
        write_records(self.connection, records)
        assert isinstance(records[0], Begin)
        return records[0].intent.id

    def add_drafted(
        self,
        verdict: Verdict | None,
        *,
        score: float | None = None,
        saving: int | None,
        draft_cost: int | None,
        lost: int | None = None,
        worth: int | None = None,
        **fields: object,
    ) -> str:
        """One request of a cascade; the fields of ``add`` are those of its verifier, if that is asked."""
        begin, settle = self.records(**fields)  # type: ignore[arg-type]
        assert isinstance(begin, Begin)
        assert isinstance(settle, Settle)
        (call,) = settle.attempts
        draft = replace(
            call, role="draft", verdict=verdict, score=score, saving_nano_usd=saving, cost_nano_usd=draft_cost
        )
        verifier = replace(call, number=2, role="verifier", model="claude-sonnet-4-5")
        calls = (draft,) if verdict == "accepted" else (draft, verifier)
        cost = None if calls[-1].cost_nano_usd is None else sum(each.cost_nano_usd or 0 for each in calls)
        settlement = replace(
            settle.settlement, attempts=len(calls), cost_nano_usd=cost, cache_lost=lost, cache_lost_nano_usd=worth
        )
        write_records(self.connection, [begin, Settle(settlement, calls)])
        return begin.intent.id

    def finish(self, request_id: str) -> None:
        """Settle a request that was left open."""
        write_records(self.connection, [Settle(Settlement(request_id, "ok", 200, attempts=1))])

    def add_many(self, count: int, *, tokens_in: int, tokens_out: int, cost: int, **fields: object) -> None:
        """``count`` requests with these sums together."""
        records: list[Record] = []
        for number in range(count):
            parts = [each // count + (each % count if number == 0 else 0) for each in (tokens_in, tokens_out, cost)]
            records += self.records(usage=Usage(parts[0], output=parts[1]), cost=parts[2], **fields)  # type: ignore[arg-type]
        write_records(self.connection, records)

    def records(
        self,
        *,
        time_ms: int,
        usage: Usage | None = None,
        cost: int | None = 0,
        value: int | None = None,
        outcome: Outcome = "ok",
        facts: str | None = None,
        settled: bool = True,
        trace: str | None = None,
        error_class: str | None = None,
        billed: bool = False,
        price_source: str = "genai-prices 0.2.3",
        ended: Mapping[str, Any] = {},
        call: Mapping[str, Any] = {},
        **fields: object,
    ) -> list[Record]:
        """What the server would write. ``value`` is the list price where it isn't the cost; ``ended`` and ``call`` are
        further fields of the settlement and of the call."""
        self._number += 1
        given: dict[str, object] = {
            "id": f"{time_ms:012x}{self._number:020x}", "kind": "generate", "time_ms": time_ms, "profile": "work",
            "rule": "default → anthropic", "rule_hash": "none", "file_hash": "f" * 12, "client": "claude-code",
            "key": None, "tags": None, "conversation": None, "api": "anthropic-messages",
            "requested_model": "claude-sonnet-4-5", "provider": "anthropic", "model": "claude-haiku-4-5",
            "stream": True, "reason": "default",
        }  # fmt: skip
        intent = Intent(**(given | fields))  # type: ignore[arg-type]
        worth = cost if value is None else value
        attempt = AttemptRecord(
            intent.id, 1, "primary", intent.provider or "", intent.model or "", "env:ANTHROPIC_API_KEY", time_ms,
            "anthropic-messages", 200, error_class, billed, usage=usage,
            cost_nano_usd=cost, list_nano_usd=worth, duration_ms=1234.0, usage_raw='{"input_tokens": 1}',
            price_source=price_source,
        )  # fmt: skip
        settlement = Settlement(
            intent.id, outcome, 200, usage=usage, cost_nano_usd=cost, list_nano_usd=worth, attempts=1,
            first_byte_ms=321.0, duration_ms=1234.0, price_source=price_source, trace=trace,
        )  # fmt: skip
        settlement, attempt = replace(settlement, **ended), replace(attempt, **call)
        records: list[Record] = [Begin(intent)]
        if settled:
            records.append(Settle(settlement, (attempt,)))
        if facts is not None:
            records.append(Annotate(intent.id, facts, 1500))
        return records


@pytest.fixture
def book(home: Home) -> Iterator[Book]:
    made = Book(home)
    yield made
    made.connection.close()


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)
