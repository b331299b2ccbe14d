"""From a file to exports: which form its rows are in, its rows as lines, and what else there is to say of it.

A file is JSON (an answer of an API, several of them in a list or one after the other) or CSV. Nothing of it is skipped
in silence: what can't be read is an error with its place, what isn't looked at becomes a note.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

from router.errors import ConfigError
from router.reconciling import anthropic, openai
from router.reconciling.export import DAY_MS, Export, Form, Line, Maker
from router.reconciling.fields import Fields

CSV_FORMS: Final = (*anthropic.CSV_FORMS, *openai.CSV_FORMS)
_WANTED = (
    "Anthropic's usage_report or cost_report, OpenAI's organization/usage or organization/costs, or a CSV file of "
    "usage or costs from Anthropic's Console or OpenAI's dashboard"
)
_MOST_NAMED = 6


@dataclass(slots=True)
class _Found:
    """What a file has of one form so far."""

    maker: Maker
    form: Form | None
    lines: list[Line] = field(default_factory=list)
    since_ms: int | None = None
    until_ms: int = 0
    ignored: dict[str, None] = field(default_factory=dict)

    def cover(self, since_ms: int, until_ms: int) -> None:
        self.since_ms = since_ms if self.since_ms is None else min(self.since_ms, since_ms)
        self.until_ms = max(self.until_ms, until_ms)


def read(file: str, content: bytes) -> list[Export]:
    """What a file says, form by form. Raises ConfigError, with the place, where it is no export that is known."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{file}:{line}: isn't UTF-8 text") from None
    start = text.lstrip()[:1]
    if not start:
        raise ConfigError(f"{file}: is empty")
    return _read_json(file, text) if start in "{[" else _read_csv(file, text)


# --- JSON -------------------------------------------------------------------------------------------------------------


def _read_json(file: str, text: str) -> list[Export]:
    found: dict[str, _Found] = {}
    left_out = Counter[str]()
    unfinished = True
    for number, page in enumerate(_pages(file, text), 1):
        place = f"{file}: page {number}"
        buckets = page.get("data")
        _refuse(page, place)
        if not isinstance(buckets, list):
            raise ConfigError(f"{place}: is no usage or costs: expected {_WANTED}")
        unfinished = unfinished and page.get("has_more") is True
        for position, bucket in enumerate(buckets, 1):
            _read_bucket(f"{place}, data[{position - 1}]", bucket, found, left_out)
    notes = [f"{file}: {number} results on {what} are left out" for what, number in left_out.items()]
    if not found:
        if not left_out:
            raise ConfigError(f"{file}: has no data: expected {_WANTED}")
        raise ConfigError(f"{file}: is about {', '.join(left_out)}, which the ledger doesn't count")
    return _exports(file, found, notes, unfinished=unfinished)


def _pages(file: str, text: str) -> Iterator[dict[str, Any]]:
    """The answers in a file: one, several in a list, several one after the other."""
    decoder = json.JSONDecoder(parse_float=Decimal)
    position = _behind_blanks(text, 0)
    while position < len(text):
        try:
            value, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            line = text.count("\n", 0, getattr(error, "pos", position)) + 1
            raise ConfigError(f"{file}:{line}: isn't JSON: {getattr(error, 'msg', error)}") from None
        for page in value if isinstance(value, list) else [value]:
            if not isinstance(page, dict):
                raise ConfigError(f"{file}: is no usage or costs: expected {_WANTED}")
            yield page
        position = _behind_blanks(text, position)


def _behind_blanks(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _refuse(page: Mapping[str, Any], place: str) -> None:
    """Raise ConfigError for answers of the APIs that are something else."""
    error = page.get("error")
    if isinstance(error, dict):
        raise ConfigError(f"{place}: is an error that the API answered: {error.get('message')}")
    rows = page.get("data")
    if isinstance(rows, list) and rows and isinstance(rows[0], dict) and "core_metrics" in rows[0]:
        raise ConfigError(f"{place}: is the report on Claude Code, by person; take usage_report/messages")


def _read_bucket(place: str, bucket: Any, found: dict[str, _Found], left_out: Counter[str]) -> None:
    results = bucket.get("results") if isinstance(bucket, dict) else None
    if not isinstance(results, list) or not ("starting_at" in bucket or "start_time" in bucket):
        raise ConfigError(f"{place}: is no stretch of time with results: expected {_WANTED}")
    fields = Fields(place, bucket)
    maker: Maker = "anthropic" if "starting_at" in bucket else "openai"
    begin, end = ("starting_at", "ending_at") if maker == "anthropic" else ("start_time", "end_time")
    since_ms = fields.moment(begin)
    until_ms = fields.moment(end)
    if not since_ms < until_ms or since_ms // DAY_MS != (until_ms - 1) // DAY_MS:
        raise ConfigError(f"{place}: isn't within one day of UTC")
    if not results:
        found.setdefault(maker, _Found(maker, None)).cover(since_ms, until_ms)
    for position, result in enumerate(results):
        inner = f"{place}.results[{position}]"
        if not isinstance(result, dict):
            raise ConfigError(f"{inner}: isn't an object")
        form = _form_of(result, maker)
        if form is None and maker == "openai" and (what := _other_result(result)):
            left_out[what] += 1
            continue
        if form is None:
            raise ConfigError(f"{inner}: has the fields {_some(result)}: expected {_WANTED}")
        part = found.setdefault(f"{maker} {form.told}", _Found(maker, form))
        part.cover(since_ms, until_ms)
        part.lines.append(form.read(Fields(inner, result), since_ms))
        part.ignored.update(dict.fromkeys(sorted(form.ignored(result))))


def _form_of(result: Mapping[str, Any], maker: Maker) -> Form | None:
    if maker == "openai" and "object" in result:
        form = openai.RESULTS.get(str(result["object"]))
        return form if form is not None and form.takes(result) else None
    forms = anthropic.JSON_FORMS if maker == "anthropic" else openai.RESULTS.values()
    return next((form for form in forms if form.takes(result)), None)


def _other_result(result: Mapping[str, Any]) -> str:
    """``images`` of ``organization.usage.images.result``."""
    parts = str(result.get("object")).split(".")
    known = str(result.get("object")) in openai.RESULTS
    return parts[-2].replace("_", " ") if parts[0] == "organization" and len(parts) > 2 and not known else ""


# --- CSV --------------------------------------------------------------------------------------------------------------


def _read_csv(file: str, text: str) -> list[Export]:
    rows = csv.reader(io.StringIO(text), strict=True)
    try:
        header = [name.strip() for name in next(rows)]
        form = next((form for form in CSV_FORMS if form.takes(dict.fromkeys(header))), None)
        empty = form is None and "start_time" in header and set(header) <= openai.EMPTY_COLUMNS
        if form is None and not empty:
            raise ConfigError(f"{file}:1: has the columns {_some(header)}: expected {_WANTED}")
        found = _Found("openai" if form is None else form.maker, form)
        for cells in rows:
            if any(cells):
                if len(cells) != len(header):
                    raise ConfigError(f"{file}:{rows.line_num}: has {len(cells)} columns, the first line {len(header)}")
                _read_row(Fields(f"{file}:{rows.line_num}", dict(zip(header, cells, strict=True))), form, found)
    except csv.Error as error:
        raise ConfigError(f"{file}:{rows.line_num}: isn't CSV: {error}") from None
    if form is not None:
        found.ignored.update(dict.fromkeys(sorted(form.ignored(dict.fromkeys(header)))))
    if found.since_ms is None:
        raise ConfigError(f"{file}: has no rows")
    return _exports(file, {"": found}, [])


def _read_row(fields: Fields, form: Form | None, found: _Found) -> None:
    """A row; one of OpenAI's in which only the times are filled says that nothing happened."""
    maker = found.maker
    since_ms = fields.moment("usage_date_utc" if maker == "anthropic" else "start_time")
    day_ms = since_ms - since_ms % DAY_MS
    if maker == "anthropic":
        found.cover(day_ms, day_ms + DAY_MS)
    else:
        until_ms = fields.moment("end_time")
        if not since_ms < until_ms <= day_ms + DAY_MS:
            raise ConfigError(f"{fields.place}: isn't within one day of UTC")
        found.cover(since_ms, until_ms)
    happened = any(value for name, value in fields.values.items() if name not in openai.EMPTY_COLUMNS)
    if form is not None and happened:
        found.lines.append(form.read(fields, since_ms))


# --- both -------------------------------------------------------------------------------------------------------------


def _exports(file: str, found: Mapping[str, _Found], notes: list[str], *, unfinished: bool = False) -> list[Export]:
    exports = []
    empty = [part for part in found.values() if part.form is None]
    parts = [part for part in found.values() if part.form is not None] or empty
    for part in parts:
        for days in empty:  # those without results tell of as much as the others
            if days.maker == part.maker:
                part.cover(days.since_ms or 0, days.until_ms)
        form = part.form
        if part.ignored:
            notes.append(f"{file}: not looked at: {', '.join(part.ignored)}")
        exports.append(
            Export(
                file,
                part.maker,
                None if form is None or not part.lines else form.told,
                "nothing but days without usage" if form is None or not part.lines else form.title,
                tuple(_settle(part.lines)),
                part.since_ms or 0,
                part.until_ms,
                unfinished,
            )
        )
    exports[0] = replace(exports[0], notes=tuple(notes))
    return exports


def _settle(lines: list[Line]) -> Iterator[Line]:
    """Where some lines have a model, one without isn't about all of them: it is about none."""
    by_model = any(line.subject in ("model", "batch") for line in lines)
    for line in lines:
        yield replace(line, subject="apart", model="no model") if by_model and line.subject == "all" else line


def _some(names: Mapping[str, Any] | list[str]) -> str:
    shown = [str(name)[:40] for name in list(names)[:_MOST_NAMED]]
    return ", ".join(shown) + (", …" if len(names) > _MOST_NAMED else "")
