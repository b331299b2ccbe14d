"""One line per request, into ``logs/NAME.log`` of its profile and to the console. Never a prompt, never a key.

Lines gather for a moment and are written together, so that logging costs a request next to nothing. Files are rotated
by size. A log that can't be written (a full disk, a closed pipe) loses lines, counted, and nothing else.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from router.ledger.entry import AttemptRecord, Intent, Outcome, Settlement, Verdict
from router.wire.usage import Usage

FLUSH_S = 0.1
MAX_BYTES = 10 * 2**20
KEPT_FILES = 5


class RequestLog:
    """Collects lines by profile and writes them a little later. ``close`` writes what is left."""

    def __init__(self, folder: Path, *, console: Callable[[str], object] | None = None) -> None:
        self._folder = folder
        self._console = console
        self._lines: dict[str, list[str]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.dropped = 0

    def write(self, profile: str, line: str) -> None:
        """Take one line (without a line end). Control characters are made visible."""
        if not line.isprintable():
            line = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in line)
        self._lines.setdefault(profile, []).append(line)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)

    def flush(self) -> None:
        """Write what has gathered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines = self._lines, {}
        for profile, of_profile in lines.items():
            text = "\n".join(of_profile) + "\n"
            try:
                self._append(self._folder / f"{profile}.log", text.encode())
            except OSError:
                self.dropped += len(of_profile)
            if self._console is not None:
                self._console(text)

    close = flush

    async def erase(self, profile: str, before_ms: int) -> None:
        """Forget a profile's lines of requests that came before a moment. Raises OSError."""
        self.flush()
        for file in log_files(self._folder / f"{profile}.log"):
            erase_lines(file, before_ms)
            await asyncio.sleep(0)  # each takes some milliseconds

    def _append(self, path: Path, data: bytes) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if os.write(fd, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            size = os.fstat(fd).st_size
        finally:
            os.close(fd)
        if size > MAX_BYTES:
            rotate(path)


def log_files(path: Path) -> list[Path]:
    """A log with those that it was called before."""
    return [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, KEPT_FILES + 1))]


def erase_lines(path: Path, before_ms: int) -> None:
    """Take the lines of requests that came before a moment out of a log, if there is one; without any left it goes."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return
    moment = _moment(before_ms).encode()
    kept = [line for line in lines if line[: len(moment)] >= moment]
    if not kept:
        path.unlink()
    elif len(kept) < len(lines):
        made = path.with_name(f"{path.name}.new")
        made.touch(mode=0o600)
        made.write_bytes(b"".join(kept))
        made.replace(path)


def rotate(path: Path) -> None:
    """Make room for a new file: ``work.log`` becomes ``work.log.1``, and so on; the oldest goes."""
    _make_room(path)
    path.replace(path.with_name(f"{path.name}.1"))


def rotated_copy(path: Path) -> None:
    """The same for a file that another process goes on appending to: it is copied, then emptied."""
    _make_room(path)
    shutil.copyfile(path, path.with_name(f"{path.name}.1"))
    os.truncate(path, 0)


def _make_room(path: Path) -> None:
    for number in range(KEPT_FILES - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))


# How bad an end is, and from where on a profile's log-level wants to read of it.
_WEIGHT: dict[Outcome, int] = {
    "ok": 0,
    "client-gone": 0,
    "drained": 1,
    "refused": 1,
    "client-error": 1,
    "upstream-error": 2,
    "partial": 2,
    "interrupted": 2,
}
_LEAST = {"debug": 0, "info": 0, "warning": 1, "error": 2}


def is_logged(outcome: Outcome, level: str) -> bool:
    """Whether a request that ended so gets a line: all at ``info``; at ``warning`` those that didn't end well; at
    ``error`` those that failed at the provider."""
    return _WEIGHT[outcome] >= _LEAST[level]


def request_line(intent: Intent, settlement: Settlement, attempts: Sequence[AttemptRecord]) -> str:
    """The line of one request: fixed order, ``-`` for what isn't known. A draft's fields are there only for a draft."""
    usage = settlement.usage or Usage()
    cost = settlement.cost_nano_usd
    price = _dollars(cost) if settlement.attempts else _dollars(0)
    first = "-" if settlement.first_byte_ms is None else f"{settlement.first_byte_ms:.1f}ms"
    return (
        f"{_moment(intent.time_ms)} id={intent.id} profile={intent.profile} "
        f"rule={_quoted(intent.rule)} reason={_quoted(intent.reason)} client={intent.client} "
        f"model={_word(intent.requested_model)}->{_word(settlement.model or intent.model)} "
        f"provider={settlement.provider or intent.provider or '-'} status={_shown(settlement.status)} "
        f"outcome={settlement.outcome} error={_shown(settlement.error_class)} "
        f"in={_shown(usage.input)} cached={_shown(usage.cache_read)} written={_shown(_written(usage))} "
        f"out={_shown(usage.output)} cost={price} "
        f"first={first} total={settlement.duration_ms or 0:.1f}ms attempts={settlement.attempts}"
        f"{_drafted(attempts)}"
    )


def _quoted(text: str) -> str:
    """A field with spaces in it; the quotes within are others, so that every reader finds its end."""
    return '"' + text.replace('"', "'") + '"'


def _moment(time_ms: int) -> str:
    """How a line begins: by text they are in the order of time."""
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z"


_ENDED: dict[Verdict | None, str] = {"accepted": "accepted", "rejected": "escalated", None: "failed"}


def _drafted(attempts: Sequence[AttemptRecord]) -> str:
    """What became of a cascade's draft, its score, and what it saved (or cost in vain, below 0)."""
    draft = next((attempt for attempt in reversed(attempts) if attempt.role == "draft"), None)
    if draft is None:
        return ""
    score = "-" if draft.score is None else f"{draft.score:.2f}"
    return f" draft={_ENDED[draft.verdict]} score={score} saved={_dollars(draft.saving_nano_usd)}"


def _dollars(nano_usd: int | None) -> str:
    if nano_usd is None:
        return "?"
    return f"{'-' if nano_usd < 0 else ''}${abs(nano_usd) / 1e9:.6f}"


def _written(usage: Usage) -> int | None:
    """Input tokens written to a cache, for however long. The first request of a conversation often has no others."""
    known = [count for count in (usage.cache_write, usage.cache_write_1h) if count is not None]
    return sum(known) if known else None


def _word(text: str | None) -> str:
    """A name that clients choose, as one word: it must not look like the next field."""
    return "".join("_" if c.isspace() or c == '"' else c for c in text) if text else "-"


def _shown(value: object) -> object:
    return "-" if value is None else value
