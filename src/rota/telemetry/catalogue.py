"""Every metric that Rota exports and every event that it records, with the sentence that documents it.

A metric that is not listed here cannot be recorded, and one that is listed has a recorder: `rota.telemetry.metrics`
builds its registry from this table. Labels are bounded by construction: a route is a template, never a path.
"""

from typing import Literal, TypeAlias, get_args

from msgspec import Struct

from rota.domain.event import EVENT_TYPES
from rota.domain.run import FailureClass

__all__ = ["EVENT_TYPES", "LATENCY_BUCKETS_SECONDS", "METRICS", "MetricKind", "MetricSpec"]

MetricKind: TypeAlias = Literal["counter", "histogram", "gauge"]


class MetricSpec(Struct, frozen=True):
    """One metric. `name` ends in its unit, or in `_total` where it counts. The series of `born` (values of `labels`)
    stand at 0 from the start: alerts look for their increase, and one that appears with its first count shows none.
    """

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    born: tuple[tuple[str, ...], ...] = ()


LATENCY_BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

METRICS: tuple[MetricSpec, ...] = (
    MetricSpec(
        "rota_http_requests_total",
        "counter",
        "Requests answered, by method, route template and status.",
        ("method", "route", "status"),
    ),
    MetricSpec(
        "rota_http_request_seconds",
        "histogram",
        "Time from the request's head to the end of its answer; streams are not in it.",
        ("method", "route"),
        LATENCY_BUCKETS_SECONDS,
    ),
    MetricSpec("rota_http_streams_open", "gauge", "Event and log streams open now."),
    MetricSpec(
        "rota_http_refusals_total",
        "counter",
        "Requests refused before any work, by the code of the answer.",
        ("code",),
    ),
    MetricSpec(
        "rota_interventions_total",
        "counter",
        "Schedules that stopped because their runs went on failing, by class of failure; counted by the leader.",
        ("failure_class",),
        born=tuple((one,) for one in get_args(FailureClass)),
    ),
    MetricSpec(
        "rota_jobs_ended_total",
        "counter",
        "Jobs that ended, by family (graph, policy) and state (succeeded, failed, cancelled); counted by the leader.",
        ("family", "state"),
    ),
    MetricSpec(
        "rota_binding_walks_total",
        "counter",
        "Requests that reconciled or updated bindings: clean, failures (of some), held (the flag reconcile is off).",
        ("verb", "outcome"),
        born=tuple((verb, one) for verb in ("reconcile", "update") for one in ("clean", "failures", "held")),
    ),
    MetricSpec(
        "rota_milestones_backing_off_long",
        "gauge",
        "Milestones whose next attempt is more than two hours away; told by the leader, nought elsewhere.",
    ),
    MetricSpec(
        "rota_milestones_ended_within_a_day",
        "gauge",
        "Milestones whose last attempt ended within a day; told by the leader, nought elsewhere.",
    ),
    MetricSpec(
        "rota_milestones_failed_ratio",
        "gauge",
        "Of those, the share whose last attempt failed, from 0 to 1.",
    ),
    MetricSpec(
        "rota_fires_total",
        "counter",
        "Due times that this process decided as the leader, by outcome: fired, late (of these, after the grace),"
        " skipped (with a record), missed (without one). A batch that was refused in part counts all its late and"
        " missed ones.",
        ("outcome",),
        born=(("fired",), ("late",), ("skipped",), ("missed",)),
    ),
    MetricSpec(
        "rota_checks_total",
        "counter",
        "Looks of this process as the leader for what is due, by outcome: due, idle, failed (no answer of the store).",
        ("outcome",),
        born=(("due",), ("idle",), ("failed",)),
    ),
    MetricSpec(
        "rota_check_seconds",
        "histogram",
        "Time of such a look with all that it called for.",
        (),
        LATENCY_BUCKETS_SECONDS,
    ),
    MetricSpec(
        "rota_firing_lag_seconds",
        "gauge",
        "How late the longest due time was at the leader's last look; nought elsewhere.",
    ),
    MetricSpec("rota_leading", "gauge", "Whether this process is the leader: 1 or 0."),
    MetricSpec(
        "rota_runs_waiting_seconds",
        "gauge",
        "How long the run that has waited longest is due, of all queues; told by the leader, nought elsewhere.",
    ),
    MetricSpec(
        "rota_runs_ended_ever",
        "gauge",
        "Runs of all tenants that ever ended, as counted; told by the leader, nought elsewhere.",
    ),
    MetricSpec(
        "rota_runs_failed_ever",
        "gauge",
        "Of those, the ones that failed: their tries were used up; told by the leader, nought elsewhere.",
    ),
    MetricSpec(
        "rota_statistics_behind_seconds",
        "gauge",
        "How long ago the run ended that the statistics lack longest; told by the leader, nought elsewhere.",
    ),
    MetricSpec(
        "rota_stray_partitions",
        "gauge",
        "Histories with records whose day had no partition when they came; told by the leader, nought elsewhere.",
    ),
    MetricSpec("rota_authentications_total", "counter", "Tokens looked at, by how they were decided.", ("outcome",)),
)
