"""Past requests in a few words, and profiles to try on them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from router.ledger.traffic import PastExchange
from router.money.prices import PriceTable
from router.profile.load import load_profile
from router.profile.profile import Profile
from router.providers.catalog import load_catalog
from router.replaying import Learned, Replayed, learn, replayed

NOON_MS = 1_763_726_400_000  # Friday, 21 November 2025, 12:00 UTC
MINUTE_MS = 60_000
BIG, SMALL, OTHER = "anthropic/big", "anthropic/small", "openai/other"
# Dollars per million tokens, so nano-dollars per token are a thousand times as many.
PRICES = """
[prices."anthropic/big"]
input = 3
output = 15
cache-read = 0.3
cache-write = 3.75
[prices."anthropic/small"]
input = 1
output = 5
cache-read = 0.1
cache-write = 1.25
[prices."openai/other"]
input = 2
output = 10
cache-read = 0.2
"""
TABLE = PriceTable.load()
_numbers = count(1)


class Bench:
    """A folder for profiles."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def profile(self, text: str, files: Mapping[str, str] | None = None, *, prices: str = PRICES) -> Profile:
        folder = self._folder / f"p{next(_numbers)}"
        for name, content in {**(files or {}), "routing.toml": f"{text}\n{prices}"}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)
        loaded = load_profile(
            folder, name="work", catalog=load_catalog(), environ={}, known_model=lambda provider, model: None
        )
        assert loaded.profile is not None, loaded.errors
        return loaded.profile

    def replayed(
        self, rows: Iterable[PastExchange], profile: Profile | str, *, learned: Learned | None = None, **options: Any
    ) -> list[Replayed]:
        rows = list(rows)
        profile = self.profile(profile) if isinstance(profile, str) else profile
        learned = learned or learn(rows, profile.providers)
        return list(replayed(rows, profile, TABLE, learned, **options))


def record(**facts: Any) -> dict[str, Any]:
    """A request's facts: a short one of a person's, but for what is said."""
    return {
        "api": "anthropic-messages", "client": "sdk", "key": None, "model": "m", "stream": False, "max_tokens": None,
        "messages": 1, "turns": 1, "tool_count": 0, "has_system_prompt": False, "tool_result": False,
        "thinking": False, "thinking_budget": None, "image": False, "image_in_last_turn": False, "document": False,
        "web_search": False, "background": False, "plan_mode": False, "subagent": False, "compaction": False,
        "provider_used": None, "budget_used": None, "tools": [], "tags": [], "now": "2025-11-21T12:00+00:00",
        "opening": True, "start": "hello", "cache_marks": "5m", "tests": {}, "concepts": {}, "tokens": 100, **facts,
    }  # fmt: skip


def past(
    minutes: float = 0.0, target: str | None = BIG, *, facts: Mapping[str, Any] | None = None, **columns: Any
) -> PastExchange:
    """A request ``minutes`` after noon that ``target`` answered after a second; ``facts`` None: none were kept."""
    provider, _, model = (target or "").partition("/")
    time_ms = NOON_MS + round(minutes * MINUTE_MS)
    kept = facts if facts is None else json.dumps({**record(), **facts})
    values: dict[str, Any] = {
        **dict.fromkeys(PastExchange._fields),
        "id": f"{next(_numbers):032x}", "kind": "generate", "time_ms": time_ms, "rule": "default → anthropic",
        "rule_hash": "0", "api": "anthropic-messages", "requested_model": "m", "stream": 0, "usage_estimated": 0,
        "outcome": "ok" if target else "refused", "attempts": 1 if target else 0, "duration_ms": 1000.0,
        "provider": provider or None, "model": model or None, "first_provider": provider or None,
        "first_model": model or None, "facts": kept, "estimated_input": 100, **columns,
    }  # fmt: skip
    if target and "input" not in columns:
        values |= {"input": 100, "output": 10, "cost_nano_usd": 450_000, "list_nano_usd": 450_000, **columns}
    return PastExchange(**values)


def asked(minutes: float = 0.0, target: str | None = BIG, **more: Any) -> PastExchange:
    """The same, with facts: those that aren't columns, and those that are both."""
    columns = {name: value for name, value in more.items() if name in PastExchange._fields}
    facts = {name: value for name, value in more.items() if name not in columns or name in record()}
    return past(minutes, target, facts=facts, **columns)


def where(found: Iterable[Replayed]) -> list[str | None]:
    """Where requests would have gone: ``?`` where that can't be told, None for nowhere."""
    return ["?" if one.decided is None else str(one.decided.target or "") or None for one in found]
