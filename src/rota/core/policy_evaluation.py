"""What rules say about a graph and its findings. Pure.

Law: judging incrementally gives the verdicts that judging everything gives. A verdict depends on its component, its
finding and the rules; so with the same rules and the same graph only findings that came, went or changed are judged.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from rota.core.packing import content_hash
from rota.domain.graph_job import SEVERITIES, Finding, Graph, GraphNode, Severity
from rota.domain.jobs import JobItem, JobResult
from rota.domain.policy_job import IGNORED_MAX, LICENCES_MAX, PolicyRules, Verdict
from rota.domain.problems import FieldProblem


def rules_problems(field: str, rules: PolicyRules) -> Iterator[FieldProblem]:
    if len(rules.ignore) > IGNORED_MAX:
        yield FieldProblem(f"{field}.ignore", f"has {len(rules.ignore)} entries", f"send at most {IGNORED_MAX}")
    for place, one in enumerate(rules.ignore[:IGNORED_MAX]):
        if not one.advisory_id:
            problem = FieldProblem(f"{field}.ignore[{place}].advisory_id", "is empty", "name the advisory")
            yield problem
    allowed = rules.licences_allowed
    if allowed is not None and len(allowed) > LICENCES_MAX:
        yield FieldProblem(f"{field}.licences_allowed", f"has {len(allowed)} entries", f"send at most {LICENCES_MAX}")


def merged_findings(overlays: Iterable[Iterable[Finding]]) -> dict[tuple[str, str], Finding]:
    """Of two findings with the same package and advisory, the later overlay's counts."""
    return {finding.key: finding for overlay in overlays for finding in overlay}


def judge(graph: Graph, findings: Mapping[tuple[str, str], Finding], rules: PolicyRules) -> tuple[Verdict, ...]:
    """All verdicts, in the order of their keys."""
    verdicts = [_of_finding(finding, rules) for finding in findings.values()]
    verdicts += [verdict for node in graph.nodes if (verdict := _of_licences(node, rules)) is not None]
    return _ordered(verdicts)


def judge_changes(
    findings: Mapping[tuple[str, str], Finding],
    before: Mapping[tuple[str, str], Finding],
    verdicts_before: Iterable[Verdict],
    rules: PolicyRules,
) -> tuple[tuple[Verdict, ...], int]:
    """As `judge`, from the verdicts that the same rules gave of the same graph; and how many findings were judged."""
    changed = [finding for key, finding in findings.items() if before.get(key) != finding]
    replaced = {finding.key for finding in changed} | (before.keys() - findings.keys())
    kept = [one for one in verdicts_before if one.rule != "severity" or (one.purl, one.advisory_id) not in replaced]
    return _ordered([*kept, *(_of_finding(finding, rules) for finding in changed)]), len(changed)


def sampled(graph: Graph, sample: Iterable[str]) -> Graph:
    """The graph of the components that the sample names alone."""
    wanted = frozenset(sample)
    return Graph(tuple(node for node in graph.nodes if node.subject in wanted), ())


def changes_between(before: Iterable[Verdict], after: Iterable[Verdict]) -> tuple[dict[str, Any], ...]:
    """What a simulation would change: each verdict that would come, go or turn; another reason is no change."""
    old, new = {one.key: one for one in before}, {one.key: one for one in after}
    changed: list[dict[str, Any]] = []
    for key in sorted(old.keys() | new.keys()):
        was, now = old.get(key), new.get(key)
        if was is None or now is None or (was.is_violation, was.severity) != (now.is_violation, now.severity):
            change = "removed" if now is None else "added" if was is None else "changed"
            shown = now or was
            told = msgspec.to_builtins(shown)
            changed.append({"change": change, **told, "was": None if was is None else was.reason})
    return tuple(changed)


def judged(verdicts: tuple[Verdict, ...], judged_count: int) -> JobResult:
    """The result of a judgement that is to hold."""
    items = tuple(JobItem("verdict", one.purl, msgspec.to_builtins(one)) for one in verdicts)
    return JobResult(items, content_hash(verdicts), {**_counts(verdicts), "judged_count": judged_count})


def simulated(before: tuple[Verdict, ...], after: tuple[Verdict, ...]) -> JobResult:
    """The result of a simulation: what would change, and nothing of what holds."""
    changes = changes_between(before, after)
    items = tuple(JobItem("change", one["purl"], one) for one in changes)
    kinds = ("added", "removed", "changed")
    summary = {f"{kind}_count": sum(one["change"] == kind for one in changes) for kind in kinds}
    return JobResult(items, content_hash(after), {**_counts(after), **summary})


def verdicts_of(items: Iterable[JobItem]) -> tuple[Verdict, ...]:
    """The verdicts that a judgement has stored."""
    return tuple(msgspec.convert(item.data, Verdict) for item in items if item.part == "verdict")


def _counts(verdicts: tuple[Verdict, ...]) -> dict[str, Any]:
    violations = [one for one in verdicts if one.is_violation]
    by_severity = {severity: sum(one.severity == severity for one in violations) for severity in SEVERITIES}
    return {
        "verdicts_count": len(verdicts),
        "violations_count": len(violations),
        "violations_by_severity": {severity: count for severity, count in by_severity.items() if count},
    }


def _of_finding(finding: Finding, rules: PolicyRules) -> Verdict:
    ignored = next((one for one in rules.ignore if _ignores(one.advisory_id, one.purl, finding)), None)
    if ignored is not None:
        return _verdict(finding, is_violation=False, reason=f"ignored: {ignored.reason or 'by rule'}")
    if _rank(finding.severity) < _rank(rules.severity_threshold):
        return _verdict(finding, is_violation=False, reason=f"below the threshold {rules.severity_threshold}")
    return _verdict(finding, is_violation=True, reason=f"at or above the threshold {rules.severity_threshold}")


def _verdict(finding: Finding, *, is_violation: bool, reason: str) -> Verdict:
    return Verdict(finding.purl, "severity", finding.advisory_id, finding.severity, is_violation, reason)


def _ignores(advisory_id: str, purl: str | None, finding: Finding) -> bool:
    return advisory_id == finding.advisory_id and purl in (None, finding.purl)


def _of_licences(node: GraphNode, rules: PolicyRules) -> Verdict | None:
    """None where the rule does not speak: no allow-list, or no licence is known."""
    if rules.licences_allowed is None or not node.licences:
        return None
    allowed = frozenset(rules.licences_allowed)
    refused = [licence for licence in node.licences if not _is_allowed(licence, allowed)]
    reason = f"not allowed: {', '.join(refused)}" if refused else "allowed"
    return Verdict(node.subject, "licence", "", "none", bool(refused), reason)


def _is_allowed(licence: str, allowed: frozenset[str]) -> bool:
    """An expression is allowed by one of its alternatives, all of whose parts are; with brackets only as it stands."""
    if licence in allowed:
        return True
    if "(" in licence:
        return False
    return any(all(part.strip() in allowed for part in one.split(" AND ")) for one in licence.split(" OR "))


def _ordered(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    by_key = {one.key: one for one in verdicts}
    return tuple(by_key[key] for key in sorted(by_key))


def _rank(severity: Severity) -> int:
    return SEVERITIES.index(severity)
