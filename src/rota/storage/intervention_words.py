"""What the stores of interventions record and count alike."""

from collections import Counter
from collections.abc import Iterable

from rota.domain.ids import ScheduleId
from rota.domain.tenancy import AuditEntry

STOPPING = "intervention rule"
"""Who stopped a schedule, and who lets it resume when its cool-off has ended."""


def stopping(schedule_id: ScheduleId) -> AuditEntry:
    return AuditEntry(STOPPING, "stop", "schedule", schedule_id)


def resuming(schedule_id: ScheduleId) -> AuditEntry:
    return AuditEntry(STOPPING, "resume", "schedule", schedule_id)


def summed(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    """The most frequent first."""
    total = Counter[str]()
    for name, count in counts:
        total[name] += count
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))
