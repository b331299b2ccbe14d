"""Keys set and removed in JSON text as agents keep it: with comments and commas behind the last value.

The text is walked once, noting where each value begins and ends; a change replaces, adds or takes out one member, and
every other byte stays. What only JSON5 knows (names without quotes, single quotes) is refused, with its line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from router.agents.form_error import FormError

_TRIVIA: Final = re.compile(r"(?:[ \t\r\n\ufeff]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_COMMENT: Final = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_STRING: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_SCALAR: Final = re.compile(r"-?\d[-+.\deE]*|true|false|null")
_BLANKS: Final = " \t\r\n"
_DEEPEST: Final = 100
_UNIT: Final = "  "  # where nothing in the text shows how it is indented


@dataclass(slots=True)
class _Member:
    """``"key": value`` in an object; ``comma`` is where the comma behind it stands, if there is one."""

    key: str
    start: int
    value: _Value
    comma: int | None = None


@dataclass(slots=True)
class _Value:
    """A value from ``start`` to ``end``; ``members`` only of an object."""

    start: int
    end: int
    plain: Any
    members: list[_Member] | None = None

    def member(self, key: str) -> _Member | None:
        """The last of this name, which is the one that counts."""
        return next((each for each in reversed(self.members or ()) if each.key == key), None)


def parse(text: str) -> dict[str, Any]:
    """The object that the text holds; an empty text is an empty object. Raises FormError."""
    root = _root(text)
    return {} if root is None else dict(root.plain)


def set_value(text: str, path: Sequence[str], value: object) -> str:
    """The text with ``value`` under ``path``; objects on the way are made. Raises FormError."""
    place = _root(text)
    newline = "\r\n" if "\r\n" in text else "\n"
    if place is None:
        return _dump(_nested(path, value), _UNIT, "", newline) + newline
    unit = _unit(text, place)
    for depth, key in enumerate(path):
        member = place.member(key)
        if member is None:
            return _add(text, place, key, _nested(path[depth + 1 :], value), unit, newline)
        place = member.value
        if place.members is None and depth < len(path) - 1:
            raise FormError(_line(text, place.start), f'expected an object under "{key}"')
    return text[: place.start] + _dump(value, unit, _indent(text, place.start), newline) + text[place.end :]


def remove(text: str, path: Sequence[str]) -> str:
    """The text without what stands under ``path``, if anything does. Raises FormError."""
    place = _root(text)
    for key in path[:-1]:
        member = place.member(key) if place is not None else None
        place = member.value if member is not None else None
    member = place.member(path[-1]) if place is not None else None
    if place is None or place.members is None or member is None:
        return text
    index = place.members.index(member)
    start = len(text[: member.start].rstrip(_BLANKS))
    if _behind_line_comment(text, place, place.members, index) and _line_goes_on(text, member):
        start = member.start
    end = member.value.end if member.comma is None else member.comma + 1
    before = text[:start]
    if index and member.comma is None:  # the last one, without a comma: the one before it loses its own
        comma = place.members[index - 1].comma
        assert comma is not None
        before = text[:comma] + text[comma + 1 : start]
    left = before + text[end:]
    if len(place.members) == 1:
        brace = place.start + 1
        after = place.end - 1 - (len(text) - len(left))
        if not left[brace:after].strip(_BLANKS):
            return left[:brace] + left[after:]
    return left


def _behind_line_comment(text: str, place: _Value, members: Sequence[_Member], index: int) -> bool:
    """Whether the last thing before a member is a comment that only the line's end ends."""
    comma = members[index - 1].comma if index else None
    comments = _COMMENT.findall(text[(place.start if comma is None else comma) + 1 : members[index].start])
    return bool(comments) and comments[-1].startswith("//")


def _line_goes_on(text: str, member: _Member) -> bool:
    """Whether something stands behind a member, and the comma behind it, on the same line."""
    end = member.value.end if member.comma is None else member.comma + 1
    return text[end:].partition("\n")[0].strip(_BLANKS) != ""


def _root(text: str) -> _Value | None:
    """The walked text; ``None`` where it holds nothing but blanks and comments."""
    start = _skip(text, 0)
    if start == len(text):
        if text.strip(_BLANKS + "\ufeff"):
            raise FormError(_line(text, start), "expected an object, found only comments")
        return None
    root = _value(text, start, 0)
    if root.members is None:
        raise FormError(_line(text, start), "expected an object")
    end = _skip(text, root.end)
    if end < len(text):
        raise FormError(_line(text, end), f"expected the end, found {_shown(text, end)}")
    return root


def _value(text: str, at: int, depth: int) -> _Value:
    if depth > _DEEPEST:
        raise FormError(_line(text, at), "nested too deep")
    match text[at : at + 1]:
        case "{":
            return _object(text, at, depth)
        case "[":
            return _array(text, at, depth)
        case '"':
            end = _string_end(text, at)
            return _Value(at, end, _decoded(text, at, end))
    scalar = _SCALAR.match(text, at)
    if scalar is None:
        raise FormError(_line(text, at), f"expected a value, found {_shown(text, at)}")
    return _Value(at, scalar.end(), _decoded(text, at, scalar.end()))


def _object(text: str, start: int, depth: int) -> _Value:
    members: list[_Member] = []
    at = _skip(text, start + 1)
    while text[at : at + 1] != "}":
        if text[at : at + 1] != '"':
            raise FormError(_line(text, at), f"expected a name in double quotes, found {_shown(text, at)}")
        key_end = _string_end(text, at)
        colon = _skip(text, key_end)
        if text[colon : colon + 1] != ":":
            raise FormError(_line(text, colon), f"expected a colon, found {_shown(text, colon)}")
        member = _Member(_decoded(text, at, key_end), at, _value(text, _skip(text, colon + 1), depth + 1))
        members.append(member)
        at = _skip(text, member.value.end)
        if text[at : at + 1] == ",":
            member.comma = at
            at = _skip(text, at + 1)
        elif text[at : at + 1] != "}":
            raise FormError(_line(text, at), f"expected a comma or a brace, found {_shown(text, at)}")
    return _Value(start, at + 1, {member.key: member.value.plain for member in members}, members)


def _array(text: str, start: int, depth: int) -> _Value:
    found: list[Any] = []
    at = _skip(text, start + 1)
    while text[at : at + 1] != "]":
        value = _value(text, at, depth + 1)
        found.append(value.plain)
        at = _skip(text, value.end)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
        elif text[at : at + 1] != "]":
            raise FormError(_line(text, at), f"expected a comma or a bracket, found {_shown(text, at)}")
    return _Value(start, at + 1, found)


def _skip(text: str, at: int) -> int:
    match = _TRIVIA.match(text, at)
    assert match is not None  # it may be empty
    return match.end()


def _string_end(text: str, at: int) -> int:
    match = _STRING.match(text, at)
    if match is None:
        raise FormError(_line(text, at), "a text isn't closed, or holds a control character")
    return match.end()


def _decoded(text: str, start: int, end: int) -> Any:
    try:
        return json.loads(text[start:end])
    except ValueError as error:
        raise FormError(_line(text, start), f"not JSON: {_shown(text, start)}") from error


def _nested(path: Sequence[str], value: object) -> object:
    for key in reversed(path):
        value = {key: value}
    return value


def _add(text: str, place: _Value, key: str, value: object, unit: str, newline: str) -> str:
    """A new last member. Comments stay behind what they stand behind."""
    members = place.members
    assert members is not None
    brace = place.end - 1
    outer = _indent(text, place.start)
    if not members:
        indent = outer + unit
        if text[place.start + 1 : brace].strip(_BLANKS):  # comments
            at = len(text[:brace].rstrip(_BLANKS))
            ending = text[at:brace] if "\n" in text[at:brace] else newline + outer
        else:
            at, ending = place.start + 1, newline + outer
        member = f"{newline}{indent}{json.dumps(key)}: {_dump(value, unit, indent, newline)}"
        return text[:at] + member + ending + text[brace:]
    last = members[-1]
    begin = text[: members[0].start].rstrip(_BLANKS)
    inline = "\n" not in text[len(begin) : members[0].start] and begin.endswith("{")
    inline = inline and "//" not in text[last.value.end : brace]
    if inline:
        member = f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
    else:
        indent = _indent(text, members[0].start)
        member = f"{newline}{indent}{json.dumps(key)}: {_dump(value, unit, indent, newline)}"
    at = max(last.value.end if last.comma is None else last.comma + 1, len(text[:brace].rstrip(_BLANKS)))
    if last.comma is not None:
        return text[:at] + member + "," + text[at:]
    return text[: last.value.end] + "," + text[last.value.end : at] + member + text[at:]


def _dump(value: object, unit: str, indent: str, newline: str) -> str:
    """JSON on lines of its own, all but the first at ``indent``."""
    lines = json.dumps(value, indent=unit, ensure_ascii=False).split("\n")
    return f"{newline}{indent}".join(lines)


def _indent(text: str, at: int) -> str:
    """The blanks that the line of this place begins with."""
    line = text[text.rfind("\n", 0, at) + 1 : at].lstrip("\ufeff")
    return line[: len(line) - len(line.lstrip(" \t"))]


def _unit(text: str, root: _Value) -> str:
    """What one level is indented by."""
    first = root.members[0] if root.members else None
    return (_indent(text, first.start) if first is not None else "") or _UNIT


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _shown(text: str, at: int) -> str:
    return f'"{text[at]}"' if at < len(text) else "the end"
