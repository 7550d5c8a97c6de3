"""Manifests: a file of schedules in, the changes that make a tenant's schedules match it out.

It decides what differs and in which order it is applied. It reads no file and calls nothing: `rota apply` and
`rota diff` hand it the parsed document and the schedules that exist.

A schedule is known by its name within the tenant. What the manifest does not name is left alone, unless `prune` is
asked for: then schedules that an earlier apply labelled as managed, and that the manifest no longer names, are deleted.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, cast

import msgspec
from msgspec import Struct, structs

from rota.core.input_reading import read_struct
from rota.domain.errors import DomainError, invalid_input
from rota.domain.problems import FieldProblem
from rota.domain.schedule import ScheduleDraft

SCHEDULES_MAX = 10_000
MANAGED_LABEL = "rota.manifest"

Verb: TypeAlias = Literal["create", "replace", "delete", "unchanged"]


class ExistingSchedule(Struct, frozen=True):
    """What the tenant has under one name: its id and version, and the draft that would make it again."""

    id: str
    etag: str
    draft: ScheduleDraft


class FieldDifference(Struct, frozen=True):
    """One field that the manifest changes; None stands for a field that is not there."""

    field: str
    before: Any
    after: Any


class ManifestStep(Struct, frozen=True):
    """One schedule's way from what is to what shall be."""

    verb: Verb
    name: str
    draft: ScheduleDraft | None
    existing: ExistingSchedule | None
    differences: tuple[FieldDifference, ...] = ()


def read_manifest(document: object, *, managed_as: str | None = None) -> tuple[ScheduleDraft, ...]:
    """The schedules of a parsed manifest: `{"schedules": [...]}`. Raises INVALID_INPUT naming every wrong entry.

    `managed_as` labels each schedule, so that a later `prune` knows its own.
    """
    entries = _entries(document)
    drafts: list[ScheduleDraft] = []
    problems: list[FieldProblem] = []
    for position, entry in enumerate(entries):
        try:
            drafts.append(read_struct(entry, ScheduleDraft))
        except DomainError as wrong:
            problems.extend(problem.under(f"schedules[{position}]") for problem in wrong.problems)
    problems.extend(_repeated_names(drafts))
    if problems:
        raise invalid_input(problems)
    return tuple(_labelled(draft, managed_as) for draft in drafts)


def _entries(document: object) -> list[object]:
    if not isinstance(document, dict):
        raise invalid_input([FieldProblem("", "the manifest is no mapping", "begin it with `schedules:` and a list")])
    fields = cast("dict[object, object]", document)
    unknown = sorted(str(name) for name in fields if name != "schedules")
    if unknown:
        raise invalid_input(
            [FieldProblem(name, "is not known in a manifest", "keep only `schedules`") for name in unknown]
        )
    entries = fields.get("schedules")
    if not isinstance(entries, list):
        raise invalid_input([FieldProblem("schedules", "is missing or no list", "give a list of schedules")])
    if not entries:  # which would read as "delete all" under --prune
        remedy = "name at least one; delete the last ones by `rota schedule delete`"
        raise invalid_input([FieldProblem("schedules", "is empty", remedy)])
    listed = cast("list[object]", entries)
    if len(listed) > SCHEDULES_MAX:
        raise invalid_input([FieldProblem("schedules", f"has more than {SCHEDULES_MAX} entries", "split the manifest")])
    return listed


def _repeated_names(drafts: Iterable[ScheduleDraft]) -> list[FieldProblem]:
    seen: set[str] = set()
    repeated: list[FieldProblem] = []
    for draft in drafts:
        if draft.name in seen:
            repeated.append(
                FieldProblem("schedules", f"the name {draft.name!r} stands twice", "give each its own name")
            )
        seen.add(draft.name)
    return repeated


def _labelled(draft: ScheduleDraft, managed_as: str | None) -> ScheduleDraft:
    return draft if managed_as is None else structs.replace(draft, labels={**draft.labels, MANAGED_LABEL: managed_as})


def plan_manifest(
    wanted: Iterable[ScheduleDraft], existing: Mapping[str, ExistingSchedule], *, prune_label: str | None = None
) -> tuple[ManifestStep, ...]:
    """The steps in the order of the manifest, deletions last. What is in place plans nothing but `unchanged`."""
    steps = [_step(draft, existing.get(draft.name)) for draft in wanted]
    if prune_label is None:
        return tuple(steps)
    named = {step.name for step in steps}
    gone = [
        ManifestStep("delete", name, None, schedule)
        for name, schedule in sorted(existing.items())
        if name not in named and schedule.draft.labels.get(MANAGED_LABEL) == prune_label
    ]
    return (*steps, *gone)


def _step(draft: ScheduleDraft, existing: ExistingSchedule | None) -> ManifestStep:
    if existing is None:
        return ManifestStep("create", draft.name, draft, None)
    differences = field_differences(existing.draft, draft)
    return ManifestStep("replace" if differences else "unchanged", draft.name, draft, existing, differences)


def field_differences(before: ScheduleDraft, after: ScheduleDraft) -> tuple[FieldDifference, ...]:
    """Every leaf in which two drafts differ, defaults filled in on both sides, in order of field."""
    old, new = _leaves(_plain(before)), _leaves(_plain(after))
    changed = [field for field in sorted(old.keys() | new.keys()) if old.get(field) != new.get(field)]
    # A container that fills or empties is told by what it held; its own emptiness would be said twice.
    told = [field for field in changed if not any(other.startswith((f"{field}.", f"{field}[")) for other in changed)]
    return tuple(FieldDifference(field, old.get(field), new.get(field)) for field in told)


def _plain(value: object) -> object:
    """A value as mappings, lists and scalars, with every default that an encoder might leave out."""
    if isinstance(value, Struct):
        config = value.__struct_config__
        kind = {config.tag_field: config.tag} if config.tag_field else {}
        return kind | {name: _plain(inner) for name, inner in structs.asdict(value).items()}
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in cast("dict[str, object]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in cast("Sequence[object]", value)]
    return msgspec.to_builtins(value)


def _leaves(value: object, at: str = "") -> dict[str, Any]:
    """A nested value as one flat mapping from paths to leaves."""
    if isinstance(value, dict) and value:
        named = cast("dict[str, object]", value)
        pairs = [(f"{at}.{name}" if at else name, inner) for name, inner in named.items()]
    elif isinstance(value, (list, tuple)) and value:
        listed = cast("Sequence[object]", value)
        pairs = [(f"{at}[{position}]", inner) for position, inner in enumerate(listed)]
    else:
        return {at: value}
    return {path: leaf for prefix, inner in pairs for path, leaf in _leaves(inner, prefix).items()}
