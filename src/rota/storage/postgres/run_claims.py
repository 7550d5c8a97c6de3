"""The workers' side of runs, over all tenants: claiming, settling, giving back, finding what was lost.

Every statement here is a transaction of its own. An attempt's token guards each write that ends it (law 2).

A look at the queues is bounded: `limit` runs, and `PARKED_PER_LOOK_MAX` that wait for the turn of their schedule. Those
are parked and not looked at again before the turn is free, so that a claim looks again for what stands behind them.
"""

from collections.abc import Iterable, Sequence

from msgspec import Raw

from rota.domain.errors import Stale, Unavailable
from rota.domain.ids import AttemptToken, RunId, TenantId, WorkerId
from rota.domain.run import ClaimedRun, LogLine, Settlement
from rota.ports.run_store import HeldRun, LostAttempt, SettleResult
from rota.storage.postgres.driver import Pool, Row
from rota.storage.postgres.query_files import query
from rota.storage.postgres.run_rows import claimed_of_row, optional_worker, sparse, uniform
from rota.storage.postgres.single_statements import SingleStatements
from rota.storage.storable_text import storable_json, storable_text

_CLAIM_BATCH = query("live_runs/claim_batch")
_SETTLE_BATCH = query("live_runs/settle_batch")
_LIST_HELD = query("live_runs/list_held")
_FIND_LOST = query("live_runs/find_lost")
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

    async def claim_batch(self, worker_id: WorkerId, queues: Sequence[str], limit: int) -> tuple[ClaimedRun, ...]:
        rows = await self._look(worker_id, queues, limit, is_further=False)
        if not rows:
            raise Stale(f"the lease of worker {worker_id} has ended: it may claim nothing")
        if rows[0]["run_id"] is not None and len(rows) == limit:
            return tuple([claimed_of_row(row) for row in rows])
        claimed = [row for row in rows if row["run_id"] is not None]
        if _may_find_more(rows[0], limit):
            # What is claimed already must reach its worker, whatever becomes of the further looks.
            try:
                await self._look_further(worker_id, queues, limit, rows[0], claimed)
            except Unavailable:
                if not claimed:
                    raise
        return tuple([claimed_of_row(row) for row in claimed])

    async def settle_batch(self, settlements: Sequence[Settlement]) -> tuple[SettleResult, ...]:
        if not settlements:
            return ()
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

    async def find_lost(self, grace_seconds: float, limit: int) -> tuple[LostAttempt, ...]:
        rows = await self._statements.fetch("looking for lost attempts", _FIND_LOST, grace_seconds, limit)
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

    async def _look(self, worker_id: WorkerId, queues: Sequence[str], limit: int, *, is_further: bool) -> list[Row]:
        return await self._statements.fetch(
            "claiming runs", _CLAIM_BATCH, worker_id, list(queues), limit, PARKED_PER_LOOK_MAX, is_further
        )

    async def _look_further(
        self, worker_id: WorkerId, queues: Sequence[str], limit: int, seen: Row, claimed: list[Row]
    ) -> None:
        """Past the runs that wait for their schedule's turn, until there is nothing more to find. Keeps the order."""
        fruitless = 0
        while fruitless < FRUITLESS_LOOKS_MAX and len(claimed) < limit:
            if seen["unopened"]:
                await self._statements.fetch("opening turns", _OPEN_MISSING, seen["unopened"], seen["unopened_of"])
            wanted = limit - len(claimed)
            rows = await self._look(worker_id, queues, wanted, is_further=True)
            found = [row for row in rows if row["run_id"] is not None]
            claimed += found
            claimed.sort(key=lambda row: (-row["priority"], row["due_at"], row["run_id"]))
            if not rows or not _may_find_more(rows[0], wanted):
                return
            seen = rows[0]
            fruitless = 0 if found or seen["parked_count"] else fruitless + 1

    async def _settle(self, run_ids: Sequence[RunId], *columns: Iterable[object]) -> tuple[set[int], "_Startable"]:
        """Which settlements were accepted, by their number from 1, and what they made startable."""
        rows = await self._statements.fetch("settling attempts", _SETTLE_BATCH, run_ids, *columns)
        startable = _Startable()
        for row in rows:
            if row["turn"] is not None:
                startable.add(row["n"], row["turn"], row["queue"])
        return {row["n"] for row in rows if row["n"] is not None}, startable


class _Startable:
    """The queues in which a run may have the turn that a settlement has ended."""

    def __init__(self) -> None:
        self._turns: dict[int, str] = {}
        self._queues: dict[str, list[str]] = {}

    def add(self, n: int | None, turn: str, queue: str | None) -> None:
        """Either the turn that settlement *n* has ended, or a queue for a turn."""
        if n is not None:
            self._turns[n] = turn
        elif queue is not None:
            self._queues.setdefault(turn, []).append(queue)

    def queues(self, n: int) -> tuple[str, ...]:
        return tuple(sorted(self._queues.get(self._turns[n], ()))) if n in self._turns else ()


def _may_find_more(seen: Row, limit: int) -> bool:
    """Of a look that claimed less than its limit: whether it saw as many runs as it may, or a turn was not open yet.

    A look that met no serial run has claimed all that it saw, and says nothing.
    """
    seen_count: int | None = seen["picked_count"]
    return seen_count is not None and (seen_count >= limit or bool(seen["unopened"]))


def _json(text: str | None) -> Raw | None:
    return None if text is None else Raw(storable_json(text).encode())
