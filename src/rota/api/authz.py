"""What each role may do: one table of resource × verb, as data. Every route names one row; nothing else decides.

The roles are nested (each may do what those before it may), so that a row holds the least role. The matrix that this
makes over all routes is a golden file in the tests.
"""

from typing import Literal, TypeAlias

from msgspec import Struct

from rota.domain.errors import Bug, DomainError
from rota.domain.tenancy import ROLES, Role

Resource: TypeAlias = Literal[
    "schedules",
    "runs",
    "events",
    "platform_events",
    "workers",
    "tenants",
    "tokens",
    "signing_secrets",
    "check_ins",
    "templates",
    "bindings",
    "evidence",
    "milestones",
    "graph_jobs",
    "policy_jobs",
    "locks",
    "calendars",
    "backfills",
    "flags",
    "platform_flags",
    "stats",
    "platform_stats",
    "principal",
    "openapi",
    "metrics",
    "retention",
    "limits",
]
Verb: TypeAlias = Literal[
    "read",
    "create",
    "change",
    "delete",
    "restore",
    "pause",
    "resume",
    "trigger",
    "backfill",
    "cancel",
    "retry",
    "replay",
    "bulk",
    "revoke",
    "retire",
    "reconcile",
    "acquire",
    "renew",
    "release",
    "break",
    "apply",
    "record",
    "evaluate",
    "reset",
    "clear",
]


class Access(Struct, frozen=True):
    """A row of the table, as a route names it."""

    resource: Resource
    verb: Verb


LEAST_ROLE: dict[Access, Role] = {
    Access("schedules", "read"): "viewer",
    Access("schedules", "pause"): "operator",
    Access("schedules", "resume"): "operator",
    Access("schedules", "trigger"): "operator",
    Access("schedules", "backfill"): "operator",
    Access("schedules", "create"): "admin",
    Access("schedules", "change"): "admin",
    Access("schedules", "delete"): "admin",
    Access("schedules", "restore"): "admin",
    Access("runs", "read"): "viewer",
    Access("runs", "create"): "operator",
    Access("runs", "cancel"): "operator",
    Access("runs", "retry"): "operator",
    Access("flags", "read"): "viewer",
    Access("flags", "change"): "admin",
    Access("platform_flags", "read"): "platform_admin",
    Access("platform_flags", "change"): "platform_admin",
    Access("backfills", "read"): "viewer",
    Access("backfills", "cancel"): "operator",
    Access("runs", "bulk"): "operator",
    Access("runs", "delete"): "admin",
    Access("calendars", "read"): "viewer",
    Access("calendars", "change"): "admin",
    Access("calendars", "delete"): "admin",
    Access("locks", "read"): "viewer",
    Access("locks", "acquire"): "operator",
    Access("locks", "renew"): "operator",
    Access("locks", "release"): "operator",
    Access("locks", "break"): "admin",
    Access("events", "read"): "viewer",
    Access("stats", "read"): "viewer",
    Access("stats", "reconcile"): "admin",
    Access("platform_stats", "read"): "platform_admin",
    Access("principal", "read"): "viewer",
    Access("openapi", "read"): "viewer",
    Access("tokens", "read"): "admin",
    Access("tokens", "create"): "admin",
    Access("tokens", "revoke"): "admin",
    Access("graph_jobs", "read"): "viewer",
    Access("graph_jobs", "create"): "operator",
    Access("graph_jobs", "cancel"): "operator",
    Access("graph_jobs", "retry"): "operator",
    Access("policy_jobs", "read"): "viewer",
    Access("policy_jobs", "create"): "operator",
    Access("policy_jobs", "cancel"): "operator",
    Access("policy_jobs", "retry"): "operator",
    Access("policy_jobs", "replay"): "operator",
    Access("check_ins", "read"): "viewer",
    Access("check_ins", "create"): "admin",
    Access("check_ins", "pause"): "operator",
    Access("check_ins", "resume"): "operator",
    Access("check_ins", "delete"): "admin",
    Access("templates", "read"): "viewer",
    Access("templates", "change"): "admin",
    Access("templates", "delete"): "admin",
    Access("bindings", "read"): "viewer",
    Access("bindings", "reconcile"): "operator",
    Access("bindings", "change"): "admin",
    Access("bindings", "delete"): "admin",
    Access("evidence", "read"): "viewer",
    Access("evidence", "record"): "operator",
    Access("milestones", "read"): "viewer",
    Access("milestones", "evaluate"): "operator",
    Access("milestones", "reset"): "operator",
    Access("milestones", "clear"): "operator",
    Access("milestones", "retry"): "operator",
    Access("signing_secrets", "read"): "viewer",
    Access("signing_secrets", "create"): "admin",
    Access("signing_secrets", "retire"): "admin",
    Access("tenants", "read"): "platform_admin",
    Access("tenants", "create"): "platform_admin",
    Access("tenants", "change"): "platform_admin",
    Access("tenants", "revoke"): "platform_admin",
    Access("workers", "read"): "platform_admin",
    Access("platform_events", "read"): "platform_admin",
    Access("metrics", "read"): "platform_admin",
    Access("limits", "read"): "platform_admin",
    Access("limits", "change"): "platform_admin",
    Access("limits", "delete"): "platform_admin",
    Access("retention", "read"): "platform_admin",
    Access("retention", "change"): "platform_admin",
    Access("retention", "apply"): "platform_admin",
}


def least_role(access: Access) -> Role:
    """The least role of a row; a route that names no row of the table is a defect, found at start-up."""
    role = LEAST_ROLE.get(access)
    if role is None:
        raise Bug(f"no row of the authorisation table is for {access.verb!r} on {access.resource!r}")
    return role


def require(role: Role, access: Access) -> None:
    """Raises ROLE_FORBIDDEN, naming the role that is needed."""
    least = least_role(access)
    if ROLES.index(role) < ROLES.index(least):
        raise DomainError(
            "ROLE_FORBIDDEN",
            f"{access.verb} on {access.resource.replace('_', ' ')} needs the role {least}; the token's is {role}",
        )
