"""What becomes of a run that waits for others, and what is wrong with the graph of one call.

A run is released only when all its upstreams have ended. It is skipped as soon as its rule cannot hold any more.
"""

from collections.abc import Iterator, Sequence

from rota.core.field_rules import KEY_RULE, text_problems
from rota.domain.dependencies import DEPENDENCIES_MAX, DependencyRule, Verdict
from rota.domain.problems import FieldProblem
from rota.domain.run import RunDraft


def decide(rule: DependencyRule, states: Sequence[str | None]) -> Verdict:
    """By the last states of the upstreams, None for those that have not ended."""
    is_open = None in states
    if rule == "all_succeeded" and any(state not in (None, "succeeded") for state in states):
        return "skip"
    if is_open:
        return "wait"
    return "skip" if rule == "any_succeeded" and "succeeded" not in states else "release"


def graph_problems(drafts: Sequence[RunDraft]) -> Iterator[FieldProblem]:
    """Names that are missing or used twice, runs that would wait for themselves. Fields begin with the draft's place
    where there are several.
    """
    names: dict[str, int] = {}
    for place, draft in enumerate(drafts):
        prefix = _prefix(place, drafts)
        if draft.name is not None:
            yield from text_problems(f"{prefix}name", draft.name, KEY_RULE)
            if names.setdefault(draft.name, place) != place:
                first = names[draft.name]
                yield FieldProblem(f"{prefix}name", f"{draft.name!r} is the name of [{first}]", "give each its own")
    for place, draft in enumerate(drafts):
        for problem in _own_problems(draft, names):
            yield FieldProblem(_prefix(place, drafts) + problem.field, problem.problem, problem.remedy)
    circle = _first_circle(drafts, names)
    if circle is not None:
        place, text = circle
        remedy = "leave one of these dependencies out"
        yield FieldProblem(f"{_prefix(place, drafts)}depends_on", f"closes a circle: {text}", remedy)


def _prefix(place: int, drafts: Sequence[RunDraft]) -> str:
    return f"[{place}]." if len(drafts) > 1 else ""


def _own_problems(draft: RunDraft, names: dict[str, int]) -> Iterator[FieldProblem]:
    if draft.name is not None and draft.unique is not None:
        yield FieldProblem("unique", "stands beside name, and this run may not be made", "leave one of them out")
    if len(draft.depends_on) > DEPENDENCIES_MAX:
        remedy = f"wait for at most {DEPENDENCIES_MAX}; put a run in between"
        yield FieldProblem("depends_on", f"names {len(draft.depends_on)} runs", remedy)
    for place, upstream in enumerate(draft.depends_on):
        field = f"depends_on[{place}]"
        if len([one for one in (upstream.run_id, upstream.key, upstream.name) if one is not None]) != 1:
            yield FieldProblem(field, "does not name one run", "give one of run_id, key and name")
        elif upstream.name is not None and upstream.name not in names:
            yield FieldProblem(
                f"{field}.name", f"no run of this call has the name {upstream.name!r}", "name one that has"
            )


def _first_circle(drafts: Sequence[RunDraft], names: dict[str, int]) -> tuple[int, str] | None:
    """A run that waits for itself, and the names on the way round: what is left without those that can end."""
    waits_for = {
        place: {names[one.name] for one in draft.depends_on if one.name is not None and one.name in names}
        for place, draft in enumerate(drafts)
        if draft.depends_on
    }
    dependents: dict[int, list[int]] = {}
    for place, upstreams in waits_for.items():
        for upstream in upstreams:
            dependents.setdefault(upstream, []).append(place)
    ready = [place for place in range(len(drafts)) if not waits_for.get(place)]
    while ready:
        for place in dependents.get(ready.pop(), ()):
            upstreams = waits_for[place]
            upstreams -= {one for one in upstreams if not waits_for.get(one)}
            if not upstreams:
                ready.append(place)
    left = [place for place, upstreams in waits_for.items() if upstreams]
    if not left:
        return None
    path = [left[0]]
    while path.count(path[-1]) == 1:
        path.append(min(waits_for[path[-1]]))
    circle = path[path.index(path[-1]) :]
    return circle[0], " waits for ".join(str(drafts[place].name) for place in circle)
