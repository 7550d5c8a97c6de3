"""The leader's figures, on virtual time."""

from rota.domain.errors import Unavailable
from rota.domain.figures import PlatformFigures
from rota.domain.ids import Epoch
from rota.domain.lease import Fence
from rota.services.figure_telling import FIGURES_SECONDS, FigureTelling, telling
from rota.services.supervision import Duty, Supervisor
from rota.telemetry.metrics import Metrics
from tests.unit.core.values import LoadedDice
from tests.unit.services.virtual_time import FixedLeadership, VirtualClock

FENCE = Fence("leader", Epoch(1), "me")
FIGURES = PlatformFigures(31.5, 2.0, 10, 4, 1)


class Figures:
    """How often they were read; away when told so."""

    def __init__(self) -> None:
        self.reads = 0
        self.is_away = False

    async def platform_figures(self) -> PlatformFigures:
        self.reads += 1
        if self.is_away:
            raise Unavailable("away")
        return FIGURES


async def test_the_leader_tells_them_once_a_minute_and_nobody_else_does() -> None:
    clock, leadership, store, metrics = VirtualClock(), FixedLeadership(None), Figures(), Metrics()
    duty = FigureTelling(store, leadership, clock, telling(metrics))
    supervisor = Supervisor((Duty("figures", duty.run),), clock, LoadedDice())
    supervisor.start()
    await clock.run_for(10 * FIGURES_SECONDS)
    assert store.reads == 0
    leadership.change(FENCE)
    await clock.run_for(4 * FIGURES_SECONDS + 1)
    assert store.reads == 5
    text = metrics.exposition().decode()
    for line in (
        "rota_runs_waiting_seconds 31.5",
        "rota_statistics_behind_seconds 2.0",
        "rota_runs_ended_ever 10.0",
        "rota_runs_failed_ever 4.0",
        "rota_stray_partitions 1.0",
    ):
        assert line in text
    leadership.change(None)
    await clock.run_for(1)
    assert "rota_runs_waiting_seconds 0.0" in metrics.exposition().decode()
    await supervisor.stop()


async def test_an_outage_leaves_what_was_told_and_is_asked_again_soon() -> None:
    clock, store, metrics = VirtualClock(), Figures(), Metrics()
    duty = FigureTelling(store, FixedLeadership(FENCE), clock, telling(metrics))
    supervisor = Supervisor((Duty("figures", duty.run),), clock, LoadedDice())
    supervisor.start()
    await clock.run_for(1)
    store.is_away = True
    await clock.run_for(FIGURES_SECONDS)
    assert "rota_runs_waiting_seconds 31.5" in metrics.exposition().decode()
    store.is_away = False
    reads = store.reads
    await clock.run_for(5)
    assert store.reads > reads
    await supervisor.stop()
