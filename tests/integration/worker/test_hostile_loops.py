"""The loop of an executor belongs to all of its handlers: what one does to it is no harm to the others."""

import pytest

from rota.domain.policies import RetryPolicy
from tests.integration.worker.conftest import House
from tests.integration.worker.hostile import outcomes, start, unharmed
from tests.integration.worker.hostile_loops import ATTACKS

ONCE = RetryPolicy(attempts_max=1)
# What these do ends in their own face.
REFUSED = {"close_loop": "RuntimeError", "interrupt": "KeyboardInterrupt"}


@pytest.mark.parametrize("kind", list(ATTACKS))
async def test_a_handler_that_turns_on_the_event_loop_harms_no_neighbour(house: House, kind: str) -> None:
    await start(house, "hostile_loops")
    bystander = await house.marked("bystander", retry=ONCE, timeout_seconds=30.0)
    await house.began("bystander")

    run = await house.ended(await house.one("attack", args={"kind": kind}, retry=ONCE, timeout_seconds=30.0), 10.0)
    (house.marks / "told").touch()
    beside = await house.ended(bystander, 10.0)

    assert (beside.state, beside.result) == ("succeeded", 1)
    assert (run.error.type if run.error else None) == REFUSED.get(kind)
    assert run.attempts_count == 1
    await unharmed(house)


async def test_runs_that_a_neighbour_cancels_have_failed_and_are_not_cancelled(house: House) -> None:
    """Also one that had not come to its first instruction: nobody has asked for its end."""
    cancelling = await house.one("cancel_all", retry=ONCE)
    neighbours = [await house.marked("neighbour", retry=ONCE) for _ in range(2)]
    await start(house, "hostile_loops")

    ended = [await house.ended(run_id, 10.0) for run_id in (cancelling, *neighbours)]

    assert [run.state for run in ended] == ["succeeded", "failed", "failed"]
    assert {run.error.type for run in ended if run.error is not None} == {"CancelledError"}
    await unharmed(house)


async def test_a_factory_of_tasks_that_makes_none_does_not_keep_runs_from_their_beginning(house: House) -> None:
    await start(house, "hostile_loops")

    attack = await house.ended(await house.one("refuse_tasks", retry=ONCE, timeout_seconds=30.0), 10.0)

    assert attack.state == "succeeded"
    await unharmed(house)


async def test_an_executor_whose_loop_cannot_go_on_ends_and_its_runs_are_begun_elsewhere(house: House) -> None:
    await start(house, "hostile_loops")
    run_id = await house.one("break_loop", retry=ONCE, timeout_seconds=30.0)

    run = await house.ended(run_id, 10.0)

    assert run.result == "unharmed"
    assert await outcomes(house, run_id) == ["lost", "succeeded"]
    await unharmed(house)
