"""The workers' side of runs, over all tenants: claiming, settling, giving back, finding what was lost.

Every statement here is a transaction of its own. An attempt's token guards each write that ends it (law 2).

A look at the queues is bounded: `limit` runs, and `PARKED_PER_LOOK_MAX` that wait for the turn of their schedule. Those
are parked and not looked at again before the turn is free, so that a claim looks again for what stands behind them.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec import Raw

from rota.domain.errors import Stale, Unavailable
from rota.domain.ids import AttemptToken, RunId, TenantId, WorkerId
from rota.domain.run import ClaimedRun, LogLine, Settlement
from rota.ports.run_store import HeldRun, LostAttempt, SettleResult
from rota.storage.postgres.driver import Pool, Row
from rota.storage.postgres.look_floors import Look, LookFloors
from rota.storage.postgres.query_files import query
from rota.storage.postgres.run_rows import claimed_of_row, optional_worker, plain_claim_of_row, sparse, uniform
from rota.storage.postgres.single_statements import SingleStatements
from rota.storage.storable_text import storable_json, storable_text

_CLAIM_PLAIN_BATCH = query("live_runs/claim_plain_batch")
_CLAIM_BATCH = query("live_runs/claim_batch")
_SETTLE_ALIKE_SUCCESSES = query("live_runs/settle_alike_successes")
_SETTLE_BATCH = query("live_runs/settle_batch")
_LIST_HELD = query("live_runs/list_held")
_FIND_LOST = query("live_runs/find_lost")
_FIND_LOST_SINCE = query("live_runs/find_lost_since")
_APPEND_LINES = query("log_lines/append_lines")
_OPEN_MISSING = query("schedule_turns/open_missing")

PARKED_PER_LOOK_MAX = 1_000
# Looks in a row that change nothing, because others hold the turns of what stands first.
FRUITLESS_LOOKS_MAX = 3

_GIVE_BACK = "give_back"


class PostgresRunClaims:
    """See `rota.ports.run_store.RunClaims`."""

    def __init__(self, service_pool: Pool, *, pooled_by_transaction: bool = False) -> None:
        self._statements = SingleStatements(service_pool, pooled_by_transaction=pooled_by_transaction)
        self._floors: dict[str, LookFloors] = {}

    async def claim_batch(self, worker_id: WorkerId, queues: Sequence[str], limit: int) -> tuple[ClaimedRun, ...]:
        claimed: list[_Claimed] = []
        if len(queues) == 1:
            rows = await self._look_plainly(worker_id, queues[0], limit)
            found = [plain_claim_of_row(row, rows[0]["claimed_at"], queues[0]) for row in rows[1:]]
            if not rows[0]["met_serial"]:
                return tuple(found)
            claimed = [_Claimed(_place_of(row), run) for row, run in zip(rows[1:], found, strict=True)]
        # What is claimed already must reach its worker, whatever becomes of the further looks.
        try:
            await self._look_on(worker_id, queues, limit, claimed)
        except (Stale, Unavailable):
            if not claimed:
                raise
        return tuple([each.run for each in claimed])

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

    async def _look_plainly(self, worker_id: WorkerId, queue: str, limit: int) -> list[Row]:
        """One row that tells of the look, and those that it claimed."""
        floors = self._floors.setdefault(queue, LookFloors())
        rows = await self._statements.fetch(
            "claiming runs",
            _CLAIM_PLAIN_BATCH,
            worker_id,
            queue,
            limit,
            floors.due_at,
            floors.run_ids,
            floors.full_again_at,
        )
        if not rows:
            raise _lease_ended(worker_id)
        head, last = rows[0], rows[-1]
        if not head["met_serial"]:
            stopped_at = (last["priority"], last["due_at"], last["run_id"]) if len(rows) > limit else None
            floors.note(Look(head["claimed_at"], head["is_full"], head["entries_count"] - len(rows) + 1, stopped_at))
        return rows

    async def _look_on(self, worker_id: WorkerId, queues: Sequence[str], limit: int, claimed: list["_Claimed"]) -> None:
        """Adds to what is claimed until there is nothing more to find, past runs that wait for a turn."""
        is_further, fruitless = bool(claimed), 0
        while fruitless < FRUITLESS_LOOKS_MAX and len(claimed) < limit:
            wanted = limit - len(claimed)
            rows = await self._statements.fetch(
                "claiming runs", _CLAIM_BATCH, worker_id, list(queues), wanted, PARKED_PER_LOOK_MAX, is_further
            )
            if not rows:
                raise _lease_ended(worker_id)
            found = [_Claimed(_place_of(row), claimed_of_row(row)) for row in rows if row["run_id"] is not None]
            claimed += found
            if is_further:
                claimed.sort()
            if len(found) == wanted or not _may_find_more(rows[0], wanted):
                return
            if rows[0]["unopened"]:
                await self._statements.fetch(
                    "opening turns", _OPEN_MISSING, rows[0]["unopened"], rows[0]["unopened_of"]
                )
            fruitless = 0 if found or rows[0]["parked_count"] else fruitless + is_further
            is_further = True

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
        for turn, queue in zip(row["freed_turns"], row["freed_queues"], strict=True):
            startable.add_queue(turn, queue)
        return tuple([SettleResult(s.run_id, s.run_id in accepted, startable.queues(s.run_id)) for s in settlements])

    async def _settle(self, run_ids: Sequence[RunId], *columns: Iterable[object]) -> tuple[set[int], "_Startable"]:
        """Which settlements were accepted, by their number from 1, and what they made startable."""
        rows = await self._statements.fetch("settling attempts", _SETTLE_BATCH, run_ids, *columns)
        startable = _Startable()
        for row in rows:
            if row["n"] is None:
                startable.add_queue(row["turn"], row["queue"])
            elif row["turn"] is not None:
                startable.end_turn(row["n"], row["turn"])
        return {row["n"] for row in rows if row["n"] is not None}, startable


class _Claimed(NamedTuple):
    """A claimed run, ordered by its place in the queue: the first element is never the same for two."""

    place: tuple[int, datetime, str]
    run: ClaimedRun


class _Startable:
    """The queues in which a run may have the turn that a settlement, named by its number or its run, has ended."""

    def __init__(self) -> None:
        self._turns: dict[int | str, str] = {}
        self._queues: dict[str, list[str]] = {}

    def end_turn(self, settlement: int | str, turn: str) -> None:
        self._turns[settlement] = turn

    def add_queue(self, turn: str, queue: str) -> None:
        self._queues.setdefault(turn, []).append(queue)

    def queues(self, settlement: int | str) -> tuple[str, ...]:
        if settlement not in self._turns:
            return ()
        return tuple(sorted(self._queues.get(self._turns[settlement], ())))


def _place_of(row: Row) -> tuple[int, datetime, str]:
    return -(row["priority"] or 0), row["due_at"], row["run_id"]


def _are_alike(settlements: Sequence[Settlement]) -> bool:
    """Whether `settle_alike_successes` can take them: one token, one reason, one result, each run once."""
    kinds = {(s.verb, s.outcome, s.error_json, s.dead_letter, s.token, s.reason, s.result_json) for s in settlements}
    if len(kinds) > 1 or kinds.pop()[:4] != ("succeed", "succeeded", None, False):
        return False
    return len({settlement.run_id for settlement in settlements}) == len(settlements)


def _may_find_more(seen: Row, limit: int) -> bool:
    """Of a look that claimed less than its limit: whether it saw as many runs as it may, or a turn was not open yet.

    A look that met no serial run has claimed all that it saw, and says nothing.
    """
    seen_count: int | None = seen["picked_count"]
    return seen_count is not None and (seen_count >= limit or bool(seen["unopened"]))


def _lease_ended(worker_id: WorkerId) -> Stale:
    return Stale(f"the lease of worker {worker_id} has ended: it may claim nothing")


def _json(text: str | None) -> Raw | None:
    return None if text is None else Raw(storable_json(text).encode())
