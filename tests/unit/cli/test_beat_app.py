import pytest

from rota.cli.beat_app import beat_entries
from rota.core.celery_beat import read_entries
from rota.domain.errors import DomainError
from rota.domain.triggers import CronTrigger, IntervalTrigger


def test_the_beat_schedule_of_an_app_is_read_from_its_own_objects() -> None:
    entries, zone = beat_entries("tests.unit.contrib.beat_project:app")
    assert zone == "Europe/Paris"
    reading = read_entries(entries, zone)
    found = {one.draft.name: one.draft.triggers[0] for one in reading.drafts}
    assert found == {
        "nightly": CronTrigger("30 2 * * *", "Europe/Paris"),
        "weekly": CronTrigger("0 6,18 * * mon-fri", "Europe/Paris"),
        "often": IntervalTrigger(every_seconds=30.0),
        "hourly": IntervalTrigger(every_seconds=3600.0),
        "anchored": IntervalTrigger(every_seconds=60.0),
    }
    assert [one.name for one in reading.refusals] == ["dawn", "both"]
    (often,) = [one for one in reading.drafts if one.draft.name == "often"]
    assert (often.draft.policies.queue, often.note) == ("slow", "not taken over: the option expires")


@pytest.mark.parametrize("path", ["tests.unit.contrib.nowhere:app", "tests.unit.contrib.test_celery:ADOPTED", "x"])
def test_what_is_no_celery_app_is_refused(path: str) -> None:
    with pytest.raises(DomainError) as refused:
        beat_entries(path)
    assert refused.value.problems[0].field == "--app"
