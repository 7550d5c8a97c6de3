"""Reads the facts of a run that has ended: from the database, and from the side-effect files."""

from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from tests.chaos.facts import (
    AdvanceFact,
    AttemptFact,
    EffectFact,
    Facts,
    FanOutFact,
    MarkerFact,
    MilestoneFact,
    RunFact,
    SegmentFact,
    TermFact,
    TriggerFact,
    TurnFact,
    WorkerLossFact,
)
from tests.chaos.faults import FaultInjector
from tests.chaos.plan import LIMITS, ChaosPlan

# The run of a milestone, of a segment or of a node is told in its target of what it is.
_RUNS = """
SELECT r.id::text AS id, r.state, o.origin, r.created_by,
       CASE o.origin WHEN 'milestone' THEN concat(m.told ->> 'name', '/', m.told ->> 'subject')
                     WHEN 'segment' THEN p.name
                     WHEN 'node' THEN r.target #>> '{args,trigger}' ELSE s.name END AS trigger,
       CASE o.origin WHEN 'milestone' THEN (m.told ->> 'due_at')::timestamptz ELSE r.fire_at END AS fire_at,
       coalesce((m.told ->> 'attempt')::integer, (r.target ->> 'segment_no')::integer, 0) AS order_no,
       coalesce(p.id::text, '') AS parent_id,
       r.attempts_count, r.started_at, r.finished_at,
       (r.result ->> 'attempt')::integer AS result_attempt, l.run_id IS NOT NULL AS is_live,
       EXISTS (SELECT FROM scheduler.run_keys k WHERE k.run_id = r.id) AS is_keyed
  FROM scheduler.runs r
  LEFT JOIN scheduler.schedules s ON s.id = r.schedule_id
  LEFT JOIN scheduler.live_runs l ON l.run_id = r.id
  LEFT JOIN LATERAL (
       SELECT b.id, n.name FROM scheduler.runs b JOIN scheduler.schedules n ON n.id = b.schedule_id
        WHERE r.target ->> 'kind' = 'segment' AND b.id = (r.target ->> 'run_id')::uuid) AS p ON true
 CROSS JOIN LATERAL (SELECT r.target #> '{args,milestone}' AS told) AS m
 CROSS JOIN LATERAL (
       SELECT CASE WHEN m.told IS NOT NULL THEN 'milestone'
                   WHEN r.target ->> 'kind' = 'segment' THEN 'segment'
                   WHEN r.target ->> 'task' = 'chaos.node' THEN 'node'
                   WHEN r.target -> 'fan_out' IS NOT NULL THEN 'fan-out'
                   ELSE 'interval' END AS origin) AS o
"""
_TURNS = "SELECT run_id::text, token, begins, of_limit, at FROM chaos.turns ORDER BY seq"
_FAN_OUTS = """
SELECT i.run_id::text, i.items_total, i.segments_count, (r.result ->> 'items_total')::integer,
       (r.result ->> 'segments_count')::integer, (r.result ->> 'succeeded')::integer
  FROM scheduler.impact_snapshots i
  LEFT JOIN scheduler.runs r ON r.id = i.run_id
"""
_SEGMENTS = """
SELECT s.run_id::text, s.segment_no, s.items_count, s.child_run_id::text, s.state
  FROM scheduler.segments s
  JOIN scheduler.impact_snapshots i ON i.run_id = s.run_id AND i.planned_by = s.planned_by
"""
_MILESTONES = "SELECT concat(name, '/', subject), state, attempts_count FROM scheduler.milestones"
_MARKERS = """
SELECT concat(name, '/', subject), run_id::text, attempts_count, completed_at, result ->> 'run',
       (result ->> 'attempt')::integer
  FROM scheduler.done_markers
"""
_ATTEMPTS = """
SELECT run_id::text AS run_id, attempt_no, coalesce(worker_id::text, '') AS worker_id, outcome, started_at, finished_at
  FROM scheduler.attempts
"""
_ADVANCES = """
SELECT s.name, a.before, a.after
  FROM chaos.advances a
  JOIN scheduler.triggers t ON t.id = a.trigger_id
  JOIN scheduler.schedules s ON s.id = t.schedule_id
 ORDER BY a.seq
"""
_TRIGGERS = """
SELECT s.name, t.fires_count, t.fired_through, t.next_fire_at
  FROM scheduler.triggers t
  JOIN scheduler.schedules s ON s.id = t.schedule_id
"""
_TERMS = "SELECT epoch, holder FROM chaos.terms ORDER BY seq"
_CLAIMED_TERMS = """
SELECT (data ->> 'epoch')::bigint AS epoch, actor AS holder FROM scheduler.events WHERE type = 'LeaderElected'
"""
_WORKER_LOSSES = "SELECT subject, at FROM scheduler.events WHERE type = 'WorkerLost'"
_LAGS = """
SELECT percentile_cont(ARRAY[0.5, 0.9, 0.99, 1]) WITHIN GROUP (ORDER BY extract(epoch FROM r.created_at - r.fire_at)),
       percentile_cont(ARRAY[0.5, 0.9, 0.99, 1]) WITHIN GROUP (ORDER BY extract(epoch FROM r.finished_at - r.fire_at))
  FROM scheduler.runs r
 WHERE r.fire_at IS NOT NULL
"""


async def read_facts(plan: ChaosPlan, session: asyncpg.Connection, effects_dir: Path, injector: FaultInjector) -> Facts:
    runs, attempts = await session.fetch(_RUNS), await session.fetch(_ATTEMPTS)
    return Facts(
        seconds=plan.seconds,
        faults_count=injector.done,
        planned=plan.triggers,
        runs=tuple(_run(row) for row in runs),
        attempts=tuple(_attempt(row) for row in attempts),
        effects=read_effects(effects_dir),
        advances=tuple(AdvanceFact(row[0], _us(row[1]), _us(row[2])) for row in await session.fetch(_ADVANCES)),
        triggers=tuple(TriggerFact(row[0], row[1], _us(row[2]), _us(row[3])) for row in await session.fetch(_TRIGGERS)),
        terms=tuple(TermFact(*row) for row in await session.fetch(_TERMS)),
        claimed_terms=tuple(TermFact(*row) for row in await session.fetch(_CLAIMED_TERMS)),
        worker_losses=tuple(WorkerLossFact(row[0], _us(row[1]) or 0) for row in await session.fetch(_WORKER_LOSSES)),
        frozen=tuple(injector.frozen),
        milestones_planned=plan.milestones,
        milestones=tuple(MilestoneFact(*row) for row in await session.fetch(_MILESTONES)),
        markers=tuple(_marker(row) for row in await session.fetch(_MARKERS)),
        fan_outs=tuple(FanOutFact(*row) for row in await session.fetch(_FAN_OUTS)),
        segments=tuple(SegmentFact(*row) for row in await session.fetch(_SEGMENTS)),
        limits=LIMITS,
        turns=tuple(_turn(row) for row in await session.fetch(_TURNS)),
        nodes_planned=plan.nodes,
        outage_seconds=plan.outage_seconds,
        outages=tuple(injector.outages),
    )


def read_effects(effects_dir: Path) -> tuple[EffectFact, ...]:
    decoder = msgspec.json.Decoder(EffectFact)
    files = sorted(effects_dir.glob("*.jsonl"))
    return tuple(decoder.decode(line) for file in files for line in file.read_bytes().splitlines())


async def read_lags(session: asyncpg.Connection) -> tuple[list[float], list[float]]:
    """Seconds from the nominal time to the run's birth, and to its end: p50, p90, p99, max."""
    row = await session.fetchrow(_LAGS)
    assert row is not None
    return list(row[0]), list(row[1] or [])


def _run(row: Any) -> RunFact:
    return RunFact(
        id=row["id"],
        trigger=row["trigger"] or "",
        fire_at_us=_us(row["fire_at"]) or 0,
        state=row["state"],
        attempts_count=row["attempts_count"],
        started_us=_us(row["started_at"]),
        finished_us=_us(row["finished_at"]),
        result_attempt=row["result_attempt"],
        is_live=row["is_live"],
        is_keyed=row["is_keyed"],
        origin=row["origin"],
        order_no=row["order_no"],
        created_by=row["created_by"],
        parent_id=row["parent_id"],
    )


def _marker(row: Any) -> MarkerFact:
    return MarkerFact(row[0], row[1], row[2], _us(row[3]) or 0, row[4], row[5])


def _turn(row: Any) -> TurnFact:
    return TurnFact(row[0], row[1], row[2], row[3], _us(row[4]) or 0)


def _attempt(row: Any) -> AttemptFact:
    return AttemptFact(
        run_id=row["run_id"],
        attempt_no=row["attempt_no"],
        worker_id=row["worker_id"],
        outcome=row["outcome"],
        started_us=_us(row["started_at"]) or 0,
        finished_us=_us(row["finished_at"]) or 0,
    )


def _us(at: datetime | None) -> int | None:
    return None if at is None else round(at.timestamp() * 1e6)
