"""Drafts that cost more than they save are told of, and paused where the rule says so."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from router.ledger.reports import Reader
from router.server import draft_watch
from router.server.draft_watch import FEWEST, look
from tests.server.test_cascade import BAD, GOOD, PROFILE, World, asked, of_calls, world
from tests.support.saying import saying
from tests.support.serving import write_profile

PAUSING = PROFILE.replace("threshold = 0.7,", 'threshold = 0.7, pause-when-losing = "7d",')


async def ask_often(found: World, times: int) -> None:
    for _ in range(times):
        await asked(found)


async def looked(found: World) -> list[str]:
    [tenant] = found.router.app.tenants
    await found.router.flush()
    await look(tenant, Reader(found.router.app.home.database))
    return [str(each) for each in tenant.losing.values()]


@pytest.mark.slow
async def test_a_losing_draft_is_paused_and_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with world(tmp_path / "home", saying(BAD), profile=PAUSING) as found:
        await ask_often(found, FEWEST - 1)
        assert await looked(found) == []
        await ask_often(found, 1)
        said = f"{FEWEST} drafts have cost $0.0040 more than they saved in 7 days, so they are paused"
        assert await looked(found) == await looked(found) == [said]
        assert [each.message for each in caplog.records if "more than they saved" in each.message] == [
            f"profile work, rule drafted → dear: {said}"
        ]
        calls = len(found.cheap.requests)
        reply, after = await asked(found)
        assert (reply.headers["x-router-provider"], len(found.cheap.requests)) == ("dear", calls)
        assert of_calls(after, "role") == [("primary",)]
        assert f"draft: not asked for, {said}" in after.row["trace"]


@pytest.mark.slow
async def test_it_begins_again_when_the_losses_are_long_ago(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(tmp_path / "home", saying(BAD), profile=PAUSING) as found:
        await ask_often(found, FEWEST)
        assert await looked(found)
        now = draft_watch.time.time_ns()
        monkeypatch.setattr(draft_watch.time, "time_ns", lambda: now + 8 * 86_400 * 10**9)
        assert await looked(found) == []
        monkeypatch.undo()


@pytest.mark.slow
async def test_another_draft_starts_anew(tmp_path: Path) -> None:
    async with world(tmp_path / "home", saying(BAD), profile=PAUSING) as found:
        await ask_often(found, FEWEST)
        assert await looked(found)
        write_profile(found.router.app.home.path, "work", PAUSING.replace("cheap/small", "cheap/smaller"))
        await found.router.app.tenants.refresh()
        assert await looked(found) == []


@pytest.mark.slow
async def test_without_the_setting_it_is_only_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with world(tmp_path / "home", saying(BAD)) as found:
        await ask_often(found, FEWEST)
        [said] = await looked(found)
        assert said.endswith("more than they saved in 7 days")
        _, after = await asked(found)
        assert of_calls(after, "role") == [("draft",), ("verifier",)]
        found.cheap.answer = saying(GOOD)
        await ask_often(found, FEWEST)
        assert await looked(found) == []
        assert "drafts no longer lose money" in caplog.text
