"""What graph jobs and policy jobs have in common: each is executed by one run, and its state follows that run.

A job is what a caller asked for and what came of it; the run is how it is executed. The words of its states are those
of runs, so that nobody has to translate.
"""

from datetime import datetime
from typing import Any, Literal, TypeAlias

from msgspec import Struct, field

from rota.domain.ids import AttemptToken, JobId, RunId, TenantId
from rota.domain.lifecycle import Lifecycle, Transition

JobFamily: TypeAlias = Literal["graph", "policy"]
JobState: TypeAlias = Literal["queued", "running", "succeeded", "failed", "cancelled"]
JobPriority: TypeAlias = Literal["normal", "high", "emergency"]
ItemPart: TypeAlias = Literal["node", "edge", "finding", "verdict", "change"]

LIVE_JOBS_PER_TENANT_MAX = 10_000
INPUT_BYTES_MAX = 384 * 1024
"""Of all that one job is handed, packed. Base64 makes it half a MiB, so that 64 orders stay within a frame's bound."""
RESULT_BYTES_MAX = 180 * 1024
"""Of what one job gives back, packed: in base64 it is the result of a run, which may have 256 KiB."""
UNPACKED_BYTES_MAX = 16 * 1024 * 1024

RUN_PRIORITIES: dict[JobPriority, int] = {"normal": 0, "high": 5, "emergency": 9}

TASKS: dict[str, JobFamily] = {"rota.graph_build": "graph", "rota.graph_overlay": "graph", "rota.policy_run": "policy"}
"""The built-in tasks that execute jobs."""

JOB_LIFECYCLE = Lifecycle(
    name="job",
    initial=frozenset({"queued"}),
    terminal=frozenset({"succeeded", "failed", "cancelled"}),
    transitions=(
        Transition("queued", "begin", "running", "a worker claimed its run and was handed its input"),
        Transition("queued", "succeed", "failed", "its run ended before it was handed its input: nothing was done"),
        Transition("queued", "fail", "failed", "its run ended without a success before it was begun"),
        Transition("queued", "cancel", "cancelled", "its run was cancelled before it was begun"),
        Transition("running", "begin", "running", "another attempt of its run began"),
        Transition("running", "succeed", "succeeded", "its run succeeded, and its result became visible"),
        Transition("running", "fail", "failed", "its run failed"),
        Transition("running", "cancel", "cancelled", "its run was cancelled"),
    ),
)

VERB_OF_RUN: dict[str, str] = {"succeeded": "succeed", "failed": "fail", "cancelled": "cancel", "skipped": "cancel"}
"""What the end of a run does to its job."""

FOLLOWERS: dict[JobFamily, str] = {"graph": "graph_job", "policy": "policy_job"}
"""Who is told when the run of a job has ended."""


class Webhook(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the end of a job is told: a request as of an HTTP target, signed where `signed_with` names a secret."""

    url: str
    signed_with: str | None = None


class Job(Struct, frozen=True, kw_only=True):
    """What both kinds of jobs have. `summary` is there once the job has succeeded; `reason` says why it has not."""

    id: JobId
    tenant_id: TenantId
    state: JobState
    priority: JobPriority
    queue: str
    run_id: RunId | None = None
    idempotency_key: str | None = None
    correlation_id: str | None = None
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    webhook: Webhook | None = None
    retry_of: JobId | None = None
    created_at: datetime
    created_by: str
    started_at: datetime | None = None
    finished_at: datetime | None = None
    reason: str = ""
    summary: dict[str, Any] | None = None


class JobContent(Struct, frozen=True):
    """What a job works on, packed, and the digest that two requests share exactly when they ask for the same.

    Of a job that does another one's work again `input` is None: it is that of `same_as`.
    """

    fingerprint: bytes
    input: bytes | None = None
    same_as: JobId | None = None


class JobClaim(Struct, frozen=True):
    """The attempt that executes a job."""

    family: JobFamily
    tenant_id: TenantId
    run_id: RunId
    token: AttemptToken


class JobInput(Struct, frozen=True):
    """What an attempt is handed: packed documents by name. One whose job has been pruned is missing."""

    job_id: JobId
    kind: str
    documents: dict[str, tuple[bytes, ...]]


class JobItem(Struct, frozen=True):
    """One row of a result. `subject` is what it is about: a package URL, mostly."""

    part: ItemPart
    subject: str
    data: dict[str, Any]


class JobResult(Struct, frozen=True):
    """What an attempt gives back. `items` come in the order that readers get; `content_hash` is of them alone."""

    items: tuple[JobItem, ...]
    content_hash: str
    summary: dict[str, Any]


class StoredItem(Struct, frozen=True):
    """An item of a job that has succeeded, with its place in the result."""

    position: int
    part: ItemPart
    subject: str
    data: dict[str, Any]


class JobEnd(Struct, frozen=True):
    """How the run of a job ended."""

    run_id: RunId
    run_state: str
    ended_at: datetime
    reason: str
