"""Jobs on the wire: queries, and what the endpoints of both families share."""

from typing import Annotated, Any, TypeVar

from msgspec import Meta, Struct, structs

from rota.api.rest.page_wire import PageQuery
from rota.domain.errors import invalid_input
from rota.domain.graph_job import GraphBuildRequest, GraphJobKind, GraphOverlayRequest
from rota.domain.jobs import ItemPart, JobState
from rota.domain.policy_job import PolicyMode, PolicyRunRequest
from rota.domain.problems import FieldProblem
from rota.ports.job_store import JobFilter

JOB_BODY_BYTES_MAX = 4 * 1_048_576

Request = TypeVar("Request", GraphBuildRequest, GraphOverlayRequest, PolicyRunRequest)
Name = Annotated[str, Meta(min_length=1, max_length=200)]


class GraphJobQuery(PageQuery, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All given conditions must hold; newest first."""

    kind: GraphJobKind | None = None
    state: JobState | None = None

    def filter(self) -> JobFilter:
        return JobFilter(self.kind, self.state)


class PolicyJobQuery(PageQuery, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All given conditions must hold; newest first."""

    mode: PolicyMode | None = None
    state: JobState | None = None
    policy_id: Name | None = None
    replay_pending: bool | None = None

    def filter(self) -> JobFilter:
        return JobFilter(self.mode, self.state, self.policy_id, self.replay_pending)


class ItemQuery(PageQuery, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Items of one part, or of all; by position."""

    part: ItemPart | None = None


class ReplayMark(Struct, frozen=True, forbid_unknown_fields=True):
    """Why a judgement should be made again."""

    reason: str


def with_header_key(request: Request, key: str | None) -> Request:
    """The key may stand in the header or in the body; where it stands in both, it must be the same."""
    if key is None:
        return request
    if request.idempotency_key not in (None, key):
        problem = "differs from the header Idempotency-Key"
        raise invalid_input([FieldProblem("idempotency_key", problem, "send the key once")])
    return structs.replace(request, idempotency_key=key)


SBOM_EXAMPLE: dict[str, Any] = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "components": [
        {
            "bom-ref": "app",
            "type": "application",
            "name": "shop",
            "version": "2.0.0",
            "licenses": [{"license": {"id": "Apache-2.0"}}],
        },
        {"bom-ref": "pad", "type": "library", "name": "left-pad", "version": "1.2.0", "purl": "pkg:npm/left-pad@1.2.0"},
    ],
    "dependencies": [{"ref": "app", "dependsOn": ["pad"]}],
}
BUILD_EXAMPLE: dict[str, Any] = {
    "sbom": SBOM_EXAMPLE,
    "sbom_id": "shop",
    "sbom_version_id": "2.0.0",
    "idempotency_key": "shop-2.0.0",
}
ADVISORY_EXAMPLE: dict[str, Any] = {
    "id": "DEMO-2026-0001",
    "purl": "pkg:npm/left-pad",
    "affected": ["<1.3.0"],
    "severity": "high",
    "fixed_in": "1.3.0",
}
RULES_EXAMPLE: dict[str, Any] = {"severity_threshold": "high", "licences_allowed": ["Apache-2.0", "MIT"]}
