"""What each page shows, gathered through the ports: one function per page, templates do the rest."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined
from msgspec import Struct

from rota.core.occurrences import PreviewItem, compile_trigger, preview
from rota.dashboard import words
from rota.domain.ids import RunId, ScheduleId
from rota.domain.page import PageRequest
from rota.domain.run import Run
from rota.domain.schedule import Schedule
from rota.domain.tenancy import Principal
from rota.ports.run_store import RunFilter, RunReader
from rota.ports.schedule_store import ScheduleFilter, ScheduleStore
from rota.ports.worker_store import WorkerStore

SCHEDULES_SHOWN_MAX = 100
RUNS_SHOWN_MAX = 40
RUNS_LOOKED_AT_MAX = 300
STRIP_LENGTH_MAX = 12
FIRES_PREVIEWED = 8
LOG_LINES_SHOWN_MAX = 2_000
WORKERS_SHOWN_MAX = 50
CARDS_HOURS = 24


class DashboardPorts(Struct, frozen=True):
    """What the pages read. All are tenant-scoped but the workers, which only a platform_admin sees."""

    schedules: ScheduleStore
    runs: RunReader
    workers: WorkerStore


def _template_source(name: str) -> str:
    return (files("rota.dashboard") / "templates" / name).read_text(encoding="utf-8")


def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_template_source),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("trigger_words", "target_words", "relative_words", "run_duration_words", "schedule_state"):
        environment.globals[name] = getattr(words, name)
    return environment


class Pages:
    """Renders pages for one principal at a time; holds nothing between two of them."""

    def __init__(self, ports: DashboardPorts) -> None:
        self._ports = ports
        self._environment = _environment()

    def render(self, template: str, **context: object) -> str:
        return self._environment.get_template(template).render(**context)

    async def overview(self, who: Principal, template: str) -> str:
        """Cards, schedules with their latest runs, recent runs."""
        now = await self._now()
        schedules = await self._ports.schedules.page(
            who.tenant_id, ScheduleFilter(), PageRequest(limit=SCHEDULES_SHOWN_MAX)
        )
        runs = await self._ports.runs.page(who.tenant_id, RunFilter(), PageRequest(limit=RUNS_LOOKED_AT_MAX))
        counts = await self._ports.runs.count_by_state(who.tenant_id, CARDS_HOURS)
        workers = await self._ports.workers.list_recent(WORKERS_SHOWN_MAX) if who.role == "platform_admin" else ()
        return self.render(
            template,
            who=who,
            now=now,
            schedules=schedules.items,
            schedules_count=schedules.total_count,
            paused_count=sum(not schedule.enabled for schedule in schedules.items),
            strips=_strips(runs.items),
            runs=runs.items[:RUNS_SHOWN_MAX],
            counts=defaultdict(int, counts),
            hours=CARDS_HOURS,
            workers=[worker for worker in workers if worker.state in {"active", "draining"}],
            names=_names(schedules.items),
        )

    async def schedule(self, who: Principal, schedule_id: ScheduleId, template: str) -> str:
        """One schedule: its triggers with what is to come, and its runs."""
        now = await self._now()
        schedule = await self._ports.schedules.get(who.tenant_id, schedule_id)
        runs = await self._ports.runs.page(
            who.tenant_id, RunFilter(schedule_id=schedule_id), PageRequest(limit=RUNS_SHOWN_MAX)
        )
        return self.render(
            template,
            who=who,
            now=now,
            schedule=schedule,
            upcoming=_upcoming(schedule, now),
            runs=runs.items,
            runs_count=runs.total_count,
            names=_names((schedule,)),
        )

    async def run(self, who: Principal, run_id: RunId, template: str) -> str:
        """One run: its record, attempts and output."""
        now = await self._now()
        run = await self._ports.runs.get(who.tenant_id, run_id)
        attempts = await self._ports.runs.attempts(who.tenant_id, run_id)
        lines = await self._ports.runs.log_lines(who.tenant_id, run_id, (0, -1), LOG_LINES_SHOWN_MAX)
        schedule = await self._ports.schedules.get(who.tenant_id, run.schedule_id) if run.schedule_id else None
        return self.render(
            template,
            who=who,
            now=now,
            run=run,
            attempts=attempts,
            lines=lines,
            lines_max=LOG_LINES_SHOWN_MAX,
            schedule=schedule,
            live=run.state in {"scheduled", "queued", "running"},
        )

    async def _now(self) -> datetime:
        return datetime.fromisoformat(await self._ports.schedules.clock())


def _strips(runs: tuple[Run, ...]) -> Mapping[str, list[Run]]:
    """Schedule id -> its latest runs, oldest first."""
    strips: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        if run.schedule_id is not None and len(strips[run.schedule_id]) < STRIP_LENGTH_MAX:
            strips[run.schedule_id].insert(0, run)
    return defaultdict(list, strips)


def _names(schedules: tuple[Schedule, ...]) -> dict[str, str]:
    return {str(schedule.id): schedule.name for schedule in schedules}


def _upcoming(schedule: Schedule, now: datetime) -> list[PreviewItem]:
    """The next fires and skips of all triggers together, in order of time."""
    if not schedule.enabled:
        return []
    items = [
        item
        for trigger in schedule.triggers
        for item in preview(
            compile_trigger(trigger.spec, hash_key=schedule.id, anchor=trigger.anchor_at),
            now,
            FIRES_PREVIEWED,
            fires_done=trigger.fires_count,
        )
    ]
    return sorted(items, key=lambda item: item.fire_at)[:FIRES_PREVIEWED]
