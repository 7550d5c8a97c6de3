"""What each page shows, gathered through the ports: one function per page, templates do the rest.

Every list is bounded, and no page asks once per row.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from importlib.resources import files
from typing import cast, get_args

from jinja2 import Environment, FunctionLoader, StrictUndefined
from msgspec import Struct

from rota.core.fan_out import fan_out_of
from rota.core.flags import off_words
from rota.core.occurrences import PreviewItem, preview
from rota.core.trigger_times import occurrences_of
from rota.dashboard import drawing, words
from rota.domain.errors import DomainError
from rota.domain.fan_out import Impact, Segment
from rota.domain.flag import MILESTONES
from rota.domain.ids import RunId, ScheduleId
from rota.domain.milestone import MilestoneState
from rota.domain.page import PageRequest
from rota.domain.run import LogLine, Run
from rota.domain.schedule import Schedule
from rota.domain.tenancy import Principal
from rota.ports.binding_store import BindingFilter, BindingStore
from rota.ports.check_in_store import CheckInStore
from rota.ports.dependency_store import DependencyReader
from rota.ports.fan_out_store import ImpactReader
from rota.ports.flag_store import FlagStore
from rota.ports.job_store import GraphJobStore, JobFilter, PolicyJobStore
from rota.ports.limit_store import LimitStore
from rota.ports.milestone_store import EvidenceStore, MilestoneFilter, MilestoneStore
from rota.ports.run_store import RunFilter, RunReader
from rota.ports.schedule_store import ScheduleFilter, ScheduleStore
from rota.ports.wait_reader import WaitReader
from rota.ports.worker_store import WorkerStore
from rota.services.flag_verbs import flags_of
from rota.services.run_waiting import reasons_of

SCHEDULES_SHOWN_MAX = 100
# Counting a million at every glance would be most of a server's work. More than these are "10000+".
SCHEDULES_COUNTED_MAX = 10_000
BINDINGS_SHOWN_MAX = 500
MILESTONES_SHOWN_MAX = 200
EVIDENCE_SHOWN_MAX = 100
LIMITS_SHOWN_MAX = 200
JOBS_SHOWN_MAX = 50
SEGMENTS_SHOWN_MAX = 200
SEGMENT_ROWS_MAX = 50
CHECK_INS_SHOWN_MAX = 500
RUNS_SHOWN_MAX = 40
STRIP_LENGTH_MAX = 12
FIRES_PREVIEWED = 8
TAIL_LINES = 5
LOG_LINES_SHOWN_MAX = 1_000
WORKERS_SHOWN_MAX = 50
CARDS_HOURS = 24

MILESTONE_STATES: dict[str, MilestoneState] = {one: one for one in get_args(MilestoneState)}

_TEMPLATE_WORDS = (
    drawing.full_width,
    words.day_words,
    words.duration_words,
    words.check_in_words,
    words.exact_words,
    words.instant_words,
    words.json_words,
    words.limit_saying,
    words.line_words,
    words.milestone_state,
    words.misfire_words,
    words.overlap_words,
    words.relative_words,
    words.retry_words,
    words.rule_words,
    words.run_duration_words,
    words.run_saying,
    words.schedule_state,
    words.short_id,
    words.summary_words,
    words.target_words,
    words.trigger_words,
    words.whole_target_words,
)


class DashboardPorts(Struct, frozen=True):
    """What the pages read. All are tenant-scoped but workers and limits, which only a platform_admin sees."""

    schedules: ScheduleStore
    runs: RunReader
    workers: WorkerStore
    bindings: BindingStore
    flags: FlagStore
    impacts: ImpactReader
    dependencies: DependencyReader
    milestones: MilestoneStore
    evidence: EvidenceStore
    limits: LimitStore
    graph_jobs: GraphJobStore
    policy_jobs: PolicyJobStore
    waits: WaitReader
    check_ins: CheckInStore


class ShownRun(Struct, frozen=True):
    """A run with the end of its output."""

    run: Run
    tail: tuple[LogLine, ...]


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
    names = cast("dict[str, object]", environment.globals)
    names.update({function.__name__: function for function in _TEMPLATE_WORDS})
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
            who.tenant_id, ScheduleFilter(), PageRequest(limit=SCHEDULES_SHOWN_MAX, count_max=SCHEDULES_COUNTED_MAX)
        )
        ids = [schedule.id for schedule in schedules.items]
        paused = await self._ports.schedules.page(
            who.tenant_id, ScheduleFilter(enabled=False), PageRequest(limit=1, count_max=SCHEDULES_COUNTED_MAX)
        )
        workers = await self._ports.workers.list_recent(WORKERS_SHOWN_MAX) if who.role == "platform_admin" else ()
        shown, _ = await self._runs(who, RunFilter())
        return await self._page(
            template,
            who,
            now=now,
            schedules=schedules.items,
            schedules_count=schedules.total_count,
            paused_count=paused.total_count,
            counted_max=SCHEDULES_COUNTED_MAX,
            latest=await self._ports.runs.latest_of_schedules(who.tenant_id, ids, STRIP_LENGTH_MAX),
            shown=shown,
            counts=defaultdict(int, await self._ports.runs.count_by_state(who.tenant_id, CARDS_HOURS)),
            hours=CARDS_HOURS,
            workers=[worker for worker in workers if worker.state in {"active", "draining"}],
            names={str(schedule.id): schedule.name for schedule in schedules.items},
        )

    async def schedule(self, who: Principal, schedule_id: ScheduleId, template: str) -> str:
        """One schedule: its triggers with what is to come, and its runs."""
        now = await self._now()
        schedule = await self._ports.schedules.get(who.tenant_id, schedule_id)
        shown, runs_count = await self._runs(who, RunFilter(schedule_id=schedule_id))
        return await self._page(
            template,
            who,
            now=now,
            schedule=schedule,
            upcoming=_upcoming(schedule, now),
            shown=shown,
            runs_count=runs_count,
        )

    async def run(self, who: Principal, run_id: RunId, template: str) -> str:
        """One run: its record, attempts and the end of its output."""
        now = await self._now()
        run = await self._ports.runs.get(who.tenant_id, run_id)
        attempts = await self._ports.runs.attempts(who.tenant_id, run_id)
        tails = await self._ports.runs.log_tails(who.tenant_id, [run_id], LOG_LINES_SHOWN_MAX)
        schedule = await self._ports.schedules.get(who.tenant_id, run.schedule_id) if run.schedule_id else None
        impact = await self._impact(who, run)
        return await self._page(
            template,
            who,
            now=now,
            run=run,
            attempts=attempts,
            waits_for=await reasons_of(run, self._ports.waits),
            impact=impact,
            bar=drawing.bar_of(impact.segments) if impact else (),
            segments=await self._segments(who, run, impact),
            **await self._neighbours(who, run),
            segment_rows_max=SEGMENT_ROWS_MAX,
            lines=tails.get(run.id, ()),
            lines_max=LOG_LINES_SHOWN_MAX,
            schedule=schedule,
            live=run.state in {"scheduled", "queued", "running"},
        )

    async def bindings(self, who: Principal, template: str) -> str:
        """Which subjects must have a schedule, and whether they have it."""
        now = await self._now()
        page = PageRequest(limit=BINDINGS_SHOWN_MAX, count_max=SCHEDULES_COUNTED_MAX)
        found = await self._ports.bindings.page(who.tenant_id, BindingFilter(), page)
        return await self._page(
            template,
            who,
            now=now,
            bindings=found.items,
            bindings_count=found.total_count,
            counted_max=SCHEDULES_COUNTED_MAX,
        )

    async def milestones(self, who: Principal, template: str, wanted: str | None = None) -> str:
        """How far each milestone is with each subject, and the dated facts that they count from. `wanted` is a state;
        another word is none.
        """
        state = MILESTONE_STATES.get(wanted or "")
        now = await self._now()
        page = PageRequest(limit=MILESTONES_SHOWN_MAX, count_max=SCHEDULES_COUNTED_MAX)
        found = await self._ports.milestones.page(who.tenant_id, MilestoneFilter(state=state), page)
        is_off = off_words(await self._ports.flags.settings(who.tenant_id), MILESTONES) is not None
        page = PageRequest(limit=EVIDENCE_SHOWN_MAX, count_max=SCHEDULES_COUNTED_MAX)
        evidence = await self._ports.evidence.page(who.tenant_id, None, page)
        return await self._page(
            template,
            who,
            now=now,
            state=state,
            states=MILESTONE_STATES,
            milestones=found.items,
            milestones_count=found.total_count,
            is_off=is_off,
            standing=Counter(words.milestone_state(one, now, is_off=is_off) for one in found.items),
            evidence=evidence.items,
            evidence_count=evidence.total_count,
            counted_max=SCHEDULES_COUNTED_MAX,
        )

    async def limits(self, who: Principal, template: str) -> str:
        """What bounds how many runs may be running or begin; the platform's alone."""
        now = await self._now()
        is_shown = who.role == "platform_admin"
        page = await self._ports.limits.page(PageRequest(limit=LIMITS_SHOWN_MAX)) if is_shown else None
        return await self._page(template, who, now=now, page=page, is_shown=is_shown)

    async def jobs(self, who: Principal, template: str) -> str:
        """Graph jobs and policy jobs with what came of them, newest first."""
        now = await self._now()
        page = PageRequest(limit=JOBS_SHOWN_MAX, count_max=SCHEDULES_COUNTED_MAX)
        return await self._page(
            template,
            who,
            now=now,
            graph_jobs=await self._ports.graph_jobs.page(who.tenant_id, JobFilter(), page),
            policy_jobs=await self._ports.policy_jobs.page(who.tenant_id, JobFilter(), page),
            counted_max=SCHEDULES_COUNTED_MAX,
        )

    async def check_ins(self, who: Principal, template: str) -> str:
        """Which jobs elsewhere must tell of their ends, what they told last, and what is expected next."""
        now = await self._now()
        found = await self._ports.check_ins.page(who.tenant_id, PageRequest(limit=CHECK_INS_SHOWN_MAX))
        return await self._page(template, who, now=now, check_ins=found.items, check_ins_count=found.total_count)

    async def _page(self, template: str, who: Principal, **context: object) -> str:
        """With what is switched off in its header."""
        flags = flags_of(await self._ports.flags.settings(who.tenant_id))
        return self.render(template, who=who, flags_off=[flag for flag in flags if not flag.enabled], **context)

    async def _runs(self, who: Principal, where: RunFilter) -> tuple[list[ShownRun], int]:
        """The newest that match, and how many do."""
        runs = await self._ports.runs.page(who.tenant_id, where, PageRequest(limit=RUNS_SHOWN_MAX))
        tails = await self._ports.runs.log_tails(who.tenant_id, [run.id for run in runs.items], TAIL_LINES)
        return [ShownRun(run, tails.get(run.id, ())) for run in runs.items], runs.total_count

    async def _neighbours(self, who: Principal, run: Run) -> dict[str, object]:
        """What the run waited for, by which rule, and what waits for it: drawn, where there is anything."""
        found = await self._ports.dependencies.of_run(who.tenant_id, run.id)
        if not found.upstreams and not found.dependents:
            return {"before": None, "behind": None, "rule": None}
        return {
            "before": drawing.side_of(found.upstreams, is_before=True),
            "behind": drawing.side_of(found.dependents, is_before=False),
            "rule": found.rule,
        }

    async def _segments(self, who: Principal, run: Run, impact: Impact | None) -> Sequence[Segment]:
        """The first ones, by number."""
        if impact is None or not impact.snapshot.segments_count:
            return ()
        page = PageRequest(limit=SEGMENTS_SHOWN_MAX)
        found = await self._ports.impacts.page_segments(who.tenant_id, run.id, page)
        return found.items

    async def _impact(self, who: Principal, run: Run) -> Impact | None:
        """None, too, while it is being planned."""
        if fan_out_of(run.target) is None:
            return None
        try:
            return await self._ports.impacts.get(who.tenant_id, run.id)
        except DomainError:
            return None

    async def _now(self) -> datetime:
        return datetime.fromisoformat(await self._ports.schedules.clock())


def _upcoming(schedule: Schedule, now: datetime) -> list[PreviewItem]:
    """The next fires and skips of all triggers together, in order of time."""
    if not schedule.enabled or schedule.deleted_at is not None:
        return []
    items = [
        item
        for trigger in schedule.triggers
        for item in preview(
            occurrences_of(schedule.id, trigger),
            now,
            FIRES_PREVIEWED,
            fires_done=trigger.fires_count,
        )
    ]
    return sorted(items, key=lambda item: item.fire_at)[:FIRES_PREVIEWED]
