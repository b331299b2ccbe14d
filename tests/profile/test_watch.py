from __future__ import annotations

import os
from pathlib import Path

import pytest

from router.profile.watch import changed, fingerprint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "routing.toml").write_text("version = 1\n")
    (tmp_path / "concepts").mkdir()
    (tmp_path / "concepts" / "a.md").write_text("# A\n")
    (tmp_path / "notes.txt").write_text("x")
    return tmp_path


def test_an_untouched_folder_is_the_same(folder: Path) -> None:
    before = fingerprint(folder)
    assert fingerprint(folder) == before
    assert fingerprint(folder, before) == before
    assert changed(before, fingerprint(folder)) == ()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("routing.toml", "version = 1 \n", id="the rules"),
        pytest.param(".env", "A=1", id="a new .env"),
        pytest.param("route.py", "", id="a new script"),
        pytest.param("concepts/a.md", "# B\n", id="a concept, same length"),
        pytest.param("concepts/b.md", "# B\n", id="a new concept"),
    ],
)
def test_a_written_file_is_a_change(name: str, content: str, folder: Path) -> None:
    before = fingerprint(folder)
    (folder / name).write_text(content)
    assert changed(before, fingerprint(folder)) == (name,)
    assert fingerprint(folder) != before


def test_a_file_written_again_as_it_was_is_none(folder: Path) -> None:
    before = fingerprint(folder)
    os.utime(folder / "routing.toml", (1, 1))
    (folder / "notes.txt").write_text("other")
    assert fingerprint(folder, before) == before


def test_a_file_with_the_same_stamps_is_not_read_again(folder: Path) -> None:
    before = fingerprint(folder)
    before.contents["routing.toml"] = "known already"  # type: ignore[index]
    assert fingerprint(folder, before).contents["routing.toml"] == "known already"


def test_a_file_that_goes_or_comes_back_is_a_change(folder: Path) -> None:
    before = fingerprint(folder)
    (folder / "routing.toml").unlink()
    gone = fingerprint(folder, before)
    assert changed(before, gone) == ("routing.toml",)
    (folder / "routing.toml").write_text("version = 1\n")
    assert fingerprint(folder, gone) == before


def test_a_mode_that_decides_on_trust_is_a_change(folder: Path) -> None:
    (folder / "route.py").write_text("")
    (folder / "route.py").chmod(0o666)
    before = fingerprint(folder)
    (folder / "route.py").chmod(0o600)
    assert changed(before, fingerprint(folder, before)) == ("route.py",)


@pytest.mark.timeout(20)
def test_pipes_loops_and_missing_folders_are_only_states(folder: Path) -> None:
    os.mkfifo(folder / "concepts" / "p.md")
    (folder / ".env").symlink_to(".env")
    assert fingerprint(folder) == fingerprint(folder)
    assert fingerprint(folder / "gone") == fingerprint(folder / "gone")
