"""The verbs on backfills: show what one would do, start it, cancel it. The leader does the rest (`backfilling`)."""

import asyncio
from datetime import datetime, timedelta
from itertools import islice
from typing import Literal

from msgspec import Struct

from rota.core.backfilling import RUN_ALREADY, backfill_problems, free_key, keys_of, times_of
from rota.domain.backfill import BACKFILL_TIMES_MAX, Backfill, BackfillRequest, BackfillTime
from rota.domain.errors import DomainError, invalid_input
from rota.domain.ids import BackfillId, ScheduleId
from rota.domain.problems import FieldProblem
from rota.domain.schedule import Schedule
from rota.ports.backfill_store import BackfillStore
from rota.ports.idempotency_store import IdempotencyStore, KeyUse
from rota.ports.ids import Ids
from rota.ports.schedule_store import ScheduleStore
from rota.ports.wakeups import Wakeups
from rota.services.acting import Actor
from rota.services.schedule_verbs import fingerprint_of, key_mismatch

BACKFILLS_TOPIC = "backfills"
ITEMS_SHOWN_MAX = 100


class BackfillItem(Struct, frozen=True):
    """One time of the window: `trigger` is the place in the schedule; `note` says why it is skipped."""

    fire_at: datetime
    trigger: int
    action: Literal["run", "skip"]
    note: str | None = None


class BackfillPlan(Struct, frozen=True):
    """What a backfill does, by what has run so far; `items` are the first of all."""

    total_count: int
    new_count: int
    skipped_count: int
    items: tuple[BackfillItem, ...]


class Backfilled(Struct, frozen=True):
    """`backfill` is None for a dry run. `created` is False where an idempotency key was repeated."""

    plan: BackfillPlan
    backfill: Backfill | None
    created: bool


class BackfillVerbs:
    """Stateless; shared by every front door."""

    def __init__(
        self,
        backfills: BackfillStore,
        schedules: ScheduleStore,
        idempotency: IdempotencyStore,
        ids: Ids,
        wakeups: Wakeups,
    ) -> None:
        self._backfills = backfills
        self._schedules = schedules
        self._idempotency = idempotency
        self._ids = ids
        self._wakeups = wakeups

    async def start(
        self, actor: Actor, schedule_id: ScheduleId, request: BackfillRequest, key: str | None = None
    ) -> Backfilled:
        """Raises INVALID_INPUT, STATE_CONFLICT for a deleted schedule, QUOTA_EXCEEDED, IDEMPOTENCY_MISMATCH."""
        schedule = await self._schedules.get(actor.tenant_id, schedule_id)
        if schedule.deleted_at is not None:
            raise DomainError("STATE_CONFLICT", f"schedule {schedule.name!r} is deleted; restore it first")
        now = datetime.fromisoformat(await self._schedules.clock())
        problems = list(backfill_problems(request, now))
        if problems:
            raise invalid_input(problems)
        times = await asyncio.to_thread(_times, schedule, request)
        plan = await self._plan(actor, schedule, times)
        if request.dry_run:
            return Backfilled(plan, None, created=False)
        made_id = BackfillId(self._ids.new_id())
        backfill_id = await self._reserve(actor, schedule_id, request, key, made_id)
        backfill = _opened(actor, schedule, request, (backfill_id, len(times), now))
        stored = await self._backfills.create(backfill, actor.audit("backfill", "schedule", schedule_id))
        self._wakeups.announce(BACKFILLS_TOPIC)
        return Backfilled(plan, stored, created=backfill_id == made_id)

    async def cancel(self, actor: Actor, backfill_id: BackfillId) -> Backfill:
        """Makes no more runs; those that it has made stay. Raises NOT_FOUND, STATE_CONFLICT where it has ended."""
        audit = actor.audit("cancel", "backfill", backfill_id)
        return await self._backfills.cancel_if_running(actor.tenant_id, backfill_id, audit)

    async def _plan(self, actor: Actor, schedule: Schedule, times: list[BackfillTime]) -> BackfillPlan:
        keys = await asyncio.to_thread(keys_of, schedule.triggers, times)
        known = await self._backfills.known_keys(actor.tenant_id, keys)
        run = [free_key(schedule.triggers[time.place], time.at, known) is not None for time in times] if known else []
        new_count = run.count(True) if known else len(times)
        items = tuple(
            BackfillItem(time.at, time.place, "run")
            if not known or run[number]
            else BackfillItem(time.at, time.place, "skip", RUN_ALREADY)
            for number, time in enumerate(times[:ITEMS_SHOWN_MAX])
        )
        return BackfillPlan(len(times), new_count, len(times) - new_count, items)

    async def _reserve(
        self, actor: Actor, schedule_id: ScheduleId, request: BackfillRequest, key: str | None, made_id: BackfillId
    ) -> BackfillId:
        """The id that the first request with `key` has."""
        if key is None:
            return made_id
        use = KeyUse(key, fingerprint_of(request), made_id)
        (first,) = await self._idempotency.reserve_many(actor.tenant_id, f"backfill:{schedule_id}", (use,))
        if first.fingerprint != use.fingerprint:
            raise key_mismatch(key)
        return BackfillId(first.resource_id)


def _times(schedule: Schedule, request: BackfillRequest) -> list[BackfillTime]:
    window = (request.since, request.to)
    times = list(islice(times_of(schedule.id, schedule.triggers, window), BACKFILL_TIMES_MAX + 1))
    if len(times) > BACKFILL_TIMES_MAX:
        problem = f"the window has more than {BACKFILL_TIMES_MAX} firings"
        raise invalid_input([FieldProblem("to", problem, f"end it at {times[-2].at.isoformat()} or before")])
    return times


def _opened(
    actor: Actor, schedule: Schedule, request: BackfillRequest, made: tuple[BackfillId, int, datetime]
) -> Backfill:
    backfill_id, total_count, now = made
    rate = request.runs_per_minute_max
    return Backfill(
        id=backfill_id,
        tenant_id=actor.tenant_id,
        schedule_id=schedule.id,
        state="running",
        since=request.since,
        to=request.to,
        overlap=request.overlap,
        priority=request.priority,
        runs_per_minute_max=rate,
        triggers=schedule.triggers,
        total_count=total_count,
        created_at=now,
        created_by=actor.label,
        paced_at=now - timedelta(seconds=60 / rate),
        resume_at=now,
    )
