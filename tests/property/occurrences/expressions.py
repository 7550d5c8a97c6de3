"""Random cron expressions together with what they mean, said in the plainest way: a function of a local time.

The text and the meaning are drawn side by side, so no parser is needed to know what a text should mean.
"""

from calendar import monthrange
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


@dataclass(frozen=True)
class Field:
    """`holds` tells whether a value of the field (or a date, for the day fields) is one of the field's."""

    text: str
    holds: Callable[[int], bool]


@dataclass(frozen=True)
class DayField:
    text: str
    holds: Callable[[date], bool]


@dataclass(frozen=True)
class Expression:
    text: str
    names: Callable[[datetime], bool]
    wildcard: bool

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


def any_date(_: date) -> bool:
    return True


def every(values: Iterable[int]) -> Callable[[int], bool]:
    return frozenset(values).__contains__


@st.composite
def number_items(draw: DrawFn, low: int, high: int, *, wraps: bool = True) -> Field:
    """One item: a value, a range with or without a step, or a value with a step."""
    first = draw(st.integers(low, high))
    last = draw(st.integers(low if wraps else first, high))
    step = draw(st.integers(1, high - low + 1))
    walk = [*range(first, last + 1)] if first <= last else [*range(first, high + 1), *range(low, last + 1)]
    return draw(
        st.sampled_from(
            [
                Field(f"{first}", every([first])),
                Field(f"{first}-{last}", every(walk)),
                Field(f"{first}-{last}/{step}", every(walk[::step])),
                Field(f"{first}/{step}", every(range(first, high + 1, step))),
            ]
        )
    )


@st.composite
def number_fields(draw: DrawFn, low: int, high: int, *, wraps: bool = True) -> Field:
    """A star, a star with a step, or a list of one to three items."""
    step = draw(st.integers(1, high - low + 1))
    items = draw(st.lists(number_items(low, high, wraps=wraps), min_size=1, max_size=3))
    joined = Field(",".join(item.text for item in items), lambda value: any(item.holds(value) for item in items))
    star = Field("*", every(range(low, high + 1)))
    return draw(st.sampled_from([star, joined, joined, Field(f"*/{step}", every(range(low, high + 1, step)))]))


def days_of_month() -> SearchStrategy[DayField]:
    plain = number_fields(1, 31, wraps=False).map(lambda field: DayField(field.text, lambda day: field.holds(day.day)))
    last = st.integers(0, 30).map(lambda n: DayField(f"L-{n}" if n else "L", lambda day: day.day == length(day) - n))
    near = st.integers(1, 31).map(lambda n: DayField(f"{n}W", lambda day: day.day == nearest_weekday(day, n)))
    last_weekday = st.just(DayField("LW", lambda day: day.day == nearest_weekday(day, length(day))))
    return st.one_of(plain, plain, last, near, last_weekday, st.just(DayField("?", any_date)))


def days_of_week() -> SearchStrategy[DayField]:
    plain = number_fields(0, 6).map(lambda field: DayField(field.text, lambda day: field.holds(weekday(day))))
    sunday = st.just(DayField("7", lambda day: weekday(day) == 0))
    named = st.integers(0, 6).map(lambda n: DayField(WEEKDAYS[n].lower(), lambda day: weekday(day) == n))
    last = st.integers(0, 6).map(lambda n: DayField(f"{n}L", lambda day: weekday(day) == n and is_last_of_kind(day)))
    nth = st.tuples(st.integers(0, 6), st.integers(1, 5)).map(
        lambda pair: DayField(f"{pair[0]}#{pair[1]}", lambda day: (weekday(day), count_of_kind(day)) == pair)
    )
    return st.one_of(plain, plain, sunday, named, last, nth, st.just(DayField("?", any_date)))


def months() -> SearchStrategy[Field]:
    named = st.integers(1, 12).map(lambda number: Field(MONTHS[number - 1], every([number])))
    return st.one_of(st.just(Field("*", every(range(1, 13)))), number_fields(1, 12), named)


def weekday(day: date) -> int:
    """Sunday is 0."""
    return day.isoweekday() % 7


def length(day: date) -> int:
    return monthrange(day.year, day.month)[1]


def is_last_of_kind(day: date) -> bool:
    return day.day + 7 > length(day)


def count_of_kind(day: date) -> int:
    """3 for the third of its weekday in its month."""
    return sum(1 for number in range(1, day.day + 1) if day.replace(day=number).weekday() == day.weekday())


def nearest_weekday(day: date, wanted: int) -> int:
    """Of the month's working days, the one nearest to day `wanted`; 0 if the month has no such day."""
    if wanted > length(day):
        return 0
    working = [number for number in range(1, length(day) + 1) if day.replace(day=number).isoweekday() <= 5]
    return min(working, key=lambda number: abs(number - wanted))


def counts_as_star(text: str) -> bool:
    return text.startswith(("*", "?"))


def is_day(day: date, of_month: DayField, of_week: DayField) -> bool:
    if counts_as_star(of_month.text) or counts_as_star(of_week.text):
        return of_month.holds(day) and of_week.holds(day)
    return of_month.holds(day) or of_week.holds(day)


@st.composite
def day_fields(draw: DrawFn) -> tuple[str, Callable[[date], bool]]:
    """Day of month, month and day of week: their text with spaces, and the dates that they name."""
    any_day = DayField("*", any_date)
    of_month = draw(days_of_month()) if draw(st.booleans()) else any_day
    of_week = draw(days_of_week()) if draw(st.booleans()) else any_day
    month = draw(months()) if draw(st.integers(0, 3)) == 0 else Field("*", every(range(1, 13)))
    text = f"{of_month.text} {month.text} {of_week.text}"
    return text, lambda day: month.holds(day.month) and is_day(day, of_month, of_week)


@st.composite
def expressions(draw: DrawFn, *, with_seconds: bool = False) -> Expression:
    minute, hour = draw(number_fields(0, 59)), draw(number_fields(0, 23))
    second = draw(number_fields(0, 59)) if with_seconds else Field("", every([0]))
    days_text, holds_day = draw(day_fields())

    def names(local: datetime) -> bool:
        in_day = minute.holds(local.minute) and hour.holds(local.hour) and second.holds(local.second)
        return in_day and holds_day(local.date())

    text = f"{second.text} {minute.text} {hour.text} {days_text}".strip()
    wildcard = minute.text.startswith("*") or hour.text.startswith("*")
    return Expression(text, names, wildcard)
