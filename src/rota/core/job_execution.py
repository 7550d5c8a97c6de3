"""What a worker does for a job: from the packed documents that it was handed to the result. Pure."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct, structs

from rota.core.graph_build import built, graph_of
from rota.core.graph_overlay import findings_of, overlaid
from rota.core.packing import content_hash, unpack
from rota.core.policy_evaluation import (
    judge,
    judge_changes,
    judged,
    merged_findings,
    sampled,
    simulated,
    verdicts_of,
)
from rota.domain.errors import Bug, DomainError, invalid_input
from rota.domain.graph_job import Advisory, Finding, Graph
from rota.domain.jobs import JobResult
from rota.domain.policy_job import PolicyRules, Verdict
from rota.domain.problems import FieldProblem

Documents = Mapping[str, tuple[bytes, ...]]
"""By name; of overlays, an empty one stands for each that is gone."""


class PolicyInput(Struct, frozen=True):
    """The document of a policy job. `sample` are the subjects that a simulation looks at; None means all."""

    rules: PolicyRules
    sample: tuple[str, ...] | None = None


def execute(kind: str, documents: Documents) -> JobResult:
    """Raises INVALID_INPUT where a document is gone, or cannot be read: no other try mends that."""
    if kind == "build":
        return built(msgspec.json.decode(unpack(_one(documents, "input"))))
    if kind == "overlay":
        graph = _result(_one(documents, "graph"))
        advisories = msgspec.json.decode(unpack(_one(documents, "input")), type=tuple[Advisory, ...])
        return overlaid(graph_of(graph.items), advisories, graph.content_hash)
    asked = msgspec.json.decode(unpack(_one(documents, "input")), type=PolicyInput)
    graph = graph_of(_result(_one(documents, "graph")).items)
    judged_result = _judged(kind, documents, asked, graph)
    return structs.replace(judged_result, summary={**judged_result.summary, "rules_hash": content_hash(asked.rules)})


def _judged(kind: str, documents: Documents, asked: PolicyInput, graph: Graph) -> JobResult:
    findings = _findings(documents, "overlays")
    if kind == "full":
        return judged(judge(graph, findings, asked.rules), len(findings))
    if kind == "incremental":
        before = _findings(documents, "base_overlays")
        base = verdicts_of(_result(_one(documents, "base")).items)
        return judged(*judge_changes(findings, before, base, asked.rules))
    if kind == "simulate":
        base = verdicts_of(_result(documents["base"][0]).items) if documents.get("base") else ()
        return _simulated(asked, graph, findings, base)
    raise Bug(f"no job is of the kind {kind!r}")


def _simulated(
    asked: PolicyInput, graph: Graph, findings: dict[tuple[str, str], Finding], base: tuple[Verdict, ...]
) -> JobResult:
    if asked.sample is None:
        return simulated(base, judge(graph, findings, asked.rules))
    wanted = frozenset(asked.sample)
    chosen = {key: finding for key, finding in findings.items() if finding.purl in wanted}
    after = judge(sampled(graph, wanted), chosen, asked.rules)
    return simulated(tuple(verdict for verdict in base if verdict.purl in wanted), after)


def _findings(documents: Documents, name: str) -> dict[tuple[str, str], Finding]:
    overlays = documents.get(name, ())
    if not all(overlays):
        raise _gone(name)
    return merged_findings(findings_of(_result(packed).items) for packed in overlays)


def _result(packed: bytes) -> JobResult:
    return msgspec.json.decode(unpack(packed), type=JobResult)


def _one(documents: Documents, name: str) -> bytes:
    found = documents.get(name, ())
    if not found:
        raise _gone(name)
    return found[0]


def _gone(name: str) -> DomainError:
    problem = FieldProblem(name, "is not kept any more", "ask for the job that makes it again, then for this one")
    return invalid_input([problem])
