"""Exports as the providers write them, from what they would have counted.

The JSON is checked against the types of the official SDKs where they have them (tests/reconciling/test_forms.py); the
columns of the CSV files are those of tests/data/reconciling.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from router.reconciling.amounts import Tokens

ANTHROPIC_USAGE_COLUMNS = (
    "usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,"
    "usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,"
    "usage_output_tokens,web_search_count,inference_geo,speed"
)
ANTHROPIC_COST_COLUMNS = (
    "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type,"
    "inference_geo,speed,api_key_id,api_key_status"
)
OPENAI_USAGE_COLUMNS = (
    "start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,api_key_id,model,batch,"
    "service_tier,input_tokens,output_tokens,input_cached_tokens,input_uncached_tokens,input_text_tokens,"
    "output_text_tokens,input_cached_text_tokens,input_audio_tokens,input_cached_audio_tokens,output_audio_tokens,"
    "input_image_tokens,input_cached_image_tokens,output_image_tokens"
)
OPENAI_COST_COLUMNS = (
    "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,quantity,quantity_unit,line_item,"
    "user_id,api_key_id,project_id,organization_id,project_name,organization_name,user_email,api_source"
)
COST_PARTS = ("input", "cached input", "output")


@dataclass(frozen=True)
class Fact:
    """What a provider counted on one day of one model, and charged for it in nano-dollars."""

    day: str
    model: str
    tokens: Tokens
    requests: int
    nano_usd: int
    key: str = "key_1"

    @property
    def usd(self) -> Decimal:
        return Decimal(self.nano_usd) / 10**9


Facts = Sequence[Fact]
Writer = Callable[[Facts, Sequence[str]], bytes]
"""A writer gets the facts and the days that the export is of."""


def begin(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=UTC)


def end(day: str) -> datetime:
    return begin(day) + timedelta(days=1)


def _iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _of(facts: Facts, day: str) -> list[Fact]:
    return [fact for fact in facts if fact.day == day]


# --- Anthropic --------------------------------------------------------------------------------------------------------


def anthropic_usage_json(facts: Facts, days: Sequence[str]) -> bytes:
    def result(fact: Fact) -> dict[str, Any]:
        tokens = fact.tokens
        return {
            "uncached_input_tokens": tokens.input,
            "cache_creation": {
                "ephemeral_1h_input_tokens": tokens.cache_write_1h,
                "ephemeral_5m_input_tokens": tokens.cache_write,
            },
            "cache_read_input_tokens": tokens.cache_read,
            "output_tokens": tokens.output,
            "server_tool_use": {"web_search_requests": 0},
            "api_key_id": fact.key,
            "workspace_id": None,
            "model": fact.model,
            "service_tier": "standard",
            "context_window": "0-200k",
        }

    return _anthropic_page(days, lambda day: [result(fact) for fact in _of(facts, day)])


def anthropic_cost_json(facts: Facts, days: Sequence[str]) -> bytes:
    def result(fact: Fact) -> dict[str, Any]:
        return {
            "amount": f"{fact.usd * 100:f}",
            "context_window": "0-200k",
            "cost_type": "tokens",
            "currency": "USD",
            "description": f"{fact.model} Usage - Output Tokens",
            "model": fact.model,
            "service_tier": "standard",
            "token_type": "output_tokens",
            "workspace_id": None,
        }

    return _anthropic_page(days, lambda day: [result(fact) for fact in _of(facts, day)])


def _anthropic_page(days: Sequence[str], results: Callable[[str], list[dict[str, Any]]]) -> bytes:
    data = [
        {"starting_at": _iso(begin(day)), "ending_at": _iso(end(day)), "results": results(day)} for day in sorted(days)
    ]
    return json.dumps({"data": data, "has_more": False, "next_page": None}).encode()


def anthropic_usage_csv(facts: Facts, days: Sequence[str]) -> bytes:
    return _table(
        ANTHROPIC_USAGE_COLUMNS,
        (
            {
                "usage_date_utc": fact.day,
                "model_version": fact.model,
                "api_key": fact.key,
                "workspace": "Default",
                "usage_type": "standard",
                "context_window": "≤ 200k",
                "usage_input_tokens_no_cache": fact.tokens.input,
                "usage_input_tokens_cache_write_5m": fact.tokens.cache_write,
                "usage_input_tokens_cache_write_1h": fact.tokens.cache_write_1h,
                "usage_input_tokens_cache_read": fact.tokens.cache_read,
                "usage_output_tokens": fact.tokens.output,
                "web_search_count": 0,
                "inference_geo": "global",
            }
            for fact in facts
        ),
    )


def anthropic_cost_csv(facts: Facts, days: Sequence[str]) -> bytes:
    """Amounts in cents, as the Console rounds them."""
    return _table(
        ANTHROPIC_COST_COLUMNS,
        (
            {
                "usage_date_utc": fact.day,
                "model": fact.model,
                "workspace": "Default",
                "api_key": fact.key,
                "usage_type": "message",
                "context_window": "≤ 200k",
                "token_type": "output",
                "cost_usd": f"{fact.usd:.2f}",
                "list_price_usd": f"{fact.usd:.2f}",
                "cost_type": "token",
                "inference_geo": "global",
                "api_key_id": fact.key,
                "api_key_status": "active",
            }
            for fact in facts
        ),
    )


# --- OpenAI -----------------------------------------------------------------------------------------------------------


def openai_usage_json(facts: Facts, days: Sequence[str]) -> bytes:
    def result(fact: Fact) -> dict[str, Any]:
        tokens = fact.tokens
        return {
            "object": "organization.usage.completions.result",
            "input_tokens": tokens.total_input,
            "output_tokens": tokens.output,
            "input_cached_tokens": tokens.cache_read,
            "input_cache_write_tokens": tokens.cache_write + tokens.cache_write_1h,
            "input_cache_write_30m_tokens": tokens.cache_write,
            "input_cache_write_12h_tokens": tokens.cache_write_1h,
            "input_uncached_tokens": tokens.input,
            "num_model_requests": fact.requests,
            "project_id": None,
            "user_id": None,
            "api_key_id": fact.key,
            "model": fact.model,
            "batch": False,
        }

    return _openai_page(days, lambda day: [result(fact) for fact in _of(facts, day)])


def openai_costs_json(facts: Facts, days: Sequence[str]) -> bytes:
    """A line item for each part of what was paid for, as grouping by ``line_item`` gives."""

    def results(fact: Fact) -> list[dict[str, Any]]:
        return [
            {
                "object": "organization.costs.result",
                "amount": {"value": "VALUE", "currency": "usd", "exact": f"{part:f}"},
                "line_item": f"{fact.model}, {name}",
                "project_id": None,
                "api_key_id": fact.key,
            }
            for name, part in zip(COST_PARTS, thirds(fact.usd), strict=True)
        ]

    page = json.loads(_openai_page(days, lambda day: [each for fact in _of(facts, day) for each in results(fact)]))
    text = json.dumps(page)
    for bucket in page["data"]:  # amounts are numbers with all their digits, which json can't write
        for each in bucket["results"]:
            exact = each["amount"]["exact"]
            text = text.replace(f'"VALUE", "currency": "usd", "exact": "{exact}"', f'{exact}, "currency": "usd"', 1)
    return text.encode()


def thirds(usd: Decimal) -> tuple[Decimal, Decimal, Decimal]:
    part = usd / 4
    return part, part, usd - 2 * part


def _openai_page(days: Sequence[str], results: Callable[[str], list[dict[str, Any]]]) -> bytes:
    data = [
        {
            "object": "bucket",
            "start_time": int(begin(day).timestamp()),
            "end_time": int(end(day).timestamp()),
            "results": results(day),
        }
        for day in sorted(days)
    ]
    return json.dumps({"object": "page", "data": data, "has_more": False, "next_page": None}).encode()


def openai_usage_csv(facts: Facts, days: Sequence[str]) -> bytes:
    """Counts have a fraction, and days without usage have nothing but their times."""

    def row(fact: Fact) -> dict[str, Any]:
        tokens = fact.tokens
        return {
            "num_model_requests": f"{fact.requests}.0",
            "api_key_id": fact.key,
            "model": fact.model,
            "batch": "FALSE",
            "service_tier": "default",
            "input_tokens": f"{tokens.total_input}.0",
            "output_tokens": f"{tokens.output}.0",
            "input_cached_tokens": f"{tokens.cache_read}.0",
            "input_uncached_tokens": f"{tokens.input}.0",
        }

    return _openai_table(OPENAI_USAGE_COLUMNS, days, lambda day: [row(fact) for fact in _of(facts, day)])


def openai_cost_csv(facts: Facts, days: Sequence[str]) -> bytes:
    def row(fact: Fact, name: str, part: Decimal) -> dict[str, Any]:
        return {
            "amount_value": f"{part:.30f}",
            "amount_currency": "usd",
            "line_item": f"{fact.model}, {name}",
            "api_key_id": fact.key,
            "organization_id": "org-1",
        }

    def rows(day: str) -> list[dict[str, Any]]:
        return [
            row(fact, name, part)
            for fact in _of(facts, day)
            for name, part in zip(COST_PARTS, thirds(fact.usd), strict=True)
        ]

    return _openai_table(OPENAI_COST_COLUMNS, days, rows)


def _openai_table(columns: str, days: Sequence[str], rows: Callable[[str], list[dict[str, Any]]]) -> bytes:
    def lines() -> Iterable[Mapping[str, Any]]:
        for day in sorted(days):
            times = {
                "start_time": int(begin(day).timestamp()),
                "end_time": int(end(day).timestamp()),
                "start_time_iso": begin(day).isoformat(),
                "end_time_iso": end(day).isoformat(),
            }
            for row in rows(day) or [{}]:
                yield times | row

    return _table(columns, lines())


def _table(columns: str, rows: Iterable[Mapping[str, Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns.split(","), restval="")
    writer.writeheader()
    writer.writerows(rows)
    return b"\xef\xbb\xbf" + out.getvalue().encode()  # as spreadsheets like it


USAGE: Mapping[str, Sequence[Writer]] = {
    "anthropic": (anthropic_usage_json, anthropic_usage_csv),
    "openai": (openai_usage_json, openai_usage_csv),
}
COSTS: Mapping[str, Sequence[Writer]] = {
    "anthropic": (anthropic_cost_json, anthropic_cost_csv),
    "openai": (openai_costs_json, openai_cost_csv),
}
