"""Law: of each kind, and whatever the store applied, what was found is what was executed, failed, skipped, refused."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from rota.core.cycles import add_counts, counts_of_batch, counts_of_unreadable
from rota.domain.cycle import MIXED, DueCounts
from rota.domain.firing import FireDraft, TriggerAdvance
from rota.domain.ids import ScheduleId, TenantId, TriggerId
from rota.domain.policies import Policies
from rota.domain.schedule import TriggerState
from rota.domain.triggers import AtTrigger, CronTrigger, IntervalTrigger, Trigger

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPECS: tuple[Trigger, ...] = (CronTrigger(expression="* * * * *"), IntervalTrigger(every_seconds=1), AtTrigger(at=AT))


def advance(spec: Trigger, runs: int, skipped: int, dropped: int) -> TriggerAdvance:
    drafts = tuple(FireDraft(AT, f"{number:032x}", "due") for number in range(runs + skipped))
    return TriggerAdvance(
        TriggerState(TriggerId("t"), spec, AT, AT),
        ScheduleId("s"),
        1,
        TenantId("acme"),
        Policies(),
        AT,
        None,
        runs,
        drafts[:runs],
        drafts[runs:],
        dropped_count=dropped,
    )


ADVANCES = st.lists(
    st.builds(advance, st.sampled_from(SPECS), st.integers(0, 3), st.integers(0, 3), st.integers(0, 50)), max_size=6
)


def is_balanced(counts: DueCounts) -> bool:
    parts = (counts.executed, counts.failed, counts.skipped, counts.refused)
    return min(parts) >= 0 and counts.found == sum(parts)


@given(ADVANCES)
def test_a_batch_that_was_applied_whole_is_counted_by_kind(advances: list[TriggerAdvance]) -> None:
    runs = sum(len(one.runs) for one in advances)
    skipped = sum(len(one.skipped) for one in advances)
    counts = counts_of_batch(advances, runs, skipped, 0)
    assert MIXED not in counts
    assert all(is_balanced(one) for one in counts.values())
    total = add_counts(*counts.values())
    assert (total.executed, total.refused) == (runs, 0)
    assert total.skipped == skipped + sum(one.dropped_count for one in advances)


@given(ADVANCES, st.data())
def test_a_batch_that_was_applied_in_part_is_balanced_and_says_what_was_made(
    advances: list[TriggerAdvance], data: st.DataObject
) -> None:
    kept = [one for one in advances if data.draw(st.booleans())]
    runs = sum(len(one.runs) for one in kept)
    made = data.draw(st.integers(0, runs), label="the others had their runs already")
    skipped = sum(len(one.skipped) for one in kept)
    counts = counts_of_batch(advances, made, skipped, len(advances) - len(kept))
    assert all(is_balanced(one) for one in counts.values())
    total = add_counts(*counts.values())
    assert total.executed == made
    assert skipped <= total.skipped <= skipped + sum(one.dropped_count for one in kept)


@given(st.integers(0, 5))
def test_what_cannot_be_read_has_failed(count: int) -> None:
    assert all(is_balanced(one) and one.failed == count for one in counts_of_unreadable(count).values())


def test_sums_of_counts_are_balanced_if_they_are() -> None:
    one = DueCounts(5, 1, 1, 2, 1)
    assert is_balanced(add_counts(one, one, structs.replace(one, found=6, refused=2)))
