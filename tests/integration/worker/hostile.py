"""What every test of a hostile handler asks afterwards: is the worker as good as new, and what does it leave behind.

A task `meet` succeeds only where as many runs as there are slots run at the same time: a slot that is stuck is seen.
"""

from pathlib import Path

import msgspec
import psutil

from rota import App, Context
from rota.domain.ids import RunId
from tests.integration.worker.conftest import OPTIONS, House, WorkerProcess, is_alive
from tests.integration.worker.handlers import mark
from tests.support.waiting import wait_until

SLOTS = 3
OWN_PROCESSES = ("rota.worker.executor", "warden.py")


def hostile_app(name: str) -> App:
    """An app with the tasks that the tests' own questions need."""
    app = App(name)

    @app.task(name="meet")
    async def meet(ctx: Context, marks: str, table: str, guests: int) -> None:
        mark(marks, table)
        while len(Path(marks, table).read_text().split()) < guests:
            await ctx.sleep(0.01)

    @app.task(name="bystander")
    async def bystander(ctx: Context, marks: str) -> int:
        """Waits on the loop, where others do their worst, until it is told."""
        mark(marks, "bystander")
        while not Path(marks, "told").exists():
            await ctx.sleep(0.01)
        return ctx.attempt_no

    return app


async def start(house: House, module: str, **changes: object) -> None:
    """A worker in this process for the tasks of a module beside this one."""
    options = msgspec.structs.replace(OPTIONS, slots=SLOTS, app=f"tests.integration.worker.{module}:app")
    await house.start(options, **changes)


def start_process(house: House, module: str, **changes: object) -> WorkerProcess:
    options = msgspec.structs.replace(OPTIONS, slots=SLOTS, app=f"tests.integration.worker.{module}:app")
    return house.start_process(options, **changes)


async def as_good_as_new(house: House, table: str = "table") -> None:
    """All slots take runs at once, and nothing else is held."""
    run_ids = [
        await house.marked("meet", args={"table": table, "guests": SLOTS}, timeout_seconds=30.0) for _ in range(SLOTS)
    ]
    assert [(await house.ended(run_id, 8.0)).state for run_id in run_ids] == ["succeeded"] * SLOTS
    active = [worker for worker in await house.workers.list_recent(10) if worker.state == "active"]
    assert [worker.running_count for worker in active] == [0]


async def leaves_nothing(house: House) -> None:
    """Drained, the worker has no process any more, and holds no run."""
    assert own_processes() != []
    await house.stop()
    assert own_processes() == []
    assert {(worker.state, worker.running_count) for worker in await house.workers.list_recent(10)} == {("stopped", 0)}


async def unharmed(house: House) -> None:
    await as_good_as_new(house)
    await leaves_nothing(house)


def own_processes() -> list[str]:
    """The executors and wardens below this process."""
    lines = [_command_line(each) for each in psutil.Process().children(recursive=True)]
    return [line for line in lines if any(part in line for part in OWN_PROCESSES)]


async def outcomes(house: House, run_id: RunId) -> list[str]:
    """Of all attempts of a run, in order."""
    return [str(attempt.outcome) for attempt in await house.attempts(run_id)]


async def none_alive(pids: list[int], what: str) -> None:
    await wait_until(lambda: not any(is_alive(pid) for pid in pids), 10.0, what)


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()) if process.status() != psutil.STATUS_ZOMBIE else ""
    except psutil.NoSuchProcess:
        return ""
