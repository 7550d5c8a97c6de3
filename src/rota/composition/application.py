"""The web application of a server process: the API with the dashboard beside it, on one set of stores."""

from litestar import Litestar
from msgspec import Struct

import rota
from rota.api.rest.app import create_app
from rota.api.rest.wiring import ApiOptions, ApiPorts, ReadinessCheck
from rota.composition.stores import ServerStores
from rota.dashboard.pages import DashboardPorts, Pages
from rota.dashboard.routes import Authenticate, create_dashboard
from rota.dashboard.sign_in import SignInCodes
from rota.domain.tenancy import Principal
from rota.ports.clock import Clock
from rota.ports.ids import Ids
from rota.ports.tenant_store import TokenStore
from rota.ports.wakeups import Wakeups
from rota.services.schedule_verbs import ScheduleVerbs
from rota.services.tenant_verbs import TenantVerbs, secret_digest
from rota.telemetry.metrics import Metrics


class Application(Struct, frozen=True):
    """`sign_in_codes` makes links for browsers; the verbs serve the first start."""

    app: Litestar
    sign_in_codes: SignInCodes
    tenant_verbs: TenantVerbs
    schedule_verbs: ScheduleVerbs


class Machine(Struct, frozen=True):
    """The parts of this process that are no store."""

    clock: Clock
    ids: Ids
    wakeups: Wakeups
    metrics: Metrics


def build_application(
    stores: ServerStores, machine: Machine, readiness: dict[str, ReadinessCheck] | None = None
) -> Application:
    ports = ApiPorts(
        clock=machine.clock,
        ids=machine.ids,
        schedules=stores.schedules,
        run_intake=stores.run_intake,
        run_reader=stores.run_reader,
        run_control=stores.run_control,
        bulk_operations=stores.bulk_operations,
        dependencies=stores.dependencies,
        impacts=stores.impacts,
        workers=stores.workers,
        tenants=stores.tenants,
        tokens=stores.tokens,
        events=stores.events,
        idempotency=stores.idempotency,
        locks=stores.locks,
        signing_secrets=stores.signing_secrets,
        check_ins=stores.check_ins,
        callback_answers=stores.callback_answers,
        retention=stores.retention,
        limits=stores.limits,
        waits=stores.waits,
        run_statistics=stores.run_statistics,
        run_counting=stores.run_counting,
        cycles=stores.cycles,
        calendars=stores.calendars,
        templates=stores.templates,
        bindings=stores.bindings,
        evidence=stores.evidence,
        milestones=stores.milestones,
        graph_jobs=stores.graph_jobs,
        policy_jobs=stores.policy_jobs,
        backfills=stores.backfills,
        flags=stores.flags,
        interventions=stores.interventions,
        wakeups=machine.wakeups,
        metrics=machine.metrics,
        readiness=readiness or {},
    )
    codes = SignInCodes(machine.clock, machine.ids)
    pages = Pages(_dashboard_ports(stores))
    authenticate = _visitor_of(stores.tokens)
    app = create_app(ports, ApiOptions(version=rota.__version__), pages=create_dashboard(pages, authenticate, codes))
    return Application(
        app,
        codes,
        TenantVerbs(stores.tenants, stores.tokens, stores.schedules, machine.ids, machine.wakeups),
        ScheduleVerbs(
            stores.schedules, stores.calendars, stores.idempotency, machine.ids, machine.wakeups, machine.clock
        ),
    )


def _dashboard_ports(stores: ServerStores) -> DashboardPorts:
    return DashboardPorts(
        stores.schedules,
        stores.run_reader,
        stores.workers,
        stores.bindings,
        stores.flags,
        stores.impacts,
        stores.dependencies,
        stores.milestones,
        stores.evidence,
        stores.limits,
        stores.graph_jobs,
        stores.policy_jobs,
        stores.waits,
        stores.check_ins,
    )


def _visitor_of(tokens: TokenStore) -> Authenticate:
    """Who a token is, asked anew each time: the pages of a revoked token end with their next refresh."""

    async def authenticate(token: str) -> Principal | None:
        return await tokens.authenticate(secret_digest(token))

    return authenticate
