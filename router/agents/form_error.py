"""What is wrong with a settings file that is to be read or changed."""

from __future__ import annotations


class FormError(ValueError):
    """The text isn't what its form asks for, from ``line`` on (counted from 1)."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"{message} (line {line})")
        self.line = line
        self.message = message
