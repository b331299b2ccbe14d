"""Keys that are read and checked but do nothing yet. Whoever makes one work deletes its row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from router.profile.document import Document
from router.profile.problems import KeyPath

MESSAGE: Final = "isn't active yet"


def _never(_: object) -> bool:
    return False


def _among(*words: object) -> Callable[[object], bool]:
    return lambda value: value in words


@dataclass(frozen=True, slots=True)
class Inactive:
    """``key`` is a path: ``*`` is any name, ``[]`` any element of a list. ``fine``: values that ask for nothing."""

    key: tuple[str, ...]
    fine: Callable[[object], bool] = _never
    instead: str = ""

    @property
    def message(self) -> str:
        return f"{MESSAGE}: {self.instead}" if self.instead else MESSAGE


INACTIVE: Final[tuple[Inactive, ...]] = (
    Inactive(("routing", "on-disconnect"), _among("cancel")),
    Inactive(("limits",), instead="nothing is limited"),
    Inactive(("log", "bodies"), _among("off")),
    Inactive(("log", "keep")),
)


def inactive_keys(document: Document) -> None:
    """A warning for each key of a file that is valid but does nothing yet."""
    for row in INACTIVE:
        for path, value in _found(document.values, row.key, ()):
            if not row.fine(value):
                document.warn(path, row.message)


def _found(value: object, key: tuple[str, ...], path: KeyPath) -> Iterator[tuple[KeyPath, object]]:
    if not key:
        yield path, value
        return
    step, *rest = key
    if step == "[]" and isinstance(value, list):
        for index, element in enumerate(value):
            yield from _found(element, tuple(rest), (*path, index))
    elif step == "*" and isinstance(value, dict):
        for name, inner in value.items():
            yield from _found(inner, tuple(rest), (*path, name))
    elif isinstance(value, dict) and step in value:
        yield from _found(value[step], tuple(rest), (*path, step))
