"""The verbs on schedules: validate, decide by `core.schedule_changes`, store with events and audit, wake the leader.

A verb without an expected version reads and changes again when somebody else was quicker, a bounded number of times;
one with an expected version never does.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from rota.core.calendar_rules import require_known_calendars
from rota.core.schedule_changes import (
    Change,
    Changed,
    create_schedule,
    delete_schedule,
    patched_draft,
    pause_schedule,
    replace_schedule,
    restore_schedule,
    resume_schedule,
)
from rota.core.validation import require_valid_draft, validate_draft
from rota.domain.calendar import NamedCalendar, calendar_names
from rota.domain.errors import Bug, DomainError, invalid_input
from rota.domain.ids import ScheduleId, TriggerId
from rota.domain.problems import FieldProblem
from rota.domain.schedule import Schedule, ScheduleDraft
from rota.domain.triggers import Trigger
from rota.ports.calendar_store import CalendarStore
from rota.ports.clock import Clock
from rota.ports.idempotency_store import IdempotencyStore, KeyUse
from rota.ports.ids import Ids
from rota.ports.schedule_store import ScheduleChange, ScheduleStore
from rota.ports.wakeups import Wakeups
from rota.services.acting import Actor

BULK_SCHEDULES_MAX = 1_000
CHANGE_TRIES_MAX = 5
RESUME_FROM_DAYS_MAX = 366
REASON_CHARACTERS_MAX = 500
KEY_WAITS_MAX = 10
KEY_WAIT_SECONDS = 0.05
SCHEDULES_TOPIC = "schedules"
_KEY_SCOPE = "schedules"


def _no_triggers(_: Schedule) -> tuple[Trigger, ...]:
    return ()


class Created(Struct, frozen=True):
    """`created` is False where an idempotency key was repeated: `schedule` is then the one it made."""

    schedule: Schedule
    created: bool


class Resumption(Struct, frozen=True):
    """Times between a past `since` and now fall under the misfire policy. `resets_streak` forgives failures."""

    since: datetime | None = None
    resets_streak: bool = False


class ScheduleVerbs:
    """Stateless; shared by every front door."""

    def __init__(
        self,
        schedules: ScheduleStore,
        calendars: CalendarStore,
        idempotency: IdempotencyStore,
        ids: Ids,
        wakeups: Wakeups,
        clock: Clock,
    ) -> None:
        self._calendars = calendars
        self._clock = clock
        self._schedules = schedules
        self._idempotency = idempotency
        self._ids = ids
        self._wakeups = wakeups

    async def create(self, actor: Actor, draft: ScheduleDraft, key: str | None = None) -> Created:
        """Raises INVALID_INPUT, NAME_TAKEN, and IDEMPOTENCY_MISMATCH where `key` was used for another draft."""
        require_valid_draft(draft)
        schedule_id = ScheduleId(self._ids.new_id())
        if key is None:
            return Created((await self._insert(actor, (draft,), (schedule_id,)))[0], created=True)
        reserved = await self._reserve(actor, draft, key, schedule_id)
        if reserved != schedule_id:
            known = await self._find_made(actor, reserved)
            if known is not None:
                return Created(known, created=False)
        return await self._insert_reserved(actor, draft, reserved)

    async def create_many(self, actor: Actor, drafts: Sequence[ScheduleDraft]) -> tuple[Schedule, ...]:
        """All or none. Problems name their schedule by its place: `[3].name`."""
        if not 1 <= len(drafts) <= BULK_SCHEDULES_MAX:
            remedy = f"send 1 to {BULK_SCHEDULES_MAX} schedules at once"
            raise invalid_input([FieldProblem("", f"has {len(drafts)} schedules", remedy)])
        problems = [one.under(f"[{place}]") for place, draft in enumerate(drafts) for one in validate_draft(draft)]
        if problems:
            raise invalid_input(problems)
        return await self._insert(actor, drafts, [ScheduleId(self._ids.new_id()) for _ in drafts])

    async def replace(
        self, actor: Actor, schedule_id: ScheduleId, draft: ScheduleDraft, expected_version: int | None
    ) -> Schedule:
        require_valid_draft(draft)
        ids = self._trigger_ids(draft)
        return await self._change(
            actor,
            schedule_id,
            ("replace", expected_version),
            lambda before, change: replace_schedule(before, draft, trigger_ids=ids, change=change),
            lambda _: draft.triggers,
        )

    async def patch(
        self, actor: Actor, schedule_id: ScheduleId, patch: dict[str, Any], expected_version: int | None
    ) -> Schedule:
        """A JSON merge patch over the draft form of the schedule."""

        def decide(before: Schedule, change: Change) -> Changed:
            draft = patched_draft(before, patch)
            require_valid_draft(draft)
            return replace_schedule(before, draft, trigger_ids=self._trigger_ids(draft), change=change)

        def triggers(before: Schedule) -> Sequence[Trigger]:
            return patched_draft(before, patch).triggers

        return await self._change(actor, schedule_id, ("patch", expected_version), decide, triggers)

    async def pause(
        self, actor: Actor, schedule_id: ScheduleId, reason: str, expected_version: int | None = None
    ) -> Schedule:
        _require_reason(reason)
        said = reason or f"paused by {actor.label}"
        return await self._change(
            actor,
            schedule_id,
            ("pause", expected_version),
            lambda before, change: pause_schedule(before, said, change=change),
        )

    async def resume(
        self, actor: Actor, schedule_id: ScheduleId, how: Resumption, expected_version: int | None = None
    ) -> Schedule:

        def decide(before: Schedule, change: Change) -> Changed:
            if how.since is not None:
                _require_resume_time(how.since, change.now)
            return resume_schedule(before, how.since, change=change, resets_streak=how.resets_streak)

        return await self._change(actor, schedule_id, ("resume", expected_version), decide)

    async def delete(self, actor: Actor, schedule_id: ScheduleId, expected_version: int | None = None) -> Schedule:
        return await self._change(
            actor,
            schedule_id,
            ("delete", expected_version),
            lambda before, change: delete_schedule(before, change=change),
        )

    async def restore(self, actor: Actor, schedule_id: ScheduleId, expected_version: int | None = None) -> Schedule:
        return await self._change(
            actor,
            schedule_id,
            ("restore", expected_version),
            lambda before, change: restore_schedule(before, change=change),
            lambda before: [trigger.spec for trigger in before.triggers],
        )

    async def now(self) -> datetime:
        """The store's time (design law 4)."""
        return datetime.fromisoformat(await self._schedules.clock())

    async def _insert(
        self, actor: Actor, drafts: Sequence[ScheduleDraft], ids: Sequence[ScheduleId]
    ) -> tuple[Schedule, ...]:
        for tries_left in reversed(range(CHANGE_TRIES_MAX)):
            try:
                return await self._insert_once(actor, drafts, ids)
            except DomainError as refused:
                # A calendar was changed between planning by it and storing.
                if refused.code != "VERSION_MISMATCH" or tries_left == 0:
                    raise
        raise Bug("the last try returns or raises")

    async def _insert_once(
        self, actor: Actor, drafts: Sequence[ScheduleDraft], ids: Sequence[ScheduleId]
    ) -> tuple[Schedule, ...]:
        calendars = await self._calendars_of(actor, [trigger for draft in drafts for trigger in draft.triggers])
        for place, draft in enumerate(drafts):
            require_known_calendars(draft.triggers, calendars, f"[{place}]." if len(drafts) > 1 else "")
        change = Change(actor.label, await self.now(), calendars)
        made = [
            create_schedule(
                draft,
                schedule_id=schedule_id,
                tenant_id=actor.tenant_id,
                trigger_ids=self._trigger_ids(draft),
                change=change,
            )
            for draft, schedule_id in zip(drafts, ids, strict=True)
        ]
        schedules = tuple(schedule for schedule, _ in made)
        events = tuple(event for _, drafted in made for event in drafted)
        about = ids[0] if len(ids) == 1 else f"{len(ids)} schedules"
        stored = ScheduleChange(events, actor.audit("create", "schedule", about))
        await self._schedules.insert_many(actor.tenant_id, schedules, stored)
        self._wakeups.announce(SCHEDULES_TOPIC)
        return schedules

    async def _reserve(self, actor: Actor, draft: ScheduleDraft, key: str, schedule_id: ScheduleId) -> ScheduleId:
        fingerprint = fingerprint_of(draft)
        use = KeyUse(key, fingerprint, schedule_id)
        (first,) = await self._idempotency.reserve_many(actor.tenant_id, _KEY_SCOPE, (use,))
        if first.fingerprint != fingerprint:
            raise key_mismatch(key)
        return ScheduleId(first.resource_id)

    async def _find_made(self, actor: Actor, schedule_id: ScheduleId) -> Schedule | None:
        """What the first request with the key made. It may be at work still, so that it is given a moment; None says
        that it ended without making anything.
        """
        for _ in range(KEY_WAITS_MAX):
            known = await self._find(actor, schedule_id)
            if known is not None:
                return known
            await self._clock.sleep(KEY_WAIT_SECONDS)
        return await self._find(actor, schedule_id)

    async def _insert_reserved(self, actor: Actor, draft: ScheduleDraft, schedule_id: ScheduleId) -> Created:
        """The id is the key's own, so that of two requests at once one inserts and the other finds what it made."""
        try:
            return Created((await self._insert(actor, (draft,), (schedule_id,)))[0], created=True)
        except DomainError as refused:
            known = await self._find(actor, schedule_id) if refused.code == "NAME_TAKEN" else None
            if known is None:
                raise
            return Created(known, created=False)

    async def _find(self, actor: Actor, schedule_id: ScheduleId) -> Schedule | None:
        try:
            return await self._schedules.get(actor.tenant_id, schedule_id)
        except DomainError as refused:
            if refused.code != "NOT_FOUND":
                raise
            return None

    async def _change(
        self,
        actor: Actor,
        schedule_id: ScheduleId,
        verb: tuple[str, int | None],
        decide: Callable[[Schedule, Change], Changed],
        triggers: Callable[[Schedule], Sequence[Trigger]] = _no_triggers,
    ) -> Schedule:
        """`triggers` are those of the new state that are planned by their calendars."""
        name, expected_version = verb
        tries_left = CHANGE_TRIES_MAX if expected_version is None else 1
        while True:
            tries_left -= 1
            try:
                return await self._change_once(actor, schedule_id, (name, expected_version), decide, triggers)
            except DomainError as refused:
                if refused.code != "VERSION_MISMATCH" or tries_left == 0:
                    raise

    async def _change_once(
        self,
        actor: Actor,
        schedule_id: ScheduleId,
        verb: tuple[str, int | None],
        decide: Callable[[Schedule, Change], Changed],
        triggers: Callable[[Schedule], Sequence[Trigger]],
    ) -> Schedule:
        name, expected_version = verb
        before = await self._schedules.get(actor.tenant_id, schedule_id)
        if expected_version is not None and before.version != expected_version:
            detail = f"the schedule is at version {before.version}; the change was made for {expected_version}"
            raise DomainError("VERSION_MISMATCH", detail)
        named = triggers(before)
        calendars = await self._calendars_of(actor, named)
        require_known_calendars(named, calendars)
        after, events = decide(before, Change(actor.label, await self.now(), calendars))
        if after == before:
            return before
        stored = ScheduleChange(events, actor.audit(name, "schedule", schedule_id))
        saved = await self._schedules.save_if_version(after, before.version, stored)
        self._wakeups.announce(SCHEDULES_TOPIC)
        return saved

    async def _calendars_of(self, actor: Actor, triggers: Sequence[Trigger]) -> dict[str, NamedCalendar]:
        """Asked only where any is named."""
        names = {name for trigger in triggers for name in calendar_names(trigger)}
        found = await self._calendars.find_named(actor.tenant_id, names) if names else ()
        return {one.name: one for one in found}

    def _trigger_ids(self, draft: ScheduleDraft) -> tuple[TriggerId, ...]:
        return tuple(TriggerId(self._ids.new_id()) for _ in draft.triggers)


def fingerprint_of(request: object) -> bytes:
    """A digest that two requests share exactly when they ask for the same."""
    return hashlib.blake2b(msgspec.json.encode(request, order="deterministic"), digest_size=16).digest()


def key_mismatch(key: str) -> DomainError:
    problem = FieldProblem("idempotency_key", f"{key!r} was used for another request", "use a new key")
    return DomainError("IDEMPOTENCY_MISMATCH", f"the idempotency key {key!r} was used for another request", [problem])


def _require_reason(reason: str) -> None:
    if len(reason) > REASON_CHARACTERS_MAX or not all(one.isprintable() for one in reason):
        remedy = f"send one line of at most {REASON_CHARACTERS_MAX} printable characters"
        raise invalid_input([FieldProblem("reason", "is too long or not printable", remedy)])


def _require_resume_time(since: datetime, now: datetime) -> None:
    if since.utcoffset() is None:
        raise invalid_input(
            [FieldProblem("from", "has no UTC offset, so it names no instant", "end it with 'Z' or an offset")]
        )
    if abs(since - now) > timedelta(days=RESUME_FROM_DAYS_MAX):
        remedy = f"send a time within {RESUME_FROM_DAYS_MAX} days of now"
        raise invalid_input([FieldProblem("from", "is too far from now", remedy)])
