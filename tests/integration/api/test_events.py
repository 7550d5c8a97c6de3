import asyncio
from datetime import datetime, timedelta

import pytest

from rota.api.rest.app import create_app
from rota.api.rest.wiring import ApiOptions
from rota.domain.event import EventDraft
from tests.integration.api.raw_asgi import exchange
from tests.integration.api.world import GLOBEX, SCHEDULE, World, store_now
from tests.support.waiting import wait_until


async def test_what_happened_is_listed_newest_first_by_every_filter(world: World) -> None:
    path = f"/schedules/{world.ids['schedule_id']}"
    await world.call("POST", f"{path}/pause", {"reason": "moving"})
    page = (await world.call("GET", "/events", role="viewer")).json()
    assert (page["items"][0]["type"], page["items"][0]["data"]["reason"]) == ("SchedulePaused", "moving")
    assert {one["tenant_id"] for one in page["items"]} == {"acme"}
    for query, types in {
        "type=SchedulePaused": ["SchedulePaused"],
        "event_type=SchedulePaused": ["SchedulePaused"],
        "type=SchedulePaused,ScheduleCreated": ["SchedulePaused", "ScheduleCreated"],
        f"subject={world.ids['schedule_id']}": ["SchedulePaused", "ScheduleChanged", "ScheduleCreated"],
        "type=SchedulePaused&days=1": ["SchedulePaused"],
    }.items():
        found = (await world.call("GET", f"/events?{query}")).json()
        assert ([one["type"] for one in found["items"]], found["total_count"]) == (types, len(types)), query


async def test_days_tell_what_they_came_to(world: World) -> None:
    shown = (await world.call("GET", "/events?days=7")).json()["date_filter"]
    assert shown["days"] == 7
    since = datetime.fromisoformat(shown["cutoff_date"])
    assert timedelta(days=7) <= await store_now(world.ports) - since < timedelta(days=7, minutes=1)
    assert shown["showing_events_since"] == shown["cutoff_date"]
    for wrong in ("days=0", "days=91", "type=Nope", "event_type=Nope", "limit=0", "after=%21%21", "cursor=%21"):
        answer = await world.call("GET", f"/events?{wrong}")
        assert answer.status_code == 422, wrong
        assert answer.json()["errors"][0]["field"] == wrong.partition("=")[0]
        assert answer.json()["errors"][0]["remedy"]
    lost = await world.call("GET", "/events/stream", headers={"Last-Event-ID": "!!"})
    assert lost.json()["errors"][0]["field"] == "Last-Event-ID"


async def test_a_cursor_reads_on_oldest_first_and_stays_good(world: World) -> None:
    oldest = (await world.call("GET", "/events?limit=500")).json()["items"][-1]
    behind = (await world.call("GET", f"/events?after={oldest['cursor']}&limit=2")).json()
    assert len(behind["items"]) == 2
    assert behind["has_more"]
    while behind["has_more"]:
        behind = (await world.call("GET", f"/events?after={behind['next_cursor']}&limit=500")).json()
    at_end = (await world.call("GET", f"/events?after={behind['next_cursor']}")).json()
    assert (at_end["items"], at_end["next_cursor"]) == ([], behind["next_cursor"])
    await world.call("POST", f"/schedules/{world.ids['schedule_id']}/pause")
    new = (await world.call("GET", f"/events?after={at_end['next_cursor']}")).json()
    assert [one["type"] for one in new["items"]] == ["SchedulePaused"]


@pytest.mark.parametrize("path", ["/events/stream", "/platform/events/stream"])
async def test_new_events_are_followed_and_resumed(world: World, path: str) -> None:
    headers = world.auth("platform_admin")
    pause, resume = (f"/schedules/{world.ids['schedule_id']}/{verb}" for verb in ("pause", "resume"))
    async with exchange(world.app, "GET", f"/api/v1{path}?type=SchedulePaused,ScheduleResumed", headers) as stream:
        await stream.until(lambda one: b"retry" in one.body)
        await world.call("POST", pause)
        await world.call("POST", resume)
        await stream.until(lambda one: len(one.frames) == 2)
        first, second = stream.frames
    assert "SchedulePaused" in first["data"]
    resumed_at = {**headers, "Last-Event-ID": first["id"]}
    async with exchange(world.app, "GET", f"/api/v1{path}?type=ScheduleResumed", resumed_at) as stream:
        await stream.until(lambda one: len(one.frames) == 1)
        assert stream.frames[0] == second


async def test_a_stream_has_nothing_of_another_tenant(world: World) -> None:
    async with exchange(world.app, "GET", "/api/v1/events/stream", world.auth("admin", GLOBEX)) as stream:
        await stream.until(lambda one: b"retry" in one.body)
        await world.call("POST", f"/schedules/{world.ids['schedule_id']}/pause")
        await world.call("POST", "/schedules", SCHEDULE, tenant=GLOBEX)
        await stream.until(lambda one: len(one.frames) == 1)
        assert "ScheduleCreated" in stream.frames[0]["data"]
        assert "acme" not in stream.body.decode()


async def test_the_platforms_events_are_for_a_platform_admin(world: World) -> None:
    await world.ports.events.append((EventDraft("LeaderElected", None, "firing", "host-1"),))
    page = (await world.call("GET", "/platform/events", role="platform_admin")).json()
    assert page["items"][0]["type"] == "LeaderElected"
    assert {one["tenant_id"] for one in page["items"]} >= {None, "acme", "globex"}
    own = (await world.call("GET", "/events?limit=500", role="platform_admin")).json()
    assert {one["tenant_id"] for one in own["items"]} == {"acme"}


@pytest.mark.parametrize("options", [ApiOptions(streams_max=1), ApiOptions(streams_per_tenant_max=1)])
async def test_a_stream_beyond_the_limit_is_refused_with_a_time_to_come_back(world: World, options: ApiOptions) -> None:
    app = create_app(world.ports, options)
    async with exchange(app, "GET", "/api/v1/events/stream", world.auth()) as stream:
        await stream.until(lambda one: b"retry" in one.body)
        async with exchange(app, "GET", "/api/v1/events/stream", world.auth()) as refused:
            await refused.until(lambda one: one.ended)
            assert (refused.status, refused.json()["code"]) == (429, "RATE_LIMITED")
            assert int(refused.headers["retry-after"]) > 0
        theirs = world.auth("admin", GLOBEX)
        async with exchange(app, "GET", "/api/v1/events/stream", theirs) as other:
            assert other.status == (429 if options.streams_max == 1 else 200)
    async with exchange(app, "GET", "/api/v1/events/stream", world.auth()) as admitted:
        assert admitted.status == 200


async def test_streams_that_come_at_once_are_no_more_than_the_limit(world: World) -> None:
    app, over = create_app(world.ports, ApiOptions(streams_per_tenant_max=2)), asyncio.Event()
    told: list[str] = []

    async def follow() -> None:
        async with exchange(app, "GET", "/api/v1/events/stream", world.auth()) as stream:
            await stream.until(lambda one: one.ended or b"retry" in one.body)
            told.append("refused" if b"RATE_LIMITED" in stream.body else "admitted")
            await over.wait()

    followers = [asyncio.create_task(follow()) for _ in range(20)]
    await wait_until(lambda: len(told) == 20, what="all are answered")
    over.set()
    await asyncio.gather(*followers)
    assert (told.count("admitted"), told.count("refused")) == (2, 18)
