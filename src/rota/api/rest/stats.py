"""Counts for the cards of an overview. One that cannot be counted is an error, never a zero."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from rota.api.authz import Access
from rota.api.rest.endpoint import Answer, Call, Endpoint, Nothing, endpoint
from rota.domain.page import PageRequest
from rota.domain.run import RUN_LIFECYCLE
from rota.ports.schedule_store import ScheduleFilter

WINDOW_HOURS_DEFAULT = 24
WINDOW_HOURS_MAX = 24 * 90


class StatsQuery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The window of ended runs."""

    window_hours: Annotated[int, Meta(ge=1, le=WINDOW_HOURS_MAX, description="How far back ended runs count.")] = (
        WINDOW_HOURS_DEFAULT
    )


class ScheduleCounts(Struct, frozen=True):
    """Deleted schedules are in none of them."""

    total_count: int
    enabled_count: int
    paused_count: int


class Stats(Struct, frozen=True):
    """`runs` has every state: live runs now, and those that ended within the window."""

    as_of: datetime
    window_hours: int
    schedules: ScheduleCounts
    runs: dict[str, int]


@endpoint("GET", "/stats", Access("stats", "read"), query=StatsQuery, answers=(Stats,))
async def get_stats(call: Call[Nothing, StatsQuery]) -> Answer:
    """Count the tenant's schedules and runs."""
    hours = call.query.window_hours
    counted = await call.services.ports.run_reader.count_by_state(call.tenant_id, hours)
    enabled = await _count(call, enabled=True)
    paused = await _count(call, enabled=False)
    as_of = await call.services.schedules.now()
    runs = dict.fromkeys(sorted(RUN_LIFECYCLE.states), 0) | counted
    return Answer(Stats(as_of, hours, ScheduleCounts(enabled + paused, enabled, paused), runs))


async def _count(call: Call[Nothing, StatsQuery], *, enabled: bool) -> int:
    where = ScheduleFilter(enabled=enabled)
    return (await call.services.ports.schedules.page(call.tenant_id, where, PageRequest(limit=1))).total_count


ENDPOINTS: tuple[Endpoint, ...] = (get_stats,)
