"""Advice finds the fault that was planted in a ledger, and nothing else; in a sound one it finds nothing.

Its numbers are compared with arithmetic of its own, its edit is made and checked, and what it promises is compared with
what a replay says and with what the same team would have paid under the edited rules.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner

from router.advising.advice import Advice
from router.cli.main import cli
from router.ledger.entry import AttemptRecord
from tests.advising import ledgers
from tests.advising.conftest import Studied, Study
from tests.advising.world import ENVIRON, Ask, load, serve, total

# What the vendors charge, in nano-dollars for a thousand tokens: input, cache read, cache write, output.
TARIFF = {
    "claude-opus-4-5": (5_000_000, 500_000, 6_250_000, 25_000_000),
    "claude-sonnet-4-5": (3_000_000, 300_000, 3_750_000, 15_000_000),
    "claude-haiku-4-5": (1_000_000, 100_000, 1_250_000, 5_000_000),
}
CLOSE = 0.03  # of what comes true: other models' answers are taken to be as long as theirs are on average


def price(call: AttemptRecord, model: str) -> int:
    """What a call's tokens cost at a model."""
    assert call.usage is not None
    counts = (call.usage.input, call.usage.cache_read, call.usage.cache_write, call.usage.output)
    thousandths = sum((count or 0) * rate for count, rate in zip(counts, TARIFF[model], strict=True))
    return (thousandths + 500) // 1000


def prices(calls: list[AttemptRecord], model: str) -> int:
    return sum(price(call, model) for call in calls)


class Home:
    """A router's home with the profile, to make edits in."""

    def __init__(self, folder: Path, text: str) -> None:
        self.file = folder / "profiles" / "work" / "routing.toml"
        self.file.parent.mkdir(parents=True)
        folder.chmod(0o700)
        self.file.write_text(text, "utf-8")
        self.environ = {**ENVIRON, "ROUTER_HOME": str(folder)}

    def run(self, line: str) -> str:
        result = CliRunner().invoke(cli, shlex.split(line)[1:], env=self.environ, prog_name="router")
        assert result.exit_code == 0, result.output
        return result.output

    def warnings(self) -> set[str]:
        """What `router check` has to say, whatever lines it is about."""
        return set(re.sub(r"\d+", "", self.run("router check work")).splitlines()[:-1])


def follows(found: Studied, advice: Advice) -> None:
    """The edit can be made, by its commands if it has any, and nothing is wrong afterwards."""
    home = Home(found.folder / "home", found.text)
    before = home.warnings()
    for line in advice.edit.commands:
        home.run(line)
    if not advice.edit.commands:
        home.file.write_text(advice.edit.text, "utf-8")
    assert home.file.read_text("utf-8") == advice.edit.text
    assert home.warnings() <= before


def comes_true(found: Studied, advice: Advice) -> None:
    """A replay of everything saves what is promised, and the team would have paid about so much less."""
    replayed = found.replayed(advice)
    assert replayed.total.requests == len(found.asks)
    assert replayed.total.known_before - replayed.total.known_after == advice.saving_nano_usd
    assert advice.saving_nano_usd == pytest.approx(found.truth(advice), rel=CLOSE)


def is_heeded(found: Studied, advice: Advice, study: Study) -> None:
    """Under the edited rules there is nothing more to say."""
    again = study(advice.edit.text, found.asks, judges=found.judges)
    assert again.found.advice == ()


def test_a_sound_ledger(study: Study) -> None:
    found = study(ledgers.SOUND, ledgers.sound_asks())
    assert len(found.past.requests) > 500
    assert {rule.label for rule in found.profile.routes.rules} == {r.row.rule for r in found.past.requests} - {
        "default → anthropic"
    }
    assert found.found.advice == ()
    assert found.found.remarks == ()


@pytest.mark.slow
def test_a_rule_whose_requests_others_take(study: Study) -> None:
    found = study(ledgers.SHADOWED, ledgers.sound_asks())
    plans = [ask for ask in found.asks if ask.facts.get("plan_mode")]
    advice = found.only
    assert advice.kind == "idle-rule"
    assert advice.rule == "plans → anthropic"
    assert advice.headline == (
        f"plans → anthropic took none of {len(found.asks):,} requests in 8 days: other rules take what it is for"
    )
    assert advice.requests == len(plans) == 48
    assert advice.edit.commands == ("router route move work plans --before agents",)
    taken = [call for call in found.calls(model="claude-sonnet-4-5") if _name(found, call).endswith("-plan")]
    assert advice.before_nano_usd == prices(taken, "claude-sonnet-4-5")
    assert advice.after_nano_usd == prices(taken, "claude-opus-4-5")  # nobody else gave Opus the like yet
    assert advice.saving_nano_usd is None
    assert advice.details[0] == "agents → anthropic took 48 requests of those"
    follows(found, advice)
    is_heeded(found, advice, study)


def _name(found: Studied, call: AttemptRecord) -> str:
    """The conversation of a call."""
    asks = sorted(found.asks, key=lambda ask: ask.time_ms)
    return asks[int(call.request_id[12:], 16)].conversation


@pytest.mark.slow
def test_a_rule_for_which_nothing_came(study: Study) -> None:
    text = ledgers.SOUND + '\n[[rule]]\nname = "papers"\nmatch = { document = true }\nto = "anthropic"\n'
    found = study(text, ledgers.sound_asks())
    advice = found.only
    assert (advice.kind, advice.rule) == ("idle-rule", "papers → anthropic")
    assert advice.headline.endswith("in 8 days: nothing like it came")
    assert advice.edit.commands == ("router route remove work papers",)
    assert advice.confidence == f"with 95 % confidence at most {3 / len(found.asks):.1%} of the requests are for it"
    assert advice.edit.text.strip() == ledgers.SOUND.strip()
    follows(found, advice)


@pytest.mark.slow
def test_a_default_that_takes_what_asks_for_a_small_model(study: Study) -> None:
    found = study(ledgers.BIG_DEFAULT, ledgers.big_default_asks())
    small = [ask for ask in found.asks if ask.facts.get("background")]
    pictures = [ask for ask in found.asks if ask.facts.get("image_in_last_turn")]
    advice = found.only
    assert (advice.kind, advice.rule) == ("large-default", "default → anthropic")
    assert advice.requests == len(found.asks) - len(pictures)
    share = f"{len(small) / advice.requests:.0%}"
    assert advice.headline == f"default → anthropic took 99% of the requests; {share} of those could go elsewhere"
    assert advice.details[0] == f"{len(small)} requests: background=true; 100% of them asked for claude-haiku-4-5"
    assert advice.edit.commands == (
        "router route add work default-claude-haiku-4-5 background=true anthropic/claude-haiku-4-5",
    )
    sonnet = found.calls(model="claude-sonnet-4-5")
    asks = sorted(found.asks, key=lambda ask: ask.time_ms)
    moved = [call for call in sonnet if asks[int(call.request_id[12:], 16)].facts.get("background")]
    assert advice.before_nano_usd == prices(sonnet, "claude-sonnet-4-5")
    saving = prices(moved, "claude-sonnet-4-5") - prices(moved, "claude-haiku-4-5")
    assert advice.saving_nano_usd == pytest.approx(saving, rel=CLOSE)
    follows(found, advice)
    comes_true(found, advice)
    is_heeded(found, advice, study)


@pytest.mark.slow
def test_a_bound_beyond_which_caches_make_the_other_target_cheaper(study: Study) -> None:
    found = study(ledgers.THRESHOLD, ledgers.threshold_asks())
    advice = found.only
    assert (advice.kind, advice.rule) == ("threshold", "short → groq")
    (written,) = re.findall(r"^\+match = \{ input-tokens-lt = (\d+) \}$", advice.edit.diff, re.MULTILINE)
    bound = int(written)
    assert advice.headline == f"short → groq: input-tokens-lt {bound:,} would have been cheaper than 40,000"
    assert advice.requests == sum(bound <= ask.tokens < 40_000 for ask in found.asks)
    assert advice.before_nano_usd == total(found.records)
    paid = {limit: _paid(found, limit) for limit in (2_000, bound, 20_000)}
    assert advice.after_nano_usd == pytest.approx(paid[bound], rel=0.01)
    assert paid[bound] <= 1.01 * min(paid.values())
    follows(found, advice)
    comes_true(found, advice)
    is_heeded(found, advice, study)


def _paid(found: Studied, limit: int) -> int:
    """What the team would have paid with another bound."""
    text = found.text.replace("40_000", str(limit))
    return total(serve(found.asks, load(found.folder / "other" / "work", text)))


def one_in_twelve(ask: Ask) -> float:
    """The score of a draft: eleven of twelve are thrown away."""
    return 0.9 if Random(ask.conversation).random() < 1 / 12 else 0.2


@pytest.mark.slow
def test_drafts_that_are_mostly_thrown_away(study: Study) -> None:
    found = study(ledgers.DRAFTS, ledgers.draft_asks(), judges=one_in_twelve)
    drafts = found.calls(role="draft")
    accepted = [draft for draft in drafts if draft.verdict == "accepted"]
    advice = found.only
    assert (advice.kind, advice.rule) == ("losing-drafts", "thought through → anthropic")
    lost = prices(drafts, "claude-haiku-4-5") - prices(accepted, "claude-opus-4-5")
    assert (
        advice.headline == f"thought through → anthropic: 160 drafts have cost ${lost / 1e9:.4f} more than they saved"
    )
    assert advice.requests == len(drafts) == 160
    assert advice.before_nano_usd == prices(drafts, "claude-haiku-4-5") + prices(
        found.calls(role="verifier"), "claude-opus-4-5"
    )
    assert advice.saving_nano_usd == lost == found.truth(advice)
    assert advice.details[0].startswith(f"{len(accepted)} were accepted")
    assert "-cascade = {" in advice.edit.diff
    follows(found, advice)
    is_heeded(found, advice, study)


@pytest.mark.slow
def test_drafts_that_a_lower_threshold_would_have_let_through(study: Study) -> None:
    def just_below(ask: Ask) -> float:
        return 0.64 if Random(ask.conversation).random() < 0.8 else one_in_twelve(ask)

    found = study(ledgers.DRAFTS, ledgers.draft_asks(), judges=just_below)
    advice = found.only
    assert advice.kind == "losing-drafts"
    assert '+cascade = { draft = "anthropic/claude-haiku-4-5", threshold = 0.64 }' in advice.edit.diff
    assert advice.saving_nano_usd == pytest.approx(found.truth(advice), rel=CLOSE)
    follows(found, advice)
    is_heeded(found, advice, study)


@pytest.mark.slow
def test_a_sibling_that_does_as_well(study: Study) -> None:
    found = study(ledgers.SIBLING, ledgers.sibling_asks())
    advice = found.only
    assert (advice.kind, advice.rule) == ("cheaper-sibling", "questions → anthropic")
    assert advice.headline == (
        "questions → anthropic: claude-haiku-4-5 did as well as claude-sonnet-4-5 with the same kind of requests"
    )
    (limit,) = map(
        int, re.findall(r"^\+match = \"tool-use=false and .*tokens <= (\d+)\"$", advice.edit.diff, re.MULTILINE)
    )
    largest = sorted(ask.tokens for ask in found.asks if ask.facts.get("tags") == ["ci"])[-73]
    assert limit <= largest  # 73 of the sibling's were as large
    moved = [
        ask
        for ask in found.asks
        if ask.tokens <= limit and not ask.facts.get("tools") and not ask.facts.get("background")
        and ask.facts.get("tags") != ["ci"] and not ask.facts.get("image")
    ]  # fmt: skip
    assert advice.requests == len(moved)
    calls = [call for call in found.calls(model="claude-sonnet-4-5") if _ask(found, call) in moved]
    assert advice.before_nano_usd == prices(calls, "claude-sonnet-4-5")
    assert advice.after_nano_usd == pytest.approx(prices(calls, "claude-haiku-4-5"), rel=CLOSE)
    follows(found, advice)
    comes_true(found, advice)
    again = study(advice.edit.text, found.asks)
    assert [each.kind for each in again.found.advice] == ["threshold"]  # the next stride


def _ask(found: Studied, call: AttemptRecord) -> Ask:
    return sorted(found.asks, key=lambda ask: ask.time_ms)[int(call.request_id[12:], 16)]


@pytest.mark.slow
def test_conversations_that_leave_their_prompt_cache(study: Study) -> None:
    found = study(ledgers.LOST_CACHE, ledgers.lost_cache_asks())
    said = [ask for ask in found.asks if not ask.facts["tool_result"]]
    sessions = {ask.conversation for ask in found.asks}
    advice = found.only
    assert (advice.kind, advice.rule) == ("lost-cache", None)
    assert advice.headline.startswith(f"{len(said) - len(sessions)} requests left ")  # a first one leaves nothing
    assert advice.requests == len(found.asks)
    assert advice.before_nano_usd == total(found.records)
    assert '+sticky = "cache"' in advice.edit.diff
    follows(found, advice)
    comes_true(found, advice)
    is_heeded(found, advice, study)


def test_a_target_that_mostly_fails(study: Study) -> None:
    def fails(ask: Ask, target: object) -> str | None:
        return "server" if "gemini" in str(target) and Random(ask.conversation).random() < 0.8 else None

    text = ledgers.SOUND.replace(
        'target = "anthropic/claude-haiku-4-5"',
        'target = "gemini/gemini-3.5-flash-lite"\nfallback = ["anthropic/claude-haiku-4-5"]',
        1,
    )
    found = study(text, ledgers.sound_asks(), fails=fails)
    small = [ask for ask in found.asks if ask.facts.get("background")]
    failed = [ask for ask in small if fails(ask, "gemini")]
    (advice,) = (each for each in found.found.advice if each.rule == "small jobs → gemini")
    assert advice.kind == "failing-target"
    assert advice.requests == len(small)
    assert advice.headline == (
        f"small jobs → gemini: gemini/gemini-3.5-flash-lite failed {len(failed) / len(small):.0%} of its requests, "
        "and anthropic/claude-haiku-4-5 answered"
    )
    assert '+fallback = ["gemini/gemini-3.5-flash-lite"]' in advice.edit.diff
    assert advice.details[0] == f"{len(failed)} requests had to be asked again, 1.9 s later"
    follows(found, advice)
