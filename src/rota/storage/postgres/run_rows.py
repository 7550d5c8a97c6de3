"""Runs as rows and rows as runs: the one place that knows the order of the columns.

Targets and policies travel as JSON text and are decoded straight into their types.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import TypeVar

import msgspec

from rota.core.concurrency import places_of
from rota.core.fan_out import parent_of
from rota.domain.ids import AttemptToken, RunId, ScheduleId, TenantId, TriggerId, WorkerId
from rota.domain.policies import RunPolicy
from rota.domain.run import AWAITING_SEGMENTS, ClaimedRun, Run, RunDraft, RunError
from rota.domain.targets import Target
from rota.storage.postgres.driver import Row
from rota.storage.postgres.stored_policies import run_policy_of_text, run_policy_of_value
from rota.storage.postgres.unstorable_text import unstorable_text
from rota.storage.storable_text import storable_json

Value = TypeVar("Value")

_TARGET: msgspec.json.Decoder[Target] = msgspec.json.Decoder(Target)

POLICIES_REMEMBERED_MAX = 1_024


def draft_columns(drafts: Sequence[RunDraft]) -> tuple[Sequence[object], ...]:
    """One list per column, in the order of `runs/enqueue_drafts`.

    The statements let a column be short: see `sparse` and `uniform`. A bulk of like drafts then costs little to send.
    """
    return (
        [_storable(target) for target in uniform([draft.target for draft in drafts])],
        [_storable(policy) for policy in uniform([draft.policy for draft in drafts])],
        uniform([draft.policy.timeout_seconds for draft in drafts]),
        uniform([draft.queue for draft in drafts]),
        uniform([draft.priority for draft in drafts]),
        uniform([draft.delay_seconds for draft in drafts]),
        sparse([draft.key for draft in drafts]),
        sparse([draft.idempotency_key for draft in drafts]),
        sparse([draft.schedule_id for draft in drafts]),
        sparse([draft.schedule_version for draft in drafts]),
        sparse([draft.trigger_id for draft in drafts]),
        sparse([draft.fire_at for draft in drafts]),
        uniform([draft.reason for draft in drafts]),
        sparse([draft.retry_of for draft in drafts]),
        uniform([draft.created_by for draft in drafts]),
        uniform([draft.is_serial for draft in drafts]),
        sparse([draft.due_at for draft in drafts]),
        uniform([bool(draft.depends_on) for draft in drafts]),
    )


def place_columns(drafts: Sequence[RunDraft]) -> tuple[Sequence[object], ...]:
    """The concurrency keys of drafts with their maxima, behind all other columns of `runs/enqueue_drafts`."""
    if all(draft.policy.concurrency_max is None for draft in drafts):
        return [], []
    return [places_of_draft(draft) for draft in drafts], [draft.policy.concurrency_max for draft in drafts]


def places_of_draft(draft: RunDraft) -> str | None:
    policy = draft.policy
    return places_of(draft.tenant_id, draft.schedule_id, policy.concurrency_key, policy.concurrency_max)


def _storable(value: Target | RunPolicy) -> msgspec.Raw:
    """As JSON text. It is kept as it is, so that a U+0000, which nobody could read again, is refused here."""
    text = msgspec.json.encode(value)
    if b"\\u0000" in text and storable_json(text.decode()) != text.decode():
        raise unstorable_text()
    return msgspec.Raw(text)


def sparse(column: list[Value | None]) -> list[Value | None]:
    """Nothing where all values are None."""
    return [] if column.count(None) == len(column) else column


def uniform(column: list[Value]) -> list[Value]:
    """One element where all values are the same. None of them is None."""
    return column[:1] if column and column.count(column[0]) == len(column) else column


def run_of_row(row: Row) -> Run:
    """A row of `scheduler.run_records`."""
    target = msgspec.convert(row["target"], Target)
    return Run(
        id=RunId(row["id"]),
        tenant_id=TenantId(row["tenant_id"]),
        state=row["state"],
        reason=row["reason"],
        due_at=row["due_at"],
        created_at=row["created_at"],
        queue=row["queue"],
        priority=row["priority"],
        target=target,
        policy=run_policy_of_value(row["policy"]),
        attempts_count=row["attempts_count"],
        schedule_id=optional_schedule(row["schedule_id"]),
        schedule_version=row["schedule_version"],
        trigger_id=None if row["trigger_id"] is None else TriggerId(row["trigger_id"]),
        fire_at=row["fire_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        worker_id=optional_worker(row["worker_id"]),
        cancel_requested_at=row["cancel_requested_at"],
        result=row["result"],
        error=optional_error(row["error"]),
        dead_lettered=row["dead_lettered"],
        retry_of=None if row["retry_of"] is None else RunId(row["retry_of"]),
        idempotency_key=row["idempotency_key"],
        created_by=row["created_by"],
        parent_id=parent_of(target),
    )


def claimed_of_row(row: Row) -> ClaimedRun:
    """A row of `live_runs/claim_batch` or `live_runs/find_lost`; `claimed_at` is the column of that name."""
    return ClaimedRun(
        row["run_id"],
        row["tenant_id"],
        AttemptToken(row["attempt_token"]),
        row["attempts_count"],
        _TARGET.decode(row["target"]),
        _policy_of(row["policy"]),
        row["queue"],
        row["claimed_at"],
        row["schedule_id"],
        row["fire_at"],
        row["losses_count"],
        row["priority"],
    )


def plain_claim_of_row(row: Row, claimed_at: datetime, queue: str) -> ClaimedRun:
    """A row of `live_runs/claim_plain_batch` behind its first one, by position."""
    run_id, tenant_id, token, attempt_no, losses_count, schedule_id, fire_at, target, policy = row[1:10]
    return ClaimedRun(
        run_id,
        tenant_id,
        token,
        attempt_no,
        _TARGET.decode(target),
        _policy_of(policy),
        queue,
        claimed_at,
        schedule_id,
        fire_at,
        losses_count,
        row[11],
    )


def target_of(text: str) -> Target:
    return _TARGET.decode(text)


@lru_cache(maxsize=POLICIES_REMEMBERED_MAX)
def _policy_of(text: str) -> RunPolicy:
    return run_policy_of_text(text)


def optional_schedule(text: str | None) -> ScheduleId | None:
    return None if text is None else ScheduleId(text)


def optional_worker(text: str | None) -> WorkerId | None:
    """None, too, where the run waits for its segments: nobody holds it."""
    return None if text is None or text == AWAITING_SEGMENTS else WorkerId(text)


def optional_error(value: object) -> RunError | None:
    return None if value is None else msgspec.convert(value, RunError)
