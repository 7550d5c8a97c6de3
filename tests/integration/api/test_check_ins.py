from typing import Any

from structlog.testing import capture_logs

from tests.integration.api.raw_asgi import Exchange, answered
from tests.integration.api.world import World


async def created(world: World, **fields: Any) -> dict[str, Any]:
    body = {"name": "dump", "every_seconds": 3600, **fields}
    return (await world.call("POST", "/check-ins", body)).raise_for_status().json()


async def ping(world: World, path: str, method: str = "GET") -> Exchange:
    return await answered(world.app, method, path, {})


async def test_a_ping_needs_the_address_alone_by_get_head_or_post(empty_world: World) -> None:
    made = await created(empty_world)
    path = made["ping_path"]
    for method in ("GET", "HEAD", "POST"):
        answer = await ping(empty_world, path, method)
        assert (answer.status, answer.body) == (200, b"OK\n")
    shown = (await empty_world.call("GET", f"/check-ins/{made['id']}", role="viewer")).json()
    assert (shown["state"], shown["started_at"], shown["failed_at"]) == ("on_time", None, None)
    assert "ping_path" not in shown
    await ping(empty_world, f"{path}/start")
    await ping(empty_world, f"{path}/fail", "POST")
    failing = (await empty_world.call("GET", f"/check-ins/{made['id']}")).json()
    assert (failing["state"], failing["succeeded_at"]) == ("failing", shown["succeeded_at"])
    assert failing["started_at"] is not None
    await ping(empty_world, f"{path}/success")
    events = (await empty_world.call("GET", "/events?type=CheckInRecovered")).json()["items"]
    assert [(one["subject"], one["data"]["was"]) for one in events] == [(made["id"], "failing")]


async def test_an_address_that_does_not_exist_answers_like_one_that_does(empty_world: World) -> None:
    path = (await created(empty_world))["ping_path"]
    for suffix in ("", "/start", "/fail", "/success", "/nonsense", "/a/b"):
        real, guessed = await ping(empty_world, path + suffix), await ping(empty_world, "/ping/guess" + suffix)
        assert (real.status, real.headers.keys()) == (guessed.status, guessed.headers.keys())
        assert b"guess" not in guessed.body.replace(b"/ping/guess", b"")
    for one in (path, "/ping/guess"):
        statuses = [(await ping(empty_world, one)).status for _ in range(20)]
        assert set(statuses) == {200, 429}
        assert statuses.count(429) > 5


async def test_the_secret_is_in_no_log_no_row_and_no_answer_but_the_first(empty_world: World) -> None:
    with capture_logs() as lines:
        made = await created(empty_world)
        secret = made["ping_path"].removeprefix("/ping/")
        await ping(empty_world, made["ping_path"])
        await ping(empty_world, f"{made['ping_path']}/nonsense")
    assert len(lines) == 3
    assert secret not in str(lines)
    listed = await empty_world.call("GET", "/check-ins")
    metrics = await empty_world.call("GET", "/metrics", role="platform_admin")
    assert secret not in listed.text + metrics.text
    row = await empty_world.owner_pool.fetchrow("SELECT to_jsonb(c)::text AS text FROM scheduler.check_ins c")
    assert row is not None
    assert secret not in row["text"]


async def test_a_deleted_check_in_hears_nothing(empty_world: World) -> None:
    made = await created(empty_world)
    (await empty_world.call("DELETE", f"/check-ins/{made['id']}")).raise_for_status()
    assert (await ping(empty_world, made["ping_path"])).status == 200
    assert (await empty_world.call("GET", f"/check-ins/{made['id']}")).status_code == 404
    assert (await empty_world.call("GET", "/check-ins")).json()["items"] == []


async def test_what_is_wrong_is_named(empty_world: World) -> None:
    for fields, field in (
        ({"cron": "@daily"}, "cron"),
        ({"every_seconds": 1}, "every_seconds"),
        ({"every_seconds": None, "cron": "61 * * * *"}, "cron"),
        ({"grace_seconds": -1}, "grace_seconds"),
        ({"name": ""}, "name"),
    ):
        refused = await empty_world.call("POST", "/check-ins", {"name": "x", "every_seconds": 60, **fields})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field)
    await created(empty_world)
    again = await empty_world.call("POST", "/check-ins", {"name": "dump", "every_seconds": 60})
    assert (again.status_code, again.json()["code"]) == (409, "NAME_TAKEN")


async def test_a_new_address_is_told_once_and_the_old_one_is_dead_or_soon_will_be(empty_world: World) -> None:
    made = await created(empty_world)
    rotate = f"/check-ins/{made['id']}/rotate"
    second = (await empty_world.call("POST", rotate, {"overlap_seconds": 60})).raise_for_status().json()
    assert second["old_address_until"] is not None
    third = (await empty_world.call("POST", rotate)).raise_for_status().json()
    assert len({one["ping_path"] for one in (made, second, third)}) == 3

    for one in (made, second):
        await ping(empty_world, one["ping_path"])
    path = f"/check-ins/{made['id']}"
    assert (await empty_world.call("GET", path)).json()["succeeded_at"] is None
    await ping(empty_world, third["ping_path"])
    assert (await empty_world.call("GET", path)).json()["succeeded_at"] is not None

    for seconds in (-1, 2_592_001):
        refused = await empty_world.call("POST", rotate, {"overlap_seconds": seconds})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "overlap_seconds")


async def test_an_operator_pauses_and_resumes_and_an_admin_alone_gives_addresses(empty_world: World) -> None:
    made = await created(empty_world)
    path = f"/check-ins/{made['id']}"
    paused = (await empty_world.call("POST", f"{path}/pause", role="operator")).raise_for_status().json()
    resumed = (await empty_world.call("POST", f"{path}/resume", role="operator")).raise_for_status().json()
    assert (paused["deadline_at"], resumed["paused_at"]) == (None, None)
    assert (await empty_world.call("POST", f"{path}/rotate", role="operator")).status_code == 403
    events = (await empty_world.call("GET", "/events")).json()["items"]
    told = [one["type"] for one in events if one["subject"] == made["id"]]
    assert sorted(told) == ["CheckInCreated", "CheckInPaused", "CheckInResumed"]
