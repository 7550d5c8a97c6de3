"""What a batch of due triggers came to, by kind, and the adding up of it. Pure.

Law: whatever the store applied of a batch, what was found of each kind is what was executed, failed, skipped, refused.
"""

from collections.abc import Mapping, Sequence

from rota.domain.cycle import MIXED, UNREADABLE, CheckReport, CheckSums, DueCounts
from rota.domain.event import EventDraft
from rota.domain.firing import TriggerAdvance
from rota.domain.triggers import AtTrigger, CronTrigger, IntervalTrigger, MilestoneTrigger, Trigger

MILESTONE = "milestone"
_KINDS: dict[type[Trigger], str] = {
    CronTrigger: "cron",
    IntervalTrigger: "interval",
    AtTrigger: "at",
    MilestoneTrigger: MILESTONE,
}


def counts_of_batch(
    advances: Sequence[TriggerAdvance], runs_created: int, runs_skipped: int, refused_triggers: int
) -> dict[str, DueCounts]:
    """Of a plan that the store applied, in part where it refused some triggers or knew some runs."""
    by_kind: dict[str, list[TriggerAdvance]] = {}
    for advance in advances:
        by_kind.setdefault(_KINDS[type(advance.trigger_before.spec)], []).append(advance)
    planned = {kind: _planned(of_kind) for kind, of_kind in by_kind.items()}
    whole = add_counts(*planned.values())
    recorded = sum(len(advance.skipped) for advance in advances)
    if not refused_triggers and (runs_created, runs_skipped) == (whole.executed, recorded):
        return planned
    dropped = 0 if refused_triggers else whole.skipped - recorded
    skipped = runs_skipped + dropped
    refused = whole.found - runs_created - skipped
    kind = next(iter(planned)) if len(planned) == 1 else MIXED
    return {kind: DueCounts(whole.found, runs_created, 0, skipped, refused)}


def _planned(advances: Sequence[TriggerAdvance]) -> DueCounts:
    runs = sum([len(advance.runs) for advance in advances])
    skipped = sum([len(advance.skipped) + advance.dropped_count for advance in advances])
    return DueCounts(runs + skipped, runs, 0, skipped)


def counts_of_unreadable(count: int) -> dict[str, DueCounts]:
    """Each is one due time: nobody can say whether more have passed."""
    return {UNREADABLE: DueCounts(found=count, failed=count)} if count else {}


def add_counts(*counts: DueCounts) -> DueCounts:
    return DueCounts(
        sum(one.found for one in counts),
        sum(one.executed for one in counts),
        sum(one.failed for one in counts),
        sum(one.skipped for one in counts),
        sum(one.refused for one in counts),
    )


def add_sums(before: CheckSums, more: CheckSums) -> CheckSums:
    kinds = {**before.by_kind}
    for kind, counts in more.by_kind.items():
        kinds[kind] = add_counts(kinds.get(kind, DueCounts()), counts)
    return CheckSums(
        before.checks_count + more.checks_count,
        before.failed_checks_count + more.failed_checks_count,
        before.cycles_count + more.cycles_count,
        before.duration_seconds + more.duration_seconds,
        max(before.duration_seconds_max, more.duration_seconds_max),
        kinds,
    )


def report_events(report: CheckReport, number: int) -> tuple[EventDraft, ...]:
    """CheckCycleCompleted, and CheckIntervalChanged where the interval is another."""
    sums = report.sums
    cycle = {
        "number": number,
        "epoch": report.epoch,
        **term_facts(sums),
        "duration_seconds": round(sums.duration_seconds, 6),
        "duration_seconds_max": round(sums.duration_seconds_max, 6),
        "next_check_in_seconds": round(report.next_check_in_seconds, 6),
        "interval_seconds": report.interval_seconds,
        "by_kind": {kind: _facts(counts) for kind, counts in sorted(sums.by_kind.items()) if counts.found},
    }
    told = [_event("CheckCycleCompleted", report, cycle)]
    if report.interval_before_seconds is not None:
        changed = {
            "epoch": report.epoch,
            "previous_interval_seconds": report.interval_before_seconds,
            "new_interval_seconds": report.interval_seconds,
            "reason": report.interval_reason,
        }
        told.append(_event("CheckIntervalChanged", report, changed))
    return tuple(told)


def term_facts(sums: CheckSums) -> dict[str, int]:
    """What a leader's looks came to, in a line."""
    total = add_counts(*sums.by_kind.values())
    return {
        "checks_count": sums.checks_count,
        "failed_checks_count": sums.failed_checks_count,
        "cycles_count": sums.cycles_count,
        **_facts(total),
    }


def _facts(counts: DueCounts) -> dict[str, int]:
    return {
        "found": counts.found,
        "executed": counts.executed,
        "failed": counts.failed,
        "skipped": counts.skipped,
        "refused": counts.refused,
    }


def _event(event_type: str, report: CheckReport, data: Mapping[str, object]) -> EventDraft:
    return EventDraft(event_type, None, report.lease_name, report.holder, dict(data))
