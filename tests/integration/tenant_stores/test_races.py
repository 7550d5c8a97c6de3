"""Writers of the same rows, each pair stopped at the worst moment."""

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec import structs

from rota.core.run_identity import fire_key
from rota.domain.errors import DomainError
from rota.domain.event import EventDraft
from rota.domain.firing import FireDraft, TriggerAdvance
from rota.domain.ids import Epoch
from rota.domain.lease import Fence
from rota.domain.page import PageRequest
from rota.domain.schedule import Schedule
from rota.domain.tenancy import AuditEntry
from rota.ports.schedule_store import ScheduleFilter
from rota.ports.tenant_store import EventFilter
from rota.storage.postgres.connections import tenant_transaction, transaction
from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.events import PostgresEventStore, insert_events
from rota.storage.postgres.firing import PostgresFiringStore
from rota.storage.postgres.leases import PostgresLeaseStore
from rota.storage.postgres.query_files import query
from tests.contract.records import ACME, change, schedule, trigger
from tests.contract.stores import START, Stores
from tests.support.waiting import wait_until

pytestmark = pytest.mark.both_engines

FENCE = Fence("firing", Epoch(1), "leader")
REVOKE = AuditEntry("root", "revoke", "tenant", "acme")
DUE = START + timedelta(hours=1)
NEXT = START + timedelta(hours=2)

WAITING = (
    "SELECT count(DISTINCT l.pid) FROM pg_locks l JOIN pg_database d ON d.datname = current_database()"
    " WHERE NOT l.granted AND l.pid IN (SELECT pid FROM pg_locks WHERE database = d.oid)"
)
ADVANCE = (
    "UPDATE scheduler.triggers t SET next_fire_at = $3, fired_through = $2, fires_count = fires_count + 1"
    " FROM scheduler.schedules s"
    " WHERE t.id = $1 AND t.next_fire_at = $2 AND s.id = t.schedule_id AND s.version = $4 AND s.enabled"
)


async def stored(stores: Stores, made: Schedule) -> Schedule:
    await stores.schedules.insert_many(ACME, [made], change())
    return made


async def blocked(owner_pool: Pool, work: Coroutine[Any, Any, Any], waiting: int = 1) -> asyncio.Task[Any]:
    """Starts *work* and hands it over once the database says that so many transactions wait for a lock."""
    task = asyncio.create_task(work)

    async def waits() -> bool:
        assert not task.done(), f"it did not wait: {task}"
        count: int = await owner_pool.fetchval(WAITING)
        return count >= waiting

    await wait_until(waits, what="a wait for a lock")
    return task


async def advance(connection: Connection, made: Schedule) -> int:
    """What the leader does to the first trigger: compare-and-set on its next time and the schedule's version."""
    status = await connection.execute(ADVANCE, made.triggers[0].id, DUE, NEXT, made.version)
    return int(status.split()[-1])


async def outcome(work: Coroutine[Any, Any, Any]) -> str:
    try:
        await work
    except DomainError as error:
        return error.code
    return "done"


async def test_a_save_that_meets_the_leader_at_a_trigger_keeps_its_progress(
    stores: Stores, service_pool: Pool, owner_pool: Pool
) -> None:
    made = await stored(stores, schedule("a", triggers=(trigger(), trigger())))
    swapped = structs.replace(made, triggers=made.triggers[::-1])
    async with transaction(service_pool) as leader:
        assert await advance(leader, made) == 1
        save = await blocked(owner_pool, stores.schedules.save_if_version(swapped, 1, change()))
    saved = await save
    progressed = structs.replace(made.triggers[0], next_fire_at=NEXT, fired_through=DUE, fires_count=1)
    assert saved.triggers == (made.triggers[1], progressed)
    assert await stores.schedules.get(ACME, made.id) == saved


async def test_a_save_read_before_the_leader_advanced_keeps_its_progress(stores: Stores, service_pool: Pool) -> None:
    made = await stored(stores, schedule("a"))
    async with transaction(service_pool) as leader:
        assert await advance(leader, made) == 1
    saved = await stores.schedules.save_if_version(structs.replace(made, name="b"), 1, change())
    assert saved.triggers == (structs.replace(made.triggers[0], next_fire_at=NEXT, fired_through=DUE, fires_count=1),)


async def test_a_pause_that_meets_the_leader_at_a_trigger_stops_it(
    stores: Stores, service_pool: Pool, owner_pool: Pool
) -> None:
    made = await stored(stores, schedule("a"))
    silent = structs.replace(made.triggers[0], next_fire_at=None)
    paused = structs.replace(made, enabled=False, paused_reason="by hand", triggers=(silent,))
    async with transaction(service_pool) as leader:
        assert await advance(leader, made) == 1
        save = await blocked(owner_pool, stores.schedules.save_if_version(paused, 1, change()))
    saved = await save
    assert saved.triggers == (structs.replace(silent, fired_through=DUE, fires_count=1),)


async def test_the_leader_that_waits_behind_a_pause_advances_nothing(
    stores: Stores, service_pool: Pool, api_pool: Pool, owner_pool: Pool
) -> None:
    made = await stored(stores, schedule("a"))
    silent = structs.replace(made.triggers[0], next_fire_at=None)
    paused = structs.replace(made, enabled=False, triggers=(silent,))

    async def lead() -> int:
        async with transaction(service_pool) as leader:
            return await advance(leader, made)

    async with tenant_transaction(api_pool, ACME) as save:
        await save.fetchrow(query("schedules/lock_schedule"), ACME, made.id)
        await save.execute(query("schedules/save_locked"), ACME, msgspec.json.encode(paused).decode())
        triggers = msgspec.json.encode(paused.triggers).decode()
        await save.execute(query("schedules/replace_triggers"), ACME, made.id, triggers, True)
        leading = await blocked(owner_pool, lead())
    assert await leading == 0
    assert (await stores.schedules.get(ACME, made.id)).triggers == (silent,)


async def fired_now(service_pool: Pool, due_at: datetime) -> TriggerAdvance:
    """The firing store's own decision on the one trigger that is due, by a leader that holds the lease."""
    await PostgresLeaseStore(service_pool).acquire_if_free(FENCE.lease_name, "leader", 60)
    (due,) = (await PostgresFiringStore(service_pool).due_triggers(10)).triggers
    run = FireDraft(due_at, fire_key(due.trigger.id, due_at), "fired on time")
    return TriggerAdvance(
        trigger_before=due.trigger,
        schedule_id=due.schedule_id,
        schedule_version=due.schedule_version,
        tenant_id=due.tenant_id,
        policies=due.policies,
        fired_through=due_at,
        next_fire_at=due_at + timedelta(days=3650),
        fires_count=1,
        runs=(run,),
        skipped=(),
    )


async def test_a_save_that_comes_while_the_leader_fires_waits_and_keeps_its_progress(
    stores: Stores, service_pool: Pool, owner_pool: Pool
) -> None:
    made = await stored(stores, schedule("a", triggers=(trigger(next_fire_at=START),)))
    decided = await fired_now(service_pool, START)
    async with transaction(service_pool) as rival:
        # The leader is stopped in the middle of its statement: at a key that another transaction is about to store.
        await rival.execute(
            "INSERT INTO scheduler.run_keys (key, run_id, created_at, tenant_id) VALUES ($1, $1, $2, 'acme')",
            decided.runs[0].key,
            START,
        )
        firing = await blocked(owner_pool, PostgresFiringStore(service_pool).apply(FENCE, [decided]))
        renamed = structs.replace(made, name="b")
        saving = await blocked(owner_pool, stores.schedules.save_if_version(renamed, 1, change()), waiting=2)
    assert (await firing).advanced == 1
    saved = await saving
    assert saved.version == 2
    assert saved.triggers == (
        structs.replace(
            made.triggers[0], next_fire_at=decided.next_fire_at, fired_through=decided.fired_through, fires_count=1
        ),
    )


async def test_the_leader_passes_over_a_schedule_that_is_being_changed(
    stores: Stores, service_pool: Pool, api_pool: Pool
) -> None:
    made = await stored(stores, schedule("a", triggers=(trigger(next_fire_at=START),)))
    decided = await fired_now(service_pool, START)
    firing = PostgresFiringStore(service_pool)
    async with tenant_transaction(api_pool, ACME) as save:
        await save.fetchrow(query("schedules/lock_schedule"), ACME, made.id)
        assert (await firing.apply(FENCE, [decided])).refused == 1
        await save.execute(query("schedules/save_locked"), ACME, msgspec.json.encode(made).decode())
    assert (await firing.apply(FENCE, [decided])).refused == 1
    assert (await stores.schedules.get(ACME, made.id)).triggers == made.triggers


async def test_of_many_changes_to_one_version_one_is_stored(stores: Stores) -> None:
    made = await stored(stores, schedule("a"))
    changes = [structs.replace(made, description=f"by {number}") for number in range(12)]
    outcomes = await asyncio.gather(
        *(outcome(stores.schedules.save_if_version(changed, 1, change())) for changed in changes)
    )
    assert sorted(outcomes) == ["VERSION_MISMATCH"] * 11 + ["done"]
    winner = changes[outcomes.index("done")]
    assert await stores.schedules.get(ACME, made.id) == structs.replace(winner, version=2)


async def test_of_many_schedules_with_one_name_one_is_stored(stores: Stores) -> None:
    outcomes = await asyncio.gather(
        *(outcome(stores.schedules.insert_many(ACME, [schedule("same")], change())) for _ in range(12))
    )
    assert sorted(outcomes) == ["NAME_TAKEN"] * 11 + ["done"]


async def test_batches_in_opposite_orders_do_not_deadlock(stores: Stores) -> None:
    names = [f"s{number:04}" for number in range(500)]
    batches = [[schedule(name) for name in (names, names[::-1])[number % 2]] for number in range(6)]
    outcomes = await asyncio.gather(*(outcome(stores.schedules.insert_many(ACME, b, change())) for b in batches))
    assert sorted(outcomes) == ["NAME_TAKEN"] * 5 + ["done"]
    assert (await stores.schedules.page(ACME, ScheduleFilter(), PageRequest(limit=1))).total_count == 500


async def test_a_revocation_waits_for_a_schedule_that_is_being_stored_and_stops_it(
    stores: Stores, api_pool: Pool, owner_pool: Pool
) -> None:
    made = schedule("a")
    async with tenant_transaction(api_pool, ACME) as storing:
        body = msgspec.json.encode([made]).decode()
        await storing.fetch(query("schedules/insert_if_names_free"), ACME, body)
        revoking = await blocked(owner_pool, stores.tenants.revoke(ACME, REVOKE))
    await revoking
    stopped = await stores.schedules.get(ACME, made.id)
    assert (stopped.enabled, stopped.next_fire_at) == (False, None)


async def test_a_schedule_that_waits_behind_a_revocation_is_refused(
    stores: Stores, service_pool: Pool, owner_pool: Pool
) -> None:
    async with transaction(service_pool) as revoking:
        await revoking.fetchrow(query("tenants/lock_tenant"), ACME)
        await revoking.fetchrow(query("tenants/revoke_locked"), ACME)
        storing = await blocked(owner_pool, outcome(stores.schedules.insert_many(ACME, [schedule("a")], change())))
    assert await storing == "STATE_CONFLICT"
    assert (await stores.schedules.page(ACME, ScheduleFilter(), PageRequest())).total_count == 0


async def test_a_change_that_waits_behind_a_revocation_is_refused(
    stores: Stores, service_pool: Pool, owner_pool: Pool
) -> None:
    made = await stored(stores, schedule("a", enabled=False, triggers=(trigger(next_fire_at=None),)))
    resumed = structs.replace(made, enabled=True, triggers=(structs.replace(made.triggers[0], next_fire_at=DUE),))
    async with transaction(service_pool) as revoking:
        await revoking.fetchrow(query("tenants/lock_tenant"), ACME)
        await revoking.fetchrow(query("tenants/revoke_locked"), ACME)
        await revoking.fetch(query("schedules/pause_all"), ACME, "the tenant was revoked", "root", START)
        saving = await blocked(owner_pool, outcome(stores.schedules.save_if_version(resumed, 1, change())))
    assert await saving == "VERSION_MISMATCH"
    assert (await stores.schedules.get(ACME, made.id)).next_fire_at is None


async def test_an_event_that_is_committed_late_is_not_skipped(
    stores: Stores, api_pool: Pool, service_pool: Pool
) -> None:
    reader = PostgresEventStore(api_pool, service_pool)
    where = EventFilter(ACME, types=("RunFailed",))
    await stores.events.append((EventDraft("RunFailed", ACME, "before"),))
    (before,) = await stores.events.after(where, None, 10)
    async with tenant_transaction(api_pool, ACME) as late:
        await insert_events(late, [EventDraft("RunFailed", ACME, "late")])
        await stores.events.append((EventDraft("RunFailed", ACME, "early"),))
        assert await reader.after(where, before.cursor, 10) == ()
        history = await stores.events.page(where, PageRequest())
        assert [event.subject for event in history.items] == ["early", "before"]
    behind = await stores.events.after(where, before.cursor, 10)
    assert [event.subject for event in behind] == ["late", "early"]


async def test_a_reader_beside_many_writers_sees_every_event_once(
    stores: Stores, api_pool: Pool, service_pool: Pool
) -> None:
    """Each writer stays open for another number of round trips, so that numbers and commits disagree."""
    reader = PostgresEventStore(api_pool, service_pool)
    where = EventFilter(ACME, types=("RunFailed",))
    expected = {f"w{writer}-{turn}" for writer in range(4) for turn in range(25)}
    seen: list[str] = []

    async def write(writer: int) -> None:
        for turn in range(25):
            async with tenant_transaction(api_pool, ACME) as connection:
                await insert_events(connection, [EventDraft("RunFailed", ACME, f"w{writer}-{turn}")])
                for _ in range((writer * 7 + turn * 3) % 5):
                    await connection.execute("SELECT 1")

    async def read() -> None:
        cursor: str | None = None
        while len(seen) < len(expected):
            for event in await reader.after(where, cursor, 7):
                seen.append(event.subject)
                cursor = event.cursor

    await asyncio.wait_for(asyncio.gather(read(), *(write(number) for number in range(4))), 60)
    assert len(seen) == len(expected)
    assert set(seen) == expected
