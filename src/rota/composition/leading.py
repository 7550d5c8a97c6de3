"""The leader's duties of a server process: the candidate, and what it does when it leads."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from msgspec import Struct

from rota.adapters.system_rng import SystemRng
from rota.composition.database import ServerPools, lease_needs_direct_url
from rota.composition.stores import ServerStores
from rota.core.leadership import LeadershipPolicy
from rota.domain.jobs import JobFamily, JobState
from rota.domain.run import FailureClass
from rota.ports.clock import Clock
from rota.ports.ids import Ids
from rota.ports.lease_store import LeaseStore
from rota.ports.milestone_store import MilestoneFigures
from rota.ports.wakeups import Wakeups
from rota.services.backfilling import Backfilling
from rota.services.callback_watch import CallbackWatch
from rota.services.check_cycles import CheckNotes, CheckTelling
from rota.services.check_in_watch import CheckInWatch
from rota.services.dependency_following import DependencyFollowing
from rota.services.election import Election
from rota.services.fan_out_watch import FanOutWatch, SegmentFollower
from rota.services.figure_telling import FigureTelling, telling
from rota.services.firing import Firing
from rota.services.following import Following
from rota.services.intervening import CoolOffWatch, Intervening
from rota.services.job_following import JobFollower
from rota.services.leadership_events import LeadershipEvents
from rota.services.leading import Leading
from rota.services.milestone_generating import MilestoneGenerating
from rota.services.milestone_watch import MilestoneWatch
from rota.services.place_watch import PlaceWatch
from rota.services.rescuing import Rescuing
from rota.services.retention import Retention, RetentionDuty
from rota.services.run_counting import RunCountingDuty
from rota.services.schedule_verbs import SCHEDULES_TOPIC
from rota.services.supervision import Duty
from rota.storage.postgres.backfills import PostgresBackfillSteps
from rota.storage.postgres.connections import FENCED_SETTINGS, ConnectRetry, PoolOptions, open_pool
from rota.storage.postgres.dependencies import PostgresDependencyStore
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.firing import PostgresFiringStore
from rota.storage.postgres.leases import PostgresLeaseStore
from rota.storage.postgres.logins import DatabaseUrls, Login
from rota.storage.postgres.single_statements import SingleStatements
from rota.telemetry.metrics import Metrics

LEADER_LEASE = "leader"
HOUR_SECONDS = 3_600.0

# Less than `LeadershipPolicy.call_seconds_max`: a call that is not answered is over when its time is.
LEASE_ANSWER_SECONDS_MAX = 0.6

_ONE_CONNECTION = PoolOptions(
    connections_max=1,
    answer_seconds_max=LEASE_ANSWER_SECONDS_MAX,
    settings=FENCED_SETTINGS,
    retry=ConnectRetry(attempts_max=1),
)


class Leadership(Struct, frozen=True):
    """`duties` go to the supervisor in this order; `resign` comes before they are stopped."""

    election: Election
    events: LeadershipEvents
    checks: CheckTelling
    duties: tuple[Duty, ...]

    async def resign(self) -> None:
        """Hand the lease over and leave a record of it."""
        await self.election.resign()
        await self.checks.tell()
        await self.events.tell()

    async def readiness(self) -> str:
        return "leader" if self.election.fence() is not None else "standby"


class LeadingParts(Struct, frozen=True):
    """What a candidate is made of. `fenced` is its pool for what it writes under its fence."""

    urls: DatabaseUrls
    fenced: Pool
    pools: ServerPools
    stores: ServerStores
    wakeups: Wakeups
    clock: Clock
    ids: Ids
    metrics: Metrics


def leadership(parts: LeadingParts, name: str) -> Leadership:
    """A candidate under a holder's name that no other process has."""
    clock, stores, wakeups = parts.clock, parts.stores, parts.wakeups
    policy = LeadershipPolicy(LEADER_LEASE, f"{name}/{parts.ids.new_id()}")
    election = Election(policy, lambda: _leases(parts.urls, clock), wakeups, clock, SystemRng())
    notes = CheckNotes(parts.metrics)
    checks = CheckTelling(notes, stores.cycles, election, clock)
    events = LeadershipEvents(election, stores.events, clock, checks.facts_of_term)
    rescuing = Rescuing(stores.workers, stores.run_claims, wakeups, SystemRng())
    patient = SingleStatements(parts.pools.service, pooled_by_transaction=parts.pools.pooled_by_transaction)
    firing_store = PostgresFiringStore(parts.fenced, patient)
    firing = Firing(firing_store, election, wakeups, parts.metrics, notes)
    segments = SegmentFollower(stores.fan_outs)

    def count_intervention(failure_class: FailureClass) -> None:
        parts.metrics.count("rota_interventions_total", failure_class=failure_class)

    def count_job(family: JobFamily, state: JobState) -> None:
        parts.metrics.count("rota_jobs_ended_total", family=family, state=state)

    interventions = Intervening(stores.intervention_duties, count_intervention)
    following = Following(
        [
            segments,
            JobFollower(stores.job_ends, "graph", count_job),
            JobFollower(stores.job_ends, "policy", count_job),
            DependencyFollowing(PostgresDependencyStore(parts.fenced), election, wakeups),
            interventions,
        ]
    )
    leading = Leading(firing_store, firing, rescuing, election, wakeups, clock=clock, following=following, notes=notes)
    fan_outs = FanOutWatch(stores.fan_outs, stores.run_claims, segments, election, wakeups, clock=clock)
    callbacks = CallbackWatch(stores.callbacks, stores.run_claims, election, wakeups, clock=clock, rng=SystemRng())

    cool_offs = CoolOffWatch(stores.intervention_duties, election, clock, lambda: wakeups.announce(SCHEDULES_TOPIC))
    generating = MilestoneGenerating(stores.milestones, wakeups)
    milestones = MilestoneWatch(
        stores.milestone_duties, generating, election, wakeups, clock, tell=_telling(parts.metrics), notes=notes
    )

    async def keep_partitions() -> None:
        while True:
            await stores.partitions.ensure_ahead()
            await clock.sleep(HOUR_SECONDS)

    duties = (
        Duty("election", election.run),
        *leading.duties,
        Duty("leadership events", events.run),
        Duty("check cycles", checks.run),
        Duty("check-ins", CheckInWatch(stores.check_in_deadlines, election, clock).run),
        Duty("concurrency keys", PlaceWatch(stores.places, election, wakeups, clock).run),
        Duty("milestones", milestones.run),
        Duty("backfills", Backfilling(PostgresBackfillSteps(parts.fenced), election, wakeups, clock).run),
        Duty("fan-outs", fan_outs.run),
        Duty("callbacks", callbacks.run),
        Duty("cool-offs", cool_offs.run),
        Duty("partitions", keep_partitions),
        Duty("figures", FigureTelling(stores.figures, election, clock, telling(parts.metrics)).run),
        Duty("run counting", RunCountingDuty(stores.run_counting, election, clock).run),
        Duty("retention", RetentionDuty(Retention(stores.retention, clock), election, clock).run),
    )
    return Leadership(election, events, checks, duties)


def _telling(metrics: Metrics) -> Callable[[MilestoneFigures], None]:
    def tell(figures: MilestoneFigures) -> None:
        metrics.set("rota_milestones_backing_off_long", figures.backing_off_long_count)
        metrics.set("rota_milestones_ended_within_a_day", figures.ended_count)
        metrics.set("rota_milestones_failed_ratio", figures.failed_ratio)

    return tell


@asynccontextmanager
async def _leases(urls: DatabaseUrls, clock: Clock) -> AsyncGenerator[LeaseStore]:
    """The election's own connection, past any pooler, in the loop of the election's thread."""
    if urls.direct_service is None:
        raise lease_needs_direct_url()
    pool = await open_pool(
        urls.direct_service, Login.SERVICE, application_name="rota lease", sleep=clock.sleep, options=_ONE_CONNECTION
    )
    try:
        yield PostgresLeaseStore(pool)
    finally:
        await pool.close()
