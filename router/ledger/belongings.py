"""Which tables hold what belongs to one profile: what goes out with an export, and goes with an erasure."""

from __future__ import annotations

from typing import Final

SUMS: Final = {"rollup_day": "day", "rollup": "hour"}  # with the column of their time, in days and hours since 1970
RULES: Final = "rules"
HEALTH: Final = ("breakers", "cooldowns")
STANDING: Final = ("keys", "ports", "profile_states")  # no trace of a request: they stay as long as the profile


def going(*, whole: bool, gone: bool) -> tuple[str, ...]:
    """The tables of which everything goes when a profile is erased: ``whole`` and not only up to some moment; ``gone``:
    there is no such profile any more."""
    return (*HEALTH, *STANDING) if whole and gone else HEALTH if whole else ()
