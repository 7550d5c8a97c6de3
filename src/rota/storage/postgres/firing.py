"""Firing in PostgreSQL: what is due, and one fenced statement per batch (laws 2 and 7).

`apply` is one round trip on a direct connection that commits by itself: a leader that is frozen at any moment holds no
lock, and a take-over waits no longer than the statement takes.

Specifications and policies are few and their rows many: each text is decoded once.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from functools import lru_cache

import msgspec

from rota.domain.calendar import NamedCalendar
from rota.domain.errors import Bug, Stale, Unavailable
from rota.domain.firing import FIRED_BY, DueBatch, DuePosition, DueTrigger, TriggerAdvance, UnreadableTrigger
from rota.domain.lease import Fence
from rota.domain.policies import Policies
from rota.domain.schedule import TriggerState
from rota.domain.triggers import Trigger
from rota.ports.firing_store import FiringResult, LeaderLook
from rota.storage.firing_events import OVERLAP_CANCEL_REASON
from rota.storage.postgres.driver import Pool, Row
from rota.storage.postgres.firing_columns import advance_columns, birth_columns, event_columns, place_columns
from rota.storage.postgres.look_floors import FireLook, FiresSeen
from rota.storage.postgres.places import give_freed_places
from rota.storage.postgres.query_files import query
from rota.storage.postgres.single_statements import SingleStatements
from rota.storage.postgres.stored_policies import policies_of_text

_LOOK_AHEAD = query("triggers/look_ahead")
_LOOK_FIRST = query("triggers/look_first")
_LIST_DUE = query("triggers/list_due")
_APPLY_ADVANCES = query("triggers/apply_advances")

SPECS_REMEMBERED_MAX = 8_192
POLICIES_REMEMBERED_MAX = 1_024
CALENDARS_REMEMBERED_MAX = 256

_SPEC: msgspec.json.Decoder[Trigger] = msgspec.json.Decoder(Trigger)
_CALENDARS: msgspec.json.Decoder[tuple[NamedCalendar, ...]] = msgspec.json.Decoder(tuple[NamedCalendar, ...])


class PostgresFiringStore:
    """See `rota.ports.firing_store.FiringStore`."""

    def __init__(
        self, service_pool: Pool, patient: SingleStatements | None = None, *, pooled_by_transaction: bool = False
    ) -> None:
        """`patient` statements may take longer than those of a leader's fenced pool."""
        self._statements = SingleStatements(service_pool, pooled_by_transaction=pooled_by_transaction)
        self._patient = patient or self._statements
        self._fires = FireLook()

    async def look(self, overdue_grace_seconds: float | None, overdue_since: datetime | None = None) -> LeaderLook:
        fires, floor = self._fires, self._fires.floor
        try:
            row = await self._statements.fetch_one(
                "looking for due work", _LOOK_AHEAD, overdue_grace_seconds, overdue_since, fires.is_lean, floor
            )
        except Unavailable:
            fires.failed()
            raise
        if row is None:
            raise Bug("a look gave no row")
        fires.note(floor, FiresSeen(row["now"], row["next_fire_at"], row["entries_count"]), is_full=row["is_full"])
        return LeaderLook(
            row["next_fire_in_seconds"],
            row["lost_workers"],
            row["overdue_attempts"],
            row["now"],
            tuple(row["ended_for"]),
            row["follows_live"],
        )

    async def look_fully(self) -> None:
        if not self._fires.is_lean:
            return
        row = await self._patient.fetch_one("looking for the first fire", _LOOK_FIRST)
        if row is None:
            raise Bug("a look gave no row")
        self._fires.note_apart(FiresSeen(row["now"], row["next_fire_at"], row["entries_count"]))

    async def due_triggers(self, limit: int, after: DuePosition | None = None) -> DueBatch:
        fire_at, trigger_id = (self._fires.floor, None) if after is None else (after.next_fire_at, after.trigger_id)
        rows = await self._statements.fetch("listing due triggers", _LIST_DUE, limit, fire_at, trigger_id)
        now: datetime = rows[0]["now"]
        if rows[0]["trigger_id"] is None:
            return DueBatch(now, ())
        last = rows[-1]
        end = DuePosition(last["next_fire_at"], last["trigger_id"]) if len(rows) == limit else None
        found = [_due_trigger(row) for row in rows]
        return DueBatch(
            now,
            tuple([each for each in found if isinstance(each, DueTrigger)]),
            end,
            tuple([each for each in found if isinstance(each, UnreadableTrigger)]),
        )

    async def apply(self, fence: Fence, advances: Sequence[TriggerAdvance]) -> FiringResult:
        if not advances:
            return FiringResult(0, 0, 0, 0, ())
        places = place_columns(advances)
        row = await self._statements.fetch_one(
            "firing",
            _APPLY_ADVANCES,
            fence.lease_name,
            fence.epoch,
            fence.holder,
            *advance_columns(advances),
            OVERLAP_CANCEL_REASON,
            *birth_columns(advances),
            FIRED_BY,
            *event_columns(advances),
            *places,
        )
        if row is None:
            raise Stale(f"epoch {fence.epoch} of lease {fence.lease_name!r} has ended: nothing was fired")
        keys = [key for key in places[0] if key is not None]
        if keys:
            # What has fired stays so; places that are not given now are given by the leader's watch.
            with suppress(Unavailable):
                await give_freed_places(self._statements, keys, waits=False)
        return FiringResult(
            runs_created=row["runs_created"],
            runs_skipped=row["runs_skipped"],
            advanced=row["advanced"],
            refused=len(advances) - row["advanced"],
            queues=tuple(row["queues"]),
        )


def _due_trigger(row: Row) -> DueTrigger | UnreadableTrigger:
    """Columns by their places: by name they cost twice as much, and there are many rows."""
    _, trigger_id, tenant_id, schedule_id, spec, anchor_at, next_at, through, count, calendars, version, name, *rest = (
        row.values()
    )
    policies, queued_count, running_count, is_withheld = rest
    try:
        state = TriggerState(trigger_id, _spec_of(spec), anchor_at, next_at, through, count, _calendars_of(calendars))
        decoded = _policies_of(policies)
    except msgspec.DecodeError as wrong:
        return UnreadableTrigger(tenant_id, schedule_id, trigger_id, str(wrong))
    return DueTrigger(tenant_id, schedule_id, version, name, state, decoded, queued_count, running_count, is_withheld)


def _calendars_of(text: str | None) -> tuple[NamedCalendar, ...]:
    return () if text is None else _named_calendars(text)


@lru_cache(maxsize=CALENDARS_REMEMBERED_MAX)
def _named_calendars(text: str) -> tuple[NamedCalendar, ...]:
    return _CALENDARS.decode(text)


@lru_cache(maxsize=SPECS_REMEMBERED_MAX)
def _spec_of(text: str) -> Trigger:
    return _SPEC.decode(text)


@lru_cache(maxsize=POLICIES_REMEMBERED_MAX)
def _policies_of(text: str) -> Policies:
    return policies_of_text(text)
