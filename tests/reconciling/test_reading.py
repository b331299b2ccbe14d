"""Files of every form that providers write, recognised by what is in them; and files that are none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from router.errors import ConfigError
from router.reconciling.amounts import Billed, Tokens
from router.reconciling.export import Export, utc_day
from router.reconciling.openai import model_of
from router.reconciling.reading import read

DATA = Path(__file__).resolve().parent.parent / "data" / "reconciling"


def content(name: str) -> bytes:
    return (DATA / name).read_bytes()


def one(name: str) -> Export:
    (export,) = read(name, content(name))
    return export


def told(export: Export) -> dict[tuple[str, str, str], Billed]:
    found: dict[tuple[str, str, str], Billed] = {}
    for line in export.lines:
        key = line.day, line.model, line.subject
        found[key] = found.get(key, Billed()) + line.amounts
    return found


def usd(text: str, **more: Any) -> Billed:
    return Billed(usd=Decimal(text), **more)


CENTS = {"rounding_usd": Decimal("0.005")}


@pytest.mark.parametrize(
    ("name", "maker", "what", "lines"),
    [
        pytest.param(
            "anthropic_usage_report.json",
            "anthropic",
            "usage",
            {("2025-08-01", "claude-sonnet-4-20250514", "model"): Billed(Tokens(1500, 200, 500, 1000, 500))},
            id="Anthropic's usage report",
        ),
        pytest.param(
            "anthropic_cost_report.json",
            "anthropic",
            "costs",
            {
                ("2025-08-01", "claude-sonnet-4-20250514", "model"): usd("1.2378912"),
                ("2025-08-01", "web search", "apart"): usd("0.5"),
            },
            id="its cost report, in cents",
        ),
        pytest.param(
            "anthropic_tokens.csv",
            "anthropic",
            "usage",
            {
                ("2026-11-02", "claude-haiku-4-5-20251001", "model"): Billed(Tokens(100007, 50000, 2000, 1000, 5001)),
                ("2026-11-03", "claude-opus-5-5", "batch"): Billed(Tokens(300, output=40)),
            },
            id="the Console's usage file",
        ),
        pytest.param(
            "anthropic_cost.csv",
            "anthropic",
            "costs",
            {
                ("2026-11-02", "Claude Haiku 4.5", "model"): usd(
                    "0.12", list_usd=Decimal("0.13"), rounding_usd=Decimal("0.010")
                ),
                ("2026-11-02", "web search", "apart"): usd("0.10", list_usd=Decimal("0.10"), **CENTS),
            },
            id="its cost file, rounded to cents",
        ),
        pytest.param(
            "anthropic_cost_2024.csv",
            "anthropic",
            "costs",
            {("2024-12-07", "Claude 3.5 Sonnet 2024-10-22", "model"): usd("0.12", **CENTS)},
            id="as it was years ago",
        ),
        pytest.param(
            "openai_completions.json",
            "openai",
            "usage",
            {("2024-11-01", "", "all"): Billed(Tokens(200, 800, output=500), 5)},
            id="OpenAI's completions, whose input has the cached tokens in it",
        ),
        pytest.param(
            "openai_costs.json", "openai", "costs", {("2024-11-01", "", "all"): usd("0.06")}, id="OpenAI's costs"
        ),
        pytest.param(
            "openai_completions_usage.csv",
            "openai",
            "usage",
            {
                ("2026-11-02", "gpt-5-2025-08-07", "model"): Billed(Tokens(59223, 5760, output=26646), 11),
                ("2026-11-02", "gpt-5-mini-2025-08-07", "batch"): Billed(Tokens(100, output=20), 2),
            },
            id="the dashboard's usage file",
        ),
        pytest.param(
            "openai_cost.csv",
            "openai",
            "costs",
            {
                ("2026-11-02", "gpt-5-2025-08-07", "model"): usd("0.00383598"),
                ("2026-11-02", "web search tool calls", "apart"): usd("0.01"),
            },
            id="its cost file",
        ),
        pytest.param("openai_empty.csv", "openai", None, {}, id="days in which nothing happened"),
    ],
)
def test_a_file_is_known_by_its_content(
    name: str, maker: str, what: str | None, lines: Mapping[tuple[str, str, str], Billed]
) -> None:
    export = one(name)
    assert (export.maker, export.told, told(export)) == (maker, what, lines)
    assert export.notes == ()


@pytest.mark.parametrize(
    ("name", "days"),
    [
        ("anthropic_usage_report.json", ("2025-08-01", "2025-08-02")),
        ("anthropic_tokens.csv", ("2026-11-02", "2026-11-04")),
        ("openai_completions_usage.csv", ("2026-11-01", "2026-11-03")),
        ("openai_empty.csv", ("2026-11-01", "2026-11-02")),
    ],
)
def test_the_time_it_is_of_has_the_days_without_usage_too(name: str, days: tuple[str, str]) -> None:
    export = one(name)
    assert (utc_day(export.since_ms), utc_day(export.until_ms)) == days


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("anthropic_tokens.csv", [("laptop",), ("server, main",), ("laptop",)]),
        ("anthropic_cost.csv", [("laptop", "apikey_1")] * 3),
        ("anthropic_cost_report.json", [None, None]),
        ("openai_completions_usage.csv", [("key_1",), ("key_1",), ("key_2",)]),
    ],
)
def test_the_api_key_is_known_where_the_export_has_it(name: str, keys: list[tuple[str, ...] | None]) -> None:
    assert [line.key for line in one(name).lines] == keys


@pytest.mark.parametrize(
    ("item", "model", "batch"),
    [
        ("gpt-5.5-2026-04-23, input", "gpt-5.5-2026-04-23", False),
        ("gpt-4o-mini-2024-07-18, cached input", "gpt-4o-mini-2024-07-18", False),
        ("priority | gpt-5.6-sol, output, long context", "gpt-5.6-sol", False),
        ("gpt-image-1 image, output", "gpt-image-1", False),
        ("gpt-audio-mini-2025-12-15 audio, input", "gpt-audio-mini-2025-12-15", False),
        ("batch | gpt-5, output", "gpt-5", True),
        ("gpt-5.6-luna, cache writes", "gpt-5.6-luna", False),
        ("web search tool calls", None, False),
        ("assistants api | file search", None, False),
    ],
)
def test_a_line_item_names_its_model(item: str, model: str | None, batch: bool) -> None:
    assert model_of(item) == (model, batch)


# --- JSON in several pieces -------------------------------------------------------------------------------------------


def page(*results: dict[str, Any], day: str = "2026-11-02", **more: object) -> dict[str, Any]:
    end = f"{day[:-1]}{int(day[-1]) + 1}"
    bucket = {"starting_at": f"{day}T00:00:00Z", "ending_at": f"{end}T00:00:00Z", "results": list(results)}
    return {"data": [bucket], "has_more": False, "next_page": None, **more}


def usage(model: str | None = "m", **counts: int) -> dict[str, Any]:
    return {"uncached_input_tokens": 1, "output_tokens": 2, "model": model, **counts}


@pytest.mark.parametrize("separator", ["", "\n", " \r\n\n"])
def test_pages_one_after_the_other_are_read(separator: str) -> None:
    first, second = json.dumps(page(usage())), json.dumps(page(usage(), day="2026-11-03"))
    (export,) = read("f", f" {first}{separator}{second}\n".encode())
    assert [line.day for line in export.lines] == ["2026-11-02", "2026-11-03"]


def test_pages_in_a_list_are_read() -> None:
    (export,) = read("f", json.dumps([page(usage()), page(usage(), day="2026-11-03")]).encode())
    assert len(export.lines) == 2


def test_usage_and_costs_in_one_file_are_two_exports() -> None:
    costs = {"amount": "5", "currency": "USD", "cost_type": "tokens", "model": "m"}
    exports = read("f", json.dumps([page(usage()), page(costs)]).encode())
    assert [export.told for export in exports] == ["usage", "costs"]


def test_a_page_without_results_is_of_its_days_all_the_same() -> None:
    (export,) = read("f", json.dumps([page(usage()), page(day="2026-11-05")]).encode())
    assert (export.told, export.until_ms - export.since_ms) == ("usage", 4 * 86_400_000)
    (empty,) = read("f", json.dumps(page()).encode())
    assert (empty.told, empty.lines) == (None, ())


def test_hours_and_minutes_count_in_their_day() -> None:
    hour = page(usage())
    hour["data"][0] |= {"starting_at": "2026-11-02T23:00:00Z", "ending_at": "2026-11-03T00:00:00Z"}
    (export,) = read("f", json.dumps(hour).encode())
    assert [line.day for line in export.lines] == ["2026-11-02"]


def test_what_no_model_is_told_of_stands_apart_where_others_have_one() -> None:
    (export,) = read("f", json.dumps(page(usage(), usage(None))).encode())
    assert [(line.model, line.subject) for line in export.lines] == [("m", "model"), ("no model", "apart")]


def openai_page(*results: dict[str, Any]) -> bytes:
    bucket = {"object": "bucket", "start_time": 1793577600, "end_time": 1793664000, "results": list(results)}
    return json.dumps({"object": "page", "data": [bucket], "has_more": False}).encode()


COMPLETIONS = {"object": "organization.usage.completions.result", "num_model_requests": 1, "model": "gpt-5"}


def test_writes_of_the_cache_are_part_of_openais_input() -> None:
    result = {
        **COMPLETIONS,
        "input_tokens": 1000,
        "output_tokens": 5,
        "input_cached_tokens": 500,
        "input_cache_write_tokens": 300,
        "input_cache_write_30m_tokens": 200,
        "input_cache_write_12h_tokens": 100,
    }
    (export,) = read("f", openai_page(result))
    assert export.lines[0].amounts.tokens == Tokens(200, 500, 200, 100, 5)


def test_embeddings_are_usage_of_their_own_and_images_are_left_out() -> None:
    embeddings = {"object": "organization.usage.embeddings.result", "input_tokens": 7, "num_model_requests": 2}
    images = {"object": "organization.usage.images.result", "images": 2, "num_model_requests": 2}
    (export,) = read("f", openai_page(embeddings | {"model": "text-embedding-3-small"}, images, images))
    assert (export.told, export.lines[0].amounts) == ("embeddings", Billed(Tokens(7), 2))
    assert export.notes == ("f: 2 results on images are left out",)


def test_fields_that_mean_nothing_here_are_named() -> None:
    (export,) = read("f", json.dumps(page(usage(new_tokens=3, other=4))).encode())
    assert export.notes == ("f: not looked at: new_tokens, other",)
    text = content("anthropic_tokens.csv").decode().replace("speed\n", "speed,moon\n").replace(",\n", ",,\n")
    (export,) = read("f.csv", text.encode())
    assert export.notes == ("f.csv: not looked at: moon",)


# --- what is no export ------------------------------------------------------------------------------------------------

HEADER, ROW, *_ = content("anthropic_tokens.csv").decode().splitlines()
OPENAI_HEADER, _, OPENAI_ROW, *_ = content("openai_completions_usage.csv").decode().splitlines()


def changed(row: str, before: str, after: str) -> str:
    assert before in row
    return row.replace(before, after, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "f: is empty", id="nothing"),
        pytest.param(b"a\n\xff", "f:2: isn't UTF-8 text", id="no text"),
        pytest.param("{", "f:1: isn't JSON", id="half a JSON"),
        pytest.param('{"data": []}\n\n{"data": [}', "f:3: isn't JSON: Expecting value", id="broken further down"),
        pytest.param("[" * 100_000, "f:1: isn't JSON", id="too deep"),
        pytest.param("[1]", "f: is no usage or costs: expected Anthropic's usage_report", id="other JSON"),
        pytest.param('{"rows": []}', "f: page 1: is no usage or costs", id="an object of another kind"),
        pytest.param('{"data": []}', "f: has no data", id="an answer without anything"),
        pytest.param('{"data": [3]}', "f: page 1, data[0]: is no stretch of time", id="numbers"),
        pytest.param(
            '{"data": [{"core_metrics": {}, "actor": {}}]}', "f: page 1: is the report on Claude Code", id="by person"
        ),
        pytest.param(
            '{"type": "error", "error": {"message": "invalid x-api-key"}}',
            "f: page 1: is an error that the API answered: invalid x-api-key",
            id="a refusal",
        ),
        pytest.param(
            json.dumps(page({"foo": 1})), "f: page 1, data[0].results[0]: has the fields foo: expected", id="no tokens"
        ),
        pytest.param(
            json.dumps(page(usage(output_tokens=-1))),
            "f: page 1, data[0].results[0]: output_tokens: expected a whole number of at least 0, got '-1'",
            id="less than nothing",
        ),
        pytest.param(
            json.dumps(page(usage() | {"cache_creation": 3})),
            "data[0].results[0]: cache_creation: expected an object",
            id="a number for an object",
        ),
        pytest.param(
            json.dumps(page(usage())).replace("2026-11-02T00:00:00Z", "yesterday"),
            "f: page 1, data[0]: starting_at: expected a time such as",
            id="no time",
        ),
        pytest.param(
            json.dumps(page(usage())).replace("2026-11-03T", "2026-11-04T"),
            "isn't within one day of UTC",
            id="two days",
        ),
        pytest.param(
            json.dumps(page({"amount": "5", "currency": "EUR"})), "currency: expected USD, got 'EUR'", id="other money"
        ),
        pytest.param(
            openai_page({"object": "organization.usage.images.result"}).decode(), "is about images", id="only images"
        ),
        pytest.param(
            openai_page(COMPLETIONS | {"input_tokens": 5, "output_tokens": 1, "input_cached_tokens": 6}).decode(),
            "input_tokens: expected at least the 6 tokens of the cache, got '5'",
            id="more cached than there was",
        ),
        pytest.param("a,b\n1,2\n", "f:1: has the columns a, b: expected", id="another CSV"),
        pytest.param(f"{HEADER}\n", "f: has no rows", id="a header alone"),
        pytest.param(f"{HEADER}\n{ROW},9\n", "f:2: has 15 columns, the first line 14", id="a column too many"),
        pytest.param(
            f"{HEADER}\n{ROW}\n\n{changed(ROW, ',100000,', ',many,')}\n",
            "f:4: usage_input_tokens_no_cache: expected a whole number, got 'many'",
            id="a word for a count",
        ),
        pytest.param(
            f"{HEADER}\n{changed(ROW, '2026-11-02', '2026-13-02')}\n",
            "f:2: usage_date_utc: expected a time",
            id="no such day",
        ),
        pytest.param(f'{HEADER}\n"{ROW}\n', "f:2: isn't CSV: unexpected end of data", id="an open quote"),
        pytest.param(
            f"{OPENAI_HEADER}\n{changed(OPENAI_ROW, '59200.0', '59200.5')}\n",
            "f:2: input_tokens: expected a whole number of at least 0, got '59200.5'",
            id="half a token",
        ),
    ],
)
def test_what_cannot_be_read_is_one_line_with_its_place(text: str | bytes, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read("f", text if isinstance(text, bytes) else text.encode())
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
