from typing import Any

import pytest
from msgspec import json
from msgspec.structs import replace
from structlog.testing import capture_logs

from rota.api.rest.app import create_app
from rota.core.callbacks import callback_digest
from rota.domain.callback import CallbackReceipt
from rota.services.address_budget import ADDRESS_AT_ONCE_MAX
from tests.integration.api.raw_asgi import Exchange, answered
from tests.integration.api.world import World, await_callback

SECRET = "s3cret-of-one-attempt"
DONE = {"outcome": "succeeded", "result": {"rows": 3}}


async def call_back(world: World, body: Any, secret: str = SECRET) -> Exchange:
    """As a target does it: with the address alone."""
    headers = {"Content-Type": "application/json"}
    return await answered(world.app, "POST", f"/api/v1/callbacks/{secret}", headers, json.encode(body))


async def test_the_address_alone_is_enough_once_and_says_clearly_when_it_is_not(empty_world: World) -> None:
    run_id = await await_callback(empty_world, SECRET)
    answers = [
        await call_back(empty_world, DONE, "guessed"),
        await call_back(empty_world, DONE),
        await call_back(empty_world, DONE),
    ]
    codes = [(one.status, one.json().get("code")) for one in answers]
    assert codes == [(404, "NOT_FOUND"), (200, None), (409, "STATE_CONFLICT")]

    await await_callback(empty_world, "another")
    await empty_world.owner_pool.execute(
        "UPDATE scheduler.callbacks SET deadline_at = '-infinity' WHERE outcome IS NULL"
    )
    late = await call_back(empty_world, DONE, "another")
    assert (late.status, late.json()["code"]) == (410, "GONE")
    events = (await empty_world.call("GET", "/events?type=CallbackReceived")).json()["items"]
    assert [(one["subject"], one["data"]) for one in events] == [(run_id, {"outcome": "succeeded"})]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"outcome": "done"}, "outcome"),
        ({"outcome": "failed"}, "error"),
        ({"outcome": "failed", "error": {"message": ""}}, "error.message"),
        ({"outcome": "failed", "error": {"message": "x" * 2_001}}, "error.message"),
        ({"outcome": "failed", "error": {"message": "x", "retry_after_seconds": -1}}, "error.retry_after_seconds"),
        ({"outcome": "failed", "error": {"message": "x"}, "result": 1}, "result"),
        ({"outcome": "succeeded", "error": {"message": "x"}}, "error"),
        ({"outcome": "succeeded", "result": "x" * 262_145}, "result"),
        ({"outcome": "succeeded", "rows": 1}, "rows"),
    ],
)
async def test_what_cannot_be_taken_names_the_field_and_leaves_the_address_as_good_as_before(
    empty_world: World, body: Any, field: str
) -> None:
    await await_callback(empty_world, SECRET)
    refused = await call_back(empty_world, body)
    assert (refused.status, [one["field"] for one in refused.json()["errors"]]) == (422, [field])
    assert (await call_back(empty_world, DONE)).status == 200


async def test_an_answer_beyond_its_bound_is_not_even_read(empty_world: World) -> None:
    refused = await call_back(empty_world, {"outcome": "succeeded", "result": "x" * 400_000})
    assert (refused.status, refused.json()["code"]) == (413, "BODY_TOO_LARGE")


class UnlookedAt:
    """A store that counts how often it is asked."""

    asked_count = 0

    async def answer(self, *_: object) -> CallbackReceipt:
        self.asked_count += 1
        return "unknown"


async def test_who_calls_one_address_again_and_again_is_put_off_before_the_store_is_asked(empty_world: World) -> None:
    store = UnlookedAt()
    app = create_app(replace(empty_world.ports, callback_answers=store))
    headers = {"Content-Type": "application/json"}
    answers = [
        await answered(app, "POST", "/api/v1/callbacks/guessed", headers, json.encode(DONE))
        for _ in range(ADDRESS_AT_ONCE_MAX + 5)
    ]
    assert {one.status for one in answers} == {404, 429}
    assert store.asked_count == [one.status for one in answers].count(404) < len(answers)
    put_off = next(one for one in answers if one.status == 429)
    assert (put_off.json()["code"], int(put_off.headers["retry-after"]) > 0) == ("RATE_LIMITED", True)


async def test_the_secret_is_in_no_log_no_row_and_no_metric(empty_world: World) -> None:
    await await_callback(empty_world, SECRET)
    with capture_logs() as lines:
        await call_back(empty_world, DONE)
        await call_back(empty_world, DONE)
        await answered(empty_world.app, "GET", f"/api/v1/callbacks/{SECRET}", {})
    assert len(lines) == 3
    metrics = await empty_world.call("GET", "/metrics", role="platform_admin")
    assert SECRET not in str(lines) + metrics.text
    row = await empty_world.owner_pool.fetchrow("SELECT c.*, to_jsonb(c)::text AS text FROM scheduler.callbacks c")
    assert row is not None
    assert (row["secret_hash"], SECRET in row["text"]) == (callback_digest(SECRET), False)
