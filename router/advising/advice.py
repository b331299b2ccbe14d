"""What a piece of advice says: what is so, the numbers it rests on, and the edit that would change it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of routing.toml. ``words`` say it in a line; ``commands`` make it, where there are commands for it;
    ``text`` is the file as it would be and ``diff`` what that changes, as a unified diff."""

    words: str
    text: str
    diff: str
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Advice:
    """``kind`` stays the same from version to version. ``rule`` is the label of the rule it is about.

    ``requests`` is how many it rests on; ``before`` what was paid for those in question and ``after`` what would have
    been, in nano-dollars: None where that isn't known. ``confidence`` says how far the numbers can be trusted.
    """

    kind: str
    headline: str
    rule: str | None
    requests: int
    edit: Edit
    confidence: str
    before_nano_usd: int | None = None
    after_nano_usd: int | None = None
    details: tuple[str, ...] = ()

    @property
    def saving_nano_usd(self) -> int | None:
        """What following it would have saved; None where it isn't for the money: it may cost more, too."""
        if self.before_nano_usd is None or self.after_nano_usd is None:
            return None
        saved = self.before_nano_usd - self.after_nano_usd
        return saved if saved > 0 else None
