"""Events: immutable facts named by a past participle, append-only and resumable.

`EVENT_TYPES` is the catalogue; writing another type is a defect. An event without a tenant is the platform's.
"""

from datetime import datetime
from typing import Any

from msgspec import Struct, field

from rota.domain.ids import TenantId

EVENT_TYPES: dict[str, str] = {
    "ScheduleCreated": "a schedule was created",
    "ScheduleChanged": "a schedule was replaced or patched",
    "SchedulePaused": "a schedule stopped firing until it is resumed",
    "ScheduleNeedsIntervention": "a schedule stopped because its runs go on failing",
    "ScheduleResumed": "a schedule fires again",
    "ScheduleDeleted": "a schedule was soft-deleted",
    "ScheduleRestored": "a soft-deleted schedule came back, paused",
    "CalendarCreated": "a calendar was created",
    "CalendarChanged": "a calendar was changed, and the schedules that use it were planned anew",
    "CalendarDeleted": "a calendar that no schedule used was deleted",
    "ScheduleTemplateCreated": "a template of schedules was made",
    "ScheduleTemplateChanged": "a template of schedules has a new version",
    "ScheduleTemplateDeleted": "a template of schedules was deleted",
    "BindingDeclared": "a subject must have a schedule from now on",
    "BindingChanged": "a subject's schedule is to be made otherwise",
    "BindingDeleted": "a subject need not have a schedule any more",
    "BindingsReconciled": "missing schedules of bindings were looked for, and made",
    "BindingsHeld": "schedules of bindings were to be made or updated while the flag reconcile was off; no due one was",
    "BindingsUpdated": "outdated schedules of bindings were looked for, and updated",
    "FireSkipped": "a due time was decided not to run, by its misfire, overlap or calendar policy",
    "FireLate": "a run was fired later than the misfire grace",
    "FlagChanged": "a flag was switched on or off, for a tenant or for all",
    "BackfillStarted": "the firings of a past window were asked for",
    "BackfillFinished": "every time of a backfill's window was made a run, or had one",
    "BackfillCancelled": "a backfill was cancelled, by somebody or with its schedule",
    "RunCancelled": "a run was cancelled",
    "RunFailed": "a run ended without success; its tries are used up",
    "RunSkipped": "a run was skipped: the runs that it waited for cannot meet its rule any more",
    "RunRetried": "a terminal run was cloned into a new one",
    "RunDeleted": "a terminal run was deleted, with its attempts and its output",
    "FanOutLaunched": "a run was planned and waits for its segments",
    "CallbackAwaited": "an HTTP target answered 202, and its run waits to be called back",
    "CallbackReceived": "a run that waited was called back; its attempt ends by what was told",
    "AttemptTimedOut": "an attempt passed its time-out",
    "AttemptLost": "an attempt ended with its worker",
    "WorkerRegistered": "a worker began",
    "WorkerStopped": "a worker ended of its own accord",
    "WorkerLost": "a worker's lease ended",
    "LeaderElected": "a process took the lease of a duty: its term as the leader began",
    "LeaderResigned": "a leader's term ended: it gave its lease back, or lost it",
    "CheckCycleCompleted": "the leader looked for what was due, and fired it; one a second at most, a minute at least",
    "CheckIntervalChanged": "the leader looks for what is due more often, or less often",
    "StoreRestored": "the store went back to an older state; what had happened since is forgotten",
    "RetentionChanged": "how long a kind of history is kept was changed",
    "StatisticsReconciled": "runs were counted that the statistics lacked",
    "HistoryDropped": "a day of history was dropped, which was older than what is kept",
    "LockLost": "the time or session of a lock's holder ended unreleased, and the lock was taken anew",
    "LockBroken": "an administrator ended the hold of a lock",
    "LimitSet": "a limit of a queue or tenant was set or changed",
    "LimitRemoved": "a limit of a queue or tenant was removed",
    "TenantCreated": "a tenant was created",
    "TenantRevoked": "a tenant was closed",
    "TenantWeighed": "a tenant's share of what workers pick up was changed",
    "TokenCreated": "an API token was issued",
    "TokenRevoked": "an API token was revoked",
    "SigningSecretCreated": "a secret was made that requests to HTTP targets are signed with",
    "SigningSecretRetired": "a signing secret stopped signing",
    "EvidenceRecorded": "a dated fact about a subject was recorded",
    "MilestoneGenerated": "a milestone of a subject was completed; its result is kept",
    "MilestoneAttemptFailed": "an attempt at a milestone failed; its back-off began",
    "MilestoneHeld": "a milestone came due while the flag milestones was off; it waits until that is on",
    "MilestoneMissed": "a milestone's window passed, and its policy gave it up",
    "MilestoneReset": "an operator took back a milestone's attempts and its back-off",
    "MilestoneMarkerCleared": "an operator took a milestone's done marker away",
    "CheckInCreated": "a check-in was made for a job that runs elsewhere",
    "CheckInDeleted": "a check-in was deleted",
    "CheckInPaused": "a check-in waits for nothing until it is resumed",
    "CheckInResumed": "a check-in waits for the next end again",
    "CheckInRotated": "a check-in has a new address; the old one is dead, or will be",
    "CheckInFailed": "a job elsewhere told that it failed",
    "CheckInMissed": "a job elsewhere told of no end by its deadline",
    "CheckInRecovered": "a job elsewhere told of a success after a miss or a failure",
    "GraphJobRequested": "a graph job was asked for",
    "GraphJobCompleted": "a graph job ended, with or without success",
    "PolicyJobRequested": "a policy job was asked for",
    "PolicyJobCompleted": "a policy job ended, with or without success",
    "PolicyReplayMarked": "a judgement was marked to be made again",
}


class EventDraft(Struct, frozen=True):
    """A fact to be recorded in the transaction that makes it true."""

    type: str
    tenant_id: TenantId | None = None
    subject: str = ""
    actor: str = ""
    data: dict[str, Any] = field(default_factory=dict[str, Any])


class Event(Struct, frozen=True):
    """A recorded fact. `cursor` is opaque: pass it back as `after` to resume behind this event."""

    id: str
    cursor: str
    type: str
    at: datetime
    tenant_id: TenantId | None
    subject: str
    actor: str
    data: dict[str, Any]
