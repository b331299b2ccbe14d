"""Ledgers made up for advice, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from router.advising.advice import Advice
from router.advising.inquiry import Inquiry
from router.advising.kinds import Found, advise
from router.advising.past import Past, read_past
from router.ledger.entry import AttemptRecord
from router.ledger.reports import Reader
from router.ledger.writing import Record, Settle
from router.profile.profile import Profile
from router.providers.credentials import Credentials
from router.replaying.report import Replay, replay
from tests.advising.world import DAY_MS, NOW_MS, PRICES, Ask, Fails, Judges, load, never, serve, total, write

LABEL = "profiles/work/routing.toml"


@dataclass
class Studied:
    """A ledger, and what there is to say of it."""

    folder: Path
    text: str
    asks: Sequence[Ask]
    profile: Profile
    records: list[Record]
    past: Past
    inquiry: Inquiry
    found: Found
    fails: Fails
    judges: Judges | None

    @property
    def only(self) -> Advice:
        """The only piece of advice."""
        assert [each.kind for each in self.found.advice] == [self.found.advice[0].kind]
        return self.found.advice[0]

    def calls(self, **fields: object) -> list[AttemptRecord]:
        """The calls with these values."""
        return [
            call
            for record in self.records
            if isinstance(record, Settle)
            for call in record.attempts
            if all(getattr(call, name) == value for name, value in fields.items())
        ]

    def edited(self, advice: Advice) -> Profile:
        """The profile after the edit."""
        return load(self.folder / "edited" / "work", advice.edit.text)

    def truth(self, advice: Advice) -> int:
        """What the team would have paid less, had the edit been made before."""
        again = serve(self.asks, self.edited(advice), fails=self.fails, judges=self.judges)
        return total(self.records) - total(again)

    def replayed(self, advice: Advice) -> Replay:
        """What `router replay` says of the edit."""
        rows = list(self.past.rows(self.past.requests))
        return replay(rows, self.edited(advice), PRICES, before=self.profile)


Study = Callable[..., Studied]


def look_into(
    folder: Path,
    text: str,
    asks: Sequence[Ask],
    *,
    fails: Fails = never,
    judges: Judges | None = None,
    since_ms: int = NOW_MS - 30 * DAY_MS,
    records: Sequence[Record] = (),
) -> Studied:
    """The asks served under these rules, behind some earlier records, and what the ledger then suggests."""
    profile = load(folder / "profiles" / "work", text)
    served = [*records, *serve(asks, profile, fails=fails, judges=judges)]
    write(folder / "router.db", served)
    past = read_past(Reader(folder / "router.db"), profile, PRICES, since_ms=since_ms, until_ms=NOW_MS)
    inquiry = Inquiry(past, text, LABEL, lambda changed: load(folder / "tried" / "work", changed), Credentials({}))
    return Studied(folder, text, asks, profile, served, past, inquiry, advise(inquiry), fails, judges)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """``study(text, asks)``: see ``look_into``; each time in a folder of its own."""
    number = count()
    return lambda text, asks, **more: look_into(tmp_path / f"ledger{next(number)}", text, asks, **more)
