"""From a number in a report to the requests it is of, and from a request to what its amounts are made of."""

from __future__ import annotations

import json
import random
import shlex
import time
from decimal import Decimal
from typing import Any

import pytest

from router.money.savings import Baseline, Baselines, Counts, encode
from router.profile.home import Home
from router.wire.usage import Usage
from tests.cli.test_usage import hashes

NOW = time.time_ns() // 1_000_000
DAY_MS = 86_400_000


@pytest.fixture
def many(home: Home, book: Any) -> None:
    """Requests of all kinds, over some days and two profiles."""
    rng = random.Random(11)
    rules = [*hashes(home).items(), ("tool-use → anthropic", "an older meaning"), ("(none)", "")]
    for number in range(30):
        label, rule_hash = rng.choice(rules)
        cost = rng.choice([None, 0, rng.randrange(10**9)])
        book.add(
            time_ms=NOW - rng.randrange(4 * DAY_MS), rule=label, rule_hash=rule_hash, cost=cost,
            usage=rng.choice([None, Usage(rng.randrange(10**4), rng.randrange(10**4), output=rng.randrange(10**3))]),
            outcome=rng.choice(["ok", "ok", "client-gone", "upstream-error"]),
            kind=rng.choice(["generate", "generate", "generate", "embed", "count"]),
            model=rng.choice(["claude-haiku-4-5", "it's odd"]), key=rng.choice([None, "alice"]),
            tags=rng.choice([None, "ci", "ci nightly"]), conversation=rng.choice([None, f"c{number % 3}"]),
            profile=rng.choice(["work", "work", "gone"]), settled=rng.random() > 0.05,
            ended={"at_default_nano_usd": rng.choice([None, rng.randrange(10**9)])},
        )  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        ("--profile", "work"),
        (),
        ("--by", "model,key"),
        ("--profile", "work", "--by", "tag"),
        ("--by", "day", "--since", "3d"),
        ("--by", "conversation,client", "--since", "60h", "--until", "20h"),
        ("--by", "profile,day,rule"),
    ],
    ids=" ".join,
)
@pytest.mark.sampled(5)
def test_each_row_says_what_lists_its_requests(run: Any, many: None, options: tuple[str, ...]) -> None:
    report = json.loads(run("usage", "--savings", "--json", *options).stdout, parse_float=Decimal)
    assert len(report["rows"]) > 1
    for row in (*report["rows"], report["total"]):
        command = shlex.split(row["requests_command"])
        assert command[:2] == ["router", "requests"]
        requests = json.loads(run(*command[1:], "--json").stdout)["requests"]
        assert len(requests) == row["requests"]
        assert sum(request["cost_nano_usd"] or 0 for request in requests) == (row["cost_nano_usd"] or 0)
        assert sum(request["output"] or 0 for request in requests) == row["output"]
        assert sum(request["cache_read"] or 0 for request in requests) == row["cache_read"]
        both = [each for each in requests if None not in (each["cost_nano_usd"], each["at_default_nano_usd"])]
        assert len(both) == row["at_default_requests"]
        assert sum(each["at_default_nano_usd"] for each in both) == (row["at_default_usd"] or 0) * 10**9


def test_the_table_says_how_to_get_at_the_requests_of_a_row(run: Any, many: None) -> None:
    assert "router requests" not in run("usage", "--profile", "work").stderr
    hint = run("usage", "--profile", "work", "--by", "model,day", "--savings").stderr.splitlines()[-1]
    assert hint == "the requests of a row: router requests work --model MODEL --day DAY --reported"
    assert run("usage", "--detail").stderr.splitlines()[-1] == (
        "the requests of a row: router requests PROFILE --rule RULE --reported"
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--model", "m2"), "b"),
        (("--provider", "groq"), "b"),
        (("--client", "codex"), "c"),
        (("--key", "alice"), "a"),
        (("--key", "(none)"), "bc"),
        (("--tag", "ci"), "ab"),
        (("--tag", "(none)"), "c"),
        (("--conversation", "c1"), "c"),
        (("--price", "override"), "c"),
        (("--price", "?"), "b"),
        (("--unpriced",), "b"),
        (("--failed",), "c"),
        (("--tag", "ci", "--unpriced"), "b"),
        (("--since", "1h"), "c"),
        (("--until", "25h"), "a"),
        (("--period", "today", "--since", "1h"), None),
        (("--model", "m3"), ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_requests_are_found_by_what_reports_show_of_them(
    run: Any, book: Any, options: tuple[str, ...], expected: str | None
) -> None:
    book.add(time_ms=NOW - 2 * DAY_MS, rule="a", key="alice", tags="ci nightly")
    book.add(
        time_ms=NOW - DAY_MS, rule="b", model="m2", provider="groq", tags="ci", cost=None, ended={"price_source": None}
    )
    book.add(time_ms=NOW - 2, rule="c", client="codex", conversation="c1", outcome="partial", price_source="override")
    result = run("requests", *options, "--json")
    if expected is None:
        assert result.exit_code == 2
        assert "exclude each other" in result.stderr
    else:
        assert "".join(request["rule"] for request in json.loads(result.stdout)["requests"]) == expected


def test_a_day_is_one_of_the_profiles_own(run: Any, book: Any, home: Home) -> None:
    path = home.profiles / "work" / "routing.toml"
    path.write_text(f'[routing]\ntimezone = "Pacific/Auckland"\n{path.read_text()}')
    book.add(time_ms=1_763_031_600_000, rule="on the day")  # 2025-11-13 11:00 UTC is midnight there
    book.add(time_ms=1_763_031_599_999, rule="the day before")
    found = json.loads(run("requests", "work", "--day", "2025-11-14", "--json").stdout)["requests"]
    assert [request["rule"] for request in found] == ["on the day"]
    found = json.loads(run("requests", "--day", "2025-11-14", "--until", "2025-11-13", "--json").stdout)["requests"]
    assert found == []


# --- one request ------------------------------------------------------------------------------------------------------

HAIKU = Usage(input=12_300, cache_read=80_000, cache_write=2_000, output=500)  # at $1, $0.10, $1.25 and $5 a million
HAIKU_COST = 12_300 * 1_000 + 80_000 * 100 + 2_000 * 1_250 + 500 * 5_000


def explained(run: Any, request_id: str) -> str:
    """What is said of the cost of a request's only call."""
    call = json.loads(run("requests", "show", request_id, "--json").stdout)["calls"][0]
    return str(call["cost_explained"])


def test_a_cost_is_the_tokens_times_the_prices(run: Any, book: Any) -> None:
    request_id = book.add(time_ms=NOW, usage=HAIKU, cost=HAIKU_COST)
    sum_ = (
        "12,300 fresh × $1.00/M + 80,000 cache read × $0.10/M + 2,000 cache write × $1.25/M + 500 output × $5.00/M"
        " = $0.0253 (genai-prices 0.2.3)"
    )
    assert explained(run, request_id) == sum_
    assert f"\nCost of 1  {sum_}\n" in run("requests", "show", request_id).stdout


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param(
            {"usage": HAIKU, "cost": HAIKU_COST + 1},
            "$0.025300001, which can't be worked out again: prices have changed since (genai-prices 0.2.3)",
            id="prices that have changed",
        ),
        pytest.param({"usage": HAIKU, "cost": None}, "?: not all of it has a price", id="no price"),
        pytest.param({"usage": None, "cost": None}, "?: no token count came", id="no usage"),
        pytest.param({"usage": None, "cost": 0}, "$0.00: no tokens were reported of it", id="an error"),
        pytest.param(
            {"usage": HAIKU, "cost": 5, "price_source": "provider"},
            "$0.000000005, as the provider says",
            id="the provider's own figure",
        ),
        pytest.param(
            {"usage": Usage(1000, output=0), "cost": 0, "value": 1_000_000},
            "1,000 fresh × $1.00/M = $0.001, paid by a subscription (genai-prices 0.2.3)",
            id="a subscription",
        ),
        pytest.param(
            {"usage": Usage(1000), "cost": 0, "call": {"price_source": None}},
            "$0.00: nothing is charged for it",
            id="counting tokens",
        ),
        pytest.param(
            {"usage": Usage(1000, output=1), "cost": 0, "model": "nobody's"},
            "$0.00: free there (genai-prices 0.2.3)",
            id="a free provider",
        ),
        pytest.param(
            {
                "usage": Usage(1000, output=0), "cost": 11_000_000,
                "call": {"usage_raw": '{"server_tool_use": {"web_search_requests": 1}}'},
            },
            "1,000 fresh × $1.00/M + 1 web search × $0.01 = $0.011 (genai-prices 0.2.3)",
            id="a search of the provider's",
        ),
        pytest.param(
            {
                "usage": Usage(1_000_000, output=0), "provider": "openai", "model": "gpt-5-mini", "cost": 125_000_000,
                "call": {"api": "openai-chat", "usage_raw": '{"prompt_tokens": 1000000, "completion_tokens": 0}'},
            },
            "1,000,000 fresh × $0.125/M = $0.125 (flex) (genai-prices 0.2.3)",
            id="a service class that only the sum tells",
        ),
    ],
)  # fmt: skip
def test_where_a_cost_comes_from(run: Any, book: Any, fields: dict[str, Any], said: str) -> None:
    assert explained(run, book.add(time_ms=NOW, **fields)) == said


def test_own_prices_are_those_of_the_profile(run: Any, book: Any, home: Home) -> None:
    path = home.profiles / "work" / "routing.toml"
    path.write_text(f'{path.read_text()}\n[prices."anthropic/claude-haiku-4-5"]\ninput = 0.5\noutput = 2\n')
    request_id = book.add(time_ms=NOW, usage=Usage(1000, output=10), cost=520_000, price_source="override")
    assert explained(run, request_id) == "1,000 fresh × $0.50/M + 10 output × $2.00/M = $0.00052 (override)"
    gone = book.add(time_ms=NOW, usage=Usage(1000, output=0), cost=1_000_000, profile="gone")
    assert explained(run, gone) == "1,000 fresh × $1.00/M = $0.001 (genai-prices 0.2.3)"


def shown(run: Any, book: Any, cost: int | None, at_default: int | None, default: Baseline | None) -> str:
    """What is said of the default."""
    ended = {"at_default_nano_usd": at_default, "baselines": encode(Baselines(default))}
    request_id = book.add(time_ms=NOW, usage=HAIKU, cost=cost, ended=ended)
    found = json.loads(run("requests", "show", request_id, "--json").stdout)
    assert found["at_requested_explained"] == "?: nobody is known to have that model"
    text = run("requests", "show", request_id).stdout
    assert f"\nAt default    {found['at_default_explained']}\n" in text
    return str(found["at_default_explained"])


THERE = Counts(input=1_000, cache_read=10_000, output=500)
THERE_COST = 1_000 * 3_000 + 10_000 * 300 + 500 * 15_000


@pytest.mark.parametrize(
    ("cost", "at_default", "default", "said"),
    [
        pytest.param(
            3_500_000, THERE_COST, Baseline("anthropic", "claude-sonnet-4-5", THERE),
            "anthropic/claude-sonnet-4-5: 1,000 fresh × $3.00/M + 10,000 cache read × $0.30/M + 500 output × $15.00/M"
            " = $0.0135; saved $0.0100",
            id="worked out anew",
        ),
        pytest.param(
            5, THERE_COST + 1, Baseline("anthropic", "claude-sonnet-4-5", THERE),
            "anthropic/claude-sonnet-4-5: $0.013500001, which can't be worked out again: prices have changed since; "
            "saved $0.0135",
            id="prices that have changed",
        ),
        pytest.param(
            7_000, 5_000, Baseline("groq", "q"), "groq/q: $0.000005, it went there; saved -$0.00000200", id="there"
        ),
        pytest.param(
            5, 0, Baseline("groq", "q", THERE, "subscription"),
            "groq/q: $0.00, paid by a subscription; saved -$0.000000005", id="a subscription",
        ),
        pytest.param(
            5, None, Baseline("groq", "q", THERE, unknown="it has no price"), "?: groq/q: it has no price",
            id="no price",
        ),
        pytest.param(None, None, Baseline("groq", "q"), "?: groq/q: what it did cost is not known", id="unknown cost"),
        pytest.param(None, 5, Baseline("groq", "q", THERE, "free"), "groq/q: free there; saved ?", id="free"),
        pytest.param(5, None, None, "?: the profile has no default", id="no default"),
    ],
)  # fmt: skip
def test_how_a_baseline_was_worked_out(
    run: Any, book: Any, cost: int | None, at_default: int | None, default: Baseline | None, said: str
) -> None:
    assert shown(run, book, cost, at_default, default) == said


def test_a_request_that_was_not_compared_says_nothing_of_it(run: Any, book: Any) -> None:
    text = run("requests", "show", book.add(time_ms=NOW, usage=HAIKU, cost=1, outcome="upstream-error")).stdout
    assert "At default" not in text


def test_what_budgets_kept_back_is_shown(run: Any, book: Any) -> None:
    ended = {"held_nano_usd": 7_000_000}
    request_id = book.add(time_ms=NOW, cost=None, ended=ended, call={"reserved_nano_usd": 9_000_000}, charged_ms=NOW)
    text = run("requests", "show", request_id).stdout
    assert "\nHeld       $0.00700 in budgets, for calls that may be charged, nobody knows what\n" in text
    assert "\n           $0.00900 was kept back for it in budgets before\n" in text
    assert "\nCharged    to the budgets of 20" in text
    found = json.loads(run("requests", "show", request_id, "--json").stdout)
    assert (found["held_usd"], found["calls"][0]["reserved_usd"]) == (0.007, 0.009)
    running = book.add(time_ms=NOW, settled=False, held_nano_usd=5)
    assert "$0.000000005 in budgets, while it is under way" in run("requests", "show", running).stdout


def test_it_fits_a_terminal_of_80_columns(run: Any, book: Any, terminal: None) -> None:
    ended = {"at_default_nano_usd": THERE_COST, "baselines": encode(Baselines(Baseline("anthropic", "m", THERE)))}
    text = run("requests", "show", book.add(time_ms=NOW, usage=HAIKU, cost=HAIKU_COST, ended=ended)).stdout
    assert max(map(len, text.splitlines())) <= 80
