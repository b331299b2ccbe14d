"""``router replay``: the tables, the JSON, what is said of wrong files; and the page's example, run."""

from __future__ import annotations

import io
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from router.cli import replay
from router.cli.main import cli
from router.profile.home import Home
from router.wire.usage import Usage
from tests.replaying.bench import record
from tests.support.past import recorded, recorded_names
from tests.support.serving import serving

NOW = time.time_ns() // 1_000_000
HOUR_MS = 3_600_000
PAGE = Path(__file__).parents[2] / "docs" / "replay.md"

NEW = """\
[[rule]]
name = "deploys"
match = { keywords = "deploy", tool-use = true }
to = "anthropic"
model = "claude-sonnet-4-5"

[[rule]]
name = "pictures"
match = { image = true }
to = "groq"
model = "llama-3.3-70b-versatile"

[default]
to = "anthropic"
model = "claude-haiku-4-5"

[models."groq/llama-3.3-70b-versatile"]
images = false
"""


@pytest.fixture
def rules(tmp_path: Path) -> str:
    """The path of another rules file."""
    path = tmp_path / "new.toml"
    path.write_text(NEW)
    return str(path)


@pytest.fixture
def traffic(book: Any) -> None:
    """Some requests of the last day, most of them to Sonnet; and one of long ago."""
    sonnet = {"model": "claude-sonnet-4-5", "rule": "tool-use → anthropic", "rule_hash": "then"}
    usage, cost = Usage(input=2_000, output=500), 13_500_000
    for number in range(20):
        facts = json.dumps(record(tool_count=int(number < 2), image=number == 2, cache_marks=""))
        at = NOW - 5 * HOUR_MS + number * 1000
        book.add(time_ms=at, usage=usage, cost=cost, facts=facts, ended={"attempts": 1}, **sonnet)
    for number in range(3):
        facts = json.dumps(record(cache_marks=""))
        book.add(time_ms=NOW - HOUR_MS + number, usage=usage, cost=None, facts=facts, rule="explicit → groq",
                 provider="groq", model="unheard-of")  # fmt: skip
    book.add(time_ms=NOW - 10 * 24 * HOUR_MS, usage=usage, cost=1, facts=json.dumps(record()), **sonnet)


def test_it_shows_where_requests_would_have_gone(run: Any, traffic: None, rules: str, terminal: None) -> None:
    result = run("replay", "work", "--rules", rules)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["RULE", "BEFORE", "RULE", "AFTER", "REQUESTS", "TOKENS", "COST", "AFTER"]
    assert [re.split(r"  +", line) for line in lines[1:5]] == [
        ["tool-use → anthro…", "default → anthropic", "17", "34K / 8.5K", "$0.23", "$0.08"],
        ["tool-use → anthro…", "pictures → groq", "1", "2K / 500", "$0.01", "<$0.01"],
        ["explicit → groq", "default → anthropic", "3", "6K / 1.5K", "?", "$0.02"],
        ["(can't be told)", "2", "4K / 1K", "$0.03", "?"],
    ]
    assert re.split(r"  +", lines[6]) == ["TOTAL", "23", "46K / 12K", "$0.27 + ?", "$0.10 + ?"]
    text = " ".join(result.stdout.split())
    assert 'requests can\'t be told for want of keywords="deploy" (rule deploys → anthropic).' in text
    assert "1 request would not fit groq/llama-3.3-70b-versatile: it can't take their tools, images" in text
    assert (
        "21 of 23 requests would go elsewhere; $0.24 → about $0.08 (−67%) for the 18 of which both costs are known; "
        "2 can't be told; 1 wouldn't fit their first target." in text
    )
    assert "(UTC)" in result.stderr
    assert "estimates" in result.stderr


def test_the_period_is_what_was_asked_for(run: Any, traffic: None, rules: str) -> None:
    def requests(*options: str) -> int:
        return int(json.loads(run("replay", "work", "--rules", rules, "--json", *options).stdout)["requests"])

    assert requests() == 23
    assert requests("--since", "30d") == 24
    assert requests("--since", "30d", "--until", "2h") == 21
    assert requests("--since", "2h") == 3
    assert requests("--since", "10m") == 0
    empty = run("replay", "work", "--rules", rules, "--since", "10m")
    assert (empty.exit_code, empty.stdout) == (0, "There are no requests in this period.\n")
    backwards = run("replay", "work", "--rules", rules, "--since", "1h", "--until", "2h")
    assert backwards.exit_code == 2


def test_programs_get_the_same_as_json(run: Any, traffic: None, rules: str) -> None:
    found = json.loads(run("replay", "work", "--rules", rules, "--json").stdout)
    assert list(found) == [
        "profile", "rules", "file_hash", "since", "until", "timezone", "requests", "total", "moved", "retaken",
        "unchanged", "unknown", "causes", "pairs", "targets", "unfit", "caches_left", "refused_before", "refused_after",
        "failed", "drafted_before", "drafted_after", "learned_output", "decided_by_budget",
    ]  # fmt: skip
    assert (found["rules"], found["until"], found["timezone"]) == (rules, None, "UTC")
    assert found["moved"]["requests"] == 21
    assert found["pairs"][0] == {
        "rule_before": "tool-use → anthropic", "rule_after": "default → anthropic", "moved": True, "requests": 17,
        "tokens_in": 34_000, "tokens_out": 8_500, "cost_before_usd": 0.2295, "unpriced_before": 0,
        "value_before_usd": 0.0, "cost_after_usd": 0.0765, "unpriced_after": 0, "value_after_usd": 0.0, "known": 17,
        "known_before_usd": 0.2295, "known_after_usd": 0.0765,
    }  # fmt: skip
    assert found["causes"] == [{"want": 'keywords="deploy"', "rule": "deploys → anthropic", "requests": 2}]
    assert found["unfit"]["targets"] == [
        {"target": "groq/llama-3.3-70b-versatile", "why": "unable", "requests": 1, "refused": 0}
    ]
    (unpriced,) = [each for each in found["targets"] if each["target"] == "groq/unheard-of"]
    assert (unpriced["requests_before"], unpriced["unpriced_before"], unpriced["requests_after"]) == (3, 3, 0)


def test_its_own_rules_change_nothing(run: Any, traffic: None, home: Home) -> None:
    found = json.loads(run("replay", "work", "--rules", str(home.profiles / "work" / "routing.toml"), "--json").stdout)
    assert found["unknown"]["requests"] == 0


def test_a_wrong_file_is_told_of_in_full(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text('[[rule]]\nmatch = { streem = true }\nto = "nobody"\n')
    result = run("replay", "work", "--rules", str(path))
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        f'router: {path}:2: rule[0].match.streem: unknown condition; did you mean "stream"?',
        f'{path}:3: rule[0].to: unknown provider "nobody"',
    ]
    assert run("replay", "work", "--rules", str(tmp_path / "gone.toml")).exit_code == 2
    assert run("replay", "work").exit_code == 2


def test_a_profile_must_be_there_or_have_been(run: Any, traffic: None, rules: str, home: Home) -> None:
    unknown = run("replay", "wrok", "--rules", rules)
    assert unknown.exit_code == 2
    assert 'did you mean "work"?' in unknown.stderr
    (home.profiles / "work" / "routing.toml").unlink()
    (home.profiles / "work").rmdir()
    removed = run("replay", "work", "--rules", rules, "--json")
    assert json.loads(removed.stdout)["requests"] == 23


def test_budgets_begin_with_what_was_spent_before(run: Any, traffic: None, tmp_path: Path) -> None:
    text = (
        '[[rule]]\nmatch = { budget-used-gte = 1.0 }\nto = "groq"\n[default]\ntarget = "anthropic/claude-haiku-4-5"\n'
    )
    path = tmp_path / "budget.toml"
    for limit, spent in ((0.001, True), (1000.0, False)):
        path.write_text(f"{text}[budget]\nmonthly-usd = {limit}\n")
        found = json.loads(run("replay", "work", "--rules", str(path), "--json", "--since", "3h").stdout)
        after = {each["target"]: each["requests_after"] for each in found["targets"]}
        assert (after.get("anthropic/claude-haiku-4-5", 0) == 0) is spent


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("requests", "shown"), [(9_999, False), (10_000, True)])
def test_long_work_shows_how_far_it_is(requests: int, shown: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    rows: Any = range(requests)
    assert list(replay._with_progress(rows, requests, "Replaying")) == list(rows)
    assert ("100%" in screen.getvalue()) is shown


# --- the page ---------------------------------------------------------------------------------------------------------

EXTRA = """
[prices."demo/demo-small"]
input = 0.25
output = 1.25
cache-read = 0.025
cache-write = 0.3125

[prices."demo/demo-large"]
input = 3
output = 15
cache-read = 0.3
cache-write = 3.75

[prices."demo/demo-thinker"]
input = 5
output = 25
cache-read = 0.5
cache-write = 6.25

[models."demo/demo-small"]
context = 5000
"""


@pytest.mark.slow
async def test_the_pages_example_prints_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = PAGE.read_text("utf-8")
    then, now = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (block,) = re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    home = tmp_path / "home"
    async with serving(home, {"work": then + EXTRA}) as router:
        for name in recorded_names():
            sent = recorded(name)
            async with router.post(f"/work{sent.path}", data=sent.body, headers=list(sent.headers)) as reply:
                await reply.read()
            await router.flush()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROUTER_HOME", str(home))
    Path("new-routing.toml").write_text(now + EXTRA)
    command, shown = block.split("\n", 1)
    result = CliRunner().invoke(cli, command.split()[2:], prog_name="router")
    assert result.stdout == shown
