from __future__ import annotations

from collections.abc import Callable

import pytest

from router.profile.profile import Profile
from router.routing.rules import Rule

Good = Callable[..., Profile]


def targets(rule: Rule) -> list[str]:
    return [str(target) for target in rule.targets]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        pytest.param('to = "groq"', ["groq"], id="to alone keeps the requested model"),
        pytest.param('to = "groq"\nmodel = "a/b"', ["groq/a/b"], id="to and model"),
        pytest.param('target = "openrouter/deepseek/deepseek-r1:free"', ["openrouter/deepseek/deepseek-r1:free"],
                     id="split only at the first slash"),
        pytest.param('target = "groq"', ["groq"], id="a provider alone"),
        pytest.param('target = "fast"', ["groq/x"], id="an alias"),
        pytest.param('target = "faster"', ["groq/x"], id="an alias of an alias"),
        pytest.param('target = "both"', ["groq/x", "openai/y"], id="an alias of several"),
        pytest.param('targets = ["both", "groq/x", "groq/z"]', ["groq/x", "openai/y", "groq/z"], id="each target once"),
        pytest.param('target = "groq/fast"', ["groq/fast"], id="provider/model goes before an alias"),
        pytest.param('target = "anthropic"', ["groq/x"], id="an alias goes before a provider of its name"),
        pytest.param('target = "my/own"', ["groq/x"], id="an alias with a slash"),
    ],
)  # fmt: skip
def test_a_target_is(keys: str, expected: list[str], good: Good) -> None:
    profile = good(f"""
[[rule]]
match = {{}}
{keys}
[aliases]
fast = "groq/x"
faster = "fast"
both = {{ targets = ["faster", "openai/y"] }}
"groq/fast" = "openai/never"
anthropic = "fast"
"my/own" = "fast"
""")
    assert targets(profile.routes.rules[0]) == expected


def test_weights_stand_with_their_targets(good: Good) -> None:
    rule = good(
        '[[rule]]\nmatch = {}\ntargets = ["groq/x", { to = "openai", model = "y", weight = 3 }]\n'
    ).routes.rules[0]
    assert [(str(target), target.weight) for target in rule.targets] == [("groq/x", 1.0), ("openai/y", 3.0)]


def test_rules_are_tried_by_priority_then_by_the_files_order(good: Good) -> None:
    text = "".join(
        f'[[rule]]\nname = "{name}"\nmatch = "tool-use"\nto = "groq"\npriority = {priority}\n'
        for name, priority in [("a", 0), ("b", 5), ("c", 0), ("d", -1), ("e", 5)]
    )
    assert [rule.name for rule in good(text).routes.rules] == ["b", "e", "a", "c", "d"]


def test_disabled_rules_aliases_and_default_are_not_used_and_still_checked(good: Good) -> None:
    routes = good("""
[[rule]]
match = {}
to = "groq"
enabled = false
[[rule]]
match = {}
target = "fast"
[aliases]
fast = { target = "groq/x", enabled = false }
[default]
to = "groq"
enabled = false
""").routes
    assert [(rule.index, targets(rule)) for rule in routes.rules] == [(1, ["groq/x"])]
    assert (dict(routes.aliases), routes.default) == ({}, None)


def test_labels_are_unique(good: Good) -> None:
    routes = good("""
[[rule]]
match = { tool-use = true }
to = "groq"
[[rule]]
match = { tool-use = true, stream = true }
to = "groq"
[[rule]]
name = "mine"
match = { stream = true }
to = "anthropic"
[default]
to = "anthropic"
[aliases]
fast = "groq/x"
""").routes
    assert [rule.label for rule in routes.rules] == ["tool-use → groq", "tool-use → groq #2", "mine → anthropic"]
    assert routes.default is not None
    assert (routes.default.label, routes.aliases["fast"].label) == ("default → anthropic", "alias:fast → groq")
    assert [rule.line for rule in routes.rules] == [2, 5, 8]


def test_the_hash_is_of_the_meaning(good: Good) -> None:
    def hash_of(keys: str, aliases: str = 'fast = "groq/x"') -> str:
        return good(f"[[rule]]\nmatch = {{ stream = true }}\n{keys}\n[aliases]\n{aliases}\n").routes.rules[0].hash

    base = hash_of('to = "groq"\nmodel = "x"')
    assert hash_of('target = "groq/x"\nname = "n"\npriority = 4\nenabled = true') == base
    assert hash_of('target = "fast"') == base
    assert hash_of('target = "groq/y"') != base
    assert hash_of('target = "groq/x"\nset = { temperature = 0 }') != base
    assert hash_of('target = "fast"', 'fast = "groq/y"') != base
    assert hash_of('target = "fast"', 'fast = { target = "groq/x", drop = "top_k" }') != base


def test_an_alias_brings_its_fallbacks_and_changes_along_and_the_rules_own_go_over_them(good: Good) -> None:
    rules = good("""
[[rule]]
match = {}
target = "fast"
set = { temperature = 1, seed = 7 }
headers = { x-team = "red" }
[[rule]]
match = {}
target = "faster"
fallback = "groq/z"
[aliases]
faster = "fast"
[aliases.fast]
target = "groq/x"
fallback = ["openai/y", "faster"]
set = { temperature = 0.5, top-k = 4 }
drop = ["metadata"]
headers = { x-team = "blue", x-more = "1" }
""").routes.rules
    assert rules[0].set == {"temperature": 1, "top-k": 4, "seed": 7}
    assert rules[0].drop == ("metadata",)
    assert rules[0].headers == {"x-team": "red", "x-more": "1"}
    assert [str(target) for target in rules[0].fallback] == ["openai/y", "groq/x"]
    assert (rules[1].set, [str(target) for target in rules[1].fallback]) == (
        {"temperature": 0.5, "top-k": 4},
        ["groq/z"],
    )


def test_what_is_set_is_json(good: Good) -> None:
    found = (
        good("""[[rule]]
match = {}
to = "groq"
[rule.set]
temperature = 0.2
top-p = 1.0
stop = "END"
max-tokens = 8_000
effort = "high"
a = { b = [1.5, true, "x"] }
""")
        .routes.rules[0]
        .set
    )
    assert found == {
        "temperature": 0.2, "top-p": 1, "stop": ["END"], "max-tokens": 8000, "effort": "high",
        "a": {"b": [1.5, True, "x"]},
    }  # fmt: skip
    assert {type(value) for value in (found["temperature"], found["top-p"])} == {float, int}


def test_tokens_are_only_counted_where_a_rule_asks(good: Good) -> None:
    assert not good('[[rule]]\nmatch = "tool-use"\nto = "groq"\n').routes.needs_tokens
    assert good('[[rule]]\nmatch = "tokens > 5"\nto = "groq"\n').routes.needs_tokens
