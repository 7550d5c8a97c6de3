"""The tables of the memory stores, with the store's own clock and ids.

It holds and numbers; it decides nothing. A store changes it between two awaits, so each method is one transaction.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from rota.domain.backfill import Backfill
from rota.domain.calendar import CalendarRecord
from rota.domain.event import EventDraft
from rota.domain.flag import FIRING, FlagSetting
from rota.domain.ids import BackfillId, ScheduleId, TenantId, TokenId
from rota.domain.schedule import Schedule
from rota.domain.tenancy import ApiToken, AuditEntry, Tenant
from rota.ports.ids import Ids
from rota.storage.event_drafts import refuse_unknown_types
from rota.storage.memory.binding_tables import BindingTables
from rota.storage.memory.callback_tables import CallbackTables
from rota.storage.memory.check_in_tables import CheckInTables
from rota.storage.memory.fan_out_tables import FanOutTables
from rota.storage.memory.job_tables import JobTables
from rota.storage.memory.limit_tables import LimitTables
from rota.storage.memory.lock_tables import LockTables
from rota.storage.memory.milestone_tables import MilestoneTables
from rota.storage.memory.run_tables import RunTables
from rota.storage.memory.signing_tables import SigningTables


@dataclass(frozen=True)
class StoredEvent:
    """A draft with what the store adds. `txid` is the number of the transaction that wrote it."""

    id: str
    txid: int
    at: datetime
    draft: EventDraft


@dataclass(frozen=True)
class StoredAudit:
    """An audit entry with what the store adds; `tenant_id` None is the platform's."""

    id: str
    at: datetime
    tenant_id: TenantId | None
    entry: AuditEntry


@dataclass(frozen=True)
class StoredToken:
    """A token with the hash of its secret."""

    token: ApiToken
    secret_hash: bytes


@dataclass
class MemoryDatabase:
    """All tables of one memory store. `now` is the store's clock (law 4): hand in one that a test can set."""

    now: Callable[[], datetime]
    ids: Ids
    tenants: dict[TenantId, Tenant] = field(default_factory=dict[TenantId, Tenant])
    tokens: dict[TokenId, StoredToken] = field(default_factory=dict[TokenId, StoredToken])
    schedules: dict[ScheduleId, Schedule] = field(default_factory=dict[ScheduleId, Schedule])
    calendars: dict[tuple[TenantId, str], CalendarRecord] = field(
        default_factory=dict[tuple[TenantId, str], CalendarRecord]
    )
    backfills: dict[BackfillId, Backfill] = field(default_factory=dict[BackfillId, Backfill])
    flags: dict[tuple[TenantId | None, str], FlagSetting] = field(
        default_factory=dict[tuple[TenantId | None, str], FlagSetting]
    )
    events: list[StoredEvent] = field(default_factory=list[StoredEvent])
    audit: list[StoredAudit] = field(default_factory=list[StoredAudit])
    runs_state: RunTables = field(default_factory=RunTables)
    limits_state: LimitTables = field(default_factory=LimitTables)
    locks_state: LockTables = field(default_factory=LockTables)
    check_ins_state: CheckInTables = field(default_factory=CheckInTables)
    callbacks_state: CallbackTables = field(default_factory=CallbackTables)
    bindings_state: BindingTables = field(default_factory=BindingTables)
    milestones_state: MilestoneTables = field(default_factory=MilestoneTables)
    jobs_state: JobTables = field(default_factory=JobTables)
    fan_outs_state: FanOutTables = field(default_factory=FanOutTables)
    signing_state: SigningTables = field(default_factory=SigningTables)
    transactions_count: int = 0

    def new_id(self) -> str:
        return self.ids.new_id()

    def is_firing(self, tenant_id: TenantId) -> bool:
        """Whether the flag of this name is on for the tenant."""
        settings = (self.flags.get((owner, FIRING)) for owner in (tenant_id, None))
        return all(one is None or one.enabled for one in settings)

    def settings_of(self, tenant_id: TenantId) -> list[FlagSetting]:
        """Of flags: what is set for the tenant, and for all."""
        return [one for (owner, _), one in self.flags.items() if owner in (tenant_id, None)]

    def record_events(self, drafts: Iterable[EventDraft]) -> None:
        """Append facts as one transaction. A type that is not in the catalogue is a Bug, and nothing is written."""
        checked = refuse_unknown_types(drafts)
        self.transactions_count += 1
        at = self.now()
        names = sorted(self.new_id() for _ in checked)
        self.events.extend(
            StoredEvent(name, self.transactions_count, at, draft) for name, draft in zip(names, checked, strict=True)
        )

    def record_audit(self, tenant_id: TenantId | None, entry: AuditEntry) -> None:
        self.audit.append(StoredAudit(self.new_id(), self.now(), tenant_id, entry))
