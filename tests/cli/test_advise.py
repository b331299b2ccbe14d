"""``router advise``: what is printed for people and for programs, and that nothing is changed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from router.profile.home import Home
from tests.advising import ledgers
from tests.advising.world import NOW_MS, Ask, Judges, load, serve, write

Recorded = Callable[..., None]


@pytest.fixture
def recorded(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """``recorded(text, asks)``: the home's profile has these rules and was sent these requests."""
    monkeypatch.setattr("router.cli.advise.time.time_ns", lambda: NOW_MS * 1_000_000)

    def record(text: str, asks: Sequence[Ask], judges: Judges | None = None) -> None:
        folder = home.profiles / "work"
        write(home.database, serve(asks, load(folder, text), judges=judges))

    return record


def everything(home: Home) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in home.path.rglob("*") if path.is_file()}


LOST = """\
1. lost-cache  saves $1.85 of $20.75 (9%)
   128 requests left 10,276,151 cached tokens behind, and paid $1.85 more than
   if they had stayed
   - 128 times when what people say → groq took over
   (128 requests of 8 days replayed at known prices; the length of other answers
   and what caches would have held are estimates)
   To do: write sticky = "cache" under [routing], in profiles/work/routing.toml.
      target = "anthropic/claude-sonnet-4-5"
     +
     +[routing]
     +sticky = "cache"
"""


def test_advice_in_a_terminal_fits_its_width(run: Any, recorded: Recorded, terminal: None) -> None:
    recorded(ledgers.LOST_CACHE, ledgers.lost_cache_asks())
    result = run("advise", "work")
    assert result.exit_code == 0
    assert result.stdout == f"\n{LOST}"
    assert result.stderr == "400 requests of 8 days, $20.75\n"


def test_commands_stand_on_lines_of_their_own(run: Any, recorded: Recorded, terminal: None) -> None:
    recorded(ledgers.SIBLING, ledgers.sibling_asks())
    lines = run("advise", "work").stdout.splitlines()
    assert [line for line in lines if line.startswith("     $ ")] == [
        "     $ router route add work questions-claude-haiku-4-5 "
        f"'tool-use=false and image=false and tokens <= {_limit(lines)}' anthropic/claude-haiku-4-5",
        "     $ router route move work questions-claude-haiku-4-5 --before questions",
    ]
    assert not any(line.startswith("     +") for line in lines)  # the commands say it all
    assert max(len(line) for line in lines if "$ router" not in line) <= 80


def _limit(lines: list[str]) -> str:
    (found,) = set(re.findall(r"tokens <= (\d+)", "\n".join(lines)))
    return str(found)


@pytest.mark.slow
def test_in_a_pipe_nothing_is_cut_or_coloured(run: Any, recorded: Recorded) -> None:
    recorded(ledgers.THRESHOLD, ledgers.threshold_asks())
    result = run("advise", "work")
    assert "\x1b" not in result.output
    assert "   short → groq: input-tokens-lt 7,000 would have been cheaper than 40,000\n" in result.stdout
    assert "     -match = { input-tokens-lt = 40_000 }\n     +match = { input-tokens-lt = 7000 }\n" in result.stdout


def test_json_has_keys_that_stay(run: Any, recorded: Recorded) -> None:
    recorded(ledgers.SHADOWED, ledgers.sound_asks())
    found = json.loads(run("advise", "work", "--json").stdout)
    assert list(found) == ["profile", "since", "until", "requests", "needed", "advice", "not_looked_at"]
    assert (found["profile"], found["needed"], found["not_looked_at"]) == ("work", None, [])
    assert found["until"] == "2026-11-20T12:00:00+00:00"
    (advice,) = found["advice"]
    assert list(advice) == [
        "kind", "rule", "headline", "requests", "cost_before_usd", "cost_before_nano_usd", "cost_after_usd",
        "cost_after_nano_usd", "saving_usd", "saving_nano_usd", "confidence", "details", "edit",
    ]  # fmt: skip
    assert advice["kind"] == "idle-rule"
    assert advice["cost_after_usd"] > advice["cost_before_usd"]
    assert advice["saving_usd"] is advice["saving_nano_usd"] is None
    assert advice["details"][1] == (
        f"it would have cost ${advice['cost_after_usd'] - advice['cost_before_usd']:.4f} more there"
    )
    assert list(advice["edit"]) == ["words", "commands", "diff"]
    assert advice["edit"]["commands"] == ["router route move work plans --before agents"]
    assert advice["edit"]["diff"].startswith("--- profiles/work/routing.toml\n+++ profiles/work/routing.toml\n@@ ")


def test_nothing_to_advise(run: Any, recorded: Recorded) -> None:
    recorded(ledgers.SOUND, ledgers.sound_asks())
    result = run("advise", "work")
    assert result.exit_code == 0
    assert re.fullmatch(
        r"Nothing to advise: in [\d,]+ requests of 8 days, \$[\d.]+, nothing stands out\.\n", result.stdout
    )


def test_too_little_to_say_anything(run: Any, recorded: Recorded) -> None:
    recorded(ledgers.SOUND, sorted(ledgers.sound_asks(), key=lambda ask: ask.time_ms)[:38])
    assert run("advise", "work").stdout == "Nothing to advise on 38 requests; at least 300 are needed.\n"
    found = json.loads(run("advise", "work", "--json").stdout)
    assert (found["requests"], found["needed"], found["advice"]) == (38, 300, [])


def test_without_a_ledger(run: Any) -> None:
    assert run("advise", "work").stdout == "Nothing to advise on 0 requests; at least 300 are needed.\n"


@pytest.mark.slow
def test_what_cannot_be_looked_at_is_said(run: Any, recorded: Recorded, terminal: None) -> None:
    text = (
        ledgers.SOUND.replace("gemini/gemini-3.8-flash", "gemini/nobodys-model")
        + '\n[routing]\nstrategy = "adaptive"\n'
    )
    recorded(text, ledgers.sound_asks())
    assert run("advise", "work").stdout.endswith(
        "\nNot looked at\n"
        '- what 8 requests at gemini/nobodys-model cost: write its price under\n  [prices."gemini/nobodys-model"]\n'
        "- requests in an adaptive order, which goes by how targets answer at the moment\n"
    )


@pytest.mark.slow
def test_several_savings_are_not_to_be_added_up(run: Any, recorded: Recorded) -> None:
    thought = (
        ledgers.DRAFTS.split("[[rule]]")[2]
        .replace("[default]", "")
        .replace('target = "anthropic/claude-sonnet-4-5"', "")
    )
    recorded(
        f"[[rule]]{thought}{ledgers.BIG_DEFAULT}",
        [*ledgers.draft_asks(), *ledgers.big_default_asks()],
        judges=lambda ask: 0.1,
    )
    printed = run("advise", "work").stdout
    assert re.findall(r"^\d\. (\S+) ", printed, re.MULTILINE) == ["large-default", "losing-drafts"]
    assert "The savings can't be added up: several may be about the same requests.\n" in printed
    saved = [float(each) for each in re.findall(r"saves \$([\d.]+)", printed)]
    assert saved == sorted(saved, reverse=True)


def test_nothing_is_changed(run: Any, recorded: Recorded, home: Home) -> None:
    recorded(ledgers.SIBLING, ledgers.sibling_asks())
    before = everything(home)
    assert "1. cheaper-sibling" in run("advise", "work").stdout
    assert {path: content for path, content in everything(home).items() if "router.db-" not in path} == before


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["advise", "wrok"], 2, 'router: no profile "wrok" in '),
        (["advise", "work", "--since", "then"], 2, 'router: "then" is not a moment'),
        (["advise"], 2, "router: Missing argument 'PROFILE'"),
    ],
)
def test_wrong_usage_is_one_line(run: Any, arguments: list[str], status: int, message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == status
    assert result.stderr.startswith(message)
    assert len(result.stderr.splitlines()) == 1


def test_a_profile_that_is_wrong_is_told_as_such(run: Any, home: Home) -> None:
    (home.profiles / "work" / "routing.toml").write_text("[default]\nto = 1\n", "utf-8")
    result = run("advise", "work")
    assert result.exit_code == 2
    assert result.stderr.startswith("router: profiles/work/routing.toml:2: default.to: expected")
