"""The tables of the memory stores of evidence and milestones, and the end of an attempt."""

from dataclasses import dataclass, field
from typing import TypeAlias

from rota.domain.ids import TenantId
from rota.domain.milestone import DoneMarker, Evidence, Milestone

# (tenant, kind or name, subject).
Key: TypeAlias = tuple[TenantId, str, str]


@dataclass
class MilestoneTables:
    """`walking` are the names of definitions that were saved and not walked through."""

    evidence: dict[Key, Evidence] = field(default_factory=dict[Key, Evidence])
    milestones: dict[Key, Milestone] = field(default_factory=dict[Key, Milestone])
    markers: dict[Key, DoneMarker] = field(default_factory=dict[Key, DoneMarker])
    walking: list[tuple[TenantId, str]] = field(default_factory=list[tuple[TenantId, str]])
