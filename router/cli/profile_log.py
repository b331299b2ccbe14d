"""The end of a log file, and what is added to it, over its rotation too."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

FOLLOW_S = 0.2


class Place(NamedTuple):
    """How far a file was read. ``inode`` 0: there was none."""

    inode: int
    offset: int


def last_lines(path: Path, count: int) -> tuple[list[str], Place]:
    """The last lines of a log, those of the file before the last rotation if need be, and the place behind them."""
    lines: deque[str] = deque(maxlen=count)
    place = Place(0, 0)
    for file in (path.with_name(f"{path.name}.1"), path):
        try:
            with file.open("rb") as opened:
                text = opened.read()
                place = Place(os.fstat(opened.fileno()).st_ino, len(text)) if file == path else place
        except FileNotFoundError:
            continue
        lines.extend(text.decode("utf-8", "replace").splitlines())
    return list(lines), place


def follow(path: Path, place: Place, say: Callable[[str], object], *, going: Callable[[], bool] = lambda: True) -> None:
    """Give each new line to ``say``, while ``going``. After a rotation the rest of the old file comes first."""
    older = path.with_name(f"{path.name}.1")
    while going():
        try:
            status = path.stat()
        except FileNotFoundError:
            inode = 0
        else:
            inode = status.st_ino
            if status.st_size < place.offset:  # emptied where it stands
                place = Place(inode, 0)
        if inode != place.inode:
            if place.inode and older.exists() and older.stat().st_ino == place.inode:
                _read_on(older, place, say)
            place = Place(inode, 0)
        if inode:
            place = _read_on(path, place, say)
        time.sleep(FOLLOW_S)


def _read_on(path: Path, place: Place, say: Callable[[str], object]) -> Place:
    """Say the whole lines behind a place; the place behind the last of them."""
    with path.open("rb") as file:
        file.seek(place.offset)
        text = file.read()
    whole = text[: text.rfind(b"\n") + 1]
    for line in whole.decode("utf-8", "replace").splitlines():
        say(line)
    return Place(place.inode, place.offset + len(whole))
