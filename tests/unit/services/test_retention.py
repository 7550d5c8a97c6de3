"""The duty and the verbs, over a store that keeps count."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

import pytest

from rota.domain.errors import DomainError, Unavailable
from rota.domain.ids import Epoch, TenantId, TokenId
from rota.domain.lease import Fence
from rota.domain.retention import KINDS, DropOutcome, HistoryDay, PrunedStretch, RetentionRule, RetentionRules
from rota.domain.tenancy import AuditEntry
from rota.ports.retention_store import OnRules
from rota.services.acting import Actor
from rota.services.retention import BUSY_SECONDS, FIRST_AFTER_SECONDS, HOUR_SECONDS, Retention, RetentionDuty
from tests.unit.services.virtual_time import FixedLeadership, VirtualClock

NOW = datetime(2026, 6, 1, tzinfo=UTC)
OLD = date(2026, 1, 1)
ADA = Actor(TenantId("acme"), "ada", TokenId("t"), "platform_admin", "req-1")
FENCE = Fence("leader", Epoch(1), "me")


class CountingStore:
    """`days` are its history; each answer to `drop_if_aged` is the next of `outcomes`."""

    def __init__(self, *days: HistoryDay, outcomes: tuple[DropOutcome, ...] = (), pages: int = 1) -> None:
        self.days = list(days)
        self.outcomes = list(outcomes)
        self.pages = pages
        self.dropped: list[tuple[str, date, str]] = []
        self.away: set[str] = set()
        self.stretches: dict[str, int] = {}
        self.looks = 0

    async def rules(self) -> RetentionRules:
        self.looks += 1
        return RetentionRules(NOW, tuple(RetentionRule(kind, known.keep_days) for kind, known in KINDS.items()))

    async def change(self, decide: OnRules, audit: AuditEntry) -> RetentionRules:
        self.changed: tuple[Mapping[str, int], AuditEntry] = (decide(await self.rules()), audit)
        return await self.rules()

    async def days_until(self, until: datetime) -> tuple[HistoryDay, ...]:
        return tuple(one for one in self.days if one.day < until.date())

    async def drop_if_aged(self, kind: str, day: date, audit: AuditEntry) -> DropOutcome:
        if kind in self.away:
            raise Unavailable(f"{kind} took too long")
        self.dropped.append((kind, day, audit.actor))
        return self.outcomes.pop(0) if self.outcomes else "dropped"

    async def prune_stretch(self, kind: str, from_page: int, pages: int) -> PrunedStretch:
        assert not KINDS[kind].by_day
        if kind in self.away:
            raise Unavailable(f"{kind} took too long")
        self.stretches[kind] = pages
        following = from_page + pages
        return PrunedStretch(1, following if following < self.pages else None)


def day(kind: str = "events", ago_days: int = 0, *, is_needed: bool = False) -> HistoryDay:
    return HistoryDay(kind, OLD - timedelta(days=ago_days), 10, None, is_needed)


async def test_a_plan_drops_nothing_and_names_what_is_over() -> None:
    store = CountingStore(day(), day("runs", is_needed=True), HistoryDay("events", NOW.date(), 1, 1, False))
    plan = await Retention(store, VirtualClock()).plan()
    assert plan.dry_run
    assert not plan.is_done
    assert [(one.kind, one.day, one.outcome) for one in plan.days] == [("events", OLD, "due"), ("runs", OLD, "needed")]
    assert store.dropped == []


async def test_applying_drops_what_is_over_in_the_name_of_who_asked_and_leaves_what_is_needed() -> None:
    store = CountingStore(day(), day("runs", is_needed=True))
    done = await Retention(store, VirtualClock()).apply(ADA.audit("apply", "retention", ""))
    assert store.dropped == [("events", OLD, ADA.label)]
    assert [(one.kind, one.outcome) for one in done.days] == [("events", "dropped"), ("runs", "needed")]
    assert done.deleted == dict.fromkeys((kind for kind, known in KINDS.items() if not known.by_day), 1)
    assert (done.dry_run, done.is_done) == (False, True)


async def test_what_others_are_at_work_in_is_not_done() -> None:
    store = CountingStore(day(), outcomes=("busy",))
    assert not (await Retention(store, VirtualClock()).apply()).is_done


async def test_a_request_prunes_a_bounded_part_and_says_that_there_is_more() -> None:
    store = CountingStore(pages=10**9)
    clock = VirtualClock()
    applying = asyncio.create_task(Retention(store, clock).apply(stretches_max=3))
    await clock.run_for(60.0)
    done = applying.result()
    assert done.deleted == dict.fromkeys((kind for kind, known in KINDS.items() if not known.by_day), 3)
    assert not done.is_done


async def test_a_kind_that_cannot_be_pruned_holds_up_no_other_and_is_told() -> None:
    store = CountingStore(day("runs"), day(), day("runs", 1))
    store.away = {"runs", "graph_jobs"}
    with pytest.raises(Unavailable, match="runs took too long"):
        await Retention(store, VirtualClock()).apply()
    assert [kind for kind, _, _ in store.dropped] == ["events"]
    assert store.stretches.keys() == {kind for kind, known in KINDS.items() if not known.by_day} - store.away


async def test_of_jobs_whose_rows_carry_documents_a_stretch_is_short() -> None:
    store = CountingStore()
    await Retention(store, VirtualClock()).apply()
    assert {kind for kind, pages in store.stretches.items() if pages <= 48} == {"graph_jobs", "policy_jobs"}


async def test_a_wrong_rule_is_refused_with_every_problem() -> None:
    store = CountingStore()
    with pytest.raises(DomainError) as refused:
        await Retention(store, VirtualClock()).change(ADA, {"events": 1, "nonsense": 5})
    assert [problem.field for problem in refused.value.problems] == ["keep_days.events", "keep_days.nonsense"]
    await Retention(store, VirtualClock()).change(ADA, {"events": 60})
    assert store.changed == ({"events": 60}, ADA.audit("change", "retention", "events"))


async def looks_within(seconds: float, store: CountingStore, fence: Fence | None = FENCE) -> int:
    clock = VirtualClock()
    duty = RetentionDuty(Retention(store, clock), FixedLeadership(fence), clock)
    running = asyncio.create_task(duty.run())
    await clock.run_for(seconds)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return store.looks


async def test_the_leader_does_it_a_minute_after_it_began_and_then_every_hour() -> None:
    assert await looks_within(FIRST_AFTER_SECONDS - 1, CountingStore()) == 0
    assert await looks_within(FIRST_AFTER_SECONDS + 3 * HOUR_SECONDS + 1, CountingStore()) == 4


async def test_what_was_busy_is_tried_again_sooner() -> None:
    assert await looks_within(FIRST_AFTER_SECONDS + BUSY_SECONDS + 1, CountingStore(day(), outcomes=("busy",))) == 2


async def test_who_does_not_lead_drops_nothing() -> None:
    assert await looks_within(10 * HOUR_SECONDS, CountingStore(day()), None) == 0
