"""The application: endpoints bound to routes, behind the gate. `create_app` is what composition calls."""

from collections.abc import Sequence

from litestar import Litestar
from litestar.types import ControllerRouterHandler

from rota.api.rest import (
    backfills,
    bindings,
    bulk_operations,
    calendars,
    callbacks,
    check_ins,
    events,
    evidence,
    flags,
    graph_jobs,
    health,
    impacts,
    interventions,
    limits,
    locks,
    logs,
    metrics,
    milestones,
    openapi,
    policy_jobs,
    principal,
    retention,
    runs,
    schedule_templates,
    schedules,
    signing_secrets,
    stats,
    tenants,
    tokens,
    workers,
)
from rota.api.rest.check_in_pings import ping_routes
from rota.api.rest.endpoint import Endpoint
from rota.api.rest.failures import answer_failure
from rota.api.rest.gate import Gate
from rota.api.rest.openapi_document import api_description
from rota.api.rest.routing import bind
from rota.api.rest.wiring import ApiOptions, ApiPorts, wire

ENDPOINTS: tuple[Endpoint, ...] = (
    *health.ENDPOINTS,
    *schedules.ENDPOINTS,
    *runs.ENDPOINTS,
    *bulk_operations.ENDPOINTS,
    *impacts.ENDPOINTS,
    *logs.ENDPOINTS,
    *events.ENDPOINTS,
    *calendars.ENDPOINTS,
    *backfills.ENDPOINTS,
    *flags.ENDPOINTS,
    *locks.ENDPOINTS,
    *stats.ENDPOINTS,
    *workers.ENDPOINTS,
    *tokens.ENDPOINTS,
    *signing_secrets.ENDPOINTS,
    *check_ins.ENDPOINTS,
    *callbacks.ENDPOINTS,
    *schedule_templates.ENDPOINTS,
    *bindings.ENDPOINTS,
    *evidence.ENDPOINTS,
    *milestones.ENDPOINTS,
    *graph_jobs.ENDPOINTS,
    *policy_jobs.ENDPOINTS,
    *interventions.ENDPOINTS,
    *tenants.ENDPOINTS,
    *limits.ENDPOINTS,
    *principal.ENDPOINTS,
    *retention.ENDPOINTS,
    *metrics.ENDPOINTS,
    *openapi.ENDPOINTS,
)

STATE_STREAMS = "streams"


def create_app(
    ports: ApiPorts, options: ApiOptions | None = None, *, pages: Sequence[ControllerRouterHandler] = ()
) -> Litestar:
    """`pages` are routes outside /api (the dashboard's).

    `app.state.streams.close()` ends open streams; call it before a stop.
    """
    chosen = options or ApiOptions()
    services = wire(ports, chosen, api_description(ENDPOINTS, chosen.version))
    app = Litestar(
        route_handlers=[*(bind(endpoint, services) for endpoint in ENDPOINTS), ping_routes(services), *pages],
        exception_handlers={Exception: answer_failure},
        openapi_config=None,
        logging_config=None,
        debug=False,
    )
    app.state[STATE_STREAMS] = services.streams
    app.asgi_handler = Gate(app.asgi_handler, services)
    return app
