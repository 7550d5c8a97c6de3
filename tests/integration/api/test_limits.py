import pytest

from tests.integration.api.world import World

ROOT = "platform_admin"


async def test_a_limit_is_set_shown_with_what_waits_for_it_and_removed(empty_world: World) -> None:
    path = "/limits/queues/slow"
    made = (await empty_world.call("PUT", path, {"concurrency_max": 0, "rate_per_second": 1.5}, role=ROOT)).json()
    assert (made["version"], made["burst"]) == (1, 3)
    shown = (await empty_world.call("GET", path, role=ROOT)).json()
    assert (shown["running_count"], shown["room"]) == (0, 0)
    assert shown["waiting_for"] == "limit of the queue slow: 0 of 0 running"
    assert (await empty_world.call("GET", "/limits", role=ROOT)).json()["items"] == [shown]
    assert (await empty_world.call("DELETE", path, role=ROOT)).status_code == 200
    assert (await empty_world.call("GET", path, role=ROOT)).json()["code"] == "NOT_FOUND"


async def test_a_run_says_what_it_waits_for_and_reading_it_changes_nothing(empty_world: World) -> None:
    await empty_world.call("PUT", "/limits/queues/slow", {"concurrency_max": 0}, role=ROOT)
    made = (await empty_world.call("POST", "/runs", {"task": "report", "queue": "slow"})).json()
    path = f"/runs/{made['id']}"
    assert "waits_for" not in made
    shown = (await empty_world.call("GET", path)).json()
    assert shown["waits_for"] == ["waits for limit queue slow: 0 of 0 running", "no worker listens to queue slow"]
    await empty_world.call("POST", f"{path}/cancel", {})
    assert (await empty_world.call("GET", path)).json()["waits_for"] == []


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        ({"concurrency_max": 2}, "policy.concurrency_max"),
        ({"concurrency_key": "api"}, "policy.concurrency_key"),
        ({"concurrency_key": "api", "concurrency_max": 0}, "policy.concurrency_max"),
        ({"concurrency_key": "api", "concurrency_max": 10_001}, "policy.concurrency_max"),
        ({"concurrency_key": " api", "concurrency_max": 1}, "policy.concurrency_key"),
    ],
)
async def test_a_wrong_concurrency_policy_names_its_field(
    empty_world: World, policy: dict[str, object], field: str
) -> None:
    answer = await empty_world.call("POST", "/runs", {"task": "report", "policy": policy})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_a_run_waits_for_a_place_of_its_key_and_says_so(empty_world: World) -> None:
    policy = {"concurrency_key": "api", "concurrency_max": 1}
    made = (await empty_world.call("POST", "/runs", {"task": "report", "policy": policy})).json()
    assert (made["state"], made["policy"]["concurrency_key"]) == ("queued", "api")
    shown = (await empty_world.call("GET", f"/runs/{made['id']}")).json()
    assert shown["waits_for"] == [
        "waits for a place of concurrency key api: 0 of 1 are taken",
        "no worker listens to queue default",
    ]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("queues/slow", {}, "concurrency_max"),
        ("queues/slow", {"concurrency_max": -1}, "concurrency_max"),
        ("queues/slow", {"concurrency_max": 1.5}, "concurrency_max"),
        ("queues/slow", {"rate_per_second": 0}, "rate_per_second"),
        ("queues/slow", {"concurrency_max": 1, "burst": 5}, "burst"),
        ("queues/slow", {"rate_per_second": 1, "burst": 0}, "burst"),
        ("queues/Slow!", {"concurrency_max": 1}, "queue"),
        ("tenants/acme", {"rate_per_second": 1}, "rate_per_second"),
        ("queues/slow", {"most": 1}, "most"),
    ],
)
async def test_a_wrong_limit_names_its_field(empty_world: World, path: str, body: object, field: str) -> None:
    answer = await empty_world.call("PUT", f"/limits/{path}", body, role=ROOT)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert (await empty_world.call("GET", "/limits", role=ROOT)).json()["items"] == []


async def test_what_is_not_there_cannot_be_limited(empty_world: World) -> None:
    answer = await empty_world.call("PUT", "/limits/tenants/nobody", {"concurrency_max": 1}, role=ROOT)
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(("body", "status"), [({"weight": 1000}, 200), ({"weight": 0}, 422), ({"weight": 1001}, 422)])
async def test_a_tenant_is_weighed_within_bounds(empty_world: World, body: dict[str, int], status: int) -> None:
    answer = await empty_world.call("PATCH", "/tenants/acme", body, role=ROOT)
    assert answer.status_code == status
    tenant = (await empty_world.call("GET", "/tenants/acme", role=ROOT)).json()
    assert tenant["weight"] == (body["weight"] if status == 200 else 1)
