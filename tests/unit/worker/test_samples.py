from rota.worker.samples import app
from rota.worker.testing import SettableClock, fake_context, run_task


async def test_the_heartbeat_tells_the_load() -> None:
    outcome = await run_task(app, "samples.host_heartbeat")
    assert set(outcome.value) == {"load_1m", "memory_used_percent", "cpus"}
    assert outcome.lines[0].startswith("INFO load ")


async def test_the_disk_report_names_each_disk_and_fails_when_one_is_full() -> None:
    fine = await run_task(app, "samples.disk_report", {"warn_below_percent": 0})
    full = await run_task(app, "samples.disk_report", {"warn_below_percent": 101})
    assert len(fine.value["free_percent"]) == len(fine.lines) > 0
    assert full.outcome == "failed"
    assert full.error is not None
    assert all(mount in full.error.message for mount in fine.value["free_percent"])


async def test_the_slow_count_counts_aloud() -> None:
    clock = SettableClock()
    args = {"steps": 3, "pause_seconds": 2}
    outcome = await run_task(app, "samples.slow_count", args, fake_context(clock=clock))
    assert outcome.lines == ("INFO 1 of 3", "INFO 2 of 3", "INFO 3 of 3")
    assert (outcome.value, clock.now) == ({"counted": 3}, 6)


async def test_the_flaky_task_fails_and_succeeds_in_the_same_way_each_time() -> None:
    outcomes = [
        (await run_task(app, "samples.flaky", context=fake_context(attempt_no=attempt))).outcome
        for attempt in [*range(1, 30), *range(1, 30)]
    ]
    assert outcomes[:29] == outcomes[29:]
    assert set(outcomes) == {"succeeded", "failed"}
