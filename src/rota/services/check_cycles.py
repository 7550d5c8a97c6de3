"""Tells of the leader's check cycles: one event for what was due, at most one a second, and one a minute of idle looks.

`CheckNotes` gathers, and never waits: a look costs its leader nothing here. `CheckTelling` is the duty that stores what
was gathered. What cannot be stored is kept and told with the next; a process that dies takes a second of it along.
"""

import asyncio
from collections.abc import Mapping

from rota.core.cycles import add_sums, term_facts
from rota.domain.cycle import CheckReport, CheckSums, DueCounts
from rota.domain.errors import Unavailable
from rota.domain.ids import Epoch
from rota.domain.lease import Fence
from rota.ports.clock import Clock
from rota.ports.cycle_store import CycleStore
from rota.services.leadership import Leadership
from rota.services.waiting import wait_for_any
from rota.telemetry.metrics import Metrics

TELLING_SPACING_SECONDS = 1.0
TELLING_IDLE_SECONDS = 60.0
STANDBY_SECONDS = 60.0


class CheckNotes:
    """What the leader's looks came to since it was taken last. `found_some` is set while something due is among it."""

    def __init__(self, metrics: Metrics | None = None) -> None:
        self._metrics = metrics
        self._sums = CheckSums()
        self.found_some = asyncio.Event()
        self.interval_seconds = 0.0
        self.interval_reason = ""
        self.next_check_in_seconds = 0.0

    def found(self, counts: Mapping[str, DueCounts]) -> None:
        """What a part of a cycle came to, by kind of trigger."""
        if counts:
            self._add(CheckSums(by_kind=dict(counts)))
            self.found_some.set()

    def checked(self, seconds: float, *, is_cycle: bool, lag_seconds: float | None = None) -> None:
        """A look, with what it called for, took so long; the longest due time was so late when it was made, which
        only who looks at due times knows.
        """
        self._add(CheckSums(1, 0, int(is_cycle), seconds, seconds))
        if is_cycle:
            self.found_some.set()
        if self._metrics is not None:
            self._metrics.count("rota_checks_total", outcome="due" if is_cycle else "idle")
            self._metrics.observe("rota_check_seconds", seconds)
            if lag_seconds is not None:
                self._metrics.set("rota_firing_lag_seconds", lag_seconds)

    def failed(self) -> None:
        """A look had no answer, or what it called for was not done."""
        self._add(CheckSums(1, 1))
        if self._metrics is not None:
            self._metrics.count("rota_checks_total", outcome="failed")

    def paced(self, interval_seconds: float, reason: str, next_check_in_seconds: float) -> None:
        """How long the leader sleeps from now on, at most, and until its next look."""
        self.interval_seconds, self.interval_reason = interval_seconds, reason
        self.next_check_in_seconds = max(0.0, next_check_in_seconds)

    def take(self) -> CheckSums:
        taken, self._sums = self._sums, CheckSums()
        self.found_some.clear()
        return taken

    def give_back(self, sums: CheckSums) -> None:
        """What was taken and could not be told."""
        self._add(sums)
        if sums.cycles_count or sums.by_kind:
            self.found_some.set()

    def led(self, *, leads: bool) -> None:
        """Whether this process leads, from now on. What is late is for the leader to say."""
        if self._metrics is not None:
            self._metrics.set("rota_leading", int(leads))
            if not leads:
                self._metrics.set("rota_firing_lag_seconds", 0.0)

    def _add(self, more: CheckSums) -> None:
        self._sums = add_sums(self._sums, more)


class CheckTelling:
    """The teller of one candidate. `run` is its loop."""

    def __init__(self, notes: CheckNotes, store: CycleStore, leadership: Leadership, clock: Clock) -> None:
        self._notes = notes
        self._store = store
        self._leadership = leadership
        self._clock = clock
        self._changed = leadership.subscribe()
        self._term: Fence | None = None
        self._term_sums = CheckSums()
        self._told_interval: float | None = None

    async def run(self) -> None:
        """Until it is cancelled. Raises Unavailable; what was not stored is told by the next run."""
        while True:
            self._changed.clear()
            self._notes.led(leads=self._leadership.fence() is not None)
            await self.tell()
            leads = self._follow()
            if leads:
                await self._tell_while_leading()
            else:
                await wait_for_any([self._changed], self._clock, STANDBY_SECONDS)

    async def _tell_while_leading(self) -> None:
        while not self._changed.is_set():
            await wait_for_any([self._changed, self._notes.found_some], self._clock, TELLING_IDLE_SECONDS)
            await self.tell()
            await self._clock.sleep(TELLING_SPACING_SECONDS)

    async def tell(self) -> None:
        """What was gathered so far; also called once more when the process ends. Nothing where nobody looked."""
        term, sums = self._term, self._notes.take()
        if term is None or not sums.checks_count:
            self._notes.give_back(sums)
            return
        try:
            await self._store.record(self._report(term, sums))
        except Unavailable:
            self._notes.give_back(sums)
            raise
        self._term_sums = add_sums(self._term_sums, sums)
        self._told_interval = self._notes.interval_seconds

    def facts_of_term(self, epoch: Epoch) -> dict[str, int]:
        """What was told of that term, for the event of its end."""
        return term_facts(self._term_sums) if self._term is not None and self._term.epoch == epoch else {}

    def _follow(self) -> bool:
        """Whether this process leads. A new term has sums of its own."""
        fence = self._leadership.fence()
        if fence is not None and fence != self._term:
            self._term, self._term_sums, self._told_interval = fence, CheckSums(), None
        return fence is not None

    def _report(self, term: Fence, sums: CheckSums) -> CheckReport:
        notes, told = self._notes, self._told_interval
        return CheckReport(
            term.lease_name,
            term.epoch,
            term.holder,
            sums,
            notes.interval_seconds,
            notes.next_check_in_seconds,
            told if told != notes.interval_seconds else None,
            notes.interval_reason,
        )
