"""Several files as one bill: pages, usage beside costs, nothing counted twice."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest

from router.errors import ConfigError
from router.reconciling.amounts import Billed, Tokens
from router.reconciling.bill import ALL, Bill, combine
from router.reconciling.export import Export, utc_day
from router.reconciling.reading import read
from tests.support import exports as write
from tests.support.exports import Fact

DAYS = ["2026-11-02", "2026-11-03", "2026-11-04"]
A = Fact("2026-11-02", "m-1", Tokens(100, 10, 5, 3, 50), 4, 1_500_000_000)
B = Fact("2026-11-03", "m-1", Tokens(7, output=1), 1, 20_000_000, key="key_2")
C = Fact("2026-11-03", "m-2", Tokens(9, output=2), 1, 30_000_000)


def bill(*contents: bytes, keys: Sequence[str] = ()) -> Bill:
    exports = [export for number, content in enumerate(contents, 1) for export in read(f"f{number}", content)]
    return combine(exports, label=str.upper, keys=keys)


def test_usage_and_costs_are_parts_of_one_bill_by_day_and_model() -> None:
    made = bill(write.openai_usage_json([A, B, C], DAYS), write.openai_cost_csv([A, B, C], DAYS))
    assert made.maker == "openai"
    assert {told: dict(part.rows) for told, part in made.parts.items()} == {
        "usage": {
            ("2026-11-02", "M-1"): Billed(A.tokens, 4),
            ("2026-11-03", "M-1"): Billed(B.tokens, 1),
            ("2026-11-03", "M-2"): Billed(C.tokens, 1),
        },
        "costs": {
            ("2026-11-02", "M-1"): Billed(usd=Decimal("1.5")),
            ("2026-11-03", "M-1"): Billed(usd=Decimal("0.02")),
            ("2026-11-03", "M-2"): Billed(usd=Decimal("0.03")),
        },
    }
    assert all(part.by_model for part in made.parts.values())
    assert (utc_day(made.since_ms), utc_day(made.until_ms)) == ("2026-11-02", "2026-11-05")
    assert made.notes == ()


def test_pages_add_up_and_a_missing_last_one_is_told() -> None:
    first = write.anthropic_usage_json([A], DAYS[:1]).replace(b'"has_more": false', b'"has_more": true')
    made = bill(first, write.anthropic_usage_json([B], DAYS[1:]))
    assert made.parts["usage"].rows.keys() == {("2026-11-02", "M-1"), ("2026-11-03", "M-1")}
    assert made.notes == ()
    assert bill(first).notes == ("f1: there is a further page; give it, too",)


def test_what_stands_in_two_files_counts_once() -> None:
    made = bill(write.openai_usage_csv([A, B], DAYS), write.openai_usage_csv([B, C], DAYS))
    assert made.parts["usage"].rows["2026-11-03", "M-1"] == Billed(B.tokens, 1)
    assert made.notes == ("f2: 1 rows stand in f1, too, and are counted once",)


def test_two_lines_about_the_same_in_one_file_are_two() -> None:
    made = bill(write.openai_usage_csv([B, B], DAYS))
    assert made.parts["usage"].rows["2026-11-03", "M-1"] == Billed(B.tokens + B.tokens, 2)


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        pytest.param(
            (
                write.openai_usage_csv([A], DAYS),
                write.openai_usage_csv([Fact(A.day, A.model, Tokens(1), 1, 1)], DAYS),
            ),
            "f2 and f1 tell something else of 2026-11-02, m-1",
            id="an export and a later one of the same day",
        ),
        pytest.param(
            (write.anthropic_usage_json([A], DAYS), write.anthropic_usage_csv([A], DAYS)),
            "f2 and f1 both have 2026-11-02, in another form",
            id="the same usage in two forms",
        ),
        pytest.param(
            (
                write.openai_usage_json([A], DAYS),
                write.openai_usage_json([A], DAYS).replace(b'"api_key_id": "key_1"', b'"api_key_id": null'),
            ),
            "f2 and f1 both have 2026-11-02, in another form or grouped by other things",
            id="the same usage, grouped otherwise",
        ),
    ],
)
def test_what_would_count_twice_is_refused(contents: tuple[bytes, bytes], said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        bill(*contents)
    assert said in str(raised.value)


def test_one_api_keys_part_can_be_taken() -> None:
    contents = write.openai_usage_csv([A, B, C], DAYS), write.openai_cost_csv([A, B, C], DAYS)
    made = bill(*contents, keys=["key_2"])
    assert [list(part.rows) for part in made.parts.values()] == [[("2026-11-03", "M-1")]] * 2
    with pytest.raises(ConfigError, match="no row is of the API key other; there are key_1, key_2"):
        bill(*contents, keys=["other"])
    with pytest.raises(ConfigError, match="Anthropic's cost report doesn't tell API keys apart"):
        bill(write.anthropic_cost_json([A], DAYS), keys=["key_1"])


def test_where_models_are_not_told_apart_days_are_rows() -> None:
    plain = write.openai_costs_json([A, B, C], DAYS)
    for part in write.COST_PARTS:
        for model in ("m-1", "m-2"):
            plain = plain.replace(f'"line_item": "{model}, {part}"'.encode(), b'"line_item": null')
    made = bill(plain)
    assert dict(made.parts["costs"].rows) == {
        ("2026-11-02", ALL): Billed(usd=Decimal("1.5")),
        ("2026-11-03", ALL): Billed(usd=Decimal("0.05")),
    }
    assert made.notes == ("f1: models aren't told apart, so days are compared",)


def test_days_without_anything_count_as_days_of_both() -> None:
    (empty,) = read("f", write.openai_usage_csv([], DAYS))
    assert empty.told is None
    assert combine([empty], label=str).parts.keys() == {"usage", "costs"}
    made = bill(write.openai_usage_csv([], DAYS), write.openai_cost_csv([A], DAYS[:1]))
    assert made.parts.keys() == {"costs"}
    assert utc_day(made.until_ms) == "2026-11-05"


def test_a_bill_can_be_cut_to_a_period_or_reach_beyond_its_files() -> None:
    made = bill(write.anthropic_usage_csv([A, B], DAYS))
    day = 86_400_000
    shorter = made.within(made.since_ms + day, None).parts["usage"]
    assert list(shorter.rows) == [("2026-11-03", "M-1")]
    longer = made.within(made.since_ms - 5 * day, made.until_ms + day).parts["usage"]
    assert longer.rows == made.parts["usage"].rows
    assert longer.covers("2026-10-28")
    assert not longer.covers("2026-10-27")
    assert longer.covers("2026-11-04")
    assert not longer.covers("2026-11-05")


def test_an_export_is_of_one_provider_whatever_it_is_called(tmp_path: object) -> None:
    exports: list[Export] = [*read("claude.csv", write.openai_usage_csv([A], DAYS))]
    assert exports[0].maker == "openai"
