"""The stores of a server process on its pools: which class answers each port."""

from msgspec import Struct

from rota.composition.database import ServerPools
from rota.storage.postgres.backfills import PostgresBackfillStore
from rota.storage.postgres.bindings import PostgresBindingStore, PostgresTemplateStore
from rota.storage.postgres.bulk_operations import PostgresBulkStore
from rota.storage.postgres.calendars import PostgresCalendarStore
from rota.storage.postgres.callbacks import PostgresCallbackAnswers, PostgresCallbackKeeping
from rota.storage.postgres.check_ins import PostgresCheckInDeadlines, PostgresCheckInStore
from rota.storage.postgres.cycles import PostgresCycleStore
from rota.storage.postgres.dependencies import PostgresDependencyReader
from rota.storage.postgres.events import PostgresEventStore
from rota.storage.postgres.evidence import PostgresEvidenceStore
from rota.storage.postgres.fan_outs import PostgresFanOutKeeping, PostgresImpactReader
from rota.storage.postgres.figures import PostgresFigureStore
from rota.storage.postgres.flags import PostgresFlagStore
from rota.storage.postgres.idempotency import PostgresIdempotencyStore
from rota.storage.postgres.interventions import PostgresInterventionDuties, PostgresInterventionReader
from rota.storage.postgres.job_work import PostgresJobEnds
from rota.storage.postgres.jobs import PostgresGraphJobStore, PostgresPolicyJobStore
from rota.storage.postgres.limits import PostgresLimitStore
from rota.storage.postgres.locks import PostgresLockStore
from rota.storage.postgres.milestones import PostgresMilestoneDuties, PostgresMilestoneStore
from rota.storage.postgres.partitions import PostgresPartitions
from rota.storage.postgres.places import PostgresPlaceStore
from rota.storage.postgres.retention import PostgresRetentionStore
from rota.storage.postgres.run_claims import PostgresRunClaims
from rota.storage.postgres.run_control import PostgresRunControl
from rota.storage.postgres.run_ends import PostgresRunEnds
from rota.storage.postgres.run_intake import PostgresRunIntake
from rota.storage.postgres.run_reading import PostgresRunReader
from rota.storage.postgres.run_statistics import PostgresRunCounting, PostgresRunStatistics
from rota.storage.postgres.schedules import PostgresScheduleStore
from rota.storage.postgres.signing_secrets import PostgresSigningSecretStore
from rota.storage.postgres.tenants import PostgresTenantStore
from rota.storage.postgres.tokens import PostgresTokenStore
from rota.storage.postgres.waits import PostgresWaitReader
from rota.storage.postgres.workers import PostgresWorkerStore


class ServerStores(Struct, frozen=True):
    """One of each."""

    schedules: PostgresScheduleStore
    run_intake: PostgresRunIntake
    run_reader: PostgresRunReader
    run_control: PostgresRunControl
    bulk_operations: PostgresBulkStore
    dependencies: PostgresDependencyReader
    run_claims: PostgresRunClaims
    fan_outs: PostgresFanOutKeeping
    callbacks: PostgresCallbackKeeping
    callback_answers: PostgresCallbackAnswers
    impacts: PostgresImpactReader
    run_ends: PostgresRunEnds
    workers: PostgresWorkerStore
    tenants: PostgresTenantStore
    tokens: PostgresTokenStore
    events: PostgresEventStore
    idempotency: PostgresIdempotencyStore
    locks: PostgresLockStore
    signing_secrets: PostgresSigningSecretStore
    check_ins: PostgresCheckInStore
    templates: PostgresTemplateStore
    bindings: PostgresBindingStore
    graph_jobs: PostgresGraphJobStore
    policy_jobs: PostgresPolicyJobStore
    job_ends: PostgresJobEnds
    interventions: PostgresInterventionReader
    intervention_duties: PostgresInterventionDuties
    check_in_deadlines: PostgresCheckInDeadlines
    calendars: PostgresCalendarStore
    evidence: PostgresEvidenceStore
    milestones: PostgresMilestoneStore
    milestone_duties: PostgresMilestoneDuties
    backfills: PostgresBackfillStore
    flags: PostgresFlagStore
    partitions: PostgresPartitions
    retention: PostgresRetentionStore
    limits: PostgresLimitStore
    waits: PostgresWaitReader
    places: PostgresPlaceStore
    run_statistics: PostgresRunStatistics
    run_counting: PostgresRunCounting
    cycles: PostgresCycleStore
    figures: PostgresFigureStore


def server_stores(pools: ServerPools) -> ServerStores:
    """Tenants' requests go through the api login, the platform's duties through the service login."""
    api, service, pooled = pools.api, pools.service, pools.pooled_by_transaction
    return ServerStores(
        schedules=PostgresScheduleStore(api),
        run_intake=PostgresRunIntake(api),
        run_reader=PostgresRunReader(api),
        run_control=PostgresRunControl(api),
        bulk_operations=PostgresBulkStore(api),
        dependencies=PostgresDependencyReader(api),
        fan_outs=PostgresFanOutKeeping(service, pooled_by_transaction=pooled),
        callbacks=PostgresCallbackKeeping(service, pooled_by_transaction=pooled),
        callback_answers=PostgresCallbackAnswers(api),
        impacts=PostgresImpactReader(api),
        run_claims=PostgresRunClaims(service, pooled_by_transaction=pooled),
        run_ends=PostgresRunEnds(service, pooled_by_transaction=pooled),
        workers=PostgresWorkerStore(service, pooled_by_transaction=pooled),
        tenants=PostgresTenantStore(service),
        tokens=PostgresTokenStore(api),
        events=PostgresEventStore(api, service),
        idempotency=PostgresIdempotencyStore(api),
        locks=PostgresLockStore(api),
        signing_secrets=PostgresSigningSecretStore(api),
        check_ins=PostgresCheckInStore(api),
        templates=PostgresTemplateStore(api),
        bindings=PostgresBindingStore(api),
        graph_jobs=PostgresGraphJobStore(api),
        policy_jobs=PostgresPolicyJobStore(api),
        job_ends=PostgresJobEnds(service),
        interventions=PostgresInterventionReader(api),
        intervention_duties=PostgresInterventionDuties(service, pooled_by_transaction=pooled),
        check_in_deadlines=PostgresCheckInDeadlines(service, pooled_by_transaction=pooled),
        calendars=PostgresCalendarStore(api),
        evidence=PostgresEvidenceStore(api),
        milestones=PostgresMilestoneStore(api),
        milestone_duties=PostgresMilestoneDuties(service, pooled_by_transaction=pooled),
        backfills=PostgresBackfillStore(api),
        flags=PostgresFlagStore(api, service),
        partitions=PostgresPartitions(service, pooled_by_transaction=pooled),
        run_statistics=PostgresRunStatistics(api),
        run_counting=PostgresRunCounting(service, pooled_by_transaction=pooled),
        cycles=PostgresCycleStore(service),
        figures=PostgresFigureStore(service, pooled_by_transaction=pooled),
        retention=PostgresRetentionStore(service, pooled_by_transaction=pooled),
        limits=PostgresLimitStore(service),
        places=PostgresPlaceStore(service, pooled_by_transaction=pooled),
        waits=PostgresWaitReader(service, pooled_by_transaction=pooled),
    )
