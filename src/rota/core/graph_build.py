"""From a CycloneDX document in JSON to a dependency graph. Pure; the order within the document does not matter.

Components stand in `components`, nested ones too, and in `metadata.component`; `dependencies` has the edges. A
dependency on a ref that no component has is left out and counted: documents in the wild have such.
"""

from collections.abc import Iterator
from typing import Any, cast

from rota.core.packing import content_hash
from rota.domain.graph_job import COMPONENTS_MAX, EDGES_MAX, Graph, GraphNode
from rota.domain.jobs import JobItem, JobResult
from rota.domain.problems import FieldProblem

DEPTH_MAX = 32
TEXT_MAX = 2_000
SNAPSHOT_PREFIX = "gs_"

_SEND_COMPONENTS = "send the components as CycloneDX lists them"


def sbom_problems(field: str, document: dict[str, Any]) -> Iterator[FieldProblem]:
    """What keeps a graph from being built; the first few only."""
    if document.get("bomFormat") != "CycloneDX":
        yield FieldProblem(f"{field}.bomFormat", "is not 'CycloneDX'", "send a CycloneDX document in JSON")
        return
    if not isinstance(document.get("components"), list):
        yield FieldProblem(f"{field}.components", "is missing or no list", _SEND_COMPONENTS)
        return
    seen: set[str] = set()
    for count, (place, component, depth) in enumerate(_components(document), 1):
        where = f"{field}.{place}"
        if count > COMPONENTS_MAX:
            yield FieldProblem(field, f"has more than {COMPONENTS_MAX} components", "split the document")
            return
        problem = _component_problem(where, component, depth, seen)
        if problem is not None:
            yield problem
            return
    yield from _dependency_problems(field, document)


def build_graph(document: dict[str, Any]) -> tuple[Graph, int]:
    """The graph of a document that `sbom_problems` has found in order, and how many dependencies were left out."""
    nodes = {node.ref: node for node in (_node(component) for _, component, _ in _components(document))}
    edges: set[tuple[str, str]] = set()
    dropped = 0
    for entry in _dependencies(document):
        for target in cast("list[str]", entry.get("dependsOn", [])):
            if entry["ref"] in nodes and target in nodes:
                edges.add((entry["ref"], target))
            else:
                dropped += 1
    return Graph(tuple(nodes[ref] for ref in sorted(nodes)), tuple(sorted(edges))), dropped


def snapshot_id(graph: Graph) -> str:
    """The same graph has the same id, wherever and whenever it was built."""
    return f"{SNAPSHOT_PREFIX}{content_hash(graph)}"


def built(document: dict[str, Any]) -> JobResult:
    """The result of a build."""
    graph, dropped = build_graph(document)
    items = [
        *(JobItem("node", node.subject, _node_data(node)) for node in graph.nodes),
        *(JobItem("edge", source, {"from": source, "to": target}) for source, target in graph.edges),
    ]
    summary = {
        "components_count": len(graph.nodes),
        "dependencies_count": len(graph.edges),
        "dropped_dependencies_count": dropped,
    }
    return JobResult(tuple(items), snapshot_id(graph), summary)


def graph_of(items: tuple[JobItem, ...]) -> Graph:
    """The graph that a build has stored."""
    nodes = tuple(_stored_node(item.data) for item in items if item.part == "node")
    return Graph(nodes, tuple((item.data["from"], item.data["to"]) for item in items if item.part == "edge"))


def _node_data(node: GraphNode) -> dict[str, Any]:
    return {
        "ref": node.ref,
        "purl": node.purl,
        "name": node.name,
        "version": node.version,
        "kind": node.kind,
        "licences": list(node.licences),
    }


def _stored_node(data: dict[str, Any]) -> GraphNode:
    return GraphNode(data["ref"], data["purl"], data["name"], data["version"], data["kind"], tuple(data["licences"]))


def _components(document: dict[str, Any]) -> Iterator[tuple[str, Any, int]]:
    """Where each stands, what it is (perhaps no component at all), and how deep."""
    metadata = document.get("metadata")
    if isinstance(metadata, dict) and "component" in metadata:
        yield from _nested("metadata.component", cast("dict[str, Any]", metadata)["component"], 1)
    for place, component in enumerate(cast("list[Any]", document["components"])):
        yield from _nested(f"components[{place}]", component, 1)


def _nested(place: str, component: object, depth: int) -> Iterator[tuple[str, Any, int]]:
    yield place, component, depth
    inner = cast("dict[str, Any]", component).get("components") if isinstance(component, dict) else None
    if isinstance(inner, list) and depth <= DEPTH_MAX:
        for number, one in enumerate(cast("list[Any]", inner)):
            yield from _nested(f"{place}.components[{number}]", one, depth + 1)


def _component_problem(where: str, component: object, depth: int, seen: set[str]) -> FieldProblem | None:
    if not isinstance(component, dict):
        return FieldProblem(where, "is no object", _SEND_COMPONENTS)
    given = cast("dict[str, Any]", component)
    if depth > DEPTH_MAX:
        return FieldProblem(where, f"is nested deeper than {DEPTH_MAX} components", "flatten the document")
    if not isinstance(given.get("name"), str) or not given["name"]:
        return FieldProblem(f"{where}.name", "is missing or no text", "name every component")
    for name in ("version", "purl", "bom-ref", "type"):
        if not isinstance(given.get(name, ""), str) or len(given.get(name, "")) > TEXT_MAX:
            return FieldProblem(f"{where}.{name}", f"is no text of at most {TEXT_MAX} characters", "send text")
    if not isinstance(given.get("licenses", []), list):
        return FieldProblem(f"{where}.licenses", "is no list", "list the licences as CycloneDX does")
    ref = _ref(given)
    if ref in seen:
        return FieldProblem(f"{where}.bom-ref", f"{ref!r} stands twice", "give every component a bom-ref of its own")
    seen.add(ref)
    return None


def _dependency_problems(field: str, document: dict[str, Any]) -> Iterator[FieldProblem]:
    listed = document.get("dependencies", [])
    if not isinstance(listed, list):
        yield FieldProblem(f"{field}.dependencies", "is no list", "list them as CycloneDX does")
        return
    count = 0
    for place, entry in enumerate(cast("list[Any]", listed)):
        where = f"{field}.dependencies[{place}]"
        if not isinstance(entry, dict) or not isinstance(cast("dict[str, Any]", entry).get("ref"), str):
            yield FieldProblem(f"{where}.ref", "is missing or no text", "name the component by its bom-ref")
            return
        targets = cast("dict[str, Any]", entry).get("dependsOn", [])
        if not isinstance(targets, list) or not all(isinstance(one, str) for one in cast("list[Any]", targets)):
            yield FieldProblem(f"{where}.dependsOn", "is no list of texts", "list the bom-refs that it depends on")
            return
        count += len(cast("list[Any]", targets))
    if count > EDGES_MAX:
        yield FieldProblem(f"{field}.dependencies", f"has more than {EDGES_MAX} edges", "split the document")


def _dependencies(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from cast("list[dict[str, Any]]", document.get("dependencies", []))


def _ref(component: dict[str, Any]) -> str:
    named = component.get("bom-ref") or component.get("purl")
    return named or f"{component['name']}@{component.get('version', '')}"


def _node(component: dict[str, Any]) -> GraphNode:
    licences = {licence for entry in component.get("licenses", []) for licence in _licences(entry)}
    return GraphNode(
        ref=_ref(component),
        purl=component.get("purl", ""),
        name=component["name"],
        version=component.get("version", ""),
        kind=component.get("type", "library"),
        licences=tuple(sorted(licences)),
    )


def _licences(entry: object) -> Iterator[str]:
    if not isinstance(entry, dict):
        return
    given = cast("dict[str, Any]", entry)
    licence = given.get("license")
    named = cast("dict[str, Any]", licence) if isinstance(licence, dict) else {}
    text = given.get("expression") or named.get("id") or named.get("name")
    if isinstance(text, str) and text:
        yield text[:TEXT_MAX]
