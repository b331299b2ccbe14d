from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.health.cooldowns import LIMIT, Cooldown, Cooldowns, SavedCooldown

WALL_MS = 1_800_000_000_000
YEAR_MS = 365 * 86_400_000


def kept(*rows: tuple[str, str | None, str | None, float]) -> Cooldowns:
    """Cooldowns of (provider, model, key, until)."""
    cooldowns = Cooldowns()
    for provider, model, key, until in rows:
        cooldowns.put(provider, until, "rate", key=key, model=model)
    return cooldowns


@pytest.mark.parametrize(
    ("place", "stopped"),
    [
        pytest.param(("groq", None, "work"), "llama/work qwen/work", id="a key, for all models"),
        pytest.param(("groq", "llama", None), "llama/work llama/home", id="a model, for all keys"),
        pytest.param(("groq", "llama", "work"), "llama/work", id="a key for a model"),
        pytest.param(("groq", None, None), "llama/work llama/home qwen/work qwen/home", id="a provider"),
        pytest.param(("groq", None, ""), "", id="the nameless key isn't all keys"),
        pytest.param(("other", None, None), "", id="another provider"),
    ],
)
def test_what_a_cooldown_stops(place: tuple[str, str | None, str | None], stopped: str) -> None:
    cooldowns = kept((*place, 10.0))
    found = {
        f"{model}/{key}": cooldowns.until("groq", model, key, 9.9)
        for model in ("llama", "qwen")
        for key in ("work", "home")
    }
    assert {name for name, cooldown in found.items() if cooldown is not None} == set(stopped.split())
    assert {cooldown for cooldown in found.values() if cooldown is not None} <= {Cooldown(*place, 10.0, "rate")}


@pytest.mark.parametrize(
    ("now", "until"),
    [
        pytest.param(0.0, 40.0, id="of several the latest"),
        pytest.param(39.9, 40.0, id="until it is over"),
        pytest.param(40.0, None, id="and no longer"),
    ],
)
def test_of_several_that_apply_the_latest_is_told(now: float, until: float | None) -> None:
    cooldowns = kept(
        ("groq", "llama", None, 20.0),
        ("groq", None, "work", 40.0),
        ("groq", "llama", "work", 30.0),
        ("groq", None, "home", 99.0),
    )
    found = cooldowns.until("groq", "llama", "work", now)
    assert (found and found.until) == until


@pytest.mark.parametrize(("first", "second"), [(10.0, 20.0), (20.0, 10.0), (20.0, 20.0)])
def test_the_longer_one_stays_with_its_reason(first: float, second: float) -> None:
    cooldowns = Cooldowns()
    cooldowns.put("groq", first, "first", key="work")
    winner = Cooldown("groq", None, "work", 20.0, "second" if second > first else "first")
    assert cooldowns.put("groq", second, "second", key="work") == winner
    assert cooldowns.rows(0.0) == [winner]


@pytest.mark.parametrize("until", [math.inf, math.nan, -math.inf])
def test_a_cooldown_must_end(until: float) -> None:
    with pytest.raises(ValueError, match="must end"):
        Cooldowns().put("groq", until, "quota")


def test_rows_are_by_name_and_leave_out_what_is_over() -> None:
    cooldowns = kept(("b", "m", None, 9.0), ("a", None, "k", 9.0), ("a", "m", None, 9.0), ("a", None, None, 5.0))
    assert [row[:3] for row in cooldowns.rows(5.0)] == [("a", None, "k"), ("a", "m", None), ("b", "m", None)]


@pytest.mark.parametrize(
    ("pattern", "key", "forgotten"),
    [
        pytest.param("groq", None, "groq//work groq/llama/ groq/llama/work", id="all of a provider"),
        pytest.param("groq/llama", None, "groq/llama/ groq/llama/work", id="a model, not the key for all models"),
        pytest.param("groq", "work", "groq//work groq/llama/work", id="all of a key"),
        pytest.param("*/llama", None, "groq/llama/ groq/llama/work lab/llama/", id="globs"),
        pytest.param("*", None, "groq//work groq/llama/ groq/llama/work lab/llama/", id="all"),
        pytest.param("openai", None, "", id="none"),
    ],
)
def test_reset_forgets_what_is_named(pattern: str, key: str | None, forgotten: str) -> None:
    rows = [("groq", None, "work"), ("groq", "llama", None), ("groq", "llama", "work"), ("lab", "llama", None)]
    cooldowns = kept(*((*row, 10.0) for row in rows))
    found = cooldowns.reset(pattern, key=key)
    assert {"/".join(part or "" for part in row[:3]) for row in found} == set(forgotten.split())
    assert len(cooldowns) == len(rows) - len(found)


@pytest.mark.parametrize(
    ("away_ms", "left_s"),
    [
        pytest.param(0, 20.0, id="at once"),
        pytest.param(5_000, 15.0, id="5 s later"),
        pytest.param(20_000, None, id="when it was over"),
        pytest.param(-5_000, 20.0, id="the clock went back: no longer than was left"),
        pytest.param(-YEAR_MS, 20.0, id="however far"),
        pytest.param(YEAR_MS, None, id="the clock jumped ahead"),
    ],
)
def test_a_cooldown_goes_on_after_a_restart(away_ms: int, left_s: float | None) -> None:
    rows = kept(("groq", None, "work", 1030.0)).saved(1010.0, WALL_MS)
    cooldowns = Cooldowns()
    assert cooldowns.restored(rows, 5.0, WALL_MS + away_ms) == (left_s is not None)
    found = cooldowns.until("groq", "llama", "work", 5.0)
    assert found == (None if left_s is None else Cooldown("groq", None, "work", 5.0 + left_s, "rate"))


def test_only_what_is_not_over_is_saved_and_as_plain_values() -> None:
    rows = kept(("groq", None, "work", 30.0), ("groq", "llama", None, 10.0)).saved(10.0, WALL_MS)
    assert rows == [SavedCooldown("groq", None, "work", WALL_MS + 20_000, 20_000, "rate")]
    assert msgspec.json.decode(msgspec.json.encode(rows), type=list[SavedCooldown]) == rows


def test_there_are_never_more_than_the_limit_and_the_longest_are_kept() -> None:
    cooldowns = kept(("groq", None, "work", 1e6))
    for number in range(LIMIT + 500):
        cooldowns.put("groq", 100.0 + number, "not-found", model=f"invented-{number}")
        assert len(cooldowns) <= LIMIT
    assert cooldowns.until("groq", "llama", "work", 0.0) is not None
    assert cooldowns.until("groq", "invented-0", "home", 0.0) is None
    assert cooldowns.until("groq", f"invented-{LIMIT + 499}", "home", 0.0) is not None


def test_what_is_over_goes_away_although_nobody_asks_for_it() -> None:
    cooldowns = kept(*(("groq", f"m{number}", None, float(number)) for number in range(1000)))
    for now in range(0, 1200, 30):
        cooldowns.until("other", "model", "key", float(now))
        assert len(cooldowns) <= max(0, 1000 - now + 60)
    assert len(cooldowns) == 0


names = st.sampled_from([None, "a", "b"])
puts = st.lists(st.tuples(st.sampled_from("pq"), names, names, st.floats(0, 1000)), max_size=30)


@given(puts, st.floats(0, 1000))
def test_a_lookup_finds_the_latest_end_that_applies(
    rows: list[tuple[str, str | None, str | None, float]], now: float
) -> None:
    ends = [
        until for provider, model, key, until in rows if provider == "p" and model in (None, "a") and key in (None, "b")
    ]
    found = kept(*rows).until("p", "a", "b", now)
    assert (found.until if found else None) == max((until for until in ends if until > now), default=None)


@given(
    puts, st.floats(0, 1000), st.floats(0, 1e6), st.integers(-10 * YEAR_MS, 10 * YEAR_MS) | st.integers(-10_000, 10_000)
)
def test_restoring_never_lengthens(
    rows: list[tuple[str, str | None, str | None, float]], now: float, later: float, away_ms: int
) -> None:
    cooldowns, again = kept(*rows), Cooldowns()
    saved = cooldowns.saved(now, WALL_MS)
    again.restored(saved, later, WALL_MS + away_ms)
    before = {row[:3]: row.until - now for row in cooldowns.rows(now)}
    after = {row[:3]: row.until - later for row in again.rows(later)}
    for place, left_s in before.items():
        assert after.get(place, 0.0) == pytest.approx(max(0.0, left_s - max(0, away_ms) / 1000), abs=0.001)
    assert after.keys() <= before.keys()
