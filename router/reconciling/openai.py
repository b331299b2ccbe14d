"""OpenAI's exports: answers of its usage and costs endpoints, and what its dashboard saves as CSV.

https://developers.openai.com/api/docs/api-reference/usage. The CSV files are described nowhere; their columns are those
of files that people have published (completions_usage_2026-08-01_2026-08-31.csv, cost_….csv), which are named as in the
API. Input counts what was read from a cache or written to one, too.
"""

from __future__ import annotations

import re
from typing import Final

from router.reconciling.amounts import Billed, Tokens
from router.reconciling.export import Form, Line, Subject
from router.reconciling.fields import Fields

_ITEM: Final = re.compile(r"(?:[a-z ]+ \| )?(?P<model>[^\s,|]+)(?: [a-z]+)?, ")

_NAMES: Final = frozenset(
    {"object", "project_id", "project_name", "user_id", "user_email", "user_name", "api_key_id", "api_key_name"}
    | {"api_key_redacted", "model", "batch", "service_tier", "api_source", "organization_id", "organization_name"}
)
_TIMES: Final = frozenset({"start_time", "end_time", "start_time_iso", "end_time_iso"})
_COUNTS: Final = frozenset(
    {"input_tokens", "input_cached_tokens", "input_uncached_tokens", "output_tokens", "num_model_requests"}
    | {"input_cache_write_tokens", "input_cache_write_30m_tokens", "input_cache_write_12h_tokens"}
    | {"input_text_tokens", "input_cached_text_tokens", "output_text_tokens"}
    | {"input_audio_tokens", "input_cached_audio_tokens", "output_audio_tokens"}
    | {"input_image_tokens", "input_cached_image_tokens", "output_image_tokens"}
)


def _completions(fields: Fields, day: str) -> Line:
    """Reads and writes of the cache are within the input."""
    read, long = fields.count("input_cached_tokens"), fields.count("input_cache_write_12h_tokens")
    written = max(fields.count("input_cache_write_tokens"), fields.count("input_cache_write_30m_tokens") + long)
    everything = fields.count("input_tokens")
    if read + written > everything:
        raise fields.wrong("input_tokens", f"at least the {read + written} tokens of the cache")
    tokens = Tokens(everything - read - written, read, written - long, long, fields.count("output_tokens"))
    return _line(fields, day, Billed(tokens, fields.count("num_model_requests")))


def _embeddings(fields: Fields, day: str) -> Line:
    return _line(fields, day, Billed(Tokens(fields.count("input_tokens")), fields.count("num_model_requests")))


def _line(fields: Fields, day: str, amounts: Billed) -> Line:
    model = fields.text("model")
    subject: Subject = "all" if not model else "batch" if fields.flag("batch") else "model"
    return Line(day, model, amounts, subject)


def _cost_of_report(fields: Fields, day: str) -> Line:
    amount = fields.inner("amount")
    return _cost(fields, day, amount, "value", "currency")


def _cost_of_file(fields: Fields, day: str) -> Line:
    return _cost(fields, day, fields, "amount_value", "amount_currency")


def _cost(fields: Fields, day: str, amount: Fields, value: str, currency: str) -> Line:
    if amount.text(currency).upper() not in ("USD", ""):
        raise amount.wrong(currency, "usd")
    amounts, item = Billed(usd=amount.amount(value)), fields.text("line_item")
    if not item:
        return Line(day, "", amounts, "all")
    model, batch = model_of(item)
    return Line(day, model or item, amounts, "apart" if model is None else "batch" if batch else "model")


def model_of(item: str) -> tuple[str | None, bool]:
    """The model of a line item and whether it is of a batch: ``gpt-5.5-2026-04-23, cached input``, also with a tier
    before it (``priority | …``) or what is counted (``gpt-image-1 image, output``). None for ``web search tool calls``.
    """
    found = _ITEM.match(item)
    return (None if found is None else found["model"]), "batch" in item.lower()


_USAGE_MARKS: Final = frozenset({"input_tokens", "output_tokens", "num_model_requests"})
_COMPLETIONS: Final = ("usage of completions", _USAGE_MARKS, _NAMES | _TIMES, _COUNTS, _completions)
_EMBEDDINGS: Final = (
    "usage of embeddings",
    frozenset({"input_tokens", "num_model_requests"}),
    _NAMES | _TIMES,
    _COUNTS,
    _embeddings,
)
_COST_AMOUNTS: Final = frozenset({"quantity", "quantity_unit"})

# By the name that a result has in ``object``; those of other names aren't about tokens.
RESULTS: Final = {
    "organization.usage.completions.result": Form("openai", "usage", *_COMPLETIONS, keys=("api_key_id",)),
    "organization.usage.embeddings.result": Form("openai", "embeddings", *_EMBEDDINGS, keys=("api_key_id",)),
    "organization.costs.result": Form(
        "openai",
        "costs",
        "costs",
        frozenset({"amount"}),
        _NAMES | {"line_item"},
        _COST_AMOUNTS,
        _cost_of_report,
        keys=("api_key_id",),
    ),
}
_KEYS: Final = ("api_key_id", "api_key_name", "api_key_redacted")
CSV_FORMS: Final = (
    Form("openai", "usage", *_COMPLETIONS, keys=_KEYS),
    Form("openai", "embeddings", *_EMBEDDINGS, keys=_KEYS),
    Form(
        "openai",
        "costs",
        "costs",
        frozenset({"start_time", "amount_value"}),
        _NAMES | _TIMES | {"line_item"},
        _COST_AMOUNTS | {"amount_currency"},
        _cost_of_file,
        keys=_KEYS,
    ),
)
EMPTY_COLUMNS: Final = _TIMES
"""The columns of a file of days in which nothing happened."""
