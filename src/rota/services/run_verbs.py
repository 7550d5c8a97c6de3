"""The verbs on runs: enqueue, trigger a schedule by hand, cancel, retry. Workers are woken after the store has it all.

What is enqueued under an idempotency key is made once: the run key makes the run unique, and the first request's
fingerprint tells a repetition from another request under the same key.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

from msgspec import Struct
from msgspec.structs import replace as changed

from rota.core.dependencies import graph_problems
from rota.core.run_identity import RUNS_SCOPE, idempotency_key
from rota.core.uniqueness import unique_key_of
from rota.core.validation import validate_run_draft
from rota.domain.errors import DomainError, invalid_input
from rota.domain.ids import RunId, ScheduleId
from rota.domain.page import PageRequest
from rota.domain.policies import Overlap
from rota.domain.problems import FieldProblem
from rota.domain.run import Enqueued, Run, RunDraft, RunState
from rota.domain.schedule import Schedule
from rota.domain.targets import Target, TaskTarget
from rota.ports.idempotency_store import IdempotencyStore, KeyUse
from rota.ports.run_store import RunControl, RunFilter, RunIntake, RunReader
from rota.ports.schedule_store import ScheduleStore
from rota.ports.wakeups import Wakeups
from rota.services.acting import Actor
from rota.services.place_watch import PLACES_TOPIC
from rota.services.schedule_verbs import fingerprint_of, key_mismatch

BULK_RUNS_MAX = 10_000
CANCELLED_AT_ONCE_MAX = 500
LIVE_STATES: tuple[RunState, ...] = ("scheduled", "queued", "running")
CANCEL_TOPIC = "cancel"

LiveCounts: TypeAlias = dict[RunState, int]


class TriggerRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What a trigger by hand may change: arguments laid over the task's own, and the overlap policy (else `allow`)."""

    args: dict[str, Any] = {}
    overlap: Overlap = "allow"


class RunVerbs:
    """Stateless; shared by every front door."""

    def __init__(
        self,
        schedules: ScheduleStore,
        intake: RunIntake,
        reader: RunReader,
        control: RunControl,
        idempotency: IdempotencyStore,
        wakeups: Wakeups,
    ) -> None:
        self._schedules = schedules
        self._intake = intake
        self._reader = reader
        self._control = control
        self._idempotency = idempotency
        self._wakeups = wakeups

    async def enqueue(self, actor: Actor, drafts: Sequence[RunDraft]) -> tuple[Enqueued, ...]:
        """All or none, one answer per draft in order. Problems of one draft among several begin with its place."""
        if not 1 <= len(drafts) <= BULK_RUNS_MAX:
            remedy = f"send 1 to {BULK_RUNS_MAX} runs at once"
            raise invalid_input([FieldProblem("", f"has {len(drafts)} runs", remedy)])
        _require_valid(drafts)
        await self._reserve_keys(actor, drafts, RUNS_SCOPE)
        return await self._store(actor, [_keyed(actor, draft, RUNS_SCOPE) for draft in drafts], "enqueue")

    async def trigger(
        self, actor: Actor, schedule_id: ScheduleId, request: TriggerRequest, key: str | None = None
    ) -> Enqueued:
        """One run of a schedule now, also of a paused one. Raises STATE_CONFLICT where `overlap` forbids it.

        Overlap is judged by the live runs as they are read; two triggers by hand at the same moment may both pass, and
        then one waits for the other. Only with `allow` does the run start beside others.
        """
        schedule = await self._schedules.get(actor.tenant_id, schedule_id)
        if schedule.deleted_at is not None:
            detail = f"schedule {schedule.name!r} is deleted; restore it first"
            raise DomainError("STATE_CONFLICT", detail)
        draft = _triggered(actor, schedule, request, key)
        _require_valid([draft])
        scope = f"trigger:{schedule_id}"
        await self._reserve_keys(actor, [draft], scope)
        await self._obey_overlap(actor, schedule, request.overlap)
        (enqueued,) = await self._store(actor, [_keyed(actor, draft, scope)], "trigger")
        return enqueued

    async def made(self, actor: Actor, enqueued: Enqueued) -> Run:
        """The run that a verb has made, or made once under the same key. Raises STATE_CONFLICT where it is gone: keys
        are kept for longer than runs that were deleted.
        """
        try:
            return await self._reader.get(actor.tenant_id, enqueued.run_id)
        except DomainError as refused:
            if refused.code != "NOT_FOUND":
                raise
            detail = f"the run that was made of this once, {enqueued.run_id}, is deleted"
            raise DomainError("STATE_CONFLICT", f"{detail}; a new key makes another one") from refused

    async def cancel(self, actor: Actor, run_id: RunId) -> Run:
        """A running one ends within seconds: the worker that holds it is told. Terminal: STATE_CONFLICT."""
        run = await self._control.cancel_if_live(actor.tenant_id, run_id, actor.audit("cancel", "run", run_id))
        self._wakeups.announce(CANCEL_TOPIC)
        if run.policy.serial:
            self._wakeups.announce(f"queue:{run.queue}")  # for one that waited behind it
        if run.policy.concurrency_max is not None:
            self._wakeups.announce(PLACES_TOPIC)
        return run

    async def retry(self, actor: Actor, run_id: RunId) -> Run:
        """A terminal run again, as a new run. Live: STATE_CONFLICT."""
        run = await self._control.clone_if_terminal(actor.tenant_id, run_id, actor.audit("retry", "run", run_id))
        self._wakeups.announce(f"queue:{run.queue}")
        return run

    async def replay(self, actor: Actor, run_id: RunId) -> Enqueued:
        """A dead-lettered run again, once: whoever comes later is told of the first one's run."""
        run = await self._reader.get(actor.tenant_id, run_id)
        enqueued = await self._control.replay_if_dead(actor.tenant_id, run_id, actor.audit("replay", "run", run_id))
        self._wakeups.announce(f"queue:{run.queue}")
        return enqueued

    async def _store(self, actor: Actor, drafts: Sequence[RunDraft], verb: str) -> tuple[Enqueued, ...]:
        about = drafts[0].schedule_id or (f"{len(drafts)} runs" if len(drafts) > 1 else "1 run")
        enqueued = await self._intake.enqueue(actor.tenant_id, drafts, actor.audit(verb, "run", about))
        for queue in {draft.queue for draft in drafts}:
            self._wakeups.announce(f"queue:{queue}")
        if any(draft.policy.concurrency_max is not None for draft in drafts):
            self._wakeups.announce(PLACES_TOPIC)
        return enqueued

    async def _reserve_keys(self, actor: Actor, drafts: Sequence[RunDraft], scope: str) -> None:
        uses: dict[str, KeyUse] = {}
        for draft in drafts:
            if draft.idempotency_key is not None:
                use = KeyUse(draft.idempotency_key, _fingerprint(draft))
                if uses.setdefault(use.key, use).fingerprint != use.fingerprint:
                    raise key_mismatch(use.key)
        if not uses:
            return
        given = tuple(uses.values())
        first_uses = await self._idempotency.reserve_many(actor.tenant_id, scope, given)
        for use, first in zip(given, first_uses, strict=True):
            if use.fingerprint != first.fingerprint:
                raise key_mismatch(use.key)

    async def _obey_overlap(self, actor: Actor, schedule: Schedule, overlap: Overlap) -> None:
        if overlap in ("allow", "queue_all"):
            return
        live = await self._live_counts(actor, schedule.id)
        if overlap == "cancel_running":
            await self._cancel_live(actor, schedule.id)
        elif overlap == "skip" and any(live.values()):
            raise DomainError("STATE_CONFLICT", f"overlap is skip, and {sum(live.values())} of its runs are live")
        elif overlap == "queue_one" and live["queued"] + live["scheduled"]:
            raise DomainError("STATE_CONFLICT", "overlap is queue_one, and one of its runs waits already")

    async def _live_counts(self, actor: Actor, schedule_id: ScheduleId) -> LiveCounts:
        counts: LiveCounts = {}
        for state in LIVE_STATES:
            where = RunFilter(schedule_id=schedule_id, state=state)
            counts[state] = (await self._reader.page(actor.tenant_id, where, PageRequest(limit=1))).total_count
        return counts

    async def _cancel_live(self, actor: Actor, schedule_id: ScheduleId) -> None:
        for state in LIVE_STATES:
            where = RunFilter(schedule_id=schedule_id, state=state)
            page = await self._reader.page(actor.tenant_id, where, PageRequest(limit=CANCELLED_AT_ONCE_MAX))
            for run in page.items:
                await self._cancel_unless_ended(actor, run.id)

    async def _cancel_unless_ended(self, actor: Actor, run_id: RunId) -> None:
        try:
            await self.cancel(actor, run_id)
        except DomainError as refused:
            if refused.code != "STATE_CONFLICT":
                raise


def _require_valid(drafts: Sequence[RunDraft]) -> None:
    if len(drafts) == 1:
        problems = list(validate_run_draft(drafts[0]))
    else:
        problems = [one.under(f"[{place}]") for place, draft in enumerate(drafts) for one in validate_run_draft(draft)]
    problems += graph_problems(drafts)
    if problems:
        raise invalid_input(problems)


def _keyed(actor: Actor, draft: RunDraft, scope: str) -> RunDraft:
    if draft.idempotency_key is not None:
        draft = changed(draft, key=idempotency_key(actor.tenant_id, scope, draft.idempotency_key))
    if draft.unique is not None:
        draft = changed(draft, unique_key=unique_key_of(actor.tenant_id, draft.unique, draft.target))
    return draft


def _fingerprint(draft: RunDraft) -> bytes:
    asked: list[object] = [draft.target, draft.policy, draft.queue, draft.priority, draft.delay_seconds]
    if draft.depends_on:
        asked += [draft.depends_on, draft.when]
    if draft.due_at is not None or draft.unique is not None:
        asked += [draft.due_at, draft.unique]  # behind what earlier versions digested, and only where it is said
    return fingerprint_of(asked)


def _triggered(actor: Actor, schedule: Schedule, request: TriggerRequest, key: str | None) -> RunDraft:
    return RunDraft(
        tenant_id=actor.tenant_id,
        target=_with_args(schedule.target, request.args),
        policy=changed(schedule.policies.run_policy(), serial=request.overlap != "allow"),
        queue=schedule.policies.queue,
        priority=schedule.policies.priority,
        idempotency_key=key,
        schedule_id=schedule.id,
        schedule_version=schedule.version,
        reason=f"triggered by hand by {actor.label}",
        created_by=actor.label,
    )


def _with_args(target: Target, args: dict[str, Any]) -> Target:
    if not args:
        return target
    if not isinstance(target, TaskTarget):
        problem = "are for task targets, and this schedule's target is another"
        raise invalid_input([FieldProblem("args", problem, "leave them out")])
    return changed(target, args={**target.args, **args})
