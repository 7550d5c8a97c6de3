"""The attempts that execute jobs, and the ends of their runs, through the service login.

A result is saved in one transaction that holds the attempt's live row: an attempt that has lost its run saves nothing,
and what a killed one had saved is replaced as a whole. Ends are taken off the follower's list by the transaction that
acts on them, so that each is acted on once, whoever leads; no fence is needed for it.
"""

from collections.abc import Sequence

from msgspec import Struct

from rota.core.job_ends import EndedJob, ended, possible_moves
from rota.domain.graph_job import GraphJob
from rota.domain.ids import JobId, RunId, TenantId
from rota.domain.jobs import FOLLOWERS, JOB_LIFECYCLE, VERB_OF_RUN, JobClaim, JobFamily, JobInput, JobItem, JobResult
from rota.domain.policy_job import PolicyJob
from rota.domain.tenancy import AuditEntry
from rota.ports.job_store import SettledEnds
from rota.storage.postgres.connections import transaction
from rota.storage.postgres.driver import Connection, Pool, Row
from rota.storage.postgres.events import insert_events
from rota.storage.postgres.jobs import insert_job_events, job_of
from rota.storage.postgres.query_files import query
from rota.storage.postgres.run_intake import store_drafts

_BEGIN_GRAPH_JOBS = query("job_work/begin_graph_jobs")
_BEGIN_POLICY_JOBS = query("job_work/begin_policy_jobs")
_READ_GRAPH_INPUTS = query("job_work/read_graph_inputs")
_READ_POLICY_INPUTS = query("job_work/read_policy_inputs")
_HOLD_ATTEMPT = query("job_work/hold_attempt")
_SAVE_GRAPH_RESULT = query("job_work/save_graph_result")
_SAVE_POLICY_RESULT = query("job_work/save_policy_result")
_DELETE_GRAPH_ITEMS = query("job_work/delete_graph_items")
_DELETE_VERDICTS = query("job_work/delete_verdicts")
_DELETE_CHANGES = query("job_work/delete_changes")
_INSERT_GRAPH_ITEMS = query("job_work/insert_graph_items")
_INSERT_VERDICTS = query("job_work/insert_verdicts")
_INSERT_CHANGES = query("job_work/insert_changes")
_INSERT_JOB_EVENTS = query("graph_jobs/insert_events")
_TAKE_ENDS = query("job_ends/take_ends")
_READ_REASONS = query("job_ends/read_reasons")
_END_GRAPH_JOBS = query("job_ends/end_graph_jobs")
_END_POLICY_JOBS = query("job_ends/end_policy_jobs")
_READ_ENDED_GRAPH = query("job_ends/read_ended_graph")
_READ_ENDED_POLICY = query("job_ends/read_ended_policy")

_BEGINNABLE = sorted({move.source for move in JOB_LIFECYCLE.transitions if move.event == "begin"})


class FamilyStatements(Struct, frozen=True):
    """The statements on the jobs of one family."""

    begin: str
    inputs: str
    save: str
    end: str
    read_ended: str


_OF: dict[JobFamily, FamilyStatements] = {
    "graph": FamilyStatements(
        _BEGIN_GRAPH_JOBS, _READ_GRAPH_INPUTS, _SAVE_GRAPH_RESULT, _END_GRAPH_JOBS, _READ_ENDED_GRAPH
    ),
    "policy": FamilyStatements(
        _BEGIN_POLICY_JOBS, _READ_POLICY_INPUTS, _SAVE_POLICY_RESULT, _END_POLICY_JOBS, _READ_ENDED_POLICY
    ),
}


class PostgresJobWork:
    """See `rota.ports.job_store.JobWork`."""

    def __init__(self, service_pool: Pool) -> None:
        self._pool = service_pool

    async def begin(self, claims: Sequence[JobClaim]) -> dict[RunId, JobInput]:
        inputs: dict[RunId, JobInput] = {}
        async with transaction(self._pool, doing="beginning jobs") as connection:
            for family, statements in _OF.items():
                run_ids = [claim.run_id for claim in claims if claim.family == family]
                if run_ids:
                    begun = await connection.fetch(statements.begin, run_ids, _BEGINNABLE)
                    await _tell_begun(connection, family, [row for row in begun if row["was"] != "running"])
                    rows = await connection.fetch(statements.inputs, run_ids)
                    inputs |= {RunId(row["run_id"]): _input(row) for row in rows}
        return inputs

    async def save_result(self, claim: JobClaim, packed: bytes, result: JobResult) -> bool:
        async with transaction(self._pool, doing="saving the result of a job") as connection:
            if await connection.fetchval(_HOLD_ATTEMPT, claim.run_id, claim.token) != claim.tenant_id:
                return False
            job_id = await connection.fetchval(
                _OF[claim.family].save, claim.tenant_id, claim.run_id, packed, result.content_hash, result.summary
            )
            if job_id is None:
                return False
            if claim.family == "graph":
                await _replace_graph_items(connection, claim.tenant_id, job_id, result.items)
            else:
                await _replace_verdicts(connection, claim.tenant_id, job_id, result.items)
        return True


class PostgresJobEnds:
    """See `rota.ports.job_store.JobEnds`."""

    def __init__(self, service_pool: Pool) -> None:
        self._pool = service_pool

    async def settle_ended(self, family: JobFamily, limit: int) -> SettledEnds:
        async with transaction(self._pool, doing="following the runs of jobs") as connection:
            ends = await connection.fetch(_TAKE_ENDS, FOLLOWERS[family], limit)
            if not ends:
                return SettledEnds(0)
            found = await self._end(connection, family, ends)
            if found:
                await _tell(connection, [ended(job) for job in found])
            if family == "graph" and found:
                await insert_job_events(connection, [job for job in found if isinstance(job, GraphJob)])
        return SettledEnds(len(ends), tuple(job.state for job in found))

    async def _end(self, connection: Connection, family: JobFamily, ends: list[Row]) -> list[GraphJob | PolicyJob]:
        statements = _OF[family]
        run_ids, tenants = [row["run_id"] for row in ends], [row["tenant_id"] for row in ends]
        told = await connection.fetch(_READ_REASONS, tenants, run_ids)
        reasons = {row["run_id"]: row["reason"] for row in told}
        moves = possible_moves()
        moved = await connection.fetch(
            statements.end,
            run_ids,
            [VERB_OF_RUN[row["state"]] for row in ends],
            [row["ended_at"] for row in ends],
            [reasons.get(run_id, "") for run_id in run_ids],
            [move.source for move in moves],
            [move.event for move in moves],
            [move.target for move in moves],
        )
        rows = await connection.fetch(statements.read_ended, [row["id"] for row in moved])
        return [job_of(row, GraphJob) if family == "graph" else job_of(row, PolicyJob) for row in rows]


async def _tell_begun(connection: Connection, family: JobFamily, begun: list[Row]) -> None:
    if family == "graph" and begun:
        tenants, ids, times = ([row[name] for row in begun] for name in ("tenant_id", "id", "now"))
        count = len(begun)
        await connection.execute(_INSERT_JOB_EVENTS, tenants, ids, ["running"] * count, times, [""] * count)


async def _tell(connection: Connection, told: list[EndedJob]) -> None:
    await insert_events(connection, [one.event for one in told])
    for one in told:
        if one.webhook is not None:
            audit = AuditEntry("rota", "enqueue", "run", f"webhook of job {one.event.subject}")
            await store_drafts(connection, one.webhook.tenant_id, [one.webhook], audit)


async def _replace_graph_items(
    connection: Connection, tenant_id: TenantId, job_id: JobId, items: Sequence[JobItem]
) -> None:
    await connection.execute(_DELETE_GRAPH_ITEMS, tenant_id, job_id)
    parts = [item.part for item in items]
    await connection.execute(_INSERT_GRAPH_ITEMS, tenant_id, job_id, parts, *_columns(items))


async def _replace_verdicts(
    connection: Connection, tenant_id: TenantId, job_id: JobId, items: Sequence[JobItem]
) -> None:
    """Each where it belongs: what holds, and what a simulation would change."""
    verdicts = [item for item in items if item.part == "verdict"]
    changes = [item for item in items if item.part == "change"]
    await connection.execute(_DELETE_VERDICTS, tenant_id, job_id)
    await connection.execute(_DELETE_CHANGES, tenant_id, job_id)
    await connection.execute(_INSERT_VERDICTS, tenant_id, job_id, *_columns(verdicts))
    await connection.execute(_INSERT_CHANGES, tenant_id, job_id, *_columns(changes))


def _columns(items: Sequence[JobItem]) -> tuple[list[str], list[object]]:
    return [item.subject for item in items], [item.data for item in items]


def _input(row: Row) -> JobInput:
    names = ("input", "graph", "overlays", "base", "base_overlays")
    return JobInput(JobId(row["job_id"]), row["kind"], {name: _packed(row.get(name)) for name in names})


def _packed(value: bytes | list[bytes] | None) -> tuple[bytes, ...]:
    """The documents of a column: one, several, or none where it is empty."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list) else (value,)
