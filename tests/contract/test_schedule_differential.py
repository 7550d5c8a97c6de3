"""Random sequences on memory and on PostgreSQL: every reply and every snapshot must be the same (design law 14).

The sequences are the same in every test run. The databases' clocks stand still and move together.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import pytest
from msgspec import structs

from rota.domain.errors import DomainError
from rota.domain.event import EventDraft
from rota.domain.ids import ScheduleId, TenantId
from rota.domain.page import PageRequest
from rota.domain.schedule import Schedule, TriggerState
from rota.domain.tenancy import AuditEntry
from rota.domain.triggers import CronTrigger
from rota.ports.schedule_store import ScheduleFilter
from rota.ports.tenant_store import EventFilter
from rota.storage.memory.database import MemoryDatabase
from rota.storage.postgres.driver import Pool
from tests.contract.records import ACME, GLOBEX, change, create_tenants, rich_schedule, schedule, tenant, trigger
from tests.contract.stores import START, Stores

Choice = TypeVar("Choice")

TENANTS = (ACME, GLOBEX)
NAMES = ("a", "ab", "abc", "B", "ä", "a%", "a_", "z")
STEPS = 250
ADVANCE = "UPDATE scheduler.triggers SET next_fire_at = $2, fired_through = $3, fires_count = $4 WHERE id = $1"


class Dice:
    """A seeded stream of choices (xorshift64*)."""

    def __init__(self, seed: int) -> None:
        self._state = seed * 0x9E3779B97F4A7C15 % 2**64 or 1

    def below(self, bound: int) -> int:
        state = self._state
        state ^= state >> 12
        state ^= state << 25 & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 27
        self._state = state
        return (state * 0x2545F4914F6CDD1D % 2**64 >> 32) % bound

    def pick(self, choices: Sequence[Choice]) -> Choice:
        return choices[self.below(len(choices))]

    def chance(self, percent: int) -> bool:
        return self.below(100) < percent


class Walk:
    """Both stores, what is known to be in them, and how often each verb has succeeded."""

    def __init__(self, memory: Stores, postgres: Stores, database: MemoryDatabase, owner_pool: Pool, seed: int) -> None:
        self.memory = memory
        self.postgres = postgres
        self.database = database
        self.owner_pool = owner_pool
        self.dice = Dice(seed)
        self.successes: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()

    async def both(self, verb: str, call: Callable[[Stores], Awaitable[object]]) -> None:
        """Does the same on both; replies must be equal, and so must refusals."""
        replies = [await reply_of(call(stores)) for stores in (self.memory, self.postgres)]
        assert replies[0] == replies[1], verb
        if isinstance(replies[0], tuple) and replies[0][0] == "refused":
            self.refusals[str(replies[0][1])] += 1
        else:
            self.successes[verb] += 1

    def known(self) -> list[Schedule]:
        return list(self.database.schedules.values())

    async def step(self) -> None:
        verbs = (self.insert, self.insert, self.save, self.save, self.save, self.fire, self.read, self.list_page)
        await self.dice.pick(verbs)()
        if self.dice.chance(5):
            await self.pass_time()

    async def insert(self) -> None:
        tenant_id = self.dice.pick(TENANTS)
        made = [self.new_schedule(tenant_id) for _ in range(1 + self.dice.below(2))]
        events = [EventDraft("ScheduleCreated", subject=item.id) for item in made]
        await self.both("insert_many", lambda s: s.schedules.insert_many(tenant_id, made, change(*events)))

    def new_schedule(self, tenant_id: TenantId) -> Schedule:
        name = self.dice.pick(NAMES)
        if tenant_id == ACME and self.dice.chance(30):
            return rich_schedule(name)
        return schedule(name, tenant_id, triggers=tuple(trigger() for _ in range(self.dice.below(3))))

    async def save(self) -> None:
        if not self.known():
            return
        before = self.dice.pick(self.known())
        kind, wanted = self.changed(before)
        version = before.version if self.dice.chance(85) else before.version - 1
        await self.both(kind, lambda s: s.schedules.save_if_version(wanted, version, change(EventDraft(kind))))

    def changed(self, before: Schedule) -> tuple[str, Schedule]:
        now = self.database.now()
        touched = structs.replace(before, updated_at=now, updated_by="bob", created_by="eve")
        kind = self.dice.below(6)
        if before.deleted_at is not None:
            return "ScheduleRestored", structs.replace(touched, deleted_at=None, deleted_by=None)
        if kind == 0:
            return "ScheduleDeleted", structs.replace(
                touched, enabled=False, deleted_at=now, deleted_by="bob", triggers=silenced(before.triggers)
            )
        if kind == 1:
            return "SchedulePaused", structs.replace(touched, enabled=False, triggers=silenced(before.triggers))
        if kind == 2:
            triggers = tuple(self.due_again(each) for each in before.triggers)
            return "ScheduleResumed", structs.replace(touched, enabled=True, triggers=triggers)
        name = self.dice.pick(NAMES) if kind == 3 else before.name
        return "ScheduleChanged", structs.replace(touched, name=name, triggers=self.edited(before.triggers))

    def edited(self, triggers: tuple[TriggerState, ...]) -> tuple[TriggerState, ...]:
        kept = [self.due_again(each) for each in triggers if self.dice.chance(80)]
        if kept and self.dice.chance(30):
            kept[0] = structs.replace(kept[0], spec=CronTrigger(expression=f"{self.dice.below(60)} * * * *"))
        if len(kept) < 4 and self.dice.chance(50):
            kept.insert(self.dice.below(len(kept) + 1), trigger())
        return tuple(kept)

    def due_again(self, state: TriggerState) -> TriggerState:
        """A next time that may lie before or behind what the leader has decided."""
        return structs.replace(state, next_fire_at=START + timedelta(minutes=self.dice.below(240)), fires_count=77)

    async def fire(self) -> None:
        """The leader's progress, made behind the stores' backs in both."""
        firing = [(item, each) for item in self.known() for each in item.triggers if each.next_fire_at is not None]
        if not firing:
            return
        owner, before = self.dice.pick(firing)
        following = None if self.dice.chance(10) else next_of(before) + timedelta(hours=1)
        after = structs.replace(
            before, next_fire_at=following, fired_through=before.next_fire_at, fires_count=before.fires_count + 1
        )
        triggers = tuple(after if each.id == before.id else each for each in owner.triggers)
        self.database.schedules[owner.id] = structs.replace(owner, triggers=triggers)
        await self.owner_pool.execute(ADVANCE, after.id, after.next_fire_at, after.fired_through, after.fires_count)
        self.successes["fire"] += 1

    async def read(self) -> None:
        tenant_id, name = self.dice.pick(TENANTS), self.dice.pick(NAMES)
        ids = [item.id for item in self.known()] or [ScheduleId("none")]
        schedule_id = self.dice.pick(ids)
        await self.both("get", lambda s: s.schedules.get(tenant_id, schedule_id))
        await self.both("find_by_name", lambda s: s.schedules.find_by_name(tenant_id, name))

    async def list_page(self) -> None:
        where = ScheduleFilter(
            name=self.dice.pick((None, None, None, "a")),
            name_prefix=self.dice.pick((None, None, "a", "a%", "q")),
            enabled=self.dice.pick((None, None, True, False)),
            deleted=self.dice.chance(25),
            label=self.dice.pick((None, None, ("team", "ops"))),
        )
        page = PageRequest(limit=1 + self.dice.below(3), offset=self.dice.below(3))
        tenant_id = self.dice.pick(TENANTS)
        await self.both("page", lambda s: s.schedules.page(tenant_id, where, page))
        seen = await self.memory.schedules.page(tenant_id, where, page)
        if seen.next_cursor is not None:
            behind = structs.replace(page, cursor=seen.next_cursor)
            await self.both("page behind", lambda s: s.schedules.page(tenant_id, where, behind))

    async def pass_time(self) -> None:
        for stores in (self.memory, self.postgres):
            await stores.clock.advance(90)
        await self.both("clock", lambda s: s.schedules.clock())

    async def compare_snapshots(self) -> None:
        snapshots = [await snapshot_of(stores) for stores in (self.memory, self.postgres)]
        assert snapshots[0] == snapshots[1]


def silenced(triggers: tuple[TriggerState, ...]) -> tuple[TriggerState, ...]:
    return tuple(structs.replace(each, next_fire_at=None) for each in triggers)


def next_of(state: TriggerState) -> datetime:
    assert state.next_fire_at is not None
    return state.next_fire_at


async def reply_of(call: Awaitable[object]) -> object:
    try:
        return await call
    except DomainError as error:
        return "refused", error.code, error.detail, error.problems


async def snapshot_of(stores: Stores) -> list[object]:
    pages = [
        (await stores.schedules.page(tenant_id, ScheduleFilter(deleted=deleted), PageRequest(limit=500))).items
        for tenant_id in TENANTS
        for deleted in (False, True)
    ]
    events = (await stores.events.page(EventFilter(None), PageRequest(limit=500))).items
    counted = Counter((event.type, event.at, event.tenant_id, event.subject, event.actor) for event in events)
    return [*pages, counted]


EVERY_VERB = {
    "insert_many", "ScheduleChanged", "ScheduleDeleted", "SchedulePaused", "ScheduleResumed", "ScheduleRestored",
    "fire", "get", "find_by_name", "page", "page behind", "clock", "revoke",
}  # fmt: skip


@pytest.mark.both_engines
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_memory_and_postgresql_cannot_be_told_apart(
    memory_stores: Stores, postgres_stores: Stores, memory_database: MemoryDatabase, owner_pool: Pool, seed: int
) -> None:
    walk = Walk(memory_stores, postgres_stores, memory_database, owner_pool, seed)
    for stores in (memory_stores, postgres_stores):
        await create_tenants(stores.tenants)
    for _ in range(STEPS):
        await walk.step()
        await walk.compare_snapshots()
    await walk.both("create", lambda s: s.tenants.create(tenant("acme"), AuditEntry("root", "create", "tenant", "")))
    await walk.both("revoke", lambda s: s.tenants.revoke(ACME, AuditEntry("root", "revoke", "tenant", "acme")))
    await walk.save()
    await walk.compare_snapshots()
    assert walk.successes.keys() >= EVERY_VERB
    assert walk.refusals.keys() >= {"NAME_TAKEN", "VERSION_MISMATCH", "NOT_FOUND"}
