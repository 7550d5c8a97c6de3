"""The verbs on limits: what the platform allows a queue or a tenant. Workers heed them with their next claim."""

from datetime import datetime
from math import ceil

from msgspec import Struct

from rota.core.field_rules import number_problems
from rota.core.policy_validation import queue_problems
from rota.domain.errors import invalid_input
from rota.domain.ids import TenantId
from rota.domain.limit import Limit, LimitKind
from rota.domain.problems import FieldProblem
from rota.ports.limit_store import LimitStore
from rota.ports.schedule_store import ScheduleStore
from rota.ports.tenant_store import TenantStore
from rota.services.acting import Actor

CONCURRENCY_MAX_MOST = 100_000
RATE_PER_SECOND_LEAST = 0.001
RATE_PER_SECOND_MOST = 1_000_000.0
BURST_MOST = 1_000_000
# A worker with nothing to do asks about once a second: with less, a slow queue would not reach its rate.
BURST_SECONDS = 2.0


class LimitDraft(Struct, frozen=True, forbid_unknown_fields=True):
    """At least one bound. Without `burst` it is two seconds of the rate; a tenant has no rate."""

    concurrency_max: int | None = None
    rate_per_second: float | None = None
    burst: int | None = None


class LimitVerbs:
    """Stateless."""

    def __init__(self, limits: LimitStore, tenants: TenantStore, schedules: ScheduleStore) -> None:
        self._limits = limits
        self._tenants = tenants
        self._schedules = schedules

    async def put_limit(self, actor: Actor, kind: LimitKind, name: str, draft: LimitDraft) -> Limit:
        """Raises INVALID_INPUT; NOT_FOUND for a tenant that is not there."""
        problems = list(queue_problems("queue", name)) if kind == "queue" else []
        problems += _bounds_problems(kind, draft)
        if problems:
            raise invalid_input(problems)
        if kind == "tenant":
            await self._tenants.get(TenantId(name))
        rate = draft.rate_per_second
        burst = None if rate is None else draft.burst or max(1, ceil(rate * BURST_SECONDS))
        now = datetime.fromisoformat(await self._schedules.clock())
        limit = Limit(kind, name, now, actor.label, draft.concurrency_max, rate, burst)
        return await self._limits.put(limit, actor.audit("set", "limit", f"{kind}/{name}"))

    async def remove_limit(self, actor: Actor, kind: LimitKind, name: str) -> Limit:
        """Raises NOT_FOUND."""
        return await self._limits.remove(kind, name, actor.audit("remove", "limit", f"{kind}/{name}"))


def _bounds_problems(kind: LimitKind, draft: LimitDraft) -> list[FieldProblem]:
    problems: list[FieldProblem] = []
    rate = draft.rate_per_second
    if draft.concurrency_max is not None:
        problems += number_problems("concurrency_max", draft.concurrency_max, 0, CONCURRENCY_MAX_MOST, "runs")
    if rate is not None:
        problems += number_problems("rate_per_second", rate, RATE_PER_SECOND_LEAST, RATE_PER_SECOND_MOST, "runs")
    if draft.burst is not None:
        problems += number_problems("burst", draft.burst, 1, BURST_MOST, "runs")
    if kind == "tenant" and rate is not None:
        problems.append(FieldProblem("rate_per_second", "is for queues", "leave it out, or limit a queue"))
    if draft.burst is not None and rate is None:
        problems.append(FieldProblem("burst", "has no rate to go with", "send rate_per_second, too, or leave it out"))
    if draft.concurrency_max is None and rate is None:
        remedy = "send concurrency_max, or DELETE the limit"
        problems.append(FieldProblem("concurrency_max", "is missing, so that nothing is limited", remedy))
    return problems
