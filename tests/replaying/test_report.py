"""What a replay comes to."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.errors import ConfigError
from router.ledger.traffic import PastExchange
from router.providers.catalog import load_catalog
from router.replaying import Cause, Replay, replay
from router.replaying.loading import load_rules
from router.replaying.report import REFUSED, UNKNOWN
from tests.replaying.bench import BIG, MINUTE_MS, NOON_MS, OTHER, PRICES, SMALL, TABLE, Bench, asked, past

RULES = f"""
[[rule]]
name = "long"
match = {{ input-tokens-gt = 1000 }}
target = "{BIG}"
[[rule]]
name = "words"
match = {{ stream = true, keywords = "x" }}
target = "{SMALL}"
[[rule]]
name = "narrow"
match = {{ tag = "narrow" }}
target = "groq/narrow"
[default]
target = "{OTHER}"
[models."groq/narrow"]
context = 50
"""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def report(bench: Bench, *rows: PastExchange, text: str = RULES, since_ms: int = 0) -> Replay:
    return replay(rows, bench.profile(text), TABLE, since_ms=since_ms)


def test_every_request_counts_once(bench: Bench) -> None:
    default = bench.profile(RULES).routes.default
    assert default is not None
    found = report(
        bench,
        asked(0, OTHER, rule=default.label, rule_hash=default.hash),
        asked(1, OTHER, rule="default → openai", rule_hash="another meaning of the same name"),
        asked(2, BIG, rule="big → anthropic", tokens=2000),
        asked(3, BIG, rule="big → anthropic"),
        asked(4, BIG, rule="big → anthropic"),
        asked(5, BIG, rule="big → anthropic", stream=1),
        asked(6, None, rule="(none)"),
        asked(7, BIG, rule="big → anthropic", tags=["narrow"]),
        asked(8, BIG, kind="count"),
    )
    assert found.total.requests == 8
    assert [sums.requests for sums in (found.stays, found.retaken, found.moved, found.unknown)] == [2, 1, 4, 1]
    assert {pair: sums.requests for pair, sums in found.retaken_pairs.items()} == {
        ("big → anthropic", "long → anthropic"): 1
    }
    assert {pair: sums.requests for pair, sums in found.moved_pairs.items()} == {
        ("big → anthropic", "default → openai"): 2,
        ("(none)", "default → openai"): 1,
        ("big → anthropic", "narrow → groq"): 1,
    }
    assert found.causes == {Cause('keywords="x"', "words → anthropic"): 1}
    assert (found.refused_before, found.refused_after) == (1, 0)
    counted = {target: (sums.requests_before, sums.requests_after) for target, sums in found.targets.items()}
    assert counted == {OTHER: (2, 6), BIG: (5, 1), REFUSED: (1, 0), UNKNOWN: (0, 1)}


def test_who_does_not_fit_is_counted(bench: Bench) -> None:
    rows = [asked(0, tags=["narrow"]), asked(1, tags=["narrow"]), asked(2)]
    found = report(bench, *rows)
    assert (found.not_fitting, found.refused_as_unfit) == (2, 0)
    only = RULES.replace("[default]", "[routing]\nfallthrough = false\n[default]")
    found = report(bench, *rows, text=only)
    assert (found.not_fitting, found.refused_as_unfit, found.refused_after) == (2, 2, 2)
    (unfit,) = found.unfit.values()
    assert (unfit.target, unfit.why, unfit.requests, unfit.refused) == ("groq/narrow", "too-long", 2, 2)


def test_costs_are_compared_where_both_are_known(bench: Bench) -> None:
    text = f'[[rule]]\nmatch = {{ tag = "x" }}\ntarget = "groq/unheard-of"\n[default]\ntarget = "{SMALL}"'
    rows = [asked(0), asked(1, tags=["x"]), asked(2, cost_nano_usd=None), past(3)]
    sums = report(bench, *rows, text=text).total
    small = 100 * 1000 + 10 * 5000
    assert (sums.requests, sums.before, sums.unpriced_before) == (4, 3 * 450_000, 1)
    assert (sums.after, sums.unpriced_after) == (2 * small, 2)
    assert (sums.known, sums.known_before, sums.known_after) == (1, 450_000, small)
    assert sums.share == pytest.approx(small / 450_000 - 1)
    assert report(bench, asked(0, None), text=text).total.share is None


def test_a_subscriptions_value_is_beside_its_cost(bench: Bench) -> None:
    paid = {"input": 100, "output": 10, "cost_nano_usd": 0, "list_nano_usd": 450_000}
    sums = report(bench, asked(0, **paid), text=f'[default]\ntarget = "{SMALL}"').total
    assert (sums.before, sums.value_before) == (0, 450_000)
    assert (sums.after, sums.value_after) == (0, 100 * 1000 + 10 * 5000)


def test_what_switches_leave_behind_is_added_up(bench: Bench) -> None:
    text = f'[[rule]]\nmatch = {{ tag = "x" }}\ntarget = "{BIG}"\n[default]\ntarget = "{SMALL}"'
    talk = {"conversation": "c", "opening": False, "tokens": 2000, "estimated_input": 2000}
    tokens = {"input": 0, "cache_write": 2000, "output": 10}
    first = asked(0, BIG, **talk, **tokens, cost_nano_usd=0, list_nano_usd=0)
    found = report(bench, first, asked(1, BIG, **talk, cache_lost=7, cache_lost_nano_usd=None, tags=["x"]), text=text)
    was, would = found.caches_before, found.caches_after
    assert (was.requests, was.tokens, was.nano_usd, was.unpriced) == (1, 7, 0, 1)
    assert (would.requests, would.tokens, would.nano_usd, would.unpriced) == (1, 2000, 1_800_000, 0)


def test_drafts_and_failures_are_told_of(bench: Bench) -> None:
    text = f"""
    [[rule]]
    name = "drafted"
    match = {{ always = true }}
    target = "{SMALL}"
    cascade = {{ draft = "{OTHER}" }}
    """
    found = report(bench, asked(0), asked(1, draft="rejected", outcome="upstream-error"), asked(2, SMALL), text=text)
    assert (found.drafted, found.drafted_before, found.failed) == (2, 1, 1), "what stays was drafted or not as it was"


def test_what_came_before_the_period_is_replayed_and_not_counted(bench: Bench) -> None:
    text = f'[[rule]]\nmatch = {{ provider-used = "openai" }}\ntarget = "{SMALL}"\n[default]\ntarget = "{OTHER}"'
    rows = [asked(minute, conversation="c", opening=False) for minute in range(3)]
    found = report(bench, *rows, text=text, since_ms=NOON_MS + MINUTE_MS)
    assert found.first_ms == NOON_MS + MINUTE_MS
    assert {target: sums.requests_after for target, sums in found.targets.items()} == {BIG: 0, SMALL: 1, OTHER: 1}


# --- the file ---------------------------------------------------------------------------------------------------------

OWN = "# Own\nsynonyms:: mine\nroute:: openai, other\n"


def load(path: Path, own: Path | None) -> list[str]:
    """The rules of a file, with the concepts that have a route."""
    profile = load_rules(
        path, own, name="work", catalog=load_catalog(), environ={}, known_model=lambda provider, model: None
    )
    return [rule.label for rule in profile.routes.all_rules()]


def test_a_file_goes_with_the_profiles_own_concepts_or_with_those_beside_it(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    for folder, name in ((own, "mine"), (other, "theirs")):
        (folder / "concepts").mkdir(parents=True)
        (folder / "concepts" / f"{name}.md").write_text(OWN)
    text = f'[default]\ntarget = "{SMALL}"\n{PRICES}'
    for path in (tmp_path / "new.toml", own / "new.toml", other / "routing.toml", other / "new.toml"):
        path.write_text(text)
        mine = path.parent != other
        assert load(path, own) == [f"concept:{'mine' if mine else 'theirs'} → openai", "default → anthropic"]
    assert load(tmp_path / "new.toml", None) == ["default → anthropic"]


def test_a_wrong_file_is_told_of_by_its_own_name(tmp_path: Path) -> None:
    path = tmp_path / "new.toml"
    path.write_text('[[rule]]\nmatch = { streem = true }\nto = "nobody"\n')
    with pytest.raises(ConfigError) as caught:
        load(path, tmp_path / "profiles" / "work")
    assert str(caught.value).splitlines() == [
        f'{path}:2: rule[0].match.streem: unknown condition; did you mean "stream"?',
        f'{path}:3: rule[0].to: unknown provider "nobody"',
    ]
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"new\.toml"):
        load(path, None)
