"""Keys that are read and checked but do nothing yet. Whoever makes one work deletes its row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from router.profile.document import Document

MESSAGE: Final = "isn't active yet"

INACTIVE: Final[Mapping[tuple[str, str], tuple[object, ...]]] = {
    ("log", "bodies"): ("off",),
    ("log", "keep"): (),
}
"""Table and key, and the values that ask for nothing."""


def inactive_keys(document: Document) -> None:
    """A warning for each key of a file that is valid but does nothing yet."""
    for (table, key), fine in INACTIVE.items():
        values = document.values.get(table)
        if isinstance(values, dict) and key in values and values[key] not in fine:
            document.warn((table, key), MESSAGE)
