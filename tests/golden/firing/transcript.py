"""A transcript: commands, and behind each the plan that it prints.

    # a comment
    > trigger interval every=60            a trigger of schedule "s" (id t1, t2 … in order); cron takes expr="…"
    > policy misfire=fire_all catch_up_max=3
    > live queued=0 running=1
    > plan now=12:05:10
    t1 …                                   what the plan says, one line per decision

Times are of 2 March 2026 UTC, "12:05:10" or with a date in front. Planning applies the plan, so that the next one goes
on from there; the live counts stay as they were given.
"""

import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from msgspec import convert
from msgspec.structs import replace as changed

from rota.core.firing import plan_firing
from rota.core.trigger_times import first_fire
from rota.domain.firing import DueBatch, DueTrigger, TriggerAdvance
from rota.domain.ids import ScheduleId, TenantId, TriggerId
from rota.domain.policies import Policies
from rota.domain.schedule import TriggerState
from rota.domain.triggers import Trigger

SCHEDULE = ScheduleId("5c4ed01e-0000-7000-8000-000000000001")
LINES_MAX = 8


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text if "T" in text else f"2026-03-02T{text}").replace(tzinfo=UTC)


def said(at: datetime | None) -> str:
    if at is None:
        return "never"
    text = at.isoformat(timespec="milliseconds").removesuffix("+00:00").removesuffix(".000")
    return text.removeprefix("2026-03-02T")


class Desk:
    """The state that a transcript's commands work on."""

    def __init__(self) -> None:
        self.policies = Policies()
        self.triggers: list[TriggerState] = []
        self.queued, self.running = 0, 0

    def obey(self, line: str) -> list[str]:
        verb, *words = shlex.split(line)
        flags = {name: value for name, _, value in (word.partition("=") for word in words)}
        return list(getattr(self, f"_{verb}")(flags))

    def _trigger(self, flags: dict[str, str]) -> Iterator[str]:
        word = next(name for name, value in flags.items() if not value)
        kind = {"once": "at"}.get(word, word)
        names = {"every": "every_seconds", "expr": "expression", "jitter": "jitter_seconds"}
        fields: dict[str, Any] = {names.get(name, name): value for name, value in flags.items() if value}
        anchor = instant(fields.pop("anchor", "12:00:00"))
        for name in fields.keys() & {"at", "start_at", "end_at"}:
            fields[name] = instant(fields[name])
        spec: Trigger = convert({"kind": kind, **fields}, Trigger, strict=False)
        fresh = TriggerState(TriggerId(f"t{len(self.triggers) + 1}"), spec, anchor)
        first = first_fire(SCHEDULE, fresh, anchor, self.policies.misfire_grace_seconds)
        self.triggers.append(changed(fresh, next_fire_at=first))
        yield f"{fresh.id} first {said(first)}"

    def _policy(self, flags: dict[str, str]) -> Iterator[str]:
        names = {"grace": "misfire_grace_seconds", "window": "catch_up_window_seconds"}
        given = {names.get(name, name): value for name, value in flags.items()}
        self.policies = changed(self.policies, **{n: _number(value) for n, value in given.items()})
        return iter(())

    def _live(self, flags: dict[str, str]) -> Iterator[str]:
        self.queued, self.running = int(flags.get("queued", 0)), int(flags.get("running", 0))
        return iter(())

    def _plan(self, flags: dict[str, str]) -> Iterator[str]:
        now = instant(flags["now"])
        dues = tuple(self._due(trigger) for trigger in self.triggers if (trigger.next_fire_at or now) <= now)
        advances = plan_firing(DueBatch(now, dues))
        if not advances:
            yield "nothing is due"
        for advance in advances:
            yield from _printed(advance)
            self._apply(advance)

    def _due(self, trigger: TriggerState) -> DueTrigger:
        return DueTrigger(TenantId("acme"), SCHEDULE, 1, "s", trigger, self.policies, self.queued, self.running)

    def _apply(self, advance: TriggerAdvance) -> None:
        place = next(n for n, trigger in enumerate(self.triggers) if trigger.id == advance.trigger_before.id)
        self.triggers[place] = changed(
            self.triggers[place],
            next_fire_at=advance.next_fire_at,
            fired_through=advance.fired_through,
            fires_count=advance.fires_count,
        )


def _number(value: str) -> float | int | str:
    try:
        return int(value)
    except ValueError:
        return value


def _printed(advance: TriggerAdvance) -> Iterator[str]:
    counts = f"late={advance.late_count} dropped={advance.dropped_count} fires={advance.fires_count}"
    cancel = " CANCEL LIVE" if advance.cancel_live else ""
    name = advance.trigger_before.id
    yield f"{name} through {said(advance.fired_through)} next {said(advance.next_fire_at)} {counts}{cancel}"
    yield from _bounded([f"  run  {said(run.fire_at)}{_delay(run.delay_seconds)} {run.reason}" for run in advance.runs])
    yield from _bounded([f"  skip {said(skip.fire_at)} {skip.reason}" for skip in advance.skipped])


def _delay(seconds: float) -> str:
    return f" +{seconds:.3f}s" if seconds else ""


def _bounded(lines: list[str]) -> list[str]:
    if len(lines) <= LINES_MAX:
        return lines
    half = LINES_MAX // 2
    return [*lines[:half], f"  … {len(lines) - 2 * half} more …", *lines[-half:]]


def replayed(text: str) -> str:
    """`text` with the answers that its commands give now."""
    desk = Desk()
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith(">"):
            lines += [line, *desk.obey(line[1:])]
        elif line.startswith("#") or not line:
            lines.append(line)
    return "\n".join(lines) + "\n"
