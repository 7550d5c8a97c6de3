"""Policy jobs: declarative rules are judged over a graph and its overlays.

`full` judges everything, `incremental` only what changed since an earlier judgement, `simulate` shows what would change
and makes nothing so.
"""

from typing import Literal, TypeAlias

from msgspec import Struct, field

from rota.domain.graph_job import Severity
from rota.domain.ids import JobId
from rota.domain.jobs import Job, JobPriority, Webhook

PolicyMode: TypeAlias = Literal["full", "incremental", "simulate"]
RuleName: TypeAlias = Literal["severity", "licence"]

OVERLAYS_MAX = 16
IGNORED_MAX = 1_000
LICENCES_MAX = 1_000
SAMPLE_MAX = 10_000


class IgnoreRule(Struct, frozen=True, forbid_unknown_fields=True):
    """An advisory that is accepted: for every package, or for the one that `purl` names with its version."""

    advisory_id: str
    purl: str | None = None
    reason: str = ""


class PolicyRules(Struct, frozen=True, forbid_unknown_fields=True):
    """A finding of at least `severity_threshold` is a violation unless it is ignored. A component whose licences are
    not all among `licences_allowed` is one, too; None allows any.
    """

    severity_threshold: Severity = "high"
    ignore: tuple[IgnoreRule, ...] = ()
    licences_allowed: tuple[str, ...] | None = None


class Verdict(Struct, frozen=True):
    """What a rule says about a component. `advisory_id` is empty for the rule on licences."""

    purl: str
    rule: RuleName
    advisory_id: str
    severity: Severity
    is_violation: bool
    reason: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.purl, self.rule, self.advisory_id


class PolicyJob(Job, frozen=True, kw_only=True):
    """`base_job_id` is the judgement that an incremental one goes on from, or that a simulation is compared with.

    `determinism_hash` is of the verdicts. `replay_pending` says why they should be judged again; `replay_matches`
    whether this replay came to the same verdicts as the job that it is of.
    """

    policy_id: str
    policy_version: str
    mode: PolicyMode
    graph_job_id: JobId
    overlay_job_ids: tuple[JobId, ...] = ()
    base_job_id: JobId | None = None
    replay_of: JobId | None = None
    replay_pending: str | None = None
    replay_matches: bool | None = None
    determinism_hash: str | None = None


class PolicyRunRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Judge `rules` over the graph of the build `graph_job_id` with the findings of `overlay_job_ids`."""

    policy_id: str
    policy_version: str
    rules: PolicyRules
    graph_job_id: str
    overlay_job_ids: tuple[str, ...] = ()
    base_job_id: str | None = None
    sample: tuple[str, ...] | None = None
    mode: PolicyMode = "full"
    idempotency_key: str | None = None
    priority: JobPriority = "normal"
    queue: str = "default"
    correlation_id: str | None = None
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    webhook: Webhook | None = None
