"""Keeps the daily partitions of the histories ahead of need."""

from rota.storage.postgres.driver import Pool
from rota.storage.postgres.query_files import query
from rota.storage.postgres.single_statements import SingleStatements

_ENSURE_AHEAD = query("partitions/ensure_ahead")

PARTITION_DAYS_AHEAD = 7


class PostgresPartitions:
    """Safe to call from every process and at any time; a clock far off falls into a default partition meanwhile."""

    def __init__(self, service_pool: Pool, *, pooled_by_transaction: bool = False) -> None:
        self._statements = SingleStatements(service_pool, pooled_by_transaction=pooled_by_transaction)

    async def ensure_ahead(self, days_ahead: int = PARTITION_DAYS_AHEAD) -> int:
        """Makes what is missing from yesterday to `days_ahead`; answers how many partitions it made."""
        row = await self._statements.fetch_one("making partitions", _ENSURE_AHEAD, days_ahead)
        return 0 if row is None else int(row[0])
