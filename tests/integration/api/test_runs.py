import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from rota.adapters.system_clock import SystemClock
from rota.api.rest.app import create_app
from rota.api.rest.wiring import ApiOptions
from rota.domain.ids import RunId
from tests.integration.api.raw_asgi import answered, exchange
from tests.integration.api.world import ACME, GLOBEX, World, execute_once

RUN_KEYS = {
    "id", "tenant_id", "schedule_id", "trigger_id", "fire_at", "due_at", "state", "reason", "attempts_count",
    "started_at", "finished_at", "result", "error",
}  # fmt: skip


async def enqueue(world: World, **body: object) -> dict[str, Any]:
    answer = await world.call("POST", "/runs", {"task": "report", **body}, role="operator")
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_run_is_enqueued_and_its_queue_is_told(empty_world: World) -> None:
    run = await enqueue(empty_world, args={"n": 1}, queue="slow", priority=3)
    assert set(run) >= RUN_KEYS
    assert (run["state"], run["queue"], run["priority"], run["attempts_count"]) == ("queued", "slow", 3, 0)
    assert run["target"] == {"kind": "task", "task": "report", "args": {"n": 1}, "fan_out": None}
    assert (run["result"], run["error"], run["tenant_id"]) == (None, None, "acme")
    assert empty_world.wakeups.topics[-1] == "queue:slow"
    later = await enqueue(empty_world, delay_seconds=600)
    assert later["state"] == "scheduled"


async def test_a_target_may_stand_instead_of_a_task(empty_world: World) -> None:
    target = {"kind": "http", "url": "https://example.org/hook", "body": {"a": 1}}
    answer = await empty_world.call("POST", "/runs", {"target": target})
    assert answer.json()["target"] == {
        **target,
        "accept_202": "done",
        "callback_timeout_seconds": None,
        "method": "POST",
        "headers": {},
        "signed_with": None,
        "fan_out": None,
    }
    for body, field in (({}, "task"), ({"task": "x", "target": target}, "task"), ({"args": {}, "task": None}, "task")):
        refused = await empty_world.call("POST", "/runs", body)
        assert [one["field"] for one in refused.json()["errors"]] == [field]


@pytest.mark.parametrize("where", ["body", "header"])
async def test_a_known_key_answers_the_run_that_has_it(empty_world: World, where: str) -> None:
    body: dict[str, object] = {"task": "report", "args": {"n": 1}}
    headers = {"Idempotency-Key": "k1"} if where == "header" else {}
    body |= {} if where == "header" else {"idempotency_key": "k1"}
    first = await empty_world.call("POST", "/runs", body, headers=headers)
    second = await empty_world.call("POST", "/runs", body, headers=headers)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    assert first.json()["idempotency_key"] == "k1"
    for change in ({"args": {"n": 2}}, {"priority": 1}, {"queue": "b"}, {"delay_seconds": 5}, {"task": "other"}):
        other = await empty_world.call("POST", "/runs", {**body, **change}, headers=headers)
        assert (other.status_code, other.json()["code"]) == (409, "IDEMPOTENCY_MISMATCH")
    assert (await empty_world.call("GET", "/runs")).json()["total_count"] == 1


async def test_one_key_in_two_places_must_be_one_key(empty_world: World) -> None:
    body = {"task": "report", "idempotency_key": "a"}
    refused = await empty_world.call("POST", "/runs", body, headers={"Idempotency-Key": "b"})
    assert [one["field"] for one in refused.json()["errors"]] == ["idempotency_key"]
    for key in ("", "x" * 256, "é"):
        headers = {**empty_world.auth(), "Idempotency-Key": key, "Content-Type": "application/json"}
        if key.isascii():
            answer = await answered(empty_world.app, "POST", "/api/v1/runs", headers, b'{"task":"report"}')
            assert answer.json()["code"] == "MALFORMED_REQUEST"


async def test_many_runs_are_stored_all_or_none(empty_world: World) -> None:
    runs = [{"task": "report", "args": {"n": n}, "idempotency_key": f"k{n % 3}"} for n in range(3)]
    made = (await empty_world.call("POST", "/runs", [*runs, runs[0]])).json()
    assert (made["created_count"], len(made["items"])) == (3, 4)
    assert made["items"][3] == {"run_id": made["items"][0]["run_id"], "created": False}
    wrong = await empty_world.call("POST", "/runs", [runs[0], {"task": "report", "priority": 77}, {"task": 5}])
    assert wrong.json()["errors"][0]["field"] == "[2].task"
    wrong = await empty_world.call("POST", "/runs", [runs[0], {"task": "report", "priority": 77}, {"task": ""}])
    assert [one["field"] for one in wrong.json()["errors"]] == ["[1].priority", "[2].task"]
    clash = await empty_world.call("POST", "/runs", [{"task": "new"}, {**runs[0], "args": {}}])
    assert clash.json()["code"] == "IDEMPOTENCY_MISMATCH"
    assert (await empty_world.call("POST", "/runs", [])).status_code == 422
    assert (await empty_world.call("GET", "/runs")).json()["total_count"] == 3


async def test_ten_thousand_runs_go_in_at_once_and_one_more_does_not(empty_world: World) -> None:
    runs = [{"task": "report", "args": {"n": n}} for n in range(10_001)]
    made = await empty_world.call("POST", "/runs", runs[:-1])
    assert made.json()["created_count"] == 10_000
    assert (await empty_world.call("POST", "/runs", runs)).status_code == 422


async def test_a_finished_run_shows_its_attempts_and_lines(world: World) -> None:
    run = (await world.call("GET", f"/runs/{world.ids['run_id']}", role="viewer")).json()
    assert (run["state"], run["result"], run["attempts_count"]) == ("succeeded", {"rows": 3}, 1)
    attempts = (await world.call("GET", f"/runs/{run['id']}/attempts")).json()
    assert (attempts["total_count"], attempts["items"][0]["outcome"]) == (1, "succeeded")
    page = (await world.call("GET", f"/runs/{run['id']}/logs?limit=1")).json()
    assert ([one["text"] for one in page["items"]], page["has_more"]) == (["line 0"], True)
    rest = (await world.call("GET", f"/runs/{run['id']}/logs?after={page['next_cursor']}")).json()
    assert ([one["text"] for one in rest["items"]], rest["next_cursor"]) == (["line 1"], None)
    for wrong in ("x", "1", "1.x", "-1.0"):
        answer = await world.call("GET", f"/runs/{run['id']}/logs?after={wrong}")
        assert [one["field"] for one in answer.json()["errors"]] == ["after"]


async def test_cancelling_and_retrying_obey_the_state(world: World) -> None:
    waiting = await enqueue(world)
    assert (await world.call("POST", f"/runs/{waiting['id']}/retry")).json()["code"] == "STATE_CONFLICT"
    cancelled = (await world.call("POST", f"/runs/{waiting['id']}/cancel", {}, role="operator")).json()
    assert cancelled["state"] == "cancelled"
    assert "cancel" in world.wakeups.topics
    assert (await world.call("POST", f"/runs/{waiting['id']}/cancel")).json()["code"] == "STATE_CONFLICT"
    again = await world.call("POST", f"/runs/{world.ids['run_id']}/retry", role="operator")
    assert (again.status_code, again.json()["retry_of"]) == (201, world.ids["run_id"])


async def test_runs_are_listed_newest_first_by_every_filter(world: World) -> None:
    scheduled = (await world.call("POST", f"/schedules/{world.ids['schedule_id']}/trigger")).json()
    everything = (await world.call("GET", "/runs")).json()
    assert [one["id"] for one in everything["items"]] == sorted(
        (one["id"] for one in everything["items"]), reverse=True
    )
    for query, field, value in (
        (f"schedule_id={world.ids['schedule_id']}", "schedule_id", world.ids["schedule_id"]),
        ("state=succeeded", "state", "succeeded"),
        ("state=scheduled", "state", "scheduled"),
        ("state=failed", "state", "failed"),
        ("queue=default", "queue", "default"),
        ("queue=nope", "queue", "nope"),
        ("task=report", "task", "report"),
        ("dead_lettered=false", "dead_lettered", False),
        ("dead_lettered=true", "dead_lettered", True),
        ("created_after=2099-01-01T00:00:00Z", "created_at", None),
        ("created_before=2020-01-01T00:00:00Z", "created_at", None),
    ):
        found = (await world.call("GET", f"/runs?{query}")).json()
        wanted = [one["id"] for one in everything["items"] if {**one["target"], **one}.get(field) == value]
        assert ([one["id"] for one in found["items"]], found["total_count"]) == (wanted, len(wanted)), query
        assert bool(wanted) == (value not in (None, "failed", "nope", True)), query
    pages = [(await world.call("GET", "/runs?limit=2")).json()]
    while pages[-1]["has_more"]:
        pages.append((await world.call("GET", f"/runs?limit=2&cursor={pages[-1]['next_cursor']}")).json())
    assert [one["id"] for page in pages for one in page["items"]] == [one["id"] for one in everything["items"]]
    assert scheduled["id"] in str(pages)


async def test_the_lines_of_a_run_are_followed_until_it_ends(empty_world: World) -> None:
    run = await enqueue(empty_world)
    path = f"/api/v1/runs/{run['id']}/logs/stream"
    async with exchange(empty_world.app, "GET", path, empty_world.auth("viewer")) as stream:
        await execute_once(empty_world, RunId(run["id"]), "fail")
        await stream.until(lambda one: one.ended)
        frames = stream.frames
    assert [frame["event"] for frame in frames] == ["line", "line", "end"]
    assert [frame.get("id") for frame in frames] == ["1.0", "1.1", None]
    assert '"state":"failed"' in frames[-1]["data"]
    headers = {**empty_world.auth("viewer"), "Last-Event-ID": "1.0"}
    async with exchange(empty_world.app, "GET", path, headers) as resumed:
        await resumed.until(lambda one: one.ended)
        assert [frame.get("id") for frame in resumed.frames] == ["1.1", None]


class HurriedClock(SystemClock):
    """Twenty seconds in one, so that a test need not wait for what is remembered to be forgotten."""

    def monotonic_seconds(self) -> float:
        return super().monotonic_seconds() * 20


async def test_a_stream_ends_with_its_token(empty_world: World) -> None:
    app = create_app(replace(empty_world.ports, clock=HurriedClock()), ApiOptions(stream_poll_seconds=0.02))
    run = await enqueue(empty_world)
    issued = (await empty_world.call("POST", "/tokens", {"name": "short", "role": "viewer"})).json()
    path = f"/api/v1/runs/{run['id']}/logs/stream"
    headers = {"Authorization": f"Bearer {issued['secret']}"}
    async with exchange(app, "GET", path, headers) as stream:
        await stream.until(lambda one: b"retry" in one.body)
        await empty_world.call("POST", f"/tokens/{issued['id']}/revoke")
        await stream.until(lambda one: one.ended)
        assert (stream.frames[-1]["event"], "UNAUTHENTICATED" in stream.frames[-1]["data"]) == ("error", True)


async def test_open_streams_end_when_the_server_stops(empty_world: World) -> None:
    run = await enqueue(empty_world)
    path = f"/api/v1/runs/{run['id']}/logs/stream"
    async with exchange(empty_world.app, "GET", path, empty_world.auth()) as stream:
        await stream.until(lambda one: b"retry" in one.body)
        empty_world.app.state.streams.close()
        await stream.until(lambda one: one.ended)
    assert ACME not in stream.body.decode()


async def test_no_second_run_is_made_beside_an_alike_one(empty_world: World) -> None:
    body = {"task": "report", "unique": {"scope": "task", "while": "pending"}}
    first = await enqueue(empty_world, **body)
    again = await empty_world.call("POST", "/runs", {**body, "args": {"n": 2}})
    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    strict = {**body, "unique": {**body["unique"], "on_conflict": "reject"}}  # pyright: ignore[reportGeneralTypeIssues]
    refused = await empty_world.call("POST", "/runs", strict)
    assert (refused.status_code, refused.json()["code"]) == (409, "STATE_CONFLICT")
    assert [one["field"] for one in refused.json()["errors"]] == ["unique"]
    many = await empty_world.call("POST", "/runs", [{"task": "other"}, body, body])
    assert [one["created"] for one in many.json()["items"]] == [True, False, False]


async def test_fifty_requests_at_once_with_one_key_are_all_told_of_one_run(empty_world: World) -> None:
    body = {"task": "report", "idempotency_key": "k"}
    answers = await asyncio.gather(*(empty_world.call("POST", "/runs", body) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] * 49 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"unique": {"scope": "tenant"}}, "unique.key"),
        ({"unique": {"key": " a"}}, "unique.key"),
        ({"unique": {"period_seconds": 0}}, "unique.period_seconds"),
        ({"unique": {"while": "ever"}}, "unique.while"),
        ({"due_at": "2030-01-01T00:00:00"}, "due_at"),
        ({"due_at": "1969-01-01T00:00:00Z"}, "due_at"),
        ({"due_at": "2030-01-01T00:00:00Z", "delay_seconds": 1}, "due_at"),
    ],
)
async def test_what_is_wrong_with_an_enqueue_is_told_by_field(
    empty_world: World, fields: dict[str, object], wrong: str
) -> None:
    refused = await empty_world.call("POST", "/runs", {"task": "report", **fields})
    assert (refused.status_code, [one["field"] for one in refused.json()["errors"]]) == (422, [wrong])


async def test_a_small_graph_is_one_call_and_is_shown(empty_world: World) -> None:
    graph = [
        {"name": "load", "task": "load", "depends_on": [{"name": "extract"}], "when": "any_succeeded"},
        {"name": "extract", "task": "extract"},
    ]
    made = (await empty_world.call("POST", "/runs", graph)).raise_for_status().json()
    load, extract = (one["run_id"] for one in made["items"])
    shown = (await empty_world.call("GET", f"/runs/{load}/dependencies", role="viewer")).json()
    assert shown == {"rule": "any_succeeded", "upstreams": [{"run_id": extract, "state": "queued"}], "dependents": []}
    below = (await empty_world.call("GET", f"/runs/{extract}/dependencies")).json()
    assert below["dependents"] == [{"run_id": load, "state": "scheduled"}]
    run = (await empty_world.call("GET", f"/runs/{load}")).json()
    assert (run["state"], run["due_at"]) == ("scheduled", run["created_at"])
    foreign = await empty_world.call("POST", "/runs", {"task": "x", "depends_on": [{"run_id": load}]}, tenant=GLOBEX)
    assert (foreign.status_code, foreign.json()["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("graph", "wrong"),
    [
        ([{"depends_on": [{"name": "b"}]}, {"name": "a"}], "[0].depends_on[0].name"),
        ([{"name": "a"}, {"name": "a"}], "[1].name"),
        ([{"depends_on": [{"name": "a", "key": "k"}]}, {"name": "a"}], "[0].depends_on[0]"),
        ([{"name": "a", "depends_on": [{"name": "a"}]}, {}], "[0].depends_on"),
        ([{"name": "a", "depends_on": [{"name": "c"}]}, {"name": "b", "depends_on": [{"name": "a"}]},
          {"name": "c", "depends_on": [{"name": "b"}]}, {"depends_on": [{"name": "a"}]}], "[0].depends_on"),
        ([{}, {"depends_on": [{"key": "k"}] * 101}], "[1].depends_on"),
        ([{"name": "a", "unique": {}}, {}], "[0].unique"),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_a_graph_is_told_by_field(
    empty_world: World, graph: list[dict[str, object]], wrong: str
) -> None:
    refused = await empty_world.call("POST", "/runs", [{"task": "report", **one} for one in graph])
    assert (refused.status_code, [one["field"] for one in refused.json()["errors"]]) == (422, [wrong])
    assert (await empty_world.call("GET", "/runs")).json()["total_count"] == 0
