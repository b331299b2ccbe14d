"""Conditions as short strings: ``tokens > 100000 and not thinking``, ``tools >= 3``, ``client = "codex" or stream``.

A string says the same as a ``match`` table and is turned into one, so both go through the same compiler and mean the
same (rule files, `router route add`). Whether the conditions exist and their values fit is the compiler's business.

    or      = and { "or" and }
    and     = not { "and" not }
    not     = "not" not | "(" or ")" | test
    test    = NAME [ [ OPERATOR ] VALUE ]     an operator may be left out behind a name with its form: tools-gte 3
    VALUE   = NUMBER | "text" | 'text' | word | true | false | "[" VALUE { "," VALUE } "]"
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final, NamedTuple, NoReturn

MatchTable = dict[str, object]

_FORMS: Final[Mapping[str, str]] = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte", "=": "eq", "==": "eq"}
_SUFFIX: Final = re.compile(r".+-(?:lt|lte|gt|gte|eq)")
_NUMBER: Final = re.compile(r"-?\d+(?:_\d+)*(?:\.\d+)?")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]*(?:\.[^\s.][^\s]*)?")
_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<text>"(?:[^"\\]|\\.)*"|'[^']*')
      | (?P<sign>>=|<=|==|[<>=()\[\],])
      | (?P<word>[^\s()\[\],<>="']+)
    )""",
    re.VERBOSE,
)
_DEEPEST: Final = 30
_KEYWORDS: Final = frozenset({"and", "or", "not"})


class ShorthandError(ValueError):
    """The string isn't a condition. ``column`` counts from 1."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(f"column {column}: {message}")
        self.column = column


class _Token(NamedTuple):
    kind: str  # "text", "sign", "word" or "end"
    text: str
    column: int

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else self.text


def parse_shorthand(text: str) -> MatchTable:
    """The ``match`` table a short string stands for. Raises ``ShorthandError``."""
    parser = _Parser(text)
    table = parser.alternatives()
    parser.finish()
    return table


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0

    def alternatives(self) -> MatchTable:
        tables = [self._conjunction()]
        while self._take_word("or"):
            tables.append(self._conjunction())
        return tables[0] if len(tables) == 1 else {"any": tables}

    def finish(self) -> None:
        token = self._token
        if token.kind != "end":
            self._fail('expected "and", "or" or the end')

    def _conjunction(self) -> MatchTable:
        tables = [self._negation()]
        while self._take_word("and"):
            table = self._negation()
            # One table where the keys allow it, as a person would write it; else a list of tables.
            if tables[-1].keys().isdisjoint(table):
                tables[-1].update(table)
            else:
                tables.append(table)
        return tables[0] if len(tables) == 1 else {"all": tables}

    def _negation(self) -> MatchTable:
        self._depth += 1
        if self._depth > _DEEPEST:
            self._fail("nested too deeply")
        if self._take_word("not"):
            table: MatchTable = {"not": self._negation()}
        elif self._take_sign("("):
            table = self._alternatives_in_parentheses()
        else:
            table = self._test()
        self._depth -= 1
        return table

    def _alternatives_in_parentheses(self) -> MatchTable:
        table = self.alternatives()
        if not self._take_sign(")"):
            self._fail('expected ")"')
        # keywords-in belongs to the keywords it stands beside, so such a group isn't melted into its surroundings.
        return {"all": [table]} if "keywords-in" in table else table

    def _test(self) -> MatchTable:
        token = self._token
        if token.kind != "word" or token.text.lower() in _KEYWORDS or not _NAME.fullmatch(token.text):
            self._fail("expected a condition's name")
        self._next += 1
        name = token.text
        if name == "tokens" or name.startswith("tokens-"):
            name = f"input-{name}"
        sign = self._token
        if sign.kind == "sign" and sign.text in _FORMS:
            self._next += 1
            return _table(name, sign, self._value())
        if _SUFFIX.fullmatch(name) and sign.kind == "word" and _NUMBER.fullmatch(sign.text):
            return _table(name, sign._replace(text="="), self._value())
        return _nested(name, True)

    def _value(self) -> object:
        if not self._take_sign("["):
            return self._single_value()
        values = [self._single_value()]
        while self._take_sign(","):
            values.append(self._single_value())
        if not self._take_sign("]"):
            self._fail('expected "," or "]"')
        return values

    def _single_value(self) -> object:
        token = self._token
        if token.kind not in ("text", "word"):
            self._fail("expected a value")
        self._next += 1
        return _unquoted(token) if token.kind == "text" else _plain(token)

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take_word(self, word: str) -> bool:
        return self._take("word", word)

    def _take_sign(self, sign: str) -> bool:
        return self._take("sign", sign)

    def _take(self, kind: str, text: str) -> bool:
        token = self._token
        if token.kind == kind and token.text.lower() == text:
            self._next += 1
            return True
        return False

    def _fail(self, expected: str) -> NoReturn:
        token = self._token
        raise ShorthandError(f"{expected}, got {token}", token.column)


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        found = _TOKEN.match(text, position)
        if found is None:
            start = position + len(text[position:]) - len(text[position:].lstrip())
            raise ShorthandError("this quote isn't closed", start + 1)
        kind = found.lastgroup or ""
        tokens.append(_Token(kind, found[kind], found.start(kind) + 1))
        position = found.end()
    return [*tokens, _Token("end", "", end + 1)]


def _table(name: str, sign: _Token, value: object) -> MatchTable:
    form = _FORMS[sign.text]
    if _SUFFIX.fullmatch(name):
        if form != "eq":
            raise ShorthandError(f'{name} already says how to compare: write "="', sign.column)
        return {name: value}
    if form == "eq" and (isinstance(value, bool) or not isinstance(value, int | float)):
        return _nested(name, value)
    return {f"{name}-{form}": value}


def _nested(name: str, value: object) -> MatchTable:
    """``header.x-team`` is the header table's entry."""
    outer, dot, inner = name.partition(".")
    return {outer: {inner: value}} if dot else {name: value}


def _unquoted(token: _Token) -> str:
    if token.text.startswith("'"):
        return token.text[1:-1]
    try:
        return str(json.loads(token.text, strict=False))
    except json.JSONDecodeError:
        raise ShorthandError("a backslash in a string must be written \\\\", token.column) from None


def _plain(token: _Token) -> object:
    word = token.text
    if _NUMBER.fullmatch(word):
        if len(word) > 30:
            raise ShorthandError("this number is too long", token.column)
        return float(word) if "." in word else int(word)
    return {"true": True, "false": False}.get(word, word)
