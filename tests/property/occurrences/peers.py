"""Where Rota means to differ from croniter and cronsim. docs/occurrences.md says the same in words, row by row.

A difference that is not in the table fails the tests, and so does a row of the table that is never seen.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from croniter import CroniterBadDateError, CroniterError, croniter
from cronsim import CronSim, CronSimError

from rota.core.occurrences import CronSyntaxError, compile_trigger
from rota.core.occurrences.zones import ClockChange, zone_of
from rota.domain.triggers import CronTrigger
from tests.property.occurrences.oracle import wall_clock

FIRES = 6
NEVER = "never"
REFUSED = "refused"
Answer = list[datetime] | str


@dataclass(frozen=True)
class Case:
    expression: str
    zone: str
    after: datetime

    @property
    def fields(self) -> list[str]:
        """Minute, hour, day of month, month, day of week; empty for a macro."""
        fields = self.expression.split()
        return fields[-5:] if len(fields) >= 5 else []

    @property
    def fixed_time(self) -> bool:
        return bool(self.fields) and not (self.fields[0].startswith("*") or self.fields[1].startswith("*"))

    def changes(self, until: datetime) -> list[ClockChange]:
        """The clock changes that can touch fires from `after` to `until`."""
        day = 86_400
        return list(zone_of(self.zone).changes(int(self.after.timestamp()) - day, int(until.timestamp()) + day))


@dataclass(frozen=True)
class Difference:
    """`row` is the first cell of its row in docs/occurrences.md. `explains` gets our answer and the peer's."""

    peer: str
    row: str
    explains: Callable[[Case, Answer, Answer], bool]


def rota(case: Case) -> Answer:
    try:
        occurrences = compile_trigger(CronTrigger(case.expression, timezone=case.zone), hash_key="", anchor=case.after)
    except CronSyntaxError:
        return REFUSED
    fires: list[datetime] = []
    fire = occurrences.next_after(case.after)
    while fire is not None and len(fires) < FIRES:
        fires.append(fire)
        fire = occurrences.next_after(fire)
    return fires or NEVER


def by_croniter(case: Case) -> Answer:
    try:
        iterator = croniter(case.expression, case.after.astimezone(wall_clock(case.zone)), second_at_beginning=True)
        return [iterator.get_next(datetime).astimezone(UTC) for _ in range(FIRES)]
    except CroniterBadDateError:
        return NEVER
    except CroniterError:
        return REFUSED


def by_cronsim(case: Case) -> Answer:
    clock = UTC if case.zone == "UTC" else wall_clock(case.zone)
    try:
        iterator = CronSim(case.expression, case.after.astimezone(clock))
        return [next(iterator).astimezone(UTC) for _ in range(FIRES)]
    except StopIteration:
        return NEVER
    except CronSimError:
        return REFUSED


PEERS: dict[str, Callable[[Case], Answer]] = {"croniter": by_croniter, "cronsim": by_cronsim}


def last_of(*answers: Answer) -> datetime:
    return max(answer[-1] for answer in answers if isinstance(answer, list))


def is_corrected(case: Case, ours: Answer, theirs: Answer) -> bool:
    both = isinstance(ours, list) and isinstance(theirs, list)
    return both and any(change.is_correction for change in case.changes(last_of(ours, theirs)))


def is_half_hour(case: Case, ours: Answer, theirs: Answer) -> bool:
    both = isinstance(ours, list) and isinstance(theirs, list)
    return both and any(abs(change.gained) == 1800 for change in case.changes(last_of(ours, theirs)))


def fires_twice(case: Case, ours: Answer, theirs: Answer) -> bool:
    """Both passes of a repeated local time of a fixed-time job."""
    if not (case.fixed_time and isinstance(ours, list) and isinstance(theirs, list)):
        return False
    return any(change.gained < 0 for change in case.changes(last_of(ours, theirs)))


def wildcard_after_gap(case: Case, ours: Answer, theirs: Answer) -> bool:
    if case.fixed_time or not (isinstance(ours, list) and isinstance(theirs, list)):
        return False
    return any(change.gained > 0 for change in case.changes(last_of(ours, theirs)))


def starred_day_step(case: Case, ours: Answer, theirs: Answer) -> bool:
    return bool(case.fields) and "*/" in case.fields[2] + case.fields[4] and theirs != REFUSED


def only_we_accept(*forms: Callable[[str], bool]) -> Callable[[Case, Answer, Answer], bool]:
    return lambda case, ours, theirs: (
        theirs == REFUSED and ours != REFUSED and any(form(case.expression.upper()) for form in forms)
    )


def only_peer_accepts(*forms: Callable[[str], bool]) -> Callable[[Case, Answer, Answer], bool]:
    return lambda case, ours, theirs: (
        ours == REFUSED and theirs != REFUSED and any(form(case.expression.upper()) for form in forms)
    )


def has(*parts: str) -> Callable[[str], bool]:
    return lambda text: any(part in text for part in parts)


def stepped_circle(case: Case, ours: Answer, theirs: Answer) -> bool:
    """A stepped range whose ends are equal, or that wraps; every other wrapping range has a row of its own."""
    items = [item for field in case.fields for item in field.split(",") if "/" in item and "-" in item]
    bounds = [item.partition("/")[0].split("-") for item in items]
    return any(int(low) >= int(high) for low, high in bounds)


def never_comes(case: Case, ours: Answer, theirs: Answer) -> bool:
    return ours == NEVER and theirs == REFUSED


def repeated_half_hour(case: Case, ours: Answer, theirs: Answer) -> bool:
    return not case.fixed_time and is_half_hour(case, ours, theirs)


DIFFERENCES = (
    Difference("croniter", "`*/2` in a day field", starred_day_step),
    Difference("croniter", "repeated hour, fixed-time job", fires_twice),
    Difference("croniter", "skipped hour, wildcard job", wildcard_after_gap),
    Difference("croniter", "shift of half an hour", is_half_hour),
    Difference("croniter", "correction of the calendar", is_corrected),
    Difference("croniter", "`5L`, `LW`, `L-3`", only_we_accept(has("L"))),
    Difference("croniter", "`L5`", only_peer_accepts(has("L5"))),
    Difference("croniter", "`H`", only_we_accept(has("H"))),
    Difference("croniter", "`*/90`", only_peer_accepts(has("*/90"))),
    Difference("croniter", "`28-3` as days of a month", only_peer_accepts(has("28-3"))),
    Difference("croniter", "`12-12/3`, `13-4/6`", stepped_circle),
    Difference("cronsim", "`12-12/3`, `13-4/6`", stepped_circle),
    Difference("cronsim", "shift of half an hour", repeated_half_hour),
    Difference("cronsim", "correction of the calendar", is_corrected),
    Difference("cronsim", "`15W`, `L-3`, `?`, `H`", only_we_accept(has("15W", "L-3", "?", "H H"))),
    Difference("cronsim", "`22-2`, `FRI-MON`, `NOV-FEB`", only_we_accept(has("22-2", "FRI-MON", "NOV-FEB"))),
    Difference("cronsim", "`@daily` and its kind", only_we_accept(has("@"))),
    Difference("cronsim", "`*/90`", only_peer_accepts(has("*/90"))),
    Difference("cronsim", "`0 0 30 2 *`", never_comes),
)


def explanations(peer: str, case: Case, ours: Answer, theirs: Answer) -> list[Difference]:
    return [one for one in DIFFERENCES if one.peer == peer and one.explains(case, ours, theirs)]
