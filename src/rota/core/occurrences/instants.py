"""Instants as whole microseconds since 1970-01-01T00:00Z, and the span of time that occurrences are computed for.

Inside this package an instant is an int (`_us` where it counts microseconds, otherwise seconds); a *local* second is
what the wall clock of a zone shows, counted as if that clock were UTC.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_ORDINAL: Final = EPOCH.toordinal()
DAY_SECONDS: Final = 86_400
SECOND_US: Final = 1_000_000
DAY_US: Final = DAY_SECONDS * SECOND_US

YEAR_FIRST: Final = 1970
"""The first year that a trigger may name. Asking about an earlier instant is allowed."""

YEAR_LAST: Final = 2199
"""The last year that has occurrences: every search ends at `HORIZON`, so none runs for ever."""


def second_of_year(year: int) -> int:
    """The first second of `year`, in UTC or on any local clock."""
    return (date(year, 1, 1).toordinal() - EPOCH_ORDINAL) * DAY_SECONDS


HORIZON: Final = second_of_year(YEAR_LAST + 1)
HORIZON_US: Final = HORIZON * SECOND_US
BEGINNING: Final = second_of_year(1900)
BEGINNING_US: Final = BEGINNING * SECOND_US


def to_microseconds(instant: datetime) -> int:
    """An aware datetime of any zone. A naive one is a TypeError: it names no instant."""
    since = instant - EPOCH
    return (since.days * DAY_SECONDS + since.seconds) * SECOND_US + since.microseconds


def to_datetime(instant_us: int) -> datetime:
    return EPOCH + timedelta(0, instant_us // SECOND_US, instant_us % SECOND_US)


def date_of(day: int) -> date:
    """`day` counts days since 1970-01-01."""
    return date.fromordinal(day + EPOCH_ORDINAL)


def day_number(day: date) -> int:
    return day.toordinal() - EPOCH_ORDINAL
