"""Milestones: what is made once of each subject, some time after a dated fact about it. See docs/milestones.md.

Its identity is (tenant, name, subject), whatever becomes of the schedule that defines it: so is its done marker's.
"""

from datetime import datetime
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from rota.domain.event import EventDraft
from rota.domain.ids import RunId, ScheduleId, TenantId, TriggerId
from rota.domain.lifecycle import Lifecycle, Transition
from rota.domain.policies import Policies
from rota.domain.run import FailureClass, RunDraft
from rota.domain.targets import Target
from rota.domain.triggers import OnMissed

MilestoneState: TypeAlias = Literal["waiting", "in_progress", "done", "skipped"]
Standing: TypeAlias = Literal[
    "due",
    "undefined",
    "paused",
    "held",
    "evidence_missing",
    "nothing_due",
    "backoff_active",
    "in_progress",
    "done",
    "missed",
]

MILESTONES_PER_TENANT_MAX = 100
FOLLOWER = "milestone"
"""The name that a milestone's runs are followed by: the database ends the attempt with the run, in its transaction."""

MILESTONE_LIFECYCLE = Lifecycle(
    name="milestone",
    initial=frozenset({"waiting"}),
    terminal=frozenset(),
    transitions=(
        Transition("waiting", "begin", "in_progress", "it was due, and the run of an attempt was stored"),
        Transition("waiting", "miss", "skipped", "its window passed, and its policy is to skip it then"),
        Transition("in_progress", "succeed", "done", "the run succeeded; its result is the done marker's"),
        Transition("in_progress", "fail", "waiting", "the run ended otherwise; the back-off begins"),
        Transition("waiting", "reset", "waiting", "an operator took back its attempts and its back-off"),
        Transition("skipped", "reset", "waiting", "an operator wants it after all"),
        Transition("done", "clear", "waiting", "an operator took its done marker away"),
    ),
)


class Evidence(Struct, frozen=True):
    """A dated fact about a subject of a tenant, written once."""

    tenant_id: TenantId
    kind: str
    subject: str
    occurred_at: datetime
    recorded_at: datetime
    recorded_by: str


class MilestoneDefinition(Struct, frozen=True):
    """A milestone trigger of a schedule that is not deleted, with the catalogue's values where it leaves some out."""

    tenant_id: TenantId
    name: str
    schedule_id: ScheduleId
    trigger_id: TriggerId
    evidence: str
    age_seconds: float
    window_seconds: float | None = None
    on_missed: OnMissed = "run_late"


class MilestoneError(Struct, frozen=True):
    """Why the last attempt did not succeed."""

    message: str
    type: str = ""
    failure_class: FailureClass = "unknown"


class Milestone(Struct, frozen=True):
    """How far it is with one subject. `due_at` is the evidence's time and the age.

    `attempts_count` is of attempts begun since it was last reset, `attempts_total` of all. `retry_delay_seconds` is the
    back-off that follows if the attempt fails that is under way. `next_at` is when the leader looks at it by itself;
    None where nothing is to be done. `run_id` is of the last attempt, and `last_run_at` when that one ended.
    `held_since` is when it was due and the flag `milestones` was off, until the next attempt begins.
    """

    tenant_id: TenantId
    name: str
    subject: str
    state: MilestoneState
    schedule_id: ScheduleId
    due_at: datetime
    next_at: datetime | None = None
    attempts_count: int = 0
    attempts_total: int = 0
    retry_delay_seconds: float = 0.0
    backoff_until: datetime | None = None
    last_attempt_at: datetime | None = None
    last_run_at: datetime | None = None
    generated_at: datetime | None = None
    last_error: MilestoneError | None = None
    run_id: RunId | None = None
    held_since: datetime | None = None


class DoneMarker(Struct, frozen=True):
    """The proof that a milestone was completed: written with its result, kept for ever, whatever retention removes."""

    tenant_id: TenantId
    name: str
    subject: str
    run_id: RunId
    completed_at: datetime
    attempts_count: int
    result: Any = None


class Generator(Struct, frozen=True):
    """What the definition's schedule says of how it is made."""

    schedule_version: int
    enabled: bool
    target: Target
    policies: Policies


class MilestoneLook(Struct, frozen=True):
    """All that deciding about one (name, subject) needs, read at `now`, the store's time.

    `held_because` are the words of the flag `milestones` where that is off.
    """

    tenant_id: TenantId
    name: str
    subject: str
    now: datetime
    definition: MilestoneDefinition | None = None
    generator: Generator | None = None
    evidence: Evidence | None = None
    milestone: Milestone | None = None
    is_done: bool = False
    held_because: str | None = None


class MilestoneOrder(Struct, frozen=True):
    """What the generator is told, as its argument `milestone` or in the body of its request."""

    name: str
    tenant_id: TenantId
    subject: str
    evidence: str
    occurred_at: datetime
    due_at: datetime
    attempt: int


class Assessment(Struct, frozen=True):
    """How a milestone stands, in a word and in a sentence. `until` is when that ends by itself, where time ends it."""

    standing: Standing
    words: str
    until: datetime | None = None


class MilestoneStep(Struct, frozen=True):
    """What is to be stored about a milestone: its record, the run of an attempt, its marker's end, and the facts.

    Without a record there is nothing that could be stored.
    """

    assessment: Assessment
    milestone: Milestone | None = None
    draft: RunDraft | None = None
    clears_marker: bool = False
    events: tuple[EventDraft, ...] = ()


class DueMilestone(Struct, frozen=True):
    """Whose time has come, as the leader finds it."""

    tenant_id: TenantId
    name: str
    subject: str
