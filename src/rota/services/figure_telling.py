"""The leader tells the platform's figures as metrics, once a minute; those of who leads no more are nought.

A look that takes long, because a snapshot is held open elsewhere, is made less often.
"""

from collections.abc import Callable

from rota.domain.figures import PlatformFigures
from rota.ports.clock import Clock
from rota.ports.figure_store import FigureStore
from rota.services.leadership import Leadership
from rota.services.resting import Rest
from rota.services.waiting import wait_for_any
from rota.telemetry.metrics import Metrics

FIGURES_SECONDS = 60.0


class FigureTelling:
    """`run` is its loop."""

    def __init__(
        self, store: FigureStore, leadership: Leadership, clock: Clock, tell: Callable[[PlatformFigures], None]
    ) -> None:
        self._store = store
        self._leadership = leadership
        self._clock = clock
        self._tell = tell
        self._changed = leadership.subscribe()
        self._rest = Rest()

    async def run(self) -> None:
        """Until it is cancelled. Raises Unavailable; what was told before stays."""
        while True:
            self._changed.clear()
            if self._leadership.fence() is None:
                self._tell(PlatformFigures())
            else:
                began = self._clock.monotonic_seconds()
                self._tell(await self._store.platform_figures())
                self._rest.looked(self._clock.monotonic_seconds() - began)
            await wait_for_any([self._changed], self._clock, max(FIGURES_SECONDS, self._rest.seconds))


def telling(metrics: Metrics) -> Callable[[PlatformFigures], None]:
    """Into the metrics of the catalogue."""

    def tell(figures: PlatformFigures) -> None:
        metrics.set("rota_runs_waiting_seconds", figures.waiting_seconds)
        metrics.set("rota_statistics_behind_seconds", figures.uncounted_seconds)
        metrics.set("rota_runs_ended_ever", figures.ended_count)
        metrics.set("rota_runs_failed_ever", figures.failed_count)
        metrics.set("rota_stray_partitions", figures.stray_partitions_count)

    return tell
