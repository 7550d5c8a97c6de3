"""Every endpoint answers real data as its description says; reads write nothing; a failure is never an empty answer."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, cast

import jsonschema_rs
import msgspec
from litestar import get
from msgspec.structs import replace
from structlog.testing import capture_logs

from rota.api.rest.app import ENDPOINTS, create_app
from rota.api.rest.endpoint import Endpoint
from rota.api.rest.schedule_templates import TEMPLATE_EXAMPLE
from rota.api.rest.wiring import ApiPorts
from rota.domain.errors import CATALOGUE, Unavailable
from rota.storage.postgres.driver import Connection
from tests.integration.api.job_world import RULES, asked
from tests.integration.api.raw_asgi import Exchange, answered
from tests.integration.api.world import (
    PLANNED_TARGET,
    SCHEDULE,
    UNKNOWN_ID,
    World,
    await_callback,
    guarded_endpoints,
    path_of,
)
from tests.support.waiting import wait_until

Prepare = Callable[[World], Awaitable[object]]


def posting(template: str) -> Prepare:
    return lambda world: world.call("POST", template.format_map(world.ids))


async def another_run(world: World) -> dict[str, str]:
    return {"run_id": (await world.call("POST", "/runs", {"task": "report"})).json()["id"]}


async def an_ended_run_of_the_schedule(world: World) -> None:
    run = (await world.call("POST", f"/schedules/{world.ids['schedule_id']}/trigger")).json()
    (await world.call("POST", f"/runs/{run['id']}/cancel")).raise_for_status()


async def another_lock(world: World) -> dict[str, str]:
    lock = {"holder": "billing-7", "ttl_seconds": 60}
    (await world.call("POST", "/locks/another/acquire", lock)).raise_for_status()
    return {"lock_name": "another"}


async def one_lock(world: World) -> dict[str, str]:
    """Acquired, renewed and released by the examples, in the order of the endpoints."""
    return {"lock_name": "walked"}


async def another_check_in(world: World) -> dict[str, str]:
    return {"check_in_id": (await world.call("POST", "/check-ins", {"name": "x", "every_seconds": 60})).json()["id"]}


async def another_callback(world: World) -> dict[str, str]:
    await await_callback(world, "told-by-the-target")
    return {"callback_secret": "told-by-the-target"}


async def another_template(world: World) -> dict[str, str]:
    (await world.call("PUT", "/schedule-templates/spare", TEMPLATE_EXAMPLE)).raise_for_status()
    return {"template_name": "spare"}


async def another_milestone(world: World) -> dict[str, str]:
    welcome = {"kind": "milestone", "name": "welcome", "evidence": "storefront", "age_seconds": 60}
    await world.call("POST", "/schedules", {**SCHEDULE, "name": "welcome", "triggers": [welcome]})
    return {"milestone": "welcome"}


async def another_graph_job(world: World) -> dict[str, str]:
    sbom = {"bomFormat": "CycloneDX", "components": []}
    return {"graph_job_id": (await asked(world, "/graphs/build", sbom=sbom, sbom_id="x"))["id"]}


async def another_policy_job(world: World) -> dict[str, str]:
    given = {"policy_id": "P-8", "policy_version": "1", "rules": RULES, "graph_job_id": world.ids["graph_job_id"]}
    return {"policy_job_id": (await asked(world, "/policy/runs", **given))["id"]}


async def another_tenant(world: World) -> dict[str, str]:
    await world.call("POST", "/tenants", {"id": "spare"}, role="platform_admin")
    return {"tenant_id": "spare"}


async def another_fan_out(world: World) -> dict[str, str]:
    schedule = {**SCHEDULE, "name": "spread", "target": PLANNED_TARGET}
    return {"schedule_id": (await world.call("POST", "/schedules", schedule)).json()["id"]}


# What an endpoint needs beside the furnished world, to do what it is for; ids that are given stand for its own.
PREPARED: dict[str, Prepare] = {
    "list_schedule_hours": an_ended_run_of_the_schedule,
    "resume_schedule": posting("/schedules/{schedule_id}/pause"),
    "preview_schedule_fan_out": another_fan_out,
    "cancel_run": another_run,
    "cancel_graph_job": another_graph_job,
    "cancel_policy_job": another_policy_job,
    "revoke_tenant": another_tenant,
    "delete_check_in": another_check_in,
    "answer_callback": another_callback,
    "delete_schedule_template": another_template,
    "retry_milestone": another_milestone,
    "acquire_lock": one_lock,
    "renew_lock": one_lock,
    "release_lock": one_lock,
    "break_lock": another_lock,
}
BODIES: dict[str, Callable[[Any], Any]] = {
    "create_schedules": lambda example: [{**example[0], "name": f"bulk {number}"} for number in range(3)],
    "replace_schedule": lambda example: {**example, "name": "replaced"},
    "resume_schedule": lambda _: {},
    "acquire_lock": lambda example: {**example, "wait_seconds": 0},
    "evaluate_milestones": lambda example: {**example, "subject": "nobody"},
}


async def ask(
    world: World,
    one: Endpoint,
    ports: ApiPorts | None = None,
    ids: object = None,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Exchange:
    headers = world.auth("platform_admin") | dict(headers)
    headers |= {"If-Match": "*", "Content-Type": "application/json"} if one.method != "GET" else {}
    body = BODIES.get(one.operation_id, lambda example: example)(one.example)
    path = path_of(one, world.ids | (ids if isinstance(ids, dict) else {}))
    raw = (
        b""
        if body is None
        else msgspec.json.encode(body).replace(UNKNOWN_ID.encode(), world.ids["graph_job_id"].encode())
    )
    return await answered(world.app if ports is None else create_app(ports), one.method, path, headers, raw)


async def test_every_endpoint_answers_real_data_as_described(world: World) -> None:
    document = (await world.call("GET", "/openapi.json")).json()
    for one in ENDPOINTS:
        ids = await PREPARED[one.operation_id](world) if one.operation_id in PREPARED else None
        answer = await ask(world, one, ids=ids)
        assert answer.status == one.status, (one.operation_id, answer.body)
        assert answer.headers["content-type"].partition(";")[0] == one.content_type
        if one.content_type == "application/json":
            assert_as_described(document, one, answer.json())
        elif one.content_type == "text/plain":
            assert b"# HELP" in answer.body


def assert_as_described(document: dict[str, Any], one: Endpoint, shown: Any) -> None:
    assert shown.get("items", ["none"]), f"an empty list of {one.operation_id} proves nothing"
    operation = document["paths"][one.full_path][one.method.lower()]
    schema = operation["responses"][str(one.status)]["content"]["application/json"]["schema"]
    jsonschema_rs.validator_for({**schema, "components": document["components"]}).validate(shown)
    if "$ref" in schema:
        described = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        assert set(shown) == set(described["properties"]) == set(described["required"])


async def test_the_description_names_every_route_and_documents_it(world: World) -> None:
    document = (await world.call("GET", "/openapi.json", role="viewer")).json()
    described = {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}
    assert described == {(one.method, one.full_path) for one in ENDPOINTS}
    assert document["openapi"].startswith("3.1")
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    operations = [one for operations in document["paths"].values() for one in operations.values()]
    assert len({one["operationId"] for one in operations}) == len(operations)
    for one in operations:
        assert one["summary"]
        assert "500" in one["responses"]
        for status, response in one["responses"].items():
            if status >= "400":
                assert response["content"]["application/problem+json"]["example"]["status"] == int(status)
        for content in one.get("requestBody", {}).get("content", {}).values():
            assert "example" in content


async def test_examples_are_valid_by_their_own_schema(world: World) -> None:
    document = (await world.call("GET", "/openapi.json")).json()
    for operations in document["paths"].values():
        for one in operations.values():
            for content in one.get("requestBody", {}).get("content", {}).values():
                schema = {**content["schema"], "components": document["components"]}
                jsonschema_rs.validator_for(schema).validate(content["example"])


async def test_reading_leaves_every_row_version_as_it_was(world: World) -> None:
    reads = [one for one in ENDPOINTS if one.method == "GET"] + [
        one for one in ENDPOINTS if one.operation_id == "preview_draft"
    ]
    assert len(reads) > 20
    before = await world.row_versions()
    for one in reads:
        answer = await ask(world, one)
        assert answer.status == 200, (one.full_path, answer.body)
    assert await world.row_versions() == before


class Away:
    """A port whose store does not answer."""

    def __getattr__(self, name: str) -> Any:
        async def away(*args: object, **rest: object) -> None:
            raise Unavailable("the store does not answer", 3)

        return away


class Broken:
    """A port with a defect in it."""

    def __getattr__(self, name: str) -> Any:
        async def broken(*args: object, **rest: object) -> None:
            raise RuntimeError("row 7 of tenant acme is odd")

        return broken


STORES = (
    "schedules", "run_intake", "run_reader", "run_control", "workers", "tenants", "tokens", "events", "idempotency",
    "locks", "signing_secrets", "check_ins", "callback_answers", "retention", "calendars", "templates", "bindings",
    "evidence", "milestones",
    "backfills", "flags", "bulk_operations", "dependencies", "interventions",
    "graph_jobs", "policy_jobs", "impacts", "limits", "waits",
    "run_statistics", "run_counting", "cycles",
)  # fmt: skip


def without(ports: ApiPorts, store: object, *kept: str) -> ApiPorts:
    return replace(ports, **dict.fromkeys((name for name in STORES if name not in kept), cast("Any", store)))


# These answer from the token and the process alone.
WITHOUT_A_STORE = {"get_principal", "get_openapi", "get_metrics"}


class TokensThatOnlyAuthenticate(Away):
    """Lets everybody in and then does not answer."""

    def __init__(self, tokens: Any) -> None:
        self.authenticate = tokens.authenticate


async def test_an_outage_is_a_503_with_a_time_to_come_back_and_never_an_empty_answer(world: World) -> None:
    tokens = cast("Any", TokensThatOnlyAuthenticate(world.ports.tokens))
    ports = replace(without(world.ports, Away()), tokens=tokens)
    for one in guarded_endpoints():
        answer = await ask(world, one, ports, {"tenant_id": "spare"})
        if one.operation_id in WITHOUT_A_STORE:
            assert answer.status == 200
        else:
            assert (answer.status, answer.json()["code"]) == (503, "UNAVAILABLE"), one.operation_id
            assert int(answer.headers["retry-after"]) >= 1


async def test_a_database_that_goes_away_is_told_as_such_and_served_again_when_it_is_back(
    world: World, admin_connection: Connection
) -> None:
    name = await admin_connection.fetchval("SELECT quote_ident(current_database())")
    away = (
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await admin_connection.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
    await admin_connection.fetchval(away)
    for method, path in (("GET", "/schedules"), ("GET", "/runs"), ("POST", "/runs"), ("GET", "/health/ready")):
        answer = await world.call(method, path, {"task": "report"} if method == "POST" else None)
        assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE"), (path, answer.text)
    await admin_connection.execute(f"ALTER DATABASE {name} CONNECTION LIMIT -1")
    await wait_until(lambda: answers(world, "/schedules"))


async def answers(world: World, path: str) -> bool:
    return (await world.call("GET", path)).status_code == 200


async def test_when_nobody_can_be_authenticated_everything_is_unavailable_and_nothing_is_refused(world: World) -> None:
    answer = await answered(create_app(without(world.ports, Away())), "GET", "/api/v1/schedules", world.auth("viewer"))
    assert (answer.status, answer.json()["code"]) == (503, "UNAVAILABLE")


async def test_a_defect_shows_its_request_id_and_nothing_else(world: World) -> None:
    app = create_app(without(world.ports, Broken(), "tokens"))
    headers = {**world.auth("viewer"), "X-Request-Id": "trace-1"}
    with capture_logs() as logged:
        answer = await answered(app, "GET", "/api/v1/schedules", headers)
    assert (answer.status, answer.json()["code"], answer.json()["request_id"]) == (500, "INTERNAL", "trace-1")
    assert "row 7" not in answer.body.decode()
    (defect,) = [line for line in logged if line["event"] == "defect"]
    assert "row 7" in str(defect["exc_info"])
    assert defect["request_id"] == "trace-1"


async def test_health_needs_no_token_and_tells_an_outage(world: World) -> None:
    for path in ("live", "ready"):
        answer = await answered(world.app, "GET", f"/api/v1/health/{path}", {})
        assert (answer.status, answer.json()["status"]) == (200, path)
    away = create_app(without(world.ports, Away()))
    assert (await answered(away, "GET", "/api/v1/health/live", {})).status == 200
    ready = await answered(away, "GET", "/api/v1/health/ready", {})
    assert (ready.status, ready.json()["code"]) == (503, "UNAVAILABLE")


async def test_what_the_framework_refuses_is_a_problem_too(world: World) -> None:
    expected = {
        ("GET", "/nope"): (404, "NOT_FOUND"),
        ("GET", "/schedules/x/y/z"): (404, "NOT_FOUND"),
        ("PUT", "/schedules"): (405, "METHOD_NOT_ALLOWED"),
        ("DELETE", "/principal"): (405, "METHOD_NOT_ALLOWED"),
    }
    for (method, path), said in expected.items():
        answer = await world.call(method, path)
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.status_code, answer.json()["code"]) == said, path
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
        assert answer.json()["title"] == CATALOGUE[said[1]].title


async def test_a_body_beyond_the_limit_is_refused_by_its_announcement_and_by_its_bytes(world: World) -> None:
    for path, size in (("/schedules", 1_048_577), ("/schedules/bulk", 16 * 1_048_576 + 1)):
        answer = await world.call("POST", path, content=b'"' + b"x" * (size - 2) + b'"')
        assert (answer.status_code, answer.json()["code"]) == (413, "BODY_TOO_LARGE"), path
    lied = {**world.auth(), "Content-Length": "999999999"}
    assert (await answered(world.app, "POST", "/api/v1/schedules", lied, b"{}")).status == 413


async def test_a_request_is_logged_and_counted_without_its_token_or_query(world: World) -> None:
    with capture_logs() as lines:
        await world.call("GET", "/schedules?name=private-name", headers={"X-Request-Id": "trace-2"})
        await world.call("GET", "/schedules", headers={"X-Request-Id": "bad id\t"})
    assert [line["event"] for line in lines] == ["request", "request"]
    assert (lines[0]["request_id"], lines[0]["status"], lines[0]["tenant_id"]) == ("trace-2", 200, "acme")
    assert "private-name" not in str(lines)
    assert "bad id" not in str(lines)
    assert not [token for token in world.tokens.values() if token in str(lines)]
    text = (await world.call("GET", "/metrics", role="platform_admin")).text
    assert 'rota_http_requests_total{method="GET",route="/api/v1/schedules",status="200"}' in text
    assert not [token for token in world.tokens.values() if token in text]


async def test_pages_beside_the_api_need_no_token_of_its_and_never_shadow_it(world: World) -> None:
    @get("/", media_type="text/html")
    async def front_page() -> str:
        return "<h1>Rota</h1>"

    app = create_app(world.ports, pages=[front_page])
    assert (await answered(app, "GET", "/", {})).body == b"<h1>Rota</h1>"
    assert (await answered(app, "GET", "/elsewhere", {})).status == 404
    assert (await answered(app, "GET", "/api/v1/stats", {})).status == 401


async def test_stats_count_what_is_there(world: World) -> None:
    shown = (await world.call("GET", "/stats", role="viewer")).json()
    assert shown["schedules"] == {"total_count": 1, "enabled_count": 1, "paused_count": 0}
    assert (shown["runs"]["succeeded"], shown["runs"]["scheduled"], shown["runs"]["failed"]) == (5, 1, 0)
    await world.call("POST", f"/schedules/{world.ids['schedule_id']}/pause")
    shown = (await world.call("GET", "/stats")).json()
    assert shown["schedules"] == {"total_count": 1, "enabled_count": 0, "paused_count": 1}
