from datetime import UTC, datetime, timedelta, timezone
from typing import get_args

import msgspec

from rota.api.rest.rendering import to_json
from rota.api.rest.schedules_wire import TriggerView
from rota.domain.policies import Policies
from rota.domain.targets import TaskTarget
from rota.domain.triggers import Trigger


def test_defaults_and_tags_are_spoken_out() -> None:
    assert msgspec.json.decode(to_json(TaskTarget("x"))) == {"kind": "task", "task": "x", "args": {}, "fan_out": None}
    assert msgspec.json.decode(to_json(Policies()))["retry"]["attempts_max"] == 5


def test_times_are_utc_with_z_also_inside_free_values() -> None:
    local = datetime(2026, 3, 29, 4, 30, tzinfo=timezone(timedelta(hours=2)))
    assert to_json({"at": [local, datetime(2026, 1, 1, tzinfo=UTC)]}) == (
        b'{"at":["2026-03-29T02:30:00Z","2026-01-01T00:00:00Z"]}'
    )


def test_every_kind_of_trigger_has_a_view_with_its_fields() -> None:
    views = {view.__struct_config__.tag: view for view in get_args(TriggerView)}
    for kind in get_args(Trigger):
        view = views.pop(kind.__struct_config__.tag)
        assert set(kind.__struct_fields__) < set(view.__struct_fields__)
    assert not views
