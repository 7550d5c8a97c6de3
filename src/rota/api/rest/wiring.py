"""What composition hands to the API, and what every request sees of it. The API reaches no store but by these ports."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from msgspec import Struct

from rota.api.authn import Authenticator
from rota.api.rest.stream_gate import StreamGate
from rota.ports.backfill_store import BackfillStore
from rota.ports.binding_store import BindingStore, TemplateStore
from rota.ports.bulk_store import BulkStore
from rota.ports.calendar_store import CalendarStore
from rota.ports.callback_store import CallbackAnswers
from rota.ports.check_in_store import CheckInStore
from rota.ports.clock import Clock
from rota.ports.cycle_store import CycleStore
from rota.ports.dependency_store import DependencyReader
from rota.ports.fan_out_store import ImpactReader
from rota.ports.flag_store import FlagStore
from rota.ports.idempotency_store import IdempotencyStore
from rota.ports.ids import Ids
from rota.ports.intervention_store import InterventionReader
from rota.ports.job_store import GraphJobStore, PolicyJobStore
from rota.ports.limit_store import LimitStore
from rota.ports.lock_store import LockStore
from rota.ports.milestone_store import EvidenceStore, MilestoneStore
from rota.ports.retention_store import RetentionStore
from rota.ports.run_statistics import RunCounting, RunStatistics
from rota.ports.run_store import RunControl, RunIntake, RunReader
from rota.ports.schedule_store import ScheduleStore
from rota.ports.signing_store import SigningSecretStore
from rota.ports.tenant_store import EventStore, TenantStore, TokenStore
from rota.ports.wait_reader import WaitReader
from rota.ports.wakeups import Wakeups
from rota.ports.worker_store import WorkerStore
from rota.services.backfill_verbs import BackfillVerbs
from rota.services.binding_verbs import BindingVerbs
from rota.services.bulk_verbs import BulkVerbs
from rota.services.calendar_verbs import CalendarVerbs
from rota.services.callback_verbs import CallbackVerbs
from rota.services.check_in_verbs import CheckInVerbs
from rota.services.fan_out_verbs import WAIT_SECONDS_MAX, FanOutVerbs
from rota.services.flag_verbs import FlagVerbs
from rota.services.graph_job_verbs import GraphJobVerbs
from rota.services.job_making import JobParts
from rota.services.limit_verbs import LimitVerbs
from rota.services.lock_verbs import LockVerbs
from rota.services.milestone_generating import MilestoneGenerating
from rota.services.milestone_ticks import MilestoneTicks
from rota.services.milestone_verbs import EvidenceVerbs, MilestoneVerbs
from rota.services.policy_job_verbs import PolicyJobVerbs
from rota.services.retention import Retention
from rota.services.run_verbs import RunVerbs
from rota.services.schedule_previewing import SchedulePreviews
from rota.services.schedule_verbs import ScheduleVerbs
from rota.services.signing_verbs import SigningVerbs
from rota.services.tenant_verbs import TenantVerbs
from rota.telemetry.metrics import Metrics

# Raises `Unavailable` where the part is not ready; returns a word for the answer's `checks` otherwise.
ReadinessCheck: TypeAlias = Callable[[], Awaitable[str]]


class ApiPorts(Struct, frozen=True):
    """All that the API needs from the outside. `readiness` are checks beside the database's, by name."""

    clock: Clock
    ids: Ids
    schedules: ScheduleStore
    run_intake: RunIntake
    run_reader: RunReader
    run_control: RunControl
    bulk_operations: BulkStore
    dependencies: DependencyReader
    impacts: ImpactReader
    workers: WorkerStore
    tenants: TenantStore
    tokens: TokenStore
    events: EventStore
    idempotency: IdempotencyStore
    locks: LockStore
    signing_secrets: SigningSecretStore
    check_ins: CheckInStore
    callback_answers: CallbackAnswers
    graph_jobs: GraphJobStore
    policy_jobs: PolicyJobStore
    retention: RetentionStore
    limits: LimitStore
    waits: WaitReader
    run_statistics: RunStatistics
    run_counting: RunCounting
    cycles: CycleStore
    calendars: CalendarStore
    templates: TemplateStore
    bindings: BindingStore
    evidence: EvidenceStore
    milestones: MilestoneStore
    backfills: BackfillStore
    flags: FlagStore
    interventions: InterventionReader
    wakeups: Wakeups
    metrics: Metrics
    readiness: dict[str, ReadinessCheck] = {}


class ApiOptions(Struct, frozen=True):
    """Bounds and names. A stream asks the store again every `stream_poll_seconds`."""

    version: str = "0.1.0"
    streams_max: int = 200
    streams_per_tenant_max: int = 50
    stream_poll_seconds: float = 0.5
    stream_heartbeat_seconds: float = 15.0
    readiness_seconds: float = 2.0
    preview_wait_seconds_max: float = WAIT_SECONDS_MAX


class Services(Struct, frozen=True):
    """The verbs over the ports: what handlers call. `description` is the API's own, made once."""

    ports: ApiPorts
    options: ApiOptions
    schedules: ScheduleVerbs
    previews: SchedulePreviews
    runs: RunVerbs
    bulk: BulkVerbs
    fan_outs: FanOutVerbs
    locks: LockVerbs
    signing_secrets: SigningVerbs
    check_ins: CheckInVerbs
    callbacks: CallbackVerbs
    graph_jobs: GraphJobVerbs
    policy_jobs: PolicyJobVerbs
    retention: Retention
    limits: LimitVerbs
    calendars: CalendarVerbs
    bindings: BindingVerbs
    evidence: EvidenceVerbs
    milestones: MilestoneVerbs
    milestone_ticks: MilestoneTicks
    backfills: BackfillVerbs
    flags: FlagVerbs
    tenants: TenantVerbs
    authenticator: Authenticator
    streams: StreamGate
    description: dict[str, Any]


def wire(ports: ApiPorts, options: ApiOptions, description: dict[str, Any]) -> Services:
    generating = MilestoneGenerating(ports.milestones, ports.wakeups)
    runs = RunVerbs(
        ports.schedules,
        ports.run_intake,
        ports.run_reader,
        ports.run_control,
        ports.idempotency,
        ports.wakeups,
    )
    return Services(
        ports,
        options,
        ScheduleVerbs(ports.schedules, ports.calendars, ports.idempotency, ports.ids, ports.wakeups, ports.clock),
        SchedulePreviews(ports.schedules, ports.calendars),
        runs,
        BulkVerbs(ports.bulk_operations, ports.run_reader, ports.idempotency, ports.ids, ports.wakeups),
        _fan_outs(ports, options, runs),
        LockVerbs(ports.locks, ports.wakeups, ports.clock),
        SigningVerbs(ports.signing_secrets, ports.schedules, ports.ids),
        CheckInVerbs(ports.check_ins, ports.schedules, ports.ids, ports.clock),
        CallbackVerbs(ports.callback_answers, ports.wakeups, ports.clock),
        GraphJobVerbs(ports.graph_jobs, _job_parts(ports)),
        PolicyJobVerbs(ports.policy_jobs, ports.graph_jobs, _job_parts(ports)),
        Retention(ports.retention, ports.clock),
        LimitVerbs(ports.limits, ports.tenants, ports.schedules),
        CalendarVerbs(ports.calendars, ports.wakeups),
        BindingVerbs(
            ports.templates,
            ports.bindings,
            ports.schedules,
            ports.calendars,
            ports.ids,
            ports.wakeups,
            flags=ports.flags,
        ),
        EvidenceVerbs(ports.evidence, ports.schedules, ports.wakeups),
        MilestoneVerbs(ports.milestones, generating, ports.wakeups),
        MilestoneTicks(ports.milestones, generating, ports.clock),
        BackfillVerbs(ports.backfills, ports.schedules, ports.idempotency, ports.ids, ports.wakeups),
        FlagVerbs(ports.flags, ports.wakeups),
        TenantVerbs(ports.tenants, ports.tokens, ports.schedules, ports.ids, ports.wakeups),
        Authenticator(ports.tokens, ports.clock, ports.metrics),
        StreamGate(options.streams_max, options.streams_per_tenant_max, ports.metrics),
        description,
    )


def _job_parts(ports: ApiPorts) -> JobParts:
    return JobParts(ports.schedules, ports.run_control, ports.ids, ports.wakeups)


def _fan_outs(ports: ApiPorts, options: ApiOptions, runs: RunVerbs) -> FanOutVerbs:
    seconds_max = options.preview_wait_seconds_max
    return FanOutVerbs(
        runs, ports.schedules, ports.run_reader, ports.impacts, clock=ports.clock, wait_seconds_max=seconds_max
    )
