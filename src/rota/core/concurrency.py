"""Which runs share their places: those of a tenant's concurrency key, or of a schedule with a maximum of its own."""

from collections.abc import Iterator

from rota.core.field_rules import KEY_RULE, number_problems, text_problems
from rota.core.run_identity import concurrency_key
from rota.domain.ids import ScheduleId, TenantId
from rota.domain.policies import CONCURRENCY_MAX_LIMIT
from rota.domain.problems import FieldProblem


def places_of(
    tenant_id: TenantId, schedule_id: ScheduleId | None, key: str | None, concurrency_max: int | None
) -> str | None:
    """The identity of what a run shares its places with (a UUID's text), or None where it needs no place."""
    if concurrency_max is None:
        return None
    return schedule_id if key is None else concurrency_key(tenant_id, key)


def concurrency_problems(key: str | None, concurrency_max: int | None) -> Iterator[FieldProblem]:
    if concurrency_max is not None:
        yield from number_problems("concurrency_max", concurrency_max, 1, CONCURRENCY_MAX_LIMIT, "runs")
    if key is not None:
        yield from text_problems("concurrency_key", key, KEY_RULE)
    if key is not None and concurrency_max is None:
        yield FieldProblem("concurrency_key", "has no concurrency_max", "say how many of its runs may run at once")
