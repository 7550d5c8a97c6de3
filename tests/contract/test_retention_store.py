"""Days of history are dropped by their rules alone, and never what a live run needs."""

from collections.abc import Mapping
from datetime import date, timedelta

import pytest

from rota.core.retention import aged_days, latest_cutoff
from rota.domain.errors import DomainError
from rota.domain.page import PageRequest
from rota.domain.retention import KINDS, RetentionRules
from rota.domain.run import LogLine
from rota.domain.tenancy import AuditEntry
from rota.ports.retention_store import RetentionStore
from rota.ports.run_store import RunFilter
from rota.ports.tenant_store import EventFilter
from rota.storage.memory.retention import MemoryRetentionStore
from rota.storage.postgres.partitions import PostgresPartitions
from rota.storage.postgres.retention import PostgresRetentionStore
from tests.contract.records import ACME
from tests.contract.run_stores import RunStores, draft, success
from tests.contract.stores import START

AUDIT = AuditEntry("ada", "apply", "retention", "", "req-9")
# Partitions of the days from here on are made before anything is written to them.
FIRST = START + timedelta(days=10)

HANG_ON_RUNS = {kind for kind, known in KINDS.items() if known.within == "runs"}


@pytest.fixture
async def retention(backend: str, runs: RunStores, request: pytest.FixtureRequest) -> RetentionStore:
    """The backend's, at noon of a day for which there are partitions."""
    await runs.base.clock.set(FIRST)
    if backend == "memory":
        return MemoryRetentionStore(request.getfixturevalue("memory_database"))
    pool = request.getfixturevalue("service_pool")
    await PostgresPartitions(pool).ensure_ahead()
    return PostgresRetentionStore(pool)


async def days_of(store: RetentionStore, kind: str) -> list[date]:
    rules = await store.rules()
    return [one.day for one in await store.days_until(rules.now) if one.kind == kind]


async def keep(store: RetentionStore, days: Mapping[str, int]) -> RetentionRules:
    return await store.change(lambda _: days, AUDIT)


async def one_run_a_day(runs: RunStores, days: int) -> None:
    """Each ends on the day of its birth, with a line."""
    worker_id = await runs.worker(lease_seconds=864_000.0)
    for _ in range(days):
        await runs.enqueue(draft())
        (claimed,) = await runs.claim(worker_id)
        at = await runs.base.clock.now()
        await runs.claims.append_log_lines([LogLine(claimed.run_id, 1, 0, at, "stdout", "hello")], [ACME])
        await runs.claims.settle_batch([success(claimed)])
        await runs.base.clock.advance(86_400)


async def test_the_rules_begin_as_the_table_says_and_change_with_an_event_and_an_audit_entry(
    retention: RetentionStore, runs: RunStores
) -> None:
    assert (await retention.rules()).keep_days() == {kind: known.keep_days for kind, known in KINDS.items()}

    changed = await keep(retention, {"events": 30, "log_lines": 10})

    after = await retention.rules()
    assert after.rules == changed.rules
    assert after.keep_days()["events"] == 30
    assert {rule.kind: (rule.changed_at, rule.changed_by) for rule in after.rules if rule.changed_by} == dict.fromkeys(
        ("events", "log_lines"), (FIRST, "ada")
    )
    assert AUDIT in await runs.base.audit.audit_of(None)
    (told,) = (await runs.base.events.page(EventFilter(None, types=("RetentionChanged",)), PageRequest())).items
    assert (told.tenant_id, told.actor, told.data) == (None, "ada", {"keep_days": {"events": 30, "log_lines": 10}})


async def test_a_change_that_is_refused_changes_nothing(retention: RetentionStore) -> None:
    def refuse(_: RetentionRules) -> Mapping[str, int]:
        raise DomainError("INVALID_INPUT", "no")

    before = await retention.rules()
    with pytest.raises(DomainError):
        await retention.change(refuse, AUDIT)
    assert await retention.rules() == before


async def test_a_day_goes_when_its_end_is_as_old_as_the_rule_says_and_takes_nothing_else_along(
    retention: RetentionStore, runs: RunStores
) -> None:
    await one_run_a_day(runs, 3)
    await keep(retention, {"runs": 5, "attempts": 5, "log_lines": 5})
    # The first day ends five days before the night to the seventeenth.
    first, second, third = (FIRST.date() + timedelta(days=n) for n in range(3))
    await runs.base.clock.set(FIRST.replace(hour=23, minute=59) + timedelta(days=5))
    assert await retention.drop_if_aged("runs", first, AUDIT) == "young"
    await runs.base.clock.advance(60)
    rules = await retention.rules()
    over = [one for one in aged_days(rules, await retention.days_until(latest_cutoff(rules))) if one.day == first]
    assert {(one.kind, one.is_needed) for one in over} == {("runs", False), ("log_lines", False)} | {
        (one.kind, False) for one in over if one.kind == "attempts"
    }

    assert await retention.drop_if_aged("runs", first, AUDIT) == "dropped"
    assert await retention.drop_if_aged("runs", first, AUDIT) == "absent"
    assert await retention.drop_if_aged("runs", second, AUDIT) == "young"

    left = await runs.reader.page(ACME, RunFilter(), PageRequest())
    assert {run.created_at.date() for run in left.items} == {second, third}
    assert first not in await days_of(retention, "runs")
    assert first in await days_of(retention, "log_lines")
    (told,) = (await runs.base.events.page(EventFilter(None, types=("HistoryDropped",)), PageRequest())).items
    assert (told.tenant_id, told.subject, told.actor) == (None, "runs", "ada")
    assert (told.data["day"], told.data["keep_days"]) == (first.isoformat(), 5)
    dropped = AuditEntry("ada", "drop", "history", f"runs {first}", "req-9")
    assert [entry for entry in await runs.base.audit.audit_of(None) if entry.verb == "drop"] == [dropped]


async def test_the_day_on_which_a_live_run_was_born_stays_whole_until_the_run_has_ended(
    retention: RetentionStore, runs: RunStores
) -> None:
    day = FIRST.date()
    (waiting,) = await runs.enqueue(draft(delay_seconds=10 * 86_400))
    await keep(retention, {"runs": 1, "attempts": 1, "log_lines": 1})
    await runs.base.clock.advance(5 * 86_400)
    surveyed = [one for one in await retention.days_until(FIRST + timedelta(days=4)) if one.day == day]
    assert {one.kind for one in surveyed if one.is_needed} >= {"runs"}
    assert {one.kind for one in surveyed if one.is_needed} <= {"runs", *HANG_ON_RUNS}

    for kind in ("runs", "attempts", "log_lines"):
        assert await retention.drop_if_aged(kind, day, AUDIT) in {"needed", "absent"}
    assert await retention.drop_if_aged("runs", day, AUDIT) == "needed"
    assert (await runs.reader.get(ACME, waiting)).state == "scheduled"

    await runs.control.cancel_if_live(ACME, waiting, AUDIT)
    assert await retention.drop_if_aged("runs", day, AUDIT) == "dropped"


async def test_a_kind_that_is_not_dropped_by_days_is_never_absent_by_accident(retention: RetentionStore) -> None:
    assert await retention.drop_if_aged("run_keys", FIRST.date(), AUDIT) == "absent"
    assert await retention.drop_if_aged("schedules", FIRST.date(), AUDIT) == "absent"


async def test_old_keys_are_pruned_but_for_those_of_live_runs(retention: RetentionStore, runs: RunStores) -> None:
    key_of_ended, key_of_live = (f"00000000-0000-7000-8000-00000000000{n}" for n in (1, 2))
    (ended,) = await runs.enqueue(draft(key=key_of_ended))
    (live,) = await runs.enqueue(draft(key=key_of_live, delay_seconds=1e8))
    await runs.control.cancel_if_live(ACME, ended, AUDIT)
    await runs.base.clock.advance(KINDS["run_keys"].keep_days * 86_400)
    assert (await retention.prune_stretch("run_keys", 0, 1_000)).deleted_count == 0
    await runs.base.clock.advance(1)

    pruned = await retention.prune_stretch("run_keys", 0, 1_000)

    assert (pruned.deleted_count, pruned.next_page) == (1, None)
    assert await runs.enqueue(draft(key=key_of_live)) == [live]
    assert await runs.enqueue(draft(key=key_of_ended)) != [ended]
