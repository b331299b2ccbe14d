"""A profile's folder becomes a ``Profile``, or a list of what is wrong with it. Nothing here raises for what it finds.

The server keeps the last good version while the newest has errors; ``watch.py`` tells when to look again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from router.profile.document import Document
from router.profile.dotenv import parse_dotenv
from router.profile.files import Unreadable, decode, label_of, private_problem, read_by_others, read_bytes, read_text
from router.profile.inactive import inactive_keys
from router.profile.names import name_problem
from router.profile.problems import Problem, Severity, shown, suggestion
from router.profile.profile import Profile
from router.profile.review import KnownModel, review, usability
from router.profile.schema import read_document
from router.profile.watch import CONCEPTS, DOTENV, MAIN, MOST_CONCEPTS, concept_files
from router.providers.provider import Provider
from router.routing.concepts import Concept, parse_concept
from router.routing.rules import RouteTable


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of a folder: a profile, unless there are errors among the problems. Sorted by file and line."""

    profile: Profile | None
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity == "warning")


def find_profiles(folder: Path) -> dict[str, Path]:
    """The profiles of a folder by name: every sub-folder that can be one, and every other that holds a ``routing.toml``
    (its name is then a problem of its own). Hidden ones and those beginning with ``_`` are left out.

    No folder, no profiles. Raises ``OSError`` where it can't be read.
    """
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return {}
    found = {name: folder / name for name in names if not name.startswith((".", "_"))}
    return {
        name: path
        for name, path in found.items()
        if path.is_dir() and (name_problem(name) is None or os.path.lexists(path / MAIN))
    }


def load_profile(
    directory: Path,
    *,
    name: str,
    catalog: Mapping[str, Provider],
    environ: Mapping[str, str],
    known_model: KnownModel,
    text: str | None = None,
) -> Loaded:
    """Read ``routing.toml``, ``concepts/*.md``, ``.env`` and the script of a profile's folder.

    ``catalog`` are the providers known without the profile's own; ``known_model(provider, model)`` is None where
    nothing is known about that provider's models. ``text`` is what ``routing.toml`` might say instead.
    """
    folder = _Folder(directory)
    wrong_name = name_problem(name)
    if wrong_name is not None:
        folder.add(MAIN, None, wrong_name)
    main = folder.read(MAIN) if text is None else text
    if main is None:
        return folder.without_profile()
    if not main.strip():
        folder.add(MAIN, None, "is empty")  # as it is for a moment while an editor writes it
        return folder.without_profile()
    dotenv = folder.dotenv()
    concepts = folder.concepts()
    document = Document(folder.label(MAIN), main)
    folder.problems.extend(document.problems)
    if document.failed:
        return folder.without_profile()
    draft = Profile(name, directory, file_hash="", routes=RouteTable(), providers=catalog, dotenv=dotenv)
    profile, used = read_document(document, draft, concepts)
    folder.check_routes(concepts, profile.providers)
    if profile.script is not None:
        folder.check_script(document, profile.script)
    if not document.failed:
        review(document, profile, used, environ=environ, known_model=known_model)
        told = {reference.target.provider for reference in used if reference.target is not None}
        folder.review_routes(concepts, profile, told, environ)
    inactive_keys(document)
    folder.problems.extend(document.problems)
    return folder.with_profile(profile)


class _Folder:
    """One folder while it is read: collects problems, and the bytes the file hash is made of."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.problems: list[Problem] = []
        self._hash = hashlib.sha256()

    def label(self, name: str) -> str:
        """A file as messages call it."""
        return label_of(self.directory, name)

    def add(self, name: str, line: int | None, message: str, severity: Severity = "error") -> None:
        self.problems.append(Problem(self.label(name), line, "", message, severity))

    def read(self, name: str) -> str | None:
        """A file's text; None after a problem. Its bytes count for the hash."""
        try:
            content = read_bytes(self.directory / name)
            text = decode(content)
        except Unreadable as problem:
            self.add(name, problem.line, str(problem))
            return None
        self._hash.update(f"{name} {len(content)}\n".encode("utf-8", "surrogateescape"))
        self._hash.update(content)
        return text

    def dotenv(self) -> Mapping[str, str]:
        """``.env``. It holds keys, so it counts for no hash: a hash is shown and kept."""
        path = self.directory / DOTENV
        if not os.path.lexists(path):
            return {}
        mode = read_by_others(path)
        if mode is not None:
            self.add(DOTENV, None, f"can be read by other users (mode {mode:04o}): run chmod 600 .env", "warning")
        try:
            return parse_dotenv(read_text(path), lambda line, message: self.add(DOTENV, line, message, "warning"))
        except Unreadable as problem:
            self.add(DOTENV, problem.line, str(problem))
            return {}

    def concepts(self) -> tuple[Concept, ...]:
        found = []
        folder = self.directory / CONCEPTS
        if os.path.lexists(folder) and not os.access(folder, os.R_OK | os.X_OK):
            self.add(CONCEPTS, None, "can't be read")
        for path in concept_files(self.directory):
            if not path.name.isprintable():  # it becomes a label in logs and reports
                self.add(CONCEPTS, None, f"a file's name isn't ordinary text: {path.name!a}")
                continue
            name = f"concepts/{path.name}"
            text = self.read(name)
            if text is not None:
                found.append(parse_concept(path.stem, text, partial(self.add, name)))
        if len(found) == MOST_CONCEPTS:
            self.add(CONCEPTS, None, f"only the first {MOST_CONCEPTS} concepts are read", "warning")
        return tuple(found)

    def check_routes(self, concepts: tuple[Concept, ...], providers: Mapping[str, Provider]) -> None:
        for concept in concepts:
            for target, line in zip(concept.routes, concept.route_lines, strict=True):
                if target.provider not in providers:
                    hint = suggestion(target.provider, providers)
                    message = f"route:: unknown provider {shown(target.provider)}{hint}"
                    self.add(f"concepts/{concept.name}.md", line, message)

    def review_routes(
        self, concepts: tuple[Concept, ...], profile: Profile, told: set[str], environ: Mapping[str, str]
    ) -> None:
        """Providers that only concepts name and that can't be called as things are."""
        for concept in concepts:
            for target, line in zip(concept.routes, concept.route_lines, strict=True):
                if target.provider not in told:
                    for message in usability(profile, target.provider, environ):
                        self.add(f"concepts/{concept.name}.md", line, f"route:: {message}", "warning")
                told.add(target.provider)

    def check_script(self, document: Document, script: Path) -> None:
        problem = private_problem(script)
        if problem is not None:
            document.error(("routing", "script"), f"{script.name} {problem}")
            return
        self.read(script.relative_to(self.directory).as_posix())

    def without_profile(self) -> Loaded:
        return Loaded(None, self._sorted())

    def with_profile(self, profile: Profile) -> Loaded:
        problems = self._sorted()
        if any(problem.severity == "error" for problem in problems):
            return Loaded(None, problems)
        return Loaded(replace(profile, file_hash=self._hash.hexdigest()[:12], warnings=problems), problems)

    def _sorted(self) -> tuple[Problem, ...]:
        return tuple(sorted(dict.fromkeys(self.problems), key=lambda problem: (problem.file, problem.line or 0)))
