"""Reasoning that some servers leave in the text, between ``<think>`` and ``</think>`` at its very beginning."""

from __future__ import annotations

from typing import Final

_OPEN: Final = "<think>"
_CLOSE: Final = "</think>"


class ThinkTags:
    """Takes text as it arrives, gives it out as (thinking, text); of a cut tag it waits for the rest."""

    def __init__(self) -> None:
        self._held = ""
        self._state = "beginning"

    def feed(self, fragment: str) -> tuple[str, str]:
        """What these characters add to the thinking and to the text behind it."""
        thinking = ""
        if self._state == "beginning":
            self._held += fragment
            start = self._held.lstrip()
            if len(start) < len(_OPEN) and _OPEN.startswith(start):
                return "", ""
            fragment, self._held = self._held, ""
            self._state = "text"
            if start.startswith(_OPEN):
                self._state, fragment = "thinking", start[len(_OPEN) :]
        if self._state == "thinking":
            fragment, self._held = self._held + fragment, ""
            thinking, closed, fragment = fragment.partition(_CLOSE)
            if not closed:
                kept = _begun(thinking)
                self._held = thinking[len(thinking) - kept :]
                return thinking[: len(thinking) - kept], ""
            self._state = "gap"
        if self._state == "gap":  # the blank lines between the tag and the text belong to neither
            fragment = fragment.lstrip("\r\n")
            if fragment:
                self._state = "text"
        return thinking, fragment

    def finish(self) -> tuple[str, str]:
        """What is left at the end."""
        left, self._held = self._held, ""
        return (left, "") if self._state == "thinking" else ("", left)


def _begun(text: str) -> int:
    """How many characters at the end may be the beginning of the closing tag."""
    return next((size for size in range(len(_CLOSE) - 1, 0, -1) if text.endswith(_CLOSE[:size])), 0)
