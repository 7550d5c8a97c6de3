"""The platform's figures in PostgreSQL, through the service login."""

from rota.domain.errors import Bug
from rota.domain.figures import PlatformFigures
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.query_files import query
from rota.storage.postgres.single_statements import SingleStatements

_READ_FIGURES = query("figures/read_figures")

LANES_MAX = 2_000


class PostgresFigureStore:
    """See `rota.ports.figure_store.FigureStore`."""

    def __init__(self, service_pool: Pool, *, pooled_by_transaction: bool = False) -> None:
        self._statements = SingleStatements(service_pool, pooled_by_transaction=pooled_by_transaction)

    async def platform_figures(self) -> PlatformFigures:
        row = await self._statements.fetch_one("reading the platform's figures", _READ_FIGURES, LANES_MAX)
        if row is None:
            raise Bug("an aggregate is a row")
        return PlatformFigures(
            max(0.0, row["waiting_seconds"]),
            max(0.0, row["uncounted_seconds"]),
            row["ended_count"],
            row["failed_count"],
            row["stray_partitions_count"],
        )
