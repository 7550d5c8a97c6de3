"""Applies the rules of retention: drops days that are over, and prunes the kinds that have no days, stretch by stretch.

It needs no fence: a day is dropped once, and the store compares each with its rule when it drops it. The leader does it
every hour; an operator may see what is due (`plan`), and have it done now (`apply`).
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import date

from msgspec import Struct

from rota.core.retention import aged_days, latest_cutoff, rule_problems
from rota.domain.errors import Unavailable, invalid_input
from rota.domain.retention import KINDS, DropOutcome, HistoryDay, RetentionRules
from rota.domain.tenancy import AuditEntry
from rota.ports.clock import Clock
from rota.ports.retention_store import RetentionStore
from rota.services.acting import Actor
from rota.services.leadership import Leadership
from rota.services.waiting import wait_for_any

HOUR_SECONDS = 3_600.0
STANDBY_SECONDS = 60.0
# A new leader has more urgent duties first.
FIRST_AFTER_SECONDS = 60.0
# What others were at work in is tried again after so long.
BUSY_SECONDS = 300.0
DAYS_PER_ROUND_MAX = 200
# A stretch is 16 MB of a table: some 30 ms. Between two of them others get their turn.
PAGES_PER_STRETCH = 2_000
# A row of a page may carry hundreds of KiB of documents beside it, which go with it.
PAGES_PER_STRETCH_OF: Mapping[str, int] = {"graph_jobs": 24, "policy_jobs": 24}
STRETCHES_PER_REQUEST_MAX = 50
STRETCH_SPACING_SECONDS = 0.1

_DUTY = AuditEntry("leader", "apply", "retention", "")


class AppliedDay(Struct, frozen=True):
    """A day that is over, and what became of it; `due` where nothing was to be done to it yet."""

    kind: str
    day: date
    bytes: int
    rows_estimate: int | None
    outcome: DropOutcome | str


class AppliedRetention(Struct, frozen=True):
    """`deleted` counts by kind what was pruned. `is_done`: nothing more is over, by what was seen."""

    dry_run: bool
    days: tuple[AppliedDay, ...]
    deleted: dict[str, int]
    is_done: bool


class Retention:
    """The verbs. Stateless."""

    def __init__(self, store: RetentionStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def change(self, actor: Actor, keep_days: Mapping[str, int]) -> RetentionRules:
        """Raises INVALID_INPUT."""

        def decide(rules: RetentionRules) -> Mapping[str, int]:
            problems = list(rule_problems(rules.keep_days(), keep_days))
            if problems:
                raise invalid_input(problems)
            return keep_days

        return await self._store.change(decide, actor.audit("change", "retention", ",".join(sorted(keep_days))))

    async def plan(self) -> AppliedRetention:
        """What a round would drop now. Kinds without days are not counted beforehand."""
        days = await self._due()
        return AppliedRetention(True, tuple(_applied(one, _expected(one)) for one in days), {}, not days)

    async def apply(
        self, audit: AuditEntry = _DUTY, stretches_max: int = STRETCHES_PER_REQUEST_MAX
    ) -> AppliedRetention:
        """One bounded round. Raises Unavailable when all kinds had their turn; what was dropped stays dropped."""
        due = await self._due()
        lost: dict[str, Unavailable] = {}
        done: list[AppliedDay] = []
        for one in due[:DAYS_PER_ROUND_MAX]:
            if one.kind not in lost:
                with _losing(one.kind, lost):
                    done.append(_applied(one, await self._drop(one, audit)))
        deleted: dict[str, int] = {}
        ended = len(due) <= DAYS_PER_ROUND_MAX and all(one.outcome != "busy" for one in done)
        for kind, known in KINDS.items():
            if not known.by_day:
                with _losing(kind, lost):
                    deleted[kind], is_whole = await self._prune(kind, stretches_max)
                    ended = ended and is_whole
        for refused in lost.values():
            raise refused
        return AppliedRetention(False, tuple(done), deleted, ended)

    async def _due(self) -> tuple[HistoryDay, ...]:
        rules = await self._store.rules()
        return aged_days(rules, await self._store.days_until(latest_cutoff(rules)))

    async def _drop(self, one: HistoryDay, audit: AuditEntry) -> DropOutcome:
        return "needed" if one.is_needed else await self._store.drop_if_aged(one.kind, one.day, audit)

    async def _prune(self, kind: str, stretches_max: int) -> tuple[int, bool]:
        page: int | None = 0
        deleted = 0
        for _ in range(stretches_max):
            pages = PAGES_PER_STRETCH_OF.get(kind, PAGES_PER_STRETCH)
            stretch = await self._store.prune_stretch(kind, page, pages)
            deleted += stretch.deleted_count
            page = stretch.next_page
            if page is None:
                return deleted, True
            await self._clock.sleep(STRETCH_SPACING_SECONDS)
        return deleted, False


class RetentionDuty:
    """The leader's: `run` is its loop."""

    def __init__(self, retention: Retention, leadership: Leadership, clock: Clock) -> None:
        self._retention = retention
        self._leadership = leadership
        self._clock = clock
        self._changed = leadership.subscribe()

    async def run(self) -> None:
        """Until it is cancelled. Raises Unavailable; the next run begins anew."""
        pause = FIRST_AFTER_SECONDS
        while True:
            self._changed.clear()
            leads = self._leadership.fence() is not None
            await wait_for_any([self._changed], self._clock, pause if leads else STANDBY_SECONDS)
            if self._changed.is_set():
                pause = FIRST_AFTER_SECONDS
            elif leads:
                pause = await self.round()

    async def round(self) -> float:
        """Gives the seconds until the next."""
        applied = await self._retention.apply(stretches_max=2**31)
        return BUSY_SECONDS if any(one.outcome == "busy" for one in applied.days) else HOUR_SECONDS


@contextmanager
def _losing(kind: str, lost: dict[str, Unavailable]) -> Generator[None]:
    """One kind that takes too long, or is locked, holds up no other."""
    try:
        yield
    except Unavailable as refused:
        lost[kind] = refused


def _expected(day: HistoryDay) -> str:
    return "needed" if day.is_needed else "due"


def _applied(day: HistoryDay, outcome: str) -> AppliedDay:
    return AppliedDay(day.kind, day.day, day.bytes, day.rows_estimate, outcome)
