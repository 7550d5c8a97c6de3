"""Graph jobs: a dependency graph is built from a bill of materials, or overlaid with what is known of its packages."""

from datetime import datetime
from typing import Any, Literal, TypeAlias

from msgspec import Struct, field

from rota.domain.ids import JobId, TenantId
from rota.domain.jobs import Job, JobPriority, JobState, Webhook

GraphJobKind: TypeAlias = Literal["build", "overlay"]
Severity: TypeAlias = Literal["none", "low", "medium", "high", "critical"]

SEVERITIES: tuple[Severity, ...] = ("none", "low", "medium", "high", "critical")
COMPONENTS_MAX = 50_000
EDGES_MAX = 500_000
ADVISORIES_MAX = 10_000


class GraphJob(Job, frozen=True, kw_only=True):
    """`snapshot_id` is the hash of the graph that a build made, or that an overlay was laid on.

    `base_job_id` is the build that an overlay belongs to.
    """

    kind: GraphJobKind
    sbom_id: str = ""
    sbom_version_id: str = ""
    sbom_digest: str = ""
    base_job_id: JobId | None = None
    snapshot_id: str | None = None


class JobEvent(Struct, frozen=True):
    """A state that a graph job came into."""

    id: str
    job_id: JobId
    tenant_id: TenantId
    state: JobState
    at: datetime
    reason: str


class GraphNode(Struct, frozen=True):
    """A component. `ref` is its name within the document; `purl` is empty where it has none."""

    ref: str
    purl: str
    name: str
    version: str
    kind: str
    licences: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        return self.purl or self.ref


class Graph(Struct, frozen=True):
    """Components by `ref`, and (dependent, dependency) pairs of refs; both sorted."""

    nodes: tuple[GraphNode, ...]
    edges: tuple[tuple[str, str], ...]


class Advisory(Struct, frozen=True, forbid_unknown_fields=True):
    """That the versions of a package in any of the ranges `affected` have a flaw. `purl` is without a version."""

    id: str
    purl: str
    affected: tuple[str, ...]
    severity: Severity
    summary: str = ""
    fixed_in: str | None = None


class Finding(Struct, frozen=True):
    """An advisory that concerns a component of a graph."""

    purl: str
    advisory_id: str
    severity: Severity
    summary: str = ""
    fixed_in: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.purl, self.advisory_id


class GraphBuildRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Build the graph of a CycloneDX document in JSON."""

    sbom: dict[str, Any]
    sbom_id: str
    sbom_version_id: str = ""
    idempotency_key: str | None = None
    priority: JobPriority = "normal"
    queue: str = "default"
    correlation_id: str | None = None
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    webhook: Webhook | None = None


class GraphOverlayRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Lay advisories over the graph that the build `graph_job_id` has made."""

    graph_job_id: str
    advisories: tuple[Advisory, ...]
    idempotency_key: str | None = None
    priority: JobPriority = "normal"
    queue: str = "default"
    correlation_id: str | None = None
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    webhook: Webhook | None = None
