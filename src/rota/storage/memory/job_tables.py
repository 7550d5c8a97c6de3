"""The tables of the memory stores of jobs."""

from dataclasses import dataclass, field

from rota.domain.graph_job import GraphJob, JobEvent
from rota.domain.ids import JobId
from rota.domain.jobs import JobResult
from rota.domain.policy_job import PolicyJob


@dataclass
class StoredJob:
    """A job with what lists do not read. `result` is what the last attempt saved, whatever became of it."""

    job: GraphJob | PolicyJob
    fingerprint: bytes
    input: bytes
    packed: bytes | None = None
    result: JobResult | None = None


@dataclass
class JobTables:
    """Both families by id: ids are the ids of nothing else."""

    jobs: dict[JobId, StoredJob] = field(default_factory=dict[JobId, StoredJob])
    events: list[JobEvent] = field(default_factory=list[JobEvent])
