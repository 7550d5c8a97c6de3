"""How many new schedules go to the API at once."""

from rota.cli.manifest import BATCH_BYTES_MAX, BATCH_DRAFTS_MAX, batches
from rota.domain.schedule import ScheduleDraft
from rota.domain.targets import TaskTarget
from rota.domain.triggers import IntervalTrigger


def draft(number: int, text: str = "") -> ScheduleDraft:
    return ScheduleDraft(f"s{number}", (IntervalTrigger(60.0),), TaskTarget("report", {"text": text}))


def test_a_batch_has_at_most_as_many_as_the_api_takes() -> None:
    drafts = [draft(number) for number in range(2 * BATCH_DRAFTS_MAX + 1)]

    found = list(batches(drafts))

    assert [len(batch) for batch in found] == [BATCH_DRAFTS_MAX, BATCH_DRAFTS_MAX, 1]
    assert [one for batch in found for one in batch] == drafts


def test_a_batch_is_no_larger_than_the_api_takes() -> None:
    third = "x" * (BATCH_BYTES_MAX // 3)

    assert [len(batch) for batch in batches([draft(number, third) for number in range(5)])] == [2, 2, 1]


def test_nothing_is_no_batch() -> None:
    assert list(batches([])) == []
