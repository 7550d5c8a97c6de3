"""The tables of the memory store of locks."""

from dataclasses import dataclass, field

from rota.domain.ids import TenantId
from rota.domain.lock import Lock


@dataclass
class LockLedger:
    """No lock of the tenant is born with an epoch of `epoch_floor` or below."""

    births_count: int = 0
    epoch_floor: int = 0


@dataclass
class LockTables:
    """By tenant and name."""

    locks: dict[tuple[TenantId, str], Lock] = field(default_factory=dict[tuple[TenantId, str], Lock])
    request_keys: dict[tuple[TenantId, str], str] = field(default_factory=dict[tuple[TenantId, str], str])
    ledgers: dict[TenantId, LockLedger] = field(default_factory=dict[TenantId, LockLedger])
