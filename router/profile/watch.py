"""Whether a profile's files have changed. Pure polling: the server asks now and then and compares."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from router.profile.files import Unreadable, read_bytes

MAIN = "routing.toml"
DOTENV = ".env"
CONCEPTS = "concepts"
MOST_CONCEPTS = 1000


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The state of a folder's files by relative name: size, times and inode, and a hash of the content.

    Two are equal if the content is: a file that was merely touched, or written again as it was, hasn't changed.
    """

    contents: Mapping[str, str]
    stamps: Mapping[str, tuple[int, ...]]

    def __eq__(self, other: object) -> bool:
        return self.contents == other.contents if isinstance(other, Fingerprint) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self.contents.items()))


def fingerprint(directory: Path, before: Fingerprint | None = None) -> Fingerprint:
    """The folder as it is now. With ``before``, files whose stamps are the same aren't read again."""
    contents: dict[str, str] = {}
    stamps: dict[str, tuple[int, ...]] = {}
    for path in profile_files(directory):
        name = path.relative_to(directory).as_posix()
        stamps[name] = _stamp(path)
        if before is not None and before.stamps.get(name) == stamps[name] and name in before.contents:
            contents[name] = before.contents[name]
        else:
            contents[name] = _content(path, stamps[name])
    return Fingerprint(contents, stamps)


def changed(old: Fingerprint, new: Fingerprint) -> tuple[str, ...]:
    """The relative names of files that were added, removed or written."""
    names = sorted({*old.contents, *new.contents})
    return tuple(name for name in names if old.contents.get(name) != new.contents.get(name))


def profile_files(directory: Path) -> Iterator[Path]:
    """Every file of a profile that may be there, sorted by kind and name: the rules, ``.env``, scripts, concepts."""
    yield directory / MAIN
    yield directory / DOTENV
    yield from _listed(directory, ".py")
    yield from concept_files(directory)


def concept_files(directory: Path) -> Iterator[Path]:
    """``concepts/*.md`` by name."""
    yield from _listed(directory / CONCEPTS, ".md")


def _listed(folder: Path, ending: str) -> list[Path]:
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(ending) and not name.startswith("."))
    except OSError:  # no such folder: no such files; the main file's own problem is reported where it is read
        return []
    return [folder / name for name in names[:MOST_CONCEPTS]]


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        status = os.stat(path)
    except OSError as error:
        return (error.errno or 0,)
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_mode, status.st_uid


def _content(path: Path, stamp: tuple[int, ...]) -> str:
    try:
        content = hashlib.sha256(read_bytes(path)).hexdigest()
    except Unreadable as problem:
        return str(problem)
    return f"{content} {stamp[4]:o} {stamp[5]}" if len(stamp) > 1 else content  # owner and mode decide on trust
