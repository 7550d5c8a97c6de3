"""Graphs, overlays and judgements; the law of incremental judging, and the order of versions."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.core.graph_build import DEPTH_MAX, build_graph, sbom_problems, snapshot_id
from rota.core.graph_overlay import overlay, package_of
from rota.core.job_ends import possible_moves, state_after
from rota.core.job_execution import execute
from rota.core.packing import pack, unpack
from rota.core.policy_evaluation import judge, judge_changes
from rota.core.version_ranges import is_in_range, range_problems, version_key
from rota.domain.errors import DomainError
from rota.domain.graph_job import SEVERITIES, Advisory, Finding, Graph, GraphNode
from rota.domain.ids import RunId
from rota.domain.jobs import JOB_LIFECYCLE, UNPACKED_BYTES_MAX, JobEnd
from rota.domain.policy_job import IgnoreRule, PolicyRules
from tests.contract.stores import START
from tests.samples import advisories, sbom

IN_ORDER = [
    "0.9", "1.0-alpha", "1.0.0-alpha.1", "1.0-beta", "1.0-rc1", "1.0-rc2", "1.0-rc10", "1.0", "1.0.0.1", "1.0.1-rc1",
    "1.0.1", "1.2", "1.10", "2.0-dev", "v2", "10",
]  # fmt: skip
SUBJECTS = [f"pkg:npm/p{number}@1" for number in range(4)]
PARTS = st.text("abc019.-", min_size=1, max_size=8)
FINDINGS = st.builds(Finding, st.sampled_from(SUBJECTS), st.sampled_from(["A", "B", "C"]), st.sampled_from(SEVERITIES))
RULES = st.builds(
    PolicyRules,
    st.sampled_from(SEVERITIES),
    st.lists(st.builds(IgnoreRule, st.sampled_from(["A", "B"]), st.none() | st.sampled_from(SUBJECTS)), max_size=3).map(
        tuple
    ),
    st.none() | st.just(("MIT",)),
)
LICENCES: tuple[tuple[str, ...], ...] = (("MIT",), ("GPL",), ("GPL OR MIT",), ())
GRAPH = Graph(
    tuple(
        GraphNode(subject, subject, "p", "1", "library", licences)
        for subject, licences in zip(SUBJECTS, LICENCES, strict=True)
    ),
    (),
)


def by_key(findings: list[Finding]) -> dict[tuple[str, str], Finding]:
    return {finding.key: finding for finding in findings}


@given(st.lists(FINDINGS), st.lists(FINDINGS), RULES)
def test_judging_what_changed_gives_what_judging_everything_gives(
    before: list[Finding], after: list[Finding], rules: PolicyRules
) -> None:
    old, new = by_key(before), by_key(after)
    incremental, judged_count = judge_changes(new, old, judge(GRAPH, old, rules), rules)
    assert incremental == judge(GRAPH, new, rules)
    assert judged_count == sum(old.get(key) != finding for key, finding in new.items())


def test_versions_have_an_order() -> None:
    assert [*map(version_key, IN_ORDER)] == sorted(map(version_key, IN_ORDER))
    assert len({version_key(one) for one in IN_ORDER}) == len(IN_ORDER)
    assert len({version_key(one) for one in ("1", "1.0", "v1.0.0", "1.0+build.7")}) == 1


@given(PARTS, PARTS)
def test_exactly_one_of_less_equal_and_greater_holds(one: str, other: str) -> None:
    bound = other.replace(",", "") or "0"
    assert sum(is_in_range(one, f"{sign}{bound}") for sign in ("<", "=", ">")) == 1


@pytest.mark.parametrize(
    ("version", "wanted", "inside"),
    [
        ("6.5.2", "<6.5.3", True),
        ("6.5.3", "<6.5.3", False),
        ("1.4.1", ">=1.2.0, <1.4.2", True),
        ("1.4.2", ">=1.2.0, <1.4.2", False),
        ("3.0.0-rc2", "<3.0.0", True),
        ("1.2.3", "1.2.3", True),
        ("1.2.3", "!=1.2.3", False),
        ("1.2.3", ">1, <=2, !=1.2.3", False),
    ],
)
def test_all_conditions_of_a_range_hold(version: str, wanted: str, *, inside: bool) -> None:
    assert is_in_range(version, wanted) is inside


@pytest.mark.parametrize("wrong", ["", "<", "1 2", "=>1", ">=1,", ">=1 <2", "x" * 501])
def test_what_is_no_range_is_refused(wrong: str) -> None:
    assert [one.field for one in range_problems("f", wrong)] == ["f"]


def test_the_sample_becomes_a_graph_with_nested_components_and_without_dangling_edges() -> None:
    graph, dropped = build_graph(sbom())
    assert (len(graph.nodes), len(graph.edges), dropped) == (7, 5, 1)
    assert {node.name for node in graph.nodes} >= {"shop-web", "tinyssl", "acme/base"}
    assert ("pkg:pypi/cryptofoo@41.0.0", "vendored-tinyssl") in graph.edges
    turned = sbom()
    turned["components"].reverse()
    assert snapshot_id(build_graph(turned)[0]) == snapshot_id(graph)
    turned["components"][0]["version"] = "12.1"
    assert snapshot_id(build_graph(turned)[0]) != snapshot_id(graph)


def test_an_advisory_concerns_the_versions_in_its_ranges_alone() -> None:
    found = overlay(build_graph(sbom())[0], msgspec.convert(advisories(), list[Advisory]))
    assert [(one.purl, one.advisory_id) for one in found] == [
        ("pkg:generic/tinyssl@3.0.0-rc2", "DEMO-2026-0003"),
        ("pkg:npm/express@4.19.1", "DEMO-2026-0004"),
        ("pkg:npm/qs@6.5.2", "DEMO-2026-0001"),
    ]


@pytest.mark.parametrize(
    ("purl", "package"),
    [
        ("pkg:npm/qs@6.5.2", "pkg:npm/qs"),
        ("pkg:npm/%40acme/shop@2", "pkg:npm/%40acme/shop"),
        ("pkg:npm/@acme/shop", "pkg:npm/@acme/shop"),
        ("pkg:deb/debian/curl@7?arch=amd64#lib", "pkg:deb/debian/curl"),
        ("pkg:npm/qs", "pkg:npm/qs"),
    ],
)
def test_a_package_is_its_url_without_the_version(purl: str, package: str) -> None:
    assert package_of(purl) == package


def nested(levels: int) -> dict[str, Any]:
    component: dict[str, Any] = {"name": f"c{levels}"}
    for level in range(levels):
        component = {"name": f"c{level}", "components": [component]}
    return component


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"bomFormat": "SPDX"}, "s.bomFormat"),
        ({"components": None}, "s.components"),
        ({"components": ["x"]}, "s.components[0]"),
        ({"components": [{"name": "a"}, {"name": 7}]}, "s.components[1].name"),
        ({"components": [{"name": "a", "version": 1}]}, "s.components[0].version"),
        ({"components": [{"name": "a"}, {"name": "a"}]}, "s.components[1].bom-ref"),
        ({"components": [{"name": "a", "components": [{"name": ""}]}]}, "s.components[0].components[0].name"),
        ({"components": [nested(DEPTH_MAX + 1)]}, "s.components[0]" + ".components[0]" * DEPTH_MAX),
        ({"dependencies": [{}]}, "s.dependencies[0].ref"),
        ({"dependencies": [{"ref": "a", "dependsOn": [1]}]}, "s.dependencies[0].dependsOn"),
    ],
)
def test_what_is_wrong_with_a_document_is_named(changes: dict[str, Any], field: str) -> None:
    document = {"bomFormat": "CycloneDX", "components": [], **changes}
    assert [one.field for one in sbom_problems("s", document)] == [field]


def test_the_sample_has_nothing_wrong() -> None:
    assert list(sbom_problems("s", sbom())) == []


def test_what_is_packed_is_bounded_when_it_is_unpacked() -> None:
    assert unpack(pack({"b": 1, "a": 2})) == b'{"a":2,"b":1}'
    for wrong in (b"", b"nonsense", pack(list(range(100)))[:-5], pack("x" * UNPACKED_BYTES_MAX)):
        with pytest.raises(DomainError):
            unpack(wrong)


@pytest.mark.parametrize("kind", ["overlay", "full", "incremental"])
def test_a_document_that_is_gone_is_said_to_be(kind: str) -> None:
    with pytest.raises(DomainError) as gone:
        execute(kind, {"input": (pack({"rules": {}} if kind != "overlay" else []),), "graph": ()})
    assert gone.value.problems[0].field == "graph"


def test_a_job_comes_into_a_state_by_the_table_alone() -> None:
    ends = {state: JobEnd(RunId("r"), state, START, "") for state in ("succeeded", "failed", "cancelled", "skipped")}
    for state in JOB_LIFECYCLE.states:
        after = {run_state: state_after(state, end) for run_state, end in ends.items()}
        if state in JOB_LIFECYCLE.terminal:
            assert set(after.values()) == {None}
        else:
            expected = {"succeeded": "succeeded" if state == "running" else "failed"}
            assert after == {"failed": "failed", "cancelled": "cancelled", "skipped": "cancelled"} | expected
    assert {move.source for move in possible_moves()} == {"queued", "running"}
