"""The six fields of a cron expression: their names, ranges and words, and the error that names one of them."""

from typing import Final

from msgspec import Struct

from rota.domain.errors import DomainError
from rota.domain.problems import FieldProblem


class CronSyntaxError(DomainError):
    """A cron expression that cannot be read. `field` names one of `FIELDS`, or is "expression" for the whole."""

    def __init__(self, field: str, problem: str, remedy: str) -> None:
        where = "" if field == "expression" else f"{field}: "
        super().__init__(
            "INVALID_INPUT", f"{where}{problem}", (FieldProblem("expression", f"{where}{problem}", remedy),)
        )
        self.field = field
        self.problem = problem
        self.remedy = remedy


class FieldRange(Struct, frozen=True):
    """One field: `low` to `high` inclusive, `words` standing for values from `words_from` on.

    `hash_high` is the top of the range that `H` draws from: no day after the 28th, so that every month has one.
    """

    name: str
    low: int
    high: int
    hash_high: int
    words: tuple[str, ...] = ()
    words_from: int = 0
    may_wrap: bool = True

    @property
    def span(self) -> str:
        return f"{self.low}-{self.high}"


SECOND: Final = FieldRange("second", 0, 59, 59)
MINUTE: Final = FieldRange("minute", 0, 59, 59)
HOUR: Final = FieldRange("hour", 0, 23, 23)
DAY_OF_MONTH: Final = FieldRange("day_of_month", 1, 31, 28, may_wrap=False)
MONTH: Final = FieldRange(
    "month", 1, 12, 12, ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"), 1
)
DAY_OF_WEEK: Final = FieldRange("day_of_week", 0, 7, 6, ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"))

FIELDS: Final = (SECOND, MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK)
