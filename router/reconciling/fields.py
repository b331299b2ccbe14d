"""One row of an export, read with care: what isn't as it should be is told with its place and name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from router.errors import ConfigError

_LARGEST = 10**15  # of a count; what is larger is no count
_LONGEST_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Fields:
    """A CSV row's columns (texts), or a JSON object's fields; ``place`` says where it stands."""

    place: str
    values: Mapping[str, Any]

    def count(self, name: str) -> int:
        """A whole number of at least 0; 0 where there is none."""
        value = self.values.get(name)
        if value is None or value == "":
            return 0
        number = self._number(name, "a whole number")
        if number != number.to_integral_value() or not 0 <= number <= _LARGEST:
            raise self.wrong(name, "a whole number of at least 0")
        return int(number)

    def amount(self, name: str) -> Decimal:
        """A number with as many digits as it was written with."""
        return self._number(name, "an amount")

    def text(self, name: str) -> str:
        """A text without blanks around it; empty where there is none."""
        value = self.values.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.wrong(name, "a text")
        return value.strip()

    def inner(self, name: str) -> Fields:
        """The fields of an object; none where there is no such object."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, Mapping):
            raise self.wrong(name, "an object")
        return Fields(self.place, value or {})

    def flag(self, name: str) -> bool:
        """Whether it says yes: ``true``, or a text such as TRUE."""
        return str(self.values.get(name)).strip().lower() == "true"

    def moment(self, name: str) -> int:
        """A time in milliseconds of UTC: seconds since 1970, or ISO 8601, in UTC if it names no zone."""
        value = self.values.get(name)
        try:
            if isinstance(value, str) and not value.strip().replace(".", "", 1).isdigit():
                at = datetime.fromisoformat(value.strip())
                at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
            else:
                at = datetime.fromtimestamp(int(self._number(name, "a time")), UTC)
        except (ValueError, OverflowError, OSError):
            raise self.wrong(name, 'a time such as "2026-11-01" or "2026-11-01T00:00:00Z"') from None
        return round(at.timestamp() * 1000)

    def wrong(self, name: str, expected: str) -> ConfigError:
        """What to say of a value that can't be used."""
        value = self.values.get(name)
        if value is None:
            return ConfigError(f"{self.place}: there is no {name}")
        text = repr(str(value)) if isinstance(value, str | Decimal | int) else "something else"
        shown = text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
        return ConfigError(f"{self.place}: {name}: expected {expected}, got {shown}")

    def _number(self, name: str, expected: str) -> Decimal:
        value = self.values.get(name)
        if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
            raise self.wrong(name, expected)
        try:
            number = Decimal(value.strip() if isinstance(value, str) else value)
        except InvalidOperation:
            raise self.wrong(name, expected) from None
        if not number.is_finite() or abs(number) > _LARGEST or number.adjusted() < -_LONGEST_SHOWN:
            raise self.wrong(name, expected)
        return number
