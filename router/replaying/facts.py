"""What a past request tells the rules that are tried on it: its record, and beside that what depends on those rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from typing import Any, cast

import msgspec

from router.ledger.traffic import PastExchange
from router.routing.concepts import Phrases
from router.routing.facts import FactUnknown
from router.routing.recorded import RecordedFacts

MADE_ID = "start-"
"""How the id of a conversation begins that has none from its client."""

_decoder = msgspec.json.Decoder(dict[str, Any])


def record_of(row: PastExchange) -> dict[str, Any] | None:
    """The facts that were kept of a request, ``None`` where there are none."""
    if row.facts is None:
        return None
    record = _decoder.decode(row.facts)
    if record.get("tokens") is None and row.estimated_input is not None:
        record["tokens"] = row.estimated_input
    return record


class ReplayedFacts(RecordedFacts):
    """The facts of a past request under other rules. Where its conversation was before, and how much of a budget is
    spent, is asked of the replay; the time is that of the rules' own timezone."""

    def __init__(
        self,
        row: PastExchange,
        record: Mapping[str, Any],
        *,
        phrases: Phrases | None,
        zone: tzinfo,
        provider_used: Callable[[str | None], str | None],
        budget_used: Callable[[], float | None],
    ) -> None:
        super().__init__(record, phrases)
        self.conversation_start = row.conversation
        self._opening = record.get("opening")
        self._zone = zone
        self._ask_provider_used = provider_used
        self._ask_budget_used = budget_used

    def _find(self, name: str) -> object:
        match name:
            case "provider_used":
                return self._ask_provider_used(self.conversation)
            case "budget_used":
                return self._ask_budget_used()
            case "now":
                return cast(datetime, super()._find(name)).astimezone(self._zone)
            case _:
                return super()._find(name)

    @property
    def conversation(self) -> str | None:
        """The conversation it belonged to when it came; a first request may only begin one."""
        start = self.conversation_start
        if isinstance(self._opening, bool):
            return None if self._opening else start
        if start is not None and start.startswith(MADE_ID):
            raise FactUnknown("whether the conversation had begun")
        return start
