"""How much memory this process uses, and has used at most. Where that can't be told it is 0."""

from __future__ import annotations

from pathlib import Path

_PROC = Path("/proc/self")
PAGE = 4096


def memory() -> int:
    """Bytes in memory now."""
    return int((_PROC / "statm").read_text().split()[1]) * PAGE if _PROC.exists() else 0


def most_memory() -> int:
    """The most there have been, in bytes, since ``forget_the_most``."""
    return int((_PROC / "status").read_text().partition("VmHWM:")[2].split()[0]) * 1024 if _PROC.exists() else 0


def forget_the_most() -> None:
    """Begin anew from what there is now."""
    if (_PROC / "clear_refs").exists():
        (_PROC / "clear_refs").write_text("5")
