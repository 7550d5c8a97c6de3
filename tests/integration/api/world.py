"""The API over a real database with two tenants in it, and calls of it. What a test finds there is said in `World`."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast, get_args

import httpx
import msgspec
from litestar import Litestar

from rota.adapters.system_clock import SystemClock
from rota.adapters.system_ids import SystemIds
from rota.api.rest.app import ENDPOINTS, create_app
from rota.api.rest.endpoint import Endpoint
from rota.api.rest.schedule_templates import TEMPLATE_EXAMPLE
from rota.api.rest.wiring import ApiOptions, ApiPorts
from rota.core.callbacks import callback_digest
from rota.core.fan_out import fan_out_of
from rota.domain.callback import OpenedCallback
from rota.domain.ids import RunId, TenantId, TokenId, WorkerId
from rota.domain.run import ClaimedRun, LogLine, Settlement
from rota.domain.tenancy import AuditEntry, Role, Tenant
from rota.domain.worker import WorkerSpec
from rota.ports.fan_out_store import PlanningAttempt
from rota.services.acting import Actor
from rota.services.tenant_verbs import TenantVerbs, TokenRequest
from rota.storage.postgres.backfills import PostgresBackfillStore
from rota.storage.postgres.bindings import PostgresBindingStore, PostgresTemplateStore
from rota.storage.postgres.bulk_operations import PostgresBulkStore
from rota.storage.postgres.calendars import PostgresCalendarStore
from rota.storage.postgres.callbacks import PostgresCallbackAnswers, PostgresCallbackWaits
from rota.storage.postgres.check_ins import PostgresCheckInStore
from rota.storage.postgres.cycles import PostgresCycleStore
from rota.storage.postgres.dependencies import PostgresDependencyReader
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.events import PostgresEventStore
from rota.storage.postgres.evidence import PostgresEvidenceStore
from rota.storage.postgres.fan_outs import PostgresFanOutPlans, PostgresImpactReader
from rota.storage.postgres.flags import PostgresFlagStore
from rota.storage.postgres.idempotency import PostgresIdempotencyStore
from rota.storage.postgres.interventions import PostgresInterventionReader
from rota.storage.postgres.job_work import PostgresJobEnds, PostgresJobWork
from rota.storage.postgres.jobs import PostgresGraphJobStore, PostgresPolicyJobStore
from rota.storage.postgres.limits import PostgresLimitStore
from rota.storage.postgres.locks import PostgresLockStore
from rota.storage.postgres.milestones import PostgresMilestoneStore
from rota.storage.postgres.retention import PostgresRetentionStore
from rota.storage.postgres.run_claims import PostgresRunClaims
from rota.storage.postgres.run_control import PostgresRunControl
from rota.storage.postgres.run_intake import PostgresRunIntake
from rota.storage.postgres.run_reading import PostgresRunReader
from rota.storage.postgres.run_statistics import PostgresRunCounting, PostgresRunStatistics
from rota.storage.postgres.schedules import PostgresScheduleStore
from rota.storage.postgres.signing_secrets import PostgresSigningSecretStore
from rota.storage.postgres.tenants import PostgresTenantStore
from rota.storage.postgres.tokens import PostgresTokenStore
from rota.storage.postgres.waits import PostgresWaitReader
from rota.storage.postgres.workers import PostgresWorkerStore
from rota.telemetry.metrics import Metrics

ACME = TenantId("acme")
GLOBEX = TenantId("globex")
ROLES: tuple[Role, ...] = get_args(Role)
UNKNOWN_ID = "01990000-0000-7000-8000-000000000000"

SCHEDULE: dict[str, Any] = {
    "name": "nightly",
    "triggers": [
        {"kind": "cron", "expression": "0 2 * * *", "timezone": "Europe/Paris"},
        {"kind": "interval", "every_seconds": 3600, "start_at": "2026-01-01T02:00:00+02:00"},
        {"kind": "at", "at": "2099-01-01T00:00:00Z"},
    ],
    "target": {"kind": "task", "task": "report", "args": {"days": 1}},
    "labels": {"team": "billing"},
}
# Its run leaves an impact behind, and is done.
PLANNED_TARGET: dict[str, Any] = {
    "kind": "task",
    "task": "report",
    "args": {"n": 1},
    "fan_out": {"selector": {"kind": "task", "task": "branches"}, "plan_only": True},
}


class RecordedWakeups:
    """Remembers what was announced; nobody is ever woken, so that whoever waits for a lock converges by polling."""

    def __init__(self) -> None:
        self.topics: list[str] = []

    def announce(self, topic: str) -> None:
        self.topics.append(topic)

    def subscribe(self, topic: str) -> Any:
        assert topic.startswith("locks:"), f"the API polls; it does not subscribe to {topic}"
        return asyncio.Event()


@dataclass
class World:
    """`ids` has a real object of `acme` for every path parameter; `tokens` one token per tenant and role."""

    app: Litestar
    ports: ApiPorts
    wakeups: RecordedWakeups
    client: httpx.AsyncClient
    tokens: dict[tuple[TenantId, Role], str]
    claims: PostgresRunClaims
    work: PostgresJobWork
    ends: PostgresJobEnds
    plans: PostgresFanOutPlans
    callback_waits: PostgresCallbackWaits
    owner_pool: Pool
    ids: dict[str, str] = field(default_factory=dict[str, str])

    def auth(self, role: Role = "admin", tenant: TenantId = ACME) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[tenant, role]}"}

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        role: Role = "admin",
        tenant: TenantId = ACME,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        """A request under /api/v1 (or as it is where the path begins otherwise)."""
        raw = content if content is not None else b"" if body is None else msgspec.json.encode(body)
        full = path if path.startswith(("/api", "/metrics")) else f"/api/v1{path}"
        sent = {**self.auth(role, tenant), "Content-Type": "application/json", **(headers or {})}
        return await self.client.request(method, full, content=raw, headers=sent)

    async def row_versions(self) -> dict[str, str]:
        """A digest of every row's version, by table."""
        tables = await self.owner_pool.fetch(
            "SELECT relname::text AS name FROM pg_catalog.pg_class"
            " WHERE relnamespace = 'scheduler'::regnamespace AND relkind = 'r' ORDER BY 1"
        )
        return {
            row["name"]: await self.owner_pool.fetchval(
                "SELECT count(*)::text || md5(coalesce(string_agg(ctid::text || xmin::text || xmax::text, ',' ORDER BY"
                f" ctid), '')) FROM scheduler.\"{row['name']}\""
            )
            for row in tables
        }


def ports_over(api_pool: Pool, service_pool: Pool, wakeups: RecordedWakeups) -> ApiPorts:
    return ApiPorts(
        clock=SystemClock(),
        ids=SystemIds(),
        schedules=PostgresScheduleStore(api_pool),
        run_intake=PostgresRunIntake(api_pool),
        run_reader=PostgresRunReader(api_pool),
        run_control=PostgresRunControl(api_pool),
        bulk_operations=PostgresBulkStore(api_pool),
        dependencies=PostgresDependencyReader(api_pool),
        impacts=PostgresImpactReader(api_pool),
        workers=PostgresWorkerStore(service_pool),
        tenants=PostgresTenantStore(service_pool),
        tokens=PostgresTokenStore(api_pool),
        events=PostgresEventStore(api_pool, service_pool),
        idempotency=PostgresIdempotencyStore(api_pool),
        locks=PostgresLockStore(api_pool),
        signing_secrets=PostgresSigningSecretStore(api_pool),
        check_ins=PostgresCheckInStore(api_pool),
        callback_answers=PostgresCallbackAnswers(api_pool),
        retention=PostgresRetentionStore(service_pool),
        limits=PostgresLimitStore(service_pool),
        waits=PostgresWaitReader(service_pool),
        run_statistics=PostgresRunStatistics(api_pool),
        run_counting=PostgresRunCounting(service_pool),
        cycles=PostgresCycleStore(service_pool),
        calendars=PostgresCalendarStore(api_pool),
        templates=PostgresTemplateStore(api_pool),
        bindings=PostgresBindingStore(api_pool),
        evidence=PostgresEvidenceStore(api_pool),
        milestones=PostgresMilestoneStore(api_pool),
        graph_jobs=PostgresGraphJobStore(api_pool),
        policy_jobs=PostgresPolicyJobStore(api_pool),
        backfills=PostgresBackfillStore(api_pool),
        flags=PostgresFlagStore(api_pool, service_pool),
        interventions=PostgresInterventionReader(api_pool),
        wakeups=wakeups,
        metrics=Metrics(),
    )


async def build_world(api_pool: Pool, service_pool: Pool, owner_pool: Pool) -> World:
    wakeups = RecordedWakeups()
    ports = ports_over(api_pool, service_pool, wakeups)
    app = create_app(ports, ApiOptions(stream_poll_seconds=0.02, preview_wait_seconds_max=0.02))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(cast("Any", app)), base_url="http://rota.test")
    tokens = await _tokens(ports)
    claims = PostgresRunClaims(service_pool)
    work, ends = PostgresJobWork(service_pool), PostgresJobEnds(service_pool)
    plans, waits = PostgresFanOutPlans(service_pool), PostgresCallbackWaits(service_pool)
    return World(app, ports, wakeups, client, tokens, claims, work, ends, plans, waits, owner_pool)


async def _tokens(ports: ApiPorts) -> dict[tuple[TenantId, Role], str]:
    verbs = TenantVerbs(ports.tenants, ports.tokens, ports.schedules, ports.ids, ports.wakeups)
    made: dict[tuple[TenantId, Role], str] = {}
    now = await store_now(ports)
    for tenant_id in (ACME, GLOBEX):
        root = Actor(tenant_id, "root", TokenId("root"), "platform_admin")
        await ports.tenants.create(Tenant(tenant_id, tenant_id, now, "root"), AuditEntry("root", "c", "t", tenant_id))
        for role in ROLES:
            issued = await verbs.issue_token(root, TokenRequest(f"{role} of {tenant_id}", role))
            made[tenant_id, role] = issued.secret
    return made


async def store_now(ports: ApiPorts) -> datetime:
    return datetime.fromisoformat(await ports.schedules.clock())


async def furnish(world: World) -> None:
    """Fill `acme`: a schedule, a run with an attempt and lines, a live run, a worker; each named in `world.ids`."""
    schedule = (await world.call("POST", "/schedules", SCHEDULE)).raise_for_status().json()
    run = (await world.call("POST", "/runs", {"target": PLANNED_TARGET})).raise_for_status().json()
    await execute_once(world, RunId(run["id"]))
    await world.call("POST", "/runs", {"task": "report", "delay_seconds": 3600})
    token = (await world.call("POST", "/tokens", {"name": "spare"})).raise_for_status().json()
    signing = (await world.call("POST", "/signing-secrets", {"name": "spare"})).raise_for_status().json()
    check_in = (await world.call("POST", "/check-ins", {"name": "dump", "every_seconds": 60})).raise_for_status().json()
    template = {**TEMPLATE_EXAMPLE, "defaults": {"hour": 3}}
    (await world.call("PUT", "/schedule-templates/daily-insights", template)).raise_for_status()
    (await world.call("PUT", "/bindings/storefront/site-1", {"template": "daily-insights"})).raise_for_status()
    await one_milestone(world, schedule)
    (worker, *_) = await world.ports.workers.list_recent(1)
    lock = {"holder": "billing", "ttl_seconds": 600}
    (await world.call("POST", "/locks/reports-of-acme/acquire", lock)).raise_for_status()
    calendar = {"yearly": ["12-25"]}
    (await world.call("PUT", "/calendars/holidays-of-acme", calendar)).raise_for_status()
    past = {"from": "2026-01-05T00:00:00Z", "to": "2026-01-05T03:00:00Z"}
    backfill = (await world.call("POST", f"/schedules/{schedule['id']}/backfill", past)).raise_for_status().json()
    nothing = {"verb": "retry", "filter": {"queue": "none"}, "dry_run": False, "expected_count": 0}
    bulk = (await world.call("POST", "/runs/bulk", nothing)).raise_for_status().json()
    for owner in ("queues/slow-queue", "tenants/acme"):
        limit = {"concurrency_max": 5}
        (await world.call("PUT", f"/limits/{owner}", limit, role="platform_admin")).raise_for_status()
    world.ids |= {
        "bulk_id": bulk["operation"]["id"],
        "flag_name": "firing",
        "backfill_id": backfill["backfill"]["id"],
        "queue_name": "slow-queue",
        "calendar_name": "holidays-of-acme",
        "schedule_id": schedule["id"],
        "run_id": run["id"],
        "token_id": token["id"],
        "worker_id": worker.id,
        "secret_id": signing["id"],
        "check_in_id": check_in["id"],
        "callback_secret": "guessed",
        "lock_name": "reports-of-acme",
        "template_name": "daily-insights",
        "kind": "storefront",
        "subject": "site-1",
        "milestone": "AUTO_12H",
        "tenant_id": ACME,
    }


async def one_milestone(world: World, schedule: dict[str, Any]) -> None:
    """Done for `site-1`, whose evidence is that of the API's own example."""
    triggers = [*SCHEDULE["triggers"], {"kind": "milestone", "name": "AUTO_12H", "evidence": "storefront"}]
    patch = {"If-Match": "*", "Content-Type": "application/merge-patch+json"}
    path = f"/schedules/{schedule['id']}"
    (await world.call("PATCH", path, {"triggers": triggers}, headers=patch)).raise_for_status()
    fact = {"occurred_at": "2026-03-01T08:30:00Z"}
    (await world.call("PUT", "/evidence/storefront/site-1", fact)).raise_for_status()
    asked = {"tenant_id": ACME, "subject": "site-1", "wait_seconds": 0}
    tick = (await world.call("POST", "/milestones/evaluate", asked)).json()
    await execute_once(world, RunId(tick["triggers"][0]["run_id"]))


async def execute_once(world: World, run_id: RunId, verb: str = "succeed") -> None:
    """Claim the run as a worker of its own, write two lines, and settle it."""
    worker_id = WorkerId(world.ports.ids.new_id())
    spec = WorkerSpec(worker_id, "w1", ("default",), 4, ("report",), "host", 7, "0.1.0")
    await world.ports.workers.register(spec, 600.0)
    claimed = next(one for one in await world.claims.claim_batch(worker_id, ("default",), 10) if one.run_id == run_id)
    await plan_if_it_fans_out(world, claimed)
    at = await store_now(world.ports)
    lines = [LogLine(run_id, claimed.attempt_no, seq, at, "stdout", f"line {seq}") for seq in range(2)]
    await world.claims.append_log_lines(lines, [claimed.tenant_id] * len(lines))
    outcome = "succeeded" if verb == "succeed" else "failed"
    settlement = Settlement(
        run_id,
        claimed.token,
        "succeed" if verb == "succeed" else "fail",
        outcome,
        "done",
        result_json='{"rows":3}' if verb == "succeed" else None,
        error_json=None if verb == "succeed" else '{"message":"no","type":"ValueError"}',
        dead_letter=verb != "succeed",
    )
    (result,) = await world.claims.settle_batch([settlement])
    assert result.accepted


async def await_callback(world: World, secret: str, keep_seconds: float = 3_600.0) -> RunId:
    """A run whose target answered 202, and was given this secret."""
    target = {"kind": "http", "url": "https://example.com/hook", "accept_202": "callback"}
    run = (await world.call("POST", "/runs", {"target": target, "queue": "called-back"})).raise_for_status().json()
    worker_id = WorkerId(world.ports.ids.new_id())
    spec = WorkerSpec(worker_id, "w2", ("called-back",), 4, (), "host", 7, "0.1.0")
    await world.ports.workers.register(spec, 600.0)
    (claimed,) = await world.claims.claim_batch(worker_id, ("called-back",), 1)
    opened = OpenedCallback(callback_digest(secret), ACME, claimed.run_id, claimed.token, 60.0, keep_seconds)
    await world.callback_waits.open([opened])
    assert await world.callback_waits.await_answers([(claimed.run_id, claimed.token)]) == ("waiting",)
    return RunId(run["id"])


async def plan_if_it_fans_out(world: World, claimed: ClaimedRun) -> None:
    """Three items in one segment."""
    fan_out = fan_out_of(claimed.target)
    if fan_out is not None:
        attempt = PlanningAttempt(claimed.tenant_id, claimed.run_id, claimed.token)
        await world.plans.stage_items(attempt, ['"a"', '"b"', '"c"'])
        await world.plans.cut_segments(attempt, fan_out.segment_size, 10)
        await world.plans.launch(attempt, fan_out)


def path_of(endpoint: Endpoint, ids: Mapping[str, str]) -> str:
    """The endpoint's path with its parameters filled; a parameter that `ids` lacks is a KeyError, never a skip."""
    return re.sub(r"\{(\w+)\}", lambda match: ids[match[1]], endpoint.full_path)


def guarded_endpoints() -> tuple[Endpoint, ...]:
    return tuple(one for one in ENDPOINTS if one.access is not None)
