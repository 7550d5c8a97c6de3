"""The verbs on templates and bindings. A schedule is made here by `reconcile` alone, and changed by `update` alone.

Each schedule is made in a transaction of its own that holds its binding: one that cannot be made is told with its
reason and holds up no other, and of many who reconcile at once one makes it.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, Literal, TypeAlias, TypeVar

from msgspec import Meta, Struct, structs

from rota.core.bindings import (
    binding_event,
    declared,
    made_if_missing,
    taken_away,
    template_event,
    updated_if_outdated,
    written_template,
)
from rota.core.calendar_rules import require_known_calendars
from rota.core.flags import off_words
from rota.core.schedule_changes import Change
from rota.core.templates import key_problems, parameters_problems, rendered, template_problems
from rota.core.validation import TRIGGERS_MAX
from rota.domain.binding import (
    Binding,
    BindingChange,
    BindingDraft,
    BindingKey,
    Bound,
    Parameters,
    RecordedChange,
    ScheduleTemplate,
    TemplateDraft,
)
from rota.domain.calendar import NamedCalendar, calendar_names
from rota.domain.errors import DomainError, invalid_input
from rota.domain.event import EventDraft
from rota.domain.flag import RECONCILE
from rota.domain.ids import ScheduleId, TenantId, TriggerId
from rota.domain.page import PageRequest
from rota.domain.problems import FieldProblem
from rota.ports.binding_store import BindingFilter, BindingStore, TemplateStore
from rota.ports.calendar_store import CalendarStore
from rota.ports.flag_store import FlagStore
from rota.ports.ids import Ids
from rota.ports.schedule_store import ScheduleStore
from rota.ports.wakeups import Wakeups
from rota.services.acting import Actor
from rota.services.schedule_verbs import CHANGE_TRIES_MAX, SCHEDULES_TOPIC

BINDINGS_AT_ONCE_DEFAULT = 500
BINDINGS_AT_ONCE_MAX = 1_000

Found = TypeVar("Found")

ScheduleFate: TypeAlias = Literal["keep", "delete"]
_Decide: TypeAlias = Callable[[Bound, Change], BindingChange | None]


class WalkRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Which bindings are looked at: all, those of a kind, or one subject; `limit` of them, behind `cursor`.

    `dry_run` tells what would be done, and stores nothing.
    """

    kind: str | None = None
    subject: str | None = None
    dry_run: bool = False
    limit: Annotated[int, Meta(ge=1, le=BINDINGS_AT_ONCE_MAX)] = BINDINGS_AT_ONCE_DEFAULT
    cursor: Annotated[str, Meta(min_length=1, max_length=1_024)] | None = None


class Done(Struct, frozen=True):
    """A binding whose schedule was made or updated; null where it was only said that it would be."""

    kind: str
    subject: str
    schedule_id: ScheduleId | None


class Skipped(Struct, frozen=True):
    """A binding that nothing was done about, since nothing was to be done."""

    kind: str
    subject: str
    reason: str


class Failure(Struct, frozen=True):
    """A binding that could not be dealt with; `code` is as in the list of errors."""

    kind: str
    subject: str
    code: str
    detail: str


FLAG_OFF = "flag_off"


class Walk(Struct, frozen=True):
    """What became of each binding that was looked at. `next_cursor` is None where all were.

    `dry_run`: it is what would become of it. Where that was not asked for, `reason` says why: "flag_off". The
    same reason without `dry_run`: the flag was switched off under way, and the bindings from there on are skipped.
    """

    done: tuple[Done, ...]
    skipped: tuple[Skipped, ...]
    failures: tuple[Failure, ...]
    dry_run: bool
    at: datetime
    next_cursor: str | None
    reason: Literal["flag_off"] | None = None
    message: str = ""


class _HeldError(Exception):
    """The flag is off by now. Its words are the argument."""


class _Verb(Struct, frozen=True):
    """What is done to each binding: `decide`, to one in `wanted` state; `skipped` says why not to another."""

    name: str
    event: str
    wanted: str
    skipped: str
    decide: _Decide


class BindingVerbs:
    """Stateless; shared by every front door."""

    def __init__(
        self,
        templates: TemplateStore,
        bindings: BindingStore,
        schedules: ScheduleStore,
        calendars: CalendarStore,
        ids: Ids,
        wakeups: Wakeups,
        *,
        flags: FlagStore,
    ) -> None:
        self._calendars = calendars
        self._flags = flags
        self._templates = templates
        self._bindings = bindings
        self._schedules = schedules
        self._ids = ids
        self._wakeups = wakeups

    async def put_template(
        self, actor: Actor, name: str, draft: TemplateDraft, expected_version: int | None
    ) -> ScheduleTemplate:
        """Made, or changed; what is as it should be stays at its version. Raises INVALID_INPUT, VERSION_MISMATCH."""
        problems = list(template_problems(name, draft))
        if problems:
            raise invalid_input(problems)

        async def once() -> ScheduleTemplate:
            known = await _found(self._templates.get(actor.tenant_id, name))
            if expected_version is not None and (known is None or known.version != expected_version):
                raise DomainError("VERSION_MISMATCH", f"the template {name!r} is not at version {expected_version}")
            after = written_template(known, actor.tenant_id, name, draft, await self._change(actor))
            if after != known:
                told = RecordedChange((template_event(known, after),), (actor.audit("put", "template", name),))
                await self._templates.put_if_version(after, 0 if known is None else known.version, told)
            return after

        return await _repeated(once, 1 if expected_version is not None else CHANGE_TRIES_MAX)

    async def delete_template(self, actor: Actor, name: str) -> ScheduleTemplate:
        """Raises NOT_FOUND, and STATE_CONFLICT while a binding names it."""
        event = EventDraft("ScheduleTemplateDeleted", actor.tenant_id, name, actor.label)
        told = RecordedChange((event,), (actor.audit("delete", "template", name),))
        return await self._templates.delete(actor.tenant_id, name, told)

    async def declare(self, actor: Actor, key: BindingKey, draft: BindingDraft) -> Binding:
        """That the subject must have a schedule by the template; `reconcile` makes it. Raises INVALID_INPUT, also where
        the template cannot make a schedule of it.
        """
        problems = [*key_problems(key), *parameters_problems("parameters", draft.parameters)]
        if problems:
            raise invalid_input(problems)

        async def once() -> Binding:
            template = await self._template_named(actor.tenant_id, draft.template)
            known = await _found(self._bindings.get(actor.tenant_id, key))
            calendars = await self._calendars_of(template, key, draft.parameters)
            change = structs.replace(await self._change(actor), calendars=calendars)
            after = declared(known, key, draft, template, change)
            if after != known:
                told = RecordedChange((binding_event(known, after),), (actor.audit("declare", "binding", str(key)),))
                await self._bindings.put_if_revision(after, 0 if known is None else known.revision, told)
            return await self._bindings.get(actor.tenant_id, key)

        return await _repeated(once, CHANGE_TRIES_MAX)

    async def delete(self, actor: Actor, key: BindingKey, schedule: ScheduleFate) -> Binding:
        """The subject need not have a schedule any more; the one that it has is kept or deleted. Raises NOT_FOUND."""
        before = await self._bindings.get(actor.tenant_id, key)
        entry = actor.audit("delete", "binding", str(key))

        def decide(bound: Bound, now: datetime) -> BindingChange:
            change = Change(actor.label, now)
            return taken_away(bound, change, entry, with_schedule=schedule == "delete")

        await _repeated(lambda: self._bindings.apply(actor.tenant_id, key, decide), CHANGE_TRIES_MAX)
        self._wakeups.announce(SCHEDULES_TOPIC)
        return before

    async def reconcile(self, actor: Actor, request: WalkRequest) -> Walk:
        """Makes the schedules that are missing."""

        def decide(bound: Bound, change: Change) -> BindingChange | None:
            schedule_id = ScheduleId(self._ids.new_id())
            entry = actor.audit("create", "schedule", schedule_id)
            return made_if_missing(bound, schedule_id, self._trigger_ids(), change, entry)

        verb = _Verb("reconcile", "BindingsReconciled", "missing", "it has its schedule", decide)
        return await self._walk(actor, request, verb)

    async def update(self, actor: Actor, request: WalkRequest) -> Walk:
        """Makes outdated schedules what their templates make now."""

        def decide(bound: Bound, change: Change) -> BindingChange | None:
            entry = actor.audit("update", "schedule", "" if bound.schedule is None else bound.schedule.id)
            return updated_if_outdated(bound, self._trigger_ids(), change, entry)

        verb = _Verb("update", "BindingsUpdated", "outdated", "its schedule is not outdated", decide)
        return await self._walk(actor, request, verb)

    async def _walk(self, actor: Actor, request: WalkRequest, verb: _Verb) -> Walk:
        where = BindingFilter(request.kind, request.subject)
        page = PageRequest(request.limit, cursor=request.cursor, count_max=1)
        found = await self._bindings.page(actor.tenant_id, where, page)
        off = off_words(await self._flags.settings(actor.tenant_id), RECONCILE)
        is_dry = request.dry_run or off is not None
        if is_dry:
            outcomes = [await self._foresee(actor, binding, verb) for binding in found.items]
        else:
            outcomes, off = await self._deal_until_off(actor, found.items, verb)
        walk = Walk(
            tuple(one for one in outcomes if isinstance(one, Done)),
            tuple(one for one in outcomes if isinstance(one, Skipped)),
            tuple(one for one in outcomes if isinstance(one, Failure)),
            is_dry,
            datetime.fromisoformat(await self._schedules.clock()),
            found.next_cursor,
            None if off is None else FLAG_OFF,
            off or "",
        )
        if not request.dry_run:
            await self._record(actor, request, verb, walk)
        return walk

    async def _deal_until_off(
        self, actor: Actor, bindings: Sequence[Binding], verb: _Verb
    ) -> tuple[list[Done | Skipped | Failure], str | None]:
        """With the flag's words, if it was switched off before the last of them."""
        outcomes: list[Done | Skipped | Failure] = []
        try:
            for binding in bindings:
                outcomes.append(await self._deal(actor, binding, verb))  # noqa: PERF401 - what was done by then is told
        except _HeldError as held:
            off = str(held)
            for one in bindings[len(outcomes) :]:
                reason = off if one.state == verb.wanted else verb.skipped
                outcomes.append(Skipped(one.key.kind, one.key.subject, reason))
            return outcomes, off
        return outcomes, None

    async def _deal(self, actor: Actor, binding: Binding, verb: _Verb) -> Done | Skipped | Failure:
        key = binding.key
        if binding.state != verb.wanted:
            return Skipped(key.kind, key.subject, verb.skipped)

        async def once() -> BindingChange | None:
            template = await self._templates.get(actor.tenant_id, binding.template)
            calendars = await self._calendars_of(template, key, binding.parameters)

            def decide(bound: Bound, now: datetime) -> BindingChange | None:
                if bound.off_because is not None:
                    raise _HeldError(bound.off_because)
                return verb.decide(bound, Change(actor.label, now, calendars))

            return await self._bindings.apply(actor.tenant_id, key, decide)

        try:
            change = await _repeated(once, CHANGE_TRIES_MAX)
        except DomainError as refused:
            return _refused(key, refused)
        if change is None or change.binding is None:
            return Skipped(key.kind, key.subject, verb.skipped)
        return Done(key.kind, key.subject, change.binding.schedule_id)

    async def _foresee(self, actor: Actor, binding: Binding, verb: _Verb) -> Done | Skipped | Failure:
        """As `_deal` would answer if nobody else changed anything; it reads only."""
        key = binding.key
        if binding.state != verb.wanted:
            return Skipped(key.kind, key.subject, verb.skipped)
        try:
            template = await self._templates.get(actor.tenant_id, binding.template)
            draft = rendered(template, key, binding.parameters)
            calendars = await self._calendars_of(template, key, binding.parameters)
            require_known_calendars(draft.triggers, calendars, "body.")
        except DomainError as refused:
            return _refused(key, refused)
        known = await self._schedules.find_by_name(actor.tenant_id, draft.name)
        if known is not None and (binding.state == "missing" or known.id != binding.schedule_id):
            return Failure(key.kind, key.subject, "NAME_TAKEN", f"name: {draft.name!r} is the name of another schedule")
        return Done(key.kind, key.subject, None if binding.state == "missing" else binding.schedule_id)

    async def _record(self, actor: Actor, request: WalkRequest, verb: _Verb, walk: Walk) -> None:
        about = "/".join(one for one in (request.kind, request.subject) if one) or "all"
        counts = {"done": len(walk.done), "skipped": len(walk.skipped), "failures": len(walk.failures)}
        events: list[EventDraft] = []
        if not walk.dry_run:
            events.append(EventDraft(verb.event, actor.tenant_id, about, actor.label, counts))
        if walk.reason is not None:
            due = len(walk.done) if walk.dry_run else sum(one.reason == walk.message for one in walk.skipped)
            told = {"verb": verb.name, "reason": walk.message, **counts, "due": due}
            del told["done"]
            events.append(EventDraft("BindingsHeld", actor.tenant_id, about, actor.label, told))
        entry = actor.audit(verb.name, "binding", about)
        await self._bindings.record(actor.tenant_id, RecordedChange(tuple(events), (entry,)))
        if walk.done and not walk.dry_run:
            self._wakeups.announce(SCHEDULES_TOPIC)

    async def _template_named(self, tenant_id: TenantId, name: str) -> ScheduleTemplate:
        template = await _found(self._templates.get(tenant_id, name))
        if template is None:
            problem = FieldProblem("template", f"there is no schedule template {name!r}", "make it, or name another")
            raise invalid_input([problem])
        return template

    async def _change(self, actor: Actor) -> Change:
        return Change(actor.label, datetime.fromisoformat(await self._schedules.clock()))

    async def _calendars_of(
        self, template: ScheduleTemplate, key: BindingKey, parameters: Parameters
    ) -> dict[str, NamedCalendar]:
        """Those that the schedule's triggers name, where any does."""
        triggers = rendered(template, key, parameters).triggers
        names = {name for trigger in triggers for name in calendar_names(trigger)}
        found = await self._calendars.find_named(template.tenant_id, names) if names else ()
        return {one.name: one for one in found}

    def _trigger_ids(self) -> tuple[TriggerId, ...]:
        return tuple(TriggerId(self._ids.new_id()) for _ in range(TRIGGERS_MAX))


def _refused(key: BindingKey, refused: DomainError) -> Failure:
    return Failure(key.kind, key.subject, refused.code, refused.detail)


async def _found(reading: Awaitable[Found]) -> Found | None:
    """What is read, or None where there is no such thing."""
    try:
        return await reading
    except DomainError as refused:
        if refused.code != "NOT_FOUND":
            raise
        return None


async def _repeated(once: Callable[[], Awaitable[Found]], tries: int) -> Found:
    """Again where somebody else was quicker, so many times in all."""
    while True:
        tries -= 1
        try:
            return await once()
        except DomainError as refused:
            if refused.code != "VERSION_MISMATCH" or tries <= 0:
                raise
