"""Imports tried as `router import` does them, and asked where requests then go."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from router.errors import NoRoute
from router.importing.draft import Draft
from router.profile.load import load_profile
from router.profile.making import make_profile
from router.profile.profile import Profile
from router.providers.catalog import load_catalog
from router.routing.given import read_given
from router.routing.rules import decide

IMPORTS = Path(__file__).resolve().parents[1] / "data" / "imports"
CATALOG = load_catalog()

Made = Callable[[Draft], Profile]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """The profile that a draft becomes; it has no errors."""

    def made(draft: Draft) -> Profile:
        folder = tmp_path / "imported"
        make_profile(folder, draft.files())
        loaded = load_profile(
            folder, name="imported", catalog=CATALOG, environ={}, known_model=lambda provider, model: None
        )
        assert loaded.errors == ()
        assert loaded.profile is not None
        return loaded.profile

    return made


def facts(profile: Profile, given: dict[str, Any]) -> Any:
    def fail(path: object, message: str) -> None:
        raise AssertionError(f"{path}: {message}")

    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    return read_given(given, path=(), report=fail, phrases=profile.routes.phrases, now=now)


def goes_to(profile: Profile, **given: Any) -> str | None:
    """The first target of a described request; None where nothing takes it."""
    described = {name.replace("_", "-"): value for name, value in given.items()}
    try:
        return str(decide(profile.routes, facts(profile, described)).candidates[0])
    except NoRoute:
        return None


def run_tests(profile: Profile) -> None:
    """The ``[[test]]`` entries that came along hold."""
    assert profile.tests
    for test in profile.tests:
        decision = decide(profile.routes, facts(profile, dict(test.facts)))
        assert test.expect_rule in (None, decision.rule.name, decision.rule.label)
        assert test.expect_target in (None, str(decision.candidates[0]))


def why(draft: Draft, kind: str, what: str) -> str:
    """What the only note of this kind on a part of the source says."""
    (said,) = [note.why for note in draft.notes if (note.kind, note.what) == (kind, what)]
    return said
