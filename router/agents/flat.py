"""Names and values, one a line: ``.env`` files, and the plain top level of a YAML file.

A change replaces, adds or takes out one line; every other byte stays. Of YAML only what such a line holds is read: a
value that goes on below its line (a list, a table, a long text) is known to be there, and isn't touched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

from router.agents.form_error import FormError

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./:@%+,=-]+")  # values that need no quotes
_NOT_TEXT: Final = re.compile(r"[-+.\d].*|true|false|yes|no|on|off|null|~", re.IGNORECASE)  # as YAML reads them


@dataclass(frozen=True, slots=True)
class Flat:
    """A form: what a line is, and what stands between its name and its value."""

    line: re.Pattern[str]
    between: str

    def parse(self, text: str) -> dict[str, Any]:
        """The values by name, as texts; a later line goes over an earlier one. A value that goes on below is ``""``, or
        what its lines hold where these are plain, too."""
        found: dict[str, Any] = {}
        lines = self._lines(text)
        for match, following in zip_longest(lines, lines[1:]):
            found[match["name"]] = _unquoted(match["value"])
            if self is YAML and not match["value"]:
                inner = {
                    line["name"]: _unquoted(line["value"])
                    for line in _BELOW.finditer(
                        text, match.end(), following.start() if following is not None else len(text)
                    )
                }
                found[match["name"]] = inner or ""
        return found

    def set_value(self, text: str, path: Sequence[str], value: object) -> str:
        """The text with the line of this name, the only step of ``path``. Raises FormError."""
        (name,) = path
        newline = "\r\n" if "\r\n" in text else "\n"
        written = self._written(str(value))
        if (match := self._last(text, name)) is not None:
            self._check_one_line(text, match)
            gap = match["gap"] if match["gap"][-1] in "= \t" else f"{match['gap']} "
            return f"{text[: match.start('gap')]}{gap}{written}{text[match.end('value') :]}"
        line = f"{name}{self.between}{written}"
        if text and not text.endswith("\n"):
            return f"{text}{newline}{line}"
        return f"{text}{line}{newline}"

    def remove(self, text: str, path: Sequence[str]) -> str:
        """The text without the lines of this name."""
        (name,) = path
        while (match := self._last(text, name)) is not None:
            self._check_one_line(text, match)
            end = text.find("\n", match.start())
            if end >= 0:
                text = text[: match.start()] + text[end + 1 :]
            else:
                text = text[: match.start()].removesuffix("\n").removesuffix("\r")
        return text

    def _lines(self, text: str) -> list[re.Match[str]]:
        return list(self.line.finditer(text))

    def _last(self, text: str, name: str) -> re.Match[str] | None:
        return next((match for match in reversed(self._lines(text)) if match["name"] == name), None)

    def _written(self, value: str) -> str:
        if _PLAIN.fullmatch(value) and not (self is YAML and _NOT_TEXT.fullmatch(value)):
            return value
        return json.dumps(value, ensure_ascii=False)

    def _check_one_line(self, text: str, match: re.Match[str]) -> None:
        """A YAML value may go on in lines that are indented or begin with a dash."""
        following = text[match.end() :].partition("\n")[2].partition("\n")[0]
        goes_on = following[:1] in (" ", "\t", "-") and following.strip() != ""
        if self is YAML and (goes_on or match["value"].startswith(("|", ">", "&", "*", "{", "["))):
            line = text.count("\n", 0, match.start()) + 1
            raise FormError(line, f"{match['name']} is more than one line; change it by hand")


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == "'":
        return value[1:-1]
    if value.startswith('"'):
        try:
            return str(json.loads(value))
        except ValueError:
            return value.strip('"')
    return value


_VALUE: Final = (
    r"""(?P<value>"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s#](?:[^\n]*?[^\s])??|)[ \t]*(?:(?<=[ \t])\#[^\n]*)?\r?$"""
)
DOTENV: Final = Flat(
    re.compile(r"^[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][\w.-]*)(?P<gap>[ \t]*=[ \t]*)" + _VALUE, re.MULTILINE), "="
)
YAML: Final = Flat(
    re.compile(r"^(?P<name>[A-Za-z_][\w.-]*)(?P<gap>[ \t]*:(?:[ \t]+|(?=\r?$)))" + _VALUE, re.MULTILINE), ": "
)
_BELOW: Final = re.compile(r"^(?P<indent>[ ]{1,4})(?P<name>[A-Za-z_][\w.-]*)[ \t]*:[ \t]+" + _VALUE, re.MULTILINE)
