"""Dependencies: runs that wait until others have ended, and what these ends must be for them to run."""

from typing import Literal, TypeAlias

from msgspec import Struct

from rota.domain.ids import RunId

DependencyRule: TypeAlias = Literal["all_succeeded", "any_succeeded", "always"]
Verdict: TypeAlias = Literal["wait", "release", "skip"]

DEPENDENCIES_MAX = 100
"""How many runs one run may wait for."""
DEPENDENCY_FOLLOWER = "dependency"


class Upstream(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A run that is waited for: by its id, by the idempotency key that it was enqueued with, or, within one call, by
    the `name` that it has there.
    """

    run_id: RunId | None = None
    key: str | None = None
    name: str | None = None


class Neighbour(Struct, frozen=True):
    """A run beside another one in the graph. `state` is as in `Run`."""

    run_id: RunId
    state: str


class Dependencies(Struct, frozen=True):
    """Where a run stands among others: what it waits or waited for, by which rule, and what waits or waited for it."""

    rule: DependencyRule | None
    upstreams: tuple[Neighbour, ...]
    dependents: tuple[Neighbour, ...]
