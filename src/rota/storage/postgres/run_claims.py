"""The workers' side of runs, over all tenants: claiming, settling, giving back, finding what was lost.

Every statement here is a transaction of its own. An attempt's token guards each write that ends it (law 2).
"""

from collections.abc import Iterable, Sequence

from msgspec import Raw

from rota.domain.errors import Stale
from rota.domain.ids import RunId, TenantId, WorkerId
from rota.domain.run import ClaimedRun, LogLine, Settlement
from rota.ports.run_store import LostAttempt, SettleResult
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.query_files import query
from rota.storage.postgres.run_rows import claimed_of_row, optional_worker, sparse, uniform
from rota.storage.postgres.single_statements import SingleStatements
from rota.storage.storable_text import storable_json, storable_text

_CLAIM_BATCH = query("live_runs/claim_batch")
_SETTLE_BATCH = query("live_runs/settle_batch")
_FIND_LOST = query("live_runs/find_lost")
_APPEND_LINES = query("log_lines/append_lines")

_GIVE_BACK = "give_back"


class PostgresRunClaims:
    """See `rota.ports.run_store.RunClaims`."""

    def __init__(self, service_pool: Pool, *, pooled_by_transaction: bool = False) -> None:
        self._statements = SingleStatements(service_pool, pooled_by_transaction=pooled_by_transaction)

    async def claim_batch(self, worker_id: WorkerId, queues: Sequence[str], limit: int) -> tuple[ClaimedRun, ...]:
        rows = await self._statements.fetch("claiming runs", _CLAIM_BATCH, worker_id, list(queues), limit)
        if not rows:
            raise Stale(f"the lease of worker {worker_id} has ended: it may claim nothing")
        if rows[0]["run_id"] is None:
            return ()
        return tuple([claimed_of_row(row) for row in rows])

    async def settle_batch(self, settlements: Sequence[Settlement]) -> tuple[SettleResult, ...]:
        if not settlements:
            return ()
        accepted = await self._settle(
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
            [SettleResult(settlement.run_id, n in accepted) for n, settlement in enumerate(settlements, start=1)]
        )

    async def give_back_batch(self, claims: Sequence[ClaimedRun]) -> int:
        if not claims:
            return 0
        accepted = await self._settle(
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

    async def _settle(self, run_ids: Sequence[RunId], *columns: Iterable[object]) -> set[int]:
        rows = await self._statements.fetch("settling attempts", _SETTLE_BATCH, run_ids, *columns)
        return {row["n"] for row in rows}


def _json(text: str | None) -> Raw | None:
    return None if text is None else Raw(storable_json(text).encode())
