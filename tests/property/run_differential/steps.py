"""The steps of a random run of both worlds: each draws its arguments once, then does the same in either world."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from msgspec import structs

from rota.core.run_identity import idempotency_key
from rota.domain.ids import AttemptToken, Epoch, ScheduleId, WorkerId
from rota.domain.limit import Limit, LimitKind
from rota.domain.policies import RunPolicy
from rota.domain.run import LogLine, Settlement
from rota.domain.worker import WorkerSpec
from tests.contract.records import ACME, new_id
from tests.contract.run_stores import AUDIT, draft
from tests.contract.stores import START
from tests.property.run_differential.worlds import Dice, World, Worlds

Act = Callable[[World], Awaitable[Any]]
Step = Callable[[Worlds, Dice], Act | None]
Verb = Literal["succeed", "retry", "fail", "cancel"]
Outcome = Literal["succeeded", "failed", "timed_out", "lost", "cancelled"]

QUEUES = ("a", "b")
SCHEDULES = tuple(ScheduleId(str(UUID(int=n))) for n in (1, 2))


def enqueue(_: Worlds, dice: Dice) -> Act:
    drafts = [
        draft(
            f"task_{dice.randrange(3)}",
            queue=dice.choice(QUEUES),
            priority=dice.choice((0, 0, 5, 9)),
            delay_seconds=float(dice.choice((0, 0, 1, 20))),
            policy=RunPolicy(timeout_seconds=dice.choice((2.0, 3600.0)), serial=dice.random() < 0.8),
            schedule_id=dice.choice((None, None, *SCHEDULES)),
            key=idempotency_key(ACME, "d", str(dice.randrange(40))) if dice.random() < 0.3 else None,
        )
        for _ in range(dice.randint(1, 4))
    ]

    async def act(world: World) -> Any:
        answers = await world.stores.intake.enqueue(ACME, drafts, AUDIT)
        world.born += [answer.run_id for answer in answers if answer.created]
        return answers

    return act


def register(worlds: Worlds, dice: Dice) -> Act:
    spec = WorkerSpec(WorkerId(new_id()), "w", QUEUES, 4, (), "host", 1, "0.1")
    lease_seconds = dice.choice((2.0, 60.0, 60.0))
    worlds.workers.append(spec.id)

    async def act(world: World) -> Any:
        await world.stores.workers.register(spec, lease_seconds)
        return "registered"

    return act


def renew(worlds: Worlds, dice: Dice) -> Act | None:
    if not worlds.workers:
        return None
    worker_id = dice.choice(worlds.workers)
    return lambda world: world.stores.workers.renew_if_live(worker_id, QUEUES, 30)


def leave(worlds: Worlds, dice: Dice) -> Act | None:
    if not worlds.workers:
        return None
    worker_id, drains = dice.choice(worlds.workers), dice.random() < 0.5

    async def act(world: World) -> Any:
        await (world.stores.workers.drain if drains else world.stores.workers.stop)(worker_id)
        return "left"

    return act


def claim(worlds: Worlds, dice: Dice) -> Act | None:
    if not worlds.workers:
        return None
    worker_id, limit = dice.choice(worlds.workers[-3:]), dice.randint(1, 4)
    queues = dice.choice((["a"], ["b"], ["a", "b"]))

    async def act(world: World) -> Any:
        claimed = await world.stores.claims.claim_batch(worker_id, queues, limit)
        world.claims += claimed
        return claimed

    return act


def settle(worlds: Worlds, dice: Dice) -> Act | None:
    if not worlds.memory.claims:
        return None
    drawn = [
        (dice.randrange(max(0, len(worlds.memory.claims) - 8), len(worlds.memory.claims)), dice.random())
        for _ in range(dice.randint(1, 3))
    ]
    wanted = dict(drawn)

    async def act(world: World) -> Any:
        settlements = [_settlement(world, place, chance) for place, chance in wanted.items()]
        results = await world.stores.claims.settle_batch(settlements)
        world.woken += sum(bool(result.startable_queues) for result in results)
        return [result for result in results if result.accepted]

    return act


def _settlement(world: World, place: int, chance: float) -> Settlement:
    kinds: list[tuple[Verb, Outcome]] = [
        ("succeed", "succeeded"),
        ("retry", "failed"),
        ("retry", "lost"),
        ("fail", "timed_out"),
        ("cancel", "cancelled"),
    ]
    verb, outcome = kinds[int(chance * 50) % 5]
    claimed = world.claims[place]
    made = Settlement(claimed.run_id, claimed.token, verb, outcome, f"{verb} {chance:.2f}")
    if chance > 0.9:
        made = structs.replace(made, token=AttemptToken(claimed.token + 1))
    if verb == "succeed":
        return structs.replace(made, result_json='{"n": [1, "ü"]}')
    delay = 3.0 if verb == "retry" else 0.0
    error = '{"message": "no", "type": "E"}'
    return structs.replace(made, retry_delay_seconds=delay, error_json=error, dead_letter=verb == "fail")


def give_back(worlds: Worlds, dice: Dice) -> Act | None:
    if not worlds.memory.claims:
        return None
    place = dice.randrange(max(0, len(worlds.memory.claims) - 4), len(worlds.memory.claims))
    return lambda world: world.stores.claims.give_back_batch([world.claims[place]])


def cancel(worlds: Worlds, dice: Dice) -> Act | None:
    if not worlds.memory.born:
        return None
    place = dice.randrange(max(0, len(worlds.memory.born) - 10), len(worlds.memory.born))
    return lambda world: world.stores.control.cancel_if_live(ACME, world.born[place], AUDIT)


def clone(worlds: Worlds, dice: Dice) -> Act | None:
    if not worlds.memory.born:
        return None
    place = dice.randrange(len(worlds.memory.born))

    async def act(world: World) -> Any:
        made = await world.stores.control.clone_if_terminal(ACME, world.born[place], AUDIT)
        world.born.append(made.id)
        return made

    return act


def rescue(_: Worlds, __: Dice) -> Act:
    async def act(world: World) -> Any:
        found = await world.stores.claims.find_lost(1, 10_000)
        await world.stores.claims.settle_batch(
            [Settlement(lost.claimed.run_id, lost.claimed.token, "fail", lost.outcome, "gone") for lost in found]
        )
        return sorted(world.told(lost) for lost in found)

    return act


def rescue_since(_: Worlds, dice: Dice) -> Act:
    """The deadlines of the last seconds. What none of them is stays held, and a later step finds it."""
    seconds = dice.randrange(1, 6)

    async def act(world: World) -> Any:
        since = (await world.stores.firing.look(None)).now - timedelta(seconds=seconds)
        found = await world.stores.claims.find_lost(1, 10_000, since)
        overdue = await world.stores.firing.look(1, since)
        await world.stores.claims.settle_batch(
            [Settlement(lost.claimed.run_id, lost.claimed.token, "fail", lost.outcome, "gone") for lost in found]
        )
        return sorted(world.told(lost) for lost in found), overdue

    return act


def clear_departed(_: Worlds, dice: Dice) -> Act:
    limit = dice.randrange(1, 4)
    return lambda world: world.stores.workers.clear_departed(limit)


def mark_lost(_: Worlds, __: Dice) -> Act:
    return lambda world: world.stores.workers.mark_lost(10)


def log(worlds: Worlds, dice: Dice) -> Act | None:
    if not worlds.memory.claims:
        return None
    place, first = dice.randrange(len(worlds.memory.claims)), dice.randrange(4)

    async def act(world: World) -> Any:
        run_id, attempt_no = world.claims[place].run_id, world.claims[place].attempt_no
        lines = [LogLine(run_id, attempt_no, first + n, START, "log", f"line {n}") for n in range(3)]
        await world.stores.claims.append_log_lines(lines, [ACME] * 3)
        return await world.stores.reader.log_lines(ACME, run_id, (0, 0), 100)

    return act


def acquire(_: Worlds, dice: Dice) -> Act:
    holder = dice.choice(("x", "y"))
    return lambda world: world.stores.leases.acquire_if_free("firing", holder, 4)


def renew_lease(_: Worlds, dice: Dice) -> Act:
    foreign, behind = dice.random() < 0.2, dice.choice((0, 0, 0, 1))

    async def act(world: World) -> Any:
        stored = await world.stores.leases.acquire_if_free("firing", "x", 4)
        holder = "stranger" if foreign else stored.holder
        return await world.stores.leases.renew_if_held("firing", Epoch(stored.epoch - behind), holder, 4)

    return act


def release_lease(_: Worlds, dice: Dice) -> Act:
    holder = dice.choice(("x", "y"))

    async def act(world: World) -> Any:
        stored = await world.stores.leases.read("firing")
        return stored is not None and await world.stores.leases.release_if_held("firing", stored.epoch, holder)

    return act


LIMITED: tuple[tuple[LimitKind, str], ...] = (("queue", "a"), ("queue", "b"), ("tenant", "acme"))


def set_limit(_: Worlds, dice: Dice) -> Act:
    """Of a queue or the tenant; none is ever that tight that nothing moves."""
    kind, name = dice.choice(LIMITED)
    most, rate = dice.randint(2, 6), dice.choice((None, None, 3.0)) if kind == "queue" else None
    limit = Limit(kind, name, START, "root", most, rate, None if rate is None else 4)

    async def act(world: World) -> Any:
        return await world.stores.limits.put(limit, AUDIT)

    return act


def remove_limit(_: Worlds, dice: Dice) -> Act:
    kind, name = dice.choice(LIMITED)

    async def act(world: World) -> Any:
        state = await world.stores.limits.get(kind, name)
        return state, await world.stores.limits.remove(kind, name, AUDIT)

    return act


def look(_: Worlds, __: Dice) -> Act:
    return lambda world: world.stores.firing.look(1)


# How often each kind is drawn, beside the others.
STEPS: dict[Step, int] = {
    enqueue: 8,
    register: 2,
    renew: 4,
    leave: 1,
    claim: 10,
    settle: 8,
    give_back: 3,
    cancel: 3,
    clone: 2,
    rescue: 2,
    rescue_since: 1,
    clear_departed: 1,
    mark_lost: 1,
    log: 2,
    acquire: 2,
    renew_lease: 2,
    release_lease: 1,
    look: 1,
    set_limit: 1,
    remove_limit: 2,
}
