"""Previews of fan-outs: the items are resolved and cut as they would be, by a worker, and nothing is launched.

A preview is a run of its own (`plan_only`), outside of its schedule: it counts for no overlap and takes no turn.
"""

from typing import Any

from msgspec import Struct

from rota.core.fan_out import plan_only
from rota.domain.errors import invalid_input
from rota.domain.fan_out import SAMPLE_ITEMS_MAX
from rota.domain.ids import RunId, ScheduleId
from rota.domain.page import PageRequest
from rota.domain.policies import RetryPolicy, RunPolicy
from rota.domain.problems import FieldProblem
from rota.domain.run import RUN_LIFECYCLE, Run, RunDraft
from rota.domain.targets import Target
from rota.ports.clock import Clock
from rota.ports.fan_out_store import ImpactReader
from rota.ports.run_store import RunReader
from rota.ports.schedule_store import ScheduleStore
from rota.services.acting import Actor
from rota.services.run_verbs import RunVerbs

# So long may a request wait for a worker; the answer says where to look afterwards.
WAIT_SECONDS_MAX = 20.0
POLL_SECONDS = 0.1
_ONE_TRY = RetryPolicy(attempts_max=1)


class PreviewWish(Struct, frozen=True, forbid_unknown_fields=True):
    """How long to wait for the answer, and by when the resolver must have ended."""

    wait_seconds: float = 5.0
    timeout_seconds: float = 300.0


class FanOutPreview(Struct, frozen=True):
    """`sample` are the first items in their order. The counts are None until the run `run` has succeeded."""

    run: Run
    items_total: int | None = None
    segments_count: int | None = None
    sample: tuple[Any, ...] = ()


class FanOutVerbs:
    """Stateless; shared by every front door. It waits no longer than `wait_seconds_max`, whatever is asked for."""

    def __init__(
        self,
        runs: RunVerbs,
        schedules: ScheduleStore,
        reader: RunReader,
        impacts: ImpactReader,
        *,
        clock: Clock,
        wait_seconds_max: float = WAIT_SECONDS_MAX,
    ) -> None:
        self._runs = runs
        self._schedules = schedules
        self._reader = reader
        self._impacts = impacts
        self._clock = clock
        self._wait_seconds_max = wait_seconds_max

    async def preview_schedule(
        self, actor: Actor, schedule_id: ScheduleId, wish: PreviewWish, key: str | None
    ) -> FanOutPreview:
        """What a firing of the schedule would cover now, also of a paused one."""
        schedule = await self._schedules.get(actor.tenant_id, schedule_id)
        return await self.preview(actor, schedule.target, schedule.policies.queue, wish, key)

    async def preview(
        self, actor: Actor, target: Target, queue: str, wish: PreviewWish, key: str | None
    ) -> FanOutPreview:
        """What a run of `target` would cover now."""
        _refuse_unless_it_waits(wish)
        planned = plan_only(target)
        if planned is None:
            problem = FieldProblem("target.fan_out", "is missing, so that nothing is selected", "give it a selector")
            raise invalid_input([problem])
        draft = RunDraft(
            actor.tenant_id,
            planned,
            RunPolicy(timeout_seconds=wish.timeout_seconds, retry=_ONE_TRY),
            queue,
            idempotency_key=key,
            reason=f"preview of a fan-out by {actor.label}",
            created_by=actor.label,
        )
        (enqueued,) = await self._runs.enqueue(actor, (draft,))
        return await self._seen(actor, await self._awaited(actor, enqueued.run_id, wish.wait_seconds))

    async def _awaited(self, actor: Actor, run_id: RunId, wait_seconds: float) -> Run:
        until = self._clock.monotonic_seconds() + min(wait_seconds, self._wait_seconds_max)
        run = await self._reader.get(actor.tenant_id, run_id)
        while run.state not in RUN_LIFECYCLE.terminal and self._clock.monotonic_seconds() < until:
            await self._clock.sleep(POLL_SECONDS)
            run = await self._reader.get(actor.tenant_id, run_id)
        return run

    async def _seen(self, actor: Actor, run: Run) -> FanOutPreview:
        if run.state != "succeeded":
            return FanOutPreview(run)
        impact = await self._impacts.get(actor.tenant_id, run.id)
        sample = await self._impacts.page_items(actor.tenant_id, run.id, PageRequest(limit=SAMPLE_ITEMS_MAX))
        return FanOutPreview(run, impact.snapshot.items_total, impact.snapshot.segments_count, sample.items)


def _refuse_unless_it_waits(wish: PreviewWish) -> None:
    if not 0 <= wish.wait_seconds <= WAIT_SECONDS_MAX:
        remedy = f"use 0 to {WAIT_SECONDS_MAX:g}, and look at the run afterwards"
        raise invalid_input([FieldProblem("wait_seconds", f"{wish.wait_seconds:g} s cannot be waited for", remedy)])
