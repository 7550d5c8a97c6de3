"""Rota: `rota worker start`, held until the word "go"; jobs enter through the store, as the API's service does.

History is kept: each run has its row, with its target, policy, times, worker and result. Settled in batches after the
handlers, each run under its token; the runs of a worker that died are handed out again within seconds. At least once.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import uvloop

from bench.harness.counting import DIRECTORY_VARIABLE, SAMPLES_VARIABLE, Counter
from bench.harness.serving import Gate, serve
from bench.peers.rota_held_worker import GO, HOLD
from rota.adapters.system_clock import SystemClock
from rota.composition.wakeups import wakeups_of
from rota.domain.ids import TenantId
from rota.domain.policies import RunPolicy
from rota.domain.run import RunDraft
from rota.domain.targets import TaskTarget
from rota.domain.tenancy import AuditEntry
from rota.storage.postgres.connections import PoolOptions, open_connection, open_pool
from rota.storage.postgres.logins import DatabaseOptions, Login, resolve_urls
from rota.storage.postgres.migrator import Migrator
from rota.storage.postgres.run_intake import PostgresRunIntake

ENQUEUE_BATCH = 5_000
ENQUEUERS = 2
TENANT = TenantId("bench")
AUDIT = AuditEntry("bench", "enqueue", "run", "")
STOP_SECONDS_MAX = 15.0
UNFINISHED = "SELECT count(*) FROM scheduler.runs WHERE tenant_id = $1 AND id >= $2 AND state = 'queued'"
WAKE = "SELECT pg_notify('rota_wakeups', 'queue:default')"
REGISTERED = "SELECT count(*) FROM scheduler.workers WHERE pid = $1 AND state = 'active'"


class Rota:
    """Options: `slots` of the worker (none: as the user gets it), `task`, its name, `direct_dsn` past a pooler, and
    `one_tenant`, whose jobs those are that are enqueued one by one.
    """

    async def open(self, dsn: str, options: Mapping[str, Any]) -> None:
        self._dsn = dsn
        self._options = options
        self._direct_dsn: str | None = options.get("direct_dsn")
        self._one_tenant = TenantId(options.get("one_tenant", TENANT))
        self._urls = resolve_urls(DatabaseOptions(url=dsn, direct_url=self._direct_dsn))
        self._sleep = SystemClock().sleep
        self._stack = AsyncExitStack()
        self._worker: asyncio.subprocess.Process | None = None
        self._intake: PostgresRunIntake | None = None
        self._since: object = None

    async def install(self) -> None:
        await Migrator(self._urls, sleep=self._sleep).migrate()
        admin = await self._admin()
        for tenant in {TENANT, self._one_tenant}:
            await admin.execute("INSERT INTO scheduler.tenants VALUES ($1, $1, now(), 'bench')", tenant)
        await admin.close()

    async def enqueue(self, count: int, /) -> None:
        intake = await self._opened_intake()
        self._since = await self._service.fetchval("SELECT scheduler.uuid7_floor(clock_timestamp())")
        starts = iter(range(0, count, ENQUEUE_BATCH))

        async def enqueue_batches() -> None:
            for start in starts:
                numbers = range(start, min(start + ENQUEUE_BATCH, count))
                await intake.enqueue(TENANT, [self._draft(TENANT, number) for number in numbers], AUDIT)

        await asyncio.gather(*(enqueue_batches() for _ in range(ENQUEUERS)))

    async def enqueue_one(self, number: int) -> None:
        intake = await self._opened_intake()
        await intake.enqueue(self._one_tenant, [self._draft(self._one_tenant, number)], AUDIT)
        self._wakeups.announce("queue:default")

    async def unfinished_count(self) -> int:
        """Of what was enqueued last, by its records: among live rows, all dead ones would be read, too."""
        await self._opened_intake()
        if self._since is None:
            return await self._service.fetchval("SELECT count(*) FROM scheduler.live_runs")
        return await self._service.fetchval(UNFINISHED, TENANT, self._since)

    async def work(self, counter: Counter, gate: Gate) -> None:
        slots = self._options.get("slots")
        flags = [] if slots is None else ["--slots", str(slots)]
        self._worker = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "bench.peers.rota_held_worker", "worker", "start", "--app", "bench.peers.rota_tasks:app", *flags),
            env={
                **os.environ,
                "ROTA_DATABASE_URL": self._dsn,
                **({"ROTA_DATABASE_DIRECT_URL": self._direct_dsn} if self._direct_dsn else {}),
                DIRECTORY_VARIABLE: str(counter.directory),
                SAMPLES_VARIABLE: str(counter.samples),
            },
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        admin = await self._admin()
        while not await admin.fetchval(REGISTERED, self._worker.pid):
            if self._worker.returncode is not None:
                raise RuntimeError("the worker ended at once")
            await self._sleep(0.02)
        # A session hands in what it has counted when it ends, and this one has asked often.
        await admin.close()
        waking = await self._admin()
        gate.obey_holds(lambda: self._order(HOLD))
        while True:
            await gate.pass_when_open()
            await self._order(GO)
            await waking.execute(WAKE)
            await gate.pass_when_closed()

    async def _order(self, order: bytes) -> None:
        """Tells the worker, and waits until it heeds."""
        assert self._worker is not None
        assert self._worker.stdin is not None
        assert self._worker.stdout is not None
        self._worker.stdin.write(order)
        await self._worker.stdout.readexactly(1)

    async def close(self) -> None:
        if self._worker is not None and self._worker.returncode is None:
            self._worker.terminate()
            try:
                await asyncio.wait_for(self._worker.wait(), STOP_SECONDS_MAX)
            except TimeoutError:
                self._worker.kill()
        await self._stack.aclose()

    def _draft(self, tenant: TenantId, number: int) -> RunDraft:
        return RunDraft(tenant, TaskTarget(self._options.get("task", "noop"), {"n": number}), RunPolicy())

    async def _admin(self) -> Any:  # noqa: ANN401 - a Connection; the driver's own has more
        assert self._urls.direct_admin is not None
        return await open_connection(self._urls.direct_admin, Login.OWNER, application_name="bench", sleep=self._sleep)

    async def _opened_intake(self) -> PostgresRunIntake:
        """Opened when first wanted: a process that only executes needs no pools."""
        if self._intake is None:
            options = PoolOptions(
                connections_min=ENQUEUERS,
                connections_max=ENQUEUERS,
                pooled_by_transaction=self._urls.pooled_by_transaction,
            )
            api, self._service = [
                await open_pool(url, login, application_name="bench", sleep=self._sleep, options=options)
                for url, login in ((self._urls.api, Login.API), (self._urls.service, Login.SERVICE))
            ]
            self._stack.push_async_callback(api.close)
            self._stack.push_async_callback(self._service.close)
            self._wakeups = await self._stack.enter_async_context(wakeups_of(self._urls, SystemClock()))
            self._intake = PostgresRunIntake(api)
        return self._intake


if __name__ == "__main__":
    serve(Rota(), uvloop.run)
