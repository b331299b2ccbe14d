"""The project's own files: every dependency explained and locked, no word about anything but the project."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = (ROOT / "pyproject.toml").read_text("utf-8")
SETTINGS = tomllib.loads(PYPROJECT)
LOCKS = ["requirements.txt", "requirements-dev.txt"]

# Recorded traffic and other people's tables are kept as they came.
KEPT_AS_RECORDED = ("tests/data/", "router/data/")
# Written with brackets so that this file doesn't hold what it forbids.
FORBIDDEN = [
    r"pypi[.]org",
    r"python[h]osted[.]org",
    r"registry[.]npm[j]s",
    r"crates[.]i[o]\b",
    r"/work/(?:[s]hared|[m]ain)\b",
    r"/tmp/p[l]an\b",
    r"\b(?:ROUTING|SURFACE|CONTRACT|DESIGN|RELIABILITY|PERFORMANCE|CLIENTS)(?:[.]md| section\b)",
    r"\b(?:ROUTING|SURFACE|CONTRACT|DESIGN): [`a-z]",
]


def tracked_files() -> list[str]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def text_of(name: str) -> str:
    try:
        return (ROOT / name).read_text("utf-8")
    except UnicodeDecodeError:
        return ""  # a binary file


def pinned(lock: str) -> dict[str, str]:
    return {
        canonicalize_name(name): version
        for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", text_of(lock), re.MULTILINE)
    }


def dependencies(kind: str) -> list[Requirement]:
    project = SETTINGS["project"]
    runtime = project["dependencies"]
    extras = [item for extra in project["optional-dependencies"].values() for item in extra]
    groups = [item for group in SETTINGS["dependency-groups"].values() for item in group]
    return [Requirement(text) for text in (runtime if kind == "requirements.txt" else [*runtime, *extras, *groups])]


def test_no_file_speaks_of_anything_but_the_project() -> None:
    pattern = re.compile("|".join(FORBIDDEN))
    found = [
        f"{name}:{number}: {match.group()}"
        for name in tracked_files()
        if not name.startswith(KEPT_AS_RECORDED)
        for number, line in enumerate(text_of(name).splitlines(), 1)
        for match in pattern.finditer(line)
    ]
    assert found == []


def test_no_tracked_file_changes_the_interpreter_or_holds_a_secret() -> None:
    unwanted = [
        name
        for name in tracked_files()
        if (name.endswith((".pth", ".pyc", ".db", ".pem")) and not name.startswith("tests/data/tls/"))
        or Path(name).name in {"sitecustomize.py", ".env", ".netrc"}
    ]
    assert unwanted == []


def test_every_dependency_has_its_reason_beside_it() -> None:
    without = [
        line.strip()
        for line in PYPROJECT.splitlines()
        if re.match(r'^  "[A-Za-z0-9._-]+(?:\[.*\])?[<>=~!]', line) and not re.search(r'",?\s+# \S.{9,}', line)
    ]
    assert without == []


def test_the_reasons_test_reads_every_dependency() -> None:
    lines = re.findall(r'^  "([A-Za-z0-9._-]+)[<>=~!]', PYPROJECT, re.MULTILINE)
    assert sorted(map(canonicalize_name, lines)) == sorted(
        canonicalize_name(requirement.name) for requirement in dependencies("requirements-dev.txt")
    )


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_hashes(lock: str) -> None:
    blocks = re.split(r"^(?=[A-Za-z0-9])", text_of(lock), flags=re.MULTILINE)[1:]
    assert blocks
    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_place_to_download_from(lock: str) -> None:
    assert re.findall(r".*(?:://|--(?:extra-)?index-url|--find-links|--trusted-host).*", text_of(lock)) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_satisfies_every_dependency(lock: str) -> None:
    versions = pinned(lock)
    unmet = [
        str(requirement)
        for requirement in dependencies(lock)
        if versions.get(canonicalize_name(requirement.name), "") not in requirement.specifier
    ]
    assert unmet == []


def test_both_locks_agree() -> None:
    runtime, development = (pinned(lock) for lock in LOCKS)
    assert {name: development.get(name) for name in runtime} == runtime


def test_ci_runs_the_makefile() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111, "not executable"
    assert "make all" in script.read_text("utf-8")
