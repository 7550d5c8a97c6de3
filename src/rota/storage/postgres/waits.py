"""Why a run waits, in PostgreSQL. Through the service login: limits and workers are the platform's, and readers of a
tenant see them here only as far as they concern its run.
"""

from rota.domain.ids import RunId, TenantId
from rota.domain.waiting import LimitFact, PlaceFact, WaitFacts
from rota.storage.page_cursor import is_uuid
from rota.storage.postgres.driver import Pool, Row
from rota.storage.postgres.query_files import query
from rota.storage.postgres.single_statements import SingleStatements

_READ_WAIT_FACTS = query("live_runs/read_wait_facts")


class PostgresWaitReader:
    """See `rota.ports.wait_reader.WaitReader`."""

    def __init__(self, service_pool: Pool, *, pooled_by_transaction: bool = False) -> None:
        self._statements = SingleStatements(service_pool, pooled_by_transaction=pooled_by_transaction)

    async def facts(
        self, tenant_id: TenantId, run_id: RunId, task: str | None, key: str | None = None
    ) -> WaitFacts | None:
        if not is_uuid(run_id):
            return None
        row = await self._statements.fetch_one("asking why a run waits", _READ_WAIT_FACTS, tenant_id, run_id, task)
        return None if row is None else _facts_of(row, task, key)


def _facts_of(row: Row, task: str | None, key: str | None) -> WaitFacts:
    return WaitFacts(
        row["now"],
        row["queue"],
        row["due_at"],
        row["attempts_count"],
        task,
        row["upstreams_count"],
        row["turn_run_id"],
        tuple(LimitFact(*columns) for columns in zip(*(row[name] for name in _LIMIT_COLUMNS), strict=True)),
        None if row["key_max"] is None else PlaceFact(key, row["key_max"], row["taken_count"]),
        row["listeners_count"],
        row["capable_count"],
    )


_LIMIT_COLUMNS = ("limit_kinds", "limit_names", "limit_maxima", "limit_rates", "limit_counts", "limit_rooms")
