import pytest

from rota.core.lock_trust import LockTrust, holder_step


@pytest.mark.parametrize(
    ("elapsed", "step"),
    [(0.0, "go_on"), (6.4, "go_on"), (6.5, "stop"), (8.9, "stop"), (9.0, "kill"), (10.0, "kill"), (1e6, "kill")],
)
def test_a_holder_stops_well_before_its_time_ends(elapsed: float, step: str) -> None:
    assert holder_step(LockTrust(100.0, 10.0), 100.0 + elapsed, refused=False) == step


def test_what_the_store_has_refused_is_killed_at_once() -> None:
    assert holder_step(LockTrust(100.0, 10.0), 100.0, refused=True) == "kill"


@pytest.mark.parametrize("ttl_seconds", [1.0, 2.5, 30.0, 3600.0])
def test_three_renewals_fit_and_all_bounds_are_in_order(ttl_seconds: float) -> None:
    trust = LockTrust(0.0, ttl_seconds)
    assert 0 < trust.renew_at < trust.stop_at < trust.ends_at < ttl_seconds
    assert trust.renew_at <= ttl_seconds / 3
