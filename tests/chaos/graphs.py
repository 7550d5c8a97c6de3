"""Runs that wait for others: small graphs, planned from the seed, as the API takes them.

Each graph is one call. Some of its nodes also wait for one of the graph before it, which may have ended by then.
"""

import random  # noqa: TID251 - a seeded stream of its own, so that a run can be repeated
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from tests.chaos.facts import PlannedNode, Rule

GRAPHS_PER_SECOND = 1.0
NODES = 5
UPSTREAMS_MAX = 3
FAILING_SHARE = 0.25
EARLIER_SHARE = 0.3
# The last graphs have this long before the run ends.
LAST_GRAPH_SECONDS = 5.0
RULES: tuple[Rule, ...] = ("all_succeeded", "any_succeeded", "always")


class PlannedGraph(Struct, frozen=True):
    """What is asked for at `at_us`, in one call."""

    at_us: int
    nodes: tuple[PlannedNode, ...]


def plan_graphs(dice: random.Random, start_us: int, end_us: int) -> Iterator[PlannedGraph]:
    earlier: tuple[PlannedNode, ...] = ()
    spacing_us = round(1e6 / GRAPHS_PER_SECOND)
    last_us = end_us - round(LAST_GRAPH_SECONDS * 1e6)
    for place, at_us in enumerate(range(start_us, last_us, spacing_us)):
        nodes: list[PlannedNode] = []
        for no in range(NODES):
            upstreams = [node.name for node in dice.sample(nodes, dice.randint(0, min(no, UPSTREAMS_MAX)))]
            if earlier and dice.random() < EARLIER_SHARE:
                upstreams.append(dice.choice(earlier).name)
            fails = dice.random() < FAILING_SHARE
            nodes.append(PlannedNode(f"graph-{place:04d}/{no}", tuple(upstreams), dice.choice(RULES), fails))
        earlier = tuple(nodes)
        yield PlannedGraph(at_us, earlier)


def graph_body(graph: PlannedGraph) -> list[dict[str, Any]]:
    """Each node under its name as key: asked for again, it is the same run."""
    own = {node.name for node in graph.nodes}
    return [
        {
            "name": node.name,
            "idempotency_key": node.name,
            "task": "chaos.node",
            "args": {"trigger": node.name, "fails": node.fails},
            "depends_on": [{"name" if upstream in own else "key": upstream} for upstream in node.upstreams],
            "when": node.rule,
            "policy": {
                "timeout_seconds": 60,
                "retry": {"base_seconds": 0.1, "factor": 1.5, "cap_seconds": 1, "attempts_max": 50},
            },
        }
        for node in graph.nodes
    ]
