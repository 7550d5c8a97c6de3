"""How long history is kept. Kinds of history and their bounds are a table; what is kept of each is a setting."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Literal, TypeAlias

from msgspec import Struct

KEEP_DAYS_MAX = 3_650

DropOutcome: TypeAlias = Literal["dropped", "absent", "young", "needed", "busy"]
"""`needed`: a live run was born on that day. `busy`: others were at work there; it is tried again."""


class HistoryKind(Struct, frozen=True):
    """`within`: the kind that this one hangs on, and may not outlive. `by_day`: dropped by whole days (UTC)."""

    what: str
    keep_days: int
    least_days: int = 1
    within: str | None = None
    by_day: bool = True


KINDS: Mapping[str, HistoryKind] = {
    "runs": HistoryKind("records of runs, by the day of their birth", 90),
    "attempts": HistoryKind("attempts that ended without success", 90, within="runs"),
    "log_lines": HistoryKind("output of runs", 30, within="runs"),
    "run_dependencies": HistoryKind("which runs waited for which", 90, within="runs"),
    "impact_snapshots": HistoryKind("what fan-outs cover", 90, within="runs"),
    "impact_items": HistoryKind("the items of fan-outs", 90, within="runs"),
    "segments": HistoryKind("the segments of fan-outs", 90, within="runs"),
    "events": HistoryKind("the event log", 90, least_days=7),
    "audit": HistoryKind("who did what", 365, least_days=30),
    "graph_job_events": HistoryKind("states of graph jobs", 365, within="graph_jobs"),
    "graph_items": HistoryKind(
        "components, dependencies and findings of graph jobs", 365, least_days=7, within="graph_jobs"
    ),
    "policy_verdicts": HistoryKind("verdicts of policy jobs", 365, least_days=7, within="policy_jobs"),
    "policy_simulations": HistoryKind("changes that simulations showed", 90, within="policy_jobs"),
    "run_summaries": HistoryKind("sums of runs by hour; totals are kept for ever", 400),
    "run_keys": HistoryKind(
        "keys by which a run is enqueued or fired once; those of live runs stay", 90, least_days=7, by_day=False
    ),
    "unique_keys": HistoryKind(
        "keys of runs that must be unique; live runs', and those held for ever, stay",
        90,
        least_days=7,
        by_day=False,
    ),
    "graph_jobs": HistoryKind(
        "graph jobs that have ended, with their graphs; those that a live job is made from stay",
        365,
        least_days=7,
        by_day=False,
    ),
    "policy_jobs": HistoryKind(
        "policy jobs that have ended; those that a live job goes on from, or that are marked for replay, stay",
        365,
        least_days=7,
        by_day=False,
    ),
    "workers": HistoryKind("workers that have left and hold nothing", 30, by_day=False),
    "idempotency_keys": HistoryKind("Idempotency-Key of requests", 7, by_day=False),
}


class RetentionRule(Struct, frozen=True):
    """What is kept of one kind. Nobody changed a default."""

    kind: str
    keep_days: int
    changed_at: datetime | None = None
    changed_by: str | None = None


class RetentionRules(Struct, frozen=True):
    """All rules, and the store's time when they were read."""

    now: datetime
    rules: tuple[RetentionRule, ...]

    def keep_days(self) -> dict[str, int]:
        return {rule.kind: rule.keep_days for rule in self.rules}


class HistoryDay(Struct, frozen=True):
    """One day (UTC) of a kind. `rows_estimate` is None where the store has not counted yet."""

    kind: str
    day: date
    bytes: int
    rows_estimate: int | None
    is_needed: bool


class PrunedStretch(Struct, frozen=True):
    """What was removed of a stretch of pages; `next_page` is None behind the last."""

    deleted_count: int
    next_page: int | None
