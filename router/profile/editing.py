"""Changing a TOML file of the user's in place: every comment, the order and each byte that isn't concerned are kept.

All of it is text in, text out, but for ``change``, which does it to a file. What comes out is parsed and compared with
what it should say, so a file written in a way that isn't understood here is refused, never damaged.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import tomllib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

from router.errors import ConfigError, RouterError
from router.profile.blocks import Block, block_of, blocks, comments_above, is_blank
from router.profile.document import Document
from router.profile.files import Unreadable, decode, read_bytes
from router.profile.lines import Statement, layout
from router.profile.literals import key, literal
from router.profile.problems import KeyPath, Problem, key_text, shown, suggestion
from router.routing.labels import ARROW, header_form

_BOM = "\ufeff"
_BY_HAND = "can't be changed by a command as it is written here; edit the file by hand"

Values = dict[str, Any]


# --- rules ------------------------------------------------------------------------------------------------------------


def find_rule(text: str, which: str, labels: Mapping[int, str]) -> int:
    """The place (from 0) of the rule that is meant: by its name, its label (``→`` or ``->``), the part of the label
    before the arrow, or its place (``2``, ``rule[2]``). ``labels`` has those that are known, by place.

    Raises ConfigError if it is none or several.
    """
    rules = _rules(_Source(text).values)
    names = {number: str(rule["name"]) for number, rule in enumerate(rules) if "name" in rule}
    number = which.removeprefix("rule[").removesuffix("]")
    ways: tuple[Callable[[int], bool], ...] = (
        lambda rule: names.get(rule) == which,
        lambda rule: rule in labels and which in (labels[rule], header_form(labels[rule])),
        lambda rule: rule in labels and labels[rule].partition(f" {ARROW} ")[0] == which,
        lambda rule: str(rule) == number,
    )
    for is_meant in ways:
        found = [rule for rule in range(len(rules)) if is_meant(rule)]
        if len(found) == 1:
            return found[0]
        if found:
            listed = ", ".join(f"rule[{rule}] {labels.get(rule, names.get(rule, ''))}".rstrip() for rule in found)
            raise ConfigError(f"{shown(which)} can be any of {listed}; name one by its number")
    hint = suggestion(which, [*names.values(), *labels.values()])
    raise ConfigError(f"no rule {shown(which)}{hint or '; see `router route list`'}")


def add_rule(text: str, rule: Mapping[str, object]) -> str:
    """The rule behind the last one, or in front of the default. Raises ConfigError where that can't be done."""
    source = _Source(text)
    rules = _rules(source.values)
    lines = ["[[rule]]", *(f"{key(name)} = {literal(value)}" for name, value in rule.items())]
    last = block_of(source.plain, ("rule", len(rules) - 1))
    default = block_of(source.plain, ("default",))
    if last is not None:
        changed = source.insert_after(last.last, lines)
    elif rules:
        raise ConfigError(f"rule {_BY_HAND}")
    elif default is not None:
        changed = source.insert_before(default.first, lines)
    else:
        changed = source.append(lines)
    return _verified(changed, {**source.values, "rule": [*rules, dict(rule)]}, "rule")


def remove_rule(text: str, number: int) -> str:
    """Without the rule at a place, its comments included."""
    source = _Source(text)
    changed, _ = source.without(_block(source, "rule", number))
    left = [rule for place, rule in enumerate(_rules(source.values)) if place != number]
    return _verified(changed, _with(source.values, "rule", left), f"rule[{number}]")


def move(text: str, name: str, number: int, before: int) -> str:
    """One of several ``[[name]]`` tables (``rule``, ``helper``) in front of another, its comments with it."""
    source = _Source(text)
    block = _block(source, name, number)
    _block(source, name, before)
    if number == before:
        raise ConfigError(f"a {name} can't be moved before itself")
    changed, blank = source.without(block)
    tables = list(source.values[name])
    moved = tables.pop(number)
    target = before - (number < before)
    tables.insert(target, moved)
    rest = _Source(changed)
    lines = [*source.lines[block.first : block.last + 1], *[""] * blank]
    changed = rest.insert_lines(_block(rest, name, target).first, lines)
    return _verified(changed, {**source.values, name: tables}, f"{name}[{number}]")


def _rules(values: Values) -> list[Values]:
    rules = values.get("rule", [])
    return list(rules) if isinstance(rules, list) and all(isinstance(rule, dict) for rule in rules) else []


def _block(source: _Source, name: str, number: int) -> Block:
    block = block_of(source.plain, (name, number))
    if block is None:
        raise ConfigError(f"{name}[{number}] {_BY_HAND}")
    return block


# --- aliases ----------------------------------------------------------------------------------------------------------


def set_alias(text: str, name: str, target: str, *, pin: bool | None = None) -> str:
    """The alias with this target. One that is there keeps what else it says; ``pin`` None keeps that, too."""
    current = _Source(text).values.get("aliases", {}).get(name)
    path = ("aliases", name)
    if not isinstance(current, dict):
        return set_key(text, path, {"target": target, "pin": True} if pin else target)
    if path in layout(_Source(text).plain).values:  # an inline table, without room for comments
        rest = {each: value for each, value in current.items() if each not in _TARGET_KEYS}
        value = {"target": target, **rest, **({} if pin is None else {"pin": pin})}
        return set_key(text, path, value)
    for each in _TARGET_KEYS[1:]:
        if each in current:
            text = remove_key(text, (*path, each))
    text = set_key(text, (*path, "target"), target)
    return text if pin is None else set_key(text, (*path, "pin"), pin)


def remove_alias(text: str, name: str) -> str:
    """Without the alias; without their table, too, if it was the last one. Raises ConfigError if there is none of this
    name."""
    aliases = _Source(text).values.get("aliases", {})
    if name not in aliases:
        raise ConfigError(f"no alias {shown(name)}{suggestion(name, aliases) or '; see `router alias list`'}")
    text = remove_key(text, ("aliases", name))
    rest = _Source(text)
    block = block_of(rest.plain, ("aliases",))
    bare = block is not None and rest.lines[block.first : block.last + 1] == ["[aliases]"]
    return remove_key(text, ("aliases",)) if bare else text


_TARGET_KEYS = ("target", "to", "model", "targets")


# --- any key ----------------------------------------------------------------------------------------------------------


def set_key(text: str, path: KeyPath, value: object) -> str:
    """The key with this value, wherever it stands or belongs: ``("profile", "port")``, ``("helper", 0, "enabled")``.

    A new ``[profile]`` table goes to the top of the file, any other new table to its end.
    """
    source = _Source(text)
    statements, values = layout(source.plain)
    *tables, name = path
    if path in values:
        changed = source.replace(*values[path], literal(value))
    elif (inline := _inline_table(source, path, values)) is not None:
        changed = source.replace(
            *inline, _with_entry(source.plain[slice(*inline)], f"{key(str(name))} = {literal(value)}")
        )
    elif (place := _place_under(statements, path)) is not None:
        header, last = place
        line = f"{key(*map(str, path[len(header) :]))} = {literal(value)}"
        changed = source.insert_lines(source.line_of(last.end) + 1, [line])
    else:
        lines = [f"[{key(*map(str, tables))}]", f"{key(str(name))} = {literal(value)}"]
        first = next(iter(blocks(source.plain)), None) if tables == ["profile"] else None
        changed = source.append(lines) if first is None else source.insert_before(first.first, lines)
    return _verified(changed, _set(source.values, path, value), key_text(path))


def remove_key(text: str, path: KeyPath) -> str:
    """Without a key, or a whole table; the comment lines directly above go with it."""
    source = _Source(text)
    block = block_of(source.plain, path)
    if block is not None:
        changed, _ = source.without(block)
    else:
        changed = text
        statements = [each for each in layout(source.plain).statements if each.path[: len(path)] == path]
        for statement in reversed(statements):
            now = _Source(changed)
            first = comments_above(now.lines, now.line_of(statement.start))
            changed = now.remove_lines(first, now.line_of(statement.end))
    expected = deepcopy(source.values)
    holder: Any = expected
    for part in path[:-1]:
        holder = holder[part]
    del holder[path[-1]]
    return _verified(changed, expected, key_text(path))


def _inline_table(source: _Source, path: KeyPath, values: Mapping[KeyPath, tuple[int, int]]) -> tuple[int, int] | None:
    """Where the inline table stands that holds a key's siblings."""
    place = values.get(path[:-1])
    return place if place is not None and source.plain.startswith("{", place[0]) else None


def _with_entry(table: str, entry: str) -> str:
    """An inline table with one entry more at its end."""
    inner = table[1:-1].rstrip()
    return f"{{{inner}, {entry} }}" if inner else f"{{ {entry} }}"


def _place_under(statements: Sequence[Statement], path: KeyPath) -> tuple[KeyPath, Statement] | None:
    """Where a new key goes among its siblings: the header above them, and the statement behind which it goes."""
    found: tuple[KeyPath, Statement] | None = None
    header: KeyPath = ()
    for statement in statements:
        if statement.is_header:
            header = statement.path
        if statement.path[: len(path) - 1] == path[:-1] and len(header) < len(path) and path[: len(header)] == header:
            found = header, statement
    return found


def _set(values: Values, path: KeyPath, value: object) -> Values:
    changed = deepcopy(values)
    holder: Any = changed
    for part in path[:-1]:
        holder = holder[part] if isinstance(part, int) else holder.setdefault(part, {})
    holder[path[-1]] = value
    return changed


def _with(values: Values, name: str, value: list[Values]) -> Values:
    """The values with another list of tables; no list where it is empty."""
    rest = {each: kept for each, kept in values.items() if each != name}
    return {**rest, name: value} if value else rest


# --- text -------------------------------------------------------------------------------------------------------------


class _Source:
    """A file's text, and the ways to change it. ``plain`` is it without byte order mark and carriage returns, which
    places refer to; what isn't changed keeps them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.plain = text.removeprefix(_BOM).replace("\r\n", "\n")
        self.lines = self.plain.split("\n")
        self.values: Values = tomllib.loads(self.plain, parse_float=Decimal)
        self._newline = "\r\n" if text.partition("\n")[0].endswith("\r") else "\n"
        bare = text.removeprefix(_BOM)
        self._mark = len(text) - len(bare)
        self._returns = [found.start() - before for before, found in enumerate(re.finditer("\r\n", bare))]

    def replace(self, start: int, end: int, new: str) -> str:
        """The text with another part, given by its places in ``plain``."""
        start, end = self._original(start), self._original(end)
        return self.text[:start] + new.replace("\n", self._newline) + self.text[end:]

    def line_of(self, place: int) -> int:
        """The line (from 0) of a place."""
        return self.plain.count("\n", 0, place)

    def insert_lines(self, at: int, lines: Sequence[str]) -> str:
        """With these lines in front of a line; behind the last one where there is none of this number."""
        if at < len(self.lines):
            start = self._start(at)
            return self.replace(start, start, "".join(f"{line}\n" for line in lines))
        return self.replace(len(self.plain), len(self.plain), "".join(f"\n{line}" for line in lines))

    def remove_lines(self, first: int, last: int) -> str:
        """Without these lines, both included."""
        end = self._start(last) + len(self.lines[last])
        if first == 0:
            return self.replace(0, min(end + 1, len(self.plain)), "")
        return self.replace(self._start(first) - 1, end, "")

    def insert_after(self, line: int, lines: Sequence[str]) -> str:
        """A block behind a line, set off by a blank line as its neighbours are."""
        close = line + 1 < len(self.lines) and not is_blank(self.lines[line + 1])
        return self.insert_lines(line + 1, lines if close else ["", *lines])

    def insert_before(self, line: int, lines: Sequence[str]) -> str:
        """A block in front of a line, likewise."""
        close = line > 0 and not is_blank(self.lines[line - 1])
        return self.insert_lines(line, lines if close else [*lines, ""])

    def append(self, lines: Sequence[str]) -> str:
        """A block at the end."""
        last = len(self.lines) - 1
        while last >= 0 and is_blank(self.lines[last]):
            last -= 1
        return self.insert_lines(0, lines) if last < 0 else self.insert_lines(last + 1, ["", *lines])

    def without(self, block: Block) -> tuple[str, int]:
        """Without a block and one of the gaps around it, the smaller one; and how many blank lines that was."""
        above, below = 0, 0
        while block.first - above > 0 and is_blank(self.lines[block.first - above - 1]):
            above += 1
        while block.last + below + 1 < len(self.lines) and is_blank(self.lines[block.last + below + 1]):
            below += 1
        at_top, at_end = block.first == above, block.last + below + 1 == len(self.lines)
        if at_end or (above <= below and not at_top):
            return self.remove_lines(block.first - above, block.last), above
        return self.remove_lines(block.first, block.last + below), below

    def _start(self, line: int) -> int:
        return sum(len(each) + 1 for each in self.lines[:line])

    def _original(self, place: int) -> int:
        return self._mark + place + bisect_left(self._returns, place)


def _verified(text: str, expected: Values, what: str) -> str:
    """The text, if it says what it should. Raises ConfigError otherwise."""
    try:
        if _Source(text).values == expected:
            return text
    except tomllib.TOMLDecodeError:
        pass
    raise ConfigError(f"{what} {_BY_HAND}")


# --- files ------------------------------------------------------------------------------------------------------------


def change(
    path: Path, edit: Callable[[str], str], *, check: Callable[[str], Sequence[Problem]], label: str
) -> tuple[Problem, ...]:
    """Change a file whole or not at all; the warnings that ``check`` has about the new text.

    ``label`` is what the file is called in messages. One command at a time changes the files of a folder. A symbolic
    link stays one, and the mode is kept. A file that isn't there counts as an empty one.

    Raises ConfigError with every error that ``check`` finds, RouterError if the file changes meanwhile: in both cases
    nothing is written.
    """
    path = Path(os.path.realpath(path))
    with _locked(path.parent):
        before = _content(path, label)
        text = _text(before, label)
        changed = edit(text)
        problems = tuple(check(changed))
        errors = [str(problem) for problem in problems if problem.severity == "error"]
        if errors:
            raise ConfigError("\n".join([*errors, f"{label} was not changed"]))
        if changed != text:
            _write(path, changed.encode(), before, label)
    return problems


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _content(path: Path, label: str) -> bytes | None:
    if not os.path.lexists(path):
        return None
    try:
        return read_bytes(path)
    except Unreadable as problem:
        raise ConfigError(f"{label}: {problem}") from None


def _text(content: bytes | None, label: str) -> str:
    """The text with all its bytes, if it can be parsed. Raises ConfigError."""
    if content is None:
        return ""
    try:
        document = Document(label, decode(content))
    except Unreadable as problem:
        raise ConfigError(f"{label}: {problem}") from None
    if document.failed:
        raise ConfigError("\n".join([*map(str, document.problems), f"{label} was not changed"]))
    return content.decode()


def _write(path: Path, content: bytes, before: bytes | None, label: str) -> None:
    """The new content in the place of the old one, on the disk before the name points to it."""
    made = path.with_name(f".{path.name}.new")  # nobody else writes it: the folder is locked
    made.unlink(missing_ok=True)
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            if before is not None:
                status = path.stat()
                os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
                if os.geteuid() == 0:  # sudo: the file stays readable to the server's user
                    os.fchown(descriptor, status.st_uid, status.st_gid)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        if _content(path, label) != before:
            raise RouterError(f"{label} was changed by somebody else meanwhile; nothing was written: try again")
        os.rename(made, path)
    except BaseException:
        made.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
