"""Counts and sums of what a tenant runs: now, by hour, and ever.

One that cannot be counted is an error, never a zero.
"""

from datetime import datetime, timedelta
from typing import Annotated

from msgspec import Meta, Struct

from rota.api.authz import Access
from rota.api.rest.endpoint import Answer, Call, Endpoint, Nothing, endpoint
from rota.core.statistics import add_all, duration_quantile_seconds, hour_of
from rota.domain.cycle import CheckTotals
from rota.domain.ids import ScheduleId
from rota.domain.page import PageRequest
from rota.domain.run import RUN_LIFECYCLE
from rota.domain.statistics import ComparedHour, HourSums, LifetimeSums, RunSums
from rota.ports.schedule_store import ScheduleFilter

WINDOW_HOURS_DEFAULT = 24
WINDOW_HOURS_MAX = 24 * 90
COMPARED_HOURS_MAX = 24 * 7
READ = Access("stats", "read")


class StatsQuery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The window of ended runs."""

    window_hours: Annotated[int, Meta(ge=1, le=WINDOW_HOURS_MAX, description="How far back ended runs count.")] = (
        WINDOW_HOURS_DEFAULT
    )


class ComparisonQuery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The window of records that are compared."""

    window_hours: Annotated[int, Meta(ge=1, le=COMPARED_HOURS_MAX, description="How far back records are read.")] = (
        WINDOW_HOURS_DEFAULT
    )


class Reconciliation(Struct, frozen=True, forbid_unknown_fields=True):
    """The window of records that are compared and, where they were not, counted."""

    window_hours: Annotated[int, Meta(ge=1, le=COMPARED_HOURS_MAX)] = WINDOW_HOURS_DEFAULT


class ScheduleCounts(Struct, frozen=True):
    """Deleted schedules are in none of them."""

    total_count: int
    enabled_count: int
    paused_count: int


class SumsView(Struct, frozen=True):
    """Runs that ended. Durations are of last attempts, quantiles estimates; late is a minute after it was due."""

    ended_count: int
    succeeded_count: int
    failed_count: int
    cancelled_count: int
    skipped_count: int
    late_starts_count: int
    wait_seconds_mean: float | None
    wait_seconds_max: float
    duration_seconds_sum: float
    duration_seconds_mean: float | None
    duration_seconds_max: float
    duration_seconds_p50: float | None
    duration_seconds_p95: float | None


class LifetimeView(Struct, frozen=True):
    """All that ever ended; no retention makes it less. `since` is the first hour of it."""

    since: datetime | None
    sums: SumsView


class Stats(Struct, frozen=True):
    """`runs` has every state: live runs now, and those that ended since: from the beginning of an hour on."""

    as_of: datetime
    window_hours: int
    since: datetime
    schedules: ScheduleCounts
    runs: dict[str, int]
    lifetime: LifetimeView


class HourView(Struct, frozen=True):
    """The runs that ended in the hour (UTC) that begins at `hour`."""

    hour: datetime
    sums: SumsView


class HoursView(Struct, frozen=True):
    """Hours in which runs ended, oldest first, and all of them together."""

    as_of: datetime
    since: datetime
    items: tuple[HourView, ...]
    total: SumsView


class PlatformStats(Struct, frozen=True):
    """All tenants together."""

    as_of: datetime
    lifetime: LifetimeView


class ComparedHourView(Struct, frozen=True):
    """Records of runs that ended in the hour, and how many of them the statistics lack."""

    hour: datetime
    found_count: int
    uncounted_count: int


class ComparisonView(Struct, frozen=True):
    """Records that are gone by retention stay counted: only what the statistics lack is a drift."""

    as_of: datetime
    since: datetime
    found_count: int
    uncounted_count: int
    items: tuple[ComparedHourView, ...]


@endpoint("GET", "/stats", READ, query=StatsQuery, answers=(Stats,))
async def get_stats(call: Call[Nothing, StatsQuery]) -> Answer:
    """Count the tenant's schedules and runs."""
    hours = call.query.window_hours
    as_of, since = await _window(call, hours)
    counted = await call.services.ports.run_reader.count_by_state(call.tenant_id, hours)
    enabled = await _count(call, enabled=True)
    paused = await _count(call, enabled=False)
    runs = dict.fromkeys(sorted(RUN_LIFECYCLE.states), 0) | counted
    lifetime = await call.services.ports.run_statistics.lifetime(call.tenant_id)
    counts = ScheduleCounts(enabled + paused, enabled, paused)
    return Answer(Stats(as_of, hours, since, counts, runs, _lifetime(lifetime)))


@endpoint("GET", "/stats/hours", READ, query=StatsQuery, answers=(HoursView,))
async def list_hours(call: Call[Nothing, StatsQuery]) -> Answer:
    """List the tenant's hours: how runs ended, how long they took and waited."""
    as_of, since = await _window(call, call.query.window_hours)
    return Answer(_hours(as_of, since, await call.services.ports.run_statistics.hours(call.tenant_id, since)))


@endpoint("GET", "/schedules/{schedule_id}/hours", READ, query=StatsQuery, answers=(HoursView,))
async def list_schedule_hours(call: Call[Nothing, StatsQuery]) -> Answer:
    """List a schedule's hours: how its runs ended, how long they took and waited."""
    schedule_id = ScheduleId(call.path["schedule_id"])
    await call.services.ports.schedules.get(call.tenant_id, schedule_id)
    as_of, since = await _window(call, call.query.window_hours)
    hours = await call.services.ports.run_statistics.hours(call.tenant_id, since, schedule_id)
    return Answer(_hours(as_of, since, hours))


@endpoint("GET", "/stats/drift", READ, query=ComparisonQuery, answers=(ComparisonView,))
async def get_drift(call: Call[Nothing, ComparisonQuery]) -> Answer:
    """Compare records with the statistics: what these lack."""
    as_of, since = await _window(call, call.query.window_hours)
    return Answer(_comparison(as_of, since, await call.services.ports.run_statistics.compare(call.tenant_id, since)))


@endpoint(
    "POST",
    "/stats/reconcile",
    Access("stats", "reconcile"),
    body=Reconciliation,
    body_required=False,
    answers=(ComparisonView,),
    example={"window_hours": 24},
)
async def reconcile_stats(call: Call[Reconciliation, Nothing]) -> Answer:
    """Count the runs that the statistics lack; take nothing away. Answers what they lacked."""
    as_of, since = await _window(call, call.body.window_hours)
    audit = call.actor.audit("reconcile", "stats", since.isoformat())
    added = await call.services.ports.run_statistics.reconcile(call.tenant_id, since, audit)
    return Answer(_comparison(as_of, since, added))


@endpoint("GET", "/stats/platform", Access("platform_stats", "read"), answers=(PlatformStats,))
async def get_platform_stats(call: Call[Nothing, Nothing]) -> Answer:
    """Read what all tenants together ever ran."""
    lifetime = await call.services.ports.run_counting.platform_lifetime()
    return Answer(PlatformStats(await call.services.schedules.now(), _lifetime(lifetime)))


@endpoint("GET", "/stats/cycles", Access("platform_stats", "read"), answers=(CheckTotals,))
async def get_check_totals(call: Call[Nothing, Nothing]) -> Answer:
    """Read what the leaders' check cycles ever came to."""
    return Answer(await call.services.ports.cycles.totals())


async def _window(
    call: Call[Reconciliation, Nothing] | Call[Nothing, StatsQuery] | Call[Nothing, ComparisonQuery], hours: int
) -> tuple[datetime, datetime]:
    """Now, and the beginning of the window, by the store's clock."""
    now = await call.services.schedules.now()
    return now, hour_of(now - timedelta(hours=hours))


async def _count(call: Call[Nothing, StatsQuery], *, enabled: bool) -> int:
    where = ScheduleFilter(enabled=enabled)
    return (await call.services.ports.schedules.page(call.tenant_id, where, PageRequest(limit=1))).total_count


def _hours(as_of: datetime, since: datetime, hours: tuple[HourSums, ...]) -> HoursView:
    items = tuple(HourView(one.hour, _sums(one.sums)) for one in hours)
    return HoursView(as_of, since, items, _sums(add_all(one.sums for one in hours)))


def _lifetime(lifetime: LifetimeSums) -> LifetimeView:
    return LifetimeView(lifetime.since, _sums(lifetime.sums))


def _sums(sums: RunSums) -> SumsView:
    timed = sum(sums.duration_counts)
    return SumsView(
        sums.ended_count,
        sums.succeeded_count,
        sums.failed_count,
        sums.cancelled_count,
        sums.skipped_count,
        sums.late_starts_count,
        sums.wait_ms_sum / sums.waits_count / 1000 if sums.waits_count else None,
        sums.wait_ms_max / 1000,
        sums.duration_ms_sum / 1000,
        sums.duration_ms_sum / timed / 1000 if timed else None,
        sums.duration_ms_max / 1000,
        duration_quantile_seconds(sums, 0.5),
        duration_quantile_seconds(sums, 0.95),
    )


def _comparison(as_of: datetime, since: datetime, hours: tuple[ComparedHour, ...]) -> ComparisonView:
    items = tuple(ComparedHourView(one.hour, one.found_count, one.uncounted_count) for one in hours)
    found, lacking = sum(one.found_count for one in hours), sum(one.uncounted_count for one in hours)
    return ComparisonView(as_of, since, found, lacking, items)


ENDPOINTS: tuple[Endpoint, ...] = (
    get_stats,
    list_hours,
    list_schedule_hours,
    get_drift,
    reconcile_stats,
    get_platform_stats,
    get_check_totals,
)
