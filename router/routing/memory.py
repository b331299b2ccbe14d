"""A bounded memory for values that are dear to work out, asked for again and again, and may be used from threads."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memory(Generic[K, V]):
    """Keeps at most ``limit`` values, those asked for lately.

    Two generations instead of an order of use: what is asked for in the old one moves to the young one, and the rest of
    the old one is dropped when the young one is full. Each step is one dict operation, so no lock is needed; a race
    costs at most a value worked out twice.
    """

    __slots__ = ("_half", "_old", "_young")

    def __init__(self, limit: int) -> None:
        self._half = max(1, limit // 2)
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The value kept under ``key``, else a new one."""
        found = self._young.get(key)
        if found is not None:
            return found
        found = self._old.pop(key, None) or make()
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[key] = found
        return found
