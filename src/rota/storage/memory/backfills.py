"""Backfills in memory: the oracle of `rota.storage.postgres.backfills`."""

from collections.abc import Mapping, Sequence

from msgspec import structs

from rota.core.backfilling import LIVE_MAX
from rota.domain.backfill import BACKFILLS_KEPT_MAX, BACKFILLS_RUNNING_MAX, Backfill, BackfillStep, DueBackfill
from rota.domain.errors import Stale, not_found
from rota.domain.firing import FireDraft
from rota.domain.ids import BackfillId, RunId, TenantId, TriggerId
from rota.domain.lease import Fence
from rota.domain.page import Page, PageRequest
from rota.domain.policies import Policies
from rota.domain.run import RunDraft
from rota.domain.tenancy import AuditEntry
from rota.storage.backfill_refusals import backfill_event, cancel_reason, ending_event, has_ended, too_many_running
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.paging import page_of
from rota.storage.memory.tenants import open_tenant
from rota.storage.page_cursor import decode_id_cursor


class MemoryBackfillStore:
    """See `rota.ports.backfill_store`: both of its ports. A test may lower the bounds."""

    def __init__(
        self, database: MemoryDatabase, running_max: int = BACKFILLS_RUNNING_MAX, kept_max: int = BACKFILLS_KEPT_MAX
    ) -> None:
        self._database = database
        self._backfills = database.backfills
        self._runs = database.runs_state
        self._running_max = running_max
        self._kept_max = kept_max

    async def create(self, backfill: Backfill, audit: AuditEntry) -> Backfill:
        known = self._backfills.get(backfill.id)
        if known is not None:
            return known
        open_tenant(self._database, backfill.tenant_id)
        if sum(1 for one in self._of(backfill.tenant_id) if one.state == "running") >= self._running_max:
            raise too_many_running()
        self._backfills[backfill.id] = backfill
        for one in self._of(backfill.tenant_id)[self._kept_max :]:
            if one.state != "running":
                del self._backfills[one.id]
        self._database.record_events([backfill_event("BackfillStarted", backfill, audit.actor)])
        self._database.record_audit(backfill.tenant_id, audit)
        return backfill

    async def get(self, tenant_id: TenantId, backfill_id: BackfillId) -> Backfill:
        found = self._backfills.get(backfill_id)
        if found is None or found.tenant_id != tenant_id:
            raise not_found("backfill", backfill_id)
        return found

    async def page(self, tenant_id: TenantId, page: PageRequest) -> Page[Backfill]:
        after = None if page.cursor is None else decode_id_cursor(page.cursor, 1)
        found = self._of(tenant_id)
        if after is not None:
            found = [one for one in found if (one.id,) < after]
        shown = page_of(found, lambda one: (one.id,), structs.replace(page, cursor=None), None)
        return structs.replace(shown, total_count=len(self._of(tenant_id)))

    async def cancel_if_running(self, tenant_id: TenantId, backfill_id: BackfillId, audit: AuditEntry) -> Backfill:
        found = await self.get(tenant_id, backfill_id)
        if found.state != "running":
            raise has_ended(found.state)
        reason, now = cancel_reason(audit.actor), self._database.now()
        cancelled = structs.replace(found, state="cancelled", reason=reason, resume_at=None, ended_at=now)
        self._backfills[backfill_id] = cancelled
        self._database.record_events([backfill_event("BackfillCancelled", cancelled, audit.actor)])
        self._database.record_audit(tenant_id, audit)
        return cancelled

    async def known_keys(self, tenant_id: TenantId, keys: Sequence[str]) -> Mapping[str, bool]:
        owners = {key: self._runs.records[self._runs.keys[key]] for key in keys if key in self._runs.keys}
        return {key: run.state == "skipped" for key, run in owners.items() if run.tenant_id == tenant_id}

    async def next_in_seconds(self) -> float | None:
        found = [one.resume_at for one in self._backfills.values() if one.resume_at is not None]
        return (min(found) - self._database.now()).total_seconds() if found else None

    async def list_due(self, limit: int) -> tuple[DueBackfill, ...]:
        now = self._database.now()
        found = [(one.resume_at, one) for one in self._backfills.values() if one.resume_at is not None]
        due = [one for at, one in sorted(found, key=lambda pair: pair[0]) if at <= now]
        return tuple(self._due(one) for one in due[:limit])

    async def apply_step(self, fence: Fence, step: BackfillStep) -> bool:
        lease, now, after = self._runs.leases.get(fence.lease_name), self._database.now(), step.after
        if lease is None or (lease.epoch, lease.holder) != (fence.epoch, fence.holder) or lease.expires_at <= now:
            raise Stale(f"epoch {fence.epoch} of lease {fence.lease_name!r} has ended: nothing was backfilled")
        before = self._backfills.get(after.id)
        if before is None or before.state != "running" or before.steps_count != after.steps_count - 1:
            return False
        schedule = self._database.schedules[after.schedule_id]
        if step.schedule_version is not None and (
            schedule.version != step.schedule_version or schedule.deleted_at is not None
        ):
            return False
        pairs = zip(step.trigger_ids, step.drafts, strict=True)
        missed = len(step.drafts) - sum([self._create(step, trigger_id, draft) for trigger_id, draft in pairs])
        self._backfills[after.id] = structs.replace(
            after, created_count=after.created_count - missed, skipped_count=after.skipped_count + missed
        )
        event = ending_event(after)
        if event is not None:
            self._database.record_events([event])
        return True

    def _create(self, step: BackfillStep, trigger_id: TriggerId, fire: FireDraft) -> bool:
        now, after = self._database.now(), step.after
        draft = RunDraft(
            tenant_id=after.tenant_id,
            target=self._database.schedules[after.schedule_id].target,
            policy=step.run_policy(),
            queue=step.policies.queue,
            priority=step.priority,
            delay_seconds=(now - fire.fire_at).total_seconds(),
            key=fire.key,
            schedule_id=after.schedule_id,
            schedule_version=step.schedule_version,
            trigger_id=trigger_id,
            fire_at=fire.fire_at,
            reason=fire.reason,
            created_by=after.created_by,
        )
        return self._runs.create(RunId(self._database.new_id()), draft, now)

    def _due(self, backfill: Backfill) -> DueBackfill:
        schedule = self._database.schedules.get(backfill.schedule_id)
        revoked = self._database.tenants[backfill.tenant_id].revoked_at is not None
        live = sum(1 for one in self._runs.live.values() if one.schedule_id == backfill.schedule_id)
        now = self._database.now()
        if schedule is None or schedule.deleted_at is not None or revoked:
            return DueBackfill(backfill, None, Policies(), min(live, LIVE_MAX), now)
        withheld = not self._database.is_firing(backfill.tenant_id)
        return DueBackfill(backfill, schedule.version, schedule.policies, min(live, LIVE_MAX), now, withheld)

    def _of(self, tenant_id: TenantId) -> list[Backfill]:
        """The newest first."""
        mine = (one for one in self._backfills.values() if one.tenant_id == tenant_id)
        return sorted(mine, key=lambda one: one.id, reverse=True)
