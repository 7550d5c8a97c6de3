"""Retention in memory: the oracle of `rota.storage.postgres.retention`. A day is what was written on it."""

from datetime import UTC, date, datetime, time, timedelta

from rota.core.retention import cutoff
from rota.domain.event import EventDraft
from rota.domain.graph_job import GraphJob
from rota.domain.ids import JobId, RunId
from rota.domain.policy_job import PolicyJob
from rota.domain.retention import KINDS, DropOutcome, HistoryDay, PrunedStretch, RetentionRule, RetentionRules
from rota.domain.tenancy import AuditEntry
from rota.ports.retention_store import OnRules
from rota.storage.memory.database import MemoryDatabase


class MemoryRetentionStore:
    """See `rota.ports.retention_store`. Bytes are rows here."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self._runs = database.runs_state
        self._births: dict[RunId, datetime] = {}
        self._rules = {kind: RetentionRule(kind, known.keep_days) for kind, known in KINDS.items()}

    async def rules(self) -> RetentionRules:
        return RetentionRules(self._database.now(), tuple(self._rules[kind] for kind in sorted(self._rules)))

    async def change(self, decide: OnRules, audit: AuditEntry) -> RetentionRules:
        wanted = decide(await self.rules())
        now = self._database.now()
        self._rules |= {kind: RetentionRule(kind, days, now, audit.actor) for kind, days in wanted.items()}
        told = EventDraft("RetentionChanged", None, "retention", audit.actor, {"keep_days": dict(wanted)})
        self._database.record_events([told])
        self._database.record_audit(None, audit)
        return await self.rules()

    async def days_until(self, until: datetime) -> tuple[HistoryDay, ...]:
        counts: dict[tuple[date, str], int] = {}
        for kind in KINDS:
            for at in self._times(kind):
                counts[at.date(), kind] = counts.get((at.date(), kind), 0) + 1
        return tuple(
            HistoryDay(kind, day, count, count, self._needs(kind, day))
            for (day, kind), count in sorted(counts.items())
            if _ends_at(day) <= until
        )

    async def drop_if_aged(self, kind: str, day: date, audit: AuditEntry) -> DropOutcome:
        now = self._database.now()
        rows = sum(at.date() == day for at in self._times(kind))
        if not rows or kind not in self._rules:
            return "absent"
        if _ends_at(day) > cutoff(now, self._rules[kind].keep_days):
            return "young"
        if self._needs(kind, day):
            return "needed"
        self._drop(kind, day)
        data = {"kind": kind, "day": day.isoformat(), "bytes": rows, "keep_days": self._rules[kind].keep_days}
        self._database.record_events([EventDraft("HistoryDropped", None, kind, audit.actor, data)])
        entry = AuditEntry(audit.actor, "drop", "history", f"{kind} {day}", audit.request_id)
        self._database.record_audit(None, entry)
        return "dropped"

    async def prune_stretch(self, kind: str, from_page: int, pages: int) -> PrunedStretch:
        """All at once; of the keys only those of runs are kept here."""
        assert from_page == 0, "one stretch is all"
        assert pages > 0
        before = cutoff(self._database.now(), self._rules[kind].keep_days)
        if kind in {"graph_jobs", "policy_jobs"}:
            return self._prune_jobs(kind, before)
        if kind == "workers":
            return self._prune_workers(before)
        if kind not in {"run_keys", "unique_keys"}:
            return PrunedStretch(0, None)
        if kind == "unique_keys":
            return self._prune_unique_keys(before)
        over = [key for key, run_id in self._runs.keys.items() if self._is_over(run_id, before)]
        for key in over:
            del self._runs.keys[key]
        return PrunedStretch(len(over), None)

    def _prune_jobs(self, kind: str, before: datetime) -> PrunedStretch:
        jobs = self._database.jobs_state.jobs
        of_kind = [one.job for one in jobs.values() if isinstance(one.job, GraphJob) == (kind == "graph_jobs")]
        needed = self._needed_jobs()
        over = [job.id for job in of_kind if job.finished_at is not None and job.finished_at < before]
        gone = [job_id for job_id in over if job_id not in needed]
        for job_id in gone:
            del jobs[job_id]
        return PrunedStretch(len(gone), None)

    def _needed_jobs(self) -> set[JobId]:
        """What live jobs, and those that are marked for replay, are made from or go on from; and the marked ones."""
        jobs = [one.job for one in self._database.jobs_state.jobs.values()]
        policies = {job.id: job for job in jobs if isinstance(job, PolicyJob)}
        marked = [job for job in policies.values() if job.replay_pending is not None]
        live = [job for job in jobs if job.state in {"queued", "running"}]
        needed = {job.id for job in marked}
        live += marked
        needed |= {job.base_job_id for job in live if job.base_job_id is not None}
        for job in live:
            if isinstance(job, PolicyJob):
                base = policies.get(job.base_job_id) if job.base_job_id is not None else None
                needed |= {job.graph_job_id, *job.overlay_job_ids, *(base.overlay_job_ids if base else ())}
                needed |= {job.replay_of} if job.replay_of is not None else set()
        return needed

    def _prune_workers(self, before: datetime) -> PrunedStretch:
        workers = self._runs.workers
        over = [name for name, one in workers.items() if one.has_left and one.is_cleared and one.heartbeat_at < before]
        for name in over:
            del workers[name]
        return PrunedStretch(len(over), None)

    def _prune_unique_keys(self, before: datetime) -> PrunedStretch:
        known, live = self._runs.unique_keys, self._runs.live
        aged = [key for key, (run_id, taken_at) in known.items() if run_id not in live and taken_at < before]
        over = [key for key in aged if key not in self._runs.forever_keys]
        for key in over:
            del known[key]
        return PrunedStretch(len(over), None)

    def _is_over(self, run_id: RunId, before: datetime) -> bool:
        return run_id not in self._runs.live and self._born(run_id) < before

    def _needs(self, kind: str, day: date) -> bool:
        born = (self._runs.records[run_id].created_at.date() for run_id in self._runs.live)
        return "runs" in (kind, KINDS[kind].within) and day in born

    def _times(self, kind: str) -> list[datetime]:
        """Of each row the time that says which day it is of: of what hangs on a run, the run's birth."""
        match kind:
            case "runs":
                return [run.created_at for run in self._runs.records.values()]
            case "attempts":
                return [self._born(run_id) for run_id in self._runs.attempts]
            case "log_lines":
                return [self._born(line[0]) for line in self._runs.log_lines]
            case "impact_snapshots":  # with their items and segments
                return [self._born(run_id) for run_id in self._database.fan_outs_state.snapshots]
            case "events":
                return [event.at for event in self._database.events]
            case "audit":
                return [entry.at for entry in self._database.audit]
            case _:
                return []

    def _drop(self, kind: str, day: date) -> None:
        runs = self._runs
        if kind == "runs":
            self._births |= {name: run.created_at for name, run in runs.records.items()}
            runs.records = {name: run for name, run in runs.records.items() if run.created_at.date() != day}
        elif kind == "attempts":
            runs.attempts = {name: tries for name, tries in runs.attempts.items() if self._born(name).date() != day}
        elif kind == "log_lines":
            runs.log_lines = {name: line for name, line in runs.log_lines.items() if self._born(name[0]).date() != day}
        elif kind == "impact_snapshots":
            kept = self._database.fan_outs_state.snapshots
            self._database.fan_outs_state.snapshots = {
                name: known for name, known in kept.items() if self._born(name).date() != day
            }
        elif kind == "events":
            self._database.events = [event for event in self._database.events if event.at.date() != day]
        else:
            self._database.audit = [entry for entry in self._database.audit if entry.at.date() != day]

    def _born(self, run_id: RunId) -> datetime:
        """Also of a run whose record has been dropped."""
        record = self._runs.records.get(run_id)
        return self._births[run_id] if record is None else record.created_at


def _ends_at(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), UTC)
