"""The table of the memory store of check-ins."""

from dataclasses import dataclass, field

from rota.domain.check_in import CheckIn
from rota.domain.ids import CheckInId


@dataclass
class CheckInTables:
    """`by_hash` has the hash of each address, `old` of those that are good for a while longer."""

    check_ins: dict[CheckInId, CheckIn] = field(default_factory=dict[CheckInId, CheckIn])
    by_hash: dict[bytes, CheckInId] = field(default_factory=dict[bytes, CheckInId])
    old: dict[bytes, CheckInId] = field(default_factory=dict[bytes, CheckInId])
