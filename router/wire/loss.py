"""What a translation can't carry over, as values: nothing is lost in silence.

A *hint* (sampling, caching, service class, metadata) is dropped by design and reported in a reply header and in the
request's record. What *changes what the client asked for* (a whole content block, a tool, a forced choice) is refused,
unless the profile says ``on-loss = "allow"``: then it is dropped and reported like a hint.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

LONGEST_FIELD: Final = 100
"""Characters of a field's name that are told."""
ROOM: Final = 2000
"""Characters of a list of losses: it stands in a header, of which clients take 8 KiB or less."""


@dataclass(frozen=True, slots=True)
class Loss:
    """One thing that the target can't be told. ``field`` is in the client's words (``messages[3].content[1]``)."""

    field: str
    why: str
    refused: bool = False

    def __str__(self) -> str:
        return f"{self.field}: {self.why}"


@dataclass(slots=True)
class Losses:
    """The losses of one translation, in the order in which they were met."""

    found: list[Loss] = field(default_factory=list)
    _known: set[Loss] = field(default_factory=set, repr=False, compare=False)

    def drop(self, name: str, why: str) -> None:
        """A hint is left out."""
        self._add(Loss(name, why))

    def refuse(self, name: str, why: str) -> None:
        """Something the client asked for can't be said; the caller goes on as if it weren't there."""
        self._add(Loss(name, why, refused=True))

    @property
    def refused(self) -> list[Loss]:
        """Those that change what the client asked for."""
        return [loss for loss in self.found if loss.refused]

    def _add(self, loss: Loss) -> None:
        loss = Loss(
            _shown(loss.field)[:LONGEST_FIELD], loss.why if loss.why.isprintable() else _shown(loss.why), loss.refused
        )
        if loss not in self._known:
            self._known.add(loss)
            self.found.append(loss)


def listed(told: Iterable[str], joint: str = ", ") -> str:
    """All of it in one line, each thing once; of very much the beginning, and how many more there are."""
    things = list(dict.fromkeys(told))
    room = ROOM
    for number, thing in enumerate(things):
        room -= len(thing) + len(joint)
        if room < 0:
            return joint.join([*things[:number], f"and {len(things) - number} more"])
    return joint.join(things)


def _shown(text: str) -> str:
    """The text in one line of ASCII: a client may call a field anything, and losses are told in a header."""
    return text if text.isascii() and text.isprintable() else ascii(text)[1:-1]
