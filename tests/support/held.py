"""What this process still holds: long texts, looked for in everything that the garbage collector knows of."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from typing import TypeVar

import msgspec

T = TypeVar("T")

LONG = 8192
"""Characters or bytes; shorter texts aren't looked at."""


def texts_with(*words: str) -> list[str]:
    """Who holds long texts with one of ``words`` in them: the types of the holders. What only waits to be collected
    counts."""
    found: list[str] = []
    known: set[int] = set()
    waiting = _objects()
    while waiting:
        holder = waiting.pop()
        for one in gc.get_referents(holder):
            if isinstance(one, (str, bytes, bytearray, memoryview, msgspec.Raw)):
                if _has(one, words):
                    found.append(type(holder).__qualname__)
            elif not gc.is_tracked(one) and id(one) not in known:  # a tuple of texts, for one
                known.add(id(one))
                waiting.append(one)
    return found


def instances_of(*kinds: type[T]) -> list[T]:
    """The objects of these classes."""
    return [one for one in _objects() if isinstance(one, kinds)]


def _objects() -> list[object]:
    return gc.get_objects()


def _has(text: str | bytes | bytearray | memoryview | msgspec.Raw, words: Iterable[str]) -> bool:
    if isinstance(text, str):
        return len(text) >= LONG and any(word in text for word in words)
    with memoryview(text) as view:
        return view.nbytes >= LONG and any(word.encode() in view.tobytes() for word in words)
