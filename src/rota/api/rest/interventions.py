"""Schedules that need intervention: how many, why, and which waits longest. They are listed with the schedules."""

from datetime import datetime

from msgspec import Struct

from rota.api.authz import Access
from rota.api.rest.endpoint import Answer, Call, Endpoint, Nothing, endpoint
from rota.domain.intervention import OldestIntervention

ATTENTION_SECONDS = 86_400.0


class InterventionSummaryBody(Struct, frozen=True):
    """`by_type` counts by the task's name, or `http`; critical are those about five failures or more. Attention is
    required at once where one is critical, or has waited for a day.
    """

    total_count: int
    by_type: dict[str, int]
    by_class: dict[str, int]
    critical_count: int
    oldest: OldestIntervention | None
    oldest_hours: float | None
    requires_immediate_attention: bool
    as_of: datetime


@endpoint("GET", "/interventions/summary", Access("schedules", "read"), answers=(InterventionSummaryBody,))
async def summarise_interventions(call: Call[Nothing, Nothing]) -> Answer:
    """Count the schedules that stopped because their runs went on failing."""
    found = await call.services.ports.interventions.summary(call.tenant_id)
    now = await call.services.schedules.now()
    waited = 0.0 if found.oldest is None else max(0.0, (now - found.oldest.opened_at).total_seconds())
    body = InterventionSummaryBody(
        found.total_count,
        found.by_type,
        found.by_class,
        found.critical_count,
        found.oldest,
        None if found.oldest is None else round(waited / 3600, 2),
        found.critical_count > 0 or waited > ATTENTION_SECONDS,
        now,
    )
    return Answer(body)


ENDPOINTS: tuple[Endpoint, ...] = (summarise_interventions,)
