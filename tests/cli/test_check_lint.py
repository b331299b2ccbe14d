"""``router check`` on rules that take nothing, by reasoning and by the ledger, and its exit status."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from router.ledger.periods import DAY_MS
from router.profile.home import Home
from router.profile.load import load_profile
from router.providers.catalog import load_catalog
from tests.cli.conftest import Book

RULES = """[[rule]]
match = "tool-use"
target = "demo/demo-small"
[[rule]]
match = "tools > 3"
target = "demo/demo-large"
[default]
target = "demo/demo-small"
"""
ALWAYS = '[[rule]]\nmatch = "always"\ntarget = "demo/demo-large"\n'
SOUND = RULES.replace("tools > 3", "thinking")
SHADOWED = "profiles/work/routing.toml:4: rule[1]: is never chosen: rule[0] (line 1)"


@pytest.fixture
def rules(home: Home) -> Path:
    path = home.profiles / "work" / "routing.toml"
    path.write_text(SOUND, "utf-8")
    return path


def test_a_shadowed_rule_is_a_warning_with_the_rule_that_shadows(run: Any, rules: Path) -> None:
    rules.write_text(RULES, "utf-8")
    result = run("check", "work")
    assert result.exit_code == 0
    assert f"warning: {SHADOWED}" in result.stdout
    assert result.stdout.endswith("1 profile, 0 errors, 1 warning\n")
    (problem,) = json.loads(run("check", "work", "--json").stdout)["profiles"][0]["problems"]
    assert problem["text"].startswith(SHADOWED)
    assert (problem["severity"], problem["line"], problem["path"]) == ("warning", 4, "rule[1]")


def test_strict_makes_a_warning_a_failure(run: Any, rules: Path) -> None:
    assert run("check", "work", "--strict").exit_code == 0
    rules.write_text(RULES, "utf-8")
    assert run("check", "work", "--strict").exit_code == 2
    report = run("check", "work", "--strict", "--json")
    assert report.exit_code == 2
    assert json.loads(report.stdout)["ok"] is False


def test_rules_without_requests_and_a_busy_default_are_told_of(run: Any, rules: Path, book: Book) -> None:
    now_ms = time.time_ns() // 1_000_000
    loaded = load_profile(
        rules.parent, name="work", catalog=load_catalog(), environ={}, known_model=lambda provider, model: None
    )
    assert loaded.profile is not None
    hashes = {rule.label: rule.hash for rule in loaded.profile.routes.all_rules()}
    for count, label, days in ((190, "default → demo", 3), (10, "tool-use → demo", 3), (50, "thinking → demo", 40)):
        moment = now_ms - days * DAY_MS
        book.add_many(count, tokens_in=0, tokens_out=0, cost=0, time_ms=moment, rule=label, rule_hash=hashes[label])
    assert "took" not in run("check", "work").stdout
    said = run("check", "work", "--days", "30").stdout.replace("\n  ", " ")
    assert "routing.toml:4: rule[1]: took none of the 200 requests of the last 30 days" in said
    assert "routing.toml:7: default: took 190 of the 200 requests of the last 30 days (95%)" in said
    assert "rule[0]" not in said
    assert "rule[1]" not in run("check", "work", "--days", "60").stdout
    assert run("check", "work", "--days", "30", "--strict").exit_code == 2


def test_few_requests_say_nothing_and_that_is_said(run: Any, rules: Path) -> None:
    result = run("check", "work", "--days", "30", "--strict")
    assert result.exit_code == 0
    assert result.stderr == "work: 0 requests, too few to say which rules are idle\n"


def test_a_test_of_a_rule_with_a_strategy_expects_the_first_target(run: Any, rules: Path) -> None:
    """What a strategy would choose depends on what was measured."""
    listed = '[default]\nstrategy = "adaptive"\ntargets = ["demo/demo-large", "demo/demo-small"]\n'
    rules.write_text(f'{listed}[[test]]\nfacts = {{ tokens = 5 }}\nexpect-target = "demo/demo-large"\n', "utf-8")
    result = run("check", "work")
    assert result.stdout.endswith("1 test, 0 failed\n"), result.output
    across = rules.read_text("utf-8").replace("[default]", f'[routing]\nstrategy = "weighted"\n{2 * ALWAYS}[default]')
    rules.write_text(across, "utf-8")
    assert run("check", "work").stdout.endswith("1 test, 0 failed\n")
