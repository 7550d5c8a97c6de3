"""The platform's figures in memory: the oracle of `rota.storage.postgres.figures`."""

from rota.core.statistics import add_all, sums_of
from rota.domain.figures import PlatformFigures
from rota.storage.memory.database import MemoryDatabase


class MemoryFigureStore:
    """See `rota.ports.figure_store.FigureStore`. It has no partitions."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self._runs = database.runs_state

    async def platform_figures(self) -> PlatformFigures:
        now, runs = self._database.now(), self._runs
        due = [now - one.due_at for one in runs.live.values() if one.state == "queued" and one.due_at <= now]
        uncounted = [now - one.ended_at for one in runs.ended[runs.added_up :]]
        counted = add_all(sums_of(one) for one in runs.ended[: runs.added_up])
        return PlatformFigures(
            max((one.total_seconds() for one in due), default=0.0),
            max((one.total_seconds() for one in uncounted), default=0.0),
            counted.ended_count,
            counted.failed_count,
        )
