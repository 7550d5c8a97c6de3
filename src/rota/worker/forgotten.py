"""Which of the runs that the store says we hold were never told to us, and when to ask. Pure.

The answer to a claim may be lost after the store has committed it. Such a run is held by a worker that lives and does
not know, so nobody would take it back before its time-out. It is found by comparing, not by remembering what went
wrong: an answer can be lost without an error here, and a claim may reach the store long after we gave it up.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import TypeAlias

from msgspec import Struct, field

from rota.domain.ids import AttemptToken, RunId
from rota.ports.run_store import HeldRun
from rota.services.resting import Rest

LOOK_SECONDS_MIN = 0.25
LOOK_SECONDS_MAX = 15.0

Hold: TypeAlias = tuple[RunId, AttemptToken]


def forgotten(listed: Iterable[HeldRun], known: AbstractSet[Hold]) -> tuple[HeldRun, ...]:
    """What to give back of `listed`.

    No claim that was under way when the list was answered may still be so, and `known` must be taken after the last of
    them has ended: it holds every run that this worker works on, and every one whose end the store has not confirmed.
    """
    return tuple([held for held in listed if (held.run_id, held.token) not in known])


class LookPace(Struct):
    """When to look: soon after a claim of unknown outcome, then at doubling distances, and for ever at the longest.

    A look that takes long is followed by a rest that is much longer: while a snapshot is held open elsewhere, each
    passes all that the worker has held since (see `rota.storage.postgres.look_floors`).
    """

    distance_seconds: float = LOOK_SECONDS_MAX
    rest: Rest = field(default_factory=Rest)

    @property
    def wait_seconds(self) -> float:
        return max(self.distance_seconds, self.rest.seconds)

    def doubt(self) -> None:
        self.distance_seconds = LOOK_SECONDS_MIN

    def looked(self, took_seconds: float = 0.0) -> None:
        self.distance_seconds = min(self.distance_seconds * 2, LOOK_SECONDS_MAX)
        self.rest.looked(took_seconds)
