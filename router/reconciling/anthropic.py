"""Anthropic's exports: reports of its Admin API, and what its Console saves as CSV.

https://platform.claude.com/docs/en/api/admin/usage_report/retrieve_messages and …/admin/cost_report/retrieve, and the
reports of the same names below …/organizations/analytics, whose fields are the same and more. The CSV files are
described nowhere; their columns are those of files that people have published (claude_api_tokens_2026_08.csv,
claude_api_cost_2026_08_01_to_2026_08_19.csv), older and newer ones.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from router.reconciling.amounts import Billed, Tokens
from router.reconciling.export import Form, Line, Subject
from router.reconciling.fields import Fields

_CENTS_PER_USD: Final = 100
_HALF_A_CENT: Final = Decimal("0.005")
# Charged apart from a model's tokens, as the reports call it and the files abbreviate it.
_APART: Final = ("web_search", "code_execution", "session_usage")

_REPORT_NAMES: Final = frozenset(
    {"account_id", "api_key_id", "context_window", "inference_geo", "model", "service_account_id", "service_tier"}
    | {"speed", "workspace_id", "product", "rbac_group_id", "claude_tag_category", "claude_tag_user_id"}
    | {"slack_channel_id"}
)
_FILE_NAMES: Final = frozenset(
    {"usage_date_utc", "model_version", "model", "api_key", "api_key_id", "api_key_status", "workspace", "usage_type"}
    | {"context_window", "token_type", "cost_type", "inference_geo", "speed"}
)


def _usage_of_report(fields: Fields, day: str) -> Line:
    written = fields.inner("cache_creation")
    tokens = Tokens(
        input=fields.count("uncached_input_tokens"),
        cache_read=fields.count("cache_read_input_tokens"),
        cache_write=written.count("ephemeral_5m_input_tokens"),
        cache_write_1h=written.count("ephemeral_1h_input_tokens"),
        output=fields.count("output_tokens"),
    )
    requests = fields.count("requests") if fields.values.get("requests") is not None else None
    return _line(day, fields.text("model"), fields.text("service_tier"), Billed(tokens, requests))


def _cost_of_report(fields: Fields, day: str) -> Line:
    if fields.text("currency").upper() not in ("USD", ""):
        raise fields.wrong("currency", "USD")
    usd = fields.amount("amount") / _CENTS_PER_USD
    listed = fields.amount("list_amount") / _CENTS_PER_USD if fields.values.get("list_amount") else None
    amounts = Billed(usd=usd, list_usd=listed)
    kind, model = fields.text("cost_type"), fields.text("model")
    if kind in _APART:
        return Line(day, kind.replace("_", " "), amounts, "apart")
    if not model and (kind or fields.text("description")):
        return Line(day, fields.text("description") or kind, amounts, "apart")
    return _line(day, model, fields.text("service_tier"), amounts)


def _usage_of_file(fields: Fields, day: str) -> Line:
    tokens = Tokens(
        input=fields.count("usage_input_tokens_no_cache"),
        cache_read=fields.count("usage_input_tokens_cache_read"),
        cache_write=fields.count("usage_input_tokens_cache_write_5m") + fields.count("usage_input_tokens_cache_write"),
        cache_write_1h=fields.count("usage_input_tokens_cache_write_1h"),
        output=fields.count("usage_output_tokens"),
    )
    return _line(day, fields.text("model_version"), fields.text("usage_type"), Billed(tokens))


def _cost_of_file(fields: Fields, day: str) -> Line:
    """Amounts are in whole cents, each for one kind of token of one model on one day."""
    listed = fields.amount("list_price_usd") if fields.values.get("list_price_usd") else None
    amounts = Billed(usd=fields.amount("cost_usd"), list_usd=listed, rounding_usd=_HALF_A_CENT)
    words = {fields.text("cost_type"), fields.text("usage_type"), fields.text("token_type")}
    apart = next((kind for kind in _APART if kind in words), None)
    if apart is not None:
        return Line(day, apart.replace("_", " "), amounts, "apart")
    model = fields.text("model")
    if not model:
        return Line(day, fields.text("token_type") or "no model", amounts, "apart")
    return _line(day, model, fields.text("usage_type"), amounts)


def _line(day: str, model: str, tier: str, amounts: Billed) -> Line:
    subject: Subject = "all" if not model else "batch" if "batch" in tier else "model"
    return Line(day, model, amounts, subject)


JSON_FORMS: Final = (
    Form(
        "anthropic",
        "usage",
        "usage report",
        frozenset({"uncached_input_tokens"}),
        _REPORT_NAMES,
        frozenset({"cache_creation", "cache_read_input_tokens", "output_tokens", "server_tool_use", "requests"}),
        _usage_of_report,
        keys=("api_key_id",),
    ),
    Form(
        "anthropic",
        "costs",
        "cost report",
        frozenset({"amount", "currency"}),
        _REPORT_NAMES | {"cost_type", "description", "token_type"},
        frozenset({"list_amount", "requests"}),
        _cost_of_report,
    ),
)
CSV_FORMS: Final = (
    Form(
        "anthropic",
        "usage",
        "usage file of the Console",
        frozenset({"usage_date_utc", "model_version", "usage_output_tokens"}),
        _FILE_NAMES,
        frozenset(
            {"usage_input_tokens_no_cache", "usage_input_tokens_cache_write", "usage_input_tokens_cache_write_5m"}
            | {"usage_input_tokens_cache_write_1h", "usage_input_tokens_cache_read", "web_search_count"}
        ),
        _usage_of_file,
        keys=("api_key", "api_key_id"),
    ),
    Form(
        "anthropic",
        "costs",
        "cost file of the Console",
        frozenset({"usage_date_utc", "cost_usd"}),
        _FILE_NAMES,
        frozenset({"list_price_usd"}),
        _cost_of_file,
        keys=("api_key", "api_key_id"),
    ),
)
