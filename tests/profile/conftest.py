from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from router.profile.load import Loaded, load_profile
from router.profile.profile import Profile
from router.providers.catalog import load_catalog

KEYS = dict.fromkeys(
    ("ANTHROPIC_API_KEY", "GROQ_API_KEY", "OPENAI_API_KEY", "MINIMAX_API_KEY", "OPENROUTER_API_KEY"), "set"
)

Load = Callable[..., Loaded]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """``load(text, {"concepts/x.md": …})``: the profile ``work`` of these files, loaded."""
    directory = tmp_path / "profiles" / "work"

    def load(
        text: str | bytes,
        files: Mapping[str, str] | None = None,
        *,
        environ: Mapping[str, str] = KEYS,
        known_model: Callable[[str, str], bool | None] = lambda provider, model: None,
    ) -> Loaded:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "routing.toml").write_bytes(text.encode() if isinstance(text, str) else text)
        for name, content in (files or {}).items():
            path = directory / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
            path.chmod(0o600)
        return load_profile(directory, name="work", catalog=load_catalog(), environ=environ, known_model=known_model)

    return load


@pytest.fixture
def good(load: Load) -> Callable[..., Profile]:
    """The same where the files are right: gives the profile."""

    def good(text: str, files: Mapping[str, str] | None = None) -> Profile:
        loaded = load(text, files)
        assert loaded.errors == ()
        assert loaded.profile is not None
        return loaded.profile

    return good
