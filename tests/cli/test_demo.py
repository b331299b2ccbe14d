"""The demo profile and the demonstration: every rule is reached, and what is wrong doesn't go unnoticed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from multidict import CIMultiDict

from router.cli.demo_requests import FORMAT_NAMES, GUEST, DemoRequest, requests
from router.cli.demo_walk import Amounts, Seen, Tariff, Walk
from router.cli.main import cli
from router.money.cost import cost_nano_usd
from router.profile.load import Loaded, load_profile
from router.profile.profile import Profile
from router.providers.catalog import load_catalog
from router.routing.conditions import KNOWN_KEYS
from router.routing.facts import RequestFacts
from router.routing.labels import header_form
from router.routing.rules import decide
from router.routing.shorthand import parse_shorthand
from router.routing.tokens import PieceSummaries
from router.server.tenant import tags_of
from router.wire.body import Body
from router.wire.formats import CODECS
from router.wire.usage import Usage

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "profiles" / "demo"
REQUESTS = requests()


def load() -> Loaded:
    return load_profile(
        FOLDER, name="demo", catalog=load_catalog(), environ={}, known_model=lambda provider, model: None
    )


@pytest.fixture(scope="module")
def profile() -> Profile:
    loaded = load()
    assert loaded.problems == ()
    assert loaded.profile is not None
    return loaded.profile


# --- the profile ------------------------------------------------------------------------------------------------------


def test_the_demo_profile_has_neither_errors_nor_warnings_and_its_tests_hold(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        cli, ["check", "demo", "--home", str(tmp_path), "--profiles", str(ROOT / "profiles")], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    assert "0 errors, 0 warnings" in done.output
    assert ", 0 failed" in done.output


def test_every_target_is_the_built_in_providers_and_has_a_price(profile: Profile) -> None:
    for target in profile.routes.targets():
        assert target.provider == "demo"
        assert target.model is not None
        assert ("demo", target.model) in profile.prices


def keys_of(match: Any) -> set[str]:
    """Every condition that a ``match`` names, at any depth."""
    if isinstance(match, str):
        match = parse_shorthand(match)
    if isinstance(match, list):
        return {key for each in match for key in keys_of(each)}
    inner = {key for composed in ("any", "all", "not") if composed in match for key in keys_of(match[composed])}
    return {*match, *inner}


def without_form(keys: set[str]) -> set[str]:
    return {re.sub(r"-(lt|lte|gt|gte|eq)\Z", "", key) for key in keys}


def test_there_is_a_rule_for_every_kind_of_condition() -> None:
    rules = tomllib.loads((FOLDER / "routing.toml").read_text("utf-8"))["rule"]
    used = {key for rule in rules for key in keys_of(rule["match"])}
    assert without_form(set(KNOWN_KEYS)) - without_form(used) == {"budget-used"}  # which needs a budget to be used up


def label_of(profile: Profile, request: DemoRequest, provider_used: str | None) -> str:
    body = Body.parse(msgspec.json.encode(request.body))
    view = CODECS[request.api].view(body, url_model=request.model, url_stream=request.stream)
    headers = CIMultiDict(request.headers)
    facts = RequestFacts(
        view,
        headers=headers,
        summaries=PieceSummaries(),
        phrases=profile.routes.phrases,
        now=datetime.now(UTC),
        key=request.key,
        tags=tags_of(headers),
        provider_used=lambda _: provider_used,
        budget_used=lambda: None,
    )
    facts.may_count = True
    return decide(profile.routes, facts).rule.label


@pytest.mark.parametrize("number", range(len(REQUESTS)), ids=lambda number: REQUESTS[number].title)
def test_a_request_of_the_demonstration_is_taken_by_its_rule(profile: Profile, number: int) -> None:
    request = REQUESTS[number]
    session = request.headers.get("X-Session-Id")
    before = any(earlier.headers.get("X-Session-Id") == session for earlier in REQUESTS[:number] if session)
    assert label_of(profile, request, "demo" if before else None) == request.rule


def test_every_rule_alias_and_concept_is_reached(profile: Profile) -> None:
    routes = profile.routes
    assert routes.default is not None
    there = {rule.label for rule in (*routes.rules, *routes.aliases.values(), *routes.concept_routes, routes.default)}
    assert {request.rule for request in REQUESTS} == there | {"explicit → demo"}


def test_every_format_is_used_streamed_and_not() -> None:
    used = Counter((request.api, request.stream) for request in REQUESTS)
    assert set(used) == {(api, stream) for api in FORMAT_NAMES for stream in (False, True)}
    assert len({request.title for request in REQUESTS}) == len(REQUESTS)
    assert [request.key for request in REQUESTS if request.key] == [GUEST]


# --- what the walk checks ---------------------------------------------------------------------------------------------


@pytest.fixture
def walk() -> Walk:
    return Walk(Tariff(FOLDER / "routing.toml"))


USAGE = Usage(input=10, cache_read=20, cache_write=30, cache_write_1h=40, output=50)
COST = 10 * 200_000 + 20 * 20_000 + 30 * 250_000 + 40 * 400_000 + 50 * 1_000_000  # nano-dollars at demo-small's prices


def seen(**changes: Any) -> Seen:
    request = replace(REQUESTS[0], rule="tag → demo")
    headers = {
        "x-router-rule": header_form("tag → demo"),
        "x-router-provider": "demo",
        "x-router-model": "demo-small",
        "x-router-cost-usd": f"{COST / 1e9:.9f}",
    }
    usual = {"request": request, "status": 200, "headers": headers, "usage": USAGE}
    return Seen(**{**usual, **changes, "headers": {**headers, **changes.get("headers", {})}})


ROW = Amounts(1, 10, 20, 70, 50, COST)


def test_equal_rows_are_right(walk: Walk) -> None:
    walk.take(seen())
    walk.compare({"tag → demo": ROW}, ROW)
    assert walk.problems == []
    assert walk.end() == 0


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        pytest.param({"status": 500, "usage": None}, "status 500", id="an error"),
        pytest.param({"usage": None}, "without usage", id="no usage"),
        pytest.param({"error": "broke off"}, "broke off", id="a broken stream"),
        pytest.param({"headers": {"x-router-rule": "default -> demo"}}, "expected the rule", id="another rule"),
        pytest.param({"headers": {"x-router-cost-usd": "0.000000001"}}, "header says", id="another cost"),
    ],
)
def test_a_wrong_reply_is_noticed(walk: Walk, changes: dict[str, Any], word: str) -> None:
    walk.take(seen(**changes))
    assert len(walk.problems) == 1
    assert word in walk.problems[0]
    assert walk.end() == 1


@pytest.mark.parametrize(
    ("rows", "total", "word"),
    [
        pytest.param({}, ROW, "no row tag", id="a row is missing"),
        pytest.param({"tag → demo": replace(ROW, output=51)}, ROW, "output 51", id="a token too many"),
        pytest.param({"tag → demo": replace(ROW, cost_nano_usd=COST - 1)}, ROW, "add up", id="a nano-dollar too few"),
        pytest.param({"tag → demo": ROW, "x": Amounts()}, ROW, "row for x", id="a rule that took nothing"),
        pytest.param({"tag → demo": ROW}, replace(ROW, requests=2), "the total says", id="a wrong total"),
    ],
)
def test_a_wrong_report_is_noticed(walk: Walk, rows: dict[str, Amounts], total: Amounts, word: str) -> None:
    walk.take(seen())
    walk.compare(rows, total)
    assert len(walk.problems) == 1
    assert word in walk.problems[0]
    assert walk.end() == 1


def test_the_walks_own_arithmetic_agrees_with_the_routers(profile: Profile) -> None:
    tariff = Tariff(FOLDER / "routing.toml")
    usage = Usage(input=1_234, cache_read=567, cache_write=89, cache_write_1h=11, output=4_321, reasoning=12)
    for provider, model in profile.prices:
        cost = cost_nano_usd(usage, profile.prices[provider, model], day=datetime.now(UTC))
        assert tariff.cost_nano_usd(f"{provider}/{model}", usage) == cost.nano_usd
    assert Decimal(COST) == tariff.cost_nano_usd("demo/demo-small", USAGE)


# --- the demonstration itself -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_router_demo_walks_through_everything_and_finds_nothing_wrong() -> None:
    done = CliRunner().invoke(cli, ["demo"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    rules = len({request.rule for request in REQUESTS})
    assert f"{len(REQUESTS)} requests through {rules} rules" in done.output
    assert "WRONG" not in done.output
    walked = done.output.partition("$ router usage")[0].splitlines()
    assert max(map(len, walked)) <= 80


@pytest.mark.slow
def test_make_demo_does_the_same_with_the_official_sdks() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "demo"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(REQUESTS)} requests through" in done.stdout
    assert done.stderr == ""
