"""Just below what is enough nothing is said; just above it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from router.advising.evidence import ENOUGH
from router.routing.rules import Target
from tests.advising import ledgers
from tests.advising.conftest import Study
from tests.advising.world import (
    AGENT,
    DAY_MS,
    HOUR_MS,
    NOW_MS,
    Ask,
    Judges,
    days,
    load,
    question,
    serve,
    session,
    total,
)

pytestmark = pytest.mark.slow  # each writes and reads a ledger of its own

PAPERS = ledgers.SOUND + '\n[[rule]]\nname = "papers"\nmatch = { document = true }\nto = "anthropic"\n'


def spread(count: int, **facts: object) -> Iterator[Ask]:
    """Questions of the same size, spread evenly over eight days."""
    for number in range(count):
        at = NOW_MS - 8 * DAY_MS + number * (8 * DAY_MS - HOUR_MS) // count
        yield Ask(at, f"question{number}-{sorted(facts)}", 3_000, 300, {"model": "claude-sonnet-4-5", **facts})


def kinds(study: Study, text: str, asks: Iterable[Ask], **more: object) -> list[str]:
    return [advice.kind for advice in study(text, list(asks), **more).found.advice]


def test_as_many_requests_as_it_takes(study: Study) -> None:
    asks = sorted(ledgers.sibling_asks(), key=lambda ask: ask.time_ms)
    few = study(ledgers.SIBLING, asks[: ENOUGH - 1])
    assert few.found.too_few == ENOUGH == 300
    assert few.found.advice == ()
    assert study(ledgers.SIBLING, asks[:ENOUGH]).found.too_few is None


# --- idle rules -------------------------------------------------------------------------------------------------------


def test_a_rule_that_fired_once_is_not_idle(study: Study) -> None:
    asks = [*spread(320), Ask(NOW_MS - DAY_MS, "paper", 3_000, 100, {"document": True})]
    assert kinds(study, PAPERS, asks) == ["idle-rule"] * 4  # the others did nothing
    rules = {advice.rule for advice in study(PAPERS, asks).found.advice}
    assert "papers → anthropic" not in rules


@pytest.mark.parametrize(("age_days", "speaks"), [(6.9, False), (7.1, True)])
def test_a_rule_has_a_week_to_fire(study: Study, age_days: float, speaks: bool) -> None:
    start = NOW_MS - round(age_days * DAY_MS)
    text = '[[rule]]\nmatch = { document = true }\nto = "groq"\nmodel = "x"\n\n[default]\nto = "anthropic"\n'
    asks = [replace(ask, time_ms=start + number * 1000) for number, ask in enumerate(spread(320))]
    found = study(text, asks)
    assert bool(found.found.advice) is speaks
    said = "which rules are idle: 320 requests came since the file was changed; it takes 300, and 7 days"
    assert found.found.remarks == (() if speaks else (said,))


def test_a_file_that_was_changed_is_given_a_week_anew(study: Study, tmp_path: Path) -> None:
    asks = sorted(ledgers.sound_asks(), key=lambda ask: ask.time_ms)
    old = [ask for ask in asks if ask.time_ms < NOW_MS - 2 * DAY_MS]
    earlier = serve(old, load(tmp_path / "earlier" / "work", ledgers.SOUND))
    found = study(PAPERS, asks[len(old) :], records=earlier)
    assert found.found.advice == ()
    (remark,) = found.found.remarks
    assert remark.startswith(f"which rules are idle: {len(asks) - len(old)} requests came since the file was changed")


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param('match = { budget-used-gt = 0.9 }\nto = "groq"\nmodel = "x"', id="for when the money is spent"),
        pytest.param(
            'match = { always = true }\nto = "groq"\nmodel = "x"', id="a fallback for what an earlier rule takes"
        ),
        pytest.param(
            'name = "x"\nmatch = { document = true }\nto = "groq"\nmodel = "x"\n[[test]]\nname = "t"\n'
            'facts = { document = true }\nexpect-rule = "x"',
            id="one that a test expects",
        ),
    ],
)
def test_a_rule_in_reserve_is_not_idle(study: Study, rule: str) -> None:
    first = "[[rule]]\nmatch = { document = false }\nto = 'anthropic'\n"
    if "always" in rule:
        first = first.replace("document = false", "always = true")
    assert kinds(study, f"{first}\n[[rule]]\n{rule}\n", spread(320)) == []


def test_a_rule_is_not_moved_in_front_of_one_that_would_be_idle_then(study: Study) -> None:
    text = ledgers.SOUND.replace(
        "[default]",
        '[[rule]]\nname = "large plans"\nmatch = { plan-mode = true, tool-use = true }\n'
        'to = "openai"\nmodel = "x"\n\n[default]',
    )
    advice = study(text, ledgers.sound_asks()).only
    assert (advice.rule, advice.edit.commands) == (
        "large plans → openai",
        ("router route remove work 'large plans'",),
    )


# --- the default ------------------------------------------------------------------------------------------------------

PROGRAMS = """\
[[rule]]
name = "programs"
match = { client = "sdk" }
target = "groq/llama-3.3-70b-versatile"

[default]
target = "anthropic/claude-sonnet-4-5"
"""


def small(count: int, tokens: int = 8_000) -> Iterator[Ask]:
    """Requests for a small model, each on its own, beside as many for a middling one."""
    for number in range(count):
        at = NOW_MS - 8 * DAY_MS + number * (8 * DAY_MS - HOUR_MS) // count
        told = {**AGENT, "cache_marks": False, "tools": 10}
        yield Ask(at, f"large{number}", tokens, 100, told)
        yield Ask(at + 1, f"small{number}", tokens, 100, {**told, "background": True, "model": "claude-haiku-4-5"})


@pytest.mark.parametrize(("programs", "speaks"), [(400, False), (399, True)])
def test_a_default_that_takes_half_is_not_large(study: Study, programs: int, speaks: bool) -> None:
    found = kinds(study, PROGRAMS, [*small(200), *spread(programs, client="sdk")])
    assert found == (["large-default"] if speaks else [])


@pytest.mark.parametrize(("tokens", "speaks"), [(250, False), (400, True)])
def test_a_dollar_a_month_is_worth_saying(study: Study, tokens: int, speaks: bool) -> None:
    """160 requests of so many tokens (Claude counts 1.12 each), $2 and $10 less a million, in 8 days."""
    a_month = 160 * (tokens * 1.12 * 2 + 100 * 10) / 1e6 * 30 / 8
    assert 0.8 < a_month < 1.6
    assert (a_month > 1) is speaks
    found = kinds(study, PROGRAMS, [*small(160, tokens), *spread(20, client="sdk")])
    assert found == (["large-default"] if speaks else [])


@pytest.mark.parametrize(("large", "speaks"), [(110_000, False), (90_000, True)])
def test_a_twentieth_is_worth_saying(study: Study, large: int, speaks: bool) -> None:
    """160 requests, two thirds cheaper, beside as many that are so large and stay."""
    asks = [replace(ask, tokens=large) if ask.conversation.startswith("large") else ask for ask in small(160)]
    costs = {tokens: tokens * 1.12 * 3 + 100 * 15 for tokens in (8_000, large)}
    share = 2 / 3 * costs[8_000] / sum(costs.values())
    assert 0.04 < share < 0.06
    assert (share > 0.05) is speaks
    found = kinds(study, PROGRAMS, [*asks, *spread(20, client="sdk")])
    assert found == (["large-default"] if speaks else [])


# --- bounds -----------------------------------------------------------------------------------------------------------


def test_a_bound_that_is_nearly_the_best(study: Study) -> None:
    text = ledgers.THRESHOLD.replace("40_000", "8_000")
    found = study(text, ledgers.threshold_asks())
    best = serve(found.asks, load(found.folder / "other" / "work", text.replace("8_000", "5_000")))
    assert 0 < total(found.records) - total(best) < 0.05 * total(found.records)
    assert found.found.advice == ()


@pytest.mark.parametrize(("failing", "speaks"), [(0.01, True), (0.08, False)])
def test_a_cheaper_target_that_fails_softly(study: Study, failing: float, speaks: bool) -> None:
    def fails(ask: Ask, target: Target) -> str | None:
        chance = Random(f"{ask.conversation}{ask.tokens}").random()
        return "soft" if target.provider == "anthropic" and chance < failing else None

    assert kinds(study, ledgers.THRESHOLD, ledgers.threshold_asks(), fails=fails) == (["threshold"] if speaks else [])


LONG = """\
[[rule]]
name = "long"
match = %s
target = "anthropic/claude-haiku-4-5"

[default]
target = "groq/llama-3.3-70b-versatile"
"""


@pytest.mark.parametrize(
    ("match", "written"),
    [
        pytest.param("{ input-tokens-gte = 40_000 }", r"{ input-tokens-gte = (\d+) }", id="from a bound on"),
        pytest.param("{ input-tokens-gt = 40_000 }", r"{ input-tokens-gt = (\d+) }", id="above a bound"),
        pytest.param('"tokens > 40000 and always"', r'"tokens > (\d+) and always"', id="as a short string"),
        pytest.param("{ messages-gt = 60 }", r"{ messages-gt = (\d+) }", id="by messages"),
    ],
)
def test_a_bound_in_another_form(study: Study, match: str, written: str) -> None:
    found = study(LONG % match, ledgers.threshold_asks())
    (advice,) = (each for each in found.found.advice if each.rule == "long → anthropic")
    assert advice.kind == "threshold"
    assert re.search(rf"^\+match = {written}$", advice.edit.diff, re.MULTILINE)
    assert advice.saving_nano_usd == pytest.approx(found.truth(advice), rel=0.03)


SHORT = ledgers.THRESHOLD.replace("40_000", "2_000").replace("claude-haiku", "claude-opus")


def test_a_cheaper_target_is_given_nothing_more_than_twice_as_large(study: Study) -> None:
    """Groq would be cheaper for all of these, but has had none of more than 2,000 tokens."""
    rng = Random(7)
    asks = [question(rng, ask.time_ms, ask.conversation, tokens=(200, 5_000)) for ask in spread(600)]
    found = study(SHORT, asks)
    advice = found.only
    (written,) = re.findall(r"^\+match = \{ input-tokens-lt = (\d+) \}$", advice.edit.diff, re.MULTILINE)
    known = sorted(ask.tokens for ask in asks if ask.tokens < 2_000)[-73]
    assert 2_000 < int(written) <= 2 * known + 1
    assert advice.saving_nano_usd == pytest.approx(found.truth(advice), rel=0.03)
    everything = serve(asks, load(found.folder / "other" / "work", SHORT.replace("2_000", "9_000")))
    assert total(found.records) - total(everything) > 2 * advice.saving_nano_usd
    largest = max(ask.tokens for ask in asks if ask.tokens < 2_000)
    said = f"groq/llama-3.3-70b-versatile was given none of more than {largest:,} so far: watch what comes of it"
    assert said in advice.details


@pytest.mark.parametrize(
    ("failed", "tokens", "speaks"),
    [
        pytest.param(0, 3_000, True, id="requests just above the bound"),
        pytest.param(0, 4_200, False, id="requests more than twice as large"),
        pytest.param(5, 3_000, False, id="5 of 100 failed"),
    ],
)
def test_a_stride(study: Study, failed: int, tokens: int, speaks: bool) -> None:
    def fails(ask: Ask, target: Target) -> str | None:
        return "soft" if target.provider == "groq" and ask.conversation in bad else None

    small = [replace(ask, tokens=1_900 + number) for number, ask in enumerate(spread(100, max_tokens=10))]
    bad = {ask.conversation for ask in small[:failed]}
    larger = [replace(ask, tokens=tokens + number) for number, ask in enumerate(spread(300))]
    assert kinds(study, SHORT, [*small, *larger], fails=fails) == (["threshold"] if speaks else [])


# --- drafts -----------------------------------------------------------------------------------------------------------


def often(share: float) -> Judges:
    """Drafts of which about this share is accepted."""
    return lambda ask: 0.9 if Random(ask.conversation).random() < share else 0.2


@pytest.mark.parametrize(
    ("share", "speaks"),
    [
        pytest.param(0.08, True, id="a fifth of the price, accepted every twelfth time"),
        pytest.param(0.19, False, id="accepted nearly as often as pays"),
        pytest.param(0.3, False, id="accepted so often that they pay"),
    ],
)
def test_drafts(study: Study, share: float, speaks: bool) -> None:
    found = kinds(study, ledgers.DRAFTS, ledgers.draft_asks(), judges=often(share))
    assert found == (["losing-drafts"] if speaks else [])


@pytest.mark.parametrize(("drafts", "speaks"), [(19, False), (20, True)])
def test_as_many_drafts_as_it_takes(study: Study, drafts: int, speaks: bool) -> None:
    asks = [ask for ask in ledgers.draft_asks() if ask.facts["model"] != "claude-opus-4-5"]
    large = [replace(ask, tokens=30_000) for ask in spread(drafts, model="claude-opus-4-5")]
    found = study(ledgers.DRAFTS, [*asks, *large], judges=lambda ask: 0.0)
    assert [each.kind for each in found.found.advice] == (["losing-drafts"] if speaks else [])
    said = "drafts of thought through → anthropic: it is known what 19 drafts saved; it takes 20"
    assert found.found.remarks == (() if speaks else (said,))


# --- siblings ---------------------------------------------------------------------------------------------------------

CI = """[[rule]]
name = "ci"
match = { tag = "ci" }
target = "anthropic/claude-haiku-4-5"

[default]
target = "anthropic/claude-sonnet-4-5"
"""


@pytest.mark.parametrize(
    ("asked", "failed", "speaks"),
    [
        pytest.param(72, 0, False, id="one too few"),
        pytest.param(73, 0, True, id="just enough"),
        pytest.param(200, 3, True, id="3 of 200 are at most 4.3 %"),
        pytest.param(200, 4, False, id="4 of 200 may be 5.03 %"),
    ],
)
def test_a_siblings_record(study: Study, asked: int, failed: int, speaks: bool) -> None:
    def fails(ask: Ask, target: Target) -> str | None:
        return "soft" if ask.conversation in bad else None

    sibling = list(spread(asked, tags=["ci"]))
    bad = {ask.conversation for ask in sibling[:failed]}
    found = kinds(study, CI, [*sibling, *spread(300)], fails=fails)
    assert found == (["cheaper-sibling"] if speaks else [])


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"tools": 5}, id="tools"),
        pytest.param({"thinking": True}, id="thinking"),
        pytest.param({"image": True}, id="an image"),
        pytest.param({"model": "claude-opus-4-5"}, id="another model was asked for"),
    ],
)
def test_a_sibling_that_was_given_something_else(study: Study, other: dict[str, object]) -> None:
    assert kinds(study, CI, [*spread(200, tags=["ci"]), *spread(300, **other)]) == []


def test_a_sibling_that_was_given_something_smaller(study: Study) -> None:
    larger = [replace(ask, tokens=3_001) for ask in spread(300)]
    assert kinds(study, CI, [*spread(200, tags=["ci"]), *larger]) == []


def test_a_cheap_model_of_another_family_is_no_sibling(study: Study) -> None:
    text = CI.replace("anthropic/claude-haiku-4-5", "groq/llama-3.3-70b-versatile")
    assert kinds(study, text, [*spread(340, tags=["ci"]), *spread(300)]) == []  # the default takes less than half


# --- caches -----------------------------------------------------------------------------------------------------------


def test_a_change_of_target_that_pays_for_the_cache_it_loses(study: Study) -> None:
    rng = Random(8)
    asks = [
        ask
        for day, start in enumerate(days(8))
        for number in range(4)
        for ask in session(rng, start + number * HOUR_MS, f"{day}-{number}", requests=25, first=4_000, turn_of=3)
    ]
    found = study(ledgers.LOST_CACHE, asks)
    assert any(request.row.cache_lost for request in found.past.requests)
    assert found.found.advice == ()


def test_conversations_that_stick_already(study: Study) -> None:
    text = f'[routing]\nsticky = "conversation"\n\n{ledgers.LOST_CACHE}'
    assert kinds(study, text, ledgers.lost_cache_asks()) == []


# --- failing targets --------------------------------------------------------------------------------------------------

SHAKY = """[default]
target = "openai/gpt-6-luna"
fallback = ["anthropic/claude-haiku-4-5"]
"""


@pytest.mark.parametrize(
    ("share", "on_days", "speaks"),
    [
        pytest.param(0.7, 8, True, id="most of it on all days"),
        pytest.param(0.5, 8, False, id="half of it"),
        pytest.param(1.0, 2, False, id="everything on two days"),
    ],
)
def test_a_target_that_fails(study: Study, share: float, on_days: int, speaks: bool) -> None:
    def fails(ask: Ask, target: Target) -> str | None:
        return "server" if target.provider == "openai" and Random(ask.conversation).random() < share else None

    asks = list(spread(320))
    if on_days < 8:
        asks = [replace(ask, time_ms=NOW_MS - 2 * DAY_MS + number * 1000) for number, ask in enumerate(asks)]
    assert kinds(study, SHAKY, asks, fails=fails) == (["failing-target"] if speaks else [])
