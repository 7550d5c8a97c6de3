"""What handlers of a process share, one may spoil: the process goes on to run the next ones all the same."""

import pytest

from rota.domain.policies import RetryPolicy
from tests.integration.worker.conftest import House
from tests.integration.worker.hostile import start, unharmed
from tests.integration.worker.hostile_state import ATTACKS

ONCE = RetryPolicy(attempts_max=1)


@pytest.mark.parametrize("kind", list(ATTACKS))
async def test_a_handler_that_spoils_what_its_process_shares_stops_no_run_after_it(house: House, kind: str) -> None:
    await start(house, "hostile_state")
    bystander = await house.marked("bystander", retry=ONCE, timeout_seconds=30.0)
    await house.began("bystander")

    run = await house.ended(await house.one("spoil", args={"kind": kind}, retry=ONCE, timeout_seconds=30.0))
    (house.marks / "told").touch()
    beside = await house.ended(bystander)

    assert (run.result, run.attempts_count) == ("spoilt", 1)
    assert (beside.state, beside.result) == ("succeeded", 1)
    await unharmed(house)


async def test_a_handler_cannot_leave_the_group_in_which_its_executor_is_killed(house: House) -> None:
    await start(house, "hostile_state")

    run = await house.ended(await house.one("lead_a_session", retry=ONCE))

    assert run.error is not None
    assert run.error.type == "PermissionError"
    await unharmed(house)


async def test_a_handler_that_shouts_is_cut_and_holds_no_neighbour_up(house: House) -> None:
    await start(house, "hostile_state", log_lines_max=500)
    run_id = await house.marked("shout", args={"lines": 300_000}, retry=ONCE, timeout_seconds=120.0)
    await house.began("shouting")

    beside = await house.ended(await house.marked("meet", args={"table": "beside", "guests": 1}), 10.0)
    shouting = await house.run(run_id)
    run = await house.ended(run_id, 60.0)

    lines = await house.lines(run_id)
    assert (beside.state, shouting.state) == ("succeeded", "running")
    assert run.result == 300_000
    assert (len(lines), lines[0].text) == (501, "line 0")
    assert lines[-1].text.startswith("truncated: ")
    await unharmed(house)


async def test_a_line_of_a_hundred_megabytes_is_shown_by_its_beginning(house: House) -> None:
    await start(house, "hostile_state")
    run_id = await house.one("one_line", retry=ONCE, timeout_seconds=60.0)

    run = await house.ended(run_id, 40.0)

    lines = [(line.stream, len(line.text), line.text[-1:]) for line in await house.lines(run_id)]
    assert run.state == "succeeded"
    assert lines == [("stdout", 8_000, "…"), ("stdout", 0, ""), ("stdout", 8_000, "…"), ("log", 8_000, "…")]
    await unharmed(house)


async def test_bytes_that_are_no_text_are_shown_by_their_numbers(house: House) -> None:
    await start(house, "hostile_state")
    run_id = await house.one("binary", retry=ONCE)

    run = await house.ended(run_id)

    lines = [(line.stream, line.text) for line in await house.lines(run_id)]
    assert run.state == "succeeded"
    assert "\\xfd\\xfe\\xff\ufffd\x01\x02" in lines[1][1]
    assert lines[-3:] == [("stderr", "\\xff\\xfe"), ("stderr", "?\ufffd"), ("stdout", "ü\\xe2\\x82")]
    await unharmed(house)
