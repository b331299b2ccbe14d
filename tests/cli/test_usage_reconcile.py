"""``router usage reconcile``: files in, the ledger beside them, a verdict."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from router.cli import usage_reconcile
from router.cli.main import cli
from router.ledger.writing import Settle, write_records
from router.money.cost import cost_nano_usd
from router.money.prices import PriceTable
from router.profile.home import Home
from router.reconciling.amounts import Tokens
from router.wire.usage import Usage
from tests.cli.conftest import Book, add_profile, ms
from tests.support import exports as write
from tests.support.exports import Fact, begin

PRICES = PriceTable.load()
DAY, NEXT = "2026-11-02", "2026-11-03"
DAYS = (DAY, NEXT)
USAGE = Usage(100_000, 50_000, 2_000, 1_000, 5_000)
OPUS = Usage(30_000, output=4_000)


def cost(model: str, usage: Usage, provider: str = "anthropic") -> int:
    nano = cost_nano_usd(usage, PRICES.rates(provider, model), day=begin(DAY)).nano_usd
    assert nano is not None
    return nano


def fact(model: str, usage: Usage, calls: int, *, day: str = DAY, provider: str = "anthropic", **more: Any) -> Fact:
    one = Tokens(
        usage.input or 0, usage.cache_read or 0, usage.cache_write or 0, usage.cache_write_1h or 0, usage.output or 0
    )
    total = sum([one] * calls, Tokens())
    return Fact(day, model, total, calls, calls * cost(model, usage, provider), **more)


HAIKU = fact("claude-haiku-4-5", USAGE, 3)
OPUSES = fact("claude-opus-5-5", OPUS, 2, day=NEXT)


def noon(day: str) -> int:
    return ms(f"{day}T12:00:00+00:00")


@pytest.fixture(autouse=True)
def calls(book: Book) -> None:
    for _ in range(3):
        book.add(time_ms=noon(DAY), usage=USAGE, cost=cost("claude-haiku-4-5", USAGE), model="claude-haiku-4-5")
    for _ in range(2):
        book.add(time_ms=noon(NEXT), usage=OPUS, cost=cost("claude-opus-5-5", OPUS), model="claude-opus-5-5")


@pytest.fixture
def files(tmp_path: Path) -> Any:
    def put(*contents: bytes) -> list[str]:
        paths = [tmp_path / f"export-{number}" for number in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
        return [str(path) for path in paths]

    return put


def both(facts: Sequence[Fact]) -> tuple[bytes, bytes]:
    return write.anthropic_usage_csv(facts, DAYS), write.anthropic_cost_json(facts, DAYS)


def found(run: Any, *arguments: str) -> dict[str, Any]:
    result = run("usage", "reconcile", *arguments, "--json")
    assert result.exit_code == 0, result.output
    value: dict[str, Any] = json.loads(result.stdout)
    return value


def causes(value: dict[str, Any]) -> dict[str, str]:
    return {f"{row['day']} {row['model']}": row["cause"] for row in value["rows"] if row["cause"] != "agrees"}


# --- what it says -----------------------------------------------------------------------------------------------------


def test_a_ledger_that_agrees_says_so(run: Any, files: Any) -> None:
    result = run("usage", "reconcile", *files(*both([HAIKU, OPUSES])))
    assert result.exit_code == 0
    total = f"${(HAIKU.nano_usd + OPUSES.nano_usd) / 1e9:.3f}"
    assert result.stdout.splitlines()[-1] == f"The ledger and the provider agree to the cent: {total}."
    assert "Agreeing and not listed (--all): 2 of 2 rows." in result.stdout
    assert "Anthropic, 2026-11-02 to 2026-11-03 (UTC); calls of work to anthropic" in result.stderr


def test_names_of_models_needn_t_be_the_same(run: Any, files: Any) -> None:
    dated = [Fact(DAY, "claude-haiku-4-5-20251001", HAIKU.tokens, 3, HAIKU.nano_usd), OPUSES]
    spoken = [
        Fact(DAY, "Claude Haiku 4.5", HAIKU.tokens, 3, HAIKU.nano_usd),
        Fact(NEXT, "Claude Opus 5.5", OPUSES.tokens, 2, OPUSES.nano_usd),
    ]
    value = found(run, *files(write.anthropic_usage_json(dated, DAYS), write.anthropic_cost_csv(spoken, DAYS)))
    assert value["agrees"]
    assert [row["model"] for row in value["rows"]] == ["claude-haiku-4-5", "claude-opus-5-5"]


def test_a_difference_is_shown_with_its_reason(run: Any, files: Any, terminal: None) -> None:
    foreign = fact("claude-sonnet-5-5", USAGE, 40)
    result = run("usage", "reconcile", *files(*both([HAIKU, OPUSES, foreign])))
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["DAY", "MODEL", "TOKENS", "OFF", "COST", "BILLED", "COST", "OFF", "%"]
    assert lines[1].split() == [DAY, "claude-sonnet-5-5", "-6,320,000", "$0.00", "$10.56", "-$10.56", "-100.0"]
    assert lines[2] == "    only at the provider: something else uses the account, or goes past the"
    assert lines[3] == "    router"
    assert lines[-1].startswith("The ledger lacks $10.56 of $11.36 (92.9%): $10.56 only at the provider.")
    assert max(map(len, lines)) <= 80


def test_rows_that_agree_are_listed_too_when_asked(run: Any, files: Any) -> None:
    result = run("usage", "reconcile", *files(*both([HAIKU, OPUSES])), "--all")
    lines = result.stdout.splitlines()
    assert lines[0].split()[:5] == ["DAY", "MODEL", "CALLS", "TOKENS", "COUNTED"]
    assert lines[1].split() == [
        DAY, "claude-haiku-4-5", "3", "459K", "/", "15K", "459K", "/", "15K", "0", "$0.404", "$0.404", "$0.00", "+0.0",
    ]  # fmt: skip
    assert "Agreeing" not in result.stdout


def test_json_has_both_sides_and_csv_the_same_rows(run: Any, files: Any) -> None:
    paths = files(*both([HAIKU]))
    value = found(run, *paths, "--until", NEXT)
    assert causes(value) == {f"{NEXT} claude-opus-5-5": "only-in-ledger"}
    assert not value["agrees"]
    assert value["causes"] == [{"cause": "only-in-ledger", "usd": OPUSES.nano_usd / 1e9}]
    row = value["rows"][0]
    assert (row["ledger_calls"], row["ledger_input"], row["provider_input"]) == (3, 300_000, 300_000)
    assert (row["ledger_nano_usd"], row["provider_nano_usd"], row["off_nano_usd"]) == (HAIKU.nano_usd,) * 2 + (0,)
    assert value["total"]["off_nano_usd"] == OPUSES.nano_usd
    assert [each["has"] for each in value["files"]] == ["usage file of the Console", "cost report"]
    table = run("usage", "reconcile", *paths, "--until", NEXT, "--csv").stdout
    rows = list(csv.DictReader(io.StringIO(table)))
    for told, row in zip(value["rows"], rows, strict=True):
        dollars = {name for name in told if name.endswith("_usd") and told[name] is not None}
        assert {name: float(row[name]) for name in dollars} == {name: told[name] for name in dollars}
        rest = {name: each for name, each in told.items() if name not in dollars}
        assert {name: row[name] for name in rest} == {n: "" if v is None else str(v) for n, v in rest.items()}


def test_a_difference_is_no_failure(run: Any, files: Any) -> None:
    """Scripts ask --json whether there is one."""
    assert run("usage", "reconcile", *files(*both([HAIKU]))).exit_code == 0


# --- what is compared -------------------------------------------------------------------------------------------------


def test_every_call_counts_at_the_provider(run: Any, book: Book, files: Any) -> None:
    book.add_drafted(
        "rejected", score=0.1, saving=-1, draft_cost=cost("claude-haiku-4-5", OPUS), time_ms=noon(DAY), usage=OPUS,
        model="claude-haiku-4-5", cost=cost("claude-sonnet-4-5", OPUS),
    )  # fmt: skip
    draft, verifier = fact("claude-haiku-4-5", OPUS, 1, key="b"), fact("claude-sonnet-4-5", OPUS, 1)
    assert found(run, *files(*both([HAIKU, OPUSES, draft, verifier])))["agrees"]


def test_another_providers_calls_are_left_alone(run: Any, book: Book, files: Any) -> None:
    book.add(time_ms=noon(DAY), usage=USAGE, cost=5, provider="groq", model="llama-3.3-70b-versatile")
    assert found(run, *files(*both([HAIKU, OPUSES])))["agrees"]


def test_the_provider_is_known_under_another_name_by_its_address(run: Any, home: Home, book: Book, files: Any) -> None:
    add_profile(
        home,
        "other",
        '[default]\nto = "claude-work"\n[providers.claude-work]\nformats = ["anthropic-messages"]\n'
        'base-url = "https://api.anthropic.com"\napi-key = "env:K"\n'
        '[providers.claude-away]\nformats = ["anthropic-messages"]\nbase-url = "https://elsewhere.example"\n'
        'api-key = "env:K"\n',
    )
    price = cost("claude-opus-5-5", OPUS)
    for name in ("claude-work", "claude-away"):
        book.add(time_ms=noon(NEXT), profile="other", usage=OPUS, cost=price, provider=name, model="claude-opus-5-5")
    more = fact("claude-opus-5-5", OPUS, 3, day=NEXT)
    value = found(run, *files(*both([HAIKU, more])))
    assert value["agrees"]
    assert value["providers"] == ["anthropic", "claude-work"]
    assert value["profiles"] == ["other", "work"]
    only = found(run, *files(*both([HAIKU, more])), "--profile", "other", "--since", NEXT)
    assert causes(only) == {f"{NEXT} claude-opus-5-5": "more-at-provider"}


def test_a_subscriptions_calls_are_on_no_bill_of_the_api(run: Any, book: Book, files: Any) -> None:
    worth = cost("claude-opus-5-5", OPUS)
    book.add(time_ms=noon(NEXT), usage=OPUS, cost=0, value=worth, model="claude-opus-5-5")
    value = found(run, *files(*both([HAIKU, OPUSES])))
    assert value["agrees"]
    assert value["notes"] == ["1 call of a subscription aren't on this bill and are left out (--subscriptions)"]
    with_it = fact("claude-opus-5-5", OPUS, 3, day=NEXT)
    assert found(run, *files(*both([HAIKU, with_it])), "--subscriptions")["agrees"]


def test_web_searches_are_a_row_of_their_own(run: Any, book: Book, files: Any) -> None:
    searched = Usage(100, output=5, web_searches=3)
    price = cost("claude-opus-5-5", searched)
    (begun, settled) = book.records(time_ms=noon(DAY), usage=searched, cost=price, model="claude-opus-5-5")
    assert isinstance(settled, Settle)
    (call,) = settled.attempts
    call.usage_raw = '{"server_tool_use": {"web_search_requests": 3}}'
    call.price_source = PRICES.version
    write_records(book.connection, [begun, settled])
    tokens_only = fact("claude-opus-5-5", Usage(100, output=5), 1)
    page = json.loads(write.anthropic_cost_json([HAIKU, OPUSES, tokens_only], DAYS))
    page["data"][0]["results"].append(
        {"amount": "3", "currency": "USD", "cost_type": "web_search", "description": "Web Search Usage", "model": None}
    )
    value = found(run, *files(json.dumps(page).encode()))
    assert value["agrees"]
    assert value["rows"][0]["model"] == "(web search)"
    assert value["rows"][0]["ledger_nano_usd"] == 30_000_000


def test_calls_of_images_and_the_like_are_named(run: Any, book: Book, files: Any) -> None:
    book.add(time_ms=noon(DAY), kind="other", usage=None, cost=None, model="claude-opus-5-5")
    value = found(run, *files(*both([HAIKU, OPUSES])))
    assert value["agrees"]
    assert value["notes"] == ["1 call for images, audio and the like are left out"]


def test_openais_files_are_compared_with_openais_calls(run: Any, book: Book, files: Any) -> None:
    usage = Usage(1_000, 200, output=50)
    price = cost("gpt-5-mini", usage, "openai")
    book.add(time_ms=noon(DAY), usage=usage, cost=price, provider="openai", model="gpt-5-mini")
    counted = fact("gpt-5-mini", usage, 1, provider="openai")
    dated = Fact(DAY, "gpt-5-mini-2025-08-07", counted.tokens, 1, counted.nano_usd)
    paths = files(write.openai_usage_csv([dated], DAYS), write.openai_costs_json([dated], DAYS))
    value = found(run, *paths)
    assert (value["provider"], value["agrees"], value["total"]["provider_requests"]) == ("openai", True, 1)


def test_a_period_can_be_cut_out(run: Any, files: Any) -> None:
    paths = files(*both([HAIKU, OPUSES]))
    value = found(run, *paths, "--since", NEXT)
    assert [row["day"] for row in value["rows"]] == [NEXT]
    assert value["since"] == f"{NEXT}T00:00:00+00:00"
    assert [row["day"] for row in found(run, *paths, "--until", DAY)["rows"]] == [DAY]


def test_one_api_keys_rows_can_be_picked(run: Any, files: Any) -> None:
    foreign = fact("claude-sonnet-5-5", USAGE, 4, key="somebody")
    paths = files(write.anthropic_usage_csv([HAIKU, OPUSES, foreign], DAYS))
    assert not found(run, *paths)["agrees"]
    assert found(run, *paths, "--key", "key_1")["agrees"]
    result = run("usage", "reconcile", *paths, "--key", "nobody")
    assert result.exit_code == 2
    assert "no row is of the API key nobody; there are key_1, somebody" in result.stderr


def test_a_day_that_is_not_over_is_told(run: Any, files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = files(*both([HAIKU, OPUSES]))
    for day, told in ((NEXT, True), ("2026-11-04", False)):
        monkeypatch.setattr(usage_reconcile.time, "time_ns", lambda day=day: noon(day) * 1_000_000)
        assert any("isn't over in UTC" in note for note in found(run, *paths)["notes"]) is told


def test_requests_that_are_deleted_are_told(run: Any, book: Book, files: Any) -> None:
    book.connection.execute("DELETE FROM attempts WHERE time_ms < ?", (noon(NEXT),))
    book.connection.execute("DELETE FROM requests WHERE time_ms < ?", (noon(NEXT),))
    value = found(run, *files(*both([HAIKU, OPUSES])))
    assert causes(value) == {f"{DAY} claude-haiku-4-5": "only-at-provider"}
    assert any("profile work: 3 requests before 2026-11-03 are deleted" in note for note in value["notes"])


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_file_can_come_from_standard_input(run: Any, home: Home) -> None:
    result = CliRunner().invoke(
        cli, ["usage", "reconcile", "-", "--json"], input=write.anthropic_usage_json([HAIKU, OPUSES], DAYS)
    )
    assert json.loads(result.stdout)["agrees"]
    assert json.loads(result.stdout)["files"][0]["file"] == "standard input"


def test_files_of_both_providers_need_a_choice(run: Any, files: Any) -> None:
    other = fact("gpt-5-mini", Usage(5, output=1), 1, provider="openai")
    paths = files(write.anthropic_usage_csv([HAIKU, OPUSES], DAYS), write.openai_usage_csv([other], DAYS))
    result = run("usage", "reconcile", *paths)
    assert result.exit_code == 2
    assert "choose with --provider" in result.stderr
    value = found(run, *paths, "--provider", "anthropic")
    assert value["agrees"]
    assert value["notes"] == [f"{paths[1]}: left out, it is of another provider"]


@pytest.mark.parametrize(
    ("contents", "arguments", "said"),
    [
        pytest.param([b"a,b\n1,2\n"], [], "export-0:1: has the columns a, b: expected", id="no export"),
        pytest.param([b"{"], [], "export-0:1: isn't JSON", id="broken"),
        pytest.param([both([HAIKU])[0]] * 2, [], "export-1 is the same as", id="the same twice"),
        pytest.param([both([HAIKU])[0]], ["nowhere"], "nowhere can't be read: no such file", id="no file"),
        pytest.param([both([HAIKU])[0]], ["--provider", "openai"], "no file is of OpenAI", id="another provider's"),
        pytest.param([both([HAIKU])[0]], ["--profile", "wrok"], 'did you mean "work"?', id="no profile"),
        pytest.param([both([HAIKU])[0]], ["--since", "soon"], '"soon" is not a moment', id="no day"),
        pytest.param([both([HAIKU])[0]], ["--since", NEXT, "--until", DAY], "ends before it begins", id="backwards"),
        pytest.param([both([HAIKU])[0]], ["--since", "2026-12-24"], "have nothing of this period", id="too late"),
        pytest.param([both([HAIKU])[0]], ["--json", "--csv"], "exclude each other", id="two forms"),
        pytest.param([], [], "Missing argument", id="nothing"),
    ],
)
def test_what_cannot_be_compared_is_told(
    run: Any, files: Any, contents: list[bytes], arguments: list[str], said: str
) -> None:
    result = run("usage", "reconcile", *files(*contents), *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.output
