"""A worker: a process that executes runs, with slots, queues and capabilities, alive while its lease is.

One lease covers all runs that the worker holds; each attempt has its own token beside it.
"""

from datetime import datetime
from typing import Literal, TypeAlias

from msgspec import Struct

from rota.domain.ids import WorkerId
from rota.domain.lifecycle import Lifecycle, Transition

WorkerState: TypeAlias = Literal["active", "draining", "stopped", "lost"]

WORKER_LIFECYCLE = Lifecycle(
    name="worker",
    initial=frozenset({"active"}),
    terminal=frozenset({"stopped", "lost"}),
    transitions=(
        Transition("active", "drain", "draining", "it was asked to stop: it claims no more and finishes what it holds"),
        Transition("active", "stop", "stopped", "it left of its own accord with nothing in hand"),
        Transition("draining", "stop", "stopped", "it finished or gave back what it held"),
        Transition("active", "lose", "lost", "its lease ended; its runs are rescued"),
        Transition("draining", "lose", "lost", "its lease ended while it drained; its runs are rescued"),
    ),
)


class WorkerSpec(Struct, frozen=True):
    """How a worker introduces itself."""

    id: WorkerId
    name: str
    queues: tuple[str, ...]
    slots: int
    tasks: tuple[str, ...]
    hostname: str
    pid: int
    version: str


class Worker(Struct, frozen=True):
    """A registered worker as operators see it. `running_count` is what it holds now."""

    id: WorkerId
    name: str
    state: WorkerState
    queues: tuple[str, ...]
    slots: int
    tasks: tuple[str, ...]
    hostname: str
    pid: int
    version: str
    started_at: datetime
    heartbeat_at: datetime
    lease_expires_at: datetime
    running_count: int = 0


class Renewal(Struct, frozen=True):
    """The answer to a renewal: what is to be cancelled, and whether work waits, so that idle workers need no poll."""

    lease_seconds: float
    cancel_run_ids: tuple[str, ...] = ()
    work_is_due: bool = False
    next_due_in_seconds: float | None = None
