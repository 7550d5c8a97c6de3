"""What a worker needs from the outside, as one value that composition fills."""

from msgspec import Struct

from rota.ports.clock import Clock
from rota.ports.fan_out_store import FanOutPlans
from rota.ports.ids import Ids
from rota.ports.rng import Rng
from rota.ports.run_store import RunClaims
from rota.ports.wakeups import Wakeups
from rota.ports.worker_store import WorkerStore


class WorkerPorts(Struct, frozen=True):
    """`clock` must read the machine's monotonic clock in production: its instants cross to the warden."""

    claims: RunClaims
    workers: WorkerStore
    wakeups: Wakeups
    clock: Clock
    rng: Rng
    ids: Ids
    plans: FanOutPlans
