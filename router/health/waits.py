"""How long a provider asks to be left alone, in whatever way it says so. Pure: headers, text and the time of day in,
seconds out.

The first of these that says something readable wins, most explicit first:

1. ``retry-after-ms`` (OpenAI, Azure), then ``retry-after`` (RFC 9110: seconds or a date; some send fractions).
2. The error's body: Google's ``RetryInfo``, fields such as ``resets_in_seconds``, sentences such as "Please try again
   in 6m0s". It speaks of the limit that was hit. Of several hints the longest counts: Google rounds one of two down.
3. Headers with "ratelimit" and "reset" in their names. They come with every reply and list all limits, most of them not
   exhausted; and they tell when a limit is *wholly* refilled, which is later than need be. So they count last, and only
   for limits that nothing remains of. All of those have to be refilled, so the latest counts.

What can't be read, is negative or lies farther away than any billing period says nothing. A moment that has passed asks
for a wait of 0 in 1 and 2; in 3 it says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_S: Final = 32 * 86400.0  # a month, the longest period that quotas are counted in
_EPOCH: Final = 1e9  # a number from here on is no wait but a time of day in seconds since 1970,
_EPOCH_MS: Final = 1e11  # and from here on in milliseconds
_LONGEST_VALUE: Final = 100  # characters of a header
_LONGEST_TEXT: Final = 8000  # characters of an error

_UNITS: Final = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_NUMBER: Final = re.compile(r"\d{1,20}(?:\.\d{0,20})?")
_PIECE: Final = re.compile(r"(\d{1,12}(?:\.\d{0,20})?)(ms|us|µs|ns|[dhms])")
_DURATION: Final = re.compile(rf"(?:{_PIECE.pattern}){{1,6}}")

# In sentences, units are also words: "20 seconds", "1 minute and 30 seconds".
_SPOKEN_UNIT: Final = r"ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?"
_SPOKEN_PIECE: Final = re.compile(rf"(\d{{1,12}}(?:\.\d{{1,20}})?) ?({_SPOKEN_UNIT})(?![a-z])", re.IGNORECASE)
_SPOKEN: Final = re.compile(
    r"\b(?:(?:re)?try(?: again)?|wait|resets?|come back)(?: after| in| for| at least| about)* "
    rf"((?:\d{{1,12}}(?:\.\d{{1,20}})? ?(?:{_SPOKEN_UNIT})(?![a-z])(?:,? (?:and )?)?){{1,6}})",
    re.IGNORECASE,
)
_SPOKEN_DATE: Final = re.compile(
    r"\b(?:regain access on|(?:try again|resets?) (?:at|on|after)) "
    r"(\d{4}-\d\d-\d\d)(?: at |[T ])(\d\d:\d\d(?::\d\d)?)(?:\.\d+)? ?(?:UTC|Z)\b",
    re.IGNORECASE,
)
_FIELD: Final = re.compile(
    r"\b(retry[_-]?after[_-]?ms|(?:retry|quotaReset)[_-]?delay|retry[_-]?after(?:[_-]seconds)?|resets?[_-]in(?:[_-]seconds)?"
    r"|resets[_-]at|x-ratelimit-reset)\\{0,3}[\"']?\s*[:=]\s*\\{0,3}[\"']?([\d.]{1,24}(?:[a-zµ][\d.a-zµ]{0,40})?)",
    re.IGNORECASE,
)
_RATE_LIMIT_ITEM: Final = re.compile(r"r=(\d{1,18})\b[^,]*?;\s*t=(\d{1,10})\b")


def asked_wait_s(headers: Mapping[str, str], *, now_utc: float, message: str = "") -> float | None:
    """Seconds that the provider asks to wait before the next call; ``None`` if it doesn't say.

    ``now_utc`` is in seconds since 1970; ``message`` the error's text or body.
    """
    named = {
        lower: value.strip()
        for name, value in headers.items()
        if len(value) <= _LONGEST_VALUE and ("retry-after" in (lower := name.lower()) or "ratelimit" in lower)
    }
    for wait in (
        _milliseconds(named.get("retry-after-ms", "")),
        _seconds(named.get("retry-after", ""), now_utc),
        max(_told(message[:_LONGEST_TEXT], now_utc), default=None),
        max(_exhausted(named, now_utc), default=None),
    ):
        if wait is not None:
            return wait
    return None


def _seconds(text: str, now_utc: float) -> float | None:
    """A wait or a moment in any spelling: ``0.5``, ``6m0s``, an HTTP date, RFC 3339, (milli)seconds since 1970."""
    if _NUMBER.fullmatch(text):
        number = float(text)
        if number >= _EPOCH:
            return _until(number / 1000 if number >= _EPOCH_MS else number, now_utc)
        return _sensible(number)
    if _DURATION.fullmatch(text):
        return _sensible(sum(float(number) * _UNITS[unit] for number, unit in _PIECE.findall(text)))
    moment = _date(text)
    return None if moment is None else _until(moment.timestamp(), now_utc)


def _date(text: str) -> datetime | None:
    """An RFC 3339 time or one of HTTP's three date formats; without a zone it is UTC."""
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(text)
            return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
    return None


def _milliseconds(text: str) -> float | None:
    return _sensible(float(text) / 1000) if _NUMBER.fullmatch(text) else None


def _sensible(wait_s: float) -> float | None:
    return wait_s if 0 <= wait_s <= LONGEST_S else None


def _until(moment: float, now_utc: float) -> float | None:
    return _sensible(max(0.0, moment - now_utc))


def _told(text: str, now_utc: float) -> Iterator[float]:
    """Every wait that an error's text speaks of."""
    found: list[float | None] = []
    for name, value in _FIELD.findall(text):
        found.append(_milliseconds(value) if name.lower().endswith("ms") else _seconds(value.rstrip("."), now_utc))
    for pieces in _SPOKEN.findall(text):
        spoken = _SPOKEN_PIECE.findall(pieces)
        found.append(_sensible(sum(float(number) * _spoken_unit(unit) for number, unit in spoken)) if spoken else None)
    for day, time in _SPOKEN_DATE.findall(text):
        found.append(_seconds(f"{day}T{time}Z", now_utc))
    return (wait for wait in found if wait is not None)


def _spoken_unit(word: str) -> float:
    word = word.lower()
    return _UNITS["ms"] if word.startswith(("ms", "milli")) else _UNITS[word[0]]


def _exhausted(named: Mapping[str, str], now_utc: float) -> Iterator[float]:
    """How long until each exhausted limit is refilled.

    Names: ``x-ratelimit-reset-requests`` (OpenAI, Groq), ``-reset-tokens-minute`` (Cerebras), ``ratelimitbysize-reset``
    (Mistral), ``anthropic-ratelimit-input-tokens-reset``; beside each, "remaining" in the place of "reset" has what is
    left. Claude's subscription windows have a status instead, ``anthropic-ratelimit-unified-5h-status: rejected``.
    ``ratelimit: "name";r=0;t=30`` is a draft's (draft-ietf-httpapi-ratelimit-headers-08).
    """
    for name, value in named.items():
        if name == "ratelimit":
            yield from _waits(wait for remaining, wait in _RATE_LIMIT_ITEM.findall(value) if not int(remaining))
        elif "ratelimit" in name and "reset" in name and not _anything_left(named, name):
            wait = _seconds(value, now_utc)
            if wait:
                yield wait


def _waits(texts: Iterable[str]) -> Iterator[float]:
    return (wait for text in texts if (wait := _sensible(float(text))))


def _anything_left(named: Mapping[str, str], reset: str) -> bool:
    """Whether a limit is known not to be the one that was hit."""
    remaining = named.get(reset.replace("reset", "remaining"))
    if remaining is not None:
        return bool(_NUMBER.fullmatch(remaining)) and float(remaining) > 0
    status = named.get(reset.replace("reset", "status"))
    return status is not None and status.lower() != "rejected"
