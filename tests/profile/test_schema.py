"""Every key of a rules file: a value it takes, a value it doesn't, and what is said then."""

# ruff: noqa: E501  (tables read better with a case a line)

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from router.profile.load import Loaded
from router.profile.profile import Profile

pytestmark = pytest.mark.sampled(2)

Load = Callable[..., Loaded]
Good = Callable[..., Profile]

RULE = '[[rule]]\nmatch = {}\nto = "groq"\n'
TABLES = {
    "top": "",
    "rule": RULE,
    "rule's target": "[[rule]]\nmatch = {}\n",
    "rule's match": '[[rule]]\nto = "groq"\n',
    "default": '[default]\nto = "groq"\n',
    "default's target": "[default]\n",
    "alias": '[aliases.fast]\ntarget = "groq/x"\n',
    "alias's target": "[aliases.fast]\n",
    "cascade": RULE + '[rule.cascade]\ndraft = "groq/x"\n',
    "cascade's draft": RULE + "[rule.cascade]\n",
    "prices": '[prices."groq/x"]\ninput = 1\noutput = 2\n',
    "prices' input": '[prices."groq/x"]\noutput = 2\n',
    "prices' output": '[prices."groq/x"]\ninput = 2\n',
    "models": '[models."groq/x"]\n',
    "lab": '[providers.lab]\nbase-url = "http://127.0.0.1:9000/v1"\n'
    'formats = ["openai-chat", "anthropic-messages", "gemini"]\n',
    "lab's formats": '[providers.lab]\nbase-url = "http://127.0.0.1:9000/v1"\n',
    "lab's address": '[providers.lab]\nformats = ["openai-chat"]\n',
    "test": '[[test]]\nexpect-rule = "x"\nrequest = "r.json"\n',
    "test's request": '[[test]]\nexpect-rule = "x"\n',
    "test's facts": '[[test]]\nexpect-rule = "x"\n',
    "test's rule": '[[test]]\nrequest = "r.json"\n',
    "limits.per-key": "[limits.per-key]\n",
    "routing.openrouter": "[routing.openrouter]\n",
    "adaptive.weights": "[adaptive.weights]\n",
}


class Case(NamedTuple):
    """A key in its table, a right value, a wrong one, and a part of what is said about it."""

    table: str
    key: str
    right: str
    wrong: str
    said: str

    def text(self, value: str) -> str:
        return f"{TABLES.get(self.table, f'[{self.table}]')}\n{self.key} = {value}\n"

    @property
    def name(self) -> str:
        return f"{self.table} {self.key} = {self.wrong[:30]}"


WHOLE, NUMBER, BOOLEAN, DURATION = (
    "expected a whole number",
    "expected a number",
    "expected true or false",
    "a duration",
)
TARGET = "unknown provider"
REFERENCE = "expected a reference to a key"

CASES = [
    Case("top", "version", "1", "2", "this router reads version 1 of the file, got 2"),
    Case("top", "version", "1", "true", "got true"),
    Case("profile", "description", '"daily work"', '""', "got an empty one"),
    Case("profile", "agent", '"claude-code"', "1", "expected a string, got 1"),
    Case("profile", "port", "8081", "70000", "expected a whole number from 1 to 65535, got 70000"),
    Case("profile", "port", '"auto"', '"8081"', 'expected a port number or "auto", got "8081"'),
    Case("profile", "front", '"headroom"', "true", "expected a string, got true"),
    Case("profile", "log-level", '"debug"', '"warn"', 'got "warn"; did you mean "warning"?'),
    Case("auth", "keys", '"required"', '"yes"', 'expected "none" or "required", got "yes"'),
    Case("auth", "key", '"env:PROXY_API_KEY"', '"sk-ant-api03-abc"', REFERENCE),
    Case("auth", "key", '"file:/run/key"', '"passthrough"', '"passthrough" isn\'t possible here'),
    Case("routing", "rules", '"off"', "false", 'expected "on" or "off", got false'),
    Case("routing", "strategy", '"weighted"', '"wieghted"', 'did you mean "weighted"?'),
    Case("routing", "fallthrough", "false", '"no"', BOOLEAN),
    Case("routing", "sticky", '"cache"', "true", 'expected "off", "conversation" or "cache", got true'),
    Case("routing", "concepts", '"before-rules"', '"before"', 'did you mean "before-rules"?'),
    Case("routing", "explicit-provider", "false", "0", BOOLEAN),
    Case("routing", "timezone", '"Europe/Berlin"', '"Mars/Base"', "expected a time zone"),
    Case("routing", "timezone", '"UTC"', '"../../etc/passwd"', "expected a time zone"),
    Case("routing", "timezone", '"UTC"', '"America"', "expected a time zone"),
    Case("routing", "echo-model", '"requested"', '"client"', 'expected "served" or "requested", got "client"'),
    Case("routing", "ask-usage", "false", "[]", "expected true or false, got a list"),
    Case("routing", "other-to", '"openai"', '"opnai"', 'unknown provider "opnai"; did you mean "openai"?'),
    Case("routing", "openrouter", "{ fallback-models = true }", '"on"', "expected a table"),
    Case("routing.openrouter", "fallback-models", "true", "1", BOOLEAN),
    Case("routing.openrouter", "sort", '"throughput"', '"fast"', 'got "fast"'),
    Case("routing", "on-loss", '"allow"', '"warn"', 'expected "refuse" or "allow"'),
    Case("routing", "on-disconnect", '"drain"', '"keep"', 'expected "cancel" or "drain"'),
    Case("rule", "name", '"long context"', '["a"]', "expected a string, got a list"),
    Case("rule", "name", '"x"', '"a\\nb"', "one line of ordinary text"),
    Case("rule's match", "match", "{ tool-use = true }", "1", "got 1"),
    Case("rule's match", "match", '"tokens > 10"', '"tokens >"', "rule[0].match"),
    Case("rule's match", "match", "{ always = true }", "{ alwys = true }", 'did you mean "always"?'),
    Case("rule's target", "to", '"groq"', '"grok"', 'unknown provider "grok"; did you mean "groq"?'),
    Case("rule's target", "to", '"groq"', '"groq/x"', 'write target = "groq/x" instead'),
    Case("rule", "model", '"llama"', '""', "got an empty one"),
    Case("rule", "model", '"llama"', '" llama"', "expected a model's name"),
    Case("rule's target", "target", '"groq/x"', '"grok/x"', 'unknown provider "grok"'),
    Case("rule's target", "target", '"groq/x"', '"fast"', '"fast" is neither provider/model nor an alias'),
    Case("rule's target", "target", '"groq/x"', '"groq/"', "names no model after the provider"),
    Case("rule's target", "target", '"groq/x"', "[]", 'expected "provider/model" or an alias, got a list'),
    Case("rule's target", "target", '"openrouter/a/b:free"', '"openrouter/ a"', "expected a model's name"),
    Case("rule's target", "targets", '["groq/x", { target = "openai/y", weight = 3 }]', "[]", "has no target"),
    Case("rule's target", "targets", '[{ to = "groq", model = "x" }]', "[1]", "rule[0].targets[0]"),
    Case("rule's target", "targets", '["groq/x"]', '[{ target = "groq/x", wieght = 3 }]', 'did you mean "weight"?'),
    Case("rule's target", "targets", '[{ to = "groq", weight = 0.5 }]', '[{ to = "groq", weight = 0 }]', "above 0"),
    Case("rule's target", "targets", '[{ to = "groq", openrouter = {} }]', '[{ to = "groq", match = {} }]', "unknown key"),
    Case("rule", "strategy", '"round-robin"', '"random"', "expected"),
    Case("rule", "weight", "2.5", "-1", "expected a number above 0, got -1"),
    Case("rule", "priority", "-5", "1.5", WHOLE),
    Case("rule", "fallback", '["openai/x", "groq"]', '["openai/x", "nowhere/y"]', "rule[0].fallback[1]: unknown provider"),
    Case("rule", "fallback", '"openai/x"', "3", 'expected "provider/model" or an alias, got 3'),
    Case("rule", "cascade", '{ draft = "groq/x" }', '"groq/x"', "expected a table"),
    Case("rule", "sticky", '"conversation"', '"yes"', 'got "yes"'),
    Case("rule", "set", "{ temperature = 0.2, max-tokens = 8000 }", "[]", "expected a table"),
    Case("rule", "set", "{ temperature = 1 }", "{ temperature = 3 }", "rule[0].set.temperature: expected a number from 0 to 2"),
    Case("rule", "set", "{ top-p = 0.9 }", "{ top-p = 1.1 }", "from 0 to 1"),
    Case("rule", "set", "{ top-k = 40 }", "{ top-k = 0.5 }", WHOLE),
    Case("rule", "set", '{ stop = ["a", "b"] }', "{ stop = 1 }", "expected a string"),
    Case("rule", "set", '{ effort = "high" }', "{ effort = 1 }", "expected a string"),
    Case("rule", "set", "{ max-tokens = 1 }", "{ max-tokens = 0 }", "of at least 1, got 0"),
    Case("rule", "set", "{ metadata = { a = [1, 2.5, true] } }", "{ metadata = 1979-05-27 }", "can't be written as JSON"),
    Case("rule", "set", "{ seed = 1 }", '{ model = "x" }', "can't be set: the model is named by the rule's target"),
    Case("rule", "drop", '["top_k"]', "[1]", "rule[0].drop[0]: expected a string"),
    Case("rule", "drop", '"top_k"', '"model"', "can't be dropped"),
    Case("rule", "headers", '{ x-team = "blue" }', '{ Authorization = "Bearer x" }', "credentials are not given as headers"),
    Case("rule", "headers", '{ x-team = "blue" }', '{ x-api-key = "x" }', "credentials are not given as headers"),
    Case("rule", "headers", '{ x-team = "blue" }', '{ "x team" = "x" }', "isn't a header's name"),
    Case("rule", "headers", '{ x-team = "blue" }', "{ x-team = 1 }", "visible ASCII"),
    Case("rule", "headers", '{ x-team = "blue" }', '{ content-length = "1" }', "set by the router itself"),
    Case("rule", "openrouter", '{ models = ["a/b"], provider = { sort = "price" } }', "{ modles = [] }", "did you mean"),
    Case("rule", "budget", "{ daily-usd = 1 }", "5", "expected a table"),
    Case("rule", "enabled", "false", '"no"', BOOLEAN),
    Case("rule", "name", '"x"', '"x"\npin = true', "only aliases can be pinned"),
    Case("default's target", "to", '"groq"', '"nowhere"', TARGET),
    Case("default's target", "target", '"groq/x"', '"nowhere/x"', TARGET),
    Case("default's target", "targets", '["groq/x"]', '"nowhere/x"', TARGET),
    Case("default", "model", '"x"', "1", "expected a string"),
    Case("default", "name", '"the rest"', "1", "expected a string"),
    Case("default", "fallback", '["openai/x"]', '["x/y"]', TARGET),
    Case("default", "drop", '["top_k"]', "[1]", "expected a string"),
    Case("default", "name", '"x"', '"x"\nmatch = {}', "the default takes every request that no rule took"),
    Case("default", "name", '"x"', '"x"\npriority = 1', "only [[rule]] tables have a priority"),
    Case("alias's target", "to", '"groq"', '"nowhere"', TARGET),
    Case("alias's target", "targets", '["groq/x"]', '["nowhere/x"]', TARGET),
    Case("alias", "pin", "true", "1", BOOLEAN),
    Case("alias", "set", "{ temperature = 0 }", '{ temperature = "0" }', NUMBER),
    Case("alias", "enabled", "false", "1", BOOLEAN),
    Case("alias", "pin", "true", "true\nmatch = {}", "an alias matches its own name"),
    Case("aliases", "fast", '"groq/x"', '"nowhere/x"', TARGET),
    Case("aliases", "fast", '"groq"', "3", 'expected "provider/model", an alias or a table, got 3'),
    Case("cascade's draft", "draft", '"groq/x"', '"nowhere/x"', TARGET),
    Case("cascade", "threshold", "0.6", "1.5", "rule[0].cascade.threshold: expected a number from 0 to 1, got 1.5"),
    Case("cascade", "risky-tools", '["*delete*", "Bash"]', "[1]", "expected a string"),
    Case("cascade", "pause-when-losing", '"7d"', '"7 days"', DURATION),
    Case("retry", "attempts", "2", "0", "from 1 to 20"),
    Case("retry", "total", "3", "0", "from 1 to 100"),
    Case("retry", "backoff", '"250ms"', "250", 'expected a duration such as "250ms", "10s", "30m" or "7d", got 250'),
    Case("retry", "max-delay", '"10s"', '"10"', DURATION),
    Case("retry", "deadline", '"120s"', '"0s"', DURATION),
    Case("retry", "on-content-filter", '"next"', '"skip"', 'expected "relay" or "next"'),
    Case("retry", "after-timeout", "true", '"true"', BOOLEAN),
    Case("timeouts", "connect", '"5s"', '"-5s"', DURATION),
    Case("timeouts", "first-event", '"1m"', '"1 minute"', DURATION),
    Case("timeouts", "first-event-last", '"5m"', "5", DURATION),
    Case("timeouts", "whole", '"10m"', '"99999d"', DURATION),
    Case("timeouts", "idle", '"1.5h"', '""', DURATION),
    Case("breaker", "failures", "3", "0", WHOLE),
    Case("breaker", "ratio", "0.5", "0", "above 0 and at most 1, got 0"),
    Case("breaker", "window", '"60s"', "60", DURATION),
    Case("breaker", "cooldown", '"30s"', "30", DURATION),
    Case("adaptive", "weights", "{ success = 1 }", "{ success = 0 }", "at least one of"),
    Case("adaptive.weights", "success", "0.5", '"half"', NUMBER),
    Case("adaptive.weights", "latency", "0.5", "-0.5", "of at least 0, got -0.5"),
    Case("adaptive.weights", "speed", "0.5", "true", NUMBER),
    Case("adaptive", "min-requests", "20", "2.5", WHOLE),
    Case("adaptive", "explore", "0.05", "5", "from 0 to 1"),
    Case("adaptive", "half-life", '"30m"', "30", DURATION),
    Case("adaptive", "max-first-token", '"10s"', "10", DURATION),
    Case("adaptive", "min-success", "0.8", "80", "from 0 to 1"),
    Case("budget", "daily-usd", "20.0", '"$20"', "budget.daily-usd: expected a number, got"),
    Case("budget", "monthly-usd", "300", "-1", "from 0 to 1000000, got -1"),
    Case("budget", "mode", '"strict"', '"hard"', 'expected "expected" or "strict"'),
    Case("budget", "on-exceed", '"warn"', '"stop"', 'expected "warn", "block" or "degrade"'),
    Case("budget", "on-exceed", '"block"', '"degrade"', "needs degrade-to"),
    Case("budget", "degrade-to", '"groq/x"', '"nowhere/x"', TARGET),
    Case("limits", "requests-per-minute", "120", "0", "of at least 1, got 0"),
    Case("limits", "concurrent-requests", "16", "1.5", WHOLE),
    Case("limits", "queue", "0", "-1", WHOLE),
    Case("limits", "per-key", "{ requests-per-minute = 30 }", "30", "expected a table"),
    Case("limits.per-key", "requests-per-minute", "30", '"30"', WHOLE),
    Case("limits.per-key", "concurrent-requests", "4", "0", "of at least 1, got 0"),
    Case("lab's formats", "formats", '["openai-chat"]', '["openai"]', "providers.lab.formats"),
    Case("lab's address", "base-url", '"http://127.0.0.1:1/v1"', '"127.0.0.1:1"', "providers.lab.base-url"),
    Case("lab", "anthropic-base-url", '"http://127.0.0.1:9000"', "1", "providers.lab.anthropic-base-url"),
    Case("lab", "gemini-base-url", '"http://127.0.0.1:9000"', '"ftp://x"', "providers.lab.gemini-base-url"),
    Case("lab", "auth", '"x-api-key"', '"basic"', "providers.lab.auth"),
    Case("lab", "api-key", '"env:LAB_KEY"', '"sk-proj-abcdefghijklmnop1234"', REFERENCE),
    Case("lab", "api-keys", '["env:A", "env:B"]', '["env:A", "abc"]', "providers.lab.api-keys[1]"),
    Case("lab", "billing", '"free"', '"cheap"', "providers.lab.billing"),
    Case("lab", "headers", '{ x-team = "a" }', '{ cookie = "a" }', "providers.lab.headers.cookie"),
    Case("lab", "models", '["m"]', '"m"', "providers.lab.models"),
    Case("lab", "proxy", '"http://127.0.0.1:3128"', "1", "providers.lab.proxy"),
    Case("lab", "ca-file", '"/etc/ca.pem"', '"ca.pem"', "providers.lab.ca-file"),
    Case("lab", "timeouts", '{ idle = "5s" }', '{ idel = "5s" }', "providers.lab.timeouts.idel"),
    Case("lab", "billing", '"free"', '"free"\nbaseurl = "x"', "providers.lab.baseurl: unknown key"),
    Case("providers", "lab", '{ base-url = "http://h/v1", formats = ["openai-chat"] }', "1", "expected a table, got 1"),
    Case("prices' input", "input", "0.15", '"0.15"', NUMBER),
    Case("prices' output", "output", "0.6", "-0.6", "from 0 to 1000000"),
    Case("prices", "cache-read", "0.01", "true", NUMBER),
    Case("prices", "cache-write", "1.25", "[]", NUMBER),
    Case("prices", "cache-write-1h", "2", '"2"', NUMBER),
    Case("prices", "cache-read", "0", "0\ncache-wirte = 1", 'did you mean "cache-write"?'),
    Case("prices", "cache-read", "0", '0\n[prices."nowhere/x"]\ninput = 1', "unknown provider"),
    Case("prices", "cache-read", "0", '0\n[prices."groq/y"]\ninput = 1', "has no output"),
    Case("models", "context", "200_000", "0", WHOLE),
    Case("models", "max-output", "8192", '"8k"', WHOLE),
    Case("models", "images", "true", "1", BOOLEAN),
    Case("models", "tools", "false", '"no"', BOOLEAN),
    Case("models", "documents", "true", "1", BOOLEAN),
    Case("models", "thinking", "true", "1", BOOLEAN),
    Case("models", "tools", "true", "true\n[models.groq]\ncontext = 1", 'expected "provider/model", got "groq"'),
    Case("ledger", "on-error", '"refuse"', '"ignore"', 'expected "serve" or "refuse"'),
    Case("ledger", "token-facts", "false", "0", BOOLEAN),
    Case("ledger", "retention", '"400d"', "400", DURATION),
    Case("log", "bodies", '"failed"', "true", 'expected "off", "failed" or "all"'),
    Case("log", "keep", '"3d"', '"forever"', DURATION),
    Case("test", "name", '"long"', "1", "expected a string"),
    Case("test's request", "request", '"r.json"', "1", "expected a string"),
    Case("test's request", "request", '{ model = "x", messages = [] }', '"r.json"\nfacts = {}', "can't stand beside"),
    Case("test's facts", "facts", "{ tools = 3 }", "[]", "expected a table"),
    Case("test's rule", "expect-rule", '"x"', "1", "expected a string"),
    Case("test's rule", "expect-target", '"groq/x"', "1", "expected a string"),
]  # fmt: skip

# What a file may say, table by table: exactly this.
ALL_KEYS = {
    "top": "version",
    "profile": "description agent port front log-level",
    "auth": "keys key",
    "routing": "rules strategy fallthrough sticky concepts explicit-provider timezone echo-model ask-usage "
    "other-to openrouter on-loss on-disconnect",  # script: test_load.py
    "rule": "name match to model target targets strategy weight priority fallback cascade sticky set drop headers "
    "openrouter budget enabled",
    "alias": "pin to targets set enabled",
    "cascade": "draft threshold risky-tools pause-when-losing",
    "retry": "attempts total backoff max-delay deadline on-content-filter after-timeout",
    "timeouts": "connect first-event first-event-last whole idle",
    "breaker": "failures ratio window cooldown",
    "adaptive": "weights min-requests explore half-life max-first-token min-success",
    "budget": "daily-usd monthly-usd mode on-exceed degrade-to",
    "limits": "requests-per-minute concurrent-requests queue per-key",
    "limits.per-key": "requests-per-minute concurrent-requests",
    "lab": "formats base-url anthropic-base-url gemini-base-url auth api-key api-keys billing headers models proxy "
    "ca-file timeouts",
    "prices": "input output cache-read cache-write cache-write-1h",
    "models": "context max-output images tools documents thinking",
    "ledger": "on-error token-facts retention",
    "log": "bodies keep",
    "test": "name request facts expect-rule expect-target",
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_right_value_is_taken(case: Case, load: Load) -> None:
    loaded = load(case.text(case.right))
    assert [str(problem) for problem in loaded.errors] == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_wrong_value_is_an_error_at_its_line(case: Case, load: Load) -> None:
    text = case.text(case.wrong)
    loaded = load(text)
    assert loaded.profile is None
    said = [str(problem) for problem in loaded.errors]
    assert any(case.said in line for line in said), said
    assert all(1 <= (problem.line or 0) <= text.count("\n") for problem in loaded.errors)


@pytest.mark.parametrize("table", ALL_KEYS)
def test_every_key_has_a_right_and_a_wrong_case(table: str) -> None:
    tried = {case.key for case in CASES if case.table == table or case.table.startswith(f"{table}'")}
    assert set(ALL_KEYS[table].split()) <= tried


@pytest.mark.parametrize("table", [table for table in ALL_KEYS if table != "top"])
def test_another_key_is_an_error_with_a_suggestion_for_a_near_miss(table: str, load: Load) -> None:
    base = Case(table, "", "", "", "").text("").rsplit("\n", 2)[0]
    misspelt = max(ALL_KEYS[table].split(), key=len)[:-1] + "q"
    loaded = load(f"{base}\n{misspelt} = 1\nzzzzzz = 1\n")
    messages = {problem.path.rsplit(".", 1)[-1]: problem.message for problem in loaded.errors}
    assert messages[misspelt].startswith("unknown key")
    assert "did you mean" in messages[misspelt]
    assert messages["zzzzzz"].startswith("unknown key")


def test_a_whole_file_gives_all_its_problems_at_once(load: Load) -> None:
    text = """version = 1
[profile]
port = 0
[routing]
strategy = "fastest"
sticki = "off"
[[rule]]
match = { tool-use = true }
to = "anthropic"
[[rule]]
match = { tool-use = "yes", input-tokens-lt = -1 }
[[rule]]
to = "grok"
match = { input-tokens-gt = "100k" }
"""
    loaded = load(text)
    said = [str(problem) for problem in loaded.errors]
    assert 'profiles/work/routing.toml:14: rule[2].match.input-tokens-gt: expected a whole number, got "100k"' in said
    assert [problem.line for problem in loaded.errors] == [3, 5, 6, 10, 11, 11, 13, 14]


def test_values_arrive_in_the_profile(good: Good) -> None:
    profile = good("""
[profile]
description = "daily"
port = "auto"
[auth]
keys = "required"
key = "env:PROXY_API_KEY"
[routing]
timezone = "Europe/Berlin"
echo-model = "requested"
rules = "off"
strategy = "simple"
[timeouts]
idle = "1m"
[budget]
daily-usd = 0.1
[[rule]]
match = {}
to = "groq"
budget = { monthly-usd = 5 }
cascade = { draft = "openai/gpt-x", threshold = 0.6 }
[ledger]
retention = "30d"
[prices."groq/x"]
input = 0.15
output = 0.6
[models."groq/x"]
context = 131_072
tools = false
[[test]]
facts = { tools = 3 }
expect-rule = "x"
""")
    assert (profile.description, profile.port, profile.auth_keys, str(profile.auth_key)) == (
        "daily", "auto", "required", "env:PROXY_API_KEY",
    )  # fmt: skip
    assert (profile.timezone.key, profile.timezone_name, profile.echo_model) == (
        "Europe/Berlin", "Europe/Berlin", "requested",
    )  # fmt: skip
    assert (profile.routes.rules_on, profile.routes.strategy) == (False, "first-match")
    assert (profile.timeouts.idle, profile.timeouts.connect) == (60.0, 5.0)
    assert profile.budget is not None
    assert profile.budget.daily_nano_usd == 100_000_000
    assert profile.rule_budgets["always → groq"].monthly_nano_usd == 5 * 10**9
    cascade = profile.cascades["always → groq"]
    assert ([str(target) for target in cascade.draft], cascade.threshold) == (["openai/gpt-x"], 0.6)
    assert profile.retention_s == 30 * 86400
    assert (profile.prices["groq", "x"].input, profile.prices["groq", "x"].output) == (150_000, 600_000)
    assert profile.models["groq", "x"] == {"context": 131_072, "tools": False}
    assert (profile.tests[0].name, dict(profile.tests[0].facts), profile.tests[0].line) == ("test 1", {"tools": 3}, 30)


@pytest.mark.parametrize(
    ("text", "on_error"),
    [
        pytest.param("version = 1", "serve", id="without a budget requests are served"),
        pytest.param("[budget]\ndaily-usd = 1", "refuse", id="with one they are refused"),
        pytest.param('[budget]\ndaily-usd = 1\n[ledger]\non-error = "serve"', "serve", id="unless the file says so"),
    ],
)
def test_what_happens_when_the_ledger_fails(text: str, on_error: str, good: Good) -> None:
    assert good(text).ledger_on_error == on_error


def test_an_overridden_provider_keeps_the_rest_of_the_catalogs(good: Good) -> None:
    profile = good('[providers.anthropic]\napi-key = "env:WORK_KEY"\n')
    assert [str(spec) for spec in profile.providers["anthropic"].credentials] == ["env:WORK_KEY"]
    assert profile.providers["anthropic"].base_urls["anthropic-messages"] == "https://api.anthropic.com"


def test_a_key_in_the_file_is_refused_without_repeating_it(load: Load) -> None:
    key = "sk-ant-api03-abcdefghijklmnop1234"
    loaded = load(f'[providers.anthropic]\napi-key = "{key}"\n[auth]\nkey = "{key}"\n[default]\nto = "{key}"\n')
    said = "\n".join(str(problem) for problem in loaded.problems)
    assert len(loaded.errors) == 3
    assert "env:ANTHROPIC_API_KEY" in said
    assert "abcdefghij" not in said
