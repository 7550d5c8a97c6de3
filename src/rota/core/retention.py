"""Which days of history are over by the rules, and which rules may be. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, time, timedelta

from rota.domain.problems import FieldProblem
from rota.domain.retention import KEEP_DAYS_MAX, KINDS, HistoryDay, RetentionRules


def aged_days(rules: RetentionRules, days: Iterable[HistoryDay]) -> tuple[HistoryDay, ...]:
    """Days that ended at least `keep_days` ago, oldest first; one of a kind without a rule is kept for ever."""
    keep = rules.keep_days()
    over = (day for day in days if day.kind in keep and _ends_at(day) <= cutoff(rules.now, keep[day.kind]))
    return tuple(sorted(over, key=lambda day: (day.day, day.kind)))


def cutoff(now: datetime, keep_days: int) -> datetime:
    """What is older than this is over."""
    return now - timedelta(days=keep_days)


def latest_cutoff(rules: RetentionRules) -> datetime:
    """Nothing younger than this is over by any rule."""
    return cutoff(rules.now, min((rule.keep_days for rule in rules.rules), default=KEEP_DAYS_MAX))


def rule_problems(current: Mapping[str, int], wanted: Mapping[str, int]) -> Iterator[FieldProblem]:
    """Of a change, judged together with what it leaves as it is."""
    for kind, days in wanted.items():
        known = KINDS.get(kind)
        if known is None:
            yield FieldProblem(f"keep_days.{kind}", "is no kind of history", f"use one of {', '.join(KINDS)}")
        elif not known.least_days <= days <= KEEP_DAYS_MAX:
            remedy = f"use {known.least_days} to {KEEP_DAYS_MAX} days"
            yield FieldProblem(f"keep_days.{kind}", f"{days} days are out of bounds", remedy)
    after = {**current, **wanted}
    for kind, known in KINDS.items():
        if known.within is None or {kind, known.within}.isdisjoint(wanted):
            continue
        longest = after.get(known.within, KEEP_DAYS_MAX)
        if after.get(kind, 0) > longest:
            problem = f"would be kept for {after[kind]} days, longer than {known.within} ({longest})"
            remedy = f"keep at most {longest} days of {kind}, or more of {known.within}"
            yield FieldProblem(f"keep_days.{kind}", problem, remedy)


def _ends_at(day: HistoryDay) -> datetime:
    return datetime.combine(day.day + timedelta(days=1), time(), UTC)
