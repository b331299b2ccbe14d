# ruff: noqa: E501  (tables read better with a case a line)
"""What `router check` says of rules that are never chosen, and why."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from router.profile.lint import idle, lint
from router.profile.profile import Profile
from router.providers.provider import Provider
from router.routing.candidates import Abilities

Good = Callable[..., Profile]


def rule(match: str, more: str = "") -> str:
    return f'[[rule]]\nmatch = "{match}"\ntarget = "groq/x"\n{more}'


def abilities(provider: Provider, model: str) -> Abilities:
    return Abilities({"small": 8_000}.get(model, 200_000), None, True, True, True)


def warnings(profile: Profile) -> list[str]:
    return [str(problem) for problem in lint(profile, known_model=lambda *_: None, known_abilities=abilities)]


THINKS = rule("thinking")
NO_FALLBACK = "[routing]\nfallthrough = false\n"
FALLBACK = "; it is only a fallback"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(THINKS + rule("thinking and stream"),
                     [f"4: rule[1]: is never chosen: rule[0] (line 1) takes all of its requests before it{FALLBACK}"],
                     id="a narrower rule behind a wider one"),
        pytest.param(NO_FALLBACK + THINKS + rule("thinking and stream"),
                     ["6: rule[1]: is never chosen: rule[0] (line 3) takes all of its requests before it"],
                     id="which isn't even a fallback"),
        pytest.param(rule("thinking and stream") + THINKS, [], id="the narrower rule first"),
        pytest.param(THINKS + rule("thinking"), [], id="the same match twice is a fallback"),
        pytest.param(NO_FALLBACK + THINKS + rule("thinking"),
                     ["6: rule[1]: is never chosen: rule[0] (line 3) takes all of its requests before it"],
                     id="unless rules don't fall through"),
        pytest.param(THINKS + rule("thinking and stream", "priority = 1\n"), [], id="a higher priority is first"),
        pytest.param(rule("thinking and stream") + rule("thinking", "priority = 1\n"),
                     [f"1: rule[0]: is never chosen: rule[1] (line 4) takes all of its requests before it{FALLBACK}"],
                     id="behind a rule of higher priority"),
        pytest.param('[routing]\nstrategy = "weighted"\n' + THINKS + rule("thinking and stream"), [],
                     id="a strategy may choose it"),
        pytest.param('[routing]\nstrategy = "weighted"\n' + rule("thinking", "priority = 1\n") + rule("thinking and stream"),
                     [f"7: rule[1]: is never chosen: rule[0] (line 3) takes all of its requests before it{FALLBACK}"],
                     id="but not below a rule of higher priority"),
        pytest.param(rule("tokens < 1000") + rule("tokens > 500") + rule("thinking"),
                     [f"7: rule[2]: is never chosen: rule[0] (line 1) and rule[1] (line 4) together take all of its requests before it{FALLBACK}"],
                     id="behind two that take everything together"),
        pytest.param(rule("tools >= 1") + rule("has-tool = 'web_*'"),
                     [f"4: rule[1]: is never chosen: rule[0] (line 1) takes all of its requests before it{FALLBACK}"],
                     id="agents always offer tools"),
        pytest.param(rule("tokens > 100 and tokens < 50"),
                     ["1: rule[0]: can never hold: input-tokens-gt 100 excludes input-tokens-lt 50"],
                     id="two that exclude each other"),
        pytest.param(rule("tokens < 0"), ["1: rule[0]: can never hold: input-tokens-lt 0"], id="one that never holds"),
        pytest.param(rule("thinking", "enabled = false\n") + rule("thinking and stream"), [], id="a rule that isn't used"),
        pytest.param('[routing]\nrules = "off"\n' + THINKS + rule("thinking and stream"), [], id="rules are off"),
        pytest.param(rule("always") + THINKS, [], id="loading tells of what stands behind always"),
        pytest.param(rule("model-matches = 'fast*'") + '[aliases]\nfast = "groq/x"\nslow = "groq/y"\n',
                     ["5: aliases.fast: is never used: rule[0] (line 1) takes every request for it; add pin = true to put the alias first"],
                     id="an alias behind a rule for its name"),
        pytest.param(rule("model-matches = 'fast*'") + '[aliases]\nfast = { target = "groq/x", pin = true }\n', [], id="a pinned alias"),
        pytest.param(rule("model-matches = 'fast*'").replace("groq/x", "fast") + '[aliases]\nfast = "groq/x"\n', [],
                     id="an alias that a rule uses"),
        pytest.param(rule("tokens > 10000").replace("groq/x", "groq/small"),
                     ["1: rule[0]: never goes to groq/small, which takes 8,000 tokens: every request that the rule takes has more"],
                     id="a window too small for all"),
        pytest.param(rule("tokens > 10000", 'fallback = ["groq/small"]\n'), ["1: rule[0]: never goes to groq/small"],
                     id="a fallback's window"),
        pytest.param(rule("tokens > 7000").replace("groq/x", "groq/small"), [], id="a window that is enough for some"),
    ],
)  # fmt: skip
def test_what_is_warned_of(text: str, expected: list[str], good: Good) -> None:
    found = warnings(good(text))
    assert len(found) == len(expected)
    for line, start in zip(found, expected, strict=True):
        assert line.startswith(f"profiles/work/routing.toml:{start}")
        assert not start.endswith("before it") or line.endswith("before it")


TWO = rule("thinking", 'name = "a"\n') + rule("stream", 'name = "b"\n') + '[default]\ntarget = "groq/x"\n'


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        pytest.param({"a → groq": 50, "b → groq": 40, "default → groq": 10}, [], id="all at work"),
        pytest.param({"a → groq": 90, "b → groq": 0, "default → groq": 10},
                     ["5: rule[1]: took none of the 100 requests of the last 30 days"], id="an idle rule"),
        pytest.param({"a → groq": 40, "b → groq": 59}, [], id="too few requests"),
        pytest.param({"a → groq": 50, "b → groq": 50, "default → groq": 901},
                     ["9: default: took 901 of the 1,001 requests of the last 30 days (90%): the rules don't fit what is sent"],
                     id="a default that takes nearly everything"),
        pytest.param({"a → groq": 50, "b → groq": 50, "default → groq": 900}, [], id="just 90 percent"),
        pytest.param({"(none)": 100}, ["1: rule[0]: took none of the 100 ", "5: rule[1]: took none"], id="all refused"),
    ],
)  # fmt: skip
def test_what_the_ledger_gives_rise_to(requests: dict[str, int], expected: list[str], good: Good) -> None:
    profile = good(TWO)
    found = [str(problem) for problem in idle(profile, requests, 30)]
    assert len(found) == len(expected)
    for line, start in zip(found, expected, strict=True):
        assert line.startswith(f"profiles/work/routing.toml:{start}")


def test_a_fallback_for_the_same_requests_may_be_idle(good: Good) -> None:
    profile = good(THINKS + THINKS)
    assert list(idle(profile, {"thinking → groq": 100}, 30)) == []


def test_a_profile_without_rules_may_send_everything_to_its_default(good: Good) -> None:
    assert list(idle(good('[default]\nto = "groq"\n'), {"default → groq": 1000}, 30)) == []
