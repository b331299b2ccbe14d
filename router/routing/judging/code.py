"""Whether code in an answer parses, and files that its calls write.

Python, JSON and TOML are parsed; of some other languages the brackets are matched. What can't be looked into (shell,
YAML, a session at a prompt, a sketch with gaps, too much of it) says nothing for or against a draft.
"""

from __future__ import annotations

import ast
import re
import textwrap
import tomllib
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from router.routing.judging import words
from router.routing.judging.check import Check, counted
from router.routing.judging.prose import Block

_WEIGHT: Final = 0.7

_MAX_CODE: Final = 24_000
"""Characters that are parsed of one draft."""
_LONGEST_QUESTION: Final = 50_000
_MAX_TOML: Final = 4_000
"""Characters of one piece of TOML: a key of many parts costs the square of its length."""
_MAX_BRACKETS: Final = 1_000
"""Opening brackets in them: Python's parser needs up to 30 µs for one, where they are deep inside one another."""


def code_check(blocks: Iterable[Block], files: Iterable[tuple[str, str]], question: str) -> Check | None:
    """``files`` are endings and contents of files that calls write. Code of the question's own is only quoted."""
    pieces = [(f"code block {number}", block.language, block) for number, block in enumerate(blocks, 1)]
    pieces += [("the file that is written", ending, Block(ending, content, True)) for ending, content in files]
    question = question[:_LONGEST_QUESTION]
    characters, brackets = _MAX_CODE, _MAX_BRACKETS
    faults: list[str] = []
    fine = 0
    for name, language, block in pieces:
        code = block.code.strip("\n")
        if not block.closed:
            faults.append(f"{name} isn't closed")
            continue
        look = LANGUAGES.get(language)
        if look is None or not code.strip() or code.strip() in question:
            continue
        characters -= len(code)
        brackets -= code.count("(") + code.count("[") + code.count("{")
        if characters < 0 or brackets < 0:
            break
        fault = look(code)
        if fault:
            faults.append(f"{name} ({language}) {fault}")
        elif fault is not None:
            fine += 1
        if fault is not None and words.LEFT_TO_PERSON.search(code):
            return Check("code", 0.2, _WEIGHT, f"{name} leaves the work to the person")
    if not faults:
        return Check("code", 1.0, _WEIGHT, f"{counted(fine, 'piece')} of code without a fault") if fine else None
    said = faults[0] if len(faults) == 1 else f"{faults[0]}, and {len(faults) - 1} more with a fault"
    return Check("code", fine / (fine + len(faults)), _WEIGHT, said)


# Each of the following says what is wrong with a piece of code: nothing (""), or ``None`` where it can't tell.

_PROMPT: Final = re.compile(r"^(?:>>> |In \[\d+\]|[%!$] ?\w|[-+]{3} |@@ )", re.MULTILINE)
# A backslash that begins no escape sequence is only worth a warning, but the parser would print it.
_NO_ESCAPE: Final = re.compile(r"\\(\\|(?=[^\n\\'\"abfnrtvxuUN0-7]))")
# Newer than the oldest Python that the router runs on; whether such a line parses must not depend on that.
_NEWER: Final = re.compile(
    r"\s*(?:type \w+ ?[=\[]|class \w+\[|(?:async )?def \w+\[|except [\w.]+,)|.*\b[ft]r?[\"']", re.DOTALL
)


def _python(code: str) -> str | None:
    if "\0" in code or _PROMPT.search(code):
        return None
    code = _NO_ESCAPE.sub(lambda match: "\\\\" if match[1] else "", textwrap.dedent(code))
    try:
        ast.parse(code)
    except SyntaxError as error:
        if error.text is not None and _NEWER.match(error.text):
            return None
        return f"doesn't parse (line {error.lineno})"
    except (ValueError, RecursionError, MemoryError):
        return None
    return ""


_GAP: Final = re.compile(r"\.\.\.|…")
_COMMENT: Final = re.compile(r"(?:^|[\s,{\[])(?://|/\*|#)")


def _json(code: str) -> str | None:
    members = "{" + code.rstrip(" ,\n") + "}"  # some of an object's, as when a file is to be changed
    if _is_json(code) or _is_json(members) or all(_is_json(line) for line in code.splitlines() if line.strip()):
        return ""
    return None if _GAP.search(code) or _COMMENT.search(code) else "isn't valid JSON"


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True


def _toml(code: str) -> str | None:
    if len(code) > _MAX_TOML:
        return None
    try:
        tomllib.loads(code)
    except RecursionError:
        return None
    except ValueError:
        return None if _GAP.search(code) else "isn't valid TOML"
    return ""


_STRINGS: Final = r'"(?:[^"\\\n]|\\.)*"?|`(?:[^`\\]|\\.)*`?'
_COMMENTS: Final = r"//[^\n]*|/\*.*?(?:\*/|\Z)"
_RAW: Final = (
    r'R"(?P<end>[^()\\\s]{0,16})\((?:.*?\)(?P=end)"|.*)|"""(?:[^\\]|\\.)*?(?:"""|\Z)'  # C++; Java, Kotlin, Swift
)
_QUOTED: Final = r"'(?:[^'\\\n]|\\.){0,120}'"
_CHARACTER: Final = r"'(?:[^'\\\n]|\\.[^'\n]{0,10})'"  # Rust has a lone ' before a lifetime
_REGEX: Final = r"(?<=[=(,:\[!&|?{};\n])[ \t]*/(?![*/])(?:[^/\\\n\[]|\\.|\[(?:[^\]\\\n]|\\.){0,120}\]){1,200}/"
_BRACKET: Final = r"(?P<bracket>[()\[\]{}])"
_PAIRS: Final = {")": "(", "]": "[", "}": "{"}


def _brackets(*skipped: str) -> Callable[[str], str | None]:
    tokens = re.compile("|".join((*skipped, _BRACKET)), re.DOTALL)

    def look(code: str) -> str | None:
        fault = _unmatched(tokens, code)
        return None if fault and _GAP.search(code) else fault

    return look


def _unmatched(tokens: re.Pattern[str], code: str) -> str:
    open_brackets: list[str] = []
    for match in tokens.finditer(code):
        bracket = match["bracket"]
        if bracket is None:
            continue
        if bracket not in _PAIRS:
            open_brackets.append(bracket)
        elif not open_brackets or open_brackets.pop() != _PAIRS[bracket]:
            return f"closes a bracket that isn't open (line {code.count(chr(10), 0, match.start()) + 1})"
    return f"leaves {counted(len(open_brackets), 'bracket')} open" if open_brackets else ""


_like_c: Final = _brackets(_COMMENTS, _RAW, _STRINGS, _QUOTED)
_like_javascript: Final = _brackets(_COMMENTS, _STRINGS, _QUOTED, _REGEX)

LANGUAGES: Final[Mapping[str, Callable[[str], str | None]]] = {
    **dict.fromkeys(("python", "py", "python3", "pyi"), _python),
    "json": _json,
    "toml": _toml,
    **dict.fromkeys("javascript js mjs cjs jsx typescript ts tsx jsonc json5".split(), _like_javascript),
    **dict.fromkeys("java kotlin kt c h cpp c++ hpp cc cs csharp go golang swift scala dart proto".split(), _like_c),
    **dict.fromkeys(("rust", "rs"), _brackets(_COMMENTS, _STRINGS, _CHARACTER)),
    **dict.fromkeys(("css", "scss"), _brackets(r"/\*.*?(?:\*/|\Z)", _STRINGS, _QUOTED)),
    "sql": _brackets(r"--[^\n]*", r"/\*.*?(?:\*/|\Z)", r"'[^']*'?", r'"[^"\n]*"?'),
}
"""What looks into code, by the word behind a fence, or the ending of a file's name."""
