"""The workers' side of runs, over all tenants: claiming, settling, giving back, finding what was lost.

Every statement here is a transaction of its own. An attempt's token guards each write that ends it (law 2).

A look at the queues is bounded: `limit` runs, some lanes (`lane_looks`), and `PARKED_PER_LOOK_MAX` that wait for the
turn of their schedule. Those are parked and not looked at again before the turn is free, so that a claim looks again
for what stands behind them. In the same way what is not due yet sleeps, until the first look that finds it due.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from operator import itemgetter

from msgspec import Raw

from rota.domain.errors import Stale, Unavailable
from rota.domain.ids import AttemptToken, RunId, TenantId, WorkerId
from rota.domain.run import ClaimedRun, LogLine, Settlement
from rota.ports.run_store import HeldRun, LostAttempt, SettleResult
from rota.storage.postgres.driver import Pool, Row
from rota.storage.postgres.lane_looks import (
    FOUND_PER_LOOK_MAX,
    WOKEN_PER_LOOK_MAX,
    Floor,
    Lane,
    LaneLooks,
    LaneSeen,
    Look,
)
from rota.storage.postgres.places import give_freed_places
from rota.storage.postgres.query_files import query
from rota.storage.postgres.run_rows import claimed_of_row, optional_worker, plain_claim_of_row, sparse, uniform
from rota.storage.postgres.single_statements import SingleStatements
from rota.storage.storable_text import storable_json, storable_text

_CLAIM_PLAIN_BATCH = query("live_runs/claim_plain_batch")
_CLAIM_BATCH = query("live_runs/claim_batch")
_LOOK_LANES = query("live_runs/look_lanes")
_DOZE_EARLY = query("live_runs/doze_early")
_SETTLE_ALIKE_SUCCESSES = query("live_runs/settle_alike_successes")
_SETTLE_BATCH = query("live_runs/settle_batch")
_LIST_HELD = query("live_runs/list_held")
_READ_CALLED = query("live_runs/read_called")
_FIND_LOST = query("live_runs/find_lost")
_FIND_LOST_SINCE = query("live_runs/find_lost_since")
_APPEND_LINES = query("log_lines/append_lines")
_OPEN_MISSING = query("schedule_turns/open_missing")

PARKED_PER_LOOK_MAX = 1_000
DOZED_PER_LANE_MAX = 1_000
# Looks in a row that change nothing, because others hold the turns of what stands first.
FRUITLESS_LOOKS_MAX = 3
LOOKS_PER_CLAIM_MAX = 100

_GIVE_BACK = "give_back"


class PostgresRunClaims:
    """See `rota.ports.run_store.RunClaims`."""

    def __init__(self, service_pool: Pool, *, pooled_by_transaction: bool = False) -> None:
        self._statements = SingleStatements(service_pool, pooled_by_transaction=pooled_by_transaction)
        self._looks: dict[tuple[str, ...], LaneLooks] = {}

    async def claim_batch(self, worker_id: WorkerId, queues: Sequence[str], limit: int) -> tuple[ClaimedRun, ...]:
        looks = self._looks.setdefault(tuple(queues), LaneLooks())
        claiming = _Claiming(worker_id, list(queues), limit, looks)
        # What is claimed already must reach its worker, whatever becomes of the further looks.
        try:
            while await self._look(claiming):
                pass
        except (Stale, Unavailable):
            looks.note_failed()
            if not claiming.claimed_count:
                raise
        return claiming.result()

    async def settle_batch(self, settlements: Sequence[Settlement]) -> tuple[SettleResult, ...]:
        if not settlements:
            return ()
        if _are_alike(settlements):
            return await self._settle_alike(settlements)
        accepted, startable = await self._settle(
            [settlement.run_id for settlement in settlements],
            [settlement.token for settlement in settlements],
            uniform([settlement.verb for settlement in settlements]),
            uniform([settlement.outcome for settlement in settlements]),
            uniform([storable_text(settlement.reason) for settlement in settlements]),
            uniform([settlement.retry_delay_seconds for settlement in settlements]),
            sparse([_json(settlement.result_json) for settlement in settlements]),
            sparse([_json(settlement.error_json) for settlement in settlements]),
            uniform([settlement.dead_letter for settlement in settlements]),
        )
        return tuple(
            [
                SettleResult(settlement.run_id, n in accepted, startable.queues(n))
                for n, settlement in enumerate(settlements, start=1)
            ]
        )

    async def list_held(self, worker_id: WorkerId, limit: int) -> tuple[HeldRun, ...]:
        rows = await self._statements.fetch("looking for what a worker holds", _LIST_HELD, worker_id, limit)
        return tuple([HeldRun(row["run_id"], AttemptToken(row["attempt_token"]), row["queue"]) for row in rows])

    async def give_back_batch(self, claims: Sequence[ClaimedRun | HeldRun]) -> int:
        if not claims:
            return 0
        accepted, _ = await self._settle(
            [claim.run_id for claim in claims],
            [claim.token for claim in claims],
            [_GIVE_BACK],
            ["cancelled"],
            [""],
            [0.0],
            [],
            [],
            [False],
        )
        return len(accepted)

    async def find_lost(
        self, grace_seconds: float, limit: int, overdue_since: datetime | None = None
    ) -> tuple[LostAttempt, ...]:
        doing = "looking for lost attempts"
        if overdue_since is None:
            rows = await self._statements.fetch(doing, _FIND_LOST, grace_seconds, limit)
        else:
            rows = await self._statements.fetch(doing, _FIND_LOST_SINCE, grace_seconds, limit, overdue_since)
        return tuple(
            LostAttempt(claimed_of_row(row), optional_worker(row["worker_id"]), "lost" if row["gone"] else "timed_out")
            for row in rows
        )

    async def append_log_lines(self, lines: Sequence[LogLine], tenants: Sequence[TenantId]) -> None:
        if not lines:
            return
        await self._statements.fetch(
            "storing log lines",
            _APPEND_LINES,
            [line.run_id for line in lines],
            [line.attempt_no for line in lines],
            [line.seq for line in lines],
            [line.at for line in lines],
            list(tenants),
            [storable_text(line.stream) for line in lines],
            [storable_text(line.text) for line in lines],
        )

    async def _look(self, claiming: "_Claiming") -> bool:
        """Claims what one look finds, and tells whether another one may find more."""
        had = claiming.claimed_count
        has_more = await (self._look_plainly if len(claiming.queues) == 1 else self._look_mixed)(claiming)
        return has_more and claiming.wanted > 0 and (claiming.claimed_count > had or claiming.may_go_on())

    async def _look_plainly(self, claiming: "_Claiming") -> bool:
        looks, limit = claiming.looks, claiming.wanted
        rows = await self._statements.fetch(
            "claiming runs", _CLAIM_PLAIN_BATCH, claiming.worker_id, claiming.queues[0], limit, *looks.plan(limit)
        )
        if not rows:
            raise _lease_ended(claiming.worker_id)
        head, found = rows[0], rows[1:]
        claimed_at, queue = head["claimed_at"], claiming.queues[0]
        runs = [plain_claim_of_row(row, claimed_at, queue) for row in found]
        claiming.add(found, runs)
        claiming.note_woken(head["found_count"], head["woken_count"])
        if 0 < head["woken_count"] < WOKEN_PER_LOOK_MAX:
            return True
        seen = _lanes_seen(head)
        counts = (
            head["entries_count"],
            seen,
            head["found_count"],
            head["woken_count"],
            bool(head["met_serial"] or head["met_limit"]),
        )
        has_more = looks.note(Look(head["claimed_at"], head["is_full"], limit, *counts, _last_places(found, seen)))
        if head["met_serial"] or head["met_limit"]:
            looks.share.charge(_counts_of(runs))
        if head["met_limit"] and found:
            has_more = True
        if head["met_serial"]:
            await self._look_past_turns(claiming, [each.lane for each in seen])
        if head["are_early"] is not None and any(head["are_early"]):
            early = [each.lane for each, is_early in zip(seen, head["are_early"], strict=True) if is_early]
            await self._doze(claiming.queues, early)
        return has_more

    async def _look_mixed(self, claiming: "_Claiming") -> bool:
        """Runs of several queues. The first of a tenant's are those that are longest due, whatever their queue."""
        looks, limit = claiming.looks, claiming.wanted
        plan = looks.plan_walk()
        rows = await self._statements.fetch(
            "looking for due runs",
            _LOOK_LANES,
            claiming.worker_id,
            claiming.queues,
            limit,
            *plan,
            FOUND_PER_LOOK_MAX,
            WOKEN_PER_LOOK_MAX,
        )
        if not rows:
            raise _lease_ended(claiming.worker_id)
        head, found = rows[0], [row for row in rows[1:] if row["queues"]]
        claiming.note_woken(head["found_count"], head["woken_count"])
        if 0 < head["woken_count"] < WOKEN_PER_LOOK_MAX:
            return True
        for row in found:
            looks.share.weigh(row["tenant_id"], row["weight"])
        lanes = _mixed_lanes(found, looks, limit)
        has_more = bool(head["woken_count"]) or any(len(row["queues"]) >= row["quota"] for row in found)
        had = claiming.claimed_count
        if lanes:
            has_more |= await self._claim_lanes(claiming, lanes)
        visited = [(row["priority"], row["tenant_id"]) for row in rows[1:]]
        is_cut = head["found_count"] >= FOUND_PER_LOOK_MAX
        is_partial = looks.note_walk(visited, is_cut=is_cut, is_filled=claiming.claimed_count - had >= limit)
        early = [(row["priority"], row["tenant_id"]) for row in rows[1:] if row["is_early"]]
        if early:
            await self._doze(claiming.queues, early)
        return has_more or is_partial

    async def _look_past_turns(self, claiming: "_Claiming", lanes: Sequence[Lane]) -> None:
        """Adds to what is claimed of these lanes until nothing more is to be found, past runs that wait for a turn."""
        while claiming.wanted and claiming.may_go_on():
            quotas = claiming.looks.quotas(lanes, claiming.wanted)
            placed = [(claiming.queues[0], *lane, quota) for lane, quota in quotas]
            if not await self._claim_lanes(claiming, placed):
                return

    async def _claim_lanes(self, claiming: "_Claiming", lanes: Sequence[tuple[str, int, TenantId, int]]) -> bool:
        """Claims from lanes with their quotas, and tells whether there may be more in them."""
        wanted = claiming.wanted
        columns = [list(column) for column in zip(*lanes, strict=True)]
        rows = await self._statements.fetch(
            "claiming runs",
            _CLAIM_BATCH,
            claiming.worker_id,
            columns[0],
            wanted,
            PARKED_PER_LOOK_MAX,
            *columns[1:],
        )
        if not rows:
            raise _lease_ended(claiming.worker_id)
        found = [row for row in rows if row["run_id"] is not None]
        runs = [claimed_of_row(row) for row in found]
        claiming.add(found, runs)
        claiming.looks.share.charge(_counts_of(runs))
        if rows[0]["unopened"]:
            await self._statements.fetch("opening turns", _OPEN_MISSING, rows[0]["unopened"], rows[0]["unopened_of"])
        claiming.note_turns(len(found), rows[0]["parked_count"])
        return len(found) < wanted and _may_find_more(rows[0], wanted)

    async def _doze(self, queues: Sequence[str], lanes: Sequence[Lane]) -> None:
        priorities, tenants = [lane[0] for lane in lanes], [lane[1] for lane in lanes]
        await self._statements.fetch(
            "putting early runs to sleep", _DOZE_EARLY, list(queues), DOZED_PER_LANE_MAX, priorities, tenants
        )

    async def _settle_alike(self, settlements: Sequence[Settlement]) -> tuple[SettleResult, ...]:
        ids, first = sorted([settlement.run_id for settlement in settlements]), settlements[0]
        (row,) = await self._statements.fetch(
            "settling attempts",
            _SETTLE_ALIKE_SUCCESSES,
            ids,
            first.token,
            storable_text(first.reason),
            _json(first.result_json),
            ids[0],
            ids[-1],
        )
        accepted: frozenset[RunId] = frozenset(ids if row["accepted"] is None else row["accepted"])
        startable = _Startable()
        for run_id, turn in zip(row["serial_ids"], row["turns"], strict=True):
            startable.end_turn(run_id, turn)
        startable.limited_queues.update(zip(row["limited_ids"], row["limited_queues"], strict=True))
        startable.placed_queues = await self._give_places(row["keys"])
        for turn, queue in zip(row["freed_turns"], row["freed_queues"], strict=True):
            startable.add_queue(turn, queue)
        await self._note_called(row["freed_turns"], row["keys"])
        if row["accepted"] is None and startable.is_empty:
            return tuple([SettleResult(settlement.run_id, accepted=True) for settlement in settlements])
        return tuple([SettleResult(s.run_id, s.run_id in accepted, startable.queues(s.run_id)) for s in settlements])

    async def _settle(self, run_ids: Sequence[RunId], *columns: Iterable[object]) -> tuple[set[int], "_Startable"]:
        """Which settlements were accepted, by their number from 1, and what they made startable."""
        rows = await self._statements.fetch("settling attempts", _SETTLE_BATCH, run_ids, *columns)
        startable = _Startable()
        keys = [row["key"] for row in rows if row["key"] is not None]
        startable.placed_queues = await self._give_places(keys)
        await self._note_called([row["turn"] for row in rows if row["n"] is None and row["turn"] is not None], keys)
        self._note_returned([row for row in rows if row["due_at"] is not None])
        for row in rows:
            if row["n"] is None:
                if row["turn"] is not None:
                    startable.add_queue(row["turn"], row["queue"])
                continue
            if row["turn"] is not None:
                startable.end_turn(row["n"], row["turn"])
            if row["queue"] is not None:
                startable.limited_queues[row["n"]] = row["queue"]
        return {row["n"] for row in rows if row["n"] is not None}, startable

    async def _give_places(self, keys: Sequence[str]) -> tuple[str, ...]:
        """What is settled stays so: places that are not given now are given by the leader's watch."""
        if not keys:
            return ()
        try:
            return await give_freed_places(self._statements, keys, waits=True)
        except Unavailable:
            return ()

    async def _note_called(self, turns: Sequence[str], keys: Sequence[str]) -> None:
        """What may have a turn or a place now is claimable where it always stood. Only lean looks begin behind it."""
        if not (turns or keys) or not any(looks.is_lean for looks in self._looks.values()):
            return
        with suppress(Unavailable):
            self._note_returned(
                await self._statements.fetch("looking for called runs", _READ_CALLED, list(turns), list(keys))
            )

    def _note_returned(self, rows: Iterable[Row]) -> None:
        for row in rows:
            for queues, looks in self._looks.items():
                if row["queue"] in queues:
                    looks.note_returned((row["priority"], row["tenant_id"]), row["due_at"])


class _Claiming:
    """One claim under way: what it has, what it wants, and whether a further look has a purpose."""

    def __init__(self, worker_id: WorkerId, queues: list[str], limit: int, looks: LaneLooks) -> None:
        self.worker_id = worker_id
        self.queues = queues
        self.looks = looks
        self.claimed_count = 0
        self.is_further = False
        self._limit = limit
        self._found: list[tuple[Sequence[Row], Sequence[ClaimedRun]]] = []
        self._fruitless_count = 0
        self._has_moved_on = False

    @property
    def wanted(self) -> int:
        return self._limit - self.claimed_count

    def add(self, rows: Sequence[Row], runs: Sequence[ClaimedRun]) -> None:
        """What one look claimed, in the order of the queue."""
        self._found.append((rows, runs))
        self.claimed_count += len(runs)

    def note_woken(self, found_count: int, woken_count: int) -> None:
        """What was woken, and lanes that were left for the next look, are to be looked at."""
        self._has_moved_on = woken_count > 0 or found_count >= FOUND_PER_LOOK_MAX

    def note_turns(self, found_count: int, parked_count: int) -> None:
        self._fruitless_count = 0 if found_count or parked_count else self._fruitless_count + self.is_further
        self.is_further = True

    def may_go_on(self) -> bool:
        has_purpose = self._has_moved_on or self._fruitless_count < FRUITLESS_LOOKS_MAX
        return has_purpose and len(self._found) < LOOKS_PER_CLAIM_MAX

    def result(self) -> tuple[ClaimedRun, ...]:
        if len(self._found) == 1:
            return tuple(self._found[0][1])
        placed = [(_place_of(row), run) for rows, runs in self._found for row, run in zip(rows, runs, strict=True)]
        return tuple([run for _, run in sorted(placed, key=itemgetter(0))])


class _Startable:
    """The queues in which a run may have the turn that a settlement, named by its number or its run, has ended."""

    def __init__(self) -> None:
        # Where a run has ended under a limit, another may begin.
        self.limited_queues: dict[int | str, str] = {}
        # Where a run has got the place of one that has ended. Whoever is asked about first tells of them.
        self.placed_queues: tuple[str, ...] = ()
        self._turns: dict[int | str, str] = {}
        self._queues: dict[str, list[str]] = {}

    @property
    def is_empty(self) -> bool:
        return not (self.limited_queues or self.placed_queues or self._turns)

    def end_turn(self, settlement: int | str, turn: str) -> None:
        self._turns[settlement] = turn

    def add_queue(self, turn: str, queue: str) -> None:
        self._queues.setdefault(turn, []).append(queue)

    def queues(self, settlement: int | str) -> tuple[str, ...]:
        freed = self._queues.get(self._turns[settlement], ()) if settlement in self._turns else ()
        placed, self.placed_queues = self.placed_queues, ()
        if settlement in self.limited_queues:
            return tuple(sorted({*freed, *placed, self.limited_queues[settlement]}))
        return tuple(sorted({*freed, *placed})) if placed else tuple(sorted(freed))


def _place_of(row: Row) -> tuple[int, datetime, str]:
    """Its place in the queue."""
    return -(row["priority"] or 0), row["due_at"], row["run_id"]


def _last_places(found: Sequence[Row], seen: Sequence[LaneSeen]) -> dict[Lane, Floor]:
    """Where each lane was left that something was claimed from."""
    if len(seen) == 1:
        return {seen[0].lane: (found[-1]["due_at"], found[-1]["run_id"])} if found else {}
    return {(row["priority"], row["tenant_id"]): (row["due_at"], row["run_id"]) for row in found}


def _counts_of(runs: Sequence[ClaimedRun]) -> list[tuple[TenantId, int]]:
    return list(Counter([run.tenant_id for run in runs]).items())


def _lanes_seen(head: Row) -> list[LaneSeen]:
    if head["priorities"] is None:
        return []
    lanes = zip(head["priorities"], head["tenants"], strict=True)
    return [
        LaneSeen(lane, weight, quota, picked)
        for lane, weight, quota, picked in zip(
            lanes, head["weights"], head["quotas"], head["picked_counts"], strict=True
        )
    ]


def _mixed_lanes(rows: Sequence[Row], looks: LaneLooks, limit: int) -> list[tuple[str, int, TenantId, int]]:
    """Queue, priority, tenant and quota: of each priority first whoever is next, until the limit is spent."""
    place = {tenant_id: n for n, tenant_id in enumerate(looks.share.order([row["tenant_id"] for row in rows]))}
    lanes: list[tuple[str, int, TenantId, int]] = []
    for row in sorted(rows, key=lambda row: (-row["priority"], place[row["tenant_id"]])):
        queues: list[str] = row["queues"]
        taken = Counter(queues[:limit])
        limit -= taken.total()
        lanes += [(queue, row["priority"], row["tenant_id"], count) for queue, count in taken.items()]
    return lanes


def _are_alike(settlements: Sequence[Settlement]) -> bool:
    """Whether `settle_alike_successes` can take them: one token, one reason, one result, each run once."""
    kinds = {(s.verb, s.outcome, s.error_json, s.dead_letter, s.token, s.reason, s.result_json) for s in settlements}
    if len(kinds) > 1 or kinds.pop()[:4] != ("succeed", "succeeded", None, False):
        return False
    return len({settlement.run_id for settlement in settlements}) == len(settlements)


def _may_find_more(seen: Row, limit: int) -> bool:
    """Of a look that claimed less than its limit: whether it left any runs of its lanes, or a turn was not open yet."""
    seen_count: int = seen["picked_count"]
    return seen["has_filled"] or seen_count >= limit or bool(seen["unopened"])


def _lease_ended(worker_id: WorkerId) -> Stale:
    return Stale(f"the lease of worker {worker_id} has ended: it may claim nothing")


def _json(text: str | None) -> Raw | None:
    return None if text is None else Raw(storable_json(text).encode())
