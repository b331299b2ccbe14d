"""What `router setup` changed in agents' settings, and how it is taken back.

``agents/setup.json`` in the home has, for each agent and file: whether there was one, where its bytes are kept, what it
looked like afterwards, and each key's value before and after. It is written before a file is changed, so that nothing
is ever changed that nobody knows of.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from router.agents.form_error import FormError
from router.agents.pointing import FORMS, Change, FormName
from router.cli.pointing import write_private
from router.errors import ConfigError, RouterError


@dataclass(slots=True)
class Key:
    """A value that was set. ``there`` tells whether there was one before; ``made`` is how many steps of ``path`` were
    there already."""

    path: list[str]
    there: bool
    before: Any
    after: Any
    made: int


@dataclass(slots=True)
class File:
    """A settings file that was changed. ``backup`` is the copy as it was before the first setup; ``None``: there was no
    file. ``sha`` is of what we last wrote. Files that an agent's own command writes have no keys."""

    path: str
    form: str
    backup: str | None
    sha: str
    keys: list[Key] = field(default_factory=list)


@dataclass(slots=True)
class Setup:
    """An agent's settings as they were set, through which profile."""

    profile: str
    files: list[File] = field(default_factory=list)
    undo: list[list[str]] = field(default_factory=list)


class SetupRecord:
    """The record of one home. ``folder`` is its ``agents``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "setup.json"
        self.setups: dict[str, Setup] = {}
        try:
            kept = json.loads(self._path.read_text("utf-8"))
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            raise RouterError(f"{self._path} can't be read: {error}") from error
        for agent, setup in kept.items():
            files = [File(**{**file, "keys": [Key(**key) for key in file["keys"]]}) for file in setup["files"]]
            self.setups[agent] = Setup(setup["profile"], files, setup["undo"])

    def save(self) -> None:
        """Write it down."""
        kept = {agent: asdict(setup) for agent, setup in self.setups.items()}
        write_private(self._path, json.dumps(kept, indent=2) + "\n")

    def change(self, agent: str, profile: str, changes: Mapping[Path, Change]) -> list[Path]:
        """Set the values, all files or none, and return those that are different now. Raises ConfigError with what is
        wrong in a file."""
        before = self.setups.get(agent)
        known = {file.path: deepcopy(file) for file in before.files} if before is not None else {}
        setup = Setup(profile, undo=before.undo if before is not None else [])
        texts: dict[Path, tuple[str, str | None]] = {}
        for path, change in changes.items():
            old = read(path)
            new, keys = _changed(path, change, old or "")
            file = known.pop(str(path), None)
            if file is None:
                file = File(str(path), change.file.form, self._back_up(agent, path), "")
            file.keys = _joined(file.keys, keys)
            file.sha = _sha(new)
            setup.files.append(file)
            texts[path] = (new, old)
        setup.files += known.values()  # of a version of the agent that kept its settings elsewhere
        self.setups[agent] = setup
        self.save()
        changed: list[Path] = []
        for path, (new, old) in texts.items():
            if new == old:
                continue
            try:
                replace(path, new)
            except OSError as error:
                for done in changed:
                    _put_back(done, texts[done][1])
                self._keep(agent, before)
                reason = (error.strerror or str(error)).lower()
                raise RouterError(f"{path} can't be written: {reason}; nothing was changed") from error
            changed.append(path)
        return changed

    def _keep(self, agent: str, setup: Setup | None) -> None:
        if setup is None:
            self.setups.pop(agent)
        else:
            self.setups[agent] = setup
        self.save()

    def begin(self, agent: str, profile: str, paths: list[Path], undo: list[list[str]]) -> None:
        """Keep files that the agent's own command is about to change."""
        before = self.setups.get(agent)
        files = before.files if before is not None else []
        known = {file.path for file in files}
        files += [File(str(path), "", self._back_up(agent, path), "") for path in paths if str(path) not in known]
        self.setups[agent] = Setup(profile, files, undo)
        self.save()

    def done(self, agent: str) -> None:
        """The agent's command has changed its files."""
        for file in self.setups[agent].files:
            file.sha = _sha(read(Path(file.path)) or "")
        self.save()

    def undo(self, agent: str, say: Callable[[str], object]) -> list[list[str]]:
        """Take it back. ``say`` is told of each file; the commands are those that the person has to run, since a file
        that only the agent writes has been changed since. Raises ConfigError."""
        setup = self.setups.get(agent)
        if setup is None:
            raise ConfigError(f"no settings of {agent} were set from this home, so there is nothing to undo")
        left: list[list[str]] = []
        for file in setup.files:
            path = Path(file.path)
            text = read(path)
            if text is None and file.backup is not None:
                say(f"{path} isn't there any more; as it was, it is in {file.backup}")
            elif text is None:
                say(f"{path} isn't there any more, as before")
            elif _sha(text) == file.sha:
                _restore(path, file.backup)
                say(f"{path} is as it was before" if file.backup else f"{path} is gone again: there was none before")
            elif file.form:
                _take_back(path, file, text, say)
            else:
                left = setup.undo
                say(f"{path} has been changed since, and only {agent} itself should write it")
        self._keep(agent, None)
        return left

    def _back_up(self, agent: str, path: Path) -> str | None:
        if not path.exists():
            return None
        stamp = time.strftime("%Y%m%d-%H%M%S")
        folder = self._folder / "backups"
        kept = folder / f"{agent}-{stamp}{path.suffix or path.name}"
        for number in range(2, 1000):
            if not kept.exists():
                break
            kept = folder / f"{agent}-{stamp}-{number}{path.suffix or path.name}"
        write_private(kept, read(path) or "")
        return str(kept)


def read(path: Path) -> str | None:
    """A settings file's text with its line ends as they are; ``None`` if there is none. Raises ConfigError."""
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: isn't UTF-8 text") from error
    except OSError as error:
        raise ConfigError(f"{path}: {(error.strerror or str(error)).lower()}") from error


def replace(path: Path, text: str) -> None:
    """Write a file whole or not at all, with the mode it has; where it is a link, the file that it leads to."""
    target = Path(os.path.realpath(path))
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    mode = target.stat().st_mode & 0o7777 if target.exists() else 0o600
    descriptor, made = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with open(descriptor, "wb") as out:
            out.write(text.encode())
            out.flush()
            os.fsync(out.fileno())
        os.chmod(made, mode)
        os.replace(made, target)
    except BaseException:
        os.unlink(made)
        raise


def _changed(path: Path, change: Change, text: str) -> tuple[str, list[Key]]:
    form = FORMS[change.file.form]
    keys = []
    try:
        for steps, value in change.values.items():
            there, before, made = _look(form.parse(text), steps)
            keys.append(Key(list(steps), there, before, value, made))
            text = form.set_value(text, steps, value)
    except FormError as error:
        raise ConfigError(f"{path}:{error.line}: {error.message}; nothing was changed") from error
    return text, keys


def _joined(old: list[Key], new: list[Key]) -> list[Key]:
    """A later setup's keys, with what the first one found before it."""
    first = {tuple(key.path): key for key in old}
    for key in new:
        if (known := first.pop(tuple(key.path), None)) is not None:
            key.there, key.before, key.made = known.there, known.before, known.made
    return [*new, *first.values()]


def _look(values: Mapping[str, Any], path: tuple[str, ...]) -> tuple[bool, Any, int]:
    """Whether something is there, what, and how many steps lead to what is there."""
    place: Any = values
    for number, step in enumerate(path):
        if not isinstance(place, Mapping) or step not in place:
            return False, None, number
        place = place[step]
    return True, place, len(path)


def _take_back(path: Path, file: File, text: str, say: Callable[[str], object]) -> None:
    """Only our values, in a file that somebody else has changed too."""
    form = FORMS[_form(file.form)]
    kept: list[str] = []
    try:
        for key in file.keys:
            there, value, _ = _look(form.parse(text), tuple(key.path))
            if not there or value != key.after:
                kept.append(".".join(key.path))
            elif key.there:
                text = form.set_value(text, key.path, key.before)
            else:
                text = form.remove(text, key.path)
        for key in file.keys:
            for steps in range(len(key.path) - 1, key.made, -1):  # objects that were made on the way, if they are empty
                there, value, _ = _look(form.parse(text), tuple(key.path[:steps]))
                if there and value == {}:
                    text = form.remove(text, key.path[:steps])
    except FormError as error:
        raise ConfigError(f"{path}:{error.line}: {error.message}; nothing of it was changed") from error
    if text != read(path):
        replace(path, text)
    say(f"{path} has been changed since: our values are taken out of it, the rest stays")
    if kept:
        say(f"  left as they are, since they aren't ours any more: {', '.join(kept)}")


def _form(name: str) -> FormName:
    return next(form for form in FORMS if form == name)


def _restore(path: Path, backup: str | None) -> None:
    text = None if backup is None else read(Path(backup))
    if backup is not None and text is None:
        raise RouterError(f"{backup} is missing; {path} was not changed")
    _put_back(path, text)


def _put_back(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink()
    else:
        replace(path, text)


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
