"""A tenant with runs in a real PostgreSQL, and workers over it: in the test's process, or in one of their own."""

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, TypedDict, Unpack

import msgspec
import psutil
import pytest

from rota.adapters.system_clock import SystemClock
from rota.adapters.system_ids import SystemIds
from rota.adapters.system_rng import SystemRng
from rota.core.settlement import decide_settlement
from rota.domain.ids import RunId, ScheduleId, TenantId
from rota.domain.policies import RetryPolicy, RunPolicy
from rota.domain.run import Attempt, LogLine, Run, RunDraft
from rota.domain.targets import Target, TaskTarget
from rota.domain.tenancy import AuditEntry, Tenant
from rota.storage.memory.wakeups import MemoryWakeups
from rota.storage.postgres.callbacks import (
    PostgresCallbackAnswers,
    PostgresCallbackKeeping,
    PostgresCallbackWaits,
)
from rota.storage.postgres.driver import Pool
from rota.storage.postgres.fan_outs import PostgresFanOutKeeping, PostgresFanOutPlans, PostgresImpactReader
from rota.storage.postgres.run_claims import PostgresRunClaims
from rota.storage.postgres.run_control import PostgresRunControl
from rota.storage.postgres.run_intake import PostgresRunIntake
from rota.storage.postgres.run_reading import PostgresRunReader
from rota.storage.postgres.tenants import PostgresTenantStore
from rota.storage.postgres.workers import PostgresWorkerStore
from rota.worker.callback_claims import CallbackClaims
from rota.worker.fan_out_claims import FanOutClaims
from rota.worker.options import WorkerOptions
from rota.worker.process import run_worker
from rota.worker.worker_ports import WorkerPorts
from tests.contract.stores import START
from tests.support.postgres import ClonedDatabase
from tests.support.waiting import wait_until

ACME = TenantId("acme")
AUDIT = AuditEntry("ada", "create", "run", "")
HANDLERS = "tests.integration.worker.handlers:app"
ROOT = Path(__file__).resolve().parents[3]
PUBLIC_URL = "http://rota.test"
ENDED = frozenset({"succeeded", "failed", "cancelled"})
AT_ONCE = RetryPolicy(delays_seconds=(0.0, 0.0, 0.0))

OPTIONS = WorkerOptions(
    app=HANDLERS, slots=8, executors=1, stop_grace_seconds=0.5, drain_seconds=10.0, retire_seconds_max=2.0
)


class Asked(TypedDict, total=False):
    """What a test may want to be different about a run."""

    args: dict[str, Any]
    delay_seconds: float
    timeout_seconds: float
    soft_timeout_seconds: float
    retry: RetryPolicy
    turn_of: ScheduleId


class WorkerProcess:
    """A worker as `rota worker` would be: the supervisor, its executors and its warden."""

    def __init__(self, options: WorkerOptions, url: str, log: Path) -> None:
        self.log = log
        arguments = [msgspec.json.encode(options).decode(), url]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.integration.worker.worker_main", *arguments],
                cwd=ROOT,
                stdout=output,
                stderr=output,
            )

    def executors(self) -> list[psutil.Process]:
        return self._children("rota.worker.executor")

    def wardens(self) -> list[psutil.Process]:
        return self._children("warden.py")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait_ended(self, deadline_seconds: float = 15.0) -> int:
        return self.process.wait(deadline_seconds)

    def end(self) -> None:
        for number in (signal.SIGCONT, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)
        self.process.wait()

    def _children(self, part: str) -> list[psutil.Process]:
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if part in " ".join(_command_of(child))]


def _command_of(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return process.cmdline()
    return []


def is_alive(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


class House:
    """What a tenant and an operator can do, and what the leader's rescue does."""

    def __init__(self, database: ClonedDatabase, api_pool: Pool, service_pool: Pool, directory: Path) -> None:
        self._pool = service_pool
        self.intake = PostgresRunIntake(api_pool)
        self.reader = PostgresRunReader(api_pool)
        self.control = PostgresRunControl(api_pool)
        self.claims = PostgresRunClaims(service_pool)
        self.plans = PostgresFanOutPlans(service_pool)
        self.keeping = PostgresFanOutKeeping(service_pool)
        self.impacts = PostgresImpactReader(api_pool)
        self.callbacks = PostgresCallbackKeeping(service_pool)
        self.answers = PostgresCallbackAnswers(api_pool)
        self.workers = PostgresWorkerStore(service_pool)
        self.wakeups = MemoryWakeups()
        self.clock = SystemClock()
        self.marks = directory
        self._url = database.urls.service
        self._stops: list[tuple[asyncio.Event, asyncio.Task[None]]] = []
        self._processes: list[WorkerProcess] = []

    @property
    def ports(self) -> WorkerPorts:
        claims = CallbackClaims(
            FanOutClaims(self.claims, self.plans), PostgresCallbackWaits(self._pool), SystemIds(), PUBLIC_URL
        )
        return WorkerPorts(claims, self.workers, self.wakeups, self.clock, SystemRng(1), SystemIds(), self.plans)

    async def enqueue(self, target: str | Target, count: int = 1, **fields: Unpack[Asked]) -> list[RunId]:
        made = TaskTarget(target, fields.get("args", {})) if isinstance(target, str) else target
        policy = RunPolicy(
            fields.get("timeout_seconds", 3600.0),
            fields.get("soft_timeout_seconds"),
            fields.get("retry", RetryPolicy()),
            serial="turn_of" in fields,
        )
        delay_seconds, schedule_id = fields.get("delay_seconds", 0.0), fields.get("turn_of")
        draft = RunDraft(ACME, made, policy, delay_seconds=delay_seconds, schedule_id=schedule_id)
        enqueued = await self.intake.enqueue(ACME, [draft] * count, AUDIT)
        self.wakeups.announce(f"queue:{draft.queue}")
        return [each.run_id for each in enqueued]

    async def one(self, target: str | Target, **fields: Unpack[Asked]) -> RunId:
        (run_id,) = await self.enqueue(target, **fields)
        return run_id

    async def marked(self, target: str, **fields: Unpack[Asked]) -> RunId:
        """A run of a task that leaves marks."""
        fields["args"] = {"marks": str(self.marks), **fields.get("args", {})}
        return await self.one(target, **fields)

    def lines_of(self, name: str) -> list[str]:
        """The lines that tasks have left under this name."""
        path = self.marks / name
        return path.read_text().split() if path.exists() else []

    async def run(self, run_id: RunId) -> Run:
        return await self.reader.get(ACME, run_id)

    async def ended(self, run_id: RunId, deadline_seconds: float = 15.0) -> Run:
        async def look() -> Run | None:
            run = await self.run(run_id)
            return run if run.state in ENDED else None

        found = await wait_until(look, deadline_seconds, f"the end of run {run_id}")
        assert found is not None
        return found

    async def began(self, name: str = "began", count: int = 1) -> list[str]:
        return (
            await wait_until(
                lambda: lines if len(lines := self.lines_of(name)) >= count else None, 15.0, f"{count} × {name}"
            )
            or []
        )

    async def attempts(self, run_id: RunId) -> tuple[Attempt, ...]:
        return await self.reader.attempts(ACME, run_id)

    async def lines(self, run_id: RunId) -> tuple[LogLine, ...]:
        return await self.reader.log_lines(ACME, run_id, (0, 0), 100_000)

    async def staged_count(self, run_id: RunId) -> int:
        """How many items planners have found for a run, whether or not it was planned to the end."""
        return int(await self._pool.fetchval("SELECT count(*) FROM scheduler.impact_items WHERE run_id = $1", run_id))

    async def cut_count(self, run_id: RunId) -> int:
        """How many segments planners have cut for a run, whether or not it was planned to the end."""
        return int(await self._pool.fetchval("SELECT count(*) FROM scheduler.segments WHERE run_id = $1", run_id))

    async def covered_count(self, run_id: RunId) -> int:
        """How many items lie in the segments that runs were made for."""
        covered = "SELECT sum(items_count) FROM scheduler.segments WHERE run_id = $1 AND child_run_id IS NOT NULL"
        return int(await self._pool.fetchval(covered, run_id))

    async def children(self, run_id: RunId) -> list[int]:
        """The segments that runs were made for."""
        rows = await self._pool.fetch(
            "SELECT (r.target ->> 'segment_no')::integer AS no FROM scheduler.runs r WHERE r.target ->> 'run_id' = $1",
            run_id,
        )
        return sorted(row["no"] for row in rows)

    async def cancel(self, run_id: RunId) -> None:
        await self.control.cancel_if_live(ACME, run_id, AUDIT)
        self.wakeups.announce("cancel")

    async def rescue(self) -> int:
        """One round of what the leader does."""
        await self.workers.mark_lost(100)
        lost = await self.claims.find_lost(60.0, 100)
        decided = [decide_settlement(each.claimed, each.outcome, None, SystemRng(1)) for each in lost]
        return sum(result.accepted for result in await self.claims.settle_batch(decided))

    async def start(self, options: WorkerOptions = OPTIONS, **changes: object) -> None:
        """A worker in this process; its executors are processes all the same."""
        stop = asyncio.Event()
        task = asyncio.create_task(run_worker(_changed(options, changes), self.ports, stop=stop))
        self._stops.append((stop, task))

    async def stop(self) -> None:
        """Drain all workers of this process."""
        for stop, _ in self._stops:
            stop.set()
        for _, task in self._stops:
            await asyncio.wait_for(task, 20)
        self._stops = []

    async def result(self) -> None:
        """Wait for the last worker to end by itself; raises what it raised."""
        _, task = self._stops.pop()
        await asyncio.wait_for(task, 20)

    def start_process(self, options: WorkerOptions = OPTIONS, **changes: object) -> WorkerProcess:
        log = self.marks / f"worker-{len(self._processes)}.log"
        started = WorkerProcess(_changed(options, changes), self._url, log)
        self._processes.append(started)
        return started

    async def close(self) -> None:
        for process in self._processes:
            process.end()
        for _, task in self._stops:
            task.cancel()
        await asyncio.gather(*(task for _, task in self._stops), return_exceptions=True)


def _changed(options: WorkerOptions, changes: dict[str, object]) -> WorkerOptions:
    return msgspec.structs.replace(options, **changes)


@pytest.fixture
async def house(database: ClonedDatabase, api_pool: Pool, service_pool: Pool, tmp_path: Path) -> AsyncGenerator[House]:
    await PostgresTenantStore(service_pool).create(
        Tenant(ACME, "Acme", START, "root"), AuditEntry("root", "create", "tenant", ACME)
    )
    made = House(database, api_pool, service_pool, tmp_path)
    yield made
    await made.close()
