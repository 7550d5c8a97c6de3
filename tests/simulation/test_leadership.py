"""Many worlds; each is made of its seed, which a failure prints. `ROTA_SEEDS=5000:6000` runs others."""

import os
from itertools import pairwise

import pytest

from tests.simulation.leadership_world import CALM, Faults, World

ROUGH = Faults()
ROUGHER = Faults(slow_share=0.2, loss_share=0.25, pause_share=0.05, stop_share=0.01)
FIRST, LAST = (int(text) for text in os.environ.get("ROTA_SEEDS", "0:60").split(":"))


def lived(seed: int, faults: Faults, seconds: float = 120.0) -> World:
    world = World(seed, processes=2 + seed % 3, faults=faults)
    world.run_until(seconds)
    return world


@pytest.mark.parametrize("faults", [CALM, ROUGH, ROUGHER], ids=["calm", "rough", "rougher"])
def test_two_never_trust_at_once(faults: Faults) -> None:
    for seed in range(FIRST, LAST):
        assert lived(seed, faults).violations == [], f"seed {seed}"


def test_epochs_grow_with_every_take_over() -> None:
    for seed in range(FIRST, LAST):
        epochs = [epoch for _, epoch, _ in lived(seed, ROUGHER).store.history]
        assert all(earlier < later for earlier, later in pairwise(epochs)), f"seed {seed}"


def test_rough_worlds_change_their_leader_often_and_have_one_mostly() -> None:
    """A world in which nobody ever leads, or nobody ever falls, would prove nothing."""
    changes = [len(lived(seed, ROUGHER).gained) for seed in range(FIRST, FIRST + 20)]

    assert min(changes) > 5


def test_when_the_faults_end_somebody_leads_within_three_seconds() -> None:
    for seed in range(FIRST, LAST):
        world = lived(seed, ROUGHER, seconds=60.0)
        world.faults = CALM
        world.run_until(60.0 + 6.0 + 3.0)  # the longest pause, then one lease
        assert world.leader() is not None, f"seed {seed}"


def test_a_killed_leader_is_followed_within_three_seconds() -> None:
    for seed in range(FIRST, LAST):
        world = lived(seed, CALM, seconds=10 + seed / 7)
        world.kill_leader()
        killed_at = world.now
        world.run_until(killed_at + 3.0)
        assert world.gained[-1][0] > killed_at, f"seed {seed}"
        assert world.violations == []


def test_a_leader_that_resigns_is_followed_within_half_a_second() -> None:
    for seed in range(FIRST, LAST):
        world = lived(seed, CALM, seconds=10 + seed / 7)
        world.resign_leader()
        resigned_at = world.now
        world.run_until(resigned_at + 0.5)
        assert world.gained[-1][0] > resigned_at, f"seed {seed}"
        assert world.violations == []


def test_a_calm_leader_leads_for_good() -> None:
    for seed in range(FIRST, LAST):
        assert len(lived(seed, CALM).gained) == 1, f"seed {seed}"


@pytest.mark.parametrize("rate_error", [0.2, 0.4])
def test_the_watch_sees_what_the_margin_cannot_pay_for(rate_error: float) -> None:
    """Clocks far beyond the bound break the trust window: the checker must notice, or it checks nothing."""
    faults = Faults(slow_share=0.2, loss_share=0.3, pause_share=0.05, stop_share=0.01, rate_error=rate_error)

    assert any(lived(seed, faults).violations for seed in range(40))
