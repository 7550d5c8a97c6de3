"""Why a store of schedules, tenants or tokens refuses, in the same words whichever store it is."""

from collections.abc import Sequence

from rota.domain.errors import DomainError
from rota.domain.problems import FieldProblem


def names_taken(schedules_count: int, taken: Sequence[tuple[int, str]]) -> DomainError:
    """`taken` has the position and name of each schedule whose name is in use, be it by another of the same batch."""
    problems = [
        FieldProblem(
            "name" if schedules_count == 1 else f"[{position}].name",
            f"{name!r} is the name of another schedule",
            "Choose another name, or change the schedule that has it.",
        )
        for position, name in taken
    ]
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return DomainError("NAME_TAKEN", f"{first.field}: {first.problem}{more}", problems)


def version_mismatch(expected_version: int, stored_version: int) -> DomainError:
    return DomainError(
        "VERSION_MISMATCH", f"the schedule is at version {stored_version}; the change was made for {expected_version}"
    )


def tenant_revoked(tenant_id: str) -> DomainError:
    """A closed tenant takes no more changes."""
    return DomainError("STATE_CONFLICT", f"tenant {tenant_id!r} is revoked; it takes no changes")


TENANT_REVOKED_REASON = "the tenant was revoked"
ID_GIVEN_TWICE = "the id of a schedule or trigger was given out twice"
