"""Interventions in PostgreSQL: the leader's part through the service login, the summary through the api login.

A schedule's row is held before it is read and judged, in the order of ids. Triggers come after it, as everywhere; who
changes a calendar holds the schedules that use it, so that nothing is planned by an old one.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from rota.core.interventions import decide, noted, pattern_of, successes_wanted_since
from rota.core.schedule_changes import Change, Changed, resume_schedule, stop_schedule
from rota.domain.ids import RunId, ScheduleId, TenantId
from rota.domain.intervention import (
    CRITICAL_FAILURES_COUNT,
    InterventionSummary,
    OldestIntervention,
    ScheduleFailure,
)
from rota.domain.run import FailureClass
from rota.domain.schedule import Schedule
from rota.ports.intervention_store import FOLLOWER, FailuresNoted
from rota.storage.intervention_words import STOPPING, resuming, stopping, summed
from rota.storage.postgres.audit import insert_audit
from rota.storage.postgres.connections import tenant_transaction, transaction
from rota.storage.postgres.driver import Connection, Pool, Row
from rota.storage.postgres.events import insert_events
from rota.storage.postgres.query_files import query
from rota.storage.postgres.schedules import read_schedule
from rota.storage.postgres.single_statements import SingleStatements

_TAKE_TURN = query("interventions/take_turn")
_TAKE_ENDS = query("interventions/take_ends")
_READ_FAILED = query("interventions/read_failed")
_LOCK_SCHEDULES = query("interventions/lock_schedules")
_READ_FAILURES = query("interventions/read_failures")
_SAVE_FAILURES = query("interventions/save_failures")
_LAST_SUCCESS = query("interventions/last_success")
_TAKE_COOLED = query("interventions/take_cooled")
_LOOK_NEXT_COOL_OFF = query("interventions/look_next_cool_off")
_SUMMARY_OF_TENANT = query("interventions/summary_of_tenant")
_SAVE_LOCKED = query("schedules/save_locked")
_REPLACE_TRIGGERS = query("schedules/replace_triggers")
_READ_CLOCK = query("schedules/read_clock")

_FAILURES: msgspec.json.Decoder[tuple[ScheduleFailure, ...]] = msgspec.json.Decoder(tuple[ScheduleFailure, ...])


class PostgresInterventionDuties:
    """See `rota.ports.intervention_store.InterventionDuties`."""

    def __init__(self, service_pool: Pool, *, pooled_by_transaction: bool = False) -> None:
        self._pool = service_pool
        self._statements = SingleStatements(service_pool, pooled_by_transaction=pooled_by_transaction)

    async def note_failures(self, limit: int) -> FailuresNoted:
        async with transaction(self._pool, doing="noting failures of schedules") as connection:
            if not await connection.fetchval(_TAKE_TURN):
                return FailuresNoted(0)
            ends = await connection.fetch(_TAKE_ENDS, FOLLOWER, limit)
            tenants, runs = [end["tenant_id"] for end in ends], [end["run_id"] for end in ends]
            failed = await connection.fetch(_READ_FAILED, tenants, runs) if ends else []
            stopped = await _judge(connection, failed)
        return FailuresNoted(len(ends), tuple(stopped))

    async def resume_cooled(self, limit: int) -> int:
        async with transaction(self._pool, doing="ending cool-offs") as connection:
            cooled = await connection.fetch(_TAKE_COOLED, limit)
            now: datetime = await connection.fetchval(_READ_CLOCK)
            for row in cooled:
                before = await read_schedule(connection, row["tenant_id"], ScheduleId(row["id"]))
                after = resume_schedule(before, None, change=Change(STOPPING, now))
                await _save(connection, before, after)
                await insert_audit(connection, before.tenant_id, resuming(before.id))
        return len(cooled)

    async def next_cool_off_in_seconds(self) -> float | None:
        row = await self._statements.fetch_one("looking for cool-offs that end", _LOOK_NEXT_COOL_OFF)
        return None if row is None else float(row["in_seconds"])


class PostgresInterventionReader:
    """See `rota.ports.intervention_store.InterventionReader`."""

    def __init__(self, api_pool: Pool) -> None:
        self._pool = api_pool

    async def summary(self, tenant_id: TenantId) -> InterventionSummary:
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            rows = await connection.fetch(_SUMMARY_OF_TENANT, tenant_id, CRITICAL_FAILURES_COUNT)
        return InterventionSummary(
            sum(row["total_count"] for row in rows),
            summed((row["type"], row["total_count"]) for row in rows),
            summed((row["failure_class"], row["total_count"]) for row in rows),
            sum(row["critical_count"] for row in rows),
            _oldest(rows),
        )


async def _judge(connection: Connection, failed: Sequence[Row]) -> list[FailureClass]:
    by_schedule: dict[str, list[ScheduleFailure]] = {}
    for row in failed:
        by_schedule.setdefault(row["schedule_id"], []).append(_failure(row))
    stopped: list[FailureClass] = []
    for held in await connection.fetch(_LOCK_SCHEDULES, list(by_schedule)) if by_schedule else []:
        schedule = await read_schedule(connection, held["tenant_id"], ScheduleId(held["id"]))
        failure_class = await _judge_one(connection, schedule, by_schedule[held["id"]])
        if failure_class is not None:
            stopped.append(failure_class)
    return stopped


async def _judge_one(connection: Connection, schedule: Schedule, new: Iterable[ScheduleFailure]) -> FailureClass | None:
    text = await connection.fetchval(_READ_FAILURES, schedule.tenant_id, schedule.id)
    failures = noted(() if text is None else _FAILURES.decode(text), new)
    await connection.execute(_SAVE_FAILURES, schedule.tenant_id, schedule.id, msgspec.json.encode(failures).decode())
    since = successes_wanted_since(schedule, failures)
    last_success_at = (
        None if since is None else await connection.fetchval(_LAST_SUCCESS, schedule.tenant_id, schedule.id, since)
    )
    now: datetime = await connection.fetchval(_READ_CLOCK)
    intervention = decide(schedule, failures, last_success_at, now)
    if intervention is None:
        return None
    await _save(connection, schedule, stop_schedule(schedule, intervention, change=Change(STOPPING, now)))
    await insert_audit(connection, schedule.tenant_id, stopping(schedule.id))
    return intervention.failure_class


async def _save(connection: Connection, before: Schedule, changed: Changed) -> None:
    """Of a schedule that is held."""
    after, events = changed
    triggers = msgspec.json.encode(after.triggers).decode()
    await connection.execute(_SAVE_LOCKED, after.tenant_id, msgspec.json.encode(after).decode())
    await connection.execute(_REPLACE_TRIGGERS, after.tenant_id, after.id, triggers, before.enabled)
    await insert_events(connection, events)


def _failure(row: Row) -> ScheduleFailure:
    return ScheduleFailure(
        RunId(row["run_id"]),
        row["created_at"],
        row["finished_at"],
        row["failure_class"] or "unknown",
        pattern_of(row["message"] or row["reason"]),
    )


def _oldest(rows: Sequence[Row]) -> OldestIntervention | None:
    known = [row for row in rows if row["oldest_at"] is not None]
    if not known:
        return None
    first = min(known, key=lambda row: (row["oldest_at"], row["oldest_id"]))
    return OldestIntervention(ScheduleId(first["oldest_id"]), first["oldest_name"], first["oldest_at"])
