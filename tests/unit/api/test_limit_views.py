from datetime import UTC, datetime

from rota.api.rest.limits import limit_view
from rota.domain.limit import Limit, LimitState

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_a_limit_whose_last_place_was_taken_after_its_runs_were_counted_says_what_it_waits_for() -> None:
    shown = limit_view(LimitState(Limit("queue", "mail", NOW, "root", 5), 4, 0))
    assert shown.waiting_for == "limit of the queue mail: 4 of 5 running"


def test_a_rate_is_said_where_places_are_left() -> None:
    shown = limit_view(LimitState(Limit("queue", "mail", NOW, "root", 5, 0.5, 1), 4, 0))
    assert shown.waiting_for == "limit of the queue mail: 0.5 runs a second"
