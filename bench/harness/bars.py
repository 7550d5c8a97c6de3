"""The numbers to reach, each as a rule over the rows, and whether they were reached."""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, TypeAlias

from msgspec import Struct

from bench.harness.rows import Row

Verdict: TypeAlias = Literal["met", "not met", "not measured"]
Reading: TypeAlias = Callable[[Row], float | None]

PYTHON_PEERS = ("awa", "pgqueuer")


class Bar(Struct, frozen=True):
    """`what` is reached when what *reading* finds in the row is at least, or at most, `value`."""

    what: str
    row: str
    direction: Literal[">=", "<="]
    value: float
    reading: Reading
    unit: str = ""


class Judged(Struct, frozen=True):
    """A bar, what was found, and the verdict."""

    bar: Bar
    found: float | None
    verdict: Verdict


def _value(row: Row) -> float | None:
    return row.value


def _to_limit(row: Row) -> float | None:
    return row.ratio_to_limit


def _to_best_peer(row: Row) -> float | None:
    theirs = [row.peers[name] for name in PYTHON_PEERS if name in row.peers]
    return row.value / max(theirs) if theirs else None


def bar(what: str, row: str, rule: str, reading: Reading = _value) -> Bar:
    """*rule* reads like `>= 0.6 ×`: direction, value, unit."""
    direction, value, *unit = rule.split()
    assert direction in {">=", "<="}
    return Bar(what, row, ">=" if direction == ">=" else "<=", float(value), reading, " ".join(unit))


BARS = (
    bar("runs end to end, of the raw-SQL limit", "runs_end_to_end", ">= 0.6 ×", _to_limit),
    bar("runs end to end, of the best Python peer", "runs_end_to_end", ">= 2 ×", _to_best_peer),
    bar("WAL of a run, from enqueued to settled", "runs_wal", "<= 1024 B"),
    bar("enqueued in bulk", "runs_enqueued_in_bulk", ">= 100000 runs/s"),
    bar("pick-up when idle, p50", "pickup_p50", "<= 3 ms"),
    bar("pick-up when idle, p99", "pickup_p99", "<= 15 ms"),
    bar("10k schedules due in one second, handed over", "schedules_due_10k", "<= 1 s"),
    bar("100k schedules due in one second, handed over", "schedules_due_100k", "<= 5 s"),
    bar("lag at 1k fires a second, p99", "firing_lag_p99", "<= 250 ms"),
    bar("requests to HTTP targets, one process", "http_targets_sent", ">= 1000 requests/s"),
    bar("schedules registered in bulk", "schedules_registered_in_bulk", ">= 10000 schedules/s"),
    bar("next occurrence, stepping, of croniter", "next_occurrence_stepping_ratio", ">= 20 ×"),
    bar("next occurrence, asking, of croniter", "next_occurrence_asking_ratio", ">= 20 ×"),
    bar("statements of an idle worker", "worker_idle_statements", "<= 2 /s"),
    bar("leader killed, first act of the next", "leader_killed_to_first_act", "<= 3 s"),
    bar("leader told to go, first act of the next", "leader_told_to_go_to_first_act", "<= 0.5 s"),
    bar("throughput under a held xmin", "held_xmin_ratio", ">= 0.95 ×"),
    bar("throughput with 10M rows of history", "long_history_ratio", ">= 0.9 ×"),
    bar("light tenant behind 1M backlog, pick-up p99", "light_tenant_p99", "<= 100 ms"),
    bar("1M schedules idle: processor of the server", "idle_million_cpu", "<= 2 %"),
    bar("1M schedules idle: statements of the server", "idle_million_statements", "<= 2 /s"),
    bar("1M schedules idle: memory of the server", "idle_million_memory", "<= 150 MB"),
)


def judge(rows: Iterable[Row], bars: Iterable[Bar] = BARS) -> list[Judged]:
    """Every bar with its verdict. A figure that is missing is `not measured`, never met."""
    by_name: Mapping[str, Row] = {row.name: row for row in rows}
    return [_judged(one, by_name.get(one.row)) for one in bars]


def _judged(one: Bar, row: Row | None) -> Judged:
    found = None if row is None else one.reading(row)
    if found is None:
        return Judged(one, None, "not measured")
    is_met = found >= one.value if one.direction == ">=" else found <= one.value
    return Judged(one, found, "met" if is_met else "not met")
