import asyncio
from datetime import timedelta

import pytest
from msgspec import structs

from rota.domain.errors import Stale
from rota.domain.ids import AttemptToken, ScheduleId, WorkerId
from rota.domain.policies import RunPolicy
from rota.ports.run_store import HeldRun
from tests.contract.records import ACME, GLOBEX, new_id
from tests.contract.run_stores import RunStores, draft, retry, success
from tests.contract.stores import START


async def test_runs_are_claimed_by_priority_and_then_by_how_long_they_are_due(runs: RunStores) -> None:
    low_late, high, low_early, future = await runs.enqueue(
        draft(delay_seconds=2), draft(priority=9, delay_seconds=3), draft(delay_seconds=1), draft(delay_seconds=60)
    )
    await runs.base.clock.advance(5)
    worker_id = await runs.worker()

    assert [c.run_id for c in await runs.claim(worker_id, 2)] == [high, low_early]
    assert [c.run_id for c in await runs.claim(worker_id, 9)] == [low_late]
    await runs.base.clock.advance(55)
    assert [c.run_id for c in await runs.claim(worker_id)] == [future]


async def test_several_queues_are_merged_in_the_same_order(runs: RunStores) -> None:
    places = [("a", 0, 3), ("b", 0, 1), ("a", 5, 4), ("b", 5, 2), ("c", 9, 0), ("a", 0, 2)]
    made = await runs.enqueue(*(draft(queue=q, priority=p, delay_seconds=d) for q, p, d in places))
    await runs.base.clock.advance(10)
    worker_id = await runs.worker()

    claimed = await runs.claim(worker_id, 4, ["a", "b"])
    rest = await runs.claim(worker_id, 4, ["a", "b"])

    assert [c.run_id for c in claimed] == [made[3], made[2], made[1], made[5]]
    assert [c.run_id for c in rest] == [made[0]]
    assert await runs.claim(worker_id, 4, ["a", "b"]) == []


async def test_a_claim_carries_all_that_executing_needs(runs: RunStores) -> None:
    policy, schedule_id = RunPolicy(timeout_seconds=12.5), ScheduleId(new_id())
    wanted = draft("b", policy=policy, tenant_id=GLOBEX, schedule_id=schedule_id, fire_at=START)
    worker_id, claimed = await runs.claim_one(wanted)
    run = await runs.reader.get(GLOBEX, claimed.run_id)

    assert (claimed.tenant_id, claimed.target, claimed.policy) == (GLOBEX, wanted.target, policy)
    assert (claimed.token >> 32, claimed.attempt_no, claimed.losses_count) == (1, 1, 0)
    assert (claimed.schedule_id, claimed.fire_at, claimed.claimed_at) == (schedule_id, START, START)
    assert (run.state, run.worker_id, run.started_at, run.attempts_count) == ("running", worker_id, START, 1)


async def test_of_a_thousand_claims_at_once_one_gets_the_run(runs: RunStores) -> None:
    await runs.enqueue(draft())
    workers = [await runs.worker() for _ in range(4)]

    claims = await asyncio.gather(*(runs.claim(workers[n % 4]) for n in range(1_000)))

    assert sorted(len(claimed) for claimed in claims)[-2:] == [0, 1]


async def test_claims_at_once_share_a_backlog_without_overlap(runs: RunStores) -> None:
    made = await runs.enqueue(*(draft(priority=n % 3, queue="ab"[n % 2]) for n in range(200)))
    workers = [await runs.worker() for _ in range(4)]

    claims = await asyncio.gather(*(runs.claim(workers[n % 4], 10, ["a", "b"]) for n in range(40)))

    assert len({c.run_id for claimed in claims for c in claimed}) == sum(map(len, claims))
    rest = await runs.claim(workers[0], 200, ["a", "b"])
    assert sorted([c.run_id for claimed in claims for c in claimed] + [c.run_id for c in rest]) == made


@pytest.mark.parametrize("end", ["lease", "stop", "unknown"])
async def test_a_worker_whose_lease_has_ended_claims_nothing(runs: RunStores, end: str) -> None:
    await runs.enqueue(draft())
    worker_id = await runs.worker(lease_seconds=10) if end != "unknown" else WorkerId(new_id())
    if end == "lease":
        await runs.base.clock.advance(10)
    if end == "stop":
        await runs.workers.stop(worker_id)

    with pytest.raises(Stale):
        await runs.claim(worker_id)
    assert len(await runs.claim(await runs.worker())) == 1


async def test_a_draining_worker_claims_nothing_and_settles_what_it_holds(runs: RunStores) -> None:
    worker_id, claimed = await runs.claim_one()
    await runs.enqueue(draft())
    await runs.workers.drain(worker_id)

    assert await runs.claim(worker_id) == []
    assert [s.accepted for s in await runs.claims.settle_batch([success(claimed)])] == [True]


async def test_success_is_kept_with_its_result(runs: RunStores) -> None:
    worker_id, claimed = await runs.claim_one()
    await runs.base.clock.advance(3)
    await runs.claims.settle_batch([success(claimed, result_json='{"n":[1,null,"ü\\u0000\\\\u0000"]}')])
    run = await runs.reader.get(ACME, claimed.run_id)

    assert (run.state, run.reason, run.attempts_count, run.worker_id) == ("succeeded", "done", 1, worker_id)
    assert run.result == {"n": [1, None, "ü\ufffd\\u0000"]}
    assert (run.started_at, run.finished_at) == (START, START + timedelta(seconds=3))
    assert await runs.event_types() == []


async def test_failure_is_kept_with_its_error_and_told(runs: RunStores) -> None:
    _, claimed = await runs.claim_one()
    error = '{"message":"boom","type":"ValueError","failure_class":"network"}'
    failed = success(claimed, verb="fail", outcome="timed_out", reason="gave up", error_json=error, dead_letter=True)
    await runs.claims.settle_batch([failed])
    run = await runs.reader.get(ACME, claimed.run_id)

    assert (run.state, run.reason, run.dead_lettered) == ("failed", "gave up", True)
    assert run.error is not None
    assert (run.error.message, run.error.failure_class) == ("boom", "network")
    assert await runs.event_types() == ["AttemptTimedOut", "RunFailed"]


async def test_of_two_settlers_one_is_accepted(runs: RunStores) -> None:
    for _ in range(10):
        _, claimed = await runs.claim_one()
        answers = await asyncio.gather(
            runs.claims.settle_batch([success(claimed)]),
            runs.claims.settle_batch([success(claimed, verb="fail", outcome="failed")]),
        )
        assert sorted(answer.accepted for (answer,) in answers) == [False, True]


async def test_a_stale_token_is_refused_and_its_neighbours_are_not_harmed(runs: RunStores) -> None:
    await runs.enqueue(*(draft() for _ in range(5)))
    claimed = await runs.claim(await runs.worker())
    stale = structs.replace(claimed[2], token=AttemptToken(claimed[2].token + 1))
    unknown = structs.replace(claimed[3], run_id=new_id())

    answers = await runs.claims.settle_batch([success(c) for c in (claimed[0], claimed[1], stale, unknown, claimed[4])])

    assert [answer.accepted for answer in answers] == [True, True, False, False, True]
    states = [(await runs.reader.get(ACME, c.run_id)).state for c in claimed]
    assert states == ["succeeded", "succeeded", "running", "running", "succeeded"]


async def test_an_older_attempt_cannot_settle_what_a_newer_one_holds(runs: RunStores) -> None:
    worker_id, old = await runs.claim_one()
    await runs.claims.settle_batch([retry(old)])
    (new,) = await runs.claim(worker_id)
    (refused,) = await runs.claims.settle_batch([success(old)])
    (accepted,) = await runs.claims.settle_batch([success(new)])

    assert (new.token > old.token, new.attempt_no) == (True, 2)
    assert (refused.accepted, accepted.accepted) == (False, True)


async def test_two_workers_never_hold_a_run_under_one_token(runs: RunStores) -> None:
    """Not even where the store forgot a claim, since an older backup was restored: tokens count from there again."""
    _, forgotten = await runs.claim_one()
    _, other = await runs.claim_one()

    assert forgotten.token >> 32 == other.token >> 32
    assert forgotten.token != other.token


async def test_a_retry_waits_for_its_delay_by_the_stores_clock(runs: RunStores) -> None:
    worker_id, claimed = await runs.claim_one()
    await runs.base.clock.advance(1)
    await runs.claims.settle_batch([retry(claimed, delay_seconds=30)])
    run = await runs.reader.get(ACME, claimed.run_id)

    assert (run.state, run.due_at, run.worker_id) == ("queued", START + timedelta(seconds=31), None)
    await runs.base.clock.advance(29)
    assert await runs.claim(worker_id) == []
    await runs.base.clock.advance(1)
    assert [c.attempt_no for c in await runs.claim(worker_id)] == [2]


async def test_losses_are_counted_and_told(runs: RunStores) -> None:
    worker_id, claimed = await runs.claim_one()
    await runs.claims.settle_batch([retry(claimed, outcome="lost")])
    (again,) = await runs.claim(worker_id)

    assert (again.losses_count, again.attempt_no) == (1, 2)
    assert await runs.event_types() == ["AttemptLost"]


async def test_a_claim_that_is_given_back_keeps_its_place_and_counts_no_attempt(runs: RunStores) -> None:
    worker_id, claimed = await runs.claim_one()
    await runs.base.clock.advance(1)
    await runs.enqueue(draft())
    given_back = await runs.claims.give_back_batch([claimed])
    again = await runs.claim(worker_id, 1)
    (refused,) = await runs.claims.settle_batch([success(claimed)])

    assert given_back == 1
    assert await runs.claims.give_back_batch([claimed]) == 0
    assert [(c.run_id, c.attempt_no, c.token > claimed.token) for c in again] == [(claimed.run_id, 1, True)]
    assert not refused.accepted


async def test_lost_are_the_runs_of_workers_that_are_gone_and_those_past_their_deadline(runs: RunStores) -> None:
    policy = RunPolicy(timeout_seconds=20)
    await runs.enqueue(draft("gone"), draft("overdue", policy=policy), draft("fine"))
    short, long = await runs.worker(lease_seconds=10), await runs.worker(lease_seconds=100)
    (gone,) = await runs.claim(short, 1)
    overdue, _ = await runs.claim(long, 2)

    early = await runs.claims.find_lost(5, 10)
    await runs.base.clock.advance(10)
    ended = await runs.claims.find_lost(5, 10)
    await runs.base.clock.advance(15)
    late = await runs.claims.find_lost(5, 10)

    assert early == ()
    assert [(lost.claimed, lost.worker_id, lost.outcome) for lost in ended] == [(gone, short, "lost")]
    assert {(lost.claimed.run_id, lost.worker_id, lost.outcome) for lost in late} == {
        (gone.run_id, short, "lost"),
        (overdue.run_id, long, "timed_out"),
    }
    assert len(await runs.claims.find_lost(5, 1)) == 1


async def test_overdue_is_looked_for_from_a_deadline_on(runs: RunStores) -> None:
    await runs.enqueue(*(draft(policy=RunPolicy(timeout_seconds=seconds)) for seconds in (10, 20)))
    early, late = await runs.claim(await runs.worker(lease_seconds=1000))
    await runs.base.clock.advance(25)

    deadlines = [START + timedelta(seconds=seconds) for seconds in (9.9, 10, 19.9, 20)]
    found = [await runs.claims.find_lost(5, 10, since) for since in deadlines]
    assert [{each.claimed.run_id for each in some} for some in found] == [
        {early.run_id, late.run_id},
        {late.run_id},
        {late.run_id},
        set(),
    ]
    assert [(await runs.firing.look(5, since)).overdue_attempts for since in deadlines] == [True, True, True, False]
    assert not (await runs.firing.look(None)).overdue_attempts


async def test_a_stopped_workers_runs_are_lost_at_once(runs: RunStores) -> None:
    worker_id, claimed = await runs.claim_one()
    await runs.workers.stop(worker_id)

    assert [lost.claimed.run_id for lost in await runs.claims.find_lost(5, 10)] == [claimed.run_id]


async def test_a_worker_is_told_what_it_holds_and_under_which_token(runs: RunStores) -> None:
    await runs.enqueue(
        draft(policy=RunPolicy(timeout_seconds=9)), draft(queue="b", policy=RunPolicy(timeout_seconds=5)), draft()
    )
    mine, other = await runs.worker(), await runs.worker()
    late, early = await runs.claim(mine, 1), await runs.claim(mine, 1, ["b"])
    await runs.claim(other)

    assert await runs.claims.list_held(mine, 10) == tuple(HeldRun(c.run_id, c.token, c.queue) for c in early + late)
    assert [held.run_id for held in await runs.claims.list_held(mine, 1)] == [early[0].run_id]
    assert await runs.claims.list_held(WorkerId(new_id()), 10) == ()


async def test_what_has_ended_or_was_given_back_is_held_no_more(runs: RunStores) -> None:
    await runs.enqueue(draft(), draft(), draft())
    worker_id = await runs.worker()
    ended, returned, again = await runs.claim(worker_id)
    await runs.claims.settle_batch([success(ended), retry(again, 60)])
    await runs.claims.give_back_batch([returned])

    assert await runs.claims.list_held(worker_id, 10) == ()


async def test_what_a_worker_learns_that_it_holds_it_can_give_back_at_once(runs: RunStores) -> None:
    serial = draft(schedule_id=ScheduleId(new_id()), policy=RunPolicy(serial=True))
    first, second, third = await runs.enqueue(draft(), serial, serial)
    worker_id = await runs.worker()
    await runs.claim(worker_id)

    held = await runs.claims.list_held(worker_id, 10)
    given_back = await runs.claims.give_back_batch(held)
    again = await runs.claim(worker_id)

    assert [each.run_id for each in held] == [first, second]
    assert (given_back, await runs.claims.give_back_batch(held)) == (2, 0)
    assert [(c.run_id, c.attempt_no, c.losses_count) for c in again] == [(first, 1, 0), (second, 1, 0)]
    assert third not in [c.run_id for c in again]


async def test_empty_batches_do_nothing(runs: RunStores) -> None:
    assert await runs.claims.settle_batch([]) == ()
    assert await runs.claims.give_back_batch([]) == 0
