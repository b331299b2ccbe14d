"""``router usage``: the table as promised, and the same numbers as JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from router.cli.output import count, money, small_money
from router.cli.places import Places, current_rules
from router.profile.home import Home
from router.wire.usage import Usage

DAY_MS = 86_400_000
NOW = time.time_ns() // 1_000_000


def hashes(home: Home, name: str = "work") -> dict[str, str]:
    """The profile's rules: label -> hash."""
    return {rule.label: rule.hash for rule in current_rules(Places(home.path).profile(name).routes)}


@pytest.fixture
def promised(home: Home, book: Any) -> None:
    """The requests behind the table below."""
    rows = {
        "tool-use → anthropic": (342, 1_100_000, 280_000, 7_810_000_000),
        "input-tokens-lt → groq": (1284, 980_000, 220_000, 180_000_000),
        "default → anthropic": (128, 180_000, 45_000, 1_100_000_000),
    }
    for label, (requests, tokens_in, tokens_out, cost) in rows.items():
        book.add_many(
            requests, tokens_in=tokens_in, tokens_out=tokens_out, cost=cost, time_ms=NOW - 3 * DAY_MS, rule=label,
            rule_hash=hashes(home)[label],
        )  # fmt: skip


TABLE = """\
RULE                     REQUESTS        TOKENS    COST
tool-use → anthropic          342   1.1M / 280K   $7.81
input-tokens-lt → groq       1284   980K / 220K   $0.18
input-tokens-gt → anthropic     0         0 / 0   $0.00
default → anthropic           128    180K / 45K   $1.10
─────────────────────────────────────────────────────────
TOTAL                        1754   2.3M / 545K   $9.09
"""


def test_spend_by_rule_is_a_table_with_every_rule_and_a_total(run: Any, promised: None) -> None:
    result = run("usage", "--profile", "work", "--by-rule")
    assert result.stdout == TABLE
    assert result.exit_code == 0
    assert re.fullmatch(r"all requests, since \d+ \w+( \d{4})? \(UTC\)\n", result.stderr)


def test_without_a_profile_all_are_shown_by_profile_and_rule(run: Any, promised: None) -> None:
    lines = run("usage").stdout.splitlines()
    assert lines[0].split() == ["PROFILE", "RULE", "REQUESTS", "TOKENS", "COST"]
    assert lines[1].split() == ["work", "tool-use", "→", "anthropic", "342", "1.1M", "/", "280K", "$7.81"]
    assert lines[-1].split() == ["TOTAL", "1754", "2.3M", "/", "545K", "$9.09"]


def test_json_has_the_same_numbers_under_keys_that_stay(run: Any, promised: None) -> None:
    report = json.loads(run("usage", "--profile", "work", "--json").stdout)
    assert list(report) == ["by", "profiles", "rows", "total", "deleted", "budgets"]
    assert report["by"] == ["rule"]
    assert report["profiles"] == [{"profile": "work", "since": None, "until": None, "timezone": "UTC"}]
    assert list(report["rows"][0]) == [
        "rule", "requests", "tokens_in", "tokens_out", "input", "cache_read", "cache_write", "output", "reasoning",
        "no_usage", "cost_usd", "cost_nano_usd", "value_usd", "unpriced", "held_usd", "errors", "fallbacks",
        "attempts", "requests_command",
    ]  # fmt: skip
    assert [(row["rule"], row["requests"], row["cost_usd"]) for row in report["rows"]] == [
        ("tool-use → anthropic", 342, 7.81),
        ("input-tokens-lt → groq", 1284, 0.18),
        ("input-tokens-gt → anthropic", 0, 0.0),
        ("default → anthropic", 128, 1.1),
    ]
    assert report["total"]["requests"] == 1754
    assert report["total"]["tokens_in"] == 2_260_000


def test_csv_has_a_line_of_names_and_no_total(run: Any, promised: None) -> None:
    rows = list(csv.DictReader(io.StringIO(run("usage", "--profile", "work", "--csv").stdout)))
    assert [row["rule"] for row in rows][:2] == ["tool-use → anthropic", "input-tokens-lt → groq"]
    assert rows[0]["cost_usd"] == "7.81"
    assert len(rows) == 4


def test_csv_has_every_nano_dollar(run: Any, book: Any) -> None:
    for model, cost in [("dear", 9_007_199_254_740_993), ("cheap", 5), ("free", 0), ("even", 100_000_000_000)]:
        book.add(time_ms=NOW, model=model, usage=Usage(1), cost=cost)
    rows = list(csv.DictReader(io.StringIO(run("usage", "--by", "model", "--csv").stdout)))
    assert {row["model"]: row["cost_usd"] for row in rows} == {
        "dear": "9007199.254740993", "cheap": "0.000000005", "free": "0", "even": "100",
    }  # fmt: skip
    assert {row["model"]: row["cost_nano_usd"] for row in rows}["dear"] == "9007199254740993"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t="])
def test_no_cell_of_csv_is_a_formula(run: Any, book: Any, start: str) -> None:
    book.add_drafted("rejected", saving=-5, draft_cost=5, cost=1, time_ms=NOW, model=f'{start}HYPERLINK("http://x")')
    row = next(csv.DictReader(io.StringIO(run("usage", "--by", "model", "--detail", "--csv").stdout)))
    assert row["model"] == f'\'{start}HYPERLINK("http://x")'
    assert row["draft_saving_usd"] == "-0.000000005", "a number stays one"


def test_a_statement_of_last_month_by_key_and_model(run: Any, book: Any, home: Home) -> None:
    first = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    month = int((first - timedelta(days=1)).timestamp() * 1000)
    for key, model, time_ms, cost in [
        ("alice", "m1", month, 30), ("alice", "m1", month + 1000, 40), ("alice", "m2", month, 90),
        ("bob", "m1", month, 2), ("alice", "m1", int(first.timestamp() * 1000), 500), (None, "m1", month, 7),
    ]:  # fmt: skip
        book.add(time_ms=time_ms, key=key, model=model, usage=Usage(10, output=1), cost=cost)
    by = run("usage", "--profile", "work", "--by", "key,model", "--period", "last-month", "--csv")
    rows = list(csv.DictReader(io.StringIO(by.stdout)))
    assert list(rows[0])[:4] == ["key", "model", "requests", "tokens_in"]
    assert [(row["key"], row["model"], row["requests"], row["cost_nano_usd"]) for row in rows] == [
        ("alice", "m2", "1", "90"), ("alice", "m1", "2", "70"), ("", "m1", "1", "7"), ("bob", "m1", "1", "2"),
    ]  # fmt: skip
    month_name = f"{first - timedelta(days=1):%Y-%m}"
    assert run("usage", "--by", "key", "--by", "model", "--period", month_name, "--csv").stdout == by.stdout


def test_csv_of_nothing_still_names_its_columns(run: Any) -> None:
    assert run("usage", "--by", "tag", "--csv").stdout.startswith("tag,requests,tokens_in")


def test_an_unknown_price_is_a_question_mark_and_the_total_says_so(run: Any, book: Any) -> None:
    book.add(time_ms=NOW, model="new", usage=Usage(10, output=1), cost=None)
    book.add(time_ms=NOW, model="old", usage=Usage(10, output=1), cost=2_000_000_000)
    book.add(time_ms=NOW, model="old", usage=Usage(10, output=1), cost=None)
    result = run("usage", "--profile", "work", "--by", "model")
    assert result.stdout == (
        "MODEL  REQUESTS   TOKENS        COST\n"
        "old           2   20 / 2   $2.00 + ?\n"
        "new           1   10 / 1           ?\n"
        "──────────────────────────────────────\n"
        "TOTAL         3   30 / 3   $2.00 + ?\n"
        "The total leaves out 2 requests of unknown cost, shown as ?.\n"
    )
    rows = json.loads(run("usage", "--by", "model", "--json").stdout)["rows"]
    assert [(row["model"], row["cost_usd"], row["unpriced"]) for row in rows] == [("old", 2.0, 1), ("new", None, 1)]


def test_tokens_that_nobody_reported_are_no_zeros(run: Any, book: Any) -> None:
    book.add(time_ms=NOW, usage=None, cost=None)
    result = run("usage", "--profile", "work", "--by", "client")
    assert "? / ?" in result.stdout
    assert "TOKENS leaves out 1 request that came without a token count." in result.stdout


def test_a_subscription_costs_nothing_and_shows_its_value(run: Any, book: Any) -> None:
    book.add(time_ms=NOW, usage=Usage(10, output=1), cost=0, value=3_000_000_000)
    book.add(time_ms=NOW, usage=Usage(10, output=1), cost=1_000_000_000)
    result = run("usage", "--profile", "work", "--by", "client", "--detail")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[1][-1] == "$1.00"
    assert lines[5][-1] == "VALUE"
    assert lines[6][-2:] == ["100%", "$3.00"]
    assert json.loads(run("usage", "--by", "client", "--json").stdout)["rows"][0]["value_usd"] == 3.0


def test_detail_splits_tokens_and_adds_how_it_went(run: Any, book: Any, home: Home) -> None:
    book.add(
        time_ms=NOW, usage=Usage(1, 20, 300, 4000, 50, 6), outcome="upstream-error", rule="tool-use → anthropic",
        rule_hash=hashes(home)["tool-use → anthropic"],
    )  # fmt: skip
    book.add(time_ms=NOW, usage=Usage(1), rule="tool-use → anthropic", rule_hash=hashes(home)["tool-use → anthropic"])
    amounts, quality = run("usage", "--profile", "work", "--detail").stdout.split("\n\n")
    assert amounts.splitlines()[0].split() == "RULE REQUESTS INPUT READ WRITE OUTPUT REASON COST".split()
    assert amounts.splitlines()[1].split()[3:] == ["2", "2", "20", "4.3K", "50", "6", "$0.00"]
    assert quality.splitlines()[0].split() == "RULE ATTEMPTS ERRORS FALLBACKS P50 P95 SHARE".split()
    assert quality.splitlines()[1].split()[3:] == ["2", "1", "0", "1.2s", "1.2s", "-"]
    row = json.loads(run("usage", "--profile", "work", "--detail", "--json").stdout)["rows"][0]
    assert (row["p50_ms"], row["p95_ms"], row["drafts"], row["share"]) == (1234.0, 1234.0, 0, None)


@pytest.fixture
def drafted(home: Home, book: Any) -> None:
    """Two rules whose drafts were taken, thrown away and failed, and changes of target that lost caches."""
    rules = hashes(home)
    tools, short = ({"time_ms": NOW, "rule": label, "rule_hash": rules[label]} for label in list(rules)[:2])
    usage = Usage(1000, output=100)
    for _ in range(10):
        book.add_drafted("accepted", saving=30_000_000, draft_cost=10_000_000, usage=usage, cost=0, **short)
    book.add_drafted("rejected", saving=-10_000_000, draft_cost=10_000_000, usage=usage, cost=50_000_000, **short)
    book.add_drafted("accepted", saving=-20_000_000, draft_cost=70_000_000, usage=usage, cost=0, **tools)
    book.add_drafted(
        "rejected", saving=-100_000_000, draft_cost=100_000_000, usage=usage, cost=300_000_000, lost=18_000,
        worth=48_600_000, **tools,
    )  # fmt: skip
    book.add_drafted(None, saving=None, draft_cost=None, usage=usage, cost=300_000_000, lost=2_000, **tools)
    book.add(usage=usage, cost=0, time_ms=NOW, rule_hash=rules["default → anthropic"])


DETAIL = """\
RULE                   REQUESTS  INPUT  READ  WRITE  OUTPUT  REASON    COST
tool-use → anthropic          3     3K     0      0     300       0   $0.77
input-tokens-lt → groq       11    11K     0      0    1.1K       0   $0.16
input-tokens-gt → anthropic   0      0     0      0       0       0   $0.00
default → anthropic           1     1K     0      0     100       0   $0.00
─────────────────────────────────────────────────────────────────────────────
TOTAL                        15    15K     0      0    1.5K       0   $0.93

RULE                   ATTEMPTS  ERRORS  FALLBACKS    P50    P95  SHARE
tool-use → anthropic          5       0          0   1.2s   1.2s    83%
input-tokens-lt → groq       12       0          0   1.2s   1.2s    17%
input-tokens-gt → anthropic   0       0          0      -      -     0%
default → anthropic           1       0          0   1.2s   1.2s     0%
─────────────────────────────────────────────────────────────────────────
TOTAL                        18       0          0   1.2s   1.2s   100%

RULE                DRAFTS  REJECTED       WASTE        SAVED
tool-use → anthropic     3         2   $0.10 + ?   -$0.12 + ?
input-tokens-lt → groq  11         1       $0.01        $0.29
───────────────────────────────────────────────────────────────
TOTAL                   14         3   $0.11 + ?    $0.17 + ?

RULE           SWITCHES  CACHE LOST        LOSS
tool-use → anthropic  2         20K   $0.05 + ?
─────────────────────────────────────────────────
TOTAL                 2         20K   $0.05 + ?
SAVED leaves out 1 draft of unknown price or usage, shown as ?.
LOSS leaves out 1 switch of unknown price, shown as ?.
Drafts of tool-use → anthropic cost $0.12 more than they saved.
"""


def test_detail_has_tables_of_drafts_and_lost_caches(run: Any, drafted: None) -> None:
    assert run("usage", "--profile", "work", "--by-rule", "--detail").stdout == DETAIL


def test_detail_fits_a_terminal_of_80_columns(run: Any, drafted: None, terminal: None) -> None:
    assert max(map(len, DETAIL.splitlines())) <= 80
    assert run("usage", "--profile", "work", "--by-rule", "--detail").stdout == DETAIL


def test_tables_of_drafts_and_lost_caches_are_there_only_where_there_are_any(run: Any, promised: None) -> None:
    assert run("usage", "--profile", "work", "--detail").stdout.count("\n\n") == 1


def test_json_and_csv_have_the_numbers_of_drafts_and_lost_caches(run: Any, drafted: None) -> None:
    report = json.loads(run("usage", "--profile", "work", "--detail", "--json").stdout)
    names = (
        "requests", "attempts", "fallbacks", "drafts", "drafts_rejected", "draft_waste_usd", "draft_saving_usd",
        "drafts_unknown", "cache_switches", "cache_lost", "cache_lost_usd", "cache_lost_unknown",
    )  # fmt: skip
    shown = {row["rule"]: tuple(row[name] for name in names) for row in report["rows"]}
    assert shown["tool-use → anthropic"] == (3, 5, 0, 3, 2, 0.1, -0.12, 1, 2, 20_000, 0.0486, 1)
    assert shown["input-tokens-lt → groq"] == (11, 12, 0, 11, 1, 0.01, 0.29, 0, 0, 0, 0.0, 0)
    assert tuple(report["total"][name] for name in names) == (15, 18, 0, 14, 3, 0.11, 0.17, 1, 2, 20_000, 0.0486, 1)
    row = next(csv.DictReader(io.StringIO(run("usage", "--profile", "work", "--detail", "--csv").stdout)))
    assert tuple(float(row[name]) for name in names) == shown["tool-use → anthropic"]


def test_what_is_unknown_as_a_whole_is_no_zero(run: Any, book: Any) -> None:
    book.add_drafted("rejected", saving=None, draft_cost=None, cost=None, lost=5, time_ms=NOW)
    (row,) = json.loads(run("usage", "--by", "client", "--detail", "--json").stdout)["rows"]
    assert (row["draft_waste_usd"], row["draft_saving_usd"], row["cache_lost_usd"]) == (None, None, None)
    _, _, drafts, caches = run("usage", "--by", "client", "--detail").stdout.split("\n\n")
    assert drafts.splitlines()[1].split() == ["claude-code", "1", "1", "?", "?"]
    assert caches.splitlines()[1].split() == ["claude-code", "1", "5", "?"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        pytest.param(("--profile", "work"), ["tool-use → anthropic"], id="the default"),
        pytest.param((), ["tool-use → anthropic (profile work)"], id="of any profile"),
        pytest.param(("--by", "rule", "--by", "client", "--by", "day"), ["tool-use → anthropic"], id="in several rows"),
        pytest.param(("--by-rule", "--until", "2d"), [], id="not in this period"),
        pytest.param(("--by", "model"), [], id="by model no rule is shown"),
    ],
)
@pytest.mark.slow
def test_rules_whose_drafts_lose_money_are_named(
    run: Any, drafted: None, options: tuple[str, ...], named: list[str]
) -> None:
    lines = run("usage", "--detail", *options).stdout.splitlines()
    told = [line for line in lines if line.startswith("Drafts of")]
    assert told == [f"Drafts of {rule} cost $0.12 more than they saved." for rule in named]


@pytest.mark.parametrize(
    ("options", "requests"),
    [
        pytest.param((), 3, id="everything unless said otherwise"),
        pytest.param(("--period", "all"), 3, id="all is everything"),
        pytest.param(("--since", "7d"), 2, id="the last seven days"),
        pytest.param(("--since", "1h"), 1, id="the last hour"),
        pytest.param(("--until", "2d"), 2, id="until two days ago"),
        pytest.param(("--since", "7d", "--until", "2d"), 1, id="between"),
        pytest.param(("--period", "month", "--until", "999w"), None, id="a period that ends before it begins"),
    ],
)
def test_the_period_decides_what_is_counted(
    run: Any, book: Any, options: tuple[str, ...], requests: int | None
) -> None:
    for age in (0, 3 * DAY_MS, 400 * DAY_MS):
        book.add(time_ms=NOW - age)
    result = run("usage", "--json", *options)
    if requests is None:
        assert result.exit_code == 2
        assert "ends before it begins" in result.stderr
    else:
        assert json.loads(result.stdout)["total"]["requests"] == requests


def test_several_dimensions_make_one_row_for_each_combination(run: Any, book: Any) -> None:
    book.add(time_ms=NOW, key="alice", tags="ci nightly")
    book.add(time_ms=NOW)
    rows = json.loads(run("usage", "--by", "key", "--by", "tag", "--json").stdout)["rows"]
    assert [(row["key"], row["tag"]) for row in rows] == [("alice", "ci"), ("alice", "nightly"), (None, None)]
    assert "(none)" in run("usage", "--by", "key").stdout


@pytest.fixture
def mostly_deleted(book: Any) -> None:
    """Of four requests two are kept; of one hour one was deleted and one is there."""
    old = NOW - 30 * DAY_MS
    hour = old - old % 3_600_000
    for time_ms, tags, key in [(hour - 5, "ci", "alice"), (hour + 1, "ci nightly", "bob"), (hour + 2, None, "bob")]:
        book.add(time_ms=time_ms, tags=tags, key=key, usage=Usage(10, output=1), cost=1_000_000_000)
    book.add_drafted("rejected", saving=-1, draft_cost=1, cost=2_000_000_000, time_ms=NOW, tags="ci", key="alice")
    book.connection.execute("DELETE FROM attempts WHERE request_id < (SELECT id FROM requests WHERE tags IS NULL)")
    book.connection.execute("DELETE FROM requests WHERE id < (SELECT id FROM requests WHERE tags IS NULL)")


def test_what_budgets_count_beside_the_cost_is_told(run: Any, book: Any) -> None:
    book.add(time_ms=NOW, cost=None, outcome="partial", ended={"held_nano_usd": 12_000_000})
    result = run("usage")
    assert "Budgets count $0.01 more, for calls that may have been charged.\n" in result.stdout
    assert json.loads(run("usage", "--json").stdout)["total"]["held_usd"] == 0.012


def test_a_report_by_tag_says_of_how_many_requests_it_is_not_known(run: Any, mostly_deleted: None) -> None:
    result = run("usage", "--by", "tag")
    rows = [line.split()[:2] for line in result.stdout.splitlines()]
    assert rows[1:4] == [["ci", "1"], ["(deleted)", "2"], ["(none)", "1"]]
    assert rows[5][:2] == ["TOTAL", "4"]
    assert re.search(
        r"\nOf 2 requests until \d+ \w+( \d{4})?( \d\d:00)? only sums are kept \(\[ledger\] retention\)\.\n"
        r"They stand as \(deleted\)\.\n\Z",
        result.stdout,
    )
    found = json.loads(run("usage", "--by", "tag,key", "--json").stdout)
    assert [(row["tag"], row["key"], row["cost_usd"]) for row in found["rows"]] == [
        ("ci", "alice", 2.000000001), ("(deleted)", "alice", 1.0), ("(deleted)", "bob", 1.0), (None, "bob", 1.0),
    ]  # fmt: skip
    assert found["deleted"]["requests"] == 2
    assert found["deleted"]["until"].endswith(":00:00+00:00")


def test_detail_says_of_how_many_requests_it_is_not_known(run: Any, mostly_deleted: None) -> None:
    lines = run("usage", "--profile", "work", "--by", "key", "--detail").stdout.splitlines()
    assert lines[-2].startswith("Of 2 requests until ")
    assert lines[-1] == "P50, P95, the drafts and the lost caches leave them out."
    assert "only sums" not in run("usage", "--by", "key").stdout, "which is whole"


def test_a_period_that_ends_within_an_hour_of_deleted_requests_says_so(run: Any, mostly_deleted: None) -> None:
    end = datetime.fromtimestamp(((NOW - 30 * DAY_MS) // 3_600_000 * 3_600_000 + 60_000) / 1000, UTC).isoformat()
    result = run("usage", "--by", "key", "--until", end)
    assert re.search(r"TOTAL +3 ", result.stdout)
    assert result.stdout.endswith(
        "1 of them: the period, or a day of it, cuts their hour; they count where that begins.\n"
    )


def test_a_report_of_what_is_all_kept_says_nothing_of_deletion(run: Any, promised: None) -> None:
    assert "only sums" not in run("usage", "--by", "tag", "--detail").stdout
    assert json.loads(run("usage", "--by", "tag", "--json").stdout)["deleted"] == {
        "requests": 0, "until": None, "by_hour": 0,
    }  # fmt: skip


def test_a_profile_that_is_gone_still_has_its_past(run: Any, book: Any) -> None:
    book.add(time_ms=NOW, profile="old", rule="some rule")
    assert "some rule" in run("usage", "--profile", "old").stdout


def test_a_profile_with_a_wrong_file_shows_its_rules_as_recorded(run: Any, book: Any, home: Home) -> None:
    book.add(time_ms=NOW, rule="kept label")
    (home.profiles / "work" / "routing.toml").write_text("nonsense = ")
    result = run("usage", "--profile", "work")
    assert "kept label" in result.stdout
    assert "router check work" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--profile", "wrk"), 'did you mean "work"?'),
        (("--since", "soon"), "expected one such as"),
        (("--by", "colour"), "'colour' is not one of"),
        (("--by", "key,colour"), "'colour' is not one of"),
        (("--period", "soon"), "expected today, yesterday"),
        (("--json", "--csv"), "exclude each other"),
        (("--period", "week", "--since", "7d"), "exclude each other"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(run: Any, arguments: tuple[str, ...], said: str) -> None:
    result = run("usage", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.startswith("router: ")
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_a_damaged_ledger_is_status_3(run: Any, home: Home) -> None:
    home.database.write_bytes(b"this is no database at all, whatever its name says" * 100)
    result = run("usage")
    assert result.exit_code == 3
    assert "router.db can't be read" in result.stderr


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (0, "0"), (999, "999"), (1000, "1K"), (1250, "1.2K"), (9_949, "9.9K"), (9_999, "10K"), (45_000, "45K"),
        (280_000, "280K"), (999_499, "999K"), (999_500, "1M"), (1_100_000, "1.1M"), (2_260_000, "2.3M"),
        (12_000_000, "12M"), (3_400_000_000, "3.4B"), (5 * 10**15, "5000T"),
    ],
)  # fmt: skip
def test_token_counts_have_two_or_three_digits(tokens: int, text: str) -> None:
    assert count(tokens) == text


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (None, "?"), (0, "$0.00"), (1, "<$0.01"), (4_999_999, "<$0.01"), (5_000_000, "$0.01"), (7_810_000_000, "$7.81"),
        (1_234_565_000_000, "$1234.57"), (-2_500_000_000, "-$2.50"), (-5_000_000, "-$0.01"), (-1, "-<$0.01"),
    ],
)  # fmt: skip
def test_money_is_rounded_half_up_and_never_rounded_away(nano: int | None, text: str) -> None:
    assert money(nano) == text


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (None, "?"), (0, "$0.00"), (4_200_000, "$0.00420"), (-4_200_000, "-$0.00420"), (-310_000_000, "-$0.310"),
        (7, "$0.000000007"), (-2_500_000_000, "-$2.50"),
    ],
)  # fmt: skip
def test_money_of_one_request_has_three_digits(nano: int | None, text: str) -> None:
    assert small_money(nano) == text
