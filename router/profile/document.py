"""One TOML file, parsed: its values, where each key stands, and the problems found in it so far."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal, DecimalException
from functools import cached_property

from router.profile.lines import key_lines, last_key
from router.profile.problems import KeyPath, Problem, Severity, key_text

# tomllib takes quadratic time over a key of many parts; nobody writes such a line.
_MOST_DOTS_IN_A_LINE = 500

_LONG_NUMBER = re.compile(r"[0-9_]{4300}|[0-9][eE][+-]?0*[1-9][0-9_]{2,}")
_LARGEST_EXPONENT = 308  # of a double: what JSON readers take

_PLACE = re.compile(r"(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL)

# What tomllib says, and what a person reads instead. The first pattern that begins the message counts.
_PLAIN_WORDS: tuple[tuple[str, str], ...] = (
    ("Invalid statement", "a key, a [table] or a comment is expected"),
    ("Expected newline or end of document", "only one statement is allowed on a line"),
    ("Expected '=' after a key", "a key must be followed by = and a value"),
    ("Expected ']' at the end", "the closing ] of the table's name is missing"),
    ("Expected ']]' at the end", "the closing ]] of the table's name is missing"),
    ("Invalid initial character for a key part", "a key is expected (an inline table must stand on one line)"),
    ("Unclosed array", "a list isn't closed: ] or , is missing"),
    ("Unclosed inline table", "an inline table isn't closed: } or , is missing (it must stand on one line)"),
    ("Unescaped '\\' in a string", "a backslash in a string must be written \\\\"),
    ("Invalid hex value", "a \\u escape needs 4 hexadecimal digits, \\U needs 8"),
    ("Escaped character is not", "this \\u escape is no character"),
    ("Unterminated string", "a string isn't closed"),
    ('Expected \'"""\'', 'a """ string isn\'t closed'),
    ("Expected \"'''\"", "a ''' string isn't closed"),
    ('Expected "\'"', "a string isn't closed"),
    ("Illegal character '\\n'", "a string isn't closed"),
    ("Illegal character", "a control character isn't allowed here"),
    ("Found invalid character", "a control character isn't allowed here"),
    ("Invalid date", "this is no date or time"),
    ("Invalid value", "a value is expected; strings need quotes"),
)
_TWICE = ("Cannot overwrite", "Cannot declare", "Cannot redefine", "Cannot mutate", "Duplicate inline table key")


class Document:
    """A parsed file. ``values`` is empty where the file isn't valid TOML; then ``problems`` says why."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text.removeprefix("\ufeff").replace("\r\n", "\n")
        self.values: dict[str, object] = {}
        self.lines: Mapping[KeyPath, int] = {}
        self.problems: list[Problem] = []
        self._parse()

    def error(self, path: KeyPath | str, message: str) -> None:
        """The file can't be used: say why."""
        self._add(path, message, "error")

    def warn(self, path: KeyPath | str, message: str) -> None:
        """The file can be used, but probably doesn't mean what its writer thinks."""
        self._add(path, message, "warning")

    @property
    def failed(self) -> bool:
        return any(problem.severity == "error" for problem in self.problems)

    def line(self, path: KeyPath | str) -> int | None:
        """The line of a key; of the nearest table around it where the key itself isn't there."""
        if isinstance(path, str):
            return self._line_of_text(path)
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[:-1]
        return None

    def _add(self, path: KeyPath | str, message: str, severity: Severity) -> None:
        text = path if isinstance(path, str) else key_text(path)
        problem = Problem(self.file, self.line(path), text, message, severity)
        if problem not in self.problems:
            self.problems.append(problem)

    def _line_of_text(self, path: str) -> int | None:
        while path:
            if path in self._lines_by_text:
                return self._lines_by_text[path]
            cut = max(path.rfind("."), path.rfind("["))
            path = path[:cut] if cut > 0 else ""
        return None

    @cached_property
    def _lines_by_text(self) -> dict[str, int]:
        """Lines by written key, for those who report keys as text; names with odd characters quoted and not."""
        table: dict[str, int] = {}
        for path, line in self.lines.items():
            plain = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)[1:]
            table.setdefault(plain, line)
            table[key_text(path)] = line
        return table

    def _refuse_non_numbers(self, value: object, path: KeyPath) -> bool:
        """An error for each ``nan`` and ``inf``: no key takes them, and comparing them can fail."""
        match value:
            case dict():
                # A list: all are reported, not only the first.
                return any([self._refuse_non_numbers(inner, (*path, key)) for key, inner in value.items()])  # noqa: C419
            case list():
                return any([self._refuse_non_numbers(inner, (*path, at)) for at, inner in enumerate(value)])  # noqa: C419
            case Decimal() if not value.is_finite():
                self.error(path, f"{str(value).lower()} isn't a number that can be used")
                return True
        return False

    def _parse(self) -> None:
        for number, line in enumerate(self.text.split("\n"), 1):
            if line.count(".") > _MOST_DOTS_IN_A_LINE:
                self.problems.append(Problem(self.file, number, "", "this line is too long to be meant seriously"))
                return
        try:
            values = tomllib.loads(self.text, parse_float=_decimal)
            self.lines = key_lines(self.text)
            if not self._refuse_non_numbers(values, ()):
                self.values = values
        except tomllib.TOMLDecodeError as error:
            self.problems.append(_syntax_problem(self.file, self.text, str(error)))
        except RecursionError:
            self.problems.append(Problem(self.file, None, "", "lists or tables are nested too deeply"))
        except ValueError:  # an integer with thousands of digits, a float's exponent out of all bounds
            place = _LONG_NUMBER.search(self.text)
            number_line = self.text.count("\n", 0, place.start()) + 1 if place else None
            self.problems.append(Problem(self.file, number_line, "", "a number is too long"))


def _decimal(text: str) -> Decimal:
    """Floats stay exact: prices and budgets are money."""
    try:
        number = Decimal(text)
    except DecimalException:
        raise ValueError("a number out of all bounds") from None
    if number.is_finite() and number and abs(number.adjusted()) > _LARGEST_EXPONENT:
        raise ValueError("a number out of all bounds")
    return number


def _syntax_problem(file: str, text: str, said: str) -> Problem:
    """tomllib's message in plain words, at the line where a person would look."""
    place = _PLACE.fullmatch(said)
    if place is None:
        return Problem(file, None, "", f"not valid TOML: {said}")
    what = place["what"]
    plain = next((plain for begin, plain in _PLAIN_WORDS if what.startswith(begin)), what)
    if place["line"] is None:  # something was never closed: the last key is where it began
        path, key_line = last_key(text)
        return Problem(file, key_line, key_text(path), f"not valid TOML: {plain}")
    line, column = int(place["line"]), int(place["column"])
    if what.startswith(_TWICE):
        # tomllib has read the second key with its value and stands behind it.
        end = sum(len(earlier) + 1 for earlier in text.split("\n")[: line - 1]) + column - 1
        path, key_line = last_key(text[:end])
        path = path[:-1] if path and isinstance(path[-1], int) else path  # [[rule]] below [rule]
        return Problem(file, key_line, key_text(path), "is given twice")
    return Problem(file, line, "", f"not valid TOML at column {column}: {plain}")
