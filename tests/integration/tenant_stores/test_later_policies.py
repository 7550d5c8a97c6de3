"""Rows of a later version, whose policies have fields that this one does not know."""

import msgspec
import pytest

from rota.domain.policies import Policies, RetryPolicy, RunPolicy
from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.stored_policies import policies_of_text, run_policy_of_text
from tests.contract.records import ACME, change, schedule, trigger
from tests.contract.run_stores import draft, postgres_run_stores, success
from tests.contract.stores import START, Stores
from tests.contract.test_firing_store import FENCE, advance, lead

LATER = """{"timeout_seconds": 60.0, "retry": {"attempts_max": 2, "later": 1}, "later": {"a": [1]}}"""
RETRY = RetryPolicy(attempts_max=2)


async def test_a_run_whose_policy_a_later_version_wrote_is_claimed_and_ends(
    stores: Stores, api_pool: Pool, service_pool: Pool, admin_connection: Connection
) -> None:
    runs = postgres_run_stores(stores, api_pool, service_pool)
    worker_id = await runs.worker()
    (run_id,) = await runs.enqueue(draft())
    await admin_connection.execute("UPDATE scheduler.runs SET policy = $1::text::json", LATER)
    assert (await runs.reader.get(ACME, run_id)).policy == RunPolicy(timeout_seconds=60.0, retry=RETRY)
    (claimed,) = await runs.claim(worker_id)
    assert claimed.policy == RunPolicy(timeout_seconds=60.0, retry=RETRY)
    (settled,) = await runs.claims.settle_batch([success(claimed)])
    assert settled.accepted


async def test_a_schedule_whose_policies_a_later_version_wrote_is_read_and_fires(
    stores: Stores, api_pool: Pool, service_pool: Pool, admin_connection: Connection
) -> None:
    runs = postgres_run_stores(stores, api_pool, service_pool)
    made = schedule("s", triggers=(trigger(next_fire_at=START),))
    await stores.schedules.insert_many(ACME, [made], change())
    await admin_connection.execute("UPDATE scheduler.schedules SET policies = $1::text::json", LATER)
    known = Policies(timeout_seconds=60.0, retry=RETRY)
    assert (await stores.schedules.get(ACME, made.id)).policies == known
    await lead(runs)
    (due,) = (await runs.firing.due_triggers(10)).triggers
    assert due.policies == known
    assert (await runs.firing.apply(FENCE, [advance(due)])).runs_created == 1


@pytest.mark.parametrize("text", ['{"later": 1, "timeout_seconds": "long"}', '{"retry": 3}', "[1]", '{"later"'])
def test_what_is_wrong_otherwise_is_not_read(text: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        run_policy_of_text(text)
    with pytest.raises(msgspec.DecodeError):
        policies_of_text(text)
