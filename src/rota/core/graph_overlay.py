"""Which advisories concern a graph. Pure.

An advisory names its package as a package URL without a version, such as `pkg:npm/left-pad`; a component is concerned
when its own, without version, qualifiers and subpath, is the same and its version lies in one of the ranges.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from rota.core.field_rules import choice_problems
from rota.core.packing import content_hash
from rota.core.version_ranges import is_in_range, range_problems
from rota.domain.graph_job import ADVISORIES_MAX, SEVERITIES, Advisory, Finding, Graph
from rota.domain.jobs import JobItem, JobResult
from rota.domain.problems import FieldProblem

ID_LENGTH_MAX = 200
RANGES_MAX = 100
SUMMARY_LENGTH_MAX = 1_000


def advisories_problems(field: str, advisories: Sequence[Advisory]) -> Iterator[FieldProblem]:
    if not 1 <= len(advisories) <= ADVISORIES_MAX:
        yield FieldProblem(field, f"has {len(advisories)} entries", f"send 1 to {ADVISORIES_MAX} advisories")
        return
    seen: set[tuple[str, str]] = set()
    for place, advisory in enumerate(advisories):
        where = f"{field}[{place}]"
        yield from _advisory_problems(where, advisory)
        if (advisory.id, advisory.purl) in seen:
            yield FieldProblem(f"{where}.id", f"{advisory.id!r} stands twice for this package", "list it once")
        seen.add((advisory.id, advisory.purl))


def overlay(graph: Graph, advisories: Iterable[Advisory]) -> tuple[Finding, ...]:
    """In the order of package URL and advisory."""
    by_package: dict[str, list[Advisory]] = defaultdict(list)
    for advisory in advisories:
        by_package[advisory.purl].append(advisory)
    found = {
        finding.key: finding
        for node in graph.nodes
        if node.purl
        for finding in _findings(node.purl, node.version, by_package.get(package_of(node.purl), ()))
    }
    return tuple(found[key] for key in sorted(found))


def overlaid(graph: Graph, advisories: Iterable[Advisory], snapshot_id: str) -> JobResult:
    """The result of an overlay. It carries the snapshot that it belongs to, and no node of it."""
    findings = overlay(graph, advisories)
    items = tuple(JobItem("finding", one.purl, _data(one)) for one in findings)
    by_severity = {severity: sum(one.severity == severity for one in findings) for severity in SEVERITIES}
    summary = {
        "findings_count": len(findings),
        "findings_by_severity": {severity: count for severity, count in by_severity.items() if count},
        "overlay_hash": content_hash(findings),
    }
    return JobResult(items, snapshot_id, summary)


def findings_of(items: Iterable[JobItem]) -> tuple[Finding, ...]:
    """The findings that an overlay has stored."""
    return tuple(msgspec.convert(item.data, Finding) for item in items if item.part == "finding")


def package_of(purl: str) -> str:
    """A package URL without version, qualifiers and subpath."""
    plain = purl.partition("#")[0].partition("?")[0]
    head, at, version = plain.rpartition("@")
    return head if at and "/" in head and "/" not in version and not head.endswith("/") else plain


def version_of(purl: str) -> str:
    """The version that stands in a package URL; empty where there is none."""
    plain = purl.partition("#")[0].partition("?")[0]
    return plain.removeprefix(package_of(purl)).removeprefix("@")


def _findings(purl: str, version: str, advisories: Iterable[Advisory]) -> Iterator[Finding]:
    actual = version or version_of(purl)
    for advisory in advisories:
        if actual and any(is_in_range(actual, wanted) for wanted in advisory.affected):
            yield Finding(purl, advisory.id, advisory.severity, advisory.summary, advisory.fixed_in)


def _data(finding: Finding) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.to_builtins(finding)
    return data


def _advisory_problems(where: str, advisory: Advisory) -> Iterator[FieldProblem]:
    if not 1 <= len(advisory.id) <= ID_LENGTH_MAX or not advisory.id.isprintable():
        yield FieldProblem(f"{where}.id", "is empty, too long or not printable", f"use 1 to {ID_LENGTH_MAX} characters")
    if not advisory.purl.startswith("pkg:") or package_of(advisory.purl) != advisory.purl:
        problem = f"{advisory.purl[:80]!r} is no package URL without a version"
        yield FieldProblem(f"{where}.purl", problem, "use a form such as pkg:npm/left-pad")
    if not 1 <= len(advisory.affected) <= RANGES_MAX:
        problem = f"has {len(advisory.affected)} ranges"
        yield FieldProblem(f"{where}.affected", problem, f"give 1 to {RANGES_MAX} ranges of versions")
    for number, wanted in enumerate(advisory.affected[:RANGES_MAX]):
        yield from range_problems(f"{where}.affected[{number}]", wanted)
    yield from choice_problems(f"{where}.severity", advisory.severity, SEVERITIES)
    if len(advisory.summary) > SUMMARY_LENGTH_MAX:
        problem = f"has {len(advisory.summary)} characters"
        yield FieldProblem(f"{where}.summary", problem, f"use at most {SUMMARY_LENGTH_MAX}")
