"""The tables of fan-outs in memory."""

from dataclasses import dataclass, field
from datetime import datetime

from rota.domain.fan_out import FanOut, ImpactSnapshot, StopCause
from rota.domain.ids import AttemptToken, RunId, TenantId


@dataclass
class StoredSegment:
    """A slice of the items; `state` is None while it is planned only, `open` while its child lives."""

    items: tuple[str, ...]
    child_run_id: RunId | None = None
    state: str | None = None


@dataclass
class Plan:
    """What one attempt has found and cut."""

    items: set[str] = field(default_factory=set[str])
    segments: list[StoredSegment] = field(default_factory=list[StoredSegment])


@dataclass
class OpenFanOut:
    """A run that waits for its segments."""

    tenant_id: TenantId
    token: AttemptToken
    fan_out: FanOut
    deadline_at: datetime
    stopped: StopCause | None = None


@dataclass
class FanOutTables:
    """Plans by run and token; of the snapshot's the token is known."""

    plans: dict[tuple[RunId, AttemptToken], Plan] = field(default_factory=dict[tuple[RunId, AttemptToken], Plan])
    snapshots: dict[RunId, tuple[ImpactSnapshot, AttemptToken]] = field(
        default_factory=dict[RunId, tuple[ImpactSnapshot, AttemptToken]]
    )
    waiting: dict[RunId, OpenFanOut] = field(default_factory=dict[RunId, OpenFanOut])

    def plan_of(self, run_id: RunId) -> Plan:
        return self.plans[run_id, self.snapshots[run_id][1]]
