import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from rota.core.run_identity import fire_key, idempotency_key
from rota.domain.errors import Bug
from rota.domain.ids import RunId, ScheduleId, TriggerId
from rota.domain.page import PageRequest
from rota.domain.policies import RetryPolicy, RunPolicy
from rota.domain.run import RunDraft
from rota.domain.targets import HttpTarget, TaskTarget
from rota.ports.run_store import RunFilter
from tests.contract.records import ACME, GLOBEX, new_id
from tests.contract.run_stores import AUDIT, RunStores, draft
from tests.contract.stores import START


def rich_draft() -> RunDraft:
    """Every field away from its default."""
    return RunDraft(
        tenant_id=ACME,
        target=HttpTarget("https://example.org/ü", "PUT", {"x-a": "b"}, {"n": [1, None, 2.5]}),
        policy=RunPolicy(1.5, 0.5, RetryPolicy(delays_seconds=(1.0, 2.0))),
        queue="slow",
        priority=7,
        delay_seconds=2.5,
        key=idempotency_key(ACME, "runs", "k"),
        idempotency_key="k",
        schedule_id=ScheduleId(new_id()),
        schedule_version=3,
        trigger_id=TriggerId(new_id()),
        fire_at=START - timedelta(minutes=1),
        reason="fired late",
        retry_of=RunId(new_id()),
        created_by="ada",
    )


async def test_answers_are_in_the_order_of_the_drafts_and_ids_too(runs: RunStores) -> None:
    ids = await runs.enqueue(*(draft(f"task_{n}") for n in range(50)))

    assert ids == sorted(ids)
    assert {UUID(run_id).version for run_id in ids} == {7}
    found = [await runs.reader.get(ACME, run_id) for run_id in ids]
    assert [run.target for run in found] == [TaskTarget(f"task_{n}") for n in range(50)]


async def test_every_field_of_a_draft_is_kept_beside_plain_ones(runs: RunStores) -> None:
    rich = rich_draft()
    plain_id, rich_id, _ = await runs.enqueue(draft(), rich, draft(priority=2))

    kept, plain = await runs.reader.get(ACME, rich_id), await runs.reader.get(ACME, plain_id)

    for field in ("target", "policy", "queue", "priority", "idempotency_key", "schedule_id", "schedule_version"):
        assert getattr(kept, field) == getattr(rich, field), field
    for field in ("trigger_id", "fire_at", "reason", "retry_of", "created_by"):
        assert getattr(kept, field) == getattr(rich, field), field
    assert kept.due_at == START - timedelta(minutes=1) + timedelta(seconds=2.5)
    assert (plain.state, plain.due_at, plain.created_at, plain.schedule_id) == ("queued", START, START, None)


async def test_a_known_key_creates_nothing_and_names_the_run_that_has_it(runs: RunStores) -> None:
    keyed = draft(key=idempotency_key(ACME, "runs", "a"))
    (first,) = await runs.intake.enqueue(ACME, [keyed], AUDIT)

    again, other, twin, in_batch = await runs.intake.enqueue(
        ACME, [keyed, draft(), draft(key=idempotency_key(ACME, "runs", "b")), keyed], AUDIT
    )

    assert first.created
    assert [again.created, other.created, twin.created, in_batch.created] == [False, True, True, False]
    assert {again.run_id, in_batch.run_id} == {first.run_id}
    assert (await runs.reader.page(ACME, RunFilter(), PageRequest())).total_count == 3


async def test_a_key_twice_in_one_batch_creates_one_run(runs: RunStores) -> None:
    keyed = draft(key=fire_key(TriggerId(new_id()), START))

    one, two = await runs.intake.enqueue(ACME, [keyed, keyed], AUDIT)

    assert (one.created, two.created) == (True, False)
    assert one.run_id == two.run_id


async def test_callers_at_once_with_the_same_keys_create_each_run_once(runs: RunStores) -> None:
    keyed = [draft(key=idempotency_key(ACME, "runs", str(n))) for n in range(20)]
    batches = [keyed if n % 2 else keyed[::-1] for n in range(8)]

    answers = await asyncio.gather(*(runs.intake.enqueue(ACME, batch, AUDIT) for batch in batches))

    assert sum(answer.created for batch in answers for answer in batch) == 20
    assert len({answer.run_id for batch in answers for answer in batch}) == 20
    assert (await runs.reader.page(ACME, RunFilter(), PageRequest())).total_count == 20


async def test_a_batch_with_another_tenants_draft_stores_nothing(runs: RunStores) -> None:
    with pytest.raises(Bug):
        await runs.intake.enqueue(ACME, [draft(), draft(tenant_id=GLOBEX)], AUDIT)

    assert (await runs.reader.page(ACME, RunFilter(), PageRequest())).total_count == 0


async def test_a_delayed_run_is_scheduled_until_it_is_due(runs: RunStores) -> None:
    (run_id,) = await runs.enqueue(draft(delay_seconds=60))

    before = (await runs.reader.get(ACME, run_id)).state
    await runs.base.clock.advance(60)

    assert (before, (await runs.reader.get(ACME, run_id)).state) == ("scheduled", "queued")


async def test_one_call_leaves_one_audit_entry(runs: RunStores) -> None:
    await runs.enqueue(draft(), draft(), draft())

    assert [entry for entry in await runs.base.audit.audit_of(ACME) if entry.resource == "run"] == [AUDIT]


async def test_nothing_to_enqueue_is_nothing(runs: RunStores) -> None:
    assert await runs.intake.enqueue(ACME, [], AUDIT) == ()
